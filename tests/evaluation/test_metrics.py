"""Each metric against scikit-learn, a published definition, or a calculation by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from riskmodels.evaluation import (
    auroc,
    average_precision,
    brier,
    calibration_intercept,
    calibration_slope,
    evaluate,
    expected_calibration_error,
    format_interval,
    format_metric,
    metric_label,
    net_benefit,
)


def sample(n=500, seed=0, digits=2):
    """Return outcomes, rounded risks (with ties) and whole weights, some of them 0."""
    random = np.random.default_rng(seed)
    p = np.round(random.beta(2, 8, n), digits)
    return (random.random(n) < p).astype(int), p, random.integers(0, 4, n).astype(float)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(auroc, roc_auc_score), (average_precision, average_precision_score), (brier, brier_score_loss)],
    ids=["auroc", "average precision", "brier"],
)
def test_equals_scikit_learn_with_ties_and_weights(ours, theirs, weighted, seed):
    y, p, w = sample(seed=seed)
    w = w if weighted else None
    assert ours(y, p, w) == pytest.approx(theirs(y, p, sample_weight=w), abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_calibration_slope_is_that_of_a_logistic_regression_on_the_logit(weighted):
    y, p, w = sample(2000, digits=3)
    p = np.clip(p, 0.005, 1)
    w = w if weighted else np.ones(len(y))
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(np.log(p / (1 - p))[:, None], y, sample_weight=w)
    assert calibration_slope(y, p, w) == pytest.approx(model.coef_[0, 0], abs=1e-5)


def test_calibration_intercept_makes_the_mean_risk_equal_the_observed_rate():
    y, p, _ = sample(2000, digits=3)
    p = np.clip(p, 0.005, 0.995)
    a = calibration_intercept(y, p)
    assert np.mean(1 / (1 + np.exp(-(a + np.log(p / (1 - p)))))) == pytest.approx(y.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("distort", "slope", "intercept"),
    [
        pytest.param(lambda x: x, 1.0, 0.0, id="the truth"),
        pytest.param(lambda x: 2 * x, 0.5, None, id="twice too extreme"),
        pytest.param(lambda x: x / 2, 2.0, None, id="half too moderate"),
        pytest.param(lambda x: x + 1, 1.0, -1.0, id="too high by one"),
    ],
)
def test_recalibration_finds_how_the_truth_was_distorted(distort, slope, intercept):
    random = np.random.default_rng(3)
    x = random.normal(-1.5, 1, 200_000)
    y = random.random(len(x)) < 1 / (1 + np.exp(-x))
    p = 1 / (1 + np.exp(-distort(x)))
    assert calibration_slope(y, p) == pytest.approx(slope, rel=0.02)
    if intercept is not None:
        assert calibration_intercept(y, p) == pytest.approx(intercept, abs=0.02)


def test_recalibration_stands_risks_of_exactly_zero_and_one():
    random = np.random.default_rng(0)
    p = np.r_[0.0, 1.0, np.round(random.beta(1, 3, 500), 2)]
    y = np.r_[1, 0, random.random(500) < p[2:]].astype(int)
    assert 0 < calibration_slope(y, p) < 1
    assert np.isfinite(calibration_intercept(y, p))


def test_calibration_error_by_hand():
    """Two bins of four: risk 0.1 against 1 in 4, risk 0.6 against 2 in 4: (4 x 0.15 + 4 x 0.1) / 8."""
    p = [0.1] * 4 + [0.6] * 4
    y = [1, 0, 0, 0, 1, 1, 0, 0]
    assert expected_calibration_error(y, p, n_bins=2) == pytest.approx(0.125)


def test_rows_of_equal_risk_share_a_bin():
    """Observed 0.5 at risk 0.5 is no error, however the outcomes are sorted within the tie."""
    assert expected_calibration_error([0, 0, 0, 1, 1, 1], [0.5] * 6) == 0


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        pytest.param(0.25, (2 - 1 * (1 / 3)) / 5, id="threshold between risks: 2 true, 1 false of 5"),
        pytest.param(0.3, (2 - 1 * (3 / 7)) / 5, id="a risk at the threshold is flagged"),
        pytest.param(0.9, 0.0, id="nobody flagged"),
        pytest.param(0.05, (2 - 3 * (1 / 19)) / 5, id="everybody flagged"),
    ],
)
def test_net_benefit_by_hand(threshold, expected):
    y, p = [1, 0, 1, 0, 0], [0.8, 0.5, 0.3, 0.2, 0.1]
    assert net_benefit(y, p, threshold) == pytest.approx(expected)


def test_net_benefit_gain_is_over_the_better_of_treating_all_and_none():
    y, p = [1, 0, 1, 0, 0], [0.8, 0.5, 0.3, 0.2, 0.1]
    measured = evaluate(y, p, n_bootstrap=0, thresholds=[0.25, 0.5])
    treat_all = (2 - 3 / 3) / 5
    assert measured["net_benefit_gain@0.25"].value == pytest.approx((2 - 1 / 3) / 5 - treat_all)
    # Treating all at 50% does harm (2 - 3), so none is the better of the two.
    assert measured["net_benefit_gain@0.5"].value == pytest.approx((1 - 1) / 5)


def test_sensitivity_and_ppv_of_the_top_fifth_by_hand():
    """Of ten rows two are flagged; one of the three events is among them."""
    y = [1, 0, 0, 1, 0, 0, 0, 1, 0, 0]
    p = np.arange(10, 0, -1) / 20
    measured = evaluate(y, p, n_bootstrap=0, top=[0.2])
    assert measured["sensitivity@top20%"].value == pytest.approx(1 / 3)
    assert measured["ppv@top20%"].value == pytest.approx(1 / 2)


def test_a_tie_at_the_cut_is_drawn_from_at_random():
    """All ten rows tie, so two flagged rows hold two tenths of the three events."""
    measured = evaluate([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], [0.3] * 10, n_bootstrap=0, top=[0.2])
    assert measured["sensitivity@top20%"].value == pytest.approx(0.2)
    assert measured["ppv@top20%"].value == pytest.approx(0.3)


def test_scaled_brier_is_zero_for_the_mean_and_one_for_certainty():
    y = [1, 0, 0, 0]
    assert evaluate(y, [0.25] * 4, n_bootstrap=0)["scaled_brier"].value == pytest.approx(0)
    assert evaluate(y, y, n_bootstrap=0)["scaled_brier"].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("auroc", 0.65249, "0.652"),
        ("ppv@top10%", 0.2794, "27.9%"),
        ("calibration_intercept", -0.021, "−0.02"),
        ("calibration_intercept", -0.001, "0.00"),
        ("net_benefit@0.1", 0.03912, "0.0391"),
        ("calibration_slope", None, "–"),
    ],
)
def test_numbers_are_written_with_the_digits_that_fit(metric, value, text):
    assert format_metric(metric, value) == text


def test_an_interval_with_a_minus_is_written_with_to():
    assert format_interval("auroc", 0.641, 0.663) == "0.641-0.663"
    assert format_interval("calibration_intercept", -0.05, 0.03) == "−0.05 to 0.03"


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("auroc", "AUROC"),
        ("ppv@top5%", "PPV, top 5% flagged"),
        ("net_benefit@0.15", "Net benefit at 15%"),
    ],
)
def test_metrics_have_names_for_people(metric, label):
    assert metric_label(metric) == label
