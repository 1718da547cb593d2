"""Expected cost: unbiased, deterministic, by patient, saved as text, clear about what it cannot use."""

import numpy as np
import polars as pl
import pytest
from sklearn.utils.estimator_checks import check_estimator

from riskmodels.errors import RegistryError, SpecError
from riskmodels.learning import CostModel
from riskmodels.learning.cost_model import METHODS
from riskmodels.learning.frames import FitError

FAST = {"num_threads": 1, "folds": 3, "learning_rate": 0.1, "early_stopping_rounds": 20}


def people(n: int = 3000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Return features and costs of people of whom a third cost nothing; the ill cost five times as much."""
    draw = np.random.default_rng(seed)
    ill, region = draw.random(n) < 0.3, draw.choice(["north", "south"], n)
    mean = 1000 * np.where(ill, 5, 1) * np.where(region == "north", 1.5, 1.0)
    cost = np.where(draw.random(n) < 0.33, 0.0, draw.gamma(1.0, mean))
    return pl.DataFrame({"ill": ill, "region": region, "noise": draw.normal(size=n)}), cost


@pytest.mark.parametrize("method", METHODS)
def test_expected_costs_are_unbiased_overall_and_by_group(method: str) -> None:
    """On new people expected costs are within 10% of the true mean, for the ill and for the others."""
    table, cost = people(6000)
    model = CostModel(method=method, **FAST).fit(table, cost)
    new, _ = people(4000, seed=1)
    expected = model.predict(new)
    for ill in (True, False):
        here = (new["ill"] == ill).to_numpy()
        north = (new["region"] == "north").to_numpy()[here].mean()
        truth = 0.67 * 1000 * (5 if ill else 1) * (1 + 0.5 * north)
        assert expected[here].mean() == pytest.approx(truth, rel=0.1)


def test_exposure_is_a_weight() -> None:
    """Exposure is a weight: people of weight 3 beside the same people of weight 1 give a mean of both."""
    table, cost = people(2000)
    dear = cost + 1000
    weight = np.concatenate([np.full(2000, 3.0), np.ones(2000)])
    model = CostModel(**FAST).fit(
        pl.concat([table, table]), np.concatenate([cost, dear]), sample_weight=weight
    )
    assert model.predict(table).mean() == pytest.approx(cost.mean() + 250, rel=0.05)


def test_the_same_seed_gives_the_same_bytes_and_a_saved_model_the_same_costs(tmp_path) -> None:
    """Two fits write equal files, and what is loaded predicts and explains as what was saved."""
    table, cost = people(1500)
    for name in "ab":
        CostModel(method="two-part", **FAST).fit(table, cost).save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["booster-amount.txt", "booster-any.txt", "cost_model.json"]
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    model, loaded = CostModel(method="two-part", **FAST).fit(table, cost), CostModel.load(tmp_path / "a")
    np.testing.assert_array_equal(loaded.predict(table), model.predict(table))
    assert loaded.explain(table, part="any").equals(model.explain(table, part="any"))
    assert loaded.feature_roles_ == model.feature_roles_


def test_a_changed_model_is_refused(tmp_path) -> None:
    """A byte changed in a booster, or in the description, is noticed."""
    table, cost = people(600)
    CostModel(**FAST).fit(table, cost).save(tmp_path / "model")
    for file in ("booster-all.txt", "cost_model.json"):
        path = tmp_path / "model" / file
        before = path.read_text()
        path.write_text(before.replace("1", "2", 1))
        with pytest.raises(RegistryError, match=r"changed after it was saved|does not describe"):
            CostModel.load(tmp_path / "model")
        path.write_text(before)
    CostModel.load(tmp_path / "model")


def test_a_folder_that_holds_something_else_is_not_overwritten(tmp_path) -> None:
    """Saving over anything but a cost model raises, and leaves it as it was."""
    (tmp_path / "keep.txt").write_text("mine")
    table, cost = people(600)
    with pytest.raises(RegistryError, match="holds something else"):
        CostModel(**FAST).fit(table, cost).save(tmp_path)
    assert (tmp_path / "keep.txt").read_text() == "mine"


def test_shap_values_of_a_tweedie_model_multiply_to_its_costs() -> None:
    """Sums of log-dollars differ between two people as the logarithms of their expected costs do."""
    table, cost = people(1500)
    model = CostModel(**FAST).fit(table, cost)
    total = model.explain(table).sum(axis=1).to_numpy()
    log = np.log(model.predict(table))
    np.testing.assert_allclose(total - total[0], log - log[0], atol=1e-9)


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        ([1.0] * 99 + [-1.0], "1 of 100 costs are missing, infinite or negative"),
        ([1.0] * 99 + [float("nan")], "1 of 100 costs"),
        ([0.0] * 100, "nothing can be learned"),
        ([1.0] * 99, "100 rows but 99 costs"),
    ],
    ids=["negative", "missing", "all nothing", "too short"],
)
def test_costs_that_cannot_be_learned_from_are_refused(cost: list[float], message: str) -> None:
    """The error says what is wrong with the costs."""
    with pytest.raises(FitError, match=message):
        CostModel(**FAST).fit(pl.DataFrame({"x": range(100)}), np.array(cost))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "twedie"}, "did you mean 'tweedie'"),
        ({"variance_power": 2}, "between 1 and 2"),
        ({"folds": 1}, "folds=1"),
    ],
    ids=["method", "power", "folds"],
)
def test_parameters_out_of_range_are_refused(parameters: dict, message: str) -> None:
    """The error names the parameter and what it may be."""
    with pytest.raises(SpecError, match=message):
        CostModel(**parameters).fit(*people(100))


def test_it_is_a_scikit_learn_estimator() -> None:
    """scikit-learn's own checks pass, but for one: folds and leaf sizes count rows, not weights."""
    rows = {
        f"check_sample_weight_equivalence_on_{kind}_data": "folds and leaf sizes count rows"
        for kind in ("dense", "sparse")
    }
    check_estimator(
        CostModel(n_estimators=20, min_child_samples=2, folds=2, num_threads=1), expected_failed_checks=rows
    )
