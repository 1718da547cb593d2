"""Panel benchmarks: the arithmetic by hand, completion, credibility, attribution, dollars with bounds."""

from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.benchmarks import read_benchmark
from riskmodels.benchmarks.attribution import attribute, given_attribution
from riskmodels.benchmarks.completion import completion_of_years, completion_pattern
from riskmodels.benchmarks.credibility import buhlmann_straub, limited_fluctuation
from riskmodels.benchmarks.panel import panel_benchmark
from riskmodels.benchmarks.panel_frames import panel_by_category
from riskmodels.benchmarks.panel_math import PersonYears, cells_of, expect, trend_table
from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError, SpecError
from riskmodels.history import Part, write_history
from riskmodels.payments import pay


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store 4,000 simulated patients of 2021 to 2023."""
    path = tmp_path_factory.mktemp("panel") / "history"
    simulate(4_000, seed=3).write(path)
    return path


def years(**changes: object) -> PersonYears:
    """Return two panels and one person apart, in a benchmark and a performance year, a category."""
    arrays = {
        "panel": [0, 0, 1, -1, 0, 0, 1, -1],
        "year": [0, 0, 0, 0, 1, 1, 1, 1],
        "category": [0] * 8,
        "cost": [1200.0, 2400.0, 600.0, 1800.0, 2400.0, 2400.0, 1200.0, 1200.0],
        "months": [12.0] * 8,
        "risk": [1.0, 1.0, 0.5, 1.5, 1.0, 2.0, 0.5, 0.5],
        "person": [0, 1, 2, 3, 0, 1, 2, 3],
    }
    found = {name: np.array(values) for name, values in {**arrays, **changes}.items()}
    return PersonYears(pl.Series(["a", "b"]), (2022, 2023), ("all",), **found)


def test_an_expected_cost_is_history_trended_and_adjusted_for_risk() -> None:
    """Panel a: $150 a month x 1800/1500 trend x risk 1.5/1; panel b: $50 x 1.2 x risk 0.5/0.5; in dollars."""
    found = expect(cells_of(years()), (1.0,), np.ones(2))
    assert found.expected.ravel().tolist() == pytest.approx([150 * 1.2 * 1.5 * 24, 50 * 1.2 * 12])
    assert found.observed.ravel().tolist() == [4800, 1200]


def test_without_credibility_everyones_cost_at_the_panels_risk_is_expected() -> None:
    """With Z = 0, $150 a month for everyone in 2023, times 1.5 and 0.5 of the mean risk."""
    found = expect(cells_of(years()), (1.0,), np.zeros(2))
    assert found.expected.ravel().tolist() == pytest.approx([150 * 1.5 * 24, 150 * 0.5 * 12])


def test_a_rise_of_risk_is_capped_and_a_fall_is_not() -> None:
    """Panel a's risk rises by half, of which 3% count; where it falls by half, all of it counts."""
    rise = expect(cells_of(years()), (1.0,), np.ones(2), risk_cap=0.03).expected[0, 0]
    assert rise == pytest.approx(150 * 1.2 * 1.03 * 24)
    lower = years(risk=[2.0, 2.0, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0])
    same = [expect(cells_of(lower), (1.0,), np.ones(2), risk_cap=cap).expected[0, 0] for cap in (None, 0.03)]
    assert same[0] == same[1]


def test_weights_of_persons_are_repeats() -> None:
    """A person counted twice is two persons."""
    data = years()
    doubled = cells_of(data, np.array([2.0, 1.0, 1.0, 1.0]))
    assert doubled.cost[0, 0, 0] == 2 * 1200 + 2400
    assert doubled.all_months[0, 0] == 60


def test_a_given_trend_needs_every_year_and_category() -> None:
    """A factor for all categories will do; a missing one is named."""
    assert trend_table({(2021, "all"): 1.1, (2022, "x"): 1.05}, [2021, 2022], ["x"]).ravel().tolist() == [
        1.1,
        1.05,
    ]
    with pytest.raises(DataError, match="no trend factor above 0 for 2022 and 'x'"):
        trend_table({(2021, "all"): 1.1}, [2021, 2022], ["x"])


def test_completion_is_the_chain_ladder_by_hand() -> None:
    """Half of a month is known at once, three quarters after a month, all after two."""
    rows = [
        (month, month + lag, amount) for month in range(1, 9) for lag, amount in ((0, 50), (1, 25), (2, 25))
    ]
    triangle = pl.DataFrame(rows, schema=["service", "recorded", "amount"], orient="row")
    pattern = completion_pattern(triangle, 8)
    assert pattern["completion"].to_list()[:3] == pytest.approx([0.5, 0.75, 1.0])


