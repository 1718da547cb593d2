"""Files that were changed on the way: what says the same is read the same, all else is refused by name."""

import csv
import importlib.util
import io
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError
from riskmodels.history import ingest
from riskmodels.history.adapters import FORMATS

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
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a source of each format, of the same few simulated patients."""
    folder = tmp_path_factory.mktemp("sources")
    tables = simulate(25, seed=3, start=date(2021, 1, 1), end=date(2021, 12, 31)).tables
    for name, system in DRUGS.items():
        own = tables if system == "ATC" else writers.coded_drugs(tables, system)
        getattr(writers, name)(own, folder / name)
        ingest(name, folder / name, folder / f"{name}-history")
    return folder


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
    "a month that is none": (lambda text: text.replace(b"2021-", b"2021-9"), "is not a (day|time)"),
    "an open quote": (lambda text: header(text, lambda first: first + b'\n"open,'), "quote|cells"),
}


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("change", SAME)
def test_what_says_the_same_is_read_the_same(name, change, sources, tmp_path):
    """Order and case of columns, marks of encoding and between cells, forms of days do not matter."""
    shutil.copytree(sources / name, tmp_path / "source")
    for path in (tmp_path / "source").iterdir():
        path.write_bytes(SAME[change](path.read_bytes()))
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
