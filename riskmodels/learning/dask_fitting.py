"""The fits of a model on rows that the workers of a Dask cluster hold."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from riskmodels.learning.boosting import booster_text, read_booster, recounted
from riskmodels.learning.dask_cluster import Cluster
from riskmodels.learning.dask_parts import (
    Columns,
    counts_of,
    design_of,
    encoded_of,
    leaves_of,
    levels_of,
    losses_of,
    margins_of,
)
from riskmodels.learning.dask_rows import Rows
from riskmodels.learning.encoding import INNER_FOLDS, TableEncoder, fit_target_statistic
from riskmodels.learning.fitting import lightgbm_parameters
from riskmodels.learning.frames import ColumnLike, FitError
from riskmodels.learning.risk_model import RiskModel
from riskmodels.learning.tuning import patient_folds

__all__ = ["ClusterFitter", "plan_encoder"]

logger = logging.getLogger(__name__)

FIRST_ROUNDS = 256


def plan_encoder(
    cluster: Cluster, rows: Rows, model: RiskModel, columns: Sequence[ColumnLike]
) -> TableEncoder:
    """Freeze the levels of the categories over the rows of all parts, and choose each column's encoding.

    As `RiskModel.fit` does with a feature frame of all the rows.
    """
    names = [column.name for column in columns]
    named = list(model.categories) if not isinstance(model.categories, str) else []
    declared = [*(column.name for column in columns if column.kind == "category"), *named]
    n = len(rows.parts)
    use = cluster.send(rows.cut(np.ones(len(rows.y), dtype=bool), False))
    found = cluster.each(levels_of, rows.parts, use, [names] * n, [declared] * n)
    series = []
    for name in names:
        kept = [levels[name] for levels in found if levels[name] is not None]
        levels = sorted({level for part in kept for level in part or ()})
        series.append(pl.Series(name, levels, dtype=pl.String if kept else pl.Float64))
    height = max(1, *(len(s) for s in series))
    return TableEncoder.plan(
        pl.DataFrame([s.extend_constant(None, height - len(s)) for s in series]),
        categories=model.categories,
        max_native_levels=model.max_native_levels,
        smoothing=model.target_smoothing,
    )


class ClusterFitter:
    """The fits of a model on rows that the workers hold encoded: see `riskmodels.learning.fitting.Fitter`."""

    def __init__(
        self, cluster: Cluster, rows: Rows, model: RiskModel, encoder: TableEncoder, read: Columns
    ) -> None:
        self.cluster, self.rows, self.model, self.encoder = cluster, rows, model, encoder
        self.y, self.patients, self.weight = rows.y, rows.patients, np.ones(len(rows.y))
        self.names = [*read.names, *(column.name for column in read.sparse)]
        n = len(rows.parts)
        self.encoded = cluster.place(encoded_of, rows.parts, [encoder] * n, [read] * n)

    def boost(
        self, fit: np.ndarray, seed: int, *, stopping: np.ndarray | None = None, rounds: int | None = None
    ) -> tuple[TableEncoder, list[Any], int]:
        """Fit an encoder and `n_models` boosters on some rows; `stopping` rows choose the rounds."""
        fold, encoders, fitted = self.encoders(fit, seed)
        folds = self.rows.cut(fold, -1)
        sizes = [int((part >= 0).sum()) for part in folds]
        for worker, size in zip(self.cluster.workers, sizes, strict=True):
            if not size:
                raise FitError(f"the worker {worker} has no row to fit on", fix="use fewer workers")
        n = len(folds)
        designs = self.cluster.place(design_of, self.encoded, self.cluster.send(folds), [encoders] * n)
        boosters: list[Any] = []
        for i in range(self.model.n_models):
            params = lightgbm_parameters(self.model, self.names, seed + 1000 * i)

            def train(count: int, params: dict[str, Any] = params) -> str:
                native = self.encoder.of("native")
                return self.cluster.boost(params, designs, sizes, self.names, native, count)

            if stopping is not None and i == 0:
                booster, rounds = self._stopped(train, stopping, fitted)
                logger.info("%d rounds are best for the patients set aside", rounds)
            else:
                booster = read_booster(train(rounds or self.model.n_estimators))
            boosters.append(self._counted(booster, designs))
        return fitted, boosters, rounds or self.model.n_estimators

    def _counted(self, booster: Any, designs: list[Any]) -> Any:
        """Return the booster with the rows in its leaves counted; LightGBM's workers only estimate them."""
        text = booster_text(booster)
        found = self.cluster.each(leaves_of, [text] * len(designs), designs)
        return read_booster(recounted(text, [np.sum(tree, axis=0) for tree in zip(*found, strict=True)]))

    def _stopped(
        self, train: Callable[[int], str], stopping: np.ndarray, fitted: TableEncoder
    ) -> tuple[Any, int]:
        """Train until the patients set aside gain nothing for `early_stopping_rounds` rounds.

        LightGBM would stop by the rows of one worker alone. So the loss after each round, over all workers,
        is looked at when a fit is over, and where it was still falling twice the rounds are tried.
        """
        use = self.cluster.send(self.rows.cut(stopping, False))
        n = len(use)
        count = min(self.model.n_estimators, FIRST_ROUNDS)
        while True:
            text = train(count)
            losses = sum(self.cluster.each(losses_of, [text] * n, self.encoded, use, [fitted] * n))
            best, ended = _best(np.asarray(losses), self.model.early_stopping_rounds)
            if ended or count >= self.model.n_estimators or len(losses) < count:
                return read_booster(booster_text(read_booster(text), best)), best
            count = min(self.model.n_estimators, 2 * count)

    def encoders(self, fit: np.ndarray, seed: int) -> tuple[np.ndarray, list[TableEncoder], TableEncoder]:
        """Return the inner fold of each row (-1: not fitted on), an encoder for each, and that of all rows.

        A row's rates come from the other folds of patients: see `TableEncoder.cross_transform`.
        """
        y, patients = self.y[fit], self.patients[fit]
        with_outcome = len(np.unique(patients[y > 0]))
        k = min(INNER_FOLDS, with_outcome, len(np.unique(patients)) - with_outcome)
        names, target = self.encoder.names, self.encoder.of("target")
        if k < 2 or not target:
            k = 1
        fold = np.full(len(fit), -1, np.int8)
        fold[fit] = patient_folds(y, patients, k, seed) if k > 1 else 0
        n = len(self.rows.parts)
        sizes = {i: len(self.encoder.levels[names[i]]) for i in target}
        folds = self.cluster.send(self.rows.cut(fold, -1))
        found = self.cluster.each(counts_of, self.encoded, folds, [k] * n, [sizes] * n)
        counts = {i: sum(part[i] for part in found) for i in target}
        fitted = self._fitted({i: c.sum(axis=0) for i, c in counts.items()})
        if k == 1:
            return fold, [fitted], fitted
        others = [self._fitted({i: c.sum(axis=0) - c[f] for i, c in counts.items()}) for f in range(k)]
        return fold, others, fitted

    def _fitted(self, counts: dict[int, np.ndarray]) -> TableEncoder:
        """Return an encoder with the outcome rates of rows that were counted by level and outcome."""
        names = self.encoder.names
        statistics = {}
        for i, count in counts.items():
            n = len(self.encoder.levels[names[i]])
            level = np.repeat([*map(float, range(n)), np.nan], 2)
            outcome = np.tile([0.0, 1.0], n + 1)
            weight = count.reshape(-1).astype(np.float64)
            statistics[names[i]] = fit_target_statistic(level, n, outcome, weight, self.encoder.smoothing)
        return TableEncoder(self.encoder.encodings, self.encoder.levels, self.encoder.smoothing, statistics)

    def margins(self, encoder: TableEncoder, boosters: list[Any], rows: np.ndarray) -> np.ndarray:
        """Return the margins of some rows, in their order."""
        texts = [booster_text(booster) for booster in boosters]
        use = self.cluster.send(self.rows.cut(rows, False))
        n = len(use)
        found = self.cluster.each(margins_of, [texts] * n, self.encoded, use, [encoder] * n)
        return np.concatenate(found)


def _best(losses: np.ndarray, patience: int) -> tuple[int, bool]:
    """Return the best number of rounds, and whether early stopping would have ended the fit."""
    best = 0
    for i in range(1, len(losses)):
        if losses[i] < losses[best]:
            best = i
        elif i - best >= patience:
            return best + 1, True
    return best + 1, False
