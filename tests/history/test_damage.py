"""What is wrong with a shard is said by file, column and row."""

import shutil

import polars as pl
import pytest

from riskmodels.datasets import simulate
from riskmodels.errors import StoreError
from riskmodels.history import open_history
from riskmodels.history.damage import find_damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulate(n_patients=1_000, seed=6).write(tmp_path_factory.mktemp("damage") / "H")


@pytest.fixture
def history(whole, tmp_path):
    shutil.copytree(whole.path, tmp_path / "H")
    return open_history(tmp_path / "H")


@pytest.mark.parametrize("table", ["person", "coverage", "encounter", "event"])
def test_a_sound_file_has_nothing_wrong(whole, table):
    """Nothing is said of what was written as it should be."""
    for number in range(whole.n_shards):
        path = whole.path / f"shard={number:03d}" / f"{table}.parquet"
        assert find_damage(path, table, number, whole.n_shards, whole.vocabulary.height) is None


NUMBER = pl.int_range(pl.len())
MINUS = pl.when(NUMBER == 5).then(-1).otherwise("code").cast(pl.Int32)
CHANGES = {
    "persons": (
        "person",
        pl.DataFrame.reverse,
        r"person: row 2 of \d+ is out of order",
    ),
    "coverage": ("coverage", pl.DataFrame.reverse, "out of order: rows are sorted by person and start_date"),
    "encounters": ("encounter", pl.DataFrame.reverse, "out of order: rows are sorted by person and start"),
    "events": (
        "event",
        pl.DataFrame.reverse,
        r"row \d+ of [\d,]+ is out of order: .* person and time",
    ),
    "no column": ("event", lambda f: f.drop("code"), "column code: the shard lacks this column"),
    "another type": (
        "event",
        lambda f: f.with_columns(pl.col("value").cast(pl.Float32)),
        "column value: the shard holds Float32 where a history holds Float64",
    ),
    "unknown code": (
        "event",
        lambda f: f.with_columns(code=MINUS),
        r"column code: row 6 of [\d,]+ has a code that the vocabulary of [\d,]+ lacks",
    ),
    "no person": (
        "encounter",
        lambda f: f.with_columns(person=pl.when(NUMBER != 3).then("person")),
        r"column person: row 4 of [\d,]+ has no person",
    ),
}


@pytest.mark.parametrize(("table", "change", "said"), CHANGES.values(), ids=CHANGES)
def test_a_changed_shard_names_the_column_and_the_row(history, table, change, said):
    """Opening the history says what was changed in which file, and where."""
    path = history.path / "shard=001" / f"{table}.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(StoreError, match=said) as error:
        open_history(history.path)
    assert f"shard=001/{table}.parquet" in str(error.value)
    with pytest.raises(StoreError, match=said):
        history.shard(1)


def test_bytes_that_were_lost_are_said(history):
    """A file that ends in the middle cannot be read, and one that is gone is missing."""
    path = history.path / "shard=000" / "event.parquet"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(StoreError, match=r"another size than when it was written \(cannot be read"):
        open_history(history.path)
    path.unlink()
    assert find_damage(path, "event", 0, history.n_shards, 1) == ("is missing", None)
