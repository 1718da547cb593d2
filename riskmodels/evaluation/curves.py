"""Curves as plain lists: ROC, precision-recall, calibration, decision curve and the spread of the risks."""

from typing import Any

import numpy as np
import numpy.typing as npt

from riskmodels.evaluation.bootstrap import percentiles
from riskmodels.evaluation.ranked import Ranked, Tied
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["Curves"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

# A grid, not the model's own steps: a step of a ROC curve is a patient. Points that rest on 1 to 10 rows,
# right or wrong, flagged or not, are left out.
GRID = np.linspace(0, 1, 101)
THRESHOLD_GRID = np.arange(1, 61) / 100
HISTOGRAM = np.linspace(0, 1, 51)


class Curves:
    """Curves of one set of rows, with intervals from the draws that are added.

    Parameters
    ----------
    ranked : Ranked
        The rows.
    """

    def __init__(self, ranked: Ranked) -> None:
        self.ranked = ranked
        self.tied = ranked.weigh(np.ones(len(ranked.order)))
        self.bins = _safe_bins(self.tied, ranked.bins)
        self.rates: list[Floats] = []
        self.benefits: list[Floats] = []

    def add(self, tied: Tied) -> None:
        """Take in one bootstrap draw."""
        self.rates.append(self._observed(tied))
        self.benefits.append(_net_benefit(tied))

    def to_dict(self, level: float) -> dict[str, dict[str, list[Any]]]:
        """Return the curves as lists; None stands for what is not defined."""
        curves = {
            "calibration": self._calibration(level),
            "decision": self._decision(level),
            "histogram": self._histogram(),
            **self._discrimination(),
        }
        return {
            name: {key: _plain(values) for key, values in curve.items()} for name, curve in curves.items()
        }

    def _observed(self, tied: Tied) -> Floats:
        weight = np.add.reduceat(tied.weight, self.bins)
        events = np.add.reduceat(tied.events, self.bins)
        return np.divide(events, weight, out=np.full(len(weight), np.nan), where=weight > 0)

    def _calibration(self, level: float) -> dict[str, Floats]:
        n = np.add.reduceat(self.tied.weight, self.bins)
        mean = np.add.reduceat(self.tied.weight * self.tied.risk, self.bins) / n
        observed = self._observed(self.tied)
        lower, upper = percentiles(np.array(self.rates).reshape(-1, len(n)), level)
        if self._few():
            observed = lower = upper = np.full(len(n), np.nan)
        # Bins lie by falling risk; a plot reads from the left.
        return {
            "risk": mean[::-1],
            "observed": observed[::-1],
            "lower": lower[::-1],
            "upper": upper[::-1],
            "n": n[::-1],
        }

    def _decision(self, level: float) -> dict[str, Floats]:
        rate = self.tied.events.sum() / self.tied.weight.sum()
        lower, upper = percentiles(np.array(self.benefits).reshape(-1, len(THRESHOLD_GRID)), level)
        true, chosen = _flagged(self.tied)
        shown = {"model": _net_benefit(self.tied), "lower": lower, "upper": upper}
        small = self._small(true, chosen - true)
        treat_all = rate - (1 - rate) * THRESHOLD_GRID / (1 - THRESHOLD_GRID)
        return {
            "threshold": THRESHOLD_GRID,
            **{name: np.where(small, np.nan, values) for name, values in shown.items()},
            "treat_all": np.full(len(THRESHOLD_GRID), np.nan) if self._few() else treat_all,
        }

    def _histogram(self) -> dict[str, Floats]:
        rows, _ = np.histogram(self.tied.risk, HISTOGRAM, weights=self.tied.weight)
        rows = np.where((rows > 0) & (rows < SMALLEST_CELL), np.nan, rows)
        return {"low": HISTOGRAM[:-1], "high": HISTOGRAM[1:], "rows": rows}

    def _discrimination(self) -> dict[str, dict[str, Floats]]:
        true = np.r_[0.0, np.cumsum(self.tied.events)]
        flagged = np.r_[0.0, np.cumsum(self.tied.weight)]
        false = flagged - true
        if true[-1] == 0 or false[-1] == 0:
            nothing = np.full(len(GRID), np.nan)
            return {
                "roc": {"false_positive_rate": GRID, "true_positive_rate": nothing},
                "precision_recall": {"recall": GRID, "precision": nothing},
            }
        # The last point at each rate: where the curve rises straight up, its top.
        last = np.append(np.diff(false) > 0, True)
        rate = np.interp(GRID, (false / false[-1])[last], (true / true[-1])[last])
        first = np.searchsorted(true / true[-1], np.maximum(GRID, 1 / true[-1]) - 1e-12)
        precision = true[first] / flagged[first]
        small = self._small(rate * true[-1], GRID * false[-1])
        return {
            "roc": {"false_positive_rate": GRID, "true_positive_rate": np.where(small, np.nan, rate)},
            "precision_recall": {
                "recall": GRID,
                "precision": np.where(self._small(true[first], false[first]), np.nan, precision),
            },
        }

    def _few(self) -> bool:
        """Tell whether the rows with, or without, an event are too few to show any count."""
        events, rows = self.tied.events.sum(), self.tied.weight.sum()
        return bool(min(events, rows - events) < SMALLEST_CELL)

    def _small(self, true: Floats, false: Floats) -> Any:
        """Tell at which cuts the events or non-events on either side number 1 to 10."""
        events, rows = self.tied.events.sum(), self.tied.weight.sum()
        counts = np.stack([true, false, events - true, rows - events - false])
        # Interpolated counts are no whole numbers: 0.2 rows are none.
        return np.any((counts > 0.5) & (counts < SMALLEST_CELL), axis=0)


def _flagged(tied: Tied) -> tuple[Floats, Floats]:
    """Return the events and the rows at or above each threshold."""
    flagged = np.searchsorted(-tied.risk, -THRESHOLD_GRID, side="right")
    return np.r_[0.0, np.cumsum(tied.events)][flagged], np.r_[0.0, np.cumsum(tied.weight)][flagged]


def _net_benefit(tied: Tied) -> Floats:
    true, chosen = _flagged(tied)
    return (true - (chosen - true) * THRESHOLD_GRID / (1 - THRESHOLD_GRID)) / tied.weight.sum()


def _safe_bins(tied: Tied, bins: Integers) -> Integers:
    """Join neighbouring bins until each holds at least 11 events and 11 non-events."""
    events, weight = np.cumsum(tied.events), np.cumsum(tied.weight)
    starts = [0]
    for start in bins[1:]:
        done = (events[starts[-1] - 1], weight[starts[-1] - 1]) if starts[-1] else (0.0, 0.0)
        inside = (events[start - 1] - done[0], weight[start - 1] - done[1])
        rest = (events[-1] - events[start - 1], weight[-1] - weight[start - 1])
        if all(min(e, w - e) >= SMALLEST_CELL for e, w in (inside, rest)):
            starts.append(int(start))
    return np.array(starts)


def _plain(values: Floats) -> list[Any]:
    return [None if not np.isfinite(value) else round(float(value), 6) for value in values]