def test_the_share_of_a_year_that_is_known_scales_it_to_the_whole() -> None:
    """Claims of 2023 seen at the end of December: what is known over the share known is what will be."""
    rows = [
        (12 * 2023 + month, 12 * 2023 + month + lag, amount)
        for month in range(1, 13)
        for lag, amount in ((0, 60.0), (1, 40.0))
    ]
    triangle = pl.DataFrame(rows, schema=["service", "recorded", "amount"], orient="row")
    share = completion_of_years(triangle, (2023,), datetime(2024, 1, 1))[2023]
    known = 11 * 100 + 60
    assert known / share == pytest.approx(1200)


def test_credibility_rises_with_size_and_with_the_difference_between_panels() -> None:
    """Of equal panels nothing is believed; of panels that differ, more of the larger ones."""
    draw = np.random.default_rng(0)
    panel = np.repeat(np.arange(200), [50, 500] * 100)
    expected = np.full(len(panel), 100.0)
    for spread, low, high in ((0.0, 0.0, 0.3), (0.3, 0.9, 1.0)):
        level = 1 + spread * np.where(np.arange(200) % 4 < 2, 1, -1)
        cost = draw.gamma(0.5, 2 * expected * level[panel])
        found = buhlmann_straub(cost, expected, panel, 200)
        assert low <= found[1::2].mean() <= high
        assert (found[1::2] >= found[::2]).all()


def test_credibility_recovers_the_ratio_of_the_variances() -> None:
    """Z = m / (m + s2/a) with s2 and a as simulated: 100 panels of 200 persons of $1, s2 = 4, a = 0.04."""
    draw = np.random.default_rng(1)
    panel = np.repeat(np.arange(100), 200)
    ratio = draw.normal(1, 0.2, 100)
    cost = ratio[panel] + draw.normal(0, 2, len(panel))
    found = buhlmann_straub(cost, np.ones(len(panel)), panel, 100)
    assert found[0] == pytest.approx(200 / (200 + 4 / 0.04), abs=0.08)


def test_limited_fluctuation_credibility_is_full_at_the_standard() -> None:
    """1,082 claims' worth at a coefficient of variation of 1: full there, half of it at a quarter."""
    full = (1.645 / 0.05) ** 2
    assert limited_fluctuation([full, full / 4, 10 * full], 1.0).tolist() == pytest.approx([1.0, 0.5, 1.0])
    with pytest.raises(SpecError, match="coefficient of variation"):
        limited_fluctuation([1.0], 0.0)


def test_people_belong_to_whom_most_of_last_years_charges_went(tmp_path: Path) -> None:
    """Charges decide, not visits; hospital stays and other years do not count."""
    people = pl.DataFrame({"person_id": ["p"], "birth_date": [date(1950, 1, 1)], "sex": ["male"]})
    visits = [
        ("office", 2022, "few", 300.0),
        ("office", 2022, "many", 100.0),
        ("office", 2022, "many", 100.0),
        ("inpatient", 2022, "stay", 9000.0),
        ("office", 2023, "later", 900.0),
    ]
    rows = [
        {"encounter_id": f"e{n}", "person_id": "p", "kind": kind, "start": datetime(year, 5, 1 + n),
         "end": datetime(year, 5, 1 + n), "provider_id": who, "allowed": charge}
        for n, (kind, year, who, charge) in enumerate(visits)
    ]  # fmt: skip
    parts = [Part("person", people, "p"), Part("encounter", pl.DataFrame(rows), "e")]
    history = write_history(parts, tmp_path / "h", source_format="test", shards=1)
    assert attribute(history, [2023]).rows() == [("p", 2023, "few")]
    with pytest.raises(DataError, match="no office or outpatient visit of 2021"):
        attribute(history, [2022])
    with pytest.raises(SpecError, match="not by 'aco'"):
        attribute(history, [2023], "aco")


def test_a_list_of_members_may_not_name_anyone_twice() -> None:
    """One row a person, or one a person and year."""
    once = pl.DataFrame({"person_id": ["a"], "aco_id": ["A1"]})
    assert given_attribution(once, [2022, 2023], "aco_id").height == 2
    with pytest.raises(DataError, match="assigned twice"):
        given_attribution(pl.concat([once, once]), [2022], "aco_id")


