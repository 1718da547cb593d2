"""ACO REACH and Direct Contracting."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import load_rules, pay
from riskmodels.payments.aco_reach import PROGRAM
from riskmodels.payments.program import Inputs

Writer = Callable[..., Path]


@pytest.mark.parametrize("year", [2021, 2022, 2023])
def test_every_published_aco_is_within_two_dollars(shared_data: Path, year: int) -> None:
    path = shared_data / "payments" / "reach" / "reach_performance.json"
    frame = pay("aco-reach", path, year=year).frame
    records = [row for row in json.loads(path.read_text()) if row["perf_year"] == year]
    published = pl.DataFrame(records, infer_schema_length=None)
    assert frame["aco_id"].to_list() == published["aco_id"].to_list()
    for name in ("gross_savings", "shared_savings"):
        assert (frame[name] - published[name]).abs().max() < 2


@pytest.fixture
def results(tmp_path: Path) -> Writer:
    """Return a writer of a result file with one ACO of PY 2021."""

    def write(**cells: object) -> Path:
        row = {"aco_id": "D0001", "perf_year": 2021, "risk_arrangement": "Professional", **cells}
        path = tmp_path / "reach.json"
        path.write_text(json.dumps([row]), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("arrangement", "benchmark", "gross", "shared", "paid"),
    [
        # D0032, D0048 and D0004 of PY 2021 (CMS results, a federal work).
        ("Professional", 29_319_668.2706, 2_580_322.5148, 1_123_010.3922, 1_100_550.1844),
        ("Professional", 106_870_080.4415, 4_910_847.3613, 2_455_423.6806, 2_406_315.207),
        ("Global", 75_558_439.911589, 3_879_554.460769, 3_879_554.460769, 3_801_963.3716),
        # By hand: 25 + 5 + 3.75 + 1 of 100; 2.5 + 1.75 + 0.75 + 0.25 of 100, as a loss.
        ("Global", 100.0, 60.0, 34.75, 34.055),
        ("Professional", 100.0, -20.0, -5.25, -5.25),
    ],
)
def test_corridors(
    results: Writer, arrangement: str, benchmark: float, gross: float, shared: float, paid: float
) -> None:
    path = results(
        risk_arrangement=arrangement, final_benchmark=benchmark, tot_cost_care_net=benchmark - gross
    )
    frame = pay("aco-reach", path, year=2021).frame
    assert frame["shared_savings"][0] == pytest.approx(shared, abs=0.001)
    assert frame["payment"][0] == pytest.approx(paid, abs=0.001)


def test_the_equity_adjustment_is_implied_in_whole_dollars_or_given(results: Writer, tmp_path: Path) -> None:
    cells = {
        "perf_year": 2023,
        "risk_arrangement": "Global",
        "final_benchmark": 1e6,
        "tot_cost_care_net": 9e5,
    }
    payment = pay("aco-reach", results(**cells, gross_savings=100_600.01), year=2023)
    assert payment.frame["health_equity_adjustment"].to_list() == [600]
    assert payment.frame["savings_rate"][0] == pytest.approx(100_600 / 1_000_600)
    assert "imply" in str(payment.audit("D0001"))
    with pytest.raises(DataError, match="no multiple of"):
        pay("aco-reach", results(**cells, gross_savings=100_602.5), year=2023)
    given = tmp_path / "heba.csv"
    given.write_text("aco_id,health_equity_adjustment\nD0001,-300\n", encoding="utf-8")
    frame = pay("aco-reach", results(**cells), year=2023, equity_adjustment=given).frame
    assert frame["gross_savings"].to_list() == [99_700]


@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_without_gross_savings_the_savings_rate_tells_the_equity_adjustment(
    results: Writer, unit: float
) -> None:
    """The rate is of the benchmark before the adjustment: 101,200 of a million."""
    cells = {
        "perf_year": 2023,
        "risk_arrangement": "Global",
        "final_benchmark": 1e6,
        "tot_cost_care_net": 9e5,
    }
    rate = 0.1012 * unit
    frame = pay("aco-reach", results(**cells, gross_savings=None, sav_rate=rate), year=2023).frame
    assert frame["health_equity_adjustment"].to_list() == [1_200]
    assert frame["gross_savings"].to_list() == [101_200]


def test_the_layouts_of_cms_own_files_are_understood(shared_data: Path, tmp_path: Path) -> None:
    """CMS's files have capitals, one year each without saying it, and rates and scores as shares of one."""
    path = shared_data / "payments" / "reach" / "reach_performance.json"
    expected = pay("aco-reach", path, year=2022)
    rows = [row for row in json.loads(path.read_text()) if row.pop("perf_year") == 2022]
    shares = {"sav_rate": 100, "qual_scr": 100, "discount": 100}
    table = pl.DataFrame(rows, infer_schema_length=None)
    table = table.with_columns(
        *(pl.col(name) / of for name, of in shares.items()), pl.col("risk_arrangement").str.to_uppercase()
    )
    table.rename(str.upper).write_csv(tmp_path / "puf.csv")
    found = pay("aco-reach", tmp_path / "puf.csv", year=2022)
    assert found.frame["shared_savings"].to_list() == pytest.approx(
        expected.frame["shared_savings"].to_list()
    )
    scores = [payment.inputs.frames["acos"]["quality_score"].to_list() for payment in (found, expected)]
    assert scores[0] == pytest.approx(scores[1])


