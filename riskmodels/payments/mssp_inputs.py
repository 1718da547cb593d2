"""Read CMS's Shared Savings Program results, as their columns were from PY 2013 to PY 2024."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.mssp_components import read_components, rebuild
from riskmodels.payments.program import Inputs
from riskmodels.payments.reading import Table, normalise, read_table
from riskmodels.payments.rules import Rules

__all__ = ["read", "with_rebuilt"]

_TRACKS = {
    "track_1": "1", "track1": "1", "track_2": "2", "track2": "2", "track_3": "3", "track_1_plus": "1+",
    **{f"basic_{level}": level.upper() for level in "abcde"}, "enhanced": "EN",
}  # fmt: skip
_WORDS = {"enhanced": "EN", "en": "EN", **{letter.lower(): letter for letter in "ABCDE"}}
_RATES = {"minimum_savings_rate": 0.2, "quality_score": 1.0}
"""The most that a rate can be; above it they are in percent: CMS has printed 0.0218, 2.18%, 2.18 and 218."""


def read(paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
    """Read a public use file, and the ACOs' revenue where a file of it is given.

    Raises
    ------
    DataError
        For a file of another layout, an ACO twice, an ACO in no track or two, or benchmark, expenditures and
        their difference that contradict each other.
    """
    if len(paths) != 1:
        raise SpecError("mssp takes one file, the results of one performance year")
    table = read_table(paths[0], ("aco_(id|num)", "abtotbnchmk", "abtotexp"))
    ids = table.identifiers(table.column("ACO_ID", "ACO_Num"))
    _check_year(table, rules)
    frame = pl.DataFrame(
        {
            "aco_id": ids,
            "track": _track(table, rules),
            "assigned_beneficiaries": table.number(
                table.column("N_AB"), minimum=1, required=True, integer=True
            ),
            "benchmark": table.number(table.column("ABtotBnchmk"), minimum=0, required=True),
            "expenditures": table.number(table.column("ABtotExp"), minimum=0, required=True),
            "published_difference": _optional(table, "BnchmkMinExp"),
            "published_rate": _rate(table, "minimum_savings_rate", "MinSavPerc"),
            "quality_score": _rate(table, "quality_score", "QualScore"),
            "met_standard": _flag(table, "Met_QPS"),
            "met_alternative": _flag(table, "Met_AltQPS"),
            "disaster_adjustment": _optional(table, "DisAdj").abs().fill_null(0.0),
            "revenue_limited": _optional(table, "RevLossLimit") == 1,
            "revenue_category": _text(table, "Rev_Exp_Cat"),
            "start_year": _start(table),
            "source_line": pl.Series(table.lines),
        }
    ).with_columns(
        source_file=pl.lit(str(paths[0])), revenue=pl.lit(None, dtype=pl.Float64), loss_rise=pl.lit(0.0)
    )
    frame = _check_difference(frame, table)
    if options.get("revenue"):
        frame = frame.drop("revenue").join(
            _revenue(Path(options["revenue"])), on="aco_id", how="left", maintain_order="left"
        )
    notes, frames = [], {}
    if options.get("benchmark"):
        frames["components"] = read_components(Path(options["benchmark"]), table, frame, rules)
        published = frame.select("aco_id", pl.col("benchmark").alias("published"))
        frame = with_rebuilt(frame, frames["components"])
        both = frame.join(published, on="aco_id").join(frames["components"], on="aco_id", how="semi")
        apart = both.select(((pl.col("benchmark") / pl.col("published")) - 1).abs().max()).item()
        count = frames["components"]["aco_id"].n_unique()
        notes.append(f"benchmark of {count} ACOs rebuilt, at most {apart:.2%} from the published one")
        notes += _undemographic(frames["components"])
    if table.find("Impact_Mid_Year_Termination") or table.find("Prorate_Shared_Losses"):
        column = table.column("Impact_Mid_Year_Termination", "Prorate_Shared_Losses")
        ended = frame.filter(table.number(column).fill_null(0) != 0)["aco_id"].to_list()
        if ended:
            notes.append(f"left during the year, losses prorated by CMS and not here: {', '.join(ended)}")
    return Inputs({"acos": frame, **frames}, {}, tuple(notes))


def with_rebuilt(acos: pl.DataFrame, components: pl.DataFrame) -> pl.DataFrame:
    """Return the ACOs with the benchmarks that their components make in place of the published ones."""
    made = rebuild(components).select("aco_id", "loss_rise", pl.col("benchmark").alias("made"))
    joined = acos.drop("loss_rise").join(made, on="aco_id", how="left", maintain_order="left")
    rebuilt = pl.col("made").is_not_null()
    return joined.with_columns(
        pl.coalesce("made", "benchmark").alias("benchmark"),
        pl.when(rebuilt).then(0.0).otherwise("rounding").alias("rounding"),
        pl.col("loss_rise").fill_null(0.0),
    ).drop("made")


def _undemographic(components: pl.DataFrame) -> list[str]:
    """Name the ACOs whose cap on risk scores had to do without the growth of demographic ones."""
    absent = pl.any_horizontal(pl.col("demographic_by3", "demographic_py").is_null())
    acos = components.filter(pl.col("from_2024") & absent)["aco_id"].unique(maintain_order=True)
    if not acos.len():
        return []
    return [f"no demographic_by3 and demographic_py, their growth taken as none: {', '.join(acos)}"]


def _check_year(table: Table, rules: Rules) -> None:
    column = table.find("year")
    # Later files have no such column: their names say PY2022.
    named = re.search(r"PY[ _-]?(20\d\d)", table.path.stem, re.IGNORECASE)
    if column is None and named and int(named[1]) != rules.year:
        raise DataError(
            f"the file's name says performance year {named[1]}, and the rules asked for are of {rules.year}",
            file=table.path, fix=f"give --year {named[1]}, or rename the file",
        )  # fmt: skip
    years = table.number(column, integer=True) if column else pl.Series([rules.year])
    wrong = (years != rules.year).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"performance year {years[row]}, and the rules asked for are of {rules.year}",
            file=table.path, column=column, line=table.lines[row], fix=f"give --year {years[row]}",
        )  # fmt: skip


def _track(table: Table, rules: Rules) -> pl.Series:
    """Return each ACO's track: 1, 2, 3, 1+, A to E or EN (ENHANCED)."""
    known = rules["maximum_share"]
    column = table.find("Current_Track")
    if column is not None:
        words = table.text(column).str.to_lowercase().str.replace("basic ", "")
        tracks = words.replace_strict(_WORDS, default=None, return_dtype=pl.String)
    else:
        named = {
            name: _TRACKS[match[1]]
            for name in table.frame.columns
            if (match := re.fullmatch(r"(?:current_)?(\w+)", normalise(name))) and match[1] in _TRACKS
            and not normalise(name).startswith("initial")
        }  # fmt: skip
        if not named:
            raise DataError("no column says the ACO's track", file=table.path, fix="expected Current_Track")
        marks = pl.DataFrame({track: table.number(name) == 1 for name, track in named.items()})
        several = marks.select(pl.sum_horizontal(pl.all().fill_null(False).cast(pl.Int64)))[:, 0] > 1
        if several.any():
            row = int(several.arg_max() or 0)
            raise DataError("two tracks", file=table.path, line=table.lines[row], column=", ".join(named))
        tracks = marks.select(
            pl.coalesce(pl.when(pl.col(track)).then(pl.lit(track)) for track in marks.columns)
        ).to_series()
        if marks.columns == ["2"]:  # The file of PY 2013 marks Track 2 alone; all others were in Track 1.
            tracks = tracks.fill_null("1")
    bad = ~tracks.is_in(list(known)) | tracks.is_null()
    bad = bad.fill_null(True)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"track {tracks[row]!r} is none of performance year {rules.year}: {', '.join(known)}",
            file=table.path, line=table.lines[row], column=column or "Current_...",
        )  # fmt: skip
    return tracks


