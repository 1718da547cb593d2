"""The truth behind the claims: the risk of each discharge and the effect of each facility."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskmodels.datasets.facilities import Facilities, facility_ids
from riskmodels.datasets.population import YEAR

__all__ = ["facility_frame", "mean_effect", "truth_frame"]

# MS-DRGs of the six conditions of the Hospital Readmissions Reduction Program, as far as they occur here.
HRRP_DRGS = {"280", "281", "291", "292", "190", "191", "193", "194", "470", "235", "236"}


def mean_effect(stays: pl.DataFrame, facilities: Facilities) -> float:
    """Return the facility effect of the average discharge, in log-odds.

    The average facility is the one that this is the effect of. With it, the true risks of a population sum to
    nearly what they would be there, which is what a ratio of observed to expected takes for granted.
    """
    at: NDArray[np.int64] = stays.filter("index")["facility"].to_numpy()
    return float(facilities.effect[at].mean()) if len(at) else 0.0


def truth_frame(stays: pl.DataFrame, facilities: Facilities) -> pl.DataFrame:
    """Return one row per discharge alive and not against medical advice, with its true risk."""
    centre = mean_effect(stays, facilities)
    at_the_average = pl.col("linear_predictor") + centre
    ids = pl.Series(facility_ids(len(facilities)))
    index = stays.filter("index")
    at: NDArray[np.int64] = index["facility"].to_numpy()
    return index.select(
        "encounter_id",
        "person_id",
        ids.gather(at).alias("facility_id"),
        "index_time",
        "true_risk",
        (1 / (1 + (-at_the_average).exp())).alias("true_risk_average_facility"),
        at_the_average.alias("linear_predictor"),
        pl.Series("facility_effect", facilities.effect[at] - centre),
    ).sort("person_id", "index_time")


def facility_frame(stays: pl.DataFrame, facilities: Facilities, horizon: int) -> pl.DataFrame:
    """Return what is known of each facility, the payments and shares counted over its simulated stays."""
    years = horizon / YEAR
    in_hrrp = pl.col("drg").is_in(list(HRRP_DRGS))
    payment = pl.col("base_payment")
    counted = stays.group_by("facility").agg(
        pl.len().alias("stays"),
        pl.col("dual").mean().alias("dual_proportion"),
        (payment.sum() / years).round(2).alias("base_operating_payments"),
        (pl.col("base_payment").filter(in_hrrp).sum() / pl.col("base_payment").sum()).alias(
            "drg_payment_ratio"
        ),
    )
    frame = pl.DataFrame(
        {
            "facility": np.arange(len(facilities)),
            "facility_id": facility_ids(len(facilities)),
            "true_effect": facilities.effect - mean_effect(stays, facilities),
            "beds": facilities.beds,
        }
    ).join(counted, on="facility", how="left", maintain_order="left")
    zeros = ("stays", "dual_proportion", "base_operating_payments", "drg_payment_ratio")
    # As HRRP has since FY 2019: peer groups are fifths of the hospitals by dual proportion.
    fifth = (pl.col("dual_proportion").rank("ordinal") - 1) * 5 // len(facilities) + 1
    return (
        frame.with_columns(pl.col(zeros).fill_null(0))
        .with_columns(fifth.cast(pl.Int64).alias("peer_group"))
        .select("facility_id", "true_effect", "beds", "stays", "dual_proportion", "peer_group",
                "base_operating_payments", "drg_payment_ratio")
    )  # fmt: skip
