"""Intervals of observed/expected and limits of the funnel plot.

Observed outcomes are a sum of Bernoulli variables with unequal risks, so their variance is Σp(1-p) and not
the Σp that a Poisson interval takes: at a readmission rate of 15% a Poisson interval is about 8% too wide.
The default interval therefore inverts the test of the model logit(p_i) = logit(e_i) + δ, one shift δ of
the log-odds an entity. Its mid-P tail is taken from the modified signed root r* of the likelihood ratio
(Barndorff-Nielsen, Biometrika 1986;73:307-322; for a lattice Daniels, International Statistical Review
1987;55:37-48: the mean of his two corrections, for P(X >= x) and P(X > x), is mid-P's), which costs one
pass over the stays a step. Byar's interval (Breslow & Day, Statistical Methods in Cancer Research II, IARC
1987, equation 2.13) is there for counts that are not Bernoulli.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from riskmodels.errors import SpecError

__all__ = ["Interval", "IntervalMethod", "funnel_limits", "normal_quantile", "ratio_interval"]

IntervalMethod = Literal["mid-p", "byar"]
FARTHEST = 40.0  # log-odds; e^-40 is below the resolution of a 64-bit probability beside 1
STEPS = 40  # halvings of a bracket of 80: below 1e-10
EVIDENT = 1e-6  # below this distance from the estimate r* is 0/0; the interval's ends are far from it


class Interval(NamedTuple):
    """Lower and upper limit of observed/expected, an entry an entity."""

    lower: np.ndarray
    upper: np.ndarray


def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile.

    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def ratio_interval(
    expected: np.ndarray,
    observed: np.ndarray,
    entity: np.ndarray,
    n_entities: int,
    *,
    method: IntervalMethod = "mid-p",
    level: float = 0.95,
    dispersion: float = 1.0,
) -> Interval:
    """Return an interval of Σobserved/Σexpected for each entity.

    Parameters
    ----------
    expected : ndarray of float, shape (stays,)
        Expected risk of each stay, between 0 and 1.
    observed : ndarray, shape (stays,)
        Outcome of each stay, 0 or 1.
    entity : ndarray of int, shape (stays,)
        Number of the entity of each stay, from 0 to `n_entities` - 1.
    method : {"mid-p", "byar"}
        See the module.
    dispersion : float
        Variance of the outcomes over that of independent Bernoulli variables; above 1 where the stays of one
        patient go together.

    Raises
    ------
    SpecError
        `method` is not one of the two.
    """
    total = np.bincount(entity, weights=expected, minlength=n_entities)
    events = np.bincount(entity, weights=observed, minlength=n_entities)
    z = normal_quantile(0.5 + level / 2) * math.sqrt(dispersion)
    if method == "byar":
        return _byar(events, total, z)
    if method != "mid-p":
        raise SpecError(f"method is {method!r}; choose from: byar, mid-p")
    family = _Shifted(expected, entity, n_entities)
    n = np.bincount(entity, minlength=n_entities)
    some = (events > 0) & (events < n)
    estimate = _bisect(lambda shift: events - family.mean(shift), n_entities)
    at_estimate = family.partition(estimate)
    spread = np.sqrt(family.variance(estimate))
    # Where all or none had the outcome the estimate is infinite and mid-P is half the probability of just
    # that.
    log_half_tail = math.log(2 * (1 - _normal_cdf(z)))

    def excess(shift: np.ndarray, sign: float) -> np.ndarray:
        """Return what is positive while the shift lies inside the interval on its `sign` side."""
        distance = estimate - shift
        deviance = np.maximum(2 * (distance * events - at_estimate + family.partition(shift)), 0)
        near = np.abs(distance) < EVIDENT
        root = np.where(near, 1.0, np.sign(distance) * np.sqrt(deviance))
        root = np.where(root == 0, EVIDENT, root)
        wald = np.where(near, 1.0, 2 * np.tanh(distance / 2) * np.where(spread > 0, spread, 1.0))
        r_star = np.where(near, 0.0, root + np.log(np.maximum(wald / root, 1e-300)) / root)
        none_or_all = np.where(
            events == 0, -family.partition(shift), -family.partition(-shift, mirrored=True)
        )
        inside = np.where(some, z + sign * r_star, none_or_all - log_half_tail)
        return inside if sign > 0 else -inside

    upper_shift = _bisect(lambda shift: excess(shift, 1.0), n_entities)
    lower_shift = _bisect(lambda shift: excess(shift, -1.0), n_entities)
    with np.errstate(divide="ignore", invalid="ignore"):
        lower = np.where(events == 0, 0.0, family.mean(lower_shift) / total)
        upper = np.where(events == n, n / total, family.mean(upper_shift) / total)
    return Interval(np.where(n > 0, lower, np.nan), np.where(n > 0, upper, np.nan))


def funnel_limits(expected: np.ndarray, variance: np.ndarray, third: np.ndarray, level: float) -> Interval:
    """Return the limits within which O/E lies with probability `level` if the true ratio is 1.

    Parameters
    ----------
    expected, variance, third : ndarray, shape (entities,)
        Σp, Σp(1-p) and Σp(1-p)(1-2p) of the stays: mean, variance and third central moment of the observed
        count.
    level : float
        0.95 and 0.998 are the usual two (Spiegelhalter, Statistics in Medicine 2005;24:1185-1202).

    Notes
    -----
    Cornish-Fisher to the skewness, so that the limits of small entities are as lopsided as their counts.
    """
    z = normal_quantile(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = third / variance**1.5
        lower = expected + np.sqrt(variance) * (-z + skew * (z * z - 1) / 6)
        upper = expected + np.sqrt(variance) * (z + skew * (z * z - 1) / 6)
        return Interval(np.maximum(lower, 0) / expected, upper / expected)


class _Shifted:
    """The outcomes of each entity when the log-odds of all its stays are shifted by δ."""

    def __init__(self, expected: np.ndarray, entity: np.ndarray, n_entities: int) -> None:
        risk = np.clip(expected, 1e-12, 1 - 1e-12)
        self.log_odds = np.log(risk) - np.log1p(-risk)
        self.entity, self.n_entities = entity, n_entities

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.entity, weights=values, minlength=self.n_entities)

    def _risk(self, shift: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(self.log_odds + shift[self.entity])))

    def mean(self, shift: np.ndarray) -> np.ndarray:
        """Return Σp(δ)."""
        return self._sum(self._risk(shift))

    def variance(self, shift: np.ndarray) -> np.ndarray:
        """Return Σp(δ)(1-p(δ))."""
        risk = self._risk(shift)
        return self._sum(risk * (1 - risk))

    def partition(self, shift: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
        """Return Σlog(1+e^(η+δ)): minus the log-probability of no outcome; mirrored: of no stay without."""
        log_odds = -self.log_odds if mirrored else self.log_odds
        return self._sum(np.log1p(np.exp(log_odds + shift[self.entity])))


def _byar(events: np.ndarray, expected: np.ndarray, z: float) -> Interval:
    with np.errstate(divide="ignore", invalid="ignore"):
        low = events * (1 - 1 / (9 * events) - z / (3 * np.sqrt(events))) ** 3
        above = events + 1
        high = above * (1 - 1 / (9 * above) + z / (3 * np.sqrt(above))) ** 3
        return Interval(np.where(events > 0, low, 0.0) / expected, high / expected)


def _bisect(positive_below: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
    """Return, for each entity, where a function that falls through zero does so."""
    low, high = np.full(n, -FARTHEST), np.full(n, FARTHEST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = positive_below(middle) > 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def _normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
