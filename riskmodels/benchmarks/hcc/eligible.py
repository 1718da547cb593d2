"""Which diagnoses of a history count for risk adjustment: their year, their source, an eligible procedure."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from riskmodels.errors import DataError

if TYPE_CHECKING:
    from riskmodels.history import History, Shard

__all__ = ["history_diagnoses", "read_eligible_codes"]

INPATIENT = ("inpatient", "rehab")
BY_PROCEDURE = ("emergency", "observation", "outpatient", "office")
"""Kinds of encounter whose diagnoses need an eligible procedure beside them, where a list is given."""


def history_diagnoses(
    history: "History", year: int, eligible_codes: Iterable[str] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the diagnoses of a calendar year that CMS accepts, and their number by kind of encounter.

    Returns
    -------
    diagnoses : pl.DataFrame
        person_id and code.
    sources : pl.DataFrame
        kind, rows, used, reason.

    Raises
    ------
    DataError
        The year has diagnoses, but none in ICD-10-CM.
    """
    codes = history.vocabulary
    icd = codes.filter(pl.col("code_system") == "ICD10CM").select("code", "code_text")
    eligible = None
    if eligible_codes is not None:
        wanted = [code.strip().upper() for code in eligible_codes]
        eligible = codes.filter((pl.col("code_system") == "HCPCS") & pl.col("code_text").is_in(wanted))[
            "code"
        ]
    found = [_shard_diagnoses(shard, year, icd, eligible) for shard in history.shards()]
    counts = pl.concat([count for _, count in found]).group_by("kind", "icd").agg(pl.all().sum())
    if counts["rows"].sum() and not counts.filter("icd")["rows"].sum():
        raise DataError(
            f"the {counts['rows'].sum():,} diagnoses of {year} are not in ICD-10-CM, which today's CMS-HCC "
            "models read",
            file=history.path,
            fix="use a history from October 2015 on",
        )
    reasons = {
        **dict.fromkeys(INPATIENT, ""),
        **dict.fromkeys(BY_PROCEDURE, "" if eligible is None else " (with an eligible procedure)"),
        "none": " (belong to no encounter)",
    }
    sources = counts.filter("icd").drop("icd").sort("kind").with_columns(
        reason=pl.col("kind").replace_strict(reasons, default=" (not a source that CMS accepts)")
    )  # fmt: skip
    return pl.concat([diagnoses for diagnoses, _ in found]), sources


def read_eligible_codes(path: str | Path) -> list[str]:
    """Return the CPT/HCPCS codes of CMS's list for risk adjustment: a text file, or a workbook, as published.

    Rows whose ``included`` column says no are left out; lines above the header are skipped.

    Raises
    ------
    DataError
        The file holds no code.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("there is no such file", file=path, fix="give CMS's list of eligible CPT/HCPCS codes")
    rows = _workbook(path) if path.suffix.lower() in (".xlsx", ".xlsm") else _lines(path)
    found = [
        row[0].upper() for row in rows if row and _is_code(row[0]) and "no" not in map(str.lower, row[1:])
    ]
    if not found:
        raise DataError("no CPT or HCPCS code in the first column", file=path)
    return list(dict.fromkeys(found))


def _lines(path: Path) -> list[list[str]]:
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    return [[cell.strip() for cell in row] for row in csv.reader(text.replace("\t", ",").splitlines())]


def _workbook(path: Path) -> list[list[str]]:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    rows = [row for sheet in book.worksheets for row in sheet.iter_rows(values_only=True)]
    return [["" if cell is None else str(cell).strip() for cell in row] for row in rows]


def _is_code(cell: str) -> bool:
    return len(cell) == 5 and cell.isalnum() and sum(letter.isdigit() for letter in cell) >= 4


def _shard_diagnoses(
    shard: "Shard", year: int, icd: pl.DataFrame, eligible: pl.Series | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    of_year = pl.col("time").dt.year() == year
    events = shard.event.filter(of_year & (pl.col("kind") == "diagnosis")).select(
        "person", "code", "encounter"
    )
    kinds = shard.encounter.select("encounter", pl.col("kind").cast(pl.String))
    events = events.join(kinds, on="encounter", how="left").join(icd, on="code", how="left")
    used = pl.col("kind").is_in([*INPATIENT, *BY_PROCEDURE])
    if eligible is not None:
        done = shard.event.filter((pl.col("kind") == "procedure") & pl.col("code").is_in(eligible.implode()))
        with_one = done["encounter"].drop_nulls().unique()
        used = pl.col("kind").is_in(INPATIENT) | (
            pl.col("kind").is_in(BY_PROCEDURE) & pl.col("encounter").is_in(with_one.implode())
        )
    events = events.with_columns(
        used=(used & pl.col("code_text").is_not_null()).fill_null(value=False),
        icd=pl.col("code_text").is_not_null(),
        kind=pl.col("kind").fill_null("none"),
    )
    counts = events.group_by("kind", "icd").agg(
        pl.len().cast(pl.Int64).alias("rows"), pl.col("used").sum().cast(pl.Int64)
    )
    people = shard.person.select("person", "person_id")
    kept = events.filter("used").select("person", "code_text").unique().join(people, on="person")
    return kept.select("person_id", code="code_text"), counts
