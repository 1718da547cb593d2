"""Merit-based Incentive Payment System (42 CFR 414 subpart O): clinicians' scores and payment adjustments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.mips_scoring import (
    CATEGORIES,
    adjustment_factor,
    by_category,
    category_scores,
    exceptional_factor,
    given_weights,
    weighted,
)
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "MeritBasedIncentive"]

_USED = ("category_weights", "performance_threshold", "applicable_percent", "full_reduction_share",
         "maximum_scaling_factor", "complex_patient_bonus")  # fmt: skip


class MeritBasedIncentive(Program):
    """Four category scores make a final score; its distance from the threshold makes the adjustment.

    At the threshold nothing changes; at 100 points payments rise by the applicable percent times a scaling
    factor of at most 3, with which rises and reductions balance; at a quarter of the threshold and below
    they fall by the whole applicable percent. Up to payment year 2024 exceptional scores rise further.
    """

    name: ClassVar[str] = "mips"
    entity: ClassVar[str] = "clinician_id"
    component: ClassVar[str] = "category"
    options: ClassVar[Mapping[str, str]] = {
        "scaling_factor": "a number, or 'solve' to balance the input's payments (of all clinicians); "
        "with a second number after a comma, the factor of the exceptional adjustment",
    }
    changeable: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (*CATEGORIES, "complex_patient_bonus", "part_b_payments"), "clinicians"
    )
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = dict.fromkeys(CATEGORIES, (0.0, 100.0))

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read a clinician a row: category scores from 0 to 100, blank where a category does not count.

        Columns: clinician_id (or NPI), quality, cost, improvement_activities, promoting_interoperability (or
        the names of CMS's clinician public reporting file), and where known complex_patient_bonus,
        part_b_payments, small_practice (1 or 0) and the categories' weights (quality_weight and so on). A
        second file with a measure or activity a row (clinician_id, category, points, possible) stands for the
        category scores.
        """
        tables = [read_table(path, ("clinician_id|npi|.* npi",)) for path in paths]
        measures = [table for table in tables if table.find("points") and table.find("category")]
        main = [table for table in tables if table not in measures]
        if len(main) != 1 or len(measures) > 1:
            raise SpecError("mips takes one file of clinicians and at most one of their measures")
        table = main[0]
        ids = table.identifiers(table.column("clinician_id", pattern="npi|.* npi"))
        most = float(rules["complex_patient_bonus"])
        clinicians = pl.DataFrame(
            {
                "clinician_id": ids,
                **(category_scores(measures[0], ids) if measures else _scores(table)),
                "complex_patient_bonus": _column(table, "complex_patient_bonus", most).fill_null(0.0),
                "small_practice": _column(table, "small_practice", 1.0).fill_null(0.0) == 1,
                "part_b_payments": _column(table, "part_b_payments"),
                **given_weights(table),
            }
        ).with_columns(source_file=pl.lit(str(table.path)), source_line=pl.Series(table.lines))
        return Inputs({"clinicians": clinicians}, dict(options))

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute final scores, adjustments and dollars."""
        frame, used = weighted(inputs.frames["clinicians"], rules)
        bonus = pl.col("complex_patient_bonus")
        if "small_practice_bonus" in rules and frame["small_practice"].any():
            bonus = bonus + pl.col("small_practice").cast(pl.Float64) * rules["small_practice_bonus"]
            used = (*used, "small_practice_bonus")
        score = pl.min_horizontal(
            pl.sum_horizontal(f"{name}_points" for name in CATEGORIES) + bonus, pl.lit(100.0)
        )
        # 42 CFR 414.1380(c): who is scored on fewer than two categories has the threshold as the final score.
        score = pl.when(pl.col("categories") < 2).then(float(rules["performance_threshold"])).otherwise(score)
        frame = frame.with_columns(score.alias("final_score"))
        frame = frame.with_columns(adjustment_factor(pl.col("final_score"), rules).alias("unscaled"))
        scale, extra = _scaling(inputs.options.get("scaling_factor", 1.0), frame, rules)
        factor = pl.when(pl.col("unscaled") > 0).then(pl.col("unscaled") * scale).otherwise("unscaled")
        exceptional = exceptional_factor(pl.col("final_score"), rules) * extra
        frame = (
            frame.with_columns(exceptional.alias("exceptional_adjustment"))
            .with_columns(
                (factor + pl.col("exceptional_adjustment")).alias("payment_adjustment"),
                pl.lit(scale).alias("scaling_factor"),
            )
            .with_columns(
                (pl.col("part_b_payments") * pl.col("payment_adjustment")).alias("adjustment_dollars")
            )
        )
        if (frame["exceptional_adjustment"] > 0).any():
            used = (*used, "exceptional_threshold", "exceptional_scale")
        columns = ["clinician_id", *CATEGORIES, "complex_patient_bonus", "final_score", "scaling_factor",
                   "exceptional_adjustment", "payment_adjustment", "part_b_payments",
                   "adjustment_dollars"]  # fmt: skip
        return Settlement(frame.select(columns), by_category(frame), _USED + used)

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the calculation of one clinician."""
        row = settlement.frame.row(by_predicate=pl.col("clinician_id") == entity, named=True)
        given = inputs.frames["clinicians"].row(by_predicate=pl.col("clinician_id") == entity, named=True)
        parts = settlement.detail.filter(clinician_id=entity)
        usual = rules["category_weights"]
        whole = all(part["weight"] == usual[part["category"]] for part in parts.iter_rows(named=True))
        weights = rules.cite(
            "category_weights" if whole or "redistribution" not in rules else "redistribution"
        )
        lines = [Line("Final score")]
        for part in parts.iter_rows(named=True):
            if part["score"] is not None:
                place = where(given["source_file"], given["source_line"], part["category"])
                formula = f"{number(part['score'])} × {percent(part['weight'])}"
                lines.append(Line(f"{part['category']} points", number(part["points"]), formula, place))
        threshold = rules["performance_threshold"]
        exceptional = []
        if row["exceptional_adjustment"]:
            start, source = number(rules["exceptional_threshold"]), rules.cite("exceptional_scale")
            value = percent(row["exceptional_adjustment"], 6)
            exceptional = [Line("exceptional performance", value, f"from {start} points on", source)]
        lines += [
            Line("category weights", "of the year" if whole else "redistributed or given", source=weights),
            Line("complex patient bonus", number(row["complex_patient_bonus"])),
            Line("final score", number(row["final_score"])),
            Line("Payment adjustment"),
            Line("performance threshold", number(threshold), source=rules.cite("performance_threshold")),
            Line("scaling factor of increases", number(row["scaling_factor"]),
                 source=rules.cite("maximum_scaling_factor")),
            *exceptional,
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


def _scaling(given: Any, frame: pl.DataFrame, rules: Rules) -> tuple[float, float]:
    """Return the factors of increases and of exceptional adjustments.

    The first is given, or the one with which increases equal reductions, at most 3; the second is 1 unless it
    is given.
    """
    most = rules["maximum_scaling_factor"]
    first, _, second = str(given).partition(",")
    extra = _factor(second, 1.0) if second.strip() else 1.0
    if first.strip() != "solve":
        return _factor(first, most), extra
    paid = frame["part_b_payments"]
    if paid.null_count():
        raise SpecError("scaling_factor 'solve' needs part_b_payments of every clinician")
    change = paid * frame["unscaled"]
    rises, falls = float(change.clip(0).sum()), float(-change.clip(None, 0).sum())
    return (min(most, falls / rises) if rises else 0.0), extra


def _factor(text: str, most: float) -> float:
    try:
        scale = float(text)
    except ValueError:
        raise SpecError(f"scaling_factor {text!r}: give a number or 'solve'") from None
    if not 0 <= scale <= most:
        raise SpecError(f"scaling_factor {scale:g} is not between 0 and {most:g}")
    return scale


def _scores(table: Table) -> dict[str, pl.Series]:
    return {
        name: table.number(table.column(*columns), minimum=0, maximum=100)
        for name, columns in CATEGORIES.items()
    }


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
    more = f" + {percent(row['exceptional_adjustment'], 6)}" if row["exceptional_adjustment"] else ""
    return f"{percent(most)} × ({number(score)} − {threshold}) / (100 − {threshold}) × {scale}{more}"


PROGRAM = MeritBasedIncentive()
