"""The Synthea adapter on a few rows written here, and on an export."""

import zipfile
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import ingest

PATIENTS = """Id,BIRTHDATE,DEATHDATE,RACE,ETHNICITY,GENDER
a,1950-02-03,,white,nonhispanic,F
b,1960-02-03,2020-05-05,black,hispanic,M
"""
COLUMNS = "Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER,PAYER,ENCOUNTERCLASS,CODE"
ENCOUNTERS = f"""{COLUMNS},TOTAL_CLAIM_COST,PAYER_COVERAGE,REASONCODE
e1,2020-01-01T10:00:00Z,2020-01-04T11:30:00Z,a,org,doc,p1,inpatient,32485007,900.5,700.5,88805009
e2,2020-01-06T10:00:00Z,2020-01-07T10:00:00Z,a,org,doc,p1,inpatient,76464004,90,70,
e3,2020-02-06T10:00:00Z,2020-02-06T11:00:00Z,b,org,doc,p1,emergency,50849002,90,0,
e4,2020-03-06T10:00:00Z,2020-03-06T11:00:00Z,a,org,doc,p1,wellness,410620009,90,0,
"""
CONDITIONS = """START,STOP,PATIENT,ENCOUNTER,SYSTEM,CODE,DESCRIPTION
2020-01-01,,a,e1,SNOMED-CT,88805009,Heart failure
2020-01-02,,a,e1,ICD10,K12.2,"Cellulitis, of mouth"
"""
MORE = {
    "procedures": "START,STOP,PATIENT,ENCOUNTER,CODE\n2020-01-02T08:00:00Z,,a,e1,430193006\n",
    "medications": "START,STOP,PATIENT,ENCOUNTER,CODE,DISPENSES\n2020-01-03T08:00:00Z,,a,e1,308182,12\n",
    "immunizations": "DATE,PATIENT,ENCOUNTER,CODE\n2020-03-06T10:00:00Z,a,e4,140\n",
    "observations": "DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,VALUE,UNITS,TYPE\n"
    "2020-01-02T09:00:00Z,a,e1,laboratory,718-7,9.5,g/dL,numeric\n"
    "2020-01-02T09:00:00Z,a,e1,vital-signs,8480-6,141,mm[Hg],numeric\n"
    "2020-01-02T09:00:00Z,a,e1,survey,72166-2,Never smoker,,text\n"
    "2020-01-02T09:00:00Z,a,,,QALY,3.5,a,numeric\n",
    "payers": "Id,NAME\np1,Medicare\np2,NO_INSURANCE\np3,Dual Eligible\n",
    "payer_transitions": "PATIENT,START_DATE,END_DATE,PAYER\n"
    "a,2018-02-03T05:00:00Z,2019-02-03T05:00:00Z,p2\n"
    "a,2019-02-03T05:00:00Z,2026-02-03T05:00:00Z,p3\n"
    "b,2019-02-03T05:00:00Z,2020-02-20T05:00:00Z,p1\n",
}


@pytest.fixture
def synthea(tmp_path):
    """Return the function that writes an export; more tables are given by name."""

    def written(folder="source", **more):
        place = tmp_path / folder
        place.mkdir()
        tables = {"patients": PATIENTS, "encounters": ENCOUNTERS, "conditions": CONDITIONS, **more}
        for name, text in tables.items():
            (place / f"{name}.csv").write_text(text)
        return place

    return written


def ingested(source):
    return ingest("synthea", source, source.with_name("history"))


def test_persons_and_encounters(synthea):
    """Kinds by class, an admission for observation by its code, organisations as facilities."""
    history = ingested(synthea())
    people = history.table("person").select("person_id", "sex", "race_ethnicity", "death_date").collect()
    assert people.rows() == [("a", "female", "white", None), ("b", "male", "hispanic", date(2020, 5, 5))]
    table = history.table("encounter").collect().sort("encounter_id")
    assert table["kind"].to_list() == ["inpatient", "observation", "emergency", "office"]
    stay = table.select("start", "end", "facility_id", "provider_id", "paid", "allowed").row(0)
    assert stay == (datetime(2020, 1, 1, 10), datetime(2020, 1, 4, 11, 30), "org", "doc", 700.5, 900.5)


