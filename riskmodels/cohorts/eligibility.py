"""Who is an index case, by what the stay itself says."""

import polars as pl

from riskmodels.cohorts.labels import whole_years
from riskmodels.cohorts.task import Task

__all__ = ["apart", "eligibility"]


def eligibility(task: Task) -> list[tuple[str, pl.Expr]]:
    """Return the steps that need nothing but the stay itself, each with what is kept."""
    rule, steps = task.index, []
    disposition = pl.col("discharge_disposition")
    if "died" in rule.exclude_dispositions:
        # A death on the day of discharge was in hospital, unless the disposition says how the patient left.
        death, discharged = pl.col("death_date"), pl.col("discharged")
        that_day = (death == discharged) & disposition.is_null()
        died = pl.any_horizontal(disposition == "died", death < discharged, that_day).fill_null(False)
        steps.append(("discharged alive", ~died))
    if "ama" in rule.exclude_dispositions:
        steps.append(("not against medical advice", (disposition != "ama").fill_null(True)))
    others = [word for word in rule.exclude_dispositions if word not in ("died", "ama")]
    if others:
        elsewhere = ~disposition.is_in(others).fill_null(False)
        steps.append((f"not discharged to {' or '.join(others)}", elsewhere))
    if rule.exclude_sources:
        kept = ~pl.col("admission_source").is_in(rule.exclude_sources).fill_null(False)
        steps.append((f"not admitted from {' or '.join(rule.exclude_sources)}", kept))
    if rule.exclude_facilities:
        kept = ~pl.col("facility_id").is_in(rule.exclude_facilities).fill_null(False)
        steps.append((f"not in one of {len(rule.exclude_facilities)} excluded facilities", kept))
    if rule.cohort is not None:
        steps.append((f"of the cohort {rule.cohort.replace('_', ' ')}", pl.col("in_cohort")))
    if rule.min_days:
        days = (pl.col("discharged") - pl.col("admitted")).dt.total_days()
        steps.append((f"of {rule.min_days} days or more", days >= rule.min_days))
    if rule.exclude_principal_diagnosis:
        care = ", ".join(group.replace("_", " ") for group in rule.exclude_principal_diagnosis)
        steps.append((f"not for {care}", ~pl.any_horizontal(*rule.exclude_principal_diagnosis)))
    age = whole_years(pl.col("birth_date"), pl.col("admitted"))
    if rule.min_age is not None:
        steps.append((f"aged {rule.min_age} or more", (age >= rule.min_age).fill_null(False)))
    if rule.max_age is not None:
        steps.append((f"aged {rule.max_age} or less", (age <= rule.max_age).fill_null(False)))
    return steps


def apart(stays: pl.DataFrame, days: int) -> pl.DataFrame:
    """Keep the stays that do not begin within some days after the discharge of a stay that was kept.

    CMS's condition measures count such a stay as a readmission alone.

    Parameters
    ----------
    stays : DataFrame with person, admitted, discharged
        In order of person and time.
    """
    keep: list[bool] = []
    person = until = None
    for who, admitted, discharged in stays.select("person", "admitted", "discharged").iter_rows():
        case = who != person or until is None or (admitted - until).days > days
        if case:
            person, until = who, discharged
        keep.append(case)
    return stays.filter(pl.Series(keep, dtype=pl.Boolean))
