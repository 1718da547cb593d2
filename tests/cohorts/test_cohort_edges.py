"""The edges of a readmission are the same in every specialty and condition cohort."""

import pytest
from cohort_histories import make_shard
from test_examples import read_history, written

from riskmodels.cohorts import load_task, shard_cases, task_names

# A stay of each cohort: its principal diagnosis, and what was done.
STAYS = {
    "medicine": "N39.0",
    "surgery": "K35.80 ICD10PCS:0DTJ4ZZ",
    "cardiorespiratory": "I50.9",
    "cardiovascular": "I48.91",
    "neurology": "I63.9",
    "ami": "I21.4",
    "copd": "J44.1",
    "hf": "I50.23",
    "pneumonia": "J18.9",
    "cabg": "I25.10 ICD10PCS:0210093",
    "tha-tka": "M16.11 ICD10PCS:0SR9019",
}

# `*` is such a stay's facts; a stay for F32.9 is a readmission and of no cohort.
EDGES = {
    "the first stay and the last": ("A 0-5 *", "0-5: 0"),
    "readmission on day 0": ("A 0-5 *; A 5-7 F32.9", "0-5: 1"),
    "same-day transfer": ("A 0-5 *; B 5-9 *", "0-9: 0"),
    "transfer on the next day": ("A 0-5 *; B 6-9 *", "0-9: 0"),
    "transferred for something else": ("A 0-5 *; B 5-9 F32.9", "none"),
    "readmission on day 30": ("A 0-5 *; B 35-37 F32.9", "0-5: 1"),
    "readmission on day 31": ("A 0-5 *; B 36-37 F32.9", "0-5: 0"),
    "overlapping segments": ("A 0-5 *; A 3-9 *", "0-9: 0"),
    "a segment within another": ("A 0-9 *; A 3-5 F32.9", "0-9: 0"),
    "planned follow-up: chemotherapy": ("A 0-5 *; B 20-22 Z51.11", "0-5: 0"),
    "planned follow-up: rehabilitation": ("A 0-5 *; B 20-22 Z44.001", "0-5: 0"),
    "unplanned after planned": ("A 0-5 *; B 15-17 Z51.11; B 25-27 F32.9", "0-5: 0"),
    "sent to a psychiatric hospital, and admitted there": ("A 0-5 * psychiatric; A 6-9 F32.9", "0-5: 0"),
    "admitted there and readmitted": ("A 0-5 * psychiatric; A 6-9 F32.9; A 15-17 F32.9", "0-5: 1"),
    "readmission for cancer": ("A 0-5 *; B 20-22 C34.90", "0-5: 1"),
    "died in hospital": ("A 0-5 * died", "none"),
    "death in the window": ("A 0-5 *; death 20", "0-5: 0"),
    "against medical advice": ("A 0-5 * ama; B 10-12 F32.9", "none"),
    "coverage lost in the window": ("A 0-5 *; B 8-9 F32.9; covered -400..15", "0-5: censored"),
    "coverage lost in the stay": ("A 0-5 *; covered -400..3", "none"),
    "coverage that begins too late": ("A 0-5 *; covered -364..200", "none"),
}


@pytest.mark.parametrize("cohort", STAYS)
@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_comes_out_alike_in_every_cohort(cohort: str, edge: str) -> None:
    history, cases = EDGES[edge]
    shard, vocabulary = make_shard(read_history(history.replace("*", STAYS[cohort])))
    found, _ = shard_cases(load_task(f"readmission-30d-{cohort}"), shard, vocabulary=vocabulary)
    assert written(found) == cases


def test_every_cohort_is_tried() -> None:
    names = {name.removeprefix("readmission-30d-") for name in task_names() if "readmission-30d-" in name}
    assert set(STAYS) == names


@pytest.mark.parametrize("cohort", STAYS)
def test_the_condition_cohorts_are_for_patients_of_65_and_more(cohort: str) -> None:
    """Born on 10 March 1950: 64 years old until 9 March 2015, which is 3,289 days before day 0."""
    first, second = -3289, -3229
    stay = STAYS[cohort]
    patient = read_history(f"A {first}-{first + 2} {stay}; A {second}-{second + 2} {stay}")
    patient.covered = [(first - 400, second + 200)]
    shard, vocabulary = make_shard(patient)
    task = load_task(f"readmission-30d-{cohort}")
    found, _ = shard_cases(task, shard, vocabulary=vocabulary)
    assert found.height == (2 if task.index.min_age is None else 1)
