"""What a user hands to `fit` and `predict`, checked and in one form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.learning.frames import ColumnLike, FitError, InputError, as_frame, match_columns
from riskmodels.learning.wide import is_feature_frame, sparse_names

__all__ = ["Outcomes", "TrainingTable", "read_features", "read_groups", "read_outcomes", "read_training"]


@dataclass(frozen=True)
class Outcomes:
    """Outcomes 0 or 1 (n,) of rows, whose they are (n,), roles by column, names of sparse columns."""

    y: np.ndarray
    patients: np.ndarray
    roles: dict[str, str]
    sparse_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingTable:
    """Training rows: features, outcomes 0 or 1 (n,), whose they are (n,), weights (n,), roles by column."""

    frame: pl.DataFrame
    y: np.ndarray
    patients: np.ndarray
    weight: np.ndarray
    roles: dict[str, str]
    sparse: Any = None  # csr_matrix (n, sparse columns), to the right of the frame
    sparse_names: tuple[str, ...] = ()


def read_training(
    model: Any,
    X: Any,
    y: Any,
    groups: Any,
    sample_weight: Any,
    columns: Sequence[ColumnLike] | None,
    *,
    sparse_too: bool = False,
) -> TrainingTable:
    """Check what `fit` got, and note classes and column names on the model; `sparse_too` if it takes those.

    Raises
    ------
    FitError
        If labels are missing, not of two classes, or do not fit the rows.
    """
    frame, names = as_frame(X, sparse=sparse_too), sparse_names(X)
    sparse = X.model_matrix if names else None
    if columns is None and is_feature_frame(X):
        columns = X.every_column
    if frame is None:
        if hasattr(model, "feature_names_in_"):
            del model.feature_names_in_
        frame = _numbers(validate_data(model, X, dtype="numeric", ensure_all_finite=False))
    else:
        _note_names(model, [*frame.columns, *names], frame.height)
    n = frame.height
    model.classes_, outcome = _read_labels(y, n)
    weight = np.asarray(_check_sample_weight(sample_weight, np.empty((n, 1)), dtype=np.float64))
    if (weight < 0).any():
        raise FitError(f"{int((weight < 0).sum())} weights are negative", column="sample_weight")
    patients = read_groups(groups, n)
    keep = weight > 0
    if not keep.all():
        frame, outcome, weight, patients = frame.filter(keep), outcome[keep], weight[keep], patients[keep]
        sparse = None if sparse is None else sparse[keep]
    if len(outcome) == 0 or outcome.min() == outcome.max():
        raise FitError(
            "only one class has rows of a weight above 0: nothing can be learned", column="sample_weight"
        )
    roles = _roles([*frame.columns, *names], columns or ())
    return TrainingTable(frame, outcome, patients, weight, roles, sparse, names)


def read_outcomes(
    model: Any, y: Any, groups: Any, columns: Sequence[ColumnLike], sparse_columns: Sequence[ColumnLike] = ()
) -> Outcomes:
    """Check outcomes and patients of rows whose features are elsewhere, as `read_training` does.

    Raises
    ------
    FitError
        If labels are missing, not of two classes, or do not fit the rows.
    """
    every = [*columns, *sparse_columns]
    names = [column.name for column in every]
    _note_names(model, names, len(y))
    model.classes_, outcome = _read_labels(y, len(y))
    sparse = tuple(column.name for column in sparse_columns)
    return Outcomes(outcome, read_groups(groups, len(y)), _roles(names, every), sparse)


def read_features(model: Any, X: Any, *, sparse_too: bool = False) -> pl.DataFrame:
    """Return the model's columns of `X`, in the model's order.

    Raises
    ------
    InputError
        If columns are missing or unknown, or an array is given to a model that has categories.
    """
    check_is_fitted(model)
    frame = as_frame(X, sparse=sparse_too)
    names = list(model.encoder_.encodings)
    if frame is not None and hasattr(model, "feature_names_in_"):
        return match_columns(frame, names)
    if frame is not None and frame.width == len(names):
        return frame.rename(dict(zip(frame.columns, names, strict=True)))
    if model.encoder_.levels:
        raise InputError(
            "The model has categories, which an array of numbers cannot hold: give it a table with the "
            f"{len(names)} columns of feature_names_in_."
        )
    array = validate_data(
        model, X, dtype="numeric", ensure_all_finite=False, ensure_min_samples=1, reset=False
    )
    return _numbers(array, names)


def _note_names(model: Any, names: Sequence[str], n: int) -> None:
    """Note the names of the columns on the model."""
    if not names or not n:
        raise FitError(f"the table has {n} rows and {len(names)} columns")
    model.feature_names_in_ = np.array(names, dtype=object)
    model.n_features_in_ = len(names)


def _roles(names: Sequence[str], columns: Sequence[ColumnLike]) -> dict[str, str]:
    """Return each column's role, "predict" where nothing else was said."""
    roles = dict.fromkeys(names, "predict")
    for column in columns:
        if column.name not in roles:
            raise SpecError(
                f"columns describes {column.name!r}, which X lacks. {did_you_mean(column.name, roles)}"
            )
        roles[column.name] = column.role
    return roles


