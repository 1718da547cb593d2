"""What a history must hold so that a task can find its outcome in it."""

import polars as pl

from riskmodels.cohorts.task import Task
from riskmodels.history import Shard

__all__ = ["possible_outcomes", "why_not"]


def possible_outcomes(shard: Shard, task: Task) -> int:
    """Count the rows in which the outcome of a task could be found at all."""
    rule = task.outcome
    if rule.event == "death":
        return shard.person["death_date"].drop_nulls().len()
    chosen = shard.encounter.filter(pl.col("kind").is_in(rule.kinds))
    if rule.event == "cost":
        return chosen[rule.amount].drop_nulls().len()
    return chosen.height


def why_not(task: Task) -> str:
    """Say why a history without a possible outcome cannot support a task, and what to do."""
    rule = task.outcome
    if rule.event == "death":
        return (
            "looks for deaths, and this history has no date of death: every case would come out negative.\n"
            "Fix: ingest the beneficiary files that hold them."
        )
    if rule.event == "cost":
        other = "paid" if rule.amount == "allowed" else "allowed"
        return (
            f"sums up {rule.amount} amounts, and no encounter of this history has one.\n"
            f"Fix: use a task with outcome.amount: {other}, or ingest the claims that hold the amounts."
        )
    return (
        f"looks for its outcome in {' and '.join(rule.kinds)} encounters, and this history has none: every "
        "case would come out negative.\n"
        "Fix: ingest the claims that hold them (for ED visits: outpatient claims)."
    )
