"""Comprehensive Care for Joint Replacement (42 CFR 510): hip and knee replacement episodes."""

from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from riskmodels.payments.audit import dollars, percent
from riskmodels.payments.bundle_quality import joint_replacement_score
from riskmodels.payments.bundles import Bundle
from riskmodels.payments.reading import Table
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "JointReplacement"]


class JointReplacement(Bundle):
    """Prices less a discount that falls with quality, less costs; limits by performance year.

    The price of an episode (`target_price`) is before the discount. A hospital is paid what its costs are
    below the price less the payment discount of its quality category, if that is acceptable or better; it
    owes what they are above the price less the repayment discount. `hospital_price` and `regional_price` in
    place of `target_price` are blended by the year's regional share.
    """

    name: ClassVar[str] = "cjr"
    maximum_score: ClassVar[float] = 20.0
    options: ClassVar[Mapping[str, str]] = {
        "quality": "file: participant_id, composite_quality_score (0 to 20)[, rural]; or "
        "complications_percentile and hcahps_percentile in place of the score",
    }

    def price(self, table: Table, rules: Rules) -> tuple[pl.Series, tuple[str, ...]]:
        """Return the price of each episode: as given, or blended of hospital and region (510.300(b)(4))."""
        if table.find("target_price") or not table.find("regional_price"):
            return super().price(table, rules)
        own, region = (
            table.number(table.column(name), minimum=0, required=True)
            for name in ("hospital_price", "regional_price")
        )
        share = rules["regional_share"]
        return own * (1 - share) + region * share, ("regional_share",)

    def scores(self, table: Table, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Return the composite quality scores: as given, or from the measures' percentiles."""
        if table.find("composite_quality_score") or not table.find("complications_percentile"):
            return super().scores(table, rules)
        score, used = joint_replacement_score(table, rules)
        ids = table.identifiers(table.column("participant_id"))
        return pl.DataFrame({"participant_id": ids, "composite_quality_score": score}), used

    def target_formula(self, row: Mapping[str, Any], prices: float, rules: Rules) -> tuple[str, str]:
        """Return the prices less the discount of the quality category."""
        name = "payment_discount" if row["raw_reconciliation"] > 0 else "repayment_discount"
        discount = percent(rules[name][row["quality_category"]])
        return f"{dollars(prices)} × (1 − {discount}), quality {row['quality_category']}", rules.cite(name)

    def quality_formula(self, row: Mapping[str, Any], rules: Rules) -> tuple[str, str]:
        """Return that quality has moved the discount already."""
        return "quality is in the discount", ""

    def reconcile(self, totals: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Take the discounts of the quality category and set the limits of the year."""
        category = pl.lit(None, dtype=pl.String)
        score = pl.col("composite_quality_score")
        for step in rules["categories"]:
            reached = score > step["above"] if "above" in step else score >= step["at_least"]
            category = pl.when(reached).then(pl.lit(step["category"])).otherwise(category)
        totals = totals.with_columns(category.alias("quality_category"), pl.col("target").alias("price"))

        def target(name: str) -> pl.Expr:
            discount = pl.col("quality_category").replace_strict(
                rules[name], default=None, return_dtype=pl.Float64
            )
            return pl.col("price") * (1 - discount)

        gain = (target("payment_discount") - pl.col("cost")).fill_null(0.0).clip(0)
        loss = (target("repayment_discount") - pl.col("cost")).clip(None, 0)
        raw = pl.when(gain > 0).then(gain).otherwise(loss)
        paid = pl.when(raw > 0).then(target("payment_discount")).otherwise(target("repayment_discount"))
        totals = totals.with_columns(raw.alias("raw_reconciliation"), paid.alias("target"))
        limits = rules["stop_loss"]
        share = pl.when("rural").then(limits["rural"]).otherwise(limits["all"])
        return totals.with_columns(
            pl.col("raw_reconciliation").alias("adjusted_reconciliation"),
            (rules["stop_gain"]["all"] * pl.col("target")).alias("most"),
            (share * pl.col("target")).alias("least"),
        ), ("categories", "payment_discount", "repayment_discount", "stop_gain", "stop_loss")


PROGRAM = JointReplacement()
