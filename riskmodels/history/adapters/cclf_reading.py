"""Read Medicare's Claim and Claim Line Feed: records of fixed width as CMS delivers them, or with a header.

Where the fields stand is in ``data/cclf.toml``, with its source. The length of the records tells the layout.
"""

import gzip
import re
import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters.base import SourceFile
from riskmodels.history.adapters.tabular import read_table, typed
from riskmodels.history.cells import DTYPES
from riskmodels.history.reading import Field, not_text
from riskmodels.history.unpacking import plain_csv

__all__ = ["KEYS", "counts_told", "is_delimited", "read_cclf", "records_in", "table_and_day"]

AGAIN = "get the file again from CMS, and keep its records as they are, trailing blanks too"
BATCH_ROWS = 200_000
# The names of files: as CMS delivers them (`P.A1234.ACO.ZC1Y24.D240215.T1234567`; W is a weekly file), as
# people rename them, and the names of tables in the data dictionary.
DELIVERED = re.compile(r"ZC([0-9AB])W?[YR]\d\d\.D(\d{6})\.T\d+", re.IGNORECASE)
RENAMED = re.compile(r"cclf[ _-]?0?([1-9])(?!\d)", re.IGNORECASE)
DAY_IN_NAME = re.compile(r"(?<!\d)(20\d\d)[-_]?([01]\d)[-_]?([0-3]\d)(?!\d)")
TITLES = {
    "parta_claims_header": "cclf1",
    "parta_claims_revenue_center_detail": "cclf2",
    "parta_procedure_code": "cclf3",
    "parta_diagnosis_code": "cclf4",
    "partb_physicians": "cclf5",
    "partb_dme": "cclf6",
    "partd_claims": "cclf7",
    "beneficiary_demographics": "cclf8",
    "beneficiary_xref": "cclf9",
}
# A column by which a header is known.
KEYS = {**dict.fromkeys([f"cclf{n}" for n in range(1, 8)], "CUR_CLM_UNIQ_ID")}
KEYS |= {"cclf8": "BENE_MBI_ID", "cclf9": "CRNT_NUM"}
# Fields that older layouts or other writers lack; all others are asked for.
OPTIONAL = (
    *("CLM_BLG_PRVDR_OSCAR_NUM", "CLM_ATNDG_PRVDR_NPI_NUM", "CLM_RNDRG_PRVDR_NPI_NUM"),
    *("CLM_TYPE_CD", "HICN_MBI_XREF_IND", "PRVS_ID_OBSLT_DT"),
)
NOT_AVAILABLE = "~"
MARK = b"\xef\xbb\xbf"  # of byte order
SMALL = 200  # bytes: a packed file with nothing in it is no longer
FIRST_DAY, NEVER = date(1800, 1, 1), date(9999, 12, 31)  # 1000-01-01 and 9999-12-31 stand for no date


