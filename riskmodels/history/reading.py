"""Read a publisher's CSV file: as text, then typed, with errors that name file, column, line and value."""

import csv
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.cells import DTYPES, numbers, refuse_unread, stripped
from riskmodels.history.unpacking import plain_csv

__all__ = [
    "Field",
    "no_rows",
    "not_text",
    "read_csv",
    "read_whole_csv",
]

DAYS = ("%Y%m%d", "%Y-%m-%d")
INSTANTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
TAIL_BYTES = 1 << 20
BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class Field:
    """How a column of a file is read.

    Attributes
    ----------
    kind : {"text", "number", "day", "instant"}
        ``day`` is written YYYYMMDD or YYYY-MM-DD; ``instant`` is a day with or without a time of day.
    optional : bool
        The file may lack the column: it is null then.
    """

    kind: str = "text"
    optional: bool = False


def read_whole_csv(path: Path, fields: Mapping[str, Field], *, rows_required: bool = True) -> pl.DataFrame:
    """Return all rows of a CSV file; see `read_csv`."""
    return pl.concat(read_csv(path, fields, rows_required=rows_required, batch_rows=None))


def no_rows(fields: Mapping[str, Field]) -> pl.DataFrame:
    """Return what a file with these columns and no rows gives."""
    return pl.DataFrame(schema={name: DTYPES[field.kind] for name, field in fields.items()})


def read_csv(
    path: Path, fields: Mapping[str, Field], *, rows_required: bool = True, batch_rows: int | None = 100_000
) -> Iterator[pl.DataFrame]:
    """Read columns of a CSV file (plain, .gz or .zip) in batches.

    Columns are found by name, whatever their case and order; others are left alone. Blank cells are null.
    A file without rows gives one batch without rows.

    Parameters
    ----------
    path : Path
    fields : mapping of str to Field
        The columns to read.
    rows_required : bool
        Whether a header without rows is an error.
    batch_rows : int, optional
        Rows a batch; None: all at once.

    Raises
    ------
    DataError
        If the file is empty, cut short, not a CSV file, lacks a column, or has a value of another type.
    """
    with plain_csv(path) as plain:
        present = _find_columns(plain, path, fields)
        _check_end(plain, path)
        _check_widths(plain, path)
        scan = pl.scan_csv(plain, infer_schema=False).select(
            pl.col(actual).alias(name) for name, actual in present.items()
        )
        row = 0
        try:
            batches = (
                scan.collect_batches(chunk_size=batch_rows, maintain_order=True)
                if batch_rows
                else [scan.collect()]
            )
            for batch in batches:
                if batch.height:
                    yield _typed(batch, fields, plain, path, row)
                row += batch.height
        except pl.exceptions.PolarsError as error:
            raise _explained(error, plain, path) from error
        if row == 0:
            if rows_required:
                raise DataError(
                    "the file has a header and no rows",
                    file=path,
                    fix="get the file again from its publisher",
                )
            yield no_rows(fields)


def _find_columns(plain: Path, path: Path, fields: Mapping[str, Field]) -> dict[str, str]:
    """Return the name in the file of each wanted column that it has."""
    try:
        header = pl.scan_csv(plain, infer_schema=False).collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise _explained(error, plain, path) from error
    known = {name.strip().casefold(): name for name in header}
    present = {name: known[name.casefold()] for name in fields if name.casefold() in known}
    missing = [name for name, field in fields.items() if name not in present and not field.optional]
    if missing:
        raise DataError(
            f"the header has no column {_listed(missing)}",
            file=path,
            line=1,
            fix=_advice(missing[0], header, fields),
        )
    for name, actual in present.items():
        if f"{actual}_duplicated_0" in header:
            raise DataError(
                "the header has this column twice", file=path, column=name, line=1, fix="remove one of them"
            )
    return present


