"""Hierarchical logistic regression: one random intercept an entity, fitted by maximum likelihood."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from riskmodels.benchmarks.hierarchical_design import DenseDesign, Design, SparseDesign
from riskmodels.benchmarks.hierarchical_kernels import gathered
from riskmodels.benchmarks.hierarchical_likelihood import Likelihood
from riskmodels.benchmarks.hierarchical_newton import MOST_LOG_VARIANCE, beginning, maximise
from riskmodels.errors import SpecError

__all__ = ["HierarchicalFit", "fit_hierarchical", "fit_problem", "sorted_problem"]

logger = logging.getLogger(__name__)

ALIASED = 1e-9  # share of a column's weighted square that the columns before it leave unexplained
SLOW = 12  # Newton's steps: identified coefficients need fewer


@dataclass(frozen=True, eq=False)
class HierarchicalFit:
    """A fitted hierarchical logistic regression.

    Parameters
    ----------
    names : tuple of str
        The fixed effects; the first is ``(intercept)``.
    coefficients : ndarray, shape (p,)
        Log-odds. 0 for an aliased column.
    covariance : ndarray, shape (p, p)
        Inverse of the observed information, that of the variance included; nan for aliased columns.
    variance : float
        Between-entity variance of the log-odds; 0 at the boundary.
    variance_error : float
        Its standard error, by the delta method from log variance; nan at the boundary.
    entities : pl.Series, shape (entities,)
        Sorted.
    effects, effect_variance : ndarray, shape (entities,)
        Conditional modes of the effects (deviations from the average, log-odds) and their conditional
        variances, the coefficients and the variance taken as known.
    log_likelihood : float
        Of the approximation used.
    quadrature_points : int
        1 for Laplace.
    steps : int
        Newton's steps.
    gain : float
        Twice the log-likelihood that the last step was to gain: a measure of how far the fit had converged.
    notes : tuple of str
        What a user should know: variance at the boundary, aliased columns, coefficients without information.
    """

    names: tuple[str, ...]
    coefficients: np.ndarray
    covariance: np.ndarray
    variance: float
    variance_error: float
    entities: pl.Series
    effects: np.ndarray
    effect_variance: np.ndarray
    log_likelihood: float
    quadrature_points: int
    converged: bool
    steps: int
    gain: float
    notes: tuple[str, ...] = ()

    @property
    def standard_errors(self) -> np.ndarray:
        """Return the standard errors of the coefficients, shape (p,); nan where there is no information."""
        variance = np.diag(self.covariance)
        return np.sqrt(np.where(variance > 0, variance, np.nan))

    @property
    def kept(self) -> np.ndarray:
        """Return which columns are not aliased, shape (p,)."""
        return ~np.isnan(np.diag(self.covariance))

    @property
    def reliability(self) -> np.ndarray:
        """Return signal over signal and noise of each entity's effect, shape (entities,).

        1 - conditional variance / variance: the share of what is seen of an entity that is its own and not
        chance (Adams, The Reliability of Provider Profiling, RAND TR-653, 2009).
        """
        if self.variance == 0:
            return np.zeros(len(self.effects))
        return np.clip(1 - self.effect_variance / self.variance, 0, 1)

    @property
    def median_odds_ratio(self) -> float:
        """Return the median odds ratio between two entities drawn at random (Larsen & Merlo 2005).

        exp(sqrt(2 variance) Φ⁻¹(0.75)); American Journal of Epidemiology 2005;161:81-88.
        """
        return math.exp(math.sqrt(2 * self.variance) * 0.6744897501960817)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data of the fit, without the entities."""
        errors = [None if math.isnan(error) else float(error) for error in self.standard_errors]
        return {
            "coefficients": dict(zip(self.names, map(float, self.coefficients), strict=True)),
            "standard_errors": dict(zip(self.names, errors, strict=True)),
            "variance": self.variance,
            "variance_error": None if math.isnan(self.variance_error) else self.variance_error,
            "median_odds_ratio": self.median_odds_ratio,
            "log_likelihood": self.log_likelihood,
            "quadrature_points": self.quadrature_points,
            "converged": self.converged,
            "steps": self.steps,
            "gain": self.gain,
            "notes": list(self.notes),
        }


def fit_hierarchical(
    design: Any,
    outcome: Any,
    entity: Any,
    *,
    offset: Any = None,
    names: Sequence[str] | None = None,
    quadrature_points: int = 1,
    ridge: float = 0.0,
) -> HierarchicalFit:
    """Fit logit P(y = 1) = offset + b0 + x'b + a, a ~ Normal(0, variance) by entity.

    Parameters
    ----------
    design : ndarray, scipy sparse array or frame, shape (rows, columns)
        Without an intercept, which is added. No column is fine: shape (rows, 0).
    outcome : array, shape (rows,)
        0 or 1.
    entity : array or Series, shape (rows,)
        Which hospital (provider, ...) a row belongs to, in any order.
    offset : array, shape (rows,), optional
        Log-odds known beforehand.
    names : sequence of str, optional
        Of the columns; a frame brings its own.
    quadrature_points : int
        1: Laplace, as lme4's default; more: adaptive Gauss-Hermite, closer where entities are small.
    ridge : float
        Prior precision of each standardised coefficient but the intercept; 0 is plain maximum likelihood.

    Raises
    ------
    SpecError
        Shapes that do not agree, missing values, one outcome only, fewer than two entities.

    Notes
    -----
    Newton's method with the exact Hessian: five to eight passes over the rows. Degenerate cases end in
    `HierarchicalFit.notes` and not in an error: a variance of 0, columns that repeat others, separation.
    """
    columns, matrix = _matrix(design, names)
    outcome = np.asarray(outcome, dtype=float)
    likelihood, entities = sorted_problem(matrix, outcome, entity, offset, columns, quadrature_points)
    return fit_problem(likelihood, columns, entities, ridge)


