"""ACO REACH, before 2023 Global and Professional Direct Contracting: risk corridors over a benchmark."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.payments.aco_reach_capitation import cash_flow, read_capitation, stop_loss
from riskmodels.payments.aco_reach_inputs import find_files, given_adjustment, implied_adjustment, read_acos
from riskmodels.payments.audit import Audit, Line, dollars, percent, where
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "AcoReach", "corridor_share"]

_COLUMNS = (
    "aco_id", "performance_year", "risk_arrangement", "benchmark", "expenditures", "health_equity_adjustment",
    "gross_savings", "savings_rate", "shared_savings", "payment",
)  # fmt: skip


class AcoReach(Program):
    """Benchmark less expenditures, shared band by band of the benchmark.

    Global ACOs keep (or owe) all of the first 25% of the benchmark, Professional ones half of the first 5%;
    each further band is shared less. Savings are paid less sequestration, losses owed in full.
    """

    name: ClassVar[str] = "aco-reach"
    entity: ClassVar[str] = "aco_id"
    component: ClassVar[str] = "component"
    options: ClassVar[Mapping[str, str]] = {
        "equity_adjustment": "file: aco_id, health_equity_adjustment (dollars, added to the benchmark)",
    }
    changeable: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("benchmark", "benchmark_before_discount", "quality_score", "expenditures",
             "health_equity_adjustment"), "acos"
        ),
        **dict.fromkeys(("base_pcc", "enhanced_pcc", "tcc", "claims_reduced"), "capitation"),
    }  # fmt: skip
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "health_equity_adjustment": (-inf, inf),
        "quality_score": (0.0, 1.0),
    }

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read the model's results of the year asked for (JSON or CSV); other years in the file are left out.

        Further files, told apart by their columns: capitation (`aco_id` and any of `base_pcc`,
        `enhanced_pcc`, `tcc`, `tcc_withhold`, `claims_reduced`, `claims_outside`, in dollars, a row an ACO or
        an ACO and month), and stop-loss (`aco_id, expenditures, predicted`, a beneficiary a row) with its
        bands (`attachment, limit, payout_share`).

        Raises
        ------
        DataError
            For another layout, no row of the year, an unknown arrangement, or an ACO twice.
        """
        files = find_files(paths)
        assert files.results is not None
        acos, table = read_acos(files.results, rules, net=files.stop_loss is None)
        notes: list[str] = []
        if files.stop_loss is not None and files.bands is not None:
            acos = stop_loss(acos, files.stop_loss, files.bands)
            notes.append("stop-loss: charges are set so that they pay for the payouts of the ACOs given")
        unit = rules.get("benefit_enhancement", {}).get("unit", 0)
        if options.get("equity_adjustment"):
            given = given_adjustment(Path(options["equity_adjustment"]))
            acos = acos.join(given, on="aco_id", how="left", maintain_order="left")
            acos = acos.with_columns(pl.col("health_equity_adjustment").fill_null(0.0))
        elif unit and table.find("gross_savings", "sav_rate") and files.stop_loss is None:
            acos = acos.with_columns(implied_adjustment(table, acos, unit).alias("health_equity_adjustment"))
            notes.append(
                "the health equity benchmark adjustment is in no column of the file: it is what the "
                f"published gross savings (or savings rate) imply, to a multiple of ${unit}"
            )
        else:
            acos = acos.with_columns(pl.lit(0.0).alias("health_equity_adjustment"))
            if "benefit_enhancement" in rules:
                notes.append("no health equity benchmark adjustment: give equity_adjustment FILE")
        frames = {"acos": acos}
        if files.capitation is not None:
            frames["capitation"] = read_capitation(files.capitation, acos["aco_id"])
        return Inputs(frames, {"rebuilt": table.find("final_benchmark") is None}, tuple(notes))

    def after_change(self, frames: dict[str, pl.DataFrame], column: str) -> dict[str, pl.DataFrame]:
        """Rebuild the benchmark where the quality score or the benchmark before the discount changed."""
        if column not in ("quality_score", "benchmark_before_discount"):
            return frames
        taken = 1 - pl.col("discount") - pl.col("quality_withhold") * (1 - pl.col("quality_score"))
        built = (pl.col("benchmark_before_discount") * taken).alias("benchmark")
        return {**frames, "acos": frames["acos"].with_columns(built)}

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute gross and shared savings."""
        adjusted = pl.col("benchmark") + pl.col("health_equity_adjustment")
        gross = adjusted - pl.col("expenditures")
        frame = inputs.frames["acos"].with_columns(gross.alias("gross_savings"), adjusted.alias("adjusted"))
        rate = pl.col("gross_savings") / pl.col("adjusted")
        frame = frame.with_columns(rate.alias("savings_rate"))
        bands = []
        shared = pl.lit(0.0)
        for band in _bands(rules):
            kept = corridor_share(pl.col("savings_rate"), band) * pl.col("adjusted")
            mine = pl.when(pl.col("risk_arrangement") == band["arrangement"]).then(kept)
            shared = shared + mine.fill_null(0.0)
            bands.append(
                frame.filter(pl.col("risk_arrangement") == band["arrangement"]).select(
                    "aco_id",
                    pl.lit(f"{percent(band['from'])} to {_to(band)} at {percent(band['share'])}").alias(
                        "component"
                    ),
                    kept.alias("amount"),
                )
            )
        frame = frame.with_columns(shared.alias("shared_savings"))
        paid = pl.when(pl.col("shared_savings") > 0).then(1 - rules["sequestration"]).otherwise(1.0)
        frame = frame.with_columns((pl.col("shared_savings") * paid).alias("payment"))
        used = ["corridors", "sequestration"]
        used += ["benefit_enhancement"] if "benefit_enhancement" in rules else []
        used += ["discount", "quality_withhold"] if inputs.options.get("rebuilt") else []
        detail = pl.concat(bands).filter(pl.col("amount") != 0).sort("aco_id", maintain_order=True)
        frame = frame.select(_COLUMNS)
        if "capitation" in inputs.frames:
            frame, parts = cash_flow(frame, inputs.frames["capitation"])
            detail = pl.concat([detail, parts]).sort("aco_id", maintain_order=True)
            used.append("capitation")
        return Settlement(frame, detail, tuple(used))

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the settlement of one ACO."""
        row = settlement.frame.row(by_predicate=pl.col("aco_id") == entity, named=True)
        given = inputs.frames["acos"].row(by_predicate=pl.col("aco_id") == entity, named=True)

        def place(column: str) -> str:
            return where(given["source_file"], given["source_line"], column)

        cut = rules["sequestration"]
        adjusted = row["benchmark"] + row["health_equity_adjustment"]
        lines = [
            Line("Gross savings"),
            Line("risk arrangement", row["risk_arrangement"], source=place("risk_arrangement")),
            *_benchmark_lines(given, rules),
            Line(
                "benchmark after discount and quality",
                dollars(row["benchmark"]),
                source=place("final_benchmark"),
            ),
            Line("health equity benchmark adjustment", dollars(row["health_equity_adjustment"])),
            Line("stop-loss charge less payout, in the expenditures", dollars(given["stop_loss_net"])),
            Line("expenditures", dollars(row["expenditures"]), source=place("tot_cost_care_net")),
            Line("gross savings", dollars(row["gross_savings"]), "benchmark + adjustment − expenditures"),
            Line("savings rate", percent(row["savings_rate"], 6), f"of {dollars(adjusted)}"),
            Line("Risk corridors"),
        ]
        parts = list(settlement.detail.filter(aco_id=entity).iter_rows(named=True))
        corridors = rules.cite("corridors")
        lines += [Line(part["component"], dollars(part["amount"]), source=corridors)
                  for part in parts if " at " in part["component"]]  # fmt: skip
        lines += [
            Line("shared savings", dollars(row["shared_savings"])),
            Line("payment", dollars(row["payment"]),
                 f"× (1 − {percent(cut)})" if row["shared_savings"] > 0 else "losses in full",
                 rules.cite("sequestration")),
        ]  # fmt: skip
        if "cash_at_settlement" in row:
            cash = [part for part in parts if " at " not in part["component"]]
            lines += [Line("Capitation cash flow"),
                      *(Line(part["component"], dollars(part["amount"])) for part in cash),
                      Line("cash in the year", dollars(row["cash_in_year"]), "capitation − claims reduced"),
                      Line("cash at settlement", dollars(row["cash_at_settlement"]),
                           "payment − enhanced capitation + withhold − claims outside",
                           rules.cite("capitation"))]  # fmt: skip
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: ACO {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return the change of expenditures at which savings begin, and what one more dollar is worth.

        `marginal_share` is the share of the band that the ACO is in.
        """
        rate = pl.col("savings_rate").abs()
        share = pl.lit(None, dtype=pl.Float64)
        for band in _bands(rules):
            inside = rate.is_between(band["from"], band["to"], closed="left")
            mine = pl.col("risk_arrangement") == band["arrangement"]
            share = pl.when(mine & inside).then(band["share"]).otherwise(share)
        return settlement.frame.select(
            "aco_id",
            "gross_savings",
            pl.col("gross_savings").alias("expenditures_change"),
            share.alias("marginal_share"),
        )


def _benchmark_lines(given: Mapping[str, Any], rules: Rules) -> list[Line]:
    if given["quality_score"] is None:
        return []
    return [
        Line("benchmark before discount and quality withhold", dollars(given["benchmark_before_discount"]),
             "benchmark / (1 − discount − withhold × (1 − quality score))"),
        Line("discount", percent(given["discount"]), source=rules.cite("discount")),
        Line("quality withhold", percent(given["quality_withhold"]), source=rules.cite("quality_withhold")),
        Line("quality score", percent(given["quality_score"])),
    ]  # fmt: skip


def corridor_share(rate: pl.Expr, band: Mapping[str, float]) -> pl.Expr:
    """Return the share of the benchmark that one band of a corridor gives: negative for losses."""
    inside = (rate.abs().clip(0, band["to"]) - band["from"]).clip(0)
    return rate.sign() * inside * band["share"]


def _bands(rules: Rules) -> list[dict[str, Any]]:
    """Return the corridors, each with where it begins."""
    ends: dict[str, float] = {}
    bands = []
    for band in rules["corridors"]:
        bands.append({**band, "from": ends.get(band["arrangement"], 0.0)})
        ends[band["arrangement"]] = band["to"]
    return bands


def _to(band: Mapping[str, float]) -> str:
    return "any" if band["to"] > 100 else percent(band["to"])


PROGRAM = AcoReach()
