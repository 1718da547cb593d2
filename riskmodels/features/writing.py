"""Features of a whole history to one Parquet file, a few shards in memory at a time."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from riskmodels.features.build import build_shard_features, empty_frame, read_shard, split_cases
from riskmodels.features.feature_set import FeatureColumn, FeatureSet
from riskmodels.features.plan import make_plan
from riskmodels.files import atomic_file
from riskmodels.history import History
from riskmodels.progress import track

__all__ = ["write_features"]

ROWS_PER_GROUP = 32_768
WHOLE_NUMBERS = ("count", "any", "distinct")


def write_features(
    history: History,
    cases: pl.DataFrame,
    feature_set: FeatureSet,
    path: str | Path,
    *,
    known_only: bool = False,
    threads: int = 2,
) -> list[FeatureColumn]:
    """Build the features of index cases and write them to a Parquet file, whole or not at all.

    Memory holds `threads` shards and their features, however many shards there are.

    Parameters
    ----------
    history : History
    cases : DataFrame
        As `build_features` takes them.
    feature_set : FeatureSet
    path : path
        The file. Rows are in the order of shard, person, index_time; counts and flags are Int32 in it.
    known_only : bool
        Leave out rows that were recorded at or after the index time.
    threads : int
        Shards under work at the same time.

    Returns
    -------
    list of FeatureColumn
        What each column is.
    """
    plan = make_plan(feature_set, history.vocabulary, known_only=known_only)
    groups = split_cases(cases, history.n_shards)
    whole = [column.name for column in feature_set.columns if column.aggregation in WHOLE_NUMBERS]

    def one(number: int) -> pl.DataFrame:
        frame = build_shard_features(read_shard(history, number, plan), groups[number], plan).frame
        return frame.with_columns(pl.col(whole).cast(pl.Int32))

    def frames() -> Iterator[pl.DataFrame]:
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[pl.DataFrame]] = deque()
            for number in track(sorted(groups), "Building features"):
                waiting.append(pool.submit(one, number))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    schema = empty_frame(plan, cases).with_columns(pl.col(whole).cast(pl.Int32)).to_arrow().schema
    # Small whole numbers pack into a few bits: quicker to write than a dictionary of them, and no larger.
    packed = dict.fromkeys(whole, "DELTA_BINARY_PACKED")
    # To compress what is packed takes time and saves nothing.
    compression = {name: "none" if name in packed else "snappy" for name in schema.names}
    with (
        atomic_file(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            write_statistics=False,
            use_dictionary=False,
            column_encoding=packed,
            compression=compression,
        ) as writer,
    ):
        waiting: list[pl.DataFrame] = []
        for frame in frames():
            waiting.append(frame)
            if sum(part.height for part in waiting) >= ROWS_PER_GROUP:
                writer.write_table(pl.concat(waiting).to_arrow())
                waiting.clear()
        if waiting:
            writer.write_table(pl.concat(waiting).to_arrow())
    return feature_set.columns
