"""The FHIR adapter on small exports written here, of the shapes that Synthea, CARIN and BCDA give."""

import gzip
import json
import zipfile
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import ingest
from riskmodels.history.adapters.fhir_elements import ElementError, coded, moment, reference

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
TEN = "http://hl7.org/fhir/sid/icd-10-cm"
BLUE = "https://bluebutton.cms.gov/resources"
INFO = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBSupportingInfoType"
ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"


def concept(system, code, *more):
    return {"coding": [{"system": system, "code": code}, *({"system": s, "code": c} for s, c in more)]}


def omb(name, code):
    inside = [{"url": "ombCategory", "valueCoding": {"code": code}}, {"url": "text", "valueString": "x"}]
    return {"url": f"{US_CORE}/{name}", "extension": inside}


PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "extension": [omb("us-core-race", "2106-3"), omb("us-core-ethnicity", "2186-5")],
    "gender": "female",
    "birthDate": "1940-03-01",
}
VISIT = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "type": [concept(SNOMED, "183452005")],
    "subject": {"reference": "Patient/p1"},
    "participant": [
        {"type": [concept("x", "CON")], "individual": {"reference": "Practitioner/consultant"}},
        {
            "type": [concept("x", "PPRF")],
            "individual": {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|999"},
        },
    ],
    "period": {"start": "2023-03-01T10:30:00-05:00", "end": "2023-03-05T15:00:00-05:00"},
    "priority": concept("http://terminology.hl7.org/CodeSystem/v3-ActPriority", "EM"),
    "hospitalization": {
        "admitSource": concept("http://terminology.hl7.org/CodeSystem/admit-source", "emd"),
        "dischargeDisposition": concept("http://terminology.hl7.org/CodeSystem/discharge-disposition", "snf"),
    },
    "diagnosis": [
        {"condition": {"reference": "Condition/c1"}, "rank": 1},
        {"condition": {"reference": "Condition/c2"}, "use": concept("x", "AD"), "rank": 2},
    ],
    "serviceProvider": {"reference": "Organization/h1"},
}
CONDITION = {
    "resourceType": "Condition",
    "id": "c1",
    "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
    "code": concept(SNOMED, "42343007", (TEN, "I50.9")),
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1"},
    "onsetDateTime": "2021",
    "recordedDate": "2023-03-01T11:00:00-05:00",
}
ADMITTING = {**CONDITION, "id": "c2", "code": concept(TEN, "R06.02")}
CHRONIC = {**CONDITION, "id": "c3", "code": concept(TEN, "I10"), "encounter": None}
PROCEDURE = {
    "resourceType": "Procedure",
    "id": "pr1",
    "status": "completed",
    "code": concept("http://www.cms.gov/Medicare/Coding/ICD10", "5A1D70Z"),
    "subject": {"reference": "urn:uuid:p1"},
    "encounter": {"reference": "https://server.example/fhir/Encounter/e1/_history/2"},
    "performedPeriod": {"start": "2023-03-02T08:00:00-05:00"},
}
ORDER = {
    "resourceType": "MedicationRequest",
    "id": "m1",
    "status": "active",
    "intent": "order",
    "medicationReference": {"reference": "Medication/drug"},
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1"},
    "authoredOn": "2023-03-05",
    "dispenseRequest": {"quantity": {"value": 60}, "expectedSupplyDuration": {"value": 30, "code": "d"}},
}
DRUG = {
    "resourceType": "Medication",
    "id": "drug",
    "code": concept("http://www.nlm.nih.gov/research/umls/rxnorm", "197361"),
}
PRESSURE = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "category": [concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs")],
    "code": concept(LOINC, "85354-9"),
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1"},
    "effectiveDateTime": "2023-03-02T06:00:00-05:00",
    "issued": "2023-03-02T06:05:00.829-05:00",
    "component": [
        {"code": concept(LOINC, "8480-6"), "valueQuantity": {"value": 131, "unit": "mmHg", "code": "mm[Hg]"}},
        {"code": concept(LOINC, "8462-4"), "valueQuantity": {"value": 70, "code": "mm[Hg]"}},
    ],
}
RESULT = {
    **PRESSURE,
    "id": "o2",
    "category": [concept("x", "laboratory")],
    "code": concept(LOINC, "718-7"),
    "valueQuantity": {"value": 9.5, "unit": "g/dL"},
    "component": [],
}
CLINICAL = [PATIENT, VISIT, CONDITION, ADMITTING, CHRONIC, PROCEDURE, ORDER, DRUG, PRESSURE, RESULT]


