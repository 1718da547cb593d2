"""Synthea's CSV export as the tables of a history: transformations for every engine of narwhals."""

from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional import named

__all__ = [
    "codes",
    "coverage",
    "encounters",
    "immunizations",
    "medications",
    "observations",
    "persons",
    "reasons",
]

Frame = nw.LazyFrame[Any]

SEXES = {"F": "female", "M": "male"}
KINDS = {
    "inpatient": "inpatient",
    "emergency": "emergency",
    "snf": "snf",
    "hospice": "hospice",
    "home": "home_health",
    "ambulatory": "office",
    "wellness": "office",
    "virtual": "office",
    "urgentcare": "outpatient",
    "outpatient": "outpatient",
}
FOR_OBSERVATION = "76464004"  # SNOMED CT: hospital admission, for observation
DUAL = "Dual Eligible"
PAYERS = {DUAL: "medicare", "NO_INSURANCE": "uninsured"}
GOVERNMENT = ("Medicare", "Medicaid")
VITALS = (  # LOINC terms of the export's category vital-signs, where the category is not told
    "8302-2",
    "29463-7",
    "39156-5",
    "8462-4",
    "8480-6",
    "8867-4",
    "9279-1",
    "8310-5",
    "2708-6",
)


def persons(patients: Frame) -> Frame:
    """Return table person; who is Hispanic by ethnicity is so by race and ethnicity."""
    hispanic = nw.when(nw.col("ETHNICITY") == "hispanic").then(nw.col("ETHNICITY"))
    return patients.select(
        nw.col("Id").alias("person_id"),
        nw.col("BIRTHDATE").alias("birth_date"),
        nw.coalesce(named(nw.col("GENDER"), SEXES), nw.lit("unknown")).alias("sex"),
        nw.coalesce(hispanic, nw.col("RACE")).alias("race_ethnicity"),
        nw.col("DEATHDATE").alias("death_date"),
    )


def coverage(spans: Frame, payers: Frame, patients: Frame) -> Frame:
    """Return table coverage from spans with START_DATE, END_DATE and the `last_day` that files tell about.

    Spans touch: one ends on the day before the next starts. They are cut at death and at the last day. Days
    without insurance are days on which the patient was observed, too.
    """
    names = payers.select(nw.col("Id").alias("PAYER"), nw.col("NAME").alias("name"))
    deaths = patients.select(nw.col("Id").alias("PATIENT"), nw.col("DEATHDATE").alias("death_date"))
    spans = spans.join(names, on="PAYER", how="left").join(deaths, on="PATIENT", how="left")
    name = nw.coalesce(nw.col("name"), nw.col("PAYER"))
    payer = (
        nw.when(name.is_in(GOVERNMENT))
        .then(name.str.to_lowercase())
        .otherwise(nw.coalesce(named(name, PAYERS), name))
    )
    last = nw.min_horizontal(
        nw.col("END_DATE").dt.offset_by("-1d").cast(nw.Date), nw.col("death_date"), nw.col("last_day")
    )
    return (
        spans.select(
            nw.col("PATIENT").alias("person_id"),
            nw.col("START_DATE").cast(nw.Date).alias("start_date"),
            last.alias("end_date"),
            payer.alias("payer"),
            nw.when(name.is_in([DUAL, "Medicare"])).then(name == DUAL).alias("dual"),
        )
        .filter(nw.col("start_date") <= nw.col("end_date"))
        .unique()
    )


def encounters(rows: Frame) -> Frame:
    """Return table encounter; admissions for observation, by their code, are observation stays."""
    observed = (nw.col("ENCOUNTERCLASS") == "inpatient") & (nw.col("CODE") == FOR_OBSERVATION)
    kind = nw.coalesce(named(nw.col("ENCOUNTERCLASS").str.to_lowercase(), KINDS), nw.lit("outpatient"))
    return rows.select(
        nw.col("Id").alias("encounter_id"),
        nw.col("PATIENT").alias("person_id"),
        nw.when(observed).then(nw.lit("observation")).otherwise(kind).alias("kind"),
        nw.col("START").alias("start"),
        nw.coalesce(nw.col("STOP"), nw.col("START")).alias("end"),
        nw.col("ORGANIZATION").alias("facility_id"),
        nw.col("PROVIDER").alias("provider_id"),
        nw.col("PAYER_COVERAGE").alias("paid"),
        nw.col("TOTAL_CLAIM_COST").alias("allowed"),
    )


