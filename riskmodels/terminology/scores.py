"""Points for the groups that a patient is in."""

import polars as pl

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.terminology.grouper import Grouper

__all__ = ["comorbidity_score"]


def comorbidity_score(members: pl.DataFrame, grouper: Grouper, weights: str, by: str = "row") -> pl.DataFrame:
    """Add up the points of each patient's groups, each group once.

    A group that another one outranks (diabetes without complications, where there is diabetes with
    complications) gives no points.

    Parameters
    ----------
    members : DataFrame of `by`, group
        Who is in which group; a group may be there more than once.
    grouper : Grouper
        The table that the group numbers are from.
    weights : str
        The name of one of its scores: ``"charlson"``.
    by : str
        The column that tells patients or stays apart.

    Returns
    -------
    DataFrame of `by`, score (Float64)
        Sorted; those who are in no group are not in it, and their score is 0.
    """
    if weights not in grouper.weights:
        raise SpecError(
            f"{grouper.name} has no weights {weights!r}. {did_you_mean(weights, grouper.weights)}"
        )
    points = pl.DataFrame(
        {
            "group": list(range(len(grouper.groups))),
            "points": [grouper.weights[weights][group] for group in grouper.groups],
        },
        schema={"group": pl.Int32, "points": pl.Float64},
    )
    pairs = [(high, low) for high, lows in grouper.outranks.items() for low in lows]
    ranks = pl.DataFrame(
        [(grouper.number(high), grouper.number(low)) for high, low in pairs],
        schema={"group": pl.Int32, "outranked": pl.Int32},
        orient="row",
    )
    distinct = members.select(by, pl.col("group").cast(pl.Int32)).unique()
    outranked = distinct.join(ranks, on="group").select(by, group="outranked")
    return (
        distinct.join(outranked, on=[by, "group"], how="anti")
        .join(points, on="group")
        .group_by(by)
        .agg(score=pl.col("points").sum())
        .sort(by)
    )
