"""Learning: calibrated gradient-boosted risk models, their baselines and how they are tuned and explained."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riskmodels.learning.baselines import LogisticBaseline
    from riskmodels.learning.cost_model import CostModel
    from riskmodels.learning.risk_model import RiskModel

__all__ = ["CostModel", "LogisticBaseline", "RiskModel"]

_HOME = {
    "CostModel": "riskmodels.learning.cost_model",
    "LogisticBaseline": "riskmodels.learning.baselines",
    "RiskModel": "riskmodels.learning.risk_model",
}


def __getattr__(name: str) -> Any:
    """Import an estimator when it is first asked for: scikit-learn takes a second to import."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
