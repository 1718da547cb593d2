"""Cells of a publisher's file: what kinds there are, and the error where one cannot be read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError

__all__ = ["DTYPES", "EXAMPLES", "numbers", "refuse_unread", "stripped"]

DTYPES: dict[str, Any] = {
    "text": pl.String,
    "number": pl.Float64,
    "day": pl.Date,
    "instant": pl.Datetime("us"),
}
EXAMPLES = {
    "number": "a number such as 1068.00",
    "day": "a day such as 20080131 or 2008-01-31",
    "instant": "a time such as 2008-01-31 14:05:00",
}


def stripped(text: pl.Series) -> pl.Series:
    """Return cells without blanks around them, empty ones as null."""
    text = text.str.strip_chars()
    return text.set(text == "", None)


def numbers(text: pl.Series) -> pl.Series:
    """Return cells as numbers, null where they are none."""
    found = text.cast(pl.Float64, strict=False)
    return found.set(~found.is_finite(), None)


def refuse_unread(
    text: pl.Series, values: pl.Series, kind: str, path: Path, line: Callable[[int], int | None]
) -> None:
    """Refuse the first cell that has a text and was read as nothing; `line` tells its line by its place.

    Raises
    ------
    DataError
        Names file, column, line and value.
    """
    bad = values.is_null() & text.is_not_null()
    if bad.any():
        at = int(bad.arg_true()[0])
        raise DataError(
            f"{text[at]!r} is not {EXAMPLES[kind]}",
            file=path,
            column=text.name,
            line=line(at),
            fix="mend the cell, or leave it blank if the value is not known",
        )
