"""From a history to a benchmark: roles, cross-fitting, suppression, files, and the truth of the simulator."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from polars.testing import assert_frame_equal

from riskmodels.benchmarks import Benchmark, benchmark, benchmark_stays, read_benchmark
from riskmodels.benchmarks.expected import cross_fitted_risk, recalibrate, refuse_predict_features
from riskmodels.cohorts import build_cohort, load_task
from riskmodels.datasets import Simulation, simulate
from riskmodels.errors import DataError, SpecError
from riskmodels.features import FeatureSet, Static, build_features, standard_features
from riskmodels.history import History
from riskmodels.learning import RiskModel
from riskmodels.learning.bundle import ModelBundle, RiskBands
from riskmodels.learning.contract import DataContract

QUICK = {"n_estimators": 60, "learning_rate": 0.1, "num_threads": 1}
ADJUST = FeatureSet("adjust", [Static("age", role="adjust"), Static("sex", role="adjust")])


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(8000, seed=21)


@pytest.fixture(scope="module")
def history(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> History:
    return simulation.write(tmp_path_factory.mktemp("history") / "H")


@pytest.fixture(scope="module")
def found(history: History) -> Benchmark:
    return benchmark("readmission-30d", history, parameters=QUICK, n_draws=20, suppress=False, minimum_n=1)


def fitted(history: History, features: FeatureSet) -> ModelBundle:
    task = load_task("readmission-30d")
    cases = build_cohort(task, history).observed
    frame = build_features(history, cases, features).frame
    outcome, patients = cases["label"].to_numpy(), cases["person"].to_numpy()
    model = RiskModel(**QUICK)  # type: ignore[arg-type]
    model.fit(frame.drop("index_id"), outcome, patients, columns=features.columns)
    contract = DataContract.from_training(frame, features.columns, feature_set=features)
    return ModelBundle(model, features, task, contract, RiskBands((0.1, 0.2, 0.3)), {"name": "given"})


def test_every_observed_case_is_in_it(found: Benchmark, history: History) -> None:
    cases = build_cohort("readmission-30d", history).observed
    assert found.frame["n"].sum() == cases.height == found.metadata["n"]
    assert found.frame["observed"].sum() == cases["label"].sum() == found.metadata["observed"]
    assert found.frame["facility_id"].to_list() == sorted(cases["facility_id"].unique())


def test_expected_sums_to_observed(found: Benchmark) -> None:
    """Without a model given, a ratio of 1 is the average of this history."""
    assert_allclose(found.frame["expected"].sum(), found.frame["observed"].sum(), rtol=1e-6)


def test_true_facility_effects_are_inside_the_intervals(
    found: Benchmark, simulation: Simulation, history: History
) -> None:
    """Of 24 facilities at most three intervals miss the true ratio; at 95% more do in 3 of 100 cases."""
    cases = build_cohort("readmission-30d", history).observed.select("index_id", "facility_id")
    truth = simulation.truth.select("true_risk", "true_risk_average_facility", index_id="encounter_id")
    ratio = (
        cases.join(truth, on="index_id")
        .group_by("facility_id")
        .agg(pl.len(), true=pl.col("true_risk").sum() / pl.col("true_risk_average_facility").sum())
    )
    both = found.frame.join(ratio, on="facility_id").filter(pl.col("len") >= 25)
    covered = both.filter(pl.col("true").is_between("ratio_lower", "ratio_upper")).height
    assert both.height >= 20
    assert covered >= both.height - 3
    assert both.select(pl.corr("ratio", "true", method="spearman")).item() > 0.25


def test_draws_belong_to_the_frame(found: Benchmark) -> None:
    assert found.draws.columns == ["facility_id", "draw", "ratio"]
    assert found.draws["draw"].n_unique() == 20
    centre = found.draws.group_by("facility_id").agg(pl.col("ratio").mean())
    both = found.frame.filter(pl.col("n") > 100).join(centre, on="facility_id", suffix="_drawn")
    assert_allclose(both["ratio_drawn"], both["ratio"], rtol=0.25)


def test_what_is_written_is_read(found: Benchmark, tmp_path: Path) -> None:
    found.write(tmp_path / "B.parquet")
    again = read_benchmark(tmp_path / "B.parquet")
    assert_frame_equal(again.frame, found.frame)
    assert_frame_equal(again.draws, found.draws)
    assert again.metadata == json.loads(json.dumps(found.metadata))
    assert {path.name for path in tmp_path.iterdir()} == {"B.parquet", "B.draws.parquet", "B.metadata.json"}


def test_csv_keeps_leading_zeros(tmp_path: Path) -> None:
    stays = pl.DataFrame({"facility_id": ["010001"] * 30, "person": range(30), "observed": [0, 1] * 15})
    made = benchmark_stays(stays.with_columns(expected=0.5), n_draws=2)
    made.write(tmp_path / "B.csv")
    again = read_benchmark(tmp_path / "B.csv")
    assert again.frame["facility_id"].to_list() == ["010001"]
    assert_allclose(again.frame["ratio"], 1.0)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("B.xlsx", "", "neither Parquet nor CSV"),
        ("absent.csv", None, "there is no such benchmark"),
        ("B.csv", "facility_id,n\n1,2\n", "column observed"),
    ],
)
def test_what_is_no_benchmark(tmp_path: Path, name: str, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=says):
        read_benchmark(tmp_path / name)


def test_a_benchmark_is_not_written_to_any_file(found: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"name it FILE\.parquet or FILE\.csv"):
        found.write(tmp_path / "B.xlsx")


def test_a_model_with_predict_features_is_refused(history: History) -> None:
    """The message names them; nothing is computed."""
    features = replace(ADJUST, specs=(*ADJUST.specs, Static("length_of_stay")))
    with pytest.raises(SpecError, match=r"(?s)1 feature of role 'predict' \(length_of_stay\).*\nFix"):
        benchmark("readmission-30d", history, model=fitted(history, features))


def test_a_role_of_ones_own_making_does_not_help(history: History) -> None:
    """A length of stay stays what a provider controls, though a page of features calls it ``adjust``."""
    features = replace(ADJUST, specs=(*ADJUST.specs, Static("length_of_stay", role="adjust")))
    with pytest.raises(SpecError, match=r"(?s)1 feature of role 'predict' \(length_of_stay\).*\nFix"):
        benchmark("readmission-30d", history, model=fitted(history, features))


def test_standard_adjust_features_pass_and_predict_ones_do_not() -> None:
    features = standard_features("readmission-30d")
    refuse_predict_features(features.select(role="adjust").columns, "the set")
    with pytest.raises(SpecError, match=r"role 'predict' \(.* and \d+ more\)"):
        refuse_predict_features(features.columns, "the set")


@pytest.mark.parametrize(("reference", "one"), [("model", False), ("here", True)])
def test_a_given_model_says_what_a_ratio_of_one_is(history: History, reference: str, one: bool) -> None:
    """By default the model's population is the reference; with `here`, this history's average is."""
    bundle = fitted(history, ADJUST)
    shifted = replace(bundle.model.calibrator_, intercept=bundle.model.calibrator_.intercept + 0.5)
    model = RiskModel(**QUICK)  # type: ignore[arg-type]
    model.__dict__ |= vars(bundle.model) | {"calibrator_": shifted}
    made = benchmark(
        "readmission-30d", history, model=replace(bundle, model=model), reference=reference, n_draws=0
    )
    ratio = made.metadata["observed"] / made.metadata["expected"]
    assert (abs(ratio - 1) < 1e-6) is one
    assert made.metadata["model"] == "given"


def test_a_model_of_another_task_is_refused(history: History) -> None:
    with pytest.raises(SpecError, match=r"is of the task readmission-30d, not of ed-visit-30d"):
        benchmark("ed-visit-30d", history, model=fitted(history, ADJUST))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": "facility"}, "no column 'facility'. Hint: did you mean 'facility_id'"),
        ({"reference": "national"}, "reference is 'national'"),
    ],
)
def test_options_that_make_no_sense(history: History, options: dict[str, str], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        benchmark("readmission-30d", history, **options)  # type: ignore[arg-type]


def test_any_column_of_the_cases_can_be_the_entity(history: History) -> None:
    made = benchmark("readmission-30d", history, by="sex", parameters=QUICK, n_draws=2)
    assert made.frame["sex"].to_list() == ["female", "male"]
    assert made.entity == "sex"


def test_what_is_small_is_in_no_file(history: History, tmp_path: Path) -> None:
    """By default small cells are null in the frame and absent from the draws."""
    made = benchmark("readmission-30d", history, parameters=QUICK, n_draws=3)
    made.write(tmp_path / "B.csv")
    hidden = made.frame.filter("suppressed")
    assert hidden.height > 0
    assert hidden["observed"].null_count() == hidden.height
    assert not set(hidden["facility_id"]) & set(made.draws["facility_id"])
    assert made.frame.filter(~pl.col("suppressed"))["observed"].min() >= 11


def world(n: int = 6000) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame(
        {"age": rng.integers(65, 95, n).astype(float), "sex": rng.choice(["female", "male"], n)}
    )
    risk = 1 / (1 + np.exp(-(-6 + 0.055 * frame["age"].to_numpy())))
    return frame, (rng.random(n) < risk).astype(float), np.arange(n) // 3


def test_a_patient_is_predicted_by_a_model_that_did_not_see_them() -> None:
    """With a feature that is the patient's own number no risk is learned but chance: AUROC near one half."""
    from riskmodels.evaluation import auroc

    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(1500), 3)
    frailty = rng.random(1500) < 0.3
    outcome = (rng.random(4500) < np.where(frailty[person], 0.6, 0.05)).astype(float)
    frame = pl.DataFrame({"age": rng.permutation(1500)[person].astype(float)})
    expected = cross_fitted_risk(frame, outcome, person, ADJUST.columns[:1], parameters=QUICK)
    assert 0.42 < auroc(outcome, expected.risk) < 0.58
    assert_allclose(expected.risk.sum(), outcome.sum(), rtol=1e-6)


