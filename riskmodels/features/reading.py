"""Read what features need of a shard, and say which shard and row cannot be right.

The kernel trusts the order of the rows and the numbers of the codes: what is out of order would be missed
without a word, and a code that is not in the vocabulary would lead anywhere. So both are looked at first.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numba import njit

from riskmodels.errors import DataError, StoreError
from riskmodels.features.plan import Plan
from riskmodels.history import History, Shard
from riskmodels.history.manifest import shard_folder
from riskmodels.history.opening import known_at
from riskmodels.history.schema import STORED

__all__ = ["read_shard"]

ORDER = {"encounter": "start", "event": "time"}
MEND = "ingest the source again with --replace, or take the history from a copy"


def read_shard(history: History, number: int, plan: Plan) -> Shard:
    """Read the tables and columns of a shard that a plan needs; the others are empty.

    Raises
    ------
    StoreError
        A file is missing or cannot be read.
    DataError
        A column is missing or of another type, or a row is out of order, of another shard, or has a code
        that the vocabulary lacks.
    """
    frames = {}
    for name, schema in STORED.items():
        columns = plan.reads.get(name)
        if columns is None:
            frames[name] = pl.DataFrame(schema=schema)
            continue
        path = history.path / shard_folder(number) / f"{name}.parquet"
        scan = _scan(path, name, columns)
        seen = scan if history.as_of is None else known_at(name, scan, history.as_of)
        frames[name] = _collect(seen.select(sorted(columns)), path)
        if _first_wrong(frames[name], name, number, history) >= 0:
            raise _explained(path, name, number, history)
    return Shard(number, **frames)


def _scan(path: Path, name: str, columns: set[str]) -> pl.LazyFrame:
    scan = pl.scan_parquet(path, hive_partitioning=False)
    try:
        found = scan.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error
    for column in sorted(columns):
        if column not in found:
            raise DataError("the shard lacks this column", file=path, column=column, fix=MEND)
        if found[column] != STORED[name][column]:
            problem = f"the shard holds {found[column]} where a history holds {STORED[name][column]}"
            raise DataError(problem, file=path, column=column, fix=MEND)
    return scan


def _collect(frame: pl.LazyFrame, path: Path) -> pl.DataFrame:
    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StoreError:
    if not path.is_file():
        return StoreError(f"{path} is missing\nFix: {MEND}")
    said = next(iter(str(error).splitlines()), "no reason given")
    return StoreError(f"{path} cannot be read: {said}\nFix: {MEND}")


def _first_wrong(frame: pl.DataFrame, name: str, number: int, history: History) -> int:
    """Return the place of the first row that cannot be right, -1 where there is none."""
    if name not in ORDER or not {"person", ORDER[name]} <= set(frame.columns) or frame.is_empty():
        return -1
    person, time = frame["person"], frame[ORDER[name]]
    nulls = person.is_null() | time.is_null()
    if name == "event" and "code" in frame.columns:
        code = frame["code"].fill_null(-1).to_numpy()
        nulls = nulls | frame["code"].is_null()
    else:
        code = np.empty(0, np.int32)
    if nulls.any():
        return int(nulls.arg_max() or 0)
    instants = time.to_physical().to_numpy()
    sizes = history.n_shards, number, history.vocabulary.height
    return int(_first_out_of_order(person.to_numpy(), instants, code, *sizes))


@njit(nogil=True, cache=True)
def _first_out_of_order(person, time, code, n_shards, number, n_codes):  # type: ignore[no-untyped-def]
    for r in range(person.size):
        if person[r] % n_shards != number:
            return r
        if code.size and not 0 <= code[r] < n_codes:
            return r
        if r and (person[r] < person[r - 1] or (person[r] == person[r - 1] and time[r] < time[r - 1])):
            return r
    return -1


def _explained(path: Path, name: str, number: int, history: History) -> DataError:
    """Say what is wrong with the first wrong row, by its place in the file."""
    wanted = ["person", ORDER[name], *(["code"] if name == "event" else [])]
    frame = _collect(pl.scan_parquet(path, hive_partitioning=False).select(wanted), path)
    row = _first_wrong(frame, name, number, history)
    known = frame.row(row, named=True)
    missing = [column for column in wanted if known[column] is None]
    where = f"row {row + 1:,} of {frame.height:,}"
    if missing:
        problem, column = f"{where} has no {missing[0]}", missing[0]
    elif known["person"] % history.n_shards != number:
        problem, column = f"{where} is of a person of shard {known['person'] % history.n_shards}", "person"
    elif name == "event" and not 0 <= known["code"] < history.vocabulary.height:
        size = history.vocabulary.height
        problem, column = f"{where} has code {known['code']}; the vocabulary has {size:,}", "code"
    else:
        problem = f"{where} is out of order: rows are sorted by person and {ORDER[name]}"
        column = ORDER[name]
    return DataError(problem, file=path, column=column, fix=MEND)
