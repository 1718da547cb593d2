"""Transforming Episode Accountability Model (42 CFR 512 subpart E): mandatory surgical bundles."""

from typing import ClassVar

import polars as pl

from riskmodels.payments.bundles import Bundle
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "TransformingEpisodes"]


class TransformingEpisodes(Bundle):
    """Reconciliation target prices less costs; quality lowers gains and relieves losses; limits by track.

    Track 1 has no losses, track 2 small limits, track 3 large ones.
    """

    name: ClassVar[str] = "team"

    def reconcile(self, totals: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Adjust for quality and set the limits of each track."""
        raw = pl.col("target") - pl.col("cost")
        score = pl.col("composite_quality_score") / 100
        effect = rules["quality_effect"]
        relief = pl.when(pl.col("track") == "2").then(effect["loss_2"]).otherwise(effect["loss_3"])
        gain, loss = 1 - effect["gain"] * (1 - score), 1 - relief * score
        totals = totals.with_columns(raw.alias("raw_reconciliation"))
        adjusted = pl.col("raw_reconciliation") * pl.when(raw > 0).then(gain).otherwise(loss)
        limits = [
            (pl.col("track").replace_strict(rules[name], return_dtype=pl.Float64) * pl.col("target")).alias(
                label
            )
            for name, label in (("stop_gain", "most"), ("stop_loss", "least"))
        ]
        adjusted = adjusted.alias("adjusted_reconciliation")
        return totals.with_columns(adjusted, *limits), ("quality_effect", "stop_gain", "stop_loss")


PROGRAM = TransformingEpisodes()