def _rate(table: Table, name: str, column: str) -> pl.Series:
    """Return a rate as a share of one; `P4R` (the year's standard is complete reporting) counts as all of it.

    42 CFR 425.502(a)(1): an ACO's first year is paid for reporting. PY 2014 prints those scores as P4R.
    """
    found = table.find(column)
    if found is None:
        return pl.Series([None] * table.frame.height, dtype=pl.Float64)
    reported = table.frame[found].str.to_lowercase() == "p4r"
    cells = pl.when(pl.lit(reported)).then(pl.lit("")).otherwise(pl.col(found)).alias(found)
    table = replace(table, frame=table.frame.with_columns(cells))
    rates = table.number(found, minimum=0)
    # The middle of the file tells the unit: one cell that is wrong by far does not change it for all.
    middle, most = rates.filter(rates > 0).median(), _RATES[name]
    typical = middle if isinstance(middle, float) else 0.0
    unit = next(unit for unit in (1.0, 100.0, 10_000.0) if unit == 10_000 or typical <= most * unit)
    shares = table.number(found, minimum=0, maximum=most * unit) / unit
    return shares.set(reported.fill_null(False), 1.0)


def _optional(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    return table.number(column) if column else pl.Series([None] * table.frame.height, dtype=pl.Float64)


def _flag(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    if column is None:
        return _optional(table, name) == 1
    return table.number(column, minimum=0, maximum=1, integer=True) == 1


def _text(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    return table.text(column) if column else pl.Series([None] * table.frame.height, dtype=pl.String)


def _start(table: Table) -> pl.Series:
    """Return the year in which the current agreement began."""
    column = table.find("Current_Start_Date", "Start_Date")
    if column is None:
        return pl.Series([None] * table.frame.height, dtype=pl.Int64)
    cells = table.frame[column]
    slashes = cells.str.extract(r"^\d+/\d+/(\d+)", 1)
    year = slashes.fill_null(cells.str.extract(r"^(20\d\d)(-|$)", 1)).cast(pl.Int64, strict=False)
    return pl.select(pl.when(year < 100).then(year + 2000).otherwise(year)).to_series()


def _check_difference(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return what CMS's difference of the unrounded figures has over that of the rounded ones, within $2."""
    own = pl.col("benchmark") - pl.col("expenditures")
    frame = frame.with_columns((pl.col("published_difference") - own).fill_null(0.0).alias("rounding"))
    wrong = frame.filter(pl.col("rounding").abs() > 2)
    if wrong.height:
        row = wrong.row(0, named=True)
        raise DataError(
            f"{row['aco_id']}: benchmark {row['benchmark']:,.0f} less expenditures "
            f"{row['expenditures']:,.0f} is not {row['published_difference']:,.0f}",
            file=table.path, column="BnchmkMinExp", line=row["source_line"],
        )  # fmt: skip
    return frame.drop("published_difference")


def _revenue(path: Path) -> pl.DataFrame:
    table = read_table(path, ("aco_id", "revenue"))
    return pl.DataFrame(
        {
            "aco_id": table.identifiers(table.column("aco_id")),
            "revenue": table.number(table.column("revenue"), minimum=0, required=True),
        }
    )
