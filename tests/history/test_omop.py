"""The OMOP adapter on a few rows written here, and on a published database of 28 persons."""

import zipfile
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import ingest

TABLES = {
    "person": """person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,race_concept_id,\
ethnicity_concept_id
1,8507,1950,3,,8527,38003564
2,8532,1960,,,8516,38003563
3,0,1970,10,9,0,0
""",
    "death": "person_id,death_date\n1,2020-06-01\n",
    "observation_period": "person_id,observation_period_start_date,observation_period_end_date\n"
    "1,2019-01-01,2020-06-01\n2,2019-01-01,2020-12-31\n",
    "visit_occurrence": "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,"
    "visit_start_datetime,visit_end_date,visit_end_datetime,provider_id,care_site_id,discharged_to_concept_id\n"
    "10,1,9201,2020-01-01,2020-01-01 10:00:00,2020-01-05,2020-01-05 15:30:00,7,H,8863\n"
    "11,1,262,2020-02-01,,2020-02-03,,7,H,8536\n"
    "12,2,9203,2020-02-01,,2020-02-01,,,,\n"
    "13,2,9202,2020-03-01,,2020-03-01,,,,0\n"
    "14,2,9202,2020-04-01,,2020-04-02,,,,\n"
    "15,2,38004277,2020-05-01,,2020-05-09,,,,\n"
    "16,2,0,2020-06-01,,2020-06-01,,,,\n",
    "visit_detail": "visit_occurrence_id,visit_detail_concept_id\n14,9203\n14,581385\n10,9203\n",
    "concept": "concept_id,concept_name,domain_id,vocabulary_id,concept_code\n"
    "0,No matching concept,Metadata,None,No matching concept\n"
    "1001,Acute systolic heart failure,Condition,ICD10CM,I50.21\n"
    "1002,Heart failure,Condition,SNOMED,84114007\n"
    "1003,Metoprolol,Drug,RxNorm,866508\n"
    "1004,Metoprolol package,Drug,NDC,00093073301\n"
    "1005,Haemoglobin,Measurement,LOINC,718-7\n"
    "1006,Systolic pressure,Measurement,LOINC,8480-6\n"
    "1007,\"Office visit, established\",Procedure,CPT4,99213\n"
    "1008,Something,Observation,PPI,x1\n"
    "8863,Skilled Nursing Facility,Visit,CMS Place of Service,31\n"
    "8536,Home,Visit,CMS Place of Service,12\n"
    "32902,Primary diagnosis,Condition Status,Condition Status,OMOP4976890\n"
    "38004277,Inpatient Rehabilitation Hospital,Visit,NUCC,283X00000X\n",
    "condition_occurrence": "person_id,condition_concept_id,condition_start_date,condition_start_datetime,"
    "condition_status_concept_id,visit_occurrence_id,condition_source_value,condition_source_concept_id\n"
    "1,1002,2020-01-02,,32902,10,I5021,1001\n"
    "1,1002,2020-01-20,,0,,I509,0\n"
    "1,0,2020-01-21,,0,,XYZ,0\n",
    "procedure_occurrence": "person_id,procedure_concept_id,procedure_date,procedure_datetime,"
    "visit_occurrence_id,procedure_source_value,procedure_source_concept_id\n"
    "2,1007,2020-03-01,2020-03-01 09:15:00.250,13,99213,0\n",
    "drug_exposure": "person_id,drug_concept_id,drug_exposure_start_date,quantity,days_supply,"
    "visit_occurrence_id,drug_source_value,drug_source_concept_id\n2,1003,2020-03-02,60,30,,x,1004\n",
    "measurement": "person_id,measurement_concept_id,measurement_date,value_as_number,"
    "unit_source_value,visit_occurrence_id\n2,1005,2020-03-01,9.5,g/dL,13\n2,1006,2020-03-01,141,mmHg,13\n",
    "observation": "person_id,observation_concept_id,observation_date,visit_occurrence_id\n"
    "2,1008,2020-03-01,13\n",
}  # fmt: skip


@pytest.fixture
def omop(tmp_path):
    """Return the function that writes the tables; None leaves one out."""

    def written(folder="source", **changes):
        place = tmp_path / folder
        place.mkdir()
        for name, text in {**TABLES, **changes}.items():
            if text is not None:
                (place / f"{name.upper()}.csv").write_text(text)
        return place

    return written


def ingested(source):
    return ingest("omop", source, source.with_name("history"))


def test_persons_and_coverage(omop):
    """A birth without a day is on the first; deaths; observation periods."""
    history = ingested(omop())
    people = history.table("person").collect()
    assert people.select("person_id", "birth_date", "sex", "race_ethnicity", "death_date").rows() == [
        ("1", date(1950, 3, 1), "male", "white", date(2020, 6, 1)),
        ("2", date(1960, 1, 1), "female", "hispanic", None),
        ("3", date(1970, 10, 9), "unknown", None, None),
    ]
    assert history.table("coverage").select("person_id", "end_date").collect().rows() == [
        ("1", date(2020, 6, 1)),
        ("2", date(2020, 12, 31)),
    ]


