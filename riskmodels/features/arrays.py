"""What the window kernel reads: the rows of a shard, its index cases, and the program of the columns."""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["MEASURE", "MOST_VALUES", "Cases", "Program", "Rows"]

MOST_VALUES = 4  # columns of a table that a feature set may aggregate: the kernel is compiled for so many


class Rows(NamedTuple):
    """A table of a shard, sorted by person and time. Arrays that nobody asks for are empty."""

    time: np.ndarray  # int64, microseconds
    kind: np.ndarray  # uint8
    code: np.ndarray  # int32; empty for encounters
    marks: np.ndarray  # uint64, one bit for each where-condition that the row meets
    values: tuple[np.ndarray, ...]  # float64, `MOST_VALUES` of them, the last of them empty
    known: np.ndarray  # uint8 (values, rows / 8), a bit for each value that is known, as in Arrow
    keys: np.ndarray  # int32 (keys, rows), -1 where unknown
    encounter: np.ndarray  # int32, -1 where the row belongs to none
    since: np.ndarray  # int64, the instant from which the row was known
    linked_since: np.ndarray  # int64, from when the encounter it belongs to was known; only if that is asked


class Cases(NamedTuple):
    """The index cases of a shard."""

    low: np.ndarray  # int64, the patient's rows are [low, high)
    high: np.ndarray
    anchor: np.ndarray  # int64, where windows end
    index_time: np.ndarray  # int64
    admission: np.ndarray  # int64
    stay_start: np.ndarray  # int64, the stay's encounters are stay[stay_start[i]:stay_start[i + 1]]
    stay: np.ndarray  # int32


MEASURE = np.dtype(
    [
        ("kinds", np.uint64),  # the kinds of rows it takes, a bit each
        ("marks", np.uint64),  # the conditions it asks for, a bit each
        ("how", np.int32),  # which of `riskmodels.features.windows.AGGREGATIONS`
        ("value", np.int32),  # which of the values, -1 for none
        ("key", np.int32),  # which of the keys, -1 for none
        ("seen", np.uint32),  # place among the measures that have a key
        ("ladder", np.uint32),  # the ladder of its windows
        ("first", np.uint32),  # its windows are [first, end), one for each rung of the ladder
        ("end", np.uint32),
        ("with_stay", np.bool_),  # the index stay's own rows count too
        ("linked", np.bool_),  # it asks for the encounter that a row belongs to, or its kind
    ],
    align=True,
)


class Program(NamedTuple):
    """Which columns take which rows.

    A measure aggregates some of the rows. It fills a column for each of its windows, nearest first: what it
    holds after the last row of a window is what that window holds, so that a row is taken in once, however
    many windows it lies in. Measures of the same windows share a ladder of them. Windows that hold the stay's
    own rows are not nested in time, and have a measure each.
    """

    # Places are unsigned: Numba then leaves out the check for indices that count from the end.
    measures: np.ndarray  # `MEASURE` (measures)
    by_kind_start: np.ndarray  # uint32 (kinds + 1): the measures that take every code of a kind
    by_kind: np.ndarray
    by_code_start: np.ndarray  # uint32 (codes + 1): the measures that take a code
    by_code: np.ndarray
    place: np.ndarray  # uint32 (windows): the column of `out` that is filled
    near: np.ndarray  # int64 (ladders): windows are [anchor - far, anchor - near)
    rung_start: np.ndarray  # uint32 (ladders + 1): its rungs, nearest first
    far: np.ndarray  # int64 (rungs)
    longest: int  # microseconds
    any_stay: bool
    any_after: bool  # a window begins at the anchor or later; it ends before the index time
    only_known: bool
    n_seen: int
    n_keys: int  # keys are smaller than this
    others: tuple[Any, ...] = ()  # compiled functions of users, numbered from BUILT_IN on
