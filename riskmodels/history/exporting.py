"""A history as a dataset of the Medical Event Data Standard (MEDS 0.4), for the tools that read it.

The layout is that of the standard's README and `meds.schema`: ``data/*.parquet`` with ``subject_id``,
``time``, ``code``, ``numeric_value`` and columns of our own; ``metadata/codes.parquet`` and
``metadata/dataset.json``.
"""

from pathlib import Path
from typing import Any

import polars as pl

from riskmodels import __version__
from riskmodels.errors import DataError, StoreError, did_you_mean
from riskmodels.files import atomic_directory, write_json
from riskmodels.history.adapters.meds_codes import (
    BIRTH,
    COVERAGE_END,
    COVERAGE_START,
    DEATH,
    ENCOUNTER_END,
    ENCOUNTER_START,
    RACE,
    SEX,
)
from riskmodels.history.opening import History, Shard
from riskmodels.progress import track

__all__ = ["EXTRA", "export"]

MEDS_VERSION = "0.4.0"
# Columns beside those of the standard, with the names and types that they have in a history.
EXTRA: dict[str, Any] = {
    "encounter_id": pl.String,
    "coverage_span": pl.Int32,
    "facility_id": pl.String,
    "provider_id": pl.String,
    "admission_type": pl.String,
    "admission_source": pl.String,
    "discharge_disposition": pl.String,
    "drg": pl.String,
    "unit": pl.String,
    "quantity": pl.Float64,
    "days_supply": pl.Float64,
    "paid": pl.Float64,
    "allowed": pl.Float64,
    "position": pl.Int32,
    "dual": pl.Boolean,
    "orig_disability": pl.Boolean,
    "esrd": pl.Boolean,
    "hospice": pl.Boolean,
    "recorded_at": pl.Datetime("us"),
}
KNOWN_AT_START = ("encounter_id", "facility_id", "provider_id", "admission_type", "admission_source")
COVERED = ("dual", "orig_disability", "esrd", "hospice")


def export(format: str, history: History, target: str | Path) -> Path:  # noqa: A002 - the word users know
    """Write a history, as it is shown, as another format's dataset, whole or not at all.

    Parameters
    ----------
    format : {"meds"}
    history : History
        If it was opened with `as_of`, only what was known then is written.
    target : path
        The folder to make.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    DataError
        If there is no such format.
    StoreError
        If `target` is taken.
    """
    if format != "meds":
        raise DataError(f"there is no format {format!r} to export to. {did_you_mean(format, ['meds'])}")
    target = Path(target)
    if target.exists():
        raise StoreError(f"{target} is there already.\nFix: choose another place, or remove it.")
    with atomic_directory(target) as folder:
        _write(history, folder)
    return target


def _write(history: History, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "metadata").mkdir()
    numbered = _subjects(history)
    codes: list[pl.DataFrame] = []
    for shard in track(history.shards(), "Exporting", unit="shard", total=history.n_shards):
        subjects = numbered.filter(pl.col("person") % history.n_shards == shard.number)
        rows = shard_rows(shard, subjects.select("person", "subject_id"), history.vocabulary)
        _write_parquet(rows, folder / "data" / f"{shard.number}.parquet")
        codes.append(rows.select("code").unique())
    found = pl.concat(codes).unique().sort("code")
    _write_parquet(_described(found), folder / "metadata" / "codes.parquet")
    _write_parquet(numbered.select("subject_id", "person_id"), folder / "metadata" / "subjects.parquet")
    write_json(
        folder / "metadata" / "dataset.json",
        {
            "dataset_name": f"riskmodels history from {history.manifest.source_format}",
            "dataset_version": history.fingerprint,
            "etl_name": "riskmodels export meds",
            "etl_version": __version__,
            "meds_version": MEDS_VERSION,
        },
    )


def _subjects(history: History) -> pl.DataFrame:
    """Return person, person_id and subject_id: the own id where all of them are plain whole numbers."""
    people = pl.concat([shard.person.select("person", "person_id") for shard in history.shards(["person"])])
    own = people["person_id"].cast(pl.Int64, strict=False)
    plain = bool((own.cast(pl.String) == people["person_id"]).fill_null(False).all())
    ids = own if plain else people["person"].cast(pl.Int64)
    return people.with_columns(ids.alias("subject_id")).sort("subject_id")


