"""Find sheets, headers and cells of a hospital-specific report."""

import re
from pathlib import Path

from riskmodels.errors import DataError
from riskmodels.payments.reading import SUPPRESSED, normalise

__all__ = ["Rows", "as_float", "cell", "find_header", "find_sheet", "optional", "position", "required"]

Rows = list[list[str]]


def find_sheet(sheets: dict[str, Rows], words: str, path: Path) -> tuple[str, Rows]:
    """Return the title and rows of the sheet whose title has some words."""
    for title, rows in sheets.items():
        if words in title.lower():
            return title, rows
    raise DataError(f"no sheet with {words!r} in its title", file=path,
                    fix="give a hospital-specific report of FY 2019 to FY 2025")  # fmt: skip


def find_header(rows: Rows, words: str, path: Path, sheet: str) -> tuple[int, list[str]]:
    """Return where the header row with some words is, and its normalised names."""
    for index, cells in enumerate(rows[:40]):
        names = [normalise(cell) for cell in cells]
        if sum(bool(name) for name in names) > 2 and any(words in name for name in names):
            return index, names
    raise DataError(f"sheet {sheet!r} has no header row with {words!r}", file=path)


def position(header: list[str], pattern: str, path: Path, sheet: str) -> int:
    """Return where the column is whose name matches a pattern."""
    for index, name in enumerate(header):
        if re.fullmatch(pattern, name):
            return index
    raise DataError(f"sheet {sheet!r} has no column {pattern!r}", file=path)


def cell(cells: list[str], header: list[str], pattern: str) -> str:
    """Return the text of a column in a row, empty where the row has none."""
    for index, name in enumerate(header):
        if re.fullmatch(pattern, name) and index < len(cells):
            return cells[index]
    return ""


def optional(
    cells: list[str], header: list[str], pattern: str, path: Path, sheet: str, line: int
) -> float | None:
    """Return the number of a column in a row, None where it is suppressed."""
    text = cell(cells, header, pattern)
    return None if text.lower() in SUPPRESSED else as_float(text, path, f"{sheet}: {pattern}", line)


def required(cells: list[str], header: list[str], pattern: str, path: Path, sheet: str, line: int) -> float:
    """Return the number of a column in a row."""
    value = optional(cells, header, pattern, path, sheet, line)
    if value is None:
        raise DataError("no figure; Maryland hospitals are exempt and have none", file=path,
                        column=f"{sheet}: {pattern}", line=line)  # fmt: skip
    return value


def as_float(text: str, path: Path, column: str, line: int) -> float:
    """Return a cell as a number."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise DataError(f"{text!r} is not a number", file=path, column=column, line=line) from None
