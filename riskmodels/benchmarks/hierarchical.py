"""Hierarchical logistic regression: one random intercept an entity, fitted by maximum likelihood."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from riskmodels.benchmarks.hierarchical_design import Design
from riskmodels.benchmarks.hierarchical_likelihood import Likelihood
from riskmodels.benchmarks.hierarchical_newton import MOST_LOG_VARIANCE, beginning, maximise
from riskmodels.benchmarks.hierarchical_problem import named_matrix, sorted_problem

__all__ = ["HierarchicalFit", "fit_hierarchical", "fit_problem"]

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
    columns, matrix = named_matrix(design, names)
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
