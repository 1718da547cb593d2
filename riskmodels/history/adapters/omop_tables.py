"""OMOP's common data model as the tables of a history: transformations for every engine of narwhals."""

from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional import named
from riskmodels.history.adapters.synthea_tables import VITALS

__all__ = ["VISITS", "conditions", "coverage", "encounters", "events", "persons", "vocabulary"]

Frame = nw.LazyFrame[Any]

SEXES = {"8507": "male", "8532": "female"}
RACES = {
    "8527": "white",
    "8516": "black",
    "8515": "asian",
    "8657": "american indian",
    "8557": "pacific islander",
}
HISPANIC = "38003563"
# Standard concepts of the domain Visit; others are told by their names, see `omop.kinds_by_name`.
VISITS = {
    "9201": "inpatient",
    "262": "inpatient",  # emergency room and inpatient visit
    "9203": "emergency",
    "581385": "observation",
    "9202": "outpatient",
    "581477": "office",
    "5083": "office",  # telehealth
    "42898160": "snf",  # non-hospital institution
    "581476": "home_health",
    "8546": "hospice",
}
FROM_EMERGENCY = "262"
SYSTEMS = {
    "ICD9CM": "ICD9CM",
    "ICD10CM": "ICD10CM",
    "ICD9Proc": "ICD9PCS",
    "ICD10PCS": "ICD10PCS",
    "HCPCS": "HCPCS",
    "CPT4": "HCPCS",
    "NDC": "NDC",
    "ATC": "ATC",
    "RxNorm": "RxNorm",
    "LOINC": "LOINC",
    "SNOMED": "SNOMED",
    "Revenue Code": "REVENUE",
}


def persons(people: Frame, deaths: Frame) -> Frame:
    """Return table person; a birth without a day is on the first of its month, or of its year."""

    def two_digits(column: str) -> nw.Expr:
        text = nw.coalesce(nw.col(column), nw.lit("1"))
        short = text.str.len_chars() == 1
        return nw.when(short).then(nw.concat_str(nw.lit("0"), text)).otherwise(text)

    dead = deaths.group_by("person_id").agg(nw.col("death_date").min())
    written = nw.concat_str(
        nw.col("year_of_birth"),
        nw.lit("-"),
        two_digits("month_of_birth"),
        nw.lit("-"),
        two_digits("day_of_birth"),
    )
    hispanic = nw.when(nw.col("ethnicity_concept_id") == HISPANIC).then(nw.lit("hispanic"))
    return people.join(dead, on="person_id", how="left").select(
        "person_id",
        nw.coalesce(nw.col("birth_datetime"), written.str.to_datetime(format="%Y-%m-%d").cast(nw.Date)).alias(
            "birth_date"
        ),
        nw.coalesce(named(nw.col("gender_concept_id"), SEXES), nw.lit("unknown")).alias("sex"),
        nw.coalesce(hispanic, named(nw.col("race_concept_id"), RACES)).alias("race_ethnicity"),
        "death_date",
    )


def coverage(periods: Frame) -> Frame:
    """Return table coverage: the observation periods."""
    return periods.select(
        "person_id",
        nw.col("observation_period_start_date").alias("start_date"),
        nw.col("observation_period_end_date").alias("end_date"),
    )


def encounters(visits: Frame, details: Frame, kinds: Frame, places: Frame) -> Frame:
    """Return table encounter from visits, with the words of their concepts.

    Parameters
    ----------
    details : LazyFrame
        ``visit_occurrence_id`` and ``visit_concept_id`` of the parts of visits: an outpatient visit with an
        emergency or observation part is one of these.
    kinds, places : LazyFrame
        ``concept_id`` and the word for it, as kind or discharge disposition.
    """
    kind = kinds.select(nw.col("concept_id").alias("visit_concept_id"), "kind")
    parts = (
        details.join(kind, on="visit_concept_id", how="inner")
        .filter(nw.col("kind").is_in(["emergency", "observation"]))
        .group_by("visit_occurrence_id")
        .agg(
            nw.col("kind").max().alias("part")
        )  # observation comes after emergency, in time and in the alphabet
    )
    place = places.select(nw.col("concept_id").alias("discharged_to_concept_id"), "discharge_disposition")
    rows = (
        visits.join(kind, on="visit_concept_id", how="left")
        .join(parts, on="visit_occurrence_id", how="left")
        .join(place, on="discharged_to_concept_id", how="left")
    )
    told = nw.coalesce(nw.col("kind"), nw.lit("outpatient"))
    start = nw.coalesce(nw.col("visit_start_datetime"), nw.col("visit_start_date").cast(nw.Datetime("us")))
    emergency = nw.when(nw.col("visit_concept_id") == FROM_EMERGENCY).then(nw.lit("emergency"))
    return rows.select(
        nw.col("visit_occurrence_id").alias("encounter_id"),
        "person_id",
        nw.when(told.is_in(["outpatient", "office"]))
        .then(nw.coalesce(nw.col("part"), told))
        .otherwise(told)
        .alias("kind"),
        start.alias("start"),
        nw.coalesce(visit_end(), start).alias("end"),
        nw.col("care_site_id").alias("facility_id"),
        "provider_id",
        emergency.alias("admission_type"),
        emergency.alias("admission_source"),
        "discharge_disposition",
    )


