"""Stays of the cohorts that CMS's readmission measures are about: specialties and conditions."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from riskmodels.cohorts.planned import coded, rows_in, with_procedures
from riskmodels.history import Shard
from riskmodels.terminology import load_grouper

__all__ = ["CONDITIONS", "SPECIALTIES", "cancer_without_surgery", "in_cohort"]

SPECIALTIES = ("surgery_gynecology", "cardiorespiratory", "cardiovascular", "neurology", "medicine")
LOOK_BACK = timedelta(days=365)


@dataclass(frozen=True)
class Way:
    """One way into a condition cohort; words are groups of the table `hrrp`.

    Parameters
    ----------
    principal : str, optional
        The principal diagnosis.
    secondary, no_secondary : str, optional
        What must, and must not, be among the other diagnoses.
    procedure : str, optional
        What must have been done.
    """

    principal: str | None = None
    secondary: str | None = None
    no_secondary: str | None = None
    procedure: str | None = None


@dataclass(frozen=True)
class Condition:
    """A condition cohort of the Hospital Readmissions Reduction Program (42 CFR 412.152).

    Parameters
    ----------
    ways : tuple of Way
        A stay is in if one of them holds.
    unless : str, optional
        A group of diagnoses or procedures that takes the stay out.
    unless_before : str, optional
        One that does so in the year before admission, too.
    most : int, optional
        How many procedures of the ways in a stay may have.
    """

    ways: tuple[Way, ...]
    unless: str | None = None
    unless_before: str | None = None
    most: int | None = None


CONDITIONS: dict[str, Condition] = {
    "ami": Condition((Way("ami"),)),
    "copd": Condition((Way("copd"), Way("respiratory_failure", secondary="copd_exacerbation"))),
    "heart_failure": Condition((Way("heart_failure"),), unless_before="lvad_transplant"),
    "pneumonia": Condition(
        (Way("pneumonia"), Way("sepsis", secondary="pneumonia", no_secondary="severe_sepsis"))
    ),
    "cabg": Condition((Way(procedure="cabg"),), unless="not_isolated_cabg"),
    "hip_knee_replacement": Condition(
        (Way(procedure="hip_knee_replacement"),), unless="not_primary_elective", most=2
    ),
}


def in_cohort(stays: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame, cohort: str) -> pl.Series:
    """Return whether each stay is in a specialty or condition cohort.

    The principal diagnosis is that of the last segment; other diagnoses and procedures are those of the
    segments in the same facility as the last one, so that a transfer counts for what was found and done where
    the patient went home from.
    """
    if cohort in CONDITIONS:
        return _of_condition(stays, shard, vocabulary, CONDITIONS[cohort])
    surgical = _surgical(stays, shard, vocabulary)
    if cohort == "surgery_gynecology":
        return surgical
    return ~surgical & _principal(stays, "hwr", cohort)


def cancer_without_surgery(stays: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame) -> pl.Series:
    """Return whether each stay was for medical treatment of cancer.

    A principal diagnosis of cancer, and nothing done that puts a stay in the surgical cohort: CMS
    Hospital-Wide Readmission measure, exclusions.
    """
    return _principal(stays, "hwr", "cancer") & ~_surgical(stays, shard, vocabulary)


def _surgical(stays: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame) -> pl.Series:
    """Return whether a procedure of the surgical cohort was done.

    Where no procedure is coded in ICD-10-PCS or ICD-9-CM, a surgical MS-DRG stands in.
    """
    table = load_grouper("hwr")
    procedures = coded(shard, vocabulary, "hwr", ("procedure",))
    done = procedures.filter(pl.col("group") == table.number("surgery_gynecology"))
    drg = table.assign(pl.repeat("MSDRG", stays.height, eager=True), stays["drg"])
    by_drg = rows_in(drg, table.number("surgical_drg"), stays.height)
    known = with_procedures(shard, vocabulary)
    return _any(stays, shard, done) | (by_drg & ~_any(stays, shard, known))


def _of_condition(
    stays: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame, condition: Condition
) -> pl.Series:
    table = load_grouper("hrrp")
    facts = coded(shard, vocabulary, "hrrp", ("diagnosis", "procedure"))

    def of(group: str, *conditions: pl.Expr) -> pl.DataFrame:
        return facts.filter(pl.col("group") == table.number(group), *conditions)

    secondary = (pl.col("kind") == "diagnosis") & (pl.col("position") != 1).fill_null(True)
    member = pl.repeat(False, stays.height, eager=True)
    for way in condition.ways:
        holds = pl.repeat(True, stays.height, eager=True)
        if way.principal is not None:
            holds &= _principal(stays, "hrrp", way.principal)
        if way.procedure is not None:
            done = _times(stays, shard, of(way.procedure, pl.col("kind") == "procedure"))
            holds &= (done > 0) & (done <= (condition.most or done))
        if way.secondary is not None:
            holds &= _any(stays, shard, of(way.secondary, secondary))
        if way.no_secondary is not None:
            holds &= ~_any(stays, shard, of(way.no_secondary, secondary))
        member |= holds
    if condition.unless is not None:
        member &= ~_any(stays, shard, of(condition.unless))
    if condition.unless_before is not None:
        member &= ~_in_the_year_before(stays, of(condition.unless_before))
    return member


def _principal(stays: pl.DataFrame, table: str, group: str) -> pl.Series:
    """Return whether the principal diagnosis of the last segment is in a group."""
    grouper = load_grouper(table)
    assigned = grouper.assign(stays["last_system"], stays["last_code"])
    return rows_in(assigned, grouper.number(group), stays.height)


def _any(stays: pl.DataFrame, shard: Shard, facts: pl.DataFrame) -> pl.Series:
    """Return whether a fact belongs to the stay; see `_times`."""
    return _times(stays, shard, facts) > 0


def _times(stays: pl.DataFrame, shard: Shard, facts: pl.DataFrame) -> pl.Series:
    """Return how many facts belong to the stay's segments in the facility that it ended in.

    What is dated after the stay was not known when it ended, and does not count.
    """
    segments = (
        stays.select("facility_id", "discharge_time", encounter="stay_encounters")
        .with_row_index("row")
        .explode("encounter")
        .join(shard.encounter.select("encounter", own="facility_id"), on="encounter")
        .filter(pl.col("own").eq_missing(pl.col("facility_id")))
    )
    found = segments.join(facts.select("encounter", "time"), on="encounter").filter(
        pl.col("time") <= pl.col("discharge_time")
    )
    rows = pl.DataFrame({"row": pl.int_range(stays.height, dtype=pl.UInt32, eager=True)})
    counted = rows.join(found.group_by("row").len(), on="row", how="left", maintain_order="left")
    return counted["len"].fill_null(0)


def _in_the_year_before(stays: pl.DataFrame, facts: pl.DataFrame) -> pl.Series:
    """Return whether the patient has a fact from a year before admission to the discharge."""
    found = (
        stays.select("person", "admission_time", "discharge_time")
        .with_row_index("row")
        .join(facts.select("person", "time"), on="person")
        .filter(pl.col("time").is_between(pl.col("admission_time") - LOOK_BACK, pl.col("discharge_time")))
    )
    rows = pl.int_range(stays.height, dtype=pl.UInt32, eager=True)
    return rows.is_in(found["row"].implode())
