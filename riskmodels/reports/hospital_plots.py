"""Figures of hospitals: funnel plot, caterpillar plot and payment."""

from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from riskmodels.reports.style import COLOURS, INK, MUTED, QUIET, figure, note, percent_axis, styled
from riskmodels.reports.writing import entities

__all__ = ["funnel_limits", "plot_caterpillar", "plot_funnel", "plot_payment"]

WORSE, BETTER, USUAL = COLOURS["vermilion"], COLOURS["blue"], "#8a96a5"
# Normal quantiles of the two usual control limits (Spiegelhalter 2005).
LIMITS = {"95": 1.959964, "998": 3.090232}
# Through fewer no curve can be drawn: each has marks of its own, the outer limits the longer ones.
FEWEST_FOR_A_CURVE = 3
MARK = {"95": 16, "998": 34}
ALL_ALIKE = 0.1
MOST_NAMED = 6
MOST_ROWS = 24


def _shown(frame: Any) -> pl.DataFrame:
    rows = nw.from_native(frame, eager_only=True).to_polars()
    if "suppressed" in rows.columns:
        rows = rows.filter(~pl.col("suppressed").fill_null(True))
    return rows.filter(pl.col("ratio").is_not_null())


def _ratio_name(frame: pl.DataFrame) -> str:
    """Return what the ratio is: risk-standardised benchmarks have the predicted number."""
    return "Predicted / expected" if "predicted" in frame.columns else "Observed / expected"


