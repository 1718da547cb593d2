"""Tables of a database, through Arrow readers, give the same history as their files."""

import polars as pl
import pyarrow as pa
import pytest

from riskmodels.errors import DataError, StoreError
from riskmodels.history import ingest, ingest_tables

duckdb = pytest.importorskip("duckdb")

TABLES = {
    "person": {
        "person_id": [1, 2],
        "gender_concept_id": [8507, 8532],
        "year_of_birth": [1950, 1960],
        "month_of_birth": [3, None],
        "day_of_birth": [9, None],
    },
    "observation_period": {
        "person_id": [1, 2],
        "observation_period_start_date": ["2019-01-01", "2019-01-01"],
        "observation_period_end_date": ["2020-06-01", "2020-12-31"],
    },
    "visit_occurrence": {
        "visit_occurrence_id": [10, 11],
        "person_id": [1, 2],
        "visit_concept_id": [9201, 9203],
        "visit_start_date": ["2020-01-01", "2020-02-01"],
        "visit_end_date": ["2020-01-05", "2020-02-01"],
    },
    "condition_occurrence": {
        "person_id": [1, 2],
        "condition_concept_id": [1001, 1001],
        "condition_start_date": ["2020-01-01", "2020-02-01"],
        "visit_occurrence_id": [10, None],
    },
    "concept": {
        "concept_id": [0, 1001],
        "concept_name": ["none", "Acute systolic heart failure"],
        "vocabulary_id": ["None", "ICD10CM"],
        "concept_code": ["none", "I50.21"],
    },
}


@pytest.fixture
def frames():
    """Return OMOP tables as a database has them: whole numbers, and days."""
    days = pl.col("^.*_date$").str.to_date()
    return {name: pl.DataFrame(columns).with_columns(days) for name, columns in TABLES.items()}


def test_a_database_gives_the_history_of_its_files(frames, tmp_path):
    """DuckDB's record batches, an Arrow table, a Polars frame: as the same tables in CSV files."""
    (tmp_path / "csv").mkdir()
    connection = duckdb.connect()
    streams = {}
    for name, frame in frames.items():
        frame.write_csv(tmp_path / "csv" / f"{name}.csv")
        connection.register("given", frame.to_arrow())
        connection.execute(f"create table {name} as from given")
        query = connection.cursor().execute(f"select * from {name}")
        streams[name.upper()] = query.to_arrow_reader(1)
    streams["CONCEPT"], streams["PERSON"] = frames["concept"].to_arrow(), frames["person"]
    of_files = ingest("omop", tmp_path / "csv", tmp_path / "of-files")
    of_tables = ingest_tables("omop", streams, tmp_path / "of-tables")
    assert of_tables.fingerprint == of_files.fingerprint
    assert of_tables.manifest.source_format == "omop"
    assert of_tables.table("event").collect()["code"].to_list() == ["I50.21", "I50.21"]


def test_refusals(frames, tmp_path):
    """A table that is missing, empty, of other columns or no stream is named; nothing is written."""
    out = tmp_path / "history"
    with pytest.raises(DataError, match="no visit_occurrence of OMOP"):
        ingest_tables("omop", {n: f for n, f in frames.items() if n != "visit_occurrence"}, out)
    with pytest.raises(DataError, match="table person: the file has no rows"):
        ingest_tables("omop", {**frames, "person": frames["person"].clear()}, out)
    with pytest.raises(DataError, match="table person: there is no column 'year_of_birth'"):
        ingest_tables("omop", {**frames, "person": frames["person"].drop("year_of_birth")}, out)
    wrong = frames["person"].with_columns(pl.lit(13).alias("month_of_birth"))
    with pytest.raises(DataError, match=r"table person, column year_of_birth: .* are no date"):
        ingest_tables("omop", {**frames, "person": wrong}, out)
    with pytest.raises(DataError, match="the table person is of type list, which is no Arrow stream"):
        ingest_tables("omop", {**frames, "person": [1, 2]}, out)
    with pytest.raises(DataError, match="'mimic-iv' is not a format of tables"):
        ingest_tables("mimic-iv", frames, out)
    assert not list(tmp_path.iterdir())
    ingest_tables("omop", frames, out)
    with pytest.raises(StoreError):
        ingest_tables("omop", {**frames, "concept": frames["concept"].head(1)}, out)


def test_a_reader_that_breaks_leaves_nothing(frames, tmp_path):
    """An error of the database while it is read is the caller's to see, and nothing is written."""

    def batches():
        yield frames["person"].to_arrow().to_batches()[0]
        raise ConnectionError("the connection was lost")

    schema = frames["person"].to_arrow().schema
    broken = pa.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(OSError, match="the connection was lost"):
        ingest_tables("omop", {**frames, "person": broken}, tmp_path / "history")
    assert not list(tmp_path.iterdir())
