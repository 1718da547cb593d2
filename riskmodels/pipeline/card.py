"""A model card: what a model is for, what it was learned from, how good it is and where it may not be used.

The sections follow Mitchell et al. 2019, Model Cards for Model Reporting (FAT* 2019, 220-229).
"""

from importlib import resources
from typing import Any

import polars as pl

from riskmodels.pipeline.fit import Fitted

__all__ = ["model_card"]

METRICS = ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept", "ece")
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


def model_card(fitted: Fitted) -> str:
    """Return the model card of a training as Markdown; it holds aggregates only, small cells withheld."""
    import jinja2

    from riskmodels.evaluation import metric_label

    template = resources.files("riskmodels.pipeline") / "templates" / "model_card.md"
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    evaluation = fitted.evaluation
    metrics = evaluation.metrics.filter(pl.col("metric").is_in(METRICS))
    content = {
        "summary": fitted.summary,
        "predicted": WHEN[fitted.summary["unit"]],
        "whom": WHOM[fitted.summary["unit"]],
        "evaluation": evaluation,
        "predict": bool(fitted.bundle.predict_features),
        "metrics": [{"label": metric_label(row["metric"]), **_shown(row)} for row in metrics.to_dicts()],
        "rivals": [{"model": row["model"], **_shown(row)} for row in _auroc(fitted.baselines)],
        "groups": [
            {"group": row["group"], "level": row["level"], **_shown(row)}
            for row in _auroc(evaluation.by_group)
        ],
        "drivers": fitted.drivers.head(DRIVERS).to_dicts(),
    }
    return environment.from_string(template.read_text(encoding="utf-8")).render(content) + "\n"


def _auroc(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.filter(pl.col("metric") == "auroc").to_dicts()


def _shown(row: dict[str, Any]) -> dict[str, str]:
    from riskmodels.evaluation import format_interval, format_metric

    if row["value"] is None:
        return {"value": WITHHELD, "interval": ""}
    return {
        "value": format_metric(row["metric"], row["value"]),
        "interval": format_interval(row["metric"], row["lower"], row["upper"]) or "",
    }
