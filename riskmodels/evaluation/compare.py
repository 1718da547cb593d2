"""Compare models on the same rows: each metric, and the paired difference with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodels.errors import DataError, did_you_mean
from riskmodels.evaluation.bootstrap import percentiles, weights_of_draws
from riskmodels.evaluation.inputs import outcomes, patient_numbers, predictions
from riskmodels.evaluation.ranked import THRESHOLDS, TOP, Layout, Ranked, measure, rank_rows
from riskmodels.progress import track

__all__ = ["COMPARISON_SCHEMA", "compare"]

Floats = npt.NDArray[np.float64]

SCORE = "a score of points, not a probability"
COMPARISON_SCHEMA: dict[str, Any] = {
    "metric": pl.String,
    "model": pl.String,
    "value": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "reference": pl.String,
    "difference": pl.Float64,
    "difference_lower": pl.Float64,
    "difference_upper": pl.Float64,
    "note": pl.String,
}


def compare(
    y: Any,
    models: Mapping[str, Any],
    patients: Any = None,
    *,
    reference: str | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
    thresholds: Sequence[float] = THRESHOLDS,
    top: Sequence[float] = TOP,
    level: float = 0.95,
) -> pl.DataFrame:
    """Measure several models on the same rows and the same draws of patients.

    Parameters
    ----------
    y : array-like of 0 and 1, shape (n,)
        Outcome.
    models : dict of str to array-like, shape (n,)
        Predictions of each model. Where any lies outside [0, 1] (LACE points) they are taken as a score, and
        only the metrics that depend on the order of the rows are computed.
    patients : array-like, shape (n,), optional
        Patient of each row.
    reference : str, optional
        The model the others are compared with; the first where it is None.
    n_bootstrap, seed, thresholds, top, level
        As in :func:`riskmodels.evaluation.evaluate`.

    Returns
    -------
    DataFrame
        One row a metric and model: metric, model, value, lower, upper, reference, difference (model minus
        reference), difference_lower, difference_upper, note. Differences of the reference are null.

    Raises
    ------
    DataError
        Where `models` is empty or lacks the reference, or an argument is not usable.
    """
    if not models:
        raise DataError("models is empty: nothing to compare", fix="give a dict of name to predicted risks")
    reference = next(iter(models)) if reference is None else reference
    if reference not in models:
        raise DataError(f"reference={reference!r} is not in models", fix=did_you_mean(reference, models))
    truth = outcomes(y)
    numbers = patient_numbers(patients, len(truth))
    full = Layout(tuple(thresholds), tuple(top))
    ranked: dict[str, tuple[Ranked, Layout]] = {}
    for name, values in models.items():
        p = predictions(values, len(truth), probability=False, name=name)
        probability = bool(((p >= 0) & (p <= 1)).all())
        ranked[name] = rank_rows(truth, p), Layout(full.thresholds, full.top, probability)

    ones = np.ones(len(truth))
    point = {name: _padded(rows, ones, layout, full) for name, (rows, layout) in ranked.items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in models}
    draws = weights_of_draws(int(numbers.max()) + 1, n_bootstrap, seed)
    for weights in track(draws, "Intervals of the comparison", total=n_bootstrap, unit="draw"):
        of_rows = weights[numbers]
        for name, (rows, layout) in ranked.items():
            drawn[name].append(_padded(rows, of_rows[rows.order], layout, full, point[name]))

    frames = []
    stacked = {name: np.array(values).reshape(n_bootstrap, len(full.names)) for name, values in drawn.items()}
    for name in models:
        lower, upper = percentiles(stacked[name], level)
        low, high = percentiles(stacked[name] - stacked[reference], level)
        frames.append(
            pl.DataFrame(
                {
                    "metric": full.names,
                    "model": [name] * len(full.names),
                    "value": point[name],
                    "lower": lower,
                    "upper": upper,
                    "reference": [reference] * len(full.names),
                    "difference": point[name] - point[reference],
                    "difference_lower": low,
                    "difference_upper": high,
                    "note": [
                        SCORE if not ranked[name][1].probability and metric not in full.ranking else None
                        for metric in full.names
                    ],
                },
                schema=COMPARISON_SCHEMA,
            )
        )
    of_reference = pl.col("model") == reference
    differences = ("difference", "difference_lower", "difference_upper")
    return (
        pl.concat(frames)
        .with_columns(pl.when(~of_reference).then(pl.col(name)).alias(name) for name in differences)
        .with_columns(pl.selectors.float().fill_nan(None))
    )


def _padded(
    rows: Ranked, weights: Floats, layout: Layout, full: Layout, point: Floats | None = None
) -> Floats:
    values = measure(rows, rows.weigh(weights), layout, point)
    return np.concatenate([values, np.full(len(full.names) - len(values), np.nan)])
