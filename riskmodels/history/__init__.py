"""Patient histories: the sharded store and the adapters that fill it from publishers' files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "History",
    "Part",
    "Plausibility",
    "QualityReport",
    "Shard",
    "check",
    "compare_with_usual",
    "ingest",
    "ingest_tables",
    "open_history",
    "write_history",
]

if TYPE_CHECKING:
    from riskmodels.history.comparing import compare_with_usual
    from riskmodels.history.ingesting import ingest, ingest_tables
    from riskmodels.history.opening import History, Shard, open_history
    from riskmodels.history.plausibility import Plausibility
    from riskmodels.history.quality import QualityReport, check
    from riskmodels.history.staging import Part
    from riskmodels.history.store import write_history

_HOMES = {
    "History": "opening",
    "Part": "staging",
    "Plausibility": "plausibility",
    "Shard": "opening",
    "QualityReport": "quality",
    "check": "quality",
    "compare_with_usual": "comparing",
    "ingest": "ingesting",
    "ingest_tables": "ingesting",
    "open_history": "opening",
    "write_history": "store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
