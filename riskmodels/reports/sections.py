"""What each section of a report shows, as plain values ready for the template."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import polars as pl

from riskmodels.evaluation import Evaluation, format_metric, metric_label, suppress_small
from riskmodels.evaluation.metrics import format_interval
from riskmodels.evaluation.suppression import SMALLEST_CELL
from riskmodels.reports import evaluation_plots as plots
from riskmodels.reports.style import to_svg
from riskmodels.reports.summary import TrainingSummary
from riskmodels.reports.writing import count, decimal, percent, small_count

__all__ = ["comparison_view", "drivers_view", "evaluation_view", "figure_view", "training_view"]

COMPARED = ("auroc", "auprc", "brier", "calibration_slope", "ppv@top10%")
GROUPED = ("auroc", "calibration_slope", "observed_expected")
LIMITS = ("value", "lower", "upper")
DIFFERENCES = ("difference", "difference_lower", "difference_upper")
MOST_PROFILES = 8
# The metrics of ranking come first: AUROC, AUPRC, sensitivity and PPV at three shares.
RANKED = 8


def figure_view(drawn: Any, name: str, title: str, description: str, caption: str = "") -> dict[str, str]:
    """Return a figure with its title, caption and SVG."""
    return {"title": title, "caption": caption, "svg": to_svg(drawn, name, description)}


def training_view(training: TrainingSummary) -> dict[str, Any]:
    """Return cohort flow, splits and features of section 2."""
    splits = pl.DataFrame(
        [
            {key: split.get(key) for key in ("name", "rows", "patients", "events")}
            for split in training.splits
        ],
        schema={"name": pl.String, "rows": pl.Int64, "patients": pl.Int64, "events": pl.Int64},
    ).with_columns(table=pl.lit(0))
    shown = suppress_small(splits, ["rows", "patients", "events"], within=["table"])
    roles = sorted(training.features, key=lambda feature: str(feature.get("role")))
    return {
        "flow": _flow(training.attrition),
        "splits": [
            {**row, "share": None if row["suppressed"] else row["events"] / row["rows"]}
            for row in shown.to_dicts()
        ],
        "roles": [
            (role, len(list(features))) for role, features in groupby(roles, lambda f: str(f.get("role")))
        ],
        "facts": [
            (name, value)
            for name, value in (
                ("Task", training.task),
                ("Source", training.source_format),
                (training.unit.capitalize(), small_count(training.n_rows)),
                ("Patients", small_count(training.n_patients)),
                ("With the outcome", f"{small_count(training.n_events)} ({_share(training)})"),
                ("Dates", " to ".join(filter(None, (training.first_date, training.last_date)))),
                ("Known as of", training.as_of),
                ("Model", " ".join(filter(None, (training.model_name, training.model_version)))),
                ("Kind", training.model_kind),
                ("Trained", training.created),
                ("Data fingerprint", training.data_fingerprint),
            )
            if value
        ],
    }


def _share(training: TrainingSummary) -> str:
    if 0 < training.n_events < SMALLEST_CELL or not training.n_rows:
        return "rate withheld"
    return percent(training.n_events / training.n_rows)


def _flow(attrition: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps of the cohort with what each left out.

    Steps that leave out 1 to 10 are joined with their neighbours, so that no such number can be worked out.
    """
    joined: list[dict[str, Any]] = []
    before: int | None = None
    waiting: list[str] = []
    for row in attrition:
        stays = int(row["stays"])
        waiting.append(str(row["step"]))
        left_out = None if before is None else before - stays
        if left_out is not None and 0 < left_out < SMALLEST_CELL:
            continue
        joined.append({"step": "; ".join(waiting), "stays": stays, "left_out": left_out})
        before, waiting = stays, []
    if waiting and joined:
        joined[-1]["step"] += "; " + "; ".join(waiting) + f" (fewer than {SMALLEST_CELL} left out)"
    first = joined[0]["stays"] if joined else 0
    return [{**row, "width": round(100 * row["stays"] / first, 2) if first else 0} for row in joined]


def evaluation_view(evaluation: Evaluation) -> dict[str, Any]:
    """Return metrics, figures and groups of section 3."""
    rows = [
        {
            "metric": metric_label(row["metric"]),
            "value": "withheld" if withheld else format_metric(row["metric"], row["value"]),
            "interval": "" if withheld else _interval(row["metric"], row["lower"], row["upper"]),
            "note": row["note"] or "",
        }
        for row in evaluation.metrics.to_dicts()
        for withheld in [evaluation.withheld(row["metric"])]
        if not row["metric"].startswith("net_benefit_gain")
    ]
    area, slope = evaluation["auroc"], evaluation["calibration_slope"]
    figures = [
        figure_view(
            plots.plot_calibration(evaluation), "calibration", "Calibration",
            f"Observed rate against predicted risk by quantile bin. Calibration slope {slope.value:.2f}.",
            "Patients in tenths of predicted risk. On the dashed line, as many had the outcome as was "
            "predicted. Below: how the predicted risks spread.",
        ),
        figure_view(
            plots.plot_decision_curve(evaluation), "decision", "Decision curve",
            "Net benefit over the risk threshold for the model, for flagging everybody and for nobody.",
            "Where the model's line is above both others, flagging by its risk does more good than flagging "
            "everybody or nobody.",
        ),
        figure_view(
            plots.plot_roc(evaluation), "roc", "ROC curve", f"ROC curve with area {area.value:.3f}.",
            "How many are flagged among those with and those without the outcome, at every threshold. "
            "The dashed line is guessing.",
        ),
        figure_view(
            plots.plot_precision_recall(evaluation), "precision", "Precision and recall",
            "Precision over recall of the model.",
            "How many of the flagged had the outcome, as more of the outcomes are found.",
        ),
    ]  # fmt: skip
    return {
        "tables": [rows[:RANKED], rows[RANKED:]],
        "figures": figures,
        "groups": _groups(evaluation),
        "warnings": evaluation.warnings,
    }


