"""The cases of a population task: everyone who is watched on a date, one case a person and date."""

from datetime import date, datetime, timedelta

import polars as pl

from riskmodels.cohorts.costs import add_costs
from riskmodels.cohorts.coverage import covered_on, covered_spans, span_around, status_on
from riskmodels.cohorts.events import EVENTS
from riskmodels.cohorts.labels import label_cases, whole_years
from riskmodels.cohorts.outcomes import next_start
from riskmodels.cohorts.task import Task
from riskmodels.history import Shard
from riskmodels.terminology import load_grouper

__all__ = ["population_cases"]

# One claim of these kinds shows that a patient has a condition; of others it takes two on different days, as
# in the Chronic Conditions Warehouse. A flag that a publisher summed up shows it too.
INSTITUTIONAL = ("inpatient", "snf", "rehab", "home_health", "hospice")
CLAIMS_ELSEWHERE = 2
GRACE_DAYS = 31  # nobody need have an encounter on the last day of the data
OLDEST_YEARS = 120
_TIME = pl.Datetime("us")
_UNKNOWN = {
    "facility_id": pl.String,
    "drg": pl.String,
    "admission_type": pl.String,
    "admission_source": pl.String,
    "discharge_disposition": pl.String,
}


def population_cases(
    task: Task,
    shard: Shard,
    *,
    vocabulary: pl.DataFrame,
    require_follow_up: bool = True,
    as_of: datetime | None = None,
    observed_until: date | None = None,
    index_date: date | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find the index cases of a population in one shard.

    Parameters
    ----------
    observed_until : date, optional
        The last day that the data tell about. Coverage may go on beyond it (enrolment without an end): dates
        after it are no case, and a follow-up that ends more than `GRACE_DAYS` after it was not observed.
    index_date : date, optional
        The only date, in place of those of the task: a scoring job's.

    Returns
    -------
    cases, attrition : DataFrame
        As `riskmodels.cohorts.shard_cases` returns them; `index_id` is ``person_id@date``.
    """
    cases = _dates(shard, task, index_date)
    if observed_until is not None:
        cases = cases.filter(pl.col("discharged") <= observed_until)
    steps = [("persons on an index date", cases.height)]
    for step, keep in _eligibility(task):
        cases = cases.filter(keep)
        steps.append((step, cases.height))
    day_before = pl.col("discharged") - pl.duration(days=1)
    cases = status_on(cases, shard.coverage, day_before)
    if task.look_back.require_coverage:
        spans = covered_spans(shard.coverage, task.look_back.max_gap_days)
        first_day = pl.col("discharged") - pl.duration(days=task.look_back.days)
        cases = span_around(cases, spans, first_day).filter(pl.col("covered_until") >= day_before)
        if task.look_back.max_gap_days:  # nobody knows on the day whether coverage will come back
            cases = cases.filter(covered_on(cases, shard.coverage, day_before))
        steps.append((f"covered on the {task.look_back.days} days before the date", cases.height))
        if index_date is None:  # a scoring job does not know yet who is covered on its day
            cases = cases.filter(pl.col("covered_until") >= pl.col("discharged"))
            steps.append(("covered on the date", cases.height))
    else:
        cases = _in_contact(cases, shard, observed_until, as_of)
        steps.append(("in contact before the date", cases.height))
    if task.index.conditions:
        cases = cases.filter(_with_conditions(cases, shard, vocabulary, task))
        steps.append((_in_words(task), cases.height))
    if task.outcome.event == "cost":
        labelled = add_costs(cases, shard, task, as_of)
    else:
        cases = next_start(cases, EVENTS[task.outcome.event](shard, vocabulary, task), task)
        labelled = label_cases(cases, task, as_of)
    if observed_until is not None:
        labelled = _not_beyond(labelled, task, observed_until)
    labelled = labelled.with_columns(length_of_stay=pl.lit(None, pl.Int32)).sort("person", "index_time")
    if require_follow_up:
        observed = int((~labelled["censored"]).sum())
        steps.append((f"followed up for {task.follow_up.last_day + 1} days", observed))
    return labelled, pl.DataFrame(steps, schema={"step": pl.String, "stays": pl.Int64}, orient="row")


def _dates(shard: Shard, task: Task, index_date: date | None) -> pl.DataFrame:
    """Return a row for each person and index date from the person's first year in the data to the last."""
    if task.look_back.require_coverage:
        spans = shard.coverage.select("person", first="start_date", last="end_date")
    else:
        spans = shard.encounter.select("person", first=pl.col("start"), last=pl.col("end")).with_columns(
            pl.col("first", "last").dt.date()
        )
    seen = spans.group_by("person").agg(pl.col("first").min(), pl.col("last").max())
    if index_date is None:
        # Who is covered to the last day of a year can be a case on the first day of the next.
        born = shard.person.select("person", oldest=pl.col("birth_date").dt.year() + OLDEST_YEARS)
        seen = seen.join(born, on="person")
        first_year = pl.col("first").dt.year()
        last_year = pl.min_horizontal(pl.col("last").dt.year(), "oldest")
        years = seen.select("person", year=pl.int_ranges(first_year, last_year + 2))
        days = [(int(word[:2]), int(word[3:])) for word in task.index.dates]
        when = pl.concat(
            [
                years.explode("year").select("person", discharged=pl.date("year", month, day))
                for month, day in days
            ]
        )
    else:
        when = seen.select("person", discharged=pl.lit(index_date))
    people = shard.person.select("person", "person_id", "birth_date", "sex", "death_date")
    return (
        when.join(people, on="person")
        .sort("person", "discharged")
        .with_columns(
            index_id=pl.concat_str("person_id", pl.col("discharged").cast(pl.String), separator="@"),
            admitted="discharged",
            discharge_time=pl.col("discharged").cast(_TIME),
            admission_time=pl.col("discharged").cast(_TIME),
            stay_encounters=pl.lit([], pl.List(pl.Int32)),
            **{name: pl.lit(None, dtype) for name, dtype in _UNKNOWN.items()},
        )
    )


def _eligibility(task: Task) -> list[tuple[str, pl.Expr]]:
    age = whole_years(pl.col("birth_date"), pl.col("discharged"))
    steps = [
        ("born before the date", pl.col("birth_date") < pl.col("discharged")),
        ("alive when it began", (pl.col("death_date") >= pl.col("discharged")).fill_null(True)),
    ]
    if task.index.min_age is not None:
        steps.append((f"aged {task.index.min_age} or more", age >= task.index.min_age))
    if task.index.max_age is not None:
        steps.append((f"aged {task.index.max_age} or less", age <= task.index.max_age))
    return steps


def _not_beyond(cases: pl.DataFrame, task: Task, observed_until: date) -> pl.DataFrame:
    """Take the outcome away from cases whose follow-up goes on after the data have ended."""
    last_day = pl.col("index_time").dt.date() + pl.duration(days=task.follow_up.last_day - GRACE_DAYS)
    beyond = last_day > observed_until
    outcome = [name for name in ("label", "cost", "cost_pmpm", "cost_untruncated") if name in cases.columns]
    return cases.with_columns(pl.when(~beyond).then(pl.col(outcome)), censored=pl.col("censored") | beyond)


def _in_contact(
    cases: pl.DataFrame, shard: Shard, observed_until: date | None, as_of: datetime | None
) -> pl.DataFrame:
    """Keep who had an encounter before the date that the data reach, with the last day of the data."""
    if observed_until is None:
        last = shard.encounter["end"].max() if as_of is None else as_of - timedelta(microseconds=1)
        observed_until = last.date() if isinstance(last, datetime) else None
    first = shard.encounter.group_by("person").agg(first_contact=pl.col("start").min())
    known = cases.join(first, on="person", how="left", maintain_order="left").with_columns(
        covered_until=pl.lit(observed_until, pl.Date)
    )
    met = pl.col("first_contact") < pl.col("discharge_time")
    reached = pl.col("covered_until") >= pl.col("discharged") - pl.duration(days=1)
    return known.filter((met & reached).fill_null(False)).drop("first_contact")


def _with_conditions(cases: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame, task: Task) -> pl.Series:
    """Return for each case whether the look-back shows enough of the conditions."""
    grouper = load_grouper(task.index.condition_table)
    numbers = [grouper.number(group) for group in task.index.conditions]
    assigned = grouper.assign(vocabulary["code_system"], vocabulary["code_text"])
    chosen = assigned.filter(pl.col("group").is_in(numbers))
    codes = chosen.select(code=vocabulary["code"].gather(chosen["row"]), group="group")
    kinds = shard.encounter.select("encounter", where=pl.col("kind").cast(pl.String))
    told = (
        shard.event.filter(pl.col("kind").is_in(["diagnosis", "observation"]))
        .select("person", "time", "code", "encounter", summed_up=pl.col("kind") == "observation")
        .join(codes, on="code")
        .join(kinds, on="encounter", how="left")
        .with_columns(alone=pl.col("summed_up") | pl.col("where").is_in(INSTITUTIONAL).fill_null(False))
    )
    numbered = cases.select("person", "discharge_time").with_row_index("row")
    since = pl.col("discharge_time") - pl.duration(days=task.look_back.days)
    shown = (
        numbered.join(told, on="person")
        .filter((pl.col("time") >= since) & (pl.col("time") < pl.col("discharge_time")))
        .group_by("row", "group")
        .agg(pl.col("alone").any(), days=pl.col("time").dt.date().n_unique())
        .filter(pl.col("alone") | (pl.col("days") >= CLAIMS_ELSEWHERE))
        .group_by("row")
        .len()
        .filter(pl.col("len") >= task.index.min_conditions)
    )
    return numbered["row"].is_in(shown["row"].implode())


def _in_words(task: Task) -> str:
    labels = load_grouper(task.index.condition_table).labels
    named = [labels[group] for group in task.index.conditions]
    if len(named) == 1:
        return f"with {named[0][0].lower() + named[0][1:] if not named[0][:2].isupper() else named[0]}"
    return f"with at least {task.index.min_conditions} of {len(named)} conditions"
