"""Voluntary alignment: patients who say who coordinates their care (42 CFR 425.402(e))."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from riskmodels.cohorts.plurality import ATTRIBUTED, ATTRIBUTION
from riskmodels.cohorts.primary_care import NON_PHYSICIANS, PRIMARY_CARE, SPECIALISTS
from riskmodels.cohorts.providers import read_columns
from riskmodels.errors import DataError, SpecError

__all__ = [
    "DESIGNATION",
    "FIRST_YEAR",
    "Aligned",
    "align",
    "designations_in_force",
    "read_designations",
    "usual_deadline",
]

DESIGNATION = ("person_id", "provider", "date")
FIRST_YEAR = 2018
CLINICIANS = PRIMARY_CARE | NON_PHYSICIANS | SPECIALISTS


def usual_deadline(performance_year: int) -> date:
    """Return 30 September before the performance year.

    The regulation leaves the deadline to CMS (425.402(e)); this day, the last of the window of prospective
    assignment, is an assumption (unverified).
    """
    return date(performance_year - 1, 9, 30)


def read_designations(path: Path) -> pl.DataFrame:
    """Read a CSV of three columns, in this order: person, provider and date (YYYY-MM-DD) of each designation.

    A designation without a provider takes back the one before it.

    Returns
    -------
    DataFrame of person_id, provider, date

    Raises
    ------
    DataError
        It cannot be read, a person or a date is missing or no date, or a person has two designations of the
        same day.
    """
    table = read_columns(path, DESIGNATION, "person, provider and date of designation")
    parsed = table.with_columns(pl.col("date").str.to_date("%Y-%m-%d", strict=False))
    for column, what in (("person_id", "has no person"), ("date", "has no date, or not one as YYYY-MM-DD")):
        if missing := parsed[column].is_null().arg_true().to_list():
            raise DataError(f"line {missing[0] + 2} {what}", file=path, fix="complete or remove the line")
    return _once_a_day(parsed, path)


def designations_in_force(designations: pl.DataFrame, by: date) -> pl.DataFrame:
    """Return the last designation of each person until a day, the day included: person_id, provider.

    Raises
    ------
    DataError
        A column is missing, or a person has two designations of the same day.
    """
    if missing := [name for name in DESIGNATION if name not in designations.columns]:
        raise DataError("designations have no such column", column=missing[0], fix=f"give {DESIGNATION}")
    rows = _once_a_day(designations.select(pl.col("person_id", "provider").cast(pl.String), "date"), None)
    last = rows.filter(pl.col("date") <= by).sort("person_id", "date").unique("person_id", keep="last")
    return last.filter(pl.col("provider").is_not_null()).select("person_id", "provider").sort("person_id")


@dataclass(frozen=True)
class Aligned:
    """What designations do.

    Attributes
    ----------
    attributed : DataFrame of person_id and the columns of `ATTRIBUTION`
        The people aligned with whom they designated: step 0, without charges and services.
    bound : Series of str
        The people whom claims do not attribute to anybody, the aligned ones included.
    counts : dict of str to int
        How many designations in force did what.
    """

    attributed: pl.DataFrame
    bound: pl.Series
    counts: dict[str, int]


def align(
    designations: pl.DataFrame,
    performance_year: int,
    *,
    by: date,
    known: pl.Series,
    assignable: pl.Series | None,
    services: pl.DataFrame,
    specialties: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    accountable: Collection[str] | None = None,
) -> Aligned:
    """Align people with the providers whom they designated, by the rules of the performance year.

    Since 2019, 425.402(e)(2)(ii): who can be assigned at all (A) and designated a clinician of an ACO (B)
    is assigned to that ACO, without any claim; who designated someone outside is not assigned by claims,
    (C). In 2018, by (e)(2)(i), the patient must have had a service of a physician of that ACO in the
    assignment window, (A), and the designated must be a physician of primary care or of 425.402(c), a nurse
    practitioner, clinical nurse specialist or physician assistant, or the designation says nothing, (C).
    That somebody is assigned to a model that excludes it, (e)(2)(ii)(D), no history tells: leave such
    people out of the table.

    Parameters
    ----------
    designations : DataFrame of person_id, provider, date
    by : date
        The deadline: designations of this day or before are in force.
    known : Series of str
        The people of the history.
    assignable : Series of str, optional
        Those who can be assigned; None for anybody.
    services : DataFrame
        Primary care services in the assignment window, for 2018.
    specialties, groups, accountable
        As of `riskmodels.cohorts.attribute`.

    Raises
    ------
    SpecError
        The year is before 2018, or is 2018 and there are no specialties.
    """
    if performance_year < FIRST_YEAR:
        raise SpecError(
            f"designations count from performance year {FIRST_YEAR} on (42 CFR 425.402(e)), not in "
            f"{performance_year}.\nFix: leave them out"
        )
    if performance_year == FIRST_YEAR and specialties is None:
        raise SpecError(
            "designations for performance year 2018 need the specialties of providers: 42 CFR "
            "425.402(e)(2)(i).\nFix: give specialties"
        )
    force = designations_in_force(designations, by)
    here = force.filter(pl.col("person_id").is_in(known.implode()))
    counts = {"in force": force.height, "of people who are not in the history": force.height - here.height}
    person = pl.col("person_id")
    provider = pl.col("provider")
    meant = here.with_columns(entity=provider if groups is None else provider.replace(dict(groups)))
    if performance_year == FIRST_YEAR:
        clinicians = [name for name, code in (specialties or {}).items() if code in CLINICIANS]
        counts["of no clinician whose designation counts"] = meant.height
        meant = meant.filter(provider.is_in(clinicians))
        counts["of no clinician whose designation counts"] -= meant.height
    outside, unable, unseen = (pl.lit(False) for _ in range(3))
    if accountable is not None:
        outside = ~pl.col("entity").is_in(list(accountable))
    if assignable is not None:
        unable = ~person.is_in(assignable.implode())
    if performance_year == FIRST_YEAR:
        seen = services.filter(pl.col("clinician") != "non_physician").select("person_id", "entity").unique()
        meant = meant.join(seen.with_columns(seen=pl.lit(True)), on=["person_id", "entity"], how="left")
        unseen = pl.col("seen").is_null()
    meant = meant.with_columns(
        fate=pl.when(outside)
        .then(pl.lit("of someone outside"))
        .when(unable)
        .then(pl.lit("of people who cannot be assigned"))
        .when(unseen)
        .then(pl.lit("without a service of the ACO's physicians"))
        .otherwise(pl.lit("aligned"))
    )
    counts["of providers without a service in the window"] = meant.filter(
        ~pl.col("entity").is_in(services["entity"].unique().implode())
    ).height
    fates = dict(meant["fate"].value_counts().sort("fate").iter_rows())
    aligned = meant.filter(pl.col("fate") == "aligned").rename({"entity": ATTRIBUTED})
    aligned = aligned.with_columns(step=pl.lit(0))
    given = (ATTRIBUTED, "step")
    attributed = aligned.select(
        "person_id",
        *(
            (pl.col(name) if name in given else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in ATTRIBUTION.items()
        ),
    )
    return Aligned(attributed, meant["person_id"], {**counts, **fates})


def _once_a_day(rows: pl.DataFrame, path: Path | None) -> pl.DataFrame:
    rows = rows.with_row_index("line", offset=2)
    twice = rows.unique(["person_id", "provider", "date"], keep="first", maintain_order=True)
    twice = twice.filter(pl.struct("person_id", "date").is_duplicated())
    if twice.height:
        lines = twice.sort("person_id", "date", "line")["line"].head(2).to_list()
        raise DataError(
            f"lines {lines[0]} and {lines[1]} are designations of one person and day with other providers",
            file=path,
            fix="keep the one that is in force",
        )
    return rows.drop("line").unique(maintain_order=True)
