"""Who answers for a patient: 42 CFR 425.402 in small tables."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from riskmodels.cohorts import build_cohort, load_task
from riskmodels.cohorts.attribution import (
    ATTRIBUTED,
    assignment_window,
    attribute,
    attribute_cases,
    expanded_window,
    window_of,
)
from riskmodels.cohorts.plurality import plurality
from riskmodels.cohorts.providers import read_providers
from riskmodels.errors import DataError, SpecError
from riskmodels.history import History, Part, write_history

JANUARY, MARCH, JUNE = (date(2023, month, 15) for month in (1, 3, 6))
PCP, NURSE, EXPERT = "primary", "non_physician", "specialist"


def services(*rows: tuple[str, str, float, date]) -> pl.DataFrame:
    """Return services of one patient: entity, clinician, charge, day."""
    return pl.DataFrame(
        [("P", day, entity, clinician, charge) for entity, clinician, charge, day in rows],
        schema={
            "person_id": pl.String,
            "day": pl.Date,
            "entity": pl.String,
            "clinician": pl.String,
            "charge": pl.Float64,
        },
        orient="row",
    )


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        pytest.param([("A", PCP, 90.0, MARCH), ("B", PCP, 100.0, JANUARY)], ("B", 1, 100.0), id="charges"),
        pytest.param(
            [("A", PCP, 60.0, MARCH), ("A", PCP, 60.0, JUNE), ("B", PCP, 100.0, JUNE)],
            ("A", 1, 120.0),
            id="charges add up",
        ),
        pytest.param(
            [("A", PCP, 10.0, MARCH), ("B", EXPERT, 900.0, JUNE)],
            ("A", 1, 10.0),
            id="specialists do not count where there is primary care",
        ),
        pytest.param(
            [("A", EXPERT, 10.0, MARCH), ("B", EXPERT, 20.0, JANUARY)],
            ("B", 2, 20.0),
            id="second step",
        ),
        pytest.param(
            [
                ("A", PCP, 50.0, MARCH),
                ("A", NURSE, 30.0, MARCH),
                ("B", PCP, 70.0, JUNE),
            ],
            ("A", 1, 80.0),
            id="nurse practitioners count in the first step",
        ),
        pytest.param(
            [("A", NURSE, 90.0, MARCH), ("B", PCP, 70.0, JUNE)],
            None,
            id="the plurality is with a provider whose physicians never saw the patient",
        ),
        pytest.param(
            [
                ("A", NURSE, 90.0, MARCH),
                ("A", EXPERT, 5.0, MARCH),
                ("B", PCP, 70.0, JUNE),
            ],
            ("A", 1, 90.0),
            id="a specialist of the provider is a physician too",
        ),
        pytest.param(
            [("A", PCP, 50.0, JUNE), ("B", PCP, 50.0, MARCH)],
            ("A", 1, 50.0),
            id="tie: the later one",
        ),
        pytest.param(
            [
                ("A", PCP, 50.0, MARCH),
                ("B", PCP, 50.0, MARCH),
                ("B", EXPERT, 1.0, JUNE),
            ],
            ("B", 1, 50.0),
            id="tie on the same day: the later specialist",
        ),
        pytest.param([("B", PCP, 50.0, MARCH), ("A", PCP, 50.0, MARCH)], ("A", 1, 50.0), id="tie: by name"),
        pytest.param(
            [("A", PCP, 10.1, MARCH), ("A", PCP, 20.2, MARCH), ("B", PCP, 30.3, JUNE)],
            ("B", 1, 30.3),
            id="tie to the cent",
        ),
        pytest.param([("A", PCP, 0.0, MARCH)], ("A", 1, 0.0), id="a service without a charge"),
    ],
)
def test_plurality(rows: list, wanted: tuple | None) -> None:
    found = plurality(services(*rows), "person_id")
    assert found.select(ATTRIBUTED, "step", "charges").rows() == ([] if wanted is None else [wanted])


NOW, BEFORE = date(2025, 3, 15), date(2024, 3, 15)


@pytest.mark.parametrize(
    ("inside", "earlier", "wanted"),
    [
        pytest.param(
            [("A", NURSE, 50.0, NOW)],
            [("A", PCP, 100.0, BEFORE)],
            ("A", 3, 150.0, 2, NOW),
            id="nurse practitioner now, physician before: charges of 24 months",
        ),
        pytest.param(
            [("A", NURSE, 50.0, NOW)],
            [("A", EXPERT, 5.0, BEFORE)],
            ("A", 3, 55.0, 2, NOW),
            id="specialist before",
        ),
        pytest.param([("A", NURSE, 50.0, NOW)], [], None, id="never a physician"),
        pytest.param(
            [("A", NURSE, 50.0, NOW)],
            [("A", NURSE, 50.0, BEFORE)],
            None,
            id="nurse practitioners alone, twice",
        ),
        pytest.param([], [("A", PCP, 100.0, BEFORE)], None, id="nobody within the assignment window"),
        pytest.param(
            [("A", NURSE, 50.0, NOW)],
            [("B", PCP, 60.0, BEFORE)],
            None,
            id="the physician was of another provider, who has the larger charges, too",
        ),
        pytest.param(
            [("A", NURSE, 50.0, NOW)],
            [("A", PCP, 20.0, BEFORE), ("B", PCP, 60.0, BEFORE)],
            ("A", 3, 70.0, 2, NOW),
            id="the sum of both windows against the other's",
        ),
        pytest.param(
            [("A", NURSE, 50.0, NOW)],
            [("A", PCP, 20.0, BEFORE), ("B", EXPERT, 71.0, BEFORE)],
            None,
            id="specialists' charges of others count",
        ),
        pytest.param(
            [("A", NURSE, 50.0, NOW), ("B", PCP, 40.0, NOW)],
            [("A", PCP, 20.0, BEFORE)],
            ("A", 3, 70.0, 2, NOW),
            id="the first step gives to nobody: no physician of A, and B has less",
        ),
        pytest.param(
            [("A", NURSE, 50.0, NOW), ("B", PCP, 60.0, NOW)],
            [("A", PCP, 100.0, BEFORE)],
            ("B", 1, 60.0, 1, NOW),
            id="the first step goes before the third",
        ),
        pytest.param(
            [("A", EXPERT, 5.0, NOW)],
            [("B", PCP, 100.0, BEFORE)],
            ("A", 2, 5.0, 1, NOW),
            id="the second step goes before the third",
        ),
        pytest.param(
            [("A", NURSE, 50.0, NOW), ("A", EXPERT, 1.0, NOW), ("B", NURSE, 60.0, NOW)],
            [("A", PCP, 100.0, BEFORE)],
            None,
            id="a specialist of A has seen the patient this year: no third step, and the first is B's",
        ),
        pytest.param(
            [("A", NURSE, 50.0, NOW), ("B", NURSE, 50.0, date(2025, 3, 16))],
            [("A", PCP, 10.0, BEFORE), ("B", PCP, 10.0, BEFORE)],
            ("B", 3, 60.0, 2, date(2025, 3, 16)),
            id="tie: the later one",
        ),
    ],
)
def test_the_third_step(inside: list, earlier: list, wanted: tuple | None) -> None:
    """42 CFR 425.402(b)(5), worked by hand."""
    found = plurality(services(*inside), "person_id", earlier=services(*earlier))
    told = found.select(ATTRIBUTED, "step", "charges", "services", "last_service").rows()
    assert told == ([] if wanted is None else [wanted])
    if wanted is not None and wanted[1] == 3:
        assert plurality(services(*inside), "person_id").is_empty()


def in_loops(inside: list, earlier: list, accountable: set[str]) -> tuple[str, int, float] | None:
    """Say who answers for a patient, by the words of 425.402(b) alone."""
    entities = sorted({entity for entity, *_ in [*inside, *earlier]})

    def spent(rows: list, entity: str, kinds: tuple[str, ...]) -> float:
        return round(sum(charge for who, kind, charge, _ in rows if who == entity and kind in kinds), 2)

    def had(rows: list, entity: str | None, kinds: tuple[str, ...]) -> bool:
        return any(kind in kinds and entity in (who, None) for who, kind, *_ in rows)

    def latest(rows: list, entity: str, kinds: tuple[str, ...]) -> date:
        return max((day for who, kind, _, day in rows if who == entity and kind in kinds), default=date.min)

    def most(rows: list, kinds: tuple[str, ...]) -> str | None:
        ranked = [
            (
                -spent(rows, entity, kinds),
                latest(rows, entity, (PCP, NURSE)),
                latest(rows, entity, (EXPERT,)),
                entity,
            )
            for entity in entities
            if had(rows, entity, kinds)
        ]
        ranked.sort(key=lambda row: (row[0], -row[1].toordinal(), -row[2].toordinal(), row[3]))
        return ranked[0][3] if ranked else None

    kinds = (PCP, NURSE) if had(inside, None, (PCP, NURSE)) else (EXPERT,)
    first = most(inside, kinds)
    if first in accountable and had(inside, first, (PCP, EXPERT)):
        return first, 1 if PCP in kinds else 2, spent(inside, first, kinds)
    both = [*inside, *earlier]
    third = most(both, (PCP, NURSE, EXPERT))
    if (
        third in accountable
        and not had(inside, third, (PCP, EXPERT))
        and had(inside, third, (NURSE,))
        and had(both, third, (PCP, EXPERT))
    ):
        return third, 3, spent(both, third, (PCP, NURSE, EXPERT))
    return None


def test_plain_loops_say_the_same() -> None:
    """2,000 random patients, with ties, and one of three providers who is no ACO."""
    draw = np.random.default_rng(425_402)
    rows: dict[str, list] = {"inside": [], "earlier": []}
    wanted: dict[str, tuple[str, int, float]] = {}
    for number in range(2_000):
        own: dict[str, list] = {}
        for part, year in (("inside", 2025), ("earlier", 2024)):
            own[part] = [
                (
                    str(draw.choice(["A", "B", "TIN"])),
                    str(draw.choice([PCP, NURSE, NURSE, EXPERT])),
                    float(draw.integers(1, 4)) * 10.1,
                    date(year, 1, int(draw.integers(1, 4))),
                )
                for _ in range(draw.integers(0, 5))
            ]
            rows[part] += [(f"P{number:04d}", *row) for row in own[part]]
        if (told := in_loops(own["inside"], own["earlier"], {"A", "B"})) is not None:
            wanted[f"P{number:04d}"] = told
    names = ["person_id", "entity", "clinician", "charge", "day"]
    frames = {part: pl.DataFrame(found, schema=names, orient="row") for part, found in rows.items()}
    found = plurality(frames["inside"], "person_id", earlier=frames["earlier"], accountable=["A", "B"])
    assert {
        row[0]: row[1:] for row in found.select("person_id", ATTRIBUTED, "step", "charges").rows()
    } == wanted
    assert set(found["step"]) == {1, 2, 3}


def test_only_those_who_are_accountable_get_patients() -> None:
    """Others compete: a plurality outside every ACO gives the patient to nobody, or to the third step."""
    rows = services(("A", PCP, 50.0, MARCH), ("TIN", PCP, 60.0, MARCH))
    assert plurality(rows, "person_id")[ATTRIBUTED].to_list() == ["TIN"]
    assert plurality(rows, "person_id", accountable=["A"]).is_empty()
    inside = services(("A", NURSE, 50.0, NOW), ("TIN", PCP, 60.0, NOW))
    earlier = services(("A", PCP, 20.0, BEFORE))
    found = plurality(inside, "person_id", earlier=earlier, accountable=["A"])
    assert found.select(ATTRIBUTED, "step", "charges").rows() == [("A", 3, 70.0)]
    assert plurality(inside, "person_id", earlier=earlier)[ATTRIBUTED].to_list() == ["TIN"]


def test_windows() -> None:
    assert assignment_window(2023) == (date(2023, 1, 1), date(2023, 12, 31))
    assert assignment_window(2023, "prospective") == (date(2021, 10, 1), date(2022, 9, 30))
    with pytest.raises(SpecError, match="did you mean 'prospective'"):
        assignment_window(2023, "prospectiv")  # type: ignore[arg-type]
    assert expanded_window(date(2025, 1, 1), date(2025, 12, 31)) == (date(2024, 1, 1), date(2025, 12, 31))
    assert expanded_window(date(2024, 2, 29), date(2025, 2, 28)) == (date(2023, 2, 28), date(2025, 2, 28))


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Return visits of one patient: W and X in 2022, Y in 2023; X is a cardiologist."""
    visits = [
        ("1", "W", date(2022, 2, 1), 40.0, "99213"),
        ("2", "X", date(2022, 5, 1), 500.0, "99214"),
        ("3", "Y", date(2023, 2, 1), 80.0, "99213"),
        ("4", "Z", date(2022, 7, 1), 900.0, "70553"),
    ]
    encounter = pl.DataFrame(
        [
            (number, "P", "office", day, day, provider, allowed)
            for number, provider, day, allowed, _ in visits
        ],
        schema=["encounter_id", "person_id", "kind", "start", "end", "provider_id", "allowed"],
        orient="row",
    ).with_columns(pl.col("start", "end").cast(pl.Datetime("us")))
    event = pl.DataFrame(
        [("P", day, "procedure", "HCPCS", code, number) for number, _, day, _, code in visits],
        schema=["person_id", "time", "kind", "code_system", "code", "encounter_id"],
        orient="row",
    ).with_columns(pl.col("time").cast(pl.Datetime("us")))
    person = pl.DataFrame({"person_id": ["P"], "birth_date": [date(1940, 1, 1)], "sex": ["female"]})
    coverage = pl.DataFrame(
        {"person_id": ["P"], "start_date": [date(2020, 1, 1)], "end_date": [date(2024, 12, 31)]}
    )
    stay = pl.DataFrame(
        {
            "encounter_id": ["9"],
            "person_id": ["P"],
            "kind": ["inpatient"],
            "start": [date(2024, 6, 1)],
            "end": [date(2024, 6, 5)],
        }
    ).with_columns(pl.col("start", "end").cast(pl.Datetime("us")))
    parts = [
        Part("person", person, "p"),
        Part("coverage", coverage, "c"),
        Part("encounter", encounter, "e"),
        Part("encounter", stay, "s"),
        Part("event", event, "v"),
    ]
    return write_history(parts, tmp_path / "history", source_format="simulated")


