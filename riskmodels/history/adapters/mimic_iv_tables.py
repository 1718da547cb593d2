"""MIMIC-IV as the tables of a history: relational transformations, the same on every engine of narwhals.

Columns are those of MIMIC-IV 2.2 (PhysioNet, doi 10.13026/6mm1-ek67) and its documentation; what follows from
it is in docs/history.md.
"""

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from riskmodels.history.adapters.mimic_iv_words import (
    ADMISSION_SOURCES,
    ADMISSION_TYPES,
    BLOOD_PRESSURE,
    DISPOSITIONS,
    LOINC,
    OBSERVATION,
    PRESSURE_UNIT,
    SEXES,
    VITALS,
)

__all__ = [
    "admissions",
    "coverage",
    "diagnoses",
    "ed_stays",
    "hcpcs",
    "icu_stays",
    "labs",
    "persons",
    "prescriptions",
    "procedures",
    "services",
    "vitals",
]

Frame = nw.LazyFrame[Any]

FACILITY = "BIDMC"  # Beth Israel Deaconess Medical Center, the one hospital of MIMIC-IV
OBSERVED_BEFORE, OBSERVED_AFTER = "-365d", "365d"


def words(column: str, names: Mapping[str, str]) -> nw.Expr:
    """Return the words that a column's values stand for; null where a value is not known."""
    result = nw.lit(None, dtype=nw.String)
    for value, word in names.items():
        result = nw.when(nw.col(column) == value).then(nw.lit(word)).otherwise(result)
    return result


def persons(patients: Frame) -> Frame:
    """Return table person; of the birth only the year is known, so it is put on 1 July."""
    year = (nw.col("anchor_year") - nw.col("anchor_age")).cast(nw.Int32).cast(nw.String)
    return patients.select(
        nw.col("subject_id").alias("person_id"),
        nw.concat_str([year, nw.lit("-07-01")]).str.to_date("%Y-%m-%d").alias("birth_date"),
        nw.coalesce(words("gender", SEXES), nw.lit("unknown")).alias("sex"),
        nw.col("dod").alias("death_date"),
    )


def race(admissions: Frame) -> Frame:
    """Return person and race as it was recorded first, in the order of admissions."""
    unknown = ["UNKNOWN", "UNABLE TO OBTAIN", "PATIENT DECLINED TO ANSWER"]
    told = admissions.filter(~nw.col("race").is_null() & ~nw.col("race").is_in(unknown))
    first = told.group_by("subject_id").agg(nw.col("admittime").min())
    return (
        told.join(first, on=["subject_id", "admittime"], how="inner")
        .group_by("subject_id")
        .agg(nw.col("race").min())
        .select(
            nw.col("subject_id").alias("person_id"), nw.col("race").str.to_lowercase().alias("race_ethnicity")
        )
    )


def coverage(encounters: Frame, people: Frame) -> Frame:
    """Return table coverage: a year before the first contact to a year after the last, or until death."""
    spans = encounters.group_by("person_id").agg(nw.col("start").min(), nw.col("end").max())
    last = nw.col("end").dt.offset_by(OBSERVED_AFTER).cast(nw.Date)
    dead = nw.col("death_date") < last
    return spans.join(people.select("person_id", "death_date"), on="person_id", how="inner").select(
        "person_id",
        nw.col("start").dt.offset_by(OBSERVED_BEFORE).cast(nw.Date).alias("start_date"),
        nw.when(dead).then(nw.col("death_date")).otherwise(last).alias("end_date"),
    )


def admissions(stays: Frame, drgs: Frame) -> Frame:
    """Return table encounter from admissions, with the DRG that was billed to CMS."""
    billed = (
        drgs.filter(nw.col("drg_type") == "HCFA")
        .group_by("hadm_id")
        .agg(nw.col("drg_code").min().alias("drg"))
    )
    observed = nw.col("admission_type").is_in(list(OBSERVATION))
    died = nw.col("hospital_expire_flag") == "1"
    return stays.join(billed, on="hadm_id", how="left").select(
        nw.col("hadm_id").alias("encounter_id"),
        nw.col("subject_id").alias("person_id"),
        nw.when(observed).then(nw.lit("observation")).otherwise(nw.lit("inpatient")).alias("kind"),
        nw.col("admittime").alias("start"),
        nw.col("dischtime").alias("end"),
        nw.lit(FACILITY).alias("facility_id"),
        nw.col("admit_provider_id").alias("provider_id"),
        words("admission_type", ADMISSION_TYPES).alias("admission_type"),
        words("admission_location", ADMISSION_SOURCES).alias("admission_source"),
        nw.when(died)
        .then(nw.lit("died"))
        .otherwise(words("discharge_location", DISPOSITIONS))
        .alias("discharge_disposition"),
        "drg",
    )


def ed_stays(transfers: Frame) -> Frame:
    """Return table encounter from stays in the emergency department that no admission followed."""
    alone = transfers.filter((nw.col("eventtype") == "ED") & nw.col("hadm_id").is_null())
    return alone.select(
        nw.concat_str([nw.lit("ED-"), nw.col("transfer_id")]).alias("encounter_id"),
        nw.col("subject_id").alias("person_id"),
        nw.lit("emergency").alias("kind"),
        nw.col("intime").alias("start"),
        nw.col("outtime").alias("end"),
        nw.lit(FACILITY).alias("facility_id"),
    )


