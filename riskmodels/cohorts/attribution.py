"""Who answers for a patient: assignment to providers and ACOs as in 42 CFR 425.400 to 425.402.

The steps are in `riskmodels.cohorts.plurality`, what counts as a service in `care` and `primary_care`, who
can be assigned in `assignable`, and what patients say themselves in `designations`. The facility of
discharge needs no computing: it is `facility_id` of the index cases.
"""

import logging
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Literal

import polars as pl

from riskmodels.cohorts.assignable import assignable_people
from riskmodels.cohorts.care import Services, coded_services, primary_care_services
from riskmodels.cohorts.designations import align, usual_deadline
from riskmodels.cohorts.plurality import ATTRIBUTED, ATTRIBUTION, plurality
from riskmodels.cohorts.primary_care import LAST_LIST, primary_care_codes
from riskmodels.engines import Engine
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.history import History

__all__ = [
    "ATTRIBUTED",
    "ATTRIBUTION",
    "FIRST_PERFORMANCE_YEAR",
    "assignment_window",
    "attribute",
    "attribute_cases",
    "expanded_window",
    "window_of",
]

logger = logging.getLogger(__name__)

FIRST_PERFORMANCE_YEAR = 2016  # of the steps of 425.402(b)
THIRD_STEP_SINCE = 2025
SMALL_CELL = 11

Window = Literal["prospective", "retrospective"]


def assignment_window(year: int, window: Window = "retrospective") -> tuple[date, date]:
    """Return the first and last day of the services that attribute patients for a performance year.

    Retrospective assignment looks at the performance year itself (42 CFR 425.400(a)(2)), prospective
    assignment at the 12 months for which data are the most recent before it (425.400(a)(3)): in CMS's
    operations those that ended on 30 September.

    >>> assignment_window(2024, "prospective")
    (datetime.date(2022, 10, 1), datetime.date(2023, 9, 30))
    """
    if window == "retrospective":
        return date(year, 1, 1), date(year, 12, 31)
    if window == "prospective":
        return date(year - 2, 10, 1), date(year - 1, 9, 30)
    raise SpecError(f"window is {window!r}. {did_you_mean(str(window), ('prospective', 'retrospective'))}")


def window_of(
    year: int | None, window: Window = "retrospective", since: date | None = None, until: date | None = None
) -> tuple[date, date]:
    """Return the first and last day of the services: of a performance year, or as given.

    Raises
    ------
    SpecError
        Both a year and a day are given, or neither; only one of the days is; or they are not in order.

    >>> window_of(None, since=date(2023, 1, 1), until=date(2023, 6, 30))
    (datetime.date(2023, 1, 1), datetime.date(2023, 6, 30))
    """
    if year is not None:
        if since is not None or until is not None:
            raise SpecError(
                "a performance year has its own days, and since or until is given beside it.\n"
                "Fix: give the year alone, or since and until without it"
            )
        return assignment_window(year, window)
    if since is None or until is None:
        raise SpecError(
            "whose services count needs a year, or a first and a last day.\n"
            "Fix: give the performance year, or both since and until"
        )
    _in_order(since, until)
    return since, until


def expanded_window(first: date, last: date) -> tuple[date, date]:
    """Return the expanded window for assignment: the window and the 12 months before it (42 CFR 425.20).

    >>> expanded_window(*assignment_window(2025, "prospective"))
    (datetime.date(2022, 10, 1), datetime.date(2024, 9, 30))
    """
    leap = first.month == 2 and first.day == 29
    return first.replace(year=first.year - 1, day=28 if leap else first.day), last


