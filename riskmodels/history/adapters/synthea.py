"""Synthea: the CSV files of its exporter, by their published names."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.history.adapters import synthea_tables as tables
from riskmodels.history.adapters.base import Adapter, SourceFile, run
from riskmodels.history.adapters.tabular import read_table, tables_in, whole_table
from riskmodels.history.reading import Field, no_rows
from riskmodels.history.staging import Part

__all__ = ["adapter"]

TEXT, DAY, INSTANT = Field(), Field("day"), Field("instant")
MAYBE = Field(optional=True)
CODED = {"START": INSTANT, "PATIENT": TEXT, "ENCOUNTER": TEXT, "CODE": TEXT}
FIELDS: dict[str, dict[str, Field]] = {
    "patients": {
        "Id": TEXT,
        "BIRTHDATE": DAY,
        "DEATHDATE": DAY,
        "RACE": TEXT,
        "ETHNICITY": TEXT,
        "GENDER": TEXT,
    },
    "encounters": {
        "Id": TEXT,
        "START": INSTANT,
        "STOP": INSTANT,
        "PATIENT": TEXT,
        "ORGANIZATION": MAYBE,
        "PROVIDER": MAYBE,
        "ENCOUNTERCLASS": TEXT,
        "CODE": TEXT,
        "REASONCODE": MAYBE,
        "TOTAL_CLAIM_COST": Field("number", optional=True),
        "PAYER_COVERAGE": Field("number", optional=True),
    },
    "payer_transitions": {
        "PATIENT": TEXT,
        "START_DATE": Field("instant", optional=True),
        "END_DATE": Field("instant", optional=True),
        "START_YEAR": Field("number", optional=True),
        "END_YEAR": Field("number", optional=True),
        "PAYER": TEXT,
    },
    "payers": {"Id": TEXT, "NAME": TEXT},
    "conditions": {**CODED, "SYSTEM": MAYBE},
    "procedures": {**CODED, "SYSTEM": MAYBE},
    "medications": {**CODED, "DISPENSES": Field("number", optional=True)},
    "immunizations": {"DATE": INSTANT, "PATIENT": TEXT, "ENCOUNTER": TEXT, "CODE": TEXT},
    "observations": {
        "DATE": INSTANT,
        "PATIENT": TEXT,
        "ENCOUNTER": TEXT,
        "CATEGORY": MAYBE,
        "CODE": TEXT,
        "VALUE": TEXT,
        "UNITS": TEXT,
        "TYPE": TEXT,
    },
}
REQUIRED = ("patients", "encounters", "conditions")
EVENTS: dict[str, Callable[..., Any]] = {
    "medications": tables.medications,
    "immunizations": tables.immunizations,
}
CODE_KINDS = {"conditions": "diagnosis", "procedures": "procedure"}


class Synthea:
    """Synthea's CSV export: synthetic patients, SNOMED CT conditions and procedures, RxNorm, LOINC."""

    name = "synthea"
    version = 1
    description = "Synthea CSV export: patients, encounters, conditions and what else there is"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the tables of a folder or archive by their names."""
        found = tables_in(source, FIELDS, "Synthea's patients.csv, encounters.csv and conditions.csv")
        return found.complete(source, REQUIRED, "Synthea")

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read patients and encounters whole, then the rest file by file in batches."""
        by_table = {file.table: file for file in files}
        patients = whole_table(by_table["patients"], FIELDS["patients"], rows_required=True)
        visits = whole_table(by_table["encounters"], FIELDS["encounters"], rows_required=True)
        yield Part("person", run(tables.persons, patients), by_table["patients"].name)
        yield Part("encounter", run(tables.encounters, visits), by_table["encounters"].name)
        yield Part("event", run(tables.reasons, visits), by_table["encounters"].name)
        yield _coverage(by_table, patients, visits)
        for file in files:
            if file.table in CODE_KINDS:
                needed = file.table in REQUIRED
                for batch in read_table(file, FIELDS[file.table], rows_required=needed):
                    coded = run(tables.codes, batch, visits, kind=CODE_KINDS[file.table])
                    yield Part("event", coded, file.name)
            elif file.table in EVENTS:
                for batch in read_table(file, FIELDS[file.table]):
                    yield Part("event", run(EVENTS[file.table], batch), file.name)
        if "observations" in by_table:
            file = by_table["observations"]
            for batch in read_table(file, FIELDS["observations"]):
                numbers = batch.with_columns(pl.col("VALUE").cast(pl.Float64, strict=False))
                yield Part("event", run(tables.observations, numbers), file.name)

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return all files as one piece: encounters say what the other files mean."""
        return [list(files)]


def adapter() -> Adapter:
    """Return the adapter."""
    return Synthea()


def _coverage(by_table: dict[str, SourceFile], patients: pl.DataFrame, visits: pl.DataFrame) -> Part:
    """Return the spans of payers; where there are none, the life of each patient."""
    payers = no_rows(FIELDS["payers"])
    if "payers" in by_table:
        payers = whole_table(by_table["payers"], FIELDS["payers"])
    file = by_table.get("payer_transitions")
    if file is None:
        label = by_table["patients"].name
        spans = patients.select(
            pl.col("Id").alias("PATIENT"),
            pl.col("BIRTHDATE").cast(pl.Datetime("us")).alias("START_DATE"),
            pl.lit(datetime(9999, 1, 1)).alias("END_DATE"),
            pl.lit(None, dtype=pl.String).alias("PAYER"),
        )
    else:
        label = file.name
        spans = whole_table(file, FIELDS["payer_transitions"])
        # Before its version 3 the exporter told the years of a span, the last one included.
        first, after = pl.col("START_YEAR").cast(pl.Int32), pl.col("END_YEAR").cast(pl.Int32) + 1
        spans = spans.with_columns(
            pl.coalesce("START_DATE", pl.datetime(first, 1, 1)),
            pl.coalesce("END_DATE", pl.datetime(after, 1, 1)),
        )
    last = visits.select(pl.max_horizontal(pl.col("START").max(), pl.col("STOP").max()).dt.date()).item()
    spans = spans.with_columns(pl.lit(last, dtype=pl.Date).alias("last_day"))
    return Part("coverage", run(tables.coverage, spans, payers, patients), label)
