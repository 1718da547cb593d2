"""The Hospital-Acquired Condition Reduction Program."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import load_rules, pay
from riskmodels.payments.hac import PROGRAM
from riskmodels.payments.program import Inputs

MEASURES = ("PSI 90", "CLABSI", "CAUTI", "SSI", "CDI", "MRSA")


def test_every_score_of_fy_2024_is_within_a_ten_thousandth_and_every_reduction_agrees(
    shared_data: Path,
) -> None:
    path = shared_data / "payments" / "hvbp_fy2024" / "FY_2024_HAC_Reduction_Program_Hospital.csv"
    payment = pay("hac", path, year=2024)
    table = pl.read_csv(path, infer_schema=False).select(
        facility_id="Facility ID",
        published=pl.col("Total HAC Score").cast(pl.Float64, strict=False),
        reduced=pl.col("Payment Reduction"),
    )
    both = payment.frame.join(table, on="facility_id")
    assert both.height == table.height
    assert both["published"].is_null().equals(both["total_hac_score"].is_null(), check_names=False)
    assert (both["published"] - both["total_hac_score"]).abs().max() < 1e-4
    assert both.filter(pl.col("reduced") == "Yes")["payment_reduction"].unique().to_list() == [0.01]
    assert both.filter(pl.col("reduced") != "Yes")["payment_reduction"].unique().to_list() == [0.0]
    assert both.filter(pl.col("reduced") == "N/A")["exempt"].all()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Write nine hospitals: results 0.1 to 0.9, z-scores ten times the result less five."""
    header = ["Facility ID", "State", "Fiscal Year"]
    for name in MEASURES:
        header += [f"{name} Composite Value" if name == "PSI 90" else f"{name} SIR", f"{name} W Z Score"]
    lines = [",".join(header)]
    for number in range(1, 10):
        cells = [f"01000{number}", "MD" if number == 9 else "AL", "2024"]
        for name in MEASURES:
            known = name in ("PSI 90", "CLABSI")
            cells += [f"{number / 10}", f"{number - 5}"] if known else ["N/A", "N/A"]
        lines.append(",".join(cells))
    path = tmp_path / "hac.csv"
    path.write_text("\n".join([*lines, "010010,AL,2024" + ",N/A" * 12]), encoding="utf-8")
    return path


def test_the_worst_quartile_of_the_file_is_reduced_and_maryland_is_exempt(
    results: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base.csv"
    base.write_text("facility_id,base_operating_payments\n010008,2000000\n", encoding="utf-8")
    frame = pay("hac", results, year=2024, cutoff="file", base_payments=base).frame
    assert frame["total_hac_score"].to_list() == [*range(-4, 5), None]
    assert frame["payment_reduction"].to_list() == [0.0] * 7 + [0.01, 0.0, 0.0]
    assert frame["payment_reduction_dollars"][7] == 20_000
    assert frame["unverified_parameters"].null_count() == 10


def test_a_cutoff_that_no_document_confirms_is_flagged(results: Path) -> None:
    payment = pay("hac", results, year=2024)
    assert payment.unverified == ("worst_quartile_score",)
    assert "UNVERIFIED" in str(payment.audit("010008"))


def test_the_audit_has_scores_mean_and_reduction(results: Path) -> None:
    text = str(pay("hac", results, year=2024, cutoff=2.5).audit("010008"))
    for part in ("hac.csv, line 9, column CLABSI W Z Score", "3 = (3 + 3) / 2", "1%, above the cut-off"):
        assert part in text


def test_a_changed_result_moves_its_z_score_and_the_break_even_ends_the_reduction(results: Path) -> None:
    payment = pay("hac", results, year=2024, cutoff=2.5)
    change = payment.break_even("010008").filter(measure="CLABSI").row(0, named=True)
    assert change["needed_change"] == pytest.approx(-1.0)
    assert change["needed_change_result"] == pytest.approx(-0.1)
    after = payment.what_if({"result[CLABSI]@010008": change["needed_change_result"] - 1e-9 + 0.8})
    assert payment.compare(after)["payment_reduction_other"].to_list() == [0.0]
    capped = payment.what_if({"result[CLABSI]@010008": 9.0})
    assert capped.detail.filter(measure="CLABSI", facility_id="010008")["winsorised_z_score"][0] == 4.0


def test_wrong_files_and_cutoffs_are_refused(results: Path) -> None:
    with pytest.raises(DataError, match="give --year 2024"):
        pay("hac", results, year=2025)
    with pytest.raises(SpecError, match="cutoff 'high'"):
        pay("hac", results, year=2024, cutoff="high")
    results.write_text(results.read_text(encoding="utf-8").replace("010002", "010001"), encoding="utf-8")
    with pytest.raises(DataError, match="twice"):
        pay("hac", results, year=2024)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-2, 3), min_size=2, max_size=6), st.floats(0, 2))
def test_a_higher_z_score_never_lowers_the_total_or_the_reduction(scores: list[float], more: float) -> None:
    totals = []
    for added in (0.0, more):
        values = [scores[0] + added, *scores[1:]]
        rows = len(values)
        measures = pl.DataFrame(
            {"facility_id": ["a"] * rows, "measure": MEASURES[:rows], "winsorised_z_score": values,
             "result": 1.0, "deviation": 1.0, "lowest": -2.0, "source_file": "f", "source_line": 1}
        )  # fmt: skip
        hospitals = pl.DataFrame({"facility_id": ["a"], "state": ["AL"], "base_operating_payments": [1.0]})
        inputs = Inputs(
            {"hospitals": hospitals, "measures": measures}, {"cutoff": 0.3, "cutoff_kind": "given"}
        )
        frame = PROGRAM.settle(inputs, load_rules("hac", 2024)).frame
        totals.append((frame["total_hac_score"][0], frame["payment_reduction"][0]))
    assert totals[1] >= totals[0]
    assert totals[1][1] in (0.0, 0.01)


def test_the_files_of_earlier_years_have_z_scores_alone_under_other_names(
    results: Path, tmp_path: Path
) -> None:
    """FY 2020 to FY 2022: W Z-Score with a hyphen, no results, the program's own weights unverified."""
    frame = pl.read_csv(results, infer_schema=False)
    kept = [name for name in frame.columns if not name.endswith(("SIR", "Composite Value"))]
    names = {name: name.replace("PSI 90", "PSI-90").replace("W Z Score", "W Z-Score") for name in kept}
    path = tmp_path / "fy2021.csv"
    frame.select(kept).rename(names).with_columns(pl.lit("2021").alias("Fiscal Year")).write_csv(path)
    payment = pay("hac", path, year=2021)
    now = pay("hac", results, year=2024, cutoff="file")
    assert payment.frame["total_hac_score"].equals(now.frame["total_hac_score"])
    assert payment.unverified == ("weighting",)
    assert payment.detail["result"].null_count() == payment.detail.height