def _listed(names: list[str], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _advice(name: str, header: list[str], fields: Mapping[str, Field]) -> str:
    # The header itself is not shown: in a file that has none its first line is a patient's.
    taken = {field.casefold() for field in fields}  # a column that is there under its own name is not meant
    names = [column.strip().casefold() for column in header]
    near = difflib.get_close_matches(name.casefold(), [known for known in names if known not in taken], n=1)
    if near:
        actual = next(column for column in header if column.strip().casefold() == near[0])
        return f"Hint: did you mean {actual.strip()!r}? Name the column as its publisher does"
    for mark, what in DELIMITERS.items():
        if len(header) == 1 and mark in header[0]:
            return f"the columns are divided by {what}: save the file with commas"
    return f"the file has {len(header)} columns with other names: see that it is the file its name says"


def _typed(
    batch: pl.DataFrame, fields: Mapping[str, Field], plain: Path, path: Path, first_row: int
) -> pl.DataFrame:
    columns = []
    for name, field in fields.items():
        if name not in batch.columns:
            columns.append(pl.Series(name, [None] * batch.height, dtype=DTYPES[field.kind]))
            continue
        text = batch[name]
        if field.kind == "text":
            columns.append(text)
            continue
        text = stripped(text)
        values = _parsed(text, field.kind)
        refuse_unread(text, values, field.kind, path, lambda at: _line(plain, first_row + at))
        columns.append(values)
    return pl.DataFrame(columns)


def _parsed(text: pl.Series, kind: str) -> pl.Series:
    if kind == "number":
        return numbers(text)
    formats = DAYS if kind == "day" else INSTANTS
    dtype = DTYPES[kind]
    values = text.str.strptime(dtype, formats[0], strict=False)
    for form in formats[1:]:
        if values.null_count() == text.null_count():
            break
        values = values.fill_null(text.str.strptime(dtype, form, strict=False))
    return values


def _line(plain: Path, row: int) -> int:
    """Return the line, from 1 and with the header, on which a row of a file ends."""
    with plain.open(encoding="utf-8", errors="replace", newline="") as opened:
        reader = csv.reader(opened)
        for _ in range(row + 2):
            next(reader)
        return reader.line_num


def _check_end(plain: Path, path: Path) -> None:
    """Refuse a file whose last line has fewer columns than its first: it was cut short."""
    size = plain.stat().st_size
    with plain.open("rb") as opened:
        opened.seek(max(0, size - TAIL_BYTES))
        tail = opened.read().rstrip(b"\r\n")
        opened.seek(0)
        first = opened.readline()
    begins = tail.rfind(b"\n") + 1
    last = tail[begins:]
    if not last.strip() or b'"' in last:  # a quoted cell may hold commas and line breaks
        return
    found, wanted = last.count(b",") + 1, first.count(b",") + 1
    if found < wanted and begins:
        with plain.open("rb") as opened:
            line = sum(1 for text in opened if text.strip())
        raise DataError(
            f"the last line has {found} of {wanted} columns: the file was cut short",
            file=path,
            line=line,
            fix="get the file again from its publisher",
        )


def _check_widths(plain: Path, path: Path) -> None:
    """Refuse a line with more cells than the header: an unquoted comma moves the cells after it.

    The CSV reader sees that only where it reads every column.
    """
    quoted, width, begun = 0, 0, 0
    with plain.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            content = np.frombuffer(block, dtype=np.uint8)
            marks = np.flatnonzero((content == 34) | (content == 44) | (content == 10))
            kind = content[marks]
            parity = np.cumsum(kind == 34) + quoted
            quoted = int(parity[-1]) % 2 if len(parity) else quoted
            outside = kind[(parity % 2 == 0) & (kind != 34)]
            ends = np.flatnonzero(outside == 10)
            cells = np.diff(ends, prepend=-1)  # commas and one line end: as many as cells
            if len(cells):
                cells[0] += begun
                width = width or int(cells[0])
                if (cells > width).any():
                    if (error := _long_line(plain, path)) is not None:
                        raise error
                    return  # a quote in the middle of a cell, which is for the reader to judge
                begun = len(outside) - int(ends[-1]) - 1
            else:
                begun += len(outside)


def not_text(plain: Path, path: str | Path) -> DataError | None:
    """Return what to say of the first line of a file that is not UTF-8 text, if there is one."""
    with plain.open("rb") as opened:
        for number, line in enumerate(opened, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return DataError(
                    "the line is not UTF-8 text", file=path, line=number, fix="save the file as UTF-8"
                )
    return None


def _explained(error: Exception, plain: Path, path: Path) -> DataError:
    """Return what the CSV reader complains of, with the line it is on."""
    if (odd := not_text(plain, path)) is not None:
        return odd
    if (long := _long_line(plain, path)) is not None:
        return long
    said = str(error).splitlines()[0]
    return DataError(
        f"the file cannot be read as CSV ({said[:80]})",
        file=path,
        fix="see that every double quote is closed",
    )


def _long_line(plain: Path, path: Path) -> DataError | None:
    """Return what to say of the first line with more cells than the header, if there is one."""
    with plain.open(encoding="utf-8-sig", errors="replace", newline="") as opened:
        reader = csv.reader(opened)
        width = len(next(reader, []))
        for cells in reader:
            if len(cells) > width:
                return DataError(
                    f"the line has {len(cells)} cells and the header {width}",
                    file=path,
                    line=reader.line_num,
                    fix="put cells that hold a comma between double quotes",
                )
    return None
