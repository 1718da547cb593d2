"""Code groupers: what a diagnosis, procedure or drug code means.

Every room may ask this one; it imports from none.
"""

from riskmodels.terminology.emergency import ED_CLASSES, ed_classification, ed_probabilities
from riskmodels.terminology.grouper import Grouper, load_grouper
from riskmodels.terminology.hierarchies import hcc
from riskmodels.terminology.preventable import PQI, pqi, pqi_admissions
from riskmodels.terminology.scores import comorbidity_score

__all__ = [
    "ED_CLASSES",
    "PQI",
    "Grouper",
    "care",
    "ccs",
    "ccs_procedures",
    "ccsr",
    "charlson",
    "clinical_groups",
    "comorbidity_score",
    "conditions",
    "diagnosis_chapters",
    "drug_classes",
    "ed_classification",
    "ed_probabilities",
    "elixhauser",
    "elixhauser_ahrq",
    "hcc",
    "hrrp_conditions",
    "hwr_cohorts",
    "load_grouper",
    "planned_admissions",
    "pqi",
    "pqi_admissions",
]


def charlson() -> Grouper:
    """Return the 17 Charlson comorbidities (Quan 2005), with weights ``charlson``, ``quan`` and ``lace``."""
    return load_grouper("charlson")


def elixhauser() -> Grouper:
    """Return the 31 Elixhauser comorbidities (Quan 2005), with weights ``van_walraven``."""
    return load_grouper("elixhauser")


def elixhauser_ahrq() -> Grouper:
    """Return the 38 comorbidities of AHRQ (v2026.1), with weights ``readmission`` and ``mortality``."""
    return load_grouper("elixhauser_ahrq")


def diagnosis_chapters() -> Grouper:
    """Return the chapters of ICD-9-CM and ICD-10-CM."""
    return load_grouper("chapters")


def ccs() -> Grouper:
    """Return the 283 categories of HCUP CCS for diagnoses; a group's name is its number, ``"108"``."""
    return load_grouper("ccs")


def ccs_procedures() -> Grouper:
    """Return the 231 categories of HCUP CCS for procedures; a group's name is its number, ``"153"``."""
    return load_grouper("ccs_procedures")


def ccsr() -> Grouper:
    """Return the first HCUP CCSR category of each ICD-10-CM diagnosis; a group's name is its code."""
    return load_grouper("ccsr")


def clinical_groups() -> Grouper:
    """Return about a hundred clinical groups of diagnoses, each a union of HCUP CCS categories."""
    return load_grouper("clinical")


def conditions() -> Grouper:
    """Return chronic conditions, and what is a worsening of one."""
    return load_grouper("conditions")


def care() -> Grouper:
    """Return the kinds of stay that readmission measures leave out, by principal diagnosis."""
    return load_grouper("care")


def planned_admissions() -> Grouper:
    """Return the four groups of CMS's planned-readmission algorithm 4.0: procedures and diagnoses."""
    return load_grouper("planned")


def hwr_cohorts() -> Grouper:
    """Return the specialty cohorts and exclusions of CMS's Hospital-Wide Readmission measure."""
    return load_grouper("hwr")


def hrrp_conditions() -> Grouper:
    """Return what puts a stay in the condition cohorts of the Hospital Readmissions Reduction Program."""
    return load_grouper("hrrp")


def drug_classes() -> Grouper:
    """Return classes of the Anatomical Therapeutic Chemical (ATC) classification."""
    return load_grouper("drug_classes")
