"""The first page: what a run says in five lines, and the few numbers a reader looks for."""

import math
from typing import Any

import polars as pl

from riskmodels.evaluation import Evaluation, format_metric
from riskmodels.evaluation.metrics import format_interval
from riskmodels.evaluation.result import Interval
from riskmodels.reports.sections import training_view
from riskmodels.reports.summary import TrainingSummary
from riskmodels.reports.writing import count, listed, percent, small_count

__all__ = ["headline", "tiles"]

# The promotion gate of the registry: beyond these, predicted risks mislead at face value.
FACE_VALUE = (0.8, 1.25)


def headline(
    training: TrainingSummary,
    evaluation: Evaluation | None,
    comparison: pl.DataFrame | None,
    drivers: pl.DataFrame | None,
    benchmark: dict[str, Any] | None,
    payment: dict[str, Any] | None,
) -> list[str]:
    """Return at most five sentences, each a line of the summary."""
    facts = dict(training_view(training)["facts"])
    dates = f", {facts['Dates']}" if facts.get("Dates") else ""
    rate = facts["With the outcome"].partition("(")[2].rstrip(")")
    source = f" of {training.source_format} data" if training.source_format else ""
    learned = (
        f"Learned from {small_count(training.n_rows)} {training.unit} of {small_count(training.n_patients)} "
        f"patients{source}{dates}; {rate} had {training.outcome}."
    )
    lines = [learned]
    if evaluation is not None:
        lines += [_discrimination(evaluation, comparison), _use(evaluation)]
    if drivers is not None and not drivers.is_empty():
        top = drivers.head(3)
        lines.append(
            f"Strongest drivers of predicted risk: {'; '.join(top['label'])} "
            f"({percent(float(top['share'].sum()), 0)} of all SHAP effect)."
        )
    consequence = []
    if benchmark is not None:
        consequence.append(
            f"Of {count(benchmark['shown'])} hospitals large enough to show, {benchmark['above']} had more "
            f"outcomes than expected for their patients and {benchmark['below']} fewer (95% intervals)."
        )
    if payment is not None:
        stake = f", {payment['total']} in all" if payment["total"] else ""
        stake += f" (95% interval {payment['total_interval']})" if stake and payment["total_interval"] else ""
        consequence.append(
            f"{payment['title']}: {count(payment['penalised'])} of {count(payment['entities'])} hospitals "
            f"have a payment reduction, at most {payment['largest']}{stake}."
        )
    return [line for line in (*lines, " ".join(consequence)) if line]


def _discrimination(evaluation: Evaluation, comparison: pl.DataFrame | None) -> str:
    area = evaluation["auroc"]
    if math.isnan(area.value):
        return "The patients kept back are all with, or all without, the outcome: the model cannot be judged."
    others = ""
    if comparison is not None:
        reference = comparison["reference"][0]
        found = comparison.filter((pl.col("metric") == "auroc") & (pl.col("model") != reference))
        named = [f"{row['model']} {format_metric('auroc', row['value'])}" for row in found.to_dicts()]
        others = f"; on the same rows {listed(named)}" if named else ""
    interval = format_interval("auroc", area.lower, area.upper).replace("-", "–")
    return (
        f"On {count(evaluation.n_rows)} cases of patients kept back, a case with the outcome had the higher "
        f"risk {area.value * 100:.0f} times in 100 (AUROC {area.value:.3f}"
        f"{f', {interval}' if interval else ''}{others})."
    )


def _use(evaluation: Evaluation) -> str:
    slope, ratio = evaluation["calibration_slope"], evaluation["observed_expected"]
    if math.isnan(slope.value):
        calibration = "Calibration could not be measured"
    elif evaluation.warnings:
        limits = format_interval("calibration_slope", slope.lower, slope.upper).replace("-", "–")
        calibration = (
            f"Too few outcomes to judge calibration (slope {slope.value:.2f}{limits and f', {limits}'})"
        )
    else:
        limits = format_interval("observed_expected", ratio.lower, ratio.upper).replace("-", "–")
        calibration = (
            f"Predicted risks {_at_face_value(slope, ratio)} (calibration slope {slope.value:.2f}, "
            f"observed/expected {ratio.value:.2f}{limits and f', {limits}'})"
        )
    if "ppv@top10%" not in set(evaluation.metrics["metric"]):
        return f"{calibration}."
    found, right = evaluation["sensitivity@top10%"].value, evaluation["ppv@top10%"].value
    if math.isnan(right) or evaluation.withheld("ppv@top10%"):
        return f"{calibration}."
    return (
        f"{calibration}. Flagging the tenth with the highest risk finds {found:.0%} of all outcomes; "
        f"{right:.0%} of those flagged have one."
    )


def _at_face_value(slope: Interval, ratio: Interval) -> str:
    """Return whether predicted risks can be taken as they are, by calibration slope and observed/expected."""
    if not all(FACE_VALUE[0] <= metric.value <= FACE_VALUE[1] for metric in (slope, ratio)):
        return "need recalibration before use"
    if ratio.upper < 1:
        return "are too high on average"
    if ratio.lower > 1:
        return "are too low on average"
    return "can be read as they stand"


def tiles(
    training: TrainingSummary,
    evaluation: Evaluation | None,
    benchmark: dict[str, Any] | None,
    payment: dict[str, Any] | None,
) -> list[dict[str, str]]:
    """Return the numbers at the top of the page."""
    shown = []
    for metric, label in (
        ("auroc", "AUROC"),
        ("calibration_slope", "Calibration slope"),
        ("ppv@top10%", "Right among the top 10% flagged"),
    ):
        if evaluation is not None and metric in set(evaluation.metrics["metric"]):
            found = evaluation[metric]
            if evaluation.withheld(metric):
                continue
            interval = format_interval(metric, found.lower, found.upper).replace("-", "–")
            shown.append({"label": label, "value": format_metric(metric, found.value), "note": interval})
    if not shown:
        shown.append({"label": training.unit, "value": small_count(training.n_rows), "note": ""})
    if benchmark is not None:
        shown.append(
            {
                "label": "Hospitals above / below expected",
                "value": f"{benchmark['above']} / {benchmark['below']}",
                "note": f"of {count(benchmark['shown'])} shown",
            }
        )
    if payment is not None:
        total = payment["total_short"]
        shown.append(
            {
                "label": "Dollars at stake" if payment["total"] else "Hospitals with a reduction",
                "value": total if payment["total"] else count(payment["penalised"]),
                "note": payment["total_interval_short"]
                if payment["total"]
                else f"of {count(payment['entities'])}",
            }
        )
    return shown
