"""The Hospital Readmissions Reduction Program."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import load_rules, parse_changes, pay
from riskmodels.payments.hrrp import contributions, payment_factor
from riskmodels.payments.hrrp_benchmark import peer_groups
from riskmodels.payments.hrrp_neutrality import solve_neutrality
from riskmodels.payments.summary import summarise

Writer = Callable[..., Path]

# Figures of two hospitals of the FY 2025 final rule supplemental file (a federal work): measure to
# discharges, ERR, peer-group median, indicator, DRG payment ratio; and the factor that CMS published.
PUBLISHED = {
    "010006": (
        {
            "AMI": (315, 0.9704, 0.9957, "N", 0.0438),
            "COPD": (154, 0.9463, 0.9940, "N", 0.0104),
            "HF": (508, 0.9666, 0.9947, "N", 0.0364),
            "pneumonia": (621, 1.0112, 0.9944, "Y", 0.0536),
            "CABG": (91, 1.0846, 0.9982, "Y", 0.0289),
            "THA/TKA": (90, 0.9762, 0.9913, "N", 0.0087),
        },
        0.9967,
    ),
    "010007": (
        {
            "AMI": (9, 1.0139, 0.9958, "N", 0.0046),
            "COPD": (41, 1.0277, 0.9924, "Y", 0.0228),
            "HF": (35, 1.0674, 0.9955, "Y", 0.0207),
            "pneumonia": (85, 1.0488, 0.9912, "Y", 0.0556),
            "CABG": ("", "", 0.9943, "N", ""),
            "THA/TKA": (33, 0.9695, 0.9963, "N", 0.0310),
        },
        0.9947,
    ),
}


class TestPublishedFiles:
    """Against CMS's own results."""

    def test_every_hospital_of_the_supplemental_file_is_within_a_ten_thousandth(
        self, shared_data: Path
    ) -> None:
        path = shared_data / "payments" / "hrrp" / "FY2025_Final_Rule_Supplemental_File.csv"
        payment = pay("hrrp", path, year=2025)
        published = pl.read_csv(path, skip_rows=1, infer_schema=False).select(
            pl.col("Hospital CNN").alias("facility_id"),
            pl.nth(1).str.strip_chars().cast(pl.Float64).alias("published"),
        )
        both = payment.frame.join(published, on="facility_id")
        difference = (both["payment_adjustment_factor"] - both["published"]).abs()
        assert both.height == payment.frame.height > 1000
        assert difference.max() < 0.0001 + 1e-9  # the published inputs are rounded
        assert (difference < 1e-9).mean() > 0.97

    @pytest.mark.parametrize(("year", "factor"), [(2020, 0.9840), (2021, 0.9998), (2022, 1.0)])
    def test_discharge_rows_of_a_report_give_its_predicted_and_expected_to_1e_8(
        self, shared_data: Path, year: int, factor: float
    ) -> None:
        import openpyxl

        path = shared_data / "payments" / "hrrp" / "mock_hsr" / f"FY{year}_HRRP_MockHSR.xlsx"
        payment = pay("hrrp", path, year=year)
        assert payment.frame["payment_adjustment_factor"].to_list() == [factor]
        assert payment.notes == ()  # the discharge rows and the printed tables agree
        table = openpyxl.load_workbook(path, data_only=True)["Table 2 Hospital Results"]
        compared = 0
        for row, mine in zip(range(6, 12), payment.detail.iter_rows(named=True), strict=True):
            printed = [table.cell(row, column).value for column in (2, 4, 5, 6)]
            if not str(printed[0]).startswith("NQ"):
                names = ["eligible_discharges", "predicted", "expected", "excess_readmission_ratio"]
                assert [mine[name] for name in names] == pytest.approx(printed, abs=1e-8, rel=0)
                compared += 1
        assert compared >= 4

    def test_public_results_and_companions_are_read(self, shared_data: Path, tmp_path: Path) -> None:
        path = (
            shared_data / "payments" / "hrrp" / "FY_2024_Hospital_Readmissions_Reduction_Program_Hospital.csv"
        )
        ids = pl.read_csv(path, infer_schema=False)["Facility ID"].unique(maintain_order=True)
        dual = np.linspace(0, 0.9, len(ids))
        pl.DataFrame({"facility_id": ids, "dual_proportion": dual}).write_csv(tmp_path / "peers.csv")
        pl.DataFrame({"facility_id": ids, "drg_payment_ratio": 0.02}).write_csv(tmp_path / "ratios.csv")
        payment = pay(
            "hrrp", path, year=2024, peer_groups=tmp_path / "peers.csv",
            drg_ratios=tmp_path / "ratios.csv", neutrality_modifier=0.96,
        )  # fmt: skip
        assert payment.frame.height == len(ids)
        assert payment.detail.height == 18_774
        both = payment.detail.drop_nulls("excess_readmission_ratio")
        gap = both["predicted"] / both["expected"] - both["excess_readmission_ratio"]
        assert gap.abs().max() < 1e-4


