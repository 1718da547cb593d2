"""The Hospital Value-Based Purchasing Program."""

import math
import re
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import load_rules, pay
from riskmodels.payments.hvbp_scoring import measure_points

FILES = ("clinical_outcomes", "efficiency_and_cost_reduction", "person_and_community_engagement", "safety")
TOTALS = {
    "Unweighted Normalized Clinical Outcomes Domain Score": "clinical_outcomes",
    "Weighted Normalized Clinical Outcomes Domain Score": "clinical_outcomes_weighted",
    "Unweighted Person And Community Engagement Domain Score": "person_and_community_engagement",
    "Unweighted Normalized Safety Domain Score": "safety",
    "Weighted Safety Domain Score": "safety_weighted",
    "Unweighted Normalized Efficiency And Cost Reduction Domain Score": "efficiency_and_cost_reduction",
    "Total Performance Score": "total_performance_score",
}
POINTS = {
    "Achievement Points": "achievement_points",
    "Improvement Points": "improvement_points",
    "Measure Score": "measure_score",
    "Dimension Score": "measure_score",
}


def _figures(column: pl.Series) -> pl.Series:
    return column.str.replace(r" out of \d+", "").str.replace("%", "").cast(pl.Float64, strict=False)


class TestPublishedFiles:
    """Against CMS's own results."""

    def test_every_point_of_fy_2024_is_exact(self, shared_data: Path) -> None:
        folder = shared_data / "payments" / "hvbp_fy2024"
        payment = pay("hvbp", [folder / f"hvbp_{name}.csv" for name in FILES], year=2024)
        compared = 0
        for name in FILES:
            table = pl.read_csv(folder / f"hvbp_{name}.csv", infer_schema=False)
            for column in table.columns:
                suffix = next((words for words in POINTS if column.endswith(f" {words}")), None)
                if suffix is None:
                    continue
                measure = column.removesuffix(f" {suffix}")
                mine = payment.detail.filter(measure=measure).select("facility_id", POINTS[suffix])
                published = table.select(facility_id="Facility ID", published=_figures(table[column]))
                both = published.join(mine, on="facility_id", how="left")
                assert both["published"].eq_missing(both[POINTS[suffix]]).all(), column
                compared += both.height
        assert compared > 60_000

    def test_every_domain_and_total_score_of_fy_2024_is_exact(self, shared_data: Path) -> None:
        folder = shared_data / "payments" / "hvbp_fy2024"
        payment = pay("hvbp", sorted(folder.glob("hvbp_*.csv")), year=2024)
        table = pl.read_csv(folder / "hvbp_tps.csv", infer_schema=False)
        for column, name in TOTALS.items():
            published = table.select(facility_id="Facility ID", published=_figures(table[column]))
            both = published.join(payment.frame.select("facility_id", name), on="facility_id")
            assert both.height == table.height
            assert both["published"].is_null().equals(both[name].is_null(), check_names=False)
            assert (both["published"] - both[name]).abs().max() < 1e-6


def test_the_audit_writes_out_every_point_and_score(shared_data: Path) -> None:
    """What stands right of the last equals sign of a formula is, rounded, what stands left of the first."""
    folder = shared_data / "payments" / "hvbp_fy2024"
    payment = pay("hvbp", [folder / f"hvbp_{name}.csv" for name in FILES], year=2024)
    checked = 0
    for hospital in payment.frame["facility_id"].head(40):
        for line in payment.audit(hospital).lines:
            if raw := re.fullmatch(r"(\d.*) = (-?[\d.]+), to the nearest whole, .*", line.formula):
                terms = raw[1].replace("−", "-").replace("×", "*")
                assert eval(terms) == pytest.approx(float(raw[2]), abs=1e-4)
                lowest = 1 if "achievement" in line.label else 0
                highest = 20 if "Consistency" in line.label else 9
                assert float(line.value) == min(highest, max(lowest, math.floor(float(raw[2]) + 0.5)))
                checked += 1
            if line.label == "domain score" and "/" in line.formula:
                assert eval(line.formula.replace("×", "*")) == pytest.approx(float(line.value), abs=1e-5)
                checked += 1
    assert checked > 200
    text = str(payment.audit("010007"))
    assert "10 × (0.874346 − 0.865767) / (0.907733 − 0.865767) − 0.5 = 1.5443" in text
    assert "domain score: 24 = 9 + 15" in text
    assert "domain score: none = 1 scored of at least 2" in text


