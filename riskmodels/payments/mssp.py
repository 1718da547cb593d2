"""Medicare Shared Savings Program (42 CFR 425 subpart G): shared savings and losses of ACOs."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments import mssp_components, mssp_inputs, mssp_settlement
from riskmodels.payments.audit import Audit, Line, dollars, percent, where
from riskmodels.payments.mssp_audit import losses_lines, rate_line, recalculated_line, savings_lines, verdict
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "SharedSavings"]

_COMPONENTS = (
    "benchmark", "expenditures", "difference", "threshold", "generated_savings_losses", "shared",
    "sequestered", "limited", "disaster_adjustment", "earned_savings_losses",
)  # fmt: skip
_CHANGEABLE = (
    "benchmark", "expenditures", "quality_score", "assigned_beneficiaries", "disaster_adjustment",
    "revenue",
)  # fmt: skip
_COLUMNS = (
    "aco_id", "track", "assigned_beneficiaries", "benchmark", "expenditures", "generated_savings_losses",
    "minimum_savings_rate", "quality_score", "final_sharing_rate", "final_loss_rate", "savings_limit",
    "loss_limit", "disaster_adjustment", "earned_savings_losses",
)  # fmt: skip

_NO_REVENUE = (
    "an ACO of its kind owes at most a share of its participants' Medicare revenue, which is in no public "
    "file (option revenue)"
)


class SharedSavings(Program):
    """Benchmark less expenditures; shared from the minimum savings (or loss) rate on, at a rate of the track.

    ``earned = min(savings × sharing rate × (1 − sequestration), limit)``; losses are
    ``min(losses × loss rate, limit)`` less the adjustment for disasters, without sequestration.
    """

    name: ClassVar[str] = "mssp"
    entity: ClassVar[str] = "aco_id"
    component: ClassVar[str] = "component"
    options: ClassVar[Mapping[str, str]] = {
        "revenue": "file: aco_id, revenue (Medicare revenue of the ACO participants, dollars)",
        "benchmark": "file: what benchmarks are made of, in place of the published ones: aco_id, enrolment, "
        "trend_by1, trend_by2, national_growth, regional_growth, national_weight, ...",
    }
    changeable: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_CHANGEABLE, "acos"),
        **dict.fromkeys(mssp_components.CHANGEABLE, "components"),
    }
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **dict.fromkeys(("quality_score", "national_weight", "dual_share"), (0.0, 1.0)),
        "prior_savings": (-inf, inf),
    }

    def table_of(self, column: str, inputs: Inputs) -> str | None:
        """Return the table of an input; the parts of a benchmark only where it was rebuilt."""
        name = self.changeable.get(column)
        return name if name in inputs.frames else None

    def after_change(self, frames: dict[str, pl.DataFrame], column: str) -> dict[str, pl.DataFrame]:
        """Rebuild the benchmarks where a part of them changed."""
        if column not in mssp_components.CHANGEABLE:
            return frames
        return {**frames, "acos": mssp_inputs.with_rebuilt(frames["acos"], frames["components"])}

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read CMS's public use file of a performance year."""
        return mssp_inputs.read(paths, rules, options)

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute savings or losses and what is earned or owed."""
        steps = mssp_settlement.settle(inputs.frames["acos"], rules)
        _require_rates(steps)
        detail = (
            steps.select("aco_id", *_COMPONENTS)
            .unpivot(list(_COMPONENTS), index="aco_id", variable_name="component", value_name="amount")
            .join(steps.select("aco_id", pl.int_range(pl.len()).alias("row")), on="aco_id")
            .sort("row", maintain_order=True)
            .drop("row")
        )
        used = _used(steps, rules) + _rebuilt(inputs)
        return Settlement(steps.select(_COLUMNS), detail, used, _notes(steps, rules))

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the settlement of one ACO."""
        steps = mssp_settlement.settle(inputs.frames["acos"].filter(aco_id=entity), rules)
        row = steps.row(0, named=True)

        def place(column: str) -> str:
            return where(row["source_file"], row["source_line"], column)

        rate, benchmark = row["minimum_savings_rate"], row["benchmark"]
        rise = row["loss_rise"] if row["recalculated"] else 0.0
        lines = [
            Line("Savings or losses"),
            Line("track", row["track"], source=place("Current_Track")),
            *_benchmark_lines(inputs, rules, entity),
            Line("updated benchmark", dollars(benchmark - rise),
                 source="rebuilt" if _parts(inputs, entity).height else place("ABtotBnchmk")),
            *recalculated_line(row),
            Line("expenditures", dollars(row["expenditures"]), source=place("ABtotExp")),
            Line("difference", dollars(row["difference"]), "benchmark − expenditures", place("BnchmkMinExp")),
            rate_line(row, rules, place("MinSavPerc")),
            Line("threshold", dollars(row["threshold"]), f"{percent(rate)} × {dollars(benchmark)}"),
            Line("generated savings or losses", dollars(row["generated_savings_losses"]), verdict(row)),
        ]  # fmt: skip
        if row["generated_savings_losses"] > 0:
            lines += savings_lines(row, rules, place("QualScore"))
        elif row["generated_savings_losses"] < 0:
            lines += losses_lines(row, rules, place("DisAdj"))
        lines.append(Line("earned savings or losses", dollars(row["earned_savings_losses"])))
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(
            f"{rules.title}: ACO {entity}",
            tuple(lines),
            rules.unverified(_used(steps, rules) + _rebuilt(inputs, entity)),
        )

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return what an ACO would have to spend less to share in savings, and what full quality is worth.

        A row each ACO that is short of its minimum savings rate or of its track's full sharing rate.
        `expenditures_change` is in dollars (negative: to save; null where the rate is reached),
        `change_per_beneficiary` the same for each assigned beneficiary, `earned_there` what the ACO would
        earn at that point. `next_sharing_rate` is the rate that `next_rate_at` says how to reach, and
        `earned_at_next_rate` what the savings that there are would earn at it.
        """
        steps = mssp_settlement.settle(inputs.frames["acos"], rules)
        goal = pl.max_horizontal("threshold", pl.lit(1.0))
        kept = 1 - rules["sequestration"]
        # Who shares at a reduced rate below the minimum savings rate has the whole rate from there on.
        reduction = rules["reduced_sharing"]["factor"] if "reduced_sharing" in rules else 1.0
        rate = pl.col("final_sharing_rate") / pl.when("reduced").then(reduction).otherwise(1.0)
        short, top = rate < pl.col("maximum_share") - 1e-12, pl.col("maximum_share")
        savings = pl.when("saved").then("difference")
        needed = pl.when(~pl.col("saved")).then(pl.col("difference") - goal)
        by_score = "a quality score of 100%" if rules["quality"] == "score" else "the quality standard"
        return steps.filter(~pl.col("saved") | short).select(
            "aco_id",
            "difference",
            "threshold",
            needed.alias("expenditures_change"),
            (needed / pl.col("assigned_beneficiaries")).alias("change_per_beneficiary"),
            pl.when(~pl.col("saved"))
            .then(pl.min_horizontal(goal * rate * kept, "savings_limit"))
            .alias("earned_there"),
            pl.when(short).then(top).alias("next_sharing_rate"),
            pl.when(short).then(pl.lit(by_score)).alias("next_rate_at"),
            pl.when(short)
            .then(pl.min_horizontal(savings * top * kept, "savings_limit"))
            .alias("earned_at_next_rate"),
        )


def _require_rates(steps: pl.DataFrame) -> None:
    """Refuse an ACO with savings or losses whose rate a missing quality score leaves open."""
    shares = (pl.col("saved") | pl.col("reduced")) & pl.col("final_sharing_rate").is_null()
    owes = pl.col("lost") & pl.col("final_loss_rate").is_null()
    open_rate = steps.filter(shares | owes)
    if open_rate.height:
        row = open_rate.row(0, named=True)
        raise DataError(
            f"{row['aco_id']} has savings or losses and no quality score",
            file=row["source_file"],
            column="QualScore",
            line=row["source_line"],
        )


def _used(steps: pl.DataFrame, rules: Rules) -> tuple[str, ...]:
    """Return the parameters that the result rests on; a limit counts only where it binds."""
    used = ["maximum_share", "minimum_savings_rate_one_sided", "quality", "sequestration"]
    if steps["lost"].any():
        used += ["loss_rule", "loss_floor", "loss_ceiling"] + (
            ["loss_offset"] if "loss_offset" in rules else []
        )
    cut = steps.filter((pl.col("sequestered") - pl.col("limited")).abs() > 0)
    if (cut["shared"] > 0).any():
        used.append("savings_limit")
    if (cut["shared"] < 0).any():
        tracks = set(cut.filter(pl.col("shared") < 0)["track"])
        used += ["loss_limit_track_1_plus"] if "1+" in tracks else []
        used += ["loss_limit"] if tracks - {"1+"} else []
        used += ["revenue_loss_limit"] if tracks & set(rules.get("revenue_loss_limit", {})) else []
    if steps["reduced"].any():
        used.append("reduced_sharing")
    return tuple(used)


def _parts(inputs: Inputs, entity: str | None = None) -> pl.DataFrame:
    """Return what benchmarks were rebuilt from, for one ACO or all; none where they are published."""
    parts = inputs.frames.get("components", pl.DataFrame({"aco_id": []}, schema={"aco_id": pl.String}))
    return parts if entity is None else parts.filter(pl.col("aco_id") == entity)


def _rebuilt(inputs: Inputs, entity: str | None = None) -> tuple[str, ...]:
    """Return the parameters behind the rebuilt benchmarks."""
    parts = _parts(inputs, entity)
    if not parts.height:
        return ()
    used = ["risk_cap"]
    if parts["regional_by3"].null_count() != parts.height:
        used += ["regional_adjustment_weights", "regional_adjustment_limits"]
    return tuple(used)


def _benchmark_lines(inputs: Inputs, rules: Rules, entity: str) -> list[Line]:
    parts = _parts(inputs, entity)
    if not parts.height:
        return []
    made = mssp_components.rebuild(parts).row(0, named=True)
    years = "three benchmark years, trended and risk-adjusted to the third"
    people = f"{parts['person_years_py'].sum():,.0f} person years"
    new = bool(parts["from_2024"].any())
    part = "42 CFR 425.652" if new else "42 CFR 425.601"
    return [
        Line("historical benchmark per capita", dollars(made["historical_per_capita"]), years,
             f"{part}(a)(1)-(7)"),
        Line("regional adjustment per capita", dollars(made["regional_adjustment"]),
             source=rules.cite("regional_adjustment_limits")),
        Line("adjustment per capita", dollars(made["adjustment"]),
             "the larger of regional and prior savings" if new else "",
             f"{part}(a)(8)"),
        Line("updated benchmark per capita", dollars(made["updated_per_capita"]),
             f"(historical + adjustment) × risk ratio × growth, over {people}", f"{part}(a)(10), (b)"),
    ]  # fmt: skip


def _notes(steps: pl.DataFrame, rules: Rules) -> tuple[str, ...]:
    """Name the ACOs whose losses CMS limits by a revenue that was not given."""
    limited = pl.col("track").is_in(list(mssp_settlement.revenue_shares(rules)))
    # The files from PY 2018 on mark whom the revenue limits; without the mark anyone on these tracks may be.
    marked = pl.col("revenue_limited").fill_null(True) & pl.col("revenue").is_null()
    owing = steps.filter(limited & marked & (pl.col("earned_savings_losses") < 0))
    if not owing.height:
        return ()
    named = ", ".join(owing["aco_id"])
    return (f"{_NO_REVENUE}; limited by the benchmark alone: {named}",)


PROGRAM = SharedSavings()
