"""A history as a MEDS dataset and back, and datasets of others."""

import json
from datetime import date, datetime

import polars as pl
import polars.testing
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError, StoreError
from riskmodels.history import ingest, open_history
from riskmodels.history.adapters.meds_codes import Meaning, meaning
from riskmodels.history.exporting import export
from riskmodels.history.schema import TABLES

FULL = {  # values for every column that the small histories of the tests leave out
    "person": {"race_ethnicity": "white"},
    "coverage": {"payer": "medicare", "dual": True, "orig_disability": False, "esrd": None, "hospice": False},
    "encounter": {
        "facility_id": "H",
        "provider_id": "D",
        "admission_type": "urgent",
        "admission_source": "transfer",
        "discharge_disposition": "snf",
        "drg": "291",
        "paid": 1234.56,
        "allowed": 2000.01,
        "recorded_at": datetime(2020, 12, 1, 3),
    },
    "event": {"quantity": 3.0, "paid": 0.1, "recorded_at": datetime(2020, 12, 2)},
}


def same_tables(one, other):
    for name in TABLES:
        here, there = (history.table(name).collect().sort(pl.all()) for history in (one, other))
        polars.testing.assert_frame_equal(here, there, rel_tol=1e-6)


@pytest.mark.parametrize("full", [True, False], ids=["all columns", "some columns"])
def test_a_round_trip_gives_the_same_history(small, write, tmp_path, full):
    """Every column comes back; values are 32-bit numbers on the way, since the standard says so."""
    if full:
        small = {name: [{**row, **FULL[name]} for row in rows] for name, rows in small.items()}
    history = write(small)
    export("meds", history, tmp_path / "meds")
    same_tables(history, ingest("meds", tmp_path / "meds", tmp_path / "back"))


def test_a_simulation_comes_back(tmp_path):
    """Claims of 600 simulated patients, to the row; and the same bytes from the same history."""
    history = simulate(600, seed=1).write(tmp_path / "history")
    for name in ("meds", "again"):
        export("meds", history, tmp_path / name)
    same_tables(history, ingest("meds", tmp_path / "meds", tmp_path / "back"))
    files = [path for path in (tmp_path / "meds").rglob("*") if path.is_file()]
    assert len(files) == history.n_shards + 3
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "meds")).read_bytes()


def test_the_dataset_is_as_the_standard_says(small, write, tmp_path):
    """Types, order within subjects, static rows first, all codes described, nothing known early."""
    export("meds", write(small), tmp_path / "meds")
    table = pq.read_table(tmp_path / "meds" / "data" / "0.parquet")
    types = {name: table.schema.field(name).type for name in table.column_names[:4]}
    assert types == {
        "subject_id": pa.int64(),
        "time": pa.timestamp("us"),
        "code": pa.string(),
        "numeric_value": pa.float32(),
    }
    rows = pl.from_arrow(table)
    assert rows.equals(rows.sort("subject_id", "time", maintain_order=True))
    assert rows.filter(pl.col("time").is_null())["code"].unique().sort().to_list() == [
        "GENDER//female",
        "GENDER//male",
        "GENDER//unknown",
    ]
    births = rows.filter(pl.col("code") == "MEDS_BIRTH")["time"].dt.date().to_list()
    assert births == [date(1950, 1, 1), date(1940, 5, 1), date(1960, 7, 9)]
    codes = pq.read_table(tmp_path / "meds" / "metadata" / "codes.parquet")
    assert codes.schema.types == [pa.string(), pa.string(), pa.list_(pa.string())]
    described = pl.from_arrow(codes)
    assert set(described["code"]) == set(rows["code"])
    parents = dict(described.select("code", "parent_codes").rows())
    assert parents["DIAGNOSIS//ICD10CM//I50.9"] == ["ICD10CM/I50.9"]
    assert parents["MEDS_BIRTH"] is None
    starts = rows.filter(pl.col("code").str.starts_with("ENCOUNTER_START"))
    assert starts.select("discharge_disposition", "drg", "paid", "allowed").null_count().row(0) == (
        3,
        3,
        3,
        3,
    )
    said = json.loads((tmp_path / "meds" / "metadata" / "dataset.json").read_text())
    assert said["meds_version"] == "0.4.0"


def test_whole_numbers_stay_subject_ids(small, write, tmp_path):
    """Ids that are whole numbers are the subjects'; others are numbered, and named beside."""
    for rows in small.values():
        for row in rows:
            row["person_id"] = {"a": "7", "b": "70", "c": "8"}[row["person_id"]]
    export("meds", write(small), tmp_path / "meds")
    names = pl.read_parquet(tmp_path / "meds" / "metadata" / "subjects.parquet")
    assert names.rows() == [(7, "7"), (8, "8"), (70, "70")]


