"""Claims of physicians and suppliers as visits: what they say, whoever publishes them."""

from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional import known_sum, named

__all__ = ["PLACES", "professional", "visits_of_institutions"]

Frame = nw.LazyFrame[Any]

PLACES = {  # CMS place of service codes
    **dict.fromkeys(("02", "10", "11", "17", "20", "49", "50", "71", "72"), "office"),
    "34": "hospice",
}


def visits_of_institutions(encounters: Frame) -> Frame:
    """Return the days on which an institution already bills what an emergency physician bills for, too.

    These are the first and the last day of its stays and emergency or observation visits, and the day
    before, on which a patient who is admitted after midnight came in.
    """
    seen = encounters.filter(nw.col("kind").is_in(["inpatient", "emergency", "observation"]))
    days = [nw.col("start"), nw.col("end"), nw.col("start").dt.offset_by("-1d")]
    pieces = [seen.select("person_id", day.cast(nw.Date).alias("start")) for day in days]
    return nw.concat(pieces).unique().with_columns(nw.lit(1).alias("billed"))


def professional(rows: Frame, billed: Frame) -> Frame:
    """Return table encounter from `professional_lines`: a claim is a visit.

    Where an emergency physician bills (HCPCS 99281 to 99285) and no institution does so on the day, the
    first such claim of the day is an emergency visit; with an institution's claim it is part of that visit
    and is an outpatient encounter. Other claims are office visits or not by place of service.
    """
    claim = ["person_id", "claim_id"]
    visits = rows.group_by(claim).agg(
        nw.col("start").min(),
        nw.col("end").max(),
        nw.col("place").min(),
        nw.col("facility_id").max(),
        nw.col("provider_id").max(),
        nw.col("emergency").max(),
        nw.col("paid").sum(),
        nw.col("allowed").sum(),
        nw.col("paid").max().alias("any_paid"),
        nw.col("allowed").max().alias("any_allowed"),
        nw.col("recorded_at").max(),
    )
    alone = visits.filter(nw.col("emergency") == 1).join(billed, on=["person_id", "start"], how="left")
    alone = alone.filter(nw.col("billed").is_null())
    first = alone.group_by("person_id", "start").agg(nw.col("claim_id").min())
    first = first.with_columns(nw.lit("emergency").alias("first"))
    visits = visits.join(first, on=["person_id", "start", "claim_id"], how="left")
    return visits.select(
        nw.col("claim_id").alias("encounter_id"),
        "person_id",
        nw.coalesce(nw.col("first"), named(nw.col("place"), PLACES), nw.lit("outpatient")).alias("kind"),
        "start",
        "end",
        "facility_id",
        "provider_id",
        *(known_sum(nw.col(name), nw.col(f"any_{name}")) for name in ("paid", "allowed")),
        "recorded_at",
    )
