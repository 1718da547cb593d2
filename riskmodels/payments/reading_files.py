"""Rows of text from files as people save them: workbooks, commas or tabs, with or without a BOM."""

import csv
import io
from pathlib import Path

from riskmodels.errors import DataError

__all__ = ["HEADER_LINES", "read_workbook", "text_rows"]

HEADER_LINES = 40
"""A header that is not among the first lines of a file is another file's."""


def read_workbook(path: Path) -> dict[str, list[list[str]]]:
    """Return the sheets of a workbook, each as rows of stripped text ('' where a cell is empty).

    Raises
    ------
    DataError
        Where the file is no workbook.
    """
    import zipfile

    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise DataError("not an Excel workbook that can be read", file=path) from error
    try:
        return {
            sheet.title: [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]
            for sheet in book.worksheets
        }
    finally:
        book.close()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value).strip()


def text_rows(path: Path) -> list[list[str]]:
    """Return the cells of a text file, stripped; a row stands at its line in the file."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise DataError("not a text file", file=path, fix="give a .csv, .txt, .xlsx or .parquet file")
    lines = text.splitlines()[:HEADER_LINES]
    delimiter = (
        "\t" if sum(line.count("\t") for line in lines) > sum(line.count(",") for line in lines) else ","
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    for row in reader:
        # A quoted cell may span lines; empty rows keep the count of lines right.
        rows.extend([] for _ in range(reader.line_num - 1 - len(rows)))
        rows.append([cell.strip() for cell in row])
    return rows
