"""Codes fall into the groups that the published tables say."""

import polars as pl
import pytest

from riskmodels.errors import SpecError
from riskmodels.terminology import (
    Grouper,
    care,
    charlson,
    clinical_groups,
    diagnosis_chapters,
    elixhauser,
    load_grouper,
    planned_admissions,
)

ALL = [charlson, elixhauser, diagnosis_chapters, clinical_groups, care, planned_admissions]


def groups_of(grouper: Grouper, system: str, code: str) -> set[str]:
    assigned = grouper.assign(pl.Series([system]), pl.Series([code]))
    return {grouper.groups[number] for number in assigned["group"]}


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("ICD9CM", "410.71", {"myocardial_infarction"}),
        ("ICD9CM", "41071", {"myocardial_infarction"}),
        ("ICD9CM", "4280", {"heart_failure"}),
        ("ICD9CM", "40403", {"heart_failure", "renal"}),
        ("ICD9CM", "4252", set()),
        ("ICD9CM", "V451", {"renal"}),
        ("ICD9CM", "25000", {"diabetes"}),
        ("ICD9CM", "25040", {"diabetes_complicated"}),
        ("ICD9CM", "173", set()),
        ("ICD9CM", "1985", {"metastatic_cancer"}),
        ("ICD10CM", "I25.2", {"myocardial_infarction"}),
        ("ICD10CM", "i252", {"myocardial_infarction"}),
        ("ICD10CM", "I420", {"heart_failure"}),
        ("ICD10CM", "I421", set()),
        ("ICD10CM", "E1122", {"diabetes_complicated"}),
        ("ICD10CM", "K703", {"mild_liver"}),
        ("ICD10CM", "K704", {"severe_liver"}),
        ("ICD10CM", "C44", set()),
        ("ICD10CM", "C80", {"metastatic_cancer"}),
        ("ICD10CM", "4280", set()),
        ("LOCAL", "I252", set()),
    ],
)
def test_charlson_follows_quan(system: str, code: str, expected: set[str]) -> None:
    assert groups_of(charlson(), system, code) == expected


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("ICD9CM", "40493", {"heart_failure", "hypertension_complicated", "renal"}),
        ("ICD9CM", "4255", {"heart_failure", "alcohol"}),
        ("ICD9CM", "29654", {"psychosis", "depression"}),
        ("ICD9CM", "42610", {"arrhythmia"}),
        ("ICD9CM", "42611", set()),
        ("ICD10CM", "I426", {"heart_failure", "alcohol"}),
        ("ICD10CM", "F315", {"psychosis", "depression"}),
        ("ICD10CM", "I10", {"hypertension"}),
        ("ICD10CM", "I130", {"heart_failure", "hypertension_complicated"}),
        ("ICD10CM", "E1165", {"diabetes_complicated"}),
    ],
)
def test_elixhauser_puts_a_code_in_every_group_it_belongs_to(
    system: str, code: str, expected: set[str]
) -> None:
    assert groups_of(elixhauser(), system, code) == expected


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("ICD9CM", "0389", "infectious"),
        ("ICD9CM", "38600", "ear"),
        ("ICD9CM", "E9330", "external"),
        ("ICD9CM", "V4501", "factors"),
        ("ICD10CM", "D49", "neoplasms"),
        ("ICD10CM", "D50", "blood"),
        ("ICD10CM", "C4A", "neoplasms"),
        ("ICD10CM", "H60", "ear"),
        ("ICD10CM", "U071", "special"),
    ],
)
def test_every_code_has_one_chapter(system: str, code: str, expected: str) -> None:
    assert groups_of(diagnosis_chapters(), system, code) == {expected}


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("ICD9CM", "4280", "heart_failure"),
        ("ICD9CM", "49121", "copd"),
        ("ICD9CM", "5849", "acute_kidney_failure"),
        ("ICD10CM", "I5023", "heart_failure"),
        ("ICD10CM", "J441", "copd"),
        ("ICD10CM", "S72001A", "hip_fracture"),
        ("ICD10CM", "T391X2A", "self_harm"),
        ("ICD10CM", "T391X1A", "poisoning"),
        ("ICD10CM", "U071", "respiratory_infection"),
    ],
)
def test_the_longest_prefix_decides_the_clinical_group(system: str, code: str, expected: str) -> None:
    assert groups_of(clinical_groups(), system, code) == {expected}


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("ICD9CM", "V5811", {"cancer_treatment"}),
        ("ICD10CM", "Z5111", {"cancer_treatment"}),
        ("ICD9CM", "V5789", {"rehabilitation"}),
        ("ICD9CM", "29620", {"psychiatric"}),
        ("ICD10CM", "F329", {"psychiatric"}),
        ("ICD10CM", "F1020", set()),
        ("ICD10CM", "F0390", set()),
    ],
)
def test_stays_for_cancer_treatment_rehabilitation_and_psychiatry_are_known(
    system: str, code: str, expected: set[str]
) -> None:
    assert groups_of(care(), system, code) == expected


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("ICD9PCS", "5569", {"always_planned_procedure"}),
        ("ICD9PCS", "3351", {"always_planned_procedure"}),
        ("ICD10PCS", "0TY00Z0", {"always_planned_procedure"}),
        ("ICD10PCS", "30243G2", {"always_planned_procedure"}),
        ("ICD10PCS", "0TB00ZX", set()),
        ("ICD10PCS", "0SR9019", {"potentially_planned_procedure"}),
        ("ICD10PCS", "0210093", {"potentially_planned_procedure"}),
        ("ICD10PCS", "5A1D70Z", set()),
        ("ICD9PCS", "81.54", {"potentially_planned_procedure"}),
        ("ICD9PCS", "36.12", {"potentially_planned_procedure"}),
        ("ICD9PCS", "39.95", set()),
        ("ICD10CM", "Z5111", {"always_planned_diagnosis"}),
        ("ICD9CM", "V5789", {"always_planned_diagnosis"}),
        ("ICD10CM", "S72001A", {"acute_diagnosis"}),
        ("ICD10CM", "S72001D", set()),
        ("ICD9CM", "41071", {"acute_diagnosis"}),
        ("ICD9CM", "4280", {"acute_diagnosis"}),
        ("ICD9CM", "71536", set()),
        ("ICD10CM", "I5033", {"acute_diagnosis"}),
        ("ICD10CM", "M1711", set()),
        ("ICD10CM", "C3490", set()),
    ],
)
def test_planned_admissions_follow_the_algorithm_of_cms(system: str, code: str, expected: set[str]) -> None:
    assert groups_of(planned_admissions(), system, code) == expected


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.__name__)
def test_a_table_says_what_it_is_and_contradicts_itself_nowhere(table) -> None:
    grouper = table()
    assert grouper.version
    assert grouper.source
    assert grouper.licence
    assert set(grouper.labels) == set(grouper.groups)
    assert len(set(grouper.labels.values())) == len(grouper.groups)
    for points in grouper.weights.values():
        assert set(points) == set(grouper.groups)
    spelled = [(system, prefix) for system, prefix, _ in grouper.prefixes]
    if grouper.exclusive:
        assert len(set(spelled)) == len(spelled), "one prefix in two groups"
    assert len(set(grouper.prefixes)) == len(grouper.prefixes), "one prefix twice in a group"


