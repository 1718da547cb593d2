"""Train a model on a Dask cluster, from a features file that need not fit into the memory of one machine."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from riskmodels import __version__
from riskmodels.errors import DataError, SpecError
from riskmodels.pipeline.fit import MODEL, hold_out, interval_of
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.training import plan_of, refuse_amounts
from riskmodels.pipeline.training_data import check_built

if TYPE_CHECKING:
    from riskmodels.evaluation import Evaluation
    from riskmodels.features import FeatureColumn, FeatureSet
    from riskmodels.history import History
    from riskmodels.learning.bundle import ModelBundle
    from riskmodels.learning.contract import DataContract

__all__ = ["TrainedOnCluster", "from_command_line", "train_on_cluster"]

logger = logging.getLogger(__name__)

CASES = ("index_id", "person_id", "index_time", "label")
METRICS = ("auroc", "auprc", "brier", "calibration_slope")


@dataclass(frozen=True)
class TrainedOnCluster:
    """A model that a cluster fitted, and how good it is on the patients held out."""

    bundle: "ModelBundle"
    evaluation: "Evaluation"
    folder: Path

    def to_text(self) -> str:
        """Return the result in a screenful."""
        return f"{self.evaluation.to_text()}\n\nWritten to {self.folder}"


def train_on_cluster(
    plan: TrainingPlan, history: "str | Path | History", features: str | Path, scheduler: Any, out: str | Path
) -> TrainedOnCluster:
    """Fit the model of a plan on a Dask cluster, evaluate it on patients held out, and save it to a folder.

    Parameters
    ----------
    plan : TrainingPlan
        Task, role, parameters, split and seed. There is one split of the training patients for stopping and
        calibration, whatever the parameter `folds` says.
    history : path or History
        Where the features come from: for the data contract, of what codes there were.
    features : path
        What `riskmodels features` wrote of the task, under a path that all workers can read. This process
        reads patients and outcomes of all rows, and for the contract one column after the other.
    scheduler : str or distributed.Client
        Such as ``tcp://HOST:8786``.
    out : path
        The folder for the model.

    Raises
    ------
    DataError
        The file is of other features, or has no labels.
    SpecError
        The plan cannot be followed, or there is no cluster: see `riskmodels.learning.fit_on_cluster`.
    """
    from riskmodels.cohorts import load_task
    from riskmodels.evaluation import evaluate
    from riskmodels.features import standard_features
    from riskmodels.features.stored import feature_set_of
    from riskmodels.history import History, open_history
    from riskmodels.learning import RiskModel
    from riskmodels.learning.bundle import ModelBundle, RiskBands
    from riskmodels.learning.distributed import fit_on_cluster, predict_on_cluster
    from riskmodels.learning.tuning import history_parameters

    started, path = time.monotonic(), Path(features)
    task = load_task(plan.task)
    given = plan.feature_set()
    chosen = (standard_features(task) if given is None else given).select(role=plan.role)
    columns = check_built(path, chosen, plan.known_only)
    if (named := feature_set_of(path)) != chosen.name:
        raise DataError(
            f"holds the features {named}, and so the labels of another task than {task.name}",
            file=path,
            fix=f"write it with: riskmodels features {plan.task}",
        )
    if chosen.sparse_columns:
        raise SpecError(f"{chosen.name} has sparse columns, which a cluster does not take.\nFix: train here")
    if not isinstance(history, History):
        history = open_history(history)
    cases = _cases(path)
    split = hold_out(cases, plan)
    learned, held = (split.eq_missing(part).to_numpy() for part in ("train", "test"))
    settings = {"random_state": plan.seed, **history_parameters(int(learned.sum())), **plan.parameters}
    logger.info("fitting on %d cases on the cluster, holding out %d", learned.sum(), held.sum())
    model = fit_on_cluster(RiskModel(**settings), scheduler, path, columns, use=learned)
    risk = predict_on_cluster(model, scheduler, path, held)
    tested = cases.filter(held)
    evaluation = evaluate(
        tested["label"],
        risk,
        tested["person_id"],
        name=MODEL,
        n_bootstrap=plan.n_bootstrap,
        seed=plan.seed,
    )
    bundle = ModelBundle(
        model=model,
        feature_set=chosen,
        task=task,
        contract=_contract(path, columns, learned, task, chosen, history),
        bands=RiskBands.from_predictions(risk),
        known_only=plan.known_only,
        metadata={
            "name": plan.name,
            "riskmodels_version": __version__,
            "trained_on": {
                "n_rows": cases.height,
                "n_patients": cases["person_id"].n_unique(),
                "n_events": int(cases["label"].sum()),
                "first_date": str(cases["index_time"].dt.date().min()),
                "last_date": str(cases["index_time"].dt.date().max()),
                "source_format": history.manifest.source_format,
                "data_fingerprint": history.fingerprint,
            },
            "metrics": {name: interval_of(evaluation, name) for name in METRICS},
        },
    )
    folder = bundle.save(out, replace=True)
    logger.info("trained on the cluster in %.0f s", time.monotonic() - started)
    return TrainedOnCluster(bundle, evaluation, folder)


def from_command_line(
    task: str,
    history: Path,
    scheduler: str,
    *,
    config: Path | None,
    seed: int | None,
    as_of: datetime | None,
    features: Path | None,
    out: Path | None,
    promote: bool,
) -> str:
    """Do what `riskmodels train --scheduler` asks for; return the result in a screenful."""
    from riskmodels.history import open_history

    if features is None:
        raise SpecError(
            "--scheduler needs --features, a file that all workers can read\n"
            f"Fix: write it first: riskmodels features {task} {history} --out FILE.parquet"
        )
    if out is None or promote:
        raise SpecError(
            "a model that a cluster fitted is written to a folder\nFix: name it with --out, without --promote"
        )
    refuse_amounts(task)
    plan = plan_of(task, None, config, seed)
    return train_on_cluster(plan, open_history(history, as_of=as_of), features, scheduler, out).to_text()


def _cases(path: Path) -> pl.DataFrame:
    """Return whose rows the file has, and their outcomes."""
    there = pl.read_parquet_schema(path)
    for name in CASES:
        if name not in there:
            raise DataError(
                "the column is missing", file=path, column=name, fix="write it with riskmodels features"
            )
    return pl.read_parquet(path, columns=list(CASES))


def _contract(
    path: Path,
    columns: "Sequence[FeatureColumn]",
    learned: Any,
    task: Any,
    feature_set: "FeatureSet",
    history: "History",
) -> "DataContract":
    """Describe the rows that were learned from, one column in memory at a time."""
    from riskmodels.learning.contract import DataContract
    from riskmodels.learning.inventory import take_inventory

    inventory = take_inventory(history)
    parts = [
        DataContract.from_training(
            pl.read_parquet(path, columns=[column.name]).filter(learned),
            [column],
            task=task,
            feature_set=feature_set,
            history=inventory,
        )
        for column in columns
    ]
    return replace(
        parts[0],
        columns=tuple(part.columns[0] for part in parts),
        code_systems={kind: systems for part in parts for kind, systems in part.code_systems.items()},
        other_words={name: words for part in parts for name, words in part.other_words.items()},
    )
