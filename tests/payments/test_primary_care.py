"""Primary care models."""

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import load_rules, pay
from riskmodels.payments.primary_care import PROGRAM
from riskmodels.payments.program import Inputs


def _write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "practices.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("track", "amount"), [(1, 10.50), (2, 15.00)])
def test_the_published_tier_2_patient_month(tmp_path: Path, track: int, amount: float) -> None:
    """CPC+, one tier-2 patient a month: 8 + 2.50 in track 1, 11 + 4 in track 2 (frierlevitt.com)."""
    path = _write(tmp_path, "practice_id,track,tier,beneficiary_months", f"P,{track},2,1")
    payment = pay("primary-care", path, year=2017)
    assert payment.frame["payment"].to_list() == [amount]
    assert payment.unverified == ()


def test_an_incentive_that_is_not_earned_is_returned(tmp_path: Path) -> None:
    rows = ("P,2,1,100,0.25", "P,2,complex,10,0.25", "P,2,3,10,0.25")
    payment = pay(
        "primary-care",
        _write(tmp_path, "practice_id,track,tier,beneficiary_months,earned_share", *rows),
        year=2018,
    )
    row = payment.frame.row(0, named=True)
    assert row["care_management_fee"] == 100 * 9 + 10 * 100 + 10 * 19
    assert row["performance_incentive"] == 480
    assert row["incentive_returned"] == -360
    assert payment.unverified == ("care_management_fee_other",)
    worst, best = payment.break_even("P").select("payment_at_worst", "payment_at_best").row(0)
    assert best - worst == 480
    assert "UNVERIFIED" in str(payment.audit("P"))


@pytest.mark.parametrize(
    ("score", "rate"), [(1.0, 28), (1.2, 45), (1.49, 45), (1.5, 100), (2.0, 175), (4, 175)]
)
def test_the_risk_group_follows_the_mean_score(tmp_path: Path, score: float, rate: float) -> None:
    path = _write(tmp_path, "practice_id,mean_risk_score,beneficiary_months", f"P,{score},12")
    payment = pay("primary-care", path, year=2023)
    assert payment.frame["population_payment"].to_list() == [12 * rate]
    assert "population_payment" in payment.unverified


def test_visits_leakage_and_performance(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "practice_id,mean_risk_score,beneficiary_months,visits,leakage_rate,adjustment",
        "P,1,1000,100,10%,50%",
    )
    payment = pay("primary-care", path, year=2023, model="pcf")
    assert payment.frame["payment"][0] == pytest.approx((28 * 1000 * 0.9 + 4082) * 1.5)
    less = payment.what_if({"leakage_rate@P": 0.0})
    assert payment.compare(less)["payment_change"][0] == pytest.approx(2800 * 1.5)


def test_leakage_follows_from_visits_elsewhere_and_place_moves_both_payments(tmp_path: Path) -> None:
    header = "practice_id,mean_risk_score,beneficiary_months,visits,visits_elsewhere,geographic_adjustment"
    payment = pay("primary-care", _write(tmp_path, header, "P,1,1000,300,100,1.1", "Q,1,10,0,0,1"), year=2022)
    expected = [(28 * 1000 * 0.75 + 300 * 40.82) * 1.1, 280]
    assert payment.frame["payment"].to_list() == pytest.approx(expected)
    assert "leakage_rule" in payment.unverified


@pytest.mark.parametrize(
    ("cells", "adjustment"),
    [("1,1,1", 0.50), ("1,1,0", 0.34), ("5,1,1", 0.10), ("0,1,1", 0.0), ("below_national,1,0", -0.10),
     ("1,0,1", -0.10)],
)  # fmt: skip
def test_levels_of_performance_end_at_the_published_bounds(
    tmp_path: Path, cells: str, adjustment: float
) -> None:
    header = "practice_id,mean_risk_score,beneficiary_months,performance_level,quality_gateway,improved"
    payment = pay("primary-care", _write(tmp_path, header, f"P,1,100,{cells}"), year=2023)
    assert payment.frame["performance_adjustment"].to_list() == pytest.approx([2800 * adjustment])
    assert "performance_levels" in payment.unverified
    levels = payment.rules["performance_levels"]
    highest = max(levels["level"].values()) + max(levels["improvement"].values())
    assert highest == pytest.approx(payment.rules["performance_adjustment"]["highest"])


def test_track_2_is_paid_in_part_ahead_of_visits(tmp_path: Path) -> None:
    """By hand: 40% of 20 dollars a month, raised by a tenth, less 5% of leakage, for 1,000 months."""
    header = "practice_id,track,tier,beneficiary_months,comprehensive_share,historical_pbpm,leakage_rate,"
    header += "quality_earned,utilisation_earned"
    payment = pay("primary-care", _write(tmp_path, header, "P,2,1,1000,40%,20,5%,80%,60%"), year=2019)
    row = payment.frame.row(0, named=True)
    assert row["comprehensive_payment"] == pytest.approx(1000 * 20 * 0.4 * 1.1 * 0.95)
    assert row["incentive_returned"] == pytest.approx(-4000 * 0.3)
    assert set(payment.unverified) == {"incentive_parts", "comprehensive_payment"}
    with pytest.raises(DataError, match=r"a comprehensive share of 0\.3 is none of"):
        pay("primary-care", _write(tmp_path, header, "P,2,1,1000,30%,20,5%,80%,60%"), year=2019)


AUDITED = {
    "cpc+": (
        2018,
        (
            "practice_id,track,tier,beneficiary_months,earned_share,comprehensive_share,"
            "historical_pbpm,leakage_rate"
        ),
        "P,2,1,100,0.25,0.4,20,0.1",
    ),
    "pcf": (
        2022,
        (
            "practice_id,mean_risk_score,beneficiary_months,visits,leakage_rate,geographic_adjustment,"
            "adjustment"
        ),
        "P,1.3,1200,2000,0.1,1.05,0.2",
    ),
    "flex": (
        2025,
        ("aco_id,county,beneficiary_months,county_rate,risk_adjustment,county_enhancement,flex_enhancement"),
        "P,X,1000,25,1.1,2,3",
    ),
}


