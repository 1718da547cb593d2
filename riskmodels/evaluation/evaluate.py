"""Evaluate predictions of risk, overall and by group, with patient-clustered intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from riskmodels.errors import DataError
from riskmodels.evaluation.bootstrap import percentiles, weights_of_draws
from riskmodels.evaluation.curves import Curves
from riskmodels.evaluation.inputs import group_columns, outcomes, patient_numbers, predictions
from riskmodels.evaluation.ranked import THRESHOLDS, TOP, Layout, Ranked, measure, rank_rows
from riskmodels.evaluation.result import BY_GROUP_SCHEMA, METRICS_SCHEMA, Evaluation
from riskmodels.evaluation.suppression import SMALLEST_CELL, suppress_small
from riskmodels.progress import track

__all__ = ["evaluate"]

Floats = npt.NDArray[np.float64]

# Collins, Ogundimu & Altman 2016 (Statistics in Medicine 35: 214-226): validate on at least 100 events.
ENOUGH_EVENTS = 100


@dataclass
class _Part:
    """Rows that are measured together, and their metrics in each draw."""

    ranked: Ranked
    patients: npt.NDArray[np.intp]
    point: Floats
    draws: list[Floats] = field(default_factory=list)


def evaluate(
    y: Any,
    p: Any,
    patients: Any = None,
    groups: Any = None,
    n_bootstrap: int = 200,
    seed: int = 0,
    name: str = "model",
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    top: Sequence[float] = TOP,
    level: float = 0.95,
) -> Evaluation:
    """Measure discrimination, calibration and usefulness of predicted risks.

    Parameters
    ----------
    y : array-like of 0 and 1, shape (n,)
        Outcome. Rows that were not observed do not belong here.
    p : array-like of float in [0, 1], shape (n,)
        Predicted risk.
    patients : array-like, shape (n,), optional
        Patient of each row; intervals draw patients, not rows. Each row its own patient where it is None.
    groups : frame or dict of array-like, optional
        One grouping a column (age band, sex, …); see :func:`riskmodels.evaluation.band` for numbers.
    n_bootstrap : int
        Draws; 0 leaves the intervals out.
    seed : int
        Of the draws.
    name : str
        What is evaluated, for tables and plots.
    thresholds : sequence of float
        Risks at which the net benefit is computed.
    top : sequence of float
        Shares of all rows that are flagged, highest risk first, for sensitivity and PPV.
    level : float
        Confidence level.

    Returns
    -------
    Evaluation
        A metric that is not defined is null and its note says why.

    Raises
    ------
    DataError
        Where an argument has missing values, the wrong length or values out of range.
    """
    truth = outcomes(y)
    risk = predictions(p, len(truth))
    numbers = patient_numbers(patients, len(truth))
    levels = group_columns(groups, len(truth))
    layout = Layout(_shares(thresholds, "thresholds"), _shares(top, "top"))
    if n_bootstrap < 0 or not 0 < level < 1:
        raise DataError(f"n_bootstrap={n_bootstrap}, level={level}", fix="n_bootstrap >= 0 and 0 < level < 1")

    whole = _part(truth, risk, numbers, layout)
    curves = Curves(whole.ranked)
    cells = _cells(truth, levels)
    shown = cells.filter(~pl.col("suppressed"))
    parts = {
        (group, value): _part(truth, risk, numbers, layout, (levels[group][0] == value).arg_true().to_numpy())
        for group, value in shown.select("group", "level").iter_rows()
    }
    n_patients = int(numbers.max()) + 1
    draws = weights_of_draws(n_patients, n_bootstrap, seed)
    for drawn in track(draws, f"Intervals of {name}", total=n_bootstrap, unit="draw") if n_bootstrap else ():
        for part in (whole, *parts.values()):
            tied = part.ranked.weigh(drawn[part.patients])
            part.draws.append(measure(part.ranked, tied, layout, part.point))
            if part is whole:
                curves.add(tied)

    by_group = [
        _metrics(parts[cell["group"], cell["level"]], layout, level).select(
            pl.lit(cell["group"]).alias("group"),
            pl.lit(cell["level"]).alias("level"),
            pl.lit(cell["n"]).alias("n"),
            pl.lit(False).alias("suppressed"),
            pl.all(),
        )
        if not cell["suppressed"]
        else _suppressed(cell, layout)
        for cell in cells.to_dicts()
    ]
    empty = pl.DataFrame(schema=BY_GROUP_SCHEMA)
    return Evaluation(
        name=name,
        n_rows=len(truth),
        n_patients=n_patients,
        n_events=int(truth.sum()),
        metrics=_metrics(whole, layout, level),
        by_group=pl.concat([empty, *(frame.cast(BY_GROUP_SCHEMA) for frame in by_group)]),  # type: ignore[arg-type]
        curves=curves.to_dict(level),
        settings={
            "level": level,
            "n_bootstrap": n_bootstrap,
            "seed": seed,
            "thresholds": list(layout.thresholds),
            "top": list(layout.top),
        },
        warnings=_warnings(truth),
    )


def _part(
    truth: Floats,
    risk: Floats,
    patients: npt.NDArray[np.intp],
    layout: Layout,
    rows: npt.NDArray[np.intp] | None = None,
) -> _Part:
    ranked = rank_rows(truth, risk, rows)
    tied = ranked.weigh(np.ones(len(ranked.order)))
    return _Part(ranked, patients[ranked.order], measure(ranked, tied, layout))


def _metrics(part: _Part, layout: Layout, level: float) -> pl.DataFrame:
    draws = np.array(part.draws).reshape(len(part.draws), len(layout.names))
    at = layout.names.index("ece")
    if len(draws):
        # Noise adds to the ECE of every draw; only their spread is informative. See docs/evaluation.md.
        draws[:, at] = np.maximum(draws[:, at] - _mean(draws[:, at]) + part.point[at], 0.0)
    lower, upper = percentiles(draws, level)
    events = part.ranked.events
    notes = [
        _note(metric, value, events, part.ranked.risk)
        for metric, value in zip(layout.names, part.point, strict=True)
    ]
    frame = pl.DataFrame(
        {"metric": layout.names, "value": part.point, "lower": lower, "upper": upper, "note": notes},
        schema=METRICS_SCHEMA,
    ).with_columns(pl.col("value", "lower", "upper").fill_nan(None))
    # An interval without a value would be read as one.
    return frame.with_columns(pl.when(pl.col("value").is_not_null()).then(pl.col("lower", "upper")))


def _mean(draws: Floats) -> float:
    defined = draws[np.isfinite(draws)]
    return float(defined.mean()) if len(defined) else np.nan


def _note(metric: str, value: float, events: Floats, risk: Floats) -> str | None:
    if np.isfinite(value):
        return None
    if events.min() == events.max():
        return "all rows have the event" if events[0] else "no row has the event"
    if len(risk) == 1:
        return "all predictions are equal"
    if metric.startswith("calibration_slope"):
        return "the predictions separate events from non-events"
    return "not defined on these rows"


def _cells(truth: Floats, levels: dict[str, tuple[pl.Series, list[str]]]) -> pl.DataFrame:
    """Count rows, events and non-events by group and level, and mark the small ones."""
    cells = [
        {"group": group, "level": level, "n": int(mask.sum()), "events": int(truth[mask].sum())}
        for group, (series, ordered) in levels.items()
        for level in ordered
        for mask in [(series == level).to_numpy()]
    ]
    schema = {"group": pl.String, "level": pl.String, "n": pl.Int64, "events": pl.Int64}
    frame = pl.DataFrame(cells, schema=schema).with_columns(others=pl.col("n") - pl.col("events"))
    return suppress_small(frame, ["n", "events", "others"], within=["group"])


def _suppressed(cell: dict[str, Any], layout: Layout) -> pl.DataFrame:
    note = f"suppressed: fewer than {SMALLEST_CELL} rows, events or non-events, here or next to it"
    return pl.DataFrame(
        [
            {
                "group": cell["group"],
                "level": cell["level"],
                "suppressed": True,
                "metric": metric,
                "note": note,
            }
            for metric in layout.names
        ],
        schema=BY_GROUP_SCHEMA,
    )


def _shares(values: Sequence[float], name: str) -> tuple[float, ...]:
    if any(not 0 < value < 1 for value in values):
        raise DataError(f"{name}={list(values)}: each must lie between 0 and 1", fix="0.1 for 10%")
    return tuple(float(value) for value in values)


def _warnings(truth: Floats) -> tuple[str, ...]:
    fewer = int(min(truth.sum(), len(truth) - truth.sum()))
    if fewer >= ENOUGH_EVENTS:
        return ()
    count = f"Fewer than {SMALLEST_CELL}" if fewer < SMALLEST_CELL else f"Only {fewer}"
    what = "events" if truth.sum() == fewer else "rows without the event"
    advice = f"At least {ENOUGH_EVENTS} are advised (Collins, Ogundimu & Altman 2016)."
    return (f"{count} {what}: too few to judge a model by. {advice}",)
