"""Figures of how good a model is and what drives it."""

import textwrap
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from riskmodels.evaluation import Evaluation, metric_label
from riskmodels.reports.style import (
    BAND,
    COLOURS,
    INK,
    MUTED,
    QUIET,
    figure,
    note,
    percent_axis,
    styled,
)

__all__ = [
    "plot_calibration",
    "plot_decision_curve",
    "plot_drivers",
    "plot_groups",
    "plot_precision_recall",
    "plot_roc",
]

BLUE = COLOURS["blue"]
DIRECTION_COLOURS = {"higher raises risk": COLOURS["vermilion"], "higher lowers risk": BLUE}
WITHHELD = "withheld: too few rows with, or without, the outcome"
# A curve through fewer points than this would show the lines between them.
FEWEST_POINTS = 10
LONGEST_GAP = 5
OTHER_DIRECTION = "depends on the value"


def _array(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _bridged(values: np.ndarray) -> np.ndarray:
    """Draw on across a short gap: a few thresholds are withheld where nearly all or none are flagged."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    places = np.arange(len(values))
    before = known[np.clip(np.searchsorted(known, places, side="right") - 1, 0, None)]
    after = known[np.clip(np.searchsorted(known, places), None, len(known) - 1)]
    short = (before <= places) & (places <= after) & (after - before <= LONGEST_GAP)
    return np.where(short, np.interp(places, known, values[known]), values)


def _withheld(drawn: Figure) -> Figure:
    drawn.clear()
    note(drawn.subplots(), WITHHELD)
    drawn.set_figheight(1.6)
    return drawn


@styled
def plot_calibration(evaluation: Evaluation) -> Figure:
    """Draw the observed rate against the predicted risk by quantile bin, over a histogram of the risks."""
    drawn, (ax, below) = figure(4.7, nrows=2, sharex=True, height_ratios=[4, 1])
    curve, spread = evaluation.curves["calibration"], evaluation.curves["histogram"]
    risk, observed, lower, upper = (_array(curve[key]) for key in ("risk", "observed", "lower", "upper"))
    rows = _array(spread["rows"])
    used = np.flatnonzero(np.nan_to_num(rows, nan=1.0) > 0)
    top = np.nanmax([np.array(spread["high"])[used].max() if len(used) else 0.1, np.nanmax(risk) * 1.15])
    limit = min(float(top), float(np.nanmax([*risk, *upper, 0.05]) * 1.45), 1.0)
    ax.plot([0, 1], [0, 1], color=QUIET, lw=1.2, ls=(0, (4, 3)), label="perfect calibration")
    if np.isfinite(observed).any():
        drop = np.nan_to_num(np.clip(observed - lower, 0, None))
        rise = np.nan_to_num(np.clip(upper - observed, 0, None))
        ax.errorbar(
            risk,
            observed,
            [drop, rise],
            fmt="o",
            ms=5.5,
            color=BLUE,
            elinewidth=1.4,
            label="observed, 95% interval",
        )
        ax.legend(loc="best")
    else:
        note(ax, WITHHELD)
    ax.set(xlim=(0, limit), ylim=(0, max(limit, float(np.nanmax([*upper, *observed, 0.05])) * 1.05)))
    ax.set_ylabel("Observed rate")
    low, high = np.array(spread["low"]), np.array(spread["high"])
    below.bar(low, np.nan_to_num(rows), width=high - low, align="edge", color=BAND, edgecolor="white", lw=0.6)
    below.set_xlabel("Predicted risk")
    below.set_ylabel("Rows" if np.nansum(rows) else "withheld")
    below.set_yticks([])
    below.grid(False)
    for axis in (ax.xaxis, ax.yaxis):
        percent_axis(axis)
    return drawn


@styled
def plot_decision_curve(evaluation: Evaluation) -> Figure:
    """Draw the net benefit over the risk threshold, beside flagging everybody and nobody."""
    drawn, ax = figure(3.9)
    curve = {key: _bridged(_array(values)) for key, values in evaluation.curves["decision"].items()}
    threshold, model = curve["threshold"], curve["model"]
    # Beyond three times the event rate few are flagged and all curves lie on zero.
    rate = evaluation.n_events / evaluation.n_rows
    last = float(np.clip(3 * rate, 0.15, 0.6))
    inside = threshold <= last + 1e-9
    ax.fill_between(threshold[inside], curve["lower"][inside], curve["upper"][inside], color=BAND, lw=0)
    ax.plot(threshold[inside], model[inside], color=BLUE, label=evaluation.name)
    ax.plot(
        threshold,
        curve["treat_all"],
        color=COLOURS["vermilion"],
        lw=1.4,
        ls=(0, (5, 2)),
        label="flag everybody",
    )
    ax.axhline(0, color=MUTED, lw=1.2, ls=(0, (1, 2)), label="flag nobody")
    ceiling = max(rate, 0.01)
    ax.set(xlim=(0, last), ylim=(-0.15 * ceiling, 1.05 * ceiling))
    ax.set_xlabel("Risk from which a patient is flagged")
    ax.set_ylabel("Net benefit (true positives a row)")
    percent_axis(ax.xaxis)
    if np.isfinite(model[inside]).sum() < FEWEST_POINTS:
        return _withheld(drawn)
    ax.legend(loc="upper right")
    return drawn


@styled
def plot_roc(evaluation: Evaluation) -> Figure:
    """Draw the ROC curve."""
    drawn, ax = figure(4.3)
    curve = evaluation.curves["roc"]
    ax.plot([0, 1], [0, 1], color=QUIET, lw=1.2, ls=(0, (4, 3)))
    false, true = (_array(curve[key]) for key in ("false_positive_rate", "true_positive_rate"))
    shown = np.isfinite(true)
    area = evaluation["auroc"]
    if shown.sum() >= FEWEST_POINTS:
        ax.plot(np.r_[0, false[shown], 1], np.r_[0, true[shown], 1], color=BLUE)
        ax.text(
            0.96, 0.06, f"AUROC {area.value:.3f}", transform=ax.transAxes, ha="right", color=INK, fontsize=11
        )
    else:
        return _withheld(drawn)
    ax.set(xlim=(0, 1), ylim=(0, 1.005))
    ax.set_xlabel("Flagged among those without the outcome")
    ax.set_ylabel("Flagged among those with it")
    for axis in (ax.xaxis, ax.yaxis):
        percent_axis(axis)
    return drawn


@styled
def plot_precision_recall(evaluation: Evaluation) -> Figure:
    """Draw precision over recall, beside the precision of flagging at random."""
    drawn, ax = figure(4.3)
    curve = evaluation.curves["precision_recall"]
    recall, precision = _array(curve["recall"]), _array(curve["precision"])
    rate = evaluation.n_events / evaluation.n_rows
    steady = np.isfinite(precision)
    ax.plot(recall[steady], precision[steady], color=BLUE)
    if steady.sum() >= FEWEST_POINTS:
        ax.axhline(rate, color=QUIET, lw=1.2, ls=(0, (4, 3)))
        ax.text(0.98, rate * 0.97, "flagged at random", ha="right", va="top", color=MUTED, fontsize=10.5)
        ax.set_ylim(0, min(1.0, float(np.nanmax(precision[steady])) * 1.15))
    else:
        return _withheld(drawn)
    ax.set_xlim(0, 1)
    ax.set_xlabel("Recall: share of the outcomes that is flagged")
    ax.set_ylabel("Precision: share of the flagged with it")
    for axis in (ax.xaxis, ax.yaxis):
        percent_axis(axis)
    return drawn


@styled
def plot_groups(evaluation: Evaluation, metric: str = "auroc") -> Figure:
    """Draw one metric by group with its intervals, beside the value over all."""
    frame = evaluation.by_group.filter((pl.col("metric") == metric) & pl.col("value").is_not_null())
    rows = frame.to_dicts()
    groups = list(dict.fromkeys(row["group"] for row in rows))
    drawn, ax = figure(max(1.2, 0.27 * (len(rows) + 0.7 * len(groups)) + 0.75))
    whole = evaluation[metric].value
    if metric in ("observed_expected", "calibration_slope"):
        ax.axvline(1, color=QUIET, lw=1.2, ls=(0, (4, 3)))
    else:
        ax.axvline(whole, color=QUIET, lw=1.2, ls=(0, (4, 3)))
    position, ticks, labels = 0.0, [], []
    for group in groups:
        ticks.append(position)
        labels.append((group, True))
        position += 1
        for row in (row for row in rows if row["group"] == group):
            if row["lower"] is not None:
                ax.plot([row["lower"], row["upper"]], [position] * 2, color=BLUE, lw=1.6)
            ax.plot(row["value"], position, "o", ms=5, color=BLUE)
            ticks.append(position)
            labels.append((str(row["level"]), False))
            position += 1
        position += 0.4
    ax.set_yticks(ticks, [text for text, _ in labels])
    for tick, (_, heading) in zip(ax.get_yticklabels(), labels, strict=True):
        tick.set(color=INK if heading else MUTED, fontweight="bold" if heading else "normal")
    ax.set_ylim(position, -0.8)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(metric_label(metric))
    if not rows:
        note(ax, "no group large enough to show")
    return drawn


@styled
def plot_drivers(drivers: Any, top: int = 12) -> Figure:
    """Draw the mean absolute SHAP value of the strongest features, coloured by direction.

    Parameters
    ----------
    drivers : frame
        From :func:`riskmodels.evaluation.summarise_drivers`.
    """
    frame = nw.from_native(drivers, eager_only=True).to_polars().head(top)
    rows = frame.to_dicts()
    drawn, ax = figure(max(1.2, 0.46 * len(rows) + 0.85))
    longest = max((row["mean_abs_shap"] for row in rows), default=1.0) or 1.0
    seen = dict.fromkeys(row["direction"] for row in rows)
    for place, row in enumerate(rows):
        colour = DIRECTION_COLOURS.get(row["direction"], "#8a96a5")
        ax.barh(place + 0.22, row["mean_abs_shap"], height=0.3, color=colour)
        label = textwrap.shorten(row["label"], 66, placeholder=" …")
        ax.text(0, place - 0.04, label, va="bottom", ha="left", fontsize=11)
        ax.text(
            row["mean_abs_shap"] + 0.012 * longest, place + 0.22, f"{row['mean_abs_shap']:.3f}",
            va="center", ha="left", color=MUTED, fontsize=10,
        )  # fmt: skip
    named = {name: colour for name, colour in DIRECTION_COLOURS.items() if name in seen}
    if set(seen) - set(named):
        named[OTHER_DIRECTION] = "#8a96a5"
    for name, colour in named.items():
        ax.barh(0, 0, color=colour, label=name)
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, longest * 1.12))
    ax.set_yticks([])
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("Mean absolute SHAP value (log-odds)")
    if len(named) and rows:
        drawn.legend(loc="outside upper left", ncols=3, handlelength=1, columnspacing=1.4)
    return drawn
