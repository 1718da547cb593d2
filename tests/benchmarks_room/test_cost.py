"""Expected against actual costs: metrics by hand, groups, small cells, and a trained model."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from riskmodels.benchmarks.cost import ScoreBaseline, demographic_cells, expected_of_cells
from riskmodels.benchmarks.panel import panel_benchmark
from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError, RegistryError, SpecError
from riskmodels.evaluation import compare_costs
from riskmodels.learning.cost_bundle import CostBundle
from riskmodels.learning.registry import fetch_run, load_model
from riskmodels.pipeline import train_cost, training_set
from riskmodels.pipeline.cost_fit import fit_cost
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


FAST = {"learning_rate": 0.3, "n_estimators": 60, "folds": 3, "num_threads": 1}


@dataclass(frozen=True)
class Place:
    """A history, a model of expected cost trained on it as version 1, and where it is registered."""

    folder: Path
    said: str

    @property
    def history(self) -> Path:
        return self.folder / "history"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    def run(self, *words: object, code: int = 0) -> str:
        """Return what a command says, with the registry of this place."""
        done = CliRunner().invoke(main, ["--quiet", *map(str, words), "--tracking-uri", self.uri])
        assert done.exit_code == code, done.output
        return done.output

    def train(self, *words: object, code: int = 0) -> str:
        config = self.folder / "model.yaml"
        return self.run("train", "cost-12m", self.history, "--config", config, *words, code=code)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Train a small model of expected cost from the command line."""
    folder = tmp_path_factory.mktemp("cost")
    simulate(3_000, seed=4).write(folder / "history")
    content = {"name": "cost", "task": "cost-12m", "role": "adjust", "n_bootstrap": 20, "parameters": FAST}
    (folder / "model.yaml").write_text(json.dumps(content))
    place = Place(folder, "")
    return replace(place, said=place.train("--out", place.model, "--promote"))


def fitted(place: Place, *, concurrent: bool = False, **plan: Any) -> CostBundle:
    """Return a model of a few trees, in no registry."""
    settings = {"parameters": {**FAST, "n_estimators": 5}, "n_bootstrap": 2, **plan}
    data = training_set("cost-12m", place.history, role=settings.get("role"))
    return fit_cost(data, TrainingPlan(name="all", task="cost-12m", **settings), concurrent=concurrent).bundle


def test_training_says_how_good_the_model_is_and_where_it_went(trained: Place) -> None:
    """Beside the HCC score alone; the version in the registry and what the gate went by."""
    assert "HCC score: R²" in trained.said
    assert "Registered as models:/cost/1 (alias candidate)" in trained.said
    assert "cost version 1 is the champion\n  expected/spent" in trained.said


def test_a_trained_model_says_the_risk_of_panels(trained: Place) -> None:
    """By its name in the registry or its folder, with the same figures, and the panels name its version."""
    files = []
    for name, model in (("A", "models:/cost@champion"), ("B", trained.model)):
        files.append(trained.folder / f"{name}.parquet")
        words = ("--year", 2023, "--by", "facility_id", "--draws", 5, "--out", files[-1])
        trained.run("panel", trained.history, "--model", model, *words)
    first, second = (pl.read_parquet(file) for file in files)
    assert_frame_equal(first, second)
    assert first["model_version"].unique().to_list() == ["cost 1"]


def test_a_second_model_is_compared_with_the_champion_on_the_same_persons(trained: Place) -> None:
    """A model of few trees is worse, stays a candidate, and the champion is the champion still."""
    config = trained.folder / "few.yaml"
    content = json.loads((trained.folder / "model.yaml").read_text())
    config.write_text(json.dumps({**content, "parameters": {**FAST, "n_estimators": 1}}))
    said = trained.train("--config", config)
    assert "models:/cost/2" in said
    said = trained.run("promote", "cost", code=1)
    assert "cost version 2 stays a candidate" in said
    assert "R² differs from the champion's by −" in said.replace("by -", "by −")
    assert "on the same rows: worse" in said
    assert load_model("models:/cost@champion", trained.uri).version == "1"


