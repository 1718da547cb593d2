"""What the codes of Medicare's claims and enrolment stand for in a history.

Type of bill, priority and point of origin of the admission and patient discharge status, as CMS publishes
them in the Medicare Claims Processing Manual, chapters 1 and 25, and in ResDAC's tables of the same names.
"""

__all__ = ["ADMISSION_SOURCES", "ADMISSION_TYPES", "DISPOSITIONS", "KINDS", "RACES"]

# Race of a beneficiary: RTI or enrolment code, ResDAC's BENE_RACE_CD.
RACES = {"1": "white", "2": "black", "3": "other", "4": "asian", "5": "hispanic", "6": "american indian"}
# First two digits of the type of bill, the leading zero left out: facility, then classification.
KINDS = {
    "11": "inpatient",  # hospital, Part A
    "12": "inpatient",  # hospital, Part B for an inpatient
    "41": "inpatient",  # religious non-medical institution
    "18": "snf",  # swing bed
    "21": "snf",
    "32": "home_health",
    "33": "home_health",
    "34": "home_health",
    "81": "hospice",
    "82": "hospice",
}
ADMISSION_TYPES = {
    "1": "emergency",
    "2": "urgent",
    "3": "elective",
    "4": "newborn",
    "5": "trauma",
    "9": "other",
}
ADMISSION_SOURCES = {
    "1": "physician",
    "2": "physician",
    "4": "transfer",
    "5": "snf",
    "6": "transfer",
    "7": "emergency",
    "8": "other",
    "9": "other",
    "D": "transfer",
    "E": "transfer",
    "F": "other",
}
DISPOSITIONS = {
    "01": "home",
    "02": "transfer",
    "03": "snf",
    "04": "other",  # custodial care
    "05": "transfer",  # cancer or children's hospital
    "06": "home_health",
    "07": "ama",
    "08": "home_health",
    "09": "other",  # admitted to this hospital
    "20": "died",
    "21": "other",
    "40": "died",
    "41": "died",
    "42": "died",
    "43": "transfer",  # federal hospital
    "50": "hospice",
    "51": "hospice",
    "61": "snf",  # swing bed
    "62": "rehab",
    "63": "long_term_care",
    "64": "snf",
    "65": "psychiatric",
    "66": "transfer",  # critical access hospital
    "69": "other",
    "70": "other",
}
# 81 to 95 are the same places with a planned readmission to an acute hospital.
DISPOSITIONS |= {
    "81": "home",
    "82": "transfer",
    "83": "snf",
    "84": "other",
    "85": "transfer",
    "86": "home_health",
    "87": "other",
    "88": "transfer",
    "89": "snf",
    "90": "rehab",
    "91": "long_term_care",
    "92": "snf",
    "93": "psychiatric",
    "94": "transfer",
    "95": "other",
}
