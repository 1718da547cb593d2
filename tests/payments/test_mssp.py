"""The Medicare Shared Savings Program."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError
from riskmodels.payments import load_rules, pay
from riskmodels.payments.mssp_settlement import minimum_savings_rate, settle
from riskmodels.payments.summary import break_even_to_text

Writer = Callable[..., Path]


def _figures(table: pl.DataFrame, name: str) -> pl.Series:
    return table[name].str.replace_all("[,$%]", "").cast(pl.Float64, strict=False)


@pytest.mark.parametrize(("year", "scale"), [(2016, 1), (2021, 100), (2022, 100)])
def test_published_results_are_exact_or_within_the_rounding_of_the_quality_score(
    shared_data: Path, year: int, scale: int
) -> None:
    path = shared_data / "payments" / "mssp" / f"PY{year}.csv"
    frame = pay("mssp", path, year=year).frame
    table = pl.read_csv(path, infer_schema=False)
    earned, generated = _figures(table, "EarnSaveLoss"), _figures(table, "GenSaveLoss")
    # Before PY 2021 the rate is the maximum times a quality score of four decimals.
    rounding = generated.abs() * 0.75 * 0.00005 if year <= 2020 else 0.0
    assert ((frame["earned_savings_losses"] - earned).abs() <= 1 + rounding).all()
    assert ((frame["generated_savings_losses"] - generated).abs() <= 1).all()
    rate = _figures(table, "MinSavPerc") / scale
    assert (frame["minimum_savings_rate"] - rate).abs().max() < 0.000051
    share = _figures(table, "FinalShareRate") / scale
    assert (frame["final_sharing_rate"] - share).abs().max() < 0.0001


@pytest.fixture
def puf(tmp_path: Path) -> Writer:
    """Return a writer of a public use file with one ACO: published names, figures as given."""

    def write(**cells: object) -> Path:
        row = {"ACO_ID": "A0001", "N_AB": 10_000, "MinSavPerc": 0.03, "QualScore": 0.9, "Met_QPS": 1, **cells}
        path = tmp_path / "puf.csv"
        text = ",".join(f'"{cell}"' for cell in row.values())
        path.write_text(",".join(row) + "\n" + text + "\n", encoding="utf-8")
        return path

    return write


# Figures of single ACOs in CMS's public use files (a federal work); a round benchmark stands in for
# CMS's where only the difference is given.
PUBLISHED = {
    "2016 track 1, A67373": (
        2016, {"Current_Track_1": 1, "Current_Track_2": 0, "N_AB": 51150, "MinSavPerc": 0.0218,
               "QualScore": 0.9932, "ABtotBnchmk": 667198021, "ABtotExp": 604446165}, 30540508, 1540),
    "2016 at the limit, A00755": (
        2016, {"Current_Track_1": 1, "N_AB": 6051, "MinSavPerc": 0.0359, "QualScore": 0.8866,
               "ABtotBnchmk": 119762995, "ABtotExp": 91531752}, 11976300, 1),
    "2016 track 3 loss, A17421": (
        2016, {"Current_Track_3": 1, "MinSavPerc": 0, "QualScore": 1, "ABtotBnchmk": 102312000,
               "ABtotExp": 102312000 + 3319801}, -1327920, 1),
    "2022 enhanced, A1001": (
        2022, {"Current_Track": "EN", "N_AB": 74992, "MinSavPerc": "2.00%", "QualScore": "89.41%",
               "ABtotBnchmk": 966116777, "ABtotExp": 903712089}, 45867446, 1),
    "2022 loss offset, A3632": (
        2022, {"Current_Track": "EN", "MinSavPerc": "2.52%", "QualScore": "77.61%", "DisAdj": -3084351,
               "ABtotBnchmk": 200000000, "ABtotExp": 207380155}, 0, 1),
    "2024 reduced A, A5328": (
        2024, {"Current_Track": "A", "N_AB": 9000, "MinSavPerc": 3.1, "QualScore": 80, "Met_AltQPS": "-",
               "Rev_Exp_Cat": "Low Revenue", "Current_Start_Date": "1/1/2024", "ABtotBnchmk": 90000000,
               "ABtotExp": 90000000 - 32084}, 6288, 1),
    "2024 reduced E, A5347": (
        2024, {"Current_Track": "E", "N_AB": 9000, "MinSavPerc": 2, "QualScore": 80,
               "Rev_Exp_Cat": "Low Revenue", "Current_Start_Date": "1/1/2024", "ABtotBnchmk": 90000000,
               "ABtotExp": 90000000 - 176988}, 43362, 1),
    "2024 alternative standard, A2366": (
        2024, {"Current_Track": "E", "N_AB": 9000, "MinSavPerc": 0.5, "QualScore": 76.63, "Met_QPS": 0,
               "Met_AltQPS": 1, "ABtotBnchmk": 200000000, "ABtotExp": 200000000 - 10807317}, 4058007, 540),
    "2024 loss in E, A2246": (
        2024, {"Current_Track": "E", "N_AB": 9000, "MinSavPerc": 1, "QualScore": 80, "DisAdj": 699,
               "ABtotBnchmk": 100000000, "ABtotExp": 101589652}, -476196, 1),
    "2024 loss in enhanced, A2029": (
        2024, {"Current_Track": "EN", "N_AB": 9000, "MinSavPerc": 1, "QualScore": 85, "DisAdj": 1382,
               "ABtotBnchmk": 100000000, "ABtotExp": 103432303}, -1371539, 1),
}  # fmt: skip


@pytest.mark.parametrize("case", list(PUBLISHED))
def test_published_acos(puf: Writer, case: str) -> None:
    year, cells, earned, tolerance = PUBLISHED[case]
    payment = pay("mssp", puf(**cells), year=year)
    assert payment.frame["earned_savings_losses"][0] == pytest.approx(earned, abs=tolerance)


# How the columns and units changed: a published ACO of each layout, cut to the columns that matter.
LAYOUTS = {
    2014: (
        "ACO_Num,year,Start_Date,Track1,Track2,N_AB,MinSavPerc,BnchmkMinExp,QualScore,ABtotBnchmk,ABtotExp",
        "A85439,2014,4/1/12,0,1,7863,0.02,13767494,0.93,108469972,94702479",
        ("2", 7528797, 40_500),  # a quality score of two decimals
    ),
    2017: (
        (
            "ACO_Name,year,Initial_Track_1,Current_Start_Date,Current_Track_1,Current_Track_2,Current_Track_3,N_AB,"
            "MinSavPerc,BnchmkMinExp,DisAdj,Met_QPS,QualScore,ABtotBnchmk,ABtotExp,ACO_Num"
        ),
        "E,2017,1,1/1/16 00:00,0,0,1,26500,0.0100,4159292,,1,0.9281,283258700,279099408,A01714",
        ("3", 2837135, 155),
    ),
    2018: (
        (
            "ACO_ID,Initial_Track_1_Plus,Current_Start_Date,Current_Track_1,Current_Track_2,Current_Track_3,"
            "Current_Track_1_Plus,N_AB,MinSavPerc,BnchmkMinExp,Met_QPS,QualScore,ABtotBnchmk,ABtotExp"
        ),
        "A1033,0,01/01/2016 12:00:00 AM,0,0,0,1,127371,0,37495888,1,0.8531,1497358051,1459862163",
        ("1+", 15673670, 920),
    ),
    2020: (
        (
            "ACO_ID,Current_Track_1,Current_BASIC_A,Current_BASIC_B,Current_ENHANCED,N_AB,MinSavPerc,BnchmkMinExp,"
            "Met_QPS,QualScore,ABtotBnchmk,ABtotExp"
        ),
        "A1070,0,0,1,0,10347,0.0298,56620645,1,96.87,189938560,133317915",
        ("B", 18993856, 1),  # at the limit, nothing taken off
    ),
    2023: (
        "ACO_ID,Current_Track,N_AB,MinSavPerc,BnchmkMinExp,DisAdj,Met_QPS,Met_AltQPS,QualScore,ABtotBnchmk,ABtotExp",
        "A1001,EN,78364,2.00%,99899684,0,1,-,89.91%,1098668352,998768668",
        ("EN", 73426268, 1),
    ),
    2024: (
        "ACO_ID,Current_Track,N_AB,MinSavPerc,BnchmkMinExp,DisAdj,Met_QPS,Met_AltQPS,QualScore,ABtotBnchmk,ABtotExp",
        "A1026,E,41640,1.5,22741822,0,1,-,75.29,600514210,577772388",
        ("E", 11143493, 1),
    ),
}


@pytest.mark.parametrize("year", list(LAYOUTS))
def test_the_columns_and_units_of_each_year_are_understood(tmp_path: Path, year: int) -> None:
    header, row, (track, earned, tolerance) = LAYOUTS[year]
    path = tmp_path / "puf.csv"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    frame = pay("mssp", path, year=year).frame
    assert frame["track"].to_list() == [track]
    assert frame["earned_savings_losses"][0] == pytest.approx(earned, abs=tolerance)


@pytest.mark.parametrize(
    ("beneficiaries", "rate"),
    [(1708, 0.0739), (2647, 0.0565), (3272, 0.0485), (4590, 0.0413), (4990, 0.0390), (5000, 0.039),
     (51150, 0.0218), (60000, 0.02), (400_000, 0.02)],
)  # fmt: skip
def test_minimum_savings_rate_by_size(beneficiaries: int, rate: float) -> None:
    bands = load_rules("mssp", 2022)["minimum_savings_rate_one_sided"]
    computed = pl.DataFrame({"n": [beneficiaries]}).select(minimum_savings_rate(pl.col("n"), bands)).item()
    assert computed == pytest.approx(rate, abs=0.00005)


def test_what_if_and_break_even_agree(puf: Writer) -> None:
    path = puf(Current_Track="B", ABtotBnchmk=100_000_000, ABtotExp=99_000_000, MinSavPerc="3.00%")
    payment = pay("mssp", path, year=2022)
    assert payment.frame["earned_savings_losses"].to_list() == [0.0]
    turn = payment.break_even("A0001").row(0, named=True)
    assert turn["expenditures_change"] == pytest.approx(-2_000_000)
    assert turn["change_per_beneficiary"] == pytest.approx(-200)
    after = payment.what_if({"expenditures": f"{turn['expenditures_change']}"})
    assert after.frame["earned_savings_losses"][0] == pytest.approx(turn["earned_there"])
    text = str(after.audit("A0001"))
    for part in ("puf.csv, line 2, column ABtotBnchmk", "42 CFR 425.512(a)", "what if: expenditures"):
        assert part in text


class TestBreakEven:
    def test_who_shares_at_a_reduced_rate_has_the_whole_rate_from_the_minimum_savings_rate_on(
        self, puf: Writer
    ) -> None:
        """2024 A5347 in E, reduced: at its 2% of 90 million it would share half of it, less 2%."""
        year, cells, *_ = PUBLISHED["2024 reduced E, A5347"]
        turn = pay("mssp", puf(**cells), year=year).break_even("A0001").row(0, named=True)
        assert turn["earned_there"] == pytest.approx(0.02 * 90e6 * 0.5 * 0.98)
        spent = cells["ABtotExp"] + turn["expenditures_change"]
        there = pay("mssp", puf(**{**cells, "ABtotExp": round(spent)}), year=year).frame
        assert there["earned_savings_losses"][0] == pytest.approx(turn["earned_there"], abs=1)

    def test_what_quality_reaches_the_next_sharing_rate(self, puf: Writer) -> None:
        year, cells, *_ = PUBLISHED["2024 alternative standard, A2366"]
        payment = pay("mssp", puf(**cells), year=year)
        turn = payment.break_even("A0001").row(0, named=True)
        assert (turn["next_sharing_rate"], turn["next_rate_at"]) == (0.5, "the quality standard")
        assert turn["expenditures_change"] is None
        met = pay("mssp", puf(**{**cells, "Met_QPS": 1}), year=year)
        assert met.frame["earned_savings_losses"][0] == pytest.approx(turn["earned_at_next_rate"])
        assert met.break_even("A0001").is_empty()
        assert break_even_to_text(met) == "Break-even: nothing has to change for the payment to turn."

    def test_up_to_2020_a_score_of_100_percent_is_the_whole_rate(self, puf: Writer) -> None:
        year, cells, *_ = PUBLISHED["2016 track 1, A67373"]
        turn = pay("mssp", puf(**cells), year=year).break_even("A0001").row(0, named=True)
        whole = pay("mssp", puf(**{**cells, "QualScore": 1}), year=year).frame["earned_savings_losses"][0]
        assert turn["next_rate_at"] == "a quality score of 100%"
        assert turn["earned_at_next_rate"] == pytest.approx(whole)


class TestAudit:
    def test_the_minimum_rate_and_the_quality_standard_are_said(self, puf: Writer) -> None:
        year, cells, *_ = PUBLISHED["2016 track 1, A67373"]
        text = str(pay("mssp", puf(**cells, Met_QPS=1), year=year).audit("A0001"))
        assert "2.2% − (2.2% − 2%) × (51,150 − 50,000) / (59,999 − 50,000)" in text
        assert "quality standard: met" in text
        assert "maximum 50% × 99.32%" in text

    def test_a_chosen_rate_and_the_alternative_standard_are_said(self, puf: Writer) -> None:
        year, cells, *_ = PUBLISHED["2024 alternative standard, A2366"]
        text = str(pay("mssp", puf(**cells), year=year).audit("A0001"))
        assert "minimum savings rate: 0.5% = chosen by the two-sided ACO" in text
        assert "quality standard: alternative met" in text
        assert "maximum 50% × 76.63%" in text


@pytest.mark.parametrize(
    ("case", "formula"),
    [("2024 loss in E, A2246", "30% = fixed for the track"),
     ("2024 loss in enhanced, A2029", "40% = 1 − 75% × 85%, at least 40% and at most 75%")],
)  # fmt: skip
def test_the_loss_rate_is_written_out(puf: Writer, case: str, formula: str) -> None:
    year, cells, *_ = PUBLISHED[case]
    assert f"final loss rate: {formula}" in str(pay("mssp", puf(**cells), year=year).audit("A0001"))


def test_a_loss_limit_counts_where_it_binds_and_the_missing_revenue_is_said(puf: Writer) -> None:
    cells = {"Current_Track": "C", "MinSavPerc": 1, "QualScore": 80, "ABtotBnchmk": 100_000_000}
    small = pay("mssp", puf(**cells, ABtotExp=101_500_000, RevLossLimit=0), year=2024)
    assert "loss_limit" not in small.settlement.used
    assert small.notes == ()
    large = pay("mssp", puf(**cells, ABtotExp=110_000_000, RevLossLimit=1), year=2024)
    assert large.frame["earned_savings_losses"].to_list() == [-1_000_000]
    assert {"loss_limit", "revenue_loss_limit"} <= set(large.settlement.used)
    assert large.unverified == ()
    assert "limited by the benchmark alone: A0001" in large.notes[0]


def test_the_limit_of_the_track_1_plus_model_is_flagged_as_unverified(puf: Writer) -> None:
    cells = {"Current_Track_1": 0, "Current_Track_1_Plus": 1, "ABtotBnchmk": 100_000_000}
    payment = pay("mssp", puf(**cells, ABtotExp=120_000_000, MinSavPerc=0), year=2018)
    assert payment.frame["earned_savings_losses"].to_list() == [-4_000_000]
    assert payment.unverified == ("loss_limit_track_1_plus",)


@pytest.mark.parametrize(
    ("start", "limit"), [("1/1/2015", 0.05), ("01/01/14", 0.075), ("2013-01-01", 0.10)], ids=str
)
def test_track_2_losses_are_limited_by_the_performance_year(puf: Writer, start: str, limit: float) -> None:
    """42 CFR 425.606(g): 5, 7.5 and 10 percent of the updated benchmark."""
    cells = {"Current_Track_1": 0, "Current_Track_2": 1, "Current_Start_Date": start, "MinSavPerc": 0.02}
    payment = pay("mssp", puf(**cells, ABtotBnchmk=100_000_000, ABtotExp=190_000_000), year=2015)
    assert payment.frame["loss_limit"][0] == pytest.approx(limit * 100_000_000)


class TestLayoutsOfOtherYears:
    """Columns as load functions of public packages name them for PY 2013 to PY 2015."""

    def test_the_file_of_2013_marks_track_2_alone(self, puf: Writer) -> None:
        cells = {"ACO_Num": "1", "Start_Date": "4/1/2012", "Track2": 0, "QualScore": 1, "MinSavPerc": 0.0285}
        cells |= {"ABtotBnchmk": 100_000_000, "ABtotExp": 90_000_000}
        path = puf(**cells)
        text = path.read_text(encoding="utf-8").replace("ACO_ID,", "Name,").replace("Met_QPS", "Adv_Pay")
        path.write_text(text, encoding="utf-8")
        frame = pay("mssp", path, year=2013).frame
        assert frame["earned_savings_losses"].to_list() == pytest.approx([10_000_000 * 0.5 * 0.98])

    def test_a_first_year_paid_for_reporting_has_the_whole_rate(self, puf: Writer) -> None:
        cells = {
            "Track1": 1,
            "Track2": 0,
            "MinSavPerc": "2.85",
            "QualScore": "P4R",
            "ABtotBnchmk": 100_000_000,
        }
        frame = pay("mssp", puf(**cells, ABtotExp=90_000_000), year=2014).frame
        assert frame["final_sharing_rate"].to_list() == [0.5]

    @pytest.mark.parametrize("rate", ["0.02", "2.00%", "2", "200"])
    def test_rates_are_read_in_any_unit_that_cms_has_printed(self, puf: Writer, rate: str) -> None:
        cells = {"Track1": 0, "Track2": 1, "MinSavPerc": rate, "ABtotBnchmk": 100_000_000}
        frame = pay("mssp", puf(**cells, ABtotExp=97_000_000), year=2015).frame
        assert frame["minimum_savings_rate"].to_list() == pytest.approx([0.02])


def test_revenue_lowers_the_loss_limit(puf: Writer, tmp_path: Path) -> None:
    revenue = tmp_path / "revenue.csv"
    revenue.write_text('aco_id,revenue\nA0001,"$20,000,000"\n', encoding="utf-8")
    path = puf(Current_Track="C", MinSavPerc=1, QualScore=80, ABtotBnchmk=100_000_000, ABtotExp=110_000_000)
    assert pay("mssp", path, year=2024, revenue=revenue).frame["loss_limit"].to_list() == [400_000]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"Current_Track": "Z"}, "track None is none"),
        ({"Current_Track": "A", "BnchmkMinExp": 5}, "is not 5"),
        ({"Current_Track": "A", "ABtotBnchmk": -5}, "below 0"),
        ({"Current_Track": "A", "N_AB": ""}, "a number is needed"),
        ({"Current_Track": "A", "year": 2021}, "give --year 2021"),
        ({"Current_BASIC_A": 1, "Current_BASIC_B": 1}, "two tracks"),
        ({}, "no column says the ACO's track"),
    ],
)
def test_wrong_files_are_refused(puf: Writer, cells: dict[str, object], message: str) -> None:
    row = {"ABtotBnchmk": 100, "ABtotExp": 90, **cells}
    with pytest.raises(DataError, match=message):
        pay("mssp", puf(**row), year=2022)


@pytest.mark.parametrize("spent", [80, 120])
def test_savings_or_losses_without_a_quality_score_are_refused(puf: Writer, spent: int) -> None:
    path = puf(Current_Track_3=1, QualScore="", ABtotBnchmk=100, ABtotExp=spent)
    with pytest.raises(DataError, match="no quality score"):
        pay("mssp", path, year=2016)


def _earned(track: str, benchmark: float, spent: float, quality: float, rise: float = 0.0) -> float:
    row = {
        "track": track, "assigned_beneficiaries": 10_000, "benchmark": benchmark, "expenditures": spent,
        "published_rate": 0.01, "quality_score": quality, "met_standard": True, "met_alternative": False,
        "disaster_adjustment": 0.0, "revenue_category": None, "start_year": 2019, "rounding": 0.0,
        "revenue": None, "loss_rise": rise,
    }  # fmt: skip
    types = {"revenue": pl.Float64, "revenue_category": pl.String}
    frame = settle(pl.DataFrame([row], schema_overrides=types), load_rules("mssp", 2023))
    return float(frame["earned_savings_losses"][0])


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["A", "B", "C", "D", "E", "EN"]), st.floats(0.7, 1.3), st.floats(0, 0.3), st.floats(0, 1),
    st.floats(0, 0.2),
)  # fmt: skip
def test_spending_more_never_earns_more_and_limits_hold(
    track: str, spent: float, more: float, quality: float, rise: float
) -> None:
    benchmark = 1e8
    earned = _earned(track, benchmark, spent * benchmark, quality, rise * benchmark)
    assert _earned(track, benchmark, (spent + more) * benchmark, quality, rise * benchmark) <= earned + 1e-6
    assert earned >= _earned(track, benchmark, spent * benchmark, quality) - rise * 0.15 * benchmark - 1e-6
    limits = {"A": 0.1, "B": 0.1, "C": 0.1, "D": 0.1, "E": 0.1, "EN": 0.2}
    floors = {"A": 0.0, "B": 0.0, "C": 0.01, "D": 0.02, "E": 0.04, "EN": 0.15}
    assert -floors[track] * benchmark * (1 + rise) - 1 <= earned <= limits[track] * benchmark + 1


def test_a_file_whose_name_says_another_year_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "PY2022_results.csv"
    header = "ACO_ID,Current_Track,N_AB,MinSavPerc,QualScore,Met_QPS,ABtotBnchmk,ABtotExp"
    path.write_text(header + "\nA1,B,10000,3.00%,90%,1,100000000,90000000\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"name says performance year 2022.*of 2021"):
        pay("mssp", path, year=2021)
    assert pay("mssp", path, year=2022).frame.height == 1
