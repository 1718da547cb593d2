"""What is odd about a history: counts, impossible dates, overlaps, codes of the wrong shape."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from riskmodels.history.checks import MEANINGS, look, wrong_shape
from riskmodels.history.opening import History
from riskmodels.history.schema import TABLES
from riskmodels.history.sorting import CONFLICT, DUPLICATE, SHARED
from riskmodels.progress import track

__all__ = ["Finding", "QualityReport", "aligned", "check"]

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

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain dicts and lists, with counts as they are."""
        return {
            "source_format": self.source_format,
            "as_of": self.as_of,
            "rows": self.rows,
            "years": {
                table: {str(year): n for year, n in counts.items()} for table, counts in self.years.items()
            },
            "kinds": self.kinds,
            "findings": [vars(finding) for finding in self.findings],
            "ingested": self.ingested,
        }

    def to_text(self) -> str:
        """Return the report as a table for people; counts from 1 to 10 are shown as ``<11``."""
        known = "" if self.as_of is None else f", as known at {self.as_of}"
        lines = [f"History from {self.source_format}{known}", ""]
        years = sorted({year for counts in self.years.values() for year in counts})
        shown = years if len(years) <= MOST_YEARS else []
        lines += aligned(
            [["table", "rows", *map(str, shown)]]
            + [
                [table, _cell(n), *(_cell(self.years.get(table, {}).get(year, 0)) for year in shown)]
                for table, n in self.rows.items()
            ]
        )
        if years and not shown:
            lines.append(f"(by year: {years[0]} to {years[-1]}, see the machine-readable report)")
        for table, counts in self.kinds.items():
            lines += [
                "",
                *aligned([[f"{table}s", "rows"]] + [[kind, _cell(n)] for kind, n in counts.items()]),
            ]
        lines += ["", "Looked for and found:" if self.odd else "Nothing odd was found."]
        lines += aligned([[_cell(f.rows), f"of {_cell(f.of)}", f.meaning] for f in self.odd])
        for what, tables in self.ingested.items():
            entries = [
                [_cell(n), table, reason]
                for table, reasons in tables.items()
                for reason, n in reasons.items()
            ]
            if entries:
                lines += ["", f"{what.capitalize()} at ingest:", *aligned(entries)]
        return "\n".join(lines) + "\n"


def _cell(count: int) -> str:
    return f"<{FEWEST_SHOWN}" if 0 < count < FEWEST_SHOWN else f"{count:,}"


def aligned(rows: list[list[str]]) -> list[str]:
    """Return rows as lines, numbers set right and words left, two blanks between columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    numbers = [all(row[i][:1] in "0123456789<-" for row in rows[1:] or rows) for i in range(len(widths))]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in rows
    ]


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
