"""What drives predicted risk, in aggregates of SHAP values: no point of any patient."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.errors import DataError
from riskmodels.evaluation.binning import bin_rows
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["DRIVERS_SCHEMA", "summarise_drivers"]

BIN = pl.Struct({"bin": pl.String, "n": pl.Int64, "mean_shap": pl.Float64})
DRIVERS_SCHEMA: dict[str, Any] = {
    "feature": pl.String,
    "label": pl.String,
    "mean_abs_shap": pl.Float64,
    "share": pl.Float64,
    "direction": pl.String,
    "bins": pl.List(BIN),
}
# Below this rank correlation of value and effect neither direction describes a feature.
CLEAR = 0.5


def summarise_drivers(
    shap_values: Any, X: Any, labels: Mapping[str, str] | None = None, *, n_bins: int = 5
) -> pl.DataFrame:
    """Summarise SHAP values by feature, and within a feature by the size of its value.

    Parameters
    ----------
    shap_values : frame, shape (n, n_features)
        SHAP values in log-odds (Lundberg & Lee 2017), one column a feature.
    X : frame, shape (n, n_features or more)
        The features, same rows.
    labels : dict of str to str, optional
        What people call each feature.
    n_bins : int
        Quantile bins of a number, or the most frequent levels of a category; missing values and the other
        levels have a bin of their own.

    Returns
    -------
    DataFrame
        One row a feature, the strongest first: feature, label, mean_abs_shap, share (of the sum over all),
        direction ("higher raises risk", "higher lowers risk", "mixed", "by level"), bins (bin, n, mean_shap;
        bins of fewer than 11 rows are left out).

    Raises
    ------
    DataError
        Where the frames differ in rows, or X lacks a feature.
    """
    effects = nw.from_native(shap_values, eager_only=True).to_polars()
    values = nw.from_native(X, eager_only=True).to_polars()
    if effects.height != values.height or not effects.height:
        raise DataError(
            f"shap_values has {effects.height:,} rows and X has {values.height:,}",
            fix="explain the rows of X",
        )
    if missing := [name for name in effects.columns if name not in values.columns]:
        raise DataError(f"X lacks {missing[0]!r}, which shap_values explains", fix="give the frame explained")
    rows = [_one(effects[name], values[name], n_bins) for name in effects.columns]
    total = sum(row["mean_abs_shap"] for row in rows) or 1.0
    for row in rows:
        row |= {
            "label": (labels or {}).get(row["feature"], row["feature"]),
            "share": row["mean_abs_shap"] / total,
        }
    return pl.DataFrame(rows, schema=DRIVERS_SCHEMA).sort(
        "mean_abs_shap", "feature", descending=[True, False]
    )


def _one(effect: pl.Series, value: pl.Series, n_bins: int) -> dict[str, Any]:
    effect = effect.cast(pl.Float64)
    binned = bin_rows(value, n_bins)
    frame = (
        pl.DataFrame({"number": binned.number, "effect": effect})
        .group_by("number")
        .agg(n=pl.len().cast(pl.Int64), mean_shap=pl.col("effect").mean())
        .filter(pl.col("n") >= SMALLEST_CELL)
        .sort("number")
    )
    bins = [
        {"bin": binned.labels[row["number"]], "n": row["n"], "mean_shap": row["mean_shap"]}
        for row in frame.to_dicts()
    ]
    return {
        "feature": effect.name,
        "mean_abs_shap": float(effect.abs().mean() or 0.0),  # type: ignore[arg-type]
        "direction": _direction(effect, value) if binned.ordered else "by level",
        "bins": bins,
    }


def _direction(effect: pl.Series, value: pl.Series) -> str:
    numbers = value.cast(pl.Float64)
    known = (numbers.is_not_nan() & numbers.is_not_null()).fill_null(False)
    ranks = np.array([series.filter(known).rank().to_numpy() for series in (numbers, effect)])
    if not ranks.size or (np.ptp(ranks, axis=1) == 0).any():
        return "mixed"
    correlation = np.corrcoef(ranks)[0, 1]
    if abs(correlation) < CLEAR:
        return "mixed"
    return "higher raises risk" if correlation > 0 else "higher lowers risk"
