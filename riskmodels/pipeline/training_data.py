"""The training set of a task: index cases that were observed, their features and their label."""

import logging
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.files import atomic_file

if TYPE_CHECKING:
    from riskmodels.cohorts import Cohort, Task
    from riskmodels.engines import Engine
    from riskmodels.features import FeatureFrame, FeatureSet
    from riskmodels.history import History

__all__ = ["TrainingSet", "training_set", "write_training_set"]

logger = logging.getLogger(__name__)

IDENTIFIERS = ("index_id", "person_id", "index_time", "facility_id")


@dataclass(frozen=True)
class TrainingSet:
    """Index cases, features and label, row by row.

    Parameters
    ----------
    cases : DataFrame
        The index cases whose follow-up was observed; see `riskmodels.cohorts.Cohort`.
    features : FeatureFrame
        Their features, in the same order.
    feature_set : FeatureSet
        What the features are.
    cohort : Cohort
        All index cases, the censored ones too, and the attrition.
    history : History
        Where they come from.
    """

    cases: pl.DataFrame
    features: "FeatureFrame"
    feature_set: "FeatureSet"
    cohort: "Cohort"
    history: "History"

    @property
    def frame(self) -> pl.DataFrame:
        """Return identifiers, label (or what was spent) and features as one frame."""
        return pl.concat(
            [
                self.cases.select(*IDENTIFIERS, *self.cohort.task.outcome_columns),
                self.features.frame.drop("index_id"),
            ],
            how="horizontal",
        )


def training_set(
    task: "str | Path | Task",
    history: "str | Path | History",
    *,
    features: "FeatureSet | None" = None,
    role: str | None = None,
    as_of: date | datetime | None = None,
    engine: "Engine | None" = None,
) -> TrainingSet:
    """Build the training set of a task.

    Parameters
    ----------
    task : str, path or Task
        What is predicted.
    history : path or History
        Where from.
    features : FeatureSet, optional
        Default: the standard library.
    role : {"predict", "adjust"}, optional
        Only features of this role.
    as_of : date or datetime, optional
        Use only what was known then.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here.

    Raises
    ------
    SpecError
        The history has no index case of the task whose follow-up was observed.
    """
    from riskmodels.cohorts import build_cohort, load_task
    from riskmodels.features import build_features, standard_features
    from riskmodels.history import History, open_history

    task = load_task(task)
    if not isinstance(history, History):
        history = open_history(history, as_of=as_of)
    elif as_of is not None:
        raise SpecError("as_of is for a history given by its path; open the history as of that date instead")
    cohort = build_cohort(task, history, engine=engine)
    cases = cohort.observed
    if cases.is_empty():
        raise SpecError(
            f"{history.path} has no index case of {task.name} whose follow-up was observed.\n"
            f"Fix: see what it holds with: riskmodels check {history.path}"
        )
    chosen = standard_features(task) if features is None else features
    chosen = chosen if role is None else chosen.select(role=role)
    features_of_cases = build_features(history, cases, chosen, engine=engine)
    return TrainingSet(cases, features_of_cases, chosen, cohort, history)


def write_training_set(
    task: str,
    history: Path,
    out: Path,
    *,
    as_of: date | datetime | None = None,
    role: str | None = None,
    engine: "Engine | None" = None,
) -> str:
    """Write the training set of a task as Parquet or CSV, by suffix; return a line that sums it up."""
    if out.suffix not in (".parquet", ".csv"):
        raise DataError(
            f"cannot write {out.suffix or 'a file without suffix'}",
            file=out,
            fix="end it in .parquet or .csv",
        )
    made = training_set(task, history, role=role, as_of=as_of, engine=engine)
    frame = made.frame
    with atomic_file(out) as temporary:
        if out.suffix == ".csv":
            frame.write_csv(temporary)
        else:
            frame.write_parquet(temporary)
    censored = made.cohort.cases.height - frame.height
    return (
        f"{out}: {frame.height:,} index cases, {len(made.features.columns)} features, "
        f"{_outcome(made)}; {censored:,} censored cases left out"
    )


def _outcome(made: TrainingSet) -> str:
    """Say how often the outcome was, or what the mean cost was."""
    if made.cohort.rate is not None:
        return f"{made.cohort.rate:.1%} with the outcome"
    total, months = (float(made.cases[name].sum()) for name in ("cost", "member_months"))
    return f"{total / months:,.2f} dollars per member month"
