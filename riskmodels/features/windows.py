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

import numpy as np
from numba import njit
from numba.extending import overload

from riskmodels.features.fetching import fetch
from riskmodels.features.filling import begin, end, has_room, put

__all__ = ["AGGREGATIONS", "BUILT_IN", "look_back"]

WIDTH = 6
AHEAD, ROWS_PER_LINE, MOST_FETCHED = 4, 8, 1024  # cases; rows of 8 bytes in a line of the cache; rows
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
def _look_ahead(low, high, time, kind, code, first_value, second_value):  # type: ignore[no-untyped-def]
    """Fetch the rows of a patient whose case will come soon, but for those of very many rows."""
    if high - low <= MOST_FETCHED:
        for r in range(low, high, ROWS_PER_LINE):
            fetch(time, r)
            fetch(kind, r)
            if code.size:
                fetch(code, r)
            if first_value.size:
                fetch(first_value, r)
            if second_value.size:
                fetch(second_value, r)


@njit(inline="always")
def _climb(rung, near, start, far, elapsed):  # type: ignore[no-untyped-def]
    """Find the nearest window of each ladder that reaches back so far, or `OUTSIDE` where it ends before.

    Returns until when this holds, for rows come in the order of the time that has elapsed.
    """
    until = np.int64(2**62)
    for ladder in range(near.size):
        if elapsed <= near[ladder]:
            rung[ladder] = OUTSIDE
            until = min(until, near[ladder])
            continue
        first, end = start[ladder], start[ladder + 1]
        window = first
        while window < end and elapsed > far[window]:
            window += np.uint32(1)
        rung[ladder] = window - first
        if window < end:
            until = min(until, far[window])
    return until


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
    """Whether the row is of an encounter of the stay, or of none (that was known) and inside the stay."""
    encounter = rows.encounter[r]
    if encounter < 0 or (rows.linked_since.size and rows.linked_since[r] >= cases.index_time[i]):
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
    n_measures = program.measures.size
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
        if i + AHEAD < cases.low.size:
            _look_ahead(
                cases.low[i + AHEAD],
                cases.high[i + AHEAD],
                rows.time,
                rows.kind,
                rows.code,
                first_value,
                second_value,
            )
        anchor, low = cases.anchor[i], cases.low[i]
        # What is at this instant or later counts only as the stay's own.
        latest = cases.index_time[i] if program.any_after else min(anchor, cases.index_time[i])
        last = latest
        if program.any_stay:
            last = max(latest, cases.index_time[i] + 1)  # the stay's own rows at its last instant count
        n_touched = 0
        until = np.int64(-(2**62))
        for r in range(_first_not_before(rows.time, low, cases.high[i], last) - 1, low - 1, -1):
            elapsed = anchor - rows.time[r]
            if elapsed > program.longest:
                break
            if program.only_known and rows.since[r] >= cases.index_time[i]:
                continue
            own = program.any_stay and _belongs_to_stay(rows, cases, i, r)
            if rows.time[r] >= latest and not own:
                continue
            if elapsed > until:
                until = _climb(rung, program.near, program.rung_start, program.far, elapsed)
            age = elapsed / DAY
            kind = np.int64(rows.kind[r])
            first = program.by_kind_start[kind]
            n_by_kind = program.by_kind_start[kind + 1] - first
            first_by_code = n_all = n_by_kind
            if with_codes:
                first_by_code = program.by_code_start[rows.code[r]]
                n_all += program.by_code_start[rows.code[r] + 1] - first_by_code
            for j in range(n_all):
                if j < n_by_kind:
                    m = program.by_kind[first + j]
                else:
                    m = program.by_code[first_by_code + j - n_by_kind]
                measure = program.measures[m]
                if not (measure.kinds >> np.uint64(kind)) & np.uint64(1):
                    continue
                if with_marks and (rows.marks[r] & measure.marks) != measure.marks:
                    continue
                if program.only_known and measure.linked and rows.linked_since[r] >= cases.index_time[i]:
                    continue
                w = measure.first + rung[measure.ladder]
                if w >= measure.end:
                    if not (own and measure.with_stay):
                        continue
                    w = measure.first
                value = 0.0
                v = measure.value
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
                if measure.key >= 0:
                    key = rows.keys[measure.key, r]
                    if key < 0 or seen[measure.seen, key] == i + 1:
                        continue
                    seen[measure.seen, key] = i + 1
                touched[n_touched] = m
                n_touched += not started[m]
                started[m] = True
                _take(measure.how, state[m], age, value, program.others)
                held[w] = state[m, 0]
                reached[w] = True
        for j in range(n_touched):
            m = touched[j]
            started[m] = False
            state[m] = 0.0
            w = program.measures[m].first
            while not reached[w]:
                w += np.uint32(1)
            value = held[w]
            for place in range(w, program.measures[m].end):
                if reached[place]:
                    value = held[place]
                    reached[place] = False
                put(out, program.place[place], i, value)
        end(out, i)
