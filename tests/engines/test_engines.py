"""Opening an engine, and what is said when it cannot be opened or a task cannot be done."""

import socket
import sys
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from riskmodels.engines import Engine, LocalEngine, Tables, open_engine, session
from riskmodels.engines import spark as spark_module
from riskmodels.engines.spark import SparkEngine
from riskmodels.engines.tasks import ShardTask, from_arrow, to_arrow
from riskmodels.errors import DataError, RiskModelsError, SpecError, StoreError
from riskmodels.history import History


@dataclass(frozen=True)
class Doubled:
    """Doubles a column of the rows that come with a shard."""

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        assert rows is not None
        return {"doubled": rows * 2, "shard": pl.DataFrame({"n": [number]})}


@dataclass(frozen=True)
class Failing:
    """Fails at shard 2."""

    kind: type[Exception]

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        if number == 2:
            raise self.kind("column x: 'abc' is not a number")
        return {}


SHARDS = {3: pl.DataFrame({"x": [1, 2]}), 1: pl.DataFrame({"x": [5]})}


def check_doubled(engine: Engine) -> None:
    found = list(engine.run(Doubled(), SHARDS, "Doubling"))
    assert [number for number, _ in found] == [1, 3]
    assert [tables["doubled"]["x"].to_list() for _, tables in found] == [[10], [2, 4]]
    assert [tables["shard"]["n"].to_list() for _, tables in found] == [[1], [3]]
    assert list(engine.run(Doubled(), {}, "Nothing")) == []


def test_local_engine() -> None:
    """Each shard comes with its rows, in the order of the numbers."""
    check_doubled(LocalEngine())


def test_spark_engine(spark: Engine) -> None:
    """Each shard comes with its rows, in the order of the numbers."""
    check_doubled(spark)


def test_errors_of_the_input_come_back_as_they_were(spark: Engine) -> None:
    """An error that a user can act on is the same error with the same message."""
    with pytest.raises(DataError, match=r"^column x: 'abc' is not a number$"):
        list(spark.run(Failing(DataError), dict.fromkeys(range(4)), "Failing"))


def test_other_failures_name_the_work_and_the_reason(spark: Engine) -> None:
    """What else goes wrong in a task is said in a line, without stack traces."""
    with pytest.raises(RiskModelsError, match=r"^Failing: a task failed on the cluster: OSError: column x"):
        list(spark.run(Failing(OSError), dict.fromkeys(range(4)), "Failing"))


JAVA = (
    "An error occurred while calling o88.getResult.\n: org.apache.spark.SparkException: Job aborted due to "
    "stage failure: Task 1 in stage 0.0 failed 4 times, most recent failure: "
    "Lost task 1.3 in stage 0.0 (TID 7) (10.0.0.7 executor 1): "
)


@pytest.mark.parametrize(
    ("failure", "says", "fix"),
    [
        (
            'java.io.IOException: Cannot run program "/x/python": error=2, No such file or directory',
            'java.io.IOException: Cannot run program "/x/python": error=2, No such file or directory',
            "set PYSPARK_PYTHON",
        ),
        (
            "ExecutorLostFailure (executor 1 exited) Reason: Remote RPC client disassociated.",
            "ExecutorLostFailure (executor 1 exited) Reason: Remote RPC client disassociated.",
            "see the worker's log and memory",
        ),
        (
            "org.apache.spark.api.PythonException: Traceback\nModuleNotFoundError: No module named 'polars'",
            "ModuleNotFoundError: No module named 'polars'",
            "install the same riskmodels",
        ),
    ],
    ids=["python", "lost", "package"],
)
def test_failures_of_workers_say_what_and_where(failure: str, says: str, fix: str) -> None:
    """The reason comes out of Java's words, with the machine it happened on and what helps."""
    said = str(spark_module._explained(RuntimeError(f"{JAVA}{failure}\n\tat java.base/x"), "Reading"))
    expected = f"Reading: a task failed on the cluster: {says} (10.0.0.7 executor 1)\nFix: {fix}"
    assert said.startswith(expected)


@dataclass(frozen=True)
class Reading:
    """Reads a shard of a history."""

    history: History

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        return {"person": self.history.shard(number, ["person"]).person}


def test_a_history_that_workers_cannot_see(spark: Engine, history: History, tmp_path: Path) -> None:
    """Where the file system is not shared, the history that is missing is named."""
    moved = History(tmp_path / "elsewhere", history.manifest)
    with pytest.raises(StoreError, match=r"a worker \(.+\) does not see .*no history at .*elsewhere"):
        list(spark.run(Reading(moved), {0: None}, "Reading"))


