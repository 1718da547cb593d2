"""How much the error of the fitted expectation adds to chance: the model fitted again on drawn patients."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels.benchmarks.expected import cross_fitted_risk
from riskmodels.errors import SpecError
from riskmodels.progress import track

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn

__all__ = ["expectation_error"]

ENOUGH = 5.0  # expected outcomes: a smaller entity's ratio scatters too much to tell


def expectation_error(
    frame: pl.DataFrame,
    outcome: np.ndarray,
    person: np.ndarray,
    columns: Sequence["FeatureColumn"],
    entity: np.ndarray,
    risk: np.ndarray,
    *,
    refits: int = 10,
    folds: int = 5,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
) -> float:
    """Return by what factor the variance of observed/expected grows when the expectation is fitted again.

    Patients are drawn with replacement, and everything is fitted again on them: the trees of each fold and
    the calibration. The same draws with the risks as they are give the variance without. Both are added up
    over entities, each in proportion to its expected outcomes; the factor is their quotient, and at least 1.

    Parameters
    ----------
    entity : ndarray of int, shape (stays,)
        Number of the entity of each stay.
    risk : ndarray, shape (stays,)
        What was to be expected under the model of the benchmark.
    refits : int
        Draws, each of which costs `folds` fits; two or more.

    Raises
    ------
    SpecError
        `refits` is below 2.
    """
    if refits < 2:
        raise SpecError(f"refits is {refits}: a variance needs 2 or more")
    patients, number = np.unique(person, return_inverse=True)
    order = np.argsort(number, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(number))])
    generator = np.random.default_rng(seed)
    size = int(entity.max()) + 1
    with_refit, without = np.full((refits, size), np.nan), np.full((refits, size), np.nan)
    for draw in track(range(refits), "Fitting the expectation again", unit="draw"):
        drawn = generator.integers(len(patients), size=len(patients))
        rows = np.concatenate([order[first[i] : first[i + 1]] for i in drawn])
        again = cross_fitted_risk(
            frame[rows],
            outcome[rows],
            person[rows],
            columns,
            folds=folds,
            seed=seed + draw,
            parameters=parameters,
        )
        known = risk[rows] * (outcome[rows].sum() / risk[rows].sum())
        for target, value in ((with_refit, again.risk), (without, known)):
            total = np.bincount(entity[rows], weights=value, minlength=size)
            events = np.bincount(entity[rows], weights=outcome[rows], minlength=size)
            np.divide(events, total, out=target[draw], where=total > 0)
    weight = np.bincount(entity, weights=risk, minlength=size)
    enough = (weight >= ENOUGH) & np.isfinite(with_refit).all(axis=0) & np.isfinite(without).all(axis=0)
    if not enough.any():
        return 1.0
    spread = [float((weight * ratio.var(axis=0, ddof=1))[enough].sum()) for ratio in (with_refit, without)]
    return max(spread[0] / spread[1], 1.0) if spread[1] > 0 else 1.0