def test_without_the_file_of_a_domain_no_hospital_has_a_total(shared_data: Path) -> None:
    """The domain that is not there would share out its weight, as if the hospital had no score in it."""
    folder = shared_data / "payments" / "hvbp_fy2024"
    payment = pay("hvbp", [folder / f"hvbp_{name}.csv" for name in FILES[:3]], year=2024)
    assert payment.frame["total_performance_score"].null_count() == payment.frame.height
    assert payment.frame["clinical_outcomes"].drop_nulls().len() > 1000
    assert any("no total: no file has" in note for note in payment.notes)


def _rate(
    rate: float, threshold: float, benchmark: float, baseline: float | None
) -> tuple[float, float, float]:
    frame = pl.DataFrame(
        {"performance_rate": [rate], "achievement_threshold": [threshold], "benchmark": [benchmark],
         "baseline_rate": [baseline]},
        schema_overrides={"baseline_rate": pl.Float64},
    )  # fmt: skip
    row = measure_points(frame, load_rules("hvbp", 2024)).row(0, named=True)
    return row["achievement_points"], row["improvement_points"], row["measure_score"]


@pytest.mark.parametrize(
    ("rate", "threshold", "benchmark", "baseline", "points"),
    [
        # Figures of FY 2024 files: threshold and benchmark of MORT-30-AMI and HAI-2.
        (0.890244, 0.869247, 0.887868, 0.891899, (10, 0, 10)),  # above the benchmark, below its own baseline
        (0.835481, 0.869247, 0.887868, 0.853581, (0, 0, 0)),
        (0.329, 0.650, 0.000, 0.222, (5, 0, 5)),
        (0.188, 0.650, 0.000, 0.826, (7, 7, 7)),
        (0.0, 0.650, 0.000, 0.0, (10, 0, 10)),  # at the benchmark, not better than before
        (0.5, 0.4, 0.8, None, (3, None, 3)),
        (0.4, 0.4, 0.8, 0.2, (1, 3, 3)),  # at the threshold: one point
    ],
)
def test_points(
    rate: float, threshold: float, benchmark: float, baseline: float | None, points: tuple[float | None, ...]
) -> None:
    assert _rate(rate, threshold, benchmark, baseline) == points


class TestProperties:
    @settings(max_examples=60, deadline=None)
    @given(st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 1), st.booleans())
    def test_a_better_rate_never_scores_less_and_points_are_whole(
        self, rate: float, better: float, baseline: float, higher: bool
    ) -> None:
        threshold, benchmark = (0.5, 0.8) if higher else (0.5, 0.2)
        other = rate + better if higher else rate - better
        worse, improved = (
            _rate(rate, threshold, benchmark, baseline),
            _rate(other, threshold, benchmark, baseline),
        )
        assert worse[2] <= improved[2]
        assert worse[2] in range(11)
        assert worse[1] in range(10)


@pytest.fixture
def totals(tmp_path: Path) -> Path:
    """Write three hospitals with the same score in every domain."""
    names = [name for name in TOTALS if name.startswith("Unweighted")]
    lines = [",".join(["Fiscal Year", "Facility ID", *names])]
    for facility, score in (("010001", 20), ("010002", 40), ("010003", 60)):
        lines.append(",".join(["2024", facility, *[f"{score}.0"] * 4]))
    lines.append("2024,010004,50.0,Not Available,50.0,Not Available")
    path = tmp_path / "hvbp_tps.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.floats(1, 1e9)), min_size=2, max_size=6))
def test_the_exchange_pays_out_just_what_it_takes(hospitals: list[tuple[int, float]]) -> None:
    """42 CFR 412.162(b)(1): the incentives of all hospitals are the reductions of all hospitals."""
    if not any(score for score, _ in hospitals):
        return
    with tempfile.TemporaryDirectory() as folder:
        scores, base = Path(folder) / "hvbp_tps.csv", Path(folder) / "base.csv"
        names = [name for name in TOTALS if name.startswith("Unweighted")]
        lines = [",".join(["Fiscal Year", "Facility ID", *names])]
        lines += [
            f"2024,{number:06d}{f',{score}' * 4}" for number, (score, _) in enumerate(hospitals, 10_001)
        ]
        scores.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paid = [f"{number:06d},{amount}" for number, (_, amount) in enumerate(hospitals, 10_001)]
        base.write_text("\n".join(["facility_id,base_operating_payments", *paid]) + "\n", encoding="utf-8")
        frame = pay("hvbp", scores, year=2024, base_payments=base).frame
    total = sum(amount for _, amount in hospitals)
    assert abs(frame["net_incentive_dollars"].sum()) <= 1e-9 * total
    order = frame.sort("total_performance_score")["payment_adjustment_factor"]
    assert order.is_sorted()
    assert (frame["payment_adjustment_factor"] >= 0.98 - 1e-12).all()


