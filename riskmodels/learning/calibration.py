"""Calibration: from a booster's raw margin to a probability that means what it says.

Every calibrator is a monotone map of the margin (log-odds), so ranking, and with it the AUROC, stays.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from scipy.special import expit, log_expit

from riskmodels.errors import SpecError, did_you_mean

__all__ = ["CALIBRATIONS", "Calibration", "Calibrator", "calibrator_from_dict", "fit_calibrator"]

Calibration = Literal["platt", "beta", "isotonic"]
CALIBRATIONS = ("platt", "beta", "isotonic")

SMALLEST_SLOPE = 1e-3  # keeps the map increasing where the margin says nothing about the outcome


class Calibrator(Protocol):
    """A monotone map from margin to probability."""

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Return probabilities of the shape of `margin`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON content."""


@dataclass(frozen=True)
class Identity:
    """No calibration: the logistic function of the margin."""

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Return probabilities of the shape of `margin`."""
        return expit(margin)

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON content."""
        return {"method": "none"}


@dataclass(frozen=True)
class Platt:
    """Logistic recalibration: logit(p) = intercept + slope x margin (Platt 1999; Cox 1958)."""

    slope: float
    intercept: float

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Return probabilities of the shape of `margin`."""
        return expit(self.intercept + self.slope * margin)

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON content."""
        return {"method": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True)
class Beta:
    """Beta calibration: logit(p) = c + a ln q - b ln(1 - q), q = expit(margin) (Kull et al. 2017)."""

    a: float
    b: float
    c: float

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Return probabilities of the shape of `margin`."""
        return expit(self.c + self.a * log_expit(margin) - self.b * log_expit(-margin))

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON content."""
        return {"method": "beta", "a": self.a, "b": self.b, "c": self.c}


@dataclass(frozen=True)
class Isotonic:
    """Steps fitted by pooling adjacent violators (Zadrozny and Elkan 2002), linear between them."""

    margins: tuple[float, ...]
    probabilities: tuple[float, ...]

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Return probabilities of the shape of `margin`."""
        return np.interp(margin, self.margins, self.probabilities)

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON content."""
        return {
            "method": "isotonic",
            "margins": list(self.margins),
            "probabilities": list(self.probabilities),
        }


def fit_calibrator(
    method: Calibration | None, margin: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None
) -> Calibrator:
    """Fit a monotone map from margins to the outcomes of patients the booster has not seen.

    Parameters
    ----------
    method : {"platt", "beta", "isotonic"} or None
        Platt has two parameters and is the safe choice below some thousand outcomes; beta has three and can
        bend the tails; isotonic is free and needs many outcomes. None leaves the margin as it is.
    margin : ndarray (n,)
        Raw margins, log-odds.
    y : ndarray (n,)
        Outcomes, 0 or 1.
    weight : ndarray (n,), optional
        Weights of the rows.

    Raises
    ------
    SpecError
        `method` is not known.
    """
    weight = np.ones(len(margin)) if weight is None else weight
    if method is None:
        return Identity()
    if method == "platt":
        slope, intercept = _logistic(margin[:, None], y, weight)
        if slope < SMALLEST_SLOPE:
            slope = SMALLEST_SLOPE
            intercept = _logistic(np.empty((len(y), 0)), y, weight, offset=slope * margin)[0]
        return Platt(float(slope), float(intercept))
    if method == "beta":
        return _fit_beta(margin, y, weight)
    if method == "isotonic":
        return _fit_isotonic(margin, y, weight)
    raise SpecError(f"calibration={method!r} is not known. {did_you_mean(str(method), CALIBRATIONS)}")


def calibrator_from_dict(content: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `to_dict` described."""
    kind = content["method"]
    if kind == "none":
        return Identity()
    if kind == "platt":
        return Platt(content["slope"], content["intercept"])
    if kind == "beta":
        return Beta(content["a"], content["b"], content["c"])
    if kind == "isotonic":
        return Isotonic(tuple(content["margins"]), tuple(content["probabilities"]))
    raise SpecError(f"calibration method {kind!r} is not known. {did_you_mean(str(kind), CALIBRATIONS)}")


def _fit_beta(margin: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibrator:
    design = np.column_stack([log_expit(margin), -log_expit(-margin)])
    a, b, c = _logistic(design, y, weight)
    # A negative coefficient would turn the order of part of the patients round: leave that term out.
    if a < 0 or b < 0:
        keep = int(a < b)
        coefficient, c = _logistic(design[:, [keep]], y, weight)
        a, b = (coefficient, 0.0) if keep == 0 else (0.0, coefficient)
        if coefficient < SMALLEST_SLOPE:
            return fit_calibrator("platt", margin, y, weight)
    return Beta(float(a), float(b), float(c))


def _fit_isotonic(margin: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibrator:
    from sklearn.isotonic import IsotonicRegression

    # No group of patients is certain: keep the ends half an outcome away from 0 and 1.
    edge = 0.5 / max(float(weight.sum()), 1.0)
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(margin, y, weight)
    return Isotonic(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))


def _logistic(
    design: np.ndarray, y: np.ndarray, weight: np.ndarray, offset: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return coefficients, the intercept last, of a logistic regression by Newton's method.

    Outcomes are drawn in by one pseudo-outcome on each side (Platt 1999), so that the fit exists where the
    margin separates the outcomes perfectly; over thousands of rows it changes nothing.
    """
    positive = float(weight[y > 0].sum())
    negative = float(weight[y <= 0].sum())
    target = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    full = np.column_stack([design, np.ones(len(y))])
    beta = np.zeros(full.shape[1])
    beta[-1] = np.log((positive + 1) / (negative + 1)) - float(np.mean(offset))
    loss = np.inf
    for _ in range(100):
        eta = full @ beta + offset
        new = -float(weight @ (target * log_expit(eta) + (1 - target) * log_expit(-eta)))
        p = expit(eta)
        gradient = full.T @ (weight * (p - target))
        hessian = (full * (weight * p * (1 - p))[:, None]).T @ full + 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(hessian, gradient)
        if abs(loss - new) <= 1e-12 * (1 + abs(new)):
            break
        loss = new
        scale = 1.0
        while scale > 1e-6:
            eta = full @ (beta - scale * step) + offset
            if -float(weight @ (target * log_expit(eta) + (1 - target) * log_expit(-eta))) <= loss + 1e-12:
                break
            scale /= 2
        beta = beta - scale * step
    return beta