def _system(column: str) -> nw.Expr:
    """Return the code system that a row names; SNOMED CT where it names none, as older exports do."""
    name = nw.col(column).str.to_uppercase()
    icd = nw.when(name.str.starts_with("ICD10") | name.str.starts_with("ICD-10")).then(nw.lit("ICD10CM"))
    return nw.coalesce(icd, nw.lit("SNOMED"))


def reasons(rows: Frame) -> Frame:
    """Return table event: the reason of an encounter is its principal diagnosis, dated at its end."""
    return rows.filter(~nw.col("REASONCODE").is_null()).select(
        nw.col("PATIENT").alias("person_id"),
        nw.coalesce(nw.col("STOP"), nw.col("START")).alias("time"),
        nw.lit("diagnosis").alias("kind"),
        nw.lit("SNOMED").alias("code_system"),
        nw.col("REASONCODE").alias("code"),
        nw.lit(1, dtype=nw.Int32).alias("position"),
        nw.col("Id").alias("encounter_id"),
    )


def codes(rows: Frame, encounters: Frame, *, kind: str) -> Frame:
    """Return table event from procedures, at their start, or conditions, at the end of their encounter.

    A condition is coded in an encounter; it is known when that is over.
    """
    ends = encounters.select(
        nw.col("Id").alias("ENCOUNTER"), nw.coalesce(nw.col("STOP"), nw.col("START")).alias("over")
    )
    time = nw.coalesce(nw.col("over"), nw.col("START")) if kind == "diagnosis" else nw.col("START")
    return rows.join(ends, on="ENCOUNTER", how="left").select(
        nw.col("PATIENT").alias("person_id"),
        time.alias("time"),
        nw.lit(kind).alias("kind"),
        _system("SYSTEM").alias("code_system"),
        nw.col("CODE").alias("code"),
        nw.col("ENCOUNTER").alias("encounter_id"),
    )


def medications(rows: Frame) -> Frame:
    """Return table event: a prescription at its start, by RxNorm; quantity is the number of fills."""
    return rows.select(
        nw.col("PATIENT").alias("person_id"),
        nw.col("START").alias("time"),
        nw.lit("drug").alias("kind"),
        nw.lit("RxNorm").alias("code_system"),
        nw.col("CODE").alias("code"),
        nw.col("DISPENSES").alias("quantity"),
        nw.col("ENCOUNTER").alias("encounter_id"),
    )


def immunizations(rows: Frame) -> Frame:
    """Return table event: a vaccine by its CVX code, which is kept as a local one."""
    return rows.select(
        nw.col("PATIENT").alias("person_id"),
        nw.col("DATE").alias("time"),
        nw.lit("drug").alias("kind"),
        nw.lit("LOCAL").alias("code_system"),
        nw.concat_str(nw.lit("CVX:"), nw.col("CODE")).alias("code"),
        nw.col("ENCOUNTER").alias("encounter_id"),
    )


def observations(rows: Frame) -> Frame:
    """Return table event from observations with a LOINC code; a value that is no number is left out."""
    numeric = nw.col("TYPE").str.to_lowercase() == "numeric"
    value = nw.when(numeric).then(nw.col("VALUE"))
    vital = (nw.col("CATEGORY") == "vital-signs") | (
        nw.col("CATEGORY").is_null() & nw.col("CODE").is_in(VITALS)
    )
    measured = nw.when(numeric).then(nw.lit("lab")).otherwise(nw.lit("observation"))
    other = nw.coalesce(nw.col("CATEGORY"), nw.lit("laboratory")) != "laboratory"
    kind = nw.when(other).then(nw.lit("observation")).otherwise(measured)
    loinc = nw.col("CODE").str.contains(r"^[0-9]{1,7}-[0-9]$")
    return rows.with_columns(value.alias("VALUE")).select(
        nw.col("PATIENT").alias("person_id"),
        nw.col("DATE").alias("time"),
        nw.when(vital).then(nw.lit("vital")).otherwise(kind).alias("kind"),
        nw.when(loinc).then(nw.lit("LOINC")).otherwise(nw.lit("LOCAL")).alias("code_system"),
        nw.when(loinc)
        .then(nw.col("CODE"))
        .otherwise(nw.concat_str(nw.lit("SYNTHEA:"), nw.col("CODE")))
        .alias("code"),
        nw.col("VALUE").alias("value"),
        nw.col("UNITS").alias("unit"),
        nw.col("ENCOUNTER").alias("encounter_id"),
    )
