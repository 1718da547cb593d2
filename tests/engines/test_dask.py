"""A model that two workers of a Dask cluster fit together; skipped where Dask is absent."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from dask_rows import COLUMNS, NAMES, SPARSE, feature_frame, write_rows
from sklearn.metrics import roc_auc_score

from riskmodels.errors import DataError, RiskModelsError, SpecError
from riskmodels.learning import RiskModel, dask_cluster
from riskmodels.learning.boosting import booster_text
from riskmodels.learning.distributed import fit_on_cluster, predict_on_cluster

dask = pytest.importorskip("dask", reason="needs Dask: pip install 'riskmodels[dask]'")
distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'riskmodels[dask]'")
PARAMETERS: dict[str, Any] = {"learning_rate": 0.1, "n_estimators": 200, "num_threads": 1, "folds": None}


@pytest.fixture(scope="module")
def cluster(dask_cluster: Any) -> Any:
    """Return two worker processes on loopback."""
    return dask_cluster


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a features file; some levels are in the second worker's part alone."""
    path = tmp_path_factory.mktemp("rows") / "features.parquet"
    write_rows(path)
    return path


@pytest.fixture(scope="module")
def fitted(cluster: Any, rows: Path) -> RiskModel:
    """Return a model that the cluster fitted."""
    return fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, rows, COLUMNS)


def auroc(model: RiskModel, seed: int, tmp_path: Path) -> float:
    """Return the AUROC on other patients of the same kind."""
    others = write_rows(tmp_path / "others.parquet", seed=seed)
    return float(roc_auc_score(others["label"], model.predict_proba(others.select(NAMES))[:, 1]))


@pytest.mark.parametrize("sparse", [False, True], ids=["table", "table and sparse columns"])
@pytest.mark.parametrize("folds", [None, 3], ids=["one split", "rotating"])
def test_the_trees_of_one_node(cluster: Any, rows: Path, folds: int | None, sparse: bool) -> None:
    """Where no rows are drawn and no leaf is too small, all of the model is that of a fit here."""
    exact = {"subsample": 1.0, "min_child_samples": 1, "num_leaves": 4}
    parameters = {**PARAMETERS, **exact, "folds": folds, "n_estimators": 60, "early_stopping_rounds": 5}
    there = fit_on_cluster(
        RiskModel(**parameters),
        cluster.scheduler_address,
        rows,
        COLUMNS,
        sparse_columns=SPARSE if sparse else (),
    )
    frame = pl.read_parquet(rows)
    features = feature_frame(frame, sparse)
    here = RiskModel(**parameters).fit(features, frame["label"], groups=frame["person_id"])
    assert there.encoder_.to_dict() == here.encoder_.to_dict()
    assert there.sparse_names_ == here.sparse_names_
    assert there.feature_roles_ == here.feature_roles_
    assert there.n_training_ == here.n_training_
    assert there.best_iteration_ == here.best_iteration_
    assert np.array_equal(there.partition_, here.partition_)
    np.testing.assert_allclose(there.predict_proba(features), here.predict_proba(features), atol=1e-9)
    np.testing.assert_allclose(there.explain(features), here.explain(features), atol=1e-9)
    assert there.expected_value == pytest.approx(here.expected_value)


def test_as_good_as_here(fitted: RiskModel, rows: Path, tmp_path: Path) -> None:
    """With drawn rows and least rows in a leaf the trees are others, and rank as well."""
    frame = pl.read_parquet(rows)
    here = RiskModel(**PARAMETERS)
    here.fit(frame.select(NAMES), frame["label"], groups=frame["person_id"], columns=COLUMNS)
    assert auroc(fitted, 1, tmp_path) == pytest.approx(auroc(here, 1, tmp_path), abs=0.01)
    expected = here.predict_proba(frame.select(NAMES))[:, 1]
    assert fitted.predict_proba(frame.select(NAMES))[:, 1].mean() == pytest.approx(expected.mean(), abs=0.02)


