"""The marginal likelihood of the hierarchical logistic model, its gradient and its Hessian.

y ~ Bernoulli(expit(offset + x'b + a)), a ~ Normal(0, s²) an entity. The parameters are b and log s².

One quadrature point is the Laplace approximation, what lme4's ``glmer`` maximises by default (Bates et al.,
Journal of Statistical Software 2015;67(1); Breslow & Clayton, JASA 1993;88:9-25). Its gradient and Hessian
here are exact: they follow the conditional modes, whose derivatives come from differentiating the modes' own
equation. With more points the integral is adaptive Gauss-Hermite (Pinheiro & Bates, Journal of Computational
and Graphical Statistics 1995;4:12-35), and the derivatives are Fisher's and Louis' identities (Louis, JRSS B
1982;44:226-233) under the same nodes: the score is the posterior mean of the complete-data score, the
information what is complete less what is missing.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from riskmodels.benchmarks.hierarchical_design import Design
from riskmodels.benchmarks.hierarchical_kernels import conditional_modes, quadrature, row_terms

__all__ = ["Evaluation", "Likelihood"]

TOLERANCE = 1e-9  # log-odds: how closely a conditional mode is found


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The likelihood at a point.

    Parameters
    ----------
    value : float
        Log-likelihood, and log-prior of the ridge where there is one.
    gradient, hessian : ndarray, shapes (p + 1,) and (p + 1, p + 1)
        In the coefficients and log s².
    modes, mode_variance : ndarray, shape (entities,)
        Conditional modes of the effects, and the inverse curvature there, log-odds.
    """

    value: float
    gradient: np.ndarray
    hessian: np.ndarray
    modes: np.ndarray
    mode_variance: np.ndarray


