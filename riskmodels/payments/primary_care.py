"""Primary care models: care management fees (CPC+) and population payments (Primary Care First)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "PrimaryCare"]

_COMPONENTS = {
    "cpc+": ("care_management_fee", "performance_incentive", "incentive_returned"),
    "pcf": ("population_payment", "visit_fees", "performance_adjustment"),
}


class PrimaryCare(Program):
    """Monthly amounts by risk tier, visit fees, and an adjustment for performance.

    CPC+: a care management fee by track and tier, and an incentive that is paid in advance and returned as
    far as it is not earned. Primary Care First: a population payment by the practice's risk group, lowered by
    leakage, a flat fee a visit, and a performance adjustment of both.
    """

    name: ClassVar[str] = "primary-care"
    entity: ClassVar[str] = "practice_id"
    component: ClassVar[str] = "tier"
    options: ClassVar[Mapping[str, str]] = {"model": "'cpc+' or 'pcf'"}
    changeable: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("beneficiary_months", "earned_share", "mean_risk_score", "leakage_rate", "visits", "adjustment"),
        "practices",
    )

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read practices: for CPC+ a row a practice and tier, for Primary Care First a row a practice."""
        model = str(options.get("model", rules["models"][0])).lower()
        if model not in rules["models"]:
            raise SpecError(f"model {model!r} was not in {rules.year}: {', '.join(rules['models'])}")
        if len(paths) != 1:
            raise SpecError("primary-care takes one file")
        table = read_table(paths[0], ("practice_id",))
        frame = _cpc(table, rules) if model == "cpc+" else _pcf(table, rules)
        frame = frame.with_columns(source_file=pl.lit(str(paths[0])), source_line=pl.Series(table.lines))
        twice = frame.filter(pl.struct("practice_id", "tier").is_duplicated())
        if twice.height:
            row = twice.row(1, named=True)
            raise DataError(f"{row['practice_id']} {row['tier'] or ''} is here twice", file=paths[0],
                            line=row["source_line"])  # fmt: skip
        return Inputs({"practices": frame}, {"model": model})

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute the year's payments."""
        model, frame = inputs.options["model"], inputs.frames["practices"]
        rows, used = _settle_cpc(frame, rules) if model == "cpc+" else _settle_pcf(frame, rules)
        parts = _COMPONENTS[model]
        rows = rows.with_columns(pl.sum_horizontal(parts).alias("payment"))
        totals = rows.group_by("practice_id", maintain_order=True).agg(
            pl.col("beneficiary_months").sum(),
            *(pl.col(part).sum() for part in parts),
            pl.col("payment").sum(),
        )
        totals = totals.with_columns((pl.col("payment") / pl.col("beneficiary_months")).alias("payment_pbpm"))
        keep = ["practice_id", "tier", "rate", "beneficiary_months", *parts, "payment"]
        return Settlement(totals, rows.select(*keep, "source_file", "source_line"), used)

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the payment of one practice."""
        row = settlement.frame.row(by_predicate=pl.col("practice_id") == entity, named=True)
        lines = []
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
            for name in _COMPONENTS[inputs.options["model"]]:
                lines.append(Line(name.replace("_", " "), dollars(part[name])))
        if inputs.options["model"] == "pcf":
            given = inputs.frames["practices"].row(by_predicate=pl.col("practice_id") == entity, named=True)
            adjustment = percent(given["adjustment"])
            lines.append(
                Line("performance adjustment", adjustment, source=rules.cite("performance_adjustment"))
            )
        else:
            lines.append(Line("incentive", "paid in advance", source=rules.cite("performance_incentive")))
        lines += [Line("Payment"), Line("payment of the year", dollars(row["payment"])),
                  Line("a beneficiary and month", dollars(row["payment_pbpm"]))]  # fmt: skip
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: practice {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return what performance has at stake: the payment at its worst and at its best."""
        if inputs.options["model"] == "cpc+":
            columns = {"earned_share": (0.0, 1.0)}
        else:
            bounds = rules["performance_adjustment"]
            columns = {"adjustment": (bounds["lowest"], bounds["highest"])}
        name, (low, high) = next(iter(columns.items()))
        ends = []
        for value, label in ((low, "payment_at_worst"), (high, "payment_at_best")):
            frame = inputs.frames["practices"].with_columns(pl.lit(value).alias(name))
            totals = self.settle(Inputs({"practices": frame}, inputs.options), rules).frame
            ends.append(totals.select(pl.col("payment").alias(label)))
        return pl.concat([settlement.frame.select("practice_id", "payment"), *ends], how="horizontal")


