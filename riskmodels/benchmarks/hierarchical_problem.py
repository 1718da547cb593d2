"""What a hierarchical logistic regression is fitted to: names, rows sorted by entity, their likelihood."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from riskmodels.benchmarks.hierarchical_design import DenseDesign, Design, SparseDesign
from riskmodels.benchmarks.hierarchical_kernels import gathered
from riskmodels.benchmarks.hierarchical_likelihood import Likelihood
from riskmodels.errors import SpecError

__all__ = ["named_matrix", "sorted_problem"]


def sorted_problem(
    matrix: Any,
    outcome: np.ndarray,
    entity: Any,
    offset: Any,
    columns: Sequence[str],
    quadrature_points: int = 1,
) -> tuple[Likelihood, pl.Series]:
    """Check the data, sort the rows by entity and return their likelihood and the entities.

    `matrix` has no intercept; the likelihood's design has it in front.

    Raises
    ------
    SpecError
        Lengths differ, values are missing or infinite, or the outcomes or entities are all the same.
    """
    from scipy import sparse

    rows = len(outcome)
    values = pl.Series(entity)
    known = np.zeros(rows) if offset is None else np.asarray(offset, dtype=float)
    for name, length in (("entity", len(values)), ("offset", len(known)), ("design", matrix.shape[0])):
        if length != rows:
            raise SpecError(f"{name} has {length:,} rows, outcome {rows:,}")
    if values.null_count():
        raise SpecError(f"entity is missing in {values.null_count():,} rows\nFix: leave those rows out")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise SpecError("outcome has values other than 0 and 1")
    if rows == 0 or outcome.min() == outcome.max():
        raise SpecError("all rows have the same outcome: there is nothing to fit")
    if not np.isfinite(known).all():
        raise SpecError("offset has values that are missing or infinite")
    scattered: Any = sparse.csr_array(matrix) if sparse.issparse(matrix) else None  # type: ignore[call-overload]
    cells = matrix if scattered is None else scattered.data
    if not np.isfinite(cells.sum()):
        finite = np.isfinite(np.asarray(matrix.sum(axis=0)).ravel())
        bad = [columns[int(i) + 1] for i in np.flatnonzero(~finite)]
        raise SpecError(f"design has missing or infinite values in {', '.join(bad[:5])}")
    if quadrature_points < 1:
        raise SpecError(f"quadrature_points is {quadrature_points}, must be 1 or more")
    entities = values.unique().sort()
    if len(entities) < 2:
        raise SpecError("a variance between entities needs two entities or more")
    number = entities.search_sorted(values).to_numpy().astype(np.int64)
    order = np.argsort(number, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(entities)))])
    made: Design
    if scattered is None:
        made = DenseDesign(gathered(matrix, order))
    else:
        one = sparse.csr_array(np.ones((rows, 1)))
        made = SparseDesign(sparse.hstack([one, scattered[order]], format="csr"))
    ridge = np.zeros(made.shape[1])
    return Likelihood(made, outcome[order], known[order], start, ridge, quadrature_points), entities


def named_matrix(design: Any, names: Sequence[str] | None) -> tuple[tuple[str, ...], Any]:
    """Return the names, the intercept's first, and the matrix without it."""
    from scipy import sparse

    if not sparse.issparse(design) and not isinstance(design, np.ndarray):
        import narwhals as nw

        frame = nw.from_native(design, eager_only=True).to_polars()
        names = frame.columns if names is None else names
        design = frame.cast(pl.Float64).to_numpy() if frame.width else np.empty((frame.height, 0))
    if design.ndim != 2:
        raise SpecError(f"design has {design.ndim} dimensions, must have 2: rows and columns")
    given = [f"x{i + 1}" for i in range(design.shape[1])] if names is None else list(names)
    if len(given) != design.shape[1]:
        raise SpecError(f"{len(given)} names for {design.shape[1]} columns")
    return ("(intercept)", *given), design
