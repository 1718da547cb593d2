"""Figures of what stands beside a benchmark: social risk, and change between periods."""

from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from riskmodels.reports.style import COLOURS, MUTED, QUIET, figure, note, percent_axis, styled
from riskmodels.reports.writing import entities

__all__ = ["plot_changes", "plot_social"]


@styled
def plot_social(social: Any) -> Figure:
    """Draw each entity's ratio without and with adjustment for social risk, over its share at risk.

    Parameters
    ----------
    social : frame
        The table ``social`` of a benchmark: a column that ends in ``_share``, ratio, ratio_adjusted,
        peer_median.
    """
    frame = nw.from_native(social, eager_only=True).to_polars()
    share = next(name for name in frame.columns if name.endswith("_share"))
    frame = frame.drop_nulls([share, "ratio", "ratio_adjusted"]).sort(share)
    drawn, ax = figure(4.4)
    if frame.is_empty():
        note(ax, f"none of the {entities(frame.columns[0])} is large enough to show")
        return drawn
    x = frame[share].to_numpy()
    before, after = frame["ratio"].to_numpy(), frame["ratio_adjusted"].to_numpy()
    ax.axhline(1, color=MUTED, lw=1)
    ax.vlines(x, before, after, color=QUIET, lw=1)
    # The hollow ones are larger, so that they are seen around the filled ones where little changes.
    ax.plot(x, before, "o", ms=7.5, mfc="white", mec=COLOURS["blue"], label="without social risk")
    ax.plot(x, after, "o", ms=4, color=COLOURS["vermilion"], label="with social risk expected")
    # The first and last share of a group bound its line: peers are alike in their share.
    for rows in frame.partition_by("peer_group", maintain_order=True):
        ends = rows[share].to_numpy()[[0, -1]]
        ax.plot(ends, [rows["peer_median"][0]] * 2, color=COLOURS["green"], lw=1.6)
    ax.plot([], [], color=COLOURS["green"], lw=1.6, label="median of the peer group")
    ax.set_xlabel(f"Share of stays at risk ({share.removesuffix('_share')})")
    percent_axis(ax.xaxis)
    ax.set_ylabel("Ratio to expected")
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.2)
    return drawn


@styled
def plot_changes(changes: Any) -> Figure:
    """Draw each entity's own part of the last change, with its interval, from the most improved on.

    Parameters
    ----------
    changes : frame
        The table ``changes`` of a benchmark.
    """
    frame = nw.from_native(changes, eager_only=True).to_polars()
    entity = frame.columns[0]
    last = frame["period_to"].max()
    frame = frame.filter((pl.col("period_to") == last) & (pl.col(entity) != "(all)")).drop_nulls("own")
    drawn, ax = figure(4.4)
    if frame.is_empty():
        note(ax, f"none of the {entities(entity)} is large enough to show")
        return drawn
    frame = frame.sort("own")
    own, place = frame["own"].to_numpy(), np.arange(1, frame.height + 1)
    lower, upper = (frame[f"own_{end}"].cast(pl.Float64).to_numpy() for end in ("lower", "upper"))
    ax.axhline(0, color=MUTED, lw=1)
    for colour, chosen, label in (
        ("#8a96a5", ~((lower > 0) | (upper < 0)), "interval holds 0"),
        (COLOURS["vermilion"], lower > 0, "worse"),
        (COLOURS["blue"], upper < 0, "better"),
    ):
        if chosen.any():
            ax.vlines(place[chosen], lower[chosen], upper[chosen], color=colour, lw=1.4)
            ax.plot(place[chosen], own[chosen], "o", ms=4, color=colour, label=label)
    ax.set_xticks([])
    ax.grid(axis="x", visible=False)
    ax.set_xlabel(f"{entities(entity, frame.height)}, {frame['period_from'][0]} to {last}")
    ax.set_ylabel("Own change of the rate, 95% interval")
    percent_axis(ax.yaxis)
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3, columnspacing=1.2)
    return drawn
