"""Everything that may be the outcome of a population task: admissions, visits, deaths, with their time."""

from collections.abc import Callable

import polars as pl

from riskmodels.cohorts.labels import whole_years
from riskmodels.cohorts.outcomes import treat_and_release_visits
from riskmodels.cohorts.planned import add_planned
from riskmodels.cohorts.stays import join_stays, principal_diagnoses, segments
from riskmodels.cohorts.task import Task
from riskmodels.history import Shard
from riskmodels.terminology import ed_probabilities, load_grouper, pqi_admissions

__all__ = ["EVENTS", "entered_hospice", "in_groups"]

POST_ACUTE = ("inpatient", "snf", "rehab")
HOSPICE_DAYS = 365

# Returns person and outcome_time of all that may be the outcome; which is the first one in the follow-up of
# a case is for the caller to find.
EventFinder = Callable[[Shard, pl.DataFrame, Task], pl.DataFrame]


def unplanned_admissions(shard: Shard, vocabulary: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return the admissions that were not planned and that no rule of the task takes out."""
    rule = task.outcome
    parts, _ = segments(shard, tuple(kind for kind in rule.kinds if kind in task.index.kinds))
    diagnoses = principal_diagnoses(shard, vocabulary)
    stays = join_stays(parts, diagnoses, task.index)
    stays = add_planned(stays, shard, vocabulary, elective=rule.elective)
    keep = ~stays["planned"]
    if rule.pqi:
        keep &= _preventable(stays, shard, vocabulary, rule.pqi)
    if rule.groups:
        keep &= in_groups(stays, rule.table, rule.groups, "first")
    if rule.exclude_groups:
        keep &= ~in_groups(stays, rule.table, rule.exclude_groups, "first")
    if rule.exclude_sources:
        keep &= ~stays["admission_source"].is_in(rule.exclude_sources).fill_null(False)
    if rule.buffer_days:
        keep &= ~_soon_after_a_discharge(stays, shard, rule.buffer_days)
    if not rule.after_hospice:
        keep &= ~entered_hospice(stays, shard, HOSPICE_DAYS)
    return stays.filter(keep).select("person", outcome_time="admission_time")


def treat_and_release_ed_visits(shard: Shard, vocabulary: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return the ED visits that did not end in an admission, of the classes that the task asks for."""
    visits = _of_the_groups(treat_and_release_visits(shard, task), shard, vocabulary, task)
    if task.outcome.ed_classes:
        coded = _coded(visits, shard, vocabulary)
        shares = ed_probabilities(coded["first_system"], coded["first_code"])
        chosen = shares.select(pl.sum_horizontal(*task.outcome.ed_classes)).to_series()
        visits = visits.filter(chosen > task.outcome.min_share)
    return visits.select("person", outcome_time="start")


def ed_visits(shard: Shard, vocabulary: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return the encounters of the outcome's kinds, whatever came of them."""
    visits, _ = segments(shard, task.outcome.kinds)
    return _of_the_groups(visits, shard, vocabulary, task).select("person", outcome_time="start")


def acute_visits(shard: Shard, vocabulary: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return unplanned admissions, and visits of the outcome's other kinds, for what the task asks for."""
    visits, _ = segments(shard, tuple(kind for kind in task.outcome.kinds if kind not in task.index.kinds))
    visits = _of_the_groups(visits, shard, vocabulary, task).select("person", outcome_time="start")
    return pl.concat([unplanned_admissions(shard, vocabulary, task), visits])


def deaths(shard: Shard, vocabulary: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Return the deaths."""
    died = shard.person.filter(pl.col("death_date").is_not_null())
    return died.select("person", outcome_time=pl.col("death_date").cast(pl.Datetime("us")))


def in_groups(stays: pl.DataFrame, table: str, groups: tuple[str, ...], which: str) -> pl.Series:
    """Return for each stay whether its principal diagnosis is in one of the groups of a code table.

    Parameters
    ----------
    which : {'first', 'last'}
        The segment of the stay whose principal diagnosis is looked at.
    """
    grouper = load_grouper(table)
    numbers = [grouper.number(group) for group in groups]
    assigned = grouper.assign(stays[f"{which}_system"], stays[f"{which}_code"])
    rows = assigned.filter(pl.col("group").is_in(numbers))["row"]
    return pl.int_range(stays.height, dtype=pl.UInt32, eager=True).is_in(rows.implode())


def entered_hospice(stays: pl.DataFrame, shard: Shard, days: int) -> pl.Series:
    """Return for each stay whether hospice care began in the days before the admission, or on its day."""
    began = pl.concat(
        [
            shard.encounter.filter(pl.col("kind") == "hospice").select(
                "person", first=_day("start"), last=_day("end")
            ),
            shard.coverage.filter("hospice").select("person", first="start_date", last="end_date"),
        ]
    )
    numbered = stays.select("person", day=_day("admission_time")).with_row_index("row")
    found = numbered.join(began, on="person").filter(
        (pl.col("first") <= pl.col("day")) & (pl.col("last") >= pl.col("day") - pl.duration(days=days))
    )
    return numbered["row"].is_in(found["row"].implode())


def _soon_after_a_discharge(stays: pl.DataFrame, shard: Shard, days: int) -> pl.Series:
    """Return for each stay whether it began in, or within so many days after, earlier institutional care."""
    care = (
        shard.encounter.filter(pl.col("kind").is_in(POST_ACUTE))
        .sort("person", "start", "end")
        .select("person", "start", until=pl.col("end").cum_max().over("person"))
        .sort("start", "person")
    )
    # Care that began strictly before the stay did: the stay's own segments did not.
    before = (
        stays.select("person", "admission_time")
        .with_row_index("row")
        .sort("admission_time", "row")
        .join_asof(
            care,
            left_on="admission_time",
            right_on="start",
            by="person",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .sort("row")
    )
    gap = (pl.col("admission_time").dt.date() - pl.col("until").dt.date()).dt.total_days()
    return before.select((gap <= days).fill_null(False)).to_series()


def _of_the_groups(visits: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame, task: Task) -> pl.DataFrame:
    rule = task.outcome
    if not rule.groups:
        return visits
    coded = _coded(visits, shard, vocabulary)
    return visits.filter(in_groups(coded, rule.table, rule.groups, "first"))


def _preventable(
    stays: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame, indicators: tuple[str, ...]
) -> pl.Series:
    """Return for each stay whether the segment that began it counts for one of the indicators."""
    born = shard.person.select("person", "birth_date")
    admissions = stays.join(born, on="person", how="left", maintain_order="left").select(
        encounter="first_encounter",
        age=whole_years(pl.col("birth_date"), _day("admission_time")),
        admission_source="admission_source",
    )
    codes = (
        shard.event.filter(
            pl.col("kind").is_in(["diagnosis", "procedure"])
            & pl.col("encounter").is_in(admissions["encounter"].implode())
        )
        .join(vocabulary, on="code")
        .select("encounter", "position", "code_system", code="code_text")
    )
    found = pqi_admissions(admissions, codes).filter(pl.col("pqi").is_in(indicators))
    return stays["first_encounter"].is_in(found["encounter"].implode())


def _coded(visits: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame) -> pl.DataFrame:
    diagnoses = principal_diagnoses(shard, vocabulary)
    return visits.select("encounter").join(
        diagnoses.select("encounter", first_system="principal_system", first_code="principal_code"),
        on="encounter",
        how="left",
        maintain_order="left",
    )


def _day(column: str) -> pl.Expr:
    return pl.col(column).dt.date()


EVENTS: dict[str, EventFinder] = {
    "unplanned_admission": unplanned_admissions,
    "treat_and_release_ed_visit": treat_and_release_ed_visits,
    "ed_visit": ed_visits,
    "acute_visit": acute_visits,
    "death": deaths,
}
