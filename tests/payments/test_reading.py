"""Reading tables as they are published."""

from pathlib import Path

import pytest

from riskmodels.errors import DataError
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
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv", ("id",))
    with pytest.raises(DataError, match="not an Excel workbook"):
        read_table(_write(tmp_path, "id,x\n", "t.xlsx"), ("id",))


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    table = read_table(_write(tmp_path, "id,payments\na,1\n"), ("id",))
    with pytest.raises(DataError, match="did you mean 'payments'"):
        table.column("payment")
