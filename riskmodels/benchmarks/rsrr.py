"""Risk-standardised rates as CMS computes them: predicted over expected, times the overall rate.

Source: the methodology of CMS's hospital outcome measures (Yale CORE, Hospital-Wide All-Cause Unplanned
Readmission Measure: Final Technical Report, 2012, and its yearly updates; Normand & Shahian, Statistical
Science 2007;22:206-226). With x'b the risk factors' part of the log-odds and a_j the effect of hospital j,

    predicted_j = Σ expit(x'b + average + a_j)      expected_j = Σ expit(x'b + average)

over its stays; RSRR_j = predicted_j / expected_j x the rate over all stays. Because a_j is shrunken towards
the average, so is the ratio: by much where a hospital has few stays.

Intervals: hospitals are drawn with replacement, the model is fitted again from where the first fit ended,
and a hospital's effect is drawn from the normal distribution with its conditional mode and variance under
that fit. The 2.5% and 97.5% points of the ratios over the draws are the interval. It holds the error of the
coefficients and of the variance, which an interval of observed/expected does not. Unlike CMS's, the refits
adjust the likelihood of the variance for being estimated (Morris & Tang 2011, see `Likelihood`): over the
nation's thousands of hospitals that changes next to nothing, over forty hospitals 95% intervals hold the true
ratio in 95% of cases instead of 92.6% (docs/benchmarks.md).
"""

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from riskmodels.benchmarks.hierarchical import HierarchicalFit
from riskmodels.benchmarks.hierarchical_kernels import sums_of_risk
from riskmodels.benchmarks.hierarchical_likelihood import Likelihood
from riskmodels.benchmarks.hierarchical_newton import maximise
from riskmodels.errors import SpecError
from riskmodels.progress import track

__all__ = ["BootstrapRatios", "bootstrap_effects", "predicted_over_expected", "standardise_given"]

logger = logging.getLogger(__name__)

CLOSE_ENOUGH = 1e-4  # of a refit, twice the log-likelihood still to be gained: 1% of a standard error


@dataclass(frozen=True, eq=False)
class BootstrapRatios:
    """Predicted over expected in bootstrap samples of entities.

    Parameters
    ----------
    ratio : ndarray, shape (draws, entities)
        Every entity in every draw, so that totals over entities have draws too.
    drawn : ndarray of bool, shape (draws, entities)
        Whether the entity was in the sample that the draw's model was fitted on.
    variance : ndarray, shape (draws,)
        Between-entity variance of each refit.
    """

    ratio: np.ndarray
    drawn: np.ndarray
    variance: np.ndarray


def standardise_given(
    log_odds: Any, entity: Any, effect: Any, average: Any, *, observed_rate: float | None = None
) -> pl.DataFrame:
    """Return predicted, expected and their ratio from coefficients and effects that are known.

    Parameters
    ----------
    log_odds : array, shape (rows,)
        x'b of each stay, without intercept.
    entity : array, shape (rows,)
        The hospital of each stay.
    effect : mapping or float
        Hospital effect (intercept) of each entity, log-odds; one number for all.
    average : mapping or float
        Average effect (intercept), log-odds.
    observed_rate : float, optional
        The rate over all stays of all hospitals; then `rate` is there too.

    Returns
    -------
    pl.DataFrame
        entity, n, predicted and expected (mean risks), ratio; sorted.

    Raises
    ------
    SpecError
        Log-odds are missing or not one a row, or an entity has no effect.
    """
    values = pl.Series("entity", entity)
    names = values.unique().sort()
    number = names.search_sorted(values).to_numpy().astype(np.int64)
    x = np.asarray(log_odds, dtype=float)
    if len(x) != len(number) or not np.isfinite(x).all():
        raise SpecError("log_odds must be finite, one for each row of entity")
    n = np.bincount(number, minlength=len(names))

    def mean(given: Any) -> np.ndarray:
        if isinstance(given, (int, float, np.number)):
            shift = np.full(len(names), float(given))
        else:
            absent = [name for name in names.to_list() if name not in given]
            if absent:
                raise SpecError(f"no effect is given for {absent[0]!r}")
            shift = np.array([float(given[name]) for name in names.to_list()])
        risk = 1 / (1 + np.exp(-(x + shift[number])))
        return np.asarray(np.bincount(number, weights=risk, minlength=len(names)) / n)

    predicted, expected = mean(effect), mean(average)
    found = pl.DataFrame(
        {"entity": names, "n": n, "predicted": predicted, "expected": expected, "ratio": predicted / expected}
    )
    return found if observed_rate is None else found.with_columns(rate=pl.col("ratio") * observed_rate)


def predicted_over_expected(likelihood: Likelihood, fit: HierarchicalFit) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted and the expected number of outcomes of each entity, shape (entities,) each."""
    eta = likelihood.log_odds(fit.coefficients[fit.kept])
    expected = np.empty(len(fit.effects))
    predicted = np.empty(len(fit.effects))
    sums_of_risk(eta, likelihood.start, np.zeros(len(fit.effects)), expected)
    sums_of_risk(eta, likelihood.start, fit.effects, predicted)
    return predicted, expected


def bootstrap_effects(
    likelihood: Likelihood, fit: HierarchicalFit, *, n_draws: int = 200, seed: int = 0
) -> BootstrapRatios:
    """Draw ratios of predicted over expected: see the module.

    An entity that a sample leaves out has a ratio in that draw all the same, from its own stays under the
    sample's coefficients and variance; CMS uses only the draws that hold the hospital (`drawn` says which).
    """
    size = len(fit.effects)
    generator = np.random.default_rng(seed)
    ratio = np.full((n_draws, size), np.nan)
    drawn = np.zeros((n_draws, size), dtype=bool)
    variance = np.zeros(n_draws)
    predicted, expected, none = np.empty(size), np.empty(size), np.zeros(size)
    # The likelihood falls with the variance as its power -(size - 1) / 2: half of that leaves a maximum.
    likelihood.adjustment = min(1.0, (size - 1) / 4)
    with threadpool_limits(1, user_api="blas"):
        for draw in track(range(n_draws), "Refitting on drawn hospitals", unit="draw"):
            weights = np.bincount(generator.integers(size, size=size), minlength=size).astype(float)
            noise = generator.standard_normal(size)
            begin = {"log_variance": math.log(fit.variance), "modes": fit.effects} if fit.variance > 0 else {}
            found = maximise(likelihood, fit.coefficients[fit.kept], weights, tolerance=CLOSE_ENOUGH, **begin)  # type: ignore[arg-type]
            effect = found.modes + np.sqrt(found.mode_variance) * noise
            eta = likelihood.log_odds(found.coefficients)
            sums_of_risk(eta, likelihood.start, none, expected)
            sums_of_risk(eta, likelihood.start, effect, predicted)
            ratio[draw] = predicted / expected
            drawn[draw] = weights > 0
            variance[draw] = found.variance
    likelihood.adjustment = 0.0
    return BootstrapRatios(ratio, drawn, variance)