class TestRule:
    """The formula, on figures by hand."""

    @pytest.mark.parametrize("facility", list(PUBLISHED))
    def test_published_hospitals(self, supplemental: Writer, facility: str) -> None:
        measures, factor = PUBLISHED[facility]
        payment = pay("hrrp", supplemental({facility: measures}), year=2025)
        assert payment.frame["payment_adjustment_factor"].to_list() == [factor]
        assert payment.unverified == ()

    @pytest.mark.parametrize(
        ("n", "err", "factor"),
        [
            (24, 1.5, 1.0),  # too few discharges
            (25, 1.5, 0.9900),  # 1 x 0.02 x 0.5
            (25, 1.0, 1.0),  # at the median
            (25, 0.9, 1.0),
            (25, 1.0025, 0.9999 + 0.00005),  # 0.00005 rounds half up: 0.99995 to 1.0000
            (25, 3.0, 0.9700),  # 0.04, capped at 3%
        ],
        ids=["24-discharges", "25-discharges", "at-median", "below", "rounding", "cap"],
    )
    def test_one_measure(self, supplemental: Writer, n: int, err: float, factor: float) -> None:
        indicator = "Y" if n >= 25 and err > 1 else "N"
        path = supplemental({"010001": {"HF": (n, err, 1.0, indicator, 0.02)}}, modifier="1.0")
        result = pay("hrrp", path, year=2025).frame["payment_adjustment_factor"][0]
        assert result == pytest.approx(round(factor + 1e-12, 4), abs=1e-12)

    def test_pneumonia_does_not_count_in_2023(self, supplemental: Writer) -> None:
        path = supplemental({"010001": {"pneumonia": (100, 1.5, 1.0, "N/A", 0.02)}}, year=2023)
        payment = pay("hrrp", path, year=2023)
        assert payment.frame["payment_adjustment_factor"].to_list() == [1.0]
        assert payment.detail.filter(pl.col("measure") == "Pneumonia")["counts"].to_list() == [False]

    def test_peer_groups_are_fifths_and_equal_proportions_stay_together(self) -> None:
        dual = pl.DataFrame({"dual": [0.5, 0.1, 0.2, 0.3, 0.4, 0.1, 0.1, 0.2, 0.9, 1.0]})
        assert dual.select(peer_groups(pl.col("dual")))["dual"].to_list() == [4, 1, 2, 3, 4, 1, 1, 2, 5, 5]

    def test_solved_modifier_keeps_the_savings(self) -> None:
        rng = np.random.default_rng(1)
        base = rng.uniform(1e6, 1e8, 500)
        plain, peer = rng.uniform(0, 0.05, 500), rng.uniform(0, 0.06, 500)
        modifier = solve_neutrality(peer, plain, base, 0.03)
        before, after = np.minimum(0.03, plain) @ base, np.minimum(0.03, modifier * peer) @ base
        assert after == pytest.approx(before, rel=1e-12)


def _one(n: int, err: float, median: float, ratio: float, modifier: float) -> float:
    rules = load_rules("hrrp", 2025)
    measures = pl.DataFrame(
        {
            "facility_id": ["a"], "measure": ["HF"], "eligible_discharges": [n], "predicted": [None],
            "expected": [None], "excess_readmission_ratio": [err], "peer_group_median": [median],
            "published_indicator": [None], "drg_payment_ratio": [ratio], "counts": [True],
            "source_file": ["f"], "source_line": [1],
        },
        schema_overrides={"published_indicator": pl.Boolean},
    )  # fmt: skip
    hospitals = pl.DataFrame({"facility_id": ["a"], "neutrality_modifier": [modifier]})
    detail = contributions(measures, hospitals, rules)
    return float(detail.select(payment_factor(pl.col("contribution").sum(), rules)).item())


