"""Features of a whole history to one Parquet file, a few shards in memory at a time, and back.

Each shard's rows are put by in a folder beside the file, once the work has gone on for longer than it takes
to do it again. A run that was killed is started again by the same call, goes on with the shards that are
missing, and ends with the same bytes.
"""

import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from riskmodels import __version__
from riskmodels.engines import Engine, Tables
from riskmodels.engines.job import LOCK, JobFolder
from riskmodels.features.build import FeatureFrame, build_shard_features, empty_features, split_cases
from riskmodels.features.feature_set import FeatureColumn, FeatureSet
from riskmodels.features.plan import Plan, make_plan
from riskmodels.features.reading import read_shard
from riskmodels.features.sparse import COLUMNS, VALUES, as_lists
from riskmodels.features.stored import description
from riskmodels.features.table import WHOLE_NUMBERS
from riskmodels.files import PARTIAL, atomic_file
from riskmodels.history import History
from riskmodels.progress import track

__all__ = ["write_features"]

logger = logging.getLogger(__name__)

ROWS_PER_GROUP = 16_384
MOST_THREADS = 8
SECONDS_TO_LOSE = 2.0  # of work that is sooner done again than put by


def write_features(
    history: History,
    cases: pl.DataFrame,
    feature_set: FeatureSet,
    path: str | Path,
    *,
    known_only: bool = False,
    keep: Sequence[str] = (),
    threads: int | None = None,
    engine: Engine | None = None,
) -> list[FeatureColumn]:
    """Build the features of index cases and write them to a Parquet file, whole or not at all.

    Memory holds `threads` shards, and the features of a few more, however many shards there are. What is
    done after the first two seconds is kept in the folder ``PATH.parts`` until the file is there: a run that
    was killed goes on where it was, unless the history, the cases or the features are others by now.

    Parameters
    ----------
    history : History
    cases : DataFrame
        As `build_features` takes them.
    feature_set : FeatureSet
    path : path
        The file. Rows are in the order of shard, person, index_time; counts and flags are Int32 in it.
        Sparse columns are two columns of lists, ``sparse_columns`` (which) and ``sparse_values``. What each
        column is stands in the file's metadata: see `read_features`.
    known_only : bool
        Leave out rows that were recorded at or after the index time.
    keep : sequence of str
        Columns of `cases` to write too, between index_id and the features.
    threads : int, optional
        Shards under work at the same time. Default: one more than the cores that this process may use, for
        a thread that reads waits at times; at most 8.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here. Others write into the folder of
        parts too, so it must be theirs as well.

    Returns
    -------
    list of FeatureColumn
        What each column is, those of the table first.

    Raises
    ------
    StoreError
        Another process is writing this file, or a shard cannot be read.
    DataError
        A shard holds what a history cannot hold.
    """
    path = Path(path)
    threads = threads or min(_cores() + 1, MOST_THREADS)
    groups = split_cases(cases, history.n_shards)
    job = {
        "history": history.fingerprint,
        "as_of": str(history.as_of),
        "cases": _digest(cases),
        "features": hashlib.sha256(json.dumps(feature_set.to_dict()).encode()).hexdigest(),
        "known_only": known_only,
        "keep": list(keep),
        "riskmodels_version": __version__,
    }
    folder = _Parts(path.with_name(f"{path.name}.parts"), job, history.n_shards)
    work = _ShardRows(folder, history, feature_set, known_only, tuple(keep))
    with folder.open():
        # Inside the folder, so that what a killed run leaves behind is found and taken away.
        whole = folder.path / path.name
        with atomic_file(whole) as temporary:
            _assemble(temporary, work, _rows(work, groups, threads, engine), cases)
        whole.replace(path)
        shutil.rmtree(folder.path)
    return feature_set.every_column


@dataclass(frozen=True)
class _Parts(JobFolder):
    """The rows of each shard that is done, as Arrow files."""

    work: ClassVar[str] = "run"
    suffix: ClassVar[str] = ".arrow"

    def claim(self) -> None:
        """Start over where another job was at work: what it left can be made again."""
        if self.begun().get("fingerprint") != self.fingerprint:
            for left_over in self.path.iterdir():
                if left_over.name != LOCK:
                    left_over.unlink()
            self.begin()

    def write(self, number: int, frame: pl.DataFrame) -> None:
        """Write a shard's rows; whole or not at all, and without waiting for the disk."""
        final = self.shard_path(number)
        temporary = final.with_name(f".{final.name}{PARTIAL}{os.getpid()}")
        try:
            frame.write_ipc(temporary)
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)

    def read(self, number: int) -> pl.DataFrame | None:
        """Read a shard's rows; None where they are not there, or not whole after the machine went down."""
        try:
            return pl.read_ipc(self.shard_path(number))
        except (pl.exceptions.PolarsError, OSError):
            return None


