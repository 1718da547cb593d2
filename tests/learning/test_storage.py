"""A saved model: the same bytes, the same answers, and no use of what was tampered with."""

import json

import numpy as np
import pytest

from riskmodels.errors import RegistryError
from riskmodels.learning import RiskModel


@pytest.fixture(scope="module")
def model(world):
    return RiskModel(n_models=2, learning_rate=0.2, num_threads=1, calibration="beta", folds=None).fit(
        world.X, world.y, groups=world.patients
    )


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_loaded_model_gives_the_same_answers(model, folder, world):
    loaded = RiskModel.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(world.X), model.predict_proba(world.X))
    few = world.X.head(50)
    np.testing.assert_array_equal(loaded.explain(few).to_numpy(), model.explain(few).to_numpy())
    assert loaded.expected_value == model.expected_value
    assert loaded.get_params() == model.get_params()
    assert loaded.categories_ == model.categories_
    assert loaded.feature_roles_ == model.feature_roles_
    assert list(loaded.feature_names_in_) == list(model.feature_names_in_)
    assert loaded.best_iteration_ == model.best_iteration_


def test_the_same_model_gives_the_same_bytes(model, folder, world, tmp_path):
    """Saved again, loaded and saved, or fitted anew with other threads."""
    model.save(folder)
    RiskModel.load(folder).save(tmp_path / "again")
    anew = RiskModel(**{**model.get_params(), "num_threads": 2}).fit(world.X, world.y, groups=world.patients)
    anew.set_params(num_threads=1).save(tmp_path / "anew")
    assert contents(tmp_path / "again") == contents(folder)
    assert contents(tmp_path / "anew") == contents(folder)


def test_a_model_folder_is_text_without_any_patient(folder):
    found = contents(folder)
    assert set(found) == {"model.json", "booster.txt", "booster-2.txt"}
    description = json.loads(found["model.json"])
    assert description["format_version"] == 1
    assert description["n_training"] == {"rows": 12_000, "patients": 6_000}
    assert not any("partition" in key for key in description)


def test_labels_of_other_types_come_back(world, tmp_path):
    y = np.where(world.y == 1, "yes", "no")
    model = RiskModel(n_estimators=5, num_threads=1).fit(world.X, y, groups=world.patients)
    model.save(tmp_path / "m")
    assert list(RiskModel.load(tmp_path / "m").classes_) == ["no", "yes"]


def edit(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda f: (f / "model.json").unlink(), "has no model.json", id="no-description"),
        pytest.param(lambda f: (f / "booster-2.txt").unlink(), "booster-2.txt is missing", id="no-booster"),
        pytest.param(lambda f: (f / "model.json").write_text("{"), "not JSON", id="half-a-description"),
        pytest.param(lambda f: (f / "model.json").write_text("{}"), "does not describe", id="other-json"),
        pytest.param(lambda f: edit(f, expected_value=0.5), "changed after it was saved", id="edited"),
        pytest.param(lambda f: edit(f, format_version=99), "format 99", id="newer"),
        pytest.param(
            lambda f: (f / "booster.txt").write_text((f / "booster.txt").read_text().replace("1", "2", 1)),
            "booster.txt was changed",
            id="edited-booster",
        ),
    ],
)
def test_damaged_models_are_refused(folder, damage, says):
    damage(folder)
    with pytest.raises(RegistryError, match=says):
        RiskModel.load(folder)


def test_a_folder_that_holds_something_else_is_left_alone(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RegistryError, match="holds something else"):
        model.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
