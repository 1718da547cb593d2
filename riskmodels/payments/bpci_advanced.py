"""BPCI Advanced: bundled payments for care improvement, as its participants' reconciliations compute them."""

from typing import ClassVar

import polars as pl

from riskmodels.payments.bundles import Bundle
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "BpciAdvanced"]


class BpciAdvanced(Bundle):
    """Target prices less winsorised costs over all episodes; quality moves gains and losses by up to a tenth.

    Gains are paid at 90% to 100% by the composite quality score, losses owed at 100% to 90%; both are held
    inside 20% of the target. Target prices are net of the discount.
    """

    name: ClassVar[str] = "bpci-advanced"

    def reconcile(self, totals: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Adjust for quality and set the limits."""
        raw = pl.col("target") - pl.col("cost")
        score = pl.col("composite_quality_score") / 100
        effect = rules["quality_effect"]
        gain, loss = 1 - effect["gain"] * (1 - score), 1 - effect["loss"] * score
        totals = totals.with_columns(raw.alias("raw_reconciliation"))
        adjusted = pl.col("raw_reconciliation") * pl.when(raw > 0).then(gain).otherwise(loss)
        return totals.with_columns(
            adjusted.alias("adjusted_reconciliation"),
            (rules["stop_gain"]["all"] * pl.col("target")).alias("most"),
            (rules["stop_loss"]["all"] * pl.col("target")).alias("least"),
        ), ("quality_effect", "stop_gain", "stop_loss")


PROGRAM = BpciAdvanced()
