"""Rows on their way into a history: checked, and laid aside by shard, a batch at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.errors import DataError, StoreError, did_you_mean
from riskmodels.history.schema import TABLES

__all__ = ["MOST_SHARDS", "NO_PERSON", "Part", "Staging", "Tally", "prepare", "with_columns_of"]

NO_PERSON = "the person is not in the person table"
MOST_SHARDS = 256  # where the number is not given; a power of two
BATCH = 1 << 19  # rows that are in hand at once
READ_BACK = 16_384  # rows that are read back at once
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
    left_out : mapping of str to int
        What the adapter left out on the way here, by reason, for the manifest.
    """

    table: str
    frame: pl.LazyFrame | pl.DataFrame | Any
    label: str
    left_out: Mapping[str, int] = field(default_factory=dict)


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


def prepare(part: Part, dropped: Tally) -> Iterator[pl.DataFrame]:
    """Yield a part's rows, a batch at a time, in the columns of its table that it has and their types.

    Words of a closed set are an Enum. Rows that lack a required value, and spans that end before they start,
    are left out and counted.

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
    for reason, rows in part.left_out.items():
        dropped.add(part.table, reason, rows)
    for frame in _batches(part.frame):
        for name in frame.columns:
            if name not in table:
                raise StoreError(
                    f"{part.label}: table {part.table} has no column {name!r}. {did_you_mean(name, table)}"
                )
        for name, column in table.items():
            if column.required and name not in frame.columns:
                raise StoreError(f"{part.label}: table {part.table} needs the column {name!r}.")
        typed = frame.select(_typed(frame[name], part) for name in table if name in frame.columns)
        yield _complete(typed, part.table, dropped)


def _batches(frame: Any) -> Iterator[pl.DataFrame]:
    """Yield rows some at a time; no rows are one batch without rows."""
    if isinstance(frame, pl.LazyFrame):
        batches = iter(frame.collect_batches(chunk_size=BATCH, maintain_order=True, engine="streaming"))
        first = next(batches, None)
        yield pl.DataFrame(schema=frame.collect_schema()) if first is None else first
        yield from batches
        return
    rows = nw.from_native(frame, eager_only=True).to_polars()
    for start in range(0, max(rows.height, 1), BATCH):
        yield rows.slice(start, BATCH)


def _typed(values: pl.Series, part: Part) -> pl.Series:
    name = values.name
    column = TABLES[part.table][name]
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
    if column.options:
        return _words(values, column.options, part)
    if column.dtype == pl.String:
        trimmed = values.str.strip_chars()
        values = trimmed.set(trimmed == "", None)
    return values


def _words(values: pl.Series, options: tuple[str, ...], part: Part) -> pl.Series:
    words = values.cast(pl.Enum(options), strict=False)
    if words.null_count() > values.null_count():
        word = min(set(values.unique().drop_nulls()) - set(options))
        raise DataError(
            f"{word!r} is not one of the words of this column",
            file=part.label,
            column=f"{part.table}.{values.name}",
            fix=did_you_mean(word, options),
        )
    return words


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
    """Rows laid aside until all parts are read: in memory while they are few, else in a folder.

    Each chunk has its rows ordered by bucket (person modulo the number of buckets), so that the rows of a
    shard, a set of buckets, are one stretch of it. What is in memory is one chunk of each table on the way in
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
        rank = np.arange(shards) if shards else np.array([_reversed_bits(b) for b in range(MOST_SHARDS)])
        self.rank = rank.astype(np.uint16)
        self.waiting: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
        self.chunks: dict[str, list[tuple[pl.DataFrame | Path, np.ndarray]]] = {name: [] for name in TABLES}
        self.codes: dict[Path, pl.Series] = {}  # of events that another process has numbered
        self.rows: Counter[str] = Counter()
        self.encounter_hashes: list[np.ndarray] = []

    def add(self, table: str, frame: pl.DataFrame) -> None:
        """Lay aside rows that have a column `person`; columns that are not there are null."""
        if frame.is_empty():
            return
        self.rows[table] += frame.height
        if table == "encounter":
            self.encounter_hashes.append(frame["encounter_id"].hash().to_numpy())
        self.waiting[table].append(frame)
        if sum(waiting.height for waiting in self.waiting[table]) >= BATCH:
            self._store(table)

    def store(self) -> None:
        """Lay what is still in memory aside in the folder, for other processes to read."""
        for table, waiting in self.waiting.items():
            if waiting:
                self._store(table)

    def to_frame(self) -> pl.DataFrame:
        """Return what is in the folder: table, path, offsets."""
        chunks = [
            (table, str(path), offsets.tolist())
            for table, made in self.chunks.items()
            for path, offsets in made
        ]
        return pl.DataFrame(chunks, schema=CHUNKS, orient="row")

    def gather(self, chunks: pl.DataFrame, codes: pl.Series) -> None:
        """Take over what another process has stored for the same number of shards.

        Parameters
        ----------
        chunks : DataFrame
            Its `to_frame`.
        codes : Series
            The number here of each of its codes.
        """
        for table, name, offsets in chunks.iter_rows():
            path = Path(name)
            self.chunks[table].append((path, np.array(offsets)))
            self.rows[table] += int(offsets[-1])
            if table == "event":
                self.codes[path] = codes
            if table == "encounter":
                ids = pl.scan_ipc(path).select("encounter_id").collect().to_series()
                self.encounter_hashes.append(ids.hash().to_numpy())

    def shard(
        self, table: str, number: int, n_shards: int, columns: Sequence[str] | None = None
    ) -> pl.DataFrame | None:
        """Return the rows of one shard in no particular order; None if the table has no row at all.

        Without `columns` these are the table's, null where nothing was laid aside, and `person`.
        """
        if self.waiting[table]:
            self.chunks[table].append(self._chunk(table))
        width = len(self.rank) // n_shards
        first = int(self.rank[number]) // width * width
        pieces = []
        for chunk, offsets in self.chunks[table]:
            frame = pl.scan_ipc(chunk) if isinstance(chunk, Path) else chunk.lazy()
            part = frame.slice(int(offsets[first]), int(offsets[first + width] - offsets[first]))
            if isinstance(chunk, Path) and chunk in self.codes:
                part = part.with_columns(code=pl.lit(self.codes[chunk]).gather(pl.col("code")))
            pieces.append(part if columns is None else part.select(columns))
        if not pieces:
            return None
        rows = pl.concat(pieces, how="diagonal").collect().rechunk()
        return with_columns_of(table, rows) if columns is None else rows

    def _store(self, table: str) -> None:
        chunk, offsets = self._chunk(table)
        path = self.folder / f"{table}-{len(self.chunks[table]):06d}.arrow"
        chunk.write_ipc(path, compression="uncompressed", record_batch_size=READ_BACK)
        self.chunks[table].append((path, offsets))

    def _chunk(self, table: str) -> tuple[pl.DataFrame, np.ndarray]:
        """Return the waiting rows in the order of their buckets, and where each bucket starts."""
        rows = pl.concat(self.waiting[table], how="diagonal")
        self.waiting[table] = []
        rows = rows.select(column for column in rows.iter_columns() if column.null_count() < rows.height)
        rank = self.rank[rows["person"].to_numpy() % len(self.rank)]
        order = np.argsort(rank, kind="stable")  # a radix sort for 16 bits
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rank, minlength=len(self.rank)))])
        return rows[pl.Series(order, dtype=pl.UInt32)], offsets


def with_columns_of(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with all columns of their table, null where they had none, persons and codes as numbers."""
    given = set(rows.columns)
    numbers = {"person"} & given
    replaced = ({"person_id"} if numbers and table != "person" else set()) | (
        {"code_system"} if numbers and table == "event" else set()
    )
    return rows.select(
        *(
            name if name in given else pl.lit(None, column.dtype).alias(name)
            for name, column in TABLES[table].items()
            if name not in replaced
        ),
        *numbers,
    )


def _reversed_bits(bucket: int) -> int:
    width = MOST_SHARDS.bit_length() - 1
    return int(f"{bucket:0{width}b}"[::-1], 2)
