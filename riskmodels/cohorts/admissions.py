"""Cases that start at an admission: what the mortality measures of CMS leave out, and the index instant."""

import hashlib
from collections.abc import Callable

import polars as pl

from riskmodels.cohorts.events import entered_hospice
from riskmodels.cohorts.task import Task
from riskmodels.history import Shard

__all__ = ["admission_rules", "at_admission", "one_a_year"]

Rule = Callable[[pl.DataFrame, Shard], pl.Series]


def admission_rules(task: Task) -> list[tuple[str, Rule]]:
    """Return the steps that only tasks indexed on an admission have, each with what is kept."""
    rule = task.index
    steps: list[tuple[str, Rule]] = [("not dead before the admission, by the date of death", _alive)]
    if not rule.short_stays:
        steps.append(("not sent home on the day of admission or the next", _not_short))
    if not rule.hospice:
        days = task.look_back.days
        steps.append(("not in hospice before", lambda stays, shard: ~entered_hospice(stays, shard, days)))
    return steps


def at_admission(stays: pl.DataFrame, shard: Shard) -> pl.DataFrame:
    """Put the index instant at the admission, and take away what is known only later.

    The facility is that of the first segment: the measures hold a death against the hospital that admitted
    the patient first, wherever the patient was transferred to.
    """
    first = shard.encounter.select(first_encounter="encounter", first_facility="facility_id")
    unknown = {"drg": pl.String, "discharge_disposition": pl.String}
    return stays.join(first, on="first_encounter", how="left", maintain_order="left").with_columns(
        facility_id="first_facility",
        discharge_time="admission_time",
        discharged="admitted",
        stay_encounters=pl.lit([], pl.List(pl.Int32)),
        **{name: pl.lit(None, dtype) for name, dtype in unknown.items()},
    )


def _alive(stays: pl.DataFrame, shard: Shard) -> pl.Series:
    """Return whether the date of death, if any, is not before the admission (vital status not consistent)."""
    return stays.select((pl.col("death_date") >= pl.col("admitted")).fill_null(True)).to_series()


def _not_short(stays: pl.DataFrame, shard: Shard) -> pl.Series:
    """Return whether a stay lasted past the next day, ended with death, or with a transfer.

    Of stays joined from several hospitals none is short in this sense: the first one was a transfer.
    """
    died = (pl.col("discharge_disposition") == "died") | (pl.col("death_date") <= pl.col("discharged"))
    moved = (pl.col("discharge_disposition") == "transfer") | (pl.col("stay_encounters").list.len() > 1)
    long = (pl.col("discharged") - pl.col("admitted")).dt.total_days() > 1
    return stays.select(long | died.fill_null(False) | moved.fill_null(False)).to_series()


def one_a_year(stays: pl.DataFrame) -> pl.Series:
    """Return whether a stay is the one of its person and calendar year with the lowest hash.

    The measures draw one at random; a hash of the stay's id draws the same one each time, whatever else is
    in the data.
    """
    drawn = [
        hashlib.blake2b(stay.encode(), digest_size=8).hexdigest() for stay in stays["index_id"].to_list()
    ]
    year = pl.col("admission_time").dt.year()
    lots = stays.with_columns(drawn=pl.Series(drawn, dtype=pl.String))
    return lots.select(pl.col("drawn") == pl.col("drawn").min().over("person", year)).to_series()
