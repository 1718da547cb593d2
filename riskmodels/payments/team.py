"""Transforming Episode Accountability Model (42 CFR 512 subpart E): mandatory surgical bundles."""

from collections.abc import Mapping
from typing import Any, ClassVar

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
        target, score = pl.col("target"), pl.col("composite_quality_score") / 100
        raw = target - pl.col("cost")
        used = tuple(f"track_{track}" for track in totals["track"].unique().sort())

        def of(name: str) -> pl.Expr:
            values = {track.removeprefix("track_"): float(rules[track][name]) for track in used}
            return pl.col("track").replace_strict(values, return_dtype=pl.Float64)

        gain, loss = 1 - of("gain_cut") * (1 - score), 1 - of("loss_relief") * score
        return totals.with_columns(
            raw.alias("raw_reconciliation"),
            (raw * pl.when(raw > 0).then(gain).otherwise(loss)).alias("adjusted_reconciliation"),
            (of("stop_gain") * target).alias("most"),
            (of("stop_loss") * target).alias("least"),
        ), used

    def limit_rule(self, row: Mapping[str, Any]) -> str:
        """Return the rule of the participant's track."""
        return f"track_{row['track']}"

    def quality_effect(self, row: Mapping[str, Any], rules: Rules) -> tuple[float, float, str]:
        """Return how far the track's gains are cut and its losses relieved, and the rule that says so."""
        name = self.limit_rule(row)
        return rules[name]["gain_cut"], rules[name]["loss_relief"], name


PROGRAM = TransformingEpisodes()