ratios = st.floats(0.3, 3.0)


class TestProperties:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 500), ratios, st.floats(0, 1), ratios, st.floats(0, 1), st.floats(0.5, 1.5))
    def test_a_higher_err_never_raises_the_payment(
        self, n: int, err: float, more: float, median: float, ratio: float, modifier: float
    ) -> None:
        assert _one(n, err + more, median, ratio, modifier) <= _one(n, err, median, ratio, modifier)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 500), ratios, ratios, st.floats(0, 1), st.floats(0.5, 1.5))
    def test_the_factor_is_between_the_floor_and_one_at_four_decimals(
        self, n: int, err: float, median: float, ratio: float, modifier: float
    ) -> None:
        factor = _one(n, err, median, ratio, modifier)
        assert 0.97 <= factor <= 1.0
        assert factor == round(factor, 4)


@pytest.fixture
def benchmark_files(tmp_path: Path) -> dict[str, Path]:
    """Write a benchmark of 60 hospitals, its draws, and the files of a user."""
    rng = np.random.default_rng(0)
    ids = [f"F{number:02d}" for number in range(60)]
    n = rng.integers(5, 400, 60)
    expected = 0.15 * n
    ratio = rng.normal(1, 0.15, 60).clip(0.5)
    paths = {
        name: tmp_path / f"{name}{suffix}"
        for name, suffix in [("benchmark", ".parquet"), ("drg_ratios", ".csv"), ("peer_groups", ".csv"),
                             ("base_payments", ".csv")]
    }  # fmt: skip
    frame = pl.DataFrame({"facility_id": ids, "n": n, "observed": ratio * expected, "expected": expected,
                          "ratio": ratio, "suppressed": n < 11})  # fmt: skip
    hidden = [
        pl.when("suppressed").then(None).otherwise(name).alias(name) for name in ("n", "observed", "ratio")
    ]
    frame.with_columns(hidden).write_parquet(paths["benchmark"])
    pl.concat(
        pl.DataFrame({"entity": ids, "draw": draw, "ratio": ratio * rng.normal(1, 0.1, 60)})
        for draw in range(100)
    ).write_parquet(tmp_path / "benchmark.draws.parquet")
    pl.DataFrame({"facility_id": ids, "drg_payment_ratio": 0.1}).write_csv(paths["drg_ratios"])
    pl.DataFrame({"facility_id": ids, "dual_proportion": rng.uniform(0, 0.9, 60)}).write_csv(
        paths["peer_groups"]
    )
    pl.DataFrame({"facility_id": ids, "base_operating_payments": 1e7}).write_csv(paths["base_payments"])
    return paths


