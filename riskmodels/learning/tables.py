"""Features of a table of stays that has no dates: only whose stay it is, and in which order stays came.

Everything here looks back: a row knows the rows of the same patient before it, and no other row.
"""

from collections.abc import Sequence

import polars as pl

from riskmodels.errors import DataError, did_you_mean

__all__ = ["combine", "look_back"]


def look_back(
    stays: pl.DataFrame,
    *,
    patient: str,
    order: str,
    previous: Sequence[str] = (),
    change: Sequence[str] = (),
    total: Sequence[str] = (),
    largest: Sequence[str] = (),
    same: Sequence[str] = (),
) -> pl.DataFrame:
    """Add what the earlier stays of the same patient say.

    Parameters
    ----------
    stays : pl.DataFrame
        One row a stay.
    patient : str
        Column of the patient.
    order : str
        Column of whole numbers that grow with time; no two stays of a patient share one. Distances on it
        stand in for days where there are no dates.
    previous, change : sequence of str
        Columns whose value at the stay before is added (``previous_x``), or subtracted from this one's
        (``change_x``).
    total, largest : sequence of str
        Number columns whose sum (``total_x``) or maximum (``largest_x``) over all earlier stays is added.
    same : sequence of str
        Columns of which to say whether the stay before had the same value (``same_x``).

    Returns
    -------
    pl.DataFrame
        Rows in the order they came, with ``earlier_stays`` (how many), ``since_previous``,
        ``since_second_last``, ``since_first``, ``mean_gap`` and ``shortest_gap`` (distances on `order`; null
        at a first stay).

    Raises
    ------
    DataError
        If a column is missing, or two stays of a patient have the same place in the order.
    """
    for name in (patient, order, *previous, *change, *total, *largest, *same):
        if name not in stays.columns:
            raise DataError("there is no such column", column=name, fix=did_you_mean(name, stays.columns))
    twice = int(stays.select(pl.struct(patient, order).is_duplicated().sum()).item())
    if twice:
        raise DataError(
            f"{twice} rows share patient and place in the order with another row",
            column=order,
            fix="remove rows that are there twice",
        )
    place = "__row"
    by_time = stays.with_row_index(place).sort(patient, order)
    at = pl.col(order)
    before = at.shift(1).over(patient)
    earlier = pl.int_range(pl.len()).over(patient)
    nothing_before = earlier == 0
    added = [
        earlier.cast(pl.Float64).alias("earlier_stays"),
        (at - before).cast(pl.Float64).alias("since_previous"),
        (at - at.shift(2).over(patient)).cast(pl.Float64).alias("since_second_last"),
        pl.when(~nothing_before).then(at - at.first().over(patient)).cast(pl.Float64).alias("since_first"),
        *(pl.col(x).shift(1).over(patient).alias(f"previous_{x}") for x in previous),
        *((pl.col(x) - pl.col(x).shift(1).over(patient)).alias(f"change_{x}") for x in change),
        *((pl.col(x).cum_sum().over(patient) - pl.col(x)).alias(f"total_{x}") for x in total),
        *(pl.col(x).cum_max().shift(1).over(patient).alias(f"largest_{x}") for x in largest),
        *((pl.col(x) == pl.col(x).shift(1).over(patient)).alias(f"same_{x}") for x in same),
    ]
    return (
        by_time.with_columns(added)
        .with_columns(
            mean_gap=pl.when(pl.col("earlier_stays") > 0).then(
                pl.col("since_first") / pl.col("earlier_stays")
            ),
            shortest_gap=pl.col("since_previous").cum_min().over(patient),
        )
        .sort(place)
        .drop(place)
    )


def combine(columns: Sequence[str], name: str) -> pl.Expr:
    """Return one category for each combination of the values of some categories; missing is a value.

    Target encoding of combinations lets shallow trees see interactions of categories of many levels.
    """
    parts = [pl.col(column).cast(pl.String).fill_null("?") for column in columns]
    return pl.concat_str(parts, separator=" & ").alias(name)
