"""The MIMIC-IV adapter on files written here in the published layout, and on the published demo."""

import gzip
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import check, ingest, open_history
from riskmodels.history.adapters.mimic_iv import FIELDS

PATIENT = {"subject_id": "10", "gender": "F", "anchor_age": "60", "anchor_year": "2150"}
ADMISSION = {
    "subject_id": "10",
    "hadm_id": "200",
    "admittime": "2151-02-01 22:10:00",
    "dischtime": "2151-02-05 13:00:00",
    "admission_type": "EW EMER.",
    "admit_provider_id": "P1",
    "admission_location": "EMERGENCY ROOM",
    "discharge_location": "HOME HEALTH CARE",
    "race": "WHITE",
    "hospital_expire_flag": "0",
}
DIAGNOSIS = {"subject_id": "10", "hadm_id": "200", "seq_num": "1", "icd_code": "I509", "icd_version": "10"}


@pytest.fixture
def mimic(tmp_path, csv_file):
    """Return the function that writes MIMIC-IV files: table -> rows."""

    def written(**tables):
        given = {"patients": [PATIENT], "admissions": [ADMISSION], "diagnoses_icd": [DIAGNOSIS], **tables}
        for table, rows in given.items():
            folder = "icu" if table == "icustays" else "hosp"
            csv_file(tmp_path / "mimic" / folder / f"{table}.csv", list(FIELDS[table]), rows)
        return tmp_path / "mimic"

    return written


def ingested(source):
    return ingest("mimic-iv", source, source.with_name("history"))


def test_an_admission_has_its_times_words_and_drg(mimic):
    """Admission to discharge to the minute; where from and where to in the words of a history."""
    drgs = [
        {"subject_id": "10", "hadm_id": "200", "drg_type": "APR", "drg_code": "194"},
        {"subject_id": "10", "hadm_id": "200", "drg_type": "HCFA", "drg_code": "291"},
    ]
    (row,) = ingested(mimic(drgcodes=drgs)).table("encounter").collect().rows(named=True)
    assert row == {
        "encounter_id": "200",
        "person_id": "10",
        "kind": "inpatient",
        "start": datetime(2151, 2, 1, 22, 10),
        "end": datetime(2151, 2, 5, 13),
        "facility_id": "BIDMC",
        "provider_id": "P1",
        "admission_type": "emergency",
        "admission_source": "emergency",
        "discharge_disposition": "home_health",
        "drg": "291",
        "paid": None,
        "allowed": None,
        "recorded_at": None,
    }


@pytest.mark.parametrize(
    ("change", "column", "word"),
    [
        ({"admission_type": "EU OBSERVATION"}, "kind", "observation"),
        ({"admission_type": "OBSERVATION ADMIT"}, "kind", "inpatient"),
        ({"admission_type": "OBSERVATION ADMIT"}, "admission_type", "urgent"),
        ({"admission_type": "SURGICAL SAME DAY ADMISSION"}, "admission_type", "elective"),
        ({"admission_type": "SOMETHING NEW"}, "admission_type", None),
        ({"admission_location": "TRANSFER FROM SKILLED NURSING FACILITY"}, "admission_source", "snf"),
        ({"discharge_location": "AGAINST ADVICE"}, "discharge_disposition", "ama"),
        ({"discharge_location": "CHRONIC/LONG TERM ACUTE CARE"}, "discharge_disposition", "long_term_care"),
        ({"discharge_location": ""}, "discharge_disposition", None),
        ({"discharge_location": "HOME", "hospital_expire_flag": "1"}, "discharge_disposition", "died"),
    ],
)
def test_words_of_an_admission(mimic, change, column, word):
    """MIMIC-IV's words in a history's; the death flag goes before the place of discharge."""
    history = ingested(mimic(admissions=[{**ADMISSION, **change}]))
    assert history.table("encounter").select(column).collect().item() == word


def test_a_person_is_born_in_the_middle_of_the_year(mimic):
    """Birth on 1 July of anchor_year - anchor_age; race as first recorded; death as in dod."""
    admissions = [
        {**ADMISSION, "race": "UNKNOWN"},
        {
            **ADMISSION,
            "hadm_id": "202",
            "admittime": "2153-01-01 00:00:00",
            "dischtime": "2153-01-02 00:00:00",
        },
        {
            **ADMISSION,
            "hadm_id": "201",
            "race": "ASIAN",
            "admittime": "2152-01-01 00:00:00",
            "dischtime": "2152-01-02 00:00:00",
        },
    ]
    history = ingested(mimic(patients=[{**PATIENT, "dod": "2153-05-04"}], admissions=admissions))
    assert history.table("person").collect().rows() == [
        ("10", date(2090, 7, 1), "female", "asian", date(2153, 5, 4))
    ]


