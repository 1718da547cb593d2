"""`riskmodels train --scheduler`: all that a training on one node gives, from a file that a cluster reads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal

from riskmodels.cli import main
from riskmodels.errors import DataError, SpecError
from riskmodels.features import Count, Encounters, Events, FeatureSet, Score, Static, read_features
from riskmodels.history import History
from riskmodels.learning import dask_cluster
from riskmodels.pipeline.card import model_card
from riskmodels.pipeline.fit import Fitted, fit
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.training_data import training_set, write_training_set

TASK = "readmission-30d"
FEATURES = FeatureSet(
    "mine",
    [
        Static("age", role="adjust"),
        Static("sex", role="adjust"),
        Count(Encounters("inpatient"), "365d", anchor="admission", name="admissions", label="Admissions"),
        Count(Events("diagnosis"), "stay", name="coded"),
        Score("lace"),
        Count(Events("diagnosis", grouper="ccs"), "365d", role="adjust", name="claims", sparse=True),
    ],
)
# With these the trees of a cluster are nearly those of one node: no rows are drawn, no leaf is too small.
EXACT = {"subsample": 1.0, "min_child_samples": 1, "num_leaves": 4, "n_estimators": 30, "folds": None}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["--quiet", *map(str, arguments)])


@pytest.fixture(scope="module")
def place(history: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model.yaml, its feature set, and the file of features."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "mine.json").write_text(json.dumps(FEATURES.to_dict()))
    plan = {"name": "mine", "task": TASK, "features": "mine.json", "known_only": True}
    plan |= {"parameters": EXACT | {"num_threads": 1}, "n_bootstrap": 10}
    (folder / "model.yaml").write_text(json.dumps(plan))
    out = folder / "F.parquet"
    made = run(
        *("features", TASK, history.path, "--out", out, "--features", folder / "mine.json", "--known-only")
    )
    assert made.exit_code == 0, made.output
    return folder


def fitted(place: Path, history: History, scheduler: Any = None, most: int | None = None) -> Fitted:
    """Fit the model of the folder, here or on a cluster."""
    plan = TrainingPlan.read(place / "model.yaml")
    data = training_set(
        *(TASK, history.path),
        features=plan.feature_set(),
        known_only=True,
        built=place / "F.parquet",
        scheduler=scheduler,
    )
    return fit(data if most is None else replace(data, table=replace(data.table, rows_here=most)), plan)


@pytest.fixture(scope="module")
def there(dask_cluster: Any, place: Path, history: History) -> Fitted:
    """Return what a cluster fitted."""
    return fitted(place, history, dask_cluster.scheduler_address)


def test_the_evidence_is_that_of_one_node(there: Fitted, place: Path, history: History) -> None:
    """The same cases held out, rivals, contract and card; the model itself differs by a few leaves."""
    here = fitted(place, history)
    assert there.bundle.contract == here.bundle.contract
    assert len(there.bundle.contract.sparse_columns) == 283
    assert there.bundle.known_only
    assert there.bundle.model.encoder_.to_dict() == here.bundle.model.encoder_.to_dict()
    one, two = (made.held_out.sort("index_id") for made in (here, there))
    assert_frame_equal(one.drop("risk"), two.drop("risk"), check_dtypes=False)
    assert two["risk"].to_list() == pytest.approx(one["risk"].to_list(), abs=0.02)
    metrics = pl.col("metric").is_in(["auroc", "brier", "calibration_slope"])  # no ties in them
    rivals = [made.baselines.filter(metrics).select("model", "metric", "value") for made in (here, there)]
    assert rivals[0]["model"].n_unique() == 3
    assert_frame_equal(*(values.filter(pl.col("model") != "LightGBM") for values in rivals), rel_tol=1e-4)
    assert there.evaluation["auroc"].value == pytest.approx(here.evaluation["auroc"].value, abs=0.02)
    assert set(there.drivers["feature"]) == set(here.drivers["feature"])
    cards = [model_card(made) for made in (here, there)]
    assert (
        cards[1].replace(", fitted by 2 Dask workers together", "").splitlines()[:20]
        == (cards[0].splitlines()[:20])
    )
    features = read_features(place / "F.parquet")
    np.testing.assert_allclose(there.bundle.predict(features), here.bundle.predict(features), atol=0.02)


def test_the_model_is_logged_gated_and_registered(
    dask_cluster: Any, place: Path, history: History, tmp_path: Path
) -> None:
    """The command takes the same options as on one node, and the second model meets the first."""
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    options = ("--config", place / "model.yaml", "--features", place / "F.parquet", "--tracking-uri", uri)
    where = ("--scheduler", dask_cluster.scheduler_address, "--out", tmp_path / "M", "--promote")
    done = run("train", TASK, history.path, *options, *where)
    assert done.exit_code == 0, done.output
    assert "Registered as models:/mine/1 (alias candidate)" in done.output
    assert "mine version 1" in done.output
    assert "calibration slope" in done.output
    assert {"bundle.json", "contract.json", "features.json", "model", "task.yaml"} == {
        path.name for path in (tmp_path / "M").iterdir()
    }
    reported = run("report", "models:/mine/1", "--out", tmp_path / "report.html", "--tracking-uri", uri)
    assert reported.exit_code == 0, reported.output
    assert "fitted by 2 Dask workers together" in (tmp_path / "report.html").read_text()
    arguments = ("score", "models:/mine/1", history.path, "--as-of", "2023-06-01", "--tracking-uri", uri)
    scored = run(*arguments, "--out", tmp_path / "S")
    assert scored.exit_code == 0, scored.output


def test_more_rows_than_fit_here(dask_cluster: Any, there: Fitted, place: Path, history: History) -> None:
    """Rivals and drivers come from drawn patients, and the summary says so; the evaluation from all."""
    some = fitted(place, history, dask_cluster.scheduler_address, most=150)
    parts = {part["name"]: part["rows"] for part in some.summary["splits"]}
    assert 120 < parts["drawn for logistic regression"] <= 150
    assert 120 < parts["drawn to compare models and to see drivers"] <= 150
    assert some.held_out.height == some.held_out_features.height <= 150
    assert some.evaluation.metrics.equals(there.evaluation.metrics)
    assert len(there.summary["splits"]) == 2


def other_outcomes(path: Path) -> None:
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata
    table = pl.read_parquet(path).with_columns(label=1 - pl.col("label")).to_arrow()
    pq.write_table(table.replace_schema_metadata(metadata), path)


REFUSED = {
    "known_only": ({"known_only": False}, "the model is to use all before each index time"),
    "features": ({"features": None}, "holds other features than"),
    "task": ({"task": "ed-return-72h"}, "index cases, and not the"),
}


@pytest.mark.parametrize("where", ["on a cluster", "here"])
@pytest.mark.parametrize("key", REFUSED)
def test_a_file_of_another_rule(
    dask_cluster: Any, place: Path, history: History, key: str, where: str
) -> None:
    """What one node refuses, a cluster refuses in the same words."""
    changed, said = REFUSED[key]
    plan = replace(TrainingPlan.read(place / "model.yaml"), **changed)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=said):
        training_set(
            *(plan.task, history.path),
            features=plan.feature_set(),
            known_only=plan.known_only,
            built=place / "F.parquet",
            scheduler=dask_cluster.scheduler_address if where == "on a cluster" else None,
        )


def test_a_file_of_another_window_or_other_outcomes(place: Path, history: History, tmp_path: Path) -> None:
    """The same names are not enough: the columns must mean the same, and the labels be the same."""
    specs = [
        replace(spec, windows=("90d",)) if getattr(spec, "name", None) == "admissions" else spec
        for spec in FEATURES.specs
    ]
    path = tmp_path / "F.parquet"
    write_training_set(TASK, history.path, path, features=FeatureSet("mine", specs))
    with pytest.raises(DataError, match=r"column admissions: holds .* by this name"):
        training_set(TASK, history.path, features=FEATURES, built=path)
    write_training_set(TASK, history.path, path, features=FEATURES)
    other_outcomes(path)
    with pytest.raises(DataError, match="holds other outcomes"):
        training_set(TASK, history.path, features=FEATURES, built=path)


def test_what_the_command_refuses(place: Path, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, no cluster, a task of cost: said before any work."""
    monkeypatch.setattr(dask_cluster, "SECONDS_TO_ANSWER", 1)
    scheduler = ("--scheduler", "tcp://127.0.0.1:9")
    for arguments, said in (
        (("train", TASK, history.path, *scheduler), "--scheduler needs --features"),
        (("train", "cost-12m", history.path, *scheduler), "fitted on one node"),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert said in refused.output
    with pytest.raises(SpecError, match="no Dask scheduler answers"):
        fitted(place, history, "tcp://127.0.0.1:9")
