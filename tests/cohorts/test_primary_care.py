"""Which codes are primary care: 42 CFR 425.400(c), held against its lists as they were read."""

from datetime import date

import pytest

from riskmodels.cohorts.attribution import assignment_window, expanded_window
from riskmodels.cohorts.primary_care import (
    NON_PHYSICIANS,
    PRIMARY_CARE,
    SPECIALISTS,
    primary_care_codes,
)
from riskmodels.errors import SpecError

# Three lists in full, in the order of their paragraphs, as numbers and ranges.
LISTS = {
    2012: "99201-99215 99304-99340 99341-99350 G0402 G0438 G0439",
    2019: """
        99201-99215 99304-99318 99319-99340 99341-99350 99487 99489 99490 99495 99496 99497 99498
        96160 96161 99354 99355 99484 99492 99493 99494 G0402 G0438 G0439 G0463 G0506 G0444 G0442
        G0443
    """,
    2025: """
        96160 96161 96202 96203 97550 97551 97552 98016 99201-99215 99304-99318 99319-99340
        99341-99350 99354 99355 99406 99407 99421 99422 99423 99424 99425 99426 99427 99437 99487
        99489 99490 99491 99439 99452 99483 99484 99492 99493 99494 99495 99496 99497 99498 G0019
        G0022 G0023 G0024 G0101 G0136 G0317 G0318 G2212 G0402 G0438 G0439 G0442 G0443 G0444 G0463
        G0506 G0537 G0538 G0539 G0540 G0541 G0542 G0543 G0544 G0556 G0557 G0558 G0560 G2010 G2012
        G2252 G2058 G2064 G2065 G2086 G2087 G2088 G2211 G2214 G3002 G3003
    """,
}


@pytest.mark.parametrize("year", LISTS)
def test_whole_lists(year: int) -> None:
    """(c)(1)(i), (iv) and (ix)."""
    wanted = set()
    for entry in LISTS[year].split():
        first, _, last = entry.partition("-")
        numbers = range(int(first), int(last) + 1) if last else ()
        wanted.update(map(str, numbers) if last else [first])
    assert primary_care_codes(year) == wanted


@pytest.mark.parametrize(
    ("code", "since"),
    [
        ("99211", 2012),
        ("99319", 2012),
        ("99490", 2016),
        ("99489", 2019),
        ("G0444", 2019),
        ("99354", 2019),
        ("99491", 2021),
        ("99421", 2021),
        ("G2214", 2021),
        ("99437", 2022),
        ("G2212", 2022),
        ("G2252", 2022),
        ("G0317", 2023),
        ("G3003", 2023),
        ("99406", 2024),
        ("96203", 2024),
        ("97552", 2024),
        ("G0101", 2024),
        ("G0023", 2024),
        ("G2211", 2024),
        ("G2087", 2024),
        ("98016", 2025),
        ("99452", 2025),
        ("G0540", 2025),
        ("G0557", 2025),
        ("G0560", 2025),
    ],
)
def test_the_year_in_which_a_code_begins_to_count(code: str, since: int) -> None:
    """(c)(1)(i) to (ix)."""
    years = [year for year in range(2012, 2026) if code in primary_care_codes(year)]
    assert years == list(range(since, 2026))


@pytest.mark.parametrize("code", ["99281", "99216", "99351", "99417", "G0020", "G0559", "G2089", "99441"])
def test_what_no_list_has(code: str) -> None:
    assert code not in primary_care_codes(2025)


@pytest.mark.parametrize(
    ("window", "counts"),
    [
        pytest.param(assignment_window(2019), False, id="before"),
        pytest.param(
            (date(2019, 1, 1), date(2020, 1, 1)), True, id="a day of January 2020, the month it began"
        ),
        pytest.param(assignment_window(2022), True, id="in it"),
        pytest.param(
            (date(2023, 5, 31), date(2024, 5, 30)), True, id="a day of May 2023, the month it ended"
        ),
        pytest.param((date(2023, 6, 1), date(2024, 5, 31)), False, id="after"),
        pytest.param(assignment_window(2025, "prospective"), False, id="prospective 2025"),
        pytest.param(
            expanded_window(*assignment_window(2025, "prospective")), True, id="its expanded window"
        ),
    ],
)
def test_telephone_visits_count_in_the_public_health_emergency(
    window: tuple[date, date], counts: bool
) -> None:
    """(c)(2): any month of the emergency in the window lets 99441 to 99443 count in all of it."""
    assert ("99441" in primary_care_codes(2019, window)) is counts
    assert ("G2012" in primary_care_codes(2019, window)) is counts


def test_without_a_year_codes_of_any_list_count() -> None:
    assert primary_care_codes() > primary_care_codes(2025) > primary_care_codes(2012)
    with pytest.raises(SpecError, match="listed from 2012"):
        primary_care_codes(2011)


def test_specialties_are_those_of_the_regulation() -> None:
    """425.20 names five of primary care, 425.402(c) nineteen."""
    assert (len(PRIMARY_CARE), len(SPECIALISTS), len(NON_PHYSICIANS)) == (5, 19, 3)
    assert not PRIMARY_CARE & SPECIALISTS