@cache
def _layouts() -> dict[str, Any]:
    text = files("riskmodels.history.adapters").joinpath("data", "cclf.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def table_and_day(name: str) -> tuple[str, date | None] | None:
    """Return which of the nine files a name stands for and the day of its delivery; None for another file.

    CCLF0 tells how many records the others have; CCLFA and CCLFB (demonstration codes) are not read.
    """
    if found := DELIVERED.search(name):
        number, day = found.groups()
        if number not in "0123456789":
            return None
        return f"cclf{number}", _day(f"20{day[:2]}", day[2:4], day[4:])
    when = DAY_IN_NAME.search(name)
    day_in_name = _day(*when.groups()) if when else None
    stem = name.lower().split(".")[0]
    table = next((table for title, table in TITLES.items() if stem.startswith(title)), None)
    if table is None and (renamed := RENAMED.search(name)):
        table = f"cclf{renamed.group(1)}"
    return (table, day_in_name) if table else None


def _day(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def is_delimited(path: Path, table: str) -> bool:
    """Say whether a file has a header with the names of the columns."""
    if path.suffix.lower() == ".parquet":
        return True
    if _may_be_empty(path, table):
        return False
    with plain_csv(path) as plain, plain.open(encoding="utf-8-sig", errors="replace") as opened:
        return KEYS[table] in opened.readline(10_000).upper()


def counts_told(file: SourceFile) -> dict[str, int]:
    """Return how many records the files of a delivery have, as its CCLF0 tells."""
    told = {}
    with plain_csv(file.path) as plain, plain.open(encoding="utf-8-sig", errors="replace") as opened:
        for line in opened:
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) >= 3 and RENAMED.fullmatch(cells[0]) and cells[2].isdigit():
                told[cells[0].lower()] = int(cells[2])
    return told


def records_in(file: SourceFile) -> int:
    """Return the number of records of fixed width in a file."""
    if _may_be_empty(file.path, file.table):
        return 0
    with plain_csv(file.path) as plain, plain.open("rb") as opened:
        return sum(1 for line in opened if line.strip(b"\r\n"))


def read_cclf(file: SourceFile, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Read fields of one of the nine files in batches, typed; all that are in the layout, or some.

    Blanks, ``~`` and the days 1000-01-01 and 9999-12-31, which stand for what is not available, are null. A
    file without records gives one batch without rows.

    Raises
    ------
    DataError
        If the records are of no known layout or of several lengths, or a value is of another type.
    """
    wanted = _layouts()["fields"][file.table]
    if columns is not None:
        wanted = {name: wanted[name] for name in columns}
    if file.keys["delimited"]:
        fields = {name: Field(kind, optional=name in OPTIONAL) for name, (_, _, kind) in wanted.items()}
        batches = read_table(file, fields, batch_rows=BATCH_ROWS)
    else:
        batches = _fixed(file, wanted)
    for batch in batches:
        yield batch.with_columns(_available(batch[name]) for name in wanted)


def _available(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Date:
        return values.set((values < FIRST_DAY) | (values == NEVER), None)
    if values.dtype == pl.String:
        return values.set(values.str.strip_chars(NOT_AVAILABLE) == "", None)
    return values


def _may_be_empty(path: Path, table: str) -> bool:
    """Say whether a file is empty and means it: no identifier has changed."""
    if table != "cclf9" or not path.is_file() or path.stat().st_size > SMALL:
        return False
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as opened:
        try:
            return not opened.read().removeprefix(MARK).strip()
        except (OSError, EOFError):  # for the reader to say
            return False


def _fixed(file: SourceFile, wanted: dict[str, Any]) -> Iterator[pl.DataFrame]:
    length = None
    if _may_be_empty(file.path, file.table):
        yield pl.DataFrame(schema={name: DTYPES[kind] for name, (_, _, kind) in wanted.items()})
        return
    with plain_csv(file.path) as plain:
        # One column that ends nowhere: a mark that text does not have divides the cells.
        scan = pl.scan_csv(
            plain,
            has_header=False,
            separator="\x1f",
            quote_char=None,
            infer_schema=False,
            new_columns=["record"],
            row_index_name="row",
        )
        try:
            for lines in scan.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
                lines = lines.filter(pl.col("record").is_not_null() & (pl.col("record") != ""))
                if lines.is_empty():
                    continue
                if length is None:
                    length = _length(file, lines["record"][0])
                _check_lengths(file, lines, length)
                yield pl.DataFrame([_cut(file, lines, name, wanted[name], length) for name in wanted])
        except pl.exceptions.PolarsError as error:
            said = not_text(plain, _shown(file))
            raise said or DataError(
                "the file cannot be read as text", file=_shown(file), fix=AGAIN
            ) from error
    if length is None:
        yield pl.DataFrame(schema={name: DTYPES[kind] for name, (_, _, kind) in wanted.items()})


def _length(file: SourceFile, record: str) -> int:
    layouts = _layouts()["layouts"]
    known = {name: lengths[file.table] for name, lengths in layouts.items()}
    if len(record) in known.values():
        return len(record)
    title = f"{file.table.upper()} ({_layouts()['titles'][file.table]})"
    told = " or ".join(str(length) for length in dict.fromkeys(known.values()))
    mark = next((mark for mark in (",", "\t", "|") if record.count(mark) > 5), None)
    fix = f"see that it is {title} in a layout of {' or '.join(known)}, with trailing blanks"
    if mark:
        fix = f"put a header with the names of the columns, such as {KEYS[file.table]}, on the first line"
    raise DataError(
        f"a record of {len(record)} characters, and those of {title} have {told}: the layout is not known",
        file=_shown(file),
        line=1,
        fix=fix,
    )


def _check_lengths(file: SourceFile, lines: pl.DataFrame, length: int) -> None:
    found = lines["record"].str.len_chars()
    bad = (found != length).arg_true()
    if not len(bad):
        return
    at = bad[0]
    last = at == lines.height - 1 and found[at] < length
    end = ": the file was cut short" if last else f", and those before it have {length}"
    raise DataError(
        f"the record has {found[at]} characters{f' of {length}' if last else ''}{end}",
        file=_shown(file),
        line=int(lines["row"][at]) + 1,
        fix=AGAIN,
    )


def _cut(file: SourceFile, lines: pl.DataFrame, name: str, place: list[Any], length: int) -> pl.Series:
    first, last, kind = place
    if first > length:  # added in a later layout
        return pl.Series(name, [None] * lines.height, dtype=DTYPES[kind])
    text = lines["record"].str.slice(first - 1, last - first + 1).alias(name)
    if kind != "text":
        text = text.str.strip_chars()
        text = text.set(text.str.strip_chars(NOT_AVAILABLE) == "", None)
    try:
        return typed(text, Field(kind), file.path, -1)
    except DataError as error:
        line = int(lines["row"][(error.line or 1) - 1]) + 1
        fix = "see that the records are in the layout that CMS describes, or get the file again"
        raise DataError(error.problem, file=_shown(file), column=name, line=line, fix=fix) from error


def _shown(file: SourceFile) -> str:
    return str(file.keys.get("archive", file.path))
