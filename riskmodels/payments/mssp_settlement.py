"""From benchmark and expenditures to shared savings or losses (42 CFR 425 subpart G)."""

from typing import Any

import polars as pl

from riskmodels.payments.rules import Rules

__all__ = ["minimum_savings_rate", "revenue_shares", "settle"]


def minimum_savings_rate(beneficiaries: pl.Expr, bands: list[dict[str, Any]]) -> pl.Expr:
    """Return the one-sided minimum savings rate: linear in the assigned beneficiaries of each band."""
    rate = pl.lit(None, dtype=pl.Float64)
    for band in reversed(bands):
        width = band["to"] - band["from"]
        linear = band["start"] - (band["start"] - band["end"]) * (beneficiaries - band["from"]) / width
        rate = pl.when(beneficiaries <= band["to"]).then(linear).otherwise(rate)
    return rate


def settle(acos: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return the ACOs with every step of their settlement.

    Savings count from the minimum savings rate on, losses (two-sided tracks) from the minimum loss rate on,
    which is the same rate. A two-sided ACO chooses its rate, so that is the file's; where the file's rounded
    rate is the size-based one, the unrounded one is used.
    """
    loss_rules = rules.get("loss_rule", {})
    track = pl.col("track")

    def of(name: str, default: float = 0.0) -> pl.Expr:
        return track.replace_strict(rules.get(name, {}), default=default, return_dtype=pl.Float64)

    two_sided = track.is_in(list(loss_rules))
    table = minimum_savings_rate(pl.col("assigned_beneficiaries"), rules["minimum_savings_rate_one_sided"])
    same = (table - pl.col("published_rate")).abs() <= 0.0000501
    chosen = pl.when(~two_sided | same).then(table).otherwise(pl.col("published_rate"))
    out = acos.with_columns(two_sided.alias("two_sided"), chosen.alias("minimum_savings_rate"))
    difference = pl.col("benchmark") - pl.col("expenditures") + pl.col("rounding")
    out = out.with_columns(difference.alias("difference"), of("maximum_share").alias("maximum_share"))
    threshold = pl.col("minimum_savings_rate") * pl.col("benchmark")
    # Half a dollar: benchmark and expenditures are published in whole dollars.
    saved = (pl.col("difference") >= threshold - 0.5) & (pl.col("difference") > 0)
    lost = pl.col("two_sided") & (pl.col("difference") <= 0.5 - threshold) & (pl.col("difference") < 0)
    out = out.with_columns(saved.alias("saved"), lost.alias("lost"), threshold.alias("threshold"))
    out = _shares(_reduced(_recalculated(out), rules), rules)
    counted = pl.col("saved") | pl.col("lost") | pl.col("reduced")
    out = out.with_columns(
        pl.when(counted).then("difference").otherwise(0.0).alias("generated_savings_losses"),
        (of("savings_limit") * pl.col("benchmark")).alias("savings_limit"),
        _loss_limit(rules).alias("loss_limit"),
    )
    return _earned(out, rules)


def _recalculated(acos: pl.DataFrame) -> pl.DataFrame:
    """Measure losses from the benchmark without the prospective trend where it is the higher one.

    Who spent less than that benchmark has neither losses nor savings (42 CFR 425.652(b)(5)).
    """
    applies = pl.col("lost") & (pl.col("loss_rise") > 0)
    rise = pl.when(applies).then("loss_rise").otherwise(0.0)
    higher = (pl.col("difference") + rise).clip(upper_bound=0)
    out = acos.with_columns(
        applies.alias("recalculated"),
        (pl.col("benchmark") + rise).alias("benchmark"),
        pl.when(applies).then(higher).otherwise("difference").alias("difference"),
        (pl.col("threshold") + pl.col("minimum_savings_rate") * rise).alias("threshold"),
    )
    still = (pl.col("difference") <= 0.5 - pl.col("threshold")) & (pl.col("difference") < 0)
    return out.with_columns((pl.col("lost") & still).alias("lost"))


def _reduced(acos: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Mark who shares at a reduced rate below the minimum savings rate (42 CFR 425.605(h))."""
    rule = rules.get("reduced_sharing")
    if rule is None:
        return acos.with_columns(pl.lit(False).alias("reduced"))
    eligible = (
        pl.col("track").is_in(rule["tracks"])
        & (pl.col("revenue_category") == rule["revenue"])
        & (pl.col("start_year") >= rule["first_start"].year)
        & (pl.col("assigned_beneficiaries") >= rule["minimum_beneficiaries"])
        & (pl.col("difference") > 0)
        & ~pl.col("saved")
    )
    return acos.with_columns(eligible.fill_null(False).alias("reduced"))


def _shares(acos: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return the final sharing and loss rates, by the quality rule of the year."""
    score, top = pl.col("quality_score"), pl.col("maximum_share")
    standard = pl.col("met_standard").fill_null(score > 0)
    by_score = top * score
    share = {
        "score": pl.when(standard).then(by_score).otherwise(0.0),
        "standard": pl.when(standard).then(top).otherwise(0.0),
        "alternative": pl.when(standard)
        .then(top)
        .when(pl.col("met_alternative").fill_null(False))
        .then(by_score)
        .otherwise(0.0),
    }[rules["quality"]]
    factor = rules["reduced_sharing"]["factor"] if "reduced_sharing" in rules else 1.0
    share = pl.when(pl.col("reduced")).then(share * factor).otherwise(share)
    floors, ceilings = rules.get("loss_floor", {}), rules.get("loss_ceiling", {})
    floor = pl.col("track").replace_strict(floors, default=None, return_dtype=pl.Float64)
    ceiling = pl.col("track").replace_strict(ceilings, default=None, return_dtype=pl.Float64)
    met = standard | pl.col("met_alternative").fill_null(False)
    loss = pl.when(met).then((1 - by_score).clip(floor, ceiling)).otherwise(ceiling)
    return acos.with_columns(
        share.alias("final_sharing_rate"),
        pl.when(pl.col("two_sided")).then(loss).alias("final_loss_rate"),
    )


def revenue_shares(rules: Rules) -> dict[str, float]:
    """Return the tracks whose losses are limited by a share of the participants' Medicare revenue."""
    one_plus = rules.get("loss_limit_track_1_plus")
    return {**rules.get("revenue_loss_limit", {}), **({"1+": one_plus["revenue"]} if one_plus else {})}


def _loss_limit(rules: Rules) -> pl.Expr:
    """Return the most that an ACO can owe: of the benchmark, or of its participants' revenue where known."""
    limit = pl.lit(None, dtype=pl.Float64)
    year = rules.year - pl.col("start_year")
    one_plus = rules.get("loss_limit_track_1_plus")
    steps_of = {**rules.get("loss_limit", {}), **({"1+": [one_plus["benchmark"]]} if one_plus else {})}
    for track, steps in steps_of.items():
        step = pl.lit(steps[-1])
        for index, value in reversed(list(enumerate(steps[:-1]))):
            step = pl.when(year == index).then(value).otherwise(step)
        limit = pl.when(pl.col("track") == track).then(step * pl.col("benchmark")).otherwise(limit)
    share = pl.col("track").replace_strict(revenue_shares(rules), default=None, return_dtype=pl.Float64)
    of_revenue = share * pl.col("revenue")
    return pl.min_horizontal(limit, of_revenue)


def _earned(acos: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return what is paid (positive) or owed (negative): limits, sequestration, disaster adjustment."""
    generated = pl.col("generated_savings_losses")
    shared = generated * pl.when(generated > 0).then("final_sharing_rate").otherwise("final_loss_rate")
    out = acos.with_columns(shared.fill_null(0.0).alias("shared"))
    # The limit is on what is paid: an ACO at its limit has exactly that share of its benchmark (PY 2016).
    after = pl.when(pl.col("shared") > 0).then(pl.col("shared") * (1 - rules["sequestration"]))
    out = out.with_columns(after.otherwise("shared").alias("sequestered"))
    limited = (
        pl.when(pl.col("shared") > 0)
        .then(pl.min_horizontal("sequestered", "savings_limit"))
        .otherwise(-pl.min_horizontal(-pl.col("shared"), "loss_limit"))
    )
    out = out.with_columns(limited.alias("limited"))
    offset = rules.get("loss_offset", 0.0)
    owed = (-pl.col("limited") * (1 - offset) - pl.col("disaster_adjustment")).clip(0)
    earned = pl.when(pl.col("limited") < 0).then(0.0 - owed).otherwise("limited")
    return out.with_columns(earned.alias("earned_savings_losses"))
