"""Hospital-specific reports, built here as CMS delivers them."""

from collections.abc import Callable
from math import exp
from pathlib import Path

import openpyxl
import pytest

from riskmodels.errors import DataError
from riskmodels.payments import pay

Writer = Callable[..., Path]


def _expit(score: float) -> float:
    return 1 / (1 + exp(-score))


# Two covariates; three index stays, one excluded discharge.
COEFFICIENTS = (-0.004, 0.186)
EFFECTS = (-2.10, -2.25)
STAYS = ((31, 0), (5, 1), (12, 1))
PREDICTED = sum(_expit(EFFECTS[0] + COEFFICIENTS[0] * a + COEFFICIENTS[1] * b) for a, b in STAYS) / 3
EXPECTED = sum(_expit(EFFECTS[1] + COEFFICIENTS[0] * a + COEFFICIENTS[1] * b) for a, b in STAYS) / 3


@pytest.fixture
def report(tmp_path: Path) -> Writer:
    """Return a writer of a report: Table 1, Table 2, the discharges of COPD, and two dual stays."""

    def write(
        name: str = "010001_FY2022_HRRP_HSR.xlsx",
        discharges: object = 3,
        predicted: object = PREDICTED,
        effect: object = EFFECTS[0],
        modifier: object = 0.9637,
        weight: object = COEFFICIENTS[1],
    ) -> Path:
        book = openpyxl.Workbook()
        book.remove(book.active)  # type: ignore[arg-type]
        first = book.create_sheet("Table 1 Payment Adjustment")
        for row in (
            ["Table 1: (FY) 2022"], ["HOSPITAL NAME"], [], [],
            ["Number of Dual Eligible Stays (Numerator) [a]", "Total Number of Stays (Denominator) [b]",
             "Dual Proportion [c]", "Peer Group Assignment [d]", "Neutrality Modifier [e]"],
            [2, 8, 0.25, 4, modifier],
        ):  # fmt: skip
            first.append(row)
        second = book.create_sheet("Table 2 Hospital Results")
        second.append(["Table 2"])
        second.append(
            ["Measure [a]", "Number of Eligible\nDischarges [b]", "Predicted Readmission Rate [d]",
             "Expected Readmission Rate [e]", "Excess Readmission Ratio (ERR) [f]",
             "Peer Group Median ERR [g]",
             "Penalty Indicator (Yes/No) [h]", "Ratio of DRG Payments Per Measure to Total Payments [i]"]
        )  # fmt: skip
        second.append(["AMI", "NQ ", "NQ", "NQ", "NQ", 0.99, "No ", "NQ"])
        second.append(["COPD", discharges, predicted, EXPECTED, PREDICTED / EXPECTED, 0.99, "No", 0.05])
        second.append(["Pneumonia", 40, 0.2, 0.16, 1.25, 1.0, "Yes", 0.10])
        second.append([])
        second.append(["[a] AMI = acute myocardial infarction"])
        third = book.create_sheet("Table 4 Discharges COPD Readm")
        third.append(["Table 4"])
        third.append(
            ["ID \nNumber", "Index Stay (Yes/No)", "Provider ID of \nReadmitting Hospital [c]",
             "Years Over 65", "History of Ventilation", "HOSP_EFFECT", "AVG_EFFECT"]
        )  # fmt: skip
        third.append(["--", "--", "--", COEFFICIENTS[0], weight, effect, EFFECTS[1]])
        for number, (years, flag) in enumerate(STAYS, 1):
            third.append([f"{number} ", "Yes ", "N/A", years, flag, "N/A", "N/A"])
        third.append([4, "No", "N/A", "N/A", "N/A", "N/A", "N/A"])
        third.append(["[a] A note"])
        fourth = book.create_sheet("Table 9 Dual Stays")
        for row in (["ID Number"], [1], [2]):
            fourth.append(row)
        path = tmp_path / name
        book.save(path)
        return path

    return write


def test_predicted_and_expected_come_from_the_index_stays(report: Writer) -> None:
    payment = pay("hrrp", report(), year=2022)
    row = payment.detail.filter(measure="COPD").row(0, named=True)
    assert row["eligible_discharges"] == 3
    assert row["predicted"] == pytest.approx(PREDICTED, abs=1e-12)
    assert row["expected"] == pytest.approx(EXPECTED, abs=1e-12)
    assert row["excess_readmission_ratio"] == pytest.approx(PREDICTED / EXPECTED, abs=1e-12)
    assert not row["penalised"]  # three discharges are too few
    assert payment.notes == ()


def test_the_factor_dual_proportion_and_hospital_are_of_the_report(report: Writer) -> None:
    frame = pay("hrrp", report(), year=2022).frame
    row = frame.row(0, named=True)
    assert row["facility_id"] == "010001"  # from the file's name
    assert row["dual_proportion"] == 0.25
    assert row["payment_adjustment_factor"] == pytest.approx(1 - round(0.9637 * 0.10 * 0.25, 4))
    assert pay("hrrp", report("report.xlsx"), year=2022).frame["facility_id"].to_list() == ["HOSPITAL NAME"]


@pytest.mark.parametrize(
    ("cells", "note"),
    [({"predicted": 0.5}, "COPD: predicted is"), ({"discharges": 4}, "COPD: discharges is 3")],
)
def test_a_table_that_the_discharge_rows_contradict_is_noted(
    report: Writer, cells: dict[str, object], note: str
) -> None:
    payment = pay("hrrp", report(**cells), year=2022)
    assert any(note in text for text in payment.notes)
    assert note in str(payment.audit("010001"))


def test_without_a_hospital_effect_the_printed_results_are_used(report: Writer) -> None:
    row = pay("hrrp", report(effect="-- ", predicted=0.123), year=2022).detail.filter(measure="COPD")
    assert row["predicted"].to_list() == [0.123]


def test_several_reports_are_read_together_and_one_hospital_once(report: Writer) -> None:
    paths = [report("010001.xlsx"), report("020001.xlsx")]
    assert pay("hrrp", paths, year=2022).frame["facility_id"].to_list() == ["010001", "020001"]
    with pytest.raises(DataError, match="a second report of '010001'"):
        pay("hrrp", [paths[0], paths[0]], year=2022)


@pytest.mark.parametrize(
    ("cells", "year", "message"),
    [
        ({}, 2021, "of fiscal year 2022"),
        ({"modifier": "N/A"}, 2022, "Maryland"),
        ({"weight": "high"}, 2022, "'high' is not a number"),
    ],
)
def test_reports_that_cannot_be_used_are_refused(
    report: Writer, cells: dict[str, object], year: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        pay("hrrp", report(**cells), year=year)


def test_a_report_without_a_column_of_index_stays_counts_what_nothing_excludes(report: Writer) -> None:
    """The mock reports of FY 2020 to 2022 have indicator 0 on each index stay, and on no other row."""
    path = report()
    book = openpyxl.load_workbook(path)
    sheet = book["Table 4 Discharges COPD Readm"]
    for row in sheet.iter_rows(min_row=2):
        answer = str(row[1].value or "").strip()
        row[1].value = {
            "Index Stay (Yes/No)": "Cohort Inclusion/Exclusion Indicator",
            "Yes": 0,
            "No": "1,2",
        }.get(answer, row[1].value)
    book.save(path)
    row = pay("hrrp", path, year=2022).detail.filter(measure="COPD").row(0, named=True)
    assert (row["eligible_discharges"], row["predicted"]) == (3, pytest.approx(PREDICTED, abs=1e-12))
