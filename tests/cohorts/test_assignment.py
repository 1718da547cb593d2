"""Attribution by the rules of a performance year: 42 CFR 425.400 to 425.402 on small histories."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.cohorts import attribute
from riskmodels.cohorts.attribution import ATTRIBUTED, assignment_window
from riskmodels.cohorts.designations import designations_in_force, read_designations
from riskmodels.cohorts.providers import read_accountable
from riskmodels.errors import DataError, SpecError
from riskmodels.history import History, Part, write_history

Y25 = assignment_window(2025)
SPECIALTIES = {"doc": "08", "other": "11", "np": "50", "heart": "06", "xray": "30"}
GROUPS = {"doc": "ACO", "np": "ACO", "heart": "ACO", "other": "TIN"}
ALWAYS = [(date(2010, 1, 1), date(2026, 12, 31), "medicare")]


def make(
    path: Path,
    visits: list[tuple[str, str, date, float, str]],
    *,
    coverage: dict[str, list[tuple[date, date, str]]] | None = None,
    stays: list[tuple[str, str, date, date]] = (),  # type: ignore[assignment]
    dead: dict[str, date] | None = None,
    people: tuple[str, ...] = (),
    facility: str | None = None,
) -> History:
    """Make a history of visits (person, provider, day, charge, codes) and stays (person, kind, days)."""
    everyone = sorted({visit[0] for visit in visits} | {stay[0] for stay in stays} | set(people))
    spans = dict.fromkeys(everyone, ALWAYS) if coverage is None else coverage
    encounters: list[dict[str, Any]] = [
        {"encounter_id": f"v{number}", "person_id": person, "kind": "outpatient", "start": day, "end": day}
        | {"provider_id": who, "allowed": allowed, "facility_id": facility}
        for number, (person, who, day, allowed, _) in enumerate(visits)
    ]
    encounters += [
        {"encounter_id": f"s{number}", "person_id": person, "kind": kind, "start": first, "end": last}
        for number, (person, kind, first, last) in enumerate(stays)
    ]
    events = [
        {"person_id": person, "time": day, "kind": "procedure", "code_system": "HCPCS", "code": code}
        | {"encounter_id": f"v{number}"}
        for number, (person, _, day, _, codes) in enumerate(visits)
        for code in codes.split()
    ]
    persons = [
        {"person_id": person, "birth_date": date(1940, 1, 1), "sex": "female"}
        | {"death_date": (dead or {}).get(person)}
        for person in everyone
    ]
    covered = [
        {"person_id": person, "start_date": first, "end_date": last, "payer": payer}
        for person, entries in spans.items()
        for first, last, payer in entries
    ]
    instant = pl.col("start", "end").cast(pl.Datetime("us"))
    parts = [
        Part("person", pl.DataFrame(persons, schema_overrides={"death_date": pl.Date}), "p"),
        Part(
            "encounter",
            pl.DataFrame(encounters, infer_schema_length=None).with_columns(instant),
            "e",
        ),
        Part("event", pl.DataFrame(events).with_columns(pl.col("time").cast(pl.Datetime("us"))), "v"),
    ]
    if covered:
        parts.append(Part("coverage", pl.DataFrame(covered), "c"))
    return write_history(parts, path / "history", source_format="simulated")


def told(found: pl.DataFrame) -> dict[str, tuple[str, int]]:
    """Return provider and step by person."""
    return {person: (who, step) for person, who, step in found.select("person_id", ATTRIBUTED, "step").rows()}


@pytest.mark.parametrize(
    ("nurse", "physician", "wanted"),
    [
        pytest.param(date(2025, 1, 1), date(2024, 1, 1), {"P": ("ACO", 3)}, id="first days of both windows"),
        pytest.param(date(2025, 12, 31), date(2024, 12, 31), {"P": ("ACO", 3)}, id="last days"),
        pytest.param(date(2025, 1, 1), date(2023, 12, 31), {}, id="physician a day before the 24 months"),
        pytest.param(date(2024, 12, 31), date(2024, 6, 1), {}, id="nurse practitioner a day too early"),
        pytest.param(date(2026, 1, 1), date(2024, 6, 1), {}, id="nurse practitioner a day too late"),
        pytest.param(
            date(2025, 6, 1), date(2025, 1, 1), {"P": ("ACO", 1)}, id="physician in the year: step 1"
        ),
    ],
)
def test_the_days_of_the_third_step(
    tmp_path: Path, nurse: date, physician: date, wanted: dict[str, tuple[str, int]]
) -> None:
    """425.402(b)(5)(i) the assignment window for the one, (ii) the 24 months for the other; 425.20."""
    visits = [("P", "np", nurse, 50.0, "99213"), ("P", "doc", physician, 70.0, "99214")]
    # X keeps the history from being without any service that counts.
    history = make(tmp_path, [*visits, ("X", "other", date(2015, 1, 1), 1.0, "99213")])
    found = attribute(history, *Y25, performance_year=2025, specialties=SPECIALTIES, groups=GROUPS)
    assert told(found) == wanted


def test_the_third_step_is_done_from_2025_on(tmp_path: Path) -> None:
    visits = [("P", "np", date(2024, 6, 1), 50.0, "99213"), ("P", "doc", date(2023, 6, 1), 70.0, "99214")]
    history = make(tmp_path, visits)
    options: dict[str, Any] = {"specialties": SPECIALTIES, "groups": GROUPS}
    window = assignment_window(2024)
    assert told(attribute(history, *window, performance_year=2024, **options)) == {}
    assert told(attribute(history, *window, **options)) == {}
    third = attribute(history, *window, third_step=True, **options)
    assert third.select(ATTRIBUTED, "step", "charges").rows() == [("ACO", 3, 120.0)]
    prospective = assignment_window(2025, "prospective")  # October 2023 to September 2024
    assert told(attribute(history, *prospective, performance_year=2025, **options)) == {"P": ("ACO", 3)}
    without = attribute(history, *prospective, performance_year=2025, third_step=False, **options)
    assert without.is_empty()
    with pytest.raises(SpecError, match=r"physician\s+assistants.*\nFix: give the specialties"):
        attribute(history, *window, third_step=True)


@pytest.mark.parametrize(
    ("code", "year", "counts"),
    [
        pytest.param("99308", 2025, False, id="nursing facility code in a SNF"),
        pytest.param("99308", 2017, False, id="since 2017"),
        pytest.param("99308", 2016, True, id="not before"),
        pytest.param("99308 99213", 2025, True, id="with another code"),
        pytest.param("99497", 2025, True, id="advance care planning in a SNF"),
        pytest.param("99354", 2025, False, id="prolonged alone"),
        pytest.param("G0463", 2025, False, id="clinic visit of any hospital"),
        pytest.param("99281", 2025, False, id="no primary care"),
        pytest.param("99406", 2023, False, id="not yet in the list"),
        pytest.param("99406", 2024, True, id="in the list"),
    ],
)
def test_what_counts_where(tmp_path: Path, code: str, year: int, counts: bool) -> None:
    """425.400(c)(1): the visit is on the last day of a stay in a skilled nursing facility."""
    day = date(year, 6, 30)
    visits = [("P", "doc", day, 50.0, code), ("X", "doc", day, 50.0, "99213")]
    history = make(tmp_path, visits, stays=[("P", "snf", date(year, 6, 1), day)])
    found = attribute(history, *assignment_window(year), performance_year=year)
    assert ("P" in told(found)) is counts


@pytest.mark.parametrize(
    ("day", "code", "year", "counts"),
    [
        pytest.param(date(2021, 6, 1), "99497", 2021, False, id="planning on the day of admission"),
        pytest.param(date(2021, 6, 11), "99497", 2021, True, id="the day after the discharge"),
        pytest.param(date(2021, 6, 5), "99213", 2021, True, id="another code"),
        pytest.param(date(2020, 6, 5), "99497", 2020, True, id="before 2021"),
    ],
)
def test_advance_care_planning_in_hospital(
    tmp_path: Path, day: date, code: str, year: int, counts: bool
) -> None:
    """425.400(c)(1)(v)(A)(13), since 2021."""
    visits = [("P", "doc", day, 50.0, code), ("X", "doc", day, 50.0, "99213")]
    stay = ("P", "inpatient", date(year, 6, 1), date(year, 6, 10))
    history = make(tmp_path, visits, stays=[stay])
    found = attribute(history, *assignment_window(year), performance_year=year)
    assert ("P" in told(found)) is counts


def test_clinic_visits_count_in_hospitals_with_an_election(tmp_path: Path) -> None:
    """G0463, 425.400(c)(1)(ii)(B)(3)."""
    history = make(tmp_path, [("P", "doc", date(2025, 6, 1), 50.0, "G0463")], facility="330001")
    found = attribute(history, *Y25, performance_year=2025, teaching_hospitals=["330001"])
    assert told(found) == {"P": ("doc", 1)}
    with pytest.raises(SpecError, match="no primary care service"):
        attribute(history, *Y25, performance_year=2025, teaching_hospitals=["330002"])


def test_who_cannot_be_assigned(tmp_path: Path) -> None:
    """425.401(a): at least a month of coverage in the window, and none in a health plan."""
    people = {
        "month": [(date(2025, 12, 1), date(2026, 12, 31), "medicare")],
        "last day": [(date(2024, 1, 1), date(2025, 1, 1), "medicare")],
        "day before": [(date(2023, 1, 1), date(2024, 12, 31), "medicare")],
        "plan": [
            (date(2024, 1, 1), date(2025, 11, 30), "medicare"),
            (date(2025, 12, 1), date(2025, 12, 31), "medicare_advantage"),
        ],
        "plan after": [
            (date(2024, 1, 1), date(2025, 12, 31), "medicare"),
            (date(2026, 1, 1), date(2026, 12, 31), "medicare_advantage"),
        ],
    }
    visits = [(person, "doc", date(2025, 6, 1), 50.0, "99213") for person in [*people, "none"]]
    history = make(tmp_path, visits, coverage=people)
    found = attribute(history, *Y25, performance_year=2025)
    assert found["person_id"].to_list() == ["last day", "month", "plan after"]
    assert attribute(history, *Y25, performance_year=2025, enrolled=False).height == 6
    assert attribute(history, *Y25).height == 6
    with pytest.raises(SpecError, match="enrolment is looked at for a performance year"):
        attribute(history, *Y25, enrolled=True)


def test_without_any_coverage_enrolment_is_not_looked_at(tmp_path: Path) -> None:
    history = make(tmp_path, [("P", "doc", date(2025, 6, 1), 50.0, "99213")], coverage={})
    assert told(attribute(history, *Y25, performance_year=2025)) == {"P": ("doc", 1)}
    with pytest.raises(SpecError, match="no coverage to tell"):
        attribute(history, *Y25, performance_year=2025, enrolled=True)


def chosen(*rows: tuple[str, str | None, date]) -> pl.DataFrame:
    """Return designations."""
    return pl.DataFrame(
        rows, schema={"person_id": pl.String, "provider": pl.String, "date": pl.Date}, orient="row"
    )


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        pytest.param([("P", "a", date(2024, 9, 30))], [("P", "a")], id="on the last day"),
        pytest.param([("P", "a", date(2024, 10, 1))], [], id="a day too late"),
        pytest.param(
            [("P", "a", date(2020, 1, 1)), ("P", "b", date(2024, 1, 1))], [("P", "b")], id="the later holds"
        ),
        pytest.param(
            [("P", "a", date(2020, 1, 1)), ("P", "b", date(2024, 10, 1))],
            [("P", "a")],
            id="the next one waits",
        ),
        pytest.param([("P", "a", date(2020, 1, 1)), ("P", None, date(2024, 1, 1))], [], id="taken back"),
        pytest.param([("P", "a", date(2020, 1, 1))] * 2, [("P", "a")], id="there twice"),
    ],
)
def test_which_designation_is_in_force(rows: list, wanted: list) -> None:
    assert designations_in_force(chosen(*rows), date(2024, 9, 30)).rows() == wanted


def test_designations_go_before_claims(tmp_path: Path) -> None:
    """425.402(e)(2)(ii): A who can be assigned, B whom they choose, C claims do not go against it."""
    days = {"start_date": date(2020, 1, 1), "end_date": date(2026, 12, 31)}
    plan = [(date(2020, 1, 1), date(2024, 12, 31), "medicare"), (*days.values(), "medicare_advantage")]
    people = ("claims", "silent", "outside", "dead", "plan", "late", "no claims")
    coverage = dict.fromkeys(people, ALWAYS) | {"plan": plan}
    visits = [
        (person, "other", date(2025, 6, 1), 50.0, "99213") for person in people[:-1] if person != "dead"
    ]
    visits.append(("dead", "doc", date(2024, 6, 1), 50.0, "99213"))
    history = make(
        tmp_path, visits, coverage=coverage, dead={"dead": date(2024, 12, 31)}, people=("no claims",)
    )
    table = chosen(
        ("claims", "doc", date(2024, 1, 1)),
        ("outside", "elsewhere", date(2024, 1, 1)),
        ("dead", "doc", date(2024, 1, 1)),
        ("plan", "doc", date(2024, 1, 1)),
        ("late", "doc", date(2024, 10, 1)),
        ("no claims", "np", date(2024, 9, 30)),
        ("stranger", "doc", date(2024, 1, 1)),
    )
    options: dict[str, Any] = {"performance_year": 2025, "groups": GROUPS, "designations": table}
    both = attribute(history, *Y25, accountable=["ACO", "TIN"], **options)
    assert told(both) == {
        "claims": ("ACO", 0),
        "late": ("TIN", 1),
        "no claims": ("ACO", 0),
        "silent": ("TIN", 1),
    }
    assert (
        both.filter(pl.col("step") == 0)
        .select("charges", "services", "last_service")
        .null_count()
        .sum_horizontal()
        .item()
        == 6
    )
    later = attribute(history, *Y25, accountable=["ACO", "TIN"], designated_by=date(2024, 10, 1), **options)
    assert told(later)["late"] == ("ACO", 0)
    anyone = attribute(history, *Y25, **options)
    assert told(anyone)["outside"] == ("elsewhere", 0)
    unasked = attribute(history, *Y25, enrolled=False, accountable=["ACO"], **options)
    assert told(unasked)["plan"] == ("ACO", 0)


def test_designations_for_2018_need_a_service_and_a_clinician_who_counts(tmp_path: Path) -> None:
    """425.402(e)(2)(i): A a service of its physicians in the window, C a clinician of the named kinds."""
    visits = [
        ("seen", "doc", date(2018, 3, 1), 10.0, "99213"),
        ("seen", "other", date(2018, 3, 1), 90.0, "99213"),
        ("nurse only", "np", date(2018, 3, 1), 10.0, "99213"),
        ("nurse only", "other", date(2018, 3, 1), 90.0, "99213"),
        ("radiologist", "other", date(2018, 3, 1), 90.0, "99213"),
    ]
    history = make(tmp_path, visits)
    table = chosen(
        ("seen", "np", date(2017, 9, 1)),
        ("nurse only", "doc", date(2017, 9, 1)),
        ("radiologist", "xray", date(2017, 9, 1)),
    )
    options: dict[str, Any] = {"performance_year": 2018, "groups": GROUPS, "designations": table}
    window = assignment_window(2018)
    found = attribute(history, *window, specialties=SPECIALTIES, **options)
    assert told(found) == {"seen": ("ACO", 0), "radiologist": ("TIN", 1)}
    options["performance_year"] = 2019
    later = attribute(history, *window, specialties=SPECIALTIES, **options)
    assert told(later) == {"seen": ("ACO", 0), "nurse only": ("ACO", 0), "radiologist": ("xray", 0)}
    options["performance_year"] = 2018
    with pytest.raises(SpecError, match="need the specialties"):
        attribute(history, *window, **options)
    options["performance_year"] = 2017
    with pytest.raises(SpecError, match="from performance year 2018"):
        attribute(history, *window, specialties=SPECIALTIES, **options)


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    history = make(tmp_path, [("P", "doc", date(2025, 6, 1), 50.0, "99213")])
    table = chosen(("P", "doc", date(2024, 1, 1)))
    with pytest.raises(SpecError, match="hold from 2016 on"):
        attribute(history, *Y25, performance_year=2015)
    with pytest.raises(SpecError, match="in force for a performance year"):
        attribute(history, *Y25, designations=table)
    with pytest.raises(SpecError, match="there are no designations"):
        attribute(history, *Y25, performance_year=2025, designated_by=date(2024, 9, 30))
    with pytest.raises(SpecError, match="none of the 1 ACOs"):
        attribute(history, *Y25, performance_year=2025, accountable=["A9999"])
    with pytest.raises(DataError, match="column provider"):
        attribute(history, *Y25, performance_year=2025, designations=table.drop("provider"))
    two = chosen(("P", "doc", date(2024, 1, 1)), ("P", "np", date(2024, 1, 1)))
    with pytest.raises(DataError, match="lines 2 and 3 are designations of one person"):
        attribute(history, *Y25, performance_year=2025, designations=two)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as a table"),
        ("person,provider\nP,doc\n", "has 2 columns\nFix: give three: person, provider and date"),
        ("person,provider,date\nP,doc,2024-01-01,x\n", "cannot be read as a table"),
        ("person,provider,date\n,doc,2024-01-01\n", "line 2 has no person"),
        ("person,provider,date\nP,doc,2024-01-01\nQ,doc,01/02/2024\n", "line 3 has no date"),
        ("person,provider,date\nP,doc,2024-01-01\nQ,x,2024-01-01\nP,np,2024-01-01\n", "lines 2 and 4"),
    ],
)
def test_files_of_designations_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    """The line is named, and the person is not."""
    path = tmp_path / "designations.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_designations(path)
    with pytest.raises(DataError, match="there is no such file"):
        read_designations(tmp_path / "none.csv")


def test_files_of_designations_and_acos(tmp_path: Path) -> None:
    path = tmp_path / "designations.csv"
    path.write_text("bene,npi,on\nP, doc ,2024-01-01\nP,,2024-02-01\n", encoding="utf-8")
    assert read_designations(path).rows() == [("P", "doc", date(2024, 1, 1)), ("P", None, date(2024, 2, 1))]
    acos = tmp_path / "acos.csv"
    acos.write_text("aco\nA1\n A2\n", encoding="utf-8")
    assert read_accountable(acos) == {"A1", "A2"}
    acos.write_text("aco\n", encoding="utf-8")
    with pytest.raises(DataError, match="names no ACO"):
        read_accountable(acos)


def test_the_command_line(tmp_path: Path) -> None:
    visits = [
        ("P", "np", date(2025, 6, 1), 50.0, "99213"),
        ("P", "doc", date(2024, 6, 1), 70.0, "99214"),
        ("Q", "other", date(2025, 6, 1), 50.0, "99213"),
        ("R", "other", date(2025, 6, 1), 50.0, "99213"),
    ]
    make(tmp_path, visits)
    for name, rows in {
        "specialties": [f"{who},{code}" for who, code in SPECIALTIES.items()],
        "groups": [f"{who},{group}" for who, group in GROUPS.items()],
        "designations": ["Q,doc,2024-09-30"],
    }.items():
        header = {"designations": "person,provider,date"}.get(name, f"provider,{name}")
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    (tmp_path / "acos.csv").write_text("aco\nACO\n", encoding="utf-8")
    files = [
        part
        for name in ("specialties", "groups", "designations", "acos")
        for part in (f"--{name}", str(tmp_path / f"{name}.csv"))
    ]
    out = tmp_path / "out.csv"
    ask = ["--quiet", "attribute", str(tmp_path / "history"), "--out", str(out)]
    result = CliRunner().invoke(main, [*ask, "--year", "2025", *files])
    assert result.exit_code == 0, result.output
    assert "2 of 3 patients attributed to 1 providers" in result.output
    assert "1 by designation, 0 in the second step, 1 in the third step" in result.output
    assert told(pl.read_csv(out)) == {"P": ("ACO", 3), "Q": ("ACO", 0)}
    result = CliRunner().invoke(main, [*ask, "--year", "2025", *files, "--no-third-step"])
    assert "1 of 3 patients" in result.output
    result = CliRunner().invoke(main, [*ask, "--since", "2025-01-01", "--until", "2025-12-31", *files])
    assert result.exit_code == 1
    assert "designations are in force for a performance year" in result.output


def test_days_in_the_wrong_order_are_refused_by_attribute_itself(tmp_path):
    history = make(tmp_path / "H", [("P", "doc", date(2025, 3, 1), 90.0, "99213")])
    with pytest.raises(SpecError, match="begin on 2025-12-31 and end before that, on 2025-01-01"):
        attribute(history, Y25[1], Y25[0])


@pytest.mark.parametrize(("year", "said"), [(2025, False), (2026, True)])
def test_codes_that_were_not_read_in_the_regulation_are_said_to_be_unverified(tmp_path, caplog, year, said):
    history = make(tmp_path / "H", [("P", "doc", date(year, 3, 1), 90.0, "99213")])
    found = attribute(history, *assignment_window(year), performance_year=year)
    assert found["person_id"].to_list() == ["P"]
    line = (
        f"primary care codes of {year}: those added after 2025 were not read in the regulation (unverified)"
    )
    assert (line in caplog.messages) == said
