"""Medicare Advantage capitation (42 CFR 422 F and G): county rate, bid, risk score, rebate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import read_table
from riskmodels.payments.rounding import round_half_up
from riskmodels.payments.rules import Rules

__all__ = ["PROGRAM", "MedicareAdvantage", "model_score", "payment_score"]

_FEWEST_MONTHS = 1e-6
_UNADJUSTED = (
    "the savings are of bid and benchmark at a risk factor of one (42 CFR 422.264(b)-(c)); "
    "savings_risk_factor gives the plan's"
)


class MedicareAdvantage(Program):
    """A ledger of member months: the lower of bid and benchmark, times the risk score, plus the rebate.

    A county's benchmark is its fee-for-service rate times 95% to 115% by quarter, plus the quality bonus. A
    plan that bids below its benchmark keeps a share of the difference as a rebate; one that bids above is
    paid the benchmark, and its members pay the difference as a premium.
    """

    name: ClassVar[str] = "ma-capitation"
    entity: ClassVar[str] = "member_id"
    component: ClassVar[str] = "component"
    options: ClassVar[Mapping[str, str]] = {
        "county_rates": "file: county, and benchmark, or ffs_rate and quartile (1 costliest), double_bonus, "
        "quartile_before, applicable_amount",
        "bid": "the plan's standardised bid, dollars a member and month",
        "stars": "the contract's star rating, 1 to 5; none for a new or small contract",
        "savings_risk_factor": "the plan's or state's average risk factor, which multiplies the savings (1)",
    }
    changeable: ClassVar[Mapping[str, str]] = {
        "raw_v24": "members",
        "raw_v28": "members",
        "months": "members",
        "county_benchmark": "members",
        "bid": "plan",
    }

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read members: member_id, county, months and the raw risk score of each model of the year."""
        if len(paths) != 1:
            raise SpecError("ma-capitation takes one file of members")
        if not options.get("county_rates"):
            raise SpecError("ma-capitation needs the counties' rates: give the option county_rates, a file")
        stars = None if options.get("stars") is None else _number(options["stars"], "stars", 1, 5)
        table = read_table(paths[0], ("member_id", "county"))
        empty = pl.Series([None] * table.frame.height, dtype=pl.Float64)
        raw = {
            f"raw_{model}": table.number(table.column(f"raw_{model}"), minimum=0, required=True)
            if model in rules["blend"]
            else empty
            for model in ("v24", "v28")
        }
        months = table.find("months")
        members = pl.DataFrame(
            {
                "member_id": table.identifiers(table.column("member_id")),
                "county": table.text(table.column("county")),
                "months": table.number(months, minimum=0, maximum=12, required=True)
                if months
                else empty.fill_null(1.0),
                **raw,
            }
        ).with_columns(source_file=pl.lit(str(paths[0])), source_line=pl.Series(table.lines))
        rates = _county_rates(Path(options["county_rates"]), rules, stars)
        absent = members.join(rates, on="county", how="anti")
        if absent.height:
            raise DataError(f"county {absent['county'][0]!r} has no rate", file=paths[0], column="county",
                            line=absent["source_line"][0])  # fmt: skip
        members = members.join(rates, on="county", how="left", maintain_order="left")
        bid = None if options.get("bid") is None else _number(options["bid"], "bid", 0, 1e6)
        plan = pl.DataFrame({"member_id": ["plan"], "bid": [bid]}, schema_overrides={"bid": pl.Float64})
        factor = options.get("savings_risk_factor")
        scale = 1.0 if factor is None else _number(factor, "savings_risk_factor", 0.01, 10)
        notes = (_UNADJUSTED,) if factor is None and bid is not None else ()
        chosen = {"stars": stars, "savings_risk_factor": scale}
        return Inputs({"members": members, "plan": plan}, chosen, notes)

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute risk scores, rates and payments."""
        bid, stars = inputs.frames["plan"]["bid"][0], inputs.options["stars"]
        frame = inputs.frames["members"].with_columns(payment_score(rules).alias("risk_score"))
        months, benchmark = pl.col("months"), pl.col("county_benchmark")
        # A plan without any member month has its counties' plain mean for a benchmark.
        weight = months if frame["months"].sum() >= _FEWEST_MONTHS else pl.ones(frame.height, eager=False)
        average = float(frame.select((benchmark * weight).sum() / weight.sum()).item())
        base = benchmark if bid is None else pl.lit(min(bid, average)) * benchmark / average
        share, used = _rebate_share(stars, rules)
        scale = inputs.options["savings_risk_factor"]
        rebate = 0.0 if bid is None else share * scale * max(average - bid, 0.0)
        premium = 0.0 if bid is None else max(bid - average, 0.0)
        frame = frame.with_columns(
            base.alias("base_rate"), pl.lit(rebate).alias("rebate"), pl.lit(premium).alias("member_premium")
        )
        frame = frame.with_columns((pl.col("base_rate") * pl.col("risk_score")).alias("capitation_pmpm"))
        frame = frame.with_columns(
            (pl.col("capitation_pmpm") + pl.col("rebate")).alias("payment_pmpm"),
            pl.lit(average).alias("plan_benchmark"),
        ).with_columns((pl.col("payment_pmpm") * months).alias("payment"))
        names = ["normalisation", "blend", "coding_adjustment", "score_decimals"]
        names += inputs.frames["members"]["rate_rule"].drop_nulls().unique().sort().to_list()
        if rebate:
            names += [used, "rebate_risk_adjusted"]
        if bid is not None and frame["county"].n_unique() > 1:
            names.append("county_adjustment")
        columns = ["member_id", "county", "months", "risk_score", "county_benchmark", "plan_benchmark",
                   "base_rate", "capitation_pmpm", "rebate", "member_premium", "payment_pmpm",
                   "payment"]  # fmt: skip
        detail = frame.select(
            "member_id", (pl.col("capitation_pmpm") * months).alias("capitation"), (pl.col("rebate") * months)
        ).unpivot(["capitation", "rebate"], index="member_id", variable_name="component", value_name="amount")
        return Settlement(frame.select(columns), detail.sort("member_id", maintain_order=True), tuple(names))

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the payment of one member."""
        row = settlement.frame.row(by_predicate=pl.col("member_id") == entity, named=True)
        given = inputs.frames["members"].row(by_predicate=pl.col("member_id") == entity, named=True)
        lines = [Line("Risk score")]
        for model, share in rules["blend"].items():
            place = where(given["source_file"], given["source_line"], f"raw_{model}")
            score = pl.DataFrame([given]).select(model_score(model, rules)).item()
            lines.append(
                Line(f"raw score, CMS-HCC {model.upper()}", number(given[f"raw_{model}"]), source=place)
            )
            lines.append(
                Line(f"payment score, {model.upper()}", number(score),
                     f"round(round({number(given[f'raw_{model}'])} / {rules['normalisation'][model]}) × "
                     f"(1 − {percent(rules['coding_adjustment'])})), weight {percent(share)}",
                     rules.cite("normalisation"))
            )  # fmt: skip
        bid = inputs.frames["plan"]["bid"][0]
        lines += [
            Line("risk score", number(row["risk_score"]), source=rules.cite("blend")),
            Line("Payment"),
            Line("county benchmark", dollars(row["county_benchmark"]),
                 source=f"the file of county rates, county {row['county']}"),
            Line("plan benchmark", dollars(row["plan_benchmark"]), "mean of the counties, by member months"),
            Line("bid", dollars(bid) if bid is not None else "none: paid the county benchmark"),
            *_explain_rates(row, bid, inputs.options, rules),
            Line("payment", dollars(row["payment"]),
                 f"{dollars(row['payment_pmpm'])} × {number(row['months'])} months", "42 CFR 422.304"),
        ]  # fmt: skip
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: member {entity}", tuple(lines), rules.unverified(settlement.used))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return, for each member, what a further tenth of a raw V28 point is worth."""
        raised = inputs.frames["members"].with_columns(pl.col("raw_v28") + 0.1)
        other = self.settle(Inputs({**inputs.frames, "members": raised}, inputs.options), rules)
        worth = (other.frame["payment"] - settlement.frame["payment"]).alias("payment_of_a_tenth_point")
        return settlement.frame.select("member_id", "risk_score", "payment", "rebate").with_columns(worth)


