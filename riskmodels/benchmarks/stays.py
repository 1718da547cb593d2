"""The stays of a benchmark: index cases with their outcome, their features and what was to be expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels.benchmarks.expected import (
    Expected,
    cross_fitted_risk,
    recalibrate,
    refuse_predict_features,
)
from riskmodels.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.engines import Engine
    from riskmodels.features import FeatureFrame
    from riskmodels.history import History
    from riskmodels.learning.bundle import ModelBundle

__all__ = ["Stays", "prepare_stays"]


@dataclass(frozen=True, eq=False)
class Stays:
    """Index cases with an observed outcome and a value in the column that names the entity.

    Parameters
    ----------
    cases : pl.DataFrame
        As `riskmodels.cohorts.build_cohort` gives them.
    features : FeatureFrame
        Of role ``adjust``, in the order of the cases.
    expected : Expected or None
        None where the features are to go into a linear model with the entities.
    metadata : mapping
        Task, dates and history.
    """

    cases: pl.DataFrame
    features: "FeatureFrame"
    expected: Expected | None
    history: "History"
    metadata: Mapping[str, Any]

    @property
    def outcome(self) -> np.ndarray:
        """Return 1 for the stays with the outcome, shape (stays,)."""
        return self.cases["label"].to_numpy().astype(float)

    def rows(self, by: str) -> pl.DataFrame:
        """Return what `benchmark_stays` takes: `by`, person, observed and, where it is known, expected."""
        rows = self.cases.select(by, "person", pl.col("label").alias("observed"))
        if self.expected is None:
            return rows
        return rows.with_columns(pl.Series("expected", self.expected.risk))


def prepare_stays(
    task: "Task",
    history: "str | Path | History",
    by: str,
    model: "str | Path | ModelBundle | None",
    *,
    risk: str = "trees",
    reference: str = "auto",
    folds: int = 5,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    tracking_uri: str | None = None,
    engine: "Engine | None" = None,
) -> Stays:
    """Find the stays of a task in a history, and say what was to be expected of each.

    Raises
    ------
    SpecError
        The outcome is an amount, `by` is no column or names nobody, or the model is of another task.

    See Also
    --------
    riskmodels.benchmarks.benchmark : for the parameters.
    """
    from riskmodels.cohorts import build_cohort
    from riskmodels.cohorts.attribution import ATTRIBUTED, attribute_cases
    from riskmodels.features import build_features, standard_features
    from riskmodels.history import open_history

    bundle = _bundle(model, tracking_uri)
    if bundle is not None:
        refuse_predict_features(bundle.contract.columns, f"the model {bundle.name}", task.name)
        if bundle.task.name != task.name:
            raise SpecError(f"the model {bundle.name} is of the task {bundle.task.name}, not of {task.name}")
    if isinstance(history, str | Path):
        history = open_history(history)
    if task.outcome.event == "cost":
        raise SpecError(
            f"{task.name} has an amount as its outcome, and a benchmark compares events.\n"
            f"Fix: riskmodels panel HISTORY --year YEAR --by {by} --out FILE"
        )
    cases = build_cohort(task, history, engine=engine).cases.filter(pl.col("label").is_not_null())
    if by == ATTRIBUTED:
        cases = attribute_cases(cases, history, engine=engine)
    if by not in cases.columns:
        raise SpecError(f"the index cases have no column {by!r}. {did_you_mean(by, cases.columns)}")
    of_nobody = cases.height > 0 and task.index.event == "date"
    cases = cases.filter(pl.col(by).is_not_null())
    if cases.is_empty():
        fix = (
            f"compare those who answer for people: by {ATTRIBUTED!r}"
            if of_nobody
            else "see what the history holds with: riskmodels check HISTORY"
        )
        raise SpecError(
            f"no index case of {task.name} has both an observed follow-up and a value in {by!r}\nFix: {fix}"
        )
    outcome, person = cases["label"].to_numpy().astype(float), cases["person"].to_numpy()
    expected: Expected | None = None
    if bundle is None:
        feature_set = standard_features(task.name, role="adjust").select(role="adjust")
        features = build_features(history, cases, feature_set, engine=engine)
        refuse_predict_features(features.columns, "the feature set")
        if risk == "trees":
            expected = cross_fitted_risk(
                features.frame,
                outcome,
                person,
                features.columns,
                folds=folds,
                seed=seed,
                parameters=parameters,
            )
    else:
        features = build_features(
            history, cases, bundle.feature_set, known_only=bundle.known_only, engine=engine
        )
        known = bundle.predict(features.frame)
        if reference == "here":
            known, _ = recalibrate(np.log(known / (1 - known)), outcome)
        names = [column.name for column in bundle.contract.columns]
        expected = Expected(known, {"model": bundle.name, "model_version": bundle.version, "features": names})
    metadata = {
        "task": task.name,
        "title": task.title,
        "task_version": task.version,
        "first_index": str(cases["index_time"].min()),
        "last_index": str(cases["index_time"].max()),
        "as_of": None if history.as_of is None else str(history.as_of),
        "history": history.fingerprint,
        **(expected.source if expected is not None else {}),
    }
    return Stays(cases, features, expected, history, metadata)


def _bundle(model: "str | Path | ModelBundle | None", tracking_uri: str | None) -> "ModelBundle | None":
    if model is None:
        return None
    if isinstance(model, str | Path):
        from riskmodels.learning.bundle import ModelBundle
        from riskmodels.learning.registry import load_model

        return load_model(model, tracking_uri=tracking_uri, kind=ModelBundle)
    return model
