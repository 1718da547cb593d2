"""The MIMIC-III adapter on files written here in the published layout."""

import gzip
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import ingest
from riskmodels.history.adapters.mimic_iii import FIELDS

PATIENT = {"subject_id": "10", "gender": "F", "dob": "2091-03-05 00:00:00", "dod": "2153-08-12 00:00:00"}
ADMISSION = {
    "subject_id": "10",
    "hadm_id": "200",
    "admittime": "2151-02-01 22:10:00",
    "dischtime": "2151-02-05 13:00:00",
    "admission_type": "EMERGENCY",
    "admission_location": "EMERGENCY ROOM ADMIT",
    "discharge_location": "REHAB/DISTINCT PART HOSP",
    "ethnicity": "WHITE",
    "hospital_expire_flag": "0",
}
IDS = {"subject_id": "10", "hadm_id": "200"}
DIAGNOSIS = {**IDS, "seq_num": "1", "icd9_code": "4280"}
OTHERS = {
    "drgcodes": [{**IDS, "drg_type": "APR", "drg_code": "194"}, {**IDS, "drg_type": "MS", "drg_code": "291"}],
    "procedures_icd": [{**IDS, "seq_num": "1", "icd9_code": "3995"}],
    "prescriptions": [
        {**IDS, "startdate": "2151-02-02", "drug_type": "MAIN", "drug": "Furosemide", "ndc": "0"}
    ],
    "labevents": [
        {**IDS, "itemid": "50912", "charttime": "2151-02-02 06:00:00", "valuenum": "1.4", "valueuom": "mg/dL"}
    ],
    "services": [{**IDS, "transfertime": "2151-02-01 22:12:00", "curr_service": "CMED"}],
    "icustays": [{**IDS, "outtime": "2151-02-03 12:00:00", "los": "1.5"}],
}


@pytest.fixture
def mimic(tmp_path, csv_file):
    """Return the function that writes MIMIC-III files: table -> rows."""

    def written(**tables):
        given = {"patients": [PATIENT], "admissions": [ADMISSION], "diagnoses_icd": [DIAGNOSIS], **tables}
        for table, rows in given.items():
            columns = [
                name.upper() for name in FIELDS[table]
            ]  # as in the release; the demo has small letters
            upper = [{name.upper(): value for name, value in row.items()} for row in rows]
            csv_file(tmp_path / "mimic" / f"{table.upper()}.csv", columns, upper)
        return tmp_path / "mimic"

    return written


def ingested(source):
    return ingest("mimic-iii", source, source.with_name("history"))


def test_an_admission_and_what_happened_in_it(mimic):
    """Times to the minute, words, DRG; ICD-9 codes at discharge, since no day is published."""
    history = ingested(mimic(**OTHERS))
    (row,) = history.table("encounter").collect().rows(named=True)
    wanted = {
        "encounter_id": "200",
        "kind": "inpatient",
        "start": datetime(2151, 2, 1, 22, 10),
        "end": datetime(2151, 2, 5, 13),
        "admission_type": "emergency",
        "admission_source": "emergency",
        "discharge_disposition": "rehab",
        "drg": "291",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert history.table("person").collect().rows() == [
        ("10", date(2091, 3, 5), "female", "white", date(2153, 8, 12))
    ]
    assert history.table("coverage").collect().select("start_date", "end_date").rows() == [
        (date(2150, 2, 1), date(2152, 2, 5))
    ]
    end = datetime(2151, 2, 5, 13)
    columns = ("kind", "code_system", "code", "time", "value", "position")
    assert sorted(history.table("event").select(columns).collect().rows(), key=str) == [
        ("diagnosis", "ICD9CM", "4280", end, None, 1),
        ("drug", "LOCAL", "MIMIC:FUROSEMIDE", datetime(2151, 2, 2), None, None),
        ("lab", "LOINC", "2160-0", datetime(2151, 2, 2, 6), 1.4, None),
        ("observation", "LOCAL", "ICU_STAY", datetime(2151, 2, 3, 12), 36.0, None),
        ("observation", "LOCAL", "SERVICE:CMED", datetime(2151, 2, 1, 22, 12), None, None),
        ("procedure", "ICD9PCS", "3995", end, None, 1),
    ]


@pytest.mark.parametrize(
    ("change", "column", "word"),
    [
        ({"admission_type": "NEWBORN"}, "admission_type", "newborn"),
        ({"admission_type": "ELECTIVE"}, "admission_type", "elective"),
        ({"admission_location": "TRANSFER FROM HOSP/EXTRAM"}, "admission_source", "transfer"),
        ({"admission_location": "** INFO NOT AVAILABLE **"}, "admission_source", None),
        ({"discharge_location": "DISCH-TRAN TO PSYCH HOSP"}, "discharge_disposition", "psychiatric"),
        ({"discharge_location": "LEFT AGAINST MEDICAL ADVI"}, "discharge_disposition", "ama"),
        ({"discharge_location": "HOSPICE-HOME"}, "discharge_disposition", "hospice"),
        ({"discharge_location": "SHORT TERM HOSPITAL"}, "discharge_disposition", "transfer"),
        ({"discharge_location": "HOME", "hospital_expire_flag": "1"}, "discharge_disposition", "died"),
    ],
)
def test_words_of_an_admission(mimic, change, column, word):
    """The hospital's words in a history's; the death flag goes before the place of discharge."""
    history = ingested(mimic(admissions=[{**ADMISSION, **change}]))
    assert history.table("encounter").select(column).collect().item() == word


def test_hidden_ages_and_impossible_stays(mimic):
    """A birth 300 years before is of somebody of 91; an organ donor's account ends before it starts."""
    donor = {
        **ADMISSION,
        "hadm_id": "201",
        "admittime": "2151-02-06 10:00:00",
        "dischtime": "2151-02-06 09:00:00",
    }
    history = ingested(
        mimic(patients=[{**PATIENT, "dob": "1851-02-01 00:00:00"}], admissions=[ADMISSION, donor])
    )
    assert history.table("person").select("birth_date").collect().item() == date(2060, 2, 1)
    assert history.manifest.dropped == {"encounter": {"end is before start": 1}}


def test_refusals(mimic, tmp_path):
    """Files of MIMIC-IV, and cut ones, are refused by name; a packed copy of a file is read once."""
    source = mimic()
    (source / "PATIENTS.csv.gz").write_bytes(gzip.compress((source / "PATIENTS.csv").read_bytes()))
    assert ingested(source).table("person").select(pl.len()).collect().item() == 1
    (source / "PATIENTS.csv.gz").unlink()
    (source / "PATIENTS.csv").write_text("subject_id,gender,anchor_age,anchor_year,dod\n10,F,60,2150,\n")
    with pytest.raises(DataError, match=r"PATIENTS.csv, line 1: the header has no column 'dob'"):
        ingest("mimic-iii", source, tmp_path / "other")
    (source / "PATIENTS.csv").unlink()
    with pytest.raises(DataError, match="no PATIENTS of MIMIC-III here"):
        ingest("mimic-iii", source, tmp_path / "other")
    assert not (tmp_path / "other").exists()