def info(category, code=None, system=INFO, **more):
    coded = {"code": concept("x", code)} if code else {}
    return {"category": concept(system, category), **coded, **more}


def money(category, value):
    return {"category": concept(ADJUDICATION, category), "amount": {"value": value, "currency": "USD"}}


INPATIENT = {
    "resourceType": "ExplanationOfBenefit",
    "id": "inpatient-1",
    "contained": [
        {
            "resourceType": "Organization",
            "id": "provider-org",
            "identifier": [
                {"type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "PRN"), "value": "050001"},
                {"type": concept("x", "npi"), "value": "1999999999"},
            ],
        }
    ],
    "extension": [
        {"url": f"{BLUE}/variables/clm_srvc_clsfctn_type_cd", "valueCoding": {"code": "1"}},
    ],
    "status": "active",
    "type": concept(
        f"{BLUE}/codesystem/eob-type",
        "INPATIENT",
        ("http://terminology.hl7.org/CodeSystem/claim-type", "institutional"),
    ),
    "use": "claim",
    "patient": {"reference": "Patient/p1"},
    "billablePeriod": {"start": "2023-03-01", "end": "2023-03-05"},
    "created": "2023-04-20T10:00:00+00:00",
    "provider": {"reference": "#provider-org"},
    "facility": {
        "extension": [{"url": f"{BLUE}/variables/clm_fac_type_cd", "valueCoding": {"code": "1"}}],
    },
    "outcome": "complete",
    "careTeam": [
        {"provider": {"identifier": {"value": "222"}}, "role": concept("x", "operating")},
        {"provider": {"identifier": {"value": "111"}}, "role": concept("x", "attending")},
    ],
    "supportingInfo": [
        info("admissionperiod", timingPeriod={"start": "2023-02-28", "end": "2023-03-05"}),
        info(f"{BLUE}/variables/clm_ip_admsn_type_cd", "1", f"{BLUE}/codesystem/information"),
        info(f"{BLUE}/variables/clm_src_ip_admsn_cd", "4", f"{BLUE}/codesystem/information"),
        info(f"{BLUE}/variables/clm_drg_cd", "291", f"{BLUE}/codesystem/information"),
        info("typeofbill", "1"),
        info("discharge-status", "3"),
        info("clmrecvddate", timingDate="2023-03-24"),
    ],
    "diagnosis": [
        {
            "sequence": 1,
            "diagnosisCodeableConcept": concept(TEN, "R0602"),
            "type": [concept("x", "admitting")],
        },
        {
            "sequence": 2,
            "extension": [{"url": f"{BLUE}/variables/clm_poa_ind_sw1", "valueCoding": {"code": "Y"}}],
            "diagnosisCodeableConcept": concept(TEN, "I5023", ("http://hl7.org/fhir/sid/icd-10", "I5023")),
            "type": [concept("x", "principal")],
        },
        {"sequence": 3, "diagnosisCodeableConcept": concept(TEN, "N179"), "type": [concept("x", "other")]},
        {
            "sequence": 4,
            "diagnosisCodeableConcept": concept(TEN, "W19XXXA"),
            "type": [concept("x", "externalcauseofinjury")],
        },
    ],
    "procedure": [
        {
            "sequence": 1,
            "date": "2023-03-02T00:00:00+00:00",
            "procedureCodeableConcept": concept("http://www.cms.gov/Medicare/Coding/ICD10", "5A1D70Z"),
        }
    ],
    "item": [
        {
            "sequence": 1,
            "revenue": concept(f"{BLUE}/variables/rev_cntr", "0120", ("https://www.nubc.org", "A")),
            "quantity": {"value": 4},
            "adjudication": [money("submitted", 9000.0)],
        }
    ],
    "payment": {"amount": {"value": 7699.48, "currency": "USD"}},
}
CARRIER = {
    "resourceType": "ExplanationOfBenefit",
    "id": "carrier-1",
    "status": "active",
    "type": concept("http://terminology.hl7.org/CodeSystem/claim-type", "professional"),
    "patient": {"reference": "Patient/p1"},
    "billablePeriod": {"start": "2023-06-01", "end": "2023-06-01"},
    "created": "2023-06-16",
    "careTeam": [{"provider": {"identifier": {"value": "333"}}, "role": concept("x", "performing")}],
    "diagnosis": [
        {"sequence": 1, "diagnosisCodeableConcept": concept("http://hl7.org/fhir/sid/icd-10", "I10")}
    ],
    "item": [
        {
            "sequence": 1,
            "productOrService": concept(f"{BLUE}/codesystem/hcpcs", "99214"),
            "servicedPeriod": {"start": "2023-06-01"},
            "locationCodeableConcept": concept(f"{BLUE}/variables/line_place_of_srvc_cd", "11"),
            "quantity": {"value": 1},
            "adjudication": [money("benefit", 80.0), money("eligible", 100.0)],
        }
    ],
    "payment": {"amount": {"value": 80.0}},
}
PDE = {
    "resourceType": "ExplanationOfBenefit",
    "id": "pde-1",
    "status": "active",
    "type": concept("http://terminology.hl7.org/CodeSystem/claim-type", "pharmacy"),
    "patient": {"reference": "Patient/p1"},
    "billablePeriod": {"start": "2023-02-03", "end": "2023-02-03"},
    "supportingInfo": [info("dayssupply", valueQuantity={"value": 30})],
    "item": [
        {
            "sequence": 1,
            "productOrService": concept("http://hl7.org/fhir/sid/ndc", "00002751001"),
            "servicedDate": "2023-02-03",
            "quantity": {"value": 60.0},
            "adjudication": [money("benefit", 126.99), money("paidbypatient", 10.0)],
        }
    ],
}


def part(name, start, end=None, **extensions):
    said = [
        {
            "url": f"{BLUE}/variables/{key}",
            **({"valueDate": v} if key == "rfrnc_yr" else {"valueCoding": {"code": v}}),
        }
        for key, v in extensions.items()
    ]
    return {
        "resourceType": "Coverage",
        "id": f"part-{name}-p1",
        "extension": said,
        "status": "active",
        "beneficiary": {"reference": "Patient/p1"},
        "period": {"start": start, **({"end": end} if end else {})},
        "class": [{"value": "Medicare"}, {"value": f"Part {name}"}],
    }


CLAIMS = [PATIENT, INPATIENT, CARRIER, PDE, part("A", "2005-03-01"), part("B", "2005-04-01")]


@pytest.fixture
def export(tmp_path):
    """Return the function that writes resources, a file a type."""

    def written(resources=CLINICAL, folder="source"):
        (tmp_path / folder).mkdir(exist_ok=True)
        kinds = {}
        for resource in resources:
            kinds.setdefault(resource["resourceType"], []).append(json.dumps(resource))
        for kind, lines in kinds.items():
            (tmp_path / folder / f"{kind}.000.ndjson").write_text("\n".join(lines) + "\n")
        return tmp_path / folder

    return written


def ingested(source, name="history"):
    return ingest("fhir", source, source.with_name(name))


def rows_of(history, table, *columns):
    return sorted(history.table(table).select(columns).collect().rows(), key=str)


def changed(resource, **more):
    return {**resource, **more}


def test_an_encounter_has_its_words_and_places(export):
    """Local times, priority, source and disposition, the primary performer; references of all forms."""
    history = ingested(export())
    (row,) = history.table("encounter").collect().rows(named=True)
    wanted = {
        "encounter_id": "e1",
        "person_id": "p1",
        "kind": "inpatient",
        "start": datetime(2023, 3, 1, 10, 30),
        "end": datetime(2023, 3, 5, 15),
        "facility_id": "h1",
        "provider_id": "999",
        "admission_type": "emergency",
        "admission_source": "emergency",
        "discharge_disposition": "snf",
    }
    assert {name: row[name] for name in wanted} == wanted
    people = rows_of(history, "person", "person_id", "birth_date", "sex", "race_ethnicity", "death_date")
    assert people == [("p1", date(1940, 3, 1), "female", "white", None)]


def test_what_happened_in_an_encounter(export):
    """Conditions at its end with their rank, all else at its own time; a panel's components are the facts."""
    events = ingested(export()).table("event")
    columns = (
        "kind",
        "code_system",
        "code",
        "time",
        "encounter_id",
        "position",
        "value",
        "unit",
        "days_supply",
    )
    end, early = datetime(2023, 3, 5, 15), datetime(2023, 3, 2, 6)
    assert sorted(events.select(columns).collect().rows(), key=str) == [
        ("diagnosis", "ICD10CM", "I10", datetime(2023, 3, 1, 11), None, None, None, None, None),
        ("diagnosis", "ICD10CM", "I50.9", end, "e1", 1, None, None, None),
        ("diagnosis", "ICD10CM", "R06.02", end, "e1", 0, None, None, None),
        ("drug", "RxNorm", "197361", datetime(2023, 3, 5), "e1", None, None, None, 30.0),
        ("lab", "LOINC", "718-7", early, "e1", None, 9.5, "g/dL", None),
        ("procedure", "ICD10PCS", "5A1D70Z", datetime(2023, 3, 2, 8), "e1", None, None, None, None),
        ("vital", "LOINC", "8462-4", early, "e1", None, 70.0, "mm[Hg]", None),
        ("vital", "LOINC", "8480-6", early, "e1", None, 131.0, "mm[Hg]", None),
    ]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"class": {"code": "EMER"}}, "emergency"),
        ({"class": {"code": "OBSENC"}}, "observation"),
        ({"type": [concept(SNOMED, "76464004")]}, "observation"),
        ({"type": [{"text": "Admission to skilled nursing facility"}]}, "snf"),
        ({"type": [{"coding": [{"code": "1", "display": "Hospice care"}]}]}, "hospice"),
        ({"class": {"code": "HH"}}, "home_health"),
        ({"class": {"code": "AMB"}}, "office"),
        ({"class": {"code": "FLD"}}, "outpatient"),
    ],
)
def test_kinds_of_encounters(export, changes, kind):
    """The class tells the kind; of stays, what their type says."""
    assert rows_of(ingested(export([PATIENT, {**VISIT, **changes}])), "encounter", "kind") == [(kind,)]


