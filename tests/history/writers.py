"""Write the tables of a history as a publisher would: each function says in code what its format can carry.

They are the other half of the adapters, for the tests alone: facts without a place in a format are left out.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.history.adapters.cclf_reading import _layouts

Tables = dict[str, pl.DataFrame]
Row = dict[str, Any]

TYPES = {"emergency": "1", "urgent": "2", "elective": "3", "newborn": "4", "trauma": "5", "other": "9"}
SOURCES = {"physician": "1", "transfer": "4", "snf": "5", "emergency": "7", "other": "9"}
PLACES = {
    "home": "01",
    "transfer": "02",
    "snf": "03",
    "home_health": "06",
    "ama": "07",
    "died": "20",
    "hospice": "50",
    "rehab": "62",
    "long_term_care": "63",
    "psychiatric": "65",
    "other": "70",
}
BILLS = {"inpatient": "111", "snf": "211", "hospice": "811", "home_health": "321"}
TELLING = {"emergency": "0450", "observation": "0762"}  # revenue codes


def coded_drugs(tables: Tables, system: str) -> Tables:
    """Return the tables with drugs in another code system: the simulator's are ATC."""
    drug = pl.col("kind") == "drug"
    number = pl.col("code").rank("dense").cast(pl.String).str.zfill(11)
    event = tables["event"].with_columns(
        pl.when(drug).then(pl.lit(system)).otherwise("code_system").alias("code_system"),
        pl.when(drug).then(number).otherwise("code").alias("code"),
    )
    return {**tables, "event": event}


def _csv(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)


def _day(value: Any) -> str:
    return "" if value is None else str(value)[:10]


def _by_encounter(tables: Tables, *kinds: str) -> dict[str, list[Row]]:
    found = defaultdict(list)
    events = tables["event"].filter(pl.col("kind").is_in(kinds), pl.col("encounter_id").is_not_null())
    for row in events.sort("encounter_id", "position", "code").iter_rows(named=True):
        found[row["encounter_id"]].append(row)
    return found


def _rows(tables: Tables, name: str) -> Iterable[Row]:
    return tables[name].iter_rows(named=True)


def tuva(tables: Tables, folder: Path) -> None:
    """Write the claims input layer: no laboratory results; statuses for each span."""
    people = {row["person_id"]: row for row in _rows(tables, "person")}
    spans = []
    for row in _rows(tables, "coverage"):
        who = people[row["person_id"]]
        spans.append(
            {
                "person_id": row["person_id"],
                "gender": who["sex"],
                "race": who["race_ethnicity"],
                "birth_date": who["birth_date"],
                "death_date": _day(who["death_date"]),
                "enrollment_start_date": row["start_date"],
                "enrollment_end_date": row["end_date"],
                "payer_type": row["payer"],
                "dual_status_code": "02" if row["dual"] else "NA",
                "original_reason_entitlement_code": "1" if row["orig_disability"] else "0",
                "medicare_status_code": "11" if row["esrd"] else "10",
            }
        )
    _csv(folder / "eligibility.csv", spans[0], spans)
    coded = _by_encounter(tables, "diagnosis", "procedure")
    lines = []
    for row in _rows(tables, "encounter"):
        codes = coded[row["encounter_id"]]
        office = row["kind"] == "office"
        line = {
            "person_id": row["person_id"],
            "claim_id": row["encounter_id"],
            "claim_line_number": 1,
            "claim_type": "professional" if office else "institutional",
            "claim_start_date": _day(row["start"]),
            "claim_end_date": _day(row["end"]),
            "place_of_service_code": "11" if office else "",
            "bill_type_code": "" if office else BILLS.get(row["kind"], "131"),
            "revenue_center_code": TELLING.get(row["kind"], ""),
            "admit_type_code": TYPES.get(row["admission_type"], ""),
            "admit_source_code": SOURCES.get(row["admission_source"], ""),
            "discharge_disposition_code": PLACES.get(row["discharge_disposition"], ""),
            "drg_code": row["drg"] or "",
            "facility_id": row["facility_id"],
            "paid_amount": row["paid"],
            "allowed_amount": row["allowed"],
            "paid_date": _day(row["recorded_at"]),
            "diagnosis_code_type": "icd-10-cm",
            "procedure_code_type": "icd-10-pcs",
        }
        for code in codes:
            if code["kind"] == "diagnosis":
                line[f"diagnosis_code_{code['position']}"] = code["code"]
            elif code["code_system"] == "HCPCS":
                line |= {"hcpcs_code": code["code"], "claim_line_start_date": _day(code["time"])}
            else:
                line[f"procedure_code_{code['position']}"] = code["code"]
                line[f"procedure_date_{code['position']}"] = _day(code["time"])
        lines.append(line)
    columns = {name: None for line in lines for name in line} | {"diagnosis_code_1": None}
    _csv(folder / "medical_claim.csv", columns, lines)
    fills = [
        {
            "person_id": row["person_id"],
            "dispensing_date": _day(row["time"]),
            "ndc_code": row["code"],
            "quantity": row["quantity"],
            "days_supply": row["days_supply"],
            "paid_amount": row["paid"],
            "paid_date": _day(row["recorded_at"]),
        }
        for row in _rows(tables, "event")
        if row["kind"] == "drug"
    ]
    _csv(folder / "pharmacy_claim.csv", fills[0], fills)