def test_the_run_has_a_card_that_withholds_small_groups(trained: Place, tmp_path: Path) -> None:
    """Beside evaluation and contract; the few with ESRD cannot be worked out from the others either."""
    files = fetch_run("models:/cost/1", tmp_path, trained.uri)
    assert {"evaluation.json", "contract.json", "training.json", "plots/tenths.png"} <= set(files)
    card = files["MODEL_CARD.md"].read_text()
    assert "# Model card: cost" in card
    assert "| Enrolment | ESRD | withheld |" in card
    enrolment = [line for line in card.splitlines() if line.startswith("| Enrolment")]
    assert sum("withheld" in line for line in enrolment) >= 2
    assert "higher raises expected cost" in card


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("score", "models:/cost/1", "HISTORY", "--as-of", "2023-06-01", "--out", "S"),
            "riskmodels panel HISTORY",
        ),
        (("report", "models:/cost/1", "--out", "R.html"), "MODEL_CARD.md"),
        (("train", "cost-12m", "HISTORY", "--scheduler", "tcp://nowhere:1"), "leave out --scheduler"),
        (
            ("train", "cost-12m", "HISTORY", "--concurrent", "--features", "F.parquet"),
            "are of the year before",
        ),
        (("train", "readmission-30d", "HISTORY", "--concurrent"), "leave out --concurrent"),
        (("train", "cost-12m", "HISTORY", "--out", "HISTORY"), "holds something else than a model"),
        (
            ("panel", "HISTORY", "--year", "2023", "--model", "models:/cots@champion", "--out", "P.csv"),
            "did you mean",
        ),
    ],
    ids=[
        "score",
        "report",
        "cluster",
        "features of a concurrent model",
        "concurrent risk",
        "out",
        "misspelt",
    ],
)
def test_what_costs_cannot_do_is_said(trained: Place, words: tuple[str, ...], says: str) -> None:
    """One message and exit code 1, before any long work."""
    assert says in trained.run(*(trained.history if word == "HISTORY" else word for word in words), code=1)


SPARSE = "{aggregation: count, source: {events: [diagnosis], grouper: ccs}, windows: [90d], sparse: true}"


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ("parameters: {metod: two-part}", "CostModel has no parameter 'metod'. Hint: did you mean 'method'"),
        ("known_only: true", "known_only is for models of a risk"),
        ("features: wide.yaml", "wide has sparse columns"),
        ("test_fraction: 0.05\nsplit: time", "fewer than 110 persons to learn from or to evaluate with"),
    ],
    ids=["misspelt parameter", "known only", "sparse", "few persons"],
)
def test_a_plan_that_costs_cannot_follow_is_refused(trained: Place, plan: str, says: str) -> None:
    """What is wrong with a model.yaml is said in one message."""
    (trained.folder / "wide.yaml").write_text(f"name: wide\nspecs:\n  - {SPARSE}\n")
    path = trained.folder / "bad.yaml"
    path.write_text(f"name: cost\ntask: cost-12m\nrole: adjust\n{plan}\n")
    assert says in trained.train("--config", path, code=1)


def test_a_level_that_could_be_told_by_the_others_is_withheld_too() -> None:
    """Of three levels one has ten rows: with two of them shown, the third would follow from the total."""
    group = np.repeat(["few", "some", "many"], [10, 30, 160])
    found = compare_costs(np.ones(200), {"m": np.ones(200)}, groups={"g": group}, n_bootstrap=2).ratios
    shown = dict(found.filter(group="g").select("level", "n").iter_rows())
    assert shown == {"few": None, "some": None, "many": 160}


def test_a_model_of_what_providers_control_is_refused(trained: Place) -> None:
    """A model of all features, or of the year's own diagnoses, cannot say what was to be expected."""
    panel = {"by": "facility_id"}
    with pytest.raises(SpecError, match="role 'predict'"):
        panel_benchmark(trained.history, 2023, model=fitted(trained), **panel)
    same_year = fitted(trained, concurrent=True, role="adjust")
    assert same_year.timing == "concurrent"
    with pytest.raises(SpecError, match="concurrent"):
        panel_benchmark(trained.history, 2023, model=same_year, **panel)


def test_a_changed_model_folder_is_refused(trained: Place) -> None:
    """A file that is not as it was written is named."""
    before = (trained.model / "task.yaml").read_text()
    (trained.model / "task.yaml").write_text(before + "#")
    with pytest.raises(RegistryError, match=r"task\.yaml is not as it was written"):
        CostBundle.load(trained.model)
    (trained.model / "task.yaml").write_text(before)


def test_a_task_without_a_cost_is_refused(trained: Place) -> None:
    """Expected cost is not learned from yes or no."""
    with pytest.raises(SpecError, match="is no cost"):
        train_cost("readmission-30d", trained.history)
