"""Costs as a user hands them to `fit`, checked; what each part of a cost model learns, and its link."""

from typing import Any

import numpy as np
import polars as pl
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from riskmodels.learning.frames import FitError, as_frame
from riskmodels.learning.inputs import read_groups

__all__ = ["mean_of", "part_of", "patient_numbers", "read_costs"]


def read_costs(
    model: Any, X: Any, y: Any, groups: Any, sample_weight: Any
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Check what `fit` got, note the column names on the model, and leave out rows of weight 0.

    Returns
    -------
    frame, cost, patients, weight

    Raises
    ------
    FitError
        Costs are missing, negative, all 0, or do not fit the rows; or there are too few patients.
    """
    frame = as_frame(X)
    if hasattr(model, "feature_names_in_"):
        del model.feature_names_in_
    if frame is None:
        array = validate_data(model, X, dtype="numeric", ensure_all_finite=False)
        frame = pl.DataFrame({f"x{i}": array[:, i].astype(float) for i in range(array.shape[1])})
    else:
        if frame.width == 0 or frame.height == 0:
            raise FitError(f"the table has {frame.height} rows and {frame.width} columns")
        model.feature_names_in_ = np.array(frame.columns, dtype=object)
        model.n_features_in_ = frame.width
    cost = _amounts(y, frame.height)
    weight = np.asarray(_check_sample_weight(sample_weight, np.empty((len(cost), 1)), dtype=np.float64))
    if (weight < 0).any():
        raise FitError(f"{int((weight < 0).sum())} weights are negative", column="sample_weight")
    patients = read_groups(groups, len(cost))
    kept = weight > 0
    frame, cost, patients, weight = frame.filter(kept), cost[kept], patients[kept], weight[kept]
    if len(cost) == 0 or cost.max() == 0:
        raise FitError("no row of a weight above 0 has a cost: nothing can be learned", column="y")
    if len(np.unique(patients)) < 2 * model.folds:
        raise FitError(
            f"{len(np.unique(patients))} patients are too few for {model.folds} folds "
            f"(n_samples = {len(cost)})"
        )
    return frame, cost, patients, weight


def _amounts(y: Any, n: int) -> np.ndarray:
    if y is None:
        raise FitError("y is missing: requires y to be passed, but the target y is None", column="y")
    cost = column_or_1d(y.to_numpy() if hasattr(y, "to_numpy") else y, warn=True).astype(float)
    if len(cost) != n:
        raise FitError(f"{n} rows but {len(cost)} costs", column="y")
    bad = ~np.isfinite(cost) | (cost < 0)
    if bad.any():
        raise FitError(
            f"{int(bad.sum())} of {n} costs are missing, infinite or negative values",
            column="y",
            fix="drop persons who were not observed, and net reversed claims against what they reverse",
        )
    return cost


def part_of(part: str, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a part learns, and from which rows."""
    if part == "any":
        return (cost > 0).astype(float), np.ones(len(cost), dtype=bool)
    return cost, cost > 0 if part == "amount" else np.ones(len(cost), dtype=bool)


def mean_of(objective: str, margin: np.ndarray) -> np.ndarray:
    """Return the mean of a margin by the objective's link."""
    if objective == "binary":
        return 1 / (1 + np.exp(-margin))
    return margin if objective == "regression" else np.exp(margin)


def patient_numbers(patients: np.ndarray, folds: int, seed: int | None) -> np.ndarray:
    """Return a fold number for each row, one a patient, by a random order of the patients."""
    unique, number = np.unique(patients, return_inverse=True)
    order: np.ndarray = (np.random.default_rng(seed).permutation(len(unique)) % folds)[number]
    return order
