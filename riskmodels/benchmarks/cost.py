"""How well expected costs agree with what was spent, for several models beside each other.

R-squared and mean absolute error as in the comparisons of risk adjusters by the Society of Actuaries
(Winkelman and Mehmud 2007; Hileman and Steele 2016), with Cumming's prediction measure (Cumming and others
2002) and predictive ratios: what was expected over what was spent, by tenth of the expectation and by group.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.evaluation.bootstrap import percentiles, weights_of_draws
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["CostComparison", "ScoreBaseline", "compare_costs", "demographic_cells", "expected_of_cells"]

METRICS = ("r2", "mae", "cpm", "predictive_ratio")
TENTHS = 10
OLDEST_BAND = 19


@dataclass(frozen=True, eq=False)
class CostComparison:
    """Models of expected cost on the same persons.

    Parameters
    ----------
    metrics : pl.DataFrame
        model, metric (``r2``, ``mae`` in dollars, ``cpm``: 1 less the mean absolute error over that of the
        mean, ``predictive_ratio``), value, lower, upper.
    differences : pl.DataFrame
        The same for every model less the first one, on the same draws.
    ratios : pl.DataFrame
        model, group, level, n, observed and expected (dollars a unit of exposure), ratio, lower, upper.
        Levels of fewer than 11 persons are null.
    """

    metrics: pl.DataFrame
    differences: pl.DataFrame
    ratios: pl.DataFrame

    def to_text(self) -> str:
        """Return the metrics as a table of text."""
        lines = []
        for model in self.metrics["model"].unique(maintain_order=True):
            rows = {row["metric"]: row for row in self.metrics.filter(model=model).iter_rows(named=True)}
            shares = "  ".join(
                f"{name} {rows[name]['value']:.3f} ({rows[name]['lower']:.3f} to {rows[name]['upper']:.3f})"
                for name in ("r2", "cpm", "predictive_ratio")
            )
            mae = rows["mae"]
            lines.append(
                f"{model}: {shares}  mae ${mae['value']:,.0f} (${mae['lower']:,.0f} to ${mae['upper']:,.0f})"
            )
        return "\n".join(lines)


def compare_costs(
    cost: Any,
    expected: Mapping[str, Any],
    persons: Any = None,
    *,
    exposure: Any = None,
    groups: Mapping[str, Any] | None = None,
    truncate: float | None = None,
    n_bootstrap: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> CostComparison:
    """Compare expected with actual costs.

    Parameters
    ----------
    cost : array-like (n,)
        Dollars a unit of exposure.
    expected : mapping of name to array-like (n,)
        The expected costs of each model, on the same rows.
    persons : array-like (n,), optional
        Whose row it is; intervals draw persons with all their rows.
    exposure : array-like (n,), optional
        Weight of each row, such as the observed share of the year.
    groups : mapping of name to array-like of str (n,), optional
        Groups to give predictive ratios of, beside the tenths of each model's expectation.
    truncate : float, optional
        Costs above this count as this, as adjusters are compared with and without the largest claims.
    n_bootstrap, level, seed
        Draws of persons, and how much of them an interval holds.

    Raises
    ------
    DataError
        A cost or an expectation is not a number, or of another length.
    """
    actual = _numbers(cost, "cost")
    if truncate is not None:
        actual = np.minimum(actual, truncate)
    weight = np.ones(len(actual)) if exposure is None else _numbers(exposure, "exposure", len(actual))
    if not expected:
        raise SpecError("no model to compare: give expected costs by name")
    models = {name: _numbers(value, name, len(actual)) for name, value in expected.items()}
    ids = (
        np.arange(len(actual)) if persons is None else np.unique(np.asarray(persons), return_inverse=True)[1]
    )
    person = ids.ravel()
    cells = _cells(models, weight, groups or {}, len(actual))
    draws = [np.ones(person.max() + 1), *weights_of_draws(int(person.max()) + 1, n_bootstrap, seed)]
    values = np.array([_values(actual, models, weight * drawn[person], cells) for drawn in draws])
    n_metrics = len(models) * len(METRICS)
    lower, upper = percentiles(values[1:], level)
    names = [(model, metric) for model in models for metric in METRICS]
    metrics = pl.DataFrame(
        {
            "model": [model for model, _ in names],
            "metric": [metric for _, metric in names],
            "value": values[0, :n_metrics],
            "lower": lower[:n_metrics],
            "upper": upper[:n_metrics],
        }
    )
    first = np.tile(values[:, : len(METRICS)], len(models))
    change = values[:, :n_metrics] - first
    low, high = percentiles(change[1:], level)
    differences = metrics.select("model", "metric").with_columns(
        value=pl.Series(change[0]), lower=pl.Series(low), upper=pl.Series(high)
    )
    ratios = _ratio_frame(actual, models, weight, cells, values[0], lower, upper, n_metrics)
    return CostComparison(metrics, differences.filter(pl.col("model") != next(iter(models))), ratios)


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
        x, y = _numbers(score, "score"), _numbers(cost, "cost")
        weight = np.ones(len(x)) if exposure is None else _numbers(exposure, "exposure", len(x))
        mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
        spread = np.average((x - mean_x) ** 2, weights=weight)
        slope = (
            0.0 if spread == 0 else float(np.average((x - mean_x) * (y - mean_y), weights=weight) / spread)
        )
        return cls(float(mean_y - slope * mean_x), slope)

    def predict(self, score: Any) -> np.ndarray:
        """Return the expected cost of each score, at least 0."""
        found: np.ndarray = np.maximum(self.intercept + self.slope * _numbers(score, "score"), 0.0)
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
    weight = np.ones(len(age)) if exposure is None else _numbers(exposure, "exposure", len(age))
    frame = pl.DataFrame(
        {
            "band": np.minimum(np.asarray(age, dtype=float) // 5, OLDEST_BAND).astype(int),
            "sex": pl.Series(sex).cast(pl.String),
            "cost": _numbers(cost, "cost", len(age)) * weight,
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


def _numbers(values: Any, name: str, n: int | None = None) -> np.ndarray:
    found = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values, dtype=float)
    if found.ndim != 1 or (n is not None and len(found) != n) or not np.isfinite(found).all():
        raise DataError(
            f"{name} is not a finite number for every row", fix="leave out rows without it, in all inputs"
        )
    return found


def _cells(
    models: Mapping[str, np.ndarray], weight: np.ndarray, groups: Mapping[str, Any], n: int
) -> list[tuple[str, str, str, np.ndarray]]:
    """Return model, group, level and rows of each predictive ratio."""
    cells = []
    for model, expected in models.items():
        order = np.argsort(expected, kind="stable")
        share = np.cumsum(weight[order]) / weight.sum()
        tenth = np.empty(n, dtype=int)
        tenth[order] = np.minimum(np.ceil(share * TENTHS - 1e-12), TENTHS)
        cells += [(model, "tenth of expected", str(k), tenth == k) for k in range(1, TENTHS + 1)]
        for group, labels in groups.items():
            words = pl.Series(labels).cast(pl.String)
            levels = words.drop_nulls().unique().sort()
            cells += [(model, group, level, (words == level).fill_null(False).to_numpy()) for level in levels]
    return cells


def _values(
    cost: np.ndarray,
    models: Mapping[str, np.ndarray],
    weight: np.ndarray,
    cells: list[tuple[str, str, str, np.ndarray]],
) -> np.ndarray:
    """Return all metrics of all models, then the ratios of all cells, under some weights."""
    total = weight.sum()
    mean = (weight * cost).sum() / total
    spread = (weight * (cost - mean) ** 2).sum()
    around = (weight * np.abs(cost - mean)).sum()
    spent = weight * cost
    found: list[float] = []
    for expected in models.values():
        error = cost - expected
        absolute = (weight * np.abs(error)).sum()
        found += [
            1 - (weight * error**2).sum() / spread if spread > 0 else np.nan,
            absolute / total,
            1 - absolute / around if around > 0 else np.nan,
            (weight * expected).sum() / spent.sum() if spent.sum() > 0 else np.nan,
        ]
    for model, _, _, rows in cells:
        below = spent[rows].sum()
        found.append((weight[rows] * models[model][rows]).sum() / below if below > 0 else np.nan)
    return np.array(found)


def _ratio_frame(
    cost: np.ndarray,
    models: Mapping[str, np.ndarray],
    weight: np.ndarray,
    cells: list[tuple[str, str, str, np.ndarray]],
    value: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    start: int,
) -> pl.DataFrame:
    rows = []
    for place, (model, group, level, here) in enumerate(cells, start=start):
        n = int(here.sum())
        exposed = weight[here].sum()
        shown = n >= SMALLEST_CELL and exposed > 0
        rows.append(
            {
                "model": model,
                "group": group,
                "level": level,
                "n": n if shown else None,
                "observed": float((weight * cost)[here].sum() / exposed) if shown else None,
                "expected": float((weight * models[model])[here].sum() / exposed) if shown else None,
                "ratio": float(value[place]) if shown else None,
                "lower": float(lower[place]) if shown else None,
                "upper": float(upper[place]) if shown else None,
            }
        )
    schema = {"model": pl.String, "group": pl.String, "level": pl.String, "n": pl.Int64}
    numbers = dict.fromkeys(("observed", "expected", "ratio", "lower", "upper"), pl.Float64)
    return pl.DataFrame(rows, schema={**schema, **numbers})
