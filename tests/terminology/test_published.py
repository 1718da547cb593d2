"""Tables say what their publishers say, row by row and code by code, where the publishers' files are here."""

import csv
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from riskmodels.terminology import (
    ED_CLASSES,
    Grouper,
    ccs,
    ccs_procedures,
    ed_probabilities,
    hcc,
    hwr_cohorts,
    planned_admissions,
    pqi,
)

ED_COLUMNS = ("noner", "epct", "edcnpa", "edcnnpa", "injury", "psych", "alcohol", "drug")
COHORTS = {
    "Medicine": "medicine",
    "Cardiorespiratory": "cardiorespiratory",
    "Cardiovascular": "cardiovascular",
    "Neurology": "neurology",
    "Surgery/Gynecology": "surgery_gynecology",
    "Medical Treatment of Cancer": "cancer",
    "Psychiatric": "psychiatric",
    "Rehabilitation": "rehabilitation",
}
VALUE_SETS = {
    "asthma": "asthma",
    "cardiac_procedure_codes": "cardiac_procedure",
    "chronic_obstructive_pulmonary_disorder": "copd",
    "community_acquired_bacterial_pneumonia_diagnosis_codes": "bacterial_pneumonia",
    "diabetes_diagnosis_codes": "diabetes",
    "exclusion_dialysis_access_procedure_codes": "dialysis_access",
    "heart_failure_diagnosis_codes": "heart_failure",
    "hypertension_diagnosis_codes": "hypertension",
    "immunocompromised_state_diagnosis_codes": "immunocompromised",
    "immunocompromised_state_procedure_codes": "immunocompromised_procedure",
    "kidney_or_urinary_tract_disorder_diagnosis_codes": "urinary_tract_disorder",
    "lower-extremity_amputation_procedure_codes": "amputation",
    "mdc_14_principal_diagnosis_codes": "obstetric",
    "uncontrolled_diabetes_diagnosis_codes": "diabetes_uncontrolled",
    "urinary_tract_infection_diagnosis_codes": "urinary_tract_infection",
}


def groups_of(grouper: Grouper, system: str, codes: list[str]) -> dict[str, set[str]]:
    assigned = grouper.assign(pl.Series([system] * len(codes)), pl.Series(codes))
    found: dict[str, set[str]] = {code: set() for code in codes}
    for row, group in assigned.iter_rows():
        found[codes[row]].add(grouper.groups[group])
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def column_of(path: Path) -> set[str]:
    """Return the first column of a table."""
    return {next(iter(row.values())) for row in rows_of(path)}


@pytest.fixture(scope="module")
def folder() -> Path:
    """Return the folder of terminology tables, or skip."""
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "terminology"
    if not path.is_dir():
        pytest.skip("the published tables are not here")
    return path


@pytest.fixture(scope="module")
def diagnoses(folder: Path) -> list[str]:
    """Return some fifty thousand ICD-10-CM codes."""
    codes = column_of(folder / "ed_classification" / "johnston_icd10.csv")
    codes |= column_of(folder / "planned_readmission" / "acute_diagnosis_icd_10_cm.csv")
    codes |= {code for _, code, _ in hcc("V24").prefixes}
    return sorted(codes)


@pytest.fixture(scope="module")
def procedures(folder: Path) -> list[str]:
    """Return some thousands of ICD-10-PCS codes."""
    codes = {code for _, code, _ in ccs_procedures().prefixes if len(code) == 7}
    codes |= column_of(folder / "planned_readmission" / "potentially_planned_icd_10_pcs.csv")
    codes |= column_of(folder / "planned_readmission" / "surgery_gynecology_cohort.csv")
    sets = rows_of(folder / "tuva" / "pqi__value_sets.csv")
    return sorted(codes | {row["code"] for row in sets if "procedure" in row["value_set_name"]})


