"""Reading tables as they are published."""

import csv
import re
from pathlib import Path

import pytest

from riskmodels.errors import DataError
from riskmodels.payments import pay
from riskmodels.payments.reading import read_table


def _write(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_preface_lines_bom_and_notes_are_no_rows_and_lines_count_from_the_top(tmp_path: Path) -> None:
    text = '\ufeffA title, of the file\n\nFacility ID, Rate \n"010001","1"\n\n01000A,2\n"1. N/A is a note"\n'
    table = read_table(_write(tmp_path, text), ("facility id",))
    assert table.identifiers("Facility ID").to_list() == ["010001", "01000A"]
    assert table.lines == (4, 6)
    assert "A title" in table.preface


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1,234.5", 1234.5),
        ("$1,000", 1000.0),
        ("(5)", -5.0),
        ("3.25%", 0.0325),
        ("1e3", 1000.0),
        *[(cell, None) for cell in ("N/A", ".", "Not Available", "--", "Too Few to Report", "N", " ")],
    ],
)
def test_numbers(tmp_path: Path, cell: str, value: float | None) -> None:
    table = read_table(_write(tmp_path, f'id,x\na,"{cell}"\n'), ("id",))
    assert table.number("x").to_list() == [value]


@pytest.mark.parametrize("cell", ["abc", "1.2.3", "inf", "12 (3)"])
def test_what_is_no_number_is_refused_with_its_place(tmp_path: Path, cell: str) -> None:
    table = read_table(_write(tmp_path, f'id,x\na,1\nb,"{cell}"\n'), ("id",))
    with pytest.raises(DataError, match="is not a number") as error:
        table.number("x")
    assert (error.value.column, error.value.line) == ("x", 3)


def test_leading_zeros_that_a_spreadsheet_cut_are_put_back(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["Title"], ["Facility ID", "Rate"], [10001, 0.5], ["01000A", 1]):
        sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    table = read_table(tmp_path / "t.xlsx", ("facility id",))
    assert table.identifiers("Facility ID", width=6).to_list() == ["010001", "01000A"]
    assert table.number("Rate").to_list() == [0.5, 1.0]
    assert table.lines == (3, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("id,x\n", "no rows"), ("a,b\n1,2\n", "no header row"), ("id,x\n ,3\n", "empty id")],
)
def test_files_without_a_table_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(_write(tmp_path, text), ("id",)).identifiers("id")


def test_a_missing_file_and_a_broken_workbook_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: no such file\nFix: correct the path"):
        read_table(tmp_path / "none.csv", ("id",))
    with pytest.raises(DataError, match="not an Excel workbook"):
        read_table(_write(tmp_path, "id,x\n", "t.xlsx"), ("id",))


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    table = read_table(_write(tmp_path, "id,payments\na,1\n"), ("id",))
    with pytest.raises(DataError, match="did you mean 'payments'"):
        table.column("payment")


def _changed(shared_data: Path, tmp_path: Path, name: str, line: int, column: str, value: str) -> Path:
    """Return a copy of a published file with one cell changed; lines count from 1, the header's included."""
    lines = list(csv.reader((shared_data / "payments" / name).read_text("utf-8-sig").splitlines()))
    header = next(row for row in lines if column in row)
    lines[line - 1][header.index(column)] = value
    path = tmp_path / Path(name).name
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


@pytest.mark.parametrize(
    ("program", "year", "name", "column", "value", "message"),
    [
        ("mssp", 2022, "mssp/PY2022.csv", "QualScore", "7063", "'7063' is above 1"),
        ("mssp", 2022, "mssp/PY2022.csv", "MinSavPerc", "384", "'384' is above 0.2"),
        ("mssp", 2022, "mssp/PY2022.csv", "Met_QPS", "-1", "'-1' is below 0"),
        ("mssp", 2022, "mssp/PY2022.csv", "N_AB", "-5194", "'-5194' is below 1"),
        ("mssp", 2022, "mssp/PY2022.csv", "ABtotBnchmk", "1000", "is not"),
        ("hac", 2024, "hvbp_fy2024/FY_2024_HAC_Reduction_Program_Hospital.csv", "CDI W Z Score", "604",
         "'604' is above 20"),
        ("hrrp", 2025, "hrrp/FY2025_Final_Rule_Supplemental_File.csv", "ERR for HF", "10439",
         "'10439' is above 10"),
        ("hrrp", 2025, "hrrp/FY2025_Final_Rule_Supplemental_File.csv", "Peer group median ERR for HF", "0.5",
         "0.5 here"),
        ("hvbp", 2024, "hvbp_fy2024/hvbp_clinical_outcomes.csv", "MORT-30-HF Performance Rate", "85",
         "'85' is above 1"),
        ("hvbp", 2024, "hvbp_fy2024/hvbp_clinical_outcomes.csv", "MORT-30-HF Benchmark", "0.95",
         "0.95 here and"),
    ],
    ids=["quality", "minimum-savings-rate", "flag", "negative-count", "contradiction", "z-score",
         "excess-ratio", "median", "rate", "benchmark"],
)  # fmt: skip
def test_a_wrong_cell_of_a_published_file_is_refused_with_its_place(
    shared_data: Path, tmp_path: Path, program: str, year: int, name: str, column: str, value: str,
    message: str,
) -> None:  # fmt: skip
    path = _changed(shared_data, tmp_path, name, 4, column, value)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        pay(program, path, year=year)
    assert path.name in str(caught.value)
    assert "line 4" in str(caught.value)
