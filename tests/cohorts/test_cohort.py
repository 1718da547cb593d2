"""A cohort is the cases of all shards, and a history that cannot support a task is refused."""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from riskmodels.cohorts import build_cohort, load_task
from riskmodels.errors import SpecError
from riskmodels.history import History, Part, open_history, write_history

PATIENTS = 40


def write(path: Path, *, coverage: bool = True, shards: int = 4) -> History:
    """Write patients who are all admitted in March; every other one comes back in ten days, billed late."""
    ids = [f"P{number:02}" for number in range(PATIENTS)]
    person = pl.DataFrame(
        {"person_id": ids, "birth_date": [date(1950, 1, 1)] * PATIENTS, "sex": ["male"] * PATIENTS}
    )
    spans = pl.DataFrame(
        {
            "person_id": ids,
            "start_date": [date(2022, 1, 1)] * PATIENTS,
            "end_date": [date(2024, 12, 31)] * PATIENTS,
        }
    )
    encounters = pl.DataFrame(
        [
            {
                "encounter_id": f"{name}-{start:%m%d}",
                "person_id": name,
                "kind": "inpatient",
                "start": start,
                "end": end,
                "facility_id": "A",
                "recorded_at": recorded,
            }
            for number, name in enumerate(ids)
            for start, end, recorded in [
                (datetime(2024, 3, 1), datetime(2024, 3, 5), datetime(2024, 3, 20)),
                (datetime(2024, 3, 15), datetime(2024, 3, 18), datetime(2024, 6, 1)),
            ][: 1 + number % 2]
        ]
    )
    parts = [Part("person", person, "persons"), Part("encounter", encounters, "claims")]
    if coverage:
        parts.insert(1, Part("coverage", spans, "coverage"))
    return write_history(parts, path, source_format="test", shards=shards)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return write(tmp_path_factory.mktemp("cohort") / "history")


def test_the_cohort_holds_the_cases_of_all_shards_in_order(history: History) -> None:
    cohort = build_cohort("readmission-30d", history)
    assert cohort.cases.height == PATIENTS + PATIENTS // 2
    assert cohort.cases.select("person", "index_time").equals(
        cohort.cases.select("person", "index_time").sort("person", "index_time")
    )
    assert cohort.cases["index_id"].n_unique() == cohort.cases.height
    assert cohort.observed["label"].sum() == PATIENTS // 2
    assert cohort.rate == pytest.approx(1 / 3)


def test_the_attrition_adds_up_over_the_shards(history: History) -> None:
    steps = build_cohort("readmission-30d", history).attrition
    assert steps["stays"].to_list() == [60] * steps.height
    assert steps["step"].n_unique() == steps.height == 9


def test_the_number_of_shards_changes_nothing(history: History, tmp_path: Path) -> None:
    one = build_cohort("readmission-30d", write(tmp_path / "one", shards=1))
    four = build_cohort("readmission-30d", history)
    assert one.cases.drop("stay_encounters").equals(four.cases.drop("stay_encounters"))
    assert one.attrition.equals(four.attrition)


def test_as_of_a_date_a_readmission_that_is_not_billed_yet_is_no_negative(history: History) -> None:
    """The claim of the second stay came in on 1 June. In April the label is unknown, later it is right."""
    april = build_cohort("readmission-30d", open_history(history.path, as_of=date(2024, 4, 20)))
    assert april.cases.height == PATIENTS
    assert april.cases["censored"].all()
    assert april.rate is None
    september = build_cohort("readmission-30d", open_history(history.path, as_of=date(2024, 9, 1)))
    assert september.observed["label"].sum() == PATIENTS // 2


def test_a_history_without_coverage_is_refused_unless_the_task_asks_for_none(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", coverage=False)
    with pytest.raises(SpecError, match="this history has none at all"):
        build_cohort("readmission-30d", bare)
    task = load_task("readmission-30d")
    free = replace(task, look_back=replace(task.look_back, require_coverage=False))
    cohort = build_cohort(free, bare)
    assert cohort.cases["censored"].all(), "the data end on 18 March, before any follow-up does"
    assert cohort.cases.height == 60


def test_a_history_without_the_outcomes_kind_of_encounter_is_refused(history: History) -> None:
    with pytest.raises(SpecError, match="looks for its outcome in emergency encounters, and this"):
        build_cohort("ed-visit-30d", history)
