"""Ingest on Spark gives the folder that ingest gives here, byte for byte."""

import pickle
from pathlib import Path

import pytest
from synpuf_files import write_source

from riskmodels.datasets import simulate
from riskmodels.engines import Engine, LocalEngine, Tables
from riskmodels.engines.base import ShardFunction
from riskmodels.engines.tasks import from_arrow, to_arrow
from riskmodels.errors import DataError
from riskmodels.history import ingest
from riskmodels.history.adapters import get_adapter
from riskmodels.history.adapters.mimic_iv import EVENTS
from riskmodels.history.exporting import export


class Apart:
    """Runs in this process, in another order, all but what Spark itself does."""

    name = "apart"

    def run(self, function: ShardFunction, shards, what: str, *, unit: str = "shard"):
        found: dict[int, Tables] = {}
        for number in sorted(shards, reverse=True):
            tables = pickle.loads(pickle.dumps(function))(number, shards[number])
            found[number] = {name: from_arrow(to_arrow(table)) for name, table in tables.items()}
        yield from sorted(found.items())


def files(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def check_same(engine: Engine | Apart, folder: Path, shards: int | None) -> None:
    """Ingest here and on an engine and compare all files."""
    here = ingest("desynpuf", write_source(folder / "source"), folder / "here", shards=shards)
    there = ingest("desynpuf", folder / "source", folder / "there", shards=shards, engine=engine)
    assert here.manifest.rows["event"] > 1000
    assert here.manifest.dropped["encounter"]
    assert here.manifest.noted["encounter"]
    assert set(here.table("encounter").collect()["kind"]) >= {
        "inpatient",
        "emergency",
        "outpatient",
        "office",
    }
    assert files(here.path) == files(there.path)


@pytest.mark.parametrize("shards", [None, 3], ids=["by size", "3 shards"])
def test_pieces_give_the_same_history(tmp_path: Path, shards: int | None) -> None:
    """Read in pieces, in any order, by functions and frames that went through other processes' bytes."""
    check_same(Apart(), tmp_path, shards)


@pytest.mark.parametrize("spark", ["local", "cluster"], indirect=True)
def test_spark_gives_the_same_history(spark: Engine, tmp_path: Path) -> None:
    check_same(spark, tmp_path, 3)


def test_mimic_iv_in_pieces(shared_data: Path, tmp_path: Path) -> None:
    """The published demo of MIMIC-IV, the first piece with patients and stays, the others a file each."""
    published = shared_data / "patients" / "mimic_iv_demo"
    pieces = get_adapter("mimic-iv").pieces(get_adapter("mimic-iv").find(published))
    assert {file.table for piece in pieces[1:] for file in piece} == set(EVENTS)
    here = ingest("mimic-iv", published, tmp_path / "here")
    there = ingest("mimic-iv", published, tmp_path / "there", engine=Apart())
    assert files(here.path) == files(there.path)


def test_files_that_explain_each_other_are_one_piece(tmp_path: Path) -> None:
    """Read whole, and the shards finished apart: here a MEDS dataset."""
    history = simulate(300, seed=1).write(tmp_path / "H")
    export("meds", history, tmp_path / "meds")
    assert len(get_adapter("meds").pieces(get_adapter("meds").find(tmp_path / "meds"))) == 1
    here = ingest("meds", tmp_path / "meds", tmp_path / "here", shards=3)
    there = ingest("meds", tmp_path / "meds", tmp_path / "there", shards=3, engine=Apart())
    assert here.manifest.rows["event"] > 1000
    assert files(here.path) == files(there.path)


def test_a_bad_cell_is_named_by_file_and_line(spark: Engine, tmp_path: Path) -> None:
    """What a worker finds wrong in a file is said as it would be here, and nothing is left behind."""
    path = write_source(tmp_path / "source") / "DE1_0_2008_to_2010_Prescription_Drug_Events_Sample_2.csv"
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace("5.10", "five")
    path.write_text("\n".join(lines) + "\n")
    messages = []
    for engine in (LocalEngine(), spark):
        with pytest.raises(DataError, match="line 5") as caught:
            ingest("desynpuf", tmp_path / "source", tmp_path / "H", engine=engine)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
