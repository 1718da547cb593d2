"""Refuse rules of a task that contradict themselves or ask for what no history has."""

import re
from datetime import date

from riskmodels.cohorts.hospital_cohorts import CONDITIONS, SPECIALTIES
from riskmodels.cohorts.rules import ONWARD, FollowUp, IndexRule, LookBack, OutcomeRule
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.history.schema import DISCHARGE_DISPOSITIONS, ENCOUNTER_KINDS
from riskmodels.terminology import ED_CLASSES, PQI, load_grouper

__all__ = ["check_rules"]

# What may be asked of whom: a readmission follows a discharge, a yearly cost is that of a population.
OUTCOMES_OF = {
    "discharge": ("unplanned_admission", "treat_and_release_ed_visit", "ed_visit", "death"),
    "admission": ("death",),
    "date": ("unplanned_admission", "treat_and_release_ed_visit", "ed_visit", "acute_visit", "death", "cost"),
}
SOME_YEAR = 2023  # not a leap year


def check_rules(index: IndexRule, look_back: LookBack, follow_up: FollowUp, outcome: OutcomeRule) -> None:
    """Raise a SpecError for words that the data never have and windows that end before they begin."""
    _check_words(index, outcome)
    for where, days in (
        ("index.transfer_gap_days", index.transfer_gap_days),
        ("index.min_days", index.min_days),
        ("index.days_apart", index.days_apart),
        ("look_back.days", look_back.days),
        ("look_back.max_gap_days", look_back.max_gap_days),
        ("follow_up.first_day", follow_up.first_day),
        ("follow_up.runout_days", follow_up.runout_days),
        ("outcome.onward_days", outcome.onward_days),
        ("outcome.admitted_gap_days", outcome.admitted_gap_days),
        ("outcome.buffer_days", outcome.buffer_days),
    ):
        if days < 0:
            raise SpecError(f"{where} is {days}; it counts days and cannot be negative.")
    if follow_up.last_day < follow_up.first_day:
        raise SpecError(
            f"follow_up.last_day is {follow_up.last_day}, before first_day ({follow_up.first_day})."
        )
    if not index.kinds or not outcome.kinds:
        raise SpecError("index.kinds and outcome.kinds each name at least one kind of encounter.")
    allowed = OUTCOMES_OF[index.event]
    if outcome.event not in allowed:
        raise SpecError(
            f"outcome.event cannot be {outcome.event!r} where index.event is {index.event!r}.\n"
            f"Fix: choose one of {', '.join(allowed)}, or another index.event."
        )
    readmission = index.event == "discharge" and outcome.event == "unplanned_admission"
    if readmission and set(outcome.kinds) != set(index.kinds):
        raise SpecError(
            "outcome.kinds must be index.kinds for unplanned_admission: a readmission is another such stay."
        )
    if outcome.onward and not readmission:
        raise SpecError(
            "outcome.onward is about unplanned_admission after a discharge.\n"
            f"Fix: leave it out where outcome.event is {outcome.event!r} and index.event {index.event!r}."
        )
    if index.event == "date":
        _check_dates(index.dates)
    percentile = outcome.truncate_percentile
    if percentile is not None and not 50 <= percentile <= 100:
        raise SpecError(f"outcome.truncate_percentile is {percentile}; it lies between 50 and 100.")
    if not 0 <= outcome.min_share < 1:
        raise SpecError(f"outcome.min_share is {outcome.min_share}; it lies between 0 and 1.")
    if not 1 <= index.min_conditions <= max(1, len(index.conditions)):
        raise SpecError(
            f"index.min_conditions is {index.min_conditions}, of {len(index.conditions)} conditions."
        )


def _check_words(index: IndexRule, outcome: OutcomeRule) -> None:
    care = load_grouper("care").groups
    words: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
        ("index.kinds", index.kinds, ENCOUNTER_KINDS),
        ("index.exclude_dispositions", index.exclude_dispositions, DISCHARGE_DISPOSITIONS),
        ("index.exclude_principal_diagnosis", index.exclude_principal_diagnosis, (*care, "cancer")),
        ("index.cohort", () if index.cohort is None else (index.cohort,), (*SPECIALTIES, *CONDITIONS)),
        ("outcome.kinds", outcome.kinds, ENCOUNTER_KINDS),
        ("outcome.admitted_kinds", outcome.admitted_kinds, ENCOUNTER_KINDS),
        ("outcome.onward", outcome.onward, ONWARD),
    ]
    words.append(("outcome.ed_classes", outcome.ed_classes, ED_CLASSES))
    words.append(("outcome.pqi", outcome.pqi, tuple(PQI)))
    if index.conditions:
        words.append(("index.conditions", index.conditions, load_grouper(index.condition_table).groups))
    if outcome.groups or outcome.exclude_groups:
        groups = load_grouper(outcome.table).groups
        words.append(("outcome.groups", outcome.groups, groups))
        words.append(("outcome.exclude_groups", outcome.exclude_groups, groups))
    for where, used, known in words:
        for word in used:
            if word not in known:
                raise SpecError(f"{where} has no {word!r}. {did_you_mean(word, known)}")


def _check_dates(dates: tuple[str, ...]) -> None:
    if not dates:
        raise SpecError("index.dates names no day of the year.\nFix: write it as [01-01].")
    for word in dates:
        try:
            if re.fullmatch(r"\d\d-\d\d", word) is None:
                raise ValueError
            date(SOME_YEAR, int(word[:2]), int(word[3:]))
        except ValueError:
            raise SpecError(
                f"index.dates has {word!r}, which is no day of every year.\nFix: write month and day, "
                "as 01-01."
            ) from None
