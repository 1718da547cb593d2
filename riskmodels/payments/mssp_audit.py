"""The lines of an ACO's Shared Savings audit: minimum rate, quality, sharing, limits."""

from collections.abc import Mapping
from typing import Any

from riskmodels.payments.audit import Line, dollars, percent, where
from riskmodels.payments.rules import Rules

__all__ = ["losses_lines", "rate_line", "recalculated_line", "savings_lines", "verdict"]


def rate_line(row: Mapping[str, Any], rules: Rules, place: str) -> Line:
    """Return the line of the minimum savings rate: the file's where the ACO chose it, else by its size."""
    label, rate, people = (
        "minimum savings rate",
        percent(row["minimum_savings_rate"]),
        row["assigned_beneficiaries"],
    )
    bands = rules["minimum_savings_rate_one_sided"]
    band = next((band for band in bands if people <= band["to"]), None)
    if band is None or (row["two_sided"] and row["minimum_savings_rate"] == row["published_rate"]):
        return Line(label, rate, "chosen by the two-sided ACO", place)
    start, end = percent(band["start"]), percent(band["end"])
    share = f"({people:,} − {band['from']:,}) / ({band['to']:,} − {band['from']:,})"
    formula = f"{start} − ({start} − {end}) × {share}, by assigned beneficiaries"
    return Line(label, rate, formula, rules.cite("minimum_savings_rate_one_sided"))


def recalculated_line(row: Mapping[str, Any]) -> list[Line]:
    """Return the benchmark that losses are measured from, where it is not the updated one."""
    if not row["recalculated"]:
        return []
    why = f"{dollars(row['loss_rise'])} more without the prospective trend"
    return [Line("benchmark for losses", dollars(row["benchmark"]), why, "42 CFR 425.652(b)(5)")]


def verdict(row: Mapping[str, Any]) -> str:
    """Return in words where savings or losses stand to the threshold."""
    if row["saved"]:
        return "at least the threshold"
    if row["lost"]:
        return "losses of at least the threshold"
    if row["reduced"]:
        return "below the threshold, shared at a reduced rate"
    return "inside the threshold: nothing is shared"


def savings_lines(row: Mapping[str, Any], rules: Rules, place: str) -> list[Line]:
    """Return the lines from savings to what is paid."""
    share, generated = row["final_sharing_rate"], row["generated_savings_losses"]
    cut = rules["sequestration"]
    return [
        Line("Shared savings"),
        Line("quality score", percent(row["quality_score"]), source=place),
        Line("quality standard", *_standard(row)),
        Line("final sharing rate", percent(share, 6), _rate_formula(row, rules), rules.cite("quality")),
        Line("shared savings", dollars(row["shared"]), f"{dollars(generated)} × {percent(share, 6)}"),
        Line("after sequestration", dollars(row["sequestered"]), f"× (1 − {percent(cut)})",
             rules.cite("sequestration")),
        Line("after the limit", dollars(row["limited"]),
             f"at most {dollars(row['savings_limit'])}", rules.cite("savings_limit")),
    ]  # fmt: skip


def _standard(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return whether the quality standard was met, on what that rests, and where it stands."""
    file, line = row["source_file"], row["source_line"]
    if row["met_standard"] is None:
        return ("taken as met" if (row["quality_score"] or 0) > 0 else "not met"), "the file does not say", ""
    if row["met_standard"]:
        return "met", "", where(file, line, "Met_QPS")
    met = bool(row["met_alternative"])
    return "alternative met" if met else "not met", "", where(file, line, "Met_AltQPS" if met else "Met_QPS")


def _rate_formula(row: Mapping[str, Any], rules: Rules) -> str:
    """Return how the track's maximum, the quality and a reduction make the sharing rate."""
    top, met = percent(row["maximum_share"]), row["met_standard"]
    met = (row["quality_score"] or 0) > 0 if met is None else met
    scored = (
        rules["quality"] == "score" if met else rules["quality"] == "alternative" and row["met_alternative"]
    )
    if not (met or scored):
        return "none: the quality standard is not met"
    formula = f"maximum {top} × {percent(row['quality_score'])}" if scored else f"maximum {top}"
    return formula + (f" × {rules['reduced_sharing']['factor']}" if row["reduced"] else "")


def losses_lines(row: Mapping[str, Any], rules: Rules, place: str) -> list[Line]:
    """Return the lines from losses to what is owed."""
    rate, limit, generated = row["final_loss_rate"], row["loss_limit"], row["generated_savings_losses"]
    lines = [
        Line("Shared losses"),
        Line("final loss rate", percent(rate, 6), _loss_formula(row, rules), rules.cite("loss_rule")),
        Line("shared losses", dollars(row["shared"]), f"{dollars(generated)} × {percent(rate, 6)}"),
        Line("after the limit", dollars(row["limited"]), f"at most {dollars(limit)}",
             rules.cite("loss_limit_track_1_plus" if row["track"] == "1+" else "loss_limit")),
    ]  # fmt: skip
    if row["revenue_limited"] and row["revenue"] is None:
        lines.append(
            Line("note", "CMS limits these losses by the participants' revenue, which is not public")
        )
    if "loss_offset" in rules:
        lines.append(Line("offset", percent(rules["loss_offset"]), source=rules.cite("loss_offset")))
    lines.append(Line("disaster adjustment", dollars(row["disaster_adjustment"]), source=place))
    return lines


def _loss_formula(row: Mapping[str, Any], rules: Rules) -> str:
    """Return how track and quality make the rate at which losses are shared."""
    track = row["track"]
    if rules["loss_rule"][track] == "fixed":
        return "fixed for the track"
    floor, ceiling = percent(rules["loss_floor"][track]), percent(rules["loss_ceiling"][track])
    if row["met_standard"] is False and not row["met_alternative"]:
        return f"{ceiling}, since the quality standard is not met"
    share = f"{percent(row['maximum_share'])} × {percent(row['quality_score'])}"
    return f"1 − {share}, at least {floor} and at most {ceiling}"