@pytest.mark.parametrize(
    ("group", "system", "categories", "single"),
    [
        ("always_planned_procedure", "ICD10PCS", "always_planned_ccs_procedure_category", None),
        ("always_planned_diagnosis", "ICD10CM", "always_planned_ccs_diagnosis_category", None),
        (
            "potentially_planned_procedure",
            "ICD10PCS",
            "potentially_planned_ccs_procedure_category",
            "potentially_planned_icd_10_pcs",
        ),
        ("acute_diagnosis", "ICD10CM", "acute_diagnosis_ccs", "acute_diagnosis_icd_10_cm"),
    ],
    ids=lambda value: str(value),
)
def test_a_code_is_in_a_group_of_the_planned_algorithm_if_and_only_if_cms_lists_it(
    folder: Path,
    diagnoses: list[str],
    procedures: list[str],
    group: str,
    system: str,
    categories: str,
    single: str | None,
) -> None:
    """Listed by its CCS category, or by itself."""
    tables = folder / "planned_readmission"
    table, codes = (ccs(), diagnoses) if system == "ICD10CM" else (ccs_procedures(), procedures)
    listed = column_of(tables / f"{categories}.csv")
    single_codes = column_of(tables / f"{single}.csv") if single else set()
    assert listed <= set(table.groups), "a category that CCS does not have"
    category = groups_of(table, system, codes)
    expected = {
        code
        for code in codes
        # A code that was subdivided since the list was made counts with its parts.
        if category[code] & listed or any(code[:length] in single_codes for length in range(3, len(code) + 1))
    }
    groups = groups_of(planned_admissions(), system, codes)
    assert single_codes <= set(codes)
    assert len(expected) > 10
    assert {code for code in codes if group in groups[code]} ^ expected == set()


def test_a_code_is_of_a_cohort_or_exclusion_of_the_hwr_measure_if_and_only_if_cms_lists_it(
    folder: Path, diagnoses: list[str], procedures: list[str]
) -> None:
    tables = folder / "planned_readmission"
    cohorts: dict[tuple[str, str], str] = {}
    for row in rows_of(tables / "specialty_cohort.csv"):
        system = "ICD10PCS" if row["procedure_or_diagnosis"] == "Procedure" else "ICD10CM"
        cohorts[system, row["ccs"]] = COHORTS[row["specialty_cohort"]]
    for row in rows_of(tables / "exclusion_ccs_diagnosis_category.csv"):
        cohorts["ICD10CM", row["ccs_diagnosis_category"]] = COHORTS[row["exclusion_category"]]
    surgical = column_of(tables / "surgery_gynecology_cohort.csv")
    for system, table, codes in (
        ("ICD10CM", ccs(), diagnoses),
        ("ICD10PCS", ccs_procedures(), procedures),
    ):
        category = groups_of(table, system, codes)
        expected = {
            code: {cohorts[system, number] for number in category[code] if (system, number) in cohorts}
            | ({"surgery_gynecology"} if code in surgical else set())
            for code in codes
        }
        found = groups_of(hwr_cohorts(), system, codes)
        assert {code: found[code] for code in codes if found[code] != expected[code]} == {}


def test_each_diagnosis_of_the_ed_classification_has_its_published_probabilities(folder: Path) -> None:
    rows = rows_of(folder / "ed_classification" / "johnston_icd10.csv")
    codes = pl.Series([row["icd10"] for row in rows])
    found = ed_probabilities(pl.Series(["ICD10CM"] * len(codes)), codes)
    for name, column in zip(ED_CLASSES, ED_COLUMNS, strict=True):
        published = pl.Series([float(row[column] or 0) for row in rows])
        assert (found[name] - published).abs().max() < 1e-6, name


def test_each_code_of_a_pqi_value_set_is_in_its_group(folder: Path) -> None:
    sets = defaultdict(list)
    for row in rows_of(folder / "tuva" / "pqi__value_sets.csv"):
        sets[row["value_set_name"]].append(row["code"].replace(".", ""))
    for name, group in VALUE_SETS.items():
        found = groups_of(pqi(), "ICD10PCS" if "procedure" in name else "ICD10CM", sets[name])
        assert sets[name], name
        assert [code for code in found if group not in found[code]] == [], name