def _cpc(table: Table, rules: Rules) -> pl.DataFrame:
    known = _fees(rules)
    track = table.frame[table.column("track")].str.replace(r"(?i)track[ _]*", "")
    tier = table.frame[table.column("tier")].str.to_lowercase().str.replace(r"^tier[ _]*", "")
    tier = pl.select(pl.when(tier == "complex").then(tier).otherwise("tier_" + tier)).to_series()
    label = "track_" + track + " " + tier
    unknown = ~label.is_in(list(known))
    if unknown.any():
        row = int(unknown.arg_max() or 0)
        raise DataError(f"{label[row]!r} is no tier of CPC+", file=table.path, column="track, tier",
                        line=table.lines[row], fix=f"one of {', '.join(known)}")  # fmt: skip
    earned = table.find("earned_share")
    return pl.DataFrame(
        {
            "practice_id": table.keys(table.column("practice_id")),
            "tier": label,
            "beneficiary_months": table.number(table.column("beneficiary_months"), minimum=0, required=True),
            "earned_share": table.number(earned, minimum=0, maximum=1, required=True)
            if earned
            else pl.Series([1.0] * table.frame.height),
        }
    )


def _pcf(table: Table, rules: Rules) -> pl.DataFrame:
    bounds = rules["performance_adjustment"]
    height = table.frame.height

    def optional(name: str, low: float, high: float | None) -> pl.Series:
        column = table.find(name)
        if column is None:
            return pl.Series([0.0] * height)
        return table.number(column, minimum=low, maximum=high, required=True)

    return pl.DataFrame(
        {
            "practice_id": table.keys(table.column("practice_id")),
            "tier": pl.Series([None] * height, dtype=pl.String),
            "beneficiary_months": table.number(table.column("beneficiary_months"), minimum=0, required=True),
            "mean_risk_score": table.number(table.column("mean_risk_score"), minimum=0, required=True),
            "visits": optional("visits", 0, None),
            "leakage_rate": optional("leakage_rate", 0, 1),
            "adjustment": optional("adjustment", bounds["lowest"], bounds["highest"]),
        }
    )


def _fees(rules: Rules) -> dict[str, float]:
    """Return the care management fees by 'track_1 tier_1'."""
    tables = (rules["care_management_fee_published"], rules["care_management_fee_other"])
    return {
        f"{track} {tier}": float(fee)
        for table in tables
        for track, tiers in table.items()
        for tier, fee in tiers.items()
    }


def _settle_cpc(frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
    months = pl.col("beneficiary_months")
    fee = pl.col("tier").replace_strict(_fees(rules), return_dtype=pl.Float64)
    track = pl.col("tier").str.extract(r"^(track_\d)")
    incentive = track.replace_strict(rules["performance_incentive"], return_dtype=pl.Float64) * months
    rows = frame.with_columns(
        fee.alias("rate"),
        (fee * months).alias("care_management_fee"),
        incentive.alias("performance_incentive"),
        (0.0 - incentive * (1 - pl.col("earned_share"))).alias("incentive_returned"),
    )
    other = {
        f"{track} {tier}" for track, tiers in rules["care_management_fee_other"].items() for tier in tiers
    }
    uses_other = frame["tier"].is_in(list(other)).any()
    used = ("care_management_fee_published", "performance_incentive")
    return rows, used + (("care_management_fee_other",) if uses_other else ())


def _settle_pcf(frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
    group = pl.lit(None, dtype=pl.String)
    for step in reversed(rules["risk_groups"]):
        group = (
            pl.when(pl.col("mean_risk_score") < step["below"]).then(pl.lit(step["group"])).otherwise(group)
        )
    rows = frame.with_columns(group.alias("tier"))
    rate = pl.col("tier").replace_strict(rules["population_payment"], return_dtype=pl.Float64)
    rows = rows.with_columns(
        rate.alias("rate"),
        (rate * pl.col("beneficiary_months") * (1 - pl.col("leakage_rate"))).alias("population_payment"),
        (rules["visit_fee"] * pl.col("visits")).alias("visit_fees"),
    )
    both = pl.col("population_payment") + pl.col("visit_fees")
    rows = rows.with_columns((both * pl.col("adjustment")).alias("performance_adjustment"))
    used = ["population_payment", "risk_groups", "performance_adjustment"]
    used += ["visit_fee"] if (frame["visits"] > 0).any() else []
    used += ["leakage_rule"] if (frame["leakage_rate"] > 0).any() else []
    return rows, tuple(used)


def _rate_parameter(inputs: Inputs, tier: str) -> str:
    if inputs.options["model"] == "pcf":
        return "population_payment"
    return (
        "care_management_fee_other"
        if tier in ("track_2 tier_3", "track_2 tier_4")
        else "care_management_fee_published"
    )


PROGRAM = PrimaryCare()
