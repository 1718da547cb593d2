"""How the patients' parts are used: fit on some, stop on others, calibrate on a third."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.learning.boosting import Rows, margins, train_booster
from riskmodels.learning.calibration import CALIBRATIONS, Calibrator, fit_calibrator
from riskmodels.learning.encoding import TableEncoder
from riskmodels.learning.inputs import TrainingTable
from riskmodels.learning.tuning import patient_folds, split_patients
from riskmodels.learning.wide import beside

__all__ = [
    "Fitted",
    "Fitter",
    "Parameters",
    "TableFitter",
    "check_parameters",
    "fit_patients",
    "lightgbm_parameters",
    "seed_of",
]


class Parameters(Protocol):
    """The parameters of a `RiskModel`."""

    n_estimators: int
    learning_rate: float
    num_leaves: int
    max_depth: int
    min_child_samples: int
    reg_lambda: float
    subsample: float
    colsample_bytree: float
    early_stopping_rounds: int
    n_models: int
    monotone: Any
    validation_fraction: float
    calibration_fraction: float
    refit: bool
    folds: int | None
    calibration: Any
    lightgbm_params: Any
    random_state: Any
    num_threads: int


@dataclass(frozen=True)
class Fitted:
    """What a fit delivers.

    Attributes
    ----------
    encoder : TableEncoder
        With the outcome rates of the patients the boosters were fitted on.
    boosters : list
        Their margins are averaged.
    rounds : int
        Boosting rounds.
    calibrator : Calibrator
        From margin to probability.
    partition : ndarray (n,)
        Which part each training row was in.
    """

    encoder: TableEncoder
    boosters: list[Any]
    rounds: int
    calibrator: Calibrator
    partition: np.ndarray


def check_parameters(model: Parameters) -> None:
    """Raise SpecError where a parameter is out of its range."""
    shares = {
        "validation_fraction": model.validation_fraction,
        "calibration_fraction": model.calibration_fraction,
    }
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise SpecError(f"{name}={value!r} must be a share of the patients, from 0 to below 1")
    if sum(shares.values()) >= 1:
        raise SpecError("validation_fraction and calibration_fraction leave no patients to fit on")
    if model.calibration not in (None, *CALIBRATIONS):
        hint = did_you_mean(str(model.calibration), CALIBRATIONS)
        raise SpecError(f"calibration={model.calibration!r} is not known. {hint}")
    if model.calibration is not None and model.calibration_fraction == 0 and not model.folds:
        raise SpecError("calibration needs patients: set calibration_fraction, or calibration=None")
    if model.folds is not None and model.folds < 3:
        raise SpecError(f"folds={model.folds!r}: at least 3, for fitting, stopping and calibrating")
    for name in ("n_models", "n_estimators"):
        if getattr(model, name) < 1:
            raise SpecError(f"{name}={getattr(model, name)!r} must be at least 1")


class Fitter(Protocol):
    """Where the rows are: here, or on the workers of a cluster.

    Attributes
    ----------
    y, patients, weight : ndarray (n,)
        Outcomes 0 or 1, whose row it is, and weights.
    """

    y: np.ndarray
    patients: np.ndarray
    weight: np.ndarray

    def boost(
        self, fit: np.ndarray, seed: int, *, stopping: np.ndarray | None = None, rounds: int | None = None
    ) -> tuple[TableEncoder, list[Any], int]:
        """Fit an encoder and `n_models` boosters on some rows (mask); `stopping` rows choose the rounds."""

    def margins(self, encoder: TableEncoder, boosters: list[Any], rows: np.ndarray) -> np.ndarray:
        """Return the margins of some rows (mask), in their order."""


def fit_patients(model: Parameters, fitter: Fitter) -> Fitted:
    """Fit with the parts of patients that the model asks for: rotating over `folds`, or one split."""
    return _fit_rotating(model, fitter) if model.folds else _fit_split(model, fitter)


def _fit_split(model: Parameters, fitter: Fitter) -> Fitted:
    """Fit with one split of the patients into three parts.

    With `refit` the patients of the first two parts are fitted together once their number of rounds is known;
    the calibrator always comes from patients that no tree and no outcome rate has seen.
    """
    seed = seed_of(model)
    stop, calibrate = model.validation_fraction, model.calibration_fraction
    parts = {"fit": 1 - stop - calibrate, "stop": stop, "calibrate": calibrate}
    part = split_patients(fitter.y, fitter.patients, {k: v for k, v in parts.items() if v > 0}, seed)
    fit, stopping, calibrating = part == "fit", part == "stop", part == "calibrate"
    rounds: int | None = None
    if stop > 0:
        fitted, boosters, rounds = fitter.boost(fit, seed, stopping=stopping)
    if model.refit or stop == 0:
        fitted, boosters, rounds = fitter.boost(fit | stopping, seed, rounds=rounds)
    margin = fitter.margins(fitted, boosters, calibrating)
    y, weight = fitter.y[calibrating], fitter.weight[calibrating]
    calibrator = fit_calibrator(model.calibration, margin, y, weight)
    return Fitted(fitted, boosters, rounds or model.n_estimators, calibrator, part)


def _fit_rotating(model: Parameters, fitter: Fitter) -> Fitted:
    """Fit with parts that rotate over folds of patients, then once on all patients.

    For each fold: the next fold chooses the number of rounds, the rest fit (with `refit`, the next fold too),
    and the fold itself is predicted. The calibrator comes from these predictions, one a row, each by trees
    that have not seen the patient. The delivered trees have the mean number of rounds.
    """
    seed = seed_of(model)
    with_outcome = len(np.unique(fitter.patients[fitter.y > 0]))
    others = len(np.unique(fitter.patients)) - with_outcome
    k = max(3, min(int(model.folds or 3), with_outcome, others))
    fold = patient_folds(fitter.y, fitter.patients, k, seed)
    margin = np.empty(len(fold))
    chosen = []
    for i in range(k):
        calibrating, stopping = fold == i, fold == (i + 1) % k
        fitted, boosters, rounds = fitter.boost(~calibrating & ~stopping, seed + i, stopping=stopping)
        if model.refit:
            fitted, boosters, _ = fitter.boost(~calibrating, seed + i, rounds=rounds)
        chosen.append(rounds)
        margin[calibrating] = fitter.margins(fitted, boosters, calibrating)
    mean = max(1, round(float(np.mean(chosen))))
    fitted, boosters, _ = fitter.boost(np.ones(len(fold), dtype=bool), seed, rounds=mean)
    calibrator = fit_calibrator(model.calibration, margin, fitter.y, fitter.weight)
    return Fitted(fitted, boosters, mean, calibrator, fold)


class TableFitter:
    """Fits on a table that this process holds.

    Parameters
    ----------
    model : Parameters
    encoder : TableEncoder
        Planned, without outcome rates.
    table : TrainingTable
    """

    def __init__(self, model: Parameters, encoder: TableEncoder, table: TrainingTable) -> None:
        self.model, self.encoder, self.table = model, encoder, table
        self.y, self.patients, self.weight = table.y, table.patients, table.weight
        self.codes = encoder.codes(table.frame)

    def boost(
        self, fit: np.ndarray, seed: int, *, stopping: np.ndarray | None = None, rounds: int | None = None
    ) -> tuple[TableEncoder, list[Any], int]:
        """Fit an encoder and `n_models` boosters on some rows; `stopping` rows choose the rounds."""
        model, table, codes = self.model, self.table, self.codes
        y, weight = table.y[fit], table.weight[fit]
        fitted = self.encoder.fit(codes[fit], y, weight)
        encoded = fitted.cross_transform(codes[fit], y, weight, table.patients[fit], seed)
        rows = Rows(beside(encoded, table.sparse, fit), y, weight)
        stop_on = None
        if stopping is not None:
            held = beside(fitted.transform(codes[stopping]), table.sparse, stopping)
            stop_on = Rows(held, table.y[stopping], table.weight[stopping])
        boosters: list[Any] = []
        names = [*self.encoder.names, *table.sparse_names]
        rounds = rounds or model.n_estimators
        for i in range(model.n_models):
            booster, rounds = train_booster(
                lightgbm_parameters(model, names, seed + 1000 * i),
                rows,
                names,
                self.encoder.of("native"),
                rounds=rounds,
                stop_on=stop_on if i == 0 else None,
                patience=model.early_stopping_rounds,
            )
            boosters.append(booster)
        return fitted, boosters, rounds

    def margins(self, encoder: TableEncoder, boosters: list[Any], rows: np.ndarray) -> np.ndarray:
        """Return the margins of some rows, in their order."""
        matrix = beside(encoder.transform(self.codes[rows]), self.table.sparse, rows)
        return margins(boosters, matrix, self.model.num_threads)


def lightgbm_parameters(model: Parameters, names: list[str], seed: int) -> dict[str, Any]:
    """Return a model's parameters by LightGBM's own names."""
    params: dict[str, Any] = {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": model.learning_rate,
        "num_leaves": model.num_leaves,
        "max_depth": model.max_depth,
        "min_data_in_leaf": model.min_child_samples,
        "lambda_l2": model.reg_lambda,
        "bagging_fraction": model.subsample,
        "bagging_freq": 1 if model.subsample < 1 else 0,
        "feature_fraction": model.colsample_bytree,
        "feature_pre_filter": False,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": model.num_threads,
        "verbosity": -1,
    }
    if model.monotone:
        for name in model.monotone:
            if name not in names:
                raise SpecError(f"monotone names column {name!r}. {did_you_mean(name, names)}")
        params["monotone_constraints"] = [int(model.monotone.get(name, 0)) for name in names]
    return params | dict(model.lightgbm_params or {})


def seed_of(model: Parameters) -> int:
    """Return the number that everything random starts from."""
    if isinstance(model.random_state, np.random.RandomState):
        return int(model.random_state.randint(2**31 - 1))
    return int(np.random.default_rng(model.random_state).integers(2**31 - 1))
