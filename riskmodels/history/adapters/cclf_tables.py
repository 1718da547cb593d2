"""Who is in Medicare's Claim and Claim Line Feed, and which of its claims are final.

Transformations for every engine of narwhals. The rules are those of CMS's CCLF Information Packet: natural
keys of related claims (5.1), which of them are final (5.2), what a cancellation does to an amount (5.3).
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional import named
from riskmodels.history.adapters.institutional_words import RACES
from riskmodels.history.adapters.tuva_tables import DISABLED_NOW, DUAL, ENTITLED, STATUS_ESRD, flag

__all__ = ["LONG_AGO", "coverage", "current", "final_action", "latest", "persons"]

Frame = nw.LazyFrame[Any]

SEXES = {"1": "male", "2": "female"}
LONG_AGO = date(1800, 1, 1)
CANCELS = "1"


def current(rows: Frame, xref: Frame) -> Frame:
    """Name beneficiaries by their current identifier: ``BENE_MBI_ID`` becomes ``person_id``."""
    return (
        rows.join(xref, left_on="BENE_MBI_ID", right_on="previous", how="left")
        .with_columns(nw.coalesce(nw.col("present"), nw.col("BENE_MBI_ID")).alias("person_id"))
        .drop("BENE_MBI_ID", "present")
    )


def latest(rows: Frame, keys: Sequence[str], order: Sequence[str]) -> Frame:
    """Return the last row of each key in an order; columns of the order have no nulls."""
    numbered = rows.with_columns(nw.lit(1).alias("one")).with_columns(
        nw.col("one").cum_sum().over(*keys, order_by=list(order)).alias("number"),
        nw.col("one").sum().over(*keys).alias("of"),
    )
    return numbered.filter(nw.col("number") == nw.col("of")).drop("one", "number", "of")


def final_action(claims: Frame, keys: Sequence[str]) -> Frame:
    """Return the claims of a related set that are neither cancellations nor cancelled.

    Claims with the same natural key are related. A cancellation takes away a claim that was processed before
    it (or, of originals, on its day): the earliest with the same amount, and if there is none, the earliest.
    One that finds none cancels a claim that was delivered before these files begin.

    Parameters
    ----------
    claims : LazyFrame
        One row a claim with the keys, ``claim_id``, ``adjustment`` ("0", "1", "2"), ``effective`` (the day it
        was processed) and ``cents``.
    keys : sequence of str
        The natural key; no nulls.
    """
    rows = claims.with_columns(
        nw.when(nw.col("adjustment") == "0").then(nw.lit(0)).otherwise(nw.lit(1)).alias("step"),
    )
    others = rows.filter(nw.col("adjustment") != CANCELS)
    alike = [*keys, "cents"]
    cancellations = (
        rows.filter(nw.col("adjustment") == CANCELS)
        .group_by(alike)
        .agg(nw.col("step").sum().alias("wanted"), nw.col("effective").max().alias("until"))
    )
    left, taken = _taken(others.join(cancellations, on=alike, how="left"), alike)
    done = taken.group_by(alike).agg(nw.col("step").count().alias("done"))
    unmatched = (
        cancellations.join(done, on=alike, how="left")
        .with_columns((nw.col("wanted") - nw.coalesce(nw.col("done"), nw.lit(0))).alias("wanted"))
        .filter(nw.col("wanted") > 0)
        .group_by(list(keys))
        .agg(nw.col("wanted").sum(), nw.col("until").max())
    )
    left, _ = _taken(left.join(unmatched, on=list(keys), how="left"), keys)
    return left.drop("step")


def _taken(rows: Frame, keys: Sequence[str]) -> tuple[Frame, Frame]:
    """Divide rows with ``wanted`` and ``until`` into those that stay and the first that may be taken away."""
    before = (nw.col("effective") < nw.col("until")) | (
        (nw.col("effective") == nw.col("until")) & (nw.col("step") == 0)
    )
    eligible = nw.when(nw.coalesce(before, nw.lit(False))).then(nw.lit(1)).otherwise(nw.lit(0))
    rows = rows.with_columns(eligible.alias("eligible")).with_columns(
        nw.col("eligible").cum_sum().over(*keys, order_by=["effective", "step", "claim_id"]).alias("turn")
    )
    goes = (nw.col("eligible") == 1) & (nw.col("turn") <= nw.coalesce(nw.col("wanted"), nw.lit(0)))
    extra = ["wanted", "until", "eligible", "turn"]
    return rows.filter(~goes).drop(extra), rows.filter(goes).drop(extra)


def persons(beneficiaries: Frame) -> Frame:
    """Return table person from the last that the demographics say of each beneficiary."""
    return latest(beneficiaries, ["person_id"], ["delivery", "order"]).select(
        "person_id",
        nw.col("BENE_DOB").alias("birth_date"),
        nw.coalesce(named(nw.col("BENE_SEX_CD"), SEXES), nw.lit("unknown")).alias("sex"),
        named(nw.col("BENE_RACE_CD"), RACES).alias("race_ethnicity"),
        nw.col("BENE_DEATH_DT").alias("death_date"),
    )


def coverage(beneficiaries: Frame) -> Frame:
    """Return table coverage: from the first day of Part A and Part B to the last that the files tell about.

    A delivery says who is dual, has end-stage renal disease or is in hospice now: this goes with the days
    from the delivery to the next; before the first it is not known.

    Parameters
    ----------
    beneficiaries : LazyFrame
        The rows of a beneficiary, one a delivery, with ``told_on`` (its day) and ``ends`` (up to when the
        beneficiary is observed).
    """
    order = ["told_on", "delivery", "order"]
    rows = latest(beneficiaries, ["person_id", "told_on"], ["delivery", "order"])
    begins = nw.max_horizontal("BENE_PART_A_ENRLMT_BGN_DT", "BENE_PART_B_ENRLMT_BGN_DT")
    known = (~nw.col("BENE_PART_A_ENRLMT_BGN_DT").is_null()) & (
        ~nw.col("BENE_PART_B_ENRLMT_BGN_DT").is_null()
    )
    rows = rows.filter(known).with_columns(
        begins.alias("begins"),
        nw.lit(1).alias("one"),
        nw.min_horizontal("ends", "BENE_DEATH_DT").alias("stops"),
    )
    rows = rows.with_columns(
        nw.col("told_on").shift(-1).over("person_id", order_by=order).alias("next"),
        nw.col("one").cum_sum().over("person_id", order_by=order).alias("number"),
    )
    status, reason = nw.col("BENE_MDCR_STUS_CD"), nw.col("BENE_ORGNL_ENTLMT_RSN_CD")
    disabled = nw.when(status.is_in(DISABLED_NOW)).then(nw.lit(True))
    always = [
        nw.col("person_id"),
        nw.lit("medicare").alias("payer"),
        nw.coalesce(flag(reason, ENTITLED), disabled).alias("orig_disability"),
    ]
    unknown = [nw.lit(None, dtype=nw.Boolean).alias(name) for name in ("dual", "esrd", "hospice")]
    before = rows.filter(nw.col("number") == 1).select(
        *always,
        *unknown,
        nw.col("begins").alias("start_date"),
        nw.min_horizontal(nw.col("told_on").dt.offset_by("-1d"), nw.col("stops")).alias("end_date"),
    )
    in_hospice = (~nw.col("BENE_RNG_BGN_DT").is_null()) & (
        nw.col("BENE_RNG_END_DT").is_null() | (nw.col("BENE_RNG_END_DT") >= nw.col("told_on"))
    )
    since = rows.select(
        *always,
        flag(nw.col("BENE_DUAL_STUS_CD"), DUAL).alias("dual"),
        flag(status, STATUS_ESRD).alias("esrd"),
        in_hospice.alias("hospice"),
        nw.max_horizontal("begins", "told_on").alias("start_date"),
        nw.min_horizontal(nw.col("next").dt.offset_by("-1d"), nw.col("stops")).alias("end_date"),
    )
    return nw.concat([before, since]).filter(nw.col("start_date") <= nw.col("end_date"))
