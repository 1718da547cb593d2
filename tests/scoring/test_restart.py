"""A job that is killed, again and again, ends with the bytes of one that was not."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from riskmodels.history import History
from riskmodels.scoring import read_scores, score

PROGRAM = """
import sys
from riskmodels.learning.bundle import ModelBundle
from riskmodels.scoring import score
bundle = ModelBundle.load(sys.argv[1])
print("ready", flush=True)
score(bundle, sys.argv[2], as_of="2023-07-01", since="2023-01-01", out=sys.argv[3])
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def start(model: Path, history: Path, out: Path) -> "subprocess.Popen[str]":
    """Start scoring in a process of its own and wait until it has imported everything."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(model), str(history), str(out)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    model_folder: Path, history: History, tmp_path: Path
) -> None:
    """No row lost, none twice, every file the same: after five kills at random moments of the work."""
    started = time.monotonic()
    whole = score(model_folder, history, as_of="2023-07-01", since="2023-01-01", out=tmp_path / "whole")
    duration = time.monotonic() - started
    moments, kills = random.Random(5), 0
    for attempt in range(30):
        process = start(model_folder, history.path, tmp_path / "killed")
        if kills < 5:
            try:
                process.wait(timeout=moments.uniform(0.0, duration))
            except subprocess.TimeoutExpired:
                process.kill()
        if process.wait(timeout=300) == 0:
            break
        kills += 1
        assert attempt < 29
    assert kills >= 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    ids = read_scores(whole.path).collect()["index_id"]
    assert ids.n_unique() == len(ids) == whole.rows


def test_half_a_job_is_taken_up_where_it_stopped(
    model_folder: Path, history: History, tmp_path: Path
) -> None:
    """Only the missing shards are computed, and what a killed process left half-written is removed."""
    whole = score(model_folder, history, as_of="2023-07-01", out=tmp_path)
    before = contents(tmp_path)
    for name in ("_SUCCESS", "_manifest.json", "shard=003.parquet", "shard=015.parquet"):
        (whole.path / name).unlink()
    left_over = whole.path / ".shard=003.parquet.partial-abc.parquet"
    left_over.write_bytes(b"PAR1 and then nothing")
    again = score(model_folder, history, as_of="2023-07-01", out=tmp_path)
    assert again.computed == 2
    assert again.rows == whole.rows
    assert not left_over.exists()
    assert contents(tmp_path) == before


def test_no_file_holds_a_clock_time_or_a_path(model_folder: Path, history: History, tmp_path: Path) -> None:
    """Two folders scored at different times in different places are the same, byte for byte."""
    score(model_folder, history, as_of="2023-07-01", out=tmp_path / "one")
    score(model_folder, history, as_of="2023-07-01", out=tmp_path / "two" / "deeper")
    assert contents(tmp_path / "one") == contents(tmp_path / "two" / "deeper")
    manifest = json.loads((tmp_path / "one" / "as_of=2023-07-01" / "_manifest.json").read_text())
    assert manifest["rows"] == sum(entry["rows"] for entry in manifest["files"].values())
