"""Codes that no grouper of a feature set knows are said, where they are many."""

import logging
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from riskmodels.features import Any, Count, Events, FeatureSet, Score, Static
from riskmodels.features.unknown_codes import unknown_codes, warn_of_unknown_codes
from riskmodels.history import History, Part, open_history, write_history

LISTED = FeatureSet("listed", [Any(Events("diagnosis", grouper="charlson"), "365d")])
CLASSIFIED = FeatureSet("classified", [Count(Events("diagnosis", grouper="chapters"), "365d")])
Codes = list[tuple[str, str, str, int, int]]


def make(path: Path, codes: Codes) -> History:
    """Make a history of (kind, system, code, first person, last person): one event a person."""
    people = {"person_id": [f"P{number:03d}" for number in range(60)], "sex": "female"}
    rows = [
        (f"P{number:03d}", date(2023, 1, 1 + place), kind, system, code)
        for place, (kind, system, code, first, last) in enumerate(codes)
        for number in range(first, last + 1)
    ]
    event = pl.DataFrame(rows, schema=["person_id", "time", "kind", "code_system", "code"], orient="row")
    parts = [
        Part(
            "person",
            pl.DataFrame({**people, "birth_date": date(1940, 1, 1)}),
            "p",
        ),
        Part("event", event.with_columns(pl.col("time").cast(pl.Datetime("us"))), "e"),
    ]
    return write_history(parts, path / "history", source_format="simulated", shards=3)


def counted(history: History, features: FeatureSet) -> list[tuple]:
    return unknown_codes(history, features).counts.rows()


@pytest.mark.parametrize(
    ("features", "codes", "wanted"),
    [
        pytest.param(
            LISTED,
            [("diagnosis", "ICD10CM", "I50.9", 0, 29), ("diagnosis", "ICD10CM", "Z00.0", 30, 59)],
            [],
            id="most codes are no comorbidity",
        ),
        pytest.param(
            LISTED,
            [("diagnosis", "ICD10CM", "I50.9", 0, 39), ("diagnosis", "ICD10CM", "HEART!", 40, 59)],
            [("diagnosis", "ICD10CM", 60, 20, 20 / 60, True)],
            id="what is no code",
        ),
        pytest.param(
            LISTED,
            [("diagnosis", "ICD10CM", "I50.9", 0, 59), ("diagnosis", "SNOMED", "84114007", 0, 10)],
            [("diagnosis", "ICD10CM", 60, 0, 0.0, False), ("diagnosis", "SNOMED", 11, 11, 1.0, True)],
            id="a system that the grouper has not",
        ),
        pytest.param(
            CLASSIFIED,
            [("diagnosis", "ICD10CM", "A00", 0, 44), ("diagnosis", "ICD9CM", "XYZ", 45, 59)],
            [("diagnosis", "ICD10CM", 45, 0, 0.0, False), ("diagnosis", "ICD9CM", 15, 15, 1.0, True)],
            id="a gap of a classification",
        ),
        pytest.param(
            LISTED,
            [("lab", "LOCAL", "x", 0, 59), ("procedure", "LOCAL", "x", 0, 59), ("drug", "NDC", "1", 0, 59)],
            [],
            id="kinds that no grouper is asked about",
        ),
        pytest.param(
            LISTED,
            [("diagnosis", "ICD10CM", "I50.9", 0, 49), ("diagnosis", "ICD10CM", "HEART!", 50, 59)],
            [("diagnosis", "ICD10CM", 60, None, None, True)],
            id="unknown ones of 10 persons",
        ),
        pytest.param(
            LISTED,
            [("diagnosis", "ICD10CM", "I50.9", 50, 59), ("diagnosis", "ICD10CM", "HEART!", 0, 49)],
            [("diagnosis", "ICD10CM", 60, None, None, True)],
            id="known ones of 10 persons could be worked out",
        ),
        pytest.param(
            LISTED,
            [("diagnosis", "ICD10CM", "I50.9", 0, 59), ("diagnosis", "SNOMED", "84114007", 0, 9)],
            [("diagnosis", "ICD10CM", 60, 0, 0.0, False), ("diagnosis", "SNOMED", None, None, None, True)],
            id="a system of 10 persons",
        ),
    ],
)
def test_counts(tmp_path: Path, features: FeatureSet, codes: Codes, wanted: list[tuple]) -> None:
    assert counted(make(tmp_path, codes), features) == wanted


def test_the_groupers_of_scores_and_facts_are_asked_too(tmp_path: Path) -> None:
    history = make(tmp_path, [("diagnosis", "SNOMED", "84114007", 0, 59)])
    for spec in (Score("charlson"), Static("principal_diagnosis_group", grouper="clinical")):
        assert counted(history, FeatureSet("one", [spec])) == [("diagnosis", "SNOMED", 60, 60, 1.0, True)]
    assert counted(history, FeatureSet("none", [Static("length_of_stay")])) == []


def test_one_is_enough_to_know_a_code(tmp_path: Path) -> None:
    both = FeatureSet("both", [*LISTED.specs, Any(Events("diagnosis", grouper="ccsr"), "365d", name="other")])
    codes: Codes = [("diagnosis", "ICD9CM", "428.0", 0, 59), ("diagnosis", "ICD10CM", "I50.9", 0, 59)]
    assert counted(make(tmp_path, codes), both) == []


def test_only_what_was_known_is_counted(tmp_path: Path) -> None:
    codes: Codes = [("diagnosis", "ICD10CM", "I50.9", 0, 59), ("diagnosis", "SNOMED", "84114007", 0, 59)]
    path = make(tmp_path, codes).path
    known = open_history(path, as_of=date(2023, 1, 2))
    assert counted(known, LISTED) == [("diagnosis", "ICD10CM", 60, 0, 0.0, False)]


def test_one_line_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It has counts and shares by system, and neither codes nor patients."""
    codes: Codes = [
        ("diagnosis", "ICD10CM", "I50.9", 0, 59),
        ("diagnosis", "SNOMED", "84114007", 0, 59),
        ("diagnosis", "LOCAL", "oddity", 0, 3),
    ]
    with caplog.at_level(logging.WARNING, "riskmodels"):
        found = warn_of_unknown_codes(make(tmp_path, codes), LISTED)
    (record,) = caplog.records
    said = record.getMessage()
    assert "(charlson)" in said
    assert "60 of 60 diagnosis codes in SNOMED (100.0%)" in said
    assert "more than 1% of diagnosis codes in LOCAL (withheld: fewer than 11 persons)" in said
    assert not [word for word in ("84114007", "oddity", "P00") if word in said]
    assert [text.partition(" knows ")[0] for text in found.limitations()] == [
        "No grouper of the features (charlson)"
    ] * 2
    assert "knows 60 of 60 diagnosis codes in SNOMED (100.0%): the features" in found.limitations()[1]


def test_nothing_is_said_where_all_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "riskmodels"):
        found = warn_of_unknown_codes(make(tmp_path, [("diagnosis", "ICD10CM", "I50.9", 0, 59)]), LISTED)
    assert found.to_line() is None
    assert found.limitations() == []
    assert not caplog.records