class Likelihood:
    """The likelihood of sorted rows as a function of the parameters.

    Parameters
    ----------
    design : Design
        Rows by columns, sorted by entity.
    outcome, offset : ndarray of float, shape (rows,)
    start : ndarray of int, shape (entities + 1,)
        Where the rows of each entity begin.
    ridge : ndarray of float, shape (columns,)
        Prior precision of each coefficient.
    points : int
        Quadrature points; 1 is Laplace.

    Attributes
    ----------
    adjustment : float
        Power of s² that the likelihood is multiplied with: 0 is maximum likelihood. 1 is the adjustment for
        density maximisation (Morris & Tang, Statistical Science 2011;26:271-287), under which the estimate of
        s² stands for a posterior mean and not for a mode, is never 0, and intervals of the effects hold what
        they should where entities are few.
    """

    def __init__(
        self,
        design: Design,
        outcome: np.ndarray,
        offset: np.ndarray,
        start: np.ndarray,
        ridge: np.ndarray,
        points: int = 1,
    ) -> None:
        self.design, self.outcome, self.offset, self.start = design, outcome, offset, start
        self.ridge, self.points, self.adjustment = ridge, points, 0.0
        rows, entities = len(outcome), len(start) - 1
        self.terms = np.empty((4, rows))  # residual, weight, third, fourth
        self.sums = np.empty((entities, 5))
        if points > 1:
            node, weight = np.polynomial.hermite.hermgauss(points)
            self.node, self.log_weight = math.sqrt(2) * node, np.log(weight) + node**2
            self.risk_at = np.empty((points, rows))

    def log_odds(self, coefficients: np.ndarray) -> np.ndarray:
        """Return offset + x'b of each row."""
        return self.offset + self.design.times(coefficients)

    def plain(self, coefficients: np.ndarray, weights: np.ndarray) -> Evaluation:
        """Return the likelihood without entity effects: ordinary logistic regression."""
        modes = np.zeros(len(self.start) - 1)
        self._row_terms(self.log_odds(coefficients), modes)
        residual, weight = self.terms[0], self.terms[1]
        by_row = self._by_row(weights)
        gradient = self.design.transposed_times(residual * by_row) - self.ridge * coefficients
        hessian = -self.design.gram(weight * by_row) - np.diag(self.ridge)
        value = float(weights @ self.sums[:, 0]) - 0.5 * float(self.ridge @ coefficients**2)
        return Evaluation(value, gradient, hessian, modes, np.zeros_like(modes))

    def variance_slope(self, weights: np.ndarray) -> tuple[float, float]:
        """Return slope and curvature of the likelihood in s² at s² = 0, after `plain`.

        d/ds² = 1/2 Σ over entities of (Σ residual)² - Σ weight: the score test of homogeneity (Commenges &
        Jacqmin-Gadda, JRSS B 1997;59:157-171). Their quotient is a moment estimate of s².
        """
        total, information = self.sums[:, 1], self.sums[:, 2]
        slope = 0.5 * float(weights @ (total**2 - information))
        return slope, 0.5 * float(weights @ information**2)

    def at(
        self, coefficients: np.ndarray, log_variance: float, modes: np.ndarray, weights: np.ndarray
    ) -> Evaluation:
        """Return the likelihood with entity effects; `modes` is where their search begins."""
        precision = math.exp(-log_variance)
        eta, modes = self.log_odds(coefficients), modes.copy()
        conditional_modes(eta, self.outcome, self.start, precision, modes, TOLERANCE)
        if self.points == 1:
            found = self._laplace(eta, log_variance, precision, modes, weights)
        else:
            found = self._quadrature(eta, log_variance, precision, modes, weights)
        value, gradient, hessian, curvature = found
        gradient[:-1] -= self.ridge * coefficients
        hessian[:-1, :-1] -= np.diag(self.ridge)
        gradient[-1] += self.adjustment
        value += self.adjustment * log_variance - 0.5 * float(self.ridge @ coefficients**2)
        return Evaluation(value, gradient, hessian, modes, 1 / curvature)

    def modes_at(
        self, coefficients: np.ndarray, log_variance: float, modes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the conditional modes and variances of all effects, and nothing else."""
        precision = math.exp(-log_variance)
        eta, modes = self.log_odds(coefficients), modes.copy()
        conditional_modes(eta, self.outcome, self.start, precision, modes, TOLERANCE)
        self._row_terms(eta, modes)
        return modes, 1 / (self.sums[:, 2] + precision)

    def _laplace(
        self, eta: np.ndarray, log_variance: float, precision: float, modes: np.ndarray, weights: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        self._row_terms(eta, modes)
        residual, weight, third, fourth = self.terms
        likelihood, _, information, skew, tail = self.sums.T
        curvature = information + precision
        value = likelihood - 0.5 * precision * modes**2 - 0.5 * (np.log(curvature) + log_variance)
        # Rows: the factor of x in the gradient, and in the Hessian that of zz', z = x + d mode / d b.
        by_row = self._by_row
        inverse, lean = 1 / curvature, skew / curvature**2
        first = residual - 0.5 * third * by_row(inverse) + 0.5 * weight * by_row(lean)
        second = weight + 0.5 * (fourth * by_row(inverse) - third * by_row(lean))
        of_weight, of_third, of_second, of_fourth = self.design.segments(
            np.stack([weight, third, second, fourth]), self.start
        )
        moved = -of_weight * inverse[:, None]  # d mode / d b, an entity a row
        pull = precision * modes * inverse  # d mode / d log s²
        bend = of_third + skew[:, None] * moved  # d curvature / d b
        rise = skew * pull - precision  # d curvature / d log s²
        total = information + 0.5 * (tail * inverse - skew * lean)  # Σ second

        gradient = np.empty(len(self.ridge) + 1)
        gradient[:-1] = self.design.transposed_times(first * by_row(weights))
        gradient[-1] = float(weights @ (0.5 * precision * modes**2 - 0.5 - 0.5 * rise * inverse))

        w = weights[:, None]
        cross = of_second.T @ (w * moved)
        hessian = np.empty((len(gradient), len(gradient)))
        hessian[:-1, :-1] = (
            -self.design.gram(second * by_row(weights))
            - (cross + cross.T + moved.T @ (w * total[:, None] * moved))
            - precision * (moved.T @ (w * moved))
            + 0.5 * bend.T @ (w * (inverse**2)[:, None] * bend)
        )
        # d² mode / d b d log s², d² mode / d log s²², and with them the curvature's second derivatives.
        row_tail = of_fourth + tail[:, None] * moved
        mixed = (precision * moved - bend * pull[:, None]) * inverse[:, None]
        bend_rise = row_tail * pull[:, None] + skew[:, None] * mixed
        again = (-skew * pull**2 + 2 * precision * pull - precision * modes) * inverse
        rise_rise = tail * pull**2 + skew * again + precision
        hessian[:-1, -1] = hessian[-1, :-1] = (
            -of_weight * pull[:, None]
            - 0.5 * bend_rise * inverse[:, None]
            + 0.5 * bend * (rise * inverse**2)[:, None]
        ).T @ weights
        hessian[-1, -1] = float(
            weights
            @ (
                -0.5 * precision * modes**2
                + precision * modes * pull
                - 0.5 * rise_rise * inverse
                + 0.5 * (rise * inverse) ** 2
            )
        )
        return float(weights @ value), gradient, hessian, curvature

    def _quadrature(
        self, eta: np.ndarray, log_variance: float, precision: float, modes: np.ndarray, weights: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        self._row_terms(eta, modes)
        curvature = self.sums[:, 2] + precision
        spread = 1 / np.sqrt(curvature)
        effect = modes[:, None] + spread[:, None] * self.node
        at_nodes = np.empty(effect.shape)
        quadrature(eta, self.outcome, self.start, effect, at_nodes, self.risk_at)
        joint = at_nodes - 0.5 * precision * effect**2 + self.log_weight
        highest = joint.max(axis=1, keepdims=True)
        share = np.exp(joint - highest)
        mass = share.sum(axis=1, keepdims=True)
        share /= mass
        value = (highest + np.log(mass))[:, 0] + np.log(spread) - 0.5 * log_variance - 0.5 * math.log(math.pi)
        rows = self._by_row(np.arange(len(modes)))
        by_row = share[rows].T  # (nodes, rows)
        residual = self.outcome - (by_row * self.risk_at).sum(axis=0)
        weight = (by_row * self.risk_at * (1 - self.risk_at)).sum(axis=0)
        weights_by_row = weights[rows]
        score = self.design.segments(self.outcome - self.risk_at, self.start)  # (nodes, entities, columns)
        of_variance = 0.5 * (precision * effect**2 - 1)
        size = len(self.ridge) + 1
        full = np.concatenate([score, of_variance.T[:, :, None]], axis=2)
        mean = np.einsum("jk,kjc->jc", share, full)
        scaled = full * np.sqrt(share * weights[:, None]).T[:, :, None]
        scaled_mean = mean * np.sqrt(weights)[:, None]
        flat = scaled.reshape(-1, size)
        hessian = flat.T @ flat - scaled_mean.T @ scaled_mean
        hessian[:-1, :-1] -= self.design.gram(weight * weights_by_row)
        hessian[-1, -1] -= float(weights @ (0.5 * precision * (share * effect**2).sum(axis=1)))
        gradient = weights @ mean
        gradient[:-1] = self.design.transposed_times(residual * weights_by_row)
        return float(weights @ value), gradient, hessian, curvature

    def _row_terms(self, eta: np.ndarray, modes: np.ndarray) -> None:
        row_terms(eta, self.outcome, self.start, modes, *self.terms, self.sums)

    def _by_row(self, values: np.ndarray) -> Any:
        """Return the value of each row's entity."""
        return np.repeat(values, np.diff(self.start))
