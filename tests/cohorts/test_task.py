"""A task is a page of YAML: what it says is what is meant, and what nobody knows is refused."""

import dataclasses
from dataclasses import replace

import pytest

from riskmodels.cohorts import FollowUp, IndexRule, LookBack, OutcomeRule, Task, load_task, task_names
from riskmodels.cohorts.hospital_cohorts import SPECIALTIES
from riskmodels.errors import SpecError

PAGE = """
name: mine
version: 3
title: Mine
source: nobody
follow_up:
  last_day: 7
"""


@pytest.mark.parametrize("name", task_names())
def test_a_task_survives_the_way_to_yaml_and_back(name: str) -> None:
    task = load_task(name)
    assert Task.from_yaml(task.to_yaml()) == task
    assert task.name == name


def test_readmission_30d_has_the_boundaries_of_the_cms_measure() -> None:
    task = load_task("readmission-30d")
    assert task.horizon_days == 30
    assert task.index == IndexRule(
        kinds=("inpatient",),
        transfer_gap_days=1,
        same_facility_same_day="same_diagnosis",
        exclude_dispositions=("died", "ama"),
        exclude_principal_diagnosis=("cancer", "cancer_treatment", "rehabilitation", "psychiatric"),
        exclude_facilities=task.index.exclude_facilities,
    )
    assert len(set(task.index.exclude_facilities)) == 11
    assert task.look_back == LookBack(days=365, require_coverage=True, max_gap_days=0)
    assert task.follow_up == FollowUp(
        first_day=0, last_day=30, death="observed", coverage_lost="censored", runout_days=90
    )
    assert task.outcome == OutcomeRule(
        event="unplanned_admission",
        kinds=("inpatient",),
        first_only=True,
        onward=("rehab", "psychiatric"),
        onward_days=1,
    )


def test_the_two_tasks_differ_in_nothing_but_the_outcome() -> None:
    readmission, visit = load_task("readmission-30d"), load_task("ed-visit-30d")
    same = ("index", "look_back", "follow_up")
    assert all(getattr(readmission, part) == getattr(visit, part) for part in same)
    assert visit.outcome.event == "treat_and_release_ed_visit"


def test_a_page_of_ones_own_is_loaded_from_its_path(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(PAGE, encoding="utf-8")
    task = load_task(path)
    assert task.horizon_days == 7
    assert task.index == IndexRule()
    assert load_task(task) is task


@pytest.mark.parametrize(
    ("page", "message"),
    [
        pytest.param(PAGE + "  lastday: 7", "Unknown key follow_up.lastday.*'last_day'", id="key"),
        pytest.param(PAGE.replace("version: 3\n", ""), "Missing: version", id="missing"),
        pytest.param(PAGE.replace("7", "soon"), "follow_up.last_day is of type int; 'soon'", id="type"),
        pytest.param(PAGE.replace("7", "true"), "follow_up.last_day is of type int; True", id="bool"),
        pytest.param(PAGE.replace("7", "-1"), "last_day is -1, before first_day", id="window"),
        pytest.param(PAGE + "look_back:\n  days: -1", "look_back.days is -1", id="negative"),
        pytest.param(PAGE + "index:\n  kinds: [inpatent]", "did you mean 'inpatient'", id="kind"),
        pytest.param(PAGE + "index:\n  kinds: inpatient", "index.kinds is a list of words", id="list"),
        pytest.param(PAGE + "outcome:\n  onward: [snf]", "outcome.onward has no 'snf'", id="onward"),
        pytest.param(
            PAGE + "outcome:\n  event: death\n  onward: [rehab]",
            "outcome.onward is about unplanned_admission after a discharge",
            id="onward-death",
        ),
        pytest.param(PAGE + "outcome:\n  onward_days: -1", "onward_days is -1", id="onward-days"),
        pytest.param(PAGE + "index:\n  kinds: []", "each name at least one kind", id="no-kind"),
        pytest.param(
            PAGE + "index:\n  exclude_dispositions: [dead]",
            "exclude_dispositions has no 'dead'",
            id="disposition",
        ),
        pytest.param(
            PAGE + "index:\n  exclude_principal_diagnosis: [psychiatrc]",
            "did you mean 'psychiatric'",
            id="care",
        ),
        pytest.param(
            PAGE + "index:\n  same_facility_same_day: joined",
            "cannot be 'joined'.*did you mean 'join'",
            id="word",
        ),
        pytest.param(
            PAGE + "outcome:\n  kinds: [snf]",
            "a readmission is another such stay",
            id="outcome",
        ),
        pytest.param("- a\n- b", "not a page of", id="no-mapping"),
        pytest.param("name: [", "not valid YAML", id="no-yaml"),
    ],
)
def test_a_page_that_cannot_be_meant_is_refused(page: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Task.from_yaml(page)


def test_an_unknown_task_or_file_is_refused_with_the_names_there_are(tmp_path) -> None:
    with pytest.raises(SpecError, match="did you mean 'readmission-30d'"):
        load_task("readmision-30d")
    with pytest.raises(SpecError, match="no task file"):
        load_task(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: x", encoding="utf-8")
    with pytest.raises(SpecError, match=r"broken\.yaml: Missing: version, title, source"):
        load_task(broken)


def test_a_task_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_task("readmission-30d").version = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", [name for name in task_names() if name.startswith("readmission-30d-")], ids=str
)
def test_a_cohort_of_readmissions_differs_from_the_whole_in_who_is_a_case_alone(name: str) -> None:
    """The window, the look-back and what is a readmission are those of readmission-30d."""
    whole, part = load_task("readmission-30d"), load_task(name)
    same = ("look_back", "follow_up")
    assert all(getattr(whole, attribute) == getattr(part, attribute) for attribute in same)
    assert part.index.cohort is not None
    if part.index.cohort in SPECIALTIES:
        assert replace(part.index, cohort=None) == whole.index
        assert part.outcome == whole.outcome
    else:
        assert part.outcome == replace(whole.outcome, onward=("psychiatric",))
        assert part.index.min_age == 65
        assert part.index.days_apart == 30
        assert part.index.exclude_principal_diagnosis == ()