def _groups(evaluation: Evaluation) -> dict[str, Any] | None:
    frame = evaluation.by_group
    if frame.is_empty():
        return None
    rows = []
    for (group, level), part in frame.group_by("group", "level", maintain_order=True):
        values = {row["metric"]: row for row in part.to_dicts()}
        cells = [_cell(values[metric], "value", "lower", "upper") for metric in GROUPED]
        rows.append(
            {
                "group": group,
                "level": level,
                "n": count(part["n"][0]),
                "cells": cells,
                "suppressed": part["suppressed"][0],
            }
        )
    return {
        "columns": [metric_label(metric) for metric in GROUPED],
        "rows": rows,
        "any_suppressed": any(row["suppressed"] for row in rows),
        "figure": None if all(row["suppressed"] for row in rows) else _group_figure(evaluation),
    }


def _group_figure(evaluation: Evaluation) -> dict[str, str]:
    said = "AUROC with its interval for each group."
    return figure_view(
        plots.plot_groups(evaluation),
        "groups",
        "AUROC by group",
        said,
        "The dashed line is the value over all.",
    )


def comparison_view(comparison: pl.DataFrame, evaluation: Evaluation) -> dict[str, Any]:
    """Return the models side by side, with differences from the reference."""
    metrics = [metric for metric in COMPARED if metric in set(comparison["metric"])]
    reference = comparison["reference"][0]
    values: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for (model,), part in comparison.group_by("model", maintain_order=True):
        found = {row["metric"]: row for row in part.to_dicts()}
        chosen = [_safe(found[metric], evaluation) for metric in metrics]
        values.append({"model": model, "cells": [_cell(row, *LIMITS) for row in chosen]})
        if model != reference:
            differences.append({"model": model, "cells": [_cell(row, *DIFFERENCES) for row in chosen]})
    columns = [metric_label(metric).partition(" (")[0] for metric in metrics]
    return {"columns": columns, "rows": values, "differences": differences, "reference": reference}


def _safe(row: dict[str, Any], evaluation: Evaluation) -> dict[str, Any]:
    """Empty a metric, and its difference, from which a small cell could be worked out."""
    small = row["value"] is not None and evaluation.withheld(row["metric"], row["value"])
    return {**row, **dict.fromkeys(DIFFERENCES + LIMITS, None)} if small else row


def _cell(row: Mapping[str, Any], value: str, lower: str, upper: str) -> dict[str, str]:
    text = format_metric(row["metric"], row[value])
    if value == "difference" and text[0].isdigit():
        text = f"+{text}"
    return {"value": text, "interval": _interval(row["metric"], row[lower], row[upper])}


def _interval(metric: str, lower: float | None, upper: float | None) -> str:
    return format_interval(metric, lower, upper).replace("-", "–")


def drivers_view(drivers: pl.DataFrame) -> dict[str, Any]:
    """Return the importance figure and, for the strongest features, the effect of each range of values."""
    strongest = drivers.head(MOST_PROFILES).to_dicts()
    widest = max((abs(b["mean_shap"]) for row in strongest for b in row["bins"]), default=1.0) or 1.0
    names = ", ".join(row["label"] for row in strongest[:3])
    return {
        "figure": figure_view(
            plots.plot_drivers(drivers), "drivers", "Strongest drivers",
            f"Mean absolute SHAP value by feature; the strongest are {names}.",
            "How far a feature moves the log-odds on average over patients, up or down.",
        ),
        "profiles": [
            {
                "label": row["label"],
                "direction": row["direction"] if row["direction"].startswith("higher") else "",
                "bins": [
                    {
                        "bin": b["bin"].replace("_", " "),
                        "n": count(b["n"]),
                        "odds": f"×{decimal(2.718281828459045 ** b['mean_shap'])}",
                        "width": round(50 * abs(b["mean_shap"]) / widest, 2),
                        "raises": b["mean_shap"] > 0,
                    }
                    for b in row["bins"]
                    if b["n"] >= SMALLEST_CELL
                ],
            }
            for row in strongest
        ],
        "rest": max(0, drivers.height - MOST_PROFILES),
    }  # fmt: skip
