"""When the outcome of a task first happened after each index case."""

from collections.abc import Callable

import polars as pl

from riskmodels.cohorts.stays import segments
from riskmodels.cohorts.task import Task
from riskmodels.history import Shard

__all__ = ["OUTCOMES", "next_start", "released", "treat_and_release_visits"]

# What CMS's readmission programs take for a psychiatric principal diagnosis here: codes that begin so. These
# are more than the psychiatric categories that make no index case.
PSYCHIATRIC = {"ICD10CM": r"^F", "ICD9CM": r"^(29|30|31)"}

# An outcome adds `outcome_time` to the stays: the start of what may be the outcome, null where there is
# none. Whether it lies in the follow-up is for the caller to judge.
Outcome = Callable[[pl.DataFrame, Shard, Task], pl.DataFrame]


def unplanned_admission(stays: pl.DataFrame, shard: Shard, task: Task) -> pl.DataFrame:
    """Add the time of the first unplanned admission after each stay.

    With `first_only` the next admission alone is looked at: an unplanned one that follows a planned one
    may come from that planned stay and is not held against the index stay. What was arranged at the discharge
    (`onward`) is passed over.
    """
    found = _next_unplanned(stays, task)
    return _beyond_onward_care(found, task) if task.outcome.onward else found


def _next_unplanned(stays: pl.DataFrame, task: Task) -> pl.DataFrame:
    if task.outcome.first_only:
        following = pl.when(~pl.col("planned")).then("admission_time").shift(-1)
        return stays.with_columns(outcome_time=following.over("person"))
    if task.follow_up.first_day > 0:
        unplanned = stays.filter(~pl.col("planned")).select("person", outcome_time="admission_time")
        return next_start(stays, unplanned, task)
    # By the place in the sequence: a stay of no length begins when it ends, and must not follow itself.
    following = pl.when(~pl.col("planned")).then("admission_time").shift(-1).backward_fill()
    return stays.with_columns(outcome_time=following.over("person"))