def test_what_did_not_happen_is_counted(export):
    """Cancelled, refuted and undone resources have no rows; the manifest counts them and other types."""
    undone = [
        changed(VISIT, id="e2", status="cancelled"),
        changed(CONDITION, verificationStatus=concept("x", "refuted")),
        changed(PROCEDURE, status="not-done"),
        changed(ORDER, intent="proposal"),
        changed(RESULT, status="entered-in-error"),
        {"resourceType": "CarePlan", "id": "1"},
        {"resourceType": "CarePlan", "id": "2"},
    ]
    history = ingested(export([PATIENT, VISIT, *undone]))
    assert history.manifest.dropped == {
        "encounter": {"Encounter: cancelled": 1},
        "event": {
            "Condition: refuted": 1,
            "MedicationRequest: proposal": 1,
            "Observation: entered-in-error": 1,
            "Procedure: not-done": 1,
        },
        "person": {"FHIR resources that are not read: CarePlan": 2},
    }


def test_a_part_of_an_encounter_is_the_encounter(export):
    """The emergency hours of a stay are part of it, and so is what was found in them."""
    hours = changed(VISIT, id="e0", partOf={"reference": "Encounter/e1"}, **{"class": {"code": "EMER"}})
    history = ingested(
        export([PATIENT, VISIT, hours, changed(PROCEDURE, encounter={"reference": "Encounter/e0"})])
    )
    assert rows_of(history, "encounter", "encounter_id", "kind") == [("e1", "inpatient")]
    assert rows_of(history, "event", "code", "encounter_id") == [("5A1D70Z", "e1")]