@pytest.mark.parametrize(
    ("dod", "end"),
    [("", date(2152, 2, 5)), ("2151-06-01", date(2151, 6, 1))],
    ids=["alive", "dead"],
)
def test_observation_is_a_year_around_the_contacts(mimic, dod, end):
    """From 365 days before the first contact to 365 days after the last, or to death."""
    visit = {
        "subject_id": "10",
        "transfer_id": "7",
        "eventtype": "ED",
        "intime": "2150-12-01 03:00:00",
        "outtime": "2150-12-01 09:00:00",
    }
    history = ingested(mimic(patients=[{**PATIENT, "dod": dod}], transfers=[visit]))
    assert history.table("coverage").select("start_date", "end_date").collect().rows() == [
        (date(2149, 12, 1), end)
    ]


def test_only_ed_stays_without_admission_are_visits(mimic):
    """The emergency hours of an admission are part of it; other moves are no encounters."""
    move = {"subject_id": "10", "intime": "2151-01-01 03:00:00", "outtime": "2151-01-01 09:00:00"}
    moves = [
        {**move, "transfer_id": "1", "eventtype": "ED"},
        {**move, "transfer_id": "2", "eventtype": "ED", "hadm_id": "200"},
        {**move, "transfer_id": "3", "eventtype": "transfer", "hadm_id": "200"},
    ]
    history = ingested(mimic(transfers=moves))
    encounters = history.table("encounter").select("encounter_id", "kind", "start").collect()
    assert encounters.rows()[0] == ("ED-1", "emergency", datetime(2151, 1, 1, 3))
    assert encounters.height == 2


IDS = {"subject_id": "10", "hadm_id": "200"}
EVENT_CASES = {
    "a diagnosis is known at discharge": (
        "diagnoses_icd",
        {**DIAGNOSIS, "icd_version": "9", "icd_code": "4280"},
        {"kind": "diagnosis", "code_system": "ICD9CM", "code": "4280", "time": datetime(2151, 2, 5, 13)},
    ),
    "a procedure has its day": (
        "procedures_icd",
        {**IDS, "seq_num": "2", "chartdate": "2151-02-03", "icd_code": "0BH17EZ", "icd_version": "10"},
        {"kind": "procedure", "code_system": "ICD10PCS", "position": 2, "time": datetime(2151, 2, 3)},
    ),
    "a HCPCS code has its day": (
        "hcpcsevents",
        {**IDS, "seq_num": "1", "chartdate": "2151-02-03", "hcpcs_cd": "93454"},
        {"kind": "procedure", "code_system": "HCPCS", "code": "93454", "time": datetime(2151, 2, 3)},
    ),
    "a prescription has its NDC": (
        "prescriptions",
        {
            **IDS,
            "starttime": "2151-02-02 08:00:00",
            "drug_type": "MAIN",
            "drug": "Insulin",
            "ndc": "00002751001",
        },
        {"kind": "drug", "code_system": "NDC", "code": "00002751001", "time": datetime(2151, 2, 2, 8)},
    ),
    "a drug without NDC has its name": (
        "prescriptions",
        {**IDS, "starttime": "2151-02-02 08:00:00", "drug_type": "MAIN", "drug": "Insulin", "ndc": "0"},
        {"kind": "drug", "code_system": "LOCAL", "code": "MIMIC:INSULIN"},
    ),
    "haemoglobin is LOINC and known when stored": (
        "labevents",
        {
            **IDS,
            "itemid": "51222",
            "charttime": "2151-02-02 06:00:00",
            "storetime": "2151-02-02 07:30:00",
            "valuenum": "9.8",
            "valueuom": "g/dL",
        },
        {
            "code_system": "LOINC",
            "code": "718-7",
            "value": 9.8,
            "unit": "g/dL",
            "time": datetime(2151, 2, 2, 6),
            "recorded_at": datetime(2151, 2, 2, 7, 30),
        },
    ),
    "another item is MIMIC's own": (
        "labevents",
        {**IDS, "itemid": "51249", "charttime": "2151-02-02 06:00:00", "valuenum": "32"},
        {"code_system": "LOCAL", "code": "MIMIC:51249", "value": 32.0, "recorded_at": None},
    ),
    "a weight is a vital sign": (
        "omr",
        {
            "subject_id": "10",
            "chartdate": "2151-01-02",
            "seq_num": "1",
            "result_name": "Weight (Lbs)",
            "result_value": "127.5",
        },
        {"kind": "vital", "code": "29463-7", "value": 127.5, "unit": "[lb_av]", "encounter_id": None},
    ),
    "a service is an observation": (
        "services",
        {**IDS, "transfertime": "2151-02-01 22:11:00", "curr_service": "OMED"},
        {"kind": "observation", "code_system": "LOCAL", "code": "SERVICE:OMED"},
    ),
    "intensive care is known at its end, in hours": (
        "icustays",
        {**IDS, "outtime": "2151-02-03 12:00:00", "los": "1.5"},
        {"code": "ICU_STAY", "value": 36.0, "unit": "h", "time": datetime(2151, 2, 3, 12)},
    ),
}


@pytest.mark.parametrize("case", EVENT_CASES)
def test_events(mimic, case):
    """Each table's rows become events with their own times and codes."""
    table, row, wanted = EVENT_CASES[case]
    history = ingested(mimic(**{table: [row]}))
    events = history.table("event").collect()
    if table != "diagnoses_icd":
        events = events.filter(pl.col("kind") != "diagnosis")
    (event,) = events.rows(named=True)
    assert {name: event[name] for name in wanted} == wanted


