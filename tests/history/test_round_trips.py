"""Simulated patients out to each format and in again: what a format carries comes back the same."""

import importlib.util
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from riskmodels.datasets import simulate
from riskmodels.history import History, ingest, open_history
from riskmodels.history.exporting import export

_spec = importlib.util.spec_from_file_location("history_writers", Path(__file__).with_name("writers.py"))
assert _spec is not None
assert _spec.loader is not None
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

PERSON = ["person_id", "birth_date", "sex", "death_date"]
SPAN = ["person_id", "start_date", "end_date"]
STATUS = ["payer", "dual", "orig_disability", "esrd"]
STAY = ["encounter_id", "person_id", "kind", "start", "end", "facility_id"]
WORDS = ["admission_type", "admission_source", "discharge_disposition"]
FACT = ["person_id", "time", "kind", "code_system", "code", "encounter_id"]
SUPPLY = ["quantity", "days_supply"]
BILLED = ("diagnosis", "procedure", "drug")
# What comes back: the code system of drugs, the columns of each table, and the kinds of events. All that is
# not here the format has no place for (docs/history.md says so for each).
CARRIED = {
    "tuva": {
        "drugs": "NDC",
        "person": [*PERSON, "race_ethnicity"],
        "coverage": [*SPAN, *STATUS],
        "encounter": [*STAY, *WORDS, "drg", "paid", "allowed", "recorded_at"],
        "event": [*FACT, "position", *SUPPLY, "paid", "recorded_at"],
        "kinds": BILLED,
    },
    "cclf": {
        "drugs": "NDC",
        "person": PERSON,
        "coverage": [],
        "encounter": [*STAY, *WORDS, "drg", "paid", "recorded_at"],
        "event": [*FACT, "position", *SUPPLY, "recorded_at"],
        "kinds": BILLED,
    },
    "omop": {
        "drugs": "ATC",
        "person": PERSON,
        "coverage": SPAN,
        "encounter": [*STAY, "discharge_disposition"],
        "event": [*FACT, *SUPPLY, "value", "unit"],
        "kinds": (*BILLED, "lab"),
    },
    "synthea": {
        "drugs": "RxNorm",
        "person": [*PERSON, "race_ethnicity"],
        "coverage": [],
        "encounter": [*STAY, "paid", "allowed"],
        "event": [*FACT, "quantity", "value", "unit"],
        "kinds": ("diagnosis", "drug", "lab"),
    },
    "fhir": {
        "drugs": "ATC",
        "person": PERSON,
        "coverage": [*SPAN, "payer"],
        "encounter": [*STAY, *WORDS],
        "event": [*FACT, *SUPPLY, "value", "unit"],
        "kinds": (*BILLED, "lab"),
    },
    "fhir_claims": {
        "drugs": "NDC",
        "person": PERSON,
        "coverage": [*SPAN, "payer"],
        "encounter": [*STAY, *WORDS, "drg", "paid", "allowed", "recorded_at"],
        "event": [*FACT, *SUPPLY, "paid", "recorded_at"],
        "kinds": BILLED,
    },
    "meds": {
        "drugs": "ATC",
        "person": [*PERSON, "race_ethnicity"],
        "coverage": [*SPAN, *STATUS],
        "encounter": [*STAY, *WORDS, "drg", "paid", "allowed", "recorded_at"],
        "event": [*FACT, *SUPPLY, "position", "unit", "paid", "recorded_at"],
        "kinds": (*BILLED, "lab"),
    },
}


@pytest.fixture(scope="module")
def simulated() -> dict[str, pl.DataFrame]:
    """Return the tables of a few simulated patients; Tuva and others write payers in small letters."""
    tables = simulate(150, seed=1, start=date(2021, 1, 1), end=date(2022, 6, 30)).tables
    payer = pl.col("payer").str.to_lowercase()
    known = tables["person"].filter(pl.col("race_ethnicity") != "unknown")["person_id"]
    # Claims formats tell of who is enrolled only; a race that is not known is null.
    covered = tables["coverage"]["person_id"].unique()
    inside = {
        name: frame.filter(
            pl.col("person_id").is_in(covered.implode()), pl.col("person_id").is_in(known.implode())
        )
        for name, frame in tables.items()
    }
    return {**inside, "coverage": inside["coverage"].with_columns(payer)}


