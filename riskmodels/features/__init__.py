"""Point-in-time features: what was known of a patient before an instant, in named columns with a role."""

from importlib import import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

from riskmodels.features.feature_set import FeatureColumn, FeatureSet
from riskmodels.features.library import standard_features
from riskmodels.features.sources import Encounters, Events, Window
from riskmodels.features.spec import (
    Any,
    Count,
    DaysSince,
    Distinct,
    Last,
    LookBack,
    Mean,
    Score,
    Slope,
    Static,
    Sum,
)

if TYPE_CHECKING:
    from riskmodels.features.build import FeatureFrame, build_features, build_shard_features
    from riskmodels.features.plan import Plan, make_plan
    from riskmodels.features.registering import register_aggregation
    from riskmodels.features.stored import describe_features, read_features
    from riskmodels.features.writing import write_features

__all__ = [
    "Any",
    "Count",
    "DaysSince",
    "Distinct",
    "Encounters",
    "Events",
    "FeatureColumn",
    "FeatureFrame",
    "FeatureSet",
    "Last",
    "LookBack",
    "Mean",
    "Plan",
    "Score",
    "Slope",
    "Static",
    "Sum",
    "Window",
    "build_features",
    "build_shard_features",
    "describe_features",
    "make_plan",
    "read_features",
    "register_aggregation",
    "standard_features",
    "write_features",
]

# These need Numba, whose import takes half a second.
_HOMES = {
    "FeatureFrame": "build",
    "Plan": "plan",
    "build_features": "build",
    "build_shard_features": "build",
    "make_plan": "plan",
    "describe_features": "stored",
    "read_features": "stored",
    "register_aggregation": "registering",
    "write_features": "writing",
}


def __getattr__(name: str) -> _Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
