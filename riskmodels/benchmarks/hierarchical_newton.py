"""Newton's method for the hierarchical likelihood, with what keeps it on its way."""

import math
from dataclasses import dataclass

import numpy as np

from riskmodels.benchmarks.hierarchical_likelihood import Evaluation, Likelihood

__all__ = ["MOST_LOG_VARIANCE", "Maximum", "beginning", "maximise"]

TOLERANCE = 1e-8  # twice the log-likelihood still to be gained, when the last step is taken
MOST_STEPS = 60
LONGEST_LOG_VARIANCE_STEP = 2.0
NO_VARIANCE = 1e-3  # variance x mean information of an entity below which the boundary is tried
MOST_LOG_VARIANCE = math.log(
    16.0
)  # a standard deviation of 4 log-odds: more is no estimate but a lack of one
LEAST_START = 1e-3  # variance to begin with
START_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a likelihood is highest: coefficients, variance, effects, and how the search ended."""

    coefficients: np.ndarray
    variance: float
    modes: np.ndarray
    mode_variance: np.ndarray
    evaluation: Evaluation
    converged: bool
    steps: int
    gain: float


def maximise(
    likelihood: Likelihood,
    coefficients: np.ndarray,
    weights: np.ndarray,
    *,
    log_variance: float | None = None,
    modes: np.ndarray | None = None,
    plain: Evaluation | None = None,
    tolerance: float = TOLERANCE,
) -> Maximum:
    """Maximise a likelihood by Newton's method with safeguards.

    Parameters
    ----------
    coefficients : ndarray, shape (p,)
        Where to begin.
    weights : ndarray, shape (entities,)
        How often each entity counts; a bootstrap sample of entities is nothing else.
    log_variance, modes
        Where to begin; by moments without them.
    plain : Evaluation
        What `Likelihood.plain` gave last, at these coefficients, if it is known.
    """
    if log_variance is None or modes is None:
        plain = plain or likelihood.plain(coefficients, weights)
        slope, bend = likelihood.variance_slope(weights)
        coefficients = coefficients + np.clip(_newton(plain), -3, 3)
        if slope <= 0 and likelihood.adjustment == 0:
            edge = _boundary(likelihood, coefficients, weights)
            slope, bend = likelihood.variance_slope(weights)
            if slope <= 0:
                return edge
            coefficients = edge.coefficients
        log_variance, modes = math.log(min(max(slope / bend, LEAST_START), 4.0)), plain.modes
    point = np.append(coefficients, log_variance)
    now = likelihood.at(point[:-1], point[-1], modes, weights)
    gain, steps, converged = math.inf, 0, False
    while steps < MOST_STEPS:
        steps += 1
        step = _newton(now)
        if point[-1] >= MOST_LOG_VARIANCE and now.gradient[-1] > 0:  # at the bound: the others alone
            step = np.append(np.linalg.solve(-now.hessian[:-1, :-1], now.gradient[:-1]), 0.0)
        gain = float(now.gradient @ step)
        if gain < tolerance:
            converged = True
            break
        step = _within(now, step, MOST_LOG_VARIANCE - float(point[-1]))
        for _ in range(30):
            following = likelihood.at(point[:-1] + step[:-1], point[-1] + step[-1], now.modes, weights)
            if following.value >= now.value - 1e-9 * abs(now.value):
                break
            step = step / 2
        point, now = point + step, following
        small = math.exp(point[-1]) * _information(likelihood, weights) < NO_VARIANCE
        if small and now.gradient[-1] < 0 and likelihood.adjustment == 0:
            edge = _boundary(likelihood, point[:-1], weights)
            if likelihood.variance_slope(weights)[0] <= 0 or edge.evaluation.value >= now.value:
                return edge
    point = point + step if converged else point
    final = likelihood.modes_at(point[:-1], point[-1], now.modes)
    return Maximum(point[:-1], math.exp(point[-1]), *final, now, converged, steps, gain)


def _information(likelihood: Likelihood, weights: np.ndarray) -> float:
    return float(weights @ likelihood.sums[:, 2] / weights.sum())


def _newton(now: Evaluation) -> np.ndarray:
    """Return Newton's step; uphill too where the Hessian is not negative definite."""
    information = -now.hessian
    try:
        np.linalg.cholesky(information)
        return np.linalg.solve(information, now.gradient)
    except np.linalg.LinAlgError:
        scale = np.sqrt(np.maximum(np.abs(np.diag(information)), 1e-12))
        values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
        values = np.maximum(np.abs(values), 1e-6 * np.abs(values).max())
        return np.asarray(vectors @ ((vectors.T @ (now.gradient / scale)) / values) / scale)


def _within(now: Evaluation, step: np.ndarray, room: float) -> np.ndarray:
    """Return a step whose change of log variance is not too long, and which goes uphill still.

    Cut short in one coordinate alone it need not: the coefficients' part belongs to the change of variance
    that was cut. So they are found anew for the change that is left.
    """
    longest = LONGEST_LOG_VARIANCE_STEP
    change = float(np.clip(step[-1], -longest, min(longest, room)))
    if change == step[-1]:
        return step
    gradient, hessian = now.gradient, now.hessian
    rest = np.linalg.solve(-hessian[:-1, :-1], gradient[:-1] + hessian[:-1, -1] * change)
    found = np.append(rest, change)
    return found if gradient @ found > 0 else step * (change / step[-1])


def _plain(
    likelihood: Likelihood, coefficients: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, Evaluation, int, float]:
    """Fit without entity effects."""
    now = likelihood.plain(coefficients, weights)
    steps, gain = 0, math.inf
    while steps < MOST_STEPS:
        step = _newton(now)
        gain = float(now.gradient @ step)
        if gain < TOLERANCE:
            break
        for _ in range(30):
            following = likelihood.plain(coefficients + step, weights)
            if following.value >= now.value - 1e-9 * abs(now.value):
                break
            step = step / 2
        coefficients, now, steps = coefficients + step, following, steps + 1
    return coefficients, now, steps, gain


def _boundary(likelihood: Likelihood, coefficients: np.ndarray, weights: np.ndarray) -> Maximum:
    coefficients, now, steps, gain = _plain(likelihood, coefficients, weights)
    size = len(coefficients)
    hessian = np.zeros((size + 1, size + 1))
    hessian[:-1, :-1] = now.hessian
    edge = Evaluation(now.value, np.append(now.gradient, 0.0), hessian, now.modes, now.mode_variance)
    return Maximum(coefficients, 0.0, now.modes, now.mode_variance, edge, gain < TOLERANCE, steps, gain)


def beginning(likelihood: Likelihood) -> np.ndarray:
    """Return coefficients to begin with: a logistic regression of some rows of all entities."""
    design, outcome, known = likelihood.design, likelihood.outcome, likelihood.offset
    begin = np.zeros(design.shape[1])
    rate = outcome.mean()
    begin[0] = math.log(rate / (1 - rate)) - float(known.mean())
    every = len(outcome) // START_ROWS
    if every < 2:
        return begin
    some = slice(None, None, every)
    part = type(design)(design.matrix[some])
    outcome, known = outcome[some], known[some]
    for _ in range(4):
        risk = 1 / (1 + np.exp(-(known + part.times(begin))))
        information = part.gram(risk * (1 - risk))
        information += 1e-3 * np.diag(np.diag(information)) + 1e-9 * np.eye(len(begin))
        begin += np.clip(np.linalg.solve(information, part.transposed_times(outcome - risk)), -3, 3)
    return begin
