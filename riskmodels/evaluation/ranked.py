"""Rows sorted once by predicted risk, and what any weighting of them says about a model.

A bootstrap draw is a weight for each row: how often its patient was drawn. With the rows sorted once and
weighted anew, a draw costs two sums and a short Newton iteration, and no copy of the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskmodels.evaluation.recalibration import dot, fit_intercept, fit_slope_and_intercept, logit

__all__ = ["BINS", "THRESHOLDS", "TOP", "Layout", "Ranked", "Tied", "measure", "rank_rows"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

BINS = 10
THRESHOLDS = (0.05, 0.10, 0.15, 0.20, 0.30)
TOP = (0.05, 0.10, 0.20)

RANKING = ("auroc", "auprc")
PROBABILITY = (
    "brier",
    "scaled_brier",
    "calibration_slope",
    "calibration_intercept",
    "ece",
    "observed_rate",
    "mean_risk",
    "observed_expected",
)


@dataclass(frozen=True)
class Layout:
    """Which metrics are computed, and in which order they stand in a vector.

    Parameters
    ----------
    thresholds : tuple of float
        Risk thresholds of the net benefit.
    top : tuple of float
        Shares of all rows that are flagged, highest risk first.
    probability : bool
        Whether the predictions are probabilities. For a score (LACE points) only the metrics that depend on
        the order of the rows are computed.
    """

    thresholds: tuple[float, ...] = THRESHOLDS
    top: tuple[float, ...] = TOP
    probability: bool = True

    @property
    def ranking(self) -> tuple[str, ...]:
        """Names of the metrics that depend on the order of the rows alone."""
        flagged = [f"{name}@top{share:.0%}" for share in self.top for name in ("sensitivity", "ppv")]
        return (*RANKING, *flagged)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all metrics, those of :attr:`ranking` first."""
        if not self.probability:
            return self.ranking
        benefit = [f"{name}@{t:g}" for t in self.thresholds for name in ("net_benefit", "net_benefit_gain")]
        return (*self.ranking, *PROBABILITY, *benefit)


@dataclass(frozen=True)
class Ranked:
    """Rows by falling predicted risk; rows of equal risk form one tie.

    Parameters
    ----------
    order : array of int, shape (n_rows,)
        Row numbers of the input.
    events : array of float, shape (n_rows,)
        The outcome (0 or 1) in that order.
    starts : array of int, shape (n_ties,)
        Where each tie starts.
    risk : array of float, shape (n_ties,)
        Predicted risk of each tie, falling.
    bins : array of int
        Where each quantile bin starts, counted in ties.
    """

    order: Integers
    events: Floats
    starts: Integers
    risk: Floats
    bins: Integers

    def weigh(self, weights: Floats) -> "Tied":
        """Sum the weights of all rows, and of the rows with an event, in each tie.

        Parameters
        ----------
        weights : array of float, shape (n_rows,)
            In the order of the rows here (``weights_of_input[ranked.order]``).
        """
        return Tied(
            np.add.reduceat(weights, self.starts),
            np.add.reduceat(weights * self.events, self.starts),
            self.risk,
        )


@dataclass(frozen=True)
class Tied:
    """Weight of all rows and of the rows with an event, by tie, risk falling."""

    weight: Floats
    events: Floats
    risk: Floats


def rank_rows(y: Floats, p: Floats, rows: Integers | None = None, *, n_bins: int = BINS) -> Ranked:
    """Sort rows by falling `p` and mark ties and quantile bins.

    Parameters
    ----------
    y, p : array of float, shape (n,)
        Outcome (0 or 1) and prediction.
    rows : array of int, optional
        The rows to take; all where it is None.
    n_bins : int
        Quantile bins with as near the same number of rows as ties allow.
    """
    chosen = np.arange(len(p)) if rows is None else rows
    order = chosen[np.argsort(-p[chosen], kind="stable")]
    falling = p[order]
    starts = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    wanted = np.arange(n_bins) * len(order) / n_bins
    bins = np.unique(np.searchsorted(starts, wanted, side="right") - 1)
    return Ranked(order, y[order], starts, falling[starts], bins)


def measure(ranked: Ranked, tied: Tied, layout: Layout, near: Floats | None = None) -> Floats:
    """Compute every metric of `layout` on weighted rows; what is not defined is NaN.

    Parameters
    ----------
    near : array of float, optional
        The metrics of nearly the same rows, to start Newton's iterations from.
    """
    below, events = np.cumsum(tied.weight), np.cumsum(tied.events)
    total, cases = below[-1], events[-1]
    values = _ranking(below, events, layout)
    if layout.probability:
        at = layout.names.index("calibration_slope")
        start = () if near is None else near[at : at + 2]
        values += _probability(ranked, tied, total, cases, start)
        for threshold in layout.thresholds:
            values += _net_benefit(tied.risk, below, events, threshold)
    return np.array(values)


def _ranking(weight: Floats, events: Floats, layout: Layout) -> list[float]:
    total, cases = weight[-1], events[-1]
    others = total - cases
    false = weight - events
    if cases > 0 and others > 0:
        # Area under the trapezoids of the ROC curve: a tie counts one half.
        steps = np.diff(false, prepend=0.0)
        heights = events - np.diff(events, prepend=0.0) / 2
        area = dot(steps, heights) / (cases * others)
    else:
        area = np.nan
    if cases > 0:
        precision = np.divide(events, weight, out=np.zeros_like(events), where=weight > 0)
        average = dot(np.diff(events, prepend=0.0), precision) / cases
    else:
        average = np.nan
    values = [area, average]
    for share in layout.top:
        # Inside a tie that the cut goes through, rows are taken as if drawn at random from it.
        caught = np.interp(share * total, np.r_[0.0, weight], np.r_[0.0, events])
        values += [caught / cases if cases > 0 else np.nan, caught / (share * total) if total > 0 else np.nan]
    return values


def _probability(
    ranked: Ranked, tied: Tied, total: float, cases: float, start: Sequence[float] | Floats
) -> list[float]:
    if total <= 0:
        return [np.nan] * len(PROBABILITY)
    weight, events, risk = tied.weight, tied.events, tied.risk
    brier = (dot(events, 1 - 2 * risk) + dot(weight, risk**2)) / total
    rate, mean = cases / total, dot(weight, risk) / total
    spread = rate * (1 - rate)
    x = logit(risk)
    slope, _ = fit_slope_and_intercept(x, weight, events, start[:1])
    intercept = fit_intercept(x, weight, events, start[1:])
    gaps = np.add.reduceat(events - weight * risk, ranked.bins)
    ece = float(np.abs(gaps).sum() / total)
    scaled = 1 - brier / spread if spread > 0 else np.nan
    ratio = rate / mean if mean > 0 else np.nan
    return [brier, scaled, slope, intercept, ece, rate, mean, ratio]


def _net_benefit(risk: Floats, weight: Floats, events: Floats, threshold: float) -> list[float]:
    total, cases = weight[-1], events[-1]
    if total <= 0:
        return [np.nan, np.nan]
    odds = threshold / (1 - threshold)
    flagged = int(np.searchsorted(-risk, -threshold, side="right"))
    true, all_flagged = (events[flagged - 1], weight[flagged - 1]) if flagged else (0.0, 0.0)
    benefit = (true - odds * (all_flagged - true)) / total
    treat_all = (cases - odds * (total - cases)) / total
    return [benefit, benefit - max(treat_all, 0.0)]
