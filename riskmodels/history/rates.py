"""Counts of a shard that rates are made of: member years, admissions, visits, returns, deaths, claim lag."""

from datetime import date
from itertools import pairwise

import polars as pl

from riskmodels.history.opening import Shard

__all__ = ["AGE_BANDS", "RATES", "age_band", "months_before", "rates", "recording", "volume"]

AGE_BANDS = (65, 75, 85)
DAYS_A_YEAR = 365.25
RETURN_DAYS = 30

# Added up over shards: persons are in one shard each, so that those with an event may be counted apart.
RATES = ("member_years", "members", "admissions", "ed_visits", "discharges", "returns", "deaths", "spent")


def age_band(age: pl.Expr) -> pl.Expr:
    """Return the band of an age in years: ``under 65``, ``65-74``, ``75-84``, ``85 and over``."""
    band = pl.lit(f"{AGE_BANDS[-1]} and over")
    for low, high in reversed(list(pairwise(AGE_BANDS))):
        band = pl.when(age < high).then(pl.lit(f"{low}-{high - 1}")).otherwise(band)
    return pl.when(age < AGE_BANDS[0]).then(pl.lit(f"under {AGE_BANDS[0]}")).otherwise(band)


def rates(shard: Shard) -> pl.DataFrame:
    """Return the counts of `RATES` by calendar year and age band.

    The age is that reached in the year. Stays of a person that overlap, or follow each other on the same or
    the next day, are one admission, in the year it began; a return is an admission on day 0 to 30 after a
    discharge of someone not known to have died. Encounters of nobody who was covered that day are not
    counted where there is coverage at all; without it there are no member years.
    """
    person = shard.person.select("person", "birth_date", "death_date")
    stays = _stays(shard.encounter)
    visits = shard.encounter.filter(pl.col("kind") == "emergency").select("person", day=_day("start"))
    paid = shard.encounter.select("person", day=_day("end"), spent=pl.coalesce("allowed", "paid")).drop_nulls(
        "spent"
    )
    died = person.drop_nulls("death_date").select("person", day="death_date")
    counted = [
        _members(shard.coverage),
        _covered(stays, shard).select("person", "day", admissions=1),
        _covered(visits, shard).select("person", "day", ed_visits=1),
        stays.filter("alive").select(
            "person", day="left", discharges=1, returns=pl.col("returned").cast(pl.Int32)
        ),
        _covered(died, shard).select("person", "day", deaths=1),
        _covered(paid, shard).select("person", "day", "spent"),
    ]
    born = person.select("person", birth_year=pl.col("birth_date").dt.year())
    rows = pl.concat(counted, how="diagonal").join(born, on="person")
    return (
        rows.with_columns(year=pl.col("day").dt.year())
        .with_columns(band=age_band(pl.col("year") - pl.col("birth_year")))
        .group_by("year", "band")
        .agg(
            pl.col("member_years", "spent").sum().cast(pl.Float64),
            pl.col("admissions", "ed_visits", "discharges", "returns", "deaths").sum().cast(pl.Int64),
            members=pl.col("person").filter(pl.col("member_years").is_not_null()).n_unique(),
        )
        .select("year", "band", *RATES)
    )


def recording(encounter: pl.DataFrame) -> pl.DataFrame:
    """Return how many encounters became known how many days after they ended: kind, days, encounters."""
    known = encounter.drop_nulls("recorded_at")
    days = (_day("recorded_at") - _day("end")).dt.total_days()
    return (
        known.select(pl.col("kind").cast(pl.String), days=days)
        .group_by("kind", "days")
        .agg(encounters=pl.len().cast(pl.Int64))
    )


def volume(encounter: pl.DataFrame) -> pl.DataFrame:
    """Return encounters that ended in each month: kind, month (its first day), encounters."""
    return (
        encounter.select(pl.col("kind").cast(pl.String), month=_day("end").dt.truncate("1mo"))
        .group_by("kind", "month")
        .agg(encounters=pl.len().cast(pl.Int64))
    )


def _day(column: str) -> pl.Expr:
    return pl.col(column).dt.date()


def _stays(encounter: pl.DataFrame) -> pl.DataFrame:
    """Return person, day of admission, day left, alive, returned."""
    rows = (
        encounter.filter((pl.col("kind") == "inpatient") & (pl.col("end") >= pl.col("start")))
        .sort("person", "start", "end")
        .with_columns(before=_day("end").cum_max().shift(1).over("person"))
    )
    new = ((_day("start") - pl.col("before")).dt.total_days() > 1).fill_null(True)
    stays = (
        rows.with_columns(stay=new.cum_sum())
        .group_by("stay", maintain_order=True)
        .agg(
            pl.col("person").first(),
            day=_day("start").min(),
            left=_day("end").max(),
            alive=(pl.col("discharge_disposition") != "died").fill_null(True).all(),
        )
    )
    gap = (pl.col("day").shift(-1).over("person") - pl.col("left")).dt.total_days()
    return stays.with_columns(returned=(gap <= RETURN_DAYS).fill_null(False))


def _members(coverage: pl.DataFrame) -> pl.DataFrame:
    """Return person, day (1 January) and member years of each calendar year, days counted once."""
    spans = coverage.sort("person", "start_date", "end_date").with_columns(
        before=pl.col("end_date").cum_max().shift(1).over("person")
    )
    first = pl.max_horizontal("start_date", pl.col("before") + pl.duration(days=1))
    spans = spans.select("person", first=first, last="end_date").filter(pl.col("last") >= pl.col("first"))
    years = spans.with_columns(
        year=pl.int_ranges(pl.col("first").dt.year(), pl.col("last").dt.year() + 1)
    ).explode("year")
    begins, ends = pl.date("year", 1, 1), pl.date("year", 12, 31)
    inside = (pl.min_horizontal("last", ends) - pl.max_horizontal("first", begins)).dt.total_days() + 1
    return years.group_by("person", day=begins).agg(member_years=inside.sum() / DAYS_A_YEAR)


def _covered(rows: pl.DataFrame, shard: Shard) -> pl.DataFrame:
    """Keep what lies on a covered day, where there is any coverage."""
    if shard.coverage.is_empty():
        return rows
    spans = shard.coverage.select(
        "person", "start_date", until=pl.col("end_date").cum_max().over("person")
    ).sort("start_date")
    met = rows.sort("day").join_asof(
        spans, left_on="day", right_on="start_date", by="person", check_sortedness=False
    )
    return met.filter((pl.col("day") <= pl.col("until")).fill_null(False)).drop("start_date", "until")


def months_before(month: date, number: int) -> date:
    """Return the first day of the month so many months earlier."""
    months = month.year * 12 + month.month - 1 - number
    return date(months // 12, months % 12 + 1, 1)