@dataclass(frozen=True)
class _ShardRows:
    """Makes the rows of a shard, as they stand in the file, and puts them by."""

    folder: _Parts
    history: History
    feature_set: FeatureSet
    known_only: bool
    keep: tuple[str, ...]

    @cached_property
    def plan(self) -> Plan:
        return make_plan(self.feature_set, self.history.vocabulary, known_only=self.known_only, packed=True)

    @property
    def whole(self) -> list[str]:
        """The names of the columns of whole numbers."""
        return [c.name for c in self.feature_set.columns if c.aggregation in WHOLE_NUMBERS]

    def __call__(self, number: int, cases: pl.DataFrame | None) -> Tables:
        assert cases is not None
        frame = self.rows(number, cases)
        return {"rows": pl.DataFrame({"rows": [frame.height]})}

    def rows(self, number: int, cases: pl.DataFrame, since: float = -math.inf) -> pl.DataFrame:
        """Return the rows of a shard, from the folder or else from its history; `since` when work goes on."""
        cases = cases.sort("person", "index_time", "index_id")
        there = self.folder.read(number)
        if there is not None and there.height == cases.height:
            return there
        built = build_shard_features(read_shard(self.history, number, self.plan), cases, self.plan)
        frame = self.as_written(built, cases)
        if time.monotonic() - since >= SECONDS_TO_LOSE:
            self.folder.write(number, frame)
        return frame

    def as_written(self, built: FeatureFrame, cases: pl.DataFrame) -> pl.DataFrame:
        """Return features with what is kept of their cases, sparse columns as lists."""
        frame = built.frame
        if self.keep:
            kept = [frame[["index_id"]], cases.select(self.keep), frame[frame.columns[1:]]]
            frame = pl.concat([part for part in kept if part.width], how="horizontal")
        if built.sparse is not None:
            frame = pl.concat([frame, as_lists(built.sparse)], how="horizontal")
        return frame

    def __reduce__(self) -> tuple[Any, ...]:  # the plan is made where it is used
        folder = replace(self.folder, path=self.folder.path.absolute())
        return type(self), (folder, self.history, self.feature_set, self.known_only, self.keep)


def _rows(
    work: _ShardRows, groups: dict[int, pl.DataFrame], threads: int, engine: Engine | None
) -> Iterator[pl.DataFrame]:
    """Yield the rows of each shard, in the order of the shards."""
    done, started = work.folder.done(), time.monotonic()
    if done:
        logger.info("%s: %s of %s shards are there already", work.folder.path, len(done), len(groups))
    if engine is not None and engine.name != "local":
        missing = {number: cases for number, cases in groups.items() if number not in done}
        for _ in engine.run(work, missing, "Building features"):
            pass
    work.plan  # noqa: B018 - made once, before the threads
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[pl.DataFrame]] = deque()
        try:
            for number in track(sorted(groups), "Building features"):
                waiting.append(pool.submit(work.rows, number, groups[number], started))
                if len(waiting) > threads + 2:  # so many that none waits for what is written
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _assemble(path: Path, work: _ShardRows, frames: Iterator[pl.DataFrame], cases: pl.DataFrame) -> None:
    """Write the shards' rows to one Parquet file, with what each column is in its metadata."""
    built = empty_features(work.plan, cases)
    fields = work.as_written(built, cases.clear()).to_arrow().schema
    # Counts and sums are never missing: the file need not say where they are.
    never = {part.name for part in work.plan.parts if not math.isnan(part.spec.absent)}
    schema = pa.schema([field.with_nullable(field.name not in never) for field in fields])
    # Small whole numbers pack into a few bits: quicker to write than a dictionary of them, and no larger.
    packed = dict.fromkeys(work.whole, "DELTA_BINARY_PACKED")
    compression = {name: "none" if name in packed else "snappy" for name in schema.names}
    # To compress what is packed takes time and saves nothing.
    if built.sparse is not None:
        packed[f"{COLUMNS}.list.element"] = "DELTA_BINARY_PACKED"
        compression |= {f"{COLUMNS}.list.element": "none", f"{VALUES}.list.element": "zstd"}
    with pq.ParquetWriter(
        path,
        schema.with_metadata(description(work.feature_set, work.known_only)),
        write_statistics=False,
        use_dictionary=False,
        column_encoding=packed,
        compression=compression,
        write_batch_size=ROWS_PER_GROUP,
    ) as writer:
        for group in _groups(frames):
            writer.write_table(pa.Table.from_arrays(group.to_arrow().columns, schema=writer.schema))


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the rows of so many shards together as make a group of the file."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(part.height for part in waiting) >= ROWS_PER_GROUP:
            yield pl.concat(waiting, rechunk=False)
            waiting = []
    if waiting:
        yield pl.concat(waiting, rechunk=False)


def _digest(cases: pl.DataFrame) -> str:
    """Return a hash of the cases; that of another version of Polars is another, and the work starts over."""
    rows = hashlib.sha256(cases.hash_rows().to_numpy().tobytes())
    rows.update(str(cases.schema).encode())
    return rows.hexdigest()
