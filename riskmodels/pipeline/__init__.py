"""The rooms put together: training sets, trained and registered models, reports, the demo."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riskmodels.pipeline.cost_training import TrainedCost, train_cost
    from riskmodels.pipeline.demonstration import demo
    from riskmodels.pipeline.plan import TrainingPlan
    from riskmodels.pipeline.reporting import report
    from riskmodels.pipeline.training import Trained, train
    from riskmodels.pipeline.training_data import TrainingSet, training_set, write_training_set

__all__ = [
    "Trained",
    "TrainedCost",
    "TrainingPlan",
    "TrainingSet",
    "demo",
    "report",
    "train",
    "train_cost",
    "training_set",
    "write_training_set",
]

_HOMES = {
    "Trained": "training",
    "TrainedCost": "cost_training",
    "TrainingPlan": "plan",
    "TrainingSet": "training_data",
    "demo": "demonstration",
    "report": "reporting",
    "train": "training",
    "train_cost": "cost_training",
    "training_set": "training_data",
    "write_training_set": "training_data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
