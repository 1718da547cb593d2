"""Lay the tables of a shard, and its index cases, out as the arrays that the window kernel reads."""

import numpy as np
import polars as pl
from numba import njit

from riskmodels.features.plan import TablePlan, fixed
from riskmodels.features.scratch import Scratch
from riskmodels.features.windows import Cases, Rows
from riskmodels.history import Shard

__all__ = ["anchored", "lay_cases", "lay_rows", "ordered", "placed"]

TIMES = ("index_time", "admission_time")


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


def lay_rows(
    shard: Shard, frame: pl.DataFrame, plan: TablePlan, known_only: bool, scratch: Scratch
) -> tuple[Rows, int]:
    """Return a table as the kernel reads it, and the bound of its keys.

    Parameters
    ----------
    shard : Shard
    frame : DataFrame
        The table, as `ordered` returns it.
    plan : TablePlan
        What is read of it.
    known_only : bool
        Whether the kernel asks from when a row was known.
    scratch : Scratch
        Holds the values until the thread lays out another table.
    """
    time = "end" if plan.table == "encounter" else "time"
    none = np.empty(0)
    # One query for all columns: each would wake the threads of Polars.
    laid = frame.select(
        pl.col(time).to_physical().alias("time"),
        pl.col("kind").to_physical(),
        *([pl.col("code")] if plan.table == "event" else []),
        *([pl.col("encounter").fill_null(-1)] if plan.any_stay else []),
        *([pl.max_horizontal("recorded_at", time).to_physical().alias("known")] if known_only else []),
        *(_value(name).alias(f"value {name}") for name in plan.values),
        *(_key(name, time).alias(f"key {name}") for name in plan.keys if name != "code"),
    )
    arrays = {name: laid[name].to_numpy() for name in laid.columns if not name.startswith("value ")}
    values = scratch.table("values", frame.height, len(plan.values))
    for place, name in enumerate(plan.values):
        _fill(values[:, place], laid[f"value {name}"])
    keys = [arrays["code" if name == "code" else f"key {name}"] for name in plan.keys]
    marks = np.zeros(frame.height if plan.conditions else 0, np.uint64)
    for place, (column, accepted) in enumerate(plan.conditions):
        met = _column(shard, frame, column).is_in(list(accepted)).fill_null(False).to_numpy()
        marks |= met.astype(np.uint64) << np.uint64(place)
    linked = known_only and any(column == "encounter_kind" for column, _ in plan.conditions)
    rows = Rows(
        time=fixed(arrays["time"], np.int64),
        kind=fixed(arrays["kind"], np.uint8),
        code=fixed(arrays.get("code", none), np.int32),
        marks=fixed(marks, np.uint64),
        values=fixed(values, np.float64),
        keys=fixed(
            keys[0][None] if len(keys) == 1 else np.reshape(keys, (len(keys), frame.height)), np.int32
        ),
        encounter=fixed(arrays.get("encounter", none), np.int32),
        known=fixed(arrays.get("known", none), np.int64),
        linked_known=fixed(_linked_known(shard, frame) if linked else none, np.int64),
    )
    return rows, int(rows.keys.max(initial=-1)) + 1


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
    # Both are sorted, so that the search goes on from where it was: cheaper than a pass over all rows.
    persons, wanted = frame["person"].to_numpy(), person.to_numpy()
    low = np.searchsorted(persons, wanted, "left")
    high = np.searchsorted(persons, wanted, "right")
    return laid._replace(low=fixed(low, np.int64), high=fixed(high, np.int64))


def anchored(laid: Cases, anchor: str) -> Cases:
    """Return the cases with the instant at which windows end."""
    return laid._replace(anchor=laid.index_time if anchor == "index" else laid.admission)


def _value(name: str) -> pl.Expr:
    if name == "length_of_stay":
        return (pl.col("end").dt.date() - pl.col("start").dt.date()).dt.total_days().cast(pl.Float64)
    return pl.col(name).cast(pl.Float64).fill_null(float("nan"))  # faster than nulls to NumPy


def _key(name: str, time: str) -> pl.Expr:
    """Return small whole numbers that are equal where the key is, -1 where it is unknown."""
    column = pl.col(time).dt.date() if name == "day" else pl.col(name)
    return (column.rank("dense").cast(pl.Int32) - 1).fill_null(-1)


def _fill(out: np.ndarray, series: pl.Series) -> None:
    """Copy a series of pieces, as Parquet's row groups give it, once."""
    start = 0
    for piece in series.get_chunks():
        out[start : start + len(piece)] = piece.to_numpy()
        start += len(piece)


def _linked_known(shard: Shard, frame: pl.DataFrame) -> np.ndarray:
    """Return the instant from which the encounter that a row belongs to was known, 0 where it has none."""
    known = shard.encounter.select("encounter", known=pl.max_horizontal("recorded_at", "end"))
    linked = frame.select("encounter").join(known, on="encounter", how="left", maintain_order="left")
    return linked["known"].to_physical().fill_null(0).to_numpy()


def _column(shard: Shard, frame: pl.DataFrame, name: str) -> pl.Series:
    if name != "encounter_kind":
        return frame[name]
    kinds = shard.encounter.select("encounter", encounter_kind=pl.col("kind").cast(pl.String))
    return frame.select("encounter").join(kinds, on="encounter", how="left", maintain_order="left")[
        "encounter_kind"
    ]
