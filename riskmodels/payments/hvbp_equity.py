"""The health equity adjustment that Hospital VBP had for FY 2026, until it was removed before it took effect.

It pays nothing by the rules in force; with the hospitals' underserved multipliers the bonus that was adopted
can be followed (42 CFR 412.160 and 412.167 as of the FY 2024 final rule).
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from riskmodels.errors import SpecError
from riskmodels.payments.hvbp_inputs import DOMAINS
from riskmodels.payments.reading import read_table
from riskmodels.payments.rules import Rules

__all__ = ["NOTE", "add_bonus", "split_files"]

NOTE = (
    "what if: the health equity adjustment was adopted for FY 2026 and removed by the FY 2026 final rule; "
    "CMS pays no such bonus"
)


def split_files(paths: Sequence[Path], rules: Rules) -> tuple[list[Path], pl.DataFrame | None]:
    """Return CMS's files, and the underserved multipliers where a file has them.

    Raises
    ------
    SpecError
        For multipliers in a year without the adjustment, or two files of them.
    """
    published: list[Path] = []
    multipliers: list[pl.DataFrame] = []
    for path in paths:
        table = read_table(path, ("facility[ _]id",))
        column = table.find("underserved_multiplier")
        if column is None:
            published.append(path)
            continue
        ids = table.identifiers(table.column("facility_id", "facility id"), width=6)
        share = table.number(column, minimum=0, maximum=1, required=True)
        multipliers.append(pl.DataFrame({"facility_id": ids, "underserved_multiplier": share}))
    if multipliers and "equity_adjustment" not in rules:
        raise SpecError(f"hvbp had no health equity adjustment in {rules.year}; it was adopted for 2026")
    if len(multipliers) > 1:
        raise SpecError("hvbp takes one file of underserved multipliers")
    return published, multipliers[0] if multipliers else None


def add_bonus(frame: pl.DataFrame, multipliers: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return total performance scores with `health_equity_bonus` added.

    A domain gives 4 points to hospitals in the top third of all, 2 in the middle, 0 in the bottom; their sum
    times the multiplier, at most 10, is the bonus.
    """
    points = rules["equity_adjustment"]["points"]
    scaler = pl.lit(0.0)
    for domain in DOMAINS:
        rank = (pl.col(domain).rank("min") - 1) / pl.col(domain).count()
        third = pl.when(rank >= 2 / 3).then(float(points[0])).when(rank >= 1 / 3).then(float(points[1]))
        scaler = scaler + pl.when(pl.col(domain).is_not_null()).then(
            third.otherwise(float(points[2]))
        ).otherwise(0.0)
    most = float(rules["equity_adjustment"]["maximum"])
    joined = frame.join(multipliers, on="facility_id", how="left", maintain_order="left")
    bonus = pl.min_horizontal(scaler * pl.col("underserved_multiplier").fill_null(0.0), pl.lit(most))
    return joined.with_columns(bonus.alias("health_equity_bonus")).with_columns(
        pl.col("total_performance_score") + pl.col("health_equity_bonus")
    )
