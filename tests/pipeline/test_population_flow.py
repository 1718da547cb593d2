"""A population through the rooms: cases, features, a model, scores of one day, a benchmark by provider."""

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from riskmodels.benchmarks import benchmark
from riskmodels.cohorts import build_cohort
from riskmodels.datasets import simulate
from riskmodels.errors import SpecError
from riskmodels.features import build_features, standard_features
from riskmodels.history import History, open_history
from riskmodels.learning.bundle import ModelBundle
from riskmodels.pipeline import TrainingPlan, training_set, write_training_set
from riskmodels.pipeline.card import model_card
from riskmodels.pipeline.fit import Fitted, fit
from riskmodels.scoring import score

TASK = "admission-12m"
AS_OF = date(2023, 4, 1)
SHORT = {"n_estimators": 20, "folds": None}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return simulate(1_500, seed=8).write(tmp_path_factory.mktemp("population") / "H")


@pytest.fixture(scope="module")
def fitted(history: History) -> Fitted:
    plan = TrainingPlan(name=TASK, task=TASK, parameters=SHORT, n_bootstrap=20)
    return fit(training_set(TASK, history), plan)


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> ModelBundle:
    return fitted.bundle


def test_the_card_speaks_of_person_years(fitted: Fitted) -> None:
    card = model_card(fitted)
    assert "predicted for a population on a date" in card
    assert f"{fitted.summary['n_rows']:,} person-years of" in card
    assert "discharge" not in card


def test_every_person_year_is_a_row(history: History, tmp_path: Path) -> None:
    said = write_training_set(TASK, history.path, tmp_path / "F.parquet")
    frame = pl.read_parquet(tmp_path / "F.parquet")
    assert "with the outcome" in said
    assert frame["index_time"].dt.ordinal_day().unique().to_list() == [1]
    assert frame["index_id"].is_unique().all()
    assert frame["facility_id"].null_count() == frame.height
    assert not {"length_of_stay", "drg", "lace_score"} & set(frame.columns)
    assert 0.05 < frame["label"].mean() < 0.3  # type: ignore[operator]


def test_costs_are_written_with_member_months(history: History, tmp_path: Path) -> None:
    said = write_training_set("cost-12m", history.path, tmp_path / "F.csv")
    frame = pl.read_csv(tmp_path / "F.csv")
    assert "dollars per member month" in said
    assert {"cost", "member_months", "cost_pmpm", "enrolment"} <= set(frame.columns)
    assert "label" not in frame.columns
    assert frame["member_months"].is_between(0, 12.001).all()


def test_a_population_is_scored_on_the_day_itself(
    history: History, model: ModelBundle, tmp_path: Path
) -> None:
    summary = score(model, history, as_of=AS_OF, out=tmp_path, reasons=1)
    scores = pl.read_parquet(summary.path / "*.parquet")
    assert scores["index_time"].unique().to_list() == [datetime(2023, 4, 1)]
    assert scores["person_id"].is_unique().all()
    assert scores["status"].unique().to_list() == ["open"]
    assert f"{scores.height:,} persons on 2023-04-01" in summary.to_text()
    with pytest.raises(SpecError, match="scored on the day of as_of itself"):
        score(model, history, as_of=AS_OF, since=date(2023, 1, 1), out=tmp_path / "other")


def test_features_of_a_case_are_those_that_could_be_known_that_day(history: History) -> None:
    """Seen from the end of the data, and as of the index date itself: the same, but for claims not in yet."""
    cases = build_cohort(TASK, history).cases.filter(pl.col("index_time") == datetime(2023, 1, 1))
    wanted = standard_features(TASK)
    later = build_features(history, cases, wanted, known_only=True).frame
    then = build_features(open_history(history.path, as_of=date(2023, 1, 1)), cases, wanted).frame
    assert later.height > 500
    assert_frame_equal(later, then, check_exact=False, abs_tol=1e-6)


def test_a_benchmark_of_a_population_needs_someone_who_answers(history: History) -> None:
    with pytest.raises(SpecError, match="no primary care service with a provider_id"):
        benchmark(TASK, history, by="attributed_provider", n_draws=0)
    with pytest.raises(SpecError, match=r"(?s)a value in 'facility_id'.*Fix: .* by 'attributed_provider'"):
        benchmark(TASK, history, n_draws=0)
    with pytest.raises(SpecError, match="a benchmark compares events"):
        benchmark("cost-12m", history, n_draws=0)
