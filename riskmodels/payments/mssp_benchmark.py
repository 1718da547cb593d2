"""Build the benchmark of a Shared Savings ACO (42 CFR 425.601, 425.652, 425.656, 425.658).

CMS publishes no ACO's trend factors or regional expenditures, so the settlement reads the finished
benchmark; an ACO that has CMS's benchmark report can rebuild it here. Arrays end in the four enrolment
categories: ESRD, disabled, aged and dually eligible, aged and not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from riskmodels.errors import SpecError

__all__ = [
    "CATEGORIES",
    "Benchmark",
    "aggregate_risk_ratio",
    "benchmark_adjustment",
    "historical_benchmark",
    "regional_adjustment",
    "risk_ratio",
    "update_factor",
    "updated_benchmark",
]

CATEGORIES = ("esrd", "disabled", "aged_dual", "aged_nondual")
_WEIGHTS = {True: (0.1, 0.3, 0.6), False: (1 / 3, 1 / 3, 1 / 3)}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, per capita and year in dollars: of each enrolment category, and over all."""

    by_category: np.ndarray
    per_capita: float


def historical_benchmark(
    expenditures: ArrayLike,
    trend: ArrayLike,
    risk_ratios: ArrayLike,
    shares: ArrayLike,
    *,
    first_agreement: bool,
) -> Benchmark:
    """Return the historical benchmark of three benchmark years.

    Each year's expenditures are trended and risk-adjusted to the third, weighted 10%, 30% and 60% in a first
    agreement period and equally in later ones, and averaged over the third year's enrolment.

    Parameters
    ----------
    expenditures, trend, risk_ratios : arrays of shape (3, 4)
        Dollars per capita, factors to benchmark year 3, and risk score of year 3 over that of the year.
    shares : array of shape (4,)
        Person years of benchmark year 3, in any unit.
    """
    figures = [_array(value, (3, 4), name) for value, name in (
        (expenditures, "expenditures"), (trend, "trend"), (risk_ratios, "risk_ratios"))]  # fmt: skip
    weights = np.asarray(_WEIGHTS[first_agreement])
    by_category = weights @ (figures[0] * figures[1] * figures[2])
    return Benchmark(by_category, _mean(by_category, shares))


def regional_adjustment(
    historical: ArrayLike,
    regional: ArrayLike,
    national: ArrayLike,
    *,
    weight: float,
    ceiling: float,
    floor: float,
) -> np.ndarray:
    """Return the regional adjustment of each category, in dollars per capita.

    `weight` times the difference of risk-adjusted regional expenditures and the historical benchmark, held
    between `floor` (negative) and `ceiling`, shares of national fee-for-service expenditures.
    """
    own, region, nation = (
        _array(value, (4,), name)
        for value, name in ((historical, "historical"), (regional, "regional"), (national, "national"))
    )
    if not 0 <= weight <= 1 or floor > ceiling:
        raise SpecError("regional adjustment: the weight is from 0 to 1, and the floor not above the ceiling")
    return np.clip(weight * (region - own), floor * nation, ceiling * nation)


def benchmark_adjustment(regional: float, prior_savings: float) -> float:
    """Return the larger of the regional and the prior-savings adjustment, nothing where neither is positive.

    For agreements from 2024 on (42 CFR 425.652(a)(8)); all 71 ACOs of PY 2024 with both have the larger.
    """
    return max(regional, prior_savings, 0.0)


def risk_ratio(performance: ArrayLike, base: ArrayLike, *, cap: float = 0.03) -> np.ndarray:
    """Return performance-year over benchmark-year risk scores, a rise held to `cap`; a fall counts in full.

    42 CFR 425.605(a)(2), 425.610(a)(2): 3 percent for the whole agreement period.
    """
    scores, start = _array(performance, (4,), "performance"), _array(base, (4,), "base")
    if (start <= 0).any():
        raise SpecError("base: risk scores are above 0")
    return np.minimum(scores / start, 1 + cap)


def aggregate_risk_ratio(
    performance: ArrayLike,
    base: ArrayLike,
    demographic: ArrayLike,
    expenditures: ArrayLike,
    *,
    cap: float = 0.03,
) -> np.ndarray:
    """Return performance-year over benchmark-year risk scores by the cap of agreements from 2024 on.

    Only where the risk scores of all categories together grew by more than `cap` above the growth of the
    demographic ones is each category held to that growth (42 CFR 425.605(a)(1)(ii), 425.610(a)(2)(ii)).

    Parameters
    ----------
    demographic : array of shape (4,)
        Demographic risk score of the performance year over that of benchmark year 3.
    expenditures : array of shape (4,)
        Weights: historical benchmark per capita times person years of the performance year.
    """
    ratios = risk_ratio(performance, base, cap=np.inf)
    most = _mean(_array(demographic, (4,), "demographic"), expenditures) + cap
    return np.minimum(ratios, most) if _mean(ratios, expenditures) > most else ratios


def update_factor(
    national: ArrayLike,
    regional: ArrayLike,
    *,
    national_weight: ArrayLike,
    prospective: ArrayLike | None = None,
) -> np.ndarray:
    """Return the growth from benchmark year 3 to the performance year of each category.

    The blend of national and regional growth; for agreements from 2024 on a third of it is the prospective
    trend (ACPT). (42 CFR 425.601(b), 425.652(b).)
    """
    share = np.broadcast_to(np.asarray(national_weight, dtype=float), (4,))
    if ((share < 0) | (share > 1)).any():
        raise SpecError("national_weight is from 0 to 1")
    two_way = share * _array(national, (4,), "national") + (1 - share) * _array(regional, (4,), "regional")
    return two_way if prospective is None else _array(prospective, (4,), "prospective") / 3 + two_way * 2 / 3


def updated_benchmark(
    historical: ArrayLike,
    ratios: ArrayLike,
    update: ArrayLike,
    shares: ArrayLike,
    adjustment: ArrayLike = 0.0,
) -> Benchmark:
    """Return (historical + adjustment) × risk ratio × update, averaged over performance-year enrolment."""
    base = _array(historical, (4,), "historical") + np.asarray(adjustment, dtype=float)
    by_category = base * _array(ratios, (4,), "ratios") * _array(update, (4,), "update")
    return Benchmark(by_category, _mean(by_category, shares))


def _mean(by_category: np.ndarray, shares: ArrayLike) -> float:
    years = _array(shares, (4,), "shares")
    if years.sum() <= 0:
        raise SpecError("shares: no person years")
    return float(by_category @ years / years.sum())


def _array(value: ArrayLike, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.broadcast_to(np.asarray(value, dtype=float), shape)
    if not np.isfinite(array).all() or (array < 0).any():
        raise SpecError(f"{name}: every figure is a number of at least 0")
    return array
