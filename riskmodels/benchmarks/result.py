"""The result of a benchmark: a frame, its bootstrap draws, and where they come from; written and read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.files import atomic_file, write_json

__all__ = ["Benchmark", "draws_path", "metadata_path", "read_benchmark"]

SUFFIXES = (".parquet", ".csv")
TABLES = ("social", "social_strata", "social_effects", "periods", "changes", "enrolment", "trend", "prices")


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Observed against expected outcomes by entity.

    Parameters
    ----------
    frame : pl.DataFrame
        A row an entity: the entity (named as `by`), n, persons, observed, expected, ratio, ratio_lower,
        ratio_upper, rate, rate_lower, rate_upper (indirectly standardised), funnel limits, suppressed,
        note, method, model_version. Small cells are null.
    draws : pl.DataFrame
        Entity, draw and ratio: the ratios of all entities in bootstrap samples of patients. Suppressed
        entities are left out.
    metadata : mapping
        Task, features, discrimination of the expected risks, dates, totals, versions.
    tables : mapping of str to pl.DataFrame
        What was asked for besides: ``social``, ``social_strata``, ``periods``, ``changes``.
    """

    frame: pl.DataFrame
    draws: pl.DataFrame
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def entity(self) -> str:
        """Return the name of the column that names the entities."""
        return self.frame.columns[0]

    def write(self, path: str | Path) -> None:
        """Write the frame as Parquet or CSV, by suffix; draws and metadata beside it.

        ``B.parquet`` comes with ``B.draws.parquet`` and ``B.metadata.json``, and a file for each of `tables`,
        such as ``B.social.parquet``.
        """
        path = Path(path)
        if path.suffix not in SUFFIXES:
            raise DataError(
                f"cannot write a benchmark to a {path.suffix or 'nameless'} file",
                file=path,
                fix="name it FILE.parquet or FILE.csv",
            )
        with atomic_file(draws_path(path)) as temporary:
            self.draws.write_parquet(temporary)
        write_json(metadata_path(path), dict(self.metadata))
        for name in TABLES:
            if name in self.tables:
                _write(self.tables[name], _table_path(path, name))
            else:  # of a benchmark that stood here before
                _table_path(path, name).unlink(missing_ok=True)
        _write(self.frame, path)

    def to_text(self) -> str:
        """Return a summary of a few lines."""
        shown = self.frame.filter(~pl.col("suppressed"))
        above = shown.filter(pl.col("ratio_lower") > 1).height
        below = shown.filter(pl.col("ratio_upper") < 1).height
        known = self.metadata
        size = f"{known.get('n', 0):,} stays of {known.get('persons', 0):,} patients"
        entities = "1 entity" if self.frame.height == 1 else f"{self.frame.height:,} entities"
        small = self.frame.height - shown.height
        return (
            f"{known.get('task', 'benchmark')} by {self.entity}: {entities}, {size}, "
            f"{_share(known.get('rate'))} with the outcome\n"
            + "".join(f"  {line}\n" for line in self.basis())
            + f"  {above:,} above what was expected, {below:,} below (95% interval without 1); "
            f"{small:,} suppressed as small"
        )

    def basis(self) -> list[str]:
        """Return how the expected outcomes came about and, of rates, how far entities differ: a line each."""
        known = self.metadata
        seen = " on the stays it was fitted on" if known.get("in_sample") else ""
        model = f"{known.get('model', 'given')}, {len(known.get('features', ())):,} adjust features"
        lines = [f"expected: {model}, AUROC {_three(known.get('auroc'))}{seen}"]
        if fitted := known.get("hierarchical"):
            lines.append(
                f"risk-standardised: standard deviation between entities {fitted['variance'] ** 0.5:.3f} "
                f"log-odds (median odds ratio {fitted['median_odds_ratio']:.2f}), median reliability "
                f"{known.get('median_reliability', 0.0):.2f}"
            )
        return lines


def read_benchmark(path: str | Path) -> Benchmark:
    """Read what `Benchmark.write` wrote; a CSV of one's own with the same columns will do too.

    Raises
    ------
    DataError
        The file is not there or lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("there is no such benchmark", file=path, fix="make one with: riskmodels benchmark")
    if path.suffix not in SUFFIXES:
        raise DataError("is neither Parquet nor CSV", file=path, fix="name a FILE.parquet or a FILE.csv")
    frame = _read(path)
    for name in ("n", "observed", "expected", "ratio"):
        if name not in frame.columns:
            raise DataError("the column of a benchmark is missing", file=path, column=name)
    if "suppressed" not in frame.columns:
        frame = frame.with_columns(pl.col("ratio").is_null().alias("suppressed"))
    entity = frame.columns[0]
    empty = pl.DataFrame(schema={entity: pl.String, "draw": pl.Int32, "ratio": pl.Float64})
    draws, known = draws_path(path), metadata_path(path)
    return Benchmark(
        frame,
        pl.read_parquet(draws) if draws.is_file() else empty,
        json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {},
        {name: _read(_table_path(path, name)) for name in TABLES if _table_path(path, name).is_file()},
    )


def _table_path(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}.{name}{path.suffix}")


def _read(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    # The first column names hospitals: a CCN has leading zeros. A level or a period is text too.
    names = pl.read_csv(path, n_rows=0).columns
    text = {names[0]: pl.String} | {
        name: pl.String for name in ("level", "period", "period_from", "period_to") if name in names
    }
    return pl.read_csv(path, schema_overrides=text, infer_schema_length=None)


def _write(frame: pl.DataFrame, path: Path) -> None:
    with atomic_file(path) as temporary:
        if path.suffix == ".csv":
            frame.write_csv(temporary)
        else:
            frame.write_parquet(temporary)


def draws_path(path: Path) -> Path:
    """Return the file of the draws beside a benchmark's file."""
    return path.with_name(f"{path.stem}.draws.parquet")


def metadata_path(path: Path) -> Path:
    """Return the file of the metadata beside a benchmark's file."""
    return path.with_name(f"{path.stem}.metadata.json")


def _share(value: Any) -> str:
    return "few" if value is None else f"{value:.1%}"


def _three(value: Any) -> str:
    return "unknown" if value is None else f"{value:.3f}"
