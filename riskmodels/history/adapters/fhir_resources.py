"""Clinical resources of FHIR R4 as rows: patients, encounters, conditions, procedures, orders, observations.

Each function takes a resource as JSON has it and returns its rows, in the order of the schema of its name in
`SCHEMAS`, or the reason why it has none. Profiles: US Core, https://hl7.org/fhir/us/core/.
"""

from collections.abc import Callable
from typing import Any

import polars as pl

from riskmodels.history.adapters.fhir_elements import (
    DIAGNOSIS_SYSTEMS,
    DRUG_SYSTEMS,
    OBSERVATION_SYSTEMS,
    PROCEDURE_SYSTEMS,
    Resource,
    code_in,
    coded,
    codings,
    contained,
    day,
    extension,
    first_code,
    moment,
    number,
    reference,
)
from riskmodels.history.adapters.fhir_words import (
    ADMITTING,
    FOR_OBSERVATION,
    HISPANIC,
    KINDS,
    NOT_DONE,
    NOT_HELD,
    NOT_ORDERED,
    PLACES,
    PRIORITIES,
    RACES,
    SEXES,
    SOURCES,
    STAY_WORDS,
)
from riskmodels.history.adapters.institutional_words import RACES as CMS_RACES

__all__ = ["FLATTENERS", "SCHEMAS", "medications", "ranks"]

Rows = list[tuple[Any, ...]] | str

TEXT, INSTANT, NUMBER = pl.String, pl.Datetime("us"), pl.Float64
EVENT = {
    "person_id": TEXT,
    "encounter_id": TEXT,
    "time": INSTANT,
    "code_system": TEXT,
    "code": TEXT,
    "recorded_at": INSTANT,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "Patient": {
        "person_id": TEXT,
        "birth_date": pl.Date,
        "sex": TEXT,
        "race_ethnicity": TEXT,
        "death_date": pl.Date,
    },
    "Encounter": {
        "encounter_id": TEXT,
        "person_id": TEXT,
        "kind": TEXT,
        "start": INSTANT,
        "end": INSTANT,
        "facility_id": TEXT,
        "provider_id": TEXT,
        "admission_type": TEXT,
        "admission_source": TEXT,
        "discharge_disposition": TEXT,
        "part_of": TEXT,
    },
    "Condition": {**EVENT, "condition_id": TEXT},
    "Procedure": EVENT,
    "MedicationRequest": {**EVENT, "quantity": NUMBER, "days_supply": NUMBER, "medication_id": TEXT},
    "Observation": {**EVENT, "kind": TEXT, "value": NUMBER, "unit": TEXT},
    "Medication": {"medication_id": TEXT, "medication_system": TEXT, "medication_code": TEXT},
    "rank": {"condition_id": TEXT, "ranked_in": TEXT, "position": pl.Int32},
}


def patient(resource: Resource) -> Rows:
    """Return the row of a Patient; who is Hispanic by ethnicity is so by race and ethnicity."""

    def omb(url: str) -> list[str]:
        inside = (extension(resource, url) or {}).get("extension") or []
        return [str((one.get("valueCoding") or {}).get("code")) for one in inside]

    race = next((RACES[code] for code in omb("us-core-race") if code in RACES), None)
    if HISPANIC in omb("us-core-ethnicity"):
        race = "hispanic"
    if race is None and (told := extension(resource, "bluebutton.cms.gov/resources/variables/race")):
        race = CMS_RACES.get(str((told.get("valueCoding") or {}).get("code")))
    return [
        (
            resource.get("id"),
            day(resource.get("birthDate"), "birthDate"),
            SEXES.get(resource.get("gender") or "", "unknown"),
            race,
            day(resource.get("deceasedDateTime"), "deceasedDateTime"),
        )
    ]


def encounter(resource: Resource) -> Rows:
    """Return the row of an Encounter that took place."""
    status = resource.get("status")
    if status in NOT_HELD:
        return f"Encounter: {status}"
    period = resource.get("period") or {}
    stay = resource.get("hospitalization") or {}
    source = code_in(stay.get("admitSource"), list(SOURCES))
    place = code_in(stay.get("dischargeDisposition"), list(PLACES))
    priority = code_in(resource.get("priority"), list(PRIORITIES))
    return [
        (
            resource.get("id"),
            reference(resource.get("subject")),
            _kind(resource),
            moment(period.get("start"), "period.start"),
            moment(period.get("end"), "period.end"),
            reference(resource.get("serviceProvider")),
            _attending(resource),
            PRIORITIES[priority] if priority else None,
            SOURCES[source] if source else None,
            PLACES[place] if place else None,
            reference(resource.get("partOf")),
        )
    ]


def _kind(resource: Resource) -> str:
    kind = KINDS.get((resource["class"].get("code") or "").lower(), "outpatient")
    if kind != "inpatient":
        return kind
    types = resource.get("type") or []
    if any(code == FOR_OBSERVATION for one in types for _, code in codings(one)):
        return "observation"
    said = " ".join([*(one.get("text") or "" for one in types), *_displays(types)]).lower()
    return next((word for part, word in STAY_WORDS.items() if part in said), kind)


def _displays(concepts: list[Resource]) -> list[str]:
    return [coding.get("display") or "" for one in concepts for coding in one.get("coding") or []]


