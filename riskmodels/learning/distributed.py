"""Fit a `RiskModel` on a Dask cluster, from a features file larger than the memory of one machine.

The patients are drawn into the same three parts as by ``RiskModel(folds=None).fit``, and the encoders hold
the same rates: these need outcomes, patients and counts alone, which this process has. The trees are grown
by LightGBM's data-parallel learner (Meng et al. 2016, A Communication-Efficient Parallel Algorithm for
Decision Tree, and LightGBM's Parallel Learning Guide): each worker makes histograms of the rows it holds,
and these are added up.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.learning.boosting import contributions, read_booster
from riskmodels.learning.calibration import fit_calibrator
from riskmodels.learning.dask_cluster import Cluster, open_cluster
from riskmodels.learning.dask_parts import (
    Part,
    codes_of,
    counts_of,
    design_of,
    levels_of,
    losses_of,
    margins_of,
)
from riskmodels.learning.encoding import INNER_FOLDS, TableEncoder, fit_target_statistic
from riskmodels.learning.fitting import check_parameters, lightgbm_parameters, seed_of
from riskmodels.learning.frames import ColumnLike, FitError
from riskmodels.learning.inputs import read_training
from riskmodels.learning.risk_model import RiskModel
from riskmodels.learning.tuning import patient_folds, split_patients

__all__ = ["fit_on_cluster", "predict_on_cluster"]

logger = logging.getLogger(__name__)

FIRST_ROUNDS = 256


@dataclass(frozen=True)
class _Rows:
    """What this process knows of the rows: outcome, patient, and to which worker's part each belongs."""

    y: np.ndarray
    patients: np.ndarray
    parts: list[Part]

    def cut(self, values: np.ndarray) -> list[np.ndarray]:
        """Return an array over all rows as one array for each part."""
        return [values[part.start : part.stop] for part in self.parts]


def fit_on_cluster(
    model: RiskModel,
    client: Any,
    path: str | Path,
    columns: Sequence[ColumnLike],
    *,
    use: np.ndarray | None = None,
    label: str = "label",
    patient: str = "person_id",
) -> RiskModel:
    """Fit a model on the rows of a features file; each worker of the cluster reads and keeps a part of them.

    Parameters
    ----------
    model : RiskModel
        Its parameters; it is fitted and returned. There is one split of the patients, whatever `folds` says.
    client : str or distributed.Client
        The address of the Dask scheduler, or a client of it.
    path : path
        What `riskmodels features` wrote, under a path that all workers can read. The rows of a patient stand
        together.
    columns : sequence of FeatureColumn
        The features: see `riskmodels.features.describe_features`.
    use : ndarray of bool (n,), optional
        The rows to learn from. Default: all.
    label, patient : str
        The columns that hold the outcome, 0 or 1, and whose row it is.

    Returns
    -------
    RiskModel
        Like one that was fitted here: it scores, explains and is saved anywhere. The same rows, seed and
        number of workers give the same model.

    Raises
    ------
    SpecError
        Dask is missing, no scheduler answers, there are no workers or fewer patients than workers.
    FitError
        The outcomes are not enough to learn from.
    RiskModelsError
        A worker was lost, or cannot read the file.
    """
    check_parameters(model)
    if not model.validation_fraction and model.n_estimators > FIRST_ROUNDS:
        logger.info("no patients choose the number of rounds: there will be %d", model.n_estimators)
    with open_cluster(client) as cluster:
        rows = _rows(Path(path), label, patient, len(cluster.workers))
        names = [column.name for column in columns]
        chosen = np.ones(len(rows.y), dtype=bool) if use is None else np.asarray(use, dtype=bool)
        table = read_training(
            model,
            pl.DataFrame({name: np.zeros(int(chosen.sum()), np.int8) for name in names}),
            rows.y[chosen].astype(np.int8),
            rows.patients[chosen],
            None,
            columns,
        )
        encoder = _plan(cluster, rows, model, columns)
        codes = cluster.place(codes_of, rows.parts, [encoder] * len(rows.parts))
        seed = seed_of(model)
        stop, calibrate = model.validation_fraction, model.calibration_fraction
        shares = {"fit": 1 - stop - calibrate, "stop": stop, "calibrate": calibrate}
        shares = {name: share for name, share in shares.items() if share > 0}
        part = np.full(len(rows.y), "", dtype="<U9")
        part[chosen] = split_patients(table.y, table.patients, shares, seed)
        fitting = _Fitting(cluster, rows, model, encoder, codes, seed)
        rounds: int | None = None
        if stop > 0:
            fitted, boosters, rounds = fitting.boost(part == "fit", stopping=part == "stop")
            logger.info("%d rounds are best for the patients set aside", rounds)
        if model.refit or stop == 0:
            fitted, boosters, rounds = fitting.boost((part == "fit") | (part == "stop"), rounds=rounds)
        calibrating = part == "calibrate"
        margin = fitting.margins(boosters, calibrating, fitted)
        model.calibrator_ = fit_calibrator(model.calibration, margin, rows.y[calibrating])
        one = fitted.transform(encoder.codes(rows.parts[0].read(names).head(1)))
    model.feature_roles_ = table.roles
    model.encoder_ = fitted
    model.sparse_names_ = ()
    model.boosters_ = [read_booster(text) for text in boosters]
    model.best_iteration_ = rounds or model.n_estimators
    model.partition_ = part[chosen]
    model.categories_ = dict(fitted.levels)
    model.n_training_ = {"rows": len(table.y), "patients": len(np.unique(table.patients))}
    model.expected_value_ = float(contributions(model.boosters_, one, model.num_threads)[0, -1])
    return model


