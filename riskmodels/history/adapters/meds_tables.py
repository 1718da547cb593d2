"""MEDS rows, with what their codes say, as the tables of a history: for every engine of narwhals."""

from typing import Any

import narwhals as nw

from riskmodels.history.schema import ADMISSION_TYPES, DISCHARGE_DISPOSITIONS

__all__ = ["contacts", "coverage", "encounters", "events", "persons"]

Frame = nw.LazyFrame[Any]
FLAGS = ("dual", "orig_disability", "esrd", "hospice")


def _truth(column: str) -> nw.Expr:
    text = nw.col(column).str.to_lowercase()
    return (
        nw.when(text.is_in(["true", "1"]))
        .then(nw.lit(True))
        .otherwise(nw.when(text.is_in(["false", "0"])).then(nw.lit(False)))
    )


def _word(column: str, words: tuple[str, ...]) -> nw.Expr:
    """Return the values that are words of a history's schema: other datasets may use the name otherwise."""
    return nw.when(nw.col(column).is_in(words)).then(nw.col(column)).alias(column)


def persons(rows: Frame) -> Frame:
    """Return table person from births, deaths and the traits without a time."""

    def of(role: str, column: nw.Expr, name: str) -> Frame:
        return rows.filter(nw.col("role") == role).group_by("person_id").agg(column.min().alias(name))

    day = nw.col("time").cast(nw.Date)
    return (
        of("birth", day, "birth_date")
        .join(of("death", day, "death_date"), on="person_id", how="left")
        .join(of("sex", nw.col("word"), "sex"), on="person_id", how="left")
        .join(of("race", nw.col("word"), "race_ethnicity"), on="person_id", how="left")
        .select(
            "person_id",
            "birth_date",
            nw.coalesce(nw.col("sex"), nw.lit("unknown")).alias("sex"),
            "race_ethnicity",
            "death_date",
        )
    )


def encounters(rows: Frame) -> Frame:
    """Return table encounter: a start and an end of the same id and kind; others are no encounter."""
    both = ["person_id", "encounter_id", "word"]
    known = rows.filter(~nw.col("encounter_id").is_null())
    starts = known.filter(nw.col("role") == "start").select(
        *both, _word("admission_type", ADMISSION_TYPES), "admission_source", nw.col("time").alias("start")
    )
    ends = known.filter(nw.col("role") == "end").select(
        *both,
        nw.col("time").alias("end"),
        "facility_id",
        "provider_id",
        _word("discharge_disposition", DISCHARGE_DISPOSITIONS),
        "drg",
        "paid",
        "allowed",
        "recorded_at",
    )
    return starts.join(ends, on=both, how="inner").rename({"word": "kind"})


def coverage(rows: Frame) -> Frame:
    """Return table coverage: a start and an end of the same number."""
    span = ["person_id", "coverage_span"]
    starts = rows.filter(nw.col("role") == "covered").select(
        *span,
        nw.col("word").alias("payer"),
        nw.col("time").cast(nw.Date).alias("start_date"),
        *(_truth(name).alias(name) for name in FLAGS),
    )
    ends = rows.filter(nw.col("role") == "uncovered")
    ends = ends.select(*span, nw.col("time").cast(nw.Date).alias("end_date"))
    return starts.join(ends, on=span, how="inner").drop("coverage_span")


def contacts(rows: Frame) -> Frame:
    """Return table coverage where none is told: from a person's first row to the last, births left out."""
    timed = rows.filter(~nw.col("time").is_null() & (nw.col("role") != "birth"))
    day = nw.col("time").cast(nw.Date)
    return timed.group_by("person_id").agg(day.min().alias("start_date"), day.max().alias("end_date"))


def events(rows: Frame) -> Frame:
    """Return table event from the rows that are neither traits nor starts or ends; those need a time."""
    return rows.filter((nw.col("role") == "event") & ~nw.col("time").is_null()).select(
        "person_id",
        "time",
        nw.col("word").alias("kind"),
        "code_system",
        nw.col("event_code").alias("code"),
        nw.col("numeric_value").alias("value"),
        "unit",
        "quantity",
        "days_supply",
        "paid",
        "position",
        "encounter_id",
        "recorded_at",
    )
