"""Find the index cases of a shard: eligibility, follow-up and label."""

from datetime import date, datetime, timedelta

import polars as pl

from riskmodels.cohorts.admissions import admission_rules, at_admission, one_a_year
from riskmodels.cohorts.coverage import covered_on, covered_spans, span_around, status_on
from riskmodels.cohorts.eligibility import apart, eligibility
from riskmodels.cohorts.hospital_cohorts import cancer_without_surgery, in_cohort
from riskmodels.cohorts.labels import CASES, label_cases
from riskmodels.cohorts.outcomes import OUTCOMES, released
from riskmodels.cohorts.planned import add_planned, care_groups
from riskmodels.cohorts.population import population_cases
from riskmodels.cohorts.stays import join_stays, principal_diagnoses, segments
from riskmodels.cohorts.task import Task
from riskmodels.history import Shard

__all__ = ["CASES", "shard_cases"]


def shard_cases(
    task: Task,
    shard: Shard,
    *,
    vocabulary: pl.DataFrame,
    require_follow_up: bool = True,
    as_of: datetime | None = None,
    observed_until: date | None = None,
    index_date: date | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find the index cases of one shard.

    Parameters
    ----------
    task : Task
        The definition.
    shard : Shard
        All that is known of some patients.
    vocabulary : DataFrame of code, code_system, code_text
        What the shard's codes stand for.
    require_follow_up : bool
        Count the observed follow-up as a step of the attrition. The rows are the same either way.
    as_of : datetime, optional
        The instant that the history is seen from; labels whose follow-up and run-out end later are censored.
    observed_until : date, optional
        The last day that the data tell about: no label needs a day after it.
    index_date : date, optional
        For tasks over a population: the only index date, in place of the task's.

    Returns
    -------
    cases : DataFrame
        Columns as in `CASES`, sorted by (person, index_time).
    attrition : DataFrame of step (String), stays (Int64)
        How many stays were left after each step.
    """
    if task.index.event == "date":
        return population_cases(
            task,
            shard,
            vocabulary=vocabulary,
            require_follow_up=require_follow_up,
            as_of=as_of,
            observed_until=observed_until,
            index_date=index_date,
        )
    parts, impossible = segments(shard, task.index.kinds)
    stays = join_stays(parts, principal_diagnoses(shard, vocabulary), task.index)
    stays = add_planned(stays, shard, vocabulary, elective=task.outcome.elective)
    stays = stays.hstack(care_groups(stays, "last"))
    if "cancer" in task.index.exclude_principal_diagnosis:
        stays = stays.with_columns(cancer=cancer_without_surgery(stays, shard, vocabulary))
    if task.index.cohort is not None:
        stays = stays.with_columns(in_cohort=in_cohort(stays, shard, vocabulary, task.index.cohort))
    stays = OUTCOMES[task.outcome.event](stays, shard, task)
    stays = stays.join(
        shard.person.select("person", "person_id", "birth_date", "sex", "death_date"),
        on="person",
        how="left",
        maintain_order="left",
    ).with_columns(admitted=pl.col("admission_time").dt.date(), discharged=pl.col("discharge_time").dt.date())

    steps = [
        (f"{' or '.join(task.index.kinds)} encounters", parts.height + impossible),
        ("with an end that is not before the start", parts.height),
        ("stays, once their segments are joined", stays.height),
    ]
    if task.index.treat_and_release:
        stays = stays.filter(released(stays, shard, task))
        steps.append(("treat-and-release visits", stays.height))
    for step, keep in eligibility(task):
        stays = stays.filter(keep)
        steps.append((step, stays.height))
    if task.index.event == "admission":
        for step, rule in admission_rules(task):
            stays = stays.filter(rule(stays, shard))
            steps.append((step, stays.height))
        stays = at_admission(stays, shard)
    stays = _watch(stays, shard, task, as_of, observed_until)
    if task.look_back.require_coverage:
        stays = stays.filter(pl.col("covered_until").is_not_null())
        until = "discharge" if task.index.event == "discharge" else "that day"
        steps.append((f"covered from {task.look_back.days} days before admission to {until}", stays.height))
    if task.index.days_apart:
        stays = apart(stays, task.index.days_apart)
        steps.append((f"not within {task.index.days_apart} days of the case before", stays.height))
    if task.index.one_a_year:
        stays = stays.filter(one_a_year(stays))
        steps.append(("one a person and calendar year", stays.height))
    cases = label_cases(stays, task, as_of, observed_until).sort(
        "person", "index_time", "admission_time", "index_id"
    )
    if task.index.event == "admission":  # how long the stay lasted is not known yet
        cases = cases.with_columns(length_of_stay=pl.lit(None, pl.Int32))
    if require_follow_up:
        steps.append((f"followed up for {task.follow_up.last_day} days", int((~cases["censored"]).sum())))
    attrition = pl.DataFrame(steps, schema={"step": pl.String, "stays": pl.Int64}, orient="row")
    return cases, attrition


def _watch(
    stays: pl.DataFrame, shard: Shard, task: Task, as_of: datetime | None, observed_until: date | None
) -> pl.DataFrame:
    """Add the coverage status before the discharge, and `covered_until`, the last day that was watched."""
    # Of a discharge without a time of day, the day itself begins at the prediction instant: not before it.
    last_day_before = (pl.col("discharge_time") - pl.duration(microseconds=1)).dt.date()
    stays = status_on(stays, shard.coverage, last_day_before)
    if task.look_back.require_coverage:
        spans = covered_spans(shard.coverage, task.look_back.max_gap_days)
        first_day = pl.col("admitted") - pl.duration(days=task.look_back.days)
        stays = span_around(stays, spans, first_day)
        through = pl.col("covered_until") >= pl.col("discharged")
        if task.look_back.max_gap_days:  # nobody knows on the day whether coverage will come back
            through &= covered_on(stays, shard.coverage, pl.col("discharged"))
        return stays.with_columns(covered_until=pl.when(through).then("covered_until"))
    if observed_until is None:
        last = shard.encounter["end"].max() if as_of is None else as_of - timedelta(microseconds=1)
        observed_until = last.date() if isinstance(last, datetime) else None
    return stays.with_columns(covered_until=pl.lit(observed_until, pl.Date))
