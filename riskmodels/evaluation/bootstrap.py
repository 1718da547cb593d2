"""Patient-clustered bootstrap: patients are drawn with replacement, each with all of his or her rows."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["percentiles", "weights_of_draws"]

Floats = npt.NDArray[np.float64]

# A percentile of draws in which the metric was often not defined would describe the other draws only.
DEFINED = 0.9


def weights_of_draws(n_patients: int, n_draws: int, seed: int) -> Iterator[Floats]:
    """Yield, for each draw, how often each patient was drawn (Field & Welsh 2007, the cluster bootstrap).

    Yields
    ------
    array of float, shape (n_patients,)
        Sums to `n_patients`.
    """
    random = np.random.default_rng(seed)
    for _ in range(n_draws):
        drawn = random.integers(0, n_patients, size=n_patients)
        yield np.bincount(drawn, minlength=n_patients).astype(np.float64)


def percentiles(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the lower and upper percentile of each column.

    They are NaN where a tenth of the draws or more are not defined.

    Parameters
    ----------
    draws : array of float, shape (n_draws, n_values)
    level : float
        Confidence level: 0.95 for the 2.5th and 97.5th percentiles.
    """
    if not len(draws):
        nothing = np.full(draws.shape[1], np.nan)
        return nothing, nothing
    defined = np.isfinite(draws)
    enough = defined.mean(axis=0) > DEFINED
    # nanpercentile warns of columns without a value; those are not reported anyway.
    usable = np.where(enough, np.where(defined, draws, np.nan), 0.0)
    low, high = np.nanpercentile(usable, [50 * (1 - level), 50 * (1 + level)], axis=0)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)
