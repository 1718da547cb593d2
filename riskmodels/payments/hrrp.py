"""Hospital Readmissions Reduction Program (42 CFR 412.150-154; Social Security Act 1886(q))."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from riskmodels.payments import hrrp_inputs
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.rounding import round_half_up
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "ReadmissionsReduction"]

_REDUCTION = "Social Security Act 1886(q)(3); CMS supplemental file, FY 2019 and later"
_DETAIL = (
    "facility_id", "measure", "eligible_discharges", "predicted", "expected", "excess_readmission_ratio",
    "peer_group_median", "penalised", "drg_payment_ratio", "contribution", "counts", "source_file",
    "source_line",
)  # fmt: skip
_USED = ("maximum_reduction", "minimum_discharges", "measures", "peer_groups", "factor_decimals")


class ReadmissionsReduction(Program):
    """Excess readmission ratios of six conditions against the median of the hospital's peer group.

    The payment reduction is ``min(cap, NM × Σ DRG payment ratio × (ERR − peer-group median))`` over the
    measures with at least 25 eligible discharges and an ERR above the median; NM is the neutrality modifier.
    The factor is one minus the reduction, at four decimals.
    """

    name: ClassVar[str] = "hrrp"
    entity: ClassVar[str] = "facility_id"
    component: ClassVar[str] = "measure"
    options: ClassVar[Mapping[str, str]] = hrrp_inputs.OPTIONS
    changeable: ClassVar[Mapping[str, str]] = {
        "excess_readmission_ratio": "measures",
        "predicted": "measures",
        "expected": "measures",
        "eligible_discharges": "measures",
        "peer_group_median": "measures",
        "drg_payment_ratio": "measures",
        "neutrality_modifier": "hospitals",
        "base_operating_payments": "hospitals",
    }

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read a supplemental file, hospital-specific reports, or a benchmark with its companions."""
        return hrrp_inputs.read(paths, rules, options)

    def after_change(self, frames: dict[str, pl.DataFrame], column: str) -> dict[str, pl.DataFrame]:
        """Let a changed predicted or expected rate move the excess readmission ratio, and the other way."""
        if column == "excess_readmission_ratio":
            predicted = pl.col("excess_readmission_ratio") * pl.col("expected")
            frames["measures"] = frames["measures"].with_columns(predicted.alias("predicted"))
        if column in ("predicted", "expected"):
            ratio = pl.coalesce(pl.col("predicted") / pl.col("expected"), "excess_readmission_ratio")
            frames["measures"] = frames["measures"].with_columns(ratio.alias("excess_readmission_ratio"))
        return frames

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute penalties, reductions and factors of all hospitals."""
        hospitals = inputs.frames["hospitals"]
        detail = contributions(inputs.frames["measures"], hospitals, rules)
        total = detail.group_by("facility_id").agg(
            pl.col("contribution").sum().alias("uncapped_reduction"),
            pl.col("penalised").sum().cast(pl.Int64).alias("penalised_measures"),
        )
        factor = payment_factor(pl.col("uncapped_reduction"), rules)
        frame = (
            hospitals.join(total, on="facility_id", how="left", maintain_order="left")
            .with_columns(pl.col("uncapped_reduction", "penalised_measures").fill_null(0))
            .with_columns(factor.alias("payment_adjustment_factor"))
            .with_columns(
                round_half_up(1 - pl.col("payment_adjustment_factor"), 10).alias("payment_reduction")
            )
            .with_columns(
                (pl.col("base_operating_payments") * pl.col("payment_reduction")).alias(
                    "payment_reduction_dollars"
                )
            )
        )
        if "withheld" in hospitals.columns:
            settled = [*total.columns[1:], "payment_adjustment_factor", "payment_reduction",
                       "payment_reduction_dollars"]  # fmt: skip
            frame = frame.with_columns(pl.when(~pl.col("withheld")).then(pl.col(settled)))
        columns = [
            "facility_id", "payment_adjustment_factor", "payment_reduction", "dual_proportion", "peer_group",
            "neutrality_modifier", "penalised_measures", "uncapped_reduction", "base_operating_payments",
            "payment_reduction_dollars",
        ]  # fmt: skip
        frame = frame.select(columns)
        together = None
        if inputs.draws is not None:
            intervals, together = _intervals(inputs, rules)
            frame = frame.join(intervals, on="facility_id", how="left", maintain_order="left")
        used = _USED + (("neutrality_modifier",) if inputs.options.get("neutrality") == "rules" else ())
        return Settlement(frame, detail, used, total_interval=together)

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the calculation of one hospital."""
        row = settlement.frame.row(by_predicate=pl.col("facility_id") == entity, named=True)
        given = inputs.frames["hospitals"].row(by_predicate=pl.col("facility_id") == entity, named=True)
        columns = inputs.options["columns"]

        def place(name: str) -> str:
            return where(given["source_file"], given["source_line"], columns.get(name))

        modifier = row["neutrality_modifier"]
        lines = [
            Line("Hospital"),
            Line("dual proportion", number(row["dual_proportion"]), source=place("dual_proportion")),
            Line(
                "peer group", str(row["peer_group"]), source=place("peer_group") or rules.cite("peer_groups")
            ),
            Line("neutrality modifier", number(modifier, 14), source=inputs.options["neutrality_source"]),
        ]
        for measure in settlement.detail.filter(pl.col("facility_id") == entity).iter_rows(named=True):
            lines += _explain_measure(measure, rules, modifier, columns)
        lines += _explain_payment(row, rules)
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: hospital {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return how far each penalised measure is from no penalty.

        `needed_change` is what the ERR has to fall by to meet the peer-group median, with the median held.
        `fewer_readmissions` is that in readmissions of the hospital's own discharges, rounded up: exact where
        the ratio is of counted readmissions; where it is predicted over expected, of predicted readmissions,
        which move less than counted ones. It is null where the input gives no expected rate.
        """
        gap = pl.col("excess_readmission_ratio") - pl.col("peer_group_median")
        fewer = (gap * pl.col("expected") * pl.col("eligible_discharges") - 1e-9).ceil()
        return settlement.detail.filter("penalised").select(
            "facility_id",
            "measure",
            "excess_readmission_ratio",
            "peer_group_median",
            (-gap).alias("needed_change"),
            (-100 * gap / pl.col("excess_readmission_ratio")).alias("needed_change_percent"),
            fewer.cast(pl.Int64).alias("fewer_readmissions"),
            pl.col("contribution").alias("reduction_removed"),
        )


def contributions(measures: pl.DataFrame, hospitals: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return each measure with `penalised` and its `contribution` to the reduction before the cap.

    A measure counts in the year's rules only; where ERR and median are equal as published, the published
    penalty indicator says which was larger, and the contribution is zero either way.
    """
    err, median = pl.col("excess_readmission_ratio"), pl.col("peer_group_median")
    enough = pl.col("eligible_discharges") >= rules["minimum_discharges"]
    tie = (err == median) & pl.col("published_indicator").fill_null(False)
    penalised = (pl.col("counts") & enough & ((err > median) | tie)).fill_null(False)
    excess = pl.col("neutrality_modifier") * pl.col("drg_payment_ratio") * (err - median)
    return (
        measures.join(
            hospitals.select("facility_id", "neutrality_modifier"), on="facility_id", maintain_order="left"
        )
        .with_columns(penalised.alias("penalised"))
        .with_columns(pl.when("penalised").then(excess).otherwise(0.0).alias("contribution"))
        .select(_DETAIL)
    )


def payment_factor(reduction: pl.Expr, rules: Rules) -> pl.Expr:
    """Return ``1 − min(cap, reduction)`` at CMS's four decimals."""
    capped = pl.min_horizontal(pl.lit(rules["maximum_reduction"]), reduction)
    return round_half_up(1 - capped, rules["factor_decimals"])


def _intervals(inputs: Inputs, rules: Rules) -> tuple[pl.DataFrame, tuple[float, float] | None]:
    """Return 95% intervals of factor and dollars, and of the dollars of all hospitals together.

    Every draw of the ratios goes through the rules. The total is summed in each draw, as it cannot be had
    from the hospitals' own intervals; there is none where no hospital's base payments are known.
    The medians of the peer groups are those of the draw; peer groups and neutrality modifier are held.
    """
    assert inputs.draws is not None
    measures = inputs.frames["measures"].join(inputs.frames["hospitals"], on="facility_id")
    measures = measures.join(inputs.draws, on="facility_id", how="semi", maintain_order="left")
    wide = inputs.draws.pivot(on="facility_id", index="draw", values="ratio").drop("draw")
    ratios = wide.select(measures["facility_id"].to_list()).to_numpy()
    groups = measures["peer_group"].to_numpy()
    excess = np.zeros_like(ratios)
    for group in np.unique(groups):
        chosen = groups == group
        excess[:, chosen] = ratios[:, chosen] - np.nanmedian(ratios[:, chosen], axis=1, keepdims=True)
    weight = (measures["drg_payment_ratio"] * measures["neutrality_modifier"]).to_numpy()
    counted = measures["eligible_discharges"] >= rules["minimum_discharges"]
    enough = counted.fill_null(False).to_numpy()
    reduction = np.where(enough, np.maximum(np.nan_to_num(excess), 0.0) * weight, 0.0)
    scale = 10.0 ** rules["factor_decimals"]
    factor = np.floor((1 - np.minimum(reduction, rules["maximum_reduction"])) * scale + 0.5 + 1e-9) / scale
    low, high = np.quantile(factor, [0.025, 0.975], axis=0)
    base = measures["base_operating_payments"]
    together = None
    if base.is_not_null().any():
        totals = (1 - factor) @ base.fill_null(0.0).to_numpy()
        least, most = np.quantile(totals, [0.025, 0.975])
        together = (float(least), float(most))
    intervals = pl.DataFrame(
        {
            "facility_id": measures["facility_id"],
            "payment_adjustment_factor_lower": low,
            "payment_adjustment_factor_upper": high,
            "payment_reduction_dollars_lower": base * (1 - high),
            "payment_reduction_dollars_upper": base * (1 - low),
        }
    )
    return intervals, together


def _explain_payment(row: Mapping[str, Any], rules: Rules) -> list[Line]:
    """Return the lines from the sum of the measures to the dollars; one line where nothing was settled."""
    if row["payment_adjustment_factor"] is None:
        why = "none: the benchmark withholds this hospital's small cells"
        return [Line("Payment"), Line("payment adjustment factor", why)]
    total, cap = row["uncapped_reduction"], rules["maximum_reduction"]
    lines = [
        Line("Payment"),
        Line("sum over the penalised measures", number(total, 8), source=_REDUCTION),
        Line("payment reduction before rounding", percent(min(cap, total), 6),
             f"min({percent(cap)}, {percent(total, 6)})", rules.cite("maximum_reduction")),
        Line("payment adjustment factor", f"{row['payment_adjustment_factor']:.4f}",
             f"1 − {min(cap, total):.8f}, at {rules['factor_decimals']} decimals",
             rules.cite("factor_decimals")),
        Line("payment reduction", percent(row["payment_reduction"])),
    ]  # fmt: skip
    if row["base_operating_payments"] is not None:
        lines.append(Line("base operating DRG payments", dollars(row["base_operating_payments"])))
        lines.append(
            Line("payments withheld", dollars(row["payment_reduction_dollars"]),
                 f"{dollars(row['base_operating_payments'])} × {percent(row['payment_reduction'])}",
                 "42 CFR 412.154(b)(1)")
        )  # fmt: skip
        if "payment_reduction_dollars_lower" in row:
            low, high = row["payment_reduction_dollars_lower"], row["payment_reduction_dollars_upper"]
            lines.append(
                Line("95% interval of the payments withheld", f"{dollars(low)} to {dollars(high)}",
                     source="the benchmark's draws, each through the rules, medians included")
            )  # fmt: skip
    return lines


def _explain_measure(
    row: Mapping[str, Any], rules: Rules, modifier: float, columns: Mapping[str, str]
) -> list[Line]:
    def given(label: str, name: str, formula: str = "", digits: int = 10) -> Line:
        column = columns.get(name)
        place = where(row["source_file"], row["source_line"], column and f"{column} ({row['measure']})")
        return Line(label, number(row[name], digits), formula, place)

    err, median, n = row["excess_readmission_ratio"], row["peer_group_median"], row["eligible_discharges"]
    lines = [Line(str(row["measure"])), given("eligible discharges", "eligible_discharges", digits=0)]
    if err is None:
        return [*lines, Line("excess readmission ratio", "none: no penalty")]
    formula = ""
    if row["predicted"] is not None:
        formula = f"predicted {number(row['predicted'], 10)} / expected {number(row['expected'], 10)}"
    lines.append(given("excess readmission ratio (ERR)", "excess_readmission_ratio", formula))
    lines.append(given("peer-group median ERR", "peer_group_median"))
    if row["penalised"]:
        lines.append(given("DRG payment ratio", "drg_payment_ratio"))
        ratio = row["drg_payment_ratio"]
        lines.append(
            Line("contribution to the reduction", number(row["contribution"], 8),
                 f"{number(modifier, 6)} × {number(ratio)} × ({number(err)} − {number(median)})", _REDUCTION)
        )  # fmt: skip
    elif not row["counts"]:
        lines.append(Line("penalty", "none: not in the payment of this year", source=rules.cite("measures")))
    elif n is None or n < rules["minimum_discharges"]:
        reason = f"none: fewer than {rules['minimum_discharges']} eligible discharges"
        lines.append(Line("penalty", reason, source=rules.cite("minimum_discharges")))
    else:
        lines.append(Line("penalty", "none: ERR is not above the median", source=_REDUCTION))
    return lines


PROGRAM = ReadmissionsReduction()