class TestBenchmark:
    """A benchmark of one's own."""

    def test_dollars_come_with_an_interval_and_medians_are_of_the_peers(
        self, benchmark_files: dict[str, Path]
    ) -> None:
        path = benchmark_files.pop("benchmark")
        payment = pay("hrrp", path, year=2025, **benchmark_files)
        frame = payment.frame
        assert frame["neutrality_modifier"].unique().to_list() == [0.9652]
        scored = frame.filter(pl.col("penalised_measures") > 0)
        assert scored.height > 10
        held = scored.filter(
            pl.col("payment_reduction_dollars").is_between(
                pl.col("payment_reduction_dollars_lower"), pl.col("payment_reduction_dollars_upper")
            )
        )
        assert held.height >= 0.9 * scored.height
        grouped = payment.detail.join(frame.select("facility_id", "peer_group"), on="facility_id")
        medians = grouped.group_by("peer_group").agg(
            pl.col("excess_readmission_ratio").median(), pl.col("peer_group_median").first()
        )
        assert medians["excess_readmission_ratio"].equals(medians["peer_group_median"])

    def test_the_dollars_of_all_hospitals_have_an_interval_of_their_own(
        self, benchmark_files: dict[str, Path]
    ) -> None:
        """It is of the sum in each draw: errors cancel, so it is narrower than the sum of the intervals."""
        path = benchmark_files.pop("benchmark")
        payment = pay("hrrp", path, year=2025, **benchmark_files)
        low, high = payment.settlement.total_interval or (0.0, 0.0)
        ends = payment.frame.select(pl.col("^payment_reduction_dollars_(lower|upper)$").sum()).row(0)
        assert ends[0] < low < high < ends[1]
        assert summarise(payment)["dollars_lower"] == low
        del benchmark_files["base_payments"]
        assert pay("hrrp", path, year=2025, **benchmark_files).settlement.total_interval is None

    def test_fewer_readmissions_of_the_break_even_remove_the_penalty(
        self, benchmark_files: dict[str, Path]
    ) -> None:
        path = benchmark_files.pop("benchmark")
        payment = pay("hrrp", path, year=2025, **benchmark_files)
        turn = payment.break_even().sort("needed_change").row(0, named=True)
        change = {f"excess_readmission_ratio@{turn['facility_id']}": turn["peer_group_median"]}
        after = payment.compare(payment.what_if(change))
        assert after["facility_id"].to_list() == [turn["facility_id"]]
        assert after["payment_adjustment_factor_other"].to_list() == [1.0]
        row = payment.detail.row(by_predicate=pl.col("facility_id") == turn["facility_id"], named=True)
        fewer = row["predicted"] - turn["fewer_readmissions"] / row["eligible_discharges"]
        at_most = payment.what_if({f"predicted@{turn['facility_id']}": fewer})
        one_less = fewer + 1 / row["eligible_discharges"]
        not_yet = payment.what_if({f"predicted@{turn['facility_id']}": one_less})
        penalised = [
            p.detail.filter(pl.col("facility_id") == turn["facility_id"])["penalised"][0]
            for p in (at_most, not_yet)
        ]
        assert penalised == [False, True]

    def test_a_hospital_that_the_benchmark_withholds_is_not_settled(
        self, benchmark_files: dict[str, Path]
    ) -> None:
        """No ratio is known, so it is neither penalised nor cleared, and the audit and a note say why."""
        hidden = pl.read_parquet(benchmark_files["benchmark"]).filter("suppressed")["facility_id"].to_list()
        path = benchmark_files.pop("benchmark")
        payment = pay("hrrp", path, year=2025, **benchmark_files)
        assert hidden
        rows = payment.frame.filter(pl.col("facility_id").is_in(hidden))
        for name in ("payment_adjustment_factor", "payment_reduction", "payment_reduction_dollars"):
            assert rows[name].null_count() == len(hidden)
            assert payment.frame[name].null_count() == len(hidden)
        assert "withholds" in payment.audit(hidden[0]).to_text()
        assert any("not settled" in note for note in payment.notes)

    def test_without_companions_it_says_what_to_give(self, benchmark_files: dict[str, Path]) -> None:
        with pytest.raises(SpecError, match="--drg-ratios FILE and --peer-groups FILE"):
            pay("hrrp", benchmark_files["benchmark"], year=2025)

    def test_a_year_without_a_published_modifier_is_solved_for(
        self, benchmark_files: dict[str, Path]
    ) -> None:
        path = benchmark_files.pop("benchmark")
        payment = pay("hrrp", path, year=2026, **benchmark_files)
        assert any("solved" in note for note in payment.notes)
        del benchmark_files["base_payments"]
        with pytest.raises(SpecError, match="neutrality modifier of 2026"):
            pay("hrrp", path, year=2026, **benchmark_files)

    def test_a_hospital_missing_in_a_companion_is_named(self, benchmark_files: dict[str, Path]) -> None:
        path = benchmark_files.pop("benchmark")
        pl.read_csv(benchmark_files["peer_groups"]).head(59).write_csv(benchmark_files["peer_groups"])
        with pytest.raises(DataError, match=r"1 of 60 hospitals missing, such as 'F59'"):
            pay("hrrp", path, year=2025, **benchmark_files)