def test_a_category_of_one_worker_is_kept(fitted: RiskModel) -> None:
    """LightGBM's own bins come from one worker, and lose what it has not: ours know the fourth ward."""
    infos = booster_text(fitted.boosters_[0]).partition("feature_infos=")[2].splitlines()[0].split()
    assert fitted.categories_["ward"] == ("a", "b", "c", "z")
    assert set(infos[NAMES.index("ward")].split(":")) >= {"0", "1", "2", "3"}


def test_same_bytes(cluster: Any, fitted: RiskModel, rows: Path, tmp_path: Path) -> None:
    """The same rows on the same number of workers give the same folder, which a client may ask for too."""
    with distributed.Client(cluster, set_as_default=False) as client:
        again = fit_on_cluster(RiskModel(**PARAMETERS), client, rows, COLUMNS)
        assert client.status == "running"
    for name, model in (("first", fitted), ("second", again)):
        model.save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert "127.0.0.1" not in (tmp_path / "first" / "booster.txt").read_text()


def test_it_scores_anywhere(cluster: Any, fitted: RiskModel, rows: Path, tmp_path: Path) -> None:
    """A saved model gives here what the workers give for their parts; its explanations add up."""
    fitted.save(tmp_path / "M")
    frame = pl.read_parquet(rows, columns=NAMES)
    chosen = np.arange(frame.height) % 3 == 0
    here = RiskModel.load(tmp_path / "M").predict_proba(frame.filter(chosen))[:, 1]
    assert np.array_equal(predict_on_cluster(fitted, cluster.scheduler_address, rows, chosen), here)
    some = frame.head(50)
    total = fitted.explain(some).sum(axis=1) + fitted.expected_value
    np.testing.assert_allclose(total, fitted.predict_raw(some))


def test_without_a_refit_the_best_rounds_are_delivered(cluster: Any, rows: Path) -> None:
    model = RiskModel(**PARAMETERS, refit=False, early_stopping_rounds=5)
    fit_on_cluster(model, cluster.scheduler_address, rows, COLUMNS)
    assert model.best_iteration_ < 200
    assert model.boosters_[0].current_iteration() == model.best_iteration_


def test_only_rows_to_use_count(cluster: Any, rows: Path, fitted: RiskModel) -> None:
    """Rows that are not to be used bring no levels, and do not unbalance the parts."""
    use = np.zeros(6000, dtype=bool)
    use[:2000] = True
    model = fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, rows, COLUMNS, use=use)
    assert model.n_training_ == {"rows": 2000, "patients": 1000}
    assert model.categories_["ward"] == ("a", "b", "c")


def test_one_class_on_a_worker(cluster: Any, tmp_path: Path) -> None:
    """A part without any outcome is learned from like the others."""
    path = tmp_path / "features.parquet"
    frame = write_rows(path).with_row_index("row")
    half = frame.height // 2
    frame.with_columns(pl.when(pl.col("row") < half).then("label").otherwise(0).alias("label")).write_parquet(
        path
    )
    model = fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, path, COLUMNS)
    assert auroc(model, 2, tmp_path) > 0.65
    rate = float(pl.read_parquet(path)["label"].mean())  # type: ignore[arg-type]
    assert model.predict_proba(frame.select(NAMES))[:, 1].mean() == pytest.approx(rate, abs=0.02)


def change(path: Path, *columns: pl.Expr, n: int = 600, **named: pl.Expr) -> Path:
    """Write rows with some columns changed."""
    write_rows(path, n).with_columns(*columns, **named).write_parquet(path)
    return path