def _beyond_onward_care(stays: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Look again where an admission soon after the discharge is the care that the patient was sent to.

    Such an admission is neither an outcome nor, with `first_only`, the first admission.
    """
    stays = stays.with_row_index("stay")
    psychiatric = pl.any_horizontal(
        (pl.col("first_system") == system) & pl.col("first_code").str.contains(pattern)
        for system, pattern in PSYCHIATRIC.items()
    )
    later = stays.select(
        "person", "planned", later="stay", at="admission_time", psychiatric=psychiatric.fill_null(False)
    )
    day = (pl.col("at").dt.date() - pl.col("discharge_time").dt.date()).dt.total_days()
    left = pl.col("discharge_disposition")
    pairs = (
        stays.filter(left.is_in(task.outcome.onward))
        .select("stay", "person", "discharge_time", left)
        .join(later, on="person")
        .filter(pl.col("later") > pl.col("stay"))
        .with_columns(
            onward=(day <= task.outcome.onward_days) & ((left != "psychiatric") | pl.col("psychiatric"))
        )
        .filter(pl.col("onward").any().over("stay"))
    )
    counting = ~pl.col("onward")
    if not task.outcome.first_only:
        counting &= ~pl.col("planned") & (day >= task.follow_up.first_day)
    first = pairs.filter(counting).sort("later").unique("stay", keep="first", maintain_order=True)
    again = pairs.select("stay").unique().join(first, on="stay", how="left").select("stay", "at", "planned")
    return (
        stays.join(again.with_columns(again=True), on="stay", how="left", maintain_order="left", suffix="_2")
        .with_columns(
            outcome_time=pl.when(pl.col("again").is_null())
            .then("outcome_time")
            .when(~pl.col("planned_2"))
            .then("at")
        )
        .drop("stay", "at", "planned_2", "again")
    )


def treat_and_release_ed_visit(stays: pl.DataFrame, shard: Shard, task: Task) -> pl.DataFrame:
    """Add the time of the first treat-and-release ED visit at or after each discharge."""
    visits = treat_and_release_visits(shard, task).select("person", outcome_time="start")
    return next_start(stays, visits, task)


def ed_visit(stays: pl.DataFrame, shard: Shard, task: Task) -> pl.DataFrame:
    """Add the start of the next visit to an emergency department after each, whatever came of it.

    A visit that ended in an admission may be part of the admission's claim, so that the next encounter of
    the outcome's other kinds counts too. By the place in the sequence: a visit without times of day begins
    when it ends, and must not follow itself.
    """
    again = stays.with_columns(again=pl.col("admission_time").shift(-1).over("person"))
    others, _ = segments(shard, tuple(kind for kind in task.outcome.kinds if kind not in task.index.kinds))
    found = next_start(again, others.select("person", outcome_time="start"), task)
    return found.with_columns(outcome_time=pl.min_horizontal("again", "outcome_time")).drop("again")


def death(stays: pl.DataFrame, shard: Shard, task: Task) -> pl.DataFrame:
    """Add the day of death, or the index time where that is later on the same day."""
    died = shard.person.select("person", died=pl.col("death_date").cast(pl.Datetime("us")))
    known = stays.join(died, on="person", how="left", maintain_order="left")
    index = "admission_time" if task.index.event == "admission" else "discharge_time"
    instant = pl.when(pl.col("died").dt.date() == pl.col(index).dt.date()).then(index).otherwise("died")
    return known.with_columns(outcome_time=instant).drop("died")


def next_start(stays: pl.DataFrame, events: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Add the first `outcome_time` of `events` from the follow-up's first day and the discharge on."""
    first_day = pl.col("discharge_time").dt.truncate("1d") + pl.duration(days=task.follow_up.first_day)
    return (
        stays.with_row_index("case")
        .with_columns(watched_from=pl.max_horizontal(first_day, "discharge_time"))
        .sort("watched_from", "case")
        .join_asof(
            events.sort("outcome_time", "person"),
            left_on="watched_from",
            right_on="outcome_time",
            by="person",
            strategy="forward",
            check_sortedness=False,
            coalesce=False,
        )
        .sort("case")
        .drop("case", "watched_from")
    )


def treat_and_release_visits(shard: Shard, task: Task) -> pl.DataFrame:
    """Return the ED visits that did not end in an admission.

    Left out is a visit that lies within an admission, and one after whose beginning an admission follows no
    later than `admitted_gap_days` days after the visit's last day.
    """
    visits, _ = segments(shard, task.index.kinds if task.index.treat_and_release else task.outcome.kinds)
    admissions, _ = segments(shard, task.outcome.admitted_kinds)
    admissions = admissions.select(
        "person", admitted="start", admitted_until=pl.col("end").cum_max().over("person")
    ).sort("admitted", "person", "admitted_until")  # of those that begin together, the last one counts
    visits = visits.sort("start", "person")

    def nearest(strategy: str) -> pl.DataFrame:
        return visits.join_asof(
            admissions,
            left_on="start",
            right_on="admitted",
            by="person",
            strategy=strategy,  # type: ignore[arg-type]
            check_sortedness=False,
            coalesce=False,
        )

    days_to_admission = (
        nearest("forward")
        .select((pl.col("admitted").dt.date() - pl.col("end").dt.date()).dt.total_days())
        .to_series()
    )
    followed = (days_to_admission <= task.outcome.admitted_gap_days).fill_null(False)
    within = (
        nearest("backward").select((pl.col("admitted_until") > pl.col("start")).fill_null(False)).to_series()
    )
    return visits.filter(~followed & ~within)


def released(stays: pl.DataFrame, shard: Shard, task: Task) -> pl.Series:
    """Return for each stay whether the encounter that ended it is a treat-and-release ED visit."""
    return stays["last_encounter"].is_in(treat_and_release_visits(shard, task)["encounter"].implode())


OUTCOMES: dict[str, Outcome] = {
    "unplanned_admission": unplanned_admission,
    "treat_and_release_ed_visit": treat_and_release_ed_visit,
    "ed_visit": ed_visit,
    "death": death,
}