def test_without_coverage_a_patient_is_observed_between_encounters(export):
    """From the first encounter to the last; Coverage says otherwise where there is one."""
    later = changed(VISIT, id="e2", period={"start": "2023-08-01", "end": "2023-08-02"})
    spans = rows_of(ingested(export([PATIENT, VISIT, later])), "coverage", "start_date", "end_date", "payer")
    assert spans == [(date(2023, 3, 1), date(2023, 8, 2), None)]
    plan = {
        "resourceType": "Coverage",
        "id": "x",
        "status": "active",
        "beneficiary": {"reference": "Patient/p1"},
        "period": {"start": "2020-01-01"},
        "payor": [{"display": "Aetna"}],
    }
    history = ingested(export([PATIENT, VISIT, later, plan], "covered"), "covered-history")
    spans = rows_of(history, "coverage", "start_date", "end_date", "payer")
    assert spans == [(date(2020, 1, 1), date(2023, 8, 2), "aetna")]


def test_institutional_claims_are_stays(export):
    """Admission to discharge, the hospital by its Medicare number, Medicare's words or CARIN's."""
    history = ingested(export(CLAIMS))
    stay = history.table("encounter").filter(pl.col("kind") == "inpatient").collect().row(0, named=True)
    wanted = {
        "encounter_id": "inpatient-1",
        "start": datetime(2023, 2, 28),
        "end": datetime(2023, 3, 5),
        "facility_id": "050001",
        "provider_id": "111",
        "admission_type": "emergency",
        "admission_source": "transfer",
        "discharge_disposition": "snf",
        "drg": "291",
        "paid": 7699.48,
        "allowed": None,
        "recorded_at": datetime(2023, 3, 24),
    }
    assert {name: stay[name] for name in wanted} == wanted
    events = history.table("event").filter(pl.col("encounter_id") == "inpatient-1")
    end = datetime(2023, 3, 5)
    columns = ("kind", "code_system", "code", "position", "value", "time", "quantity")
    assert sorted(events.select(columns).collect().rows(), key=str) == [
        ("diagnosis", "ICD10CM", "I5023", 1, 1.0, end, None),
        ("diagnosis", "ICD10CM", "N179", 2, None, end, None),
        ("diagnosis", "ICD10CM", "R0602", 0, None, end, None),
        ("diagnosis", "ICD10CM", "W19XXXA", 51, None, end, None),
        ("procedure", "ICD10PCS", "5A1D70Z", 1, None, datetime(2023, 3, 2), None),
        ("procedure", "REVENUE", "0120", None, None, end, 4.0),
    ]