def test_events(synthea):
    """Conditions at the end of their encounter, the reason first; all else at its own time."""
    events = ingested(synthea(**MORE)).table("event").collect()
    end, morning = datetime(2020, 1, 4, 11, 30), datetime(2020, 1, 2, 9)
    wanted = {
        ("diagnosis", "SNOMED", "88805009", end, 1, None),
        ("diagnosis", "SNOMED", "88805009", end, None, None),
        ("diagnosis", "ICD10CM", "K12.2", end, None, None),
        ("procedure", "SNOMED", "430193006", datetime(2020, 1, 2, 8), None, None),
        ("drug", "RxNorm", "308182", datetime(2020, 1, 3, 8), None, None),
        ("drug", "LOCAL", "CVX:140", datetime(2020, 3, 6, 10), None, None),
        ("lab", "LOINC", "718-7", morning, None, 9.5),
        ("vital", "LOINC", "8480-6", morning, None, 141.0),
        ("observation", "LOINC", "72166-2", morning, None, None),
        ("lab", "LOCAL", "SYNTHEA:QALY", morning, None, 3.5),
    }
    assert set(events.select("kind", "code_system", "code", "time", "position", "value").rows()) == wanted
    assert events.filter(pl.col("kind") == "drug")["quantity"].to_list() == [12.0, None]


@pytest.mark.parametrize(
    ("transitions", "wanted"),
    [
        (
            MORE["payer_transitions"],
            [
                ("a", date(2018, 2, 3), date(2019, 2, 2), "uninsured", None),
                ("a", date(2019, 2, 3), date(2020, 3, 6), "medicare", True),
                ("b", date(2019, 2, 3), date(2020, 2, 19), "medicare", False),
            ],
        ),
        (
            "PATIENT,START_YEAR,END_YEAR,PAYER\na,2018,2019,p1\n",
            [("a", date(2018, 1, 1), date(2019, 12, 31), "medicare", False)],
        ),
        (
            None,
            [
                ("a", date(1950, 2, 3), date(2020, 3, 6), None, None),
                ("b", date(1960, 2, 3), date(2020, 3, 6), None, None),
            ],
        ),
    ],
    ids=["days", "years", "no transitions"],
)
def test_coverage(synthea, transitions, wanted):
    """Spans end the day before the next, at death, and at the last day that is told about."""
    more = {"payers": MORE["payers"]} | ({"payer_transitions": transitions} if transitions else {})
    spans = ingested(synthea(**more)).table("coverage").collect()
    assert spans.select("person_id", "start_date", "end_date", "payer", "dual").rows() == wanted


def test_an_archive_with_marks_gives_the_same(synthea):
    """A zip of the export, with byte order marks and Windows line ends."""
    source = synthea(**MORE)
    wanted = ingested(source).fingerprint
    packed = source.with_name("export.zip")
    with zipfile.ZipFile(packed, "w") as archive:
        for path in source.iterdir():
            text = path.read_text().replace("\n", "\r\n")
            archive.writestr(f"csv/{path.name}", b"\xef\xbb\xbf" + text.encode())
    assert ingest("synthea", packed, source.with_name("other")).fingerprint == wanted


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("conditions", CONDITIONS.replace("CODE", "CODES"), r"no column 'CODE'"),
        ("encounters", ENCOUNTERS.replace("02-06T10", "02-31T10"), r"column START, line 4.*2020-02-31"),
        ("patients", "Id,BIRTHDATE,DEATHDATE,RACE,ETHNICITY,GENDER\n", "no rows"),
        ("conditions", "<html>", "web page"),
        ("encounters", ENCOUNTERS[:-60], "cut short"),
    ],
    ids=["column", "time", "no patients", "web page", "cut"],
)  # fmt: skip
def test_bad_files_are_refused(synthea, table, text, message):
    """One clear error, nothing written."""
    source = synthea(**{table: text})
    with pytest.raises(DataError, match=message):
        ingested(source)
    assert sorted(path.name for path in source.parent.iterdir()) == ["source"]


def test_an_archive_is_named_in_errors(tmp_path):
    """The error names the archive and the file in it, not where it was unpacked."""
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for name, text in (("patients", PATIENTS), ("encounters", "Id\n1\n"), ("conditions", CONDITIONS)):
            archive.writestr(f"{name}.csv", text)
    with pytest.raises(DataError, match=r"export\.zip/encounters\.csv, line 1: the header has no column"):
        ingest("synthea", tmp_path / "export.zip", tmp_path / "history")


def test_the_export(shared_data, tmp_path):
    """Counts of an export of 109 patients, against its files."""
    source = shared_data / "patients" / "synthea_csv_nj"
    history = ingest("synthea", source, tmp_path / "history")
    rows = history.manifest.rows
    visits = pl.read_csv(source / "encounters.csv", infer_schema=False)
    assert (rows["person"], rows["encounter"]) == (109, visits.height) == (109, 10715)
    kinds = dict(history.table("encounter").collect()["kind"].value_counts().rows())
    assert (kinds["inpatient"], kinds["observation"], kinds["emergency"]) == (110, 1, 348)
    events = history.table("event").collect()
    drugs = events.filter(pl.col("code_system") == "RxNorm").height
    repeated = history.manifest.dropped["event"]["the same row again"]
    assert drugs + repeated == pl.read_csv(source / "medications.csv", infer_schema=False).height
