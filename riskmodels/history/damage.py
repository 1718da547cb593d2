"""Say what is wrong with a file of a shard: the column, and the first row that cannot be right."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from riskmodels.history.schema import STORED

if TYPE_CHECKING:
    from riskmodels.history.manifest import Manifest

__all__ = ["ORDER", "find_damage", "say_damage"]

# Within a person rows stand in this order.
ORDER = {"coverage": "start_date", "encounter": "start", "event": "time"}


def say_damage(path: Path, manifest: "Manifest") -> str:
    """Return what is wrong with a file of a history in brackets, or nothing where that cannot be told."""
    folder, name = path.parent.name, path.stem
    if name not in STORED or not folder.startswith("shard="):
        return ""
    number = int(folder.removeprefix("shard="))
    found = find_damage(path, name, number, manifest.n_shards, manifest.vocabulary_size)
    if found is None:
        return ""
    problem, column = found
    return f" ({problem})" if column is None else f" (column {column}: {problem})"


def find_damage(
    path: Path, name: str, number: int, n_shards: int, n_codes: int
) -> tuple[str, str | None] | None:
    """Look for what a file of a shard cannot hold.

    Parameters
    ----------
    path : Path
        The file.
    name : {"person", "coverage", "encounter", "event"}
        The table it is of.
    number, n_shards : int
        Which shard of how many.
    n_codes : int
        Codes of the vocabulary.

    Returns
    -------
    tuple of str and (str or None), or None
        What is wrong, with the row counted from 1, and the column; None where nothing was found.
    """
    if not path.is_file():
        return "is missing", None
    wanted = ["person", *([ORDER[name]] if name in ORDER else []), *(["code"] if name == "event" else [])]
    try:
        found = pl.scan_parquet(path, hive_partitioning=False).collect_schema()
        for column, dtype in STORED[name].items():
            if column not in found:
                return "the shard lacks this column", column
            if found[column] != dtype:
                return f"the shard holds {found[column]} where a history holds {dtype}", column
        frame = pl.read_parquet(path, columns=wanted, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        return f"cannot be read: {next(iter(str(error).splitlines()), 'no reason given')}", None
    return _first_wrong(frame, wanted, number, n_shards, n_codes)


def _first_wrong(
    frame: pl.DataFrame, wanted: list[str], number: int, n_shards: int, n_codes: int
) -> tuple[str, str | None] | None:
    if frame.is_empty():
        return None
    person = frame["person"].fill_null(number).to_numpy()
    wrong = [(frame[column].is_null().to_numpy(), f"has no {column}", column) for column in wanted]
    wrong.append((person % n_shards != number, "is of a person of another shard", "person"))
    if "code" in wanted:
        code = frame["code"].fill_null(0).to_numpy()
        problem = f"has a code that the vocabulary of {n_codes:,} lacks"
        wrong.append(((code < 0) | (code >= n_codes), problem, "code"))
    earlier = person[1:] < person[:-1]
    if len(wanted) > 1:
        at = frame[wanted[1]].to_physical().fill_null(strategy="forward").fill_null(0).to_numpy()
        earlier = earlier | ((person[1:] == person[:-1]) & (at[1:] < at[:-1]))
    order = " and ".join(wanted[:2])
    out_of_order = np.concatenate([[False], earlier])
    wrong.append((out_of_order, f"is out of order: rows are sorted by {order}", wanted[:2][-1]))
    firsts = [(int(np.argmax(mask)), problem, column) for mask, problem, column in wrong if mask.any()]
    if not firsts:
        return None
    row, problem, column = min(firsts, key=lambda first: first[0])
    return f"row {row + 1:,} of {frame.height:,} {problem}", column