def payment_score(rules: Rules) -> pl.Expr:
    """Return the payment risk score: the year's models, each finished, blended and rounded."""
    blended = pl.sum_horizontal(share * model_score(model, rules) for model, share in rules["blend"].items())
    return round_half_up(blended, rules["score_decimals"])


def model_score(model: str, rules: Rules) -> pl.Expr:
    """Return one model's score: normalised, rounded, less the coding adjustment, rounded."""
    decimals = rules["score_decimals"]
    normalised = round_half_up(pl.col(f"raw_{model}") / rules["normalisation"][model], decimals)
    return round_half_up(normalised * (1 - rules["coding_adjustment"]), decimals)


def _rebate_share(stars: float | None, rules: Rules) -> tuple[float, str]:
    if stars is None:
        return rules["rebate_unrated"], "rebate_unrated"
    for step in rules["rebate_share"]:
        if stars < step["below"]:
            return step["share"], "rebate_share"
    return rules["rebate_share_top"], "rebate_share_top"


def _explain_rates(
    row: Mapping[str, Any], bid: float | None, chosen: Mapping[str, Any], rules: Rules
) -> list[Line]:
    """Return the lines from the bid to the capitation, the rebate and the members' premium."""
    county, average = dollars(row["county_benchmark"]), dollars(row["plan_benchmark"])
    capitation = f"{dollars(row['base_rate'])} × {number(row['risk_score'])}"
    month = Line("capitation a month", dollars(row["capitation_pmpm"]), capitation, "42 CFR 422.304(a)")
    if bid is None:
        return [Line("base rate", dollars(row["base_rate"]), "the county benchmark"), month]
    share, used = _rebate_share(chosen["stars"], rules)
    scale = chosen["savings_risk_factor"]
    times = "" if scale == 1 else f" × {number(scale)}"
    lines = [
        Line("base rate", dollars(row["base_rate"]),
             f"min({dollars(bid)}, {average}) × {county} / {average}"),
        month,
        Line("rebate a month", dollars(row["rebate"]),
             f"{percent(share)} × max({average} − {dollars(bid)}, 0){times}", rules.cite(used)),
    ]  # fmt: skip
    if row["member_premium"] > 0:
        lines.append(
            Line("premium of the member", dollars(row["member_premium"]), f"{dollars(bid)} − {average}")
        )
    return lines