def test_encounters(omop):
    """Standard concepts by their id, others by their name; parts make an outpatient visit what it was."""
    table = ingested(omop()).table("encounter").collect().sort("encounter_id")
    assert dict(table.select("encounter_id", "kind").rows()) == {
        "10": "inpatient",
        "11": "inpatient",
        "12": "emergency",
        "13": "outpatient",
        "14": "observation",
        "15": "rehab",
        "16": "outpatient",
    }
    first, second = table.rows(named=True)[:2]
    assert (first["start"], first["end"]) == (datetime(2020, 1, 1, 10), datetime(2020, 1, 5, 15, 30))
    assert (first["discharge_disposition"], first["facility_id"]) == ("snf", "H")
    assert (second["admission_type"], second["discharge_disposition"]) == ("emergency", "home")


def test_events(omop):
    """The source's code where it is a concept, else the standard one, else a local one."""
    events = ingested(omop()).table("event").collect()
    wanted = {
        ("diagnosis", "ICD10CM", "I50.21", datetime(2020, 1, 5, 15, 30), 1, "10"),
        ("diagnosis", "SNOMED", "84114007", datetime(2020, 1, 20), None, None),
        ("diagnosis", "LOCAL", "OMOP:XYZ", datetime(2020, 1, 21), None, None),
        ("procedure", "HCPCS", "99213", datetime(2020, 3, 1, 9, 15, 0, 250_000), None, "13"),
        ("drug", "NDC", "00093073301", datetime(2020, 3, 2), None, None),
        ("lab", "LOINC", "718-7", datetime(2020, 3, 1), None, "13"),
        ("vital", "LOINC", "8480-6", datetime(2020, 3, 1), None, "13"),
        ("observation", "LOCAL", "PPI:x1", datetime(2020, 3, 1), None, "13"),
    }
    columns = ("kind", "code_system", "code", "time", "position", "encounter_id")
    assert set(events.select(columns).rows()) == wanted
    drug = events.filter(pl.col("kind") == "drug").row(0, named=True)
    assert (drug["quantity"], drug["days_supply"]) == (60.0, 30.0)
    assert events.filter(pl.col("code") == "718-7").select("value", "unit").row(0) == (9.5, "g/dL")


def test_however_the_tables_are_packed(omop):
    """Typed Parquet, an archive, and vocabulary files divided by tabs give the same history."""
    source = omop()
    wanted = ingested(source).fingerprint
    parquet, tabs, packed = (source.with_name(name) for name in ("parquet", "tabs", "cdm.zip"))
    parquet.mkdir()
    tabs.mkdir()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in source.iterdir():
            archive.write(path, f"cdm/{path.name}")
            typed = pl.read_csv(path, try_parse_dates=True, schema_overrides={"concept_code": pl.String})
            typed.write_parquet(parquet / f"{path.stem.lower()}.parquet")
            text = path.read_text()
            if path.stem == "CONCEPT":
                text = pl.read_csv(path, infer_schema=False).write_csv(separator="\t", quote_style="never")
            (tabs / path.name).write_text(text)
    for place in (packed, parquet, tabs):
        assert ingest("omop", place, source.with_name(f"h-{place.stem}")).fingerprint == wanted, place.name
    holds_it = source.with_name("downloads")
    holds_it.mkdir()
    packed.rename(holds_it / "cdm.zip")
    with pytest.raises(DataError, match=r"Fix: name the archive itself: .*downloads/cdm\.zip$"):
        ingest("omop", holds_it, source.with_name("h"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concept": None}, "no concept of OMOP here"),
        ({"person": TABLES["person"].replace("year_of_birth", "born")}, "no column 'year_of_birth'"),
        ({"death": "person_id,death_date\n1,June\n"}, r"DEATH\.csv, column death_date, line 2: 'June'"),
        ({"measurement": ""}, "the file is empty"),
    ],
    ids=["concept", "column", "date", "empty"],
)
def test_bad_files_are_refused(omop, changes, message):
    """One clear error, nothing written."""
    source = omop(**changes)
    with pytest.raises(DataError, match=message):
        ingested(source)
    assert sorted(path.name for path in source.parent.iterdir()) == ["source"]


def test_the_database(shared_data, tmp_path):
    """Counts of a published database, against its tables."""
    source = shared_data / "patients" / "omop_synthea27nj" / "Synthea27Nj_5.4.zip"
    history = ingest("omop", source, tmp_path / "history")
    rows = history.manifest.rows
    with zipfile.ZipFile(source) as archive:
        lines = {
            name: archive.read(f"{name.upper()}.csv").count(b"\n") - 1
            for name in ("person", "visit_occurrence", "condition_occurrence", "procedure_occurrence")
        }
    assert (rows["person"], rows["encounter"]) == (lines["person"], lines["visit_occurrence"]) == (28, 1791)
    kinds = dict(history.table("event").collect()["kind"].value_counts().rows())
    assert kinds["diagnosis"] == lines["condition_occurrence"]
    assert history.manifest.dropped["event"] == {"the same row again": 24}
    stays = history.table("encounter").filter(pl.col("kind") == "inpatient").collect()
    assert stays.height == 13