def attribute(
    history: History,
    first: date,
    last: date,
    *,
    performance_year: int | None = None,
    third_step: bool | None = None,
    enrolled: bool | None = None,
    designations: pl.DataFrame | None = None,
    designated_by: date | None = None,
    accountable: Collection[str] | None = None,
    provider: str = "provider_id",
    services: Services = "hcpcs",
    specialties: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    teaching_hospitals: Collection[str] = (),
    engine: Engine | None = None,
) -> pl.DataFrame:
    """Attribute patients to providers by the plurality of primary care in a window, and by what they say.

    Parameters
    ----------
    history : History
    first, last : date
        The assignment window, both days included: see `assignment_window`.
    performance_year : int, optional
        The year whose rules apply, from 2016 on: its list of primary care codes (425.400(c)), and the
        defaults of what follows. Default: a code of any year's list counts, and none of the rest is done.
    third_step : bool, optional
        425.402(b)(5), for which the services of the 12 months before the window are read, too. Default: from
        performance year 2025 on, where there are specialties.
    enrolled : bool, optional
        Leave out those who cannot be assigned, as far as coverage tells: see
        `riskmodels.cohorts.assignable.assignable_people`. Default: with a performance year, where the
        history has coverage.
    designations : DataFrame of person_id, provider, date, optional
        Voluntary alignment, 425.402(e), from performance year 2018 on: it goes before claims. See
        `riskmodels.cohorts.designations`.
    designated_by : date, optional
        The last day of designations that are in force. Default: 30 September before the performance year, an
        assumption, since the regulation leaves the day to CMS.
    accountable : collection of str, optional
        The providers or groups that are ACOs, where others are among them: those others take part in every
        comparison, but nobody is attributed to them. Default: patients can be attributed to anybody.
    provider : {'provider_id', 'facility_id'}
        Whose services are added up.
    services : {'hcpcs', 'office'}
        What a primary care service is: an encounter with a code of `primary_care_codes`, or any office visit.
    specialties : mapping, optional
        Medicare specialty code by provider. Without it everyone counts as a primary care physician, and
        there is no second step; a provider it does not name counts in no step.
    groups : mapping, optional
        The ACO, practice or TIN of each provider. A provider it does not name stands for itself.
    teaching_hospitals : collection of str
        Facilities with an election under 42 CFR 415.160: their clinic visits (G0463) count, others' do not.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here.

    Returns
    -------
    DataFrame of person_id, and the columns of `ATTRIBUTION`
        One row a patient who was attributed, sorted by person_id. `step` is 0 for a designation, else 1 to
        3. `charges` are the allowed amounts of the encounters (paid ones where the history has no allowed
        amount, the number of services where it has none at all), of the expanded window in the third step.

    Raises
    ------
    SpecError
        The window ends before it begins, the history has no primary care service of a known provider, or the
        options ask for what cannot be.
    """
    _in_order(first, last)
    told = history.manifest.rows["coverage"] > 0
    _refuse(performance_year, third_step, specialties, designations, designated_by, enrolled, told)
    if third_step is None:
        third_step = (performance_year or 0) >= THIRD_STEP_SINCE and specialties is not None
    if services == "hcpcs" and performance_year is not None and performance_year > LAST_LIST:
        logger.warning(
            "primary care codes of %s: those added after %s were not read in the regulation (unverified)",
            performance_year,
            LAST_LIST,
        )
    begin, _ = expanded_window(first, last) if third_step else (first, last)
    found = primary_care_services(
        history,
        provider=provider,
        services=services,
        specialties=specialties,
        groups=groups,
        codes=primary_care_codes(performance_year, None if performance_year is None else (begin, last)),
        performance_year=performance_year,
        teaching_hospitals=teaching_hospitals,
        engine=engine,
    )
    if accountable is not None and not found["entity"].is_in(list(accountable)).any():
        raise SpecError(
            f"none of the {len(accountable)} ACOs has a primary care service.\n"
            "Fix: name them as the groups do, and give the group of each provider"
        )
    inside = found.filter(pl.col("day").is_between(first, last))
    earlier = found.filter(pl.col("day").is_between(begin, first, closed="left")) if third_step else None
    by_claims = plurality(inside, "person_id", earlier=earlier, accountable=accountable)
    if performance_year is None:
        return by_claims.sort("person_id")
    if enrolled is None and not told:
        logger.warning("the history has no coverage: enrolment is not looked at (42 CFR 425.401)")
    enrolled = told if enrolled is None else enrolled
    people = assignable_people(history, first, last, performance_year, engine=engine)
    if enrolled:
        able = people.filter("by_claims").select("person_id")
        unable = by_claims.height
        by_claims = by_claims.join(able, on="person_id", how="semi")
        if unable := unable - by_claims.height:
            logger.info("left out as not enrolled, 42 CFR 425.401: %s with a plurality", few(unable))
    if designations is None:
        return by_claims.sort("person_id")
    aligned = align(
        designations,
        performance_year,
        by=designated_by or usual_deadline(performance_year),
        known=people["person_id"],
        assignable=people.filter("by_designation")["person_id"] if enrolled else None,
        services=inside,
        specialties=specialties,
        groups=groups,
        accountable=accountable,
    )
    logger.info(
        "designations: %s", ", ".join(f"{few(number)} {what}" for what, number in aligned.counts.items())
    )
    others = by_claims.filter(~pl.col("person_id").is_in(aligned.bound.implode()))
    return pl.concat([aligned.attributed, others]).sort("person_id")


