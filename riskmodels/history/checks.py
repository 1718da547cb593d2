"""What `check` looks for in a shard."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from riskmodels.history.opening import Shard

__all__ = ["MEANINGS", "SHAPES", "look", "wrong_shape"]

DAYS_AFTER_DEATH = 30
OLDEST_YEARS = 120
# What a code of a system looks like, dots left out. Systems that are not listed may hold anything.
SHAPES = {
    "ICD9CM": r"^(\d{3,5}|V\d{2,4}|E\d{3,4})$",
    "ICD10CM": r"^[A-Z]\d[0-9A-Z]{1,5}$",
    "ICD9PCS": r"^\d{3,4}$",
    "ICD10PCS": r"^[0-9A-HJ-NP-Z]{7}$",
    "HCPCS": r"^[0-9A-Z]\d{3}[0-9A-Z]$",
    "NDC": r"^\d{10,11}$",
    "ATC": r"^[A-V](\d{2}([A-Z]([A-Z](\d{2})?)?)?)?$",
    "RxNorm": r"^\d{1,8}$",
    "LOINC": r"^\d{1,7}-\d$",
    "REVENUE": r"^\d{4}$",
}
MEANINGS = {
    "person_died_before_birth": ("person", "persons who died before they were born"),
    "person_too_old": ("person", f"persons older than {OLDEST_YEARS} years when last seen"),
    "person_without_coverage": ("person", "persons without any coverage"),
    "coverage_overlaps": ("coverage", "spans that start before an earlier one of the person has ended"),
    "encounter_before_birth": ("encounter", "encounters that start before the day of birth"),
    "encounter_after_death": ("encounter", "encounters that start after the day of death"),
    "encounter_recorded_early": ("encounter", "encounters recorded before they were over"),
    "encounter_outside_coverage": ("encounter", "encounters that start on a day without coverage"),
    "encounter_in_future": ("encounter", "encounters that end after today (shifted dates do)"),
    "inpatient_overlaps": ("encounter", "inpatient stays that end after the person's next one has started"),
    "inpatient_without_diagnosis": ("encounter", "inpatient stays without any diagnosis"),
    "event_before_birth": ("event", "events before the day of birth"),
    "event_after_death": ("event", "events after the day of death"),
    "event_long_after_death": ("event", f"events more than {DAYS_AFTER_DEATH} days after the day of death"),
    "event_recorded_early": ("event", "events recorded before they happened"),
    "event_outside_encounter": ("event", "events dated outside the days of their encounter"),
    "event_in_future": ("event", "events after today (shifted dates do)"),
    "code_of_wrong_shape": ("event", "events whose code does not look like one of its system"),
}


def wrong_shape() -> pl.Expr:
    """Say of each row of a vocabulary whether its code does not look like one of its system."""
    code = pl.col("code_text").str.replace_all(".", "", literal=True)
    wrong = pl.lit(False)
    for system, shape in SHAPES.items():
        wrong = pl.when(pl.col("code_system") == system).then(~code.str.contains(shape)).otherwise(wrong)
    return wrong


def look(shard: Shard, coded: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Return for each name of `MEANINGS` how many rows were found, and among how many.

    Parameters
    ----------
    shard : Shard
    coded : DataFrame
        ``wrong`` for each event of the shard, in its order.
    """
    lives = shard.person.select("person", "birth_date", "death_date")
    stays = shard.encounter.join(lives, on="person", how="left", maintain_order="left")
    events = shard.event.join(lives, on="person", how="left", maintain_order="left")
    found = {
        **_persons(shard),
        **_encounters(shard, stays),
        **_events(shard, events),
        "coverage_overlaps": _overlapping_coverage(shard.coverage),
        "inpatient_overlaps": _overlapping_stays(shard.encounter),
        "code_of_wrong_shape": coded["wrong"],
    }
    return {name: (int(odd.sum()), odd.len()) for name, odd in found.items()}


