"""Train a model of expected cost and measure it beside demographics and HCC scores on persons held out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.errors import DataError, SpecError
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.training_data import TrainingSet, training_set

if TYPE_CHECKING:
    from riskmodels.evaluation import CostComparison
    from riskmodels.history import History
    from riskmodels.learning.cost_bundle import CostBundle

__all__ = ["TrainedCost", "train_cost", "train_from_command_line"]

logger = logging.getLogger(__name__)

MODEL, HCC, DEMOGRAPHICS = "LightGBM (tweedie)", "HCC score", "Demographics"
MONTHS = 12
DAYS = 365


@dataclass(frozen=True)
class TrainedCost:
    """A model of expected cost and how it compares.

    Parameters
    ----------
    bundle : CostBundle
    comparison : CostComparison
        Yearly cost of the persons held out, truncated as the task says.
    untruncated : CostComparison
        The same with every claim in full.
    held_out, learned : int
        Rows of each part.
    out : Path, optional
        Where the model was saved.
    """

    bundle: "CostBundle"
    comparison: "CostComparison"
    untruncated: "CostComparison"
    learned: int
    held_out: int
    out: Path | None = None

    def to_text(self) -> str:
        """Return the result in a screenful."""
        tenths = self.comparison.ratios.filter(model=MODEL, group="tenth of expected")
        ratios = " ".join("-" if ratio is None else f"{ratio:.2f}" for ratio in tenths["ratio"])
        timing = self.bundle.metadata["timing"]
        lines = [
            f"{self.bundle.name}, {timing}, {len(self.bundle.contract.names)} features",
            f"fitted on {self.learned:,} person years, held out {self.held_out:,}",
            "Cost as the task truncates it:",
            self.comparison.to_text(),
            "With every claim in full:",
            self.untruncated.to_text(),
            f"Expected over spent by tenth of {MODEL}: {ratios}",
        ]
        return "\n".join(lines if self.out is None else [*lines, f"Saved in {self.out}"])


def train_cost(
    task: str,
    history: "str | Path | History",
    *,
    plan: TrainingPlan | None = None,
    as_of: date | datetime | None = None,
    concurrent: bool = False,
    rivals: Sequence[str] = (),
    out: str | Path | None = None,
) -> TrainedCost:
    """Train and evaluate a model of expected cost.

    Parameters
    ----------
    task : str
        A task whose outcome is a cost, such as ``cost-12m``.
    history : path or History
        What to learn from.
    plan : TrainingPlan, optional
        How; `parameters` are those of `riskmodels.learning.CostModel`. By default features of role ``adjust``
        alone are used: what is expected of a provider's patients may not rest on what the provider controls.
    concurrent : bool
        Expect a year's cost from the same year's diagnoses, not from those of the year before. Only features
        of role ``adjust`` are used then: others would hold the cost itself.
    rivals : sequence of {"two-part", "squared"}
        Further methods of `CostModel` to compare with, which take as long again.
    out : path, optional
        Save the model to this folder.

    Raises
    ------
    SpecError
        The task's outcome is no cost.
    """
    from riskmodels.cohorts import load_task, split_by_patient
    from riskmodels.evaluation import compare_costs
    from riskmodels.features import build_features
    from riskmodels.learning import CostModel
    from riskmodels.learning.contract import DataContract
    from riskmodels.learning.cost_bundle import CostBundle
    from riskmodels.learning.tuning import history_parameters

    loaded = load_task(task)
    if loaded.outcome.event != "cost":
        raise SpecError(f"the outcome of {loaded.name} is no cost\nFix: use riskmodels.train")
    plan = plan or _default_plan(loaded.name, task)
    role = "adjust" if concurrent else plan.role
    if plan.known_only:
        raise SpecError("known_only is for models of a risk, not of a cost\nFix: leave it out of the plan")
    data = training_set(task, history, features=plan.feature_set(), role=role, as_of=as_of)
    features = data.features
    if concurrent:
        later = data.cases.with_columns(pl.col("index_time") + timedelta(days=DAYS))
        features = build_features(data.history, later, data.feature_set)
    table = features.frame.drop("index_id")
    cases = data.cases
    shares = {"train": 1 - plan.test_fraction, "test": plan.test_fraction}
    split = split_by_patient(cases, shares, seed=plan.seed)
    train, test = (split == part for part in ("train", "test"))
    below = cases.filter(pl.col("cost_untruncated") < 0).height
    if below:
        logger.info("%s person years of reversed claims cost less than nothing and count as 0", f"{below:,}")
    cost, full, exposure = (
        cases["cost_pmpm"].clip(0).to_numpy() * MONTHS,
        (cases["cost_untruncated"].clip(0) / cases["member_months"]).to_numpy() * MONTHS,
        (cases["member_months"] / MONTHS).to_numpy(),
    )
    settings: dict[str, Any] = {
        "random_state": plan.seed,
        "learning_rate": 0.1,
        **history_parameters(int(train.sum())),
        **plan.parameters,
    }
    learn, hold = train.to_numpy(), test.to_numpy()
    expected: dict[str, np.ndarray] = {}
    models = {}
    for method in ("tweedie", *rivals):
        name = f"LightGBM ({method})"
        models[name] = CostModel(**{**settings, "method": method}).fit(
            table.filter(train),
            cost[learn],
            groups=cases["person_id"].filter(train),
            sample_weight=exposure[learn],
            columns=features.columns,
        )
        expected[name] = models[name].predict(table.filter(test))
    expected |= _baselines(data, cost, exposure, learn, hold, concurrent=concurrent)
    groups = _groups(cases.filter(test))
    options: dict[str, Any] = {
        "exposure": exposure[hold], "groups": groups, "n_bootstrap": plan.n_bootstrap, "seed": plan.seed,
    }  # fmt: skip
    persons = cases["person"].filter(test).to_numpy()
    comparison = compare_costs(cost[hold], expected, persons, **options)
    untruncated = compare_costs(full[hold], expected, persons, **options)
    bundle = CostBundle(
        models[MODEL],
        data.feature_set,
        data.cohort.task,
        DataContract.from_training(
            table.filter(train), features.columns, task=data.cohort.task, feature_set=data.feature_set,
            history=data.history,
        ),
        {
            "name": plan.name,
            "timing": "concurrent" if concurrent else "prospective",
            "riskmodels_version": __version__,
            "history": data.history.fingerprint,
            "rows": int(train.sum()),
            "mean": float(np.average(cost[learn], weights=exposure[learn])),
            "metrics": comparison.metrics.filter(model=MODEL).drop("model").to_dicts(),
        },
    )  # fmt: skip
    folder = None if out is None else bundle.save(out, replace=True)
    bundle = bundle if folder is None else CostBundle.load(folder)
    return TrainedCost(bundle, comparison, untruncated, int(train.sum()), int(test.sum()), folder)


def train_from_command_line(
    task: str,
    history: Path,
    *,
    config: Path | None,
    as_of: datetime | None,
    seed: int | None,
    out: Path | None,
    concurrent: bool,
    promote: bool,
) -> str:
    """Train as `riskmodels train` is told, and return what to say; the model goes to `out` or to TASK.model.

    Raises
    ------
    SpecError
        The model is to be promoted: expected cost has no champion in the registry.
    """
    from riskmodels.cohorts import load_task

    if promote:
        raise SpecError(
            "a model of expected cost is a folder, not a registered model\nFix: leave out --promote"
        )
    name = load_task(task).name
    plan = _default_plan(name, task) if config is None else TrainingPlan.read(config)
    if load_task(plan.task).name != name:
        raise SpecError(f"the plan trains {plan.task}, not {name}.\nFix: name the task of the plan.")
    plan = plan if seed is None else replace(plan, seed=seed)
    folder = Path(f"{name}.model") if out is None else out
    return train_cost(task, history, plan=plan, as_of=as_of, concurrent=concurrent, out=folder).to_text()


def _default_plan(name: str, task: str) -> TrainingPlan:
    return TrainingPlan(name=name, task=task, role="adjust")


def _baselines(
    data: TrainingSet,
    cost: np.ndarray,
    exposure: np.ndarray,
    learn: np.ndarray,
    hold: np.ndarray,
    *,
    concurrent: bool,
) -> dict[str, np.ndarray]:
    """Return what an HCC score alone and age and sex alone expect of the persons held out."""
    from riskmodels.benchmarks.cost import ScoreBaseline, demographic_cells, expected_of_cells
    from riskmodels.benchmarks.hcc.cases import hcc_of_cases

    cases = data.cases
    age = ((cases["index_time"].dt.date() - cases["birth_date"]).dt.total_days() / 365.25).to_numpy()
    sex = cases["sex"]
    cells = demographic_cells(age[learn], sex.filter(pl.Series(learn)), cost[learn], exposure[learn])
    found = {}
    try:
        scores = cases.select("index_id").join(
            hcc_of_cases(data.history, cases, concurrent=concurrent), on="index_id", how="left",
            maintain_order="left",
        )["hcc"]  # fmt: skip
    except (DataError, SpecError) as error:
        logger.info("no HCC score to compare with: %s", str(error).splitlines()[0])
    else:
        score = scores.fill_null(float(np.nan_to_num(scores.to_numpy()).mean())).to_numpy()
        found[HCC] = ScoreBaseline.fit(score[learn], cost[learn], exposure[learn]).predict(score[hold])
    return {**found, DEMOGRAPHICS: expected_of_cells(cells, age[hold], sex.filter(pl.Series(hold)))}


def _groups(cases: pl.DataFrame) -> dict[str, pl.Series]:
    age = (cases["index_time"].dt.date() - cases["birth_date"]).dt.total_days() // 365.25
    band = pl.select(
        pl.when(age < 65).then(pl.lit("under 65")).when(age < 75).then(pl.lit("65 to 74"))
        .when(age < 85).then(pl.lit("75 to 84")).otherwise(pl.lit("85 and older"))
    ).to_series()  # fmt: skip
    return {
        "Enrolment": cases["enrolment"].cast(pl.String),
        "Age": band,
        "Sex": cases["sex"].cast(pl.String),
    }
