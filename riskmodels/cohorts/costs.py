"""What a patient cost in the follow-up: amounts, member months, enrolment category, truncation."""

from datetime import datetime

import polars as pl

from riskmodels.cohorts.labels import CASES, label_cases, whole_years
from riskmodels.cohorts.task import Task
from riskmodels.history import Shard

__all__ = ["COSTS", "ENROLMENT", "add_costs", "truncate_costs"]

MONTHS_A_YEAR = 12
DAYS_A_YEAR = 365
AGED = 65

ENROLMENT = ("ESRD", "disabled", "aged/dual", "aged/non-dual", "aged, dual status unknown")

COSTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "cost": pl.Float64,
    "cost_untruncated": pl.Float64,
    "member_months": pl.Float64,
    "cost_pmpm": pl.Float64,
    "enrolment": pl.Enum(ENROLMENT),
}


def add_costs(cases: pl.DataFrame, shard: Shard, task: Task, as_of: datetime | None) -> pl.DataFrame:
    """Return `CASES` and `COSTS`: what each case cost while it was watched.

    Cases whose coverage ends early stay, with fewer member months; a case is censored only where no day of
    the follow-up was covered, or where it was seen too early (run-out). Death ends the member months.

    Parameters
    ----------
    cases : DataFrame
        Population cases with `covered_until`.
    """
    # The amount of the follow-up is no event: label_cases tells how long each case was watched.
    watched = label_cases(cases.with_columns(outcome_time=pl.lit(None, pl.Datetime("us"))), task, as_of)
    days = (pl.col("follow_up_end") - pl.col("index_time")).dt.total_days().clip(0)
    watched = watched.with_columns(
        member_months=days * MONTHS_A_YEAR / DAYS_A_YEAR, enrolment=_enrolment(), case=pl.int_range(pl.len())
    )
    spent = _amounts(shard, task).join(
        watched.select("case", "person", "index_time", "follow_up_end"), on="person"
    )
    inside = (pl.col("time") >= pl.col("index_time")) & (pl.col("time") < pl.col("follow_up_end"))
    totals = spent.filter(inside).group_by("case").agg(cost=pl.col("amount").sum())
    late = pl.lit(False)
    if as_of is not None:
        complete = pl.col("index_time").dt.date() + pl.duration(
            days=task.follow_up.last_day + 1 + task.follow_up.runout_days
        )
        late = complete.cast(pl.Datetime("us")) > as_of
    months = pl.col("member_months")
    return (
        watched.join(totals, on="case", how="left", maintain_order="left")
        .with_columns(
            pl.col("cost").fill_null(0.0), censored=late | (months <= 0), label=pl.lit(None, pl.Int8)
        )
        .with_columns(
            cost=pl.when(~pl.col("censored")).then("cost"),
            cost_pmpm=pl.when(~pl.col("censored")).then(pl.col("cost") / months),
        )
        .with_columns(cost_untruncated=pl.col("cost"))
        .select(pl.col(name).cast(dtype) for name, dtype in (CASES | COSTS).items())
    )


def truncate_costs(cases: pl.DataFrame, percentile: int) -> pl.DataFrame:
    """Set annualised costs above a percentile to it, by enrolment category and year of the index date.

    As 42 CFR 425.604(a)(4) and 425.605(a)(3) do at the 99th percentile of national fee-for-service costs;
    here it is that of the cases themselves. `cost` and `cost_pmpm` change, `cost_untruncated` does not.

    Parameters
    ----------
    cases : DataFrame
        Cases of the whole history: the percentile is taken over all of them.
    """
    group = ("enrolment", pl.col("index_time").dt.year())
    limit = pl.col("cost_pmpm").quantile(percentile / 100, "linear").over(*group)
    return cases.with_columns(cost_pmpm=pl.min_horizontal("cost_pmpm", limit)).with_columns(
        cost=pl.when(pl.col("cost_pmpm") * pl.col("member_months") < pl.col("cost_untruncated"))
        .then(pl.col("cost_pmpm") * pl.col("member_months"))
        .otherwise("cost_untruncated")
    )


def _amounts(shard: Shard, task: Task) -> pl.DataFrame:
    """Return person, time and amount of what counts as cost."""
    rule = task.outcome
    amounts = shard.encounter.filter(pl.col("kind").is_in(rule.kinds)).select(
        "person", time="end", amount=rule.amount
    )
    if rule.drugs:
        drugs = shard.event.filter(pl.col("kind") == "drug").select("person", "time", amount="paid")
        amounts = pl.concat([amounts, drugs])
    return amounts.drop_nulls("amount")


def _enrolment() -> pl.Expr:
    """Return the enrolment category of 42 CFR 425.604(a)(2) at the index date, the first that applies.

    Who is not known to have end-stage renal disease is taken not to have it.
    """
    age = whole_years(pl.col("birth_date"), pl.col("index_time").dt.date())
    return (
        pl.when(pl.col("esrd"))
        .then(pl.lit("ESRD"))
        .when(age < AGED)
        .then(pl.lit("disabled"))
        .when(pl.col("dual").is_null())
        .then(pl.lit("aged, dual status unknown"))
        .when(pl.col("dual"))
        .then(pl.lit("aged/dual"))
        .otherwise(pl.lit("aged/non-dual"))
    )
