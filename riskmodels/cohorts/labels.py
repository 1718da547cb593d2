"""The columns of index cases, and the label of a case from what was seen in its follow-up."""

from datetime import date, datetime

import polars as pl

from riskmodels.cohorts.task import Task

__all__ = ["CASES", "label_cases", "whole_years"]

_TIME = pl.Datetime("us")

CASES: dict[str, pl.DataType | type[pl.DataType]] = {
    "index_id": pl.String,
    "person": pl.Int32,
    "person_id": pl.String,
    "index_time": _TIME,
    "admission_time": _TIME,
    "stay_encounters": pl.List(pl.Int32),
    "facility_id": pl.String,
    "drg": pl.String,
    "admission_type": pl.String,
    "admission_source": pl.String,
    "discharge_disposition": pl.String,
    "length_of_stay": pl.Int32,
    "birth_date": pl.Date,
    "sex": pl.String,
    "death_date": pl.Date,
    "dual": pl.Boolean,
    "orig_disability": pl.Boolean,
    "esrd": pl.Boolean,
    "follow_up_end": _TIME,
    "label": pl.Int8,
    "outcome_time": _TIME,
    "censored": pl.Boolean,
}


def label_cases(
    stays: pl.DataFrame, task: Task, as_of: datetime | None, observed_until: date | None = None
) -> pl.DataFrame:
    """Add the follow-up, the outcome within it and the label; return the columns of `CASES`.

    No label needs a day after `observed_until`, nor a run-out that goes beyond `as_of`: for those who died
    in the follow-up too, or the latest cases with a label would be the dead alone.
    """
    rule = task.follow_up
    discharged, covered_until = pl.col("discharged"), pl.col("covered_until")
    horizon = discharged + pl.duration(days=rule.last_day)
    died = (pl.col("death_date") <= horizon).fill_null(False)
    death = pl.max_horizontal("death_date", "discharged")
    stays = stays.with_columns(needed_until=pl.when(died).then(death).otherwise(horizon), died=died)
    day = (pl.col("outcome_time").dt.date() - discharged).dt.total_days()
    inside = day.is_between(rule.first_day, rule.last_day).fill_null(False)
    stays = stays.with_columns(outcome_time=pl.when(inside).then("outcome_time"))
    outcome = pl.col("outcome_time").is_not_null()

    unknown = covered_until < pl.col("needed_until")
    if observed_until is not None:
        unknown |= horizon > observed_until
    if rule.coverage_lost == "event_counts":
        unknown &= ~(pl.col("outcome_time").dt.date() <= covered_until).fill_null(False)
    if rule.death == "censored":
        unknown |= pl.col("died") & ~outcome
    if as_of is not None:
        complete = horizon + pl.duration(days=1 + rule.runout_days)
        unknown |= complete.cast(_TIME) > as_of
    watched_until = pl.min_horizontal("needed_until", "covered_until") + pl.duration(days=1)
    stays = stays.with_columns(
        index_time=pl.col("discharge_time"),
        length_of_stay=(discharged - pl.col("admitted")).dt.total_days(),
        follow_up_end=watched_until.cast(_TIME),
        censored=unknown.fill_null(True),
    ).with_columns(label=pl.when(~pl.col("censored")).then(outcome))
    return stays.select(pl.col(name).cast(dtype) for name, dtype in CASES.items())


def whole_years(birth: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Return the age in whole years; a birthday on 29 February is kept on 1 March in other years."""
    before_birthday = _day_of_year(day) < _day_of_year(birth)
    return day.dt.year() - birth.dt.year() - before_birthday.cast(pl.Int32)


def _day_of_year(day: pl.Expr) -> pl.Expr:
    """Return month and day as one number, 310 for 10 March; months are of a type that ends at 127."""
    return day.dt.month().cast(pl.Int32) * 100 + day.dt.day().cast(pl.Int32)
