"""Populations and admissions: the examples of docs/tasks.md, and that the future changes nothing."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from cohort_histories import DAY_0, Patient, day, instant, make_shard
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.cohorts import Task, load_task, shard_cases, task_names
from riskmodels.cohorts.costs import COSTS, truncate_costs
from riskmodels.errors import SpecError
from riskmodels.history import Shard
from riskmodels.history.schema import ADMISSION_TYPES, DISCHARGE_DISPOSITIONS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
PART = re.compile(r"^(?P<where>[A-Z?]+) (?P<start>-?\d+)(?:-(?P<end>-?\d+))?(?P<words>( \S+)*)$")
KINDS = {
    "ED": "emergency",
    "OBS": "observation",
    "OFFICE": "office",
    "SNF": "snf",
    "HOSPICE": "hospice",
    "HHA": "home_health",
}
POPULATIONS = [name for name in task_names() if load_task(name).index.event == "date"]
DEATHS = [name for name in task_names() if load_task(name).index.event == "admission"]
WATCHED = (-400, 400)


def rows(section: str) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of the first table of a section of the page."""
    found = re.search(rf"\n#+ {section}\n(.*?)(?=\n#|\Z)", PAGE, re.DOTALL)
    assert found is not None, f"docs/tasks.md has no examples of {section}"
    table = [line for line in found[1].splitlines() if line.startswith("|")]
    for line in table[2:]:
        edge, history, wanted = (cell.strip() for cell in line.strip("|").split("|"))
        yield edge, history, wanted


def examples(names: list[str]) -> list:
    return [
        pytest.param(name, history, wanted, id=f"{name}: {edge}")
        for name in names
        for edge, history, wanted in rows(name)
    ]


def read_history(text: str) -> Patient:
    patient, covered = Patient(), []
    for part in text.split("; "):
        if span := re.match(r"^covered (-?\d+)\.\.(-?\d+)$", part):
            covered.append((int(span[1]), int(span[2])))
        elif part.startswith("death "):
            patient.death = int(part.removeprefix("death "))
        else:
            found = PART.match(part)
            assert found is not None, f"cannot read {part!r}"
            start, facts = int(found["start"]), dict(map(read_word, found["words"].split()))
            facility = found["where"] if len(found["where"]) == 1 else None
            kind = KINDS.get(found["where"], "inpatient")
            patient.encounter(kind, start, int(found["end"] or start), facility_id=facility, **facts)
    patient.covered = covered or [WATCHED]
    return patient


def read_word(word: str) -> tuple[str, object]:
    if word.startswith("source:"):
        return "admission_source", word.removeprefix("source:")
    if word.startswith("allowed:"):
        return "allowed", float(word.removeprefix("allowed:"))
    if word in DISCHARGE_DISPOSITIONS:
        return "discharge_disposition", word
    if word in ADMISSION_TYPES:
        return "admission_type", word
    if word.startswith("ICD10PCS:"):
        return "procedure", ("ICD10PCS", word.removeprefix("ICD10PCS:"))
    return "diagnosis", ("ICD10CM", word)


def on_day_0(task: str) -> Task:
    """Return the task with the index date on day 0 of the examples."""
    loaded = load_task(task)
    return replace(loaded, index=replace(loaded.index, dates=(f"{DAY_0:%m-%d}",)))


def cases_of(task: Task, *patients: Patient) -> pl.DataFrame:
    shard, vocabulary = make_shard(*patients)
    cases, _ = shard_cases(task, shard, vocabulary=vocabulary)
    return cases.filter(pl.col("index_time").dt.date() == DAY_0) if task.index.event == "date" else cases


@pytest.mark.parametrize(
    ("task", "history", "label"), examples([name for name in POPULATIONS if name != "cost-12m"])
)
def test_population_example(task: str, history: str, label: str) -> None:
    cases = cases_of(on_day_0(task), read_history(history))
    found = [
        "censored" if censored else str(label) for label, censored in cases[["label", "censored"]].rows()
    ]
    assert (found or ["none"]) == [label]


@pytest.mark.parametrize(("task", "history", "wanted"), examples(["cost-12m"]))
def test_cost_example(task: str, history: str, wanted: str) -> None:
    cases = cases_of(on_day_0(task), read_history(history))
    cost, months = (float(word) for word in wanted.split())
    assert cases["cost"].to_list() == pytest.approx([cost])
    assert cases["member_months"].to_list() == pytest.approx([months], abs=1e-6)
    assert cases["cost_pmpm"].to_list() == pytest.approx([cost / months], rel=1e-5)
    assert cases["label"].to_list() == [None]


