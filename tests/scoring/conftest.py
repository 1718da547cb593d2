"""A simulated history of 16 shards and a small model fitted on it, made once for all tests of scoring."""

from pathlib import Path

import pytest

from riskmodels.cohorts import build_cohort, load_task
from riskmodels.datasets import simulate
from riskmodels.features import (
    Any,
    Count,
    DaysSince,
    Encounters,
    Events,
    FeatureSet,
    Score,
    Static,
    build_features,
)
from riskmodels.history import History, Part, write_history
from riskmodels.learning import RiskModel
from riskmodels.learning.bundle import ModelBundle, RiskBands
from riskmodels.learning.contract import DataContract

FEATURES = FeatureSet(
    "small",
    [
        Static("age", role="adjust"),
        Static("sex", role="adjust"),
        Static("length_of_stay"),
        Static("discharge_disposition"),
        Count(
            Encounters("emergency"), ("90d", "365d"), anchor="admission", name="ed_visits", label="ED visits"
        ),
        Count(
            Encounters("inpatient"),
            "365d",
            anchor="admission",
            name="admissions",
            label="Inpatient admissions",
        ),
        DaysSince(Encounters("inpatient"), "365d", anchor="admission", name="days_since_admission"),
        Any(
            Events("diagnosis", grouper="charlson"),
            "365d",
            name="charlson_{group}",
            label="{group} (Charlson)",
        ),
        Count(Events("drug"), "90d", name="fills", label="Drug fills"),
        Score("lace"),
    ],
)


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    tables = simulate(3000, seed=11).tables
    parts = [Part(name, tables[name], name) for name in ("person", "coverage", "encounter", "event")]
    return write_history(
        parts, tmp_path_factory.mktemp("history") / "H", source_format="simulated", shards=16
    )


@pytest.fixture(scope="session")
def bundle(history: History) -> ModelBundle:
    task = load_task("readmission-30d")
    cases = build_cohort(task, history).observed
    features = build_features(history, cases, FEATURES)
    frame = features.frame.drop("index_id")
    model = RiskModel(n_estimators=60, num_threads=1)
    model.fit(frame, cases["label"].to_numpy(), groups=cases["person"].to_numpy(), columns=features.columns)
    contract = DataContract.from_training(
        frame, features.columns, task=task, feature_set=FEATURES, history=history
    )
    bands = RiskBands.from_predictions(model.predict_proba(frame)[:, 1])
    metadata = {"name": "readmission-test", "version": "3"}
    return ModelBundle(model, FEATURES, task, contract, bands, metadata)


@pytest.fixture(scope="session")
def model_folder(bundle: ModelBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle.save(tmp_path_factory.mktemp("model") / "M")
