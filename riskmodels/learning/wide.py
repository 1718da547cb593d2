"""Sparse columns beside a table: those of a `riskmodels.features.FeatureFrame`, for the booster."""

from typing import TYPE_CHECKING, Any

import numpy as np

from riskmodels.learning.frames import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["beside", "is_feature_frame", "match_sparse", "sparse_names"]


def is_feature_frame(X: Any) -> bool:
    """Tell whether `X` is a feature frame, which knows its columns and may have sparse ones."""
    return hasattr(X, "model_matrix") and hasattr(X, "sparse_columns")


def sparse_names(X: Any) -> tuple[str, ...]:
    """Return the names of the sparse columns of `X`; none where it is a plain table."""
    return tuple(column.name for column in X.sparse_columns) if is_feature_frame(X) else ()


def match_sparse(X: Any, names: tuple[str, ...]) -> "csr_matrix | None":
    """Return the sparse columns `names` of `X`, in that order; None where the model has none.

    Raises
    ------
    InputError
        If `X` lacks one of them, or has one that the model was not fitted on.
    """
    found = sparse_names(X)
    if found == names:
        return X.model_matrix if names else None
    missing = [name for name in names if name not in set(found)]
    if missing:
        raise InputError(
            f"The model was fitted on {len(names)} sparse columns, and {len(missing)} of them are missing: "
            f"{missing[0]!r} is the first. Give it the feature frame that build_features returns for the "
            "feature set of the model, not its table alone."
        )
    extra = [name for name in found if name not in set(names)]
    if extra:
        raise InputError(f"The model was not fitted on {extra[0]!r}, a sparse column ({len(extra)} in all).")
    place = {name: number for number, name in enumerate(found)}
    return X.model_matrix[:, [place[name] for name in names]]


def beside(
    dense: np.ndarray, sparse: "csr_matrix | None", rows: np.ndarray | None = None
) -> "np.ndarray | csr_matrix":
    """Return an encoded table with the rows of a sparse matrix to its right, as one sparse matrix.

    A missing number stays missing: only zeros take no place.
    """
    if sparse is None:
        return dense
    from scipy.sparse import csr_matrix, hstack

    chosen = sparse if rows is None else sparse[rows]
    return csr_matrix(hstack([csr_matrix(dense), chosen], "csr"))
