"""Put the values of a feature into a few bins that a reader can name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["MISSING", "OTHER", "Binned", "bin_rows", "cut_points", "label_bins"]

Floats = npt.NDArray[np.float64]

MISSING = "missing"
OTHER = "other"


@dataclass(frozen=True)
class Binned:
    """Bin number of each row, the bins' names, and whether the bins have an order."""

    number: pl.Series
    labels: list[str]
    ordered: bool


def bin_rows(values: pl.Series, n_bins: int) -> Binned:
    """Bin numbers at their quantiles, and categories by their `n_bins` most frequent levels."""
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        numbers = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        edges = cut_points(numbers, n_bins)
        found = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="right"))
        labels = ["no", "yes"] if values.dtype == pl.Boolean else label_bins(numbers, edges)
        return Binned(pl.Series(found), [*labels, MISSING], True)
    text = values.cast(pl.String)
    counts = text.drop_nulls().value_counts().sort("count", values.name, descending=[True, False])
    levels = counts[values.name].head(n_bins).to_list()
    position = {level: number for number, level in enumerate(levels)}
    number = [len(levels) + 1 if value is None else position.get(value, len(levels)) for value in text]
    return Binned(pl.Series(number), [*levels, OTHER, MISSING], False)


def cut_points(numbers: Floats, n_bins: int) -> Floats:
    """Return the lowest value of each bin but the first; few distinct values get a bin each."""
    known = numbers[~np.isnan(numbers)]
    distinct = np.unique(known)
    if len(distinct) <= n_bins:
        return distinct[1:]
    edges = np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins, method="inverted_cdf"))
    # Counts are 0 for most patients: all quantiles may fall together, which would leave one bin.
    if len(edges) < 3:
        rest = known[known > distinct[0]]
        edges = np.unique(np.r_[distinct[1], np.quantile(rest, [0.5, 0.8], method="inverted_cdf")])
    return edges[edges > distinct[0]]


def label_bins(numbers: Floats, edges: Floats) -> list[str]:
    """Return ``"0"``, ``"1-2"``, ``"3 or more"`` from the values that each bin holds."""
    known = numbers[~np.isnan(numbers)]
    bins = np.searchsorted(edges, known, side="right")
    labels = []
    for number in range(len(edges) + 1):
        inside = known[bins == number]
        if not len(inside):
            labels.append("–")
            continue
        low, high = inside.min(), inside.max()
        if low == high:
            labels.append(_number(low))
        elif number == len(edges):
            labels.append(f"{_number(low)} or more")
        else:
            labels.append(f"{_number(low)} to {_number(high)}")
    return labels


def _number(value: Any) -> str:
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")
