"""The columns of a shard's look-back features, from what the kernel fills to a table of Polars."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit

from riskmodels.features.feature_set import Part

__all__ = ["WHOLE_NUMBERS", "Table", "as_frame", "is_whole", "new_table", "pour"]

WHOLE_NUMBERS = ("count", "any", "distinct")


class Table(NamedTuple):
    """The columns of cases: first those of whole numbers, then the others."""

    whole: np.ndarray  # int32 (columns of whole numbers, cases)
    number: np.ndarray  # float64 (other columns, cases)


def is_whole(part: Part) -> bool:
    """Tell whether a column holds whole numbers."""
    return part.spec.aggregation in WHOLE_NUMBERS


def new_table(parts: Sequence[Part], n_cases: int) -> Table:
    """Return a table of these columns, whole numbers first, that holds anything."""
    n_whole = sum(map(is_whole, parts))
    n_number = len(parts) - n_whole
    # One piece of memory, which the system then gives in large pages: to be handed small ones one by one
    # takes longer than to fill them.
    memory = np.empty(n_number * n_cases + (n_whole * n_cases + 1) // 2)
    number, rest = memory[: n_number * n_cases], memory[n_number * n_cases :]
    whole = rest.view(np.int32)[: n_whole * n_cases]
    return Table(whole.reshape(n_whole, n_cases), number.reshape(n_number, n_cases))


@njit(nogil=True, cache=True)
def pour(block, absent, table, start):  # type: ignore[no-untyped-def]
    """Move a block (columns, cases) of what the kernel filled into a table, and leave it as if unfilled.

    Parameters
    ----------
    block : array of float64, shape (columns, cases of a block)
    absent : array of float64, shape (columns,)
        What a column holds where no row is.
    table : Table
    start : int
        Where the cases of the block begin in the table.
    """
    n_whole, n_cases = table.whole.shape
    n = min(block.shape[1], n_cases - start)
    for column in range(n_whole):
        for i in range(n):
            table.whole[column, start + i] = np.int32(block[column, i])
        block[column, :n] = absent[column]
    for column in range(n_whole, block.shape[0]):
        table.number[column - n_whole, start : start + n] = block[column, :n]
        block[column, :n] = absent[column]


def as_frame(table: Table, parts: Sequence[Part], *, packed: bool) -> pl.DataFrame:
    """Return a table as Polars has it, in the same memory: whole numbers Int32 where packed, else Float64."""
    n_cases = table.whole.shape[1]
    known = np.packbits(~np.isnan(table.number), axis=1, bitorder="little")
    arrays = [
        pa.Array.from_buffers(pa.int32(), n_cases, [None, pa.py_buffer(column)]) for column in table.whole
    ]
    for part, column, bits in zip(parts[len(arrays) :], table.number, known, strict=True):
        where = pa.py_buffer(bits) if math.isnan(part.spec.absent) else None
        arrays.append(pa.Array.from_buffers(pa.float64(), n_cases, [where, pa.py_buffer(column)]))
    frame = pl.DataFrame(pa.table(arrays, names=[part.name for part in parts]))
    return frame if packed else frame.cast({pl.Int32: pl.Float64})
