"""Train a model of expected cost: fit and measure it, log and register it with its evidence, ask the gate."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from riskmodels.errors import SpecError
from riskmodels.pipeline.card import cost_card
from riskmodels.pipeline.cost_fit import FittedCost, at_their_years, fit_cost, refuse_sparse
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.registering import check_targets, register, write_evidence
from riskmodels.pipeline.training import plan_of
from riskmodels.pipeline.training_data import training_set

if TYPE_CHECKING:
    from riskmodels.engines import Engine
    from riskmodels.evaluation import CostEvaluation
    from riskmodels.history import History
    from riskmodels.learning.cost_bundle import CostBundle
    from riskmodels.learning.registry import LoggedModel, Promotion

__all__ = ["TrainedCost", "train_cost"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedCost:
    """A trained and registered model of expected cost with its evidence.

    Parameters
    ----------
    bundle : CostBundle
        The model with all that using it needs.
    fitted : FittedCost
        The evidence: evaluation, comparison, drivers, summary.
    logged : LoggedModel
        Where it is registered.
    promotion : Promotion, optional
        What the gate decided, where promotion was asked for.
    """

    bundle: "CostBundle"
    fitted: FittedCost
    logged: "LoggedModel"
    promotion: "Promotion | None" = None

    @property
    def evaluation(self) -> "CostEvaluation":
        """Return how good the model is on persons held out."""
        return self.fitted.evaluation

    def to_text(self) -> str:
        """Return the result in a screenful."""
        ratios = " ".join(
            "-" if ratio is None else f"{ratio:.2f}" for ratio in self.evaluation.tenths["ratio"]
        )
        learned, held = (part["rows"] for part in self.fitted.summary["splits"])
        lines = [
            f"{self.bundle.name}, {self.bundle.timing}, {len(self.bundle.contract.names)} features",
            f"fitted on {learned:,} person years, held out {held:,}",
            "Cost as the task truncates it:",
            self.fitted.comparison.to_text(),
            "With every claim in full:",
            self.fitted.untruncated.to_text(),
            f"Expected over spent by tenth of {self.evaluation.name}: {ratios}",
            "",
            f"Registered as {self.logged.uri} (alias candidate), run {self.logged.run_id}",
        ]
        return "\n".join(lines if self.promotion is None else [*lines, self.promotion.to_text()])


def train_cost(
    task: str,
    history: "str | Path | History",
    *,
    plan: TrainingPlan | None = None,
    config: str | Path | None = None,
    as_of: date | datetime | None = None,
    seed: int | None = None,
    concurrent: bool = False,
    rivals: Sequence[str] = (),
    tracking_uri: str | None = None,
    out: str | Path | None = None,
    promote: bool = False,
    features: Path | None = None,
    engine: "Engine | None" = None,
) -> TrainedCost:
    """Train, evaluate, log and register a model of expected cost.

    Parameters
    ----------
    task : str
        A task whose outcome is a cost, such as ``cost-12m``.
    history : path or History
        What to learn from.
    plan, config : TrainingPlan or path of a model.yaml, optional
        How; `parameters` are those of `riskmodels.learning.CostModel`, the method ``tweedie`` by default. By
        default features of role ``adjust`` alone are used: what is expected of a provider's patients may not
        rest on what the provider controls.
    as_of, seed, tracking_uri, out, promote, features, engine
        As in `riskmodels.pipeline.train`.
    concurrent : bool
        Expect a year's cost from the same year's diagnoses, not from those of the year before. Only features
        of role ``adjust`` are used then: others would hold the cost itself. By default the method is
        ``squared``, and the model goes under the task's name and ``-concurrent``.
    rivals : sequence of {"tweedie", "two-part", "squared"}
        Further methods of `CostModel` to compare with, which take as long again.

    Raises
    ------
    SpecError
        The task's outcome is no cost, or the plan cannot be followed.
    """
    from riskmodels.learning import CostModel
    from riskmodels.learning.gate import compare_with_champion

    started = time.monotonic()
    plan = _plan(task, plan, config, seed, concurrent=concurrent)
    plan.check_parameters(CostModel)
    if concurrent and features is not None:
        raise SpecError("features from a file are of the year before\nFix: leave out features, or concurrent")
    check_targets(out, tracking_uri)
    chosen = plan.feature_set()
    refuse_sparse(chosen)
    data = training_set(
        task,
        history,
        features=chosen,
        role="adjust" if concurrent else plan.role,
        as_of=as_of,
        engine=engine,
        built=features,
    )
    fitted = fit_cost(
        at_their_years(data, engine) if concurrent else data, plan, concurrent=concurrent, rivals=rivals
    )
    rows = fitted.held_out
    against = compare_with_champion(
        rows["expected"],
        fitted.held_out_features,
        rows["cost"],
        rows["person_id"],
        plan.name,
        like=fitted.bundle,
        exposure=rows["exposure"],
        tracking_uri=tracking_uri,
        n_bootstrap=plan.n_bootstrap,
    )
    bundle, logged, promotion = register(
        fitted.bundle,
        fitted.evaluation,
        {**plan.to_dict(), "concurrent": concurrent, "features": len(fitted.bundle.feature_set.columns)},
        against,
        plots=lambda folder: _plots(fitted, folder),
        evidence=lambda folder: _evidence(fitted, folder),
        tracking_uri=tracking_uri,
        out=out,
        promote=promote,
    )
    logger.info("trained and registered in %.0f s", time.monotonic() - started)
    return TrainedCost(bundle, fitted, logged, promotion)


def _plan(
    task: str,
    plan: TrainingPlan | None,
    config: str | Path | None,
    seed: int | None,
    *,
    concurrent: bool,
) -> TrainingPlan:
    """Return the plan that was asked for, by default one of adjust features; refuse what costs cannot do."""
    from riskmodels.cohorts import load_task

    loaded = load_task(task)
    if loaded.outcome.event != "cost":
        raise SpecError(f"the outcome of {loaded.name} is no cost\nFix: use riskmodels.train")
    if plan is None and config is None:
        name = f"{loaded.name}-concurrent" if concurrent else loaded.name
        plan = TrainingPlan(name=name, task=task, role="adjust")
    plan = plan_of(task, plan, config, seed)
    if plan.known_only:
        raise SpecError("known_only is for models of a risk, not of a cost\nFix: leave it out of the plan")
    return plan


def _evidence(fitted: FittedCost, folder: Path) -> dict[str, Path]:
    sets = {"truncated": fitted.comparison, "in full": fitted.untruncated}
    baselines = [made.metrics.with_columns(cost=pl.lit(cost)).fill_nan(None) for cost, made in sets.items()]
    rows = pl.concat(baselines).to_dicts()
    return write_evidence(folder, dict(fitted.summary), rows, fitted.drivers.to_dicts(), cost_card(fitted))


def _plots(fitted: FittedCost, folder: Path) -> dict[str, Path]:
    from riskmodels.reports import to_png
    from riskmodels.reports.cost_plots import plot_cost_tenths

    path = folder / "tenths.png"
    path.write_bytes(to_png(plot_cost_tenths(fitted.evaluation)))
    return {"tenths": path}