@pytest.mark.parametrize(("task", "history", "wanted"), examples(DEATHS))
def test_mortality_example(task: str, history: str, wanted: str) -> None:
    cases = cases_of(load_task(task), read_history(history))
    shown = [
        f"{(index.date() - DAY_0).days}: {'censored' if censored else label}"
        for index, label, censored in cases[["index_time", "label", "censored"]].rows()
    ]
    assert ("; ".join(shown) or "none") == wanted


def test_a_case_is_named_after_person_and_date_and_knows_no_stay() -> None:
    case = cases_of(on_day_0("admission-12m"), read_history("A -50--45; A 20-25")).row(0, named=True)
    assert case["index_id"] == f"P0@{DAY_0}"
    assert case["index_time"] == case["admission_time"] == instant(0)
    assert case["stay_encounters"] == []
    assert case["follow_up_end"] == instant(365)
    assert all(case[name] is None for name in ("facility_id", "drg", "length_of_stay", "admission_type"))


def test_every_covered_year_is_a_case() -> None:
    patient = Patient(covered=[(-800, 800)])
    shard, vocabulary = make_shard(patient)
    cases, attrition = shard_cases(on_day_0("admission-12m"), shard, vocabulary=vocabulary)
    assert cases["index_time"].dt.date().to_list() == [
        DAY_0.replace(year=year) for year in (2023, 2024, 2025, 2026)
    ]
    assert cases["censored"].to_list() == [False, False, False, True]
    assert dict(attrition.iter_rows())["followed up for 365 days"] == 3


def test_a_scoring_job_takes_its_own_day_and_needs_no_coverage_on_it() -> None:
    shard, vocabulary = make_shard(Patient(covered=[(-400, 16)]))
    task = load_task("admission-12m")
    cases, _ = shard_cases(
        task, shard, vocabulary=vocabulary, require_follow_up=False, as_of=instant(17), index_date=day(17)
    )
    assert cases["index_time"].to_list() == [instant(17)]
    assert cases["censored"].to_list() == [True]


def test_mortality_knows_nothing_of_the_rest_of_the_stay() -> None:
    patient = Patient().stay(0, 4, "A", drg="291").stay(4, 9, "B", drg="292", discharge_disposition="home")
    case = cases_of(load_task("mortality-30d"), patient).row(0, named=True)
    assert case["facility_id"] == "A"
    assert case["index_time"] == instant(0)
    assert case["stay_encounters"] == []
    assert all(case[name] is None for name in ("drg", "discharge_disposition", "length_of_stay"))


def test_one_admission_a_year_is_drawn_and_the_draw_does_not_depend_on_other_patients() -> None:
    patients = [Patient(number) for number in range(40)]
    for patient in patients:
        patient.stay(0, 5).stay(60, 65)
    together = cases_of(load_task("mortality-30d"), *patients)
    assert together["person"].to_list() == list(range(40))
    assert 8 < (together["index_time"] == instant(0)).sum() < 32
    alone = cases_of(load_task("mortality-30d"), patients[7])
    assert alone["index_id"].to_list() == together.filter(person=7)["index_id"].to_list()


@pytest.mark.parametrize(
    ("age", "esrd", "dual", "category"),
    [
        (80, True, True, "ESRD"),
        (50, None, True, "disabled"),
        (64, False, False, "disabled"),
        (65, False, True, "aged/dual"),
        (80, None, False, "aged/non-dual"),
        (80, False, None, "aged, dual status unknown"),
    ],
)
def test_enrolment_category(age: int, esrd: bool | None, dual: bool | None, category: str) -> None:
    shard, vocabulary = make_shard(Patient(covered=[WATCHED]))
    shard = replace(
        shard,
        person=shard.person.with_columns(birth_date=pl.lit(DAY_0.replace(year=DAY_0.year - age))),
        coverage=shard.coverage.with_columns(esrd=pl.lit(esrd, pl.Boolean), dual=pl.lit(dual, pl.Boolean)),
    )
    cases, _ = shard_cases(load_task("cost-12m"), shard, vocabulary=vocabulary, index_date=DAY_0)
    assert cases["enrolment"].to_list() == [category]


