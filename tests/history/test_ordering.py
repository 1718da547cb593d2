"""Sorting by packed words gives what a sort by all columns gives."""

from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.history.ordering import WORD, sort_distinct

KINDS = pl.Enum(["b", "a"])
COLUMNS = {
    "whole": (pl.Int32, st.integers(-3, 3)),
    "wide": (pl.Int64, st.sampled_from([-(2**63), -1, 0, WORD, 2**63 - 1])),
    "time": (pl.Datetime("us"), st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))),
    "day": (pl.Datetime("us"), st.sampled_from([datetime(2020, 1, day) for day in (1, 3, 9)])),
    "date": (pl.Date, st.dates(date(2020, 1, 1), date(2020, 1, 3))),
    "kind": (KINDS, st.sampled_from(["a", "b"])),
    "flag": (pl.Boolean, st.booleans()),
    "value": (pl.Float64, st.sampled_from([-1.5, 0.0, 2.0, float("inf"), float("nan")])),
    "text": (pl.String, st.sampled_from(["", "a", "é", "a very long text indeed"])),
}


@st.composite
def tables(draw):
    """Draw a table with few different values, so that rows tie, in any order of columns."""
    names = draw(st.permutations(list(COLUMNS)))[: draw(st.integers(1, len(COLUMNS)))]
    rows = draw(st.lists(st.tuples(*[st.none() | COLUMNS[name][1] for name in names]), max_size=12))
    rows += draw(st.lists(st.sampled_from(rows), max_size=6)) if rows else []
    return pl.DataFrame(rows, schema={name: COLUMNS[name][0] for name in names}, orient="row")


@settings(deadline=None)
@given(tables())
def test_the_order_is_that_of_a_sort_by_all_columns(rows):
    """Nulls come last, rows that are the same are kept once, and their number is told."""
    found, left_out = sort_distinct(rows, rows.columns)
    wanted = rows.unique().sort(rows.columns, nulls_last=True)
    assert found.equals(wanted)
    assert left_out == rows.height - wanted.height


@pytest.mark.parametrize("n", [0, 1, 2])
def test_columns_that_are_no_keys_come_along(n):
    """Rows that are equal in the keys are one row."""
    rows = pl.DataFrame({"key": [1] * n, "other": ["x"] * n}, schema={"key": pl.Int32, "other": pl.String})
    found, left_out = sort_distinct(rows, ["key"])
    assert found.equals(rows.head(1))
    assert left_out == max(n - 1, 0)