CHANGES = {
    "unobserved": (pl.when(pl.col("label") == 0).then("label").alias("label"), "outcomes are missing"),
    "scattered": (pl.col("person_id").shuffle(seed=0), "do not stand together"),
    "one class": (pl.lit(0).alias("label"), "one class"),
    "a third class": (pl.lit(2).alias("label"), "neither 0 nor 1"),
    "no such column": (pl.col("ward"), "visits: the column is missing"),
    "no patient": (pl.when(pl.int_range(pl.len()) > 9).then("person_id").alias("person_id"), "no patient"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_refused(cluster: Any, tmp_path: Path, case: str) -> None:
    """Rows that cannot be learned from are named before anything is sent."""
    changed, said = CHANGES[case]
    path = change(tmp_path / "rows.parquet", changed)
    if case == "no such column":
        pl.read_parquet(path).drop("visits").write_parquet(path)
    with pytest.raises(DataError, match=said):
        fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, path, COLUMNS)


@pytest.mark.parametrize(
    ("use", "said"),
    [([0, 1], r"1 patients to learn from and the cluster 2 workers"), ([0, 2], "each of fit, stop")],
    ids=["more workers than patients", "a patient for each worker"],
)
def test_too_few_patients(cluster: Any, tmp_path: Path, use: list[int], said: str) -> None:
    """Each part needs a patient, and each set of patients one with the outcome and one without."""
    path = change(tmp_path / "rows.parquet", (pl.int_range(pl.len()) % 2).alias("label"))
    chosen = np.zeros(600, dtype=bool)
    chosen[use] = True
    if len({0, 1} & set(use)) < 2:
        chosen[1] = True
    with pytest.raises((SpecError, DataError), match=said):
        fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, path, COLUMNS, use=chosen)


def test_constant_columns(cluster: Any, tmp_path: Path) -> None:
    """Where no column tells rows apart, the risk is the rate of the outcome, as it is here."""
    path = change(tmp_path / "rows.parquet", age=pl.lit(70.0), visits=pl.lit(1), ward=pl.lit("a"), n=2000)
    columns = COLUMNS[:3]
    model = fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, path, columns)
    frame = pl.read_parquet(path)
    features = frame.select(NAMES[:3])
    here = RiskModel(**PARAMETERS).fit(features, frame["label"], groups=frame["person_id"])
    risk = model.predict_proba(features)[:, 1]
    assert risk == pytest.approx(here.predict_proba(features)[:, 1])
    assert risk.std() == 0


def test_one_patient_with_most_rows(cluster: Any, tmp_path: Path) -> None:
    """Parts are cut between patients: none is empty, however the rows are spread."""
    many = pl.when(pl.int_range(pl.len()) < 1990).then(pl.lit("P")).otherwise("person_id").alias("person_id")
    path = change(tmp_path / "rows.parquet", many, n=2000)
    model = RiskModel(
        **PARAMETERS | {"validation_fraction": 0.0, "calibration_fraction": 0.0}, calibration=None
    )
    fit_on_cluster(model, cluster.scheduler_address, path, COLUMNS)
    assert model.n_training_ == {"rows": 2000, "patients": 6}


def test_a_file_that_workers_do_not_see(cluster: Any, rows: Path) -> None:
    """The path is that of an open file of this process, which no other has."""
    with rows.open("rb") as held:
        path = Path(f"/proc/self/fd/{held.fileno()}")
        if not path.is_file():
            pytest.skip("needs /proc, which only Linux has")
        with pytest.raises(DataError, match=rf"{path}: the worker tcp\S* (cannot read it|finds another)"):
            fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, path, COLUMNS)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:99999", "no such scheme://x"])
def test_no_scheduler(monkeypatch: pytest.MonkeyPatch, rows: Path, address: str) -> None:
    """An address at which nothing listens is named."""
    monkeypatch.setattr(dask_cluster, "SECONDS_TO_ANSWER", 1)
    with pytest.raises(SpecError, match=f"no Dask scheduler answers at {re.escape(address)}"):
        fit_on_cluster(RiskModel(**PARAMETERS), address, rows, COLUMNS)


