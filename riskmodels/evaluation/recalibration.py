"""Logistic recalibration: how far predicted log-odds are from those that were observed (Cox 1958)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["dot", "fit_intercept", "fit_slope_and_intercept", "logit"]

Floats = npt.NDArray[np.float64]

# A risk of exactly 0 or 1 has no logit; one in a million is closer to both than any claims model can tell.
NEAREST_TO_CERTAIN = 1e-6
# Newton converges quadratically: after a step this short the error is about its square.
ENOUGH = 1e-6
STEPS = 50
# Slopes beyond this mean that the predictions separate the outcomes: the likelihood has no maximum.
LARGEST = 1e3


def dot(a: Floats, b: Floats) -> float:
    """Return the sum of a times b.

    Not by ``a @ b``: its threads cost more than they bring here where other processes use the cores, and the
    order in which they add makes the last digits depend on the machine.
    """
    return float(np.einsum("i,i->", a, b))


def logit(p: Floats) -> Floats:
    """Return log(p / (1 - p)), with p kept at least one in a million away from 0 and 1."""
    p = np.clip(p, NEAREST_TO_CERTAIN, 1 - NEAREST_TO_CERTAIN)
    return np.log(p) - np.log1p(-p)


def _expit(x: Floats) -> Floats:
    # exp overflows to inf for very negative x, which gives the right limit 0.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def fit_intercept(x: Floats, weight: Floats, events: Floats, start: Sequence[float] | Floats = ()) -> float:
    """Return calibration-in-the-large: a of logit(E[y]) = a + x, with x = logit(p) as an offset.

    Below 0 the predictions are too high on average, above 0 too low. NaN where only one class is present.

    Parameters
    ----------
    x : array of float, shape (k,)
        Predicted log-odds.
    weight, events : array of float, shape (k,)
        Weight of all rows, and of rows with an event, at each x.
    start : sequence of one float, optional
        Where to start Newton's iteration.
    """
    total, cases = float(weight.sum()), float(events.sum())
    if not 0 < cases < total:
        return np.nan
    a = start[0] if len(start) and np.isfinite(start[0]) else 0.0
    lower, upper = -LARGEST, LARGEST
    for _ in range(STEPS):
        mu = _expit(a + x)
        gradient = cases - dot(weight, mu)
        # The gradient falls with a, so its sign brackets the root; a step outside is cut to the middle.
        lower, upper = (a, upper) if gradient > 0 else (lower, a)
        curvature = dot(weight, mu * (1 - mu))
        step = gradient / curvature if curvature > 0 else np.inf
        following = a + step
        if not lower <= following <= upper:
            following = (max(lower, -40.0) + min(upper, 40.0)) / 2
        if abs(following - a) < ENOUGH:
            return following
        a = following
    return np.nan


def fit_slope_and_intercept(
    x: Floats, weight: Floats, events: Floats, start: Sequence[float] | Floats = ()
) -> tuple[float, float]:
    """Return b and a of logit(E[y]) = a + b x by maximum likelihood.

    A slope b below 1 says that the predictions are too extreme, above 1 that they are too moderate. Both are
    NaN where only one class is present, where x does not vary, or where x separates the classes.

    Parameters
    ----------
    x, weight, events : array of float, shape (k,)
        As in :func:`fit_intercept`.
    start : sequence of one float, optional
        A slope to start Newton's iteration from.
    """
    total, cases = float(weight.sum()), float(events.sum())
    if not 0 < cases < total:
        return np.nan, np.nan
    hit, missed = x[events > 0], x[weight - events > 0]
    # Without an overlap the likelihood rises for ever; where x is constant this holds too.
    if hit.min() >= missed.max() or missed.min() >= hit.max():
        return np.nan, np.nan
    centre = dot(weight, x) / total
    z = x - centre
    b = start[0] if len(start) and np.isfinite(start[0]) else 1.0
    a = float(np.log(cases / (total - cases)))
    mu = _expit(a + b * z)
    g0, g1 = _gradient(z, weight, events, mu)
    for _ in range(STEPS):
        v = weight * mu * (1 - mu)
        vz = v * z
        h00, h01, h11 = float(v.sum()), float(vz.sum()), dot(vz, z)
        determinant = h00 * h11 - h01 * h01
        if determinant <= 0:
            return np.nan, np.nan
        s0, s1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        uphill = g0 * s0 + g1 * s1
        # The log-likelihood is concave: a step that went far past the top of its own line is too long.
        for _ in range(STEPS):
            mu = _expit(a + s0 + (b + s1) * z)
            n0, n1 = _gradient(z, weight, events, mu)
            if n0 * s0 + n1 * s1 >= -0.5 * uphill:
                break
            s0, s1, uphill = s0 / 2, s1 / 2, uphill / 2
        a, b, g0, g1 = a + s0, b + s1, n0, n1
        if abs(b) > LARGEST:
            return np.nan, np.nan
        if abs(s0) < ENOUGH and abs(s1) < ENOUGH:
            return b, a - b * centre
    return np.nan, np.nan


def _gradient(z: Floats, weight: Floats, events: Floats, mu: Floats) -> tuple[float, float]:
    residual = events - weight * mu
    return float(residual.sum()), dot(residual, z)
