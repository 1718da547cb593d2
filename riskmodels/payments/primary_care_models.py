"""What each primary care model reads and pays."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.audit import dollars, number, percent
from riskmodels.payments.reading import Table
from riskmodels.payments.rules import Rules

__all__ = ["COMPONENTS", "formulas", "read_model", "settle_model"]

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "cpc+": ("care_management_fee", "performance_incentive", "incentive_returned", "comprehensive_payment"),
    "pcf": ("population_payment", "visit_fees", "performance_adjustment"),
    "flex": ("base_payment", "enhancements", "advance", "advance_recouped"),
}
Read = tuple[pl.DataFrame, tuple[str, ...], tuple[str, ...]]
"""The rows, the rule parameters that reading used, and notes."""
Formula = tuple[str, str]
"""How a figure came about, in numbers, and the source of the rule."""


def read_model(model: str, table: Table, rules: Rules) -> Read:
    """Return a model's rows: practice_id, tier, beneficiary_months and what else the model pays by."""
    return {"cpc+": _read_cpc, "pcf": _read_pcf, "flex": _read_flex}[model](table, rules)


def settle_model(model: str, frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the rows with their monthly rate and components, and the rule parameters used."""
    return {"cpc+": _settle_cpc, "pcf": _settle_pcf, "flex": _settle_flex}[model](frame, rules)


def _read_cpc(table: Table, rules: Rules) -> Read:
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
    earned, used = _earned(table, rules)
    share = _optional(table, "comprehensive_share", maximum=1)
    frame = pl.DataFrame(
        {
            "practice_id": table.keys(table.column("practice_id")),
            "tier": label,
            "beneficiary_months": table.number(table.column("beneficiary_months"), minimum=0, required=True),
            "earned_share": earned,
            "comprehensive_share": share,
            "historical_pbpm": _optional(table, "historical_pbpm"),
            "leakage_rate": _optional(table, "leakage_rate", maximum=1),
        }
    )
    shares = rules["comprehensive_payment"]["shares"]
    wrong = (share > 0) & ~share.is_in(shares)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(f"a comprehensive share of {share[row]:g} is none of {', '.join(map(str, shares))}",
                        file=table.path, column="comprehensive_share", line=table.lines[row])  # fmt: skip
    return frame, used, ()


def _earned(table: Table, rules: Rules) -> tuple[pl.Series, tuple[str, ...]]:
    """Return what a practice keeps of its incentive: given, or of its halves for quality and utilisation."""
    if column := table.find("earned_share"):
        return table.number(column, minimum=0, maximum=1, required=True), ()
    if not table.find("quality_earned"):
        return pl.Series([1.0] * table.frame.height), ()
    halves = rules["incentive_parts"]
    parts = [
        table.number(table.column(f"{name}_earned"), minimum=0, maximum=1, required=True) * weight
        for name, weight in halves.items()
    ]
    return parts[0] + parts[1], ("incentive_parts",)


def _read_pcf(table: Table, rules: Rules) -> Read:
    visits = _optional(table, "visits")
    used: list[str] = []
    leakage = _optional(table, "leakage_rate", maximum=1)
    if not table.find("leakage_rate") and table.find("visits_elsewhere"):
        elsewhere = _optional(table, "visits_elsewhere")
        every = visits + elsewhere
        leakage = pl.select(pl.when(every > 0).then(elsewhere / every).otherwise(0.0)).to_series()
    bounds = rules["performance_adjustment"]
    if column := table.find("adjustment"):
        adjustment = table.number(column, minimum=bounds["lowest"], maximum=bounds["highest"], required=True)
    elif table.find("performance_level"):
        adjustment = _performance(table, rules)
        used.append("performance_levels")
    else:
        adjustment = pl.Series([0.0] * table.frame.height)
    frame = pl.DataFrame(
        {
            "practice_id": table.keys(table.column("practice_id")),
            "tier": pl.Series([None] * table.frame.height, dtype=pl.String),
            "beneficiary_months": table.number(table.column("beneficiary_months"), minimum=0, required=True),
            "mean_risk_score": table.number(table.column("mean_risk_score"), minimum=0, required=True),
            "visits": visits,
            "leakage_rate": leakage,
            "geographic_adjustment": _optional(table, "geographic_adjustment", default=1.0),
            "adjustment": adjustment,
        }
    )
    return frame, tuple(used), ()


def _performance(table: Table, rules: Rules) -> pl.Series:
    """Return the performance adjustment: by level, with a bonus for improvement, behind a quality gateway."""
    levels = rules["performance_levels"]
    column = table.column("performance_level")
    words = table.frame[column].str.to_lowercase().str.replace(r"^level[ _]*", "")
    unknown = ~words.is_in(list(levels["level"]))
    if unknown.any():
        row = int(unknown.arg_max() or 0)
        raise DataError(f"{words[row]!r} is no level", file=table.path, column=column, line=table.lines[row],
                        fix=f"one of {', '.join(levels['level'])}")  # fmt: skip
    passed, improved = (_optional(table, name, default=float(value), maximum=1) == 1
                        for name, value in (("quality_gateway", 1), ("improved", 0)))  # fmt: skip
    by_level, bonus = (
        words.replace_strict(levels[name], default=0.0, return_dtype=pl.Float64)
        for name in ("level", "improvement")
    )
    earned = by_level + bonus * improved.cast(pl.Float64)
    return pl.select(pl.when(passed).then(earned).otherwise(levels["gateway_failed"])).to_series()


def _read_flex(table: Table, rules: Rules) -> Read:
    frame = pl.DataFrame(
        {
            "practice_id": table.keys(table.column("practice_id", "aco_id")),
            "tier": table.frame[table.column("county")],
            "beneficiary_months": table.number(table.column("beneficiary_months"), minimum=0, required=True),
            "county_rate": table.number(table.column("county_rate"), minimum=0, required=True),
            "risk_adjustment": _optional(table, "risk_adjustment", default=1.0),
            "county_enhancement": _optional(table, "county_enhancement"),
            "flex_enhancement": _optional(table, "flex_enhancement"),
            "first_year": _optional(table, "first_year", maximum=1) == 1,
            "shared_savings": _optional(table, "shared_savings"),
        }
    )
    differing = frame.group_by("practice_id").agg(pl.col("first_year", "shared_savings").n_unique())
    wrong = differing.filter((pl.col("first_year") > 1) | (pl.col("shared_savings") > 1))
    if wrong.height:
        raise DataError(f"first_year or shared_savings of {wrong['practice_id'][0]!r} differs by county",
                        file=table.path)  # fmt: skip
    given = [name for name in ("county_enhancement", "flex_enhancement") if table.find(name)]
    note = (
        "" if len(given) == 2 else "enhancements that are not given count as 0: CMS's amounts are not public"
    )
    return frame, (), (note,) if note else ()


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
    kept = pl.col("comprehensive_share") * (1 - pl.col("leakage_rate"))
    comprehensive = pl.col("historical_pbpm") * kept * rules["comprehensive_payment"]["uplift"] * months
    rows = frame.with_columns(
        fee.alias("rate"),
        (fee * months).alias("care_management_fee"),
        incentive.alias("performance_incentive"),
        (0.0 - incentive * (1 - pl.col("earned_share"))).alias("incentive_returned"),
        comprehensive.alias("comprehensive_payment"),
    )
    other = [
        f"{track} {tier}" for track, tiers in rules["care_management_fee_other"].items() for tier in tiers
    ]
    used = ["care_management_fee_published", "performance_incentive"]
    used += ["care_management_fee_other"] if frame["tier"].is_in(other).any() else []
    used += ["comprehensive_payment"] if (rows["comprehensive_payment"] > 0).any() else []
    return rows, tuple(used)


def _settle_pcf(frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
    group = pl.lit(None, dtype=pl.String)
    for step in reversed(rules["risk_groups"]):
        below = pl.col("mean_risk_score") < step["below"]
        group = pl.when(below).then(pl.lit(step["group"])).otherwise(group)
    rows = frame.with_columns(group.alias("tier"))
    rate = pl.col("tier").replace_strict(rules["population_payment"], return_dtype=pl.Float64)
    place = pl.col("geographic_adjustment")
    population = rate * pl.col("beneficiary_months") * (1 - pl.col("leakage_rate")) * place
    rows = rows.with_columns(
        rate.alias("rate"),
        population.alias("population_payment"),
        (rules["visit_fee"] * pl.col("visits") * place).alias("visit_fees"),
    )
    both = pl.col("population_payment") + pl.col("visit_fees")
    rows = rows.with_columns((both * pl.col("adjustment")).alias("performance_adjustment"))
    used = ["population_payment", "risk_groups", "performance_adjustment"]
    used += ["visit_fee"] if (frame["visits"] > 0).any() else []
    used += ["leakage_rule"] if (frame["leakage_rate"] > 0).any() else []
    return rows, tuple(used)


def _settle_flex(frame: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
    months = pl.col("beneficiary_months")
    base = pl.col("county_rate") * pl.col("risk_adjustment")
    first_row = pl.int_range(pl.len()).over("practice_id") == 0
    advance = pl.when(first_row & pl.col("first_year")).then(float(rules["advance"])).otherwise(0.0)
    recouped = pl.when(first_row).then(pl.min_horizontal("shared_savings", float(rules["advance"])))
    rows = frame.with_columns(
        (base + pl.col("county_enhancement") + pl.col("flex_enhancement")).alias("rate"),
        (base * months).alias("base_payment"),
        ((pl.col("county_enhancement") + pl.col("flex_enhancement")) * months).alias("enhancements"),
        advance.alias("advance"),
        (0.0 - recouped.fill_null(0.0)).alias("advance_recouped"),
    )
    used = ["prospective_payment"]
    used += ["advance"] if (rows["advance"] > 0).any() else []
    used += ["advance_recoupment"] if (rows["advance_recouped"] < 0).any() else []
    return rows, tuple(used)


def formulas(
    model: str, part: Mapping[str, Any], given: Mapping[str, Any], rules: Rules
) -> dict[str, Formula]:
    """Return how each component came about, in numbers, and its source.

    Parameters
    ----------
    model : str
        ``cpc+``, ``pcf`` or ``flex``.
    part, given : mapping
        The row of the detail, and the row of the input that it is of.
    rules : Rules
    """
    months, rate = number(part["beneficiary_months"], 2), dollars(part["rate"])
    if model == "cpc+":
        kept = f"{number(given['comprehensive_share'])} × (1 − {number(given['leakage_rate'])})"
        uplift = number(rules["comprehensive_payment"]["uplift"])
        fee = dollars(rules["performance_incentive"][str(part["tier"]).split(" ", maxsplit=1)[0]])
        held = dollars(part["performance_incentive"])
        return {
            "care_management_fee": (f"{rate} × {months}", ""),
            "performance_incentive": (f"{fee} × {months}, in advance", rules.cite("performance_incentive")),
            "incentive_returned": (f"−{held} × (1 − {number(given['earned_share'])} earned)", ""),
            "comprehensive_payment": (
                f"{dollars(given['historical_pbpm'])} × {kept} × {uplift} × {months}",
                rules.cite("comprehensive_payment"),
            ),
        }
    if model == "pcf":
        place, both = number(given["geographic_adjustment"]), f"{dollars(part['population_payment'])} + "
        return {
            "population_payment": (
                f"{rate} × {months} × (1 − {number(given['leakage_rate'])} leakage) × {place} by geography",
                rules.cite("leakage_rule") if given["leakage_rate"] else "",
            ),
            "visit_fees": (
                f"{dollars(rules['visit_fee'])} × {number(given['visits'])} visits × {place}",
                rules.cite("visit_fee"),
            ),
            "performance_adjustment": (
                f"{percent(given['adjustment'])} × ({both}{dollars(part['visit_fees'])})",
                rules.cite("performance_adjustment"),
            ),
        }
    added = f"({dollars(given['county_enhancement'])} + {dollars(given['flex_enhancement'])})"
    base = f"{dollars(given['county_rate'])} × {number(given['risk_adjustment'])}"
    shared = dollars(given["shared_savings"])
    return {
        "base_payment": (f"{base} × {months}", rules.cite("prospective_payment")),
        "enhancements": (f"{added} × {months}", ""),
        "advance": ("in the first year, once an ACO", rules.cite("advance")),
        "advance_recouped": (f"out of shared savings of {shared}", rules.cite("advance_recoupment")),
    }


def _optional(table: Table, name: str, *, default: float = 0.0, maximum: float | None = None) -> pl.Series:
    column = table.find(name)
    if column is None:
        return pl.Series([default] * table.frame.height)
    return table.number(column, minimum=0, maximum=maximum, required=True)
