"""Hospital Value-Based Purchasing Program (42 CFR 412.160-167; Social Security Act 1886(o))."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.payments import hvbp_inputs
from riskmodels.payments.audit import Audit, Line, dollars, number, percent
from riskmodels.payments.hvbp_audit import explain_domain
from riskmodels.payments.hvbp_equity import NOTE, add_bonus, split_files
from riskmodels.payments.hvbp_inputs import DOMAINS
from riskmodels.payments.hvbp_scoring import (
    PERSON,
    STRATA,
    combined_strata,
    domain_scores,
    measure_points,
    strata_weight,
    survey_scores,
    total_scores,
)
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "ValueBasedPurchasing"]

_BUDGET = "42 CFR 412.162(b)(1): the incentives of all hospitals equal their reductions"
_TOTAL = ("domain_weights", "minimum_domains")
_SCORING = (
    "domain_measures",
    "minimum_measures",
    "achievement_points",
    "improvement_points",
    "consistency_points",
)


class ValueBasedPurchasing(Program):
    """Points for achievement and improvement, four domain scores, a total score, and its exchange for money.

    A measure scores the higher of its achievement points (0-10) and improvement points (0-9); a domain the
    share of its possible points, times 100; the total performance score (TPS) is the weighted mean of at
    least three domains. Every hospital's base operating payments are cut by 2%; it earns back
    ``2% × TPS / 100 × slope``, with the slope at which the earnings of all hospitals equal the cuts.
    """

    name: ClassVar[str] = "hvbp"
    entity: ClassVar[str] = "facility_id"
    component: ClassVar[str] = "measure"
    options: ClassVar[Mapping[str, str]] = {
        "base_payments": "file: facility_id, base_operating_payments (dollars a year) of all hospitals",
        "slope": "the exchange function slope that CMS published, in place of solving for it",
    }
    changeable: ClassVar[Mapping[str, str]] = {
        "performance_rate": "measures",
        "baseline_rate": "measures",
        "base_operating_payments": "hospitals",
    }

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read CMS's domain files, or the file of total performance scores.

        A further file (`facility_id, underserved_multiplier`) follows the health equity adjustment that FY
        2026 was to have.
        """
        published, multipliers = split_files(paths, rules)
        inputs = hvbp_inputs.read(published, rules, options)
        points = measure_points(inputs.frames["measures"], rules)
        frames = {**inputs.frames, "hospitals": strata_weight(inputs.frames["hospitals"], points)}
        if multipliers is None:
            return Inputs(frames, inputs.options, inputs.notes)
        return Inputs({**frames, "equity": multipliers}, inputs.options, (*inputs.notes, NOTE))

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute points, domain scores, totals and, with base payments or a slope, the incentive."""
        hospitals = inputs.frames["hospitals"]
        points = measure_points(inputs.frames["measures"], rules)
        extra = combined_strata(points, hospitals)
        scored = pl.concat([points.filter(~pl.col("measure").is_in(STRATA)), extra], how="diagonal")
        person, survey = survey_scores(points, rules)
        domains = pl.concat(
            [domain_scores(scored.filter(pl.col("domain") != PERSON), rules), person, _given(inputs)],
            how="vertical",
        )
        frame = total_scores(hospitals, domains, rules, complete=inputs.options.get("complete", True))
        equity = inputs.frames.get("equity")
        divisor = rules["score_divisor"]
        if equity is not None:
            frame, divisor = add_bonus(frame, equity, rules), rules["equity_adjustment"]["divisor"]
        frame = _exchange(frame, inputs, rules, divisor)
        detail = pl.concat([points, extra, survey], how="diagonal").sort(
            "facility_id", "domain", maintain_order=True
        )
        paid = frame["payment_adjustment_factor"].null_count() < frame.height
        scoring = _TOTAL if inputs.frames["measures"].is_empty() else _SCORING + _TOTAL
        used = scoring + (("applicable_percent", "score_divisor") if paid else ())
        return Settlement(frame, detail, used + (("equity_adjustment",) if equity is not None else ()))

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the calculation of one hospital."""
        row = settlement.frame.row(by_predicate=pl.col("facility_id") == entity, named=True)
        lines: list[Line] = []
        for domain in DOMAINS:
            mine = settlement.detail.filter(facility_id=entity, domain=domain)
            lines += explain_domain(domain, mine.rows(named=True), row[domain], rules)
        weights = rules["domain_weights"]
        kept = [domain for domain in DOMAINS if row[domain] is not None]
        terms = " + ".join(f"{number(weights[domain])} × {number(row[domain])}" for domain in kept)
        total = sum(weights[domain] for domain in kept)
        formula = f"({terms}) / {number(total)}"
        if row["total_performance_score"] is None:
            formula = f"{len(kept)} domains scored of at least {rules['minimum_domains']}"
        lines += [Line("Total"), Line("total performance score", number(row["total_performance_score"], 12),
                                      formula, rules.cite("domain_weights"))]  # fmt: skip
        divisor = rules["score_divisor"]
        if "health_equity_bonus" in row:
            divisor = rules["equity_adjustment"]["divisor"]
            lines.append(Line("of which health equity bonus", number(row["health_equity_bonus"]),
                              source=rules.cite("equity_adjustment")))  # fmt: skip
        if row["payment_adjustment_factor"] is not None:
            cut, base = rules["applicable_percent"], row["base_operating_payments"]
            score = row["total_performance_score"]
            lines += [
                Line("exchange function slope", number(row["exchange_slope"], 10),
                     source="given" if inputs.options["slope"] else _BUDGET),
                Line("incentive payment percentage", percent(row["value_based_incentive_percentage"], 8),
                     f"{percent(cut)} × {number(score)} / {divisor} × slope",
                     "42 CFR 412.162(b)(3)"),
                Line("payment adjustment factor", number(row["payment_adjustment_factor"], 10),
                     f"1 + {percent(row['value_based_incentive_percentage'], 8)} − {percent(cut)}",
                     "42 CFR 412.162(c)"),
            ]  # fmt: skip
            if base is not None:
                lines.append(Line("net payment", dollars(row["net_incentive_dollars"]),
                                  f"{dollars(base)} × (factor − 1)"))  # fmt: skip
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: hospital {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return the performance rate at which each measure scores one more point.

        `break_even_score` is the total performance score at which nothing is lost or won: divisor over slope.
        """
        t, b, base = pl.col("achievement_threshold"), pl.col("benchmark"), pl.col("baseline_rate")
        sign, rate = (b - t).sign(), pl.col("performance_rate")
        following = pl.col("measure_score") + 1
        by_achievement = pl.when(following == 10).then(b).otherwise(t + (following - 1) / 9 * (b - t))
        by_improvement = pl.when((following <= 9) & (sign * (b - base) > 0)).then(
            base + following / 10 * (b - base)
        )
        nearer = sign * pl.min_horizontal(sign * by_achievement, sign * by_improvement)
        slope = settlement.frame["exchange_slope"].drop_nulls()
        equity = "equity" in inputs.frames
        divisor = rules["equity_adjustment"]["divisor"] if equity else rules["score_divisor"]
        turn = divisor / slope[0] if len(slope) else None
        return (
            settlement.detail.filter(pl.col("measure_score").is_between(0, 9) & t.is_not_null())
            .with_columns(nearer.alias("performance_rate_needed"), following.alias("next_score"))
            .with_columns((pl.col("performance_rate_needed") - rate).alias("needed_change"))
            .select("facility_id", "measure", "performance_rate", "measure_score", "next_score",
                    "performance_rate_needed", "needed_change")
            .with_columns(pl.lit(turn, dtype=pl.Float64).alias("break_even_score"))
        )  # fmt: skip


def _given(inputs: Inputs) -> pl.DataFrame:
    return inputs.frames["given"].rename({"given_score": "score"})


def _exchange(frame: pl.DataFrame, inputs: Inputs, rules: Rules, divisor: float) -> pl.DataFrame:
    """Return factors and dollars: slope = Σ reductions / Σ (reductions × TPS / divisor)."""
    cut = rules["applicable_percent"]
    share = pl.col("total_performance_score") / divisor
    base = pl.col("base_operating_payments")
    scored = pl.when(share.is_not_null()).then(base)
    pool = frame.select(slope=scored.sum() / (scored * share).sum())["slope"][0]
    slope = inputs.options["slope"] or (pool if pool and pool == pool else None)
    factor = 1 - cut + pl.col("value_based_incentive_percentage")
    incentive = cut * share * pl.lit(slope, dtype=pl.Float64)
    return (
        frame.with_columns(
            pl.lit(slope, dtype=pl.Float64).alias("exchange_slope"),
            incentive.alias("value_based_incentive_percentage"),
        )
        .with_columns(factor.alias("payment_adjustment_factor"))
        .with_columns((base * (pl.col("payment_adjustment_factor") - 1)).alias("net_incentive_dollars"))
        .select("facility_id", *DOMAINS, "total_performance_score",
                *(["health_equity_bonus"] if "health_equity_bonus" in frame.columns else []),
                *(f"{name}_weighted" for name in DOMAINS),
                "exchange_slope", "value_based_incentive_percentage", "payment_adjustment_factor",
                "base_operating_payments", "net_incentive_dollars")
    )  # fmt: skip


PROGRAM = ValueBasedPurchasing()