def test_only_primary_care_codes_in_the_window_count(history: History) -> None:
    year = attribute(history, *assignment_window(2022))
    assert year.select("person_id", ATTRIBUTED, "charges", "services").rows() == [("P", "X", 500.0, 1)]
    office = attribute(history, *assignment_window(2022), services="office")
    assert office[ATTRIBUTED].to_list() == ["Z"]


def test_specialties_decide_the_step_and_groups_who_answers(history: History) -> None:
    specialties = {"W": "08", "X": "06", "Y": "11"}
    year = attribute(history, *assignment_window(2022), specialties=specialties)
    assert year.select(ATTRIBUTED, "step").rows() == [("W", 1)]
    only_x = attribute(history, date(2022, 5, 1), date(2022, 5, 1), specialties=specialties)
    assert only_x.select(ATTRIBUTED, "step").rows() == [("X", 2)]
    radiologist = attribute(history, *assignment_window(2022), specialties={"X": "30"}).height
    assert radiologist == 0
    groups = attribute(history, date(2022, 1, 1), date(2023, 12, 31), groups={"W": "ACO", "Y": "ACO"})
    assert groups.select(ATTRIBUTED, "charges").rows() == [("X", 500.0)]


def test_cases_are_attributed_by_what_came_before_each(history: History) -> None:
    cases = build_cohort(load_task("admission-12m"), history).cases
    attributed = attribute_cases(cases, history)
    found = dict(zip(attributed["index_time"].dt.year(), attributed[ATTRIBUTED], strict=True))
    assert found == {2021: None, 2022: None, 2023: "X", 2024: "Y"}
    assert attributed.drop(ATTRIBUTED, "step", "charges", "services", "last_service").equals(cases)


