"""Read ACO REACH: the model's results, and what an ACO has beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import number
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["Files", "find_files", "given_adjustment", "implied_adjustment", "read_acos"]


class Files:
    """The input files of a settlement, told apart by their columns."""

    def __init__(self) -> None:
        self.results: Table | None = None
        self.capitation: Table | None = None
        self.stop_loss: Table | None = None
        self.bands: Table | None = None


_KINDS = {
    "results": ("final_benchmark", "benchmark_before_discount"),
    "capitation": ("base_pcc", "enhanced_pcc", "tcc"),
    "stop_loss": ("predicted",),
    "bands": ("attachment",),
}


def find_files(paths: Sequence[Path]) -> Files:
    """Return the tables of the input files by what they hold.

    Raises
    ------
    SpecError
        Without results, with two files of a kind, or with stop-loss without its bands.
    DataError
        For a file of none of the kinds.
    """
    files = Files()
    for path in paths:
        table = _read(path)
        kind = next((kind for kind, names in _KINDS.items() if any(map(table.find, names))), None)
        if kind is None:
            raise DataError(
                "neither results (final_benchmark), capitation (base_pcc, enhanced_pcc, tcc), stop-loss "
                "(predicted) nor its bands (attachment)", file=path,
            )  # fmt: skip
        if getattr(files, kind) is not None:
            raise SpecError(f"aco-reach takes one file with {_KINDS[kind][0]}; {path.name} is a second one")
        setattr(files, kind, table)
    if files.results is None:
        raise SpecError("aco-reach needs the model's results, a file with final_benchmark")
    if (files.stop_loss is None) != (files.bands is None):
        raise SpecError(
            "stop-loss takes two files: beneficiaries (aco_id, expenditures, predicted) and bands "
            "(attachment, limit, payout_share); CMS's bands are in no public source that could be read"
        )
    return files


def read_acos(results: Table, rules: Rules, *, net: bool) -> tuple[pl.DataFrame, Table]:
    """Return the ACOs of the rules' year, and the rows of the file that they stand on.

    Parameters
    ----------
    net : bool
        Read expenditures net of stop-loss, where the file has them; else the total.
    """
    table = _of_year(results, rules.year)
    total = table.number(table.column("tot_cost_care", "tot_cost_care_net"), required=True)
    column = table.find("tot_cost_care_net") if net else None
    after = table.number(column, required=True) if column else total
    arrangement = _arrangement(table, rules)
    frame = pl.DataFrame(
        {
            "aco_id": table.identifiers(table.column("aco_id")),
            "performance_year": rules.year,
            "risk_arrangement": arrangement,
            "expenditures": after,
            "stop_loss_net": after - total if net and table.find("tot_cost_care") else total * 0,
            "quality_score": _quality(table),
            "discount": arrangement.replace_strict(rules["discount"], return_dtype=pl.Float64),
            "quality_withhold": pl.Series([float(rules["quality_withhold"])] * table.frame.height),
            "source_line": pl.Series(table.lines),
        }
    ).with_columns(source_file=pl.lit(str(table.path)))
    taken = 1 - pl.col("discount") - pl.col("quality_withhold") * (1 - pl.col("quality_score"))
    if final := table.find("final_benchmark"):
        benchmark = table.number(final, minimum=1, required=True).alias("benchmark")
        frame = frame.with_columns(benchmark).with_columns(
            (pl.col("benchmark") / taken).alias("benchmark_before_discount")
        )
    else:
        before = table.number(table.column("benchmark_before_discount"), minimum=1, required=True)
        frame = frame.with_columns(before.alias("benchmark_before_discount"))
        missing = frame["quality_score"].is_null()
        if missing.any():
            row = int(missing.arg_max() or 0)
            raise DataError("no quality score, which the benchmark needs", file=table.path,
                            column="qual_scr", line=table.lines[row])  # fmt: skip
        frame = frame.with_columns((pl.col("benchmark_before_discount") * taken).alias("benchmark"))
    return frame, table


def _quality(table: Table) -> pl.Series:
    column = table.find("qual_scr", "quality_score")
    if column is None:
        return pl.Series([None] * table.frame.height, dtype=pl.Float64)
    percent = table.frame[column].str.ends_with("%")
    score = table.number(column, minimum=0, maximum=100)
    plain = score.filter(~percent).max()
    # CMS has printed 100% (PY 2021) and 0.75 (from PY 2022); the model's explorers print 75.
    unit = 100.0 if isinstance(plain, float) and plain > 1 else 1.0
    return pl.select(pl.when(percent).then(score).otherwise(score / unit)).to_series()


def given_adjustment(path: Path) -> pl.DataFrame:
    """Read health equity adjustments: aco_id, health_equity_adjustment in dollars."""
    table = read_table(path, ("aco_id", "health_equity_adjustment"))
    return pl.DataFrame(
        {
            "aco_id": table.identifiers(table.column("aco_id")),
            "health_equity_adjustment": table.number(table.column("health_equity_adjustment"), required=True),
        }
    )


def _read(path: Path) -> Table:
    if path.suffix.lower() != ".json":
        return read_table(path, ("aco_id|attachment",))
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError("no such file", file=path) from error
    except ValueError as error:
        raise DataError(f"not JSON: {error}", file=path) from error
    if isinstance(rows, dict):  # Records among what describes them: {"records": [...], "years": [...]}.
        rows = next((value for value in rows.values() if _are_records(value)), None)
    if not _are_records(rows):
        raise DataError("not a list of records", file=path)
    names: list[str] = list(dict.fromkeys(name for row in rows for name in row))
    text = [["" if row.get(name) is None else str(row[name]).strip() for name in names] for row in rows]
    frame = pl.DataFrame(text, schema=dict.fromkeys(names, pl.String), orient="row")
    return Table(path, frame, tuple(range(1, len(rows) + 1)))


def _are_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _of_year(table: Table, year: int) -> Table:
    """Return the rows of the year; all of them where no column says it, as in CMS's file of one year."""
    column = table.find("perf_year", "performance_year")
    if column is None:
        return table
    years = table.number(column, required=True, integer=True)
    keep = years == year
    if not keep.any():
        found = ", ".join(str(value) for value in years.unique().sort())
        raise DataError(f"no row of performance year {year}; the file has {found}", file=table.path)
    lines = tuple(line for line, kept in zip(table.lines, keep, strict=True) if kept)
    return Table(table.path, table.frame.filter(keep), lines, table.preface)


