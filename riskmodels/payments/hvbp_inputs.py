"""Read CMS's Hospital Value-Based Purchasing result files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.hrrp_benchmark import read_base_payments
from riskmodels.payments.program import Inputs
from riskmodels.payments.reading import Table, normalise, read_table
from riskmodels.payments.rules import Rules

__all__ = ["DOMAINS", "read"]

DOMAINS = ("clinical_outcomes", "person_and_community_engagement", "safety", "efficiency_and_cost_reduction")

_RATES = {
    "floor": "Floor",
    "achievement_threshold": "Achievement Threshold",
    "benchmark": "Benchmark",
    "baseline_rate": "Baseline Rate",
    "performance_rate": "Performance Rate",
}
_TOTALS = {
    "clinical_outcomes": "Unweighted Normalized Clinical Outcomes Domain Score",
    "person_and_community_engagement": "Unweighted Person And Community Engagement Domain Score",
    "safety": "Unweighted Normalized Safety Domain Score",
    "efficiency_and_cost_reduction": "Unweighted Normalized Efficiency And Cost Reduction Domain Score",
}

_COMBINED = ("Combined SSI Measure Score", "SSI Combined Measure Score")


def read(paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
    """Read the four domain files, in any order; or the file of total performance scores alone.

    With domain files the totals are not read: they are what comes out.

    Raises
    ------
    DataError
        For a file of another year, of no known layout, or with a measure that the year does not have.
    """
    measures: list[pl.DataFrame] = []
    strata: list[pl.DataFrame] = []
    totals: list[pl.DataFrame] = []
    seen: dict[str, Path] = {}
    notes: tuple[str, ...] = ()
    for path in paths:
        table = read_table(path, ("facility id",))
        ids = table.identifiers(table.column("Facility ID"), width=6)
        _check_year(table, rules)
        if table.find(_TOTALS["clinical_outcomes"]) is not None:
            totals.append(_totals(table, ids))
            continue
        names = _measures(table, rules)
        for name, domain in names.items():
            if name in seen:
                raise DataError(f"measure {name} is in {seen[name].name} too", file=path)
            seen[name] = path
            measures.append(_rates(table, ids, name, domain))
        if "HAI-3" in names:
            strata.append(_surgical_site(table, ids))
            if table.find(*_COMBINED) is None:
                notes += (f"{path.name} has no combined score of HAI-3 and HAI-4: they weigh equally",)
    if measures:
        frame = pl.concat(measures)
        given = pl.DataFrame(
            schema={"facility_id": pl.String, "domain": pl.String, "given_score": pl.Float64}
        )
    else:
        frame = _rates_schema()
        given = totals[0].unpivot(
            list(DOMAINS), index="facility_id", variable_name="domain", value_name="given_score"
        )
    hospitals = (
        (frame if measures else totals[0])
        .group_by("facility_id", maintain_order=True)
        .agg(pl.col("source_file").first(), pl.col("source_line").first())
    )
    combined = (
        strata[0] if strata else pl.DataFrame(schema={"facility_id": pl.String, "combined": pl.Float64})
    )
    hospitals = hospitals.join(combined, on="facility_id", how="left", maintain_order="left")
    if not measures:
        notes = ("only total performance scores were given: the domain scores are CMS's",)
    if options.get("base_payments"):
        base = read_base_payments(Path(options["base_payments"]))
        hospitals = hospitals.join(base, on="facility_id", how="left", maintain_order="left")
    else:
        hospitals = hospitals.with_columns(base_operating_payments=pl.lit(None, dtype=pl.Float64))
    absent = [] if not measures else [name for name in DOMAINS if name not in set(frame["domain"])]
    if absent:
        notes += (f"no total: no file has the measures of {', '.join(absent)}",)
    slope = None if options.get("slope") is None else float(options["slope"])
    settings = {"slope": slope, "complete": not absent}
    return Inputs({"hospitals": hospitals, "measures": frame, "given": given}, settings, notes)


def _check_year(table: Table, rules: Rules) -> None:
    column = table.find("Fiscal Year")
    if column is None:
        return
    years = table.number(column, integer=True)
    wrong = (years != rules.year).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"fiscal year {years[row]}, and the rules asked for are of {rules.year}",
            file=table.path,
            column=column,
            line=table.lines[row],
            fix=f"give --year {years[row]}",
        )


def _measures(table: Table, rules: Rules) -> dict[str, str]:
    """Return the measures of a file with the domain of each."""
    found = {}
    for column in table.frame.columns:
        match = re.fullmatch(r"(.+) achievement threshold", normalise(column))
        if not match:
            continue
        name = column.strip()[: len(match[1])]
        patterns = rules["domain_measures"].items()
        domain = next((key for key, words in patterns if re.fullmatch(words, name, re.IGNORECASE)), None)
        if domain is None:
            raise DataError(f"measure {name!r} is not one of fiscal year {rules.year}", file=table.path)
        found[name] = domain
    if not found:
        raise DataError("no measure with an achievement threshold", file=table.path,
                        fix="give CMS's hvbp_*.csv files")  # fmt: skip
    return found


def _rates(table: Table, ids: pl.Series, name: str, domain: str) -> pl.DataFrame:
    columns = {key: table.find(f"{name} {words}") for key, words in _RATES.items()}
    missing = [_RATES[key] for key, column in columns.items() if column is None and key != "floor"]
    if missing:
        raise DataError(f"measure {name} has no {missing[0]}", file=table.path)
    rates = {
        key: table.number(column, minimum=0) if column else pl.Series([None] * len(ids), dtype=pl.Float64)
        for key, column in columns.items()
    }
    if domain in _SHARES:
        _check_shares(table, columns, rates)
    for key in ("floor", "achievement_threshold", "benchmark"):
        _check_national(table, columns[key], rates[key])
    frame = pl.DataFrame({"facility_id": ids, "measure": name, "domain": domain, **rates})
    frame = frame.with_columns(source_file=pl.lit(str(table.path)), source_line=pl.Series(table.lines))
    rated, threshold = pl.col("performance_rate").is_not_null(), pl.col("achievement_threshold")
    bad = frame.filter(rated & (threshold.is_null() | (threshold == pl.col("benchmark")).fill_null(True)))
    if bad.height:
        raise DataError(f"{bad['facility_id'][0]}: threshold and benchmark are missing or equal",
                        file=table.path, column=name, line=bad["source_line"][0])  # fmt: skip
    return frame


_SHARES = ("clinical_outcomes", "person_and_community_engagement")
"""Domains whose rates are shares of patients: at most 1, or 100 in percent."""


def _check_shares(table: Table, columns: Mapping[str, str | None], rates: Mapping[str, pl.Series]) -> None:
    """Refuse a rate above 1, or above 100 where the measure's rates are in percent."""
    middle = rates["performance_rate"].median()
    most = 100.0 if isinstance(middle, float) and middle > 1 else 1.0
    for key, column in columns.items():
        if column and (rates[key] > most).any():
            table.number(column, maximum=most)  # names line and value


