"""Files that were changed on the way: what says the same is read the same, all else is refused by name."""

import csv
import importlib.util
import io
import re
import shutil
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError
from riskmodels.history import ingest, open_history
from riskmodels.history.adapters import FORMATS, desynpuf, mimic_iii, mimic_iv
from riskmodels.history.exporting import export

_spec = importlib.util.spec_from_file_location("history_writers", Path(__file__).with_name("writers.py"))
assert _spec is not None
assert _spec.loader is not None
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

DRUGS = {"tuva": "NDC", "omop": "ATC", "synthea": "RxNorm"}
# A table that each needs, and one of its columns that is a day.
NEEDED = {
    "tuva": ("medical_claim.csv", "claim_start_date"),
    "omop": ("visit_occurrence.csv", "visit_start_date"),
    "synthea": ("encounters.csv", "START"),
    "desynpuf": ("DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.csv", "CLM_ADMSN_DT"),
    "mimic-iii": ("ADMISSIONS.csv", "admittime"),
    "mimic-iv": ("hosp/admissions.csv", "admittime"),
}
PEOPLE = [f"P{number:04}" for number in range(30)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a source of each format, of the same few simulated patients."""
    folder = tmp_path_factory.mktemp("sources")
    tables = simulate(25, seed=3, start=date(2021, 1, 1), end=date(2021, 12, 31)).tables
    for name, system in DRUGS.items():
        own = tables if system == "ATC" else writers.coded_drugs(tables, system)
        getattr(writers, name)(own, folder / name)
    written_desynpuf(folder / "desynpuf")
    written_mimic(folder / "mimic-iii", mimic_iii.FIELDS, "{}.csv", upper=True)
    written_mimic(folder / "mimic-iv", mimic_iv.FIELDS, "hosp/{}.csv", upper=False)
    for name in NEEDED:
        ingest(name, folder / name, folder / f"{name}-history")
    return folder


def written(path: Path, columns: Iterable[str], rows: list[dict[str, str]]) -> None:
    """Write a CSV file as the writers of the other formats do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)


def written_desynpuf(folder: Path) -> None:
    """Write a beneficiary summary and a stay of each person in the layout of DE-SynPUF."""
    life = {"BENE_BIRTH_DT": "19400301", "BENE_SEX_IDENT_CD": "2", "BENE_RACE_CD": "1", "BENE_ESRD_IND": "0"}
    months = dict.fromkeys(
        ("BENE_HI_CVRAGE_TOT_MONS", "BENE_SMI_CVRAGE_TOT_MONS", "BENE_HMO_CVRAGE_TOT_MONS"), "12"
    )
    people = [{"DESYNPUF_ID": name, **life, **months} for name in PEOPLE]
    written(
        folder / "DE1_0_2008_Beneficiary_Summary_File_Sample_1.csv", desynpuf.FIELDS["beneficiary"], people
    )
    days = {"CLM_FROM_DT": "20210310", "CLM_THRU_DT": "20210314", "CLM_ADMSN_DT": "20210309"}
    stays = [
        {"DESYNPUF_ID": name, "CLM_ID": f"9{name[1:]}", "SEGMENT": "1", **days, "ICD9_DGNS_CD_1": "4280"}
        for name in PEOPLE
    ]
    written(folder / NEEDED["desynpuf"][0], desynpuf.FIELDS["inpatient"], stays)


def written_mimic(folder: Path, fields: dict[str, Any], name: str, *, upper: bool) -> None:
    """Write patients, admissions and diagnoses in the layout of a release of MIMIC."""
    stay = {"admittime": "2021-02-01 22:10:00", "dischtime": "2021-02-05 13:00:00"}
    coded = {"seq_num": "1", "icd9_code": "4280", "icd_code": "4280", "icd_version": "9"}
    born = {"gender": "F", "dob": "1950-03-05 00:00:00", "anchor_age": "60", "anchor_year": "2020"}
    others = {"admission_type": "EMERGENCY", "hospital_expire_flag": "0"}
    for table, facts in (("patients", born), ("admissions", stay | others), ("diagnoses_icd", coded)):
        ids = [{"subject_id": who, "hadm_id": f"9{who[1:]}"} for who in PEOPLE]
        rows = [{key: value for key, value in (row | facts).items() if key in fields[table]} for row in ids]
        said = str.upper if upper else str
        written(
            folder / name.format(said(table)),
            [said(column) for column in fields[table]],
            [{said(key): value for key, value in row.items()} for row in rows],
        )


