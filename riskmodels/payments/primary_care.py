"""Primary care models: CPC+, Primary Care First and ACO Primary Care Flex."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, where
from riskmodels.payments.primary_care_models import COMPONENTS, formulas, read_model, settle_model
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import read_table
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "PrimaryCare"]

_FEWEST = 1e-6
"""Beneficiary months below this are none, and a practice without any has no payment a month."""


class PrimaryCare(Program):
    """Monthly amounts by risk tier, visit fees, and an adjustment for performance.

    CPC+: a care management fee by track and tier, and an incentive that is paid in advance and returned as
    far as it is not earned. Primary Care First: a population payment by the practice's risk group, lowered by
    leakage, a flat fee a visit, and a performance adjustment of both. ACO Primary Care Flex: an advance, and
    a monthly payment by county with its enhancements.
    """

    name: ClassVar[str] = "primary-care"
    entity: ClassVar[str] = "practice_id"
    component: ClassVar[str] = "tier"
    options: ClassVar[Mapping[str, str]] = {"model": "'cpc+', 'pcf' or 'flex'"}
    changeable: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("beneficiary_months", "earned_share", "mean_risk_score", "leakage_rate", "visits", "adjustment",
         "historical_pbpm", "county_rate", "county_enhancement", "flex_enhancement", "shared_savings"),
        "practices",
    )  # fmt: skip
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **dict.fromkeys(("earned_share", "leakage_rate"), (0.0, 1.0)),
        "adjustment": (-0.10, 0.50),
    }

    def table_of(self, column: str, inputs: Inputs) -> str | None:
        """Return the table of an input, if the model has it."""
        name = super().table_of(column, inputs)
        return name if name and column in inputs.frames[name].columns else None

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read a row a practice and tier (CPC+), a practice (PCF), or an ACO and county (Flex)."""
        model = str(options.get("model", rules["models"][0])).lower()
        if model not in rules["models"]:
            raise SpecError(f"model {model!r} was not in {rules.year}: {', '.join(rules['models'])}")
        if len(paths) != 1:
            raise SpecError("primary-care takes one file")
        table = read_table(paths[0], ("practice_id|aco_id",))
        frame, used, notes = read_model(model, table, rules)
        frame = frame.with_columns(source_file=pl.lit(str(paths[0])), source_line=pl.Series(table.lines))
        twice = frame.filter(pl.struct("practice_id", "tier").is_duplicated())
        if twice.height:
            row = twice.row(1, named=True)
            raise DataError(f"{row['practice_id']} {row['tier'] or ''} is here twice", file=paths[0],
                            line=row["source_line"])  # fmt: skip
        return Inputs({"practices": frame}, {"model": model, "used": used}, notes)

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute the year's payments."""
        model, frame = inputs.options["model"], inputs.frames["practices"]
        rows, used = settle_model(model, frame, rules)
        used = (*used, *inputs.options.get("used", ()))
        parts = COMPONENTS[model]
        rows = rows.with_columns(pl.sum_horizontal(parts).alias("payment"))
        totals = rows.group_by("practice_id", maintain_order=True).agg(
            pl.col("beneficiary_months").sum(),
            *(pl.col(part).sum() for part in parts),
            pl.col("payment").sum(),
        )
        months = pl.when(pl.col("beneficiary_months") >= _FEWEST).then("beneficiary_months")
        totals = totals.with_columns((pl.col("payment") / months).alias("payment_pbpm"))
        keep = ["practice_id", "tier", "rate", "beneficiary_months", *parts, "payment"]
        return Settlement(totals, rows.select(*keep, "source_file", "source_line"), used)

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the payment of one practice."""
        row = settlement.frame.row(by_predicate=pl.col("practice_id") == entity, named=True)
        lines, model = [], inputs.options["model"]
        for part in settlement.detail.filter(practice_id=entity).iter_rows(named=True):
            place = where(part["source_file"], part["source_line"])
            lines += [
                Line(str(part["tier"])),
                Line("beneficiary months", number(part["beneficiary_months"], 2), source=place),
                Line(
                    "monthly rate",
                    dollars(part["rate"]),
                    source=rules.cite(_rate_parameter(inputs, part["tier"])),
                ),
            ]
            how = formulas(model, part, _given(inputs, entity, part["tier"]), rules)
            for name in COMPONENTS[model]:
                formula, source = how[name] if part[name] else ("", "")
                lines.append(Line(name.replace("_", " "), dollars(part[name]), formula, source))
        lines += [Line("Payment"), Line("payment of the year", dollars(row["payment"])),
                  Line("a beneficiary and month", dollars(row["payment_pbpm"]))]  # fmt: skip
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: practice {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return what performance has at stake: the payment at its worst and at its best."""
        if inputs.options["model"] == "cpc+":
            columns = {"earned_share": (0.0, 1.0)}
        elif inputs.options["model"] == "pcf":
            bounds = rules["performance_adjustment"]
            columns = {"adjustment": (bounds["lowest"], bounds["highest"])}
        else:
            columns = {"shared_savings": (float(rules["advance"]), 0.0)}
        name, (low, high) = next(iter(columns.items()))
        ends = []
        for value, label in ((low, "payment_at_worst"), (high, "payment_at_best")):
            frame = inputs.frames["practices"].with_columns(pl.lit(value).alias(name))
            totals = self.settle(Inputs({"practices": frame}, inputs.options), rules).frame
            ends.append(totals.select(pl.col("payment").alias(label)))
        return pl.concat([settlement.frame.select("practice_id", "payment"), *ends], how="horizontal")


def _given(inputs: Inputs, entity: str, tier: str) -> dict[str, Any]:
    """Return the row of the input that a row of the detail is of; PCF has one a practice, without a tier."""
    rows = inputs.frames["practices"].filter(practice_id=entity)
    return (rows if rows.height == 1 else rows.filter(tier=tier)).row(0, named=True)


def _rate_parameter(inputs: Inputs, tier: str) -> str:
    model = inputs.options["model"]
    if model == "cpc+":
        other = tier in ("track_2 tier_3", "track_2 tier_4")
        return "care_management_fee_other" if other else "care_management_fee_published"
    return "population_payment" if model == "pcf" else "prospective_payment"


PROGRAM = PrimaryCare()
