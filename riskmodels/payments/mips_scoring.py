"""Scores of MIPS: from measures to categories, weights where a category is missing, the sliding scale."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.reading import Table
from riskmodels.payments.rules import Rules

__all__ = [
    "CATEGORIES",
    "adjustment_factor",
    "by_category",
    "category_scores",
    "exceptional_factor",
    "given_weights",
    "weighted",
]

# Which weights a clinician has, where it is no row of the year's table.
_USUAL, _ALONE, _GIVEN = -1, -2, -3

CATEGORIES = {
    "quality": ("quality", "Quality_category_score"),
    "cost": ("cost", "Cost_category_score"),
    "improvement_activities": ("improvement_activities", "IA_category_score"),
    "promoting_interoperability": ("promoting_interoperability", "PI_category_score"),
}


def category_scores(measures: Table, ids: pl.Series) -> dict[str, pl.Series]:
    """Return each clinician's category scores: points over possible points, at most 100; null without any.

    Possible points are 10 a quality or cost measure, 40 in all of improvement activities and 100 in all of
    interoperability, and stand in the file beside the points (42 CFR 414.1380(a)(1), (b)).

    Raises
    ------
    DataError
        For an unknown category, a clinician who is not among `ids`, or a category without possible points.
    """
    category = measures.frame[measures.column("category")].str.to_lowercase().str.replace_all(" ", "_")
    clinician = measures.keys(measures.column("clinician_id", pattern="npi|.* npi"))
    for values, known, problem in (
        (category, pl.Series(list(CATEGORIES)), "is no category"),
        (clinician, ids, "is in no row of the clinicians"),
    ):
        wrong = ~values.is_in(known.implode())
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise DataError(f"{values[row]!r} {problem}", file=measures.path, line=measures.lines[row])
    frame = pl.DataFrame(
        {
            "clinician_id": clinician,
            "category": category,
            "points": measures.number(measures.column("points"), minimum=0, required=True),
            "possible": measures.number(measures.column("possible"), minimum=0, required=True),
        }
    )
    totals = frame.group_by("clinician_id", "category").agg(pl.col("points", "possible").sum())
    empty = totals.filter(pl.col("possible") == 0)
    if empty.height:
        raise DataError(f"{empty['category'][0]} of {empty['clinician_id'][0]!r} has no possible points",
                        file=measures.path, column="possible")  # fmt: skip
    share = (100 * pl.col("points") / pl.col("possible")).clip(0, 100)
    wide = totals.with_columns(share.alias("score"))
    order = pl.DataFrame({"clinician_id": ids})
    return {
        name: order.join(wide.filter(category=name), on="clinician_id", how="left", maintain_order="left")[
            "score"
        ]
        for name in CATEGORIES
    }


def given_weights(table: Table) -> dict[str, pl.Series]:
    """Return the categories' weights where the file has them (`quality_weight` and so on), as shares.

    Raises
    ------
    DataError
        Where the weights of a row do not add up to 1 (or 100).
    """
    found = {name: table.find(f"{name}_weight") for name in CATEGORIES}
    columns = {name: column for name, column in found.items() if column}
    if not columns:
        return {}
    if len(columns) < len(CATEGORIES):
        raise DataError(f"weights of {', '.join(columns)} alone", file=table.path, fix="give all four")
    weights = pl.DataFrame({name: table.number(column, minimum=0) for name, column in columns.items()})
    total = weights.sum_horizontal().fill_null(0.0)
    scaled = weights.with_columns(pl.all() / pl.when(total > 1.5).then(100.0).otherwise(1.0))
    given = weights.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    wrong = given & ((scaled.sum_horizontal() - 1).abs() > 1e-6)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(f"the weights add up to {total[row]:g}", file=table.path, line=table.lines[row])
    return {f"{name}_weight": scaled[name].fill_null(0.0).set(~given, None) for name in columns}


def weighted(frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the clinicians with the weight and points of each category, and the rules behind the weights.

    Where a category has no score its weight is handed on by the year's table (42 CFR 414.1380(c)(2)(ii));
    small practices have rows of their own. One category alone has all the weight.

    Parameters
    ----------
    frame : polars.DataFrame
        A clinician a row, with the category scores (0 to 100, null where one does not count).
    rules : Rules

    Returns
    -------
    polars.DataFrame
        `frame` with ``..._weight`` (a share) and ``..._points`` of each category and `categories`, how many
        of them count.

    Raises
    ------
    DataError
        For a pattern of missing categories that the year's rules do not have.
    """
    usual: Mapping[str, float] = rules["category_weights"]
    counting = [name for name in CATEGORIES if usual[name] > 0]
    # Rows of small practices are matched before those of all.
    rows = sorted(rules.get("redistribution", []), key=lambda row: not row.get("small", False))
    given = "quality_weight" in frame.columns
    scored = pl.sum_horizontal(pl.col(name).is_not_null() for name in counting)
    cases = [(pl.col("quality_weight").is_not_null(), _GIVEN)] if given else []
    cases += [(scored == len(counting), _USUAL), (scored < 2, _ALONE)]
    cases += [(_matches(row, counting), index) for index, row in enumerate(rows)]
    rule = pl.lit(None, dtype=pl.Int8)
    for condition, label in reversed(cases):
        rule = pl.when(condition).then(pl.lit(label, dtype=pl.Int8)).otherwise(rule)
    frame = frame.with_columns(rule.alias("rule"))
    unknown = frame.filter(pl.col("rule").is_null())
    if unknown.height:
        first = unknown.row(0, named=True)
        missing = ", ".join(name for name in counting if first[name] is None)
        raise DataError(
            f"{first['clinician_id']} has no score in {missing}, and how the weight is handed on in payment "
            f"year {rules.year} could not be found",
            file=first.get("source_file"), line=first.get("source_line"),
            fix="give the weights in columns quality_weight and so on",
        )  # fmt: skip
    weights = {}
    for name in CATEGORIES:
        weight = pl.lit(float(usual[name]))
        for index, row in enumerate(rows):
            weight = pl.when(pl.col("rule") == index).then(float(row.get(name, 0.0))).otherwise(weight)
        alone = pl.col(name).is_not_null().cast(pl.Float64) if name in counting else pl.lit(0.0)
        weight = pl.when(pl.col("rule") == _ALONE).then(alone).otherwise(weight)
        if given:
            weight = pl.when(pl.col("rule") == _GIVEN).then(pl.col(f"{name}_weight")).otherwise(weight)
        weights[name] = weight.alias(f"{name}_weight")
    frame = frame.with_columns(weights.values())
    used = ("redistribution",) if frame.select((pl.col("rule") >= 0).any()).item() else ()
    return frame.with_columns(
        *(
            (pl.col(name) * pl.col(f"{name}_weight")).fill_null(0.0).alias(f"{name}_points")
            for name in CATEGORIES
        ),
        pl.sum_horizontal((pl.col(f"{name}_weight") > 0).cast(pl.Int8) for name in CATEGORIES).alias(
            "categories"
        ),
    ), used


