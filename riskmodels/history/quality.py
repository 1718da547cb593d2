"""What is odd about a history: counts, impossible dates, overlaps, codes of the wrong shape."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from riskmodels.history.checks import MEANINGS, look, wrong_shape
from riskmodels.history.opening import History
from riskmodels.history.schema import TABLES
from riskmodels.history.sorting import CONFLICT, DUPLICATE, SHARED
from riskmodels.progress import track

__all__ = ["Finding", "Listing", "QualityReport", "check"]

FEWEST_SHOWN = 11  # CMS's rule: cells of 1 to 10 persons are not shown
MOST_YEARS = 12  # more do not fit on a line
DISAGREE = "values on which rows of one person disagree: the first in order was kept"
TWICE = "rows whose encounter_id another row of the person has too: the one recorded last was kept"
WHEN = {"coverage": "start_date", "encounter": "start", "event": "time"}


@dataclass(frozen=True)
class Finding:
    """Something odd.

    Attributes
    ----------
    name : str
        A short fixed name, such as ``event_before_birth``.
    table : str
    rows : int
        How many rows.
    of : int
        Out of how many that were looked at.
    meaning : str
        What it is, for people.
    """

    name: str
    table: str
    rows: int
    of: int
    meaning: str


@dataclass(frozen=True)
class Listing:
    """A table of words and numbers for people.

    Attributes
    ----------
    title : str
        What it lists.
    rows : list of list of str
        Its cells.
    headed : bool
        Whether the first row holds the names of the columns; a table without them has its title above.
    """

    title: str
    rows: list[list[str]]
    headed: bool = True

    @property
    def numbers(self) -> list[bool]:
        """Return which columns hold numbers in all rows, the head left out."""
        body = self.rows[1:] or self.rows
        return [all(cell[:1] in "0123456789<-" for cell in column) for column in zip(*body, strict=True)]

    def to_lines(self) -> list[str]:
        """Return the table as lines, numbers set right and words left, two blanks between columns."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(row, widths, self.numbers, strict=True)
            ).rstrip()
            for row in self.rows
        ]
        return lines if self.headed else [f"{self.title}:", *lines]


@dataclass(frozen=True)
class QualityReport:
    """What `check` found.

    Attributes
    ----------
    source_format : str
    as_of : str or None
        The instant as of which the history was opened.
    rows : dict of str to int
        Rows by table.
    years : dict of str to dict of int to int
        Rows by table and calendar year of the start.
    kinds : dict of str to dict of str to int
        Encounters and events by kind, events also by code system.
    findings : tuple of Finding
        Everything that was looked for, with the number found, none included.
    ingested : dict
        What was left out or noted when the history was written, by table and reason.
    """

    source_format: str
    as_of: str | None
    rows: dict[str, int]
    years: dict[str, dict[int, int]]
    kinds: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]
    ingested: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)

    @property
    def odd(self) -> tuple[Finding, ...]:
        """Return the findings of which there is at least one row."""
        return tuple(finding for finding in self.findings if finding.rows)

    def to_dict(self, *, withhold: bool = False) -> dict[str, Any]:
        """Return the report as plain dicts and lists, with counts as they are.

        Parameters
        ----------
        withhold : bool
            Put None in the place of counts of 1 to 10, and of those from which one could be worked out.
        """

        def few(count: int) -> int | None:
            return None if withhold and 0 < count < FEWEST_SHOWN else count

        def parts(counts: Mapping[Any, int]) -> dict[str, int | None]:
            hidden = _hidden(counts) if withhold else set()
            return {str(name): None if name in hidden else n for name, n in counts.items()}

        return {
            "source_format": self.source_format,
            "as_of": self.as_of,
            "rows": {table: few(n) for table, n in self.rows.items()},
            "years": {table: parts(counts) for table, counts in self.years.items()},
            "kinds": {table: parts(counts) for table, counts in self.kinds.items()},
            "findings": [
                {**vars(finding), "rows": few(finding.rows), "of": few(finding.of)}
                for finding in self.findings
            ],
            "ingested": {
                what: {
                    table: {reason: few(n) for reason, n in reasons.items()}
                    for table, reasons in tables.items()
                }
                for what, tables in self.ingested.items()
            },
        }

    def listings(self) -> list[Listing]:
        """Return the tables of the report; of counts from 1 to 10 they say ``<11``.

        What such a count could be worked out from is a dash.
        """
        years = sorted({year for counts in self.years.values() for year in counts})
        shown = years if len(years) <= MOST_YEARS else []
        tables = [["table", "rows", *map(str, shown)]]
        for table, n in self.rows.items():
            by_year = self.years.get(table)
            cells = _parts(dict.fromkeys(shown, 0) | by_year) if by_year and shown else {}
            tables.append([table, _cell(n), *(cells.get(year, "") for year in shown)])
        span = f" ({years[0]} to {years[-1]}, by year in the machine-readable report)" if years else ""
        found = [Listing(f"Rows{'' if shown else span}", tables)]
        found += [
            Listing(table.capitalize() + "s", [[f"{table}s", "rows"], *map(list, _parts(counts).items())])
            for table, counts in self.kinds.items()
            if counts
        ]
        odd = [[_cell(f.rows), f"of {_cell(f.of)}", f.meaning] for f in self.odd]
        found.append(Listing("Looked for and found" if odd else "Nothing odd was found", odd, headed=False))
        for what, reasons_of in self.ingested.items():
            entries = [
                [_cell(n), table, reason]
                for table, reasons in reasons_of.items()
                for reason, n in reasons.items()
            ]
            if entries:
                found.append(Listing(f"{what.capitalize()} at ingest", entries, headed=False))
        return found

    def to_text(self) -> str:
        """Return the report as tables for people, small counts withheld as in `listings`."""
        lines = [f"History from {self.source_format}{self.known}"]
        for listing in self.listings():
            lines += ["", *(listing.to_lines() if listing.rows else [f"{listing.title}."])]
            if any("-" in row for row in listing.rows):
                lines.append("-: withheld, since a count below 11 could be worked out from it")
        return "\n".join(lines) + "\n"

    @property
    def known(self) -> str:
        """Return the instant as of which the history is known, in words."""
        return "" if self.as_of is None else f", as known at {self.as_of}"


