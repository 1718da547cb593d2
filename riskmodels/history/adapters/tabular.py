"""Read a publisher's tables whatever they are packed in: CSV or Parquet, a folder or an archive of it."""

import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters.base import SourceFile, candidates, nothing_found
from riskmodels.history.cells import DTYPES, EXAMPLES, numbers, refuse_unread, stripped
from riskmodels.history.reading import Field, read_csv

__all__ = ["Found", "read_table", "tables_in", "typed", "unpack", "whole_table"]

PARQUET = b"PAR1"
PACKED = re.compile(r"\.(csv|parquet)(\.gz|\.zip)?$|\.(gz|zip)$", re.IGNORECASE)
AGAIN = "get the file again from its publisher"
ZONE = r"(Z|[+-]\d\d:?\d\d)$"
DAYS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y")
INSTANTS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", *DAYS)


@dataclass(frozen=True)
class Found:
    """What is in a source.

    Attributes
    ----------
    files : dict of str to SourceFile
        The wanted tables that are there.
    names : list of str
        Everything that might have been a table, for messages.
    """

    files: dict[str, SourceFile]
    names: list[str]

    def complete(self, source: Path, required: Iterable[str], publisher: str) -> list[SourceFile]:
        """Return the files by name.

        Raises
        ------
        DataError
            A required table is not there.
        """
        required = tuple(required)
        missing = [table for table in required if table not in self.files]
        if missing:
            problem = f"no {' and no '.join(missing)} of {publisher} here"
            raise nothing_found(
                source, problem, [f"{table}.csv" for table in required], self.names, packed=True
            )
        return sorted(self.files.values(), key=lambda file: file.name)


def tables_in(source: Path, wanted: Iterable[str], looked_for: str) -> Found:
    """Find tables by the names of their files, in any case: `person.csv`, `PERSON.parquet`, `person.csv.gz`.

    Parameters
    ----------
    source : Path
        A folder, or a zip archive of one.
    wanted : iterable of str
        Names of tables, in lower case.
    looked_for : str
        What should be there, for messages.

    Raises
    ------
    DataError
        If there is nothing, the archive is damaged, or a table is there in two places.
    """
    holder = None
    folder = source
    if source.is_file() and source.suffix.lower() == ".zip":
        holder = tempfile.TemporaryDirectory(prefix="riskmodels-")
        folder = Path(holder.name)
        unpack(source, folder, lambda name: PACKED.search(name) is not None)
    paths = candidates(folder, looked_for) + sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() == ".parquet"
    )
    files: dict[str, SourceFile] = {}
    for path in sorted(paths, key=lambda path: (len(path.suffixes), path)):
        table = PACKED.sub("", path.name).lower()
        if table not in set(wanted):
            continue
        name = path.relative_to(folder).as_posix()
        # The unpacked files are there for as long as one of them is held.
        keys: dict[str, Any] = {"archive": f"{source}/{name}", "folder": holder} if holder else {}
        first = files.setdefault(table, SourceFile(path, name, table, keys))
        if first.path.parent != path.parent or {first.path.suffix, path.suffix} >= {".csv", ".parquet"}:
            raise DataError(
                f"{first.name} and {name} are both the table {table}",
                file=source,
                fix="keep one of them, or name the folder that holds one",
            )
    return Found(files, [path.relative_to(folder).as_posix() for path in paths])


def unpack(source: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Unpack the entries of a zip archive whose names are wanted into a folder.

    Raises
    ------
    DataError
        If the archive is damaged or asks for a password.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                parts = PurePosixPath(entry.filename).parts
                hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
                if entry.is_dir() or hidden or not wanted(entry.filename):
                    continue
                if entry.flag_bits & 1:
                    raise DataError("the archive asks for a password", file=source, fix="unzip it first")
                archive.extract(entry, folder)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise DataError("the archive is cut short or damaged", file=source, fix=AGAIN) from error


def whole_table(
    file: SourceFile, fields: Mapping[str, Field], *, rows_required: bool = False
) -> pl.DataFrame:
    """Return all rows of a table; see `read_table`."""
    return pl.concat(read_table(file, fields, rows_required=rows_required, batch_rows=None))


def read_table(
    file: SourceFile,
    fields: Mapping[str, Field],
    *,
    rows_required: bool = False,
    batch_rows: int | None = 200_000,
) -> Iterator[pl.DataFrame]:
    """Read columns of a table in batches, typed; commas, tabs or bars divide the cells of a text file.

    Days may be written 2008-01-31, 20080131 or 01/31/2008, or as an instant. Instants may have a fraction of
    a second, and a zone, which is left out: the times of a history are those of the place.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a column, or has a value of another type.
    """
    try:
        if file.path.suffix.lower() == ".parquet":
            yield from _read_parquet(file.path, fields, rows_required, batch_rows)
            return
        texts = {name: Field(optional=field.optional) for name, field in fields.items()}
        with tempfile.TemporaryDirectory(prefix="riskmodels-") as folder:
            path = _with_commas(file.path, Path(folder))
            row = 0
            for batch in read_csv(path, texts, rows_required=rows_required, batch_rows=batch_rows):
                yield batch.select(typed(batch[name], fields[name], file.path, row) for name in fields)
                row += batch.height
    except DataError as error:
        shown = file.keys.get("archive", file.path)
        if str(error.file) == str(shown):
            raise
        raise DataError(
            error.problem, file=shown, column=error.column, line=error.line, fix=error.fix
        ) from error


def _with_commas(path: Path, folder: Path) -> Path:
    """Return the path of a file whose cells commas divide: a copy where tabs or vertical bars do."""
    if path.suffix.lower() in (".gz", ".zip"):
        return path
    with path.open("rb") as opened:
        header = opened.readline()
    mark, name = (b"\t", "tabs") if b"\t" in header else (b"|", "vertical bars")
    if mark not in header or b"," in header or b"\x00" in header:
        return path
    target = folder / path.name
    try:
        # Tables that are divided by these have no quotes: a double quote is part of the text.
        scan = pl.scan_csv(path, separator=mark.decode(), quote_char=None, infer_schema=False)
        scan.sink_csv(target, quote_style="necessary")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"the file cannot be read as text divided by {name}", file=path, fix=AGAIN) from error
    return target


