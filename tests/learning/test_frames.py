"""Tables of every kind become one frame, and nothing is guessed."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from riskmodels.learning.frames import InputError, as_category, as_frame, as_number, match_columns

PANDAS = pd.DataFrame({"x": [1.5, np.nan], "n": [1, 2], "t": ["a", None], "f": [True, False]})


@pytest.mark.parametrize(
    "table",
    [PANDAS, pl.from_pandas(PANDAS), pa.Table.from_pandas(PANDAS), pl.from_pandas(PANDAS).lazy()],
    ids=["pandas", "polars", "arrow", "lazy"],
)
def test_every_kind_of_table_gives_the_same_columns(table):
    frame = as_frame(table)
    assert frame.columns == ["x", "n", "t", "f"]
    np.testing.assert_array_equal(as_number(frame["x"]), [1.5, np.nan])
    np.testing.assert_array_equal(as_number(frame["f"]), [1, 0])
    assert as_category(frame["t"]).to_list() == ["a", None]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pd.Series([3, 1, None], dtype="Int64"), ["3", "1", None], id="nullable-integer"),
        pytest.param(pd.Series([3, 1, 3]).astype("category"), ["3", "1", "3"], id="categorical-of-integers"),
        pytest.param(pd.Series(["b", None]).astype("category"), ["b", None], id="categorical-of-text"),
        pytest.param(pd.Series([3, "x", None], dtype=object), ["3", "x", None], id="mixed-object"),
        pytest.param(pd.Series([3, None, 1.0], dtype=object), ["3", None, "1"], id="object-of-numbers"),
        pytest.param(pd.Series([1.5, 2.0]), ["1.5", "2.0"], id="fractions"),
    ],
)
def test_pandas_columns_keep_their_levels(column, expected):
    assert as_category(as_frame(pd.DataFrame({"c": column}))["c"]).to_list() == expected


def test_a_pandas_categorical_of_numbers_stays_a_category():
    frame = as_frame(pd.DataFrame({"ward": pd.Series([3, 1]).astype("category")}))
    assert frame["ward"].dtype == pl.Categorical


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), [[1, 2]], pd.DataFrame(np.zeros((2, 2)))], ids=["array", "list", "unnamed"]
)
def test_what_has_no_column_names_is_no_frame(array):
    assert as_frame(array) is None


def test_columns_that_are_there_twice_are_refused():
    with pytest.raises(InputError, match="'x' is there more than once"):
        as_frame(pd.DataFrame([[1, 2]], columns=["x", "x"]))


@pytest.mark.parametrize(
    "column", [pl.Series("x", ["1"]), pl.Series("x", [dt.date(2024, 1, 1)])], ids=["text", "date"]
)
def test_what_is_no_number_is_refused_as_one(column):
    with pytest.raises(InputError, match="'x' is"):
        as_number(column)


def test_an_empty_column_is_missing_everywhere():
    assert np.isnan(as_number(pl.Series("x", [None, None]))).all()


def test_long_lists_of_missing_columns_are_cut():
    with pytest.raises(InputError, match=r"8 of the 8 columns .* and 3 more"):
        match_columns(pl.DataFrame({"z": [1]}), list("abcdefgh"))
