"""Primary care services and the clinicians whose services count, as the Shared Savings Program lists them.

Codes are numbers alone; their descriptions belong to the American Medical Association.
"""

from datetime import date

from riskmodels.errors import SpecError

__all__ = [
    "ADD_ON",
    "ADVANCE_CARE_PLANNING",
    "ELECTING_TEACHING",
    "LAST_LIST",
    "NON_PHYSICIANS",
    "NURSING_FACILITY",
    "PRIMARY_CARE",
    "PUBLIC_HEALTH_EMERGENCY",
    "SPECIALISTS",
    "excluded_in_hospital",
    "excluded_in_snf",
    "primary_care_codes",
]

# 42 CFR 425.400(c)(1)(i) to (ix), read as amended at 89 FR 98567 (9 December 2024): the codes that each
# list has and the one before has not. No list drops a code. Ranges are the regulation's own; not every
# number in them is in use. Those of 2026 are not of the regulation's text, which was not at hand as amended
# in November 2025, but of a summary of that rule (unverified).
_ADDED: dict[int, str] = {
    2012: "99201-99215 99304-99350 G0402 G0438 G0439",
    2016: "99490 99495 99496 G0463",
    2019: "96160 96161 99354 99355 99484 99487 99489 99492-99494 99497 99498 G0442-G0444 G0506",
    2021: "99421-99423 99439 99483 99491 G2010 G2012 G2058 G2064 G2065 G2214",
    2022: "99424-99427 99437 G2212 G2252",
    2023: "G0317 G0318 G3002 G3003",
    2024: "96202 96203 97550-97552 99406 99407 G0019 G0022-G0024 G0101 G0136 G2086-G2088 G2211",
    2025: "98016 99452 G0537-G0544 G0556-G0558 G0560",
    2026: "G0568-G0570",
}
LAST_LIST = 2025  # the last performance year whose list was read in the regulation
# 425.400(c)(2): with any month of the emergency in the window these count in all its months.
_EMERGENCY = "99421-99423 99441-99443 G2010 G2012"
# 42 CFR 400.200 for its begin; it was not renewed after 11 May 2023.
PUBLIC_HEALTH_EMERGENCY = (date(2020, 1, 27), date(2023, 5, 11))


def _codes(listed: str) -> frozenset[str]:
    found: set[str] = set()
    for entry in listed.split():
        first, _, last = entry.partition("-")
        letter = "G" if first.startswith("G") else ""
        low, high = (int(code.removeprefix("G")) for code in (first, last or first))
        found.update(f"{letter}{number:0{len(first) - len(letter)}d}" for number in range(low, high + 1))
    return frozenset(found)


NURSING_FACILITY = _codes("99304-99318")  # not in a skilled nursing facility
ADVANCE_CARE_PLANNING = _codes("99497 99498")  # not in an inpatient setting
ADD_ON = _codes("99354 99355")  # where the service that they prolong is one of primary care
ELECTING_TEACHING = _codes("G0463")  # in hospitals with an election under 415.160 alone
_SNF_SINCE, _HOSPITAL_SINCE = 2017, 2021


def primary_care_codes(
    performance_year: int | None = None, window: tuple[date, date] | None = None
) -> frozenset[str]:
    """Return the HCPCS codes that are primary care services (42 CFR 425.400(c)).

    Parameters
    ----------
    performance_year : int, optional
        Default: a code that counts in any year, the emergency included.
    window : tuple of date, optional
        The first and last day of the window for assignment (the expanded one, where there is a third step):
        a month of the public health emergency in it adds the codes of 425.400(c)(2).

    Raises
    ------
    SpecError
        The program had no performance year before 2012.

    >>> "99490" in primary_care_codes(2015), "99490" in primary_care_codes(2016)
    (False, True)
    """
    if performance_year is not None and performance_year < min(_ADDED):
        raise SpecError(
            f"performance year is {performance_year}, and primary care services are listed from "
            f"{min(_ADDED)} on.\nFix: give the first and last day of the services, and codes of any year "
            "count"
        )
    listed = [
        codes for since, codes in _ADDED.items() if performance_year is None or since <= performance_year
    ]
    begin, end = PUBLIC_HEALTH_EMERGENCY
    months = None if window is None else ((day.year, day.month) for day in window)
    emergency = performance_year is None
    if months is not None:
        first, last = months
        emergency |= first <= (end.year, end.month) and last >= (begin.year, begin.month)
    return _codes(" ".join([*listed, _EMERGENCY] if emergency else listed))


def excluded_in_snf(performance_year: int | None) -> bool:
    """Say whether `NURSING_FACILITY` does not count in a skilled nursing facility (since 2017)."""
    return performance_year is None or performance_year >= _SNF_SINCE


def excluded_in_hospital(performance_year: int | None) -> bool:
    """Say whether `ADVANCE_CARE_PLANNING` does not count in an inpatient setting (since 2021)."""
    return performance_year is None or performance_year >= _HOSPITAL_SINCE


# Medicare specialty codes. Physicians of primary care: 42 CFR 425.20 (general practice, family practice,
# internal medicine, pediatric medicine since 2016, geriatric medicine).
PRIMARY_CARE = frozenset({"01", "08", "11", "37", "38"})
# Nurse practitioners, clinical nurse specialists, physician assistants: ACO professionals by 42 CFR 425.20.
NON_PHYSICIANS = frozenset({"50", "89", "97"})
# Physicians of the second and third step: the 19 specialties of 42 CFR 425.402(c), cardiology to
# gynecology/oncology.
_STEP_TWO = "06 12 13 16 23 25 26 27 29 39 46 70 79 82 83 84 86 90 98"
SPECIALISTS = frozenset(_STEP_TWO.split(" "))
