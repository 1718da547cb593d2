"""What a table of whole days cannot show: times of day, the options of a task, and the view as of a date."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from cohort_histories import DAY_0, Patient, day, instant, make_shard

from riskmodels.cohorts import CASES, Task, load_task, shard_cases
from riskmodels.errors import SpecError

READMISSION = load_task("readmission-30d")
ED_VISIT = load_task("ed-visit-30d")
HEART_FAILURE = ("ICD10CM", "I50.9")


def cases_of(patient: Patient, task: Task = READMISSION, **options: Any) -> pl.DataFrame:
    shard, vocabulary = make_shard(patient)
    return shard_cases(task, shard, vocabulary=vocabulary, **options)[0]


def labels(patient: Patient, task: Task = READMISSION, **options: Any) -> list[int | None]:
    return cases_of(patient, task, **options)["label"].to_list()


def with_index(task: Task = READMISSION, **changes: Any) -> Task:
    return replace(task, index=replace(task.index, **changes))


def with_follow_up(**changes: Any) -> Task:
    return replace(READMISSION, follow_up=replace(READMISSION.follow_up, **changes))


def with_look_back(**changes: Any) -> Task:
    return replace(READMISSION, look_back=replace(READMISSION.look_back, **changes))


def test_a_case_has_the_facts_of_the_joined_stay() -> None:
    """Facility, DRG and disposition are of the last segment, type and source of admission of the first."""
    patient = (
        Patient()
        .stay(0.25, 5.5, "A", drg="100", admission_type="emergency", admission_source="physician")
        .stay(6, 9.5, "B", drg="200", admission_type="urgent", discharge_disposition="snf")
    )
    cases = cases_of(patient)
    assert dict(cases.schema) == CASES
    (case,) = cases.to_dicts()
    expected = {
        "index_id": "P0-1",
        "person": 0,
        "person_id": "P0",
        "admission_time": instant(0.25),
        "index_time": instant(9.5),
        "stay_encounters": [0, 1],
        "facility_id": "B",
        "drg": "200",
        "discharge_disposition": "snf",
        "admission_type": "emergency",
        "admission_source": "physician",
        "length_of_stay": 9,
        "dual": True,
        "orig_disability": None,
        "follow_up_end": instant(9 + 31),
        "label": 0,
        "outcome_time": None,
        "censored": False,
    }
    assert {name: case[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("start", "label"),
    [(5.75, 1), (6.0, 1), (35.0, 1), (35.99, 1), (36.0, 0)],
    ids=["later the same day", "the next midnight", "day 30", "late on day 30", "day 31"],
)
def test_with_times_of_day_the_window_still_counts_calendar_days(start: float, label: int) -> None:
    patient = Patient().stay(0.5, 5.5).stay(start, start + 1)
    assert labels(patient)[0] == label


@pytest.mark.parametrize(
    ("start", "label"),
    [(5.25, 0), (5.5, 1), (5.75, 1)],
    ids=["earlier on the day of discharge", "at discharge", "later that day"],
)
def test_an_ed_visit_on_the_day_of_discharge_counts_from_the_discharge_on(start: float, label: int) -> None:
    assert labels(Patient().stay(0.5, 5.5).ed(start, start + 0.1), ED_VISIT) == [label]


@pytest.mark.parametrize(
    ("visit", "admitted", "label"),
    [
        ((10.1, 10.3), 10.3, 0),
        ((10.1, 10.3), 10.2, 0),
        ((10.1, 10.3), 11.9, 0),
        ((10.1, 10.3), 12.0, 1),
        ((10.4, 10.6), 10.3, 0),
    ],
    ids=[
        "from the ED",
        "before the visit ends",
        "the next day",
        "two days later",
        "recorded after admission",
    ],
)
def test_a_visit_that_leads_to_an_admission_is_not_treat_and_release(
    visit: tuple[float, float], admitted: float, label: int
) -> None:
    patient = Patient().stay(0, 5.5).ed(*visit).stay(admitted, admitted + 2)
    assert labels(patient, ED_VISIT)[0] == label


@pytest.mark.parametrize(
    ("choice", "stays"), [("same_diagnosis", 1), ("join", 1), ("separate", 2)], ids=lambda value: str(value)
)
def test_a_same_day_return_for_the_same_condition(choice: str, stays: int) -> None:
    patient = Patient().stay(0, 5, diagnosis=HEART_FAILURE).stay(5, 8, diagnosis=HEART_FAILURE)
    assert cases_of(patient, with_index(same_facility_same_day=choice)).height == stays


@pytest.mark.parametrize(("gap", "stays"), [(0, 3), (1, 2), (2, 1)])
def test_the_gap_of_a_transfer_is_the_tasks_to_say(gap: int, stays: int) -> None:
    patient = Patient().stay(0, 5, "A").stay(6, 9, "B").stay(11, 12, "A")
    assert cases_of(patient, with_index(transfer_gap_days=gap)).height == stays


def test_a_transfer_is_judged_against_the_segment_that_ended_last() -> None:
    """A short claim of facility B within a stay in A does not make the return to A a transfer."""
    patient = Patient().stay(0, 5, "A").stay(1, 2, "B").stay(6, 8, "A")
    assert cases_of(patient)["length_of_stay"].to_list() == [5, 2]


@pytest.mark.parametrize(
    ("limits", "stays"),
    [({}, 2), ({"min_age": 74}, 1), ({"min_age": 75}, 0), ({"max_age": 73}, 1), ({"max_age": 72}, 0)],
    ids=str,
)
def test_age_is_in_whole_years_at_admission(limits: dict[str, int], stays: int) -> None:
    """The patient turns 74 on day 0; the stays begin on the day before and on the day."""
    patient = Patient().stay(-1, -1).stay(0, 5)
    assert cases_of(patient, with_index(**limits)).height == stays


def test_a_disposition_that_a_task_excludes_makes_no_case() -> None:
    patient = Patient().stay(0, 5, discharge_disposition="hospice").stay(10, 12)
    assert cases_of(patient, with_index(exclude_dispositions=("died", "hospice"))).height == 1


def test_a_gap_in_coverage_may_be_overlooked_between_spans_but_not_at_the_ends() -> None:
    task = with_look_back(max_gap_days=3)
    assert labels(Patient(covered=[(-400, -104), (-100, 200)]).stay(0, 5), task) == [0]
    assert labels(Patient(covered=[(-400, -105), (-100, 200)]).stay(0, 5), task) == []
    assert labels(Patient(covered=[(-363, 200)]).stay(0, 5), task) == []
    assert labels(Patient(covered=[(-400, 33)]).stay(0, 5), task) == [None]


def test_coverage_status_is_that_of_the_row_that_began_last_before_discharge() -> None:
    shard, vocabulary = make_shard(Patient(covered=[(-400, 200)]).stay(0, 5))
    later = shard.coverage.with_columns(start_date=pl.lit(day(3)), esrd=pl.lit(True), dual=pl.lit(False))
    future = shard.coverage.with_columns(start_date=pl.lit(day(6)), dual=pl.lit(True), esrd=pl.lit(False))
    shard = replace(shard, coverage=pl.concat([shard.coverage, later, future]))
    (case,) = shard_cases(READMISSION, shard, vocabulary=vocabulary)[0].to_dicts()
    assert (case["dual"], case["esrd"]) == (False, True)


def test_coverage_status_is_that_of_the_rows_that_cover_the_day() -> None:
    """A span that began later and is over takes nothing from one that goes on; silence is no status."""
    shard, vocabulary = make_shard(Patient(covered=[(-400, 200)]).stay(0, 5))
    over = shard.coverage.with_columns(start_date=pl.lit(day(-90)), end_date=pl.lit(day(-30)), dual=None)
    silent = shard.coverage.with_columns(start_date=pl.lit(day(-20)), esrd=pl.lit(True), dual=None)
    shard = replace(shard, coverage=pl.concat([shard.coverage, over, silent], how="vertical_relaxed"))
    (case,) = shard_cases(READMISSION, shard, vocabulary=vocabulary)[0].to_dicts()
    assert (case["dual"], case["esrd"]) == (True, True)


@pytest.mark.parametrize(
    ("discharge", "dual"), [(5, True), (5.5, False)], ids=["at midnight", "in the course of the day"]
)
def test_coverage_that_begins_with_the_prediction_instant_says_nothing_yet(
    discharge: float, dual: bool
) -> None:
    shard, vocabulary = make_shard(Patient().stay(0, discharge))
    new = shard.coverage.with_columns(start_date=pl.lit(day(5)), dual=pl.lit(False))
    shard = replace(shard, coverage=pl.concat([shard.coverage, new]))
    assert shard_cases(READMISSION, shard, vocabulary=vocabulary)[0]["dual"].to_list() == [dual]


def test_a_diagnosis_that_is_dated_after_the_stay_decides_nothing() -> None:
    """What was not known at the prediction instant cannot make a case ineligible."""
    shard, vocabulary = make_shard(Patient().stay(0, 5, diagnosis=("ICD10CM", "F20.9")))
    assert shard_cases(READMISSION, shard, vocabulary=vocabulary)[0].is_empty()
    late = shard.event.with_columns(time=pl.lit(instant(5.25)))
    cases, _ = shard_cases(READMISSION, replace(shard, event=late), vocabulary=vocabulary)
    assert cases["label"].to_list() == [0]


def test_without_coverage_patients_are_watched_to_the_last_day_of_the_data() -> None:
    task = with_look_back(require_coverage=False)
    patient = Patient(covered=[]).stay(0, 5)
    assert labels(patient) == []
    assert labels(patient, task, observed_until=day(34)) == [None]
    assert labels(patient, task, observed_until=day(35)) == [0]
    assert labels(patient, task) == [None], "nothing is known after the only stay"


@pytest.mark.parametrize("name", ["readmission-30d", "mortality-30d"])
def test_no_label_needs_a_day_after_the_data_not_even_of_the_dead(name: str) -> None:
    """Else the labels of the last month would be those of the dead alone: all positive, for mortality."""
    dead = Patient(death=20, covered=[(-400, 20)]).stay(0, 5)
    horizon = 35 if name == "readmission-30d" else 30
    assert labels(dead, load_task(name), observed_until=day(horizon - 1)) == [None]
    assert labels(dead, load_task(name), observed_until=day(horizon)) == [int(name == "mortality-30d")]


def test_a_gap_that_is_overlooked_is_not_one_that_holds_the_discharge() -> None:
    """Whether coverage comes back is not known on the day: a scoring job would not have the case."""
    task = with_look_back(max_gap_days=5)
    assert labels(Patient(covered=[(-400, 3), (7, 200)]).stay(0, 5), task) == []
    assert labels(Patient(covered=[(-400, 3)]).stay(0, 5), task) == []
    assert labels(Patient(covered=[(-400, 5), (8, 200)]).stay(0, 5), task) == [0]
    population = load_task("admission-12m")
    population = replace(population, look_back=replace(population.look_back, max_gap_days=5))
    new_year = (date(2024, 1, 1) - DAY_0).days
    for last, expected in ((new_year - 1, 1), (new_year - 2, 0)):
        patient = Patient(covered=[(new_year - 400, last), (last + 4, new_year + 400)])
        cases = cases_of(patient, population, index_date=date(2024, 1, 1))
        assert cases.height == expected


def test_an_outcome_before_coverage_was_lost_may_count_if_the_task_says_so() -> None:
    seen = Patient(covered=[(-400, 15)]).stay(0, 5).stay(10, 12)
    unseen = Patient(covered=[(-400, 15)]).stay(0, 5)
    task = with_follow_up(coverage_lost="event_counts")
    assert labels(seen) == [None, None]
    assert cases_of(seen)["outcome_time"].to_list() == [instant(10), None]
    assert labels(seen, task) == [1, None]
    assert labels(unseen, task) == [None]


def test_a_death_without_an_outcome_may_be_censored_if_the_task_says_so() -> None:
    task = with_follow_up(death="censored")
    assert labels(Patient(death=20).stay(0, 5), task) == [None]
    assert labels(Patient(death=20).stay(0, 5).stay(10, 12), task)[0] == 1
    assert labels(Patient(death=36).stay(0, 5), task) == [0]


def test_the_follow_up_ends_with_the_window_death_or_coverage() -> None:
    assert cases_of(Patient().stay(0, 5))["follow_up_end"].to_list() == [instant(36)]
    assert cases_of(Patient(death=20).stay(0, 5))["follow_up_end"].to_list() == [instant(21)]
    assert cases_of(Patient(covered=[(-400, 15)]).stay(0, 5))["follow_up_end"].to_list() == [instant(16)]


@pytest.mark.parametrize(("first_day", "label"), [(0, 1), (1, 1), (4, 1), (5, 1), (6, 0)])
def test_a_window_may_begin_later_than_the_day_of_discharge(first_day: int, label: int) -> None:
    patient = Patient().stay(0, 5).stay(10, 12)
    task = with_follow_up(first_day=first_day)
    assert labels(patient, task)[0] == label
    every = replace(task, outcome=replace(task.outcome, first_only=False))
    assert labels(patient, every)[0] == label


def test_every_admission_in_the_window_is_looked_at_if_the_task_says_so() -> None:
    patient = Patient().stay(0, 5).stay(15, 17, admission_type="elective").stay(25, 27)
    task = replace(READMISSION, outcome=replace(READMISSION.outcome, first_only=False))
    assert labels(patient) == [0, 1, 0]
    assert labels(patient, task) == [1, 1, 0]


def test_a_stay_of_no_length_does_not_follow_itself() -> None:
    task = replace(READMISSION, outcome=replace(READMISSION.outcome, first_only=False))
    assert labels(Patient().stay(0, 0), task) == [0]


@pytest.mark.parametrize(
    ("as_of", "label"),
    [(5 + 31 + 90, 0), (5 + 30 + 90, None), (5 + 31, None)],
    ids=["run out", "a day short of it", "no run-out"],
)
def test_as_of_a_date_labels_wait_for_the_run_out_of_claims(as_of: int, label: int | None) -> None:
    moment = datetime.combine(day(as_of), datetime.min.time())
    assert labels(Patient().stay(0, 5), as_of=moment) == [label]
    assert labels(Patient(death=6).stay(0, 5), as_of=moment) == [label], "or the latest would all be dead"


def test_scoring_takes_everyone_whose_past_is_known() -> None:
    """Without the follow-up as a condition the rows are the same and the attrition ends at eligibility."""
    shard, vocabulary = make_shard(Patient(covered=[(-400, 6)]).stay(0, 5))
    followed, steps = shard_cases(READMISSION, shard, vocabulary=vocabulary)
    scored, fewer = shard_cases(READMISSION, shard, vocabulary=vocabulary, require_follow_up=False)
    assert scored.equals(followed)
    assert scored["censored"].to_list() == [True]
    assert steps["stays"].to_list() == [1, 1, 1, 1, 1, 1, 1, 1, 0]
    assert fewer.equals(steps.head(-1))


def test_the_attrition_counts_who_was_left_out_at_each_step() -> None:
    shard, vocabulary = make_shard(
        Patient(0).stay(0, 5).stay(3, 9),
        Patient(1).stay(0, 5, discharge_disposition="died"),
        Patient(2).stay(0, 5, discharge_disposition="ama"),
        Patient(3).stay(0, 5, diagnosis=("ICD10CM", "F32.9")),
        Patient(4, covered=[(-10, 100)]).stay(0, 5),
        Patient(5, covered=[(-400, 10)]).stay(0, 5),
        Patient(6).stay(5, 0).ed(3),
        Patient(7).stay(0, 5, "330154"),
        Patient(8).stay(0, 5, diagnosis=("ICD10CM", "C34.90")),
    )
    _, attrition = shard_cases(READMISSION, shard, vocabulary=vocabulary)
    assert attrition.rows() == [
        ("inpatient encounters", 10),
        ("with an end that is not before the start", 9),
        ("stays, once their segments are joined", 8),
        ("discharged alive", 7),
        ("not against medical advice", 6),
        ("not in one of 11 excluded facilities", 5),
        ("not for cancer, cancer treatment, rehabilitation, psychiatric", 3),
        ("covered from 365 days before admission to discharge", 2),
        ("followed up for 30 days", 1),
    ]


@pytest.mark.parametrize("task", [READMISSION, ED_VISIT], ids=lambda task: task.name)
def test_patients_without_encounters_give_an_empty_table_of_the_right_types(task: Task) -> None:
    cases = cases_of(Patient(), task)
    assert cases.is_empty()
    assert dict(cases.schema) == CASES


@pytest.mark.parametrize(
    ("choice", "facts", "planned"),
    [
        (True, {"diagnosis": ("ICD9CM", "715.36")}, True),
        (False, {"diagnosis": ("ICD9CM", "715.36")}, False),
        (True, {"diagnosis": ("ICD9CM", "410.71")}, False),
        (False, {"diagnosis": ("ICD9CM", "715.36"), "procedure": ("ICD9PCS", "8154")}, True),
        (True, {"diagnosis": ("ICD9CM", "715.36"), "procedure": ("ICD9PCS", "3995")}, False),
        (True, {"diagnosis": ("ICD10CM", "M17.11"), "procedure": ("ICD10PCS", "5A1D70Z")}, False),
        (False, {"diagnosis": ("ICD10CM", "M17.11"), "procedure": ("ICD10PCS", "0SRC0J9")}, True),
    ],
    ids=[
        "stands in",
        "does not stand in",
        "acute",
        "ICD-9-CM, planned",
        "ICD-9-CM, never planned",
        "coded, never planned",
        "coded, planned",
    ],
)
def test_an_elective_admission_stands_in_for_procedures_that_are_not_coded(
    choice: bool, facts: dict[str, Any], planned: bool
) -> None:
    patient = Patient().stay(0, 5).stay(20, 22, admission_type="elective", **facts)
    task = replace(READMISSION, outcome=replace(READMISSION.outcome, elective=choice))
    assert labels(patient, task)[0] == (0 if planned else 1)


def test_a_procedure_that_another_segment_of_the_readmission_has_does_not_make_it_planned() -> None:
    """The algorithm looks at the claim that began the readmission."""
    hip = {"diagnosis": ("ICD10CM", "M16.11"), "procedure": ("ICD10PCS", "0SR9019")}
    assert labels(Patient().stay(0, 5).stay(20, 22, "B").stay(22, 25, "C", **hip))[0] == 1
    assert labels(Patient().stay(0, 5).stay(20, 22, "B", **hip).stay(22, 25, "C"))[0] == 0


def test_a_facility_that_the_task_excludes_makes_no_case_but_takes_readmissions() -> None:
    patient = Patient().stay(0, 5, "330154").stay(20, 22, "A").stay(40, 41, "330154")
    assert cases_of(patient)["facility_id"].to_list() == ["A"]
    assert labels(patient) == [1]


def test_a_diagnosis_that_is_dated_after_the_stay_puts_it_in_no_cohort() -> None:
    task = load_task("readmission-30d-copd")
    shard, vocabulary = make_shard(
        Patient().stay(0, 5, diagnosis=("ICD10CM", "J96.01"), others=[("ICD10CM", "J44.1")])
    )
    assert shard_cases(task, shard, vocabulary=vocabulary)[0].height == 1
    late = pl.col("position") == 2
    event = shard.event.with_columns(time=pl.when(late).then(instant(5.25)).otherwise("time"))
    assert shard_cases(task, replace(shard, event=event), vocabulary=vocabulary)[0].is_empty()


@pytest.mark.parametrize(("days", "kept"), [(0, [0, 10, 41]), (5, [0, 41]), (30, [0, 41]), (31, [0])])
def test_stays_within_so_many_days_of_a_case_make_none(days: int, kept: list[int]) -> None:
    """Counted from the discharge of the last stay that was a case: here 5, then 31 days."""
    patient = Patient().stay(-5, 0).stay(5, 10).stay(31, 41)
    found = cases_of(patient, with_index(days_apart=days))["index_time"].to_list()
    assert found == [instant(last) for last in kept]


def test_the_specialty_cohorts_share_out_the_cases_of_the_whole() -> None:
    """No case is of two cohorts, and one with a listed diagnosis or operation is of one."""
    stays = [
        ({"diagnosis": ("ICD10CM", "N39.0")}, 1),
        ({"diagnosis": ("ICD10CM", "I50.9")}, 1),
        ({"diagnosis": ("ICD10CM", "I21.4")}, 1),
        ({"diagnosis": ("ICD10CM", "I63.9")}, 1),
        ({"diagnosis": ("ICD10CM", "I50.9"), "procedure": ("ICD10PCS", "0DTJ4ZZ")}, 1),
        ({"diagnosis": ("ICD9CM", "428.0"), "drg": "291"}, 1),
        ({"diagnosis": ("ICD9CM", "715.36"), "drg": "470"}, 1),
        ({"diagnosis": ("ICD10CM", "O80")}, 0),
        ({}, 0),
    ]
    names = ("medicine", "surgery", "cardiorespiratory", "cardiovascular", "neurology")
    for facts, expected in stays:
        patient = Patient().stay(0, 5, **facts)
        assert cases_of(patient).height == 1
        found = [cases_of(patient, load_task(f"readmission-30d-{name}")).height for name in names]
        assert sum(found) == expected, facts


def test_a_cohort_that_there_is_not_is_refused_with_a_hint() -> None:
    with pytest.raises(SpecError, match=r"index.cohort has no 'heart-failure'.*did you mean 'heart_failure'"):
        with_index(cohort="heart-failure")


@pytest.mark.parametrize(
    ("system", "code", "label"),
    [
        ("ICD9CM", "296.50", 0),
        ("ICD9CM", "319", 0),
        ("ICD9CM", "320.0", 1),
        ("ICD10CM", "F05", 0),
        ("ICD10CM", "G30.9", 1),
    ],
)
def test_what_psychiatric_is_after_a_discharge_to_a_psychiatric_hospital(system, code, label):
    patient = Patient().stay(0, 5, "A", discharge_disposition="psychiatric")
    patient.stay(6, 9, "A", diagnosis=(system, code))
    shard, vocabulary = make_shard(patient)
    cases, _ = shard_cases(load_task("readmission-30d"), shard, vocabulary=vocabulary)
    assert cases["label"][0] == label


@pytest.mark.parametrize(
    ("later", "first_day", "outcome"),
    [
        ([], 0, None),
        ([(20, None)], 0, 20),
        ([(20, "elective"), (25, None)], 0, 25),
        ([(20, "elective")], 0, None),
        ([(6, None), (20, None)], 0, 20),  # two admissions on these days
        ([(20, None)], 22, None),
        ([(20, None), (28, None)], 22, 28),
    ],
)
def test_onward_care_where_every_admission_is_looked_at(later, first_day, outcome):
    """The care that was arranged is passed over, and so are planned admissions."""
    task = load_task("readmission-30d")
    task = replace(
        task,
        outcome=replace(task.outcome, first_only=False),
        follow_up=replace(task.follow_up, first_day=first_day),
    )
    patient = Patient().stay(0, 5, "A", discharge_disposition="rehab").stay(5, 5, "A")
    for start, admission in later:
        patient.stay(start, start, "A", admission_type=admission, diagnosis=("ICD10CM", "M17.11"))
    shard, vocabulary = make_shard(patient)
    cases, _ = shard_cases(task, shard, vocabulary=vocabulary)
    expected = None if outcome is None else day(outcome)
    assert cases["outcome_time"].dt.date().to_list()[0] == expected


def test_a_visit_within_the_longer_of_two_stays_that_begin_together_led_to_it():
    """Among many patients, since a sort that does not say which comes first puts few rows as they were."""
    patients = [
        Patient(number).stay(number % 37, number % 37, "A").stay(number % 37, number % 37 + 5, None)
        for number in range(500)
    ]
    for number, patient in enumerate(patients):
        patient.ed(number % 37 + 2)
    shard, vocabulary = make_shard(*patients)
    cases, _ = shard_cases(ED_VISIT, shard, vocabulary=vocabulary)
    assert cases["label"].drop_nulls().sum() == 0