@pytest.fixture(scope="module")
def made(history: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Path]:
    """Benchmark the panels of two ACOs, and write it."""
    people = [f"P{n:07d}" for n in range(1, 4001)]
    members = pl.DataFrame({"person_id": people, "aco_id": ["A1" if n % 3 else "A2" for n in range(4000)]})
    result = panel_benchmark(history, 2023, by="aco_id", members=members, risk="demographics", n_draws=60,
                             credibility="none")  # fmt: skip
    path = tmp_path_factory.mktemp("written") / "panel.parquet"
    result.write(path)
    return result.frame, path


def test_panels_that_are_everyone_cost_what_everyone_does(made: tuple[pl.DataFrame, Path]) -> None:
    """Two panels at random cost what was expected, within their interval, and add up to the whole."""
    frame, _ = made
    assert frame["observed"].sum() == pytest.approx(frame["expected"].sum(), rel=0.1)
    for row in frame.iter_rows(named=True):
        assert row["ratio_lower"] < row["ratio"] < row["ratio_upper"]
        assert row["observed_pmpm"] * row["member_months"] == pytest.approx(row["observed"])
    assert frame["n"].is_between(100, 4000).all()


def test_what_is_written_is_read_with_its_draws(made: tuple[pl.DataFrame, Path]) -> None:
    """The file reads back as a benchmark: frame, draws of dollars, metadata, and the categories beside it."""
    frame, path = made
    again = read_benchmark(path)
    assert again.frame.equals(frame)
    assert again.draws.columns == ["aco_id", "draw", "ratio", "observed", "expected"]
    assert again.draws.height == 120
    assert path.with_name("panel.enrolment.parquet").is_file()


@pytest.mark.parametrize(("program", "year"), [("mssp", 2022), ("aco-reach", 2024)])
def test_pay_takes_a_panel_benchmark_as_it_is(
    made: tuple[pl.DataFrame, Path], tmp_path: Path, program: str, year: int
) -> None:
    """Benchmark and expenditures are the file's, and what is paid has an interval that holds it."""
    frame, path = made
    acos = tmp_path / "acos.csv"
    acos.write_text(
        "aco_id,track,quality_score,minimum_savings_rate,risk_arrangement\n"
        "A1,EN,0.9,0.005,Global\nA2,E,0.9,0.005,Professional\n"
    )
    payment = pay(program, path, year=year, acos=acos)
    both = payment.frame.join(frame, on="aco_id")
    assert both["expenditures"].to_list() == pytest.approx(both["observed"].to_list())
    paid = {"mssp": "earned_savings_losses", "aco-reach": "payment"}[program]
    assert (both[f"{paid}_lower"] <= both[paid]).all()
    assert (both[paid] <= both[f"{paid}_upper"]).all()
    assert (both[f"{paid}_lower"] < both[f"{paid}_upper"]).any()
    assert str(path) in payment.inputs.frames["acos"]["source_file"][0]
    text = str(payment.audit("A1"))
    assert f"[{path.name}, aco_id A1, column observed]" in text
    assert f"[acos.csv, column {'track' if program == 'mssp' else 'risk_arrangement'}]" in text
    assert "ABtotBnchmk" not in text
    dearer = payment.what_if({"expenditures": "+50%"}).frame
    assert (dearer["expenditures_upper"] > 1.4 * payment.frame["expenditures_upper"]).all()


def test_a_row_of_the_companion_may_stand_for_all(made: tuple[pl.DataFrame, Path], tmp_path: Path) -> None:
    """The row of * is that of every ACO without its own."""
    acos = tmp_path / "acos.csv"
    acos.write_text("aco_id,track,quality_score,minimum_savings_rate\n*,EN,0.9,0.01\nA2,E,0.9,0.02\n")
    frame = pay("mssp", made[1], year=2022, acos=acos).frame
    assert frame.select("aco_id", "track").rows() == [("A1", "EN"), ("A2", "E")]