def _event(kind: str, time: str | nw.Expr) -> list[nw.Expr]:
    return [
        nw.col("subject_id").alias("person_id"),
        (nw.col(time) if isinstance(time, str) else time).alias("time"),
        nw.lit(kind).alias("kind"),
    ]


def _icd(nine: str, ten: str) -> nw.Expr:
    ninth = nw.col("icd_version") == "9"
    return nw.when(ninth).then(nw.lit(nine)).otherwise(nw.lit(ten)).alias("code_system")


def diagnoses(coded: Frame, stays: Frame) -> Frame:
    """Return table event from billed diagnoses, dated at discharge: they are coded after it."""
    ends = stays.select("subject_id", "hadm_id", "dischtime")
    return coded.join(ends, on=["subject_id", "hadm_id"], how="left").select(
        *_event("diagnosis", "dischtime"),
        _icd("ICD9CM", "ICD10CM"),
        nw.col("icd_code").alias("code"),
        nw.col("seq_num").cast(nw.Int32).alias("position"),
        nw.col("hadm_id").alias("encounter_id"),
    )


def procedures(coded: Frame) -> Frame:
    """Return table event from billed procedures, on the day they were done."""
    return coded.select(
        *_event("procedure", "chartdate"),
        _icd("ICD9PCS", "ICD10PCS"),
        nw.col("icd_code").alias("code"),
        nw.col("seq_num").cast(nw.Int32).alias("position"),
        nw.col("hadm_id").alias("encounter_id"),
    )


def hcpcs(coded: Frame) -> Frame:
    """Return table event from HCPCS and CPT codes, on the day they were charted."""
    return coded.select(
        *_event("procedure", "chartdate"),
        nw.lit("HCPCS").alias("code_system"),
        nw.col("hcpcs_cd").alias("code"),
        nw.col("seq_num").cast(nw.Int32).alias("position"),
        nw.col("hadm_id").alias("encounter_id"),
    )


def prescriptions(orders: Frame) -> Frame:
    """Return table event from prescriptions of drugs, without the fluids that carry them."""
    coded = ~nw.col("ndc").is_null() & (nw.col("ndc") != "0")
    named = nw.concat_str([nw.lit("MIMIC:"), nw.col("drug").str.to_uppercase()])
    return orders.filter(nw.col("drug_type") == "MAIN").select(
        *_event("drug", "starttime"),
        nw.when(coded).then(nw.lit("NDC")).otherwise(nw.lit("LOCAL")).alias("code_system"),
        nw.when(coded).then(nw.col("ndc")).otherwise(named).alias("code"),
        nw.col("hadm_id").alias("encounter_id"),
    )


def labs(results: Frame) -> Frame:
    """Return table event from laboratory results: known when they were stored."""
    loinc = words("itemid", LOINC)
    own = nw.concat_str([nw.lit("MIMIC:"), nw.col("itemid")])
    return results.select(
        *_event("lab", "charttime"),
        nw.when(loinc.is_null()).then(nw.lit("LOCAL")).otherwise(nw.lit("LOINC")).alias("code_system"),
        nw.coalesce(loinc, own).alias("code"),
        nw.col("valuenum").alias("value"),
        nw.col("valueuom").alias("unit"),
        nw.col("hadm_id").alias("encounter_id"),
        nw.col("storetime").alias("recorded_at"),
    )


def vitals(measured: Frame) -> Frame:
    """Return table event from the outpatient record: weight, height, body mass index, blood pressure."""
    pieces = [
        _vital(measured.filter(nw.col("result_name") == name), nw.col("result_value"), code, unit)
        for name, (code, unit) in VITALS.items()
    ]
    pressure = measured.filter(
        nw.col("result_name").str.starts_with("Blood Pressure")
        & nw.col("result_value").str.contains("^[0-9]+/[0-9]+$")
    )
    for code, other in zip(BLOOD_PRESSURE, ("/[0-9]+$", "^[0-9]+/"), strict=True):
        pieces.append(
            _vital(pressure, nw.col("result_value").str.replace_all(other, ""), code, PRESSURE_UNIT)
        )
    return nw.concat(pieces)


def _vital(measured: Frame, text: nw.Expr, code: str, unit: str) -> Frame:
    numbers = measured.with_columns(text.alias("text")).filter(
        nw.col("text").str.contains("^[0-9]+[.]?[0-9]*$")
    )
    return numbers.select(
        *_event("vital", "chartdate"),
        nw.lit("LOINC").alias("code_system"),
        nw.lit(code).alias("code"),
        nw.col("text").cast(nw.Float64).alias("value"),
        nw.lit(unit).alias("unit"),
        nw.col("seq_num").cast(nw.Int32).alias("position"),
    )


def services(moves: Frame) -> Frame:
    """Return table event from the clinical service in charge: the last one is the service of discharge."""
    return moves.select(
        *_event("observation", "transfertime"),
        nw.lit("LOCAL").alias("code_system"),
        nw.concat_str([nw.lit("SERVICE:"), nw.col("curr_service")]).alias("code"),
        nw.col("hadm_id").alias("encounter_id"),
    )


def icu_stays(stays: Frame) -> Frame:
    """Return table event from stays in intensive care, dated at their end, with their hours."""
    return stays.select(
        *_event("observation", "outtime"),
        nw.lit("LOCAL").alias("code_system"),
        nw.lit("ICU_STAY").alias("code"),
        (nw.col("los") * 24.0).alias("value"),
        nw.lit("h").alias("unit"),
        nw.col("hadm_id").alias("encounter_id"),
    )
