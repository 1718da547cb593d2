"""Lay the tables of a shard, and its index cases, out as the arrays that the window kernel reads."""

import numpy as np
import polars as pl
from numba import njit

from riskmodels.errors import DataError
from riskmodels.features.arrays import MOST_VALUES, Cases, Rows
from riskmodels.features.plan import TablePlan, fixed
from riskmodels.features.sources import FOREVER
from riskmodels.history import Shard

__all__ = ["anchored", "check_cases", "lay_cases", "lay_rows", "ordered", "placed", "some"]

TIMES = ("index_time", "admission_time")
CASE_BY_CASE = ("low", "high", "anchor", "index_time", "admission")


def ordered(shard: Shard, table: str) -> pl.DataFrame:
    """Return a table sorted by person and the time that counts: an encounter's end, an event's time."""
    if table == "event":
        return shard.event
    # The stored order is (person, start, end, encounter): only a stable sort by (person, end) is missing.
    person = fixed(shard.encounter["person"].to_numpy(), np.int32)
    end = fixed(shard.encounter["end"].to_physical().to_numpy(), np.int64)
    return shard.encounter[_by_end(person, end)]


@njit(nogil=True, cache=True)
def _by_end(person, end):  # type: ignore[no-untyped-def]
    """Return the stable order by person and end: by insertion, for few stays end before an earlier one."""
    order = np.arange(person.size)
    for row in range(1, person.size):
        place = row
        while place > 0:
            before = order[place - 1]
            if person[before] != person[row] or end[before] <= end[row]:
                break
            order[place] = before
            place -= 1
        order[place] = row
    return order


def lay_rows(shard: Shard, frame: pl.DataFrame, plan: TablePlan, known_only: bool) -> tuple[Rows, int]:
    """Return a table as the kernel reads it, and the bound of its keys; columns are not copied.

    Parameters
    ----------
    shard : Shard
    frame : DataFrame
        The table, as `ordered` returns it.
    plan : TablePlan
        What is read of it.
    known_only : bool
        Whether the kernel asks from when a row was known.
    """
    time = "end" if plan.table == "encounter" else "time"
    none = np.empty(0)
    code = frame["code"].to_numpy() if plan.table == "event" else none
    values = [_value(frame, name).cast(pl.Float64).rechunk() for name in plan.values]
    keys = [code if name == "code" else _key(frame, name, time) for name in plan.keys]
    marks = np.zeros(frame.height if plan.conditions else 0, np.uint64)
    for place, (column, accepted) in enumerate(plan.conditions):
        met = _column(shard, frame, column).is_in(list(accepted)).fill_null(False).to_numpy()
        marks |= met.astype(np.uint64) << np.uint64(place)
    since = none
    if known_only:
        since = frame.select(pl.max_horizontal("recorded_at", time).to_physical()).to_series().to_numpy()
    linked = known_only and plan.asks_encounter
    rows = Rows(
        time=fixed(frame[time].to_physical().to_numpy(), np.int64),
        kind=fixed(frame["kind"].to_physical().to_numpy(), np.uint8),
        code=fixed(code, np.int32),
        marks=fixed(marks, np.uint64),
        values=tuple([_memory(v) for v in values] + [fixed(none, np.float64)] * (MOST_VALUES - len(values))),
        known=fixed(_known(values, frame.height), np.uint8),
        keys=fixed(
            keys[0][None] if len(keys) == 1 else np.reshape(keys, (len(keys), frame.height)), np.int32
        ),
        encounter=fixed(frame["encounter"].fill_null(-1).to_numpy() if plan.any_stay else none, np.int32),
        since=fixed(since, np.int64),
        linked_since=fixed(_linked_since(shard, frame) if linked else none, np.int64),
    )
    return rows, int(rows.keys.max(initial=-1)) + 1


def check_cases(cases: pl.DataFrame) -> None:
    """Refuse cases without a person or an instant, which would have rows of any time.

    Raises
    ------
    DataError
        It names the column and the first of these cases.
    """
    for name in ("person", *TIMES):
        if cases[name].null_count():
            row = (cases[name].is_null().arg_max() or 0) + 1
            raise DataError(
                f"row {row:,} of the index cases has none",
                column=name,
                fix="leave such cases out; a case without a stay has its index_time as admission_time",
            )


def lay_cases(cases: pl.DataFrame) -> Cases:
    """Return the cases as the kernel reads them, without the place of their rows."""
    laid = cases.select(
        *(pl.col(name).cast(pl.Datetime("us")).to_physical() for name in TIMES),
        length=pl.col("stay_encounters").list.len().fill_null(0),
    )
    stay = cases.select(pl.col("stay_encounters").explode(empty_as_null=False, keep_nulls=False)).to_series()
    nowhere = fixed([], np.int64)
    return Cases(
        low=nowhere,
        high=nowhere,
        anchor=nowhere,
        index_time=fixed(laid["index_time"].to_numpy(), np.int64),
        admission=fixed(laid["admission_time"].to_numpy(), np.int64),
        stay_start=fixed(np.concatenate([[0], np.cumsum(laid["length"].to_numpy())]), np.int64),
        stay=fixed(stay.to_numpy(), np.int32),
    )


