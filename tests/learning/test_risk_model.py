"""RiskModel: patients kept apart, probabilities that mean what they say, the same answer every time."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from riskmodels.errors import ContractError, DataError, SpecError
from riskmodels.learning import RiskModel
from riskmodels.learning.calibration import Platt

FAST = {"learning_rate": 0.1, "num_threads": 1, "folds": None}


@pytest.fixture(scope="module")
def model(world):
    return RiskModel(**FAST).fit(world.X, world.y, groups=world.patients)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="three-parts-platt"),
        pytest.param({"calibration": "beta"}, id="three-parts-beta"),
        pytest.param({"calibration": "isotonic"}, id="three-parts-isotonic"),
        pytest.param({"folds": 5}, id="rotating-folds"),
        pytest.param({"folds": 4, "refit": False}, id="rotating-folds-no-refit"),
        pytest.param({"n_models": 2, "refit": False}, id="two-boosters-no-refit"),
        pytest.param({"categories": "native"}, id="native-categories"),
    ],
)
def test_risks_mean_what_they_say_on_other_patients(world, others, calibration_slope, options):
    """Calibration slope and intercept against the outcomes of other patients are near 1 and 0."""
    model = RiskModel(**FAST | options).fit(world.X, world.y, groups=world.patients)
    p = model.predict_proba(others.X)[:, 1]
    assert 0.8 < calibration_slope(others.y, p) < 1.25
    assert abs(p.mean() - others.y.mean()) < 0.02
    assert np.corrcoef(p, others.risk)[0, 1] > 0.8


def test_no_patient_is_in_two_parts(world, model):
    """Fit, stop and calibrate hold different patients, about 70, 15 and 15 in a hundred of them."""
    part = pd.DataFrame({"patient": world.patients, "part": model.partition_})
    assert (part.groupby("patient")["part"].nunique() == 1).all()
    share = part.groupby("part")["patient"].nunique() / part["patient"].nunique()
    assert share.to_dict() == pytest.approx({"fit": 0.7, "stop": 0.15, "calibrate": 0.15}, abs=0.01)


def test_no_patient_is_in_two_rotating_folds(world):
    model = RiskModel(**FAST | {"folds": 3, "n_estimators": 5}).fit(world.X, world.y, groups=world.patients)
    part = pd.DataFrame({"patient": world.patients, "part": model.partition_})
    assert (part.groupby("patient")["part"].nunique() == 1).all()


def test_trees_never_see_the_outcomes_that_calibrate(world, model):
    """Turning the calibrating patients' outcomes round changes the calibrator and not one leaf."""
    rows = model.partition_ == "calibrate"
    # Exchanging outcomes between calibrating patients of equal size keeps the draw of the parts the same.
    turned = world.y.copy()
    with_outcome = pd.Series(world.y).groupby(world.patients).transform("max").to_numpy() > 0
    inside = rows & with_outcome
    turned[inside] = 1
    other = RiskModel(**FAST).fit(world.X, turned, groups=world.patients)
    assert (other.partition_ == model.partition_).all()
    assert (turned != world.y).sum() > 50
    np.testing.assert_array_equal(other.predict_raw(world.X), model.predict_raw(world.X))
    assert other.calibrator_ != model.calibrator_


def test_stopping_outcomes_choose_the_rounds_and_nothing_else(world):
    """Without a refit, trees up to the same round are the same whatever happened to the stopping patients."""
    first = RiskModel(**FAST, refit=False).fit(world.X, world.y, groups=world.patients)
    with_outcome = pd.Series(world.y).groupby(world.patients).transform("max").to_numpy() > 0
    turned = world.y.copy()
    turned[(first.partition_ == "stop") & with_outcome] = 1
    second = RiskModel(**FAST, refit=False).fit(world.X, turned, groups=world.patients)
    rounds = min(first.best_iteration_, second.best_iteration_)
    matrix = first.encoder_.transform(first.encoder_.codes(world.X))
    np.testing.assert_array_equal(
        first.boosters_[0].predict(matrix, num_iteration=rounds),
        second.boosters_[0].predict(matrix, num_iteration=rounds),
    )


