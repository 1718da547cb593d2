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
from riskmodels.evaluation.cost_result import NUMBERS, RATIOS_SCHEMA, TENTHS, CostComparison
from riskmodels.evaluation.suppression import suppress_small

__all__ = ["compare_costs", "finite_numbers"]

METRICS = ("r2", "mae", "cpm", "predictive_ratio")
N_TENTHS = 10


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
    actual = finite_numbers(cost, "cost")
    if truncate is not None:
        actual = np.minimum(actual, truncate)
    weight = np.ones(len(actual)) if exposure is None else finite_numbers(exposure, "exposure", len(actual))
    if not expected:
        raise SpecError("no model to compare: give expected costs by name")
    models = {name: finite_numbers(value, name, len(actual)) for name, value in expected.items()}
    ids = (
        np.arange(len(actual)) if persons is None else np.unique(np.asarray(persons), return_inverse=True)[1]
    )
    person = ids.ravel()
    n_persons = int(person.max()) + 1
    cells = _cells(models, weight, groups or {}, len(actual))
    draws = [np.ones(n_persons), *weights_of_draws(n_persons, n_bootstrap, seed)]
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
    ratios = [part[n_metrics:] for part in (values[0], lower, upper)]
    return CostComparison(
        metrics,
        differences.filter(pl.col("model") != next(iter(models))),
        _ratio_frame(actual, models, weight, person, cells, ratios),
        len(actual),
        n_persons,
        {"level": level, "n_bootstrap": n_bootstrap, "seed": seed},
    )


def finite_numbers(values: Any, name: str, n: int | None = None) -> np.ndarray:
    """Return an argument as an array of numbers (n,).

    Raises
    ------
    DataError
        A number is missing or infinite, or there are not `n`.
    """
    found = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values, dtype=float)
    if found.ndim != 1 or (n is not None and len(found) != n) or not np.isfinite(found).all():
        raise DataError(
            f"{name} is not a finite number for every row", fix="leave out rows without it, in all inputs"
        )
    return found


@dataclass(frozen=True)
class _Cells:
    """The rows of a model cut in levels: `code` (n,) numbers them, one more than the last for no level."""

    model: str
    group: str
    levels: list[str]
    code: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of `values` (n,) in each level."""
        return np.bincount(self.code, values, len(self.levels) + 1)[: len(self.levels)]


def _cells(
    models: Mapping[str, np.ndarray], weight: np.ndarray, groups: Mapping[str, Any], n: int
) -> list[_Cells]:
    """Return the groupings to give predictive ratios of: tenths of each model, and the groups given."""
    cells = []
    tenths = [str(number) for number in range(1, N_TENTHS + 1)]
    for model, expected in models.items():
        order = np.argsort(expected, kind="stable")
        share = np.cumsum(weight[order]) / weight.sum()
        tenth = np.empty(n, dtype=int)
        tenth[order] = np.minimum(np.ceil(share * N_TENTHS - 1e-12), N_TENTHS) - 1
        cells.append(_Cells(model, TENTHS, tenths, tenth))
        for group, labels in groups.items():
            words = pl.Series(labels).cast(pl.String)
            levels = words.drop_nulls().unique().sort()
            numbers = pl.Series(range(len(levels)), dtype=pl.Int64)
            code = words.replace_strict(levels, numbers, default=len(levels), return_dtype=pl.Int64)
            cells.append(_Cells(model, group, levels.to_list(), code.fill_null(len(levels)).to_numpy()))
    return cells


def _values(
    cost: np.ndarray, models: Mapping[str, np.ndarray], weight: np.ndarray, cells: list[_Cells]
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
    parts = [np.array(found)]
    for cell in cells:
        below, above = cell.sums(spent), cell.sums(weight * models[cell.model])
        parts.append(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0))
    return np.concatenate(parts)


def _ratio_frame(
    cost: np.ndarray,
    models: Mapping[str, np.ndarray],
    weight: np.ndarray,
    person: np.ndarray,
    cells: list[_Cells],
    ratios: list[np.ndarray],
) -> pl.DataFrame:
    """Return the predictive ratios (value, lower, upper of each cell) with what they rest on."""
    frames, start = [], 0
    for cell in cells:
        stop = start + len(cell.levels)
        exposed = cell.sums(weight)
        rate = np.where(exposed > 0, exposed, np.nan)
        value, lower, upper = (part[start:stop] for part in ratios)
        pairs = np.unique(np.column_stack([cell.code, person]), axis=0)
        persons = np.bincount(pairs[:, 0], minlength=len(cell.levels) + 1)[: len(cell.levels)]
        frames.append(
            pl.DataFrame(
                {
                    "model": [cell.model] * len(cell.levels),
                    "group": [cell.group] * len(cell.levels),
                    "level": cell.levels,
                    "n": cell.sums(np.ones(len(cost))).astype(np.int64),
                    "persons": persons,
                    "observed": cell.sums(weight * cost) / rate,
                    "expected": cell.sums(weight * models[cell.model]) / rate,
                    "ratio": value,
                    "lower": lower,
                    "upper": upper,
                },
                schema_overrides={"level": pl.String},
            )
        )
        start = stop
    numbers = list(NUMBERS)
    shown = suppress_small(pl.concat(frames), ["n", "persons"], numbers, within=["model", "group"])
    finite = [pl.when(pl.col(name).is_finite()).then(name) for name in numbers]
    return shown.with_columns(finite).select("model", *RATIOS_SCHEMA)
