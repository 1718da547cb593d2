"""What the sections on hospitals and payments show, as plain values ready for the template."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.evaluation.suppression import SMALLEST_CELL
from riskmodels.reports import hospital_plots as plots
from riskmodels.reports.sections import figure_view
from riskmodels.reports.summary import PaymentSummary
from riskmodels.reports.writing import count, decimal, dollar_span, dollars, percent, span

__all__ = ["benchmark_view", "payment_view", "withhold"]

MOST_HOSPITALS = 30
MOST_PAID = 18
BENCHMARK_COLUMNS = ("n", "observed", "expected", "ratio", "ratio_lower", "ratio_upper")

OBSERVED = "Observed outcomes of each hospital against what is expected of patients like its own."
PREDICTED = (
    "Risk-standardised: outcomes predicted with each hospital's own effect, which is drawn to the average "
    "where stays are few, over those expected of the same patients at an average hospital."
)


def withhold(benchmark: pl.DataFrame) -> pl.DataFrame:
    """Empty the figures of hospitals with a small cell, whoever made the benchmark.

    A hospital is withheld that its benchmark marks as suppressed, or that has fewer than 11 stays, or 1 to 10
    with or without the outcome.

    Raises
    ------
    DataError
        Where a column is missing.
    """
    for name in BENCHMARK_COLUMNS:
        if name not in benchmark.columns:
            raise DataError(
                "the benchmark lacks a column",
                column=name,
                fix="make one with: riskmodels benchmark TASK HISTORY",
            )
    small = SMALLEST_CELL - 1
    hidden = (
        (pl.col("suppressed").fill_null(True) if "suppressed" in benchmark.columns else pl.lit(False))
        | (pl.col("n") < SMALLEST_CELL)
        | pl.col("observed").is_between(1, small)
        | (pl.col("n") - pl.col("observed")).is_between(1, small)
        | pl.col("ratio").is_null()
    ).fill_null(True)
    figures = [name for name in benchmark.columns[1:] if benchmark[name].dtype.is_numeric()]
    return benchmark.with_columns(suppressed=hidden).with_columns(
        pl.when(~pl.col("suppressed")).then(pl.col(name)).alias(name) for name in figures
    )


def benchmark_view(benchmark: pl.DataFrame, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return funnel plot, caterpillar plot and table of what :func:`withhold` left."""
    entity = benchmark.columns[0]
    shown = benchmark.filter(~pl.col("suppressed")).sort("ratio", descending=True)
    above, below = (
        shown.filter(pl.col("ratio_lower") > 1).height,
        shown.filter(pl.col("ratio_upper") < 1).height,
    )
    half = MOST_HOSPITALS // 2
    chosen = shown if shown.height <= MOST_HOSPITALS else pl.concat([shown.head(half), shown.tail(half)])
    with_rate = "rate" in shown.columns
    predicted = "predicted" in shown.columns
    ratio = "Predicted over expected" if predicted else "Observed over expected"
    rows = [
        {
            "entity": row[entity],
            "n": count(row["n"]),
            "observed": count(row["observed"]),
            "expected": decimal(row["expected"], 1),
            "ratio": decimal(row["ratio"]),
            "interval": span(decimal(row["ratio_lower"]), decimal(row["ratio_upper"])),
            "rate": percent(row["rate"]) if with_rate else "",
            "mark": "worse" if row["ratio_lower"] > 1 else "better" if row["ratio_upper"] < 1 else "",
        }
        for row in chosen.to_dicts()
    ]
    return {
        "ratio": "Predicted/expected" if predicted else "Observed/expected",
        "lead": PREDICTED if predicted else OBSERVED,
        "entities": benchmark.height,
        "shown": shown.height,
        "suppressed": benchmark.height - shown.height,
        "above": above,
        "below": below,
        "rows": rows,
        "gap": half if shown.height > MOST_HOSPITALS else None,
        "left_out": max(0, shown.height - MOST_HOSPITALS),
        "with_rate": with_rate,
        "facts": _facts(metadata),
        "figures": [
            figure_view(
                plots.plot_funnel(benchmark), "funnel", "Funnel plot",
                f"{ratio} by expected number, {shown.height} hospitals, with control limits.",
                "Small hospitals scatter by chance alone: only points outside the limits differ from "
                "what was expected. Hollow: outside 95%; filled: outside 99.8%.",
            ),
            figure_view(
                plots.plot_caterpillar(benchmark), "caterpillar", "From lowest to highest",
                f"{ratio} with intervals for {shown.height} hospitals in order.",
                "Ranks say little where intervals overlap.",
            ),
        ],
    }  # fmt: skip


