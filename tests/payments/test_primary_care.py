"""Primary care models."""

from pathlib import Path

import pytest

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import pay


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
