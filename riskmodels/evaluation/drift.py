"""Whether the rows scored today still look like those a model was fitted on."""

from itertools import pairwise
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.errors import DataError
from riskmodels.evaluation.binning import MISSING, OTHER, cut_points
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["SHIFTED", "WATCH", "reference_distribution", "stability"]

N_BINS = 10
MOST_LEVELS = 30
# The bounds in common use (Siddiqi 2006, Credit Risk Scorecards): below 0.1 stable, above 0.25 shifted.
WATCH, SHIFTED = 0.10, 0.25
STABILITY_SCHEMA = {"column": pl.String, "psi": pl.Float64, "verdict": pl.String, "largest_change": pl.String}


def reference_distribution(frame: Any) -> dict[str, dict[str, Any]]:
    """Describe each column by the share of its rows in ten bins, as plain values to keep with a model.

    Parameters
    ----------
    frame : frame
        Features, and the predicted risk under any name. Numbers are binned at their quantiles; levels of a
        category with fewer than 11 rows are joined as ``"other"``.

    Raises
    ------
    DataError
        The frame has no rows.
    """
    rows = nw.from_native(frame, eager_only=True).to_polars()
    if not rows.height:
        raise DataError("the reference frame has no rows", fix="give the rows the model was fitted on")
    return {column.name: _describe(column) for column in rows}


def stability(reference: dict[str, dict[str, Any]], frame: Any) -> pl.DataFrame:
    """Compare a frame with a reference by the population stability index, sum of (c - r) ln(c / r) over bins.

    Parameters
    ----------
    reference : dict
        From :func:`reference_distribution`.
    frame : frame
        The rows of today, with the reference's columns.

    Returns
    -------
    DataFrame
        One row a column, the largest shift first: column, psi, verdict ("stable", "watch", "shifted"),
        largest_change (the bin whose share changed most).

    Raises
    ------
    DataError
        Where a column of the reference is missing, or there are no rows.
    """
    rows = nw.from_native(frame, eager_only=True).to_polars()
    if not rows.height:
        raise DataError("the frame has no rows to compare with the reference", fix="score some rows first")
    if missing := [name for name in reference if name not in rows.columns]:
        raise DataError(f"column {missing[0]!r} of the reference is missing", fix="give all scored features")
    found = [_compare(name, described, rows[name]) for name, described in reference.items()]
    return pl.DataFrame(found, schema=STABILITY_SCHEMA, orient="row").sort(
        "psi", "column", descending=[True, False]
    )


def _describe(column: pl.Series) -> dict[str, Any]:
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        numbers = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        described: dict[str, Any] = {"edges": cut_points(numbers, N_BINS).tolist()}
    else:
        counts = column.cast(pl.String).drop_nulls().value_counts().filter(pl.col("count") >= SMALLEST_CELL)
        kept = counts.sort("count", column.name, descending=[True, False])[column.name].head(MOST_LEVELS)
        described = {"levels": kept.to_list()}
    return described | {"shares": _shares(column, described).tolist(), "n": len(column)}


def _shares(column: pl.Series, described: dict[str, Any]) -> np.ndarray:
    if "edges" in described:
        numbers = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        edges = np.array(described["edges"], dtype=np.float64)
        bins = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="right"))
        size = len(edges) + 2
    else:
        levels = described["levels"]
        position = {level: number for number, level in enumerate(levels)}
        text = column.cast(pl.String)
        bins = np.array([len(levels) + 1 if v is None else position.get(v, len(levels)) for v in text])
        size = len(levels) + 2
    return np.bincount(bins, minlength=size) / len(column)


def _compare(name: str, described: dict[str, Any], column: pl.Series) -> tuple[str, float, str, str]:
    then, now = np.array(described["shares"]), _shares(column, described)
    # An empty bin has no logarithm: it counts as half a row.
    r = np.maximum(then, 0.5 / described["n"])
    c = np.maximum(now, 0.5 / len(column))
    psi = float(((c - r) * np.log(c / r))[(then > 0) | (now > 0)].sum())
    at = int(np.argmax(np.abs(now - then)))
    verdict = "stable" if psi < WATCH else "watch" if psi < SHIFTED else "shifted"
    return name, psi, verdict, f"{_bin_names(described)[at]}: {then[at]:.1%} before, {now[at]:.1%} now"


def _bin_names(described: dict[str, Any]) -> list[str]:
    if "levels" in described:
        return [*described["levels"], OTHER, MISSING]
    edges = [f"{edge:g}" for edge in described["edges"]]
    if not edges:
        return ["any value", MISSING]
    inner = [f"{low} to below {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *inner, f"{edges[-1]} or more", MISSING]