def test_records_may_stand_among_what_describes_them(tmp_path: Path) -> None:
    row = {"aco_id": "D1", "perf_year": 2021, "risk_arrangement": "Global", "final_benchmark": 100.0,
           "tot_cost_care_net": 90.0}  # fmt: skip
    path = tmp_path / "reach.json"
    path.write_text(json.dumps({"years": [2021], "records": [row]}), encoding="utf-8")
    assert pay("aco-reach", path, year=2021).frame["gross_savings"].to_list() == [10]
    path.write_text(json.dumps({"years": [2021]}), encoding="utf-8")
    with pytest.raises(DataError, match="not a list of records"):
        pay("aco-reach", path, year=2021)


def test_the_benchmark_is_rebuilt_from_discount_and_quality(results: Writer) -> None:
    """PY 2023: a Global ACO has 3% taken off, and 2% times what its quality score lacks."""
    cells = {"perf_year": 2023, "risk_arrangement": "Global", "tot_cost_care_net": 900.0, "qual_scr": 75}
    payment = pay("aco-reach", results(**cells, benchmark_before_discount=1000.0), year=2023)
    assert payment.frame["benchmark"].to_list() == pytest.approx([1000 * (1 - 0.03 - 0.005)])
    better = payment.what_if({"quality_score": 1.0})
    assert better.frame["benchmark"].to_list() == pytest.approx([970])
    published = pay("aco-reach", results(**cells, final_benchmark=965.0), year=2023)
    assert "benchmark before discount and quality withhold: $1,000.00" in str(published.audit("D0001"))
    with pytest.raises(DataError, match="no quality score"):
        pay("aco-reach", results(**cells | {"qual_scr": None}, benchmark_before_discount=1.0), year=2023)


def test_the_withhold_of_2023_is_what_the_published_benchmarks_say(shared_data: Path) -> None:
    """Among ACOs of one arrangement the benchmark falls by 2% of itself for each point of quality lost."""
    path = shared_data / "payments" / "reach" / "reach_performance.json"
    rows = [row for row in json.loads(path.read_text()) if row["perf_year"] == 2023]
    frame = pl.DataFrame(rows, infer_schema_length=None).filter(pl.col("risk_arrangement") == "Global")
    taken = 1 - 0.03 - 0.02 * (1 - pl.col("qual_scr") / 100)
    trend = frame.select(pl.col("final_benchmark") / pl.col("unadj_benchmark") / taken).to_series()
    near = (trend / trend.median() - 1).abs() < 0.0005  # the trend of the year is the same for all
    assert near.mean() > 0.9


def test_capitation_moves_cash_and_not_the_savings(results: Writer, tmp_path: Path) -> None:
    """By hand: 600 + 100 paid less 550 of claims; at settlement 49 of savings less the enhanced 100."""
    path = results(risk_arrangement="Global", final_benchmark=1000.0, tot_cost_care_net=950.0)
    flow = tmp_path / "capitation.csv"
    header = "aco_id,month,base_pcc,enhanced_pcc,claims_reduced"
    flow.write_text(header + "\nD0001,1,300,50,250\nD0001,2,300,50,300\n", encoding="utf-8")
    payment = pay("aco-reach", [path, flow], year=2021)
    row = payment.frame.row(0, named=True)
    assert (row["gross_savings"], row["payment"]) == pytest.approx((50, 49))
    assert row["capitation_paid"] == 700
    assert row["cash_in_year"] == pytest.approx(150)
    assert row["cash_at_settlement"] == pytest.approx(49 - 100)
    assert "capitation" in payment.unverified
    assert "Capitation cash flow" in str(payment.audit("D0001"))
    assert payment.what_if({"enhanced_pcc": 0.0}).frame["cash_at_settlement"].to_list() == pytest.approx([49])
    flow.write_text(header + "\nD0001,1,300,50,250\nD0001,1,300,50,300\n", encoding="utf-8")
    with pytest.raises(DataError, match="the same month twice"):
        pay("aco-reach", [path, flow], year=2021)


