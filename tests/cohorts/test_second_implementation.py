"""The rules of docs/tasks.md once more, as plain loops over one patient at a time, on messy histories."""

import math
import random
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from cohort_histories import Patient, day, make_shard

from riskmodels.cohorts import load_task, shard_cases

ACUTE, NOT_ACUTE, CARE = ("I50.9", "I50.23", "J18.9"), ("M17.11", "I25.10"), ("Z51.11", "F32.9")
PROCEDURES = (("ICD10PCS", "0SRC0J9"), ("ICD10PCS", "3E0234Z"))  # the first is potentially planned
LEFT = (None, None, "home", "transfer", "ama", "died", "rehab", "psychiatric")
DATA_END = 130
PATIENTS = 600
Stay = dict[str, Any]


def messy(person: int, draw: random.Random, *, hours: bool) -> Patient:
    """Draw a patient: segments that overlap, touch, leave gaps; unknown facilities; coverage with holes."""
    patient = Patient(person, death=draw.choice([None, None, draw.randint(0, 140)]))
    hole = draw.randint(-60, 120)
    patient.covered = draw.choice(
        [
            [(-400, DATA_END)],
            [(-400, hole)],
            [(-400, hole), (hole + 1, DATA_END)],
            [(-400, hole), (hole + 3, DATA_END)],
            [(-400, 80), (20, DATA_END)],
        ]
    )
    at = 0.0
    for _ in range(draw.randint(0, 6)):
        at += draw.choice([0, 0, 1, 1, 2, 29, 30, 31, 32]) + (draw.choice([0, 0.25, 0.5]) if hours else 0)
        length = draw.choice([0, 0, 1, 2, 5, -1])
        facts: dict[str, Any] = {
            "discharge_disposition": draw.choice(LEFT),
            "admission_source": draw.choice([None, None, "transfer"]),
            "admission_type": draw.choice([None, "elective", "emergency"]),
        }
        if draw.random() < 0.9:
            facts["diagnosis"] = ("ICD10CM", draw.choice(ACUTE * 2 + NOT_ACUTE + CARE))
        if draw.random() < 0.3:
            facts["procedure"] = draw.choice(PROCEDURES)
        patient.stay(at, at + length, draw.choice(["A", "A", "B", None]), **facts)
        if draw.random() < 0.5:
            visit = at + draw.choice([-2, -1, 0, 1, 3, 20])
            patient.ed(visit, visit + draw.choice([0, 0, 1]))
        at += max(length, 0) - draw.choice([0, 0, 0, 1])
    return patient


def code(entry: Stay) -> str | None:
    return entry["diagnosis"][1] if "diagnosis" in entry else None


def join(patient: Patient) -> list[list[Stay]]:
    """Return the stays of a patient: the segment that began each, and the one that ended it last."""
    found = [
        entry | {"id": f"P{patient.person}-{place}"}
        for place, entry in enumerate(patient.encounters)
        if entry["kind"] == "inpatient" and entry["end"] >= entry["start"]
    ]
    found.sort(
        key=lambda e: (e["start"], e["end"], e["facility_id"] is not None, e["facility_id"] or "", e["id"])
    )
    stays: list[list[Stay]] = []
    for segment in found:
        if stays and continues(stays[-1][-1], segment):
            if segment["end"] >= stays[-1][-1]["end"]:
                stays[-1] = [stays[-1][0], segment]
            else:
                stays[-1] = [stays[-1][0], stays[-1][-1]]
        else:
            stays.append([segment])
    return stays


def continues(last: Stay, segment: Stay) -> bool:
    gap = math.floor(segment["start"]) - math.floor(last["end"])
    here, there = segment["facility_id"], last["facility_id"]
    if here is None or there is None:
        elsewhere = "transfer" in (last["discharge_disposition"], segment["admission_source"])
    else:
        elsewhere = here != there
    known = code(segment) is not None and code(last) is not None
    same = known and str(code(segment))[:3] == str(code(last))[:3]
    return bool(segment["start"] < last["end"] or (gap <= 1 if elsewhere else gap == 0 and same))


def planned(first: Stay) -> bool:
    if code(first) == "Z51.11":
        return True
    if "procedure" in first:
        potentially = first["procedure"] == PROCEDURES[0]
    else:
        potentially = first["admission_type"] == "elective"
    return potentially and code(first) not in ACUTE


def onward(last: Stay, first: Stay) -> bool:
    """Return whether an admission is the care that the stay before it ended with."""
    soon = math.floor(first["start"]) - math.floor(last["end"]) <= 1
    left = last["discharge_disposition"]
    return soon and (left == "rehab" or (left == "psychiatric" and (code(first) or "").startswith("F")))