def predict_on_cluster(model: RiskModel, client: Any, path: str | Path, use: np.ndarray) -> np.ndarray:
    """Return the calibrated risks of some rows of a features file, in their order.

    Parameters
    ----------
    model : RiskModel
        Fitted.
    client, path
        As `fit_on_cluster` takes them.
    use : ndarray of bool (n,)
        The rows.
    """
    from riskmodels.learning.boosting import booster_text

    with open_cluster(client) as cluster:
        n = len(cluster.workers)
        bounds = np.linspace(0, len(use), n + 1).astype(int)
        parts = [Part(Path(path).absolute(), int(bounds[i]), int(bounds[i + 1])) for i in range(n)]
        rows = _Rows(np.empty(0), np.empty(0), parts)
        codes = cluster.place(codes_of, parts, [model.encoder_] * n)
        fitting = _Fitting(cluster, rows, model, model.encoder_, codes, 0)
        texts = [booster_text(booster) for booster in model.boosters_]
        return model.calibrator_.apply(fitting.margins(texts, np.asarray(use, dtype=bool), model.encoder_))


def _rows(path: Path, label: str, patient: str, n_parts: int) -> _Rows:
    """Read outcomes and patients, and cut the rows into parts of about the same size between patients."""
    if not path.exists():
        raise DataError("there is no such file", file=path, fix="make it with: riskmodels features")
    scan = pl.scan_parquet(path, hive_partitioning=False)
    for name in (label, patient):
        if name not in scan.collect_schema().names():
            raise DataError("the column is missing", file=path, column=name, fix="see riskmodels features")
    read = scan.select(pl.col(label).cast(pl.Float64), pl.col(patient)).collect()
    if read[label].null_count():
        raise DataError(
            f"{read[label].null_count()} of {read.height} outcomes are missing",
            file=path,
            column=label,
            fix="leave out rows whose outcome was not observed",
        )
    owner = read[patient]
    first = owner.ne_missing(owner.shift(1)).fill_null(True)
    first[0] = True
    if int(first.sum()) != owner.n_unique():
        raise DataError(
            "the rows of a patient do not stand together",
            file=path,
            column=patient,
            fix="write the file with riskmodels features, or sort it by patient",
        )
    starts = first.arg_true().to_numpy()
    if len(starts) < n_parts:
        raise SpecError(
            f"{path} has {len(starts)} patients and the cluster {n_parts} workers\nFix: train here"
        )
    wanted = np.linspace(0, read.height, n_parts + 1)[1:-1]
    places = np.unique(np.searchsorted(starts, wanted)).clip(1, len(starts) - 1)
    bounds = [0, *starts[places].tolist(), read.height]
    if len(set(bounds)) != n_parts + 1:
        raise SpecError(f"{path} has too few patients for {n_parts} workers\nFix: train here, or on fewer")
    parts = [Part(path.absolute(), bounds[i], bounds[i + 1]) for i in range(n_parts)]
    return _Rows(read[label].to_numpy(), np.cumsum(first.to_numpy()) - 1, parts)


