"""A model card: what a model is for, what it was learned from, how good it is and where it may not be used.

The sections follow Mitchell et al. 2019, Model Cards for Model Reporting (FAT* 2019, 220-229).
"""

from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import polars as pl

from riskmodels.pipeline.fit import Fitted

if TYPE_CHECKING:
    from riskmodels.evaluation import CostComparison
    from riskmodels.pipeline.cost_fit import FittedCost

__all__ = ["cost_card", "model_card"]

METRICS = ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept", "ece")
COST_METRICS = ("r2", "predictive_ratio", "mae")
DRIVERS = 10
WITHHELD = "withheld"
WHEN = {
    "index discharges": "at discharge",
    "ED visits": "at the end of the visit",
    "admissions": "at admission",
    "person-years": "for a population on a date",
}
WHOM = {
    "index discharges": "patients who were just discharged",
    "ED visits": "patients who just left an emergency department",
    "admissions": "patients who were just admitted",
    "person-years": "the patients of a population",
}
TIMING = {
    "prospective": "expected from the year before",
    "concurrent": "expected from the same year's diagnoses",
}


def model_card(fitted: Fitted) -> str:
    """Return the model card of a training as Markdown; it holds aggregates only, small cells withheld."""
    summary, evaluation = fitted.summary, fitted.evaluation
    metrics = evaluation.metrics.filter(pl.col("metric").is_in(METRICS))
    return _render(
        "model_card.md",
        fitted,
        {
            "when": f"predicted {WHEN[summary['unit']]}",
            "whom": WHOM[summary["unit"]],
            "outcome": f"{summary['n_events']:,} had {summary['outcome']}",
            "amount": "outcomes",
            "splits": [f"{part['events']:,}" for part in summary["splits"]],
            "moved": "risk",
            "metrics": _labelled(metrics),
            "rivals": [{"model": row["model"], **_shown(row)} for row in _auroc(fitted.baselines)],
            "groups": [
                {"group": row["group"], "level": row["level"], **_shown(row)}
                for row in _auroc(evaluation.by_group)
            ],
            "warnings": evaluation.warnings,
        },
    )


def cost_card(fitted: "FittedCost") -> str:
    """Return the model card of a model of expected cost, as `model_card` does of a risk."""
    summary, comparison = fitted.summary, fitted.comparison
    rivals = _rivals(comparison, "truncated") + _rivals(fitted.untruncated, "in full")
    return _render(
        "cost_card.md",
        fitted,
        {
            "when": TIMING[fitted.bundle.timing],
            "timing": fitted.bundle.timing,
            "outcome": f"${summary['cost_pmpm']:,.2f} a person and month",
            "amount": "dollars a person and month",
            "splits": [f"{part['cost_pmpm']:,.2f}" for part in summary["splits"]],
            "moved": "expected cost",
            "metrics": _labelled(fitted.evaluation.metrics),
            "rivals": rivals,
            "ratios": [_ratio(row) for row in fitted.evaluation.ratios.to_dicts()],
            "warnings": (),
        },
    )


def _render(template: str, fitted: "Fitted | FittedCost", content: Mapping[str, Any]) -> str:
    import jinja2

    folder = resources.files("riskmodels.pipeline") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    parts = zip(fitted.summary["splits"], content["splits"], strict=True)
    splits = [{**part, "amount": amount} for part, amount in parts]
    return (
        environment.get_template(template).render(
            {
                **content,
                "summary": {**fitted.summary, "splits": splits},
                "evaluation": fitted.evaluation,
                "predict": len(fitted.bundle.predict_features),
                "drivers": fitted.drivers.head(DRIVERS).to_dicts(),
            }
        )
        + "\n"
    )


def _auroc(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.filter(pl.col("metric") == "auroc").to_dicts()


def _labelled(metrics: pl.DataFrame) -> list[dict[str, str]]:
    from riskmodels.evaluation import metric_label

    return [{"label": metric_label(row["metric"]), **_shown(row)} for row in metrics.to_dicts()]


def _rivals(comparison: "CostComparison", cost: str) -> list[dict[str, str]]:
    """Return a row a model, its metrics with their intervals as text."""
    rows: dict[str, dict[str, str]] = {}
    for row in comparison.metrics.filter(pl.col("metric").is_in(COST_METRICS)).to_dicts():
        shown = _shown(row)
        model = rows.setdefault(row["model"], {"model": row["model"], "cost": cost})
        model[row["metric"]] = f"{shown['value']} ({shown['interval']})"
    return list(rows.values())


def _ratio(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a predictive ratio as text, withheld where it rests on few persons."""
    named = {"group": row["group"], "level": row["level"]}
    if row["n"] is None:
        return named | dict.fromkeys(("n", "observed", "expected", "ratio"), WITHHELD) | {"interval": ""}
    ratio = _shown({**row, "metric": "predictive_ratio", "value": row["ratio"]})
    dollars = {key: f"${row[key]:,.0f}" for key in ("observed", "expected")}
    return {**named, "n": f"{row['n']:,}", **dollars, "ratio": ratio["value"], "interval": ratio["interval"]}


def _shown(row: Mapping[str, Any]) -> dict[str, str]:
    from riskmodels.evaluation import format_interval, format_metric

    if row["value"] is None:
        return {"value": WITHHELD, "interval": ""}
    return {
        "value": format_metric(row["metric"], row["value"]),
        "interval": format_interval(row["metric"], row["lower"], row["upper"]) or "",
    }