def _cell(count: int) -> str:
    return f"<{FEWEST_SHOWN}" if 0 < count < FEWEST_SHOWN else f"{count:,}"


def _parts(counts: Mapping[Any, int]) -> dict[Any, str]:
    """Write counts whose total stands beside them: small ones as ``<11``, a dash for what would tell them."""
    hidden = _hidden(counts)
    return {name: "-" if name in hidden and n >= FEWEST_SHOWN else _cell(n) for name, n in counts.items()}


def _hidden(counts: Mapping[Any, int]) -> set[Any]:
    """Return which of counts that add up to a known total are withheld.

    Those of 1 to 10; and while they are one alone, or are together fewer than 11, the next smallest too.
    """
    hidden = {name for name, n in counts.items() if 0 < n < FEWEST_SHOWN}
    others = sorted((n, name) for name, n in counts.items() if n >= FEWEST_SHOWN)
    for _, name in others:
        if not hidden or (len(hidden) > 1 and sum(counts[one] for one in hidden) >= FEWEST_SHOWN):
            break
        hidden.add(name)
    return hidden


def check(history: History) -> QualityReport:
    """Look a history over, one shard at a time.

    Nothing is changed and nothing is judged: published data have oddities (DE-SynPUF has 1,807 stays that
    overlap the next one), and it is for the user to know them.

    Parameters
    ----------
    history : History
        Opened with ``as_of``, only what was known then is looked at.
    """
    totals: Counter[str] = Counter()
    looked_at: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    years: dict[str, Counter[int]] = {table: Counter() for table in WHEN}
    kinds: dict[str, Counter[str]] = {"encounter": Counter(), "event": Counter()}
    systems = history.vocabulary.select("code", "code_system", wrong=wrong_shape())
    for shard in track(history.shards(), "Checking", total=history.n_shards):
        for table in TABLES:
            rows[table] += getattr(shard, table).height
        for table, column in WHEN.items():
            years[table].update(_counts(getattr(shard, table)[column].dt.year()))
        coded = shard.event.select("code").join(systems, on="code", how="left", maintain_order="left")
        kinds["encounter"].update(_counts(shard.encounter["kind"].cast(pl.String)))
        words = pl.concat_str(pl.col("kind").cast(pl.String), coded["code_system"], separator=" ")
        kinds["event"].update(_counts(shard.event.select(words).to_series()))
        for name, (found, of) in look(shard, coded).items():
            totals[name] += found
            looked_at[name] += of
    return QualityReport(
        source_format=history.manifest.source_format,
        as_of=None if history.as_of is None else history.as_of.isoformat(),
        rows={table: rows[table] for table in TABLES},
        years={table: dict(sorted(counts.items())) for table, counts in years.items()},
        kinds={table: dict(sorted(counts.items())) for table, counts in kinds.items()},
        findings=tuple(
            Finding(name, table, totals[name], looked_at[name], meaning)
            for name, (table, meaning) in MEANINGS.items()
        )
        + _duplicates(history),
        ingested={"left out": history.manifest.dropped, "noted": history.manifest.noted},
    )


def _duplicates(history: History) -> tuple[Finding, ...]:
    """Return what was found of duplicate ids when the history was written, and settled there."""
    manifest = history.manifest
    same = sum(reasons.get(DUPLICATE, 0) for reasons in manifest.dropped.values())
    settled = {
        "person_rows_disagree": ("person", sum(manifest.noted.get("person", {}).values()), DISAGREE),
        "encounter_id_twice": ("encounter", manifest.dropped.get("encounter", {}).get(CONFLICT, 0), TWICE),
        "encounter_id_shared": ("encounter", manifest.noted.get("encounter", {}).get(SHARED, 0), SHARED),
        "row_twice": ("all tables", same, "rows that were the same as another one and left out"),
    }
    of = {**manifest.rows, "all tables": sum(manifest.rows.values())}
    return tuple(
        Finding(name, table, rows, of[table], meaning) for name, (table, rows, meaning) in settled.items()
    )


def _counts(values: pl.Series) -> dict[Any, int]:
    counted = values.rename("value").value_counts()
    return dict(zip(counted["value"].to_list(), counted["count"].to_list(), strict=True))
