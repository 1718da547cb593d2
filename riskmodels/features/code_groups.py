"""Drug classes and laboratory tests that the standard features ask for, as groupers."""

from functools import cache

from riskmodels.terminology import Grouper, drug_classes

__all__ = ["chronic_conditions", "drug_classes", "laboratory_tests", "reimbursements"]

_TESTS = {
    "hemoglobin": ("718-7 20509-6 30350-3 30313-1", "hemoglobin"),
    "sodium": ("2951-2 2947-0 77139-4", "sodium"),
    "potassium": ("2823-3 6298-4 77142-8", "potassium"),
    "creatinine": ("2160-0 38483-4", "creatinine"),
    "urea_nitrogen": ("3094-0 6299-2", "urea nitrogen"),
    "egfr": ("33914-3 62238-1 98979-8", "estimated glomerular filtration rate"),
    "glucose": ("2345-7 2339-0", "glucose"),
    "hemoglobin_a1c": ("4548-4 17856-6", "hemoglobin A1c"),
    "albumin": ("1751-7", "albumin"),
    "bilirubin": ("1975-2", "bilirubin"),
    "bicarbonate": ("1963-8 2028-9", "bicarbonate"),
    "white_cells": ("6690-2 26464-8", "white-cell count"),
    "platelets": ("777-3 26515-7", "platelet count"),
    "inr": ("6301-6 34714-6", "INR"),
    "bnp": ("30934-4 42637-9", "B-type natriuretic peptide (BNP)"),
    "nt_probnp": ("33762-6", "NT-proBNP"),  # another molecule, on another scale than BNP
    "lactate": ("2524-7 32693-4", "lactate"),
}


# Codes under which adapters keep what a publisher sums up once a year, dated when the year is over.
_CHRONIC_CONDITIONS = {
    "dementia": ("CCW:ALZHDMTA", "Alzheimer's disease or dementia"),
    "heart_failure": ("CCW:CHF", "Heart failure"),
    "kidney_disease": ("CCW:CHRNKIDN", "Chronic kidney disease"),
    "cancer": ("CCW:CNCR", "Cancer"),
    "copd": ("CCW:COPD", "COPD"),
    "depression": ("CCW:DEPRESSN", "Depression"),
    "diabetes": ("CCW:DIABETES", "Diabetes"),
    "ischemic_heart_disease": ("CCW:ISCHMCHT", "Ischemic heart disease"),
    "osteoporosis": ("CCW:OSTEOPRS", "Osteoporosis"),
    "arthritis": ("CCW:RA_OA", "Rheumatoid arthritis or osteoarthritis"),
    "stroke": ("CCW:STRKETIA", "Stroke or transient ischemic attack"),
}
_REIMBURSEMENTS = {
    "inpatient": ("REIMBURSED:IP", "inpatient care"),
    "outpatient": ("REIMBURSED:OP", "hospital outpatient care"),
    "carrier": ("REIMBURSED:CAR", "physicians and suppliers"),
}


@cache
def chronic_conditions() -> Grouper:
    """Return the conditions of the Chronic Conditions Data Warehouse, from a publisher's yearly flags."""
    return _local(
        "chronic_conditions", "CMS Chronic Conditions Data Warehouse, condition flags", _CHRONIC_CONDITIONS
    )


@cache
def reimbursements() -> Grouper:
    """Return what Medicare reimbursed in a calendar year, from a publisher's yearly totals."""
    return _local("reimbursements", "CMS beneficiary summary files, annual reimbursements", _REIMBURSEMENTS)


def _local(name: str, source: str, table: dict[str, tuple[str, str]]) -> Grouper:
    return Grouper(
        name=name,
        version="1",
        source=source,
        licence="Codes are our own",
        groups=tuple(table),
        labels={group: label for group, (_, label) in table.items()},
        prefixes=tuple(("LOCAL", code, number) for number, (code, _) in enumerate(table.values())),
    )


@cache
def laboratory_tests() -> Grouper:
    """Return common laboratory tests by LOINC; tests of one group share a unit in ordinary US reporting."""
    return Grouper(
        name="laboratory_tests",
        version="1",
        source="LOINC codes of common tests",
        licence="LOINC codes are used under the LOINC licence, loinc.org; labels are our own",
        groups=tuple(_TESTS),
        labels={group: label for group, (_, label) in _TESTS.items()},
        prefixes=tuple(
            ("LOINC", code, number)
            for number, (codes, _) in enumerate(_TESTS.values())
            for code in codes.split()
        ),
    )
