"""Code groupers: what a diagnosis or procedure code means.

Every room may ask this one; it imports from none.
"""

from riskmodels.terminology.grouper import Grouper, load_grouper
from riskmodels.terminology.scores import comorbidity_score

__all__ = [
    "Grouper",
    "care",
    "charlson",
    "clinical_groups",
    "comorbidity_score",
    "diagnosis_chapters",
    "elixhauser",
    "load_grouper",
    "planned_admissions",
]


def charlson() -> Grouper:
    """Return the 17 Charlson comorbidities (Quan 2005), with weights ``charlson``, ``quan`` and ``lace``."""
    return load_grouper("charlson")


def elixhauser() -> Grouper:
    """Return the 31 Elixhauser comorbidities (Quan 2005), with weights ``van_walraven``."""
    return load_grouper("elixhauser")


def diagnosis_chapters() -> Grouper:
    """Return the chapters of ICD-9-CM and ICD-10-CM."""
    return load_grouper("chapters")


def clinical_groups() -> Grouper:
    """Return about a hundred clinical groups of diagnoses, each a union of HCUP CCS categories."""
    return load_grouper("clinical")


def care() -> Grouper:
    """Return the kinds of stay that readmission measures leave out, by principal diagnosis."""
    return load_grouper("care")


def planned_admissions() -> Grouper:
    """Return the always-planned procedures and the acute diagnoses of CMS's planned-readmission algorithm."""
    return load_grouper("planned")