def test_other_claims(export):
    """A physician's claim is a visit with what was paid and allowed; a fill is an event of no visit."""
    history = ingested(export(CLAIMS))
    office = history.table("encounter").filter(pl.col("kind") == "office").collect().row(0, named=True)
    assert (office["paid"], office["allowed"], office["provider_id"]) == (80.0, 100.0, "333")
    events = history.table("event").filter(pl.col("code").is_in(["99214", "I10", "00002751001"]))
    columns = ("code_system", "code", "encounter_id", "paid", "quantity", "days_supply")
    assert sorted(events.select(columns).collect().rows()) == [
        ("HCPCS", "99214", "carrier-1", 80.0, 1.0, None),
        ("ICD10CM", "I10", "carrier-1", None, None, None),
        ("NDC", "00002751001", None, 126.99, 60.0, 30.0),
    ]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        (
            {"item": [{"revenue": concept("x", "0450")}], "supportingInfo": [info("typeofbill", "0131")]},
            "emergency",
        ),
        (
            {"item": [{"revenue": concept("x", "0762")}], "supportingInfo": [info("typeofbill", "131")]},
            "observation",
        ),
        (
            {
                "item": [{"productOrService": concept("http://www.ama-assn.org/go/cpt", "99284")}],
                "supportingInfo": [info("typeofbill", "131")],
            },
            "emergency",
        ),
        ({"supportingInfo": [info("typeofbill", "211")]}, "snf"),
        ({"facility": {}, "supportingInfo": []}, "inpatient"),
        (
            {
                "facility": {},
                "supportingInfo": [],
                "type": concept("x", "institutional"),
                "subType": concept("x", "outpatient"),
            },
            "outpatient",
        ),
    ],
)
def test_kinds_of_claims(export, changes, kind):
    """The type of bill and the lines tell the kind; without a type of bill what Medicare or CARIN call it."""
    assert rows_of(ingested(export([PATIENT, {**INPATIENT, **changes}])), "encounter", "kind") == [(kind,)]


