"""Hospital-Acquired Condition Reduction Program (42 CFR 412.170-172; Social Security Act 1886(p))."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.hrrp_benchmark import read_base_payments
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "HospitalAcquiredConditions"]

_USED = ("measures", "weighting", "worst_percentile", "reduction", "exempt_states")
_EQUAL = "equally weighted mean of the measures that the hospital has"


class HospitalAcquiredConditions(Program):
    """The mean of up to six winsorised z-scores; the worst quartile of hospitals is paid one percent less.

    A z-score is the hospital's result, cut to the 5th and 95th percentiles of all hospitals, less the
    national mean, over the national standard deviation; higher is worse. CMS publishes the z-scores.
    """

    name: ClassVar[str] = "hac"
    entity: ClassVar[str] = "facility_id"
    component: ClassVar[str] = "measure"
    options: ClassVar[Mapping[str, str]] = {
        "base_payments": "file: facility_id, base_operating_payments (dollars a year)",
        "cutoff": "the score above which the reduction applies: a number, or 'file' (its 75th percentile)",
    }
    changeable: ClassVar[Mapping[str, str]] = {
        "winsorised_z_score": "measures",
        "result": "measures",
        "base_operating_payments": "hospitals",
    }
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"winsorised_z_score": (-inf, inf)}

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read CMS's file of HAC results.

        Raises
        ------
        DataError
            For a file of another year or layout, or with a hospital twice.
        """
        if len(paths) != 1:
            raise SpecError("hac takes one file")
        table = read_table(paths[0], ("facility id|provider id", ".*w z[ -]score"))
        ids = table.identifiers(table.column("Facility ID", "Provider ID"), width=6)
        _check_year(table, rules)
        states = table.text(table.column("State"))
        hospitals = pl.DataFrame({"facility_id": ids, "state": states}).with_columns(
            source_file=pl.lit(str(paths[0])), source_line=pl.Series(table.lines)
        )
        if options.get("base_payments"):
            base = read_base_payments(Path(options["base_payments"]))
            hospitals = hospitals.join(base, on="facility_id", how="left", maintain_order="left")
        else:
            hospitals = hospitals.with_columns(base_operating_payments=pl.lit(None, dtype=pl.Float64))
        measures = pl.concat(_measure(table, ids, name) for name in rules["measures"])
        measures = measures.join(_scales(measures), on="measure", how="left", maintain_order="left")
        cutoff, kind, source = _cutoff(options.get("cutoff"), measures, rules)
        settings = {"cutoff": cutoff, "cutoff_kind": kind, "cutoff_source": source}
        note = f"a score above {cutoff:.4f} is in the worst quartile: {source}"
        return Inputs({"hospitals": hospitals, "measures": measures}, settings, (note,))

    def after_change(self, frames: dict[str, pl.DataFrame], column: str) -> dict[str, pl.DataFrame]:
        """Let a changed result move its z-score, with the mean and deviation that the file implies."""
        if column == "result":
            moved = ((pl.col("result") - pl.col("mean")) / pl.col("deviation")).clip(
                pl.col("lowest"), pl.col("highest")
            )
            changed = pl.col("result") != pl.col("published_result")
            z = pl.when(changed.fill_null(False)).then(moved).otherwise("winsorised_z_score")
            frames["measures"] = frames["measures"].with_columns(z.alias("winsorised_z_score"))
        return frames

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute total scores, the worst quartile and the reduction."""
        score = pl.col("winsorised_z_score")
        weight = pl.when(score.is_not_null()).then(1 / score.count().over("facility_id"))
        detail = inputs.frames["measures"].with_columns(weight.alias("weight"))
        detail = detail.with_columns((pl.col("weight") * score).alias("contribution"))
        total = detail.group_by("facility_id").agg(
            pl.when(score.count() > 0).then(pl.col("contribution").sum()).alias("total_hac_score")
        )
        worst = (pl.col("total_hac_score") > inputs.options["cutoff"]).fill_null(False)
        exempt = pl.col("state").is_in(rules["exempt_states"])
        frame = (
            inputs.frames["hospitals"]
            .join(total, on="facility_id", how="left", maintain_order="left")
            .with_columns(worst.alias("worst_quartile"), exempt.alias("exempt"))
            .with_columns(
                pl.when(pl.col("worst_quartile") & ~pl.col("exempt"))
                .then(rules["reduction"])
                .otherwise(0.0)
                .alias("payment_reduction")
            )
            .with_columns(
                (pl.col("base_operating_payments") * pl.col("payment_reduction")).alias(
                    "payment_reduction_dollars"
                )
            )
        )
        columns = [
            *("facility_id", "total_hac_score", "payment_reduction", "worst_quartile", "exempt"),
            *("base_operating_payments", "payment_reduction_dollars"),
        ]
        used = (*_USED, "worst_quartile_score") if inputs.options["cutoff_kind"] == "rules" else _USED
        shown = ["facility_id", "measure", "result", "winsorised_z_score", "weight", "contribution"]
        return Settlement(
            frame.select(columns),
            detail.select(*shown, "deviation", "lowest", "source_file", "source_line"),
            used,
        )

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the calculation of one hospital."""
        row = settlement.frame.row(by_predicate=pl.col("facility_id") == entity, named=True)
        lines = [Line("Measures")]
        scores = []
        for measure in settlement.detail.filter(facility_id=entity).iter_rows(named=True):
            z = measure["winsorised_z_score"]
            if z is not None:
                scores.append(z)
            place = where(measure["source_file"], measure["source_line"], f"{measure['measure']} W Z Score")
            result = f"result {number(measure['result'])}"
            text = f"{number(z)} ({result})" if z is not None else "not scored"
            lines.append(Line(f"{measure['measure']} winsorised z-score", text, source=place))
        lines.append(Line("Payment"))
        if not scores:
            lines.append(Line("Total HAC Score", "none: no measure", source=rules.cite("weighting")))
        else:
            sum_of = " + ".join(number(z) for z in scores)
            lines.append(
                Line(f"Total HAC Score, {_EQUAL}", number(row["total_hac_score"]),
                     f"({sum_of}) / {len(scores)}", rules.cite("weighting"))
            )  # fmt: skip
        lines.append(
            Line("cut-off", number(inputs.options["cutoff"]), source=inputs.options["cutoff_source"])
        )
        reason = (
            "exempt" if row["exempt"] else "above the cut-off" if row["worst_quartile"] else "not above it"
        )
        lines.append(
            Line("payment reduction", f"{percent(row['payment_reduction'])}, {reason}",
                 source=rules.cite("exempt_states" if row["exempt"] else "reduction"))
        )  # fmt: skip
        if row["base_operating_payments"] is not None:
            base = dollars(row["base_operating_payments"])
            lines.append(
                Line("payments withheld", dollars(row["payment_reduction_dollars"]),
                     f"{base} × {percent(row['payment_reduction'])}", "Social Security Act 1886(p)(1)")
            )  # fmt: skip
        return Audit(f"{rules.title}: hospital {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return how far each measure of a hospital in the worst quartile has to fall to leave it.

        `needed_change` is in z-scores, with the other measures and the cut-off held; null where even the best
        winsorised score does not do. `needed_change_result` is the same in the measure's own unit.
        """
        over = settlement.frame.filter(pl.col("payment_reduction") > 0).select(
            "facility_id", "total_hac_score"
        )
        z = pl.col("winsorised_z_score")
        needed = (inputs.options["cutoff"] - pl.col("total_hac_score")) / pl.col("weight")
        possible = pl.when(z + needed >= pl.col("lowest")).then(needed)
        return (
            settlement.detail.join(over, on="facility_id", maintain_order="left")
            .filter(z.is_not_null())
            .with_columns(possible.alias("needed_change"))
            .with_columns((pl.col("needed_change") * pl.col("deviation")).alias("needed_change_result"))
            .select("facility_id", "measure", "total_hac_score", "winsorised_z_score", "needed_change",
                    "needed_change_result")
        )  # fmt: skip


def _measure(table: Table, ids: pl.Series, name: str) -> pl.DataFrame:
    words = name.lower().replace(" ", "[ -]")
    # Files before FY 2023 have the z-scores alone.
    column = table.find(pattern=f"(cms )?{words} (sir|composite value)")
    blank = pl.Series([None] * table.frame.height, dtype=pl.Float64)
    result = table.number(column, minimum=0) if column else blank
    # Winsorised scores are within a few deviations: a score beyond 20 is a slip.
    score = table.number(table.column(pattern=f"(cms )?{words} w z[ -]score"), minimum=-20, maximum=20)
    return pl.DataFrame(
        {
            "facility_id": ids,
            "measure": name,
            "result": result,
            "published_result": result,
            "winsorised_z_score": score,
        }
    ).with_columns(source_file=pl.lit(str(table.path)), source_line=pl.Series(table.lines))


def _scales(measures: pl.DataFrame) -> pl.DataFrame:
    """Return the national mean and deviation of each measure, as results and z-scores of the file imply them.

    Between the winsorising percentiles a z-score is a straight line of the result.
    """
    rows = []
    for (name,), rated in measures.group_by("measure", maintain_order=True):
        z = rated["winsorised_z_score"].drop_nulls()
        low, high = (z.min(), z.max()) if len(z) else (None, None)
        inside = rated.drop_nulls(["result", "winsorised_z_score"]).filter(
            pl.col("winsorised_z_score").is_between(low, high, closed="none")
        )
        mean = deviation = None
        if inside["result"].n_unique() > 1:
            slope, intercept = np.polyfit(
                inside["result"].to_numpy(), inside["winsorised_z_score"].to_numpy(), 1
            )
            mean, deviation = float(-intercept / slope), float(1 / slope)
        rows.append({"measure": name, "mean": mean, "deviation": deviation, "lowest": low, "highest": high})
    kinds = dict.fromkeys(("mean", "deviation", "lowest", "highest"), pl.Float64)
    return pl.DataFrame(rows, schema={"measure": pl.String, **kinds})


def _cutoff(given: Any, measures: pl.DataFrame, rules: Rules) -> tuple[float, str, str]:
    """Return the score that starts the worst quartile, the kind of its source, and the source in words."""
    if given is None:
        given = "rules" if "worst_quartile_score" in rules else "file"
    if given == "rules":
        return rules["worst_quartile_score"], "rules", rules.cite("worst_quartile_score")
    if given == "file":
        totals = measures.group_by("facility_id").agg(pl.col("winsorised_z_score").mean())
        scores = totals["winsorised_z_score"].drop_nulls().to_numpy()
        if not len(scores):
            raise DataError("no hospital has a z-score", file=measures["source_file"][0])
        cutoff = float(np.quantile(scores, rules["worst_percentile"]))
        return (
            cutoff,
            "file",
            f"the 75th percentile of the file's {len(scores)} scores; it has to hold all hospitals",
        )
    try:
        return float(given), "given", "given by the user"
    except (TypeError, ValueError):
        raise SpecError(f"cutoff {given!r}: give a number or 'file'") from None


def _check_year(table: Table, rules: Rules) -> None:
    column = table.find("Fiscal Year")
    years = table.number(column, integer=True) if column else pl.Series([rules.year])
    wrong = (years != rules.year).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"fiscal year {years[row]}, and the rules asked for are of {rules.year}",
            file=table.path, column=column, line=table.lines[row], fix=f"give --year {years[row]}",
        )  # fmt: skip


PROGRAM = HospitalAcquiredConditions()