def there_and_back(name: str, tables: dict[str, pl.DataFrame], folder: Path) -> History:
    if name == "meds":
        from riskmodels.history import Part, write_history

        parts = [Part(table, frame, table) for table, frame in tables.items()]
        export("meds", write_history(parts, folder / "first", source_format="test"), folder / "source")
    else:
        getattr(writers, name)(tables, folder / "source")
    return ingest(name.split("_")[0], folder / "source", folder / "history")


def rows(frame: pl.DataFrame, columns: list[str]) -> list[tuple]:
    return sorted(frame.select(columns).rows(), key=str)


@pytest.mark.parametrize("name", CARRIED)
def test_a_history_comes_back(name, simulated, tmp_path):
    """The same persons, spans, encounters and facts, in the columns and kinds that the format carries."""
    carried = CARRIED[name]
    before = simulated if carried["drugs"] == "ATC" else writers.coded_drugs(simulated, carried["drugs"])
    history = there_and_back(name, before, tmp_path)
    after = {table: history.table(table).collect() for table in before}
    assert rows(after["person"], carried["person"]) == rows(before["person"], carried["person"])
    if carried["coverage"]:
        assert rows(after["coverage"], carried["coverage"]) == rows(before["coverage"], carried["coverage"])
    stays = before["encounter"]
    if name == "fhir":  # one class for visits to offices and to hospital outpatient departments
        stays = stays.with_columns(pl.col("kind").replace({"outpatient": "office"}))
    if name in ("tuva", "cclf"):  # a physician's claim names no place
        office = pl.col("kind") == "office"
        stays = stays.with_columns(pl.when(~office).then("facility_id").alias("facility_id"))
        place = pl.when(~office).then("facility_id").alias("facility_id")
        after["encounter"] = after["encounter"].with_columns(place)
    assert rows(after["encounter"], carried["encounter"]) == rows(stays, carried["encounter"])
    events = before["event"].filter(pl.col("kind").is_in(carried["kinds"]))
    # The revenue codes that tell the kind of a claim are facts of their own.
    told = after["event"].filter(pl.col("code_system") != "REVENUE")
    assert set(told["kind"]) == set(carried["kinds"]) & set(before["event"]["kind"])
    again = 0
    if name == "cclf":  # a diagnosis of Part A that is the principal one again is the principal one
        hospital = before["encounter"].filter(pl.col("kind") != "office")
        first = events.filter(pl.col("kind") == "diagnosis", pl.col("position") == 1)
        first = first.join(hospital, on="encounter_id", how="semi")
        first = first.select("encounter_id", pl.col("code").alias("principal"))
        events = events.join(first, on="encounter_id", how="left")
        repeats = (pl.col("code") == pl.col("principal")) & (pl.col("position") > 1)
        again = events.filter(repeats).height
        events = events.filter(repeats.is_null() | ~repeats)
    if name == "synthea":  # without a position, a diagnosis that a claim has twice is one
        again = events.height - events.unique(carried["event"]).height
        events = events.unique(carried["event"])
    assert rows(told, carried["event"]) == rows(events, carried["event"])
    assert history.manifest.dropped == ({"event": {"the same row again": again}} if again else {})


def test_what_does_not_come_back_is_not_made_up(simulated, tmp_path):
    """Columns that a format has no place for are null, not filled."""
    expected = {
        "omop": {"encounter": ["paid", "allowed", "drg", "recorded_at"], "event": ["paid", "recorded_at"]},
        "synthea": {
            "encounter": [*WORDS, "drg", "recorded_at"],
            "event": ["days_supply", "paid", "recorded_at"],
        },
        "fhir": {"encounter": ["paid", "allowed", "drg", "recorded_at"], "event": ["paid"]},
    }
    for name, tables in expected.items():
        before = writers.coded_drugs(simulated, "RxNorm") if name == "synthea" else simulated
        history = there_and_back(name, before, tmp_path / name)
        for table, columns in tables.items():
            frame = open_history(history.path).table(table).collect()
            assert {column: frame[column].null_count() for column in columns} == dict.fromkeys(
                columns, frame.height
            ), name