def test_costs_are_truncated_by_category_and_year_on_the_annual_amount() -> None:
    """The 99th percentile of 0, 1, ..., 100 dollars a month is 99; half a year counts half of it."""
    schema = {"index_time": pl.Datetime("us"), **COSTS}
    frame = pl.DataFrame(
        [
            {
                "index_time": instant(0),
                "cost": value * months,
                "cost_untruncated": value * months,
                "member_months": months,
                "cost_pmpm": float(value),
                "enrolment": category,
            }
            for category, top in (("ESRD", 1000), ("disabled", 100))
            for value, months in [(number * top // 100, 12.0) for number in range(100)] + [(top, 6.0)]
        ],
        schema=schema,
    )
    cut = truncate_costs(frame, 99)
    highest = cut.filter(pl.col("cost") < pl.col("cost_untruncated"))
    assert highest["enrolment"].to_list() == ["ESRD", "disabled"]
    assert highest["cost_pmpm"].to_list() == pytest.approx([990, 99])
    assert highest["cost"].to_list() == pytest.approx([990 * 6, 99 * 6])
    assert cut["cost_untruncated"].equals(frame["cost"])


@pytest.mark.parametrize(
    ("rule", "change", "message"),
    [
        ("index", {"dates": ()}, "names no day of the year"),
        ("index", {"dates": ("02-29",)}, "'02-29', which is no day of every year"),
        ("index", {"dates": ("1-1",)}, "'1-1', which is no day of every year"),
        ("index", {"conditions": ("hart_failure",)}, "did you mean 'heart_failure'"),
        ("index", {"min_conditions": 2}, "min_conditions is 2, of 0 conditions"),
        ("index", {"event": "admission"}, "outcome.event cannot be 'unplanned_admission'"),
        ("outcome", {"truncate_percentile": 5}, "truncate_percentile is 5"),
        ("outcome", {"groups": ("copdd",)}, "did you mean 'copd'"),
        ("outcome", {"buffer_days": -1}, "outcome.buffer_days is -1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rule: str, change: dict, message: str) -> None:
    task = load_task("admission-12m")
    with pytest.raises(SpecError, match=re.escape(message)):
        replace(task, **{rule: replace(getattr(task, rule), **change)})


kinds = st.sampled_from(["inpatient", "emergency", "office", "observation", "snf", "hospice"])
codes = st.sampled_from(["I50.9", "J44.1", "E11.9", "N18.4", "I21.4", "S72.001A", "M17.11"])
encounters = st.tuples(kinds, st.integers(-420, 420), st.integers(0, 9), codes, st.floats(0, 1000))


@st.composite
def patients(draw: st.DrawFn) -> Patient:
    patient = Patient(death=draw(st.none() | st.integers(-20, 400)))
    patient.covered = draw(st.sampled_from([[(-400, 400)], [(-400, 100)], [(-900, 900)], [(-300, 400)]]))
    for kind, start, length, code, allowed in draw(st.lists(encounters, max_size=12)):
        patient.encounter(kind, start, start + length, diagnosis=("ICD10CM", code), allowed=allowed)
    return patient


@pytest.mark.parametrize("name", POPULATIONS)
@settings(max_examples=12, deadline=None)
@given(patient=patients(), later=st.lists(encounters, max_size=4))
def test_what_happens_after_the_follow_up_changes_nothing(name: str, patient: Patient, later: list) -> None:
    before = cases_of(on_day_0(name), patient)
    longer = replace(patient, encounters=list(patient.encounters))
    for kind, start, length, code, allowed in later:
        longer.encounter(
            kind, 365 + abs(start), 365 + abs(start) + length, diagnosis=("ICD10CM", code), allowed=allowed
        )
    assert cases_of(on_day_0(name), longer).equals(before)


@pytest.mark.parametrize("name", POPULATIONS)
@settings(max_examples=12, deadline=None)
@given(patient=patients(), later=st.lists(encounters, max_size=6))
def test_what_happens_from_the_date_on_changes_not_who_is_a_case(
    name: str, patient: Patient, later: list
) -> None:
    """Who is a case, and all that is known of it but the outcome, is settled before the date."""
    facts = ["index_id", "index_time", "birth_date", "dual", "esrd", "stay_encounters", "follow_up_end"]
    past = replace(patient, encounters=[entry for entry in patient.encounters if entry["end"] < 0])
    future = replace(past, encounters=list(past.encounters))
    for kind, start, length, code, allowed in later:
        future.encounter(kind, abs(start), abs(start) + length, diagnosis=("ICD10CM", code), allowed=allowed)
    assert cases_of(on_day_0(name), future).select(facts).equals(cases_of(on_day_0(name), past).select(facts))


@settings(max_examples=40, deadline=None)
@given(patient=patients())
def test_labels_and_costs_are_those_of_a_plain_count(patient: Patient) -> None:
    """A second, slow way to the same: a loop over days and encounters."""
    ends = [min(365, last + 1) for first, last in patient.covered if first <= -365 and last >= 0]
    alive = patient.death is None or patient.death >= 0
    cost = cases_of(on_day_0("cost-12m"), patient)
    visit = cases_of(on_day_0("ed-visit-12m"), patient)
    assert cost.height == visit.height == int(bool(ends) and alive)
    if not cost.height:
        return
    died = patient.death is not None and patient.death <= 364
    until = min(ends[0], patient.death + 1) if died else ends[0]
    paid = sum(entry["allowed"] for entry in patient.encounters if 0 <= entry["end"] < until)
    assert cost["cost"][0] == pytest.approx(paid)
    assert cost["member_months"][0] == pytest.approx(until * 12 / 365)
    complete = until == 365 or (died and ends[0] > patient.death)
    stays = [(entry["start"], entry["end"]) for entry in patient.encounters if entry["kind"] == "inpatient"]
    released = [
        entry["start"]
        for entry in patient.encounters
        if entry["kind"] == "emergency"
        and not any(start <= entry["start"] < end for start, end in stays)
        and not any(entry["start"] <= start <= entry["end"] + 1 for start, _ in stays)
    ]
    assert visit["censored"][0] == (not complete)
    if complete:
        assert visit["label"][0] == any(0 <= start <= 364 for start in released)


def test_shards_of_no_patient_give_no_case() -> None:
    shard, vocabulary = make_shard()
    for name in [*POPULATIONS, *DEATHS]:
        cases, attrition = shard_cases(load_task(name), shard, vocabulary=vocabulary)
        assert cases.is_empty()
        assert attrition["stays"].sum() == 0
    assert isinstance(shard, Shard)


def test_without_coverage_a_population_is_who_was_in_contact() -> None:
    """Watched to the last day of the data; who was never seen before the date is no case."""
    task = on_day_0("admission-12m")
    task = replace(task, look_back=replace(task.look_back, require_coverage=False))
    seen = replace(read_history("OFFICE -20; A 40-45"), covered=[])
    new = replace(read_history("OFFICE 20"), covered=[], person=1)
    shard, vocabulary = make_shard(seen, new)
    cases, _ = shard_cases(task, shard, vocabulary=vocabulary, observed_until=day(400))
    on_day = cases.filter(pl.col("index_time") == instant(0))
    assert on_day.select("person", "label", "censored").rows() == [(0, 1, False)]
    early, _ = shard_cases(task, shard, vocabulary=vocabulary, observed_until=day(100))
    assert early.filter(pl.col("index_time") == instant(0))["censored"].to_list() == [True]


@pytest.mark.parametrize(("opened", "censored"), [(365 + 89, True), (365 + 90, False)])
def test_a_label_waits_for_follow_up_and_run_out(opened: int, censored: bool) -> None:
    patient = read_history("A 20-25")
    patient.covered = [(-400, opened - 1)]
    shard, vocabulary = make_shard(patient)
    for name in ("admission-12m", "cost-12m"):
        cases, _ = shard_cases(on_day_0(name), shard, vocabulary=vocabulary, as_of=instant(opened))
        assert cases.filter(pl.col("index_time") == instant(0))["censored"].to_list() == [censored]


def test_coverage_without_an_end_makes_no_years_out_of_nothing() -> None:
    """Enrolled to 9999, data to day 400: the year that ends at day 364 counts, the next is not observed."""
    patient = read_history("OFFICE -20 allowed:9")
    shard, vocabulary = make_shard(patient)
    forever = shard.coverage.with_columns(end_date=pl.lit(date(9999, 12, 31)))
    shard = replace(shard, coverage=forever)
    for name in ("admission-12m", "cost-12m"):
        cases, _ = shard_cases(on_day_0(name), shard, vocabulary=vocabulary, observed_until=day(400))
        assert cases["index_time"].to_list() == [instant(0), datetime(2025, 3, 10)]
        assert cases["censored"].to_list() == [False, True]
        nearly, _ = shard_cases(on_day_0(name), shard, vocabulary=vocabulary, observed_until=day(364 - 31))
        assert nearly["censored"].to_list() == [False]
        short, _ = shard_cases(on_day_0(name), shard, vocabulary=vocabulary, observed_until=day(364 - 32))
        assert short["censored"].to_list() == [True]
        assert cases_of(on_day_0(name), patient).height == 1
