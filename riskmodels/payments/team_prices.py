"""Target prices of the Transforming Episode Accountability Model (42 CFR 512.540 and 512.545).

CMS sets the prices from its own claims; with the claims of a region they can be followed here. The parameters
of these sections are in the rules files as far as they are known; all but the discount are unverified, and
results say so.
"""

from dataclasses import dataclass

import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.rules import Rules

__all__ = ["TargetPrices", "preliminary_prices", "reconciliation_prices"]

_PRELIMINARY = ("baseline_weights", "spending_percentile", "discount")
_RECONCILIATION = ("normalisation_cap", "trend_cap")


@dataclass(frozen=True)
class TargetPrices:
    """Prices, and the parameters behind them that no source could confirm."""

    frame: pl.DataFrame
    unverified: tuple[str, ...]


def preliminary_prices(episodes: pl.DataFrame, rules: Rules, *, trend: float = 1.0) -> TargetPrices:
    """Return one price per region and episode category.

    Costs are capped at a percentile of their region, category and year; the means of the three baseline years
    are weighted, trended to the performance year and discounted.

    Parameters
    ----------
    episodes : polars.DataFrame
        region, episode_category, baseline_year (1 to 3, 3 the latest) and cost, an episode a row.
    trend : float
        Growth from the baseline to the performance year.

    Raises
    ------
    DataError
        For a missing column, a negative cost, or a region and category without episodes in a baseline year.
    """
    needed = {"region", "episode_category", "baseline_year", "cost"}
    if absent := needed - set(episodes.columns):
        raise DataError(f"episodes have no column {', '.join(sorted(absent))}")
    if episodes.filter(pl.col("cost") < 0).height:
        raise DataError("a cost below 0", column="cost")
    cell = ["region", "episode_category", "baseline_year"]
    ceiling = pl.col("cost").quantile(rules["spending_percentile"], "linear").over(cell)
    capped = episodes.with_columns(pl.min_horizontal("cost", ceiling).alias("cost"))
    years = capped.group_by(cell, maintain_order=True).agg(pl.col("cost").mean())
    weights = dict(enumerate(rules["baseline_weights"], 1))
    weighted = pl.col("cost") * pl.col("baseline_year").replace_strict(weights, return_dtype=pl.Float64)
    frame = years.group_by("region", "episode_category", maintain_order=True).agg(
        weighted.sum().alias("baseline_price"), pl.len().alias("years")
    )
    short = frame.filter(pl.col("years") != len(weights))
    if short.height:
        row = short.row(0, named=True)
        raise DataError(
            f"{row['episode_category']} in {row['region']} has episodes in {row['years']} of 3 years"
        )
    rates = {key: value for key, value in rules["discount"].items() if key != "other"}
    discount = pl.col("episode_category").replace_strict(
        rates, default=rules["discount"]["other"], return_dtype=pl.Float64
    )
    price = pl.col("baseline_price") * trend * (1 - discount)
    frame = frame.drop("years").with_columns(price.alias("preliminary_price"))
    return TargetPrices(frame, rules.unverified(_PRELIMINARY))


def reconciliation_prices(episodes: pl.DataFrame, rules: Rules, *, trend_ratio: float = 1.0) -> TargetPrices:
    """Return the target price of each performance-year episode.

    The preliminary price times the episode's risk multiplier, times a normalisation that keeps the mean price
    of the category where it was (within a cap), times retrospective over prospective trend (within a cap).

    Parameters
    ----------
    episodes : polars.DataFrame
        episode_category, preliminary_price and risk_multiplier, an episode a row; other columns are kept.
    trend_ratio : float
        Retrospective over prospective trend.

    Raises
    ------
    DataError
        For a missing column, or a multiplier that is not above 0.
    """
    needed = {"episode_category", "preliminary_price", "risk_multiplier"}
    if absent := needed - set(episodes.columns):
        raise DataError(f"episodes have no column {', '.join(sorted(absent))}")
    if episodes.filter(~(pl.col("risk_multiplier") > 0)).height:
        raise DataError("a risk multiplier that is not above 0", column="risk_multiplier")
    cap, trend_cap = rules["normalisation_cap"], rules["trend_cap"]
    price, risk = pl.col("preliminary_price"), pl.col("risk_multiplier")
    norm = (price.sum() / (price * risk).sum()).over("episode_category").clip(1 - cap, 1 + cap)
    held = min(max(trend_ratio, 1 - trend_cap), 1 + trend_cap)
    frame = episodes.with_columns(norm.alias("normalisation")).with_columns(
        (price * risk * pl.col("normalisation") * held).alias("target_price")
    )
    return TargetPrices(frame, rules.unverified(_RECONCILIATION))
