"""Categories: levels frozen by name, outcome rates that a row's own outcome never enters."""

import numpy as np
import polars as pl
import pytest

from riskmodels.learning.encoding import TableEncoder, fit_target_statistic
from riskmodels.learning.frames import FitError, InputError

ONES = np.ones(6)


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [
        # Levels: a has 1 of 2, b has 1 of 3; missing has 0 of 1; overall 2 of 6.
        pytest.param(0.0, (1 / 2, 1 / 3, 0.0), id="raw-rates"),
        pytest.param(3.0, (2 / 5, 2 / 6, 1 / 4), id="three-rows-of-prior"),
        pytest.param(1e12, (1 / 3, 1 / 3, 1 / 3), id="prior-alone"),
    ],
)
def test_a_level_gets_its_smoothed_rate(smoothing, expected):
    codes = np.array([0, 0, 1, 1, 1, np.nan])
    y = np.array([1.0, 0, 1, 0, 0, 0])
    rates = fit_target_statistic(codes, 2, y, ONES, smoothing)
    np.testing.assert_allclose(rates.apply(np.array([0.0, 1.0, np.nan])), expected)


def test_an_unseen_level_gets_the_overall_rate():
    rates = fit_target_statistic(np.array([0.0, 0, 1]), 2, np.array([1.0, 0, 0]), np.ones(3), 0.0)
    assert rates.apply(np.array([-1.0]))[0] == pytest.approx(1 / 3)


def test_a_level_without_rows_gets_the_overall_rate():
    rates = fit_target_statistic(np.array([0.0, 0]), 3, np.array([1.0, 0]), np.ones(2), 0.0)
    assert rates.rates[2] == pytest.approx(0.5)


def test_weights_count_as_rows():
    codes, y = np.array([0.0, 0, 1, 1]), np.array([1.0, 0, 1, 0])
    weighted = fit_target_statistic(codes, 2, y, np.array([3.0, 1, 1, 1]), 2.0)
    repeated = fit_target_statistic(codes[[0, 0, 0, 1, 2, 3]], 2, y[[0, 0, 0, 1, 2, 3]], ONES, 2.0)
    np.testing.assert_allclose(weighted.rates, repeated.rates)


def test_automatic_smoothing_is_strong_where_levels_do_not_differ():
    """Rates that differ by chance alone are drawn to the overall rate; true differences are kept."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 100, 20_000).astype(float)
    by_chance = fit_target_statistic(codes, 100, (rng.random(20_000) < 0.2) * 1.0, np.ones(20_000))
    truth = np.where(np.arange(100) < 50, 0.05, 0.35)
    real = fit_target_statistic(
        codes, 100, (rng.random(20_000) < truth[codes.astype(int)]) * 1.0, np.ones(20_000)
    )
    assert np.std(by_chance.rates) < 0.01
    assert np.corrcoef(real.rates, truth)[0, 1] > 0.97
    assert np.std(real.rates) > 0.13


def test_cross_fitted_rates_do_not_hold_the_patients_own_outcomes():
    """Where a level is one patient, its rate from other patients is the overall rate, whatever it had."""
    patients = np.repeat(np.arange(200), 3)
    y = (np.random.default_rng(0).random(600) < 0.3).astype(float)
    frame = pl.DataFrame({"id": [f"p{i}" for i in patients]})
    encoder = TableEncoder.plan(frame, categories="target", smoothing=1.0)
    codes = encoder.codes(frame)
    crossed = encoder.fit(codes, y, np.ones(600)).cross_transform(codes, y, np.ones(600), patients, seed=0)
    own = encoder.fit(codes, y, np.ones(600)).transform(codes)
    assert np.corrcoef(own[:, 0], y)[0, 1] > 0.5
    assert abs(np.corrcoef(crossed[:, 0], y)[0, 1]) < 0.15
    assert len(np.unique(crossed[:, 0])) <= 5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(pl.Series(["7", "8", None]), [0, 1, np.nan], id="text"),
        pytest.param(pl.Series([7, 8, None]), [0, 1, np.nan], id="whole-numbers"),
        pytest.param(pl.Series([7.0, 8.0, float("nan")]), [0, 1, np.nan], id="floats-from-pandas"),
        pytest.param(pl.Series(["8", "7", "9"], dtype=pl.Categorical), [1, 0, -1], id="categorical"),
        pytest.param(pl.Series(["7", None, "7"], dtype=pl.Enum(["0", "7"])), [0, np.nan, 0], id="enum"),
    ],
)
def test_a_level_is_known_by_its_name_whatever_type_it_comes_in(values, expected):
    encoder = TableEncoder.plan(pl.DataFrame({"ward": ["8", "7", "8"]}))
    codes = encoder.codes(pl.DataFrame({"ward": values}))
    np.testing.assert_array_equal(codes[:, 0], np.array(expected, dtype=float))


def test_automatic_choice_depends_on_the_number_of_levels():
    frame = pl.DataFrame({"few": ["a", "b"] * 6, "many": list("abcdefghijkl"), "x": range(12)})
    encoder = TableEncoder.plan(frame, max_native_levels=10)
    assert encoder.encodings == {"few": "native", "many": "target", "x": "number"}
    chosen = TableEncoder.plan(frame, categories={"many": "native", "x": "target"})
    assert chosen.encodings == {"few": "native", "many": "native", "x": "target"}
    assert chosen.levels["x"][:3] == ("0", "1", "10")


class Feature:
    role = "adjust"

    def __init__(self, name, kind, levels=None):
        self.name, self.kind, self.levels = name, kind, levels


def test_a_closed_set_keeps_levels_that_training_lacks_and_refuses_others():
    frame = pl.DataFrame({"sex": ["female", "male"]})
    feature = Feature("sex", "category", ("female", "male", "unknown"))
    encoder = TableEncoder.plan(frame, columns=[feature])
    assert encoder.levels["sex"] == ("female", "male", "unknown")
    assert encoder.unseen(pl.DataFrame({"sex": ["unknown", "x", None]})) == {"sex": {"x": 1}}
    with pytest.raises(FitError, match="'m' is not one of its 3 levels"):
        TableEncoder.plan(pl.DataFrame({"sex": ["m"]}), columns=[feature])


@pytest.mark.parametrize(
    ("column", "error", "says"),
    [
        (pl.Series([None], dtype=pl.Date), FitError, "turn dates into numbers"),
        (pl.Series([[1]]), FitError, "neither a number nor a category"),
    ],
    ids=["date", "list"],
)
def test_columns_that_are_neither_number_nor_category_are_refused(column, error, says):
    with pytest.raises(error, match=says):
        TableEncoder.plan(pl.DataFrame({"x": column}))


def test_a_list_at_scoring_is_refused():
    encoder = TableEncoder.plan(pl.DataFrame({"x": ["a", "b"]}))
    with pytest.raises(InputError, match="lists"):
        encoder.codes(pl.DataFrame({"x": [["a"]]}))


def test_an_encoder_survives_json(world):
    encoder = TableEncoder.plan(world.X)
    codes = encoder.codes(world.X)
    fitted = encoder.fit(codes, world.y.astype(float), np.ones(len(world.y)))
    again = TableEncoder.from_dict(fitted.to_dict())
    assert again == fitted
    np.testing.assert_array_equal(again.transform(again.codes(world.X)), fitted.transform(codes))