def _read_parquet(
    path: Path, fields: Mapping[str, Field], rows_required: bool, batch_rows: int | None
) -> Iterator[pl.DataFrame]:
    with path.open("rb") as opened:
        if opened.read(4) != PARQUET:
            raise DataError("the name ends in .parquet and the file is not one", file=path, fix=AGAIN)
    try:
        scan = pl.scan_parquet(path, hive_partitioning=False)
        known = {name.strip().casefold(): name for name in scan.collect_schema().names()}
        missing = [
            name for name, field in fields.items() if not field.optional and name.casefold() not in known
        ]
        if missing:
            raise DataError(
                f"there is no column {missing[0]!r}", file=path, fix="see that it is the file its name says"
            )
        present = {name: known[name.casefold()] for name in fields if name.casefold() in known}
        wanted = scan.select(pl.col(actual).alias(name) for name, actual in present.items())
        batches = wanted.collect_batches(chunk_size=batch_rows, maintain_order=True) if batch_rows else None
        rows = 0
        for frame in [wanted.collect()] if batches is None else batches:
            rows += frame.height
            if frame.height:
                yield pl.DataFrame(
                    _converted(frame[name], field, path)
                    if name in present
                    else _nulls(name, field, frame.height)
                    for name, field in fields.items()
                )
    except pl.exceptions.PolarsError as error:
        raise DataError("the Parquet file is cut short or damaged", file=path, fix=AGAIN) from error
    if rows == 0:
        if rows_required:
            raise DataError("the file has no rows", file=path, fix=AGAIN)
        yield pl.DataFrame(_nulls(name, field, 0) for name, field in fields.items())


def _nulls(name: str, field: Field, height: int) -> pl.Series:
    return pl.Series(name, [None] * height, dtype=DTYPES[field.kind])


def _converted(values: pl.Series, field: Field, path: Path) -> pl.Series:
    if values.dtype in (pl.String, pl.Categorical):
        return typed(values.cast(pl.String), field, path, None)
    try:
        if isinstance(values.dtype, pl.Datetime):
            values = values.dt.replace_time_zone(None)
        if field.kind == "text" and values.dtype.is_float():
            whole = values.cast(pl.Int64)
            values = whole if (whole == values).all() else values
        return values.cast(DTYPES[field.kind])
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the column is {values.dtype}, and should be {EXAMPLES.get(field.kind, 'text')}",
            file=path,
            column=values.name,
        ) from error


def typed(text: pl.Series, field: Field, path: Path, first_row: int | None) -> pl.Series:
    """Return a column of text as what its field says, blanks as null.

    Parameters
    ----------
    first_row : int, optional
        The place of the first value among the rows of a file with a header, for the line of an error.

    Raises
    ------
    DataError
        If a value is of another type.
    """
    if text.null_count() == text.len():  # wide layouts leave most of their columns blank
        return _nulls(text.name, field, text.len())
    text = stripped(text)
    if field.kind == "text":
        return text
    values = _parsed(text, field.kind)
    refuse_unread(
        text, values, field.kind, path, lambda at: None if first_row is None else first_row + at + 2
    )
    return values


def _parsed(text: pl.Series, kind: str) -> pl.Series:
    if kind == "number":
        return numbers(text)
    plain = text.str.replace(r"^(\d{4}-\d\d-\d\d)T", "${1} ").str.replace(ZONE, "")
    values = pl.Series(text.name, [None] * text.len(), dtype=pl.Datetime("us"))
    for form in INSTANTS if kind == "instant" else (*DAYS, *INSTANTS[:2]):
        if values.null_count() == text.null_count():
            break
        if form in DAYS:
            values = values.fill_null(plain.str.strptime(pl.Date, form, strict=False).cast(pl.Datetime("us")))
        else:
            values = values.fill_null(plain.str.strptime(pl.Datetime("us"), form, strict=False))
    return values.cast(DTYPES[kind])
