"""Target prices of TEAM, by hand; every parameter is unverified and says so."""

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.payments import load_rules
from riskmodels.payments.team_prices import preliminary_prices, reconciliation_prices

RULES = load_rules("team", 2026)


def _baseline(category: str, *means: float) -> pl.DataFrame:
    rows = [("West", category, year, mean) for year, mean in enumerate(means, 1) for _ in range(2)]
    return pl.DataFrame(rows, schema=["region", "episode_category", "baseline_year", "cost"], orient="row")


@pytest.mark.parametrize(("category", "discount"), [("LEJR", 0.02), ("CABG", 0.015)])
def test_baseline_years_are_weighted_trended_and_discounted(category: str, discount: float) -> None:
    prices = preliminary_prices(_baseline(category, 100, 200, 300), RULES, trend=1.1)
    row = prices.frame.row(0, named=True)
    assert row["baseline_price"] == pytest.approx(17 + 66 + 150)
    assert row["preliminary_price"] == pytest.approx(233 * 1.1 * (1 - discount))
    assert prices.unverified == ("baseline_weights", "spending_percentile")


def test_costs_are_capped_in_their_region_category_and_year() -> None:
    costs = [100.0] * 99 + [10_000.0]
    rows = [("West", "LEJR", year, cost) for year in (1, 2, 3) for cost in costs]
    frame = pl.DataFrame(rows, schema=["region", "episode_category", "baseline_year", "cost"], orient="row")
    price = preliminary_prices(frame, RULES).frame["baseline_price"][0]
    assert 100 < price < 103  # the 99th percentile lies between 100 and 10,000, one hundredth of the way


def test_normalisation_keeps_the_mean_price_within_its_cap() -> None:
    episodes = pl.DataFrame(
        {"episode_category": ["a", "a", "b"], "preliminary_price": [100.0, 100.0, 100.0],
         "risk_multiplier": [0.98, 1.06, 1.5]}
    )  # fmt: skip
    prices = reconciliation_prices(episodes, RULES, trend_ratio=1.2)
    assert prices.frame["normalisation"].to_list() == pytest.approx([200 / 204, 200 / 204, 0.95])
    assert prices.frame["target_price"][:2].sum() == pytest.approx(200 * 1.03)
    assert prices.frame["target_price"][2] == pytest.approx(150 * 0.95 * 1.03)
    assert prices.unverified == ("normalisation_cap", "trend_cap")


def test_wrong_episodes_are_refused() -> None:
    with pytest.raises(DataError, match="in 2 of 3 years"):
        preliminary_prices(_baseline("LEJR", 100, 200), RULES)
    with pytest.raises(DataError, match="no column region"):
        preliminary_prices(_baseline("LEJR", 1, 2, 3).drop("region"), RULES)
    with pytest.raises(DataError, match="below 0"):
        preliminary_prices(_baseline("LEJR", 1, -2, 3), RULES)
    zero = pl.DataFrame({"episode_category": ["a"], "preliminary_price": [1.0], "risk_multiplier": [0.0]})
    with pytest.raises(DataError, match="not above 0"):
        reconciliation_prices(zero, RULES)