def test_the_same_seed_gives_the_same_model_whatever_the_threads(world, model):
    again = RiskModel(**{**FAST, "num_threads": 2}).fit(world.X, world.y, groups=world.patients)
    np.testing.assert_array_equal(again.predict_proba(world.X), model.predict_proba(world.X))


def test_another_seed_gives_another_model(world, model):
    other = RiskModel(**FAST, random_state=5).fit(world.X, world.y, groups=world.patients)
    assert not np.allclose(other.predict_proba(world.X), model.predict_proba(world.X))


def test_early_stopping_stops(model):
    assert 5 < model.best_iteration_ < 1000


@pytest.mark.parametrize("kind", ["pandas", "pandas-categorical", "arrow", "lazy"])
def test_the_kind_of_table_does_not_matter(world, model, kind):
    """Pandas numbers the categories of each frame anew; the model goes by their names."""
    few = world.X.filter(pl.col("diagnosis").is_in(["D007", "D008"]) | pl.col("diagnosis").is_null())
    frame = {
        "pandas": few.to_pandas,
        "pandas-categorical": lambda: few.to_pandas().astype({"diagnosis": "category", "ward": "category"}),
        "arrow": few.to_arrow,
        "lazy": few.lazy,
    }[kind]()
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(few))


def test_the_order_of_columns_does_not_matter(world, model):
    reordered = world.X.select(reversed(world.X.columns))
    np.testing.assert_array_equal(model.predict_proba(reordered), model.predict_proba(world.X))


def test_the_order_of_rows_does_not_matter(world, model):
    turned = model.predict_proba(world.X.reverse())[::-1]
    np.testing.assert_array_equal(turned, model.predict_proba(world.X))


def test_unseen_levels_are_counted_and_scored_as_nothing_special(world, model):
    strange = world.X.head(10).with_columns(diagnosis=pl.lit("Z999"), ward=pl.lit("attic"))
    assert model.unseen(strange) == {"diagnosis": {"Z999": 10}, "ward": {"attic": 10}}
    assert model.unseen(world.X) == {}
    np.testing.assert_array_equal(
        model.predict_proba(strange), model.predict_proba(strange.with_columns(diagnosis=pl.lit("Z998")))
    )


def test_shap_values_sum_to_the_raw_margin(world, model):
    few = world.X.head(300)
    values = model.explain(few)
    assert list(values.columns) == world.X.columns
    np.testing.assert_allclose(values.sum(axis=1) + model.expected_value, model.predict_raw(few), atol=1e-9)


def test_shap_finds_what_drives_the_risk(world, model):
    order = model.explain(world.X.head(2000)).abs().mean().sort_values(ascending=False)
    assert set(order.index[:3]) == {"prior", "diagnosis", "ward"}


def test_calibration_keeps_the_order_of_patients(world, model):
    margin, p = model.predict_raw(world.X), model.predict_proba(world.X)[:, 1]
    order = np.argsort(margin)
    assert isinstance(model.calibrator_, Platt)
    assert (np.diff(p[order]) >= 0).all()


def test_a_monotone_column_only_raises_the_risk(world):
    model = RiskModel(**FAST, monotone={"prior": 1}).fit(world.X, world.y, groups=world.patients)
    row = world.X.head(1).drop("prior")
    grid = row.join(pl.DataFrame({"prior": np.linspace(-3, 3, 100)}), how="cross")
    assert (np.diff(model.predict_raw(grid)) >= 0).all()


def test_weights_of_zero_leave_rows_out(world):
    weight = (np.arange(len(world.y)) % 3 > 0).astype(float)
    weighted = RiskModel(**FAST).fit(world.X, world.y, groups=world.patients, sample_weight=weight)
    keep = weight > 0
    alone = RiskModel(**FAST).fit(world.X.filter(keep), world.y[keep], groups=world.patients[keep])
    np.testing.assert_array_equal(weighted.predict_raw(world.X), alone.predict_raw(world.X))


