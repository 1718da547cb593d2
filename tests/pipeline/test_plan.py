"""A training plan is read from a model.yaml, and what could not be followed is refused by name."""

from pathlib import Path

import pytest

from riskmodels.errors import DataError, SpecError
from riskmodels.learning import RiskModel
from riskmodels.pipeline import TrainingPlan

ROOT = Path(__file__).resolve().parents[2]


def test_the_plan_of_the_shipped_model_is_readable() -> None:
    plan = TrainingPlan.read(ROOT / "models" / "readmission_30d" / "model.yaml")
    assert plan.name == plan.task == "readmission-30d"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\ntask: readmission-30d\nlearning_rate: 0.1", "learning_rate"),
        ("name: a", "'task' is missing"),
        ("name: a\ntask: readmission-30d\nsplit: patients", "did you mean 'patient'"),
        ("name: a\ntask: readmission-30d\nrole: adjusted", "did you mean 'adjust'"),
        ("name: a\ntask: readmission-30d\ntest_fraction: 1.5", "test_fraction is 1.5"),
    ],
    ids=["unknown key", "missing key", "unknown split", "unknown role", "impossible fraction"],
)
def test_a_plan_that_cannot_be_followed_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(SpecError, match=says):
        TrainingPlan.read(tmp_path / "model.yaml")


@pytest.mark.parametrize("text", ["- a\n- b", "a: [1", ""], ids=["a list", "broken", "empty"])
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(DataError, match=r"model\.yaml"):
        TrainingPlan.read(tmp_path / "model.yaml")


def test_a_parameter_that_the_model_does_not_have_is_refused() -> None:
    """Before anything is built, with the nearest parameter there is."""
    plan = TrainingPlan(name="a", task="readmission-30d", parameters={"lerning_rate": 0.1})
    with pytest.raises(SpecError, match=r"RiskModel has no parameter 'lerning_rate'.*'learning_rate'"):
        plan.check_parameters(RiskModel)
    TrainingPlan(name="a", task="readmission-30d", parameters={"num_leaves": 4}).check_parameters(RiskModel)