def visit_end() -> nw.Expr:
    """Return the end of a visit."""
    return nw.coalesce(nw.col("visit_end_datetime"), nw.col("visit_end_date").cast(nw.Datetime("us")))


def vocabulary(concepts: Frame) -> Frame:
    """Return ``concept_id``, ``code_system``, ``code`` of concepts; a code of another vocabulary is local."""
    system = named(nw.col("vocabulary_id"), SYSTEMS)
    local = nw.concat_str(nw.col("vocabulary_id"), nw.lit(":"), nw.col("concept_code"))
    return concepts.select(
        "concept_id",
        nw.coalesce(system, nw.lit("LOCAL")).alias("code_system"),
        nw.when(system.is_null()).then(local).otherwise(nw.col("concept_code")).alias("code"),
    )


def _coded(rows: Frame, codes: Frame) -> Frame:
    """Add code_system and code: of the source's concept, else of the standard one, else a local one."""
    known = codes.filter(nw.col("concept_id") != "0")
    source = known.select(
        nw.col("concept_id").alias("source_concept_id"),
        nw.col("code_system").alias("source_system"),
        nw.col("code").alias("source_code"),
    )
    rows = rows.join(source, on="source_concept_id", how="left").join(known, on="concept_id", how="left")
    text = nw.coalesce(nw.col("source_value"), nw.col("concept_id"))
    local = nw.concat_str(nw.lit("OMOP:"), text)
    return rows.with_columns(
        nw.coalesce(nw.col("source_system"), nw.col("code_system"), nw.lit("LOCAL")).alias("code_system"),
        nw.coalesce(nw.col("source_code"), nw.col("code"), local).alias("code"),
    )


def conditions(rows: Frame, codes: Frame, visits: Frame, positions: Frame) -> Frame:
    """Return table event: conditions at the end of their visit, the primary one at position 1."""
    ends = visits.select("visit_occurrence_id", visit_end().alias("over"))
    rows = _coded(rows, codes).join(ends, on="visit_occurrence_id", how="left")
    status = positions.select(nw.col("concept_id").alias("condition_status_concept_id"), "position")
    return rows.join(status, on="condition_status_concept_id", how="left").select(
        "person_id",
        nw.coalesce(nw.col("over"), nw.col("time"), nw.col("date").cast(nw.Datetime("us"))).alias("time"),
        nw.lit("diagnosis").alias("kind"),
        "code_system",
        "code",
        "position",
        nw.col("visit_occurrence_id").alias("encounter_id"),
    )


def events(rows: Frame, codes: Frame, *, kind: str) -> Frame:
    """Return table event from procedures, drugs, measurements or observations, at their own time."""
    word = nw.lit(kind)
    coded = _coded(rows, codes)
    if kind == "lab":
        vital = (nw.col("code_system") == "LOINC") & nw.col("code").is_in(VITALS)
        word = nw.when(vital).then(nw.lit("vital")).otherwise(nw.lit("lab"))
    return coded.select(
        "person_id",
        nw.coalesce(nw.col("time"), nw.col("date").cast(nw.Datetime("us"))).alias("time"),
        word.alias("kind"),
        "code_system",
        "code",
        "value",
        "unit",
        "quantity",
        "days_supply",
        nw.col("visit_occurrence_id").alias("encounter_id"),
    )