class TestRefusals:
    """Inputs that contradict themselves or the request."""

    GOOD: ClassVar[dict[str, tuple[object, ...]]] = {"HF": (100, 1.1, 1.0, "Y", 0.02)}

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ((100, 1.1, 1.0, "N", 0.02), "indicator N, but the ERR is above"),
            ((100, 0.9, 1.0, "Y", 0.02), "indicator Y, but the ERR is below"),
            ((24, 1.1, 1.0, "Y", 0.02), "too few discharges"),
            ((100, 1.1, 1.0, "Y", ""), "without a DRG payment ratio"),
            ((100, "", 1.0, "N", 0.02), "no ERR"),
            ((-1, 1.1, 1.0, "N", 0.02), "'-1' is below 0"),
            ((10.5, 1.1, 1.0, "N", 0.02), "not a whole number"),
            ((100, "high", 1.0, "Y", 0.02), "'high' is not a number"),
            ((100, 1.1, 1.0, "Y", 1.2), "'1.2' is above 1"),
            ((100, 1.1, 1.0, "?", 0.02), "neither Y nor N"),
        ],
    )
    def test_a_wrong_row_is_refused_with_its_line(
        self, supplemental: Writer, row: tuple[object, ...], message: str
    ) -> None:
        path = supplemental({"010001": self.GOOD, "010005": {"HF": row}})
        with pytest.raises(DataError, match=message) as error:
            pay("hrrp", path, year=2025)
        assert error.value.line == 4

    def test_a_hospital_twice_is_refused_with_both_lines(self, supplemental: Writer) -> None:
        path = supplemental({"010001": self.GOOD, "010005": self.GOOD})
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("010005", "010001"), encoding="utf-8")
        with pytest.raises(DataError, match=r"line 4.*twice, first on line 3"):
            pay("hrrp", path, year=2025)

    def test_a_file_of_another_year_is_refused(self, supplemental: Writer) -> None:
        with pytest.raises(DataError, match="fiscal year 2024"):
            pay("hrrp", supplemental({"010001": self.GOOD}, year=2024), year=2025)

    def test_an_unknown_year_names_the_years_known(self, supplemental: Writer) -> None:
        with pytest.raises(SpecError, match="2019, 2020"):
            pay("hrrp", supplemental({"010001": self.GOOD}), year=2012)

    def test_two_medians_in_a_peer_group_are_refused(self, supplemental: Writer) -> None:
        other = {"HF": (100, 1.1, 1.05, "Y", 0.02)}
        with pytest.raises(DataError, match="different medians of HF"):
            pay("hrrp", supplemental({"010001": self.GOOD, "010005": other}), year=2025)

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        path.write_text("a,b\n1,2\n", encoding="utf-8")
        with pytest.raises(DataError, match="no header row"):
            pay("hrrp", path, year=2025)


class TestAuditAndWhatIf:
    def test_the_audit_has_inputs_with_their_lines_the_formula_and_the_dollars(
        self, supplemental: Writer
    ) -> None:
        path = supplemental({"010006": PUBLISHED["010006"][0]})
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder) / "base.csv"
            base.write_text('facility_id,base_operating_payments\n010006,"$1,000,000"\n', encoding="utf-8")
            text = str(pay("hrrp", path, year=2025, base_payments=base).audit("010006"))
        for part in (
            "supplemental.csv, line 3, column ERR (CABG)",
            "0.9652 × 0.0536 × (1.0112 − 0.9944)",
            "42 CFR 412.154",
            "payment adjustment factor: 0.9967",
            "payments withheld: $3,300.00",
        ):
            assert part in text

    def test_an_unknown_hospital_is_refused(self, supplemental: Writer) -> None:
        payment = pay("hrrp", supplemental({"010006": PUBLISHED["010006"][0]}), year=2025)
        with pytest.raises(SpecError, match="did you mean '010006'"):
            payment.audit("010007")

    @pytest.mark.parametrize(
        ("change", "err"), [(0.9, 0.9), ("0.9", 0.9), ("-5%", 1.1 * 0.95), ("+0.1", 1.2), ("*2", 2.2)]
    )
    def test_changes(self, supplemental: Writer, change: float | str, err: float) -> None:
        path = supplemental({"010001": TestRefusals.GOOD})
        payment = pay("hrrp", path, year=2025, what_if={"excess_readmission_ratio[HF]": change})
        assert payment.detail["excess_readmission_ratio"].drop_nulls().to_list() == pytest.approx([err])
        assert "what if" in str(payment.audit("010001"))

    @pytest.mark.parametrize(
        ("key", "change", "message"),
        [
            ("err", 1.0, "no input 'err'"),
            ("excess_readmission_ratio[XX]", 1.0, "no such"),
            ("excess_readmission_ratio[HF]@99", 1.0, "no such"),
            ("excess_readmission_ratio[HF]", "lower", "is not a change"),
            ("neutrality_modifier[HF]", 1.0, "without"),
        ],
    )
    def test_a_wrong_change_is_refused(
        self, supplemental: Writer, key: str, change: float | str, message: str
    ) -> None:
        path = supplemental({"010001": TestRefusals.GOOD})
        with pytest.raises(SpecError, match=message):
            pay("hrrp", path, year=2025, what_if={key: change})


