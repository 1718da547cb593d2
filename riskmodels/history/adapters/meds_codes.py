"""What a code of a MEDS dataset says: a start or end of an encounter or of coverage, a trait, or a fact."""

import re
from dataclasses import dataclass

from riskmodels.history.schema import CODE_SYSTEMS, ENCOUNTER_KINDS, EVENT_KINDS

__all__ = [
    "BIRTH",
    "COVERAGE_END",
    "COVERAGE_START",
    "DEATH",
    "ENCOUNTER_END",
    "ENCOUNTER_START",
    "RACE",
    "SEX",
    "Meaning",
    "event_code",
    "meaning",
]

BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"  # the standard's own
SEX, RACE = "GENDER", "RACE"
ENCOUNTER_START, ENCOUNTER_END = "ENCOUNTER_START", "ENCOUNTER_END"
COVERAGE_START, COVERAGE_END = "COVERAGE_START", "COVERAGE_END"
ROLES = {
    BIRTH: "birth",
    DEATH: "death",
    SEX: "sex",
    "SEX": "sex",
    RACE: "race",
    ENCOUNTER_START: "start",
    ENCOUNTER_END: "end",
    COVERAGE_START: "covered",
    COVERAGE_END: "uncovered",
}
SEXES = {"f": "female", "m": "male"}
# The names that extractions of MIMIC-IV give to stays; the ED rows of a stay share its id and belong to it.
STAYS = {
    "HOSPITAL_ADMISSION": ("start", "inpatient"),
    "HOSPITAL_DISCHARGE": ("end", "inpatient"),
}
KINDS = {
    "DIAGNOSIS": "diagnosis",
    "CONDITION": "diagnosis",
    "PROCEDURE": "procedure",
    "MEDICATION": "drug",
    "DRUG": "drug",
    "LAB": "lab",
    "VITAL": "vital",
    "VITALS": "vital",
}
# Vocabularies as OMOP names them: the system here, and what its codes usually are.
VOCABULARIES = {
    "ICD9CM": ("ICD9CM", "diagnosis"),
    "ICD10CM": ("ICD10CM", "diagnosis"),
    "ICD9Proc": ("ICD9PCS", "procedure"),
    "ICD10PCS": ("ICD10PCS", "procedure"),
    "HCPCS": ("HCPCS", "procedure"),
    "CPT4": ("HCPCS", "procedure"),
    "NDC": ("NDC", "drug"),
    "ATC": ("ATC", "drug"),
    "RxNorm": ("RxNorm", "drug"),
    "LOINC": ("LOINC", "lab"),
    "SNOMED": ("SNOMED", "diagnosis"),
}
ICD = {  # words of a code of MIMIC-IV: DIAGNOSIS//ICD//10//I509
    ("DIAGNOSIS", "9"): "ICD9CM",
    ("DIAGNOSIS", "10"): "ICD10CM",
    ("PROCEDURE", "9"): "ICD9PCS",
    ("PROCEDURE", "10"): "ICD10PCS",
}


@dataclass(frozen=True)
class Meaning:
    """What a code says.

    Attributes
    ----------
    role : str
        One of birth, death, sex, race, start, end, covered, uncovered, event.
    word : str or None
        The sex or race, the kind of encounter or the payer, or the kind of event.
    code_system, code : str or None
        Of an event.
    """

    role: str
    word: str | None = None
    code_system: str | None = None
    code: str | None = None


def event_code(kind: str, code_system: str, code: str) -> str:
    """Return the code that a fact has in a dataset, such as ``DIAGNOSIS//ICD10CM//I50.9``."""
    return f"{kind.upper()}//{code_system}//{code}"


def meaning(code: str) -> Meaning:
    """Return what a code says: as `riskmodels export` writes it, or as common extractions do."""
    head, _, rest = code.partition("//")
    if head in ROLES:
        return _trait(ROLES[head], rest)
    if head in STAYS:
        return Meaning(*STAYS[head])
    parts = rest.split("//", 1)
    kind = KINDS.get(head, head.lower() if head.lower() in EVENT_KINDS else None)
    if kind and len(parts) == 2 and parts[0] in CODE_SYSTEMS:
        return Meaning("event", kind, parts[0], parts[1])
    if (icd := re.match(r"^(DIAGNOSIS|PROCEDURE)//ICD//(9|10)//(.+)$", code)) is not None:
        return Meaning("event", KINDS[icd[1]], ICD[icd[1], icd[2]], icd[3])
    vocabulary, slash, text = code.partition("/")
    if slash and not text.startswith("/") and vocabulary in VOCABULARIES and text:
        system, usual = VOCABULARIES[vocabulary]
        return Meaning("event", usual, system, text)
    if code.split("/")[0] in ("Gender", "Race"):  # as OMOP names these vocabularies
        return _trait("sex" if code.startswith("Gender") else "race", text)
    return Meaning("event", kind or "observation", "LOCAL", code)


def _trait(role: str, rest: str) -> Meaning:
    word = rest.split("//")[0] or None
    if role == "sex":
        low = (word or "unknown").lower()
        low = SEXES.get(low, low)
        return Meaning(role, low if low in ("female", "male") else "unknown")
    if role in ("start", "end") and word not in ENCOUNTER_KINDS:
        return Meaning(role, "outpatient")
    return Meaning(role, word)
