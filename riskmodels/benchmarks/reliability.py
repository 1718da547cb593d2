"""How much of what is seen of an entity is its own and not chance, and ratios shrunken accordingly.

With v_j the chance variance of observed/expected of entity j and t the variance of the true ratios, the
reliability is t / (t + v_j) (signal over signal and noise: Adams, The Reliability of Provider Profiling, RAND
TR-653, 2009) and the empirical-Bayes ratio is 1 + reliability x (ratio - 1) (Morris, JASA 1983;78:47-55).
t is estimated by moments (Paule & Mandel, Journal of Research of the National Bureau of Standards
1982;87:377-385): the value at which the weighted squares of the ratios about their mean are what chance and t
together make them.
"""

import numpy as np

__all__ = ["reliability", "signal_variance"]

HALVINGS = 60


def signal_variance(ratio: np.ndarray, noise: np.ndarray) -> float:
    """Return the variance of the true ratios; 0 where chance explains all the spread.

    Parameters
    ----------
    ratio, noise : ndarray, shape (entities,)
        Observed over expected, and its variance by chance. Entities that lack either are left out.
    """
    known = np.isfinite(ratio) & np.isfinite(noise) & (noise > 0)
    ratio, noise = ratio[known], noise[known]
    if len(ratio) < 2:
        return 0.0

    def excess(variance: float) -> float:
        weight = 1 / (noise + variance)
        mean = float((weight * ratio).sum() / weight.sum())
        return float((weight * (ratio - mean) ** 2).sum()) - (len(ratio) - 1)

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, float(np.var(ratio, ddof=1)) + float(noise.max())
    while excess(high) > 0:
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


def reliability(signal: float, noise: np.ndarray) -> np.ndarray:
    """Return signal / (signal + noise), shape (entities,); 0 without signal.

    >>> reliability(0.04, np.array([0.01, 0.04]))
    array([0.8, 0.5])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(signal > 0, signal / (signal + noise), 0.0)
