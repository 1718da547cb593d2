"""Join the segments of a stay: overlapping claims, transfers, and same-day returns for the same condition."""

import polars as pl

from riskmodels.cohorts.task import IndexRule
from riskmodels.history import Shard

__all__ = ["join_stays", "principal_diagnoses", "segments"]

DIAGNOSIS_CATEGORY = 3  # characters of an ICD code that name the condition


def segments(shard: Shard, kinds: tuple[str, ...]) -> tuple[pl.DataFrame, int]:
    """Return the encounters of some kinds in order of time, and how many were left out.

    Left out are those that end before they start. The order depends on times, facility and the
    publisher's own identifier alone, so that it does not matter how the input was sorted.
    """
    chosen = shard.encounter.filter(pl.col("kind").is_in(kinds))
    possible = chosen.filter(pl.col("end") >= pl.col("start"))
    return possible.sort(
        "person", "start", "end", "facility_id", "encounter_id"
    ), chosen.height - possible.height


def principal_diagnoses(shard: Shard, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return the principal diagnosis of each encounter that has one by the time it ends.

    Returns
    -------
    DataFrame of encounter, principal_system, principal_code, condition
        `condition` is the code's category: its first three characters.
    """
    events = shard.event.filter(
        (pl.col("kind") == "diagnosis") & (pl.col("position") == 1) & pl.col("encounter").is_not_null()
    )
    ends = shard.encounter.select("encounter", "end")
    known = events.join(ends, on="encounter").filter(pl.col("time") <= pl.col("end"))
    coded = known.select("encounter", "code").join(vocabulary, on="code")
    return (
        coded.select(
            "encounter",
            principal_system="code_system",
            principal_code="code_text",
            condition=pl.col("code_text")
            .str.replace_all(".", "", literal=True)
            .str.slice(0, DIAGNOSIS_CATEGORY),
        )
        .sort("encounter", "principal_code")
        .unique("encounter", keep="first", maintain_order=True)
    )


def join_stays(parts: pl.DataFrame, diagnoses: pl.DataFrame, rule: IndexRule) -> pl.DataFrame:
    """Join segments into stays.

    A segment continues the stay before it where it

    - starts before the stay has ended (overlapping claims, interim bills), or
    - is a transfer: at most `rule.transfer_gap_days` days later, in another facility, whatever the discharge
      disposition says; where a facility is unknown, the disposition or the source of admission must say
      ``transfer``, or
    - is in the same facility on the day the stay ended, and `rule.same_facility_same_day` says so.

    The facility that counts is that of the segment which ends last.

    Parameters
    ----------
    parts : DataFrame
        Segments as `segments` gives them.
    diagnoses : DataFrame
        As `principal_diagnoses` gives them.

    Returns
    -------
    DataFrame
        One row per stay, sorted by (person, admission_time): person, admission_time, discharge_time,
        stay_encounters, first_encounter, last_encounter, index_id, facility_id, drg, discharge_disposition
        (of the last segment), admission_type, admission_source (of the first), and the principal diagnosis
        of both.
    """
    rows = parts.join(diagnoses, on="encounter", how="left", maintain_order="left").with_row_index("row")
    ended = pl.col("end").cum_max().over("person")
    # The row that ends the stay so far: the latest of those that reach the running maximum.
    rows = rows.with_columns(
        ended=ended, last=pl.when(pl.col("end") == ended).then("row").forward_fill().over("person")
    )
    # Everything about the segment that ended last, next to the segment that may continue its stay.
    before = rows.select(
        "row",
        last_facility="facility_id",
        last_disposition="discharge_disposition",
        last_condition="condition",
    )
    rows = rows.with_columns(
        before=pl.col("last").shift(1).over("person"), ended_before=pl.col("ended").shift(1).over("person")
    ).join(before, left_on="before", right_on="row", how="left", maintain_order="left")
    gap = (pl.col("start").dt.date() - pl.col("ended_before").dt.date()).dt.total_days()
    other_facility = (pl.col("facility_id") != pl.col("last_facility")).fill_null(
        (pl.col("last_disposition") == "transfer").fill_null(False)
        | (pl.col("admission_source") == "transfer").fill_null(False)
    )
    returned = {
        "join": pl.lit(True),
        "separate": pl.lit(False),
        "same_diagnosis": (pl.col("condition") == pl.col("last_condition")).fill_null(False),
    }[rule.same_facility_same_day]
    continues = (
        (pl.col("start") < pl.col("ended_before"))
        | (other_facility & (gap <= rule.transfer_gap_days))
        | (~other_facility & returned & (gap == 0))
    )
    rows = rows.with_columns(stay=(~continues.fill_null(False)).cum_sum())
    return _describe(rows)


def _describe(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per stay, from its segments in order of time."""
    last = pl.col("last") == pl.col("last").max().over("stay")
    ending = rows.filter(last & (pl.col("row") == pl.col("last"))).select(
        "stay",
        "drg",
        "discharge_disposition",
        "facility_id",
        last_encounter="encounter",
        index_id="encounter_id",
        discharge_time="end",
        last_system="principal_system",
        last_code="principal_code",
    )
    beginning = rows.group_by("stay", maintain_order=True).agg(
        pl.col("person", "admission_type", "admission_source").first(),
        admission_time=pl.col("start").first(),
        stay_encounters=pl.col("encounter"),
        first_encounter=pl.col("encounter").first(),
        first_system=pl.col("principal_system").first(),
        first_code=pl.col("principal_code").first(),
    )
    return beginning.join(ending, on="stay", how="left", maintain_order="left").drop("stay")
