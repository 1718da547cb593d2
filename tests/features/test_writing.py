"""The file of features: says what its columns are, appears whole or not at all, and goes on when killed."""

import errno
import json
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskmodels.cohorts import build_cohort
from riskmodels.datasets import simulate
from riskmodels.errors import DataError, StoreError
from riskmodels.features import (
    Any,
    Count,
    DaysSince,
    Encounters,
    Events,
    FeatureSet,
    Last,
    Score,
    Static,
    build_features,
    read_features,
    stored,
    write_features,
    writing,
)
from riskmodels.history import Part, open_history, write_history
from riskmodels.terminology import load_grouper

SHARDS = 8
ED = Encounters("emergency")
DIAGNOSES = Events("diagnosis", grouper="elixhauser")
FEATURES = FeatureSet(
    "to write",
    [
        Static("age", role="adjust"),
        Static("discharge_disposition"),
        Static("principal_diagnosis"),
        Count(ED, ("30d", "90d"), anchor="admission", name="ed_visits", label="ED visits"),
        Last(Events("lab", codes="718-7"), "365d", name="hemoglobin"),
        Any(DIAGNOSES, "365d", role="adjust"),
        Score("lace"),
        Count(DIAGNOSES, ("90d", "365d"), name="n", sparse=True),
        DaysSince(DIAGNOSES, "365d", name="since", sparse=True),
    ],
)
NARROW = FeatureSet("narrow", [Static("age"), Count(DIAGNOSES, "90d", sparse=True)])


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    tables = simulate(n_patients=2_000, seed=2).tables
    parts = [Part(name, tables[name], name) for name in ("person", "coverage", "encounter", "event")]
    return write_history(parts, tmp_path_factory.mktemp("store") / "H", source_format="test", shards=SHARDS)


@pytest.fixture(scope="module")
def index_cases(history):
    return build_cohort("readmission-30d", history).observed


@pytest.fixture(scope="module")
def whole(history, index_cases, tmp_path_factory):
    """Return the bytes of a file that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "F.parquet"
    write_features(history, index_cases, FEATURES, path, keep=["label"])
    return path.read_bytes()


@pytest.fixture
def at_once(monkeypatch):
    """Put every shard by, however little time it took."""
    monkeypatch.setattr(writing, "SECONDS_TO_LOSE", 0.0)


@pytest.fixture
def built_shards(monkeypatch):
    """Return the numbers of the shards that were computed."""
    numbers, read = [], writing.read_shard

    def counted(history, number, plan):
        numbers.append(number)
        return read(history, number, plan)

    monkeypatch.setattr(writing, "read_shard", counted)
    return numbers


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_says_what_its_columns_are(history, index_cases, whole, tmp_path):
    """Name, role, window, source, group and words of each column, dense or sparse, are read back with it."""
    (tmp_path / "F.parquet").write_bytes(whole)
    read, built = read_features(tmp_path / "F.parquet"), build_features(history, index_cases, FEATURES)
    assert read.columns == built.columns
    assert read.sparse_columns == built.sparse_columns
    order = built.frame["index_id"].to_list()
    place = {index_id: n for n, index_id in enumerate(read.frame["index_id"])}
    rows = [place[index_id] for index_id in order]
    assert read.frame[rows].equals(built.frame)
    assert read.frame.schema == built.frame.schema
    assert (read.sparse[rows] != built.sparse).nnz == 0
    visits = next(c for c in read.columns if c.name == "ed_visits_90d")
    assert (visits.label, visits.role, visits.window, visits.source, visits.tables) == (
        "ED visits in the 90 days before admission",
        "predict",
        "90d before admission",
        "encounter: emergency",
        ("encounter",),
    )
    assert read.sparse_columns[0].group == load_grouper("elixhauser").groups[0]


def test_rows_are_by_shard_patient_and_time_however_the_cases_came(history, index_cases, whole, tmp_path):
    """Shuffled index cases give the same bytes."""
    twice = pl.concat([index_cases.head(3), index_cases.head(3).with_columns(pl.col("index_id") + "b")])
    for name, cases in (("1", twice), ("2", twice.reverse())):
        write_features(history, cases, FEATURES, tmp_path / name)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    write_features(
        history,
        index_cases.sample(fraction=1.0, shuffle=True, seed=1),
        FEATURES,
        tmp_path / "F.parquet",
        keep=["label"],
    )
    assert (tmp_path / "F.parquet").read_bytes() == whole
    wanted = index_cases.sort(pl.col("person") % SHARDS, "person", "index_time")["index_id"]
    assert read_features(tmp_path / "F.parquet").frame["index_id"].equals(wanted)


def test_other_readers_find_the_sparse_columns_as_lists(whole, tmp_path):
    """In the file a row has the numbers of its columns and their values; exploded, they are the long form."""
    path = tmp_path / "F.parquet"
    path.write_bytes(whole)
    long = pl.read_parquet(path, columns=["index_id", "sparse_columns", "sparse_values"]).explode(
        "sparse_columns", "sparse_values", empty_as_null=False, keep_nulls=False
    )
    read = read_features(path)
    assert long.height == read.sparse.nnz
    assert long["sparse_values"].sum() == pytest.approx(read.sparse.sum())
    assert pl.read_parquet(path)["label"].null_count() == 0


def test_what_is_no_file_of_features_says_so(tmp_path):
    """A missing file, another format and a Parquet file of someone else are told apart."""
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    newer = pa.table({"index_id": ["a"]}).replace_schema_metadata({stored.KEY: '{"format": 2}'})
    pq.write_table(newer, tmp_path / "newer.parquet")
    (tmp_path / "text.parquet").write_text("index_id\n")
    for name, message in (
        ("none.parquet", "no such file"),
        ("text.parquet", "is no Parquet file"),
        ("other.parquet", "does not say what its columns are"),
        ("newer.parquet", "is of format 2; this riskmodels reads format 1"),
    ):
        with pytest.raises(DataError, match=message):
            read_features(tmp_path / name)


def test_a_run_that_failed_goes_on_where_it_was(
    history, index_cases, whole, tmp_path, monkeypatch, at_once, built_shards
):
    """Shards that were done are not computed again, and the bytes are those of a run that did not fail."""
    path, read = tmp_path / "F.parquet", writing.read_shard

    def failing(history, number, plan):
        if number == 5:
            raise KeyboardInterrupt
        return read(history, number, plan)

    with monkeypatch.context() as patched:
        patched.setattr(writing, "read_shard", failing)
        with pytest.raises(KeyboardInterrupt):
            write_features(history, index_cases, FEATURES, path, keep=["label"], threads=1)
    assert left(tmp_path) == ["F.parquet.parts"]
    done = {int(part.stem.removeprefix("shard=")) for part in (tmp_path / "F.parquet.parts").glob("*.arrow")}
    assert {0, 1, 2, 3, 4} <= done
    built_shards.clear()
    write_features(history, index_cases, FEATURES, path, keep=["label"])
    assert set(built_shards) == set(range(SHARDS)) - done
    assert path.read_bytes() == whole
    assert left(tmp_path) == ["F.parquet"]


PROGRAM = """
import sys, time
import polars as pl
from riskmodels.features import FeatureSet, writing
from riskmodels.history import open_history
import json
read = writing.read_shard
def slowly(*given):
    time.sleep(0.15)
    return read(*given)