def funnel_limits(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with funnel limits of O/E, worked out where it has none.

    Without limits in the frame the count is taken as normal, its variance as expected x (1 - mean risk),
    which neglects that risks differ between patients.
    """
    if "funnel_lower_95" in frame.columns:
        return frame
    spread = ((1 - pl.col("expected") / pl.col("n")) / pl.col("expected")).sqrt()
    return frame.with_columns(
        (1 + sign * z * spread).clip(0).alias(f"funnel_{side}_{level}")
        for level, z in LIMITS.items()
        for side, sign in (("lower", -1), ("upper", 1))
    )


@styled
def plot_funnel(benchmark: Any) -> Figure:
    """Draw O/E over the expected number of outcomes within 95% and 99.8% control limits.

    Parameters
    ----------
    benchmark : frame
        Entity (first column), n, expected, ratio, suppressed; funnel limits where it has them.
    """
    frame = funnel_limits(_shown(benchmark)).sort("expected")
    drawn, ax = figure(4.7)
    if frame.is_empty():
        note(ax, f"none of the {entities(frame.columns[0])} is large enough to show")
        return drawn
    expected, ratio = frame["expected"].to_numpy(), frame["ratio"].to_numpy()
    sizes = np.geomspace(expected.min() / 1.1, expected.max() * 1.05, 200)
    for level, style, label in (("95", (0, (4, 2)), "95% limits"), ("998", "solid", "99.8% limits")):
        for side in ("lower", "upper"):
            own = frame[f"funnel_{side}_{level}"].to_numpy()
            named = label if side == "upper" else None
            if frame.height < FEWEST_FOR_A_CURVE:
                ax.plot(
                    expected, own, color=QUIET, ls="none", marker="_", ms=MARK[level], mew=1.4, label=named
                )
            else:
                limit = _trend(expected, own, sizes)
                ax.plot(sizes, limit, color=QUIET, lw=1.2, ls=style, label=named)
    ax.axhline(1, color=MUTED, lw=1)
    far = _position(frame)
    for colour, chosen, label in (
        (USUAL, far == 0, "within the limits"),
        (WORSE, far > 0, "more than expected"),
        (BETTER, far < 0, "fewer than expected"),
    ):
        if chosen.any():
            face = [colour if abs(value) != 1 else "white" for value in far[chosen]]
            ax.scatter(
                expected[chosen],
                ratio[chosen],
                s=26,
                c=face,
                edgecolors=colour,
                linewidths=1.3,
                label=label,
                zorder=3,
            )
    wide = expected.max() / max(expected.min(), 1e-9) > 20
    if wide:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(which="minor", visible=False)
        ax.tick_params(which="minor", length=0)
    limits = frame.select(pl.selectors.starts_with("funnel_")).to_numpy()
    edge = np.nanquantile(limits, [0.02, 0.98])
    low, high = min(ratio.min(), edge[0]), max(ratio.max(), edge[1])
    # Rates that nothing tells apart are all 1, and so are their limits.
    room = 0.08 * (high - low) or ALL_ALIKE
    ax.set_ylim(max(0.0, low - room), high + room)
    _name_farthest(ax, frame, far, np.log(expected) if wide else expected)
    ax.set_xlabel("Expected number with the outcome" + (" (logarithmic)" if wide else ""))
    ax.set_ylabel(_ratio_name(frame))
    drawn.legend(
        *ax.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=3,
        handlelength=1.6,
        columnspacing=1.2,
    )
    return drawn


def _position(frame: pl.DataFrame) -> np.ndarray:
    """Return 0 within the 95% limits, ±1 outside them, ±2 outside the 99.8% limits."""
    ratio = frame["ratio"].to_numpy()
    position = np.zeros(len(ratio))
    for level in ("95", "998"):
        position += ratio > frame[f"funnel_upper_{level}"].to_numpy()
        position -= ratio < frame[f"funnel_lower_{level}"].to_numpy()
    return position


def _name_farthest(ax: Any, frame: pl.DataFrame, far: np.ndarray, place: np.ndarray) -> None:
    """Name the hospitals farthest outside the limits, as far as their names do not lie on each other."""
    expected, ratio = frame["expected"].to_numpy(), frame["ratio"].to_numpy()
    names = frame[frame.columns[0]].cast(pl.String).to_list()
    across = (place - place.min()) / (np.ptp(place) or 1.0)
    low, high = ax.get_ylim()
    up = (ratio - low) / (high - low)
    named: list[int] = []
    for i in np.argsort(-np.abs(ratio - 1) * np.sqrt(expected)):
        near = any(abs(across[i] - across[j]) < 0.25 and abs(up[i] - up[j]) < 0.06 for j in named)
        if far[i] == 0 or near or len(named) == MOST_NAMED:
            continue
        named.append(int(i))
        side = 1 if ratio[i] > 1 else -1
        edge = "right" if across[i] > 0.88 else "left" if across[i] < 0.12 else "center"
        ax.annotate(
            names[i], (expected[i], ratio[i]), xytext=(0, 6 * side), textcoords="offset points",
            ha=edge, va="bottom" if side > 0 else "top", fontsize=10, color=INK,
        )  # fmt: skip


def _trend(expected: np.ndarray, limit: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return a smooth curve through limits that differ a little between hospitals of the same size.

    1 + a / sqrt(expected) + b / expected is the form of a normal limit with a correction for skewness.
    """
    known = np.isfinite(limit) & (limit > 0)
    if known.sum() < FEWEST_FOR_A_CURVE:
        return np.full(len(sizes), np.nan)
    terms = np.stack([1 / np.sqrt(expected), 1 / expected], axis=1)
    a, b = np.linalg.lstsq(terms[known], limit[known] - 1, rcond=None)[0]
    return np.maximum(1 + a / np.sqrt(sizes) + b / sizes, 0)


@styled
def plot_caterpillar(benchmark: Any) -> Figure:
    """Draw O/E with its interval for all hospitals, from the lowest to the highest."""
    frame = _shown(benchmark).sort("ratio")
    drawn, ax = figure(4.7)
    if frame.is_empty():
        note(ax, f"none of the {entities(frame.columns[0])} is large enough to show")
        return drawn
    ratio, lower, upper = (frame[name].to_numpy() for name in ("ratio", "ratio_lower", "ratio_upper"))
    place = np.arange(1, len(ratio) + 1)
    ax.axhline(1, color=MUTED, lw=1)
    for colour, chosen, label in (
        (USUAL, (lower <= 1) & (upper >= 1), "interval holds 1"),
        (WORSE, lower > 1, "more than expected"),
        (BETTER, upper < 1, "fewer than expected"),
    ):
        if chosen.any():
            ax.vlines(
                place[chosen],
                lower[chosen],
                upper[chosen],
                color=colour,
                lw=1.6 if len(ratio) <= 120 else 0.8,
            )
            ax.plot(
                place[chosen],
                ratio[chosen],
                "o",
                ms=4.5 if len(ratio) <= 120 else 2.5,
                color=colour,
                label=label,
            )
    ax.set_ylim(0, min(float(np.nanmax(upper)) * 1.04, float(np.nanquantile(upper, 0.95)) * 2))
    ax.grid(axis="x", visible=False)
    ax.set_xticks([])
    named = entities(frame.columns[0], len(ratio))
    ax.set_xlabel(f"{named}{', lowest ratio to highest' if len(ratio) > 1 else ''}")
    ax.set_ylabel(f"{_ratio_name(frame)}, 95% interval")
    drawn.legend(
        *ax.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=3,
        handlelength=1.2,
        columnspacing=1.2,
    )
    return drawn


@styled
def plot_payment(payment: Any, entity: str = "facility_id") -> Figure:
    """Draw the payment reduction: each penalised hospital with its interval, or their spread where many.

    Parameters
    ----------
    payment : frame
        `entity`, payment_reduction (a share), and where there are draws payment_adjustment_factor_lower and
        payment_adjustment_factor_upper.
    """
    frame = nw.from_native(payment, eager_only=True).to_polars()
    frame = frame.filter(pl.col("payment_reduction").is_not_null())
    penalised = frame.filter(pl.col("payment_reduction") > 0).sort("payment_reduction", entity)
    if penalised.is_empty() or penalised.height > 3 * MOST_ROWS:
        return _spread(frame)
    rows = penalised.tail(MOST_ROWS).to_dicts()
    drawn, ax = figure(max(1.4, 0.25 * len(rows) + 0.75))
    for place, row in enumerate(rows):
        ax.barh(place, row["payment_reduction"], height=0.55, color="#bcd3e8")
        low, high = row.get("payment_adjustment_factor_lower"), row.get("payment_adjustment_factor_upper")
        if low is not None and high is not None:
            ax.plot([1 - high, 1 - low], [place] * 2, color=INK, lw=1.3)
        ax.plot(row["payment_reduction"], place, "o", ms=4, color=INK)
    ax.set_yticks(range(len(rows)), [str(row[entity]) for row in rows])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_xlim(left=0)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(
        "Payment reduction" + (", 95% interval" if "payment_adjustment_factor_lower" in frame.columns else "")
    )
    percent_axis(ax.xaxis)
    return drawn


def _spread(frame: pl.DataFrame) -> Figure:
    drawn, ax = figure(3.9)
    reduction = frame["payment_reduction"].to_numpy()
    none = int((reduction == 0).sum())
    top = max(float(reduction.max()) if len(reduction) else 0.0, 0.005)
    counts, edges = np.histogram(reduction[reduction > 0], np.linspace(0, top, 31))
    ax.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color="#7fb0d6", edgecolor="white", lw=0.6)
    ax.set_xlabel("Payment reduction")
    ax.set_ylabel("Hospitals with a reduction")
    ax.grid(axis="x", visible=False)
    ax.set_xlim(0, top)
    percent_axis(ax.xaxis)
    ax.text(
        0.98,
        0.95,
        f"{none:,} of {len(reduction):,} without a reduction",
        transform=ax.transAxes,
        ha="right",
        va="top",
        color=MUTED,
    )
    return drawn
