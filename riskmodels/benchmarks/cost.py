"""What a risk score alone, or age and sex alone, say of a cost: the simplest things to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from riskmodels.evaluation.costs import finite_numbers

__all__ = ["ScoreBaseline", "demographic_cells", "expected_of_cells"]

OLDEST_BAND = 19


@dataclass(frozen=True)
class ScoreBaseline:
    """Cost as a straight line in one risk score, fitted by least squares: what a score alone can say.

    Parameters
    ----------
    intercept, slope : float
        Dollars, and dollars a point of the score.
    """

    intercept: float
    slope: float

    @classmethod
    def fit(cls, score: Any, cost: Any, exposure: Any = None) -> "ScoreBaseline":
        """Fit the line on persons whose cost is known."""
        x, y = finite_numbers(score, "score"), finite_numbers(cost, "cost")
        weight = np.ones(len(x)) if exposure is None else finite_numbers(exposure, "exposure", len(x))
        mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
        spread = np.average((x - mean_x) ** 2, weights=weight)
        slope = (
            0.0 if spread == 0 else float(np.average((x - mean_x) * (y - mean_y), weights=weight) / spread)
        )
        return cls(float(mean_y - slope * mean_x), slope)

    def predict(self, score: Any) -> np.ndarray:
        """Return the expected cost of each score, at least 0."""
        found: np.ndarray = np.maximum(self.intercept + self.slope * finite_numbers(score, "score"), 0.0)
        return found


def demographic_cells(
    age: Any, sex: Any, cost: Any, exposure: Any = None, *, smallest: int = 30
) -> Mapping[tuple[int, str], float]:
    """Return the mean cost of each age band and sex, of the mean over both where a cell has too few persons.

    Parameters
    ----------
    age : array-like (n,)
        In years; bands are five years wide, from 0 to 4 up to 95 and older.
    sex : array-like of str (n,)
    smallest : int
        Persons a cell must have.

    Returns
    -------
    mapping of (band, sex) to float
        ``(-1, "")`` is the mean of all, for a cell that is not there.
    """
    weight = np.ones(len(age)) if exposure is None else finite_numbers(exposure, "exposure", len(age))
    frame = pl.DataFrame(
        {
            "band": np.minimum(np.asarray(age, dtype=float) // 5, OLDEST_BAND).astype(int),
            "sex": pl.Series(sex).cast(pl.String),
            "cost": finite_numbers(cost, "cost", len(age)) * weight,
            "weight": weight,
        }
    )
    total = float(frame["cost"].to_numpy().sum() / weight.sum())
    cells = frame.group_by("band", "sex").agg(pl.len(), pl.col("cost").sum(), pl.col("weight").sum())
    found = {
        (int(band), str(sex)): spent / exposed
        for band, sex, n, spent, exposed in cells.iter_rows()
        if n >= smallest and exposed > 0
    }
    return {**found, (-1, ""): total}


def expected_of_cells(cells: Mapping[tuple[int, str], float], age: Any, sex: Any) -> np.ndarray:
    """Return what `demographic_cells` found for each person's age and sex."""
    bands = np.minimum(np.asarray(age, dtype=float) // 5, OLDEST_BAND).astype(int)
    words = pl.Series(sex).cast(pl.String).to_list()
    return np.array([cells.get(cell, cells[-1, ""]) for cell in zip(bands.tolist(), words, strict=True)])
