"""A model that two workers of a Dask cluster fit together; skipped where Dask is absent."""

import os
import signal
import threading
import time
from collections.abc import Iterator
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

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'riskmodels[dask]'")
PARAMETERS: dict[str, Any] = {"learning_rate": 0.1, "n_estimators": 200, "num_threads": 1, "folds": None}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return two worker processes on loopback."""
    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(n_workers=2, worker_dashboard_address=None, **options) as started:
        yield started


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
    parameters = {**PARAMETERS, "folds": folds, "subsample": 1.0, "min_child_samples": 1, "num_leaves": 4}
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


CHANGES = {
    "unobserved": (pl.when(pl.col("label") == 0).then("label").alias("label"), "outcomes are missing"),
    "scattered": (pl.col("person_id").shuffle(seed=0), "do not stand together"),
    "one class": (pl.lit(0).alias("label"), "one class"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_refused(cluster: Any, tmp_path: Path, case: str) -> None:
    """Rows that cannot be learned from are named before anything is sent."""
    change, said = CHANGES[case]
    write_rows(tmp_path / "good.parquet", 600).with_columns(change).write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=said):
        fit_on_cluster(RiskModel(**PARAMETERS), cluster.scheduler_address, tmp_path / "bad.parquet", COLUMNS)


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch, rows: Path) -> None:
    """An address at which nothing listens is named."""
    monkeypatch.setattr(dask_cluster, "SECONDS_TO_ANSWER", 1)
    with pytest.raises(SpecError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9\b"):
        fit_on_cluster(RiskModel(**PARAMETERS), "tcp://127.0.0.1:9", rows, COLUMNS)


def test_a_worker_is_lost(cluster: Any, rows: Path) -> None:
    """A killed worker ends the fit with its name, and the cluster can be used again."""
    parameters = {**PARAMETERS, "n_estimators": 100_000, "validation_fraction": 0.0}
    with distributed.Client(cluster, set_as_default=False) as client:
        victims = client.run(os.getpid)
        address = sorted(victims)[1]

        def kill() -> None:
            busy = time.monotonic() + 30
            while not any(client.processing().values()) and time.monotonic() < busy:
                time.sleep(0.2)
            time.sleep(1.0)
            os.kill(victims[address], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(RiskModelsError, match=f"the Dask worker {address} was lost"):
            fit_on_cluster(RiskModel(**parameters), cluster.scheduler_address, rows, COLUMNS)
        killer.join()
        client.wait_for_workers(2, timeout=30)
