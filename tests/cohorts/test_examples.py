"""The hand-worked examples of docs/tasks.md come out as the page says."""

import re
from pathlib import Path

import polars as pl
import pytest
from cohort_histories import DAY_0, Patient, make_shard

from riskmodels.cohorts import load_task, shard_cases, task_names
from riskmodels.history.schema import DISCHARGE_DISPOSITIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
ENCOUNTER = re.compile(r"^(?P<where>ED|[A-Z?]) (?P<start>-?\d+)(?:-(?P<end>-?\d+))?(?P<words>( \S+)*)$")
COVERED = re.compile(r"^covered (-?\d+)\.\.(-?\d+)$")


def discharge_tasks() -> list[str]:
    """Return the tasks whose cases are stays, which the page's notation is for."""
    return [name for name in task_names() if load_task(name).index.event == "discharge"]


def examples() -> list:
    """Read the tables of the page: task, history and the cases that must come out."""
    rows = []
    for task in discharge_tasks():
        section = re.search(rf"\n### {task}\n(.*?)(?=\n##|\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert section is not None, f"docs/tasks.md has no examples of {task}"
        for line in section[1].strip().splitlines()[2:]:
            edge, history, cases = (cell.strip() for cell in line.strip("|").split("|"))
            rows.append(pytest.param(task, history, cases, id=f"{task}: {edge}"))
    return rows


def read_history(text: str) -> Patient:
    """Read what happened to a patient from the page's notation."""
    patient = Patient()
    covered = []
    for part in text.split("; "):
        if span := COVERED.match(part):
            covered.append((int(span[1]), int(span[2])))
        elif part.startswith("death "):
            patient.death = int(part.removeprefix("death "))
        else:
            found = ENCOUNTER.match(part)
            assert found is not None, f"cannot read {part!r}"
            start = int(found["start"])
            end = int(found["end"] or start)
            facts = read_words(found["words"].split())
            if found["where"] == "ED":
                patient.ed(start, end, **facts)
            else:
                patient.stay(start, end, None if found["where"] == "?" else found["where"], **facts)
    if covered:
        patient.covered = covered
    return patient


def read_words(words: list[str]) -> dict:
    facts: dict = {}
    for word in words:
        if word in DISCHARGE_DISPOSITIONS:
            facts["discharge_disposition"] = word
        elif word == "elective":
            facts["admission_type"] = word
        elif word.startswith("ICD10PCS:"):
            facts["procedure"] = ("ICD10PCS", word.removeprefix("ICD10PCS:"))
        elif word.startswith("DRG:"):
            facts["drg"] = word.removeprefix("DRG:")
        elif word.startswith("from:"):
            facts["admission_source"] = word.removeprefix("from:")
        elif word.startswith("+"):
            system = "ICD10PCS" if word.startswith("+ICD10PCS:") else "ICD10CM"
            code = word.removeprefix("+").removeprefix("ICD10PCS:")
            facts.setdefault("others", []).append((system, code))
        else:
            facts["diagnosis"] = ("ICD10CM", word)
    return facts


def written(cases: pl.DataFrame) -> str:
    """Write cases in the page's notation."""
    rows = cases.select(
        (pl.col("admission_time").dt.date() - DAY_0).dt.total_days(),
        (pl.col("index_time").dt.date() - DAY_0).dt.total_days().alias("last"),
        pl.when("censored")
        .then(pl.lit("censored"))
        .otherwise(pl.col("label").cast(pl.String))
        .alias("label"),
    )
    return "; ".join(f"{first}-{last}: {label}" for first, last, label in rows.iter_rows()) or "none"


@pytest.mark.parametrize(("task", "history", "cases"), examples())
def test_example(task: str, history: str, cases: str) -> None:
    shard, vocabulary = make_shard(read_history(history))
    found, _ = shard_cases(load_task(task), shard, vocabulary=vocabulary)
    assert written(found) == cases


def test_the_examples_do_not_depend_on_who_else_is_in_the_shard() -> None:
    """All patients of a task at once give what each gives alone."""
    for task in discharge_tasks():
        rows = [row.values for row in examples() if row.values[0] == task]
        patients = [read_history(history) for _, history, _ in rows]
        for number, patient in enumerate(patients):
            patient.person = number
        shard, vocabulary = make_shard(*patients)
        found, _ = shard_cases(load_task(task), shard, vocabulary=vocabulary)
        for number, (_, _, cases) in enumerate(rows):
            assert written(found.filter(pl.col("person") == number)) == cases
