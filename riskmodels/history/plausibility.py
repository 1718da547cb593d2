"""Whether a history looks like the care of a population: what was found, as tables and in words."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from riskmodels.history.quality import FEWEST_SHOWN, Listing

__all__ = ["NOTHING", "NO_RATES", "RUN_OUT_MONTHS", "Plausibility"]

RUN_OUT_MONTHS = 6
THIN = 0.75  # of the usual encounters a month
UNMAPPED = 0.01
NO_RATES = "There is no coverage of 11 persons in a year, so that rates have nothing to be per."
NOTHING = "Nothing of what could be compared with published rates, or with its own past, stands out."


@dataclass(frozen=True)
class Plausibility:
    """What rates, codes and dates of a history look like; cells of 1 to 10 persons are null.

    Attributes
    ----------
    rates : DataFrame
        By year and age band (``65 and over`` and ``all`` too): member_years, members; per 1,000 member
        years admissions, ed_visits and deaths; returns, percent of discharges readmitted in 30 days; and
        spent, dollars a member month.
    compared : DataFrame of measure, year, value, low, high, verdict, source
        Rates beside published ones: ``as published``, ``below``, ``above``.
    codes : DataFrame of kind, code_system, rows, unmapped, share
        Rows of events by code system, and those whose code no table or shape knows.
    examples : DataFrame of kind, code_system, code, rows
        The most frequent of the unmapped codes that at least 11 persons have.
    lag : DataFrame of kind, encounters, known, median, p90, within_90_days
        Days from the end of an encounter to when it was known, and the share of those known that took at
        most 90 days.
    run_out : DataFrame of kind, month, encounters, usual, share
        The last months of the data beside the mean of the 12 before them.
    """

    rates: pl.DataFrame
    compared: pl.DataFrame
    codes: pl.DataFrame
    examples: pl.DataFrame
    lag: pl.DataFrame
    run_out: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return the tables as lists of rows, and the remarks."""
        days = pl.selectors.date().cast(pl.String)
        tables = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **{name: table.with_columns(days).to_dicts() for name, table in tables.items()},
            "remarks": list(self.remarks),
        }

    def listings(self) -> list[Listing]:
        """Return the tables for people: rates, codes that are none of their system, claim lag."""
        found = []
        if not self.rates.is_empty():
            head = list(_COLUMNS.values())
            found.append(Listing(_YEARS, [head, *(_row(row) for row in self.rates.to_dicts())]))
        odd = self.codes.filter(pl.col("unmapped").is_null() | (pl.col("unmapped") > 0)).to_dicts()
        if odd:
            rows = [[*_code(row), self._examples_of(row)] for row in odd]
            found.append(
                Listing("Codes that are none of their system, the most frequent first", rows, headed=False)
            )
        known = self.lag.filter(pl.col("known") > 0).to_dicts()
        if known:
            head = ["encounters", "known", "median days to be known", "90% within", "within 90 days"]
            found.append(Listing("When claims were known", [head, *(_lag_row(row) for row in known)]))
        return found

    def to_text(self) -> str:
        """Return rates, codes and claim lag as tables for people, and the remarks."""
        said = [NO_RATES] if self.rates.is_empty() else [f"{_YEARS}:"]
        for place, listing in enumerate(self.listings()):
            said += [*([""] if place or self.rates.is_empty() else []), *listing.to_lines()]
        said += ["", "To look into:" if self.remarks else NOTHING]
        return "\n".join([*said, *(f"- {remark}" for remark in self.remarks)]) + "\n"

    def _examples_of(self, row: dict[str, Any]) -> str:
        found = self.examples.filter(
            (pl.col("kind") == row["kind"]) & (pl.col("code_system") == row["code_system"])
        )
        return ", ".join(f"{code} ({rows:,})" for code, rows in found.select("code", "rows").rows())

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what a user should look into, in sentences."""
        found = self.compared.filter((pl.col("verdict") != "as published") & (pl.col("value") > 0))
        said = [
            f"{measure}: {_by_year_in_words(rows)}, {verdict} what is published "
            f"({_range(rows['low'][0], rows['high'][0])}; {rows['source'][0]})"
            for (measure, verdict), rows in found.group_by("measure", "verdict", maintain_order=True)
        ]
        said += [
            f"{row['share']:.1%} of {row['rows']:,} {row['kind']} rows in {row['code_system']} have a code "
            "that is none of the system"
            for row in self.codes.filter(pl.col("share") > UNMAPPED).to_dicts()
        ]
        thin = self.run_out.filter(pl.col("share") < THIN)
        for (kind,), rows in thin.group_by("kind", maintain_order=True):
            lowest, usual, since = rows.select(
                pl.col("share").min(), pl.col("usual").first(), pl.col("month").min()
            ).row(0)
            verb = "is" if rows.height == 1 else "are"
            said.append(
                f"{kind}: {rows.height} of the last {RUN_OUT_MONTHS} months {verb} thin, "
                f"since {since:%B %Y}, down to {lowest:.0%} of the usual {usual:,.0f} encounters: "
                "claims may be missing still"
            )
        return tuple(said)


def _range(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def _by_year_in_words(rows: pl.DataFrame) -> str:
    return ", ".join(f"{value:,.1f} in {year}" for year, value in rows.select("year", "value").rows())


_YEARS = "By year and age, per 1,000 member years (returns: percent of discharges readmitted in 30 days)"
_COLUMNS = {
    "year": "year",
    "band": "age",
    "member_years": "member years",
    "admissions": "admissions",
    "ed_visits": "ED visits",
    "returns": "returns %",
    "deaths": "deaths",
    "spent": "$ a month",
}


def _row(row: dict[str, Any]) -> list[str]:
    """Return a row of rates as text; what is withheld or not known is a dash."""
    numbers = [row[name] for name in _COLUMNS][2:]
    shown = ["-" if value is None else f"{value:,.1f}" for value in numbers]
    return [str(row["year"]), row["band"], *shown]


def _code(row: dict[str, Any]) -> list[str]:
    unmapped = f"<{FEWEST_SHOWN}" if row["unmapped"] is None else f"{row['unmapped']:,}"
    return [f"{row['kind']} {row['code_system']}", unmapped, f"of {row['rows']:,}"]


def _lag_row(row: dict[str, Any]) -> list[str]:
    known = f"{row['known'] / row['encounters']:.0%}"
    return [row["kind"], known, str(row["median"]), str(row["p90"]), f"{row['within_90_days']:.1%}"]