def covered_until(patient: Patient, day: int) -> int | None:
    """Return the last day of the unbroken coverage around a day."""
    days = {number for first, last in patient.covered for number in range(first, last + 1)}
    if day not in days:
        return None
    while day + 1 in days:
        day += 1
    return day


def released(patient: Patient) -> list[float]:
    """Return when the treat-and-release visits began."""
    entries = [entry for entry in patient.encounters if entry["end"] >= entry["start"]]
    stays = [entry for entry in entries if entry["kind"] == "inpatient"]
    return [
        visit["start"]
        for visit in entries
        if visit["kind"] == "emergency"
        and not any(stay["start"] <= visit["start"] < stay["end"] for stay in stays)
        and not any(
            stay["start"] >= visit["start"] and math.floor(stay["start"]) <= math.floor(visit["end"]) + 1
            for stay in stays
        )
    ]


def label(patient: Patient, name: str) -> dict[str, int | None]:
    """Return the label of each case of a patient, by the encounter that ended the stay."""
    cases: dict[str, int | None] = {}
    stays = join(patient)
    for place, stay in enumerate(stays):
        first, last = stay[0], stay[-1]
        admitted, discharged, left = (
            math.floor(first["start"]),
            math.floor(last["end"]),
            last["discharge_disposition"],
        )
        death = math.inf if patient.death is None else patient.death
        until = covered_until(patient, admitted - 365)
        died = left == "died" or death < discharged or (death == discharged and left is None)
        if died or left == "ama" or code(last) in CARE or until is None or until < discharged:
            continue
        horizon = discharged + 30
        if until < min(horizon, max(death, discharged)) or horizon > DATA_END:
            cases[last["id"]] = None
        elif name == "ed-visit-30d":
            cases[last["id"]] = int(any(last["end"] <= at < horizon + 1 for at in released(patient)))
        else:
            after = [later for later in stays[place + 1 :] if not onward(last, later[0])][:1]
            cases[last["id"]] = int(
                any(next_[0]["start"] < horizon + 1 and not planned(next_[0]) for next_ in after)
            )
    return cases


@pytest.mark.parametrize("hours", [False, True], ids=["days", "times of day"])
@pytest.mark.parametrize("name", ["readmission-30d", "ed-visit-30d"])
def test_plain_loops_find_the_same_cases_and_labels(name: str, hours: bool) -> None:
    draw = random.Random(20)
    patients = [messy(person, draw, hours=hours) for person in range(PATIENTS)]
    expected: dict[str, int | None] = {}
    for patient in patients:
        expected |= label(patient, name)
    shard, vocabulary = make_shard(*patients)
    cases, _ = shard_cases(load_task(name), shard, vocabulary=vocabulary, observed_until=day(DATA_END))
    found = dict(cases.select("index_id", "label").iter_rows())
    assert found == expected
    assert {0, 1, None} == set(found.values())


def test_a_death_within_thirty_days_of_an_admission() -> None:
    """The same for mortality, before one admission a year is drawn: by the day of admission."""
    draw = random.Random(21)
    patients = [messy(person, draw, hours=True) for person in range(PATIENTS)]
    expected: dict[tuple[int, float], int | None] = {}
    for patient in patients:
        death = math.inf if patient.death is None else patient.death
        for stay in join(patient):
            admitted, discharged = math.floor(stay[0]["start"]), math.floor(stay[-1]["end"])
            left = stay[-1]["discharge_disposition"]
            until = covered_until(patient, admitted - 365)
            gone = left in ("died", "transfer") or death <= discharged or len(stay) > 1
            if (
                death < admitted
                or left == "ama"
                or until is None
                or until < admitted
                or (discharged - admitted <= 1 and not gone)
            ):
                continue
            horizon = admitted + 30
            unknown = until < min(horizon, max(death, admitted)) or horizon > DATA_END
            expected[patient.person, admitted] = None if unknown else int(death <= horizon)
    shard, vocabulary = make_shard(*patients)
    task = load_task("mortality-30d")
    rule = replace(task.index, one_a_year=False, same_facility_same_day="same_diagnosis")
    cases, _ = shard_cases(
        replace(task, index=rule), shard, vocabulary=vocabulary, observed_until=day(DATA_END)
    )
    on = (pl.col("admission_time").dt.date() - day(0)).dt.total_days()
    rows = cases.select("person", on.alias("on"), "label").iter_rows()
    assert {(person, number): value for person, number, value in rows} == expected
