"""Spark of two tasks here, and a standalone cluster of two workers on loopback; skipped where absent."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskmodels.datasets import simulate
from riskmodels.engines import Engine, open_engine
from riskmodels.engines.session import OLDEST_JAVA, java_version
from riskmodels.history import History, Part, write_history

sys.path.insert(0, str(Path(__file__).parent))

SECONDS_TO_START = 60.0


@pytest.fixture(scope="session")
def spark_ready() -> None:
    """Skip where PySpark or Java is absent; keep all of Spark on loopback."""
    pytest.importorskip("pyspark", reason="needs PySpark: make test-cluster installs it")
    if (java_version() or 0) < OLDEST_JAVA:
        pytest.skip(f"needs Java {OLDEST_JAVA} or newer, which is not here")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Return a simulated history of 5 shards."""
    tables = simulate(2000, seed=5).tables
    parts = [Part(name, tables[name], name) for name in ("person", "coverage", "encounter", "event")]
    path = tmp_path_factory.mktemp("history") / "H"
    return write_history(parts, path, source_format="simulated", shards=5)


@pytest.fixture(scope="session")
def dask_cluster() -> Iterator[Any]:
    """Return a Dask cluster of two worker processes on loopback; skip where Dask is absent."""
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'riskmodels[dask]'")
    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(n_workers=2, worker_dashboard_address=None, **options) as started:
        yield started


@pytest.fixture(scope="module")
def spark(request: pytest.FixtureRequest, spark_ready: None) -> Iterator[Engine]:
    """Return the engine on the master that a module names: two processes here, or the cluster."""
    kind = getattr(request, "param", "local")
    master = "local[2]" if kind == "local" else request.getfixturevalue("cluster")
    with open_engine("spark", master) as engine:
        yield engine


@pytest.fixture(scope="session")
def cluster(spark_ready: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a standalone master with two workers of one core, started here and ended here."""
    import pyspark

    folder = tmp_path_factory.mktemp("cluster")
    home = Path(pyspark.__file__).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    loopback = ["--host", "127.0.0.1", "--webui-port", "0"]
    worker = [f"{deploy}.worker.Worker", *loopback, "--cores", "1", "--memory", "1g"]
    commands = {
        "master": [f"{deploy}.master.Master", *loopback, "--port", str(port)],
        **{name: [*worker, "--work-dir", str(folder / name), master] for name in ("worker1", "worker2")},
    }
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                started = [str(home / "bin" / "spark-class"), *command]
                processes.append(subprocess.Popen(started, env=environment, stdout=log, stderr=log))
            if name == "master":
                _wait_for("I have been elected leader", folder / "master.log", 1)
        _wait_for("Registering worker", folder / "master.log", 2)
        yield master
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(text: str, log: Path, times: int) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while log.read_text(errors="replace").count(text) < times:
        if time.monotonic() > end:
            pytest.fail(f"no {text!r} in {log.name}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def model_folder(history: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small model."""
    from riskmodels.cohorts import build_cohort, load_task
    from riskmodels.features import build_features, standard_features
    from riskmodels.learning import RiskModel
    from riskmodels.learning.bundle import ModelBundle, RiskBands
    from riskmodels.learning.contract import DataContract

    task, features = load_task("readmission-30d"), standard_features("readmission-30d", role="adjust")
    cases = build_cohort(task, history).observed
    made = build_features(history, cases, features)
    frame = made.frame.drop("index_id")
    model = RiskModel(n_estimators=20, num_threads=1)
    model.fit(frame, cases["label"].to_numpy(), groups=cases["person"].to_numpy(), columns=made.columns)
    contract = DataContract.from_training(
        frame, made.columns, task=task, feature_set=features, history=history
    )
    bands = RiskBands.from_predictions(model.predict_proba(frame)[:, 1])
    bundle = ModelBundle(model, features, task, contract, bands, {"name": "test", "version": "1"})
    return bundle.save(tmp_path_factory.mktemp("model") / "M")
