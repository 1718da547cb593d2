"""What is written about a model in the registry: signature, example, requirements, parameters, metrics."""

import re
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from riskmodels import __version__
from riskmodels.learning.bundle_folder import Bundle

if TYPE_CHECKING:
    import pandas as pd

    from riskmodels.evaluation import CostEvaluation, Evaluation

__all__ = ["flat", "headline", "metrics_of", "requirements", "short", "signature", "synthetic_example"]

REQUIREMENTS = ("lightgbm", "narwhals", "numpy", "pandas", "polars", "pyarrow", "pyyaml", "scikit-learn")


def synthetic_example(bundle: Bundle) -> "pd.DataFrame":
    """Return one made-up row of features: typical values of each column by itself, no patient's row."""
    import pandas as pd

    columns = {
        column.name: [column.typical if column.kind == "category" else float(column.typical or 0)]
        for column in bundle.contract.columns
    }
    return pd.DataFrame(columns)


def signature(bundle: Bundle) -> Any:
    """Return the signature: every feature by name, numbers as doubles, so that a missing value is allowed."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    inputs = [
        ColSpec(DataType.string if column.kind == "category" else DataType.double, column.name)
        for column in bundle.contract.columns
    ]
    outputs = [ColSpec(DataType[kind], name) for name, kind in bundle.OUTPUTS.items()]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def requirements() -> list[str]:
    """Return the pinned packages that the model needs; given, MLflow need not infer them."""
    pinned = [f"{name}=={metadata.version(name)}" for name in REQUIREMENTS]
    return [f"riskmodels=={__version__}", *pinned]


def metrics_of(evaluation: "Evaluation | CostEvaluation") -> dict[str, float]:
    """Return the metrics with their limits under names that MLflow accepts; undefined ones are left out."""
    rows = evaluation.metrics.to_dicts()
    named = {
        f"{row['metric']}{suffix}": row[key]
        for row in rows
        for key, suffix in (("value", ""), ("lower", "_lower"), ("upper", "_upper"))
    }
    return {re.sub(r"[^\w\-. /:]", "_at_", name): float(v) for name, v in named.items() if v is not None}


def headline(evaluation: "Evaluation | CostEvaluation") -> dict[str, str]:
    """Return the metrics that the gate rests on, with their limits, as tags of a version."""
    from riskmodels.evaluation import CostEvaluation

    cost = isinstance(evaluation, CostEvaluation)
    found = {}
    for name in ("r2", "mae", "predictive_ratio") if cost else ("auroc", "calibration_slope"):
        part = evaluation[name]
        found[name] = f"{part.value:.4f} ({part.lower:.4f}-{part.upper:.4f})"
    return found


def flat(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested parameters as pairs of ``outer.inner`` and value."""
    found: list[tuple[str, Any]] = []
    for key, value in params.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def short(value: Any) -> str:
    """Return a parameter as text of a length that MLflow takes."""
    text = str(value)
    return text if len(text) <= 500 else f"{text[:497]}..."