def rewritten(text: bytes, change: Callable[[list[list[str]]], list[list[str]]], mark: str = ",") -> bytes:
    written = io.StringIO()
    csv.writer(written, delimiter=mark).writerows(change(list(csv.reader(io.StringIO(text.decode())))))
    return written.getvalue().encode()


def header(text: bytes, change: Callable[[bytes], bytes]) -> bytes:
    first, rest = text.split(b"\n", 1)
    return change(first) + b"\n" + rest


def days_as(text: bytes, form: str) -> bytes:
    """Write the days of all columns in another form."""
    frame = pl.read_csv(io.BytesIO(text), infer_schema=False)
    form_of_days = r"^\d{4}-\d\d-\d\d$"
    days = [name for name in frame.columns if frame[name].str.contains(form_of_days).all()]
    return frame.with_columns(pl.col(days).str.to_date().dt.strftime(form)).write_csv().encode()


SAME = {
    "columns in another order": lambda text: rewritten(text, lambda rows: [row[::-1] for row in rows]),
    "names in capitals": lambda text: header(text, bytes.upper),
    "a column more": lambda text: rewritten(text, lambda rows: [[*row, "x"] for row in rows]),
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text,
    "lines of Unix": lambda text: text.replace(b"\r\n", b"\n"),
    "no end of the last line": lambda text: text.rstrip(),
    "blank lines at the end": lambda text: text + b"\r\n\r\n",
    "tabs": lambda text: rewritten(text, lambda rows: rows, "\t"),
    "bars": lambda text: rewritten(text, lambda rows: rows, "|"),
    "days without marks": lambda text: days_as(text, "%Y%m%d"),
    "days as Americans write them": lambda text: days_as(text, "%m/%d/%Y"),
}
REFUSED = {
    "cut in the last line": (lambda text: text.rstrip()[:-20].rsplit(b",", 2)[0], "cut short"),
    "empty": (lambda text: b"", "the file is empty"),
    "a header alone": (lambda text: text.split(b"\n", 1)[0] + b"\n", "no rows"),
    "no header": (lambda text: text.split(b"\n", 1)[1], "the header has no column"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "it is UTF-16 text"),
    "Latin-1": (lambda text: text.replace(b"P0000", b"P\xe9000"), "not UTF-8 text"),
    "semicolons": (lambda text: rewritten(text, lambda rows: rows, ";"), "divided by semicolons"),
    "a column less": (
        lambda text: rewritten(text, lambda rows: [[row[0], *row[2:]] for row in rows]),
        "has no column",
    ),
    "a column twice": (lambda text: rewritten(text, lambda rows: [[*r, r[0]] for r in rows]), "column twice"),
    "a cell too many": (lambda text: text.rstrip() + b",1,2\r\n", "cells and the header"),
    "a web page": (lambda text: b"<!DOCTYPE html><html>" + text, "it is a web page"),
    "a month that is none": (
        lambda text: text.replace(b"2021-", b"2021-9").replace(b"202103", b"202193"),
        "is not a (day|time)",
    ),
    "an open quote": (lambda text: header(text, lambda first: first + b'\n"open,'), "quote|cells"),
}


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("change", SAME)
def test_what_says_the_same_is_read_the_same(name, change, sources, tmp_path):
    """Order and case of columns, marks of encoding and between cells, forms of days do not matter."""
    shutil.copytree(sources / name, tmp_path / "source")
    for path in (tmp_path / "source").rglob("*.csv"):
        path.write_bytes(SAME[change](path.read_bytes()))
    if change in ("tabs", "bars") and name not in DRUGS:  # their publishers write commas, always
        with pytest.raises(DataError, match=r"Fix: the columns are divided by .*: save the file with commas"):
            ingest(name, tmp_path / "source", tmp_path / "history")
        return
    history = ingest(name, tmp_path / "source", tmp_path / "history")
    assert history.fingerprint == ingest(name, sources / name, sources / f"{name}-history").fingerprint


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("change", REFUSED)
def test_what_was_damaged_is_refused(name, change, sources, tmp_path):
    """The message names the file and what is wrong; nothing is written."""
    spoil, message = REFUSED[change]
    shutil.copytree(sources / name, tmp_path / "source")
    path = tmp_path / "source" / NEEDED[name][0]
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=message) as refused:
        ingest(name, tmp_path / "source", tmp_path / "history")
    assert path.name in str(refused.value)
    assert "Fix: " in str(refused.value) or "Hint: " in str(refused.value)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize("name", NEEDED)
