"""What will still come in: completion of claims by the chain ladder."""

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from riskmodels.errors import SpecError

if TYPE_CHECKING:
    from riskmodels.history import History

__all__ = ["completion_of_years", "completion_pattern", "history_triangle"]

LONGEST = 24
"""Months after which every claim counts as known."""


def completion_pattern(triangle: pl.DataFrame, valuation: int) -> pl.DataFrame:
    """Return how complete a month's claims are, so many months after it.

    Chain ladder with volume-weighted development factors: the factor of a lag is the sum of the amounts known
    one month later over the sum of those known at the lag, over all months of service for which both could
    be seen (Mack 1993, ASTIN Bulletin 23:213).

    Parameters
    ----------
    triangle : pl.DataFrame
        service and recorded (months as whole numbers, such as year x 12 + month) and amount.
    valuation : int
        The last month whose records are complete.

    Returns
    -------
    pl.DataFrame
        lag (months, from 0), development (to the next lag) and completion (share of the final amount known).

    Raises
    ------
    SpecError
        No month of service before the valuation has an amount.
    """
    known = triangle.filter((pl.col("recorded") <= valuation) & (pl.col("service") <= valuation))
    if known.is_empty() or known["amount"].sum() <= 0:
        raise SpecError("no claims are known at the valuation, so no completion can be estimated")
    first = int(known["service"].to_numpy().min())
    depth = min(LONGEST, valuation - first)
    service = known["service"].to_numpy() - first
    lag = np.clip(known["recorded"].to_numpy() - known["service"].to_numpy(), 0, depth)
    paid = np.zeros((valuation - first + 1, depth + 1))
    np.add.at(paid, (service, lag), known["amount"].to_numpy())
    total = paid.cumsum(axis=1)
    development = np.ones(depth + 1)
    for at in range(depth):
        seen = max(len(total) - at - 1, 0)  # months whose next lag is not after the valuation
        before = total[:seen, at].sum()
        if before > 0:
            development[at] = total[:seen, at + 1].sum() / before
    completion = 1 / np.cumprod(development[::-1])[::-1]
    return pl.DataFrame({"lag": range(depth + 1), "development": development, "completion": completion})


def history_triangle(history: "History", kinds: tuple[str, ...], amount: str) -> pl.DataFrame:
    """Return the amounts of a history's encounters by month of service and month of record.

    Encounters whose record has no date count as known in the month of service.
    """
    parts = []
    for shard in history.shards():
        claims = shard.encounter.filter(pl.col("kind").is_in(kinds)).drop_nulls(amount)
        recorded = pl.coalesce("recorded_at", "end")
        parts.append(
            claims.group_by(service=_month(pl.col("end")), recorded=_month(recorded)).agg(
                pl.col(amount).sum().alias("amount")
            )
        )
    return pl.concat(parts).group_by("service", "recorded").agg(pl.col("amount").sum())


def completion_of_years(
    triangle: pl.DataFrame, years: tuple[int, ...], known_at: datetime | None
) -> dict[int, float]:
    """Return, for each calendar year, the share of its final amount that is known.

    Parameters
    ----------
    known_at : datetime, optional
        The instant up to which claims are known; by default that of the last record.
    """
    last = int(triangle["recorded"].to_numpy().max())
    valuation = last if known_at is None else min(last, known_at.year * 12 + known_at.month - 1)
    pattern = completion_pattern(triangle, valuation)
    by_lag = pattern["completion"].to_numpy()
    known = triangle.filter(pl.col("recorded") <= valuation).group_by("service").agg(pl.col("amount").sum())
    shares = {}
    for year in years:
        rows = known.filter(((pl.col("service") - 1) // 12 == year) & (pl.col("service") <= valuation))
        lag = np.clip(valuation - rows["service"].to_numpy(), 0, len(by_lag) - 1)
        paid = rows["amount"].to_numpy()
        final = float((paid / by_lag[lag]).sum())
        shares[year] = float(paid.sum()) / final if final > 0 else 1.0
    return shares


def _month(instant: pl.Expr) -> pl.Expr:
    return instant.dt.year().cast(pl.Int64) * 12 + instant.dt.month()
