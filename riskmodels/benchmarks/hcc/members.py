"""Members as arrays: who is scored, and what decides the segment."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.benchmarks.hcc.kernels import encode, index
from riskmodels.errors import DataError

__all__ = ["Members", "hashes", "lookup_key", "read_members"]

FULL = ("02", "04", "08", "full")
PARTIAL = ("01", "03", "05", "06", "partial")
OTHER_MEDICAID = ("07", "09", "10")
NONE = ("00", "none", "na", "")
FLAGS = ("institutional", "new_enrollee", "snp", "low_income")
SEXES = {"female": True, "f": True, "2": True, "male": False, "m": False, "1": False}
OLDEST = 130


@dataclass(frozen=True)
class Members:
    """One entry a member in every array.

    Parameters
    ----------
    person_id : pl.Series
    age : np.ndarray of int16
        In whole years on 1 February of the payment year.
    orec : np.ndarray of int8
        Original reason for entitlement: 0 age, 1 disability, 2 end-stage renal disease, 3 both.
    full_dual, partial_dual, medicaid : np.ndarray of bool
        Full or partial benefit dual eligible; any Medicaid.
    graft_months : np.ndarray of int16
        Months since a kidney transplant, 0 for none.
    table : np.ndarray or None
        Where `riskmodels.benchmarks.hcc.kernels.find` looks a person up; None where two have one hash.
    """

    person_id: pl.Series
    age: np.ndarray
    female: np.ndarray
    orec: np.ndarray
    esrd: np.ndarray
    full_dual: np.ndarray
    partial_dual: np.ndarray
    medicaid: np.ndarray
    institutional: np.ndarray
    new_enrollee: np.ndarray
    snp: np.ndarray
    low_income: np.ndarray
    graft_months: np.ndarray
    table: np.ndarray | None

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self.person_id)

    @property
    def aged(self) -> np.ndarray:
        """Whether a member is 65 or older."""
        return self.age >= 65

    @property
    def disabled(self) -> np.ndarray:
        """Whether a member is under 65 and entitled by other than age (DISABL in the CMS software)."""
        return ~self.aged & (self.orec != 0)

    @property
    def originally_disabled(self) -> np.ndarray:
        """Whether a member was first entitled by disability and is no longer (ORIGDS)."""
        return self.aged & (self.orec == 1)


def read_members(members: Any, payment_year: int) -> Members:
    """Read a frame of members.

    Raises
    ------
    DataError
        Where a column is missing or a value is not one of those allowed, naming the column and the line.
    """
    frame = nw.from_native(members, eager_only=True).to_polars()
    if "person_id" not in frame.columns:
        raise DataError("the members have no column person_id")
    ids = frame["person_id"]
    if ids.null_count():
        raise _wrong(frame, "person_id", pl.col("person_id").is_null(), "every member needs a person_id")
    table, twice = index(*hashes(lookup_key(ids)))
    if twice and ids.n_unique() != len(ids):
        raise DataError(
            f"{len(ids) - ids.n_unique():,} members occur twice",
            column="person_id",
            fix="give one row a person",
        )
    dual, status = _words(frame, "dual_status", (*FULL, *PARTIAL, *OTHER_MEDICAID, *NONE), "00")
    sex, number = _words(frame, "sex", tuple(SEXES))
    flags = {name: _flag(frame, name) for name in FLAGS}
    orec = _orec(frame)
    crec = _reason(frame, "crec") if "crec" in frame.columns else np.zeros(len(ids), dtype=np.int8)
    renal = _flag(frame, "esrd") if "esrd" in frame.columns else (orec >= 2) | (crec >= 2)
    full, partial, other = (np.isin(dual, words)[status] for words in (FULL, PARTIAL, OTHER_MEDICAID))
    return Members(
        ids,
        _age(frame, payment_year),
        np.array([SEXES[word] for word in sex], dtype=bool)[number],
        orec,
        renal,
        full,
        partial,
        full | partial | other,
        **flags,
        graft_months=_whole(frame, "graft_months", 0, 1200),
        table=None if twice else table,
    )


def lookup_key(ids: pl.Series) -> pl.Series:
    """Return identifiers in a type that can be looked up: categories as their text."""
    return ids.cast(pl.String) if isinstance(ids.dtype, pl.Categorical | pl.Enum) else ids


def hashes(values: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return two 64-bit hashes of each value, of different seeds."""
    return values.hash(11).to_numpy(), values.hash(1009).to_numpy()


