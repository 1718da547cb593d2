"""A small world whose true risk is known."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

N_DIAGNOSES = 150


@dataclass(frozen=True)
class World:
    X: pl.DataFrame
    y: np.ndarray
    patients: np.ndarray
    risk: np.ndarray


def draw_stays(n: int, seed: int) -> World:
    """Return n stays of n / 2 patients; their risk depends on `prior`, `diagnosis` and `ward` alone."""
    rng = np.random.default_rng(seed)
    effects = np.random.default_rng(99).normal(0, 0.7, N_DIAGNOSES)
    diagnosis = rng.integers(0, N_DIAGNOSES, n)
    prior = rng.normal(size=n)
    ward = rng.integers(0, 3, n)
    patients = rng.permutation(np.arange(n) // 2)
    risk = expit(-2 + 0.7 * prior + effects[diagnosis] + np.array([-0.5, 0.0, 0.5])[ward])
    codes = np.array([f"D{i:03d}" for i in range(N_DIAGNOSES)])[diagnosis]
    X = pl.DataFrame(
        {
            "prior": prior,
            "noise": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "diagnosis": pl.Series(codes).set(pl.Series(rng.random(n) < 0.02), None),
            "ward": np.array(["east", "north", "west"])[ward],
            "flag": rng.random(n) < 0.5,
        }
    )
    return World(X, (rng.random(n) < risk).astype(int), patients, risk)


def slope_of(y: np.ndarray, p: np.ndarray) -> float:
    """Return the slope of a logistic regression of the outcome on the log-odds of the predicted risk."""
    x = logit(np.clip(p, 1e-6, 1 - 1e-6))

    def loss(b: np.ndarray) -> float:
        eta = b[0] + b[1] * x
        return -float(np.sum(y * log_expit(eta) + (1 - y) * log_expit(-eta)))

    return float(minimize(loss, [0.0, 1.0]).x[1])


@pytest.fixture(scope="session")
def stays():
    """Return the function that draws stays."""
    return draw_stays


@pytest.fixture(scope="session")
def calibration_slope():
    """Return the function that computes a calibration slope."""
    return slope_of


@pytest.fixture(scope="session")
def world():
    """Return stays to fit on."""
    return draw_stays(12_000, seed=1)


@pytest.fixture(scope="session")
def others():
    """Return stays of other patients to judge on."""
    return draw_stays(60_000, seed=2)