def fit_problem(
    likelihood: Likelihood, columns: tuple[str, ...], entities: pl.Series, ridge: float = 0.0
) -> HierarchicalFit:
    """Fit what `sorted_problem` returned; aliased columns leave the likelihood's design.

    See Also
    --------
    fit_hierarchical
    """
    with threadpool_limits(1, user_api="blas"):  # small products, where threads wait more than they work
        return _fitted(likelihood, columns, entities, ridge)


def _fitted(
    likelihood: Likelihood, columns: tuple[str, ...], entities: pl.Series, ridge: float
) -> HierarchicalFit:
    size = len(columns)
    weights = np.ones(len(entities))
    begin = beginning(likelihood)
    plain = likelihood.plain(begin, weights)
    kept = _independent(-plain.hessian)
    notes = []
    if not kept.all():
        aliased = [columns[int(i)] for i in np.flatnonzero(~kept)]
        more = f" and {len(aliased) - 5} more" if len(aliased) > 5 else ""
        notes.append(f"columns that repeat others have a coefficient of 0: {', '.join(aliased[:5])}{more}")
    if notes:
        likelihood.design = _columns_of(likelihood.design, kept)
        begin, likelihood.ridge = begin[kept], likelihood.ridge[kept]
    if ridge > 0:
        likelihood.ridge = ridge * _variances(likelihood.design)
    found = maximise(likelihood, begin, weights, plain=None if notes or ridge > 0 else plain)
    coefficients, covariance = np.zeros(size), np.full((size, size), np.nan)
    coefficients[kept] = found.coefficients
    unbounded = found.variance > 0.99 * math.exp(MOST_LOG_VARIANCE)
    inside = found.variance > 0 and not unbounded
    information = -found.evaluation.hessian if inside else -found.evaluation.hessian[:-1, :-1]
    inverse = np.linalg.pinv(information, hermitian=True)
    count = int(kept.sum())
    covariance[np.ix_(kept, kept)] = inverse[:count, :count]
    if found.variance == 0:
        notes.append("no variance between entities beyond chance: the variance is 0, all effects are 0")
    if unbounded:
        notes.append("entities have too few rows to tell their variance: it is at its bound, and no estimate")
    if found.steps > SLOW:
        shown = [columns[i] for i in np.flatnonzero(kept)]
        notes += _without_information(likelihood.design, covariance[np.ix_(kept, kept)], shown)
    if not found.converged:
        notes.append(f"not converged after {found.steps} steps: {found.gain:.2g} still to be gained")
    for note in notes:
        logger.info("%s", note)
    error = found.variance * math.sqrt(max(inverse[-1, -1], 0)) if inside else math.nan
    return HierarchicalFit(
        names=columns,
        coefficients=coefficients,
        covariance=covariance,
        variance=found.variance,
        variance_error=error,
        entities=entities,
        effects=found.modes,
        effect_variance=found.mode_variance,
        log_likelihood=found.evaluation.value,
        quadrature_points=likelihood.points,
        converged=found.converged,
        steps=found.steps,
        gain=found.gain,
        notes=tuple(notes),
    )


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


def _matrix(design: Any, names: Sequence[str] | None) -> tuple[tuple[str, ...], Any]:
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


def _independent(gram: np.ndarray) -> np.ndarray:
    """Return which columns are no combination of those before them, from their cross-products."""
    left = gram.copy()
    whole = np.diag(gram).copy()
    kept = np.ones(len(gram), dtype=bool)
    for i in range(len(gram)):
        if left[i, i] <= ALIASED * whole[i] or whole[i] <= 0:
            kept[i] = False
            continue
        left -= np.outer(left[:, i], left[i]) / left[i, i]
    return kept


def _columns_of(design: Design, kept: np.ndarray) -> Design:
    return type(design)(design.matrix[:, np.flatnonzero(kept)])


def _variances(design: Design) -> np.ndarray:
    """Return the variance of each column; 0 for the intercept, which no ridge shall pull."""
    rows = design.shape[0]
    even = np.full(rows, 1 / rows)
    variance = np.diag(design.gram(even)) - design.transposed_times(even) ** 2
    variance[0] = 0.0
    return np.maximum(variance, 0.0)


def _without_information(design: Design, covariance: np.ndarray, columns: Sequence[str]) -> list[str]:
    """Name the columns that tell the outcomes apart completely, so that no finite coefficient fits best."""
    matrix = design.matrix
    span = [float(matrix[:, [i]].max() - matrix[:, [i]].min()) or 1.0 for i in range(len(columns))]
    wide = np.sqrt(np.maximum(np.diag(covariance), 0)) * np.array(span) > 30
    return [
        f"{columns[int(i)]} separates the outcomes: its coefficient has no finite estimate (use ridge)"
        for i in np.flatnonzero(wide)
    ]