def test_a_copy_of_a_file_counts_once_or_is_refused(name, sources, tmp_path):
    """Beside the file under another name it is no table; in another folder nothing tells which one counts."""
    shutil.copytree(sources / name, tmp_path / "source")
    path = tmp_path / "source" / NEEDED[name][0]
    shutil.copy(path, path.with_name(f"{path.stem} (1).csv"))
    history = ingest(name, tmp_path / "source", tmp_path / "history")
    assert history.fingerprint == ingest(name, sources / name, sources / f"{name}-history").fingerprint
    shutil.rmtree(tmp_path / "history")
    (tmp_path / "source" / "copy").mkdir()
    shutil.copy(path, tmp_path / "source" / "copy" / path.name)
    with pytest.raises(DataError, match=path.name):
        ingest(name, tmp_path / "source", tmp_path / "history")
    assert not (tmp_path / "history").exists()


MEDS_REFUSED = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("subject_id,time,code\n"),
    "a column less": lambda path: pl.read_parquet(path).drop("code").write_parquet(path),
    "times as text": lambda path: (
        pl.read_parquet(path).with_columns(pl.col("time").cast(pl.String) + "?").write_parquet(path)
    ),
}


@pytest.mark.parametrize("change", [None, *MEDS_REFUSED])
def test_meds_that_was_changed(change, sources, tmp_path):
    """Columns in another order are read the same; what is damaged is refused by name."""
    shutil.copytree(sources / "desynpuf-history", tmp_path / "before")
    export("meds", open_history(tmp_path / "before"), tmp_path / "meds")
    path = min((tmp_path / "meds" / "data").rglob("*.parquet"))
    if change is None:
        before = ingest("meds", tmp_path / "meds", tmp_path / "plain").fingerprint
        frame = pl.read_parquet(path)
        frame.select(reversed(frame.columns)).write_parquet(path)
        assert ingest("meds", tmp_path / "meds", tmp_path / "history").fingerprint == before
        return
    MEDS_REFUSED[change](path)
    with pytest.raises(DataError) as refused:
        ingest("meds", tmp_path / "meds", tmp_path / "history")
    assert path.name in str(refused.value)
    assert "Fix: " in str(refused.value) or "Hint: " in str(refused.value)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["before", "meds"]


def test_mixed_folders(sources, tmp_path):
    """Files of other formats in the folder are left alone; a table in two places is refused."""
    mixed = tmp_path / "mixed"
    for name in DRUGS:
        shutil.copytree(sources / name, mixed, dirs_exist_ok=True)
    for name in DRUGS:
        history = ingest(name, mixed, tmp_path / f"{name}-history")
        assert history.fingerprint == ingest(name, sources / name, sources / f"{name}-history").fingerprint
    shutil.copytree(sources / "tuva", mixed / "copy")
    with pytest.raises(DataError, match=r"eligibility.csv and .*eligibility.csv are both the table"):
        ingest("tuva", mixed, tmp_path / "history")
    for name, other in (("tuva", "omop"), ("omop", "synthea"), ("synthea", "tuva")):
        with pytest.raises(DataError, match=r"Looked for: .*\nFound: "):
            ingest(name, sources / other, tmp_path / "history")
    assert not (tmp_path / "history").exists()


def test_help_lists_every_format():
    """`riskmodels ingest --help` names each format there is, and a mistyped one has a hint."""
    said = CliRunner().invoke(main, ["ingest", "--help"]).output
    listed = re.findall(r"^    (\S+)  +\S", said.split("Options:")[0], re.MULTILINE)
    assert sorted(listed) == sorted(FORMATS)
    with pytest.raises(DataError, match="Hint: did you mean 'cclf'"):
        ingest("ccfl", "x", "y")
