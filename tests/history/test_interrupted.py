"""A writer that is killed leaves nothing that opens, and nothing in the way of the next."""

import signal
import subprocess
import sys
import time

import pytest

from riskmodels.errors import StoreError
from riskmodels.history import open_history, write_history
from riskmodels.history.store import LOCK

WRITER = """
import sys, time
from datetime import date, datetime
import polars as pl
from riskmodels.history import Part, write_history

def parts():
    person = {"person_id": ["a"], "birth_date": [date(1950, 1, 1)], "sex": ["male"]}
    yield Part("person", pl.DataFrame(person), "p")
    code = {"kind": ["lab"], "code_system": ["LOINC"], "code": ["1-1"]}
    yield Part("event", pl.DataFrame({"person_id": ["a"], "time": [datetime(2020, 1, 1)], **code}), "e")
    print("ready", flush=True)
    time.sleep(60)

write_history(parts(), sys.argv[1], source_format="test", replace=True)
"""


@pytest.fixture
def writing(tmp_path):
    """Start a writer and wait until it is half-way."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "h")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_writer_leaves_nothing_that_opens(writing, tmp_path, small, parts):
    """After kill -9 there is no history; the next writer clears away what was left, and succeeds."""
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    remains = list(tmp_path.iterdir())
    assert len(remains) == 1
    for path in (tmp_path / "h", remains[0]):
        with pytest.raises(StoreError):
            open_history(path)
    write_history(parts(small), tmp_path / "h", source_format="test")
    assert [path.name for path in tmp_path.iterdir()] == ["h"]
    assert open_history(tmp_path / "h").manifest.rows["person"] == 3


def test_a_killed_writer_leaves_the_older_history(small, parts, tmp_path, request, bytes_of):
    """A history that was being replaced is still there, byte for byte."""
    write_history(parts(small), tmp_path / "h", source_format="test")
    before = bytes_of(tmp_path / "h")
    process = request.getfixturevalue("writing")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert bytes_of(tmp_path / "h") == before


def test_a_writer_at_work_is_left_alone(writing, tmp_path, small, parts):
    """Another writer to the same place does not clear away the files of one that is still running."""
    (at_work,) = tmp_path.iterdir()
    write_history(parts(small), tmp_path / "h", source_format="test")
    assert writing.poll() is None
    assert (at_work / LOCK).exists()


def test_an_error_half_way_leaves_nothing(small, parts, tmp_path):
    """What was written before an error is gone."""

    def failing():
        yield from parts(small)
        raise ValueError("the disk is on fire")

    with pytest.raises(ValueError, match="on fire"):
        write_history(failing(), tmp_path / "h", source_format="test")
    assert list(tmp_path.iterdir()) == []


def test_remains_without_a_lock_are_cleared_when_they_are_old(small, parts, tmp_path):
    """A partial folder is told from one that is just being made by its age."""
    import os

    for name, age in (("young", 0), ("old", 7200)):
        folder = tmp_path / f".h.partial-{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age, time.time() - age))
    write_history(parts(small), tmp_path / "h", source_format="test")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".h.partial-young", "h"]
