"""Sort rows by many keys at the price of one: whole numbers are packed into a word of 64 bits."""

from collections.abc import Sequence

import numpy as np
import polars as pl

__all__ = ["sort_distinct"]

WORD = 1 << 62  # what a word may count to


def sort_distinct(rows: pl.DataFrame, keys: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """Sort rows, nulls last, and leave out rows that equal the one before in every key.

    Parameters
    ----------
    rows : DataFrame
    keys : sequence of str
        The most significant first.

    Returns
    -------
    DataFrame
        The rows that are left, in order.
    int
        How many were left out.
    """
    # A column without values orders nothing, and claims have several.
    left = [name for name in keys if rows[name].null_count() < rows.height]
    place = np.arange(rows.height)  # the row that comes first, second, ...
    unsettled = np.arange(rows.height)  # the places whose rows tie with a neighbour's in all keys so far
    run = np.zeros(rows.height, np.int64)  # which tie that is
    again = np.arange(rows.height) > 0  # what equals the place before in all keys so far
    while left and len(unsettled):
        tied = place[unsettled]
        candidates = rows.select(left)
        if run.any():  # not at first, when all rows are candidates as they stand
            candidates = candidates[pl.Series(tied)]
        word, used = _packed(run, candidates)
        order, again = _order_by_word(word) if used else _order_by_columns(run, candidates)
        left = left[used:] if used else []
        place[unsettled] = tied[order]
        in_a_tie = again | np.append(again[1:], False)
        run = np.cumsum(~again)[in_a_tie]
        unsettled, again = unsettled[in_a_tie], again[in_a_tie]
    kept = np.delete(place, unsettled[again])
    return rows[pl.Series(kept, dtype=pl.UInt32)], rows.height - len(kept)


def _packed(run: np.ndarray, rows: pl.DataFrame) -> tuple[np.ndarray, int]:
    """Return a number a row, ordered like its run and as many columns as fit, and how many those are."""
    word, size = run.copy(), int(run.max()) + 1
    for used, column in enumerate(rows.iter_columns()):
        digit = _digit(column)
        if digit is None or size * digit[1] > WORD:
            return word, used
        word *= digit[1]
        word += digit[0]
        size *= digit[1]
    return word, rows.width


def _digit(column: pl.Series) -> tuple[np.ndarray, int] | None:
    """Return a column as whole numbers from 0 and how many there may be; None if it holds something else."""
    if not (column.dtype.is_integer() or column.dtype.is_temporal() or column.dtype in (pl.Boolean, pl.Enum)):
        return None
    numbers = column.to_physical().cast(pl.Int64)
    low, high = numbers.min(), numbers.max()
    if not isinstance(low, int) or not isinstance(high, int):  # no value
        return np.zeros(len(column), np.int64), 1
    if high - low >= WORD:
        return None
    steps = (numbers.fill_null(low) - low).to_numpy()
    stride = int(np.gcd.reduce(steps)) or 1  # dates as microseconds are multiples of a day
    count = (high - low) // stride + 1
    if stride > 1:
        steps = steps // stride
    if numbers.null_count():
        return np.where(numbers.is_null().to_numpy(), count, steps), count + 1
    return steps, count


def _order_by_word(word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(word)
    ordered = word[order]
    return order, np.append(False, ordered[1:] == ordered[:-1])


def _order_by_columns(run: np.ndarray, rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    numbered = rows.with_columns(pl.Series("_run", run)).with_row_index("_row")
    keys = ["_run", *rows.columns]
    ordered = numbered.sort(keys, nulls_last=True)
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in keys)
    again = ordered.select(same).to_series().to_numpy().copy()
    again[0] = False
    return ordered["_row"].to_numpy(), again
