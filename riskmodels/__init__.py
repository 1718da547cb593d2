"""Predictive risk modelling for value-based care: from patient histories to payments.

The names below are the whole flow; each room (`riskmodels.history`, `riskmodels.features`, ...) has more.
Rooms are imported when they are first used, so that ``import riskmodels`` is quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "ingest": "history",
    "open_history": "history",
    "check": "history",
    "simulate": "datasets",
    "load_task": "cohorts",
    "build_cohort": "cohorts",
    "build_features": "features",
    "standard_features": "features",
    "RiskModel": "learning",
    "CostModel": "learning",
    "evaluate": "evaluation",
    "compare": "evaluation",
    "train": "pipeline",
    "train_cost": "pipeline",
    "load_model": "learning.registry",
    "promote": "learning.registry",
    "score": "scoring",
    "benchmark": "benchmarks",
    "panel_benchmark": "benchmarks.panel",
    "target_prices": "benchmarks.target_prices",
    "intervene": "benchmarks.intervention",
    "score_history": "benchmarks.hcc",
    "pay": "payments",
    "report": "pipeline",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'riskmodels' has no attribute {name!r}")
    return getattr(import_module(f"riskmodels.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