def _arrangement(table: Table, rules: Rules) -> pl.Series:
    column = table.column("risk_arrangement")
    words = table.frame[column].str.to_titlecase()
    known = words.is_in(list(rules["discount"]))
    if not known.all():
        row = int((~known).arg_max() or 0)
        raise DataError(f"{words[row]!r} is neither Global nor Professional", file=table.path, column=column,
                        line=table.lines[row])  # fmt: skip
    return words


def implied_adjustment(table: Table, acos: pl.DataFrame, unit: int) -> pl.Series:
    """Return the equity adjustment that the published results imply: whole multiples of `unit` dollars.

    Of the gross savings, or where a row has none, of its savings rate, which is of the benchmark before the
    adjustment and published at six decimals of a percent; a row with neither has no adjustment.

    Raises
    ------
    DataError
        Where the figures imply what is no multiple, so that they contradict each other.
    """
    gross_column, rate_column = table.find("gross_savings"), table.find("sav_rate")
    blank = pl.Series([None] * acos.height, dtype=pl.Float64)
    gross = table.number(gross_column) if gross_column else blank
    rate = table.number(rate_column) if rate_column else blank
    rate = rate / _rate_unit(rate, 1 - acos["expenditures"] / acos["benchmark"])
    slack = gross.is_null().cast(pl.Float64) * acos["benchmark"] * 1e-8
    gross = pl.select(pl.coalesce(gross, rate * acos["benchmark"])).to_series()
    implied = (gross - (acos["benchmark"] - acos["expenditures"])).fill_null(0.0)
    whole = (implied / unit).round() * unit
    wrong = (implied - whole).abs() > slack + 0.1
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"gross savings are {number(implied[row], 2)} off benchmark less expenditures, which is no "
            f"multiple of ${unit}",
            file=table.path, column=gross_column or rate_column, line=table.lines[row],
        )  # fmt: skip
    return whole


def _rate_unit(printed: pl.Series, computed: pl.Series) -> float:
    """Return 100 where savings rates are printed in percent, 1 where as shares of the benchmark."""
    ratio = (printed / computed).abs().median()
    return 100.0 if isinstance(ratio, float) and ratio > 10 else 1.0
