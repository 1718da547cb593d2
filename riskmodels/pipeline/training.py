"""Train a model of a task: fit and evaluate it, log and register it with its evidence, ask the gate."""

import logging
import time
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from riskmodels.errors import SpecError
from riskmodels.pipeline.card import model_card
from riskmodels.pipeline.fit import Fitted, fit
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.registering import check_targets, register, write_evidence
from riskmodels.pipeline.training_data import training_set

if TYPE_CHECKING:
    from riskmodels.engines import Engine
    from riskmodels.evaluation import Evaluation
    from riskmodels.history import History
    from riskmodels.learning.bundle import ModelBundle
    from riskmodels.learning.registry import LoggedModel, Promotion

__all__ = ["Trained", "train"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A trained and registered model with its evidence.

    Parameters
    ----------
    bundle : ModelBundle
        The model with all that scoring needs.
    fitted : Fitted
        The evidence: evaluation, baselines, drivers, summary.
    logged : LoggedModel
        Where it is registered.
    promotion : Promotion, optional
        What the gate decided, where promotion was asked for.
    """

    bundle: "ModelBundle"
    fitted: Fitted
    logged: "LoggedModel"
    promotion: "Promotion | None" = None

    @property
    def evaluation(self) -> "Evaluation":
        """Return how good the model is on patients held out."""
        return self.fitted.evaluation

    def to_text(self) -> str:
        """Return the result in a screenful."""
        from riskmodels.evaluation import format_interval, format_metric

        lines = [self.evaluation.to_text(), "", "AUROC on the same rows:"]
        for row in self.fitted.baselines.filter(pl.col("metric") == "auroc").to_dicts():
            limits = format_interval("auroc", row["lower"], row["upper"])
            lines.append(f"  {row['model']:<20} {format_metric('auroc', row['value'])} ({limits})")
        lines += ["", f"Registered as {self.logged.uri} (alias candidate), run {self.logged.run_id}"]
        if self.promotion is not None:
            lines.append(self.promotion.to_text())
        return "\n".join(lines)


def train(
    task: str,
    history: "str | Path | History",
    *,
    plan: TrainingPlan | None = None,
    config: str | Path | None = None,
    as_of: date | datetime | None = None,
    seed: int | None = None,
    tracking_uri: str | None = None,
    out: str | Path | None = None,
    promote: bool = False,
    features: Path | None = None,
    engine: "Engine | None" = None,
    scheduler: Any = None,
) -> Trained:
    """Train, evaluate, log and register a model of a task.

    Parameters
    ----------
    task : str
        A task's name, or a path to its YAML page.
    history : path or History
        What to learn from.
    plan, config : TrainingPlan or path of a model.yaml, optional
        How; the defaults where neither is given.
    as_of : date or datetime, optional
        Learn from what was known then.
    seed : int, optional
        In place of the plan's.
    tracking_uri : str, optional
        MLflow server; see `riskmodels.learning.registry`.
    out : path, optional
        Also save the model to this folder.
    promote : bool
        Ask the gate to make it the champion.
    features : path, optional
        What `riskmodels features` wrote of the task and history; the features are read and not built anew.
    engine : Engine, optional
        Where index cases and features are built: see `riskmodels.engines`.
    scheduler : str or distributed.Client, optional
        Fit on the workers of this Dask cluster, such as ``tcp://HOST:8786``, which read the file `features`.
        Default: the model is fitted here.

    Raises
    ------
    SpecError
        The plan is of another task, or there are fewer than 11 outcomes to learn from or to evaluate with.
    """
    from riskmodels.learning import RiskModel
    from riskmodels.learning.gate import compare_with_champion

    started = time.monotonic()
    plan = plan_of(task, plan, config, seed)
    refuse_amounts(plan.task)
    plan.check_parameters(RiskModel)
    check_targets(out, tracking_uri)
    data = training_set(
        task,
        history,
        features=plan.feature_set(),
        role=plan.role,
        known_only=plan.known_only,
        as_of=as_of,
        engine=engine,
        built=features,
        scheduler=scheduler,
    )
    fitted = fit(data, plan)
    rows = fitted.held_out
    against = compare_with_champion(
        rows["risk"],
        fitted.held_out_features,
        rows["label"],
        rows["person_id"],
        plan.name,
        tracking_uri=tracking_uri,
        n_bootstrap=plan.n_bootstrap,
    )
    bundle, logged, promotion = register(
        fitted.bundle,
        fitted.evaluation,
        _params(fitted, plan),
        against,
        plots=lambda folder: _plots(fitted, folder),
        evidence=lambda folder: _evidence(fitted, folder),
        tracking_uri=tracking_uri,
        out=out,
        promote=promote,
    )
    logger.info("trained and registered in %.0f s", time.monotonic() - started)
    return Trained(bundle, fitted, logged, promotion)


def _params(fitted: Fitted, plan: TrainingPlan) -> dict[str, Any]:
    """Return what the run is logged with."""
    workers = getattr(fitted.bundle.model, "n_workers_", None)
    on = {} if workers is None else {"dask_workers": workers}
    return plan.to_dict() | {"features": len(fitted.bundle.feature_set.every_column)} | on


def plan_of(
    task: str, plan: TrainingPlan | None, config: str | Path | None, seed: int | None
) -> TrainingPlan:
    """Return the plan that was asked for; refuse one of another task."""
    from riskmodels.cohorts import load_task

    name = load_task(task).name
    if plan is None:
        plan = TrainingPlan(name=name, task=task) if config is None else TrainingPlan.read(Path(config))
    if load_task(plan.task).name != name:
        raise SpecError(f"the plan trains {plan.task}, not {name}.\nFix: name the task of the plan.")
    return plan if seed is None else replace(plan, seed=seed)


def refuse_amounts(task: str) -> None:
    """Refuse a task whose outcome is a cost: a classifier cannot learn it."""
    from riskmodels.cohorts import load_task

    loaded = load_task(task)
    if loaded.outcome.event == "cost":
        raise SpecError(
            f"{loaded.name} has an amount as its outcome, and train learns risks.\n"
            "Fix: use riskmodels.pipeline.train_cost; riskmodels train does so by itself"
        )


def _evidence(fitted: Fitted, folder: Path) -> dict[str, Path]:
    rows = fitted.baselines.to_dicts(), fitted.drivers.to_dicts()
    return write_evidence(folder, dict(fitted.summary), *rows, model_card(fitted))


def _plots(fitted: Fitted, folder: Path) -> dict[str, Path]:
    from riskmodels import reports

    drawn = {
        "calibration": reports.plot_calibration(fitted.evaluation),
        "decision_curve": reports.plot_decision_curve(fitted.evaluation),
        "roc": reports.plot_roc(fitted.evaluation),
        "precision_recall": reports.plot_precision_recall(fitted.evaluation),
        "drivers": reports.plot_drivers(fitted.drivers),
    }
    for name, figure in drawn.items():
        (folder / f"{name}.png").write_bytes(reports.to_png(figure))
    return {name: folder / f"{name}.png" for name in drawn}