class TestExchange:
    """Reductions and incentives: 42 CFR 412.162."""

    def test_the_pool_is_paid_out_and_the_slope_is_two_and_a_half(self, totals: Path, tmp_path: Path) -> None:
        base = tmp_path / "base.csv"
        rows = [f"01000{n},10000000" for n in (1, 2, 3, 4)]
        base.write_text("\n".join(["facility_id,base_operating_payments", *rows]), encoding="utf-8")
        payment = pay("hvbp", totals, year=2024, base_payments=base)
        frame = payment.frame
        assert frame["exchange_slope"][0] == pytest.approx(2.5)
        assert frame["payment_adjustment_factor"].to_list() == pytest.approx([0.99, 1.0, 1.01, None])
        assert frame["net_incentive_dollars"].sum() == pytest.approx(0, abs=1e-6)
        assert payment.frame["total_performance_score"].to_list() == [
            20,
            40,
            60,
            None,
        ]  # two domains are too few
        assert "42 CFR 412.162(c)" in str(payment.audit("010003"))

    def test_the_equity_bonus_that_was_removed_is_followed_only_when_asked_for(
        self, totals: Path, tmp_path: Path
    ) -> None:
        """By hand: all four domains in the top, middle and bottom third give 16, 8 and 0 points."""
        equity, base = tmp_path / "equity.csv", tmp_path / "base.csv"
        equity.write_text("facility_id,underserved_multiplier\n010001,0.9\n010002,0.25\n010003,0.9\n")
        rows = [f"01000{n},10000000" for n in (1, 2, 3, 4)]
        base.write_text("\n".join(["facility_id,base_operating_payments", *rows]), encoding="utf-8")
        totals.write_text(totals.read_text().replace("2024,", "2026,"))
        totals.write_text("\n".join(totals.read_text().splitlines()[:4]))  # the three with all domains
        payment = pay("hvbp", [totals, equity], year=2026, base_payments=base)
        assert payment.frame["health_equity_bonus"].to_list() == pytest.approx([0, 2, 10])
        assert payment.frame["total_performance_score"].to_list() == pytest.approx([20, 42, 70])
        assert payment.frame["exchange_slope"][0] == pytest.approx(3 * 110 / 132)
        assert payment.frame["net_incentive_dollars"].sum() == pytest.approx(0, abs=1e-6)
        assert "equity_adjustment" in payment.unverified
        assert "CMS pays no such bonus" in str(payment.audit("010003"))
        without = pay("hvbp", totals, year=2026, base_payments=base)
        assert without.frame["total_performance_score"].to_list() == [20, 40, 60]
        assert "health_equity_bonus" not in without.frame.columns
        with pytest.raises(SpecError, match="no health equity adjustment in 2024"):
            pay("hvbp", [totals, equity], year=2024)

    def test_a_given_slope_is_taken(self, totals: Path) -> None:
        factors = pay("hvbp", totals, year=2024, slope=3).frame["payment_adjustment_factor"].to_list()
        assert factors == pytest.approx([0.992, 1.004, 1.016, None])

    def test_scores_of_2026_are_divided_by_110(self, totals: Path, tmp_path: Path) -> None:
        """42 CFR 412.162(b)(3)(ii)(B): 2% x 40 / 110 x 3; the slope solved for makes up for the divisor."""
        totals.write_text(totals.read_text(encoding="utf-8").replace("2024,", "2026,"), encoding="utf-8")
        given = pay("hvbp", totals, year=2026, slope=3)
        assert given.frame["payment_adjustment_factor"][1] == pytest.approx(0.98 + 0.02 * 40 / 110 * 3)
        assert given.unverified == ()
        base = tmp_path / "base.csv"
        rows = [f"01000{n},10000000" for n in (1, 2, 3, 4)]
        base.write_text("\n".join(["facility_id,base_operating_payments", *rows]), encoding="utf-8")
        solved = pay("hvbp", totals, year=2026, base_payments=base).frame
        assert solved["exchange_slope"][0] == pytest.approx(2.5 * 1.1)
        assert solved["payment_adjustment_factor"].to_list() == pytest.approx([0.99, 1.0, 1.01, None])

    def test_missing_domains_share_out_their_weight(self, totals: Path) -> None:
        text = totals.read_text(encoding="utf-8").replace(
            "20.0,20.0,20.0,20.0", "30.0,Not Available,60.0,15.0"
        )
        totals.write_text(text, encoding="utf-8")
        frame = pay("hvbp", totals, year=2024).frame
        assert frame["total_performance_score"][0] == pytest.approx(35.0)
        assert frame["safety_weighted"][0] == pytest.approx(20.0)

    def test_published_totals_of_2025_follow_from_quarters_and_thirds(self, totals: Path) -> None:
        """Hospitals 190044 and 490037 of CMS's FY 2025 file: 8.125 of 25, no safety score of the other."""
        header, *_ = totals.read_text(encoding="utf-8").splitlines()
        names = [name.split()[1] if "Person" in name else name.split()[2] for name in header.split(",")[2:]]
        rows = []
        for ccn, scores in (("190044", [0, 38, 32.5, 10]), ("490037", [2.5, 53, "Not Available", 50])):
            found = dict(zip(("Clinical", "Person", "Safety", "Efficiency"), scores, strict=True))
            rows.append(f"2025,{ccn}," + ",".join(str(found[name]) for name in names))
        totals.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        payment = pay("hvbp", totals, year=2025)
        assert payment.frame["total_performance_score"].to_list() == pytest.approx([20.125, 35.1666667])
        assert payment.frame["safety_weighted"].to_list() == pytest.approx([8.125, None])
        assert payment.unverified == ()

    def test_a_file_of_another_year_is_refused(self, totals: Path) -> None:
        with pytest.raises(DataError, match=r"line 2: fiscal year 2024") as error:
            pay("hvbp", totals, year=2026)
        assert error.value.fix == "give --year 2024"


