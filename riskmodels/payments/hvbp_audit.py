"""The lines of a hospital's value-based purchasing audit: rates, points, domain scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from riskmodels.payments.audit import Line, number, where
from riskmodels.payments.hvbp_scoring import BASE, COMBINED, CONSISTENCY, PERSON, STRATA
from riskmodels.payments.rules import Rules

__all__ = ["explain_domain"]


def explain_domain(
    domain: str, rows: Sequence[Mapping[str, Any]], score: float | None, rules: Rules
) -> list[Line]:
    """Return the lines of one domain: each measure's rate and points, and the domain score.

    Parameters
    ----------
    domain : str
    rows : sequence of mapping
        The hospital's rows of the detail in this domain; none where the domain score was given.
    score : float or None
        The domain score.
    rules : Rules
    """
    lines = [Line(domain.replace("_", " ").capitalize())]
    for row in rows:
        lines += _measure(row, rows, rules)
    return [*lines, _domain_score(domain, rows, score, rules)]


def _measure(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], rules: Rules) -> list[Line]:
    name, score = str(row["measure"]), row["measure_score"]
    if row["achievement_threshold"] is None:
        return [_summed(name, score, rows, rules)]
    if row["performance_rate"] is None:
        return [Line(name, "not scored")]

    def place(column: str) -> str:
        return where(row["source_file"], row["source_line"], f"{name} {column}")

    achieved, improved = row["achievement_points"], row["improvement_points"]
    return [
        Line(f"{name} performance rate", number(row["performance_rate"]), source=place("Performance Rate")),
        Line(f"{name} baseline rate", number(row["baseline_rate"]), source=place("Baseline Rate")),
        Line(f"{name} achievement threshold", number(row["achievement_threshold"]),
             source=place("Achievement Threshold")),
        Line(f"{name} benchmark", number(row["benchmark"]), source=place("Benchmark")),
        Line(f"{name} achievement points", number(achieved), _achievement(row, rules),
             rules.cite("achievement_points")),
        Line(f"{name} improvement points", number(improved), _improvement(row, rules),
             rules.cite("improvement_points")),
        Line(f"{name} score", number(score), f"max({number(achieved)}, {number(improved)})"),
    ]  # fmt: skip


def _achievement(row: Mapping[str, Any], rules: Rules) -> str:
    rule, (rate, threshold, benchmark, sign) = rules["achievement_points"], _standards(row)
    if sign * (rate - benchmark) >= 0:
        return "at the benchmark or better"
    if sign * (rate - threshold) < 0:
        return "short of the threshold"
    fraction = f"({number(rate)} − {number(threshold)}) / ({number(benchmark)} − {number(threshold)})"
    raw = rule["scale"] * (rate - threshold) / (benchmark - threshold) + rule["offset"]
    return f"{rule['scale']} × {fraction} + {rule['offset']} = {number(raw, 4)}, to the nearest whole, 1 to 9"


def _improvement(row: Mapping[str, Any], rules: Rules) -> str:
    rule, (rate, _, benchmark, sign), base = (
        rules["improvement_points"],
        _standards(row),
        row["baseline_rate"],
    )
    if base is None:
        return "no baseline rate"
    if sign * (rate - base) <= 0:
        return "no better than the baseline"
    if sign * (rate - benchmark) >= 0:
        return "better than the baseline and at the benchmark or better"
    fraction = f"({number(rate)} − {number(base)}) / ({number(benchmark)} − {number(base)})"
    raw = rule["scale"] * (rate - base) / (benchmark - base) + rule["offset"]
    return (
        f"{rule['scale']} × {fraction} − {-rule['offset']} = {number(raw, 4)}, to the nearest whole, 0 to 9"
    )


def _standards(row: Mapping[str, Any]) -> tuple[float, float, float, int]:
    """Return rate, threshold, benchmark, and 1 where more is better, else −1."""
    threshold, benchmark = row["achievement_threshold"], row["benchmark"]
    return row["performance_rate"], threshold, benchmark, 1 if benchmark > threshold else -1


def _summed(name: str, score: float | None, rows: Sequence[Mapping[str, Any]], rules: Rules) -> Line:
    """Return the line of what is made of several measures."""
    if name == COMBINED:
        strata = [row for row in rows if row["measure"] in STRATA and row["measure_score"] is not None]
        terms = " and ".join(f"{row['measure']} {number(row['measure_score'])}" for row in strata)
        source = (
            "the weights, predicted infections, are not in the file: they follow from CMS's combined score"
        )
        formula = f"weighted mean of {terms}" if len(strata) == 2 else terms
        return Line(f"{name} points", number(score), formula, source if len(strata) == 2 else "")
    dimensions = [row for row in rows if row["achievement_threshold"] is not None]
    if score is None:
        return Line(f"{name} points", "none", source="a dimension is not scored")
    if name == BASE:
        return Line(
            f"{name} points", number(score), " + ".join(number(row["measure_score"]) for row in dimensions)
        )
    reach = {
        str(row["measure"]): (row["performance_rate"] - row["floor"])
        / (row["achievement_threshold"] - row["floor"])
        for row in dimensions
    }
    lowest, rule = min(reach, key=lambda measure: reach[measure]), rules["consistency_points"]
    formula = (
        f"{rule['scale']} × {number(reach[lowest])} − {-rule['offset']}, to the nearest whole, 0 to "
        f"{rule['highest']}; {lowest} is nearest to its floor"
    )
    return Line(f"{name} points", number(score), formula, rules.cite("consistency_points"))


def _domain_score(domain: str, rows: Sequence[Mapping[str, Any]], score: float | None, rules: Rules) -> Line:
    if not rows:
        return Line("domain score", number(score), source="the file of total performance scores")
    points = {str(row["measure"]): row["measure_score"] for row in rows}
    if domain == PERSON:
        formula = (
            f"{number(points.get(BASE))} + {number(points.get(CONSISTENCY))}" if score is not None else ""
        )
        return Line("domain score", number(score), formula, "base points + consistency points")
    scored = [value for name, value in points.items() if name not in STRATA and value is not None]
    needed, source = rules["minimum_measures"][domain], rules.cite("minimum_measures")
    if score is None:
        return Line("domain score", "none", f"{len(scored)} scored of at least {needed}", source)
    terms = " + ".join(number(value) for value in scored)
    return Line("domain score", number(score), f"({terms}) / {10 * len(scored)} × 100", source)
