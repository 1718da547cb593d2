"""LACE, HOSPITAL and Charlson against published and hand-worked examples."""

import polars as pl
import pytest
from feature_tables import cases, day, shard

from riskmodels.features import FeatureSet, Score, build_shard_features
from riskmodels.features.formulas import hospital, lace
from riskmodels.terminology import load_grouper

CODED = [("ICD10CM", "I50.9"), ("ICD10CM", "E11.9"), ("ICD10CM", "E11.22"), ("ICD10CM", "C34.90")]
CODED += [("ICD10CM", "C79.51"), ("LOINC", "718-7"), ("LOINC", "2951-2"), ("ICD10PCS", "02HV33Z")]
VOCABULARY = pl.DataFrame(
    [(n, *code) for n, code in enumerate(CODED)],
    schema={"code": pl.Int32, "code_system": pl.String, "code_text": pl.String},
    orient="row",
)


def row(**values) -> pl.DataFrame:
    return pl.DataFrame(values)


@pytest.mark.parametrize(
    ("days", "acute", "comorbidity", "visits", "expected"),
    [
        (5, True, 5, 2, {"l": 4, "a": 3, "c": 5, "e": 2, "score": 14}),  # cliot manual, example 1
        (2, False, 0, 0, {"l": 2, "a": 0, "c": 0, "e": 0, "score": 2}),  # cliot manual, example 2
        (0, False, 3, 4, {"l": 0, "a": 0, "c": 3, "e": 4, "score": 7}),
        (13, True, 4, 9, {"l": 5, "a": 3, "c": 5, "e": 4, "score": 17}),
        (14, True, 12, 4, {"l": 7, "a": 3, "c": 5, "e": 4, "score": 19}),
        (3, None, 1, 0, {"l": 3, "a": None, "c": 1, "e": 0, "score": None}),
    ],
    ids=["published 1", "published 2", "day case", "13 days", "highest", "type of admission unknown"],
)
def test_lace(days, acute, comorbidity, visits, expected):
    """Points are those of van Walraven 2010; a component that is unknown makes the score unknown."""
    data = row(l=[float(days)], a=pl.Series([acute], dtype=pl.Boolean), c=[comorbidity], e=[visits])
    points = lace(*map(pl.col, "lace"))
    assert data.select(**points).row(0, named=True) == expected


@pytest.mark.parametrize(
    ("variant", "admissions", "expected"),
    [("2013", 1, 7), ("2016", 1, 5), ("simplified", 1, 5), ("2013", 0, 5), ("2016", 2, 7), ("2016", 6, 10)],
)
def test_hospital(variant, admissions, expected):
    """The hand-worked example of the notes, with the two ways to count earlier admissions."""
    data = row(hb=[11.0], na=[133.0], no=[False], yes=[True], n=[admissions], days=[6.0])
    hb, na, no, yes, n, stay = map(pl.col, ("hb", "na", "no", "yes", "n", "days"))
    assert data.select(hospital(hb, na, no, no, yes, n, stay, variant=variant)).item() == expected


def test_hospital_without_laboratory_is_missing():
    """A score that needs what the data do not have is missing, not low."""
    data = row(hb=pl.Series([None], dtype=pl.Float64), na=[133.0], yes=[True], n=[1], days=[6.0])
    hb, na, yes, n, stay = map(pl.col, ("hb", "na", "yes", "n", "days"))
    assert data.select(hospital(hb, na, yes, yes, yes, n, stay)).item() is None


def test_scores_from_a_history():
    """From rows to points: heart failure before; diabetes and cancer in the stay; ED visits; low values."""
    visits = [
        {"person": 0, "encounter": n, "kind": "emergency", "start": day(at), "end": day(at)}
        for n, at in enumerate((30, 120, 199.9))
    ]
    stays = [
        {"person": 0, "encounter": 10, "kind": "inpatient", "start": day(50), "end": day(53)},
        {"person": 0, "encounter": 11, "kind": "inpatient", "start": day(200), "end": day(206)},
    ]
    coded = [(53, 0, 10), (53, 1, 10), (206, 2, 11), (206, 3, 11), (206, 4, 11)]
    diagnoses = [
        {"person": 0, "time": day(at), "kind": "diagnosis", "code": code, "encounter": encounter}
        for at, code, encounter in coded
    ]
    results = [
        {"person": 0, "time": day(203), "kind": "lab", "code": 5, "value": 13.0, "encounter": 11},
        {"person": 0, "time": day(205), "kind": "lab", "code": 5, "value": 110.0, "encounter": None},
        {"person": 0, "time": day(205), "kind": "lab", "code": 6, "value": 133.0, "encounter": 11},
        {"person": 0, "time": day(201), "kind": "procedure", "code": 7, "encounter": 11},
    ]
    case = cases(
        {
            "index_time": day(206),
            "admission_time": day(200),
            "stay_encounters": [11],
            "length_of_stay": 6,
            "admission_type": "urgent",
        }
    )
    feature_set = FeatureSet("scores", [Score("charlson", role="adjust"), Score("lace"), Score("hospital")])
    frame = build_shard_features(
        shard(visits + stays, diagnoses + results), case, feature_set, VOCABULARY
    ).frame
    weights = load_grouper("charlson").weights["lace"]
    comorbidity = sum(weights[g] for g in ("heart_failure", "diabetes_complicated", "metastatic_cancer"))
    assert comorbidity > 3
    assert frame.row(0, named=True) == {
        "index_id": "case0",
        "charlson_index": 2.0,  # heart failure 1, diabetes 1; what the stay coded is not part of it
        "lace_length_of_stay_points": 4.0,
        "lace_acuity_points": 3.0,
        "lace_comorbidity_points": 5.0,
        "lace_ed_visit_points": 3.0,
        "lace_score": 15.0,
        "lace_known_points": 15.0,
        # low hemoglobin (110 can only be g/L) 1, cancer 2, low sodium 1, procedure 1, urgent 1, 6 days 2, one
        # admission in the year before: 2 or 0
        "hospital_2013_score": 10.0,
        "hospital_2016_score": 8.0,
        "hospital_simplified_score": 7.0,
    }


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((1,), 1.0), ((2,), 2.0), ((1, 2), 2.0), ((3,), 2.0), ((3, 4), 6.0), ((), 0.0)],
    ids=["diabetes", "complicated", "both are one", "cancer", "metastatic in place of cancer", "none"],
)
def test_charlson_counts_the_worse_state_once(codes, expected):
    """A severe form takes the place of the mild one."""
    events = [{"person": 0, "time": day(1), "kind": "diagnosis", "code": code} for code in codes]
    feature_set = FeatureSet("s", [Score("charlson")])
    frame = build_shard_features(
        shard((), events), cases({"index_time": day(9)}), feature_set, VOCABULARY
    ).frame
    assert frame["charlson_index"].to_list() == [expected]
