"""The training set of a task: index cases that were observed, their features and their label."""

import logging
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.files import atomic_file
from riskmodels.pipeline.tables import FeatureTable, InMemory

if TYPE_CHECKING:
    from riskmodels.cohorts import Cohort, Task
    from riskmodels.engines import Engine
    from riskmodels.features import FeatureColumn, FeatureFrame, FeatureSet
    from riskmodels.features.unknown_codes import UnknownCodes
    from riskmodels.history import History

__all__ = ["TrainingSet", "training_set", "write_training_set"]

logger = logging.getLogger(__name__)

IDENTIFIERS = ("index_id", "person_id", "index_time", "facility_id")
OUTCOMES = ("label",)


@dataclass(frozen=True)
class TrainingSet:
    """Index cases, features and label, row by row.

    Parameters
    ----------
    cases : DataFrame
        The index cases whose follow-up was observed; see `riskmodels.cohorts.Cohort`.
    table : FeatureTable
        Where their features are, in the same order.
    feature_set : FeatureSet
        What the features are.
    cohort : Cohort
        All index cases, the censored ones too, and the attrition.
    history : History
        Where they come from.
    unknown_codes : UnknownCodes
        The codes of the history that the features do not know.
    """

    cases: pl.DataFrame
    table: FeatureTable
    feature_set: "FeatureSet"
    cohort: "Cohort"
    history: "History"
    unknown_codes: "UnknownCodes"

    @property
    def features(self) -> "FeatureFrame":
        """Return the features in memory."""
        return self.table.read()

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
    known_only: bool = False,
    as_of: date | datetime | None = None,
    engine: "Engine | None" = None,
    built: Path | None = None,
    scheduler: Any = None,
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
    known_only : bool
        A feature uses only what was recorded before its index time.
    as_of : date or datetime, optional
        Use only what was known then.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here.
    built : path, optional
        What `write_training_set` wrote of these cases, perhaps on a cluster: the features are read from it.
    scheduler : str or distributed.Client, optional
        Leave the features in that file, which the workers of a Dask cluster read; cases are in its order.

    Raises
    ------
    SpecError
        The history has no index case of the task whose follow-up was observed; or a cluster has no file to
        read, does not answer or has no workers.
    DataError
        `built` holds other features or other cases.
    """
    from riskmodels.features import build_features, read_features

    if scheduler is not None:
        from riskmodels.pipeline.cluster import OnCluster, check_cluster

        check_cluster(scheduler, built)  # before the long work
    cohort, cases, chosen, history, unknown = _observed(task, history, features, role, as_of, engine)
    if built is None:
        frame = build_features(history, cases, chosen, known_only=known_only, engine=engine)
        return TrainingSet(cases, InMemory(frame), chosen, cohort, history, unknown)
    columns = check_built(built, chosen, known_only)
    place = _match(built, cases)
    if scheduler is not None:
        table = OnCluster(Path(built), scheduler, *columns)
        return TrainingSet(cases[place.arg_sort()], table, chosen, cohort, history, unknown)
    return TrainingSet(cases, InMemory(read_features(built).take(place)), chosen, cohort, history, unknown)


def check_built(
    path: Path, chosen: "FeatureSet", known_only: bool
) -> "tuple[list[FeatureColumn], list[FeatureColumn]]":
    """Return the columns of a features file, those of its table and the sparse ones.

    Refuse one of another feature set, or of more than was known.
    """
    from riskmodels.features import describe_features
    from riskmodels.features.stored import is_known_only

    columns, sparse = describe_features(path)
    wanted = chosen.columns, chosen.sparse_columns
    if [[c.name for c in part] for part in (columns, sparse)] != [[c.name for c in part] for part in wanted]:
        raise DataError(
            f"holds other features than {chosen.name}",
            file=path,
            fix="write it again with riskmodels features, of the same task, --features and role",
        )
    for there, here in zip((*columns, *sparse), chosen.every_column, strict=True):
        if _meaning(there) != _meaning(here):
            raise DataError(
                f"holds {there.label!r}, and {chosen.name} has {here.label!r} by this name",
                file=path,
                column=there.name,
                fix="write it again with riskmodels features, of the same --features",
            )
    if is_known_only(path) is not known_only:
        said = ("only what was known", "all") if known_only else ("all", "only what was known")
        raise DataError(
            f"the model is to use {said[0]} before each index time, and the file holds {said[1]}",
            file=path,
            fix=f"write it again {'with' if known_only else 'without'} --known-only, or change known_only in "
            "model.yaml",
        )
    return columns, sparse


def _meaning(column: "FeatureColumn") -> tuple[object, ...]:
    return column.kind, column.source, column.window, column.group, column.aggregation


def _match(path: Path, cases: pl.DataFrame) -> pl.Series:
    """Return the row of each case in a features file; refuse a file of other cases or other outcomes."""
    names = [name for name in OUTCOMES if name in cases.columns and name in pl.read_parquet_schema(path)]
    stored = pl.read_parquet(path, columns=["index_id", *names]).with_row_index("row")
    found = cases.select("index_id", *names).join(
        stored, on="index_id", how="left", maintain_order="left", suffix="_stored"
    )
    if found["row"].null_count() or stored.height != cases.height:
        raise DataError(
            f"holds {stored.height:,} index cases, and not the {cases.height:,} of this history and task",
            file=path,
            fix="write it again with riskmodels features, of the same history, task and --as-of",
        )
    for name in names:
        if not found[name].eq_missing(found[f"{name}_stored"]).all():
            raise DataError(
                "holds other outcomes than this history and task have",
                file=path,
                column=name,
                fix="write it again with riskmodels features, of the same history, task and --as-of",
            )
    return found["row"]


def _observed(
    task: "str | Path | Task",
    history: "str | Path | History",
    features: "FeatureSet | None",
    role: str | None,
    as_of: date | datetime | None,
    engine: "Engine | None",
) -> "tuple[Cohort, pl.DataFrame, FeatureSet, History, UnknownCodes]":
    """Return the cohort of a task, its observed cases, the features to build, and the history as of then.

    Last the codes that the features do not know, which are said where they are many.
    """
    from riskmodels.cohorts import build_cohort, load_task
    from riskmodels.features import standard_features
    from riskmodels.features.unknown_codes import warn_of_unknown_codes
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
    chosen = (standard_features(task) if features is None else features).select(role=role)
    return cohort, cases, chosen, history, warn_of_unknown_codes(history, chosen, engine=engine)


def write_training_set(
    task: str,
    history: Path,
    out: Path,
    *,
    as_of: date | datetime | None = None,
    role: str | None = None,
    features: "FeatureSet | None" = None,
    known_only: bool = False,
    engine: "Engine | None" = None,
) -> str:
    """Write the training set of a task as Parquet or CSV, by suffix; return a line that sums it up.

    Parquet is written shard by shard, with what each column is in its metadata, and a run that was killed
    goes on where it was: see `riskmodels.features.write_features`. CSV is built in memory. With `known_only`
    a feature uses only what was recorded before its index time.

    Raises
    ------
    DataError
        The suffix is neither .parquet nor .csv, or a CSV is to hold sparse columns.
    """
    from riskmodels.features import build_features, write_features

    if out.suffix not in (".parquet", ".csv"):
        raise DataError(
            f"cannot write {out.suffix or 'a file without suffix'}",
            file=out,
            fix="end it in .parquet or .csv",
        )
    cohort, cases, chosen, opened, unknown = _observed(task, history, features, role, as_of, engine)
    if out.suffix == ".csv":
        if chosen.sparse_columns:
            raise DataError("CSV has no place for sparse columns", file=out, fix="end it in .parquet")
        built = build_features(opened, cases, chosen, known_only=known_only, engine=engine)
        frame = TrainingSet(cases, InMemory(built), chosen, cohort, opened, unknown).frame
        with atomic_file(out) as temporary:
            frame.write_csv(temporary)
    else:
        keep = [*IDENTIFIERS[1:], *cohort.task.outcome_columns]
        write_features(opened, cases, chosen, out, known_only=known_only, keep=keep, engine=engine)
    censored = cohort.cases.height - cases.height
    return (
        f"{out}: {cases.height:,} index cases, {len(chosen.every_column)} features, "
        f"{_outcome(cohort, cases)}; {censored:,} censored cases left out"
    )


def _outcome(cohort: "Cohort", cases: pl.DataFrame) -> str:
    """Say how often the outcome was, or what the mean cost was."""
    if cohort.rate is not None:
        return f"{cohort.rate:.1%} with the outcome"
    total, months = (float(cases[name].sum()) for name in ("cost", "member_months"))
    return f"{total / months:,.2f} dollars per member month"
