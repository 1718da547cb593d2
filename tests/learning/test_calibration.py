"""Calibrators: monotone, and right where the truth is known."""

import numpy as np
import pytest
from scipy.special import expit

from riskmodels.errors import SpecError
from riskmodels.learning.calibration import (
    CALIBRATIONS,
    Beta,
    Platt,
    calibrator_from_dict,
    fit_calibrator,
)


@pytest.fixture(scope="module")
def overconfident():
    """Return margins twice as far from the mean as they should be, outcomes, and true risks."""
    rng = np.random.default_rng(3)
    truth = rng.normal(-2, 0.7, 40_000)
    return 2 * truth + 1.5, (rng.random(40_000) < expit(truth)).astype(float), expit(truth)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_an_overconfident_margin_is_put_right(overconfident, method):
    margin, y, risk = overconfident
    p = fit_calibrator(method, margin, y).apply(margin)
    assert np.abs(p - risk).mean() < 0.01


def test_platt_finds_slope_and_intercept(overconfident):
    margin, y, _ = overconfident
    fitted = fit_calibrator("platt", margin, y)
    assert isinstance(fitted, Platt)
    assert fitted.slope == pytest.approx(0.5, abs=0.02)
    assert fitted.intercept == pytest.approx(-0.75, abs=0.05)


@pytest.mark.parametrize("method", [*CALIBRATIONS, None])
def test_a_higher_margin_never_has_a_lower_risk(overconfident, method):
    margin, y, _ = overconfident
    grid = np.linspace(-30, 30, 2001)
    p = fit_calibrator(method, margin, y).apply(grid)
    assert (np.diff(p) >= 0).all()
    assert p.min() >= 0
    assert p.max() <= 1
    assert np.isfinite(p).all()


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_a_margin_that_points_the_wrong_way_is_not_turned_round(overconfident, method):
    """Turning the order round on some hundred patients would hide that a model is wrong."""
    margin, y, _ = overconfident
    p = fit_calibrator(method, -margin, y).apply(np.linspace(-5, 5, 50))
    assert (np.diff(p) >= 0).all()
    assert p.mean() == pytest.approx(y.mean(), abs=0.02)


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_perfectly_separated_outcomes_have_a_finite_fit(method):
    margin = np.array([-2.0, -1, 1, 2])
    p = fit_calibrator(method, margin, np.array([0.0, 0, 1, 1])).apply(margin)
    assert ((p > 0) & (p < 1)).all()


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_weights_count_as_rows(overconfident, method):
    margin, y, _ = (part[:2000] for part in overconfident)
    weight = np.where(np.arange(2000) % 2, 2.0, 1.0)
    repeat = weight.astype(int)
    weighted = fit_calibrator(method, margin, y, weight).apply(margin)
    repeated = fit_calibrator(method, margin.repeat(repeat), y.repeat(repeat)).apply(margin)
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)


@pytest.mark.parametrize("method", [*CALIBRATIONS, None])
def test_a_calibrator_survives_json(overconfident, method):
    margin, y, _ = overconfident
    fitted = fit_calibrator(method, margin, y)
    assert calibrator_from_dict(fitted.to_dict()) == fitted


def test_beta_without_a_bend_is_platt():
    """A = b makes beta calibration the logistic map of the margin with slope a."""
    grid = np.linspace(-5, 5, 11)
    np.testing.assert_allclose(Beta(0.7, 0.7, -0.3).apply(grid), Platt(0.7, -0.3).apply(grid))


def test_an_unknown_method_is_refused():
    with pytest.raises(SpecError, match="did you mean 'isotonic'"):
        fit_calibrator("isotoni", np.zeros(2), np.array([0.0, 1]))
