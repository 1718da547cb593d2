"""What a contract keeps of a column of a training set, and how a column is checked against it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels.errors import ContractError
from riskmodels.evaluation.suppression import SMALLEST_CELL
from riskmodels.learning.inventory import needs_of

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn

__all__ = ["ColumnContract", "as_number", "as_text", "count_unknown", "describe", "drift", "say_rows", "some"]

ROWS_FOR_RANGES = 1_100  # then at least 11 rows lie beyond each of the two percentiles
ROWS_FOR_DRIFT = 100
MOSTLY_OUTSIDE = 0.5
OFTEN_OUTSIDE = 0.1


@dataclass(frozen=True)
class ColumnContract:
    """What training saw in one feature.

    Parameters
    ----------
    kind : {"number", "category", "flag"}
        What the values are.
    levels : tuple of str, optional
        The levels of a category: all of a closed set, else those that at least 11 training rows had.
    closed : bool
        Whether `levels` is the whole set by definition (sex) or what happened to be seen (DRG).
    rare_share : float
        Share of the training rows whose level is not listed because fewer than 11 rows had it.
    missing_share : float
        Share of the training rows without a value.
    low, high : float, optional
        1st and 99th percentile of a number in training.
    typical : float or str, optional
        The median of a number, the commonest level of a category; for made-up example rows.
    needs : tuple of str
        What a history must have for this feature: ``"event:drug"``, ``"encounter:emergency"``,
        ``"coverage"``.
    """

    name: str
    kind: str
    role: str = "predict"
    label: str = ""
    levels: tuple[str, ...] | None = None
    closed: bool = False
    rare_share: float = 0.0
    missing_share: float = 0.0
    low: float | None = None
    high: float | None = None
    typical: float | str | None = None
    needs: tuple[str, ...] = ()


def describe(column: "FeatureColumn", values: pl.Series) -> ColumnContract:
    """Say of one training column what may be kept of it."""
    n = max(values.len(), 1)
    common: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "role": column.role,
        "label": column.label,
        "needs": needs_of(column),
    }
    if column.kind != "category":
        numbers = values.cast(pl.Float64).fill_nan(None)
        present = numbers.drop_nulls()
        low = high = typical = None
        if column.kind == "number" and present.len() >= ROWS_FOR_RANGES:
            low, high = present.quantile(0.01, "nearest"), present.quantile(0.99, "nearest")
            typical = float(np.median(present.to_numpy()))
        missing = _share(numbers.null_count(), n)
        return ColumnContract(**common, low=low, high=high, typical=typical, missing_share=missing)
    text = values.cast(pl.String)
    counts = text.drop_nulls().value_counts(name="rows").sort(["rows", values.name], descending=[True, False])
    frequent = counts.filter(pl.col("rows") >= SMALLEST_CELL)
    rare = int(counts["rows"].sum()) - int(frequent["rows"].sum())
    closed = column.levels is not None
    return ColumnContract(
        **common,
        levels=tuple(column.levels or sorted(frequent[values.name].to_list())),
        closed=closed,
        typical=next(iter(frequent[values.name].to_list()), None),
        # Of 1 to 10 rows no more is said than that there are at most 10.
        rare_share=0.0 if closed or not rare else round(max(rare, SMALLEST_CELL - 1) / n, 3),
        missing_share=_share(text.null_count(), n),
    )


def count_unknown(column: ColumnContract, values: pl.Series, tolerance: float) -> int:
    """Return how many rows of a category have an unlisted level; refuse them where they are too many."""
    present = values.drop_nulls()
    unlisted = present.filter(~present.is_in(list(column.levels or ())))
    allowed = 0.0 if column.closed else column.rare_share + tolerance
    # Two rows of grace, so that one patient with a rare DRG does not stop a list of ten.
    if unlisted.len() <= (0 if column.closed else allowed * values.len() + 2):
        return unlisted.len()
    counts = unlisted.value_counts(name="rows").sort(["rows", values.name], descending=[True, False])
    levels = some([repr(level) for level in counts[values.name].to_list()])
    known = f"the levels are {', '.join(map(repr, column.levels or ()))}"
    raise ContractError(
        f"column {column.name!r}: {say_rows(unlisted.len())} of {values.len():,} with an unknown category "
        f"({levels}); "
        f"{known if column.closed else f'at most {allowed:.0%} was to be expected from training'}\n"
        "Fix: code the column as in training, or train the model on data with these levels"
    )


def as_text(column: ColumnContract, values: pl.Series) -> pl.Series:
    """Return a category as text, or refuse numbers and dates in its place."""
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        raise ContractError(
            f"column {column.name!r} is {values.dtype}; the model was fitted on categories as text\n"
            "Fix: give the levels as text, as the feature set does (a DRG is '065', not 65)"
        )
    return values.cast(pl.String)


def as_number(column: ColumnContract, values: pl.Series) -> pl.Series:
    """Return a number or flag as 64-bit floats with nulls for missing values, or refuse text in its place."""
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise ContractError(
            f"column {column.name!r} is {values.dtype}; the model was fitted on numbers\n"
            "Fix: give the column as numbers, missing values as null or NaN"
        )
    return values.cast(pl.Float64).fill_nan(None)


def drift(column: ColumnContract, values: pl.Series) -> str:
    """Return a warning on a number that has moved, refuse one that has gone somewhere else altogether."""
    present = values.drop_nulls()
    if values.len() < ROWS_FOR_DRIFT:
        return ""
    missing = 1 - present.len() / values.len()
    if missing > column.missing_share + MOSTLY_OUTSIDE:
        raise ContractError(
            f"column {column.name!r} is missing in {missing:.0%} of the rows, {column.missing_share:.0%} "
            "in training\n"
            "Fix: see that the source of this feature was ingested"
        )
    if column.low is None or column.high is None or not present.len():
        return ""
    outside = ((present < column.low) | (present > column.high)).mean()
    share = float(outside) if isinstance(outside, int | float) else math.nan
    said = (
        f"column {column.name!r}: {share:.0%} of the values lie outside {column.low:g} to {column.high:g}, "
        "where 98% "
        "of the training values lay"
    )
    if share > MOSTLY_OUTSIDE:
        raise ContractError(f"{said}\nFix: see whether its unit or its meaning has changed")
    return said if share > OFTEN_OUTSIDE else ""


def _share(count: int, n: int) -> float:
    """Return a share to three digits, without a numerator of 1 to 10 behind it."""
    return 0.0 if 0 < count < SMALLEST_CELL else round(count / n, 3)


def say_rows(count: int) -> str:
    """Return a number of rows in words, small ones without saying how many."""
    return "fewer than 11 rows" if count < SMALLEST_CELL else f"{count:,} rows"


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first of many names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