def test_workers_that_are_lost_are_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says that no worker takes what is left, however much is done; work goes on when one does."""
    monkeypatch.setattr(spark_module, "SECONDS_WITHOUT_WORKERS", 0.5)
    monkeypatch.setattr(spark_module.time, "sleep", lambda seconds: None)
    clock = iter(range(100))
    monkeypatch.setattr(spark_module.time, "monotonic", lambda: next(clock))
    engine, future = SparkEngine.__new__(SparkEngine), Future[None]()
    looks = iter([(0, 2), (1, 1), (1, 0), (1, 0), (1, 1), (3, 0)])

    def count(group: str) -> tuple[int, int]:
        found = next(looks)
        if found[0] == 3:
            future.set_result(None)
        return found

    monkeypatch.setattr(engine, "_count", count)
    assert list(engine._tasks_done(future, "group", 3, "Reading", "shard")) == [0, 1, 2]
    said = [record.getMessage() for record in caplog.records]
    assert said == ["Reading: 1 of 3 shards done, and no worker takes the others; has the cluster free ones?"]


def test_a_task_says_that_its_worker_does_not_see_the_history(history: History, tmp_path: Path) -> None:
    """The answer names the machine, and is no advice to ingest once more."""
    task = ShardTask(Reading(History(tmp_path / "elsewhere", history.manifest)))
    (answer,) = task._answers(0, None)
    assert (
        f"a worker ({socket.gethostname()}) does not see what the driver sees: There is no history at"
        in answer["error"]
    )
    assert answer["error"].endswith(
        "\nFix: keep it on a file system that all machines share, under the same path"
    )


def test_workers_with_another_version() -> None:
    """A worker with another riskmodels refuses, since its results might differ."""
    task = ShardTask(Doubled())
    task.version = "0.0.0"
    import pyarrow as pa

    asked = pa.RecordBatch.from_pylist([{"shard": 1, "rows": to_arrow(SHARDS[1])}])
    (answer,) = task(iter([asked]))
    assert "0.0.0" in answer["error"][0].as_py()


def test_frames_travel_whole() -> None:
    """Categories, lists, instants and missing values are the same after the way as Arrow."""
    frame = pl.DataFrame(
        {
            "kind": pl.Series(["b", None], dtype=pl.Enum(["a", "b"])),
            "stays": pl.Series([[1, 2], None], dtype=pl.List(pl.Int32)),
            "row": pl.Series([1, 2], dtype=pl.UInt32),
            "time": pl.Series([0, 1], dtype=pl.Datetime("us")),
        }
    )
    assert_frame_equal(from_arrow(to_arrow(frame)), frame)


@pytest.mark.parametrize(
    ("name", "master", "says"),
    [("sparc", None, "did you mean 'spark'"), ("local", "local[2]", "--engine spark")],
)
def test_wrong_names(name: str, master: str | None, says: str) -> None:
    with pytest.raises(SpecError, match=says), open_engine(name, master):
        pass


def test_no_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PySpark the message says how to get it."""
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(SpecError, match=r"pip install 'riskmodels\[spark\]'"), open_engine("spark"):
        pass


@pytest.mark.parametrize("found", [None, 11], ids=["none", "too old"])
def test_no_java(spark_ready: None, monkeypatch: pytest.MonkeyPatch, found: int | None) -> None:
    """Without a Java that Spark can use the message says which one it needs."""
    monkeypatch.setattr(session, "java_version", lambda: found)
    with pytest.raises(SpecError, match="Java 17"), open_engine("spark"):
        pass


@pytest.mark.parametrize("master", ["local[x]", "local[0]", "loc", "http://127.0.0.1:7077", "spark://", ""])
def test_no_form_of_a_master(master: str) -> None:
    """What Spark would not take is refused before Java is started."""
    with pytest.raises(SpecError, match=r"is no master of Spark's\nFix: name one such as local\[2\]"):
        session.start_session(master)


@pytest.mark.parametrize(
    "master",
    ["local", "local[*]", "local[2]", "local[2,4]", "spark://a:7077,b:7077", "yarn", "k8s://https://h"],
)
def test_forms_of_a_master(master: str) -> None:
    """All forms of Spark's documentation are taken."""
    assert session.MASTERS.fullmatch(master)


def test_java_home_without_java(spark_ready: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A JAVA_HOME that holds no Java is named: Spark would look nowhere else."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SpecError, match=f"JAVA_HOME is {tmp_path}, which holds none"), open_engine("spark"):
        pass


def test_no_master(spark_ready: None) -> None:
    """A master that does not answer is said at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(SpecError, match=f"no Spark master answers at spark://127.0.0.1:{port}"),
        open_engine("spark", f"spark://127.0.0.1:{port}"),
    ):
        pass


def test_a_session_of_the_caller_goes_on(spark_ready: None, spark: Engine) -> None:
    """An engine on a context that runs already leaves it, and its settings, as they are."""
    from pyspark.sql import SparkSession

    theirs = SparkSession.builder.getOrCreate()
    theirs.conf.set("spark.sql.session.timeZone", "America/New_York")
    with open_engine("spark") as engine:
        check_doubled(engine)
    assert theirs.conf.get("spark.sql.session.timeZone") == "America/New_York"
    assert theirs.range(3).count() == 3
    with pytest.raises(SpecError, match="a Spark session runs here on"), open_engine("spark", "local[1]"):
        pass
