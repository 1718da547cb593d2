"""Read what features need of a shard, and say which shard and row cannot be right.

The kernel trusts the order of the rows and the numbers of the codes: what is out of order would be missed
without a word, and a code that is not in the vocabulary would lead anywhere. So both are looked at first.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numba import njit

from riskmodels.errors import DataError
from riskmodels.features.plan import Plan
from riskmodels.history import History, Shard
from riskmodels.history.damage import ORDER, find_damage
from riskmodels.history.manifest import shard_folder
from riskmodels.history.opening import known_at
from riskmodels.history.schema import STORED

__all__ = ["read_shard"]


def read_shard(history: History, number: int, plan: Plan) -> Shard:
    """Read the tables and columns of a shard that a plan needs; the others are empty.

    Raises
    ------
    DataError
        A file is missing or cannot be read, a column is missing or of another type, or a row is out of
        order, of another shard, or has a code that the vocabulary lacks.
    """
    frames = {}
    for name, schema in STORED.items():
        columns = plan.reads.get(name)
        if columns is None:
            frames[name] = pl.DataFrame(schema=schema)
            continue
        path = history.path / shard_folder(number) / f"{name}.parquet"
        try:
            scan = pl.scan_parquet(path, hive_partitioning=False)
            found = scan.collect_schema()
            if any(found.get(column) != schema[column] for column in columns):
                raise _damaged(path, name, number, history)
            if history.as_of is None:
                seen = scan
            elif "encounter" in columns:
                seen = history.seen(name, number, scan)
            else:
                seen = known_at(name, scan, history.as_of)
            frames[name] = seen.select(sorted(columns)).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damaged(path, name, number, history, error) from error
        if not _is_sound(frames[name], name, number, history):
            raise _damaged(path, name, number, history)
    return Shard(number, **frames)


def _is_sound(frame: pl.DataFrame, name: str, number: int, history: History) -> bool:
    """Tell whether rows are of the shard and in order, and codes in the vocabulary."""
    if name not in ORDER or not {"person", ORDER[name]} <= set(frame.columns) or frame.is_empty():
        return True
    code = np.empty(0, np.int32)
    wanted = [frame["person"], frame[ORDER[name]]]
    if name == "event" and "code" in frame.columns:
        wanted.append(frame["code"])
    if any(column.null_count() for column in wanted):
        return False
    if len(wanted) > 2:
        code = wanted[2].to_numpy()
    person, time = wanted[0].to_numpy(), wanted[1].to_physical().to_numpy()
    return bool(_in_order(person, time, code, history.n_shards, number, history.vocabulary.height))


@njit(nogil=True, cache=True)
def _in_order(person, time, code, n_shards, number, n_codes):  # type: ignore[no-untyped-def]
    for r in range(person.size):
        if code.size and not 0 <= code[r] < n_codes:
            return False
        if r and person[r] == person[r - 1]:
            if time[r] < time[r - 1]:
                return False
        elif person[r] % n_shards != number or (r and person[r] < person[r - 1]):
            return False
    return True


def _damaged(
    path: Path, name: str, number: int, history: History, error: Exception | None = None
) -> DataError:
    """Say what is wrong with a file of a shard."""
    found = find_damage(path, name, number, history.n_shards, history.vocabulary.height)
    problem, column = found or (f"cannot be read: {error}", None)
    fix = "ingest the source again with --replace, or take the history from a copy"
    return DataError(problem, file=path, column=column, fix=fix)
