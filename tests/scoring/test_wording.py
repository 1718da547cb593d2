"""Features in words that a nurse understands."""

import pytest

from riskmodels.features import FeatureColumn, FeatureSet, Static, standard_features
from riskmodels.scoring.wording import Wording, reason_topic

SINCE = "Days since the last ED visit (in the 365 days before admission)"


def column(label: str, aggregation: str, kind: str = "number", name: str = "x") -> FeatureColumn:
    return FeatureColumn(name, "predict", kind, label, "case", aggregation=aggregation)


@pytest.mark.parametrize(
    ("feature", "value", "says"),
    [
        (column("ED visits in the last 90 days", "count"), 3.0, "3 ED visits in the last 90 days"),
        (column("ED visits in the last 90 days", "count"), 1.0, "1 ED visit in the last 90 days"),
        (
            column("Diagnoses of Asthma in the last 90 days", "count"),
            1.0,
            "1 diagnosis of Asthma in the last 90 days",
        ),
        (column("Number of lab in the last 30 days", "count"), 4.0, "Number of lab in the last 30 days: 4"),
        (column("ED visits in the last 90 days", "count"), 0.0, "No ED visits in the last 90 days"),
        (
            column("Inpatient admissions in the 365 days before admission", "count"),
            2.0,
            "2 inpatient admissions in the year before admission",
        ),
        (
            column("Different hospitals of inpatient admissions in the last 365 days", "distinct"),
            1.0,
            "1 different hospital of inpatient admissions in the last year",
        ),
        (column(SINCE, "days_since"), 12.7, "12 days since the last ED visit"),
        (column(SINCE, "days_since"), 1.2, "1 day since the last ED visit"),
        (column(SINCE, "days_since"), None, "No ED visit in the year before admission"),
        (
            column("Heart failure (Charlson) in the last 365 days", "any", "flag"),
            1.0,
            "Heart failure in the last year",
        ),
        (
            column("Heart failure (Charlson) in the last 365 days", "any", "flag"),
            0.0,
            "No heart failure in the last year",
        ),
        (column("Dual eligible", "static", "flag"), 0.0, "Dual eligible: no"),
        (
            column("Last hemoglobin in the last 365 days", "last"),
            9.84,
            "Last hemoglobin in the last year: 9.8",
        ),
        (
            column("Last hemoglobin in the last 365 days", "last"),
            float("nan"),
            "Last hemoglobin in the last year: not known",
        ),
        (
            column("Paid for care, in dollars in the last 90 days", "sum"),
            12345.6,
            "Paid for care in dollars in the last 90 days: 12,346",
        ),
        (column("LACE score", "score"), 12.0, "LACE score: 12"),
        (column("Inpatient days in the last 90 days", "sum"), 12.0, "12 inpatient days in the last 90 days"),
        (
            column("Days of drugs supplied during the stay", "sum"),
            1.0,
            "1 day of drugs supplied during the stay",
        ),
        (column("Sum of paid in the last 90 days", "sum"), 12.0, "Sum of paid in the last 90 days: 12"),
        (column("Age in years", "static", name="age"), 84.0, "84 years old"),
        (
            column("Diagnosis-related group (DRG)", "static", "category"),
            "291",
            "Diagnosis-related group (DRG): 291",
        ),
    ],
)
def test_what_a_value_says(feature: FeatureColumn, value: object, says: str) -> None:
    assert Wording({feature.name: feature}).say(feature.name, value) == says


@pytest.mark.parametrize(
    ("level", "says"),
    [
        ("snf", "Discharged to a skilled nursing facility"),
        ("home", "Discharged home"),
        (None, "Discharge disposition: not known"),
    ],
)
def test_where_the_patient_went(level: str | None, says: str) -> None:
    wording = Wording.of(FeatureSet("s", [Static("discharge_disposition", label="Discharge disposition")]))
    assert wording.say("discharge_disposition", level) == says


def test_diagnosis_groups_go_by_their_names() -> None:
    wording = Wording.of(FeatureSet("s", [Static("principal_diagnosis_group", grouper="diagnosis_chapters")]))
    group = wording.columns["principal_diagnosis_group"].levels[0]  # type: ignore[index]
    assert group not in wording.say("principal_diagnosis_group", group)


def test_every_standard_feature_can_be_said() -> None:
    """For any value and for none: a sentence without the machine's words."""
    features = standard_features("readmission-30d")
    wording = Wording.of(features)
    for entry in features.columns:
        values = [*(entry.levels or ("291",))] if entry.kind == "category" else [0.0, 1.0, 2.5]
        for value in [*values, None]:
            said = wording.say(entry.name, value)
            assert said
            assert said[0].isupper() or said[0].isdigit()
            assert not {"None", "nan", "{"} & set(said.split())


def test_windows_of_one_thing_are_one_reason() -> None:
    columns = {entry.name: entry for entry in standard_features("readmission-30d").columns}
    visits = {reason_topic(entry) for name, entry in columns.items() if name.startswith("ed_visits")}
    assert len(visits) == 1
    assert reason_topic(columns["drg"]) == reason_topic(columns["principal_diagnosis"])
    assert reason_topic(columns["age"]) != reason_topic(columns["sex"])


def test_a_score_and_its_components_are_one_reason() -> None:
    """Three LACE columns would be three reasons that say the same; other scores are others."""
    columns = {entry.name: entry for entry in standard_features("readmission-30d").columns}
    lace = {reason_topic(entry) for name, entry in columns.items() if name.startswith("lace_")}
    hospital = {reason_topic(entry) for name, entry in columns.items() if name.startswith("hospital_")}
    assert len(lace) == len(hospital) == 1
    assert lace != hospital
    assert reason_topic(columns["charlson_index"]) not in lace | hospital
