"""The window kernel: one pass backwards over a patient's rows for each index case.

Rows are sorted by patient and time, so the rows before an instant end at a place found by binary search.
From there the kernel walks back until the longest window is left, and hands each row to the columns that
ask for it. A row at or after the anchor is never read, but for the index stay's own rows where a column
asks for these.

An aggregation is one function ``name(state, age, value)`` that takes in one row, latest row first:

* ``state`` has `WIDTH` places, all 0 before the first row; ``state[0]`` is what the column shall hold;
* ``age`` is the time from the row to the anchor, in days;
* ``value`` is the row's value (rows without one are left out before), or 0 where the column has none.

A user's own comes by `riskmodels.features.register_aggregation` and is called through its address. To add one
to the package, so that it is compiled in: write its function, name it in `AGGREGATIONS`, give it a line in
`_take`, and add its specification to `riskmodels.features.spec`.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from riskmodels.features.filling import begin, end, has_room, put

__all__ = ["AGGREGATIONS", "BUILT_IN", "MOST_VALUES", "Cases", "Program", "Rows", "look_back"]

WIDTH = 6
MOST_VALUES = 4
OUTSIDE = np.uint32(1 << 24)  # more than a ladder has rungs
DAY = 86_400_000_000.0  # microseconds
COUNT, ANY, SUM, MEAN, LAST, DAYS_SINCE, SLOPE = range(7)
BUILT_IN = 7
AGGREGATIONS = {
    "count": COUNT,
    "any": ANY,
    "sum": SUM,
    "mean": MEAN,
    "last": LAST,
    "days_since": DAYS_SINCE,
    "slope": SLOPE,
    "distinct": COUNT,  # of the rows whose key was not seen before
}


class Rows(NamedTuple):
    """A table of a shard, sorted by person and time. Arrays that nobody asks for are empty."""

    time: np.ndarray  # int64, microseconds
    kind: np.ndarray  # uint8
    code: np.ndarray  # int32; empty for encounters
    marks: np.ndarray  # uint64, one bit for each where-condition that the row meets
    values: tuple[np.ndarray, ...]  # float64, `MOST_VALUES` of them: the kernel is compiled for so many
    known: np.ndarray  # uint8 (values, rows / 8), a bit for each value that is known, as in Arrow
    keys: np.ndarray  # int32 (keys, rows), -1 where unknown
    encounter: np.ndarray  # int32, -1 where the row belongs to none
    since: np.ndarray  # int64, the instant from which the row was known
    linked_since: np.ndarray  # int64, the instant from which the encounter it belongs to was known


class Cases(NamedTuple):
    """The index cases of a shard."""

    low: np.ndarray  # int64, the patient's rows are [low, high)
    high: np.ndarray
    anchor: np.ndarray  # int64, where windows end
    index_time: np.ndarray  # int64
    admission: np.ndarray  # int64
    stay_start: np.ndarray  # int64, the stay's encounters are stay[stay_start[i]:stay_start[i + 1]]
    stay: np.ndarray  # int32


class Program(NamedTuple):
    """Which columns take which rows.

    A slot asks for some rows; its measures aggregate them. A measure fills a column for each of its windows,
    nearest first: the state it is in after the last row of a window is what that window holds, so that a row
    is taken in once, however many windows it lies in. Measures of the same windows share a ladder of them.
    Windows that hold the stay's own rows are not nested in time, and have a measure each.
    """

    # Places are unsigned: Numba then leaves out the check for indices that count from the end.
    by_kind_start: np.ndarray  # uint32 (kinds + 1): the slots that take every code of a kind
    by_kind: np.ndarray
    by_code_start: np.ndarray  # uint32 (codes + 1): the slots that take a code
    by_code: np.ndarray
    slot_kinds: np.ndarray  # uint64 (slots): the kinds a slot takes, a bit each
    slot_marks: np.ndarray  # uint64 (slots): the conditions a slot asks for
    slot_linked: np.ndarray  # bool (slots): asks for the kind of the encounter that a row belongs to
    slot_start: np.ndarray  # uint32 (slots + 1): its measures
    ladder: np.ndarray  # uint32 (measures): the ladder of its windows
    with_stay: np.ndarray  # bool (measures): the index stay's own rows count too
    how: np.ndarray  # int8 (measures)
    value: np.ndarray  # int32 (measures): which of the values, -1 for none
    key: np.ndarray  # int32 (measures): which of the keys, -1 for none
    seen: np.ndarray  # int32 (measures): place among the measures that have a key
    window_start: np.ndarray  # uint32 (measures + 1): its windows, one for each rung of the ladder
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


@njit(inline="always")
def _count(state, age, value):  # type: ignore[no-untyped-def]
    state[0] += 1.0


@njit(inline="always")
def _any(state, age, value):  # type: ignore[no-untyped-def]
    state[0] = 1.0


@njit(inline="always")
def _sum(state, age, value):  # type: ignore[no-untyped-def]
    state[0] += value


@njit(inline="always")
def _mean(state, age, value):  # type: ignore[no-untyped-def]
    state[1] += value
    state[2] += 1.0
    state[0] = state[1] / state[2]


@njit(inline="always")
def _last(state, age, value):  # type: ignore[no-untyped-def]
    if state[1] == 0.0:
        state[0] = value
        state[1] = 1.0


@njit(inline="always")
def _days_since(state, age, value):  # type: ignore[no-untyped-def]
    if state[1] == 0.0:
        state[0] = age
        state[1] = 1.0


@njit(inline="always")
def _slope(state, age, value):  # type: ignore[no-untyped-def]
    """Least squares by running means (Welford), which stay exact for values far from 0."""
    state[1] += 1.0
    dx, dy = -age - state[2], value - state[3]
    state[2] += dx / state[1]
    state[3] += dy / state[1]
    state[4] += dx * (-age - state[2])
    state[5] += dx * (value - state[3])
    state[0] = state[5] / state[4] if state[4] > 0.0 else np.nan


def _call(others, number, state, age, value):  # type: ignore[no-untyped-def]
    raise NotImplementedError


@overload(_call, inline="always")
def _compiled_call(others, number, state, age, value):  # type: ignore[no-untyped-def]
    if len(others):
        return lambda others, number, state, age, value: others[number](state, age, value)
    return lambda others, number, state, age, value: None


@njit(inline="always")
def _take(how, state, age, value, others):  # type: ignore[no-untyped-def]
    if how == COUNT:
        _count(state, age, value)
    elif how == ANY:
        _any(state, age, value)
    elif how == SUM:
        _sum(state, age, value)
    elif how == MEAN:
        _mean(state, age, value)
    elif how == LAST:
        _last(state, age, value)
    elif how == DAYS_SINCE:
        _days_since(state, age, value)
    elif how == SLOPE:
        _slope(state, age, value)
    else:
        _call(others, how - BUILT_IN, state, age, value)


@njit(inline="always")
def _climb(rung, near, start, far, elapsed):  # type: ignore[no-untyped-def]
    """Find the first window of each ladder that reaches back so far; beyond all where it begins later."""
    for ladder in range(near.size):
        first = start[ladder]
        steps = np.uint32(0)
        for window in range(first, start[ladder + 1]):
            steps += elapsed > far[window]
        rung[ladder] = steps if elapsed > near[ladder] else OUTSIDE


@njit(inline="always")
def _bit(bits, v, r):  # type: ignore[no-untyped-def]
    return (bits[v, r >> 3] >> np.uint8(r & 7)) & np.uint8(1)


@njit(inline="always")
def _first_not_before(time, low, high, instant):  # type: ignore[no-untyped-def]
    while low < high:
        middle = (low + high) >> 1
        if time[middle] < instant:
            low = middle + 1
        else:
            high = middle
    return low


@njit(inline="always")
def _belongs_to_stay(rows, cases, i, r):  # type: ignore[no-untyped-def]
    """Whether the row is of an encounter of the stay, or of none and inside the stay."""
    encounter = rows.encounter[r]
    if encounter < 0:
        return cases.admission[i] <= rows.time[r] < cases.index_time[i]
    for j in range(cases.stay_start[i], cases.stay_start[i + 1]):  # noqa: SIM110 - Numba has no any()
        if cases.stay[j] == encounter:
            return True
    return False


@njit(nogil=True, cache=True)
def look_back(rows, cases, program, out):  # type: ignore[no-untyped-def]
    """Fill `out` (columns, cases); a place that no row reaches keeps what it holds.

    Where it is `Lists`, what is not 0 is added to them, until a case may no longer find room.

    Time: one binary search a case, and one step for each row in its longest window.
    """
    first_value, second_value, third_value, fourth_value = rows.values
    n_measures = program.how.size
    state = np.zeros((n_measures, WIDTH))
    started = np.zeros(n_measures, np.bool_)
    touched = np.empty(n_measures + 1, np.uint32)
    rung = np.empty(program.near.size, np.uint32)  # of each ladder, where the row stands
    reached = np.zeros(program.place.size, np.bool_)  # whether a row stood at a window's rung
    held = np.empty(program.place.size)  # what the measure held after the last of these
    seen = np.zeros((program.n_seen, program.n_keys), np.int32)  # the last case + 1 that met the key
    with_codes = program.by_code_start.size > 1
    with_marks = rows.marks.size > 0
    for i in range(begin(out), cases.low.size):
        if not has_room(out, i, program.place.size):
            return
        anchor, low = cases.anchor[i], cases.low[i]
        # What is at this instant or later counts only as the stay's own.
        latest = max(anchor, cases.index_time[i]) if program.any_after else anchor
        last = latest
        if program.any_stay:
            last = max(latest, cases.index_time[i] + 1)  # the stay's own rows at its last instant count
        n_touched = 0
        for r in range(_first_not_before(rows.time, low, cases.high[i], last) - 1, low - 1, -1):
            elapsed = anchor - rows.time[r]
            if elapsed > program.longest:
                break
            if program.only_known and rows.since[r] >= cases.index_time[i]:
                continue
            own = program.any_stay and _belongs_to_stay(rows, cases, i, r)
            if rows.time[r] >= latest and not own:
                continue
            age = elapsed / DAY
            kind = np.int64(rows.kind[r])
            first = program.by_kind_start[kind]
            n_by_kind = program.by_kind_start[kind + 1] - first
            first_by_code = n_slots = n_by_kind
            if with_codes:
                first_by_code = program.by_code_start[rows.code[r]]
                n_slots += program.by_code_start[rows.code[r] + 1] - first_by_code
            if n_slots > 0:
                _climb(rung, program.near, program.rung_start, program.far, elapsed)
            for j in range(n_slots):
                if j < n_by_kind:
                    slot = program.by_kind[first + j]
                else:
                    slot = program.by_code[first_by_code + j - n_by_kind]
                    if not (program.slot_kinds[slot] >> np.uint64(kind)) & np.uint64(1):
                        continue
                if with_marks and (rows.marks[r] & program.slot_marks[slot]) != program.slot_marks[slot]:
                    continue
                if (
                    program.only_known
                    and program.slot_linked[slot]
                    and rows.linked_since[r] >= cases.index_time[i]
                ):
                    continue
                for m in range(program.slot_start[slot], program.slot_start[slot + 1]):
                    w = program.window_start[m] + rung[program.ladder[m]]
                    if w >= program.window_start[m + 1]:
                        if not (own and program.with_stay[m]):
                            continue
                        w = program.window_start[m]
                    value = 0.0
                    v = program.value[m]
                    if v >= 0:
                        if v == 0:
                            value = first_value[r]
                        elif v == 1:
                            value = second_value[r]
                        elif v == 2:
                            value = third_value[r]
                        else:
                            value = fourth_value[r]
                        if np.isnan(value) or not _bit(rows.known, v, r):
                            continue
                    if program.key[m] >= 0:
                        key = rows.keys[program.key[m], r]
                        if key < 0 or seen[program.seen[m], key] == i + 1:
                            continue
                        seen[program.seen[m], key] = i + 1
                    touched[n_touched] = m
                    n_touched += not started[m]
                    started[m] = True
                    _take(program.how[m], state[m], age, value, program.others)
                    held[w] = state[m, 0]
                    reached[w] = True
        for j in range(n_touched):
            measure = touched[j]
            started[measure] = False
            state[measure] = 0.0
            nearest = program.window_start[measure]
            while not reached[nearest]:
                nearest += 1
            value = held[nearest]
            for w in range(nearest, program.window_start[measure + 1]):
                if reached[w]:
                    value = held[w]
                    reached[w] = False
                put(out, program.place[w], i, value)
        end(out, i)
