"""A training set with sparse columns: fitted, measured and described as any other."""

import json
from dataclasses import replace
from datetime import datetime

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.cohorts import build_cohort
from riskmodels.datasets import simulate
from riskmodels.errors import DataError
from riskmodels.features import (
    Count,
    Encounters,
    Events,
    FeatureSet,
    Score,
    Static,
    build_features,
    read_features,
)
from riskmodels.history import open_history
from riskmodels.learning import registry
from riskmodels.learning.bundle import ModelBundle
from riskmodels.learning.gate import compare_with_champion
from riskmodels.pipeline.fit import fit
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.training import train
from riskmodels.pipeline.training_data import training_set, write_training_set
from riskmodels.scoring import read_scores, score

CLAIMS = Count(
    Events("diagnosis", grouper="ccs"),
    ("90d", "365d"),
    anchor="admission",
    role="adjust",
    name="claims",
    label="Claims for {group}",
    sparse=True,
)
FEATURES = FeatureSet(
    "with all categories of CCS",
    [
        Static("age", role="adjust"),
        Count(Encounters("inpatient"), "365d", anchor="admission", name="admissions", label="Admissions"),
        Score("lace"),
        CLAIMS,
    ],
)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return simulate(n_patients=2_500, seed=8).write(tmp_path_factory.mktemp("sparse") / "H")


def test_a_training_set_with_sparse_columns_is_fitted_measured_and_described(history):
    """The model takes all columns, the baselines the table's; drivers and contract name them all."""
    data = training_set("readmission-30d", history, features=FEATURES)
    plan = TrainingPlan("wide", "readmission-30d", n_bootstrap=10, parameters={"n_estimators": 30})
    fitted = fit(data, plan)
    names = [column.name for column in FEATURES.every_column]
    assert list(fitted.bundle.model.feature_names_in_) == names
    assert set(fitted.drivers["feature"]) == set(names)
    assert [column.name for column in fitted.bundle.contract.every_column] == names
    assert "claims_108_365d" not in fitted.bundle.predict_features
    assert 0.5 < fitted.evaluation["auroc"].value < 0.9
    again = fitted.bundle.predict(data.features)
    assert again.shape == (data.cases.height,)


def test_the_training_set_is_written_with_its_sparse_columns(history, tmp_path):
    """Parquet holds them as lists beside label and identifiers; CSV has no place for them and says so."""
    said = write_training_set("readmission-30d", history.path, tmp_path / "F.parquet", features=FEATURES)
    assert f"{len(FEATURES.every_column)} features" in said
    written = read_features(tmp_path / "F.parquet")
    assert written.sparse.shape == (written.height, 2 * 283)
    assert written.sparse.nnz > written.height
    head = ["index_id", "person_id", "index_time", "facility_id", "label"]
    assert pl.read_parquet(tmp_path / "F.parquet").columns[:5] == head
    with pytest.raises(DataError, match="CSV has no place for sparse columns"):
        write_training_set("readmission-30d", history.path, tmp_path / "F.csv", features=FEATURES)


def test_the_command_takes_a_feature_set_and_only_what_was_known(history, tmp_path):
    """`--features` reads a page; with `--known-only` claims that come later do not count."""
    coded = {
        "aggregation": "count",
        "source": {"events": ["diagnosis"]},
        "windows": ["stay"],
        "name": "coded",
    }
    page = {"name": "mine", "specs": [coded, {"aggregation": "static", "fact": "age", "role": "adjust"}]}
    (tmp_path / "mine.yaml").write_text(json.dumps(page))
    sums = []
    for options in ([], ["--known-only"]):
        out = tmp_path / "F.parquet"
        arguments = ["--quiet", "features", "readmission-30d", history.path, "--out", out, *options]
        arguments += ["--features", tmp_path / "mine.yaml"]
        ended = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        assert [column.name for column in read_features(out).columns] == ["coded", "age"]
        sums.append(pl.read_parquet(out)["coded"].sum())
    assert sums[0] > 10 * sums[1]


def test_a_model_yaml_names_a_sparse_feature_set_and_what_was_known(history, tmp_path, monkeypatch):
    """`features:` is read beside the model.yaml; `known_only:` goes with the model, and scores by it."""
    coded = Count(Events("diagnosis"), "stay", name="coded")
    page = FeatureSet("mine", [*FEATURES.specs, coded]).to_dict()
    (tmp_path / "mine.json").write_text(json.dumps(page))
    few = "parameters: {n_estimators: 20, num_threads: 1}\nn_bootstrap: 10\nfeatures: mine.json\n"
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    (tmp_path / "model.yaml").write_text(f"name: wide\ntask: readmission-30d\n{few}known_only: true\n")
    trained = train(
        "readmission-30d",
        history.path,
        config=tmp_path / "model.yaml",
        tracking_uri=uri,
        out=tmp_path / "M",
    )
    assert len(trained.bundle.contract.sparse_columns) == 2 * 283
    bundle = ModelBundle.load(tmp_path / "M")
    assert bundle.known_only
    assert bundle.fingerprint() != replace(bundle, known_only=False).fingerprint()

    day = history.manifest.last[:10]
    risks = []
    for name, model in (("known", bundle), ("all", replace(bundle, known_only=False))):
        done = score(model, history, as_of=day, out=tmp_path / name, since="2022-01-01", reasons=0)
        risks.append(read_scores(done.path).select("index_id", "risk").collect())
    opened = open_history(history.path, as_of=datetime.fromisoformat(day))
    cases = build_cohort("readmission-30d", opened, require_follow_up=False).cases
    cases = cases.filter(pl.col("index_id").is_in(risks[0]["index_id"].to_list()))
    expected = bundle.predict(build_features(opened, cases, bundle.feature_set, known_only=True))
    by_id = pl.DataFrame({"index_id": cases["index_id"], "expected": expected})
    scored = risks[0].join(by_id, on="index_id", validate="1:1")
    assert scored["risk"].to_list() == pytest.approx(scored["expected"].to_list(), abs=1e-12)
    assert not risks[0].equals(risks[1])

    # A sparse champion is measured on the same rows, and takes its columns among others in any order.
    monkeypatch.setattr(registry, "load_model", lambda *_, **__: bundle)
    held_out, features = trained.fitted.held_out, trained.fitted.held_out_features
    turned = replace(
        features,
        frame=features.frame.with_columns(new=1.0),
        sparse=features.sparse[:, ::-1],
        sparse_columns=features.sparse_columns[::-1],
    )
    for given, found in ((turned, True), (features.frame, False)):
        against = compare_with_champion(
            held_out["risk"], given, held_out["label"], held_out["person_id"], "wide", n_bootstrap=10
        )
        assert (against is not None) is found
        assert not found or against["auroc"] == {"difference": 0, "lower": 0, "upper": 0}
