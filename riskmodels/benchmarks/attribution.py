"""Whose patients they are: by the visits of the year before, or by a list."""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl

from riskmodels.errors import DataError, SpecError

if TYPE_CHECKING:
    from riskmodels.history import History, Shard

__all__ = ["attribute", "given_attribution"]

VISITS = ("office", "outpatient")
COLUMNS = ("facility_id", "provider_id")


def attribute(history: "History", years: Iterable[int], by: str = "provider_id") -> pl.DataFrame:
    """Assign each person to whoever had most of the allowed charges of office and outpatient visits.

    The visits are those of the calendar year before, as in prospective assignment under 42 CFR 425.400(a)(3)
    and the plurality rule of 425.402(b); which services are primary care is not looked at. Charges that are
    unknown count as 0; ties go to more visits, then to the latest.

    Returns
    -------
    pl.DataFrame
        person_id, year, `by`; persons without such a visit are left out.

    Raises
    ------
    SpecError
        `by` is no column of encounters that names who provides care.
    DataError
        No visit names one.
    """
    if by not in COLUMNS:
        raise SpecError(
            f"people are attributed by {' or '.join(COLUMNS)}, not by {by!r}: give a list of members"
        )
    wanted = list(years)
    parts = [_of_year(shard, year, by) for shard in history.shards() for year in wanted]
    found = pl.concat(parts)
    if found.is_empty():
        raise DataError(
            f"no office or outpatient visit of {', '.join(str(year - 1) for year in wanted)} has a {by}",
            file=history.path,
            fix="give a file of members: person_id and whose they are",
        )
    return found


def given_attribution(members: Any, years: Iterable[int], by: str) -> pl.DataFrame:
    """Return a list of members as `attribute` does: person_id, `by` and, where it changes, year.

    Raises
    ------
    DataError
        A column is missing, or a person is assigned twice in a year.
    """
    frame = nw.from_native(members, eager_only=True).to_polars()
    for name in ("person_id", by):
        if name not in frame.columns:
            raise DataError("the list of members lacks the column", column=name)
    frame = frame.with_columns(pl.col("person_id", by).cast(pl.String)).drop_nulls(["person_id", by])
    wanted = pl.DataFrame({"year": list(years)}, schema={"year": pl.Int64})
    if "year" in frame.columns:
        frame = frame.with_columns(pl.col("year").cast(pl.Int64)).join(wanted, on="year", how="semi")
    else:
        frame = frame.join(wanted, how="cross")
    if frame.select(pl.struct("person_id", "year").is_duplicated().any()).item():
        raise DataError(
            "a person is assigned twice in a year", column="person_id", fix="give one row a person"
        )
    return frame.select("person_id", "year", by)


def _of_year(shard: "Shard", year: int, by: str) -> pl.DataFrame:
    seen = shard.encounter.filter(
        pl.col("kind").is_in(VISITS)
        & pl.col(by).is_not_null()
        & pl.col("end").dt.date().is_between(date(year - 1, 1, 1), date(year - 1, 12, 31))
    )
    totals = seen.group_by("person", by).agg(
        pl.coalesce("allowed", "paid").fill_null(0).sum().alias("charges"), pl.len().alias("visits"),
        pl.col("end").max(),
    )  # fmt: skip
    first = totals.sort("person", "charges", "visits", "end", by, descending=[False, True, True, True, False])
    people = shard.person.select("person", "person_id")
    return (
        first.unique("person", keep="first", maintain_order=True)
        .join(people, on="person", maintain_order="left")
        .select("person_id", pl.lit(year, pl.Int64).alias("year"), by)
    )