def test_a_claim_of_a_known_encounter_only_adds_its_money(export):
    """Synthea exports a claim for each encounter: it is no second encounter, its codes are not read."""
    claim = changed(INPATIENT, item=[{"sequence": 1, "encounter": [{"reference": "Encounter/e1"}]}])
    history = ingested(export([PATIENT, VISIT, claim]))
    assert rows_of(history, "encounter", "encounter_id", "paid") == [("e1", 7699.48)]
    assert history.table("event").collect().is_empty()


def test_claims_that_do_not_stand_are_left_out(export):
    """Cancelled claims, those that another replaces, and older versions of a claim."""
    prior = [
        {"relationship": concept("x", "prior"), "claim": {"reference": "ExplanationOfBenefit/carrier-1"}}
    ]
    anew = changed(CARRIER, id="carrier-2", related=prior, payment={"amount": {"value": 70}})
    older = changed(INPATIENT, meta={"lastUpdated": "2023-03-01T00:00:00Z"}, payment={"amount": {"value": 1}})
    newer = changed(INPATIENT, meta={"lastUpdated": "2023-05-01T00:00:00Z"})
    void = changed(CARRIER, id="carrier-3", status="cancelled")
    reason = {"url": f"{BLUE}/variables/clm_mdcr_non_pmt_rsn_cd", "valueCoding": {"code": "N"}}
    code = {"url": f"{BLUE}/variables/carr_clm_pmt_dnl_cd", "valueCoding": {"code": "0"}}
    denied = [
        changed(INPATIENT, id="denied-1", extension=[*INPATIENT["extension"], reason]),
        changed(CARRIER, id="denied-2", extension=[code]),
    ]
    history = ingested(export([PATIENT, CARRIER, anew, void, newer, older, *denied]))
    assert rows_of(history, "encounter", "encounter_id", "paid") == [
        ("carrier-2", 70.0),
        ("inpatient-1", 7699.48),
    ]
    assert history.manifest.dropped["encounter"] == {
        "ExplanationOfBenefit: cancelled": 1,
        "ExplanationOfBenefit: denied by Medicare": 2,
        "ExplanationOfBenefit: replaced by another": 1,
    }


