"""MIMIC-III: the files of version 1.4 and its demo, brought to the columns of MIMIC-IV and read as those."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.history.adapters import mimic_iv_tables as tables
from riskmodels.history.adapters.base import Adapter, SourceFile, candidates, nothing_found, run, the_first
from riskmodels.history.adapters.mimic_iii_words import ADMITTED_FROM, DISCHARGED_TO, NO_RACE, TYPES
from riskmodels.history.reading import Field, no_rows, read_csv, read_whole_csv
from riskmodels.history.staging import Part

__all__ = ["adapter"]

TEXT, NUMBER, INSTANT = Field(), Field("number"), Field("instant")
IDS = {"subject_id": TEXT, "hadm_id": TEXT}
FIELDS: dict[str, dict[str, Field]] = {
    "patients": {"subject_id": TEXT, "gender": TEXT, "dob": INSTANT, "dod": INSTANT},
    "admissions": {
        **IDS,
        "admittime": INSTANT,
        "dischtime": INSTANT,
        "admission_type": TEXT,
        "admission_location": TEXT,
        "discharge_location": TEXT,
        "ethnicity": TEXT,
        "hospital_expire_flag": TEXT,
    },
    "drgcodes": {**IDS, "drg_type": TEXT, "drg_code": TEXT},
    "diagnoses_icd": {**IDS, "seq_num": NUMBER, "icd9_code": TEXT},
    "procedures_icd": {**IDS, "seq_num": NUMBER, "icd9_code": TEXT},
    "prescriptions": {**IDS, "startdate": INSTANT, "drug_type": TEXT, "drug": TEXT, "ndc": TEXT},
    "labevents": {**IDS, "itemid": TEXT, "charttime": INSTANT, "valuenum": NUMBER, "valueuom": TEXT},
    "services": {**IDS, "transfertime": INSTANT, "curr_service": TEXT},
    "icustays": {**IDS, "outtime": INSTANT, "los": NUMBER},
}
REQUIRED = ("patients", "admissions", "diagnoses_icd")
EVENTS: dict[str, Callable[..., Any]] = {
    "prescriptions": tables.prescriptions,
    "labevents": tables.labs,
    "services": tables.services,
    "icustays": tables.icu_stays,
}
BATCH_ROWS = 500_000
OLDEST, AGE_OF_OLDEST = (
    89,
    91,
)  # ages above 89 are hidden: births of 300 years before; their median age was 91.4


class MimicIII:
    """MIMIC-III: patients of one medical center who were in intensive care, dates shifted for each."""

    name = "mimic-iii"
    version = 1
    description = "MIMIC-III CSV files: the folder with PATIENTS.csv.gz and ADMISSIONS.csv.gz"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the files of a folder that have published names, a copy that is packed only once."""
        found = candidates(source, f"MIMIC-III's {REQUIRED[0].upper()}.csv")
        files: dict[str, SourceFile] = {}
        for path in sorted(found, key=lambda path: (len(path.parts), path.suffix.lower() != ".csv", path)):
            table = path.name.lower().removesuffix(".gz").removesuffix(".csv")
            if table in FIELDS and not path.name.lower().endswith(".zip"):
                name = path.relative_to(source).as_posix()
                the_first(files, table, SourceFile(path, name, table), source)
        missing = [name.upper() for name in REQUIRED if name not in files]
        if missing:
            problem = f"no {' and no '.join(missing)} of MIMIC-III here"
            names = [path.relative_to(source).as_posix() for path in found]
            raise nothing_found(source, problem, [f"{name.upper()}.csv" for name in REQUIRED], names)
        return sorted(files.values(), key=lambda file: file.name)

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read patients and admissions whole, then the rest file by file in batches."""
        by_table = {file.table: file for file in files}

        def whole(table: str) -> pl.DataFrame:
            if table not in by_table:
                return no_rows(FIELDS[table])
            return read_whole_csv(by_table[table].path, FIELDS[table], rows_required=table in REQUIRED)

        stays = as_iv(whole("admissions"))
        races = run(tables.race, stays).collect()
        people = _people(whole("patients"), stays).join(races, on="person_id", how="left")
        yield Part("person", people, by_table["patients"].name)
        drgs = whole("drgcodes").with_columns(pl.col("drg_type").replace({"MS": "HCFA"}))
        encounters = run(tables.admissions, stays, drgs).collect()
        yield Part("encounter", encounters, by_table["admissions"].name)
        yield Part("coverage", run(tables.coverage, encounters, people), by_table["admissions"].name)
        coded = _icd9(whole("diagnoses_icd"))
        yield Part("event", run(tables.diagnoses, coded, stays), by_table["diagnoses_icd"].name)
        if "procedures_icd" in by_table:
            ends = stays.select("hadm_id", pl.col("dischtime").alias("chartdate"))
            done = _icd9(whole("procedures_icd")).join(ends, on="hadm_id", how="left")
            yield Part("event", run(tables.procedures, done), by_table["procedures_icd"].name)
        for table, transform in EVENTS.items():
            if table in by_table:
                file = by_table[table]
                for batch in read_csv(file.path, FIELDS[table], rows_required=False, batch_rows=BATCH_ROWS):
                    yield Part("event", run(transform, as_iv(batch)), file.name)

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return all files as one piece."""
        return [list(files)]


def adapter() -> Adapter:
    """Return the adapter."""
    return MimicIII()


def as_iv(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the columns and words of MIMIC-IV."""
    if "startdate" in rows.columns:
        return rows.rename({"startdate": "starttime"})
    if "itemid" in rows.columns:
        return rows.with_columns(pl.lit(None, dtype=pl.Datetime("us")).alias("storetime"))
    if "ethnicity" not in rows.columns:
        return rows
    return rows.with_columns(
        pl.col("admission_type").replace(TYPES),
        pl.col("admission_location").replace(ADMITTED_FROM),
        pl.col("discharge_location").replace(DISCHARGED_TO),
        pl.when(~pl.col("ethnicity").is_in(NO_RACE)).then("ethnicity").alias("race"),
        pl.lit(None, dtype=pl.String).alias("admit_provider_id"),
    )


def _icd9(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("icd9_code").alias("icd_code"), pl.lit("9").alias("icd_version"))


def _people(patients: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Return table person; who is older than 89 at first, and so has a made-up birth, is 91 then."""
    first = stays.group_by("subject_id").agg(pl.col("admittime").min().alias("first"))
    age = (pl.col("first") - pl.col("dob")).dt.total_days() / 365.25
    born = pl.when(age > OLDEST + 1).then(pl.col("first").dt.offset_by(f"-{AGE_OF_OLDEST}y"))
    return patients.join(first, on="subject_id", how="left").select(
        pl.col("subject_id").alias("person_id"),
        born.otherwise("dob").dt.date().alias("birth_date"),
        pl.col("gender").replace_strict({"F": "female", "M": "male"}, default="unknown").alias("sex"),
        pl.col("dod").dt.date().alias("death_date"),
    )
