"""Benchmarks of Shared Savings ACOs rebuilt from what they are made of, against figures by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from riskmodels.errors import DataError
from riskmodels.payments import pay

CATEGORIES = ("esrd", "disabled", "aged_dual", "aged_nondual")
PUBLISHED = {"esrd": ("ESRD", "ESRD"), "disabled": ("DIS", "DIS"), "aged_dual": ("AGDU", "AGED_Dual"),
             "aged_nondual": ("AGND", "AGED_NonDual")}  # fmt: skip
Writer = Callable[..., dict[str, Path]]


@pytest.fixture
def files(tmp_path: Path) -> Writer:
    """Return a writer of one ACO: expenditures of 9,000, 9,500 and 10,000 in each category, risk 1."""

    def write(
        start: str = "7/1/2019", period: int = 1, spent: float = 99_000_000, **columns: object
    ) -> dict[str, Path]:
        row: dict[str, object] = {
            "ACO_ID": "A1", "N_AB": 10_000, "Current_Track": "E", "MinSavPerc": 0, "QualScore": 90,
            "Met_QPS": 1, "ABtotBnchmk": 100_000_000, "ABtotExp": spent, "Current_Start_Date": start,
            "Agreement_Period_Num": period,
        }  # fmt: skip
        for short, long in PUBLISHED.values():
            for year, spent in ((1, 9_000), (2, 9_500), (3, 10_000)):
                row[f"Per_Capita_Exp_ALL_{short}_BY{year}"] = f"{spent:,}"
                row[f"CMS_HCC_RiskScore_{short}_BY{year}"] = 1
            row |= {f"CMS_HCC_RiskScore_{short}_PY": 1, f"N_AB_Year_{long}_BY3": 2_500,
                    f"N_AB_Year_{long}_PY": 2_500}  # fmt: skip
        results, components = tmp_path / "results.csv", tmp_path / "components.csv"
        results.write_text(
            ",".join(row) + "\n" + ",".join(f'"{cell}"' for cell in row.values()) + "\n", encoding="utf-8"
        )
        given = {"trend_by1": 1.1, "trend_by2": 1.05, "national_growth": 1.04, "regional_growth": 1.06,
                 "national_weight": 0.3, **columns}  # fmt: skip
        lines = [f"aco_id,enrolment,{','.join(given)}"]
        lines += [f"A1,{name},{','.join(map(str, given.values()))}" for name in CATEGORIES]
        components.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"inputs": results, "benchmark": components}

    return write


HISTORY = 0.1 * 9_900 + 0.3 * 9_975 + 0.6 * 10_000
EQUAL = (9_900 + 9_975 + 10_000) / 3
GROWTH = 0.3 * 1.04 + 0.7 * 1.06


@pytest.mark.parametrize(
    ("given", "per_capita"),
    [
        ({}, HISTORY * GROWTH),
        ({"period": 2}, EQUAL * GROWTH),
        # 425.601(f): an ACO below its region has 35% of the difference, one above it 15%, the first time.
        ({"regional_by3": 10_980, "national_by3": 11_000}, (HISTORY + 0.35 * (10_980 - HISTORY)) * GROWTH),
        ({"regional_by3": 8_000, "national_by3": 11_000}, (HISTORY + 0.15 * (8_000 - HISTORY)) * GROWTH),
        # (a)(8)(ii)(C): at most 5% of national expenditures either way.
        ({"regional_by3": 30_000, "national_by3": 11_000}, (HISTORY + 550) * GROWTH),
        ({"regional_by3": 1_000, "national_by3": 11_000}, (HISTORY - 550) * GROWTH),
        ({"regional_by3": 10_980, "national_by3": 11_000, "regional_adjustments": 2},
         (HISTORY + 0.5 * (10_980 - HISTORY)) * GROWTH),
        # 425.652(a)(8), agreements from 2024: none where the regional adjustment over all is negative; the
        # larger of it and prior savings.
        ({"start": "1/1/2024", "regional_by3": 1_000, "national_by3": 11_000}, HISTORY * GROWTH),
        ({"start": "1/1/2024", "regional_by3": 1_000, "national_by3": 11_000, "prior_savings": 200},
         (HISTORY + 200) * GROWTH),
        ({"start": "1/1/2024", "regional_by3": 10_000, "national_by3": 11_000, "prior_savings": 200},
         (HISTORY + 200) * GROWTH),
        ({"start": "1/1/2024", "regional_by3": 30_000, "national_by3": 11_000, "prior_savings": 200},
         (HISTORY + 550) * GROWTH),
        ({"start": "1/1/2024", "prospective_growth": 1.05}, HISTORY * (1.05 / 3 + GROWTH * 2 / 3)),
        # A rise in risk scores counts up to 3%, a fall in full.
        ({"risk_py": 1.10}, HISTORY * 1.03 * GROWTH),
        ({"risk_py": 0.95}, HISTORY * 0.95 * GROWTH),
        # 425.605(a)(1)(ii): from 2024 up to 3 points above the growth of demographic scores.
        ({"start": "1/1/2024", "risk_py": 1.10, "demographic_by3": 0.5, "demographic_py": 0.51},
         HISTORY * 1.05 * GROWTH),
        ({"start": "1/1/2024", "risk_py": 1.04, "demographic_by3": 0.5, "demographic_py": 0.51},
         HISTORY * 1.04 * GROWTH),
    ],
    ids=["first", "later", "below-region", "above-region", "ceiling", "floor", "second-time", "2024-negative",
         "prior-savings-alone", "prior-savings", "region-larger", "prospective", "risk-cap", "risk-fall",
         "demographic-cap", "below-demographic-cap"],
)  # fmt: skip
def test_the_benchmark_by_hand(files: Writer, given: dict[str, float], per_capita: float) -> None:
    payment = pay("mssp", **files(**given), year=2024)
    assert payment.frame["benchmark"].to_list() == pytest.approx([per_capita * 10_000])


def test_growth_moves_the_savings_and_the_audit_shows_the_steps(files: Writer) -> None:
    payment = pay("mssp", **files(regional_by3=10_980, national_by3=11_000), year=2022)
    more = payment.what_if({"regional_growth": "+0.01"})
    change = more.frame["benchmark"][0] - payment.frame["benchmark"][0]
    assert change == pytest.approx((HISTORY + 0.35 * (10_980 - HISTORY)) * 0.7 * 0.01 * 10_000)
    one = payment.what_if({"regional_growth[esrd]@A1": "+0.01"})
    assert one.frame["benchmark"][0] - payment.frame["benchmark"][0] == pytest.approx(change / 4)
    text = str(payment.audit("A1"))
    for part in ("historical benchmark per capita: $9,982.50", "42 CFR 425.601(a)", "10,000 person years",
                 "benchmark of 1 ACOs rebuilt"):  # fmt: skip
        assert part in text
    assert payment.unverified == ()


def test_the_floor_and_its_offset_of_one_category_from_2024_on(files: Writer) -> None:
    given = files(start="1/1/2024", regional_by3=20_000, national_by3=11_000, dual_share=0.2)
    path = given["benchmark"]
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace("20000", "1000")
    path.write_text("\n".join(lines), encoding="utf-8")
    payment = pay("mssp", **given, year=2024)
    # 425.656(c)(3)-(5): minus 1.5% of 11,000, less the share of dually eligible (risk is 1).
    assert payment.frame["benchmark"][0] == pytest.approx(
        (HISTORY + (3 * 550 - 165 * 0.8) / 4) * GROWTH * 10_000
    )
    assert payment.unverified == ()


def test_losses_are_measured_without_the_prospective_trend_where_that_is_less(files: Writer) -> None:
    def settled(prospective: float, spent: float) -> dict[str, float]:
        given = files(start="1/1/2024", prospective_growth=prospective, spent=spent)
        payment = pay("mssp", **given, year=2024)
        return {**payment.frame.row(0, named=True), "text": str(payment.audit("A1"))}

    two_way = HISTORY * GROWTH * 10_000
    # The trend raises the benchmark: losses are measured from it.
    raised = settled(1.20, 120e6)
    assert raised["benchmark"] == pytest.approx(HISTORY * (0.4 + GROWTH * 2 / 3) * 10_000)
    assert raised["generated_savings_losses"] == pytest.approx(raised["benchmark"] - 120e6)
    # It lowers the benchmark: losses are less by the difference, and none up to the two-way benchmark.
    lowered = settled(0.90, 120e6)
    assert lowered["generated_savings_losses"] == pytest.approx(two_way - 120e6)
    assert "benchmark for losses" in lowered["text"]
    between = settled(0.90, two_way - 1e6)
    assert between["generated_savings_losses"] == between["earned_savings_losses"] == 0
    # Savings are never measured from it.
    saving = settled(0.90, 90e6)
    assert saving["generated_savings_losses"] == pytest.approx(HISTORY * (0.3 + GROWTH * 2 / 3) * 1e4 - 90e6)


def test_demographic_scores_that_are_not_given_are_told(files: Writer) -> None:
    notes = pay("mssp", **files(start="1/1/2024"), year=2024).notes
    assert any("demographic_by3" in note and "A1" in note for note in notes)


def test_prior_savings_in_an_agreement_from_before_2024_are_refused(files: Writer) -> None:
    with pytest.raises(
        DataError, match="prior savings count in agreements from 2024 on, and this one began in 2022"
    ):
        pay("mssp", **files(start="1/1/2022", prior_savings=200), year=2023)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A1,esrd", "A2,esrd", "'A2' is not in the results"),
        ("A1,esrd", "A1,disabled", "'A1' needs each of the four categories once"),
        ("A1,esrd", "A1,kidney", "enrolment 'kidney' is none of"),
        ("A1,esrd,1.1", "A1,esrd,-1.1", "is below 0"),
        ("A1,esrd,1.1", "A1,esrd,", "where a number is needed"),
    ],
    ids=["unknown", "twice", "category", "negative", "missing"],
)
def test_what_cannot_be_used_is_refused(files: Writer, old: str, new: str, message: str) -> None:
    given = files()
    path = given["benchmark"]
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        pay("mssp", **given, year=2022)


def test_an_agreement_from_before_july_2019_is_refused(files: Writer) -> None:
    with pytest.raises(DataError, match="began in 2017, and only benchmarks of agreements from July 2019"):
        pay("mssp", **files(start="1/1/2017"), year=2022)