def test_pay_says_what_a_panel_benchmark_lacks(made: tuple[pl.DataFrame, Path], tmp_path: Path) -> None:
    """Without a companion, with one that lacks an ACO, or without the savings rate of a two-sided one."""
    _, path = made
    with pytest.raises(DataError, match="no such file"):
        pay("mssp", tmp_path / "nowhere.parquet", year=2022, acos=path)
    with pytest.raises(SpecError, match="give the option acos"):
        pay("mssp", path, year=2022)
    acos = tmp_path / "acos.csv"
    acos.write_text("aco_id,track,quality_score\nA1,EN,0.9\n")
    with pytest.raises(DataError, match="1 of 2 panels missing, such as 'A2'"):
        pay("mssp", path, year=2022, acos=acos)
    acos.write_text("aco_id,track,quality_score\nA1,EN,0.9\nA2,EN,0.9\n")
    with pytest.raises(DataError, match="no minimum savings rate of 2 ACOs"):
        pay("mssp", path, year=2022, acos=acos)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"year": 2029}, "choose among the years that have persons: 2022, 2023"),
        ({"year": 2022}, "needs a benchmark year before it"),
        ({"year": 2023, "risk": "modle"}, "did you mean 'model'"),
        ({"year": 2023, "credibility": "bulmann"}, "did you mean 'buhlmann'"),
        ({"year": 2023, "weights": [0.5, 0.5], "risk": "none"}, "give one of at least 0 for each"),
        ({"year": 2023, "task": "readmission-30d"}, "is no cost"),
        ({"year": 2023, "risk": "hcc", "model": "m"}, "leaves the model without effect"),
    ],
    ids=["year", "no benchmark year", "risk", "credibility", "weights", "task", "risk and model"],
)
def test_what_cannot_be_benchmarked_is_said(history: Path, options: dict, message: str) -> None:
    """The error names the argument and the remedy."""
    with pytest.raises((SpecError, DataError), match=message):
        panel_benchmark(history, by="facility_id", n_draws=0, **options)


def test_small_panels_are_withheld(history: Path) -> None:
    """A small panel has no figures, no draws and no categories; a lone small category hides another."""
    result = panel_benchmark(history, 2023, by="facility_id", risk="none", n_draws=2, minimum_n=60)
    small = result.frame.filter("suppressed")
    assert small.height > 0
    assert small["observed"].is_null().all()
    assert small["n"].is_null().all()
    assert not set(small["facility_id"]) & set(result.draws["facility_id"])
    hidden = result.tables["enrolment"].group_by("facility_id").agg(pl.col("n").is_null().sum())
    assert 1 not in set(hidden["n"])


def test_where_every_panel_is_small_no_sum_is_said(history: Path) -> None:
    """Nothing spent by nobody would be said of panels that are withheld."""
    result = panel_benchmark(history, 2023, by="facility_id", risk="none", n_draws=0, minimum_n=10**6)
    said = result.to_text()
    assert "every one withheld as small; risk by none" in said
    assert "$" not in said


def test_the_command_writes_what_pay_reads(history: Path, tmp_path: Path) -> None:
    """Panels by facility from the command line, with a given trend."""
    trend = tmp_path / "trend.csv"
    trend.write_text("year,enrolment,factor\n2022,all,1.04\n")
    words = [
        "--year",
        "2023",
        "--base-years",
        "2022",
        "--by",
        "facility_id",
        "--risk",
        "none",
        "--draws",
        "5",
    ]
    files = ["--trend", str(trend), "--out", str(tmp_path / "p.csv")]
    done = CliRunner().invoke(main, ["panel", str(history), *words, *files])
    assert done.exit_code == 0, done.output
    assert "2023 against 2022 by facility_id" in done.output
    assert read_benchmark(tmp_path / "p.csv").metadata["n_draws"] == 5


@pytest.mark.parametrize(
    ("sizes", "hidden"),
    [((40, 5, 0), 2), ((40, 3, 4), 3), ((40, 20, 30), 0), ((40, 8, 9), 2)],
    ids=["one beside an empty one", "two that sum to seven", "none small", "two that sum to 17"],
)
def test_small_categories_cannot_be_worked_out_from_the_panel(sizes: tuple[int, ...], hidden: int) -> None:
    """The panel's own figures are shown: a small category is never alone withheld, nor with a small sum."""
    category = np.repeat(np.arange(3), sizes)
    one = np.ones(len(category))
    data = PersonYears(
        pl.Series(["P"]), (2022, 2023), ("a", "b", "c"), np.zeros(2 * len(one), dtype=int),
        np.repeat([0, 1], len(one)), np.tile(category, 2), np.tile(one, 2), np.tile(12 * one, 2),
        np.tile(one, 2), np.tile(np.arange(len(one)), 2),
    )  # fmt: skip
    best = expect(cells_of(data), [1.0], np.ones(1))
    frame = panel_by_category(data, best, "panel", np.array([True]))
    assert frame["n"].null_count() == hidden
    assert frame["observed_pmpm"].null_count() == hidden
    assert panel_by_category(data, best, "panel", np.array([True]), suppress=False)["n"].null_count() == 0
