"""Stored models still load, score as they did, and come with what a user needs to judge them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from riskmodels.learning.bundle import ModelBundle
from riskmodels.pipeline import TrainingPlan

MODELS = sorted(path.parent for path in (Path(__file__).resolve().parents[1] / "models").glob("*/model.yaml"))


def golden(folder: Path, bundle: ModelBundle) -> pl.DataFrame:
    """Return the golden rows with the types of the features."""
    kinds = {c.name: pl.String if c.kind == "category" else pl.Float64 for c in bundle.contract.columns}
    types = {"index_id": pl.String, "risk": pl.Float64, **kinds}
    return pl.read_csv(folder / "golden_scores.csv", schema_overrides=types)


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_stored_model_scores_as_it_did(folder: Path) -> None:
    """The golden rows get the risks that were stored with them."""
    bundle = ModelBundle.load(folder / "model")
    rows = golden(folder, bundle)
    risk = bundle.predict(rows.select(bundle.contract.names))
    assert len(risk) >= 50
    assert len(np.unique(risk)) > 20
    np.testing.assert_allclose(risk, rows["risk"].to_numpy(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_stored_model_is_the_one_of_its_plan_and_card(folder: Path) -> None:
    """Task and name agree, and the card states the AUROC that the model was stored with."""
    bundle, plan = ModelBundle.load(folder / "model"), TrainingPlan.read(folder / "model.yaml")
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert bundle.task.name == plan.task
    assert bundle.name == plan.name
    assert f"{bundle.metadata['metrics']['auroc']['value']:.3f}" in card
