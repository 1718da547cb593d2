"""Splits keep patients together, and the future out of the past."""

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from riskmodels.cohorts import folds_by_patient, split_by_patient, split_by_time
from riskmodels.cohorts.splits import patient_position
from riskmodels.errors import DataError, SpecError

PARTS = {"train": 0.6, "valid": 0.1, "calibrate": 0.1, "test": 0.2}


def cases(patients: int, each: int = 3) -> pl.DataFrame:
    return pl.DataFrame({"person_id": [f"P{number % patients}" for number in range(patients * each)]})


def test_the_hash_of_a_patient_never_changes() -> None:
    """Golden values: a split that moved would put patients of the training set into the test set."""
    found = patient_position(pl.Series(["A", "B", "A", None]), seed=0)
    again = patient_position(pl.Series(["A"]), seed=1)
    assert found.round(6).to_list() == GOLDEN
    assert again.round(6).to_list() == GOLDEN_SEED_1


GOLDEN: list[float | None] = [0.976677, 0.422346, 0.976677, None]
GOLDEN_SEED_1: list[float | None] = [0.84778]


def test_all_cases_of_a_patient_are_in_one_part() -> None:
    table = cases(500)
    parts = table.with_columns(split=split_by_patient(table, PARTS, seed=3))
    assert parts.group_by("person_id").agg(pl.col("split").n_unique())["split"].max() == 1


def test_parts_have_about_the_shares_that_were_asked_for() -> None:
    table = cases(20_000, each=1)
    shares = split_by_patient(table, PARTS).value_counts(normalize=True)
    for part, share in shares.iter_rows():
        assert share == pytest.approx(PARTS[part], abs=0.015)


def test_patients_keep_their_part_when_others_come_or_go() -> None:
    table = cases(300)
    some = table.filter(pl.col("person_id") < "P2")
    everyone = table.with_columns(split=split_by_patient(table, PARTS))
    assert split_by_patient(some, PARTS).to_list() == (
        everyone.filter(pl.col("person_id") < "P2")["split"].to_list()
    )


def test_another_seed_is_another_split() -> None:
    table = cases(300)
    assert not split_by_patient(table, PARTS, seed=1).equals(split_by_patient(table, PARTS, seed=2))


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_every_kind_of_frame_gives_the_same_split(kind: str) -> None:
    table = cases(50)
    frame: Any = {"pandas": table.to_pandas, "polars": table.clone, "arrow": table.to_arrow}[kind]()
    assert split_by_patient(frame, PARTS).equals(split_by_patient(table, PARTS))
    assert folds_by_patient(frame, 4).equals(folds_by_patient(table, 4))


def test_folds_are_all_used_and_keep_patients_together() -> None:
    table = cases(500)
    folds = table.with_columns(fold=folds_by_patient(table, 5))
    assert sorted(folds["fold"].unique()) == [0, 1, 2, 3, 4]
    assert folds.group_by("person_id").agg(pl.col("fold").n_unique())["fold"].max() == 1


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train": 0.6, "test": 0.5}, "adds up to 1.1"),
        ({"train": 1.2, "test": -0.2}, "a share above 0"),
        ({}, "a share above 0"),
    ],
)
def test_fractions_that_make_no_split_are_refused(fractions: dict[str, float], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        split_by_patient(cases(2), fractions)


def test_one_fold_is_refused() -> None:
    with pytest.raises(SpecError, match="at least 2"):
        folds_by_patient(cases(2), 1)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match=r"no column 'person_id'.*did you mean 'personid'"):
        split_by_patient(pl.DataFrame({"personid": ["A"]}), {"all": 1.0})


def test_a_case_of_nobody_is_refused() -> None:
    table = pl.DataFrame({"person_id": ["A", None]})
    with pytest.raises(DataError, match="1 of 2 cases have no person_id"):
        split_by_patient(table, PARTS)
    with pytest.raises(DataError, match="1 of 2 cases have no person_id"):
        folds_by_patient(table, 2)


def dated(*rows: tuple[str, date, date]) -> pl.DataFrame:
    schema = {"person_id": pl.String, "index_time": pl.Date, "follow_up_end": pl.Date}
    table = pl.DataFrame(list(rows), schema=schema, orient="row")
    return table.with_columns(pl.col("index_time", "follow_up_end").cast(pl.Datetime("us")))


TIMED = dated(
    ("A", date(2024, 1, 1), date(2024, 2, 1)),
    ("B", date(2024, 2, 10), date(2024, 3, 12)),
    ("A", date(2024, 3, 1), date(2024, 4, 1)),
    ("C", date(2024, 3, 2), date(2024, 4, 2)),
)


def test_training_ends_with_what_was_known_at_the_cutoff() -> None:
    """A case from before the cutoff whose follow-up reaches over it belongs to neither part."""
    assert split_by_time(TIMED, date(2024, 3, 1)).to_list() == ["train", None, "test", "test"]
    assert split_by_time(TIMED, datetime(2024, 3, 12)).to_list() == ["train", "train", None, None]


def test_patients_seen_in_training_can_be_left_out_of_the_test() -> None:
    parts = split_by_time(TIMED, date(2024, 3, 1), new_patients_only=True)
    assert parts.to_list() == ["train", None, None, "test"]