def test_parts_of_medicare(export):
    """Covered where Part A and Part B both are; statuses hold in their months, or once their year is over."""
    months = {f"dual_{month:02d}": "02" if month < 4 else "NA" for month in range(1, 13)}
    advantage = {f"ptc_cntrct_id_{month:02d}": "H1234" if month == 12 else "N" for month in range(1, 13)}
    covers = [
        part("A", "2005-03-01", rfrnc_yr="2022", ms_cd="11", orec="1", **months),
        part("B", "2021-04-01", "2023-01-31"),
        part("C", "2022-01-01", rfrnc_yr="2022", **advantage),
        part("D", "2000-01-01"),
    ]
    history = ingested(export([PATIENT, INPATIENT, *covers]))
    columns = ("start_date", "end_date", "payer", "dual", "esrd", "orig_disability")
    assert rows_of(history, "coverage", *columns) == [
        (date(2021, 4, 1), date(2021, 12, 31), "medicare", None, None, True),
        (date(2022, 1, 1), date(2022, 3, 31), "medicare", True, None, True),
        (date(2022, 12, 1), date(2022, 12, 31), "medicare_advantage", False, None, True),
        (date(2022, 4, 1), date(2022, 11, 30), "medicare", False, None, True),
        (date(2023, 1, 1), date(2023, 1, 31), "medicare", None, True, True),
    ]


def test_forms_of_files_give_the_same_history(export, tmp_path):
    """Packed, in an archive, byte-order marks, Windows lines, several files a type, logs: the same."""
    plain = ingested(export())
    source = export(folder="packed")
    for path in list(source.iterdir()):
        lines = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n"
        path.with_suffix(".ndjson.gz").write_bytes(gzip.compress(lines))
        path.unlink()
    (source / "log.ndjson").write_text('{"exportId": "1", "eventId": "kickoff"}\n')
    (source / "manifest.json").write_text('{\n "output": []\n}\n')
    split = export(folder="split")
    (split / "Condition.000.ndjson").unlink()
    for n, condition in enumerate((CONDITION, ADMITTING, CHRONIC)):
        (split / f"0F{n}-conditions.ndjson").write_text(json.dumps(condition))
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for path in export().iterdir():
            archive.write(path, f"bulk/{path.name}")
    for name in ("packed", "split", "archive.zip"):
        assert ingested(tmp_path / name, f"{name}-history").fingerprint == plain.fingerprint, name


def spoiled(folder, kind, change):
    path = folder / f"{kind}.000.ndjson"
    path.write_bytes(change(path.read_bytes()))
    return folder


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("Condition", lambda text: text[:-20], r"Condition.*line 3: .*not a JSON object.*cut short"),
        (
            "Condition",
            lambda text: text.replace(b"}\n{", b"\n{", 1),
            r"Condition.*line 1: .*not a JSON object",
        ),
        ("Patient", lambda text: b"", r"Patient.*the file is empty"),
        (
            "Patient",
            lambda text: text.replace(b"female", b"fem\xe9le"),
            r"line 1: .*not a JSON object in UTF-8",
        ),
        ("Patient", lambda text: text.decode().encode("utf-16"), r"line 1: .*not a JSON object in UTF-8"),
        ("Patient", lambda text: b'{"id": 1}\n' + text, r"line 1: the line has no resourceType"),
        ("Patient", lambda text: b'{"resourceType": "Bundle"}\n', r"holds a bundle.*\n.*bulk_data = true"),
        (
            "Patient",
            lambda text: text.replace(b"1940-03-01", b"03/01/1940"),
            r"line 1: the element birthDate is not",
        ),
        (
            "Patient",
            lambda text: text.replace(b'"id": "p1"', b'"id": ["p1"]'),
            r"the Patient has not the shape",
        ),
        (
            "Condition",
            lambda text: text.replace(b'"I10"', b'[["I10"]]'),
            r"line 3: the element coding.code is not",
        ),
        ("Encounter", lambda text: text.replace(b'"code": "IMP"', b'"kode": 1'), r"^"),
        (
            "Encounter",
            lambda text: text.replace(b'"class": {', b'"class": [{', 1).replace(b'"IMP"}', b'"IMP"}]'),
            "R4",
        ),
        (
            "Observation",
            lambda text: text.replace(b"9.5", b'"9.5"'),
            r"line 2: the element valueQuantity is not",
        ),
        (
            "Patient",
            lambda text: text + b'{"resourceType": "Encounter"}\n',
            r"line 2: the line is a Encounter",
        ),
    ],
    ids=lambda value: None if callable(value) else str(value)[:30],
)
def test_refusals_show_no_content(export, kind, change, message):
    """What is cut, recoded or of another shape is named by file and line; no patient's data are shown."""
    source = spoiled(export(), kind, change)
    if message == "^":  # a class that is not known is an outpatient visit
        assert rows_of(ingested(source), "encounter", "kind") == [("outpatient",)]
        return
    with pytest.raises(DataError, match=message) as refused:
        ingested(source)
    assert not any(said in str(refused.value) for said in ("p1", "1940", "fem", "9.5"))
    assert refused.value.__cause__ is None
    assert sorted(path.name for path in source.parent.iterdir()) == ["source"]