def test_weights_move_the_risk(world):
    weight = np.where(world.y == 1, 3.0, 1.0)
    model = RiskModel(**FAST).fit(world.X, world.y, groups=world.patients, sample_weight=weight)
    predicted = np.average(model.predict_proba(world.X)[:, 1], weights=weight)
    assert predicted == pytest.approx(np.average(world.y, weights=weight), abs=0.03)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda X: X.drop("prior"), "'prior'", id="missing"),
        pytest.param(lambda X: X.rename({"prior": "priors"}), "did you mean 'priors'", id="renamed"),
        pytest.param(lambda X: X.with_columns(new=1), "not fitted on 'new'", id="extra"),
        pytest.param(lambda X: X.with_columns(prior=pl.lit("high")), "'prior' is String", id="text"),
        pytest.param(lambda X: np.zeros((3, 5)), "categories", id="array"),
    ],
)
def test_tables_that_do_not_fit_are_refused(world, model, change, says):
    with pytest.raises(ContractError, match=says):
        model.predict_proba(change(world.X.head(50)))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        pytest.param(lambda y: y * 0, "one class, 0", id="no-positives"),
        pytest.param(lambda y: y * 0 + 1, "one class, 1", id="constant"),
        pytest.param(lambda y: y + (np.arange(len(y)) % 2), "0 or 1", id="three-values"),
        pytest.param(
            lambda y: np.where(np.arange(len(y)) < 7, np.nan, y), "7 of .* labels are missing", id="missing"
        ),
        pytest.param(lambda y: y + 0.3 * (np.arange(len(y)) == 0), "0 or 1", id="fraction"),
        pytest.param(lambda y: y[:-1], "12000 rows but 11999 labels", id="too-few"),
        pytest.param(
            lambda y: (np.arange(len(y)) < 2).astype(int), "patients are with the outcome", id="too-rare"
        ),
    ],
)
def test_labels_that_teach_nothing_are_refused(world, labels, says):
    with pytest.raises(DataError, match=says):
        RiskModel(**FAST).fit(world.X, labels(world.y), groups=world.patients)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"calibration": "plat"}, "did you mean 'platt'"),
        ({"categories": "targets"}, "did you mean 'target'"),
        ({"categories": {"dignosis": "target"}}, "did you mean 'diagnosis'"),
        ({"monotone": {"priors": 1}}, "did you mean 'prior'"),
        ({"validation_fraction": 0.6, "calibration_fraction": 0.4}, "leave no patients"),
        ({"validation_fraction": 1.5}, "validation_fraction=1.5"),
        ({"calibration_fraction": 0}, "calibration needs patients"),
        ({"folds": 2}, "at least 3"),
        ({"n_models": 0}, "n_models=0"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_parameters_out_of_range_are_refused(world, options, says):
    with pytest.raises(SpecError, match=says):
        RiskModel(**FAST | options).fit(world.X.head(500), world.y[:500])


def test_parts_that_are_not_wanted_can_be_left_out(world):
    """With a fixed number of rounds and no calibration, all patients fit."""
    model = RiskModel(
        **FAST, n_estimators=20, validation_fraction=0, calibration_fraction=0, calibration=None
    ).fit(world.X, world.y, groups=world.patients)
    assert set(model.partition_) == {"fit"}
    assert model.best_iteration_ == 20
    np.testing.assert_allclose(
        model.predict_proba(world.X)[:, 1], 1 / (1 + np.exp(-model.predict_raw(world.X)))
    )


def test_folds_are_fewer_where_patients_with_the_outcome_are(world):
    y = np.zeros(400, dtype=int)
    y[[3, 50, 77, 200]] = 1
    model = RiskModel(num_threads=1).fit(world.X.head(400), y)
    assert set(model.partition_) == {0, 1, 2, 3}
    with pytest.raises(DataError, match="2 of 400 patients are with the outcome"):
        RiskModel(num_threads=1).fit(world.X.head(400), y * (np.arange(400) > 60))


def test_rotating_parts_calibrate_each_patient_by_trees_that_have_not_seen_it(world):
    """Outcomes that say nothing beyond chance leave a slope near 0, however well trees remember rows."""
    y = (np.random.default_rng(4).random(len(world.y)) < 0.2).astype(int)
    memory = {
        "min_child_samples": 2,
        "reg_lambda": 0.0,
        "num_leaves": 64,
        "max_depth": -1,
        "learning_rate": 0.3,
    }
    model = RiskModel(**memory, n_estimators=30, num_threads=1).fit(world.X, y, groups=world.patients)
    assert isinstance(model.calibrator_, Platt)
    assert model.calibrator_.slope < 0.4
