"""The result of judging expected costs: metrics and predictive ratios, no row of any person."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.evaluation.metrics import format_interval, format_metric, metric_label
from riskmodels.evaluation.result import METRICS_SCHEMA, Evaluation, Measured

__all__ = ["NUMBERS", "RATIOS_SCHEMA", "TENTHS", "CostComparison", "CostEvaluation", "read_evaluation"]

TENTHS = "tenth of expected"
COST = "cost"
FORMAT = 1
NUMBERS = dict.fromkeys(("observed", "expected", "ratio", "lower", "upper"), pl.Float64)
RATIOS_SCHEMA = {"group": pl.String, "level": pl.String, "n": pl.Int64, **NUMBERS}


@dataclass(frozen=True, eq=False)
class CostEvaluation(Measured):
    """How good one model of expected cost is on persons held out; no row of any person.

    Parameters
    ----------
    name : str
        What was evaluated.
    n_rows, n_patients : int
        Person years and persons.
    metrics : DataFrame
        metric (``r2``, ``mae`` in dollars, ``cpm``, ``predictive_ratio``), value, lower, upper, note.
    ratios : DataFrame
        group, level, n, observed and expected (dollars a unit of exposure), ratio, lower, upper; null where
        a level has fewer than 11 persons.
    settings : dict
        Confidence level, number of bootstrap draws, seed; ``timing`` of the model where it is known.
    """

    name: str
    n_rows: int
    n_patients: int
    metrics: pl.DataFrame
    ratios: pl.DataFrame
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tenths(self) -> pl.DataFrame:
        """Return the predictive ratios by tenth of the expectation, the lowest first."""
        return self.ratios.filter(group=TENTHS)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold (None for what is not defined)."""
        plain = {key: getattr(self, key) for key in ("name", "n_rows", "n_patients", "settings")}
        frames = {key: getattr(self, key).to_dicts() for key in ("metrics", "ratios")}
        return {"format": FORMAT, "outcome": COST, **plain, **frames}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "CostEvaluation":
        """Return the evaluation that :meth:`to_dict` described.

        Raises
        ------
        DataError
            Where it was written in another format.
        """
        if (content.get("format"), content.get("outcome")) != (FORMAT, COST):
            raise DataError(
                f"no evaluation of expected cost of format {FORMAT}", fix="evaluate again with this version"
            )
        return cls(
            **{key: content[key] for key in ("name", "n_rows", "n_patients", "settings")},
            metrics=pl.DataFrame(content["metrics"], schema=METRICS_SCHEMA, orient="row"),
            ratios=pl.DataFrame(content["ratios"], schema=RATIOS_SCHEMA, orient="row"),
        )


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
        Levels of fewer than 11 persons are null, and one that could be worked out from them.
    n_rows, n_patients : int
        Rows and persons.
    settings : dict
        Confidence level, number of draws, seed.
    """

    metrics: pl.DataFrame
    differences: pl.DataFrame
    ratios: pl.DataFrame
    n_rows: int
    n_patients: int
    settings: dict[str, Any] = field(default_factory=dict)

    def evaluation(self, model: str, **settings: Any) -> CostEvaluation:
        """Return what is said here of one model, with further settings."""
        metrics = self.metrics.filter(model=model).drop("model").with_columns(note=pl.lit(None, pl.String))
        finite = [pl.when(pl.col(name).is_finite()).then(name) for name in ("value", "lower", "upper")]
        return CostEvaluation(
            model,
            self.n_rows,
            self.n_patients,
            metrics.with_columns(finite).select(list(METRICS_SCHEMA)),
            self.ratios.filter(model=model).drop("model"),
            {**self.settings, **settings},
        )

    def to_text(self) -> str:
        """Return the metrics as a table of text."""
        lines = []
        for model in self.metrics["model"].unique(maintain_order=True):
            rows = {row["metric"]: row for row in self.metrics.filter(model=model).iter_rows(named=True)}
            said = (
                f"{metric_label(name)} {format_metric(name, rows[name]['value'])} "
                f"({format_interval(name, rows[name]['lower'], rows[name]['upper'])})"
                for name in ("r2", "cpm", "predictive_ratio", "mae")
            )
            lines.append(f"{model}: {'  '.join(said)}")
        return "\n".join(lines)


def read_evaluation(content: dict[str, Any]) -> Evaluation | CostEvaluation:
    """Return the evaluation that `to_dict` of either kind described."""
    if content.get("outcome") == COST:
        return CostEvaluation.from_dict(content)
    return Evaluation.from_dict(content)