def _read_labels(y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two classes and 0 or 1 for each row."""
    if y is None:
        raise FitError("y is missing: requires y to be passed, but the target y is None", column="y")
    labels = column_or_1d(y.to_numpy() if hasattr(y, "to_numpy") else y, warn=True)
    if len(labels) != n:
        raise FitError(f"{n} rows but {len(labels)} labels", column="y")
    missing = np.array([value is None or value != value for value in labels])
    if missing.any():
        raise FitError(
            f"{int(missing.sum())} of {n} labels are missing",
            column="y",
            fix="drop rows whose outcome was not observed (censored), they are not negatives",
        )
    if labels.dtype == object and all(
        isinstance(v, bool | int | float | np.number | np.bool_) for v in labels
    ):
        labels = labels.astype(np.float64)
    kind = type_of_target(labels, input_name="y")
    if kind.startswith("continuous") or kind == "unknown":
        raise FitError(f"Unknown label type: {kind}. Labels must be 0 or 1", column="y")
    classes, outcome = np.unique(labels, return_inverse=True)
    if len(classes) > 2:
        raise FitError(
            f"Only binary classification is supported. The type of the target is {kind}: "
            f"labels must be 0 or 1, and there are {len(classes)} values",
            column="y",
        )
    if len(classes) == 1:
        raise FitError(
            f"all rows (n_samples = {n}) are of one class, {classes.tolist()[0]!r}: nothing can be learned",
            column="y",
            fix="check the outcome definition and the follow-up of the cohort",
        )
    return classes, outcome.astype(np.float64)


def read_groups(groups: Any, n: int) -> np.ndarray:
    """Return a number for each row's patient."""
    if groups is None:
        return np.arange(n)
    ids = np.asarray(groups.to_numpy() if hasattr(groups, "to_numpy") else groups)
    if ids.ndim != 1 or len(ids) != n:
        raise FitError(f"{n} rows but groups of shape {ids.shape}", column="groups")
    missing = np.array([value is None or value != value for value in ids])
    if missing.any():
        raise FitError(f"{int(missing.sum())} rows have no patient", column="groups")
    if ids.dtype == object:
        ids = ids.astype(str)
    return np.unique(ids, return_inverse=True)[1]


def _numbers(array: np.ndarray, names: Sequence[str] | None = None) -> pl.DataFrame:
    """Return an array of numbers as a frame with columns x0, x1, ... or the given names."""
    names = [f"x{i}" for i in range(array.shape[1])] if names is None else names
    return pl.DataFrame({name: array[:, i].astype(np.float64) for i, name in enumerate(names)})
