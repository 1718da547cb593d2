"""Composite quality scores behind bundled payments: points of CJR, means of percentiles of the others."""

import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.reading import Table
from riskmodels.payments.rules import Rules

__all__ = ["joint_replacement_score", "mean_percentile", "percentiles"]

_MEASURES = ("complications", "hcahps")


def percentiles(table: Table, column: str, *, required: bool = False) -> pl.Series:
    """Return percentiles from 0 to 100, of cells such as 86 or 86%."""
    share = table.frame[column].str.ends_with("%")
    values = table.number(column, minimum=0, maximum=100, required=required)
    return pl.select(pl.when(share).then(values * 100).otherwise(values)).to_series()


def joint_replacement_score(table: Table, rules: Rules) -> tuple[pl.Series, tuple[str, ...]]:
    """Return composite quality scores of CJR, 0 to 20, and the rules behind them.

    Points by percentile for complications (at most 10) and HCAHPS (at most 8), a tenth of a measure's points
    for an improvement by some deciles, 2 points for patient-reported outcomes (42 CFR 510.315(b)-(d)).

    Parameters
    ----------
    table : Table
        complications_percentile and hcahps_percentile (higher is better; blank below the minimum cases), and
        where known pro_submitted (Y or N) and each measure's percentile of the year before
        (complications_percentile_before, hcahps_percentile_before).
    """
    steps, improvement = rules["quality_points"], rules["quality_improvement"]
    frame = pl.DataFrame(
        {
            **{name: percentiles(table, table.column(f"{name}_percentile")) for name in _MEASURES},
            **{f"{name}_before": _before(table, f"{name}_percentile_before") for name in _MEASURES},
            "pro": _yes(table, "pro_submitted"),
        }
    )
    score = pl.col("pro").cast(pl.Float64) * rules["reported_outcomes_points"]
    for name in _MEASURES:
        percentile = pl.col(name).fill_null(float(rules["percentile_of_few_cases"]))
        points = pl.lit(0.0)
        for step in reversed(steps):
            points = pl.when(percentile >= step["from"]).then(float(step[name])).otherwise(points)
        deciles = (pl.col(name) / 10).floor() - (pl.col(f"{name}_before") / 10).floor()
        better = (deciles >= improvement["deciles"]).fill_null(False).cast(pl.Float64)
        score = score + points + better * improvement["share"] * float(steps[0][name])
    scores = frame.select(pl.min_horizontal(score, pl.lit(float(rules["maximum_score"])))).to_series()
    used = ["quality_points"]
    used += ["reported_outcomes_points"] if frame["pro"].any() else []
    used += ["percentile_of_few_cases"] if frame.select(_MEASURES).null_count().row(0) != (0, 0) else []
    improved = [frame[f"{name}_before"].null_count() < frame.height for name in _MEASURES]
    used += ["quality_improvement"] if any(improved) else []
    return scores, tuple(used)


def mean_percentile(table: Table) -> pl.DataFrame:
    """Return composite scores, 0 to 100: the mean percentile of a participant's measures, weighted by volume.

    Parameters
    ----------
    table : Table
        A participant and measure a row: participant_id, measure, percentile, volume.

    Raises
    ------
    DataError
        For a measure that a participant has twice, or a participant without any volume.
    """
    frame = pl.DataFrame(
        {
            "participant_id": table.keys(table.column("participant_id")),
            "measure": table.text(table.column("measure")),
            "percentile": percentiles(table, table.column("percentile"), required=True),
            "volume": table.number(table.column("volume"), minimum=0, required=True),
            "line": pl.Series(table.lines),
        }
    )
    twice = frame.filter(pl.struct("participant_id", "measure").is_duplicated())
    if twice.height:
        row = twice.row(1, named=True)
        raise DataError(f"{row['measure']} of {row['participant_id']!r} is here twice", file=table.path,
                        line=row["line"])  # fmt: skip
    scores = frame.group_by("participant_id", maintain_order=True).agg(
        ((pl.col("percentile") * pl.col("volume")).sum() / pl.col("volume").sum()).alias(
            "composite_quality_score"
        ),
        pl.col("volume").sum(),
        pl.col("line").first(),
    )
    empty = scores.filter(pl.col("volume") == 0)
    if empty.height:
        row = empty.row(0, named=True)
        raise DataError(f"no measure of {row['participant_id']!r} has a volume", file=table.path,
                        column="volume", line=row["line"])  # fmt: skip
    return scores.select("participant_id", "composite_quality_score")


def _before(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    return percentiles(table, column) if column else pl.Series([None] * table.frame.height, dtype=pl.Float64)


def _yes(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    if column is None:
        return pl.Series([False] * table.frame.height)
    words = table.frame[column].str.to_lowercase()
    yes, no = words.is_in(["y", "yes", "1", "true"]), words.is_in(["n", "no", "0", "false", ""])
    if not (yes | no).all():
        row = int((~(yes | no)).arg_max() or 0)
        raise DataError(f"{words[row]!r} is neither Y nor N", file=table.path, column=column,
                        line=table.lines[row])  # fmt: skip
    return yes