def shard_rows(shard: Shard, subjects: pl.DataFrame, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a shard in MEDS form, those of a subject together and in the order of time.

    A row of an encounter's start has only what is known at the start; what it came to is at its end.
    """
    ids = shard.encounter.select("encounter", "encounter_id")
    events = (
        shard.event.join(vocabulary, on="code", how="left")
        .join(ids, on="encounter", how="left")
        .with_columns(
            pl.concat_str(
                pl.col("kind").cast(pl.String).str.to_uppercase(), "code_system", "code_text", separator="//"
            ).alias("code"),
            pl.col("value").cast(pl.Float32).alias("numeric_value"),
        )
    )
    pieces = [*_people(shard.person), *_spans(shard.coverage), *_stays(shard.encounter), events]
    wanted = {"time": pl.Datetime("us"), "code": pl.String, "numeric_value": pl.Float32, **EXTRA}
    rows = pl.concat(
        piece.select(
            "person",
            *(
                (pl.col(name) if name in piece.columns else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in wanted.items()
            ),
        )
        for piece in pieces
    )
    rows = rows.join(subjects, on="person", how="inner").select("subject_id", *wanted)
    return rows.sort("subject_id", "time", "code", *EXTRA, nulls_last=False)


def _people(person: pl.DataFrame) -> list[pl.DataFrame]:
    def static(prefix: str, column: str) -> pl.DataFrame:
        known = person.filter(pl.col(column).is_not_null())
        return known.select("person", pl.concat_str(pl.lit(f"{prefix}//"), column).alias("code"))

    dead = person.filter(pl.col("death_date").is_not_null())
    return [
        static(SEX, "sex"),
        static(RACE, "race_ethnicity"),
        person.select("person", pl.col("birth_date").alias("time"), pl.lit(BIRTH).alias("code")),
        dead.select("person", pl.col("death_date").alias("time"), pl.lit(DEATH).alias("code")),
    ]


def _spans(coverage: pl.DataFrame) -> list[pl.DataFrame]:
    numbered = coverage.with_columns(pl.int_range(pl.len()).over("person").alias("coverage_span"))
    payer = pl.col("payer").fill_null("")
    start = pl.concat_str(pl.lit(f"{COVERAGE_START}//"), payer).str.strip_suffix("//")
    return [
        numbered.select(
            "person", "coverage_span", *COVERED, pl.col("start_date").alias("time"), start.alias("code")
        ),
        numbered.select(
            "person", "coverage_span", pl.col("end_date").alias("time"), pl.lit(COVERAGE_END).alias("code")
        ),
    ]


def _stays(encounter: pl.DataFrame) -> list[pl.DataFrame]:
    def code(prefix: str) -> pl.Expr:
        return pl.concat_str(pl.lit(f"{prefix}//"), pl.col("kind").cast(pl.String)).alias("code")

    start = encounter.select("person", *KNOWN_AT_START, pl.col("start").alias("time"), code(ENCOUNTER_START))
    end = encounter.drop("kind", "start").rename({"end": "time"})
    return [start, end.with_columns(encounter.select(code(ENCOUNTER_END)).to_series())]


def _described(codes: pl.DataFrame) -> pl.DataFrame:
    """Return the table of codes: a fact's parent is its code as OMOP's vocabularies write it."""
    parts = pl.col("code").str.splitn("//", 3)
    parent = pl.concat_str(parts.struct.field("field_1"), parts.struct.field("field_2"), separator="/")
    return codes.select(
        "code",
        pl.lit(None, dtype=pl.String).alias("description"),
        pl.when(parent.is_not_null()).then(pl.concat_list(parent)).alias("parent_codes"),
    )


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write with the Arrow types that the standard names: readers of MEDS compare them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = []
    for field in table.schema:
        kind = field.type
        if pa.types.is_large_string(kind):
            kind = pa.string()
        elif pa.types.is_large_list(kind):
            kind = pa.list_(pa.string())
        fields.append(pa.field(field.name, kind))
    pq.write_table(table.cast(pa.schema(fields)), path)
