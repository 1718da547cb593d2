"""Intervals of observed/expected against exact sums, and funnel limits against exact quantiles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from riskmodels.benchmarks import funnel_limits, ratio_interval
from riskmodels.errors import SpecError


def poisson_binomial(risk: np.ndarray) -> np.ndarray:
    """Return the exact distribution of a sum of Bernoulli variables, one convolution a stay."""
    distribution = np.ones(1)
    for p in risk:
        distribution = np.convolve(distribution, [1 - p, p])
    return distribution


def exact_mid_p(risk: np.ndarray, events: int, tail: float = 0.025) -> tuple[float, float]:
    """Return the mid-P interval of the ratio when all log-odds are shifted alike, by exact sums."""
    from scipy.optimize import brentq

    log_odds = np.log(risk / (1 - risk))

    def shifted(shift: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(log_odds + shift)))

    def below(shift: float) -> float:
        p = poisson_binomial(shifted(shift))
        return p[:events].sum() + 0.5 * p[events] - tail

    def above(shift: float) -> float:
        p = poisson_binomial(shifted(shift))
        return p[events + 1 :].sum() + 0.5 * p[events] - tail

    lower = shifted(brentq(above, -30, 30)).sum() if events else 0.0
    upper = shifted(brentq(below, -30, 30)).sum() if events < len(risk) else len(risk)
    return lower / risk.sum(), upper / risk.sum()


@pytest.mark.parametrize(
    ("n", "events", "rtol"),
    [
        (5, 0, 1e-6),
        (5, 1, 0.01),
        (5, 5, 1e-6),
        (20, 1, 0.02),
        (20, 5, 0.002),
        (60, 3, 0.006),
        (60, 20, 0.001),
        (60, 59, 0.002),
        (300, 10, 0.001),
        (300, 40, 0.0005),
    ],
)
def test_interval_is_the_exact_mid_p_interval(n: int, events: int, rtol: float) -> None:
    """The tail approximation leaves the exact mid-P limits by at most 2%, from 5 outcomes on by 0.2%."""
    risk = np.random.default_rng(n).beta(1.5, 8, n)
    outcome = (np.arange(n) < events).astype(float)
    found = ratio_interval(risk, outcome, np.zeros(n, dtype=int), 1)
    assert_allclose([found.lower[0], found.upper[0]], exact_mid_p(risk, events), rtol=rtol)


def test_byar_is_the_published_formula() -> None:
    """Byar's approximation for 10 outcomes with 8 expected: 0.598 to 2.299 (exact Poisson 0.599 to 2.299)."""
    found = ratio_interval(
        np.full(80, 0.1), (np.arange(80) < 10).astype(float), np.zeros(80, dtype=int), 1, method="byar"
    )
    assert_allclose([found.lower[0], found.upper[0]], [4.79 / 8, 18.39 / 8], atol=2e-3)


def test_bernoulli_interval_is_narrower_than_poisson() -> None:
    """At a risk of 15% the variance is 0.85 of Poisson's, and the interval about 8% narrower."""
    risk, outcome = np.full(2000, 0.15), (np.arange(2000) < 300).astype(float)
    entity = np.zeros(2000, dtype=int)
    ours = ratio_interval(risk, outcome, entity, 1)
    byar = ratio_interval(risk, outcome, entity, 1, method="byar")
    width = (ours.upper - ours.lower) / (byar.upper - byar.lower)
    assert_allclose(width[0], np.sqrt(0.85), atol=0.02)


def test_interval_covers_the_true_ratio_as_often_as_it_says() -> None:
    """Over 4,000 entities with true shifts of the log-odds, 94-96% of the intervals hold the true ratio."""
    rng = np.random.default_rng(1)
    entity = np.repeat(np.arange(4000), rng.integers(30, 200, 4000))
    expected = rng.beta(1.5, 8, entity.size)
    shift = rng.normal(0, 0.3, 4000)[entity]
    true = 1 / (1 + np.exp(-(np.log(expected / (1 - expected)) + shift)))
    outcome = (rng.random(entity.size) < true).astype(float)
    found = ratio_interval(expected, outcome, entity, 4000)
    ratio = np.bincount(entity, true) / np.bincount(entity, expected)
    covered = ((found.lower <= ratio) & (ratio <= found.upper)).mean()
    assert 0.94 <= covered <= 0.96


def test_dispersion_widens_by_its_root() -> None:
    risk, outcome = np.full(5000, 0.2), (np.arange(5000) < 1000).astype(float)
    entity = np.zeros(5000, dtype=int)
    one, two = (ratio_interval(risk, outcome, entity, 1, dispersion=factor) for factor in (1.0, 2.0))
    assert_allclose((two.upper - two.lower) / (one.upper - one.lower), np.sqrt(2), rtol=0.01)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(SpecError, match="byar, mid-p"):
        ratio_interval(np.full(3, 0.1), np.zeros(3), np.zeros(3, dtype=int), 1, method="wald")


@pytest.mark.parametrize("n", [40, 200, 1000])
@pytest.mark.parametrize("level", [0.95, 0.998])
def test_funnel_limits_hold_the_share_they_say(n: int, level: float) -> None:
    """Within half a count of the exact quantiles of the observed count when nothing is amiss."""
    risk = np.random.default_rng(n).beta(1.5, 8, n)
    variance = risk * (1 - risk)
    moments = (np.array([part.sum()]) for part in (risk, variance, variance * (1 - 2 * risk)))
    found = funnel_limits(*moments, level=level)
    cumulative = np.cumsum(poisson_binomial(risk))
    low = np.searchsorted(cumulative, (1 - level) / 2)
    high = np.searchsorted(cumulative, (1 + level) / 2)
    assert abs(found.lower[0] * risk.sum() - low) <= 1.0
    assert abs(found.upper[0] * risk.sum() - high) <= 1.0
