"""The beneficiaries of the CCLF over several deliveries: their identifiers, and how long each is observed."""

from datetime import date

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters.cclf_tables import LONG_AGO

__all__ = ["NO_IDS", "current_ids", "observed"]

NO_IDS = pl.DataFrame(
    schema={
        "CRNT_NUM": pl.String,
        "PRVS_NUM": pl.String,
        "PRVS_ID_OBSLT_DT": pl.Date,
        "delivery": pl.Int32,
        "file_day": pl.Date,
    }
)


def current_ids(rows: pl.DataFrame, label: str) -> pl.DataFrame:
    """Return the current identifier of each previous one, through chains of them: previous, present.

    Parameters
    ----------
    rows : DataFrame
        Of CCLF9, with the number of the ``delivery``; where deliveries disagree the last one counts.
    label : str
        The name of the file, for errors.

    Raises
    ------
    DataError
        If identifiers replace each other in a circle.
    """
    rows = rows.sort("delivery", "PRVS_ID_OBSLT_DT", "CRNT_NUM")
    rows = rows.filter(pl.col("CRNT_NUM") != pl.col("PRVS_NUM")).unique("PRVS_NUM", keep="last")
    replaced = dict(rows.select("PRVS_NUM", "CRNT_NUM").iter_rows())
    present = {}
    for previous in replaced:
        now, seen = previous, {previous}
        while now in replaced:
            now = replaced[now]
            if now in seen:
                raise DataError(
                    "beneficiary identifiers replace each other in a circle",
                    file=label,
                    column="CRNT_NUM",
                    fix="ask CMS which identifier is the current one, and leave the other row out",
                )
            seen.add(now)
        present[previous] = now
    return pl.DataFrame(
        {"previous": list(present), "present": list(present.values())},
        schema={"previous": pl.String, "present": pl.String},
    )


def observed(people: pl.DataFrame, last: date | None) -> pl.DataFrame:
    """Add the day of each row's delivery (``told_on``) and up to when its person is observed (``ends``).

    A beneficiary who is not in the newest delivery is observed up to the last in which he or she was; others
    up to the `last` day that claims tell about.
    """
    known, long_ago = pl.lit(last, dtype=pl.Date), pl.lit(LONG_AGO)
    final = pl.col("file_day").max().over("person_id")
    there = (final == pl.col("file_day").max()).fill_null(True)
    gone = pl.min_horizontal(final, known)
    return people.with_columns(
        pl.coalesce("file_day", known, long_ago).alias("told_on"),
        pl.when(there).then(pl.coalesce(known, final)).otherwise(gone).alias("ends"),
    )
