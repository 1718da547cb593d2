"""A training set with sparse columns: fitted, measured and described as any other."""

import json

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError
from riskmodels.features import Count, Encounters, Events, FeatureSet, Score, Static, read_features
from riskmodels.pipeline.fit import fit
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.training_data import training_set, write_training_set

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
