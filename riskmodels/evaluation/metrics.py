"""The metrics one by one, on any weights; what each is called and how it is written."""

from typing import Any

import numpy as np
import numpy.typing as npt

from riskmodels.evaluation.inputs import outcomes, predictions
from riskmodels.evaluation.ranked import BINS, Layout, measure, rank_rows

__all__ = [
    "auroc",
    "average_precision",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "expected_calibration_error",
    "format_interval",
    "format_metric",
    "metric_label",
    "net_benefit",
]

Floats = npt.NDArray[np.float64]

LABELS = {
    "auroc": "AUROC",
    "auprc": "AUPRC (average precision)",
    "brier": "Brier score",
    "scaled_brier": "Scaled Brier score",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
    "ece": "Expected calibration error",
    "observed_rate": "Observed rate",
    "mean_risk": "Mean predicted risk",
    "observed_expected": "Observed/expected",
    "r2": "R²",
    "mae": "Mean absolute error",
    "cpm": "Cumming's measure",
    "predictive_ratio": "Expected/spent",
}


def metric_label(metric: str) -> str:
    """Return a metric's name for people: ``"ppv@top5%"`` is ``"PPV, top 5% flagged"``."""
    name, _, at = metric.partition("@")
    if name in ("sensitivity", "ppv"):
        return f"{'PPV' if name == 'ppv' else 'Sensitivity'}, top {at.removeprefix('top')} flagged"
    if name == "net_benefit":
        return f"Net benefit at {float(at):.0%}"
    if name == "net_benefit_gain":
        return f"Net benefit at {float(at):.0%}, over the better of all and none"
    return LABELS.get(metric, metric)


def format_metric(metric: str, value: float | None) -> str:
    """Write a value of a metric with the digits that fit it."""
    if value is None or not np.isfinite(value):
        return "–"
    name = metric.partition("@")[0]
    if name in ("sensitivity", "ppv", "observed_rate", "mean_risk"):
        return _minus(f"{value:.1%}")
    if name == "mae":
        return f"${value:,.0f}"
    digits = 4 if name in ("net_benefit", "net_benefit_gain", "ece", "brier") else 3
    digits = 2 if name in ("calibration_slope", "calibration_intercept", "observed_expected") else digits
    return _minus(f"{value:.{digits}f}")


def _minus(text: str) -> str:
    return text.replace("-", "−") if text.strip("-0.%") else text.removeprefix("-")


def format_interval(metric: str, lower: float | None, upper: float | None) -> str:
    """Write an interval: ``"0.641-0.663"``, with "to" where a minus would make a dash ambiguous."""
    if lower is None or upper is None or not (np.isfinite(lower) and np.isfinite(upper)):
        return ""
    low, high = format_metric(metric, lower), format_metric(metric, upper)
    return f"{low} to {high}" if "−" in low + high else f"{low}-{high}"


def _one(metric: str, y: Any, p: Any, weights: Any, *, layout: Layout, n_bins: int = BINS) -> float:
    truth, risk = outcomes(y), predictions(p, len(y), probability=layout.probability)
    ranked = rank_rows(truth, risk, n_bins=n_bins)
    w = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=np.float64)
    return float(measure(ranked, ranked.weigh(w[ranked.order]), layout)[layout.names.index(metric)])


def auroc(y: Any, p: Any, weights: Any = None) -> float:
    """Return the area under the ROC curve, ties counted one half (Hanley & McNeil 1982)."""
    return _one("auroc", y, p, weights, layout=Layout(probability=False))


def average_precision(y: Any, p: Any, weights: Any = None) -> float:
    """Return the area under the precision-recall steps: sum of precision times the gain in recall."""
    return _one("auprc", y, p, weights, layout=Layout(probability=False))


def brier(y: Any, p: Any, weights: Any = None) -> float:
    """Return the mean squared difference of outcome and predicted risk (Brier 1950)."""
    return _one("brier", y, p, weights, layout=Layout())


def calibration_slope(y: Any, p: Any, weights: Any = None) -> float:
    """Return b of logit(E[y]) = a + b logit(p) (Cox 1958)."""
    return _one("calibration_slope", y, p, weights, layout=Layout())


def calibration_intercept(y: Any, p: Any, weights: Any = None) -> float:
    """Return calibration-in-the-large: a of logit(E[y]) = a + logit(p) (Van Calster et al. 2016)."""
    return _one("calibration_intercept", y, p, weights, layout=Layout())


def expected_calibration_error(y: Any, p: Any, weights: Any = None, *, n_bins: int = BINS) -> float:
    """Return the mean distance of observed rate and mean risk over quantile bins (Naeini et al. 2015)."""
    return _one("ece", y, p, weights, layout=Layout(), n_bins=n_bins)


def net_benefit(y: Any, p: Any, threshold: float, weights: Any = None) -> float:
    """Return (true positives - false positives x odds of the threshold) / rows (Vickers & Elkin 2006)."""
    return _one(f"net_benefit@{threshold:g}", y, p, weights, layout=Layout(thresholds=(threshold,)))