def by_category(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a row a clinician and category: score, weight and points, in the order of the clinicians."""
    order = np.repeat(np.arange(frame.height), len(CATEGORIES))

    def woven(suffix: str) -> pl.Series:
        columns = frame.select(pl.col(f"{name}{suffix}").cast(pl.Float64) for name in CATEGORIES)
        missing = columns.select(pl.all().is_null()).to_numpy().ravel()
        values = pl.Series(columns.fill_null(0.0).to_numpy().ravel())
        return values.set(pl.Series(missing), None) if missing.any() else values

    return pl.DataFrame(
        {
            "clinician_id": frame["clinician_id"].gather(order),
            "category": pl.Series(list(CATEGORIES), dtype=pl.String).gather(
                np.tile(np.arange(len(CATEGORIES)), frame.height)
            ),
            "score": woven(""),
            "weight": woven("_weight"),
            "points": woven("_points"),
        }
    )


def _matches(row: Mapping[str, Any], counting: list[str]) -> pl.Expr:
    missing = [pl.col(name).is_null() == (name in row["without"]) for name in counting]
    return pl.all_horizontal(*missing, *([pl.col("small_practice")] if row.get("small") else []))


def adjustment_factor(score: pl.Expr, rules: Rules) -> pl.Expr:
    """Return the adjustment of a final score before scaling (42 CFR 414.1405(b)(1)-(2))."""
    threshold, most = rules["performance_threshold"], rules["applicable_percent"]
    rise = most * (score - threshold) / (100 - threshold)
    fall = most * (score - threshold) / threshold
    whole = score <= rules["full_reduction_share"] * threshold
    return pl.when(whole).then(-most).when(score < threshold).then(fall).otherwise(rise)


def exceptional_factor(score: pl.Expr, rules: Rules) -> pl.Expr:
    """Return the additional adjustment of exceptional scores before its scaling, 0 in years without it.

    42 CFR 414.1405(d): linear from the lowest share at the additional threshold to the highest at 100.
    """
    if "exceptional_threshold" not in rules:
        return pl.lit(0.0)
    threshold, scale = rules["exceptional_threshold"], rules["exceptional_scale"]
    share = (score - threshold) / (100 - threshold)
    return (
        pl.when(score >= threshold)
        .then(scale["lowest"] + (scale["highest"] - scale["lowest"]) * share)
        .otherwise(0.0)
    )
