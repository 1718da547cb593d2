"""Medicare Advantage capitation."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import load_rules, pay
from riskmodels.payments.ma_capitation import model_score, payment_score

Writer = Callable[..., dict[str, Path]]


def _score(year: int, v24: float | None, v28: float) -> float:
    frame = pl.DataFrame({"raw_v24": [v24], "raw_v28": [v28]}, schema_overrides={"raw_v24": pl.Float64})
    return float(frame.select(payment_score(load_rules("ma-capitation", year))).item())


@pytest.mark.parametrize(
    ("year", "v24", "v28", "score"),
    [
        (2025, 1.200, 1.100, 0.987),  # 0.33 x 0.980 + 0.67 x 0.991, each model finished first
        (2026, None, 1.067, 0.941),  # an average member: one, less the coding adjustment
        (2026, None, 0.0, 0.0),
        (2023, 1.127, 9.0, 0.941),  # before 2024 V24 alone
        (2022, 1.118, 9.0, 0.941),
        (2027, None, 1.079, 0.941),
    ],
)
def test_payment_score(year: int, v24: float | None, v28: float, score: float) -> None:
    assert _score(year, v24, v28) == pytest.approx(score, abs=1e-12)


def test_the_published_example_of_one_model() -> None:
    """0.754 in V28 of 2024 is 0.743 normalised and 0.699 after the coding adjustment (Tuva documentation)."""
    rules = load_rules("ma-capitation", 2024)
    assert pl.DataFrame({"raw_v28": [0.754]}).select(model_score("v28", rules)).item() == pytest.approx(0.699)


@pytest.fixture
def files(tmp_path: Path) -> Writer:
    """Return a writer of a member file and a county file."""

    def write(members: list[str], counties: list[str]) -> dict[str, Path]:
        member, county = tmp_path / "members.csv", tmp_path / "counties.csv"
        member.write_text("\n".join(["member_id,county,months,raw_v28", *members]), encoding="utf-8")
        county.write_text("\n".join(counties), encoding="utf-8")
        return {"inputs": member, "county_rates": county}

    return write


ONE = "1.169"
"""A raw score that is 1.031 in payment; 1.169 / 1.067 = 1.096, x 0.941 = 1.031."""


def test_a_bid_below_the_benchmark_is_paid_times_the_risk_score_plus_the_rebate(files: Writer) -> None:
    payment = pay(
        "ma-capitation",
        year=2026,
        bid=900,
        stars=4,
        **files([f"m1,C,12,{ONE}"], ["county,benchmark", "C,1000"]),
    )
    row = payment.frame.row(0, named=True)
    assert row["risk_score"] == pytest.approx(1.031)
    assert row["rebate"] == pytest.approx(65)
    assert row["payment"] == pytest.approx(12 * (900 * 1.031 + 65))
    assert row["member_premium"] == 0
    assert payment.unverified == ()
    assert any("risk factor of one" in note for note in payment.notes)


@pytest.mark.parametrize(("year", "raw"), [(2022, 1.118), (2023, 1.127), (2027, 1.079)])
def test_a_rebate_is_not_flagged_in_the_first_and_last_years(files: Writer, year: int, raw: float) -> None:
    given = files([f"m1,C,1,{raw}"], ["county,benchmark", "C,1000"])
    if year < 2024:
        given["inputs"].write_text(f"member_id,county,months,raw_v24\nm1,C,1,{raw}\n", encoding="utf-8")
    payment = pay("ma-capitation", year=year, bid=900, stars=4, **given)
    assert payment.frame["payment"][0] == pytest.approx(900 * 0.941 + 65)
    assert payment.unverified == ()


def test_the_savings_are_multiplied_by_the_risk_factor_of_the_plan(files: Writer) -> None:
    """42 CFR 422.264(b)-(c): 65 percent of (1000 - 900) x 1.1 is 71.50."""
    given = files([f"m1,C,12,{ONE}"], ["county,benchmark", "C,1000"])
    payment = pay("ma-capitation", year=2026, bid=900, stars=4, savings_risk_factor=1.1, **given)
    assert payment.frame["rebate"][0] == pytest.approx(71.5)
    assert "65% × max($1,000.00 − $900.00, 0) × 1.1" in str(payment.audit("m1"))
    assert not any("risk factor of one" in note for note in payment.notes)
    with pytest.raises(SpecError, match="savings_risk_factor"):
        pay("ma-capitation", year=2026, bid=900, savings_risk_factor=0, **given)


def test_a_bid_above_the_benchmark_is_paid_the_benchmark_and_members_pay_the_rest(files: Writer) -> None:
    given = files([f"m1,C,1,{ONE}"], ["county,benchmark", "C,1000"])
    payment = pay("ma-capitation", year=2026, bid=1100, stars=4, **given)
    row = payment.frame.row(0, named=True)
    assert (row["rebate"], row["member_premium"]) == (0, 100)
    assert row["payment"] == pytest.approx(1000 * 1.031)
    assert payment.unverified == ()
    text = str(payment.audit(payment.entities[0]))
    assert "premium of the member: $" in text
    assert "65% × max(" in text
    assert "42 CFR 422.266(a)(2)" in text


@pytest.mark.parametrize(
    ("stars", "quartile", "double", "benchmark"),
    [(3, 1, 0, 950), (4, 2, 0, 1050), (4.5, 3, 0, 1125), (5, 4, 1, 1250), (None, 2, 0, 1035)],
)
def test_county_benchmarks(
    files: Writer, stars: float | None, quartile: int, double: int, benchmark: float
) -> None:
    counties = ["county,ffs_rate,quartile,double_bonus", f"C,1000,{quartile},{double}"]
    frame = pay("ma-capitation", year=2026, stars=stars, **files(["m1,C,1,1.0"], counties)).frame
    assert frame["county_benchmark"][0] == pytest.approx(benchmark)


@pytest.mark.parametrize(
    ("cells", "benchmark"),
    [
        ("1000,2,3,", 1000 * (1.0375 + 0.05)),  # 422.258(d)(6)(ii): the mean of 100 and 107.5 percent
        ("1000,2,2,", 1050),
        ("1000,2,,", 1050),
        ("1000,4,4,1100", 1100),  # (d)(1): at most the applicable amount
        ("1000,4,4,1300", 1200),
    ],
    ids=["changed", "same", "unknown", "held", "free"],
)
def test_a_changed_quarter_and_the_applicable_amount(files: Writer, cells: str, benchmark: float) -> None:
    counties = ["county,ffs_rate,quartile,quartile_before,applicable_amount", f"C,{cells}"]
    frame = pay("ma-capitation", year=2026, stars=4, **files(["m1,C,1,1.0"], counties)).frame
    assert frame["county_benchmark"][0] == pytest.approx(benchmark)


def test_counties_share_the_bid_by_their_level(files: Writer) -> None:
    given = files([f"m1,C,6,{ONE}", f"m2,D,6,{ONE}"], ["county,benchmark", "C,900", "D,1100"])
    payment = pay("ma-capitation", year=2026, bid=800, stars=3, **given)
    assert payment.frame["base_rate"].to_list() == pytest.approx([720, 880])
    assert payment.frame["rebate"].to_list() == [100, 100]
    assert "county_adjustment" in payment.unverified


def test_what_if_and_audit(files: Writer) -> None:
    given = files([f"m1,C,12,{ONE}"], ["county,benchmark", "C,1000"])
    payment = pay("ma-capitation", year=2026, bid=900, stars=4, **given)
    after = payment.what_if({"raw_v28@m1": "+0.1"})
    worth = payment.break_even("m1")["payment_of_a_tenth_point"][0]
    assert payment.compare(after)["payment_change"][0] == pytest.approx(worth)
    lower = payment.what_if({"bid": 800})
    assert lower.frame["rebate"][0] == pytest.approx(130)
    text = str(payment.audit("m1"))
    for part in ("members.csv, line 2, column raw_v28", "42 CFR 422.304", "1.067"):
        assert part in text


@pytest.mark.parametrize(
    ("member", "county", "options", "error", "message"),
    [
        ("m1,X,1,1.0", "C,1000", {}, DataError, "county 'X' has no rate"),
        ("m1,C,13,1.0", "C,1000", {}, DataError, "above 12"),
        ("m1,C,1,-1", "C,1000", {}, DataError, "below 0"),
        ("m1,C,1,1.0", "C,1000", {"stars": 6}, SpecError, "stars 6 is not between"),
        ("m1,C,1,1.0", "C,1000", {"bid": "low"}, SpecError, "bid 'low' is not a number"),
    ],
)
def test_wrong_inputs_are_refused(
    files: Writer, member: str, county: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pay("ma-capitation", year=2026, **options, **files([member], ["county,benchmark", county]))


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 10), st.floats(0, 5), st.sampled_from([2024, 2025, 2026]))
def test_a_higher_raw_score_never_pays_less(raw: float, more: float, year: int) -> None:
    assert _score(year, raw, raw) <= _score(year, raw + more, raw + more)
