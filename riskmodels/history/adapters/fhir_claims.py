"""ExplanationOfBenefit of FHIR R4 as rows: the claim, the lines that tell its kind, its codes.

Profiles: CARIN Consumer Directed Payer Data Exchange (http://hl7.org/fhir/us/carin-bb/), and what Medicare's
Beneficiary Claims Data API and Blue Button add to it: the variables of https://bluebutton.cms.gov/resources.
"""

from typing import Any

import polars as pl

from riskmodels.history.adapters.fhir_elements import (
    DIAGNOSIS_SYSTEMS,
    DRUG_SYSTEMS,
    HCPCS,
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
from riskmodels.history.adapters.tuva_tables import PRESENT

__all__ = ["CLAIM", "CODE", "LINE", "claim", "codes", "lines", "replaced"]

Rows = list[tuple[Any, ...]] | str

TEXT, DAY, INSTANT, NUMBER = pl.String, pl.Date, pl.Datetime("us"), pl.Float64
CLAIM: dict[str, Any] = {
    "claim_id": TEXT,
    "person_id": TEXT,
    "type": TEXT,
    "bill_type": TEXT,
    "start": DAY,
    "end": DAY,
    "admission_date": DAY,
    "discharge_date": DAY,
    "facility_id": TEXT,
    "provider_id": TEXT,
    "admission_type": TEXT,
    "admission_source": TEXT,
    "disposition": TEXT,
    "drg": TEXT,
    "place": TEXT,
    "paid": NUMBER,
    "allowed": NUMBER,
    "recorded_at": INSTANT,
    "of_encounter": TEXT,
    "updated": INSTANT,
}
LINE = {"claim_id": TEXT, "revenue_code": TEXT, "hcpcs": TEXT}
CODE: dict[str, Any] = {
    "claim_id": TEXT,
    "kind": TEXT,
    "code_system": TEXT,
    "code": TEXT,
    "position": pl.Int32,
    "value": NUMBER,
    "day": INSTANT,
    "quantity": NUMBER,
    "days_supply": NUMBER,
    "paid": NUMBER,
}
TYPES = ("institutional", "professional", "pharmacy", "oral", "vision")
# Kinds of Medicare's institutional claims where no type of bill is told, as types of bill.
BILLS = {"inpatient": "111", "outpatient": "131", "snf": "211", "hha": "321", "hospice": "811"}
DENIED = ("0", *"DEFGHIJKLMNOPQTUVXY")  # carrier payment denial codes that mean so
VOID = ("cancelled", "entered-in-error", "draft")
REPLACES, REPLACED_BY = ("prior", "replaces"), "replacedby"
ATTENDING = ("attending", "rendering", "performing", "primary", "supervising")
ADMITTING = ("admitting", "patientreasonforvisit")
CAUSE = ("externalcauseofinjury", "externalcause")
CAUSES = 50  # what the positions of external causes are counted on by
NOT_APPLICABLE = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def claim(resource: Resource) -> Rows:
    """Return the row of a claim that stands."""
    if (status := resource.get("status")) in VOID or resource.get("outcome") == "error":
        return f"ExplanationOfBenefit: {status if status in VOID else 'error'}"
    if resource.get("use") not in (None, "claim"):
        return f"ExplanationOfBenefit: {resource['use']}"
    if _extended(resource, "clm_mdcr_non_pmt_rsn_cd") or _extended(resource, "carr_clm_pmt_dnl_cd") in DENIED:
        return "ExplanationOfBenefit: denied by Medicare"
    kind = code_in(resource.get("type"), TYPES) or "professional"
    period = resource.get("billablePeriod") or {}
    told = _information(resource)
    stay = (told.get("admissionperiod") or {}).get("timingPeriod") or {}
    received = (told.get("clmrecvddate") or {}).get("timingDate")
    known = received or (resource.get("payment") or {}).get("date") or resource.get("created")
    drg = _said(told, "drg", "clm_drg_cd")
    return [
        (
            resource.get("id"),
            reference(resource.get("patient")),
            kind,
            _bill_type(resource, told) if kind == "institutional" else None,
            day(period.get("start"), "billablePeriod.start"),
            day(period.get("end") or period.get("start"), "billablePeriod.end"),
            day(stay.get("start"), "supportingInfo.timingPeriod.start"),
            day(stay.get("end"), "supportingInfo.timingPeriod.end"),
            _facility(resource),
            _provider(resource),
            _said(told, "admtype", "clm_ip_admsn_type_cd"),
            _said(told, "pointoforigin", "clm_src_ip_admsn_cd"),
            _two_digits(_said(told, "discharge-status", "ptnt_dschrg_stus_cd")),
            drg.zfill(3)[-3:] if drg and drg.isdigit() else drg,
            _place(resource),
            _paid(resource),
            _total(resource, "eligible"),
            moment(known, "created"),
            _of_encounter(resource),
            moment((resource.get("meta") or {}).get("lastUpdated"), "meta.lastUpdated"),
        )
    ]


def _information(resource: Resource) -> dict[str, Resource]:
    """Return the supporting information by the codes of its category; of URLs only what comes last."""
    found: dict[str, Resource] = {}
    for one in resource.get("supportingInfo") or []:
        for _, code in codings(one.get("category")):
            found.setdefault(code.rsplit("/", 1)[-1], one)
    return found


def _said(told: dict[str, Resource], *categories: str) -> str | None:
    return next((first_code(told[name].get("code")) for name in categories if name in told), None)


def _two_digits(code: str | None) -> str | None:
    return code.zfill(2) if code else None


def _extended(element: Resource, name: str) -> str | None:
    found = extension(element, f"/{name}")
    code = ((found or {}).get("valueCoding") or {}).get("code")
    return str(code) if code else None


def _bill_type(resource: Resource, told: dict[str, Resource]) -> str:
    """Return the type of bill: as told, or from what Medicare tells of facility, service and frequency."""
    bill = _said(told, "typeofbill") or ""
    if len(bill) >= 3:
        return bill[-3:]
    facility = _extended(resource.get("facility") or {}, "clm_fac_type_cd")
    service = _extended(resource, "clm_srvc_clsfctn_type_cd")
    frequency = bill or _said(told, "clm_freq_cd") or "1"
    if facility and service:
        return facility + service + frequency
    kind = code_in(resource.get("type"), list(BILLS)) or code_in(resource.get("subType"), list(BILLS))
    return BILLS[kind or "outpatient"][:2] + frequency


def _identified(resource: Resource, element: Resource | None) -> str | None:
    """Return who is referred to: a contained one by its Medicare number (PRN) or NPI, else its id."""
    inside = contained(resource, element)
    numbers = {
        first_code(one.get("type")): one.get("value") for one in (inside or {}).get("identifier") or []
    }
    return numbers.get("PRN") or numbers.get("npi") or numbers.get("NPI") or reference(element)


def _facility(resource: Resource) -> str | None:
    provider = _identified(resource, resource.get("provider"))
    facility = resource.get("facility") or {}
    if facility.get("reference") or facility.get("identifier"):
        return provider or _identified(resource, facility)
    return provider


def _provider(resource: Resource) -> str | None:
    found: dict[str, str] = {}
    for member in resource.get("careTeam") or []:
        who = _identified(resource, member.get("provider"))
        if who and (role := first_code(member.get("role"))):
            found.setdefault(role, who)
    return next((found[role] for role in ATTENDING if role in found), None)


def _place(resource: Resource) -> str | None:
    places = [first_code(item.get("locationCodeableConcept")) for item in resource.get("item") or []]
    return min((place for place in places if place), default=None)


def _amount(adjudications: list[Resource], category: str) -> float | None:
    found = [
        number((one.get("amount") or {}).get("value"), "adjudication.amount")
        for one in adjudications
        if any(code == category for _, code in codings(one.get("category")))
    ]
    known = [value for value in found if value is not None]
    return round(sum(known), 4) if known else None


def _total(resource: Resource, category: str) -> float | None:
    """Return a total of the claim, else the sum over its items."""
    told = _amount(resource.get("total") or [], category)
    if told is None:
        told = _amount(resource.get("adjudication") or [], category)
    if told is None:
        items = resource.get("item") or []
        told = _amount([one for item in items for one in item.get("adjudication") or []], category)
    return told


def _paid(resource: Resource) -> float | None:
    paid = ((resource.get("payment") or {}).get("amount") or {}).get("value")
    if paid is not None:
        return number(paid, "payment.amount")
    return next(
        (v for name in ("benefit", "paidtoprovider") if (v := _total(resource, name)) is not None), None
    )


def _of_encounter(resource: Resource) -> str | None:
    found = [one for item in resource.get("item") or [] for one in item.get("encounter") or []]
    return next((name for one in found if (name := reference(one))), None)


def replaced(resource: Resource) -> Rows:
    """Return the ids of claims that this one replaces, or its own if another replaces it."""
    rows: list[tuple[Any, ...]] = []
    for one in resource.get("related") or []:
        relation = first_code(one.get("relationship"))
        if relation == REPLACED_BY:
            rows.append((resource.get("id"),))
        elif relation in REPLACES and (prior := reference(one.get("claim"))):
            rows.append((prior,))
    return rows


def _hcpcs(item: Resource) -> str | None:
    concept = item.get("productOrService")
    return next((code for system, code in codings(concept) if system in HCPCS), None)


def _revenue(item: Resource) -> str | None:
    found = [code for _, code in codings(item.get("revenue")) if code.isdigit() and len(code) in (3, 4)]
    return found[0].zfill(4) if found else None


def lines(resource: Resource) -> Rows:
    """Return revenue code and HCPCS code of each line."""
    name = resource.get("id")
    return [(name, _revenue(item), _hcpcs(item)) for item in resource.get("item") or []]


def codes(resource: Resource) -> Rows:
    """Return the codes of a claim: diagnoses, procedures, and what its lines are for."""
    name = resource.get("id")
    institutional = code_in(resource.get("type"), TYPES) == "institutional"
    told = _information(resource)
    supply = number(((told.get("dayssupply") or {}).get("valueQuantity") or {}).get("value"), "valueQuantity")
    rows: list[tuple[Any, ...]] = [(name, *row) for row in _diagnoses(resource)]
    for place, one in enumerate(resource.get("procedure") or [], start=1):
        if code := coded(one.get("procedureCodeableConcept"), PROCEDURE_SYSTEMS):
            when = moment(one.get("date"), "procedure.date")
            rows.append((name, "procedure", *code, one.get("sequence", place), None, when, None, None, None))
    for place, item in enumerate(resource.get("item") or [], start=1):
        period = item.get("servicedPeriod") or {}
        when = moment(item.get("servicedDate") or period.get("start"), "item.serviced[x]")
        quantity = number((item.get("quantity") or {}).get("value"), "item.quantity")
        paid = _amount(item.get("adjudication") or [], "benefit")
        position = item.get("sequence", place)
        revenue, drug = _revenue(item), coded(item.get("productOrService"), DRUG_SYSTEMS)
        if revenue and revenue != "0001":
            rows.append((name, "procedure", "REVENUE", revenue, None, None, when, quantity, None, None))
        if service := _hcpcs(item):
            cost = None if institutional else paid
            rows.append((name, "procedure", "HCPCS", service, position, None, when, quantity, None, cost))
        elif drug and drug[0] in DRUG_SYSTEMS.values():
            rows.append((name, "drug", *drug, position, None, when, quantity, supply, paid))
    return rows


def _diagnoses(resource: Resource) -> list[tuple[Any, ...]]:
    """Return diagnoses: the principal one at position 1, the admitting one at 0, the others in order."""
    found = []
    for place, one in enumerate(resource.get("diagnosis") or [], start=1):
        code = coded(one.get("diagnosisCodeableConcept"), DIAGNOSIS_SYSTEMS)
        if code:
            types = {kind for concept in one.get("type") or [] for _, kind in codings(concept)}
            found.append((one.get("sequence", place), types, code, _present(one)))
    found.sort(key=lambda row: row[0])
    principal = any("principal" in types for _, types, _, _ in found)
    rows: list[tuple[Any, ...]] = []
    place, cause = (2 if principal else 1), CAUSES
    for _, types, code, present in found:
        if types & set(ADMITTING) and "principal" not in types:
            position = 0
        elif "principal" in types:
            position = 1
        elif types & set(CAUSE):
            position, cause = cause + 1, cause + 1
        else:
            position, place = place, place + 1
        rows.append(("diagnosis", *code, position, present, None, None, None, None))
    return rows


def _present(diagnosis: Resource) -> float | None:
    """Return 1 for present on admission, 0 for not, from the element or from Medicare's extension."""
    code = first_code(diagnosis.get("onAdmission"))
    for one in diagnosis.get("extension") or []:
        if "poa_ind" in (one.get("url") or ""):
            code = code or (one.get("valueCoding") or {}).get("code")
    return PRESENT.get((code or "").upper())