def _facts(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    features, area = metadata.get("features"), metadata.get("auroc")
    facts = (
        ("Expected outcomes from", str(metadata.get("model") or "")),
        ("Features of role adjust", count(len(features)) if features else ""),
        ("AUROC of the expected risks", "" if area is None else f"{area:.3f}"),
    )
    return [(label, text) for label, text in facts if text]


def payment_view(payment: pl.DataFrame, summary: PaymentSummary, hidden: set[str]) -> dict[str, Any]:
    """Return totals, figure, table and rules of section 6.

    Parameters
    ----------
    hidden : set of str
        Hospitals whose benchmark is withheld: from their payment the benchmark could be worked out.

    Raises
    ------
    DataError
        The payment lacks the factor or the reduction.
    """
    for name in ("payment_adjustment_factor", "payment_reduction"):
        if name not in payment.columns:
            raise DataError(
                "the payment lacks a column", column=name, fix="make one with: riskmodels pay hrrp"
            )
    entity = payment.columns[0]
    settled = payment.filter(pl.col("payment_reduction").is_not_null())
    shown = settled.filter(~pl.col(entity).cast(pl.String).is_in(list(hidden)))
    penalised = shown.filter(pl.col("payment_reduction") > 0)
    with_dollars = "payment_reduction_dollars" in payment.columns and (
        payment["payment_reduction_dollars"].null_count() < payment.height
    )
    order = ["payment_reduction_dollars" if with_dollars else "payment_reduction", entity]
    top = shown.sort(order, descending=[True, False], nulls_last=True).head(MOST_PAID)
    with_interval = "payment_adjustment_factor_lower" in payment.columns
    rows = [
        {
            "entity": row[entity],
            "factor": decimal(row["payment_adjustment_factor"], 4),
            "reduction": percent(row["payment_reduction"], 2),
            "interval": _reduction_interval(row) if with_interval else "",
            "dollars": dollars(row["payment_reduction_dollars"], short=True) if with_dollars else "",
            "dollars_interval": _dollar_interval(row) if with_dollars else "",
        }
        for row in top.to_dicts()
    ]
    total = float(settled["payment_reduction_dollars"].sum()) if with_dollars else None
    unverified = [rule["name"] for rule in summary.rules if not rule.get("verified", True)]
    if "unverified_parameters" in payment.columns:
        named = payment["unverified_parameters"].drop_nulls().unique().to_list()
        unverified += [name for text in named for name in text.split(", ") if name not in unverified]
    return {
        "title": summary.title,
        "entities": settled.height,
        "penalised": settled.filter(pl.col("payment_reduction") > 0).height,
        "mean": percent(settled["payment_reduction"].mean(), 2),  # type: ignore[arg-type]
        "largest": percent(shown["payment_reduction"].max(), 2),  # type: ignore[arg-type]
        "total": dollars(total) if total is not None else "",
        "total_interval": dollar_span(summary.dollars_lower, summary.dollars_upper),
        "total_short": dollars(total, short=True),
        "total_interval_short": dollar_span(summary.dollars_lower, summary.dollars_upper, short=True),
        "withheld": settled.height - shown.height,
        "rows": rows,
        "left_out": shown.height - top.height,
        "with_interval": with_interval,
        "with_dollars": with_dollars,
        "rules": [{**rule, "value": _rule(rule.get("value"))} for rule in summary.rules],
        "unverified": unverified,
        "notes": [_sentence(note) for note in summary.notes],
        "figure": figure_view(
            plots.plot_payment(shown, entity), "payment", "Payment reduction by hospital",
            f"Payment reduction of {penalised.height} penalised hospitals.",
            "Bars: the reduction; lines: its 95% interval." if with_interval else "",
        ),
    }  # fmt: skip


def _sentence(note: str) -> str:
    """Return a remark as a sentence of its own."""
    return f"{note[:1].upper()}{note[1:].rstrip('.')}."


def _reduction_interval(row: Mapping[str, Any]) -> str:
    low, high = row["payment_adjustment_factor_lower"], row["payment_adjustment_factor_upper"]
    if low is None or high is None:
        return ""
    return span(percent(1 - high, 2), percent(1 - low, 2))


def _dollar_interval(row: Mapping[str, Any]) -> str:
    low, high = row.get("payment_reduction_dollars_lower"), row.get("payment_reduction_dollars_upper")
    return dollar_span(low, high, short=True)


def _rule(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
