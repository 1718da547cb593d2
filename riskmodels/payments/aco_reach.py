"""ACO REACH, before 2023 Global and Professional Direct Contracting: risk corridors over a benchmark."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import Table, read_table
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
    changeable: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("benchmark", "expenditures", "health_equity_adjustment"), "acos"
    )

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read the model's results of the year asked for (JSON or CSV); other years in the file are left out.

        Raises
        ------
        DataError
            For another layout, no row of the year, an unknown arrangement, or an ACO twice.
        """
        if len(paths) != 1:
            raise SpecError("aco-reach takes one file")
        table = _of_year(_read(paths[0]), rules.year)
        benchmark = table.number(table.column("final_benchmark"), minimum=0, required=True)
        net = table.find("tot_cost_care_net") or table.column("tot_cost_care")
        acos = pl.DataFrame(
            {
                "aco_id": table.identifiers(table.column("aco_id")),
                "performance_year": rules.year,
                "risk_arrangement": _arrangement(table, rules),
                "benchmark": benchmark,
                "expenditures": table.number(net, required=True),
                "source_line": pl.Series(table.lines),
            }
        ).with_columns(source_file=pl.lit(str(paths[0])))
        notes: list[str] = []
        unit = rules.get("benefit_enhancement", {}).get("unit", 0)
        if options.get("equity_adjustment"):
            acos = acos.join(
                _given(Path(options["equity_adjustment"])), on="aco_id", how="left", maintain_order="left"
            )
            acos = acos.with_columns(pl.col("health_equity_adjustment").fill_null(0.0))
        elif unit and table.find("gross_savings"):
            acos = acos.with_columns(_implied(table, acos, unit).alias("health_equity_adjustment"))
            notes.append(
                "the health equity benchmark adjustment is in no column of the file: it is what the "
                f"published gross savings imply, to a multiple of ${unit}"
            )
        else:
            acos = acos.with_columns(pl.lit(0.0).alias("health_equity_adjustment"))
            if "benefit_enhancement" in rules:
                notes.append("no health equity benchmark adjustment: give equity_adjustment FILE")
        return Inputs({"acos": acos}, {}, tuple(notes))

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
        used = (
            "corridors",
            "sequestration",
            *(["benefit_enhancement"] if "benefit_enhancement" in rules else []),
        )
        detail = pl.concat(bands).filter(pl.col("amount") != 0).sort("aco_id", maintain_order=True)
        return Settlement(frame.select(_COLUMNS), detail, used)

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
            Line(
                "benchmark after discount and quality",
                dollars(row["benchmark"]),
                source=place("final_benchmark"),
            ),
            Line("health equity benchmark adjustment", dollars(row["health_equity_adjustment"])),
            Line("expenditures", dollars(row["expenditures"]), source=place("tot_cost_care_net")),
            Line("gross savings", dollars(row["gross_savings"]), "benchmark + adjustment − expenditures"),
            Line("savings rate", percent(row["savings_rate"], 6), f"of {dollars(adjusted)}"),
            Line("Risk corridors"),
        ]
        bands = settlement.detail.filter(aco_id=entity).iter_rows(named=True)
        corridors = rules.cite("corridors")
        lines += [Line(band["component"], dollars(band["amount"]), source=corridors) for band in bands]
        lines += [
            Line("shared savings", dollars(row["shared_savings"])),
            Line("payment", dollars(row["payment"]),
                 f"× (1 − {percent(cut)})" if row["shared_savings"] > 0 else "losses in full",
                 rules.cite("sequestration")),
        ]  # fmt: skip
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


def _read(path: Path) -> Table:
    if path.suffix.lower() != ".json":
        return read_table(path, ("aco_id", "final_benchmark"))
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError("no such file", file=path) from error
    except ValueError as error:
        raise DataError(f"not JSON: {error}", file=path) from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError("not a list of records", file=path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = [["" if row.get(name) is None else str(row[name]).strip() for name in names] for row in rows]
    frame = pl.DataFrame(text, schema=dict.fromkeys(names, pl.String), orient="row")
    return Table(path, frame, tuple(range(1, len(rows) + 1)))


def _of_year(table: Table, year: int) -> Table:
    years = table.number(table.column("perf_year", "performance_year"), required=True, integer=True)
    keep = years == year
    if not keep.any():
        found = ", ".join(str(value) for value in years.unique().sort())
        raise DataError(f"no row of performance year {year}; the file has {found}", file=table.path)
    lines = tuple(line for line, kept in zip(table.lines, keep, strict=True) if kept)
    return Table(table.path, table.frame.filter(keep), lines, table.preface)


def _arrangement(table: Table, rules: Rules) -> pl.Series:
    column = table.column("risk_arrangement")
    words = table.frame[column].str.to_titlecase()
    known = words.is_in(list(rules["discount"]))
    if not known.all():
        row = int((~known).arg_max() or 0)
        raise DataError(f"{words[row]!r} is neither Global nor Professional", file=table.path, column=column,
                        line=table.lines[row])  # fmt: skip
    return words


def _implied(table: Table, acos: pl.DataFrame, unit: int) -> pl.Series:
    """Return the equity adjustment that the published gross savings imply: whole multiples of `unit`."""
    column = table.column("gross_savings")
    gross = table.number(column, required=True)
    implied = gross - (acos["benchmark"] - acos["expenditures"])
    whole = (implied / unit).round() * unit
    wrong = (implied - whole).abs() > 0.1
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"gross savings are {number(implied[row], 2)} off benchmark less expenditures, which is no "
            f"multiple of ${unit}",
            file=table.path, column=column, line=table.lines[row],
        )  # fmt: skip
    return whole


def _given(path: Path) -> pl.DataFrame:
    table = read_table(path, ("aco_id", "health_equity_adjustment"))
    return pl.DataFrame(
        {
            "aco_id": table.identifiers(table.column("aco_id")),
            "health_equity_adjustment": table.number(table.column("health_equity_adjustment"), required=True),
        }
    )


PROGRAM = AcoReach()
