"""From features to the matrix of a linear model: categories as flags, missing values as flags too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn

__all__ = ["design_matrix"]

FEWEST = 50  # stays: a rarer level goes with the reference, a rarer flag is left out


def design_matrix(
    frame: pl.DataFrame, columns: Sequence["FeatureColumn"], *, fewest: int = FEWEST
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the matrix of a linear model and the names of its columns.

    A number becomes its standardised value and square, with the mean in place of a missing one and a flag
    that says so; a category a flag a level but the most frequent, which with the levels of fewer than
    `fewest` stays is the reference; a flag stays as it is. Columns in which fewer than `fewest` stays differ
    from the rest are left out.

    Parameters
    ----------
    frame : pl.DataFrame, shape (stays, features)
    columns : sequence of FeatureColumn

    Returns
    -------
    matrix : ndarray of float, shape (stays, p)
    names : tuple of str, length p
    """
    parts: list[np.ndarray] = []
    names: list[str] = []

    def keep(name: str, values: Any) -> None:
        array = np.asarray(values, dtype=float)
        if _differing(array) >= fewest:
            parts.append(array)
            names.append(name)

    for column in columns:
        series = frame[column.name]
        if column.kind == "category":
            text = series.cast(pl.String)
            counts = text.drop_nulls().value_counts(sort=True)
            levels = counts.filter(pl.col("count") >= fewest)[column.name].to_list()
            for level in sorted(levels[1:]):
                keep(f"{column.name}={level}", (text == level).fill_null(False).to_numpy())
            continue
        numbers = series.cast(pl.Float64).fill_nan(None)
        missing = numbers.is_null()
        mean = numbers.mean()
        filled = numbers.fill_null(mean if isinstance(mean, float) else 0.0).to_numpy()
        if missing.any():
            keep(f"{column.name} missing", missing.to_numpy())
        spread = filled.std()
        if column.kind == "flag" or spread == 0:
            keep(column.name, filled)
            continue
        standard = (filled - filled.mean()) / spread
        keep(column.name, standard)
        if numbers.n_unique() > 3:
            keep(f"{column.name}²", standard**2)
    if not parts:
        return np.empty((frame.height, 0)), ()
    return np.column_stack(parts), tuple(names)


def _differing(values: np.ndarray) -> int:
    """Return how many values are not the most frequent one."""
    _, counts = np.unique(values, return_counts=True)
    return len(values) - int(counts.max())
