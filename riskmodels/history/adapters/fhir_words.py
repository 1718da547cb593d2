"""What the codes of FHIR R4 and its terminologies stand for in a history."""

from riskmodels.history.adapters.institutional_words import DISPOSITIONS

__all__ = [
    "ADMITTING",
    "FOR_OBSERVATION",
    "HISPANIC",
    "KINDS",
    "NOT_DONE",
    "NOT_HELD",
    "NOT_ORDERED",
    "PLACES",
    "PRIORITIES",
    "RACES",
    "SEXES",
    "SOURCES",
    "STAY_WORDS",
]

SEXES = {"female": "female", "male": "male"}
RACES = {  # CDC race and ethnicity codes, as US Core has them
    "2106-3": "white",
    "2054-5": "black",
    "2028-9": "asian",
    "1002-5": "american indian",
    "2076-8": "pacific islander",
    "2131-1": "other",
}
HISPANIC = "2135-2"
KINDS = {  # v3 ActCode, the class of an encounter
    "imp": "inpatient",
    "acute": "inpatient",
    "nonac": "inpatient",
    "emer": "emergency",
    "obsenc": "observation",
    "ss": "observation",
    "hh": "home_health",
    "amb": "office",
    "vr": "office",
}
# Words in the names of the types of stays, the first that is met counts.
STAY_WORDS = {
    "observation": "observation",
    "rehabilitation": "rehab",
    "skilled nursing": "snf",
    "nursing home": "snf",
    "hospice": "hospice",
}
FOR_OBSERVATION = "76464004"  # SNOMED CT: hospital admission, for observation
PRIORITIES = {"em": "emergency", "ur": "urgent", "el": "elective"}
SOURCES = {
    "emd": "emergency",
    "hosp-trans": "transfer",
    "gp": "physician",
    "mp": "physician",
    "nursing": "snf",
    "born": "other",
    "outp": "other",
    "psych": "other",
    "rehab": "other",
    "other": "other",
}
PLACES = {  # discharge-disposition of FHIR; two digits are UB-04 discharge status
    "home": "home",
    "alt-home": "home",
    "other-hcf": "transfer",
    "hosp": "hospice",
    "long": "long_term_care",
    "aadvice": "ama",
    "exp": "died",
    "psy": "psychiatric",
    "rehab": "rehab",
    "snf": "snf",
    "oth": "other",
    **DISPOSITIONS,
}
NOT_HELD = ("planned", "cancelled", "entered-in-error", "noshow", "proposed", "unknown")
NOT_DONE = ("entered-in-error", "not-done", "preparation", "cancelled", "draft", "unknown")
NOT_ORDERED = ("proposal", "plan", "option")
ADMITTING = ("ad",)
