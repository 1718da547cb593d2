"""Read tables as CMS publishes them: preface lines, percent signs, dollars, commas, suppressed cells."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from riskmodels.errors import DataError, did_you_mean
from riskmodels.payments.reading_files import HEADER_LINES, read_workbook, text_rows

__all__ = ["SUPPRESSED", "Table", "normalise", "read_table", "read_workbook"]

SUPPRESSED = frozenset(
    [
        *("", "-", "--", ".", "*", "n", "n/a", "na", "nq", "none", "null", "nan", "blank", "suppressed"),
        *("not available", "not applicable", "too few to report", "too few cases"),
    ]
)
"""How CMS marks a cell that holds no number, in small letters."""

_WORKBOOKS = {".xlsx", ".xlsm"}


@dataclass(frozen=True)
class Table:
    """A published table: every cell as text, with the line of the file that each row stands on.

    Parameters
    ----------
    path : Path
    frame : polars.DataFrame
        Text columns under the publisher's names, stripped.
    lines : tuple of int
        For each row its line in the file (or row of the sheet), counted from 1 and including the header.
    preface : str
        The text above the header.
    """

    path: Path
    frame: pl.DataFrame
    lines: tuple[int, ...]
    preface: str = ""

    def column(self, *names: str, pattern: str | None = None) -> str:
        """Return the published name of a column, by any of its names or by a pattern on its normalised name.

        Raises
        ------
        DataError
            Where the file has no such column, with the nearest name that it has.
        """
        found = self.find(*names, pattern=pattern)
        if found is None:
            wanted = " or ".join(repr(name) for name in names) or repr(pattern)
            hint = did_you_mean(names[0] if names else str(pattern), self.frame.columns)
            raise DataError(f"no column {wanted}", file=self.path, fix=f"{hint} Is this the right file?")
        return found

    def find(self, *names: str, pattern: str | None = None) -> str | None:
        """Return the published name of a column as `column` does, or None where there is none."""
        wanted = {normalise(name) for name in names}
        for name in self.frame.columns:
            plain = normalise(name)
            if plain in wanted or (pattern is not None and re.fullmatch(pattern, plain)):
                return name
        return None

    def text(self, column: str) -> pl.Series:
        """Return a column as text, null where the cell is empty."""
        return self.frame.select(pl.when(pl.col(column) != "").then(pl.col(column))).to_series()

    def identifiers(self, column: str, width: int | None = None) -> pl.Series:
        """Return the entities' ids as text; each is there once.

        Parameters
        ----------
        width : int, optional
            Digits that an id of digits alone has: a spreadsheet that took ids for numbers has cut the leading
            zeros, which are put back.

        Raises
        ------
        DataError
            For an empty id, and for one that stands in the file twice, naming both lines.
        """
        ids = self.keys(column, width)
        seen: dict[str, int] = {}
        for value, line in zip(ids, self.lines, strict=True):
            if value in seen:
                raise DataError(
                    f"{value!r} is here twice, first on line {seen[value]}",
                    file=self.path, column=column, line=line, fix="keep one row an entity",
                )  # fmt: skip
            seen[value] = line
        return ids

    def keys(self, column: str, width: int | None = None) -> pl.Series:
        """Return ids as `identifiers` does, in a table where an id may stand on several rows."""
        ids = self.frame[column].str.replace(r"\.0$", "")
        if width:
            digits = ids.str.contains(r"^\d+$") & (ids.str.len_chars() < width)
            ids = pl.select(pl.when(digits).then(ids.str.zfill(width)).otherwise(ids)).to_series()
        empty = (ids == "").arg_max() if (ids == "").any() else None
        if empty is not None:
            raise DataError("empty id", file=self.path, column=column, line=self.lines[empty])
        return ids.alias(column)

    def number(
        self,
        column: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        required: bool = False,
        integer: bool = False,
    ) -> pl.Series:
        """Return a column as Float64 (or Int64): '$', ',' and '%' are read, suppressed cells are null.

        A percent sign divides by 100; a number in brackets is negative.

        Raises
        ------
        DataError
            For a cell that is no number, out of range, or missing where it is required; names line and value.
        """
        raw = self.frame[column]
        cleaned = raw.str.replace_all(r"[$,\s]", "").str.replace(r"^\((.*)\)$", "-${1}")
        percent = cleaned.str.ends_with("%")
        plain = cleaned.str.strip_chars_end("%")
        suppressed = raw.str.to_lowercase().is_in(list(SUPPRESSED))
        numbers = pl.select(
            pl.when(~suppressed).then(plain.cast(pl.Float64, strict=False))
            / pl.when(percent).then(pl.lit(100.0)).otherwise(pl.lit(1.0))
        ).to_series()
        bad = ~suppressed & (numbers.is_null() | ~numbers.is_finite())
        self._refuse(column, bad, lambda value: f"{value!r} is not a number")
        if required:
            self._refuse(column, suppressed, lambda value: f"{value!r} where a number is needed")
        if minimum is not None:
            self._refuse(column, numbers < minimum, lambda value: f"{value!r} is below {minimum:g}")
        if maximum is not None:
            self._refuse(column, numbers > maximum, lambda value: f"{value!r} is above {maximum:g}")
        if integer:
            self._refuse(column, numbers != numbers.round(), lambda value: f"{value!r} is not a whole number")
            return numbers.cast(pl.Int64).alias(column)
        return numbers.alias(column)

    def _refuse(self, column: str, bad: pl.Series, problem: Callable[[str], str]) -> None:
        bad = bad.fill_null(False)
        if bad.any():
            row = int(bad.arg_max() or 0)
            value = self.frame[column][row]
            raise DataError(problem(value), file=self.path, column=column.strip(), line=self.lines[row])


def normalise(name: str) -> str:
    r"""Return a column name in small letters, single spaces, without BOM, end punctuation and footnote.

    >>> normalise(" Hospital\n CCN [a]")
    'hospital ccn'
    """
    plain = re.sub(r"\s+", " ", name.replace("\ufeff", "").replace("\xa0", " ")).strip(" ,:")
    return re.sub(r"\s*(\[\w{1,2}\]|\*+)$", "", plain).strip(" ,:").lower() or plain.lower()


def read_table(path: str | Path, header: Iterable[str]) -> Table:
    """Read a published table from .csv, .txt (tabs), .xlsx or .parquet.

    Parameters
    ----------
    header : iterable of str
        Patterns of normalised names that the header row has, all of them; rows above it are preface. Of a
        workbook the first sheet with such a row is read.

    Raises
    ------
    DataError
        Where the file is missing, empty, unreadable, or has no such header.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such file", file=path, fix="correct the path")
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    wanted = [re.compile(pattern) for pattern in header]
    if path.suffix.lower() in _WORKBOOKS:
        for rows in read_workbook(path).values():
            if (start := _header_row(rows, wanted)) is not None:
                return _table(path, rows, start)
    else:
        rows = text_rows(path)
        if not rows:
            raise DataError("the file is empty", file=path)
        if (start := _header_row(rows, wanted)) is not None:
            return _table(path, rows, start)
    names = ", ".join(repr(pattern.pattern) for pattern in wanted)
    raise DataError(f"no header row with {names} in the first {HEADER_LINES} lines", file=path,
                    fix="give the file as CMS publishes it")  # fmt: skip


