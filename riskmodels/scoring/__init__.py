"""Batch scoring: who is at what risk, and why, as things were known at an instant."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riskmodels.scoring.batch import ScoreSummary, read_scores, score

__all__ = ["ScoreSummary", "read_scores", "score"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("riskmodels.scoring.batch"), name)