def _check_national(table: Table, column: str | None, values: pl.Series) -> None:
    """Refuse a standard that differs between hospitals: floor, threshold and benchmark are national."""
    known = values.drop_nulls()
    if not column or known.n_unique() < 2:
        return
    usual = float(known.mode().sort()[0])
    row = int((values != usual).fill_null(False).arg_max() or 0)
    raise DataError(f"{values[row]:g} here and {usual:g} for other hospitals, and it is one for all",
                    file=table.path, column=column, line=table.lines[row])  # fmt: skip


def _surgical_site(table: Table, ids: pl.Series) -> pl.DataFrame:
    """Read the combined score of the two surgical-site strata, whose weights CMS does not publish.

    A file without it leaves the strata to weigh equally, which a note says.
    """
    column = table.find(*_COMBINED)
    blank = pl.Series([None] * len(ids), dtype=pl.Float64)
    return pl.DataFrame({"facility_id": ids, "combined": _points(table, column) if column else blank})


def _points(table: Table, column: str) -> pl.Series:
    """Read '5 out of 10' or '5'."""
    words = table.frame[column].str.replace(r"(?i)\s*out of \d+$", "")
    return Table(table.path, words.to_frame(), table.lines).number(column, minimum=0)


def _totals(table: Table, ids: pl.Series) -> pl.DataFrame:
    scores = {key: table.number(table.column(name), minimum=0, maximum=100) for key, name in _TOTALS.items()}
    frame = pl.DataFrame({"facility_id": ids, **scores})
    return frame.with_columns(source_file=pl.lit(str(table.path)), source_line=pl.Series(table.lines))


def _rates_schema() -> pl.DataFrame:
    text, rate = pl.String, pl.Float64
    return pl.DataFrame(
        schema={"facility_id": text, "measure": text, "domain": text, **dict.fromkeys(_RATES, rate),
                "source_file": text, "source_line": pl.Int64}
    )  # fmt: skip