def _header_row(rows: Sequence[Sequence[str]], wanted: Sequence[re.Pattern[str]]) -> int | None:
    for index, row in enumerate(rows[:HEADER_LINES]):
        names = [normalise(cell) for cell in row]
        if sum(bool(name) for name in names) > 1 and all(
            any(pattern.fullmatch(name) for name in names) for pattern in wanted
        ):
            return index
    return None


def _table(path: Path, rows: Sequence[Sequence[str]], start: int) -> Table:
    header = list(rows[start])
    while header and not header[-1]:
        header.pop()
    names = _unique(header)
    kept, lines = [], []
    for line, row in enumerate(rows[start + 1 :], start + 2):
        cells = [*row[: len(names)], *[""] * (len(names) - len(row))]
        if _is_row(cells):
            kept.append(cells)
            lines.append(line)
    if not kept:
        raise DataError("a header and no rows", file=path, line=start + 1)
    frame = pl.DataFrame(kept, schema=dict.fromkeys(names, pl.String), orient="row")
    preface = "\n".join(" ".join(filter(None, row)) for row in rows[:start])
    return Table(path, frame, tuple(lines), preface)


def _is_row(cells: Sequence[str]) -> bool:
    """Tell a row from an empty line and from a note below the table, which is a sentence in one cell."""
    filled = [cell for cell in cells if cell]
    return len(filled) > 1 or (len(filled) == 1 and not re.search(r"\s", filled[0]) and len(filled[0]) <= 20)


def _read_parquet(path: Path) -> Table:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError("not a Parquet file that can be read", file=path) from error
    if frame.is_empty():
        raise DataError("the file has no rows", file=path)
    text = frame.with_columns(pl.all().cast(pl.String).fill_null("").str.strip_chars())
    return Table(path, text, tuple(range(1, frame.height + 1)))


def _unique(header: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for position, name in enumerate(header, 1):
        name = name or f"column {position}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names