def test_refused_folders(export, tmp_path):
    """An archive that is cut, an export without patients or encounters, another format's folder."""
    cut = export(folder="cut")
    packed = gzip.compress((cut / "Patient.000.ndjson").read_bytes())
    (cut / "Patient.000.ndjson.gz").write_bytes(packed[:-12])
    with pytest.raises(DataError, match="cut short or damaged"):
        ingested(cut)
    with pytest.raises(DataError, match="no Patient here"):
        ingested(export([VISIT], "no-patient"))
    with pytest.raises(DataError, match="no Encounter or ExplanationOfBenefit here"):
        ingested(export([PATIENT], "no-visit"))
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "patients.csv").write_text("Id\n1\n")
    with pytest.raises(DataError, match=r"no Patient and no Encounter.*\n.*\nFound: patients.csv"):
        ingested(tmp_path / "csv")
    assert not list(tmp_path.glob("history*"))


def test_the_same_file_twice_changes_nothing(export):
    """The same resources again are the same rows."""
    once = ingested(export())
    source = export(folder="twice")
    for path in list(source.iterdir()):
        path.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    assert ingested(source, "again").manifest.rows == once.manifest.rows


@pytest.mark.parametrize(
    ("element", "name"),
    [
        ({"reference": "Patient/1"}, "1"),
        ({"reference": "https://x.example/fhir/Patient/a-b"}, "a-b"),
        ({"reference": "Patient/1/_history/3"}, "1"),
        ({"reference": "urn:uuid:129c6ac7"}, "129c6ac7"),
        ({"reference": "Organization?identifier=https://x|6c96"}, "6c96"),
        ({"reference": "#inside"}, "inside"),
        ({"identifier": {"value": "123"}}, "123"),
        ({"display": "someone"}, None),
        (None, None),
    ],
)
def test_references(element, name):
    """Relative, absolute, versioned, UUID, search, contained and logical references."""
    assert reference(element) == name


def test_times_and_codes():
    """Partial dates are first days, zones are left out, preferred systems come first."""
    assert moment("2016", "x") == datetime(2016, 1, 1)
    assert moment("2016-07", "x") == datetime(2016, 7, 1)
    assert moment("2016-07-04T15:14:10.5Z", "x") == datetime(2016, 7, 4, 15, 14, 10, 500000)
    for bad in ("2016-13", "yesterday", 2016, ""):
        with pytest.raises(ElementError):
            moment(bad, "x")
    systems = {"b": "B", "a": "A"}
    assert coded(concept("a", "1", ("b", "2")), systems) == ("B", "2")
    assert coded(concept("http://x.example/CodeSystem/own", "7"), systems) == ("LOCAL", "own:7")
    assert coded({"text": "a patient's own words"}, systems) is None