def _persons(shard: Shard) -> dict[str, pl.Series]:
    seen = shard.encounter.group_by("person").agg(pl.col("end").max().dt.date().alias("last_seen"))
    lived = pl.max_horizontal("death_date", "last_seen") - pl.col("birth_date")
    table = shard.person.join(seen, on="person", how="left").select(
        (pl.col("death_date") < pl.col("birth_date")).fill_null(False).alias("person_died_before_birth"),
        (lived > timedelta(days=365.25 * OLDEST_YEARS)).fill_null(False).alias("person_too_old"),
        (~pl.col("person").is_in(shard.coverage["person"].unique().implode())).alias(
            "person_without_coverage"
        ),
    )
    return table.to_dict()


def _encounters(shard: Shard, stays: pl.DataFrame) -> dict[str, pl.Series]:
    found = stays.select(
        (pl.col("start").dt.date() < pl.col("birth_date")).alias("encounter_before_birth"),
        (pl.col("start").dt.date() > pl.col("death_date")).fill_null(False).alias("encounter_after_death"),
        (pl.col("recorded_at") < pl.col("end")).fill_null(False).alias("encounter_recorded_early"),
        (pl.col("end").dt.date() > _today()).alias("encounter_in_future"),
    ).to_dict()
    diagnosed = shard.event.filter(pl.col("kind") == "diagnosis")["encounter"].unique()
    inpatient = shard.encounter.filter(pl.col("kind") == "inpatient")
    return {
        **found,
        "encounter_outside_coverage": _uncovered(shard),
        "inpatient_without_diagnosis": ~inpatient["encounter"].is_in(diagnosed.implode()),
    }


def _events(shard: Shard, events: pl.DataFrame) -> dict[str, pl.Series]:
    day = pl.col("time").dt.date()
    tolerance = pl.duration(days=DAYS_AFTER_DEATH)
    found = events.select(
        (day < pl.col("birth_date")).alias("event_before_birth"),
        (day > pl.col("death_date")).fill_null(False).alias("event_after_death"),
        (day > pl.col("death_date") + tolerance).fill_null(False).alias("event_long_after_death"),
        (pl.col("recorded_at") < pl.col("time")).fill_null(False).alias("event_recorded_early"),
        (day > _today()).alias("event_in_future"),
    ).to_dict()
    spans = shard.encounter.select("encounter", pl.col("start").dt.date(), pl.col("end").dt.date())
    inside = shard.event.select("encounter", day).join(spans, on="encounter", how="inner")
    outside = inside.select((pl.col("time") < pl.col("start")) | (pl.col("time") > pl.col("end"))).to_series()
    return {**found, "event_outside_encounter": outside}


def _overlapping_coverage(coverage: pl.DataFrame) -> pl.Series:
    earlier = pl.col("end_date").cum_max().shift(1).over("person")
    return coverage.select((pl.col("start_date") <= earlier).fill_null(False)).to_series()


def _overlapping_stays(encounter: pl.DataFrame) -> pl.Series:
    stays = encounter.filter(pl.col("kind") == "inpatient")
    following = pl.col("start").shift(-1).over("person")
    return stays.select((pl.col("end") > following).fill_null(False)).to_series()


def _uncovered(shard: Shard) -> pl.Series:
    # The latest end of all spans begun so far: of overlapping spans the last one may be the shorter.
    spans = shard.coverage.select(
        "person", "start_date", pl.col("end_date").cum_max().over("person").alias("covered_to")
    ).sort("start_date")
    starts = shard.encounter.select("person", pl.col("start").dt.date().alias("start_date")).sort(
        "start_date"
    )
    met = starts.join_asof(spans, on="start_date", by="person", check_sortedness=False)
    return met.select((pl.col("start_date") > pl.col("covered_to")).fill_null(True)).to_series()


def _today() -> date:
    return datetime.now(tz=UTC).date()
