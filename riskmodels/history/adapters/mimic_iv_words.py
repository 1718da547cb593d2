"""What the words and items of MIMIC-IV stand for in a history."""

__all__ = [
    "ADMISSION_SOURCES",
    "ADMISSION_TYPES",
    "BLOOD_PRESSURE",
    "DISPOSITIONS",
    "LOINC",
    "OBSERVATION",
    "PRESSURE_UNIT",
    "SEXES",
    "VITALS",
]

SEXES = {"F": "female", "M": "male"}
OBSERVATION = {
    "EU OBSERVATION": "emergency",  # EU: emergency unit
    "DIRECT OBSERVATION": "urgent",
    "AMBULATORY OBSERVATION": "elective",
}
ADMISSION_TYPES = {
    "EW EMER.": "emergency",
    "DIRECT EMER.": "emergency",
    "URGENT": "urgent",
    "OBSERVATION ADMIT": "urgent",  # an observation stay that became an admission
    "ELECTIVE": "elective",
    "SURGICAL SAME DAY ADMISSION": "elective",
    "NEWBORN": "newborn",  # of MIMIC-III
    **OBSERVATION,
}
ADMISSION_SOURCES = {
    "EMERGENCY ROOM": "emergency",
    "PHYSICIAN REFERRAL": "physician",
    "CLINIC REFERRAL": "physician",
    "TRANSFER FROM HOSPITAL": "transfer",
    "TRANSFER FROM SKILLED NURSING FACILITY": "snf",
    "WALK-IN/SELF REFERRAL": "other",
    "PROCEDURE SITE": "other",
    "PACU": "other",
    "INTERNAL TRANSFER TO OR FROM PSYCH": "other",
    "AMBULATORY SURGERY TRANSFER": "other",
}
DISPOSITIONS = {
    "HOME": "home",
    "HOME HEALTH CARE": "home_health",
    "SKILLED NURSING FACILITY": "snf",
    "REHAB": "rehab",
    "CHRONIC/LONG TERM ACUTE CARE": "long_term_care",
    "HOSPICE": "hospice",
    "AGAINST ADVICE": "ama",
    "PSYCH FACILITY": "psychiatric",
    "ACUTE HOSPITAL": "transfer",
    "DIED": "died",
    "OTHER FACILITY": "other",
    "HEALTHCARE FACILITY": "other",
    "ASSISTED LIVING": "other",
}
# Item of d_labitems -> LOINC term: blood or serum, quantitative. Every other item stays MIMIC's own.
LOINC = {
    "50852": "4548-4",  # haemoglobin A1c
    "50861": "1742-6",  # alanine aminotransferase
    "50862": "1751-7",  # albumin
    "50878": "1920-8",  # aspartate aminotransferase
    "50882": "1963-8",  # bicarbonate
    "50885": "1975-2",  # bilirubin, total
    "50893": "17861-6",  # calcium, total
    "50902": "2075-0",  # chloride
    "50912": "2160-0",  # creatinine
    "50931": "2345-7",  # glucose
    "50963": "33762-6",  # NT-proBNP
    "50971": "2823-3",  # potassium
    "50983": "2951-2",  # sodium
    "51006": "3094-0",  # urea nitrogen
    "51221": "4544-3",  # haematocrit
    "51222": "718-7",  # haemoglobin
    "51237": "6301-6",  # INR
    "51265": "777-3",  # platelets
    "51301": "6690-2",  # leucocytes
}
# Name in omr -> LOINC term and unit; a blood pressure is written systolic/diastolic.
VITALS = {
    "Weight (Lbs)": ("29463-7", "[lb_av]"),
    "Height (Inches)": ("8302-2", "[in_i]"),
    "BMI (kg/m2)": ("39156-5", "kg/m2"),
}
BLOOD_PRESSURE = ("8480-6", "8462-4")
PRESSURE_UNIT = "mm[Hg]"
