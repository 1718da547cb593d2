"""Build the cohort of a task: index cases with their label, and the count of who was left out and why."""

import logging
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from riskmodels.cohorts.cases import shard_cases
from riskmodels.cohorts.costs import truncate_costs
from riskmodels.cohorts.support import possible_outcomes, unreadable, why_not
from riskmodels.cohorts.task import Task, load_task
from riskmodels.engines import Engine, LocalEngine, Tables
from riskmodels.errors import SpecError
from riskmodels.history import History

__all__ = ["Cohort", "build_cohort"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cohort:
    """The index cases of a task.

    Parameters
    ----------
    cases : DataFrame
        One row per index case, sorted by (person, index_time); columns as in `CASES`. `label` is 1 or 0, and
        null where `censored`: the follow-up was not observed, so nothing is known. Where the outcome is a
        cost there are the columns of `COSTS` too, and no label.
    attrition : DataFrame of step, stays
        How many stays were left after each step.
    task : Task
        The definition.
    """

    cases: pl.DataFrame
    attrition: pl.DataFrame
    task: Task

    @property
    def observed(self) -> pl.DataFrame:
        """Return the cases that have a label."""
        return self.cases.filter(~pl.col("censored"))

    @property
    def rate(self) -> float | None:
        """Return the share of observed cases with the outcome; None where there is no label at all."""
        share = self.observed["label"].mean()
        return None if share is None else float(share)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _ShardCohort:
    """`shard_cases` of the shards of a history, with what they hold of what the task needs."""

    task: Task
    history: History
    require_follow_up: bool
    as_of: datetime | None
    observed_until: date | None

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        shard = self.history.shard(number)
        cases, attrition = shard_cases(
            self.task,
            shard,
            vocabulary=self.history.vocabulary,
            require_follow_up=self.require_follow_up,
            as_of=self.as_of,
            observed_until=self.observed_until,
        )
        seen = pl.DataFrame(
            {"coverage": [shard.coverage.height], "outcome": [possible_outcomes(shard, self.task)]}
        )
        return {"cases": cases, "attrition": attrition, "seen": seen}


def build_cohort(
    task: str | Path | Task,
    history: History,
    *,
    require_follow_up: bool = True,
    engine: Engine | None = None,
) -> Cohort:
    """Build the cohort of a task from a history, shard by shard.

    Parameters
    ----------
    task : str, path or Task
        A task's name, a YAML file, or the task itself.
    history : History
        Where opened as of a date, labels need a follow-up that was over, with its run-out, by that date.
    require_follow_up : bool
        Count the observed follow-up as a step of the attrition. The rows are the same either way.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here.

    Raises
    ------
    SpecError
        Where the history cannot support the task: no coverage at all, or no encounter of the kind that the
        outcome is looked for in (everyone would come out negative), or no code of a system that it goes by.
    """
    task = load_task(task)
    as_of = None if history.as_of is None else _instant(history.as_of)
    watched = task.look_back.require_coverage and task.index.event != "date"
    observed_until = _last_day(history, as_of, covered=watched)
    found = (engine or LocalEngine()).run(
        _ShardCohort(task, history, require_follow_up, as_of, observed_until),
        dict.fromkeys(range(history.n_shards)),
        f"Building the cohort of {task.name}",
    )
    parts = [tables for _, tables in found]
    seen = pl.concat([tables["seen"] for tables in parts]).sum()
    if task.look_back.require_coverage and not seen["coverage"][0]:
        raise SpecError(
            f"{task.name} asks for {task.look_back.days} days of coverage; this history has none at all.\n"
            "Fix: ingest the eligibility files too, or use a task with look_back.require_coverage: false."
        )
    if not seen["outcome"][0]:
        raise SpecError(f"{task.name} {why_not(task)}")
    if lacking := unreadable(task, history.vocabulary):
        raise SpecError(f"{task.name} {lacking}")
    cases = pl.concat([tables["cases"] for tables in parts]).sort(
        "person", "index_time", "admission_time", "index_id"
    )
    if task.outcome.event == "cost" and task.outcome.truncate_percentile is not None:
        cases = truncate_costs(cases, task.outcome.truncate_percentile)
    attrition = (
        pl.concat([tables["attrition"] for tables in parts])
        .group_by("step", maintain_order=True)
        .agg(pl.col("stays").sum())
    )
    logger.info("%s: %s index cases, %s censored", task.name, cases.height, int(cases["censored"].sum()))
    return Cohort(cases, attrition, task)


def _last_day(history: History, as_of: datetime | None, *, covered: bool) -> date | None:
    """Return the last day of the data: before `as_of`, else the last covered one or the last encounter's."""
    if as_of is not None:
        return (as_of - timedelta(microseconds=1)).date()
    table, column = ("coverage", "end_date") if covered else ("encounter", "end")
    last = history.table(table).select(pl.col(column).max()).collect().item()
    return last.date() if isinstance(last, datetime) else last


def _instant(moment: date | datetime) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time())
