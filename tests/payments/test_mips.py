"""The Merit-based Incentive Payment System."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import known_years, load_rules, pay
from riskmodels.payments.mips import PROGRAM
from riskmodels.payments.mips_scoring import CATEGORIES, adjustment_factor, weighted
from riskmodels.payments.program import Inputs
from riskmodels.payments.rules import parse_rules

Writer = Callable[..., Path]
RULES = load_rules("mips", 2026)


def _factor(score: float) -> float:
    return float(pl.select(adjustment_factor(pl.lit(score), RULES)).item())


@pytest.mark.parametrize(
    ("score", "percent"),
    # By hand from 42 CFR 414.1405(b): threshold 75, 9%. Up to a quarter of 75 the whole reduction.
    [(100, 9.0), (87.5, 4.5), (75, 0.0), (50, -3.0), (18.76, -6.7488), (18.75, -9.0), (0, -9.0)],
)
def test_adjustment_before_scaling(score: float, percent: float) -> None:
    assert 100 * _factor(score) == pytest.approx(percent, abs=1e-9)


@pytest.fixture
def clinicians(tmp_path: Path) -> Writer:
    """Return a writer of clinicians: quality, cost, improvement activities, interoperability, payments."""

    def write(*rows: tuple[object, ...], header: str | None = None) -> Path:
        names = (
            header
            or "clinician_id,quality,cost,improvement_activities,promoting_interoperability,part_b_payments"
        )
        lines = [names, *(",".join(str(cell) for cell in row) for row in rows)]
        path = tmp_path / "mips.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def test_the_final_score_is_the_weighted_sum_of_the_categories(clinicians: Writer) -> None:
    frame = pay("mips", clinicians(("1", 80, 60, 100, 90, 200_000)), year=2026).frame
    assert frame["final_score"][0] == pytest.approx(0.3 * 80 + 0.3 * 60 + 15 + 0.25 * 90)
    assert frame["adjustment_dollars"][0] == pytest.approx(200_000 * 0.09 * (79.5 - 75) / 25)


def test_cms_names_of_the_categories_are_known(clinicians: Writer) -> None:
    header = "NPI,Quality_category_score,Cost_category_score,IA_category_score,PI_category_score"
    payment = pay("mips", clinicians(("1003000126", 75, 75, 75, 75), header=header), year=2025)
    assert payment.frame["payment_adjustment"].to_list() == [0.0]
    assert payment.frame["clinician_id"].to_list() == ["1003000126"]


def test_a_missing_category_hands_its_weight_on(clinicians: Writer) -> None:
    payment = pay("mips", clinicians(("1", 80, "", 100, 90, "")), year=2026)
    assert payment.frame["final_score"][0] == pytest.approx(0.55 * 80 + 15 + 0.3 * 90)
    assert payment.unverified == ()
    without = pay("mips", clinicians(("1", 80, 60, 100, "", "")), year=2026)
    assert without.frame["final_score"][0] == pytest.approx(0.55 * 80 + 0.3 * 60 + 15)
    assert without.unverified == ()
    assert pay("mips", clinicians(("1", 80, 70, 100, 90, "")), year=2026).unverified == ()


@pytest.mark.parametrize("year", known_years("mips"))
def test_all_weights_of_a_year_add_up_to_one(year: int) -> None:
    rules = load_rules("mips", year)
    for row in [rules["category_weights"], *rules["redistribution"]]:
        shares = [value for key, value in row.items() if key not in ("without", "small")]
        assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("year", "score", "percent"),
    # Thresholds and largest reductions of each year as published for clinicians (aao.org and others).
    [(2019, 3, 0), (2019, 0.75, -4), (2020, 15, 0), (2021, 30, 0), (2021, 7.5, -7), (2022, 45, 0),
     (2023, 60, 0), (2024, 75, 0), (2024, 18.75, -9), (2024, 100, 9), (2028, 75, 0)],
)  # fmt: skip
def test_thresholds_by_year(year: int, score: float, percent: float) -> None:
    factor = pl.select(adjustment_factor(pl.lit(float(score)), load_rules("mips", year))).item()
    assert 100 * factor == pytest.approx(percent)


@pytest.mark.parametrize(("score", "share"), [(88.9, 0), (89, 0.005), (94.5, 0.0525), (100, 0.10)], ids=str)
def test_exceptional_scores_rise_further_up_to_payment_year_2024(
    clinicians: Writer, score: float, share: float
) -> None:
    payment = pay("mips", clinicians(("1", score, score, score, score, 1000)), year=2024)
    assert payment.frame["exceptional_adjustment"][0] == pytest.approx(share)
    assert ("exceptional_scale" in payment.settlement.used) == (share > 0)
    without = pay("mips", clinicians(("1", score, score, score, score, 1000)), year=2025)
    assert without.frame["exceptional_adjustment"][0] == 0
    scaled = pay(
        "mips", clinicians(("1", score, score, score, score, 1000)), year=2024, scaling_factor="1,0.2"
    )
    assert scaled.frame["exceptional_adjustment"][0] == pytest.approx(0.2 * share)


def test_small_practices_have_rows_of_their_own(clinicians: Writer) -> None:
    header = "clinician_id,quality,cost,improvement_activities,promoting_interoperability,small_practice"
    rows = [("1", 80, 60, 100, "", 1), ("2", 80, 60, 100, "", 0)]
    frame = pay("mips", clinicians(*rows, header=header), year=2026).frame
    assert frame["final_score"].to_list() == pytest.approx([32 + 18 + 30, 44 + 18 + 15])


def test_one_category_alone_leaves_payments_as_they_are(clinicians: Writer) -> None:
    """42 CFR 414.1380(c): fewer than two categories have the threshold as their final score."""
    frame = pay("mips", clinicians(("1", 20, "", "", "", 1000)), year=2026).frame
    assert frame.select("final_score", "payment_adjustment").row(0) == (75, 0)


REGULATION = {
    # 42 CFR 414.1380(c)(2)(ii), rows of each table: weights of quality, cost, activities, interoperability.
    (2019, "promoting_interoperability"): (85, 0, 15, 0),
    (2019, "quality"): (0, 0, 50, 50),
    (2020, "quality"): (0, 10, 45, 45),
    (2020, "improvement_activities quality"): (0, 10, 0, 90),
    (2021, "cost"): (60, 0, 15, 25),
    (2021, "promoting_interoperability quality"): (0, 15, 85, 0),
    (2022, "quality"): (0, 0, 15, 85),
    (2023, "improvement_activities promoting_interoperability"): (80, 20, 0, 0),
    (2023, "quality"): (0, 20, 15, 65),
    (2024, "cost improvement_activities"): (70, 0, 0, 30),
    (2026, "cost quality"): (0, 0, 15, 85),
}


@pytest.mark.parametrize(("case", "weights"), REGULATION.items(), ids=str)
def test_the_weight_of_a_missing_category_is_handed_on_as_the_regulation_prints(
    clinicians: Writer, case: tuple[int, str], weights: tuple[int, ...]
) -> None:
    year, missing = case
    row = ("1", *("" if name in missing.split() else 50 for name in CATEGORIES), "")
    detail = pay("mips", clinicians(row), year=year).detail
    assert [round(100 * weight) for weight in detail["weight"]] == list(weights)


@pytest.mark.parametrize("year", known_years("mips"))
def test_every_two_categories_that_are_missing_have_a_row(clinicians: Writer, year: int) -> None:
    counting = [name for name, share in load_rules("mips", year)["category_weights"].items() if share]
    patterns = [(), *((name,) for name in counting), *combinations(counting, 2)]
    rows = [
        (number, *("" if name in missing else 50 for name in CATEGORIES), "")
        for number, missing in enumerate(patterns)
    ]
    assert pay("mips", clinicians(*rows), year=year).frame["final_score"].null_count() == 0


def test_a_pattern_that_the_rules_do_not_have_needs_weights(clinicians: Writer) -> None:
    bare = {"category_weights": {"value": dict.fromkeys(CATEGORIES, 0.25), "source": "made up"}}
    rules = parse_rules({"program": "mips", "year": 1, "title": "t", **bare}, "here")
    frame = pl.DataFrame(
        {"clinician_id": ["1"], "small_practice": [False], **dict.fromkeys(CATEGORIES, 50.0)}
    )
    frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("quality"))
    with pytest.raises(DataError, match=r"1 has no score in quality, .* payment year 1 could not be found"):
        weighted(frame, rules)
    row = ("1", "", 60, 100, 90)
    header = "clinician_id,quality,cost,improvement_activities,promoting_interoperability"
    weights = ",quality_weight,cost_weight,improvement_activities_weight,promoting_interoperability_weight"
    frame = pay("mips", clinicians((*row, 0, 30, 30, 40), header=header + weights), year=2021).frame
    assert frame["final_score"].to_list() == pytest.approx([18 + 30 + 36])
    with pytest.raises(DataError, match="the weights add up to 90"):
        pay("mips", clinicians((*row, 0, 30, 30, 30), header=header + weights), year=2021)


def test_category_scores_follow_from_measures(clinicians: Writer, tmp_path: Path) -> None:
    measures = tmp_path / "measures.csv"
    lines = ["clinician_id,category,points,possible", "1,quality,7,10", "1,quality,9,10",
             "1,Improvement Activities,50,40", "1,promoting_interoperability,80,100"]  # fmt: skip
    measures.write_text("\n".join(lines), encoding="utf-8")
    payment = pay("mips", [clinicians(("1",), header="clinician_id,part_b_payments"), measures], year=2026)
    row = payment.frame.row(0, named=True)
    assert (row["quality"], row["cost"], row["improvement_activities"]) == (80, None, 100)
    assert row["final_score"] == pytest.approx(0.55 * 80 + 15 + 0.3 * 80)
    measures.write_text("\n".join([*lines, "2,quality,1,10"]), encoding="utf-8")
    with pytest.raises(DataError, match="'2' is in no row"):
        pay("mips", [clinicians(("1",), header="clinician_id,part_b_payments"), measures], year=2026)


def test_a_solved_scaling_factor_balances_increases_and_reductions(clinicians: Writer) -> None:
    rows = [("1", 100, 100, 100, 100, 1000), ("2", 60, 60, 60, 60, 2000), ("3", 75, 75, 75, 75, 500)]
    frame = pay("mips", clinicians(*rows), year=2026, scaling_factor="solve").frame
    assert frame["adjustment_dollars"].sum() == pytest.approx(0, abs=1e-9)
    assert frame["scaling_factor"][0] == pytest.approx((2000 * 0.018) / (1000 * 0.09))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 1e6)), min_size=1, max_size=8))
def test_increases_are_what_reductions_pay_for_or_held_at_three_times(
    scores: list[tuple[float, float]],
) -> None:
    frame = pl.DataFrame(
        {"clinician_id": [str(i) for i in range(len(scores))],
         **{name: [score for score, _ in scores] for name in CATEGORIES},
         "complex_patient_bonus": 0.0, "small_practice": False,
         "part_b_payments": [paid for _, paid in scores]}
    )  # fmt: skip
    out = PROGRAM.settle(Inputs({"clinicians": frame}, {"scaling_factor": "solve"}), RULES).frame
    balance, scale = out["adjustment_dollars"].sum(), out["scaling_factor"][0]
    total = sum(paid for _, paid in scores)
    # Neutral, or short of it because the factor is at its limit or nobody is above the threshold.
    assert abs(balance) <= 1e-9 * total or (
        balance <= 0 and (scale == 3 or out["payment_adjustment"].max() <= 0)
    )
    assert out["payment_adjustment"].is_between(-0.09 - 1e-12, 0.27 + 1e-12).all()


def test_the_scaling_factor_is_at_most_three(clinicians: Writer) -> None:
    rows = [("1", 76, 76, 76, 76, 1), ("2", 0, 0, 0, 0, 1e9)]
    assert pay("mips", clinicians(*rows), year=2026, scaling_factor="solve").frame["scaling_factor"][0] == 3
    with pytest.raises(SpecError, match="not between 0 and 3"):
        pay("mips", clinicians(*rows), year=2026, scaling_factor=4)


def test_the_score_of_the_break_even_reaches_the_threshold(clinicians: Writer) -> None:
    payment = pay("mips", clinicians(("1", 50, 70, 100, 70, 1000)), year=2026)
    quality = payment.break_even("1").filter(category="quality").row(0, named=True)
    after = payment.what_if({"quality@1": quality["score_needed"]})
    assert after.frame["final_score"][0] == pytest.approx(75)
    activities = payment.break_even("1").filter(category="improvement_activities")["score_needed"]
    assert activities.to_list() == [None]  # it is at 100 already
    assert "42 CFR 414.1405(b)" in str(payment.audit("1"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("1", 101, 50, 50, 50, ""), "above 100"),
        (("1", 50, 50, 50, 50, -1), "below 0"),
    ],
)
def test_wrong_rows_are_refused(clinicians: Writer, row: tuple[object, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pay("mips", clinicians(row), year=2026)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 100), st.floats(0, 100))
def test_a_higher_score_never_lowers_the_adjustment_and_nine_percent_bounds_it(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert _factor(low) <= _factor(high)
    assert -0.09 <= _factor(a) <= 0.09
