"""Whatever the history, some things do not change the label, and patients do not know of each other."""

from dataclasses import replace

import polars as pl
import pytest
from cohort_histories import Patient, make_shard
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.cohorts import Task, load_task, shard_cases, task_names
from riskmodels.history import Shard

TASKS = [
    task
    for task in map(load_task, task_names())
    if task.index.event == "discharge" and task.index.cohort is None  # a cohort is a part of readmission-30d
]
by_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
small = settings(max_examples=20, deadline=None)
FACTS = [
    "person_id",
    "index_time",
    "admission_time",
    "facility_id",
    "length_of_stay",
    "label",
    "outcome_time",
]

stays = st.tuples(
    st.integers(0, 90),
    st.integers(0, 12),
    st.sampled_from(["A", "B", None]),
    st.sampled_from([None, "home", "transfer", "ama", "died", "rehab", "psychiatric"]),
    st.sampled_from([None, "elective", "emergency"]),
    st.sampled_from(["I50.9", "I50.23", "M17.11", "Z51.11", "F32.9"]),
)
visits = st.integers(0, 100)


@st.composite
def patients(draw: st.DrawFn, person: int = 0) -> Patient:
    """Draw a patient with some stays and ED visits; no two stays begin and end together."""
    patient = Patient(person, death=draw(st.none() | st.integers(0, 120)))
    patient.covered = draw(st.sampled_from([[(-400, 200)], [(-400, 60)], [(-400, 20), (22, 200)]]))
    drawn = draw(st.lists(stays, max_size=5, unique_by=lambda stay: (stay[0], stay[1])))
    for start, length, facility, disposition, admission, diagnosis in drawn:
        patient.stay(
            start,
            start + length,
            facility,
            discharge_disposition=disposition,
            admission_type=admission,
            diagnosis=("ICD10CM", diagnosis),
        )
    for start in draw(st.lists(visits, max_size=3, unique=True)):
        patient.ed(start)
    return patient


def run(task: Task, *group: Patient) -> pl.DataFrame:
    shard, vocabulary = make_shard(*group)
    return shard_cases(task, shard, vocabulary=vocabulary)[0]


@by_task
@small
@given(patient=patients(), seed=st.integers(0, 1000))
def test_the_order_of_rows_and_the_numbers_of_encounters_change_nothing(
    task: Task, patient: Patient, seed: int
) -> None:
    shard, vocabulary = make_shard(patient)
    numbers = shard.encounter["encounter"].shuffle(seed)
    renamed = dict(zip(shard.encounter["encounter"].to_list(), (numbers + 1000).to_list(), strict=True))
    shuffled = Shard(
        number=0,
        person=shard.person,
        coverage=shard.coverage.sample(fraction=1, shuffle=True, seed=seed),
        encounter=shard.encounter.with_columns(pl.col("encounter").replace(renamed)).sample(
            fraction=1, shuffle=True, seed=seed
        ),
        event=shard.event.with_columns(pl.col("encounter").replace(renamed)).sample(
            fraction=1, shuffle=True, seed=seed
        ),
    )
    before = shard_cases(task, shard, vocabulary=vocabulary)[0]
    after = shard_cases(task, shuffled, vocabulary=vocabulary)[0]
    assert after.select(FACTS).equals(before.select(FACTS))


@by_task
@small
@given(first=patients(0), second=patients(1))
def test_patients_do_not_know_of_each_other(task: Task, first: Patient, second: Patient) -> None:
    together = run(task, first, second)
    alone = [run(task, first), run(task, second)]
    assert together.select(FACTS).equals(pl.concat(alone).select(FACTS))


@by_task
@small
@given(patient=patients(), later=st.integers(32, 60), length=st.integers(0, 5))
def test_what_happens_after_the_follow_up_changes_no_label(
    task: Task, patient: Patient, later: int, length: int
) -> None:
    before = run(task, patient)
    end = int(max([entry["end"] for entry in patient.encounters], default=0)) + later
    longer = replace(patient, encounters=list(patient.encounters))
    longer.stay(end, end + length, "A").ed(end + length + 5)
    after = run(task, longer)
    known = after.filter(pl.col("index_id").is_in(before["index_id"].implode()))
    assert known.select(FACTS).equals(before.select(FACTS))


@by_task
@small
@given(patient=patients())
def test_an_outcome_lies_in_the_window_and_a_label_needs_a_follow_up(task: Task, patient: Patient) -> None:
    cases = run(task, patient)
    day = (pl.col("outcome_time").dt.date() - pl.col("index_time").dt.date()).dt.total_days()
    assert cases.filter(~day.is_between(0, task.horizon_days)).is_empty()
    assert cases.filter(pl.col("outcome_time") < pl.col("index_time")).is_empty()
    assert cases.filter(pl.col("label").is_null() != pl.col("censored")).is_empty()
    observed = cases.filter(~pl.col("censored"))
    assert observed.filter((pl.col("label") == 1) != pl.col("outcome_time").is_not_null()).is_empty()
    assert cases["index_id"].is_unique().all()


@by_task
@small
@given(patient=patients())
def test_stays_do_not_overlap_and_hold_every_encounter_once(task: Task, patient: Patient) -> None:
    everyone = replace(
        task,
        index=replace(
            task.index, exclude_dispositions=(), exclude_principal_diagnosis=(), treat_and_release=False
        ),
        look_back=replace(task.look_back, require_coverage=False),
    )
    cases = run(everyone, replace(patient, death=None))
    held = cases.select(pl.col("stay_encounters").explode()).to_series().drop_nulls()
    inpatient = [n for n, entry in enumerate(patient.encounters) if entry["kind"] in task.index.kinds]
    assert sorted(held.to_list()) == inpatient
    before = cases.with_columns(previous=pl.col("index_time").shift(1).over("person"))
    assert before.filter(pl.col("admission_time") < pl.col("previous")).is_empty()