def placed(laid: Cases, person: pl.Series, frame: pl.DataFrame) -> Cases:
    """Return the cases, of these persons, with the place of each one's rows in a table."""
    persons, wanted = fixed(frame["person"].to_numpy(), np.int32), fixed(person.to_numpy(), np.int32)
    low, high = _places(persons, wanted)
    return laid._replace(low=fixed(low, np.int64), high=fixed(high, np.int64))


@njit(nogil=True, cache=True)
def _places(persons, wanted):  # type: ignore[no-untyped-def]
    """Return where the rows of each wanted person begin and end.

    Both are sorted as a rule, so that the search goes on from where it was, in steps that double: cheaper
    than a pass over all rows, or a search among all of them for each case.
    """
    low, high = np.empty(wanted.size, np.int64), np.empty(wanted.size, np.int64)
    at = 0
    for i in range(wanted.size):
        if i > 0 and wanted[i] == wanted[i - 1]:
            low[i], high[i] = low[i - 1], high[i - 1]
            continue
        if i > 0 and wanted[i] < wanted[i - 1]:
            at = 0
        low[i] = _first_from(persons, at, wanted[i])
        high[i] = _first_from(persons, low[i], wanted[i] + 1)
        at = high[i]
    return low, high


@njit(inline="always")
def _first_from(persons, at, person):  # type: ignore[no-untyped-def]
    """Return the first row from a place on that is not of an earlier person."""
    step, below = 1, at
    while below < persons.size and persons[below] < person:
        at = below + 1
        below += step
        step += step
    above = min(below, persons.size)
    while at < above:
        middle = (at + above) >> 1
        if persons[middle] < person:
            at = middle + 1
        else:
            above = middle
    return at


def anchored(laid: Cases, anchor: str) -> Cases:
    """Return the cases with the instant at which windows end."""
    return laid._replace(anchor=laid.index_time if anchor == "index" else laid.admission)


def some(cases: Cases, start: int, n: int) -> Cases:
    """Return so many of the cases, from a place on."""
    one_each = {name: getattr(cases, name)[start : start + n] for name in CASE_BY_CASE}
    return cases._replace(**one_each, stay_start=cases.stay_start[start : start + n + 1])


def _value(frame: pl.DataFrame, name: str) -> pl.Series:
    if name != "length_of_stay":
        return frame[name]
    days = pl.col("end").dt.date() - pl.col("start").dt.date()
    return frame.select(days.dt.total_days()).to_series()


def _memory(series: pl.Series) -> np.ndarray:
    """Return the memory of a column of Float64 as it was read; what is null holds anything."""
    stored = series.to_arrow()
    return fixed(
        np.frombuffer(stored.buffers()[1] or b"", np.float64)[stored.offset :][: len(stored)], np.float64
    )


def _known(columns: list[pl.Series], n_rows: int) -> np.ndarray:
    """Return which values are known, a bit each, for each of the columns."""
    bits = np.full((len(columns), (n_rows + 7) // 8), 255, np.uint8)
    for place, column in enumerate(columns):
        if column.null_count():
            stored = column.to_arrow()
            if stored.offset % 8:
                bits[place] = np.packbits(column.is_not_null().to_numpy(), bitorder="little")
            else:
                bits[place] = np.frombuffer(stored.buffers()[0], np.uint8)[stored.offset // 8 :][
                    : bits.shape[1]
                ]
    return bits


def _key(frame: pl.DataFrame, name: str, time: str) -> np.ndarray:
    """Return small whole numbers that are equal where the key is, -1 where it is unknown."""
    column = frame[time].dt.date() if name == "day" else frame[name]
    return (column.rank("dense").cast(pl.Int32) - 1).fill_null(-1).to_numpy()


def _linked_since(shard: Shard, frame: pl.DataFrame) -> np.ndarray:
    """Return the instant from which the encounter of each row was known, `FOREVER` where it has none."""
    since = pl.max_horizontal("recorded_at", "end").to_physical()
    return _of_encounter(shard, frame, since).fill_null(FOREVER).to_numpy()


def _column(shard: Shard, frame: pl.DataFrame, name: str) -> pl.Series:
    return (
        frame[name]
        if name != "encounter_kind"
        else _of_encounter(shard, frame, pl.col("kind").cast(pl.String))
    )


def _of_encounter(shard: Shard, frame: pl.DataFrame, what: pl.Expr) -> pl.Series:
    """Return something of the encounter that each row belongs to, null where it has none of its patient's."""
    both = ["person", "encounter"]
    known = shard.encounter.select(*both, what=what)
    return frame.select(both).join(known, on=both, how="left", maintain_order="left")["what"]
