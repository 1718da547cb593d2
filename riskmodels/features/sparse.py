"""The sparse matrix of a feature frame: columns that hold something for few of the cases.

A row of `scipy.sparse.csr_matrix` for each case, a column for each window and code group. A place that
holds nothing is 0: no row was counted, nothing was added up, the patient never had it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from scipy import sparse

from riskmodels.features.arrays import Cases, Program, Rows
from riskmodels.features.feature_set import FeatureColumn
from riskmodels.features.filling import Lists
from riskmodels.features.windows import look_back

__all__ = ["COLUMNS", "VALUES", "as_lists", "fill_lists", "from_lists", "model_matrix", "stacked"]

ROOM = 1 << 20  # places that a run of the kernel may fill before they are put by
COLUMNS, VALUES = "sparse_columns", "sparse_values"
LISTS = {COLUMNS: pl.List(pl.Int32), VALUES: pl.List(pl.Float64)}


def fill_lists(rows: Rows, cases: Cases, program: Program, width: int) -> sparse.csr_matrix:
    """Run the window kernel for columns of a sparse matrix.

    Returns
    -------
    csr_matrix, shape (cases, width)
        Memory is in proportion to the places that hold something.
    """
    n = cases.low.size
    room = max(ROOM, program.place.size)
    lists = Lists(np.empty(room, np.int32), np.empty(room), np.empty(n, np.int64), np.zeros(2, np.int64))
    counts, columns, values = np.empty(n, np.int64), [], []
    done = 0
    while True:
        look_back(rows, cases, program, lists)
        used, reached = int(lists.at[0]), int(lists.at[1])
        counts[done:reached] = np.diff(lists.end[done:reached], prepend=0)
        columns.append(lists.column[:used].copy())
        values.append(lists.value[:used].copy())
        if reached >= n:
            break
        done = reached
        lists.at[0] = 0
    starts = np.concatenate([[0], np.cumsum(counts)])
    matrix = sparse.csr_matrix((np.concatenate(values), np.concatenate(columns), starts), shape=(n, width))
    matrix.sort_indices()
    return matrix


def as_lists(matrix: sparse.csr_matrix) -> pl.DataFrame:
    """Return a sparse matrix as two columns of lists: which columns of a row hold something, and what."""
    offsets = pa.array(matrix.indptr, pa.int64())
    contents = {COLUMNS: matrix.indices.astype(np.int32), VALUES: matrix.data.astype(np.float64)}
    lists = {
        name: pl.Series(pa.LargeListArray.from_arrays(offsets, pa.array(c))) for name, c in contents.items()
    }
    return pl.DataFrame(lists, schema=LISTS)


def from_lists(frame: pl.DataFrame, width: int) -> sparse.csr_matrix:
    """Return the sparse matrix, of so many columns, that `as_lists` gave."""
    lengths = frame[COLUMNS].list.len().cast(pl.Int64).to_numpy()
    flat = [frame[name].explode(empty_as_null=False, keep_nulls=False) for name in (VALUES, COLUMNS)]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_matrix((flat[0].to_numpy(), flat[1].to_numpy(), starts), shape=(frame.height, width))


def stacked(matrices: Sequence[sparse.csr_matrix], width: int) -> sparse.csr_matrix:
    """Return the rows of one matrix after those of another."""
    return (
        sparse.csr_matrix((0, width)) if not matrices else sparse.csr_matrix(sparse.vstack(matrices, "csr"))
    )


def model_matrix(matrix: sparse.csr_matrix, columns: Iterable[FeatureColumn]) -> sparse.csr_matrix:
    """Return a sparse matrix as trees take it: days since the last row become ``-1 / days``.

    Trees see the order of values alone. As days, the empty place (never) would stand next to just now; so
    it stands where it belongs, after the longest time.
    """
    days = np.array([column.aggregation == "days_since" for column in columns], dtype=bool)
    if not days.any():
        return matrix
    turned = days[matrix.indices]
    values = matrix.data.astype(np.float64)
    values[turned] = -1.0 / values[turned]
    return sparse.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)