def _age(frame: pl.DataFrame, payment_year: int) -> np.ndarray:
    if "age" in frame.columns:
        if frame["age"].null_count():
            raise _wrong(frame, "age", pl.col("age").is_null(), "every member needs an age")
        return _whole(frame, "age", 0, OLDEST)
    if "birth_date" not in frame.columns:
        raise DataError("the members have neither a column birth_date nor a column age")
    born = frame["birth_date"]
    if born.null_count() or not born.dtype.is_temporal():
        raise DataError("every member needs a birth date", column="birth_date", fix="give dates, not text")
    day = date(payment_year, 2, 1)
    year, month, first = born.dt.year(), born.dt.month(), born.dt.day()
    before = (month > 2) | ((month == 2) & (first > 1))
    age = day.year - year - before.cast(pl.Int32)
    return _whole(frame.with_columns(age.alias("age")), "age", 0, OLDEST)


def _orec(frame: pl.DataFrame) -> np.ndarray:
    if "orec" in frame.columns:
        return _reason(frame, "orec")
    return _flag(frame, "orig_disability").astype(np.int8)


def _reason(frame: pl.DataFrame, name: str) -> np.ndarray:
    return _whole(frame, name, 0, 3).astype(np.int8)


def _whole(frame: pl.DataFrame, name: str, low: int, high: int) -> np.ndarray:
    """Return a column of whole numbers, 0 where it is missing or empty; a fraction of a year is dropped."""
    if name not in frame.columns:
        return np.zeros(frame.height, dtype=np.int16)
    value = frame[name].cast(pl.Float64, strict=False)
    bad = (value.is_null() & frame[name].is_not_null()) | (value < low) | (value > high) | value.is_nan()
    if bad.any():
        raise _wrong(frame, name, bad, f"give a whole number from {low} to {high}")
    return value.fill_null(0).floor().cast(pl.Int16).to_numpy()


def _flag(frame: pl.DataFrame, name: str) -> np.ndarray:
    if name not in frame.columns:
        return np.zeros(frame.height, dtype=bool)
    if frame[name].dtype == pl.Boolean:
        return frame[name].fill_null(value=False).to_numpy()
    return _whole(frame, name, 0, 1).astype(bool)


def _words(
    frame: pl.DataFrame, name: str, allowed: tuple[str, ...], missing: str | None = None
) -> tuple[list[str], np.ndarray]:
    """Return the distinct words of a column, in small letters, and the place of each row's among them."""
    if name not in frame.columns:
        if missing is None:
            raise DataError(f"the members have no column {name}")
        return [missing], np.zeros(frame.height, dtype=np.int32)
    given = frame[name].cast(pl.String)
    number, first = encode(*hashes(given))
    values = given.gather(first)
    words = values.str.strip_chars().str.to_lowercase()
    words = words if missing is None else words.fill_null(missing)
    if name == "dual_status":
        words = pl.select(pl.when(words.str.contains(r"^\d$")).then("0" + words).otherwise(words)).to_series()
    wrong = values.filter(~words.is_in(allowed).fill_null(value=False))
    if len(wrong):
        bad = given.is_in(wrong.implode(), nulls_equal=True)
        raise _wrong(frame, name, bad, f"give one of {', '.join(repr(word) for word in allowed if word)}")
    return words.to_list(), number


def _wrong(frame: pl.DataFrame, name: str, bad: pl.Series | pl.Expr, fix: str) -> DataError:
    rows = frame.select(pl.lit(bad) if isinstance(bad, pl.Series) else bad).to_series().arg_true()
    line, cell = int(rows[0]), frame[name][int(rows[0])]
    return DataError(f"{cell!r} in row {line + 1:,} of the members", column=name, fix=fix)