def _record(table: str, row: Row) -> str:
    text = [" "] * _layouts()["layouts"]["since 2022"][table]
    for name, value in row.items():
        first, last, kind = _layouts()["fields"][table][name]
        width = last - first + 1
        cell = str(value)
        text[first - 1 : last] = cell.rjust(width) if kind == "number" else cell.ljust(width)
    return "".join(text)


def cclf(tables: Tables, folder: Path, day: str = "240215") -> None:
    """Write one delivery of the CCLF: no laboratory results, no end of coverage, money of Part D unknown."""
    begins = dict(tables["coverage"].group_by("person_id").agg(pl.col("start_date").min()).iter_rows())
    files: dict[str, list[Row]] = {f"cclf{n}": [] for n in range(1, 10)}
    for row in _rows(tables, "person"):
        begin = _day(begins.get(row["person_id"], "1000-01-01"))
        files["cclf8"].append(
            {
                "BENE_MBI_ID": row["person_id"],
                "BENE_DOB": row["birth_date"],
                "BENE_SEX_CD": {"male": "1", "female": "2"}.get(row["sex"], "0"),
                "BENE_DEATH_DT": _day(row["death_date"]),
                "BENE_PART_A_ENRLMT_BGN_DT": begin,
                "BENE_PART_B_ENRLMT_BGN_DT": begin,
            }
        )
    coded = _by_encounter(tables, "diagnosis", "procedure")
    for row in _rows(tables, "encounter"):
        name = {"CUR_CLM_UNIQ_ID": row["encounter_id"], "BENE_MBI_ID": row["person_id"]}
        span = {"CLM_FROM_DT": _day(row["start"]), "CLM_THRU_DT": _day(row["end"])}
        known = {
            "CLM_ADJSMT_TYPE_CD": "0",
            "CLM_EFCTV_DT": _day(row["recorded_at"]),
            "DGNS_PRCDR_ICD_IND": "0",
        }
        codes = coded[row["encounter_id"]]
        diagnoses = [code for code in codes if code["kind"] == "diagnosis"]
        services = [code for code in codes if code["code_system"] == "HCPCS"]
        if row["kind"] == "office":
            line = {
                **name,
                **span,
                **known,
                "CLM_LINE_NUM": 1,
                "CLM_POS_CD": "11",
                "CLM_LINE_CVRD_PD_AMT": row["paid"],
                "CLM_LINE_ALOWD_CHRG_AMT": row["allowed"],
                "CLM_CNTL_NUM": row["encounter_id"],
            }
            line |= {f"CLM_DGNS_{code['position']}_CD": code["code"] for code in diagnoses}
            files["cclf5"].append(line)
            continue
        bill = BILLS.get(row["kind"], "131")
        files["cclf1"].append(
            {
                **name,
                **span,
                **known,
                "PRVDR_OSCAR_NUM": row["facility_id"] or "",
                "CLM_BILL_FAC_TYPE_CD": bill[0],
                "CLM_BILL_CLSFCTN_CD": bill[1],
                "CLM_BILL_FREQ_CD": bill[2],
                "CLM_PMT_AMT": row["paid"],
                "CLM_ADMSN_TYPE_CD": TYPES.get(row["admission_type"], ""),
                "CLM_ADMSN_SRC_CD": SOURCES.get(row["admission_source"], ""),
                "BENE_PTNT_STUS_CD": PLACES.get(row["discharge_disposition"], ""),
                "DGNS_DRG_CD": f"0{row['drg']}" if row["drg"] else "",
                "PRNCPL_DGNS_CD": next((d["code"] for d in diagnoses if d["position"] == 1), ""),
            }
        )
        files["cclf2"].append(
            {
                **name,
                "CLM_LINE_NUM": 1,
                "CLM_LINE_PROD_REV_CTR_CD": TELLING.get(row["kind"], "0001"),
                "CLM_LINE_HCPCS_CD": services[0]["code"] if services else "",
                "CLM_LINE_INSTNL_REV_CTR_DT": _day(services[0]["time"]) if services else "1000-01-01",
            }
        )
        place = "CLM_VAL_SQNC_NUM"
        for code in codes:
            ids = {**name, place: code["position"], "DGNS_PRCDR_ICD_IND": "0"}
            if code["kind"] == "diagnosis":
                files["cclf4"].append({**ids, "CLM_PROD_TYPE_CD": "D", "CLM_DGNS_CD": code["code"]})
            elif code["code_system"] == "ICD10PCS":
                own = {"CLM_PRCDR_CD": code["code"], "CLM_PRCDR_PRFRM_DT": _day(code["time"])}
                files["cclf3"].append({**ids, **own})
    for number, row in enumerate(row for row in _rows(tables, "event") if row["kind"] == "drug"):
        files["cclf7"].append(
            {
                "CUR_CLM_UNIQ_ID": number,
                "BENE_MBI_ID": row["person_id"],
                "CLM_LINE_NDC_CD": row["code"],
                "CLM_LINE_FROM_DT": _day(row["time"]),
                "CLM_LINE_SRVC_UNIT_QTY": row["quantity"],
                "CLM_LINE_DAYS_SUPLY_QTY": row["days_supply"],
                "CLM_LINE_RX_SRVC_RFRNC_NUM": number + 1,
                "CLM_ADJSMT_TYPE_CD": "0",
                "CLM_EFCTV_DT": _day(row["recorded_at"]),
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in files.items():
        if rows:
            path = folder / f"P.A1234.ACO.ZC{table[-1]}Y24.D{day}.T0123456"
            path.write_text("".join(f"{_record(table, row)}\n" for row in rows))


def omop(tables: Tables, folder: Path) -> None:
    """Write the common data model: no money, DRG, admission words or days of recording."""
    visits = {
        "inpatient": 9201,
        "emergency": 9203,
        "observation": 581385,
        "outpatient": 9202,
        "office": 581477,
    }
    visits |= {"snf": 42898160, "hospice": 8546}
    names = {"ICD10CM": "ICD10CM", "ICD10PCS": "ICD10PCS", "HCPCS": "HCPCS", "ATC": "ATC", "LOINC": "LOINC"}
    places = {"home": "Home", "snf": "Skilled Nursing Facility", "home_health": "Home Health", "died": "Died"}
    places |= {"hospice": "Hospice", "rehab": "Rehabilitation", "long_term_care": "Long Term Care Hospital"}
    places |= {"transfer": "Inpatient Hospital", "ama": "Left Against Medical Advice"}
    numbers = {place: 700 + n for n, place in enumerate(places)}
    concepts = [
        {"concept_id": n, "concept_name": f"visit {kind}", "vocabulary_id": "Visit", "concept_code": kind}
        for kind, n in visits.items()
    ]
    concepts += [
        {"concept_id": numbers[p], "concept_name": name, "vocabulary_id": "Visit", "concept_code": p}
        for p, name in places.items()
    ]
    concepts.append(
        {"concept_id": 32902, "concept_name": "Primary diagnosis", "vocabulary_id": "S", "concept_code": "p"}
    )
    used = tables["event"].select("code_system", "code").unique().sort("code_system", "code").rows()
    ids = {pair: 10_000 + n for n, pair in enumerate(used)}
    for (system, code), n in ids.items():
        own = {"vocabulary_id": names[system], "concept_code": code}
        concepts.append({"concept_id": n, "concept_name": "a code", **own})
    _csv(folder / "CONCEPT.csv", concepts[0], concepts)
    people, dead = [], []
    for row in _rows(tables, "person"):
        birth = row["birth_date"]
        people.append(
            {
                "person_id": row["person_id"],
                "gender_concept_id": {"male": 8507, "female": 8532}.get(row["sex"], 0),
                "year_of_birth": birth.year,
                "month_of_birth": birth.month,
                "day_of_birth": birth.day,
            }
        )
        if row["death_date"]:
            dead.append({"person_id": row["person_id"], "death_date": row["death_date"]})
    _csv(folder / "person.csv", people[0], people)
    _csv(folder / "death.csv", ["person_id", "death_date"], dead)
    spans = [
        {
            "person_id": row["person_id"],
            "observation_period_start_date": row["start_date"],
            "observation_period_end_date": row["end_date"],
        }
        for row in _rows(tables, "coverage")
    ]
    _csv(folder / "observation_period.csv", spans[0], spans)
    stays = [
        {
            "visit_occurrence_id": row["encounter_id"],
            "person_id": row["person_id"],
            "visit_concept_id": visits[row["kind"]],
            "visit_start_date": _day(row["start"]),
            "visit_end_date": _day(row["end"]),
            "care_site_id": row["facility_id"] or "",
            "discharged_to_concept_id": numbers.get(row["discharge_disposition"], ""),
        }
        for row in _rows(tables, "encounter")
    ]
    _csv(folder / "visit_occurrence.csv", stays[0], stays)
    where = {
        "diagnosis": ("condition_occurrence", "condition", "condition_start"),
        "procedure": ("procedure_occurrence", "procedure", "procedure"),
        "drug": ("drug_exposure", "drug", "drug_exposure_start"),
        "lab": ("measurement", "measurement", "measurement"),
    }
    written = defaultdict(list)
    for row in _rows(tables, "event"):
        table, name, date = where[row["kind"]]
        own = {
            "person_id": row["person_id"],
            f"{name}_concept_id": ids[row["code_system"], row["code"]],
            f"{date}_date": _day(row["time"]),
            "visit_occurrence_id": row["encounter_id"] or "",
        }
        if row["kind"] == "diagnosis":
            own["condition_status_concept_id"] = 32902 if row["position"] == 1 else 0
        if row["kind"] == "drug":
            own |= {"quantity": row["quantity"], "days_supply": row["days_supply"]}
        if row["kind"] == "lab":
            own |= {"value_as_number": row["value"], "unit_source_value": row["unit"]}
        written[table].append(own)
    for table, rows in written.items():
        _csv(folder / f"{table}.csv", rows[0], rows)


def synthea(tables: Tables, folder: Path) -> None:
    """Write Synthea's CSV export: no words of stays, no DRG, no ICD procedures, no positions."""
    classes = {"office": "ambulatory", "observation": "inpatient"}
    coded = _by_encounter(tables, "diagnosis")
    people = [
        {
            "Id": row["person_id"],
            "BIRTHDATE": row["birth_date"],
            "DEATHDATE": _day(row["death_date"]),
            "RACE": row["race_ethnicity"],
            "ETHNICITY": "nonhispanic",
            "GENDER": row["sex"][0].upper(),
        }
        for row in _rows(tables, "person")
    ]
    _csv(folder / "patients.csv", people[0], people)
    visits, conditions, observations, orders = [], [], [], []
    for row in _rows(tables, "encounter"):
        visits.append(
            {
                "Id": row["encounter_id"],
                "START": f"{_day(row['start'])}T00:00:00Z",
                "STOP": f"{_day(row['end'])}T00:00:00Z",
                "PATIENT": row["person_id"],
                "ORGANIZATION": row["facility_id"],
                "ENCOUNTERCLASS": classes.get(row["kind"], row["kind"]),
                "CODE": "76464004" if row["kind"] == "observation" else "1",
                "TOTAL_CLAIM_COST": row["allowed"],
                "PAYER_COVERAGE": row["paid"],
            }
        )
        who = {"PATIENT": row["person_id"], "ENCOUNTER": row["encounter_id"], "SYSTEM": "ICD10"}
        conditions += [
            {**who, "START": _day(code["time"]), "CODE": code["code"]} for code in coded[row["encounter_id"]]
        ]
    for row in _rows(tables, "event"):
        own = {"PATIENT": row["person_id"], "ENCOUNTER": row["encounter_id"] or "", "CODE": row["code"]}
        if row["kind"] == "lab":
            value = {"VALUE": row["value"], "UNITS": row["unit"], "TYPE": "numeric", "CATEGORY": "laboratory"}
            observations.append({"DATE": f"{_day(row['time'])}T00:00:00Z", **own, **value})
        elif row["kind"] == "drug":
            orders.append({"START": f"{_day(row['time'])}T00:00:00Z", **own, "DISPENSES": row["quantity"]})
    _csv(folder / "encounters.csv", visits[0], visits)
    _csv(folder / "conditions.csv", conditions[0], conditions)
    _csv(folder / "observations.csv", observations[0], observations)
    _csv(folder / "medications.csv", orders[0], orders)


URLS = {
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "ICD10PCS": "http://www.cms.gov/Medicare/Coding/ICD10",
    "HCPCS": "http://www.ama-assn.org/go/cpt",
    "LOINC": "http://loinc.org",
    "ATC": "http://www.whocc.no/atc",
    "NDC": "http://hl7.org/fhir/sid/ndc",
}


def _concept(system: str, code: str) -> Row:
    return {"coding": [{"system": system, "code": code}]}


def _ndjson(folder: Path, kind: str, resources: list[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"resourceType": kind, **resource}, default=_day) for resource in resources]
    (folder / f"{kind}.ndjson").write_text("\n".join(lines) + "\n")


def _patients(tables: Tables) -> list[Row]:
    return [
        {
            "id": row["person_id"],
            "gender": row["sex"],
            "birthDate": row["birth_date"],
            **({"deceasedDateTime": row["death_date"]} if row["death_date"] else {}),
        }
        for row in _rows(tables, "person")
    ]


def _coverages(tables: Tables) -> list[Row]:
    return [
        {
            "id": str(n),
            "status": "active",
            "beneficiary": {"reference": f"Patient/{row['person_id']}"},
            "period": {"start": row["start_date"], "end": row["end_date"]},
            "payor": [{"display": row["payer"]}],
        }
        for n, row in enumerate(_rows(tables, "coverage"))
    ]


def fhir(tables: Tables, folder: Path) -> None:
    """Write clinical resources: no money, no DRG; outpatient and office visits are one class."""
    classes = {
        "inpatient": "IMP",
        "emergency": "EMER",
        "observation": "OBSENC",
        "snf": "IMP",
        "hospice": "IMP",
    }
    types = {"snf": "skilled nursing facility", "hospice": "hospice"}
    priorities = {"emergency": "EM", "urgent": "UR", "elective": "EL"}
    sources = {"emergency": "emd", "transfer": "hosp-trans", "physician": "gp", "snf": "nursing"}
    _ndjson(folder, "Patient", _patients(tables))
    _ndjson(folder, "Coverage", _coverages(tables))
    coded = _by_encounter(tables, "diagnosis")
    visits, conditions, others = [], [], defaultdict(list)
    for row in _rows(tables, "encounter"):
        name, who = row["encounter_id"], {"reference": f"Patient/{row['person_id']}"}
        ranked = []
        for code in coded[name]:
            own = f"{name}-{code['position']}"
            ranked.append({"condition": {"reference": f"Condition/{own}"}, "rank": code["position"]})
            conditions.append(
                {
                    "id": own,
                    "code": _concept(URLS[code["code_system"]], code["code"]),
                    "subject": who,
                    "encounter": {"reference": f"Encounter/{name}"},
                    "recordedDate": code["recorded_at"],
                }
            )
        stay = {}
        if row["admission_source"]:
            stay["admitSource"] = _concept("x", sources[row["admission_source"]])
        if row["discharge_disposition"]:
            stay["dischargeDisposition"] = _concept("x", PLACES[row["discharge_disposition"]])
        visits.append(
            {
                "id": name,
                "status": "finished",
                "class": {"code": classes.get(row["kind"], "AMB")},
                "type": [{"text": types.get(row["kind"], "visit")}],
                "subject": who,
                "period": {"start": row["start"], "end": row["end"]},
                **(
                    {"priority": _concept("x", priorities[row["admission_type"]])}
                    if row["admission_type"]
                    else {}
                ),
                "hospitalization": stay,
                "diagnosis": ranked,
                **(
                    {"serviceProvider": {"reference": f"Organization/{f}"}}
                    if (f := row["facility_id"])
                    else {}
                ),
            }
        )
    for n, row in enumerate(_rows(tables, "event")):
        code = _concept(URLS[row["code_system"]], row["code"])
        about = {"id": str(n), "status": "completed", "subject": {"reference": f"Patient/{row['person_id']}"}}
        if row["encounter_id"]:
            about["encounter"] = {"reference": f"Encounter/{row['encounter_id']}"}
        if row["kind"] == "procedure":
            others["Procedure"].append({**about, "code": code, "performedDateTime": row["time"]})
        elif row["kind"] == "drug":
            supply = {
                "quantity": {"value": row["quantity"]},
                "expectedSupplyDuration": {"value": row["days_supply"]},
            }
            order = {"intent": "order", "medicationCodeableConcept": code, "authoredOn": row["time"]}
            others["MedicationRequest"].append({**about, **order, "dispenseRequest": supply})
        elif row["kind"] == "lab":
            quantity = {"value": row["value"], "code": row["unit"]}
            own = {"code": code, "valueQuantity": quantity, "effectiveDateTime": row["time"]}
            kind = {"category": [_concept("x", "laboratory")], "issued": row["recorded_at"]}
            others["Observation"].append({**about, **own, **kind})
    for kind, resources in {"Encounter": visits, "Condition": conditions, **others}.items():
        _ndjson(folder, kind, resources)


def fhir_claims(tables: Tables, folder: Path) -> None:
    """Write claims as CARIN has them: no laboratory results."""
    _ndjson(folder, "Patient", _patients(tables))
    _ndjson(folder, "Coverage", _coverages(tables))
    coded = _by_encounter(tables, "diagnosis", "procedure")
    claims = []

    def info(category: str, code: str | None, **more: Any) -> list[Row]:
        own = {"code": _concept("x", code)} if code else {}
        return [{"category": _concept("x", category), **own, **more}] if own or more else []

    def money(category: str, value: float) -> Row:
        return {"category": _concept("x", category), "amount": {"value": value}}

    for row in _rows(tables, "encounter"):
        office = row["kind"] == "office"
        codes = coded[row["encounter_id"]]
        item: Row = {"sequence": 1}
        if row["kind"] in TELLING:
            item["revenue"] = _concept("x", TELLING[row["kind"]])
        if office:
            item["locationCodeableConcept"] = _concept("x", "11")
        for code in codes:
            if code["code_system"] == "HCPCS":
                item |= {
                    "productOrService": _concept(URLS["HCPCS"], code["code"]),
                    "servicedDate": code["time"],
                }
        claims.append(
            {
                "id": row["encounter_id"],
                "status": "active",
                "use": "claim",
                "type": _concept("x", "professional" if office else "institutional"),
                "patient": {"reference": f"Patient/{row['person_id']}"},
                "billablePeriod": {"start": row["start"], "end": row["end"]},
                "created": row["recorded_at"],
                **({"provider": {"reference": f"Organization/{f}"}} if (f := row["facility_id"]) else {}),
                "supportingInfo": [
                    *info("typeofbill", None if office else BILLS.get(row["kind"], "131")),
                    *info("admtype", TYPES.get(row["admission_type"])),
                    *info("pointoforigin", SOURCES.get(row["admission_source"])),
                    *info("discharge-status", PLACES.get(row["discharge_disposition"])),
                    *info("drg", row["drg"]),
                ],
                "diagnosis": [
                    {
                        "sequence": code["position"],
                        "diagnosisCodeableConcept": _concept(URLS["ICD10CM"], code["code"]),
                        "type": [_concept("x", "principal" if code["position"] == 1 else "other")],
                    }
                    for code in codes
                    if code["kind"] == "diagnosis"
                ],
                "procedure": [
                    {
                        "sequence": code["position"],
                        "date": code["time"],
                        "procedureCodeableConcept": _concept(URLS["ICD10PCS"], code["code"]),
                    }
                    for code in codes
                    if code["code_system"] == "ICD10PCS"
                ],
                "item": [item],
                "payment": {"amount": {"value": row["paid"]}},
                "total": [money("eligible", row["allowed"])],
            }
        )
    for n, row in enumerate(row for row in _rows(tables, "event") if row["kind"] == "drug"):
        claims.append(
            {
                "id": f"fill-{n}",
                "status": "active",
                "type": _concept("x", "pharmacy"),
                "patient": {"reference": f"Patient/{row['person_id']}"},
                "billablePeriod": {"start": row["time"], "end": row["time"]},
                "created": row["recorded_at"],
                "supportingInfo": info("dayssupply", None, valueQuantity={"value": row["days_supply"]}),
                "item": [
                    {
                        "productOrService": _concept(URLS["NDC"], row["code"]),
                        "servicedDate": row["time"],
                        "quantity": {"value": row["quantity"]},
                        "adjudication": [money("benefit", row["paid"])],
                    }
                ],
            }
        )
    _ndjson(folder, "ExplanationOfBenefit", claims)
