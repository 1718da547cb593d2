"""The parts of a task: which cases, how long they were watched before and after, what the outcome is."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["FollowUp", "IndexRule", "LookBack", "OutcomeRule"]


@dataclass(frozen=True)
class IndexRule:
    """Which encounters make an index case.

    Parameters
    ----------
    event : {'discharge'}
        The prediction instant: the end of a stay.
    kinds : tuple of str
        Encounter kinds whose segments are joined into stays.
    transfer_gap_days : int
        An admission to another facility at most this many days after the discharge date is a transfer.
    same_facility_same_day : {'same_diagnosis', 'join', 'separate'}
        What an admission to the same facility on the date of discharge is.
    exclude_dispositions : tuple of str
        Discharge dispositions that make no index case.
    exclude_principal_diagnosis : tuple of str
        Groups of the `care` table; a stay that was for one of them makes no index case.
    min_age, max_age : int, optional
        Whole years at admission, both included.
    """

    event: Literal["discharge"] = "discharge"
    kinds: tuple[str, ...] = ("inpatient",)
    transfer_gap_days: int = 1
    same_facility_same_day: Literal["same_diagnosis", "join", "separate"] = "same_diagnosis"
    exclude_dispositions: tuple[str, ...] = ("died", "ama")
    exclude_principal_diagnosis: tuple[str, ...] = ()
    min_age: int | None = None
    max_age: int | None = None


@dataclass(frozen=True)
class LookBack:
    """How long a patient must have been watched before.

    Parameters
    ----------
    days : int
        Days before the date of admission; from there to the date of discharge every day is covered.
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
        Days after the date of discharge on which an outcome counts, both included. On day 0 it counts from
        the instant of discharge on.
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
    event : {'unplanned_admission', 'treat_and_release_ed_visit'}
        The kind of outcome.
    kinds : tuple of str
        Encounter kinds that it is looked for in.
    first_only : bool
        For admissions: whether only the first one after the index case is looked at.
    admitted_kinds : tuple of str
        For ED visits: a visit that leads to an encounter of these kinds is not treat-and-release.
    admitted_gap_days : int
        For ED visits: days after the end of the visit on which such an encounter still is its consequence.
    """

    event: Literal["unplanned_admission", "treat_and_release_ed_visit"] = "unplanned_admission"
    kinds: tuple[str, ...] = ("inpatient",)
    first_only: bool = True
    admitted_kinds: tuple[str, ...] = ("inpatient",)
    admitted_gap_days: int = 1