@pytest.mark.parametrize("model", list(AUDITED))
def test_an_audits_dollars_follow_from_its_formulas(tmp_path: Path, model: str) -> None:
    year, header, row = AUDITED[model]
    payment = pay("primary-care", _write(tmp_path, header, row), year=year, model=model)
    checked = 0
    for line in payment.audit("P").lines:
        words = re.sub(r" (leakage|by geography|visits|earned)|, in advance", "", line.formula)
        terms = re.sub(r"([\d.]+)%", r"(\1/100)", re.sub(r"[$,]", "", words))
        terms = terms.replace("×", "*").replace("−", "-")
        if "$" in line.value and re.fullmatch(r"[-+*/(). \d]+", terms):
            assert eval(terms) == pytest.approx(float(re.sub(r"[$,]", "", line.value)), abs=0.006)
            checked += 1
    assert checked >= 2


class TestFlex:
    HEADER = "aco_id,county,beneficiary_months,county_rate,risk_adjustment,county_enhancement,"
    HEADER += "flex_enhancement,first_year,shared_savings"

    def test_an_advance_and_monthly_payments_by_county(self, tmp_path: Path) -> None:
        """By hand: 100,000 months of 40 x 1.1 + 2 + 8, 20,000 of 50 + 8, and the 250,000 in advance."""
        rows = ("A1,Wake,100000,40,1.1,2,8,1,0", "A1,Durham,20000,50,1,0,8,1,0")
        payment = pay("primary-care", _write(tmp_path, self.HEADER, *rows), year=2025, model="flex")
        row = payment.frame.row(0, named=True)
        assert row["base_payment"] == pytest.approx(4_400_000 + 1_000_000)
        assert row["enhancements"] == pytest.approx(1_000_000 + 160_000)
        assert (row["advance"], row["advance_recouped"]) == (250_000, 0)
        assert row["payment"] == pytest.approx(6_810_000)
        assert "prospective_payment" in payment.unverified
        assert "250,000" in str(payment.audit("A1"))

    @pytest.mark.parametrize(("savings", "recouped"), [(100_000, 100_000), (900_000, 250_000)])
    def test_the_advance_comes_back_out_of_shared_savings(
        self, tmp_path: Path, savings: int, recouped: int
    ) -> None:
        rows = (f"A1,Wake,1,40,1,0,0,0,{savings}", f"A1,Durham,1,40,1,0,0,0,{savings}")
        payment = pay("primary-care", _write(tmp_path, self.HEADER, *rows), year=2026)
        assert payment.frame["advance_recouped"].to_list() == [-recouped]
        assert payment.frame["advance"].to_list() == [0]

    def test_what_the_model_does_not_have_is_refused(self, tmp_path: Path) -> None:
        payment = pay("primary-care", _write(tmp_path, self.HEADER, "A1,Wake,1,40,1,0,0,1,0"), year=2026)
        with pytest.raises(SpecError, match="no input 'leakage_rate'"):
            payment.what_if({"leakage_rate": 0.1})
        rows = ("A1,Wake,1,40,1,0,0,1,0", "A1,Durham,1,40,1,0,0,0,0")
        with pytest.raises(DataError, match="'A1' differs by county"):
            pay("primary-care", _write(tmp_path, self.HEADER, *rows), year=2026)
        with pytest.raises(SpecError, match="'pcf' was not in 2026: flex"):
            pay("primary-care", tmp_path / "practices.csv", year=2026, model="pcf")


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(-0.1, 0.5), st.floats(0, 0.5))
def test_leakage_never_raises_and_performance_never_lowers_the_payment(
    leakage: float, more: float, adjustment: float, better: float
) -> None:
    rules = load_rules("primary-care", 2023)

    def paid(leak: float, performance: float) -> float:
        frame = pl.DataFrame(
            {"practice_id": ["P"], "tier": [None], "beneficiary_months": [100.0], "mean_risk_score": [1.0],
             "visits": [10.0], "leakage_rate": [leak], "geographic_adjustment": [1.0],
             "adjustment": [performance], "source_file": ["f"], "source_line": [1]},
            schema_overrides={"tier": pl.String},
        )  # fmt: skip
        inputs = Inputs({"practices": frame}, {"model": "pcf"})
        return float(PROGRAM.settle(inputs, rules).frame["payment"][0])

    worse = min(1.0, leakage + more)
    assert paid(worse, adjustment) <= paid(leakage, adjustment) + 1e-9
    assert paid(leakage, min(0.5, adjustment + better)) >= paid(leakage, adjustment) - 1e-9


@pytest.mark.parametrize(
    ("lines", "options", "error", "message"),
    [
        (
            ("practice_id,track,tier,beneficiary_months", "P,3,1,1"),
            {},
            DataError,
            "'track_3 tier_1' is no tier",
        ),
        (("practice_id,track,tier,beneficiary_months", "P,1,1,-1"), {}, DataError, "below 0"),
        (("practice_id,track,tier,beneficiary_months", "P,1,1,1", "P,1,1,1"), {}, DataError, "twice"),
        (
            ("practice_id,track,tier,beneficiary_months", "P,1,1,1"),
            {"model": "pcf"},
            SpecError,
            "was not in 2017",
        ),
    ],
)
def test_wrong_inputs_are_refused(
    tmp_path: Path, lines: tuple[str, ...], options: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pay("primary-care", _write(tmp_path, *lines), year=2017, **options)
