"""FHIR R4 as the tables of a history: transformations for every engine of narwhals."""

from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional import LINE, is_emergency

__all__ = [
    "claim_codes",
    "conditions",
    "contacts",
    "coverage",
    "encounters",
    "events",
    "institutional_lines",
    "orders",
    "professional_claims",
]

Frame = nw.LazyFrame[Any]


def encounters(rows: Frame, money: Frame) -> Frame:
    """Return table encounter: what took place and is no part of another, with what its claims paid."""
    return (
        rows.join(money, left_on="encounter_id", right_on="of_encounter", how="left")
        .select(
            "encounter_id",
            "person_id",
            "kind",
            "start",
            "end",
            "facility_id",
            "provider_id",
            "admission_type",
            "admission_source",
            "discharge_disposition",
            "paid",
            "allowed",
        )
        .unique()
    )


def _placed(rows: Frame, places: Frame) -> Frame:
    """Add the encounter that counts and when it was over; ``places`` has encounter_id, whole_id, over."""
    return rows.join(places, on="encounter_id", how="left").with_columns(
        nw.coalesce(nw.col("whole_id"), nw.col("encounter_id")).alias("encounter_id")
    )


def conditions(rows: Frame, places: Frame, ranks: Frame) -> Frame:
    """Return table event: a condition at the end of its encounter, else when it was recorded.

    Its position is its rank among the diagnoses of the encounter, where the encounter tells it.
    """
    ranked = rows.join(
        ranks, left_on=["condition_id", "encounter_id"], right_on=["condition_id", "ranked_in"], how="left"
    )
    return _placed(ranked, places).select(
        "person_id",
        "encounter_id",
        nw.coalesce(nw.col("over"), nw.col("time")).alias("time"),
        nw.lit("diagnosis").alias("kind"),
        "code_system",
        "code",
        "position",
        "recorded_at",
    )


def events(rows: Frame, places: Frame, *, kind: str) -> Frame:
    """Return table event from procedures, or observations, which have a kind and a value of their own."""
    placed = _placed(rows, places)
    columns = ["person_id", "encounter_id", "time", "code_system", "code", "recorded_at"]
    if kind == "observation":
        return placed.select(*columns, "kind", "value", "unit")
    return placed.select(*columns, nw.lit(kind).alias("kind"))


def orders(rows: Frame, places: Frame, medications: Frame) -> Frame:
    """Return table event from orders of drugs, coded themselves or by the Medication they refer to."""
    known = rows.join(medications, on="medication_id", how="left").with_columns(
        nw.coalesce(nw.col("code_system"), nw.col("medication_system")).alias("code_system"),
        nw.coalesce(nw.col("code"), nw.col("medication_code")).alias("code"),
    )
    return _placed(known, places).select(
        "person_id",
        "encounter_id",
        "time",
        nw.lit("drug").alias("kind"),
        "code_system",
        "code",
        "quantity",
        "days_supply",
    )


def institutional_lines(claims: Frame, lines: Frame) -> Frame:
    """Return institutional claims as lines, as many as tell their kind, each with the claim's money."""
    telling = lines.filter(
        is_emergency()
        | nw.coalesce(nw.col("revenue_code").is_in(["0762", "0024"]), nw.lit(False))
        | nw.coalesce(nw.col("hcpcs") == "G0378", nw.lit(False))
    ).unique()
    return claims.join(telling, on="claim_id", how="left").select(*LINE)


def professional_claims(claims: Frame, lines: Frame) -> Frame:
    """Return a row a claim of a physician, with whether one of its lines is of an emergency department."""
    emergency = lines.filter(is_emergency()).select("claim_id", nw.lit(1).alias("emergency")).unique()
    return (
        claims.join(emergency, on="claim_id", how="left")
        .with_columns(nw.coalesce(nw.col("emergency"), nw.lit(0)).alias("emergency"))
        .select(
            "person_id",
            "claim_id",
            "start",
            "end",
            "place",
            "facility_id",
            "provider_id",
            "emergency",
            "paid",
            "allowed",
            "recorded_at",
        )
    )


def claim_codes(rows: Frame, links: Frame) -> Frame:
    """Return table event from the codes of claims; diagnoses at the end of their encounter.

    ``links`` has claim_id, person_id, encounter_id, encounter_end, place_on, recorded_at.
    """
    own = nw.when(nw.col("kind") != "diagnosis").then(nw.col("day"))
    return (
        rows.join(links, on="claim_id", how="inner")
        .select(
            "person_id",
            "encounter_id",
            nw.coalesce(own, nw.col("encounter_end")).alias("time"),
            "kind",
            "code_system",
            "code",
            "value",
            "quantity",
            "days_supply",
            "paid",
            (nw.col("position") + nw.col("place_on")).cast(nw.Int32).alias("position"),
            "recorded_at",
        )
        .unique()
    )


def coverage(spans: Frame, patients: Frame) -> Frame:
    """Return table coverage from spans, cut at death; without an end they go on to the ``last_day``."""
    deaths = patients.select("person_id", "death_date").unique()
    return (
        spans.join(deaths, on="person_id", how="left")
        .with_columns(
            nw.coalesce(nw.col("end_date"), nw.col("last_day")).alias("end_date"),
        )
        .with_columns(nw.min_horizontal("end_date", "death_date").alias("end_date"))
        .filter(nw.col("start_date") <= nw.col("end_date"))
        .select("person_id", "start_date", "end_date", "payer", "dual", "orig_disability", "esrd")
        .unique()
    )


def contacts(encounters: Frame) -> Frame:
    """Return table coverage where none is told: from the first encounter of a patient to the last."""
    return encounters.group_by("person_id").agg(
        nw.col("start").min().cast(nw.Date).alias("start_date"),
        nw.col("end").max().cast(nw.Date).alias("end_date"),
    )