def _in_order(first: date, last: date) -> None:
    if first > last:
        raise SpecError(
            f"the services that count would begin on {first} and end before that, on {last}.\n"
            "Fix: give the earlier day first (since), and then the later one (until)"
        )


def few(number: int) -> str:
    """Return a number of patients in words that tell nothing about single ones."""
    return f"{number:,}" if number == 0 or number >= SMALL_CELL else f"fewer than {SMALL_CELL}"


def _refuse(
    performance_year: int | None,
    third_step: bool | None,
    specialties: Mapping[str, str] | None,
    designations: pl.DataFrame | None,
    designated_by: date | None,
    enrolled: bool | None,
    told: bool,
) -> None:
    if performance_year is not None and performance_year < FIRST_PERFORMANCE_YEAR:
        raise SpecError(
            f"performance year is {performance_year}, and the steps of 42 CFR 425.402(b) hold from "
            f"{FIRST_PERFORMANCE_YEAR} on.\nFix: leave the performance year out, and codes of any year count"
        )
    if third_step and specialties is None:
        raise SpecError(
            "the third step tells physicians from nurse practitioners, clinical nurse specialists and "
            "physician assistants.\nFix: give the specialties of providers, or leave the third step out"
        )
    if designations is not None and performance_year is None:
        raise SpecError("designations are in force for a performance year.\nFix: give the performance year")
    if enrolled and performance_year is None:
        raise SpecError("enrolment is looked at for a performance year.\nFix: give the performance year")
    if enrolled and not told:
        raise SpecError("the history has no coverage to tell who was enrolled.\nFix: leave enrolled out")
    if designations is None and designated_by is not None:
        raise SpecError("there is a deadline and there are no designations.\nFix: give the designations, too")


def attribute_cases(
    cases: pl.DataFrame,
    history: History,
    *,
    days: int = 365,
    services: Services | None = None,
    engine: Engine | None = None,
    **options: Any,
) -> pl.DataFrame:
    """Add the columns of `ATTRIBUTION` to index cases, from services on the days before each index time.

    This is prospective: nothing of the follow-up decides who answers for the patient. There are two steps;
    codes of any year's list count.

    Parameters
    ----------
    cases : DataFrame
        Index cases; rows keep their order, and are null where nobody can be made to answer.
    days : int
        How far to look back.
    services : {'hcpcs', 'office'}, optional
        See `attribute`. Default: by codes where the history has any of primary care.
    options
        As of `riskmodels.cohorts.care.primary_care_services`.
    """
    if services is None:
        services = "hcpcs" if coded_services(history.vocabulary).height else "office"
        logger.info("attributing by %s", "primary care codes" if services == "hcpcs" else "office visits")
    found = primary_care_services(history, services=services, engine=engine, **options)
    numbered = cases.with_row_index("case")
    window = numbered.select("case", "person_id", index_day=pl.col("index_time").dt.date()).join(
        found, on="person_id"
    )
    first = pl.col("index_day") - pl.duration(days=days)
    before = window.filter((pl.col("day") >= first) & (pl.col("day") < pl.col("index_day")))
    attributed = plurality(before, "case")
    return numbered.join(attributed, on="case", how="left", maintain_order="left").drop("case")