def _attending(resource: Resource) -> str | None:
    """Return the attender of an encounter, else its primary performer, else any participant."""
    found: dict[str, str] = {}
    for participant in resource.get("participant") or []:
        who = reference(participant.get("individual"))
        roles = [code for one in participant.get("type") or [] for _, code in codings(one)]
        if who:
            found.setdefault((roles or [""])[0], who)
    return found.get("ATND") or found.get("PPRF") or next(iter(found.values()), None)


def ranks(resource: Resource) -> list[tuple[Any, ...]]:
    """Return the place of each condition among the diagnoses of an Encounter; the admitting one has 0."""
    rows: list[tuple[Any, ...]] = []
    for diagnosis in resource.get("diagnosis") or []:
        rank = diagnosis.get("rank")
        position = 0 if code_in(diagnosis.get("use"), ADMITTING) else rank
        if position is not None and (found := reference(diagnosis.get("condition"))):
            rows.append((found, resource.get("id"), int(position)))
    return rows


def condition(resource: Resource) -> Rows:
    """Return the row of a Condition that was not refuted."""
    status = first_code(resource.get("verificationStatus"))
    if status in ("refuted", "entered-in-error"):
        return f"Condition: {status}"
    code = coded(resource.get("code"), DIAGNOSIS_SYSTEMS)
    if code is None:
        return "Condition: no code"
    recorded = moment(resource.get("recordedDate"), "recordedDate")
    onset = moment(
        resource.get("onsetDateTime") or (resource.get("onsetPeriod") or {}).get("start"), "onset[x]"
    )
    about = reference(resource.get("subject")), reference(resource.get("encounter"))
    return [(*about, recorded or onset, *code, recorded, resource.get("id"))]


def procedure(resource: Resource) -> Rows:
    """Return the row of a Procedure that was done."""
    status = resource.get("status")
    if status in NOT_DONE:
        return f"Procedure: {status}"
    code = coded(resource.get("code"), PROCEDURE_SYSTEMS)
    if code is None:
        return "Procedure: no code"
    done = resource.get("performedDateTime") or (resource.get("performedPeriod") or {}).get("start")
    about = reference(resource.get("subject")), reference(resource.get("encounter"))
    return [(*about, moment(done, "performed[x]"), *code, None)]


def medication_request(resource: Resource) -> Rows:
    """Return the row of a MedicationRequest that orders something; the drug may be a Medication's."""
    status, intent = resource.get("status"), resource.get("intent")
    if status in NOT_DONE or intent in NOT_ORDERED or resource.get("doNotPerform"):
        return f"MedicationRequest: {status if status in NOT_DONE else intent}"
    concept, other = resource.get("medicationCodeableConcept"), None
    if concept is None:
        inside = contained(resource, resource.get("medicationReference"))
        concept = (inside or {}).get("code")
        other = None if inside else reference(resource.get("medicationReference"))
    code = coded(concept, DRUG_SYSTEMS) or (None, None)
    if code[1] is None and other is None:
        return "MedicationRequest: no code"
    dispense = resource.get("dispenseRequest") or {}
    supply = dispense.get("expectedSupplyDuration") or {}
    about = reference(resource.get("subject")), reference(resource.get("encounter"))
    ordered = moment(resource.get("authoredOn"), "authoredOn")
    return [
        (
            *about,
            ordered,
            *code,
            None,
            number((dispense.get("quantity") or {}).get("value"), "dispenseRequest.quantity"),
            number(supply.get("value"), "dispenseRequest.expectedSupplyDuration"),
            other,
        )
    ]


def medications(resource: Resource) -> Rows:
    """Return the row of a Medication: what requests mean by it."""
    code = coded(resource.get("code"), DRUG_SYSTEMS)
    return [(resource.get("id"), *code)] if code else "Medication: no code"


def observation(resource: Resource) -> Rows:
    """Return the rows of an Observation: one, or one a component; a value that is no quantity is left out."""
    status = resource.get("status")
    if status in NOT_DONE:
        return f"Observation: {status}"
    said = [code for one in resource.get("category") or [] for _, code in codings(one)]
    kind = "vital" if "vital-signs" in said else "lab" if "laboratory" in said else "observation"
    when = (
        resource.get("effectiveDateTime")
        or resource.get("effectiveInstant")
        or (resource.get("effectivePeriod") or {}).get("start")
    )
    about = (
        reference(resource.get("subject")),
        reference(resource.get("encounter")),
        moment(when, "effective[x]"),
    )
    issued = moment(resource.get("issued"), "issued")
    rows: list[tuple[Any, ...]] = []
    parts = resource.get("component") or []
    for part in parts if parts and "valueQuantity" not in resource else [resource, *parts]:
        code = coded(part.get("code"), OBSERVATION_SYSTEMS)
        quantity = part.get("valueQuantity") or {}
        value = number(quantity.get("value"), "valueQuantity")
        if code:
            unit = quantity.get("code") or quantity.get("unit")
            rows.append((*about, *code, issued, kind, value, unit if value is not None else None))
    return rows or "Observation: no code"


FLATTENERS: dict[str, Callable[[Resource], Rows]] = {
    "Patient": patient,
    "Encounter": encounter,
    "Condition": condition,
    "Procedure": procedure,
    "MedicationRequest": medication_request,
    "Medication": medications,
    "Observation": observation,
}
