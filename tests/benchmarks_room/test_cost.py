"""Expected against actual costs: metrics by hand, groups, small cells, and a trained model."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from riskmodels.benchmarks.cost import ScoreBaseline, demographic_cells, expected_of_cells
from riskmodels.benchmarks.panel import panel_benchmark
from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError, RegistryError, SpecError
from riskmodels.evaluation import compare_costs
from riskmodels.learning.cost_bundle import CostBundle
from riskmodels.pipeline import train_cost
from riskmodels.pipeline.plan import TrainingPlan


def figures(comparison, model: str) -> dict[str, float]:
    """Return the metrics of a model."""
    return dict(comparison.metrics.filter(model=model).select("metric", "value").iter_rows())


def test_metrics_by_hand() -> None:
    """Costs 0, 100, 200 against 100, 100, 100 and against 50, 100, 150."""
    found = compare_costs([0, 100, 200], {"mean": [100, 100, 100], "half": [50, 100, 150]}, n_bootstrap=5)
    assert figures(found, "mean") == pytest.approx({"r2": 0, "mae": 200 / 3, "cpm": 0, "predictive_ratio": 1})
    assert figures(found, "half") == pytest.approx(
        {"r2": 0.75, "mae": 100 / 3, "cpm": 0.5, "predictive_ratio": 1}
    )
    difference = found.differences.filter(model="half", metric="r2")["value"].item()
    assert difference == pytest.approx(0.75)


def test_exposure_is_a_weight() -> None:
    """A row of exposure 2 counts as two rows."""
    once = compare_costs([0, 100, 100], {"m": [50, 80, 80]}, n_bootstrap=2)
    twice = compare_costs([0, 100], {"m": [50, 80]}, exposure=[1, 2], n_bootstrap=2)
    assert figures(once, "m") == pytest.approx(figures(twice, "m"))


def test_truncation_holds_the_largest_costs() -> None:
    """With costs held at 100 the one of a million is 100."""
    found = compare_costs([0, 1e6], {"m": [0, 100]}, truncate=100, n_bootstrap=2)
    assert figures(found, "m")["r2"] == 1


def test_ratios_are_of_each_tenth_and_group_and_small_groups_are_withheld() -> None:
    """Each tenth has its ratio; a group of ten has none."""
    draw = np.random.default_rng(0)
    expected = draw.gamma(2, 500, 1000)
    group = np.where(np.arange(1000) < 10, "few", "many")
    found = compare_costs(expected * 1.25, {"m": expected}, groups={"g": group}, n_bootstrap=20).ratios
    tenths = found.filter(group="tenth of expected")
    assert tenths["n"].to_list() == [100] * 10
    assert tenths["ratio"].to_list() == pytest.approx([0.8] * 10)
    assert found.filter(group="g", level="few")["ratio"].item() is None


def test_intervals_draw_persons_with_all_their_rows() -> None:
    """Rows that are the same person's move together: repeating everyone ten times narrows nothing."""
    draw = np.random.default_rng(1)
    cost, expected = draw.gamma(1, 100, 200), draw.gamma(1, 100, 200)
    once = compare_costs(cost, {"m": expected}, np.arange(200), n_bootstrap=100).metrics
    again = compare_costs(
        np.tile(cost, 10), {"m": np.tile(expected, 10)}, np.tile(np.arange(200), 10), n_bootstrap=100
    )
    assert once["lower"].to_list() == pytest.approx(again.metrics["lower"].to_list())


def test_baselines_by_hand() -> None:
    """A line through two scores; cells of age and sex, and everyone's mean where a cell has too few."""
    line = ScoreBaseline.fit([1, 3], [100, 300])
    assert line.predict([2, 0, -9]).tolist() == pytest.approx([200, 0, 0])
    cells = demographic_cells([70] * 30 + [30], ["female"] * 30 + ["male"], [10.0] * 30 + [320.0])
    assert expected_of_cells(cells, [71, 30], ["female", "male"]).tolist() == pytest.approx([10, 20])


def test_costs_of_another_length_are_refused() -> None:
    """The error names the model."""
    with pytest.raises(DataError, match="m is not a finite number for every row"):
        compare_costs([1.0, 2.0], {"m": [1.0]})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Train a small model of expected cost from the command line."""
    folder = tmp_path_factory.mktemp("cost")
    simulate(3_000, seed=4).write(folder / "history")
    config = folder / "model.yaml"
    config.write_text("name: cost\ntask: cost-12m\nrole: adjust\nn_bootstrap: 20\n"
                      "parameters: {learning_rate: 0.3, n_estimators: 60, folds: 3}\n")  # fmt: skip
    words = [
        "train",
        "cost-12m",
        str(folder / "history"),
        "--config",
        str(config),
        "--out",
        str(folder / "model"),
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "HCC score: R²" in done.output
    return folder / "history", folder / "model"


def test_a_trained_model_says_the_risk_of_panels(trained: tuple[Path, Path]) -> None:
    """Its folder goes into the panel benchmark, which names it."""
    history, model = trained
    made = panel_benchmark(history, 2023, by="facility_id", model=model, n_draws=5)
    bundle = CostBundle.load(model)
    assert made.frame["model_version"].unique().to_list() == [f"cost {bundle.version}"]
    assert len(bundle.version) == 12


def test_a_model_of_what_providers_control_is_refused(trained: tuple[Path, Path]) -> None:
    """A model of all features, or of the year's own diagnoses, cannot say what was to be expected."""
    history, _ = trained
    fast = {"learning_rate": 0.3, "n_estimators": 5, "folds": 3}
    plan = TrainingPlan(name="all", task="cost-12m", parameters=fast, n_bootstrap=2)
    with pytest.raises(SpecError, match="role 'predict'"):
        panel_benchmark(
            history, 2023, by="facility_id", model=train_cost("cost-12m", history, plan=plan).bundle
        )
    same_year = train_cost("cost-12m", history, plan=plan, concurrent=True)
    assert same_year.bundle.metadata["timing"] == "concurrent"
    with pytest.raises(SpecError, match="concurrent"):
        panel_benchmark(history, 2023, by="facility_id", model=same_year.bundle)


def test_a_changed_model_folder_is_refused(trained: tuple[Path, Path]) -> None:
    """A file that is not as it was written is named."""
    _, model = trained
    before = (model / "task.yaml").read_text()
    (model / "task.yaml").write_text(before + "#")
    with pytest.raises(RegistryError, match=r"task\.yaml is not as it was written"):
        CostBundle.load(model)
    (model / "task.yaml").write_text(before)


def test_a_task_without_a_cost_is_refused(trained: tuple[Path, Path]) -> None:
    """Expected cost is not learned from yes or no."""
    with pytest.raises(SpecError, match="is no cost"):
        train_cost("readmission-30d", trained[0])
