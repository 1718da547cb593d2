"""The logistic baseline: an honest rival on the same columns."""

import numpy as np
import polars as pl
import pytest

from riskmodels.errors import ContractError
from riskmodels.learning import LogisticBaseline


@pytest.fixture(scope="module")
def baseline(world):
    return LogisticBaseline().fit(world.X, world.y, groups=world.patients)


def test_it_finds_the_true_risk_of_an_additive_world(baseline, others, calibration_slope):
    p = baseline.predict_proba(others.X)[:, 1]
    assert np.corrcoef(p, others.risk)[0, 1] > 0.9
    assert 0.85 < calibration_slope(others.y, p) < 1.15


def test_its_explanation_sums_to_the_log_odds(baseline, world):
    values = baseline.explain(world.X.head(100))
    assert list(values.columns) == world.X.columns
    total = values.sum(axis=1) + baseline.expected_value
    np.testing.assert_allclose(total, baseline.predict_raw(world.X.head(100)), atol=1e-9)


def test_an_unseen_level_counts_as_a_rare_one(baseline, world):
    few = world.X.head(5)
    one, two = (few.with_columns(diagnosis=pl.lit(code)) for code in ("Z1", "Z2"))
    np.testing.assert_array_equal(baseline.predict_raw(one), baseline.predict_raw(two))
    assert baseline.unseen(one) == {"diagnosis": {"Z1": 5}}


def test_columns_are_matched_by_name(baseline, world):
    reordered = world.X.select(reversed(world.X.columns))
    np.testing.assert_array_equal(baseline.predict_raw(reordered), baseline.predict_raw(world.X))
    with pytest.raises(ContractError, match="'prior'"):
        baseline.predict_raw(world.X.drop("prior"))


def test_missing_numbers_have_their_own_coefficient(world):
    """Rows whose number is missing get the rate of such rows."""
    missing = np.random.default_rng(0).random(len(world.y)) < 0.3
    y = np.where(missing, np.random.default_rng(1).random(len(world.y)) < 0.6, world.y).astype(int)
    X = pl.DataFrame({"lab": pl.Series(np.where(missing, np.nan, 1.0 * world.X["prior"].to_numpy()))})
    p = LogisticBaseline(C=1.0).fit(X, y).predict_proba(X)[:, 1]
    assert p[missing].mean() == pytest.approx(y[missing].mean(), abs=0.01)


def test_the_penalty_is_chosen_on_other_patients(world, baseline):
    assert baseline.C_ in (0.001, 0.01, 0.1, 1.0)
    noise = pl.DataFrame({f"x{i}": np.random.default_rng(i).normal(size=600) for i in range(60)})
    assert LogisticBaseline().fit(noise, world.y[:600]).C_ == 0.001
