"""Which tasks a history can support, and why not."""

from collections import Counter

import pytest

from riskmodels.cohorts import load_task
from riskmodels.cohorts.holdings import Holdings
from riskmodels.cohorts.support import Support, _judge, say

KINDS = load_task("cost-12m").outcome.kinds
COLUMNS = (
    ":facility_id",
    ":discharge_disposition",
    ":admission_type",
    ":allowed",
    ":principal",
    ":procedure",
)
COMPLETE = {
    "persons": 5000,
    "covered": 5000,
    "deaths": 400,
    "deaths_after_admission": 60,
    "dual": 5000,
    **{f"{kind}{column}": 1500 for kind in KINDS for column in ("", *COLUMNS)},
}


def holdings(span: int = 1000, systems: dict[str, int] | None = None, **changes: int) -> Holdings:
    named = {name.replace("__", ":"): value for name, value in changes.items()}
    return Holdings(Counter({**COMPLETE, **named}), Counter(systems or {"ICD10CM": 9000}), [span])


@pytest.mark.parametrize(
    ("task", "stock", "verdict", "reason"),
    [
        pytest.param("admission-12m", holdings(), "yes", "", id="complete"),
        pytest.param("admission-12m", holdings(covered=0), "no", "there is no coverage", id="no coverage"),
        pytest.param(
            "admission-12m", holdings(729), "no", "nobody is covered for 730 days on end", id="short coverage"
        ),
        pytest.param("admission-12m", holdings(730), "yes", "", id="just long enough"),
        pytest.param(
            "admission-12m", holdings(persons=499), "in part", "too few to learn from", id="few persons"
        ),
        pytest.param(
            "ed-visit-12m-avoidable",
            holdings(systems={"ICD9CM": 90}),
            "no",
            "classes of ED visits go by ICD10CM",
            id="ICD-9",
        ),
        pytest.param("ed-visit-12m", holdings(emergency=0), "no", "no emergency encounters", id="no ED"),
        pytest.param("ed-return-72h", holdings(emergency=0), "no", "to start from", id="no index visit"),
        pytest.param(
            "readmission-30d",
            holdings(inpatient__procedure=0),
            "in part",
            "no procedures of stays",
            id="planned",
        ),
        pytest.param(
            "readmission-30d",
            holdings(inpatient__discharge_disposition=100),
            "in part",
            "against medical advice is not seen",
            id="dispositions",
        ),
        pytest.param(
            "cost-12m",
            holdings(**{f"{kind}__allowed": 0 for kind in KINDS}),
            "no",
            "no encounter has an allowed amount",
            id="no costs",
        ),
        pytest.param("cost-12m", holdings(dual=0), "in part", "dual status is unknown", id="no dual status"),
        pytest.param("mortality-30d", holdings(deaths=0), "no", "no dates of death", id="no deaths"),
        pytest.param(
            "mortality-30d", holdings(deaths_after_admission=2), "no", "which is implausible", id="few deaths"
        ),
        pytest.param(
            "mortality-30d",
            holdings(deaths_after_admission=0, inpatient=20),
            "yes",
            "",
            id="too few stays to judge deaths by",
        ),
        pytest.param(
            "worsening-copd-12m",
            holdings(systems={"SNOMED": 90}),
            "no",
            "go by ICD10CM or ICD9CM, in which no diagnoses",
            id="no ICD",
        ),
        pytest.param(
            "worsening-copd-12m",
            holdings(systems={"SNOMED": 90, "ICD10CM": 10}),
            "in part",
            "in which 10.0% of diagnoses are coded",
            id="mostly SNOMED",
        ),
    ],
)
def test_verdicts(task: str, stock: Holdings, verdict: str, reason: str) -> None:
    found = _judge(load_task(task), stock)
    assert found.verdict == verdict
    assert reason in "; ".join(found.reasons)


def test_tasks_alike_are_said_together() -> None:
    text = say((Support("a", "no", ("why",)), Support("b", "yes", ()), Support("c", "no", ("why",))))
    assert text.splitlines()[1:] == ["yes      b", "no       a, c", "         - why"]
