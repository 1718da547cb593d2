"""What runs on Spark gives what runs here, byte for byte: on two local processes and on a cluster of two."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from riskmodels.benchmarks import benchmark
from riskmodels.cohorts import build_cohort
from riskmodels.engines import Engine, ShardFunction
from riskmodels.features import writing
from riskmodels.history import History
from riskmodels.pipeline import write_training_set
from riskmodels.pipeline.cost_fit import at_their_years
from riskmodels.pipeline.training_data import training_set
from riskmodels.scoring import score

AS_OF, SINCE = date(2023, 7, 1), date(2023, 1, 1)
pytestmark = pytest.mark.parametrize("spark", ["local", "cluster"], indirect=True)


def files(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder but locks, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "_lock"
    }


def test_cohort(spark: Engine, history: History) -> None:
    """Index cases, labels and attrition."""
    here = build_cohort("readmission-30d", history)
    there = build_cohort("readmission-30d", history, engine=spark)
    assert here.cases.height > 300
    assert_frame_equal(here.cases, there.cases)
    assert_frame_equal(here.attrition, there.attrition)


@pytest.mark.parametrize("as_of", [None, AS_OF], ids=["all", "as of a day"])
def test_features(spark: Engine, history: History, tmp_path: Path, as_of: date | None) -> None:
    """The training set is the same file."""
    for name, engine in (("here", None), ("there", spark)):
        write_training_set(
            "readmission-30d", history.path, tmp_path / f"{name}.parquet", as_of=as_of, engine=engine
        )
    assert pl.read_parquet(tmp_path / "here.parquet").height > 100
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


def test_what_a_model_of_cost_learns_from(spark: Engine, history: History) -> None:
    """Person years, their cost and their features."""
    here, there = (
        training_set("cost-12m", history, role="adjust", engine=engine) for engine in (None, spark)
    )
    assert here.cases.height > 1000
    assert here.cases["cost"].sum() > 0
    assert_frame_equal(here.cases, there.cases)
    assert_frame_equal(here.frame, there.frame)
    assert_frame_equal(at_their_years(here).frame, at_their_years(there, spark).frame)


def test_features_computes_only_what_is_missing(
    spark: Engine, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file begun here and killed is taken up by the cluster, and ends with the same bytes."""
    task = "readmission-30d"
    write_training_set(task, history.path, tmp_path / "here.parquet")

    def killed(path: Path, work: object, frames: Iterator[pl.DataFrame], cases: pl.DataFrame) -> None:
        list(frames)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writing, "SECONDS_TO_LOSE", 0.0)
        patched.setattr(writing, "_assemble", killed)
        with pytest.raises(KeyboardInterrupt):
            write_training_set(task, history.path, tmp_path / "there.parquet")
    parts = tmp_path / "there.parquet.parts"
    (parts / "shard=001.arrow").unlink()
    assert any(parts.glob("*.arrow"))
    asked = []
    run = spark.run

    def counted(function: ShardFunction, shards: Mapping[int, pl.DataFrame | None], what: str, **more: str):
        if what == "Building features":
            asked.extend(shards)
        return run(function, shards, what, **more)

    monkeypatch.setattr(spark, "run", counted)
    write_training_set(task, history.path, tmp_path / "there.parquet", engine=spark)
    assert asked == [1]
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()
    assert not parts.exists()


def test_score(spark: Engine, history: History, model_folder: Path, tmp_path: Path) -> None:
    """The folder of scores is the same: rows, reasons, manifest."""
    for name, engine in (("here", None), ("there", spark)):
        done = score(
            model_folder, history, as_of=AS_OF, since=SINCE, out=tmp_path / name, reasons=2, engine=engine
        )
        assert done.rows > 50
    assert files(tmp_path / "here") == files(tmp_path / "there")


def test_score_computes_only_what_is_missing(
    spark: Engine, history: History, model_folder: Path, tmp_path: Path
) -> None:
    """A job begun here and killed is taken up by the cluster, and ends with the same bytes."""
    for name in ("here", "there"):
        score(model_folder, history, as_of=AS_OF, since=SINCE, out=tmp_path / name, reasons=0)
    folder = next((tmp_path / "there").iterdir())
    for name in ("_SUCCESS", "_manifest.json", "shard=001.parquet", "shard=003.parquet"):
        (folder / name).unlink()
    done = score(
        model_folder, history, as_of=AS_OF, since=SINCE, out=tmp_path / "there", reasons=0, engine=spark
    )
    assert done.computed == 2
    assert files(tmp_path / "here") == files(tmp_path / "there")


def test_benchmark(spark: Engine, history: History, model_folder: Path, tmp_path: Path) -> None:
    """Observed/expected by facility, and the draws beside it, are the same files."""
    for name, engine in (("here", None), ("there", spark)):
        (tmp_path / name).mkdir()
        made = benchmark("readmission-30d", history, model=model_folder, n_draws=20, engine=engine)
        made.write(tmp_path / name / "B.parquet")
    assert files(tmp_path / "here") == files(tmp_path / "there")