def test_assign_keeps_rows_apart_and_reports_each_group_of_a_row() -> None:
    assigned = elixhauser().assign(
        pl.Series(["ICD10CM", "ICD10CM", "ICD9CM", "ICD10CM"]), pl.Series(["I10", "nonsense", "4255", "I10"])
    )
    numbers = [elixhauser().number(group) for group in ("hypertension", "heart_failure", "alcohol")]
    assert assigned.schema == {"row": pl.UInt32, "group": pl.Int32}
    assert set(assigned.iter_rows()) == {
        (0, numbers[0]),
        (2, numbers[1]),
        (2, numbers[2]),
        (3, numbers[0]),
    }


def test_null_codes_and_empty_input_belong_to_nothing() -> None:
    assert charlson().assign(pl.Series([None], dtype=pl.String), pl.Series(["4280"])).is_empty()
    assert charlson().assign(pl.Series(["ICD9CM"]), pl.Series([None], dtype=pl.String)).is_empty()
    assert charlson().assign(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String)).is_empty()


def test_codes_without_a_group_are_counted_with_the_reason() -> None:
    unknown = diagnosis_chapters().unknown(
        pl.Series(["ICD9CM", "ICD9CM", "ICD9CM", "NDC", "ICD9CM", "ICD10CM"]),
        pl.Series(["OTHER", "OTHER", "4280", "00001", "000", "4280"]),
    )
    assert unknown.rows() == [
        ("ICD9CM", "OTHER", 2, "not a code"),
        ("ICD10CM", "4280", 1, "not a code"),
        ("ICD9CM", "000", 1, "not covered"),
        ("NDC", "00001", 1, "other system"),
    ]


def test_an_unknown_table_or_group_is_refused_with_a_hint() -> None:
    with pytest.raises(SpecError, match="did you mean 'charlson'"):
        load_grouper("charlsen")
    with pytest.raises(SpecError, match="did you mean 'renal'"):
        charlson().number("renel")


def test_repeated_codes_get_the_same_groups_row_by_row() -> None:
    few = pl.DataFrame({"system": ["ICD9CM"] * 4, "code": ["4280", "41071", "25000", "V5811"]})
    assigned = charlson().assign(*pl.concat([few] * 1000))
    once = charlson().assign(*few)
    assert assigned.height == 1000 * once.height
    assert assigned.select(pl.col("row") % 4, "group").unique().sort("row").equals(once)
