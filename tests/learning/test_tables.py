"""Looking back in a table without dates: the earlier rows of the same patient, and nothing else."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from riskmodels.errors import DataError
from riskmodels.learning.tables import combine, look_back

STAYS = pl.DataFrame(
    {
        "patient": [1, 2, 1, 1, 2],
        "order": [10, 15, 40, 30, 16],
        "days": [2, 5, 7, 3, 1],
        "ward": ["a", "b", "b", "a", None],
    }
)
LOOK = {
    "patient": "patient",
    "order": "order",
    "previous": ["ward"],
    "change": ["days"],
    "total": ["days"],
    "largest": ["days"],
    "same": ["ward"],
}


def test_a_row_knows_the_patients_earlier_rows():
    """Worked by hand: patient 1 came at 10, 30 and 40, patient 2 at 15 and 16."""
    expected = STAYS.with_columns(
        earlier_stays=pl.Series([0.0, 0, 2, 1, 1]),
        since_previous=pl.Series([None, None, 10.0, 20, 1]),
        since_second_last=pl.Series([None, None, 30.0, None, None]),
        since_first=pl.Series([None, None, 30.0, 20, 1]),
        previous_ward=pl.Series([None, None, "a", "a", "b"]),
        change_days=pl.Series([None, None, 4, 1, -4]),
        total_days=pl.Series([0, 0, 5, 2, 5]),
        largest_days=pl.Series([None, None, 3, 2, 5]),
        same_ward=pl.Series([None, None, False, True, None]),
        mean_gap=pl.Series([None, None, 15.0, 20, 1]),
        shortest_gap=pl.Series([None, None, 10.0, 20, 1]),
    )
    assert_frame_equal(look_back(STAYS, **LOOK), expected)


def test_later_rows_change_nothing():
    cut = STAYS.filter(pl.col("order") < 40)
    kept = look_back(STAYS, **LOOK).filter(pl.col("order") < 40)
    assert_frame_equal(look_back(cut, **LOOK), kept)


@pytest.mark.parametrize("patient", [1, 2])
def test_other_patients_change_nothing(patient):
    alone = look_back(STAYS.filter(pl.col("patient") == patient), **LOOK)
    assert_frame_equal(alone, look_back(STAYS, **LOOK).filter(pl.col("patient") == patient))


def test_two_rows_in_one_place_are_refused():
    with pytest.raises(DataError, match="2 rows share"):
        look_back(STAYS.with_columns(order=pl.Series([10, 15, 10, 30, 16])), **LOOK)


def test_an_unknown_column_is_refused():
    with pytest.raises(DataError, match="did you mean 'days'"):
        look_back(STAYS, **{**LOOK, "total": ["day"]})


def test_combinations_keep_missing_apart():
    both = STAYS.select(combine(["ward", "patient"], "both"))["both"].to_list()
    assert both == ["a & 1", "b & 2", "b & 1", "a & 1", "? & 2"]