def test_total_care_capitation_settles_leakage_against_its_withhold(results: Writer, tmp_path: Path) -> None:
    path = results(risk_arrangement="Global", final_benchmark=1000.0, tot_cost_care_net=1000.0)
    flow = tmp_path / "capitation.csv"
    flow.write_text("aco_id,tcc,tcc_withhold,claims_reduced,claims_outside\nD0001,800,200,750,230\n")
    row = pay("aco-reach", [path, flow], year=2021).frame.row(0, named=True)
    assert (row["cash_in_year"], row["cash_at_settlement"]) == pytest.approx((50, -30))


def test_stop_loss_pays_for_outliers_and_charges_all_for_it(tmp_path: Path) -> None:
    """By hand: 80% of 100 to 200 and all beyond of an excess of 300 is 180, charged by benchmark 1 to 2."""
    path, people, bands = (tmp_path / name for name in ("r.json", "people.csv", "bands.csv"))
    rows = [
        {"aco_id": name, "perf_year": 2022, "risk_arrangement": "Global", "final_benchmark": benchmark,
         "tot_cost_care": benchmark, "tot_cost_care_net": 1.0}
        for name, benchmark in (("A", 1000.0), ("B", 2000.0), ("C", 5000.0))
    ]  # fmt: skip
    path.write_text(json.dumps(rows), encoding="utf-8")
    people.write_text("aco_id,expenditures,predicted\nA,400,100\nA,50,100\nB,150,100\n", encoding="utf-8")
    bands.write_text("attachment,limit,payout_share\n100,200,80%\n200,,1\n", encoding="utf-8")
    payment = pay("aco-reach", [path, people, bands], year=2022)
    assert payment.frame["gross_savings"].to_list() == pytest.approx([180 - 60, -120, 0])
    bands.write_text("attachment,limit,payout_share\n100,200,80%\n150,,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="bands overlap"):
        pay("aco-reach", [path, people, bands], year=2022)
    with pytest.raises(SpecError, match="stop-loss takes two files"):
        pay("aco-reach", [path, people], year=2022)


def test_what_if_moves_savings_by_the_share_of_the_band(results: Writer) -> None:
    path = results(final_benchmark=100.0, tot_cost_care_net=93.0)
    payment = pay("aco-reach", path, year=2021)
    assert payment.break_even("D0001").row(0, named=True)["marginal_share"] == 0.35
    after = payment.what_if({"expenditures": "-1"})
    assert payment.compare(after)["shared_savings_change"][0] == pytest.approx(0.35)
    spent = payment.break_even()["expenditures_change"][0]
    assert payment.what_if({"expenditures": f"+{spent}"}).frame["shared_savings"][0] == pytest.approx(0)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"risk_arrangement": "Half"}, "neither Global nor Professional"),
        ({"perf_year": 2022}, "no row of performance year 2021"),
        ({"final_benchmark": None}, "a number is needed"),
        ({"final_benchmark": -1}, "below 1"),
    ],
)
def test_wrong_files_are_refused(results: Writer, cells: dict[str, object], message: str) -> None:
    row = {"final_benchmark": 100.0, "tot_cost_care_net": 90.0, **cells}
    with pytest.raises(DataError, match=message):
        pay("aco-reach", results(**row), year=2021)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["Global", "Professional"]), st.floats(0.2, 2), st.floats(0, 0.5))
def test_spending_more_never_pays_more_and_a_share_is_never_more_than_the_savings(
    arrangement: str, spent: float, more: float
) -> None:
    paid = []
    for expenditures in (spent, spent + more):
        acos = pl.DataFrame(
            {"aco_id": ["a"], "performance_year": [2022], "risk_arrangement": [arrangement],
             "benchmark": [1.0], "expenditures": [expenditures], "health_equity_adjustment": [0.0]}
        )  # fmt: skip
        frame = PROGRAM.settle(Inputs({"acos": acos}), load_rules("aco-reach", 2022)).frame
        assert abs(frame["shared_savings"][0]) <= abs(frame["gross_savings"][0]) + 1e-12
        paid.append(frame["payment"][0])
    assert paid[1] <= paid[0] + 1e-12
