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
    """FY 2020 to FY 2022: W Z-Score with a hyphen, and no results."""
    frame = pl.read_csv(results, infer_schema=False)
    kept = [name for name in frame.columns if not name.endswith(("SIR", "Composite Value"))]
    names = {name: name.replace("PSI 90", "PSI-90").replace("W Z Score", "W Z-Score") for name in kept}
    path = tmp_path / "fy2021.csv"
    frame.select(kept).rename(names).with_columns(pl.lit("2021").alias("Fiscal Year")).write_csv(path)
    payment = pay("hac", path, year=2021)
    now = pay("hac", results, year=2024, cutoff="file")
    assert payment.frame["total_hac_score"].equals(now.frame["total_hac_score"])
    assert payment.unverified == ()
    assert payment.detail["result"].null_count() == payment.detail.height


PUBLISHED = [
    (2020, "670122", "No", -1.1537, {"CAUTI": -0.9444, "CDI": -0.4331, "CLABSI": -1.4459, "MRSA": -1.4453,
                                     "SSI": -1.5}),
    (2020, "670120", "No", -0.2559, {"CAUTI": -1.5354, "CDI": 1.9710, "CLABSI": -1.4459, "PSI-90": 1.2310,
                                     "SSI": -1.5}),
    (2020, "670108", "No", 0.0915, {"CAUTI": -0.0265, "CDI": -0.9950, "PSI-90": 0.0707, "SSI": 1.3167}),
    (2020, "670106", "Yes", 0.7338, {"CDI": 0.2911, "PSI-90": -0.0568, "SSI": 1.9670}),
    (2021, "010001", "No", -0.3958, {"PSI-90": -0.3375, "CLABSI": 0.6029, "CAUTI": -0.4612, "SSI": -1.0731,
                                     "MRSA": -0.7886, "CDI": -0.3173}),
    (2021, "010005", "Yes", 0.5547, {"PSI-90": 0.0881, "CLABSI": 2.2542, "CAUTI": 0.5331, "SSI": -1.0620,
                                     "MRSA": 2.2, "CDI": -0.6850}),
    (2021, "010021", "No", 0.0278, {"PSI-90": 1.3663, "CDI": -1.3107}),
    (2021, "010091", "Yes", 0.3646, {"PSI-90": 0.0242, "CDI": 0.7051}),
    (2022, "010001", "No", -0.4901, {"PSI-90": -1.3379, "CLABSI": 0.1695, "CAUTI": -0.7654, "SSI": -0.5757,
                                     "MRSA": -0.4193, "CDI": -0.0120}),
    (2022, "010005", "Yes", 0.4440, {"PSI-90": 1.6595, "CLABSI": -1.2914, "CAUTI": 0.7408, "SSI": -0.5926,
                                     "MRSA": 2.0736, "CDI": 0.0740}),
    (2022, "010021", "Yes", 0.7782, {"PSI-90": 1.8450, "CDI": -0.2885}),
    (2022, "010033", "Yes", 0.3036, {"PSI-90": 2.3958, "CLABSI": -0.0982, "CAUTI": -0.4919, "SSI": -0.2846,
                                     "MRSA": 0.5617, "CDI": -0.2608}),
]  # fmt: skip
"""Rows of CMS's files: fiscal year, hospital, payment reduction, Total HAC Score, the z-scores it has."""


@pytest.mark.parametrize("year", [2020, 2021, 2022])
def test_the_published_scores_of_earlier_years_are_the_mean_of_the_published_z_scores(
    year: int, tmp_path: Path
) -> None:
    rows = [row for row in PUBLISHED if row[0] == year]
    names = [name.replace("PSI 90", "PSI-90") for name in MEASURES]
    lines = [",".join(["Facility ID", "State", "Fiscal Year", *(f"{name} W Z-Score" for name in names)])]
    for _, hospital, _, _, scores in rows:
        lines.append(",".join([hospital, "AL", str(year), *(str(scores.get(name, "")) for name in names)]))
    path = tmp_path / "hac.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    payment = pay("hac", path, year=year, cutoff=0.3)  # every one reduced is above, all others are below
    assert payment.frame["total_hac_score"].to_list() == pytest.approx([row[3] for row in rows], abs=1e-4)
    reduced = (payment.frame["payment_reduction"] > 0).to_list()
    assert reduced == [row[2] == "Yes" for row in rows]
    assert payment.unverified == ()