writing.read_shard, writing.SECONDS_TO_LOSE = slowly, 0.0
features = FeatureSet.from_dict(json.load(open(sys.argv[3])))
writing.write_features(
    open_history(sys.argv[1]), pl.read_ipc(sys.argv[2]), features, sys.argv[4], keep=["label"], threads=1
)
"""


def test_killed_without_warning_it_goes_on(history, index_cases, whole, tmp_path, at_once, built_shards):
    """SIGKILL in the middle: no file, no shard lost that was done, and the same bytes at the end."""
    index_cases.write_ipc(tmp_path / "cases.arrow")
    (tmp_path / "set.json").write_text(json.dumps(FEATURES.to_dict()))
    out = tmp_path / "out" / "F.parquet"
    arguments = [str(x) for x in (history.path, tmp_path / "cases.arrow", tmp_path / "set.json", out)]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments])
    until = time.monotonic() + 60
    while len(list(out.parent.glob("*.parts/shard=*.arrow"))) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = len(list(out.parent.glob("*.parts/shard=*.arrow")))
    assert 3 <= done < SHARDS
    assert not out.exists()
    write_features(history, index_cases, FEATURES, out, keep=["label"])
    assert len(built_shards) == SHARDS - done
    assert out.read_bytes() == whole
    assert left(out.parent) == ["F.parquet"]


@pytest.mark.parametrize("other", ["features", "cases", "as of"])
def test_parts_of_another_run_are_not_used(
    history, index_cases, tmp_path, at_once, built_shards, monkeypatch, other
):
    """Where the features, the cases or what was known are others, the work starts over."""
    path = tmp_path / "F.parquet"
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_assemble", full_disk)
        with pytest.raises(OSError, match="disk"):
            write_features(history, index_cases, NARROW, path)
    feature_set, cases, store = NARROW, index_cases, history
    if other == "features":
        feature_set = FeatureSet("narrow", [Static("age"), Count(DIAGNOSES, "91d", sparse=True)])
    elif other == "cases":
        cases = index_cases[1:]
    else:
        store = open_history(history.path, as_of=datetime(2023, 1, 1))
    built_shards.clear()
    write_features(store, cases, feature_set, path)
    assert len(built_shards) == SHARDS
    write_features(store, cases, feature_set, tmp_path / "again.parquet")
    assert path.read_bytes() == (tmp_path / "again.parquet").read_bytes()


def full_disk(path, work, frames, cases):
    for _ in frames:
        pass
    raise OSError(errno.ENOSPC, "the disk is full")


def test_a_part_that_was_cut_short_is_made_again(history, index_cases, tmp_path, at_once, monkeypatch):
    """After a power failure a part may be there and not whole."""
    path = tmp_path / "F.parquet"
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_assemble", full_disk)
        with pytest.raises(OSError, match="disk"):
            write_features(history, index_cases, NARROW, path)
    for part in (tmp_path / "F.parquet.parts").glob("*.arrow"):
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    write_features(history, index_cases, NARROW, path)
    assert read_features(path).height == index_cases.height


def test_two_runs_do_not_write_one_file(history, index_cases, tmp_path, monkeypatch):
    """The second is refused while the first is at work."""
    path = tmp_path / "F.parquet"

    def meanwhile(*given):
        with pytest.raises(StoreError, match="another run is writing here"):
            write_features(history, index_cases, NARROW, path)
        return assemble(*given)

    assemble = writing._assemble
    monkeypatch.setattr(writing, "_assemble", meanwhile)
    write_features(history, index_cases, NARROW, path)
    assert path.exists()


def test_a_full_disk_leaves_what_was_there(history, index_cases, whole, tmp_path, monkeypatch):
    """An error in the middle of the file leaves the file before it, and no half."""
    path = tmp_path / "F.parquet"
    path.write_bytes(b"the file before")

    def full(writer, table, *given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        write_features(history, index_cases, NARROW, path)
    assert path.read_bytes() == b"the file before"
    assert left(tmp_path) == ["F.parquet", "F.parquet.parts"]


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int({bytes}), int({bytes})))
""" + PROGRAM.replace("time.sleep(0.15)", "pass")


