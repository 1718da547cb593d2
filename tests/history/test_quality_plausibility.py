"""What `check` compares with what is usual: rates, codes, lag and run-out of small made-up histories."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.history import History, Part, compare_with_usual, open_history, write_history
from riskmodels.history.comparing import OLD, by_year

PEOPLE = 40
TIMES = pl.Datetime("us")


def make(
    path: Path,
    encounters: list[tuple],
    *,
    people: int = PEOPLE,
    covered: tuple[date, date] = (date(2021, 1, 1), date(2022, 12, 31)),
    deaths: dict[int, date] | None = None,
    codes: list[tuple] = (),  # type: ignore[assignment]
) -> History:
    """Write a history of people born in 1950; an encounter is (person's number, kind, start, end, facts)."""
    person = pl.DataFrame(
        {
            "person_id": [f"{number:03d}" for number in range(people)],
            "birth_date": [date(1950, 6, 1)] * people,
            "sex": ["female"] * people,
            "death_date": pl.Series([(deaths or {}).get(number) for number in range(people)], dtype=pl.Date),
        }
    )
    coverage = person.select("person_id", start_date=pl.lit(covered[0]), end_date=pl.lit(covered[1]))
    rows = [
        {
            "encounter_id": str(number),
            "person_id": f"{who:03d}",
            "kind": kind,
            "start": datetime.combine(start, datetime.min.time()),
            "end": datetime.combine(end, datetime.min.time()),
            "discharge_disposition": facts.get("disposition"),
            "allowed": facts.get("allowed"),
            "recorded_at": facts.get("recorded_at"),
        }
        for number, (who, kind, start, end, facts) in enumerate(encounters)
    ]
    schema = {
        "encounter_id": pl.String,
        "person_id": pl.String,
        "kind": pl.String,
        "start": TIMES,
        "end": TIMES,
        "discharge_disposition": pl.String,
        "allowed": pl.Float64,
        "recorded_at": TIMES,
    }
    events = pl.DataFrame(
        [(f"{who:03d}", datetime(2021, 5, 1), kind, system, code) for who, kind, system, code in codes],
        schema={
            "person_id": pl.String,
            "time": TIMES,
            "kind": pl.String,
            "code_system": pl.String,
            "code": pl.String,
        },
        orient="row",
    )
    parts = [
        Part("person", person, "person"),
        Part("coverage", coverage, "coverage"),
        Part("encounter", pl.DataFrame(rows, schema=schema), "encounter"),
        Part("event", events, "event"),
    ]
    return write_history(parts, path / "history", source_format="simulated", shards=3)


def day(year: int, month: int, number: int) -> date:
    return date(year, month, number)


def rate(history: History, year: int, band: str) -> dict:
    return compare_with_usual(history).rates.filter(year=year, band=band).row(0, named=True)


def test_rates_are_per_covered_year_and_stays_are_joined(tmp_path: Path) -> None:
    """20 of 40 persons are admitted once in 2021; ten of the stays have two segments."""
    stays = [(who, "inpatient", day(2021, 3, 1), day(2021, 3, 5), {"allowed": 1200.0}) for who in range(20)]
    stays += [(who, "inpatient", day(2021, 3, 6), day(2021, 3, 9), {}) for who in range(10)]
    found = rate(make(tmp_path, stays), 2021, "65-74")
    assert found["members"] == PEOPLE
    assert found["member_years"] == pytest.approx(PEOPLE * 365 / 365.25, abs=0.1)
    assert found["admissions"] == pytest.approx(20 / (PEOPLE * 365 / 365.25) * 1000)
    assert found["spent"] == pytest.approx(20 * 1200 / (PEOPLE * 365 / 365.25) / 12)
    assert found["ed_visits"] == found["deaths"] == found["returns"] == 0


def test_half_a_year_counts_half_and_uncovered_days_do_not_count(tmp_path: Path) -> None:
    stays = [(who, "inpatient", day(2021, 3, 1), day(2021, 3, 5), {}) for who in range(20)]
    stays += [(who, "inpatient", day(2021, 9, 1), day(2021, 9, 5), {}) for who in range(20)]
    history = make(tmp_path, stays, covered=(date(2021, 1, 1), date(2021, 6, 30)))
    found = rate(history, 2021, "all")
    assert found["member_years"] == pytest.approx(PEOPLE * 181 / 365.25, abs=0.1)
    assert found["admissions"] == pytest.approx(20 / (PEOPLE * 181 / 365.25) * 1000)


@pytest.mark.parametrize(("gap", "returns"), [(2, 50.0), (30, 50.0), (31, 0.0)])
def test_returns_within_30_days(tmp_path: Path, gap: int, returns: float) -> None:
    """All 40 come back once: 80 discharges, 40 of them with a return."""
    stays = []
    for who in range(PEOPLE):
        stays.append((who, "inpatient", day(2021, 3, 1), day(2021, 3, 5), {}))
        back = day(2021, 3, 5) + timedelta(days=gap)
        stays.append((who, "inpatient", back, back, {}))
    assert rate(make(tmp_path, stays), 2021, "all")["returns"] == returns


def test_those_who_died_in_hospital_cannot_return(tmp_path: Path) -> None:
    stays = [
        (who, "inpatient", day(2021, 3, 1), day(2021, 3, 5), {"disposition": "died" if who < 20 else "home"})
        for who in range(PEOPLE)
    ]
    stays += [(who, "inpatient", day(2021, 3, 15), day(2021, 3, 15), {}) for who in range(20, 35)]
    found = rate(make(tmp_path, stays), 2021, "all")
    assert found["returns"] == pytest.approx(15 / 35 * 100)


@pytest.mark.parametrize(("persons", "shown"), [(10, False), (11, True), (0, True)])
def test_small_cells_are_withheld(tmp_path: Path, persons: int, shown: bool) -> None:
    visits = [(who, "emergency", day(2021, 3, 1), day(2021, 3, 1), {}) for who in range(persons)]
    found = rate(make(tmp_path, visits), 2021, "all")
    assert (found["ed_visits"] is not None) is shown
    assert found["admissions"] == 0


def test_a_cell_of_few_members_is_not_there_at_all(tmp_path: Path) -> None:
    history = make(tmp_path, [], people=10)
    assert compare_with_usual(history).rates.is_empty()
    assert "no coverage of 11 persons" in compare_with_usual(history).to_text()


@pytest.mark.parametrize(
    ("admissions", "shown"),
    [
        ((20, 20, 20, 20), {"under 65", "65-74", "75-84", "85 and over", "65 and over", "all"}),
        ((20, 20, 20, 4), {"under 65", "65 and over", "all"}),
        ((4, 20, 20, 20), {"65-74", "75-84", "85 and over", "65 and over"}),
        ((20, 4, 3, 2), {"under 65"}),
    ],
    ids=["none is small", "a small band of the old", "few under 65", "few of 65 and over"],
)
def test_no_small_cell_can_be_worked_out_from_the_others(
    admissions: tuple[int, ...], shown: set[str]
) -> None:
    """What is shown of a year never leaves one small band as a difference."""
    counted = pl.DataFrame(
        {
            "year": 2021,
            "band": ["under 65", *OLD],
            "member_years": 100.0,
            "members": 100,
            "admissions": admissions,
            "ed_visits": 0,
            "discharges": 0,
            "returns": 0,
            "deaths": 0,
            "spent": 0.0,
        }
    )
    table = by_year(counted)
    assert set(table.drop_nulls("admissions")["band"]) == shown
    assert set(table.drop_nulls("ed_visits")["band"]) == set(table["band"])


def test_rates_beside_published_ones(tmp_path: Path) -> None:
    """All die in 2022, nobody before: 0 in 2021 is below, about 1,000 per 1,000 above what is published."""
    history = make(tmp_path, [], deaths=dict.fromkeys(range(PEOPLE), date(2022, 12, 30)))
    found = compare_with_usual(history)
    deaths = found.compared.filter(pl.col("measure").str.starts_with("deaths"))
    assert dict(deaths.select("year", "verdict").rows()) == {2021: "below", 2022: "above"}
    said = [remark for remark in found.remarks if remark.startswith("deaths")]
    assert len(said) == 1
    assert "in 2022, above what is published (44 to 53; Krumholz" in said[0]


def test_unmapped_codes_are_counted_and_only_frequent_ones_named(tmp_path: Path) -> None:
    codes = [(who, "diagnosis", "ICD10CM", "I50.9") for who in range(PEOPLE)]
    codes += [(who, "diagnosis", "ICD10CM", "HF-1") for who in range(12)]
    codes += [(who, "procedure", "ICD10PCS", "12345") for who in range(10)]
    found = compare_with_usual(make(tmp_path, [], codes=codes))
    assert found.codes.select("kind", "code_system", "rows", "unmapped").rows() == [
        ("diagnosis", "ICD10CM", 52, 12),
        ("procedure", "ICD10PCS", 10, None),
    ]
    assert found.examples.rows() == [("diagnosis", "ICD10CM", "HF-1", 12)]
    assert "12345" not in found.to_text() + json.dumps(found.to_dict())


def test_claim_lag(tmp_path: Path) -> None:
    """Of 20 visits 18 are known after 10 days, two after 100."""
    visits = [
        (
            who,
            "office",
            day(2021, 3, 1),
            day(2021, 3, 1),
            {"recorded_at": datetime(2021, 3, 1) + timedelta(days=lag)},
        )
        for who, lag in enumerate([10] * 18 + [100] * 2)
    ]
    lag = compare_with_usual(make(tmp_path, visits)).lag.row(0, named=True)
    assert lag == {
        "kind": "office",
        "encounters": 20,
        "known": 20,
        "median": 10,
        "p90": 10,
        "within_90_days": 0.9,
    }


def test_run_out_of_the_last_months(tmp_path: Path) -> None:
    """40 visits a month and 15 in the last; coverage that goes on after the last claim says nothing."""
    ninths = [day(2021 + month // 12, month % 12 + 1, 9) for month in range(23)]
    visits = [
        (who, "office", seen, seen, {})
        for seen in ninths
        for who in range(15 if seen == ninths[-1] else PEOPLE)
    ]
    found = compare_with_usual(make(tmp_path, visits))
    months = dict(found.run_out.select("month", "encounters").rows())
    assert list(months) == [date(2022, month, 1) for month in range(6, 12)]
    assert months[date(2022, 10, 1)] == 40
    assert months[date(2022, 11, 1)] == 15
    said = [remark for remark in found.remarks if remark.startswith("office")]
    assert len(said) == 1
    assert "1 of the last 6 months is thin, since November 2022, down to 38% of the usual 40" in said[0]


def test_the_command_writes_text_json_and_a_page(tmp_path: Path) -> None:
    visits = [(who, "office", day(2021, 3, 1), day(2021, 3, 1), {}) for who in range(20)]
    path = str(make(tmp_path, visits).path)
    run = CliRunner()
    text = run.invoke(main, ["check", path, "--out", str(tmp_path / "c.json")])
    assert text.exit_code == 0, text.output
    assert "Tasks that this history can support:" in text.output
    written = json.loads((tmp_path / "c.json").read_text("utf-8"))
    verdicts = {entry["task"]: entry["verdict"] for entry in written["tasks"]}
    assert verdicts["ed-visit-12m"] == verdicts["cost-12m"] == verdicts["mortality-30d"] == "no"
    assert written["plausibility"]["rates"]
    assert written["rows"] == {"person": 40, "coverage": 40, "encounter": 20, "event": 0}
    page = run.invoke(main, ["check", path, "--out", str(tmp_path / "c.html")])
    assert page.exit_code == 0, page.output
    html = (tmp_path / "c.html").read_text("utf-8")
    first = html.index("this history supports")
    assert first < html.index("<h2>Beside what is usual</h2>") < html.index(">member years</th>")
    assert "mortality-30d-ami" in html
    assert "http" not in html
    refused = run.invoke(main, ["check", path, "--out", str(tmp_path / "c.xls")])
    assert refused.exit_code == 1
    assert "end it in .json or .html" in refused.output


def test_de_synpuf_is_told_what_it_cannot_do(shared_data: Path, tmp_path: Path) -> None:
    """The 1,596 beneficiaries with outpatient claims have half the usual ED visits, and strange codes."""
    from riskmodels.history import ingest

    ingest("desynpuf", shared_data / "patients" / "desynpuf_outpatient_1596", tmp_path / "h")
    found = compare_with_usual(open_history(tmp_path / "h"))
    assert any(remark.startswith("ED visits per 1,000") and "below" in remark for remark in found.remarks)
    assert "201E5" in found.examples["code"].to_list()