@pytest.fixture
def safety(tmp_path: Path) -> Path:
    """Write the two surgical-site strata and one other measure of two hospitals."""
    header = ["Fiscal Year", "Facility ID"]
    for name in ("HAI-1", "HAI-3", "HAI-4"):
        header += [f"{name} {words}" for words in ("Achievement Threshold", "Benchmark", "Baseline Rate",
                                                   "Performance Rate")]  # fmt: skip
    header.append("Combined SSI Measure Score")
    rates = "0.65,0.0,0.9,{}"
    rows = [
        ["2024", "010055", rates.format(0.3), rates.format(0), rates.format(0.641), "5 out of 10"],
        [
            "2024",
            "010056",
            rates.format(0.3),
            rates.format("Not Available"),
            rates.format(0.641),
            "2 out of 10",
        ],
    ]
    path = tmp_path / "hvbp_safety.csv"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]), encoding="utf-8")
    return path


def test_the_combined_score_is_the_published_one_and_moves_with_a_stratum(safety: Path) -> None:
    payment = pay("hvbp", safety, year=2024)
    combined = payment.detail.filter(measure="Combined SSI")["measure_score"].to_list()
    assert combined == [5, 2]
    better = payment.what_if({"performance_rate[HAI-4]@010055": 0.0})
    assert better.detail.filter(measure="Combined SSI")["measure_score"].to_list() == [10, 2]


def test_the_rate_of_the_break_even_scores_one_more_point(safety: Path) -> None:
    payment = pay("hvbp", safety, year=2024)
    for row in payment.break_even("010055").iter_rows(named=True):
        key = f"performance_rate[{row['measure']}]@010055"
        after = payment.what_if({key: row["performance_rate_needed"]}).detail
        score = after.filter(measure=row["measure"], facility_id="010055")["measure_score"][0]
        assert score >= row["next_score"]
        short = row["performance_rate"] + 0.99 * row["needed_change"]
        before = payment.what_if({key: short}).detail
        assert (
            before.filter(measure=row["measure"], facility_id="010055")["measure_score"][0]
            < row["next_score"]
        )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("HAI-1 ", "HAI-9 ", "'HAI-9' is not one"), ("0.65,0.0", "0.65,0.65", "missing or equal"),
     ("010056", "010055", "twice"), ("0.3,", "-0.3,", "below 0")],
)  # fmt: skip
def test_wrong_files_are_refused(safety: Path, old: str, new: str, message: str) -> None:
    safety.write_text(safety.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        pay("hvbp", safety, year=2024)


def test_strata_weigh_equally_where_the_file_has_no_combined_score_and_a_note_says_so(safety: Path) -> None:
    text = safety.read_text(encoding="utf-8")
    safety.write_text(text.replace("Combined SSI Measure Score", "Other"), encoding="utf-8")
    payment = pay("hvbp", safety, year=2024)
    combined = payment.detail.filter(measure="Combined SSI")["measure_score"].to_list()
    # 10 points of HAI-3 (at the benchmark) and 0 and 2 or so of HAI-4: the mean, and the one there is.
    scores = payment.detail.filter(pl.col("measure").is_in(["HAI-3", "HAI-4"]), facility_id="010055")
    assert combined[0] == pytest.approx(scores["measure_score"].mean(), abs=0.5)
    assert any("they weigh equally" in note for note in payment.notes)
