"""MEDS: datasets of the Medical Event Data Standard, those that `riskmodels export` writes and others."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters import meds_tables as tables
from riskmodels.history.adapters.base import Adapter, SourceFile, nothing_found, run
from riskmodels.history.adapters.meds_codes import meaning
from riskmodels.history.adapters.tabular import read_table, whole_table
from riskmodels.history.reading import Field
from riskmodels.history.staging import Part

__all__ = ["adapter"]

TEXT, MAYBE = Field(), Field(optional=True)
NUMBER, INSTANT = Field("number", optional=True), Field("instant", optional=True)
FIELDS: dict[str, Field] = {
    "subject_id": TEXT,
    "time": Field("instant"),
    "code": TEXT,
    "numeric_value": NUMBER,
    **dict.fromkeys(("encounter_id", "hadm_id", "visit_id", "unit", "coverage_span"), MAYBE),
    **dict.fromkeys(("facility_id", "provider_id", "admission_type", "admission_source"), MAYBE),
    **dict.fromkeys(("discharge_disposition", "drg"), MAYBE),
    **dict.fromkeys(("dual", "orig_disability", "esrd", "hospice"), MAYBE),
    **dict.fromkeys(("quantity", "days_supply", "paid", "allowed", "position"), NUMBER),
    "recorded_at": INSTANT,
}
SUBJECTS = {"subject_id": TEXT, "person_id": TEXT}
LOOKED_FOR = ("data/0.parquet", "data/train/0.parquet", "metadata/subjects.parquet")


class Meds:
    """Medical Event Data Standard 0.4 (and 0.3): a row a fact, in files sharded by subject."""

    name = "meds"
    version = 1
    description = "MEDS dataset: the folder with data/**/*.parquet"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the files of data/, and what names the subjects where it is there."""
        if not source.is_dir():
            raise DataError(
                "there is no such folder", file=source, fix="name the folder that holds data/ and metadata/"
            )
        paths = sorted((source / "data").rglob("*.parquet"))
        if not paths:
            names = [path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()]
            raise nothing_found(source, "no data of a MEDS dataset here", LOOKED_FOR[:2], names)
        files = [SourceFile(path, path.relative_to(source).as_posix(), "data") for path in paths]
        named = source / "metadata" / "subjects.parquet"
        if named.is_file():
            files.append(SourceFile(named, "metadata/subjects.parquet", "subjects"))
        return files

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read each file twice: for its persons, and for all else."""
        data = [file for file in files if file.table == "data"]
        subjects = next((file for file in files if file.table == "subjects"), None)
        names = None if subjects is None else whole_table(subjects, SUBJECTS)
        for file in data:
            who = _read(file, names)
            yield Part("person", run(tables.persons, who), file.name)
        for file in data:
            rows = _read(file, names)
            yield Part("encounter", run(tables.encounters, rows), file.name)
            yield Part("event", run(tables.events, rows), file.name)
            told = rows.filter(pl.col("role") == "covered").height > 0
            yield Part("coverage", run(tables.coverage if told else tables.contacts, rows), file.name)

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return all files as one piece: each file has persons."""
        return [list(files)]


def adapter() -> Adapter:
    """Return the adapter."""
    return Meds()


def _read(file: SourceFile, names: pl.DataFrame | None) -> pl.DataFrame:
    """Return the rows of a file with the person's own id and what each code says."""
    rows = pl.concat(read_table(file, FIELDS))
    if names is None:
        rows = rows.with_columns(pl.col("subject_id").alias("person_id"))
    else:
        rows = rows.join(names, on="subject_id", how="left").with_columns(
            pl.coalesce("person_id", "subject_id").alias("person_id")
        )
    said = [_row(code) for code in rows["code"].unique().drop_nulls()]
    words = ("code", "role", "word", "code_system", "event_code")
    known = pl.DataFrame(said, schema=dict.fromkeys(words, pl.String), orient="row")
    visit = pl.coalesce("encounter_id", "hadm_id", "visit_id").alias("encounter_id")
    return rows.join(known, on="code", how="inner").with_columns(visit, pl.col("position").cast(pl.Int32))


def _row(code: str) -> tuple[Any, ...]:
    said = meaning(code)
    return (code, said.role, said.word, said.code_system, said.code)