def _county_rates(path: Path, rules: Rules, stars: float | None) -> pl.DataFrame:
    """Return each county's benchmark: as given, or from its fee-for-service rate, quarter and bonus.

    42 CFR 422.258(d): where the quarter changed (`quartile_before`) the mean of both percentages applies, and
    no benchmark is above the `applicable_amount`.
    """
    table = read_table(path, ("county",))
    county = table.identifiers(table.column("county"))
    given = table.find("benchmark")
    if given is not None:
        benchmark = table.number(given, minimum=1, required=True)
        rule = pl.Series([None] * len(county), dtype=pl.String)
        return pl.DataFrame({"county": county, "county_benchmark": benchmark, "rate_rule": rule})
    rate = table.number(table.column("ffs_rate"), minimum=1, required=True)
    quartile = table.number(table.column("quartile"), minimum=1, maximum=4, required=True, integer=True)
    before, ceiling = table.find("quartile_before"), table.find("applicable_amount")
    blank = pl.Series([None] * len(county), dtype=pl.Float64)
    last = table.number(before, minimum=1, maximum=4, integer=True).cast(pl.Float64) if before else blank
    most = table.number(ceiling, minimum=1) if ceiling else blank
    double = table.find("double_bonus")
    twice = table.number(double, minimum=0, maximum=1) == 1 if double else pl.Series([False] * len(county))
    rule = rules["quality_bonus"]
    bonus = rule["unrated"] if stars is None else rule["bonus"] if stars >= rule["stars"] else 0.0
    steps = dict(enumerate(rules["quartile_percent"], 1))
    frame = pl.DataFrame({"county": county, "rate": rate, "quartile": quartile, "last": last, "most": most,
                          "twice": twice})  # fmt: skip
    share, previous = (
        pl.col(name).cast(pl.Int64).replace_strict(steps, default=None, return_dtype=pl.Float64)
        for name in ("quartile", "last")
    )
    share = (share + pl.coalesce(previous, share)) / 2
    added = pl.when("twice").then(bonus * rule["double"]).otherwise(bonus)
    return frame.select(
        "county",
        pl.min_horizontal(pl.col("rate") * (share + added), "most").alias("county_benchmark"),
        pl.lit("quartile_percent").alias("rate_rule"),
    )


def _number(value: Any, name: str, low: float, high: float) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise SpecError(f"{name} {value!r} is not a number") from None
    if not low <= found <= high:
        raise SpecError(f"{name} {found:g} is not between {low:g} and {high:g}")
    return found


PROGRAM = MedicareAdvantage()