def test_as_of(small, write, tmp_path):
    """What was not known at the instant is not exported."""
    history = open_history(write(small).path, as_of=date(2020, 3, 4))
    export("meds", history, tmp_path / "meds")
    rows = pl.read_parquet(tmp_path / "meds" / "data" / "*.parquet")
    assert rows["time"].max() < datetime(2020, 3, 4)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("ICD10CM/I50.9", Meaning("event", "diagnosis", "ICD10CM", "I50.9")),
        ("CPT4/99213", Meaning("event", "procedure", "HCPCS", "99213")),
        ("RxNorm/866508", Meaning("event", "drug", "RxNorm", "866508")),
        ("DIAGNOSIS//ICD//10//I509", Meaning("event", "diagnosis", "ICD10CM", "I509")),
        ("PROCEDURE//ICD//9//3995", Meaning("event", "procedure", "ICD9PCS", "3995")),
        ("LAB//50861//IU/L", Meaning("event", "lab", "LOCAL", "LAB//50861//IU/L")),
        ("LAB//LOINC//718-7", Meaning("event", "lab", "LOINC", "718-7")),
        ("DRUG//LOCAL//a//b", Meaning("event", "drug", "LOCAL", "a//b")),
        ("GENDER//F", Meaning("sex", "female")),
        ("Gender/M", Meaning("sex", "male")),
        ("MEDS_BIRTH", Meaning("birth")),
        ("HOSPITAL_ADMISSION//URGENT//ER", Meaning("start", "inpatient")),
        ("anything", Meaning("event", "observation", "LOCAL", "anything")),
    ],
)
def test_the_meaning_of_codes(code, wanted):
    """Our own, those of OMOP's vocabularies, those of common extractions; all others stay local."""
    assert meaning(code) == wanted


@pytest.fixture
def foreign(tmp_path):
    """Return the function that writes rows as a dataset of others."""

    def written(rows, columns=("subject_id", "time", "code", "numeric_value", "hadm_id")):
        place = tmp_path / "foreign" / "data" / "train"
        place.mkdir(parents=True)
        pl.DataFrame(rows, schema=list(columns), orient="row", infer_schema_length=None).write_parquet(
            place / "0.parquet"
        )
        return tmp_path / "foreign"

    return written


def test_datasets_of_others(foreign, tmp_path):
    """Stays by admission and discharge, coverage from the first to the last row, static rows as traits."""
    rows = [
        (7, None, "GENDER//M", None, None),
        (7, datetime(1950, 1, 1), "MEDS_BIRTH", None, None),
        (7, datetime(2020, 1, 1, 8), "HOSPITAL_ADMISSION//URGENT", None, 5),
        (7, datetime(2020, 1, 2), "LOINC/718-7", 9.5, 5),
        (7, datetime(2020, 1, 4, 12), "HOSPITAL_DISCHARGE//HOME", None, 5),
        (7, datetime(2020, 1, 4, 12), "ICD10CM/I50.9", None, 5),
        (7, datetime(2020, 3, 1), "MEDS_DEATH", None, None),
    ]
    history = ingest("meds", foreign(rows), tmp_path / "history")
    assert history.table("person").collect().select("person_id", "sex", "death_date").rows() == [
        ("7", "male", date(2020, 3, 1))
    ]
    assert history.table("encounter").select("encounter_id", "kind", "start", "end").collect().rows() == [
        ("5", "inpatient", datetime(2020, 1, 1, 8), datetime(2020, 1, 4, 12))
    ]
    assert history.table("coverage").select("start_date", "end_date").collect().rows() == [
        (date(2020, 1, 1), date(2020, 3, 1))
    ]
    events = history.table("event").select("kind", "code", "value", "encounter_id").collect().rows()
    assert events == [("lab", "718-7", 9.5, "5"), ("diagnosis", "I50.9", None, "5")]


def test_what_cannot_be_read_is_refused(foreign, tmp_path):
    """A missing column, a damaged file and a folder without data; nothing is written."""
    with pytest.raises(DataError, match="no column 'time'"):
        ingest("meds", foreign([(7, "MEDS_BIRTH")], ("subject_id", "code")), tmp_path / "history")
    (tmp_path / "foreign" / "data" / "train" / "0.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="cut short or damaged"):
        ingest("meds", tmp_path / "foreign", tmp_path / "history")
    with pytest.raises(DataError, match="no data of a MEDS dataset"):
        ingest("meds", tmp_path, tmp_path / "history")
    assert not (tmp_path / "history").exists()


def test_an_export_takes_no_place_and_leaves_no_half(small, write, tmp_path, monkeypatch):
    """A target that is there is left alone; a write that fails leaves nothing."""
    history = write(small)
    export("meds", history, tmp_path / "meds")
    with pytest.raises(StoreError, match="is there already"):
        export("meds", history, tmp_path / "meds")
    with pytest.raises(DataError, match="no format 'omop'"):
        export("omop", history, tmp_path / "other")
    monkeypatch.setattr("riskmodels.history.exporting.write_json", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export("meds", history, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir() if "history" not in path.name) == ["meds"]


def test_the_command(small, write, tmp_path):
    """`riskmodels export meds HISTORY TARGET`, with the day on which things were known."""
    path = write(small).path
    command = ["export", "meds", str(path), str(tmp_path / "meds"), "--as-of", "2020-03-04"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "meds" / "data" / "0.parquet").is_file()
    refused = CliRunner().invoke(main, ["export", "fhir", str(path), str(tmp_path / "fhir")])
    assert refused.exit_code == 1
    assert "there is no format 'fhir'" in refused.output