def test_a_blood_pressure_is_two_values(mimic):
    """120/80 is systolic 120 and diastolic 80, lying and standing alike; what is no number is left out."""
    reading = {"subject_id": "10", "chartdate": "2151-01-02", "seq_num": "1"}
    rows = [
        {**reading, "result_name": "Blood Pressure", "result_value": "120/80"},
        {**reading, "result_name": "Blood Pressure Standing (1 min)", "result_value": "106/46"},
        {**reading, "result_name": "Blood Pressure", "result_value": "refused"},
        {**reading, "result_name": "BMI (kg/m2)", "result_value": "___"},
    ]
    events = ingested(mimic(omr=rows)).table("event").filter(pl.col("kind") == "vital").collect()
    assert sorted(events.select("code", "value").rows()) == [
        ("8462-4", 46.0),
        ("8462-4", 80.0),
        ("8480-6", 106.0),
        ("8480-6", 120.0),
    ]


def test_fluids_that_carry_a_drug_are_not_drugs(mimic):
    """Only the main part of a prescription is an event."""
    order = {**IDS, "starttime": "2151-02-02 08:00:00", "drug": "D5W", "ndc": "00338001704"}
    history = ingested(mimic(prescriptions=[{**order, "drug_type": kind} for kind in ("MAIN", "BASE")]))
    assert history.table("event").filter(pl.col("kind") == "drug").collect().height == 1


def test_a_stay_that_ends_before_it_starts_is_left_out(mimic):
    """MIMIC-IV has accounts of organ donors with negative stays; they are counted."""
    donor = {**ADMISSION, "hadm_id": "201", "dischtime": "2151-01-31 00:00:00"}
    history = ingested(mimic(admissions=[ADMISSION, donor]))
    assert history.manifest.dropped == {"encounter": {"end is before start": 1}}


@pytest.mark.parametrize("folder", ["mimic", "mimic/hosp"], ids=["root", "hosp"])
def test_the_root_and_hosp_may_be_named_and_files_packed(mimic, tmp_path, folder):
    """Both folders work, and a .csv.gz reads like the .csv."""
    source = mimic()
    path = source / "hosp" / "admissions.csv"
    path.with_name("admissions.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    history = ingest("mimic-iv", tmp_path / folder, tmp_path / "h")
    assert history.manifest.rows == {"person": 1, "coverage": 1, "encounter": 1, "event": 1}


def test_a_folder_that_is_not_mimic_is_one_error(mimic, tmp_path):
    """What is missing is named, with what was found."""
    source = mimic(icustays=[{**IDS, "outtime": "2151-02-03 12:00:00", "los": "1.5"}])
    with pytest.raises(DataError, match="no patients and no admissions and no diagnoses_icd") as error:
        ingest("mimic-iv", source / "icu", tmp_path / "h")
    assert "icustays.csv" in str(error.value)
    assert "hosp/patients.csv.gz" in str(error.value)


@pytest.fixture(scope="module")
def demo(shared_data, tmp_path_factory):
    """Ingest the published demo once."""
    path = tmp_path_factory.mktemp("mimic") / "history"
    return ingest("mimic-iv", shared_data / "patients" / "mimic_iv_demo", path)


def test_the_demo_has_its_published_counts(demo):
    """100 patients, 275 admissions, 54 ED stays without admission, 15 deaths in hospital."""
    encounters = demo.table("encounter").collect()
    assert demo.manifest.rows["person"] == 100
    assert dict(encounters["kind"].value_counts().rows()) == {
        "inpatient": 233,
        "observation": 42,
        "emergency": 54,
    }
    assert (encounters["discharge_disposition"] == "died").sum() == 15
    # Rows of labs and prescriptions that say the same of the same instant are one event.
    assert demo.manifest.dropped == {"event": {"the same row again": 1242}}
    events = demo.table("event").collect()
    assert events.height + 1242 == 4506 + 722 + 61 + 14391 + 107727 + 3836 + 319 + 140


def test_labs_of_the_demo_are_known_when_they_were_stored(demo):
    """Opened as of an instant, no result is shown that was stored later."""
    labs = demo.table("event").filter(pl.col("kind") == "lab").collect()
    slow = labs.filter(pl.col("recorded_at") > pl.col("time").dt.offset_by("1d")).row(0, named=True)
    same = (pl.col("person_id") == slow["person_id"]) & (pl.col("recorded_at") == slow["recorded_at"])
    for as_of, visible in ((slow["recorded_at"], False), (slow["recorded_at"].replace(year=2300), True)):
        then = open_history(demo.path, as_of)
        assert bool(then.table("event").filter(same).collect().height) == visible


def test_the_demo_is_in_good_order(demo):
    """No overlapping stays, no code of another shape, nothing before birth."""
    found = {finding.name: finding.rows for finding in check(demo).findings}
    for name in ("inpatient_overlaps", "code_of_wrong_shape", "event_before_birth", "encounter_after_death"):
        assert found[name] == 0
