"""The benchmark of a Shared Savings ACO, by hand."""

import numpy as np
import pytest

from riskmodels.errors import SpecError
from riskmodels.payments.mssp_benchmark import (
    benchmark_adjustment,
    historical_benchmark,
    regional_adjustment,
    risk_ratio,
    update_factor,
    updated_benchmark,
)

YEARS = np.array([[100.0] * 4, [200.0] * 4, [300.0] * 4])
ONE = np.ones((3, 4))


@pytest.mark.parametrize(("first", "per_capita"), [(True, 250.0), (False, 200.0)])
def test_benchmark_years_are_weighted_10_30_60_at_first_and_equally_later(
    first: bool, per_capita: float
) -> None:
    benchmark = historical_benchmark(YEARS, ONE, ONE, [1, 2, 3, 4], first_agreement=first)
    assert benchmark.per_capita == pytest.approx(per_capita)


def test_trend_risk_and_enrolment_count_in_each_category() -> None:
    trend = [[1.1] * 4, [1.05] * 4, [1.0] * 4]
    ratios = [[2.0, 1, 1, 1], [1.0] * 4, [1.0] * 4]
    benchmark = historical_benchmark(YEARS, trend, ratios, [1, 0, 0, 3], first_agreement=True)
    other = 0.1 * 110 + 0.3 * 210 + 0.6 * 300
    assert benchmark.by_category[1:] == pytest.approx([other] * 3)
    assert benchmark.by_category[0] == pytest.approx(other + 0.1 * 110)
    assert benchmark.per_capita == pytest.approx(other + 0.1 * 110 / 4)


def test_the_regional_adjustment_is_held_between_its_limits() -> None:
    adjustment = regional_adjustment(
        [1000, 1000, 1000, 1000], [1100, 2000, 990, 500], [1000] * 4, weight=0.35, ceiling=0.05, floor=-0.015
    )
    assert adjustment == pytest.approx([35, 50, -3.5, -15])


@pytest.mark.parametrize(
    ("regional", "prior", "used"),
    # A2266, A3053 and A1026 of PY 2024 (CMS public use file).
    [(144, 227, 227), (-33, 103, 103), (192, 156, 192), (-5, -1, 0)],
)
def test_the_larger_adjustment_is_used(regional: float, prior: float, used: float) -> None:
    assert benchmark_adjustment(regional, prior) == used


def test_a_rise_in_risk_is_capped_and_a_fall_is_not() -> None:
    assert risk_ratio([1.05, 1.02, 1.0, 0.9], [1.0] * 4) == pytest.approx([1.03, 1.02, 1.0, 0.9])


@pytest.mark.parametrize(("prospective", "factor"), [(None, 1.054), (1.05, 1.052667)])
def test_the_update_blends_national_regional_and_prospective_growth(
    prospective: float | None, factor: float
) -> None:
    assert update_factor(1.04, 1.06, national_weight=0.3, prospective=prospective) == pytest.approx(
        [factor] * 4, abs=1e-6
    )


def test_the_updated_benchmark_is_the_product_averaged_over_the_performance_year() -> None:
    benchmark = updated_benchmark([100, 200, 300, 400], 1.02, 1.05, [0, 0, 1, 1], adjustment=10)
    assert benchmark.per_capita == pytest.approx((310 + 410) / 2 * 1.02 * 1.05)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: risk_ratio([1] * 4, [0] * 4),
        lambda: update_factor(1, 1, national_weight=2),
        lambda: updated_benchmark([-1] * 4, 1, 1, [1] * 4),
        lambda: updated_benchmark([1] * 4, 1, 1, [0] * 4),
        lambda: regional_adjustment([1] * 4, [1] * 4, [1] * 4, weight=2, ceiling=0.05, floor=0),
    ],
    ids=["no-base-score", "weight", "negative", "no-person-years", "regional-weight"],
)
def test_wrong_figures_are_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(SpecError):
        wrong()
