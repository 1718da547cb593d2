"""MIMIC-IV: the files of hosp/ and, where present, icu/, by their published names."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.history.adapters import mimic_iv_tables as tables
from riskmodels.history.adapters.base import Adapter, SourceFile, candidates, nothing_found, run, the_first
from riskmodels.history.reading import Field, no_rows, read_csv, read_whole_csv
from riskmodels.history.staging import Part

__all__ = ["adapter"]

TEXT, NUMBER, DAY, INSTANT = Field(), Field("number"), Field("day"), Field("instant")
IDS = {"subject_id": TEXT, "hadm_id": TEXT}
FIELDS: dict[str, dict[str, Field]] = {
    "patients": {
        "subject_id": TEXT,
        "gender": TEXT,
        "anchor_age": NUMBER,
        "anchor_year": NUMBER,
        "dod": DAY,
    },
    "admissions": {
        **IDS,
        "admittime": INSTANT,
        "dischtime": INSTANT,
        "admission_type": TEXT,
        "admit_provider_id": Field(optional=True),
        "admission_location": TEXT,
        "discharge_location": TEXT,
        "race": TEXT,
        "hospital_expire_flag": TEXT,
    },
    "transfers": {**IDS, "transfer_id": TEXT, "eventtype": TEXT, "intime": INSTANT, "outtime": INSTANT},
    "drgcodes": {**IDS, "drg_type": TEXT, "drg_code": TEXT},
    "diagnoses_icd": {**IDS, "seq_num": NUMBER, "icd_code": TEXT, "icd_version": TEXT},
    "procedures_icd": {**IDS, "seq_num": NUMBER, "chartdate": DAY, "icd_code": TEXT, "icd_version": TEXT},
    "hcpcsevents": {**IDS, "chartdate": DAY, "hcpcs_cd": TEXT, "seq_num": NUMBER},
    "prescriptions": {**IDS, "starttime": INSTANT, "drug_type": TEXT, "drug": TEXT, "ndc": TEXT},
    "labevents": {
        **IDS,
        "itemid": TEXT,
        "charttime": INSTANT,
        "storetime": INSTANT,
        "valuenum": NUMBER,
        "valueuom": TEXT,
    },
    "omr": {
        "subject_id": TEXT,
        "chartdate": DAY,
        "seq_num": NUMBER,
        "result_name": TEXT,
        "result_value": TEXT,
    },
    "services": {**IDS, "transfertime": INSTANT, "curr_service": TEXT},
    "icustays": {**IDS, "outtime": INSTANT, "los": NUMBER},
}
REQUIRED = ("patients", "admissions", "diagnoses_icd")
EVENTS: dict[str, Callable[..., Any]] = {
    "procedures_icd": tables.procedures,
    "hcpcsevents": tables.hcpcs,
    "prescriptions": tables.prescriptions,
    "labevents": tables.labs,
    "omr": tables.vitals,
    "services": tables.services,
    "icustays": tables.icu_stays,
}
BATCH_ROWS = 500_000


class MimicIV:
    """MIMIC-IV: de-identified hospital records of one medical center, dates shifted for each patient."""

    name = "mimic-iv"
    version = 1
    description = "MIMIC-IV CSV files: the folder with hosp/ (and icu/), or hosp/ itself"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the files of a folder that have published names, a copy that is packed only once."""
        looked_for = [f"hosp/{name}.csv.gz" for name in REQUIRED]
        found = candidates(source, f"MIMIC-IV's hosp/ with {REQUIRED[0]}.csv.gz")
        files: dict[str, SourceFile] = {}
        for path in sorted(found, key=lambda path: (len(path.parts), path.suffix.lower() != ".csv", path)):
            table = path.name.lower().removesuffix(".gz").removesuffix(".csv")
            if table in FIELDS and not path.name.lower().endswith(".zip"):
                name = path.relative_to(source).as_posix()
                the_first(files, table, SourceFile(path, name, table), source)
        names = [path.relative_to(source).as_posix() for path in found]
        missing = [name for name in REQUIRED if name not in files]
        if missing:
            raise nothing_found(source, f"no {' and no '.join(missing)} of MIMIC-IV here", looked_for, names)
        return sorted(files.values(), key=lambda file: file.name)

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read patients and admissions whole, then the rest file by file in batches."""
        by_table = {file.table: file for file in files}
        if "patients" in by_table:
            yield from _patients_and_stays(by_table)
        for table, transform in EVENTS.items():
            if table in by_table:
                file = by_table[table]
                for batch in read_csv(file.path, FIELDS[table], rows_required=False, batch_rows=BATCH_ROWS):
                    yield Part("event", run(transform, batch), file.name)

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return what tells of patients and their stays, then each file of events."""
        first = [file for file in files if file.table not in EVENTS]
        return [first, *([file] for file in files if file.table in EVENTS)]


def adapter() -> Adapter:
    """Return the adapter."""
    return MimicIV()


def _patients_and_stays(by_table: dict[str, SourceFile]) -> Iterator[Part]:
    def whole(table: str) -> pl.DataFrame:
        if table not in by_table:
            return no_rows(FIELDS[table])
        return read_whole_csv(by_table[table].path, FIELDS[table], rows_required=table in REQUIRED)

    patients, stays = whole("patients"), whole("admissions")
    races = run(tables.race, stays).collect()
    people = run(tables.persons, patients).collect().join(races, on="person_id", how="left")
    yield Part("person", people, by_table["patients"].name)
    encounters = run(tables.admissions, stays, whole("drgcodes")).collect()
    visits = run(tables.ed_stays, whole("transfers")).collect()
    yield Part("encounter", encounters, by_table["admissions"].name)
    if visits.height:
        yield Part("encounter", visits, by_table["transfers"].name)
    contacts = pl.concat([frame.select("person_id", "start", "end") for frame in (encounters, visits)])
    yield Part("coverage", run(tables.coverage, contacts, people), by_table["admissions"].name)
    coded = whole("diagnoses_icd")
    yield Part("event", run(tables.diagnoses, coded, stays), by_table["diagnoses_icd"].name)
