"""Merit-based Incentive Payment System (42 CFR 414 subpart O): clinicians' scores and payment adjustments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "MeritBasedIncentive", "adjustment_factor"]

_CATEGORIES = {
    "quality": ("quality", "Quality_category_score"),
    "cost": ("cost", "Cost_category_score"),
    "improvement_activities": ("improvement_activities", "IA_category_score"),
    "promoting_interoperability": ("promoting_interoperability", "PI_category_score"),
}
_USED = ("category_weights", "performance_threshold", "applicable_percent", "full_reduction_share",
         "maximum_scaling_factor", "complex_patient_bonus")  # fmt: skip


class MeritBasedIncentive(Program):
    """Four category scores make a final score; its distance from the threshold makes the adjustment.

    At the threshold nothing changes; at 100 points payments rise by the applicable percent times a scaling
    factor of at most 3, with which rises and reductions balance; at a quarter of the threshold and below
    they fall by the whole applicable percent.
    """

    name: ClassVar[str] = "mips"
    entity: ClassVar[str] = "clinician_id"
    component: ClassVar[str] = "category"
    options: ClassVar[Mapping[str, str]] = {
        "scaling_factor": "a number, or 'solve' to balance the input's payments (of all clinicians)",
    }
    changeable: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (*_CATEGORIES, "complex_patient_bonus", "part_b_payments"), "clinicians"
    )

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read a clinician a row: category scores from 0 to 100, blank where a category does not count.

        Columns: clinician_id (or NPI), quality, cost, improvement_activities, promoting_interoperability (or
        the names of CMS's clinician public reporting file), and where known complex_patient_bonus and
        part_b_payments.
        """
        if len(paths) != 1:
            raise SpecError("mips takes one file")
        table = read_table(paths[0], ("clinician_id|npi|.* npi",))
        scores = {
            name: table.number(table.column(*columns), minimum=0, maximum=100)
            for name, columns in _CATEGORIES.items()
        }
        most = rules["complex_patient_bonus"]
        clinicians = pl.DataFrame(
            {
                "clinician_id": table.identifiers(table.column("clinician_id", pattern="npi|.* npi")),
                **scores,
                "complex_patient_bonus": _column(table, "complex_patient_bonus", maximum=most).fill_null(0.0),
                "part_b_payments": _column(table, "part_b_payments"),
            }
        ).with_columns(source_file=pl.lit(str(paths[0])), source_line=pl.Series(table.lines))
        known = pl.sum_horizontal(pl.col(name).is_not_null() for name in _CATEGORIES)
        few = clinicians.filter(known < 2)
        if few.height:
            raise DataError(
                f"{few['clinician_id'][0]} has fewer than two category scores: CMS scores no such clinician",
                file=paths[0], line=few["source_line"][0], fix="leave the row out",
            )  # fmt: skip
        return Inputs({"clinicians": clinicians}, {"scaling_factor": options.get("scaling_factor", 1.0)})

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute final scores, adjustments and dollars."""
        frame = inputs.frames["clinicians"]
        weighted = pl.concat([_weighted(frame, name, rules) for name in _CATEGORIES])
        total = weighted.group_by("clinician_id").agg(pl.col("points").sum().alias("category_points"))
        frame = frame.join(total, on="clinician_id", how="left", maintain_order="left")
        score = pl.min_horizontal(pl.col("category_points") + pl.col("complex_patient_bonus"), pl.lit(100.0))
        frame = frame.with_columns(score.alias("final_score"))
        frame = frame.with_columns(adjustment_factor(pl.col("final_score"), rules).alias("unscaled"))
        scale = _scaling(inputs.options["scaling_factor"], frame, rules)
        factor = pl.when(pl.col("unscaled") > 0).then(pl.col("unscaled") * scale).otherwise("unscaled")
        frame = frame.with_columns(
            factor.alias("payment_adjustment"),
            pl.lit(scale).alias("scaling_factor"),
        ).with_columns((pl.col("part_b_payments") * pl.col("payment_adjustment")).alias("adjustment_dollars"))
        missing = pl.any_horizontal(pl.col(name).is_null() for name in _CATEGORIES)
        used = _USED + (("redistribution",) if frame.select(missing.any()).item() else ())
        columns = ["clinician_id", *_CATEGORIES, "complex_patient_bonus", "final_score", "scaling_factor",
                   "payment_adjustment", "part_b_payments", "adjustment_dollars"]  # fmt: skip
        return Settlement(frame.select(columns), weighted.sort("clinician_id", maintain_order=True), used)

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the calculation of one clinician."""
        row = settlement.frame.row(by_predicate=pl.col("clinician_id") == entity, named=True)
        given = inputs.frames["clinicians"].row(by_predicate=pl.col("clinician_id") == entity, named=True)
        whole = all(row[name] is not None for name in _CATEGORIES)
        weights = rules.cite("category_weights" if whole else "redistribution")
        lines = [Line("Final score")]
        for part in settlement.detail.filter(clinician_id=entity).iter_rows(named=True):
            if part["score"] is not None:
                place = where(given["source_file"], given["source_line"], part["category"])
                formula = f"{number(part['score'])} × {percent(part['weight'])}"
                lines.append(Line(f"{part['category']} points", number(part["points"]), formula, place))
        threshold = rules["performance_threshold"]
        lines += [
            Line("category weights", "of the year" if whole else "redistributed", source=weights),
            Line("complex patient bonus", number(row["complex_patient_bonus"])),
            Line("final score", number(row["final_score"])),
            Line("Payment adjustment"),
            Line("performance threshold", number(threshold), source=rules.cite("performance_threshold")),
            Line("scaling factor of increases", number(row["scaling_factor"]),
                 source=rules.cite("maximum_scaling_factor")),
            Line("payment adjustment", percent(row["payment_adjustment"], 6), _formula(row, rules),
                 "42 CFR 414.1405(b)"),
        ]  # fmt: skip
        if row["part_b_payments"] is not None:
            lines.append(
                Line("dollars", dollars(row["adjustment_dollars"]),
                     f"{dollars(row['part_b_payments'])} × {percent(row['payment_adjustment'], 6)}")
            )  # fmt: skip
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: clinician {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return how many points of each category would bring the final score to the threshold.

        `score_needed` is null where even 100 in the category does not.
        """
        gap = rules["performance_threshold"] - pl.col("final_score")
        below = settlement.frame.filter(gap > 0).select(
            "clinician_id", "final_score", gap.alias("points_missing")
        )
        needed = pl.col("score") + pl.col("points_missing") / pl.col("weight")
        return (
            settlement.detail.join(below, on="clinician_id", maintain_order="left")
            .filter(pl.col("score").is_not_null())
            .select("clinician_id", "category", "final_score", "points_missing", "score",
                    pl.when(needed <= 100).then(needed).alias("score_needed"))
        )  # fmt: skip


def adjustment_factor(score: pl.Expr, rules: Rules) -> pl.Expr:
    """Return the adjustment of a final score before scaling (42 CFR 414.1405(b)(1)-(2))."""
    threshold, most = rules["performance_threshold"], rules["applicable_percent"]
    rise = most * (score - threshold) / (100 - threshold)
    fall = most * (score - threshold) / threshold
    whole = score <= rules["full_reduction_share"] * threshold
    return pl.when(whole).then(-most).when(score < threshold).then(fall).otherwise(rise)


def _weighted(frame: pl.DataFrame, name: str, rules: Rules) -> pl.DataFrame:
    """Return one category's score, weight and points; missing categories hand their weight on."""
    weight = pl.lit(rules["category_weights"][name])
    every = pl.all_horizontal(pl.col(other).is_not_null() for other in _CATEGORIES)
    for row in rules["redistribution"]:
        gone = [pl.col(other).is_null() == (other in row["without"]) for other in _CATEGORIES]
        weight = pl.when(pl.all_horizontal(gone)).then(pl.lit(float(row.get(name, 0.0)))).otherwise(weight)
    weight = pl.when(every).then(pl.lit(rules["category_weights"][name])).otherwise(weight)
    return frame.select(
        "clinician_id", pl.lit(name).alias("category"), pl.col(name).alias("score"), weight.alias("weight")
    ).with_columns((pl.col("score") * pl.col("weight")).fill_null(0.0).alias("points"))


def _scaling(given: Any, frame: pl.DataFrame, rules: Rules) -> float:
    """Return the factor of increases: given, or the one with which increases equal reductions, at most 3."""
    most = rules["maximum_scaling_factor"]
    if given != "solve":
        try:
            scale = float(given)
        except (TypeError, ValueError):
            raise SpecError(f"scaling_factor {given!r}: give a number or 'solve'") from None
        if not 0 <= scale <= most:
            raise SpecError(f"scaling_factor {scale:g} is not between 0 and {most:g}")
        return scale
    paid = frame["part_b_payments"]
    if paid.null_count():
        raise SpecError("scaling_factor 'solve' needs part_b_payments of every clinician")
    change = paid * frame["unscaled"]
    rises, falls = float(change.clip(0).sum()), float(-change.clip(None, 0).sum())
    return min(most, falls / rises) if rises else 0.0


def _column(table: Table, name: str, maximum: float | None = None) -> pl.Series:
    column = table.find(name)
    if column is None:
        return pl.Series([None] * table.frame.height, dtype=pl.Float64)
    return table.number(column, minimum=0, maximum=maximum)


def _formula(row: Mapping[str, Any], rules: Rules) -> str:
    score, threshold, most = row["final_score"], rules["performance_threshold"], rules["applicable_percent"]
    if score <= rules["full_reduction_share"] * threshold:
        return f"−{percent(most)}: at most a quarter of the threshold"
    if score < threshold:
        return f"{percent(most)} × ({number(score)} − {threshold}) / {threshold}"
    scale = number(row["scaling_factor"])
    return f"{percent(most)} × ({number(score)} − {threshold}) / (100 − {threshold}) × {scale}"


PROGRAM = MeritBasedIncentive()
