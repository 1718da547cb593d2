"""What every training ends with: the model and its evidence in the registry, in a folder, at the gate."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from riskmodels.files import write_json
from riskmodels.learning.bundle_folder import Bundle

if TYPE_CHECKING:
    from riskmodels.evaluation import CostEvaluation, Evaluation
    from riskmodels.learning.registry import LoggedModel, Promotion

__all__ = ["BASELINES", "DRIVERS", "SUMMARY", "check_targets", "register", "write_evidence"]

SUMMARY, BASELINES, DRIVERS, CARD = "training.json", "baselines.json", "drivers.json", "MODEL_CARD.md"
B = TypeVar("B", bound=Bundle)
Files = Callable[[Path], Mapping[str, Path]]


def check_targets(out: str | Path | None, tracking_uri: str | None) -> None:
    """Refuse what `register` could not write to, before the long work.

    Raises
    ------
    RegistryError
        `out` holds something else than a model, or the registry cannot be written to.
    """
    from riskmodels.learning.bundle_folder import refuse_other
    from riskmodels.learning.tracking import answer

    if out is not None:
        refuse_other(out)
    answer(tracking_uri)


def register(
    bundle: B,
    evaluation: "Evaluation | CostEvaluation",
    params: Mapping[str, Any],
    comparison: Mapping[str, Any] | None,
    *,
    plots: Files,
    evidence: Files,
    tracking_uri: str | None,
    out: str | Path | None,
    promote: bool,
) -> "tuple[B, LoggedModel, Promotion | None]":
    """Log and register a fitted model, save it to a folder and ask the gate, where that is wanted.

    Parameters
    ----------
    comparison : mapping, optional
        See `riskmodels.learning.gate.compare_with_champion`.
    plots, evidence : callable
        Write their files into a folder and return them by name.

    Returns
    -------
    bundle, logged, promotion
        The model with its version in the registry, where it is, and what the gate said.
    """
    from riskmodels.learning.registry import log_model
    from riskmodels.learning.registry import promote as ask_gate

    with tempfile.TemporaryDirectory() as folder:
        logged = log_model(
            bundle,
            evaluation,
            plots=plots(Path(folder)),
            params=params,
            tracking_uri=tracking_uri,
            comparison=comparison,
            artifacts=evidence(Path(folder)),
        )
    bundle = bundle.called({"version": logged.version})
    if out is not None:
        bundle.save(out, replace=True)
    promotion = ask_gate(logged.name, version=logged.version, tracking_uri=tracking_uri) if promote else None
    return bundle, logged, promotion


def write_evidence(folder: Path, summary: Any, baselines: Any, drivers: Any, card: str) -> dict[str, Path]:
    """Write what a report needs beside the evaluation; return the files by name."""
    for name, part in ((SUMMARY, summary), (BASELINES, baselines), (DRIVERS, drivers)):
        write_json(folder / name, part)
    (folder / CARD).write_text(card, encoding="utf-8")
    return {name: folder / name for name in (SUMMARY, BASELINES, DRIVERS, CARD)}