def test_one_worker_and_a_scheduler_that_is_lost(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker fits what one node fits; without its scheduler the fit ends and says so."""
    monkeypatch.setattr(dask_cluster, "SECONDS_TO_ANSWER", 3)
    options = {"n_workers": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    parameters = {**PARAMETERS, "n_estimators": 40}
    frame = pl.read_parquet(rows)
    with distributed.LocalCluster(threads_per_worker=1, **options) as alone:
        there = fit_on_cluster(RiskModel(**parameters), alone.scheduler_address, rows, COLUMNS)
        here = RiskModel(**parameters)
        here.fit(feature_frame(frame, False), frame["label"], groups=frame["person_id"])
        np.testing.assert_allclose(
            there.predict_raw(frame.select(NAMES)), here.predict_raw(frame.select(NAMES))
        )
        with dask_cluster.open_cluster(alone.scheduler_address) as cluster:
            alone.close()
            soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
            with soon, pytest.raises(RiskModelsError, match="the Dask scheduler was lost"):
                cluster.each(os.getpid)


def test_no_worker(rows: Path) -> None:
    options = {"n_workers": 0, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**options) as empty, pytest.raises(SpecError, match="has no worker"):
        fit_on_cluster(RiskModel(**PARAMETERS), empty.scheduler_address, rows, COLUMNS)


# So small steps that there is always something left to learn: LightGBM ends by itself where there is not.
ENDLESS = {**PARAMETERS, "n_estimators": 10_000_000, "learning_rate": 1e-7, "validation_fraction": 0.0}


def when_busy(client: Any, act: Callable[[], object]) -> threading.Thread:
    """Do something once the workers have grown trees for a while."""

    def wait() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if any("grow" in key for keys in client.processing().values() for key in keys):
                break
            time.sleep(0.1)
        time.sleep(0.5)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_fit_that_is_stopped_leaves_the_workers_free(cluster: Any, rows: Path) -> None:
    """Ctrl-C ends the fit here and on the workers, which then fit the next model."""
    with distributed.Client(cluster, set_as_default=False) as client:
        # In a process of its own, as a user's is: a test runner has its own ideas of Ctrl-C.
        fit = (
            "import sys, test_dask as t; t.fit_on_cluster(t.RiskModel(**t.ENDLESS), *sys.argv[1:], t.COLUMNS)"
        )
        command = [sys.executable, "-c", fit, cluster.scheduler_address, str(rows)]
        user = subprocess.Popen(command, cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True)
        when_busy(client, lambda: user.send_signal(signal.SIGINT)).join()
        _, said = user.communicate(timeout=90)
    assert user.returncode != 0
    assert "KeyboardInterrupt" in said
    began = time.monotonic()
    fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, rows, COLUMNS)
    assert time.monotonic() - began < 60  # and not when ten million trees are grown


def test_two_fits_at_once(cluster: Any, rows: Path, fitted: RiskModel) -> None:
    """They take turns, and each is what it would be alone."""
    models = [RiskModel(**PARAMETERS) for _ in range(2)]
    threads = [
        threading.Thread(target=fit_on_cluster, args=(model, cluster.scheduler_address, rows, COLUMNS))
        for model in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = {booster_text(model.boosters_[0]) for model in (fitted, *models)}
    assert len(texts) == 1


def test_a_worker_is_lost(cluster: Any, rows: Path) -> None:
    """A killed worker ends the fit with its name, and the cluster can be used again."""
    with distributed.Client(cluster, set_as_default=False) as client:
        victims = client.run(os.getpid)
        address = sorted(victims)[1]
        killer = when_busy(client, lambda: os.kill(victims[address], signal.SIGKILL))
        with pytest.raises(RiskModelsError, match=f"the Dask worker {address} was lost"):
            fit_on_cluster(RiskModel(**ENDLESS), cluster.scheduler_address, rows, COLUMNS)
        killer.join()
        client.wait_for_workers(2, timeout=30)
    fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, rows, COLUMNS)