def test_cross_fitting_needs_patients() -> None:
    frame, outcome, person = world(60)
    with pytest.raises(SpecError, match="20 patients are too few"):
        cross_fitted_risk(frame, outcome, person, ADJUST.columns)


def test_recalibration_is_maximum_likelihood() -> None:
    """True log-odds halved and shifted come back with slope 2 and the right level."""
    rng = np.random.default_rng(1)
    log_odds = rng.normal(-2, 1, 50_000)
    outcome = (rng.random(50_000) < 1 / (1 + np.exp(-log_odds))).astype(float)
    risk, slope = recalibrate(log_odds / 2 + 1, outcome)
    assert_allclose(slope, 2, atol=0.06)
    assert_allclose(risk.sum(), outcome.sum(), rtol=1e-9)
    assert np.corrcoef(risk, 1 / (1 + np.exp(-log_odds)))[0, 1] > 0.9999


def test_with_few_outcomes_only_the_level_is_set() -> None:
    log_odds = np.linspace(-3, -1, 400)
    outcome = np.zeros(400)
    outcome[::10] = 1
    risk, slope = recalibrate(log_odds, outcome)
    assert slope == 1.0
    assert_allclose(risk.sum(), 40)


def test_nothing_can_be_expected_of_one_outcome() -> None:
    with pytest.raises(SpecError, match="same outcome"):
        recalibrate(np.zeros(10), np.zeros(10))


def test_the_summary_is_short(found: Benchmark) -> None:
    text = found.to_text()
    assert "readmission-30d by facility_id" in text
    assert len(text.splitlines()) == 3
