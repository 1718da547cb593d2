"""Drug classes and laboratory tests that the standard features ask for, as groupers."""

from functools import cache

from riskmodels.terminology import Grouper

__all__ = ["chronic_conditions", "drug_classes", "laboratory_tests", "reimbursements"]

# Anatomical main groups (level 1), then therapeutic and pharmacological subgroups (levels 2 and 3) that mark
# a chronic condition or a risk of coming back. A drug counts in each group that its code begins with.
_DRUG_CLASSES = {
    "alimentary": ("A", "alimentary tract and metabolism drugs"),
    "blood": ("B", "blood and blood-forming organ drugs"),
    "cardiovascular": ("C", "cardiovascular drugs"),
    "dermatological": ("D", "dermatological drugs"),
    "genitourinary": ("G", "genito-urinary drugs and sex hormones"),
    "hormones": ("H", "systemic hormones"),
    "anti_infectives": ("J", "systemic anti-infectives"),
    "antineoplastic": ("L", "antineoplastic and immunomodulating drugs"),
    "musculoskeletal": ("M", "musculo-skeletal drugs"),
    "nervous_system": ("N", "nervous-system drugs"),
    "antiparasitic": ("P", "antiparasitic drugs"),
    "respiratory": ("R", "respiratory drugs"),
    "sensory": ("S", "sensory-organ drugs"),
    "various": ("V", "various other drugs"),
    "insulins": ("A10A", "insulins"),
    "oral_antidiabetics": ("A10B", "glucose-lowering drugs other than insulins"),
    "antithrombotics": ("B01", "antithrombotics"),
    "antianaemics": ("B03", "drugs for anemia"),
    "cardiac_therapy": ("C01", "cardiac glycosides, antiarrhythmics and nitrates"),
    "diuretics": ("C03", "diuretics"),
    "loop_diuretics": ("C03C", "loop diuretics"),
    "beta_blockers": ("C07", "beta blockers"),
    "calcium_channel_blockers": ("C08", "calcium-channel blockers"),
    "renin_angiotensin": ("C09", "drugs on the renin-angiotensin system"),
    "lipid_lowering": ("C10", "lipid-lowering drugs"),
    "corticosteroids": ("H02", "systemic corticosteroids"),
    "antibacterials": ("J01", "systemic antibacterials"),
    "immunosuppressants": ("L04", "immunosuppressants"),
    "nsaids": ("M01", "anti-inflammatory and antirheumatic drugs"),
    "opioids": ("N02A", "opioids"),
    "antiepileptics": ("N03", "antiepileptics"),
    "antiparkinson": ("N04", "antiparkinson drugs"),
    "antipsychotics": ("N05A", "antipsychotics"),
    "anxiolytics_hypnotics": ("N05B N05C", "anxiolytics, hypnotics and sedatives"),
    "antidepressants": ("N06A", "antidepressants"),
    "antidementia": ("N06D", "drugs for dementia"),
    "airway_drugs": ("R03", "drugs for obstructive airway diseases"),
}

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
def drug_classes() -> Grouper:
    """Return classes of the Anatomical Therapeutic Chemical (ATC) classification, by code prefix."""
    return Grouper(
        name="drug_classes",
        version="1",
        source="ATC classification, WHO Collaborating Centre for Drug Statistics Methodology",
        licence="Codes and their hierarchy are facts; labels are our own",
        groups=tuple(_DRUG_CLASSES),
        labels={group: label for group, (_, label) in _DRUG_CLASSES.items()},
        prefixes=tuple(
            ("ATC", prefix, number)
            for number, (prefixes, _) in enumerate(_DRUG_CLASSES.values())
            for prefix in prefixes.split()
        ),
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
