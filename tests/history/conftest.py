"""Small histories as tables of text, and the files of publishers in their published layout."""

import csv
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from riskmodels.history import History, Part, write_history

SMALL: dict[str, list[dict[str, Any]]] = {
    "person": [
        {"person_id": "b", "birth_date": date(1940, 5, 1), "sex": "male", "death_date": date(2020, 6, 1)},
        {"person_id": "a", "birth_date": date(1950, 1, 1), "sex": "female", "death_date": None},
        {"person_id": "c", "birth_date": date(1960, 7, 9), "sex": "unknown", "death_date": None},
    ],
    "coverage": [
        {"person_id": "a", "start_date": date(2019, 1, 1), "end_date": date(2020, 12, 31)},
        {"person_id": "b", "start_date": date(2020, 2, 1), "end_date": date(2020, 6, 1)},
    ],
    "encounter": [
        {
            "encounter_id": "e2",
            "person_id": "a",
            "kind": "inpatient",
            "start": datetime(2020, 3, 1, 10),
            "end": datetime(2020, 3, 4, 15),
        },
        {
            "encounter_id": "e1",
            "person_id": "a",
            "kind": "emergency",
            "start": datetime(2020, 1, 5),
            "end": datetime(2020, 1, 5),
        },
        {
            "encounter_id": "e3",
            "person_id": "b",
            "kind": "inpatient",
            "start": datetime(2020, 5, 1),
            "end": datetime(2020, 5, 9),
        },
    ],
    "event": [
        {
            "person_id": "a",
            "time": datetime(2020, 3, 4, 15),
            "kind": "diagnosis",
            "code_system": "ICD10CM",
            "code": "I50.9",
            "position": 1,
            "encounter_id": "e2",
        },
        {
            "person_id": "a",
            "time": datetime(2020, 3, 2, 6),
            "kind": "lab",
            "code_system": "LOINC",
            "code": "718-7",
            "value": 9.5,
            "unit": "g/dL",
            "encounter_id": "e2",
        },
        {
            "person_id": "b",
            "time": datetime(2020, 2, 3),
            "kind": "drug",
            "code_system": "NDC",
            "code": "00002751001",
            "days_supply": 30.0,
        },
        {
            "person_id": "a",
            "time": datetime(2020, 1, 5),
            "kind": "diagnosis",
            "code_system": "ICD10CM",
            "code": "A41.9",
            "position": 1,
            "encounter_id": "e1",
        },
    ],
}
Tables = dict[str, list[dict[str, Any]]]


def as_parts(tables: Tables) -> list[Part]:
    return [
        Part(name, pl.DataFrame(rows, infer_schema_length=None), f"{name}.csv")
        for name, rows in tables.items()
        if rows
    ]


@pytest.fixture
def small() -> Tables:
    """Return three persons, three encounters and four events, in no order; tests may change them."""
    return {name: [dict(row) for row in rows] for name, rows in SMALL.items()}


@pytest.fixture
def parts() -> Callable[[Tables], list[Part]]:
    """Return the function that makes parts of tables."""
    return as_parts


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., History]:
    """Return the function that writes tables as a history in a new folder."""
    numbers = iter(range(1000))

    def written(tables: Tables, **options: Any) -> History:
        path = tmp_path / f"history{next(numbers)}"
        return write_history(as_parts(tables), path, **{"source_format": "test", **options})

    return written


@pytest.fixture
def csv_file() -> Callable[[Path, list[str], Iterable[dict[str, Any]]], Path]:
    """Return the function that writes rows as a CSV file, blank where a row has no value."""

    def written(path: Path, columns: list[str], rows: Iterable[dict[str, Any]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return written


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def bytes_of() -> Callable[[Path], dict[str, bytes]]:
    """Return the function that reads every file of a folder."""
    return contents
