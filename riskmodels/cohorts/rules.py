"""The parts of a task: which cases, how long they were watched before and after, what the outcome is."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["ONWARD", "FollowUp", "IndexRule", "LookBack", "OutcomeRule"]

ONWARD = ("rehab", "psychiatric")  # dispositions whose next admission may be the care that was arranged


@dataclass(frozen=True)
class IndexRule:
    """Which encounters make an index case.

    Parameters
    ----------
    event : {'discharge', 'admission', 'date'}
        The prediction instant: the end of a stay, its start, or midnight of a date, for everyone who is
        watched then (a population).
    kinds : tuple of str
        Encounter kinds whose segments are joined into stays.
    dates : tuple of str
        For a population: the days of the year that make a case each, as ``MM-DD``. A scoring job takes the
        day it scores as of.
    conditions : tuple of str
        For a population: groups of the table `condition_table`, of which the patient has had at least
        `min_conditions` in the look-back.
    treat_and_release : bool
        For ED visits: leave out those that end in an admission (see `OutcomeRule.admitted_kinds`).
    hospice : bool
        For admissions: whether patients who were in hospice in the look-back or on the day count.
    short_stays : bool
        For admissions: whether stays that ended alive on the day of admission or the next one count.
    one_a_year : bool
        For admissions: keep one of a patient's in a calendar year, picked by a hash.
    transfer_gap_days : int
        An admission to another facility at most this many days after the discharge date is a transfer.
    same_facility_same_day : {'same_diagnosis', 'join', 'separate'}
        What an admission to the same facility on the date of discharge is.
    exclude_dispositions : tuple of str
        Discharge dispositions that make no index case.
    exclude_principal_diagnosis : tuple of str
        Groups of the `care` table, or ``cancer`` (medical treatment of it: no surgery was done); a stay that
        was for one of them makes no index case.
    exclude_sources, exclude_facilities : tuple of str
        Sources of admission, and facilities that the stay ended in, that make no index case.
    cohort : str, optional
        Only stays of this cohort of CMS's readmission measures: a specialty (``medicine``) or a condition
        (``heart_failure``).
    min_days : int
        Days from admission to discharge that a stay lasts at least.
    days_apart : int
        A stay that begins within so many days after the discharge of an index case makes none itself.
    min_age, max_age : int, optional
        Whole years at admission, or on the date, both included.
    """

    event: Literal["discharge", "admission", "date"] = "discharge"
    kinds: tuple[str, ...] = ("inpatient",)
    dates: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    condition_table: str = "conditions"
    min_conditions: int = 1
    treat_and_release: bool = False
    hospice: bool = True
    short_stays: bool = True
    one_a_year: bool = False
    transfer_gap_days: int = 1
    same_facility_same_day: Literal["same_diagnosis", "join", "separate"] = "same_diagnosis"
    exclude_dispositions: tuple[str, ...] = ("died", "ama")
    exclude_principal_diagnosis: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    exclude_facilities: tuple[str, ...] = ()
    cohort: str | None = None
    min_days: int = 0
    days_apart: int = 0
    min_age: int | None = None
    max_age: int | None = None


@dataclass(frozen=True)
class LookBack:
    """How long a patient must have been watched before.

    Parameters
    ----------
    days : int
        Days before the date of admission; from there to the date of discharge every day is covered. For a
        population: the days before the date.
    require_coverage : bool
        Whether coverage is asked for at all, here and in the follow-up.
    max_gap_days : int
        Uncovered days between two spans of coverage that are overlooked, here and in the follow-up.
    """

    days: int = 365
    require_coverage: bool = True
    max_gap_days: int = 0


@dataclass(frozen=True)
class FollowUp:
    """How long a patient is watched after.

    Parameters
    ----------
    first_day, last_day : int
        Days after the date of discharge (admission, index date) on which an outcome counts, both included.
        On day 0 it counts from the index instant on.
    death : {'observed', 'censored'}
        Whether a patient who died without an outcome is a 0 or has no label.
    coverage_lost : {'censored', 'event_counts'}
        Whether a case whose coverage ended has no label, or is a 1 where the outcome came first.
    runout_days : int
        For a history opened as of a date: days that must have passed since the follow-up, so that late
        claims are in.
    """

    first_day: int = 0
    last_day: int = 30
    death: Literal["observed", "censored"] = "observed"
    coverage_lost: Literal["censored", "event_counts"] = "censored"
    runout_days: int = 0


@dataclass(frozen=True)
class OutcomeRule:
    """What counts as the outcome.

    Parameters
    ----------
    event : str
        The kind of outcome: ``unplanned_admission``, ``treat_and_release_ed_visit``, ``ed_visit`` (another
        visit, whatever came of it), ``acute_visit`` (an unplanned admission, or a visit of another of the
        `kinds`), ``death``, or ``cost`` (an amount, not a label).
    kinds : tuple of str
        Encounter kinds that it is looked for in.
    first_only : bool
        For admissions after a stay: whether only the first one is looked at.
    onward : tuple of str
        For admissions after a stay: places (``rehab``, ``psychiatric``) that the patient was discharged to;
        an admission within `onward_days` of such a discharge is that care and no readmission, nor does it
        end the search with `first_only`. After ``psychiatric`` its principal diagnosis must be psychiatric.
    onward_days : int
        Days after the date of discharge on which an admission is such care.
    elective : bool
        For admissions: whether an elective one without a coded procedure is planned if its principal
        diagnosis is not acute.
    admitted_kinds : tuple of str
        For ED visits: a visit that leads to an encounter of these kinds is not treat-and-release.
    admitted_gap_days : int
        For ED visits: days after the end of the visit on which such an encounter still is its consequence.
    table, groups : str, tuple of str
        Only encounters whose principal diagnosis is in one of these groups of this code table count.
    ed_classes, min_share : tuple of str, float
        Only ED visits count whose probabilities of these classes (NYU/Johnston) add up to more than
        `min_share`.
    pqi : tuple of str
        For admissions: only those count that are one of these AHRQ Prevention Quality Indicators (``"05"``).
    exclude_groups : tuple of str
        Groups of `table` whose admissions do not count.
    exclude_sources : tuple of str
        Sources of admission that do not count.
    buffer_days : int
        Admissions within so many days after a discharge from a hospital, skilled nursing facility or
        rehabilitation do not count.
    after_hospice : bool
        Whether admissions after the patient entered hospice count.
    amount : {'allowed', 'paid'}
        For costs: which amount. Amounts of encounters count on the day the encounter ends.
    drugs : bool
        For costs: whether drug events count too (they only have what was paid).
    truncate_percentile : int, optional
        For costs: annualised costs above this percentile of the enrolment category are set to it.
    """

    event: Literal[
        "unplanned_admission", "treat_and_release_ed_visit", "ed_visit", "acute_visit", "death", "cost"
    ] = "unplanned_admission"
    kinds: tuple[str, ...] = ("inpatient",)
    first_only: bool = True
    onward: tuple[str, ...] = ()
    onward_days: int = 1
    elective: bool = True
    admitted_kinds: tuple[str, ...] = ("inpatient",)
    admitted_gap_days: int = 1
    table: str = "conditions"
    groups: tuple[str, ...] = ()
    ed_classes: tuple[str, ...] = ()
    min_share: float = 0.5
    pqi: tuple[str, ...] = ()
    exclude_groups: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    buffer_days: int = 0
    after_hospice: bool = True
    amount: Literal["allowed", "paid"] = "allowed"
    drugs: bool = False
    truncate_percentile: int | None = None
