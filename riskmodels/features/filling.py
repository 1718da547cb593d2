"""What the window kernel fills: a table (an array), or lists; the compiler keeps of each function what fits.

These functions are compiled into the kernel: Numba does not see a change here alone, so clear its cache
(``__pycache__`` beside `windows.py`) after one.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

__all__ = ["Lists", "begin", "end", "has_room", "put"]


class Lists(NamedTuple):
    """What was found, case by case, where a table would hold mostly zeros."""

    column: np.ndarray  # int32 (room)
    value: np.ndarray  # float64 (room)
    end: np.ndarray  # int64 (cases): where the case's list ends
    at: np.ndarray  # int64 (2): how much of the room is used; the next case


def begin(out):  # type: ignore[no-untyped-def]
    """Return the first case to look at."""
    raise NotImplementedError


def has_room(out, i, most):  # type: ignore[no-untyped-def]
    """Tell whether so many more values of a case find room."""
    raise NotImplementedError


def put(out, place, i, value):  # type: ignore[no-untyped-def]
    """Note a column's value for a case."""
    raise NotImplementedError


def end(out, i):  # type: ignore[no-untyped-def]
    """Note that a case is done."""
    raise NotImplementedError


@overload(begin, inline="always")
def _compiled_begin(out):  # type: ignore[no-untyped-def]
    return (lambda out: 0) if isinstance(out, types.Array) else (lambda out: out.at[1])


@overload(has_room, inline="always")
def _compiled_has_room(out, i, most):  # type: ignore[no-untyped-def]
    if isinstance(out, types.Array):
        return lambda out, i, most: True
    return lambda out, i, most: out.at[0] + most <= out.value.size


@overload(put, inline="always")
def _compiled_put(out, place, i, value):  # type: ignore[no-untyped-def]
    def to_table(out, place, i, value):  # type: ignore[no-untyped-def]
        out[place, i] = value

    def to_list(out, place, i, value):  # type: ignore[no-untyped-def]
        if value != 0.0:
            out.column[out.at[0]] = place
            out.value[out.at[0]] = value
            out.at[0] += 1

    return to_table if isinstance(out, types.Array) else to_list


@overload(end, inline="always")
def _compiled_end(out, i):  # type: ignore[no-untyped-def]
    def end_list(out, i):  # type: ignore[no-untyped-def]
        out.end[i] = out.at[0]
        out.at[1] = i + 1

    return (lambda out, i: None) if isinstance(out, types.Array) else end_list
