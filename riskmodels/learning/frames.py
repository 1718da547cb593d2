"""Any table that a user brings, as one Polars frame whose columns are those the model was fitted on."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import polars as pl

from riskmodels.errors import ContractError, DataError, did_you_mean

__all__ = ["ColumnLike", "FitError", "InputError", "as_category", "as_frame", "as_number", "match_columns"]


class FitError(DataError, ValueError):
    """Training data that no model can be fitted on; a ValueError too, as scikit-learn expects."""


class InputError(ContractError, ValueError):
    """Data that do not fit the columns a model was fitted on; a ValueError too, as scikit-learn expects."""


class ColumnLike(Protocol):
    """What the model needs to know of a feature; `riskmodels.features.FeatureColumn` has it."""

    @property
    def name(self) -> str:
        """Name of the column."""

    @property
    def role(self) -> str:
        """``"predict"`` or ``"adjust"``."""

    @property
    def kind(self) -> str:
        """``"number"``, ``"flag"`` or ``"category"``."""

    @property
    def levels(self) -> Sequence[str] | None:
        """All values of a closed set, or None where the levels are those seen at fit."""


def as_frame(X: Any, *, sparse: bool = False) -> pl.DataFrame | None:
    """Return `X` as a Polars frame, or None where it is an array and has no column names.

    pandas, Polars and Arrow tables are frames, and the table of a feature frame. A pandas frame whose column
    names are not text counts as an array, as it does for scikit-learn. Only where the caller takes `sparse`
    columns, beside the table, may a feature frame have them.
    """
    if isinstance(X, pl.LazyFrame):
        return X.collect()
    if isinstance(X, pl.DataFrame):
        return X
    if hasattr(X, "sparse_columns"):  # a feature frame
        if X.sparse_columns and not sparse:
            raise InputError(
                f"This model takes no sparse columns, and the features have {len(X.sparse_columns)}: give "
                "it their table, .frame, or all of them as one with .to_dense()."
            )
        return X.frame.drop("index_id", strict=False)
    module = type(X).__module__.split(".")[0]
    if module == "pandas":
        if not hasattr(X, "columns") or not all(isinstance(name, str) for name in X.columns):
            return None
        _refuse_twice(list(X.columns))
        return pl.DataFrame({name: _from_pandas(X[name]) for name in X.columns})
    if module in ("pyarrow", "modin", "cudf"):
        import narwhals as nw

        _refuse_twice([str(name) for name in getattr(X, "column_names", X.columns)])
        return nw.from_native(X, eager_only=True).to_polars()
    return None


def match_columns(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return the columns `names` of a frame, in that order, whatever order they came in.

    Raises
    ------
    InputError
        If a column is missing, or one is there that the model does not know.
    """
    missing = [name for name in names if name not in frame.columns]
    known = set(names)
    extra = [name for name in frame.columns if name not in known]
    if missing:
        hint = f" {did_you_mean(missing[0], extra)}" if extra else ""
        raise InputError(
            f"{len(missing)} of the {len(names)} columns the model was fitted on are missing: "
            f"{_list(missing)}.{hint}"
        )
    if extra:
        raise InputError(
            f"The model was not fitted on {_list(extra)}. "
            f"Give it the {len(names)} columns of feature_names_in_ and no others."
        )
    return frame.select(names)


def as_category(column: pl.Series) -> pl.Series:
    """Return a column as text levels, the same text whatever type the level arrives in.

    A whole number reads the same whether it came as 7, 7.0 or "7": pandas turns whole numbers into floats
    as soon as one is missing.
    """
    dtype = column.dtype
    if dtype == pl.String:
        return column
    if dtype.is_float():
        column = column.fill_nan(None)
        whole = column.drop_nulls()
        if bool((whole == whole.round()).all()) and bool(whole.is_finite().all()):
            return column.cast(pl.Int64).cast(pl.String)
    if dtype.is_nested():
        raise InputError(
            f"Column {column.name!r} holds lists or structs; a category must be text or a number."
        )
    return column.cast(pl.String)


def as_number(column: pl.Series) -> np.ndarray:
    """Return a column as float64, missing values as NaN.

    Raises
    ------
    InputError
        If the column holds text, or anything else that is not a number or a truth value.
    """
    dtype = column.dtype
    if dtype == pl.Null:
        return np.full(len(column), np.nan)
    if not (dtype.is_numeric() or dtype == pl.Boolean):
        raise InputError(
            f"Column {column.name!r} is {dtype}, and the model knows it as a number. "
            "Convert it, or fit the model anew with it as a category."
        )
    return column.cast(pl.Float64).to_numpy()


def is_category(column: pl.Series) -> bool:
    """Tell whether a column is text or a categorical, rather than a number.

    Raises
    ------
    FitError
        If it is neither: a date, a list, bytes.
    """
    dtype = column.dtype
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        return True
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return False
    raise FitError(
        f"{dtype} is neither a number nor a category",
        column=column.name,
        fix="turn dates into numbers of days, and lists into one column each",
    )


def _from_pandas(column: Any) -> pl.Series:
    """Return a pandas column in Polars; a pandas categorical of numbers stays a category."""
    import pandas as pd

    name = column.name
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = as_category(_from_pandas(pd.Series(column.cat.categories, name=name)))
        codes = pl.Series(column.cat.codes.to_numpy().astype(np.int64))
        return levels.gather(codes.set(codes < 0, None)).cast(pl.Categorical).rename(name)
    if column.dtype == object:
        seen = column[column.notna()]
        if not all(isinstance(value, str) for value in seen):
            if all(isinstance(value, bool | int | float | np.number) for value in seen):
                return pl.Series(name, pd.to_numeric(column).to_numpy(dtype=float))
            column = column.where(column.isna(), column.map(str))
        return pl.Series(
            name, [None if missing else v for v, missing in zip(column, column.isna(), strict=True)]
        )
    return pl.from_pandas(column, nan_to_null=False)


def _refuse_twice(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Column names must be unique; {_list(twice)} is there more than once.")


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
