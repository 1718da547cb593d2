"""The result of an evaluation: metrics, groups and curves, no row of any patient."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError, did_you_mean
from riskmodels.evaluation.metrics import format_interval, format_metric, metric_label
from riskmodels.evaluation.suppression import SMALLEST_CELL
from riskmodels.files import write_json

__all__ = ["BY_GROUP_SCHEMA", "METRICS_SCHEMA", "Evaluation", "Interval", "Measured"]

METRICS_SCHEMA = {
    "metric": pl.String,
    "value": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "note": pl.String,
}
BY_GROUP_SCHEMA = {
    "group": pl.String,
    "level": pl.String,
    "n": pl.Int64,
    "suppressed": pl.Boolean,
    **METRICS_SCHEMA,
}
FORMAT = 1
# With few events, or few without, these give their number away.
RATES = ("observed_rate", "observed_expected", "scaled_brier")


@dataclass(frozen=True)
class Interval:
    """A value with its confidence limits; NaN where not defined."""

    value: float
    lower: float
    upper: float


class Measured:
    """What has metrics with intervals.

    Attributes
    ----------
    metrics : DataFrame
        metric, value, lower, upper.
    """

    metrics: pl.DataFrame

    def __getitem__(self, metric: str) -> Interval:
        """Return one metric: ``evaluation["auroc"].value``; what is not defined is NaN."""
        found = self.metrics.filter(pl.col("metric") == metric)
        if found.is_empty():
            hint = did_you_mean(metric, self.metrics["metric"])
            raise DataError(f"this evaluation has no metric {metric!r}", fix=hint)
        row = found.row(0, named=True)
        return Interval(*(math.nan if row[key] is None else row[key] for key in ("value", "lower", "upper")))


@dataclass(frozen=True, eq=False)
class Evaluation(Measured):
    """How good predictions are on one set of rows.

    Parameters
    ----------
    name : str
        What was evaluated.
    n_rows, n_patients, n_events : int
        Size of the set.
    metrics : DataFrame
        One row a metric: metric, value, lower, upper, note (why a value is null).
    by_group : DataFrame
        One row a group, level and metric; levels of fewer than 11 rows, events or non-events are suppressed.
    curves : dict
        ``roc``, ``precision_recall``, ``calibration``, ``decision`` and ``histogram``, each a dict of lists.
    settings : dict
        Confidence level, number of bootstrap draws, seed, thresholds.
    warnings : tuple of str
        What a reader should know before using the numbers.
    """

    name: str
    n_rows: int
    n_patients: int
    n_events: int
    metrics: pl.DataFrame
    by_group: pl.DataFrame
    curves: dict[str, dict[str, list[Any]]]
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def withheld(self, metric: str, value: float | None = None) -> bool:
        """Tell whether a count of 1 to 10 could be worked out from a metric, so that it may not be shown.

        Parameters
        ----------
        value : float, optional
            The metric of another model on the same rows; of this one where it is None.
        """
        value = self[metric].value if value is None else value
        events, others = self.n_events, self.n_rows - self.n_events
        name, _, at = metric.partition("@")
        if math.isnan(value):
            return False
        if name in RATES:
            return 0 < min(events, others) < SMALLEST_CELL
        if name in ("sensitivity", "ppv"):
            flagged = self.n_rows * float(at.removeprefix("top").removesuffix("%")) / 100
            true = value * (flagged if name == "ppv" else events)
            cells = (true, flagged - true, events - true, others - flagged + true)
            return any(0.5 < cell < SMALLEST_CELL for cell in cells)
        if name.startswith("net_benefit"):
            curve = self.curves["decision"]
            nearest = min(
                range(len(curve["threshold"])), key=lambda i: abs(curve["threshold"][i] - float(at))
            )
            return curve["model"][nearest] is None
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold (None for what is not defined)."""
        return {
            "format": FORMAT,
            "name": self.name,
            "n_rows": self.n_rows,
            "n_patients": self.n_patients,
            "n_events": self.n_events,
            "metrics": self.metrics.to_dicts(),
            "by_group": self.by_group.to_dicts(),
            "curves": self.curves,
            "settings": self.settings,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Evaluation":
        """Return the evaluation that :meth:`to_dict` described.

        Raises
        ------
        DataError
            Where it was written in another format.
        """
        if content.get("format") != FORMAT:
            raise DataError(
                f"an evaluation of format {content.get('format')!r}; this version reads format {FORMAT}",
                fix="evaluate again with this version",
            )
        return cls(
            **{
                key: content[key]
                for key in ("name", "n_rows", "n_patients", "n_events", "curves", "settings")
            },
            metrics=pl.DataFrame(content["metrics"], schema=METRICS_SCHEMA, orient="row"),
            by_group=pl.DataFrame(content["by_group"], schema=BY_GROUP_SCHEMA, orient="row"),
            warnings=tuple(content["warnings"]),
        )

    def write(self, path: str | Path) -> None:
        """Write as JSON, whole or not at all."""
        write_json(path, self.to_dict())

    def to_text(self) -> str:
        """Return the metrics as a table for people: ``AUROC  0.652 (0.641-0.663)``."""
        events = "fewer than 11" if 0 < self.n_events < SMALLEST_CELL else f"{self.n_events:,}"
        size = f"{self.n_rows:,} rows of {self.n_patients:,} patients, {events} events"
        level, draws = self.settings["level"], self.settings["n_bootstrap"]
        lines = [f"{self.name}: {size}; {level:.0%} intervals from {draws:,} draws of patients"]
        shown = self.metrics.filter(~pl.col("metric").str.starts_with("net_benefit_gain")).to_dicts()
        width = max((len(metric_label(row["metric"])) for row in shown), default=0)
        for row in shown:
            if self.withheld(row["metric"]):
                lines.append(f"  {metric_label(row['metric']):<{width}}  withheld: rests on fewer than 11")
                continue
            value = format_metric(row["metric"], row["value"])
            limits = format_interval(row["metric"], row["lower"], row["upper"])
            interval = f" ({limits})" if limits else ""
            note = f"  [{row['note']}]" if row["note"] else ""
            lines.append(f"  {metric_label(row['metric']):<{width}}  {value}{interval}{note}")
        return "\n".join([*lines, *(f"  Note: {warning}" for warning in self.warnings)])
