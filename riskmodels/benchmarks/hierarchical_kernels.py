"""Kernels of the hierarchical model: what has to be done entity by entity, in one pass over the rows.

Rows are sorted by entity: those of entity j are `start[j]` to `start[j + 1]`. The rows of a hospital fit the
processor's first cache, so that all Newton steps towards its effect cost little more than one.
"""

import numpy as np
from numba import njit

__all__ = [
    "conditional_modes",
    "gathered",
    "gram",
    "quadrature",
    "row_terms",
    "segment_sums",
    "sums_of_risk",
]

MOST_STEPS = 100
LONGEST_STEP = 3.0  # log-odds: keeps the first steps from a far start within what the curvature tells


@njit(cache=True, nogil=True)
def gathered(design, order):  # type: ignore[no-untyped-def]
    """Return the rows in `order` with a column of ones in front, in one pass."""
    found = np.empty((len(order), design.shape[1] + 1))
    for i in range(len(order)):
        found[i, 0] = 1.0
        for c in range(design.shape[1]):
            found[i, c + 1] = design[order[i], c]
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def conditional_modes(eta, outcome, start, precision, mode, tolerance):  # type: ignore[no-untyped-def]
    """Find the mode of each entity's effect given its rows; return the most steps that one took.

    `mode` holds where to begin and is written. The mode solves sum(outcome - risk) = precision x effect, a
    concave problem of one unknown.
    """
    most = 0
    for j in range(len(start) - 1):
        first, last = start[j], start[j + 1]
        events = 0.0
        for i in range(first, last):
            events += outcome[i]
        effect = mode[j]
        for step_number in range(MOST_STEPS):
            slope, curvature = events - precision * effect, precision
            for i in range(first, last):
                risk = 1.0 / (1.0 + np.exp(-(eta[i] + effect)))
                slope -= risk
                curvature += risk * (1.0 - risk)
            step = slope / curvature
            step = min(max(step, -LONGEST_STEP), LONGEST_STEP)
            effect += step
            most = max(most, step_number + 1)
            if abs(step) < tolerance:
                break
        mode[j] = effect
    return most


@njit(cache=True, nogil=True, error_model="numpy")
def row_terms(eta, outcome, start, mode, residual, weight, third, fourth, sums):  # type: ignore[no-untyped-def]
    """Fill what the likelihood and its derivatives need at the given effects.

    Rows: residual y - p, weight w = p(1-p) and its first two derivatives in the log-odds. Entities, in
    `sums`: log-likelihood, sums of residual, weight, third and fourth.
    """
    for j in range(len(start) - 1):
        likelihood, total, information, skew, tail = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(start[j], start[j + 1]):
            log_odds = eta[i] + mode[j]
            small = np.exp(-abs(log_odds))
            risk = 1.0 / (1.0 + small)
            if log_odds < 0.0:
                risk = 1.0 - risk
                likelihood += outcome[i] * log_odds - np.log1p(small)
            else:
                likelihood += (outcome[i] - 1.0) * log_odds - np.log1p(small)
            residual[i] = outcome[i] - risk
            weight[i] = small / ((1.0 + small) * (1.0 + small))
            third[i] = weight[i] * (1.0 - 2.0 * risk)
            fourth[i] = weight[i] * (1.0 - 6.0 * weight[i])
            total += residual[i]
            information += weight[i]
            skew += third[i]
            tail += fourth[i]
        sums[j, 0], sums[j, 1], sums[j, 2] = likelihood, total, information
        sums[j, 3], sums[j, 4] = skew, tail


@njit(cache=True, nogil=True, error_model="numpy")
def segment_sums(design, values, start):  # type: ignore[no-untyped-def]
    """Return the sums over each entity's rows of design x value: (values, entities, columns)."""
    n_entities, n_values, n_columns = len(start) - 1, values.shape[0], design.shape[1]
    total = np.zeros((n_values, n_entities, n_columns))
    for j in range(n_entities):
        for i in range(start[j], start[j + 1]):
            for v in range(n_values):
                value = values[v, i]
                for c in range(n_columns):
                    total[v, j, c] += value * design[i, c]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def gram(design, values):  # type: ignore[no-untyped-def]
    """Return the sum over rows of x x' value.

    Cells of 0 are passed over: of the flags of conditions most are. That, and half the matrix only, beats a
    general matrix product.
    """
    n_columns = design.shape[1]
    total = np.zeros((n_columns, n_columns))
    for i in range(design.shape[0]):
        value = values[i]
        for a in range(n_columns):
            cell = value * design[i, a]
            if cell != 0.0:
                for b in range(a, n_columns):
                    total[a, b] += cell * design[i, b]
    for a in range(n_columns):
        for b in range(a):
            total[a, b] = total[b, a]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def quadrature(eta, outcome, start, effect, log_likelihood, risk_at):  # type: ignore[no-untyped-def]
    """Fill each entity's log-likelihood at each of its nodes, and each row's risk there.

    effect : (entities, nodes); log_likelihood : (entities, nodes); risk_at : (nodes, rows).
    """
    for j in range(len(start) - 1):
        for k in range(effect.shape[1]):
            total = 0.0
            for i in range(start[j], start[j + 1]):
                log_odds = eta[i] + effect[j, k]
                small = np.exp(-abs(log_odds))
                if log_odds < 0.0:
                    risk_at[k, i] = small / (1.0 + small)
                    total += outcome[i] * log_odds - np.log1p(small)
                else:
                    risk_at[k, i] = 1.0 / (1.0 + small)
                    total += (outcome[i] - 1.0) * log_odds - np.log1p(small)
            log_likelihood[j, k] = total


@njit(cache=True, nogil=True, error_model="numpy")
def sums_of_risk(eta, start, effect, total):  # type: ignore[no-untyped-def]
    """Fill `total` with each entity's sum of expit(eta + effect)."""
    for j in range(len(start) - 1):
        found = 0.0
        for i in range(start[j], start[j + 1]):
            found += 1.0 / (1.0 + np.exp(-(eta[i] + effect[j])))
        total[j] = found
