"""How far the experience of a small panel can be believed."""

import numpy as np
from numpy.typing import ArrayLike

from riskmodels.errors import SpecError

__all__ = ["METHODS", "buhlmann_straub", "limited_fluctuation"]

METHODS = ("buhlmann", "limited", "none")
FULL = 1.645 / 0.05
"""A mean within 5% of its expectation with probability 90%: the usual standard of full credibility."""


def buhlmann_straub(cost: ArrayLike, expected: ArrayLike, panel: ArrayLike, n_panels: int) -> np.ndarray:
    """Return the credibility of each panel's ratio of cost to expected cost.

    With weights m, Z = m / (m + s2 / a): s2 is the variance within a panel of one expected dollar, a the
    variance between panels of their true ratios, by the usual unbiased estimators (Buhlmann and Straub 1970;
    Klugman, Panjer and Willmot, Loss Models, on empirical Bayes estimation). Where the ratios do not vary
    more than chance makes them, a is 0 and nothing of the experience is believed.

    Parameters
    ----------
    cost, expected : array-like (n,)
        Dollars of each person.
    panel : array-like of int (n,)
        Whose person it is; from 0 to `n_panels` - 1.

    Returns
    -------
    np.ndarray (n_panels,)
    """
    spent, mean, place = (np.asarray(value) for value in (cost, expected, panel))
    kept = mean > 0
    spent, mean, place = spent[kept].astype(float), mean[kept].astype(float), place[kept]
    weight = np.bincount(place, weights=mean, minlength=n_panels)
    count = np.bincount(place, minlength=n_panels)
    total = np.bincount(place, weights=spent, minlength=n_panels)
    ratio = np.divide(total, weight, out=np.ones(n_panels), where=weight > 0)
    free = int((count[count > 0] - 1).sum())
    if free <= 0 or (weight > 0).sum() < 2:
        return np.zeros(n_panels)
    within = float((mean * (spent / mean - ratio[place]) ** 2).sum() / free)
    overall = total.sum() / weight.sum()
    panels = int((weight > 0).sum())
    between = float((weight * (ratio - overall) ** 2).sum() - (panels - 1) * within)
    between /= float(weight.sum() - (weight**2).sum() / weight.sum())
    if between <= 0:
        return np.zeros(n_panels)
    found: np.ndarray = weight / (weight + within / between)
    return found


def limited_fluctuation(exposure: ArrayLike, coefficient_of_variation: float) -> np.ndarray:
    """Return min(1, sqrt(n / n_full)) for panels of so many member years.

    n_full is the size at which the mean is within 5% of its expectation with probability 90%:
    (1.645 / 0.05)^2 times the squared coefficient of variation of a member's yearly cost (classical
    credibility; Longley-Cook 1962).

    Raises
    ------
    SpecError
        The coefficient of variation is not above 0.
    """
    if not coefficient_of_variation > 0:
        raise SpecError("the coefficient of variation of a member's cost must be above 0")
    full = (FULL * coefficient_of_variation) ** 2
    found: np.ndarray = np.minimum(np.sqrt(np.asarray(exposure, dtype=float) / full), 1.0)
    return found
