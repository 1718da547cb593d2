"""Rows on their way into a history: checked, and laid aside by shard, a chunk at a time."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.errors import DataError, StoreError, did_you_mean
from riskmodels.history.schema import TABLES

__all__ = ["MOST_SHARDS", "NO_PERSON", "Part", "Staging", "Tally", "prepare"]

NO_PERSON = "the person is not in the person table"
MOST_SHARDS = 256  # where the number is not given; a power of two
BATCH = 16_384  # rows that are read back at once
CHUNKS: dict[str, Any] = {"table": pl.String, "path": pl.String, "offsets": pl.List(pl.Int64)}
TALLIED = {"table": pl.String, "reason": pl.String, "rows": pl.Int64}
BACKWARDS = {"coverage": ("start_date", "end_date"), "encounter": ("start", "end")}


@dataclass(frozen=True)
class Part:
    """Some rows of one table, as an adapter delivers them.

    Attributes
    ----------
    table : str
        A table of `riskmodels.history.schema.TABLES`.
    frame : Polars LazyFrame or DataFrame, pandas DataFrame or Arrow table
        The rows. Optional columns that are missing are null.
    label : str
        Where they come from, for progress and errors: the name of the file.
    """

    table: str
    frame: pl.LazyFrame | pl.DataFrame | Any
    label: str


class Tally:
    """Counts of rows by table and reason."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, table: str, reason: str, rows: int) -> None:
        """Count some rows; none leaves no trace."""
        if rows:
            self.counts[table, reason] += rows

    def to_frame(self) -> pl.DataFrame:
        """Return table, reason, rows."""
        rows = [(table, reason, count) for (table, reason), count in self.counts.items()]
        return pl.DataFrame(rows, schema=TALLIED, orient="row")

    def add_frame(self, counts: pl.DataFrame) -> None:
        """Count what another tally's `to_frame` gave."""
        for table, reason, rows in counts.iter_rows():
            self.add(table, reason, rows)

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return table -> reason -> rows, in sorted order."""
        result: dict[str, dict[str, int]] = {}
        for (table, reason), rows in sorted(self.counts.items()):
            result.setdefault(table, {})[reason] = rows
        return result


def prepare(part: Part, dropped: Tally) -> pl.DataFrame:
    """Return a part's rows with exactly the columns and types of its table.

    Rows that lack a required value, and spans that end before they start, are left out and counted.

    Raises
    ------
    StoreError
        If the part's table or columns are not those of a history.
    DataError
        If a value has another type than its column, or is not one of the column's words.
    """
    if part.table not in TABLES:
        raise StoreError(
            f"{part.label}: there is no table {part.table!r}. {did_you_mean(part.table, TABLES)}"
        )
    table = TABLES[part.table]
    frame = _polars(part.frame)
    for name in frame.columns:
        if name not in table:
            raise StoreError(
                f"{part.label}: table {part.table} has no column {name!r}. {did_you_mean(name, table)}"
            )
    for name, column in table.items():
        if column.required and name not in frame.columns:
            raise StoreError(f"{part.label}: table {part.table} needs the column {name!r}.")
    frame = frame.select(_typed(frame, part, name) for name in table)
    for name, column in table.items():
        if column.options:
            _check_words(frame[name], column.options, part)
    return _complete(frame, part.table, dropped)


def _polars(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    return nw.from_native(frame, eager_only=True).to_polars()


def _typed(frame: pl.DataFrame, part: Part, name: str) -> pl.Series:
    column = TABLES[part.table][name]
    if name not in frame.columns:
        return pl.Series(name, [], dtype=column.dtype).extend_constant(None, frame.height)
    values = frame[name]
    if values.dtype == pl.String and column.dtype not in (pl.String, pl.Boolean):
        raise DataError(
            f"the column is text and should be {column.dtype}",
            file=part.label,
            column=name,
            fix="convert it before writing the history",
        )
    try:
        values = values.cast(column.dtype)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the column is {values.dtype} and should be {column.dtype}", file=part.label, column=name
        ) from error
    if column.dtype == pl.String and not column.options:
        trimmed = values.str.strip_chars()
        values = trimmed.set(trimmed == "", None)
    return values.alias(name)


def _check_words(values: pl.Series, options: tuple[str, ...], part: Part) -> None:
    others = set(values.unique().drop_nulls()) - set(options)
    if others:
        word = min(others)
        raise DataError(
            f"{word!r} is not one of the words of this column",
            file=part.label,
            column=f"{part.table}.{values.name}",
            fix=did_you_mean(word, options),
        )


def _complete(frame: pl.DataFrame, table: str, dropped: Tally) -> pl.DataFrame:
    for name, column in TABLES[table].items():
        if column.required and frame[name].null_count():
            dropped.add(table, f"no {name}", frame[name].null_count())
            frame = frame.filter(pl.col(name).is_not_null())
    if table in BACKWARDS:
        start, end = BACKWARDS[table]
        kept = frame.filter(pl.col(end) >= pl.col(start))
        dropped.add(table, f"{end} is before {start}", frame.height - kept.height)
        frame = kept
    return frame


class Staging:
    """Rows laid aside in a folder until all parts are read.

    Each chunk is a file whose rows are ordered by bucket (person modulo the number of buckets), so that the
    rows of a shard, a set of buckets, are one stretch of it. What is in memory is one chunk on the way in
    and one shard on the way out.

    Parameters
    ----------
    folder : Path
        Made here, for files that are of no use afterwards.
    shards : int, optional
        The number of shards. None: any power of two up to 256 may be asked for once the rows are counted.
    """

    def __init__(self, folder: Path, shards: int | None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        # With the bits of the bucket reversed, the persons of a shard stand together for every power of two.
        self.rank = np.arange(shards) if shards else np.array([_reversed_bits(b) for b in range(MOST_SHARDS)])
        self.chunks: dict[str, list[tuple[Path, np.ndarray]]] = {name: [] for name in TABLES}
        self.rows: Counter[str] = Counter()

    def add(self, table: str, frame: pl.DataFrame) -> None:
        """Lay aside rows that have a column `person`."""
        if frame.is_empty():
            return
        buckets = len(self.rank)
        rank = pl.Series("rank", self.rank[frame["person"].to_numpy() % buckets], dtype=pl.UInt16)
        frame = frame.with_columns(rank).sort("rank")
        offsets = np.searchsorted(frame["rank"].to_numpy(), np.arange(buckets + 1))
        path = self.folder / f"{table}-{len(self.chunks[table]):06d}.arrow"
        frame.drop("rank").write_ipc(path, compression="uncompressed", record_batch_size=BATCH)
        self.chunks[table].append((path, offsets))
        self.rows[table] += frame.height

    def to_frame(self) -> pl.DataFrame:
        """Return what was laid aside: table, path, offsets."""
        chunks = [
            (table, str(path), offsets.tolist())
            for table, made in self.chunks.items()
            for path, offsets in made
        ]
        return pl.DataFrame(chunks, schema=CHUNKS, orient="row")

    def gather(self, chunks: pl.DataFrame) -> None:
        """Take over what others have laid aside with the same number of shards; see `to_frame`."""
        for table, path, offsets in chunks.iter_rows():
            self.chunks[table].append((Path(path), np.array(offsets)))
            self.rows[table] += int(offsets[-1])

    def shard(self, table: str, number: int, n_shards: int) -> pl.DataFrame | None:
        """Return the rows of one shard in no particular order; None if the table has no row at all."""
        width = len(self.rank) // n_shards
        first = int(self.rank[number]) // width * width
        pieces = [
            pl.scan_ipc(path).slice(int(offsets[first]), int(offsets[first + width] - offsets[first]))
            for path, offsets in self.chunks[table]
        ]
        return pl.concat(pieces).collect() if pieces else None


def _reversed_bits(bucket: int) -> int:
    width = MOST_SHARDS.bit_length() - 1
    return int(f"{bucket:0{width}b}"[::-1], 2)
