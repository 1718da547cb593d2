"""The people of DE-SynPUF: persons, coverage and yearly summaries, the same on every engine of narwhals.

Columns are those of the beneficiary summaries. What they were found to hold, and what follows from it, is in
docs/history.md.
"""

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional_words import RACES

__all__ = ["CONDITIONS", "PAYMENTS", "annual_summaries", "coverage", "persons"]

Frame = nw.LazyFrame[Any]

YEARS = (2008, 2009, 2010)
FIRST_DAYS = [date(year, month, 1) for year in YEARS for month in range(1, 13)] + [date(YEARS[-1] + 1, 1, 1)]
SEXES = {"1": "male", "2": "female"}
# Flags of the Chronic Conditions Data Warehouse (CCW), and what Medicare reimbursed, of a calendar year.
CONDITIONS = (
    "ALZHDMTA",
    "CHF",
    "CHRNKIDN",
    "CNCR",
    "COPD",
    "DEPRESSN",
    "DIABETES",
    "ISCHMCHT",
    "OSTEOPRS",
    "RA_OA",
    "STRKETIA",
)
PAYMENTS = ("IP", "OP", "CAR")


def month_start(year: nw.Expr, month: nw.Expr) -> nw.Expr:
    """Return the first day of a month of the years that are published."""
    # A chain of cases, since engines have no common way to make a day of numbers.
    result = nw.lit(None, dtype=nw.Date)
    for first in FIRST_DAYS[:-1]:
        here = (year == first.year) & (month == first.month)
        result = nw.when(here).then(nw.lit(first)).otherwise(result)
    return result


def month_end(year: nw.Expr, month: nw.Expr) -> nw.Expr:
    """Return the last day of a month of the years that are published."""
    result = nw.lit(None, dtype=nw.Date)
    for first, after in pairwise(FIRST_DAYS):
        here = (year == first.year) & (month == first.month)
        result = nw.when(here).then(nw.lit(after - timedelta(days=1))).otherwise(result)
    return result


def words(column: str, names: dict[str, str]) -> nw.Expr:
    """Return the words that a column's codes stand for; null where a code is not known."""
    result = nw.lit(None, dtype=nw.String)
    for code, word in names.items():
        result = nw.when(nw.col(column) == code).then(nw.lit(word)).otherwise(result)
    return result


def died_on(column: str = "BENE_DEATH_DT") -> nw.Expr:
    """Return the last day of the month of death: only the month is published, as its first day."""
    return month_end(nw.col(column).dt.year(), nw.col(column).dt.month())


def persons(beneficiaries: Frame) -> Frame:
    """Return table person from the yearly summaries, which say the same of a person but for the death."""
    return beneficiaries.select(
        nw.col("DESYNPUF_ID").alias("person_id"),
        nw.col("BENE_BIRTH_DT").alias("birth_date"),
        nw.coalesce(words("BENE_SEX_IDENT_CD", SEXES), nw.lit("unknown")).alias("sex"),
        words("BENE_RACE_CD", RACES).alias("race_ethnicity"),
        died_on().alias("death_date"),
    ).unique()


def coverage(beneficiaries: Frame) -> Frame:
    """Return table coverage: a span a person and year, of as many months as Part A and Part B both cover.

    Twelve months are the whole year. Fewer are placed from 1 January for who dies in the year or is not
    covered in the next, and up to 31 December for who was not covered all the year before.

    `esrd` is what the summary of the year before says, null where there is none: a year's own is known when
    the year is over, and goes with the claims of all its months.
    """
    months = nw.min_horizontal("BENE_HI_CVRAGE_TOT_MONS", "BENE_SMI_CVRAGE_TOT_MONS").cast(nw.Int32)
    spans = beneficiaries.select(
        nw.col("DESYNPUF_ID").alias("person_id"),
        "year",
        months.alias("months"),
        nw.col("BENE_HMO_CVRAGE_TOT_MONS").alias("hmo"),
        (nw.col("BENE_ESRD_IND") == "Y").alias("esrd"),
        died_on().alias("death_date"),
    ).unique()
    before = spans.select(
        "person_id",
        (nw.col("year") + 1).alias("year"),
        nw.col("months").alias("before"),
        nw.col("esrd").alias("esrd_before"),
    )
    after = spans.select("person_id", (nw.col("year") - 1).alias("year"), nw.col("months").alias("after"))
    spans = (
        spans.join(before, on=["person_id", "year"], how="left")
        .join(after, on=["person_id", "year"], how="left")
        .filter(nw.col("months") > 0)
    )
    dies = nw.coalesce(nw.col("death_date").dt.year() == nw.col("year"), nw.lit(False))
    leaves = nw.coalesce(nw.col("after"), nw.lit(12)) == 0
    full_before = nw.coalesce(nw.col("before"), nw.lit(0)) == 12
    enters = ~dies & ~leaves & ~full_before & (nw.col("months") < 12)
    first_month = nw.when(enters).then(13 - nw.col("months")).otherwise(nw.lit(1))
    last_month = nw.when(enters).then(nw.lit(12)).otherwise(nw.col("months"))
    return (
        spans.with_columns(
            month_start(nw.col("year"), first_month).alias("start_date"),
            month_end(nw.col("year"), last_month).alias("last"),
        )
        .with_columns(
            nw.when(dies & (nw.col("death_date") < nw.col("last")))
            .then(nw.col("death_date"))
            .otherwise(nw.col("last"))
            .alias("end_date"),
            nw.when(2 * nw.col("hmo") >= nw.col("months"))
            .then(nw.lit("medicare_advantage"))
            .otherwise(nw.lit("medicare"))
            .alias("payer"),
        )
        .select("person_id", "start_date", "end_date", "payer", nw.col("esrd_before").alias("esrd"))
    )


def annual_summaries(beneficiaries: Frame) -> Frame:
    """Return table event from the yearly summaries: chronic conditions and reimbursements of a year.

    They sum up a whole year, so they are dated when it is over, at the start of the next: earlier they would
    tell what is still to come. The year of a death has none.
    """
    over = nw.lit(None, dtype=nw.Datetime("us"))
    for year in YEARS:
        over = nw.when(nw.col("year") == year).then(nw.lit(datetime(year + 1, 1, 1))).otherwise(over)
    alive = nw.coalesce(nw.col("BENE_DEATH_DT").dt.year() > nw.col("year"), nw.lit(True))
    living = beneficiaries.filter(alive).with_columns(over.alias("time"))
    flags = [
        (f"CCW:{name}", nw.lit(1.0), nw.col(f"SP_{name}") == "1") for name in CONDITIONS
    ]  # 1 is yes and 2 is no
    money = [
        (f"REIMBURSED:{name}", nw.col(f"MEDREIMB_{name}"), nw.col(f"MEDREIMB_{name}") > 0)
        for name in PAYMENTS
    ]
    pieces = [
        living.filter(there).select(
            nw.col("DESYNPUF_ID").alias("person_id"),
            "time",
            nw.lit("observation").alias("kind"),
            nw.lit("LOCAL").alias("code_system"),
            nw.lit(code).alias("code"),
            value.alias("value"),
        )
        for code, value, there in (*flags, *money)
    ]
    return nw.concat(pieces).unique()
