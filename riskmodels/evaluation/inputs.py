"""What the evaluation takes: outcomes, predictions, patients and groups, checked."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodels.errors import DataError

__all__ = ["band", "group_columns", "outcomes", "patient_numbers", "predictions"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

MOST_LEVELS = 40
UNKNOWN = "unknown"


def outcomes(y: Any) -> Floats:
    """Return `y` as 0.0 and 1.0.

    Raises
    ------
    DataError
        Where it is empty or holds anything but 0 and 1.
    """
    values = _numbers(y, "y")
    if values.ndim != 1 or not len(values):
        raise DataError(
            f"y has shape {values.shape}: nothing to evaluate", fix="give one outcome (0 or 1) a row"
        )
    wrong = ~((values == 0) | (values == 1))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"y holds {values[first]:g} at row {first} ({int(wrong.sum()):,} such rows): "
            "an outcome is 0 or 1",
            fix="drop rows whose outcome was not observed (censored) before evaluating",
        )
    return values


def predictions(p: Any, n_rows: int, *, probability: bool = True, name: str = "p") -> Floats:
    """Return `p` as floats.

    Raises
    ------
    DataError
        Where it has another length than y, holds missing values or, as a probability, leaves [0, 1].
    """
    values = _numbers(p, name)
    if values.shape != (n_rows,):
        raise DataError(
            f"{name} has shape {values.shape} and y has {n_rows:,} rows",
            fix="give one predicted risk a row; of predict_proba take column 1",
        )
    missing = ~np.isfinite(values)
    if missing.any():
        raise DataError(
            f"{name} is missing or infinite in {int(missing.sum()):,} rows, "
            f"first at row {int(np.argmax(missing))}",
            fix="score these rows or drop them from y, p, patients and groups alike",
        )
    outside = (values < 0) | (values > 1)
    if probability and outside.any():
        first = int(np.argmax(outside))
        raise DataError(
            f"{name} holds {values[first]:g} at row {first}: a probability lies between 0 and 1",
            fix="give predict_proba(X)[:, 1]; a score of points (LACE) can be evaluated with compare()",
        )
    # -0.0 and 0.0 are the same risk.
    return values + 0.0


def patient_numbers(patients: Any, n_rows: int) -> Integers:
    """Return the patients as 0, 1, … in sorted order; each row its own where `patients` is None."""
    if patients is None:
        return np.arange(n_rows)
    series = _series(patients, "patients")
    if len(series) != n_rows:
        raise DataError(
            f"patients has {len(series):,} rows and y has {n_rows:,}", fix="give one patient id a row"
        )
    if series.null_count():
        raise DataError(
            f"patients is missing in {series.null_count():,} rows", fix="give every row its patient's id"
        )
    return (series.rank("dense") - 1).to_numpy().astype(np.intp)


def group_columns(groups: Any, n_rows: int) -> dict[str, tuple[pl.Series, list[str]]]:
    """Return each grouping as text, and its levels in order; missing values become the level ``"unknown"``.

    Raises
    ------
    DataError
        Where a grouping has another length than y, or more levels than a table can show.
    """
    if groups is None:
        return {}
    if isinstance(groups, Mapping):
        columns = {str(name): _series(values, f"groups[{name!r}]") for name, values in groups.items()}
    else:
        columns = dict(nw.from_native(groups, eager_only=True).to_polars().to_dict())
    for name, series in columns.items():
        if len(series) != n_rows:
            raise DataError(
                f"groups[{name!r}] has {len(series):,} rows and y has {n_rows:,}", fix="give one level a row"
            )
        if (levels := series.n_unique()) > MOST_LEVELS:
            raise DataError(
                f"groups[{name!r}] has {levels:,} levels; at most {MOST_LEVELS} are compared",
                fix="put numbers into bands with riskmodels.evaluation.band, hospitals by their size",
            )
    return {name: _levels(series) for name, series in columns.items()}


def band(values: Any, edges: Sequence[int], *, name: str = "values") -> pl.Series:
    """Put whole numbers (age in years, discharges of a hospital) into bands such as ``"65-74"``.

    Parameters
    ----------
    values : array-like of numbers
        Missing values stay missing.
    edges : sequence of int
        Where each band but the first starts: ``(65, 75)`` gives ``"<65"``, ``"65-74"``, ``"75+"``.
    name : str
        Name of the series returned.
    """
    edges = sorted(edges)
    inner = [f"{low}-{high - 1}" if high - low > 1 else f"{low}" for low, high in itertools.pairwise(edges)]
    labels = [f"<{edges[0]}", *inner, f"{edges[-1]}+"]
    numbers = _series(values, name).cast(pl.Float64).fill_nan(None)
    found = np.searchsorted(edges, numbers.fill_null(np.inf).to_numpy(), side="right")
    bands = pl.Series(name, [labels[number] for number in found], dtype=pl.Enum(labels))
    return pl.select(pl.when(numbers.is_not_null()).then(bands).alias(name)).to_series()


def _levels(series: pl.Series) -> tuple[pl.Series, list[str]]:
    if series.dtype == pl.Boolean:
        series = series.replace_strict({True: "yes", False: "no"}, return_dtype=pl.Enum(["no", "yes"]))
    found = series.drop_nulls().unique()
    if isinstance(series.dtype, pl.Enum):
        # Bands keep their own order, which is not the alphabet's.
        present = set(found.cast(pl.String))
        levels = [level for level in series.dtype.categories if level in present]
    else:
        levels = found.sort().cast(pl.String).to_list()
    text = series.cast(pl.String).fill_null(UNKNOWN)
    return text, [*levels, UNKNOWN] if series.null_count() and UNKNOWN not in levels else levels


def _series(values: Any, name: str) -> pl.Series:
    try:
        return nw.from_native(values, series_only=True).to_polars()
    except TypeError:
        pass
    try:
        if not isinstance(values, list | tuple):
            array = np.asarray(values)
            values = array.tolist() if array.dtype == object else array
        return pl.Series(name, values, strict=False)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{name} is no column of values: {error}", fix="give a list, array or series"
        ) from error


def _numbers(values: Any, name: str) -> Floats:
    try:
        return _series(values, name).cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{name} holds values that are no numbers: {error}", fix="give numbers") from error