def _plan(cluster: Cluster, rows: _Rows, model: RiskModel, columns: Sequence[ColumnLike]) -> TableEncoder:
    """Freeze the levels of the categories over all parts, and choose each column's encoding."""
    names = [column.name for column in columns]
    named = list(model.categories) if not isinstance(model.categories, str) else []
    declared = [*(column.name for column in columns if column.kind == "category"), *named]
    n = len(rows.parts)
    found = cluster.each(levels_of, rows.parts, [names] * n, [declared] * n)
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
        columns=columns,
    )


@dataclass(frozen=True)
class _Fitting:
    """The fits of a model, on codes that the workers hold."""

    cluster: Cluster
    rows: _Rows
    model: RiskModel
    encoder: TableEncoder
    codes: list[Any]
    seed: int

    def boost(
        self, fit: np.ndarray, *, stopping: np.ndarray | None = None, rounds: int | None = None
    ) -> tuple[TableEncoder, list[str], int]:
        """Fit an encoder and `n_models` boosters on some rows; `stopping` rows choose the rounds."""
        fold, encoders, fitted = self.encoders(fit)
        n = len(self.rows.parts)
        folds = self.rows.cut(fold)
        designs = self.cluster.place(design_of, self.codes, folds, [encoders] * n)
        outcomes = [y[f >= 0] for y, f in zip(self.rows.cut(self.rows.y), folds, strict=True)]
        for worker, y in zip(self.cluster.workers, outcomes, strict=True):
            if not len(y):
                raise FitError(f"the worker {worker} has no row to fit on", fix="use fewer workers")
        boosters: list[str] = []
        for i in range(self.model.n_models):
            params = lightgbm_parameters(self.model, self.encoder.names, self.seed + 1000 * i)
            params.pop("num_threads")  # those of the worker

            def train(count: int, params: dict[str, Any] = params) -> str:
                categorical = self.encoder.of("native")
                return self.cluster.boost(params, designs, outcomes, self.encoder.names, categorical, count)

            if stopping is not None and i == 0:
                text, rounds = self._stopped(train, stopping, fitted)
            else:
                text = train(rounds or self.model.n_estimators)
            boosters.append(text)
        return fitted, boosters, rounds or self.model.n_estimators

    def _stopped(self, train: Any, stopping: np.ndarray, fitted: TableEncoder) -> tuple[str, int]:
        """Train until the patients set aside gain nothing for `early_stopping_rounds` rounds.

        LightGBM would stop by the rows of one worker alone. So the loss after each round, over all workers,
        is looked at when a fit is over, and where it was still falling twice the rounds are tried.
        """
        n = len(self.rows.parts)
        count = min(self.model.n_estimators, FIRST_ROUNDS)
        while True:
            text = train(count)
            parts = self.rows.cut(self.rows.y), self.rows.cut(stopping)
            losses = sum(self.cluster.each(losses_of, [text] * n, self.codes, *parts, [fitted] * n))
            best, ended = _best(np.asarray(losses), self.model.early_stopping_rounds)
            if ended or count >= self.model.n_estimators or len(losses) < count:
                return text, best
            count = min(self.model.n_estimators, 2 * count)

    def encoders(self, fit: np.ndarray) -> tuple[np.ndarray, list[TableEncoder], TableEncoder]:
        """Return the inner fold of each row (-1: not fitted on), an encoder for each, and that of all rows.

        A row's rates come from the other folds of patients: see `TableEncoder.cross_transform`.
        """
        y, patients = self.rows.y[fit], self.rows.patients[fit]
        with_outcome = len(np.unique(patients[y > 0]))
        k = min(INNER_FOLDS, with_outcome, len(np.unique(patients)) - with_outcome)
        names, target = self.encoder.names, self.encoder.of("target")
        if k < 2 or not target:
            k = 1
        fold = np.full(len(fit), -1, np.int8)
        fold[fit] = patient_folds(y, patients, k, self.seed) if k > 1 else 0
        n = len(self.rows.parts)
        sizes = {i: len(self.encoder.levels[names[i]]) for i in target}
        parts = self.rows.cut(self.rows.y), self.rows.cut(fold)
        found = self.cluster.each(counts_of, self.codes, *parts, [k] * n, [sizes] * n)
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

    def margins(self, boosters: list[str], use: np.ndarray, fitted: TableEncoder) -> np.ndarray:
        """Return the margins of some rows, in their order."""
        n = len(self.rows.parts)
        found = self.cluster.each(margins_of, [boosters] * n, self.codes, self.rows.cut(use), [fitted] * n)
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