def test_a_file_that_may_not_grow_is_not_there(history, index_cases, whole, tmp_path):
    """Where the system stops a write in the middle, for want of room, no file is left that reads as whole."""
    index_cases.write_ipc(tmp_path / "cases.arrow")
    (tmp_path / "set.json").write_text(json.dumps(FEATURES.to_dict()))
    out = tmp_path / "out" / "F.parquet"
    arguments = [str(x) for x in (history.path, tmp_path / "cases.arrow", tmp_path / "set.json", out)]
    program = LIMITED.replace("{bytes}", str(len(whole) // 2)).replace(
        "writing.SECONDS_TO_LOSE = slowly, 0.0", "writing.SECONDS_TO_LOSE = slowly, 1e9"
    )
    failed = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert failed.returncode == 1
    assert "OSError" in failed.stderr
    assert "File too large" in failed.stderr
    assert left(out.parent) == ["F.parquet.parts"]


def damage(path: Path, how: str) -> None:
    frame = pl.read_parquet(path)
    if how == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
        return
    if how == "removed":
        path.unlink()
        return
    number = pl.int_range(pl.len())
    early, late = (pl.lit(datetime(2022, month, 1), pl.Datetime("us")) for month in (1, 6))
    changed = {
        "another type": frame.with_columns(pl.col("time").cast(pl.Datetime("ns"))),
        "without a column": frame.drop("code"),
        "out of order": frame.with_columns(
            person=pl.when(number < 8).then(pl.lit(3, pl.Int32)).otherwise("person"),
            time=pl.when(number == 6).then(late).when(number < 8).then(early).otherwise("time"),
            recorded_at=pl.when(number >= 8).then("recorded_at"),
        ),
        "of another shard": frame.with_columns(
            person=pl.when(number == 9).then(pl.col("person") + 1).otherwise("person")
        ),
        "with an unknown code": frame.with_columns(
            code=pl.when(number == 11).then(pl.lit(9**9, pl.Int32)).otherwise("code")
        ),
        "without a time": frame.with_columns(time=pl.when(number == 4).then(None).otherwise("time")),
    }[how]
    changed.write_parquet(path)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut short", "cannot be read"),
        ("removed", "is missing"),
        ("another type", r"column time: the shard holds Datetime\(time_unit='ns'"),
        ("without a column", "column code: the shard lacks this column"),
        ("out of order", r"row 8 of [\d,]+ is out of order"),
        ("of another shard", r"column person: row 10 of [\d,]+ is of a person of another shard"),
        ("with an unknown code", r"row 12 of [\d,]+ has a code that the vocabulary of [\d,]+ lacks"),
        ("without a time", r"row 5 of [\d,]+ has no time"),
    ],
)
@pytest.mark.parametrize("as_of", [None, datetime(2023, 1, 1)], ids=["all", "as of a day"])
def test_a_bad_shard_names_itself_and_the_row(history, index_cases, tmp_path, how, message, as_of):
    """No feature is built from rows that the kernel would misread; the file and the row are said."""
    shutil.copytree(history.path, tmp_path / "H")
    opened = open_history(tmp_path / "H", as_of=as_of)
    damage(tmp_path / "H" / "shard=003" / "event.parquet", how)
    for build in (build_features, lambda *given: write_features(*given, tmp_path / "F.parquet")):
        with pytest.raises((DataError, StoreError), match=message) as error:
            build(opened, index_cases, NARROW)
        assert "shard=003/event.parquet" in str(error.value)
        assert "Fix: ingest the source again" in str(error.value)
    assert not (tmp_path / "F.parquet").exists()
