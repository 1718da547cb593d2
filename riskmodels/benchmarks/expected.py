"""The expected risk of each stay: from `adjust` features only, by a model that has not seen the patient."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels.errors import SpecError
from riskmodels.progress import track

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn

__all__ = ["Expected", "cross_fitted_risk", "recalibrate", "refuse_predict_features"]

logger = logging.getLogger(__name__)

NEWTON_STEPS = 50
FEWEST_EVENTS = 50  # below, a slope is mostly noise: only the level is set


@dataclass(frozen=True)
class Expected:
    """Expected risks and where they come from.

    Parameters
    ----------
    risk : ndarray of float, shape (stays,)
        Between 0 and 1, in the order of the stays.
    source : mapping
        Plain data for the metadata of a benchmark.
    """

    risk: np.ndarray
    source: Mapping[str, Any]


def refuse_predict_features(columns: Sequence[Any], who: str, task: str | None = None) -> None:
    """Refuse features that a provider controls.

    Parameters
    ----------
    task : str, optional
        Then a feature that the standard ones of the task have as ``predict`` is refused under whatever role
        its own page gives it, such as a length of stay that is said to be ``adjust``.

    Raises
    ------
    SpecError
        Names the features of role ``predict``.
    """
    from riskmodels.features import standard_features

    roles = {} if task is None else standard_features(task).roles
    names = [column.name for column in columns if "predict" in (column.role, roles.get(column.name))]
    if names:
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        raise SpecError(
            f"{who} cannot say what was to be expected: it uses {len(names)} feature"
            f"{'s' if len(names) > 1 else ''} of role 'predict' ({shown}), which the provider influences, "
            "so that "
            "adjusting for them would excuse what is to be measured\n"
            "Fix: use a model fitted on features of role 'adjust' only (riskmodels train --config with "
            "role: adjust), or none, and one is fitted"
        )


def cross_fitted_risk(
    frame: pl.DataFrame,
    outcome: np.ndarray,
    person: np.ndarray,
    columns: Sequence["FeatureColumn"],
    *,
    folds: int = 5,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
) -> Expected:
    """Return the risk of each stay from a model fitted on other patients.

    Each fold of patients is predicted by trees that were fitted, and stopped early, on the other folds. The
    predictions of all folds are then calibrated together: see `recalibrate`.

    Parameters
    ----------
    frame : pl.DataFrame, shape (stays, features)
        The features.
    outcome : ndarray of int, shape (stays,)
        0 or 1.
    person : ndarray of int, shape (stays,)
        Whose stay it is.
    """
    from riskmodels.learning import RiskModel
    from riskmodels.learning.tuning import history_parameters

    refuse_predict_features(columns, "the feature set")
    names = [column.name for column in columns]
    fold = _folds(person, folds, seed)
    log_odds = np.empty(len(outcome))
    settings = {
        "calibration": None,
        "calibration_fraction": 0.0,
        "folds": None,  # the folds are here, and recalibration comes after
        "random_state": seed,
        **history_parameters(len(outcome)),
        **(parameters or {}),
    }
    for number in track(range(folds), "Fitting what is to be expected", unit="fold"):
        held_out = fold == number
        model = RiskModel(**settings).fit(
            frame.filter(~held_out).select(names),
            outcome[~held_out],
            groups=person[~held_out],
            columns=columns,
        )
        log_odds[held_out] = model.predict_raw(frame.filter(held_out).select(names))
    risk, slope = recalibrate(log_odds, outcome)
    return Expected(
        risk,
        {
            "model": f"{folds}-fold cross-fitted by patient",
            "model_version": "cross-fitted",
            "features": names,
            "folds": folds,
            "slope_of_the_recalibration": slope,
        },
    )


def recalibrate(log_odds: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, float]:
    """Return risks whose log-odds are a + b x `log_odds`, with a and b by maximum likelihood; and b.

    The score equation of a makes the expected outcomes sum to the observed ones. With fewer than 50 of either
    outcome b stays 1.

    Raises
    ------
    SpecError
        All stays have the same outcome.
    """
    events = int(min(outcome.sum(), len(outcome) - outcome.sum()))
    if events == 0:
        raise SpecError("all stays have the same outcome, so nothing can be expected of them but that")
    centre = float(log_odds.mean())
    design = np.column_stack([np.ones(len(log_odds)), log_odds - centre])
    mean = outcome.mean()
    weights = np.array([np.log(mean / (1 - mean)), 1.0])
    free = np.array([True, events >= FEWEST_EVENTS and float(log_odds.std()) > 0])
    for _ in range(NEWTON_STEPS):
        risk = 1 / (1 + np.exp(-design @ weights))
        gradient = design[:, free].T @ (outcome - risk)
        hessian = (design[:, free] * (risk * (1 - risk))[:, None]).T @ design[:, free]
        step = np.linalg.solve(hessian, gradient)
        weights[free] += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-12:
            break
    return 1 / (1 + np.exp(-design @ weights)), float(weights[1])


def _folds(person: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each stay: all stays of a patient in one, by a random order of the patients."""
    persons, number = np.unique(person, return_inverse=True)
    if len(persons) < 10 * folds:
        raise SpecError(
            f"{len(persons)} patients are too few to fit what is to be expected in {folds} folds\n"
            "Fix: give a model of 'adjust' features that was fitted on more patients (model=)"
        )
    return (np.random.default_rng(seed).permutation(len(persons)) % folds)[number]