def test_what_cannot_be_done_is_said(history: History, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no primary care service with a facility_id"):
        attribute(history, *assignment_window(2022), provider="facility_id")
    with pytest.raises(SpecError, match="did you mean 'facility_id'"):
        attribute(history, *assignment_window(2022), provider="facility")
    table = tmp_path / "specialties.csv"
    table.write_text("npi,specialty\nW,8\nX,06\n", encoding="utf-8")
    assert read_providers(table, "specialty") == {"W": "08", "X": "06"}
    table.write_text("npi,specialty\nW,8\nW,06\n", encoding="utf-8")
    with pytest.raises(DataError, match="names provider 'W' twice"):
        read_providers(table, "specialty")
    with pytest.raises(DataError, match="there is no such file"):
        read_providers(tmp_path / "none.csv", "group")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"since": JUNE, "until": MARCH},
            "begin on 2023-06-15 and end before that, on 2023-03-15.*Fix",
        ),
        ({"year": 2023, "since": MARCH}, "a performance year has its own days.*Fix: give the year alone"),
        ({"year": 2023, "until": MARCH}, "a performance year has its own days"),
        ({"year": 2023, "since": MARCH, "until": JUNE}, "a performance year has its own days"),
        ({"since": MARCH}, "a first and a last day.*Fix: give the performance year, or both"),
        ({"until": MARCH}, "a first and a last day"),
        ({}, "a first and a last day"),
    ],
)
def test_a_window_that_cannot_be_is_refused(given, message):
    with pytest.raises(SpecError, match=f"(?s){message}"):
        window_of(**{"year": None} | given)


def test_the_window_is_that_of_the_year_or_as_given():
    assert window_of(2023) == (date(2023, 1, 1), date(2023, 12, 31))
    assert window_of(2023, "prospective") == assignment_window(2023, "prospective")
    assert window_of(None, since=MARCH, until=MARCH) == (MARCH, MARCH)
