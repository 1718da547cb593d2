"""The matrix of the fixed effects, dense or sparse: the four products that a fit needs of it."""

from typing import Any, Protocol

import numpy as np

from riskmodels.benchmarks.hierarchical_kernels import gram, segment_sums

__all__ = ["DenseDesign", "Design", "SparseDesign"]


class Design(Protocol):
    """Rows by columns, sorted by entity."""

    matrix: Any
    shape: tuple[int, int]

    def __init__(self, matrix: Any) -> None:
        """Hold the matrix."""

    def times(self, coefficients: np.ndarray) -> np.ndarray:
        """Return x'b of each row."""
        ...

    def transposed_times(self, values: np.ndarray) -> np.ndarray:
        """Return Σ x v over rows."""
        ...

    def gram(self, values: np.ndarray) -> np.ndarray:
        """Return Σ x x' v over rows."""
        ...

    def segments(self, values: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return Σ x v over the rows of each entity, for each row of `values`.

        Shape (values, entities, columns).
        """
        ...


class DenseDesign:
    """A matrix held row by row."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = np.ascontiguousarray(matrix, dtype=float)
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))

    def times(self, coefficients: np.ndarray) -> np.ndarray:
        """Return x'b of each row."""
        return self.matrix @ coefficients

    def transposed_times(self, values: np.ndarray) -> np.ndarray:
        """Return Σ x v over rows."""
        return values @ self.matrix

    def gram(self, values: np.ndarray) -> np.ndarray:
        """Return Σ x x' v over rows."""
        return np.asarray(gram(self.matrix, values))

    def segments(self, values: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return Σ x v over the rows of each entity."""
        return np.asarray(segment_sums(self.matrix, np.ascontiguousarray(values), start))


class SparseDesign:
    """A matrix of which most cells are 0, as flags of conditions are."""

    def __init__(self, matrix: Any) -> None:
        from scipy import sparse

        self.matrix = sparse.csr_array(matrix, dtype=float)
        self.transposed = self.matrix.T.tocsr()
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))

    def times(self, coefficients: np.ndarray) -> np.ndarray:
        """Return x'b of each row."""
        return np.asarray(self.matrix @ coefficients)

    def transposed_times(self, values: np.ndarray) -> np.ndarray:
        """Return Σ x v over rows."""
        return np.asarray(self.transposed @ values)

    def gram(self, values: np.ndarray) -> np.ndarray:
        """Return Σ x x' v over rows."""
        return np.asarray((self.transposed @ self._weighted(values)).toarray())

    def segments(self, values: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return Σ x v over the rows of each entity."""
        from scipy import sparse

        rows = np.arange(self.shape[0], dtype=start.dtype)
        member = sparse.csr_array((np.ones(len(rows)), rows, start), shape=(len(start) - 1, len(rows)))
        return np.stack([(member @ self._weighted(value)).toarray() for value in values])

    def _weighted(self, values: np.ndarray) -> Any:
        matrix = self.matrix.copy()
        matrix.data *= np.repeat(values, np.diff(matrix.indptr))
        return matrix