def test_changes_are_read_from_the_command_line() -> None:
    texts = ["excess_readmission_ratio[HF]@010006=-5%", "neutrality_modifier = 1.0"]
    assert parse_changes(texts) == {
        "excess_readmission_ratio[HF]@010006": "-5%",
        "neutrality_modifier": "1.0",
    }
    for wrong in (["a"], ["=1"], ["a="], ["a=1", "a=2"]):
        with pytest.raises(SpecError, match="what-if"):
            parse_changes(wrong)


@pytest.mark.parametrize("suffix", [".txt", ".xlsx"])
def test_the_supplemental_file_is_read_with_tabs_and_as_a_workbook(supplemental: Writer, suffix: str) -> None:
    import csv

    import openpyxl

    hospitals = {name: measures for name, (measures, _) in PUBLISHED.items()}
    path = supplemental(hospitals, peers={"010007": (0.2138, 3)})
    with path.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.reader(opened))
    other = path.with_suffix(suffix)
    if suffix == ".txt":
        other.write_text("\n".join("\t".join(row) for row in rows), encoding="utf-8")
    else:
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        for row in rows:
            # A spreadsheet takes hospital ids for numbers.
            sheet.append([int(cell) if cell.isdigit() else cell for cell in row])
        book.save(other)
    frame = pay("hrrp", other, year=2025).frame
    assert frame["facility_id"].to_list() == list(PUBLISHED)
    assert frame["payment_adjustment_factor"].to_list() == [factor for _, factor in PUBLISHED.values()]


class TestLayoutsOfOtherYears:
    """The supplemental files of FY 2020 to FY 2026 as a public loader of all of them describes them."""

    HOSPITAL: ClassVar = {"HF": (25, 1.5, 1.0, "Y", 0.02), "pneumonia": (".", ".", "1.0000", ".", ".")}

    def _written(self, path: Path, *changes: tuple[str, str]) -> Path:
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        return path

    @pytest.mark.parametrize(
        ("year", "changes"),
        [
            (2020, [("for pneumonia", "for Pneumonia")]),
            (2021, [("Neutrality modifier ", "Neutrality Modifier")]),
            (2024, [("Dual proportion,", "Dual proportion [a],"), ("ERR for HF,", "ERR for HF [b],")]),
            (2026, [("Hospital CCN", "Hospital\u00a0CCN ")]),
        ],
        ids=["capitals", "other-capitals", "footnotes", "spaces"],
    )
    def test_headers(self, supplemental: Writer, year: int, changes: list[tuple[str, str]]) -> None:
        path = supplemental({"010001": self.HOSPITAL}, modifier="1.0", year=year)
        path = self._written(path, *changes)
        payment = pay("hrrp", path, year=year)
        assert payment.frame["payment_adjustment_factor"].to_list() == pytest.approx([0.99])

    def test_the_file_of_2023_has_no_columns_of_pneumonia(self, supplemental: Writer) -> None:
        path = supplemental({"010001": {"HF": self.HOSPITAL["HF"]}}, modifier="1.0", year=2023)
        rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        kept = [index for index, name in enumerate(rows[1]) if "pneumonia" not in name]
        lines = [",".join(row[index] for index in kept if index < len(row)) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
        payment = pay("hrrp", path, year=2023)
        assert payment.frame["payment_adjustment_factor"].to_list() == pytest.approx([0.99])
        assert "Pneumonia" not in payment.detail["measure"].to_list()

    @pytest.mark.parametrize("footer", ["end of worksheet", "End of worksheet"])
    def test_the_line_at_the_end_of_the_sheet_is_no_hospital(self, supplemental: Writer, footer: str) -> None:
        path = supplemental({"010001": self.HOSPITAL}, year=2025)
        path.write_text(path.read_text(encoding="utf-8") + f"{footer}{',' * 34}\n", encoding="utf-8")
        assert pay("hrrp", path, year=2025).frame.height == 1
