"""The gate between a candidate and the champion.

A version passes if, on patients held out,

1. it is calibrated: a risk's calibration slope lies between 0.8 and 1.25; expected costs sum to between 0.9
   and 1.1 of what was spent, and in no tenth of the expectation does this ratio lie outside 0.8 to 1.25 with
   the whole of its 95% interval;
2. it is no worse than the champion within the interval: a risk in AUROC, expected costs neither in R-squared
   nor in mean absolute error. Where both models were measured on the same rows, the 95% interval of the
   difference (candidate minus champion, patients drawn) does not lie wholly on the wrong side of 0; otherwise
   the better limit of the candidate's is not worse than the champion's value.

Without a champion the first rule alone decides. The limits are this package's own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riskmodels.evaluation import CostEvaluation, Evaluation
    from riskmodels.learning.bundle_folder import Bundle

    AnyEvaluation = Evaluation | CostEvaluation

__all__ = ["RATIOS", "RATIOS_OF_TENTHS", "SLOPES", "Promotion", "compare_with_champion", "decide"]

SLOPES = (0.8, 1.25)
RATIOS = (0.9, 1.1)
RATIOS_OF_TENTHS = (0.8, 1.25)
COST_METRICS = ("r2", "mae")
HIGHER_IS_BETTER = {"auroc": True, "r2": True, "mae": False}


@dataclass(frozen=True)
class Promotion:
    """A decision of the gate.

    Parameters
    ----------
    promoted : bool
        Whether the version is the champion now.
    reasons : tuple of str
        What the decision rests on, rule by rule.
    against : str, optional
        Version of the champion it was compared with.
    """

    name: str
    version: str
    promoted: bool
    reasons: tuple[str, ...]
    against: str | None = None

    def to_text(self) -> str:
        """Return the decision and its reasons, a line each."""
        verdict = "is the champion" if self.promoted else "stays a candidate: it did not pass the gate"
        head = f"{self.name} version {self.version} {verdict}"
        return "\n".join([head, *(f"  {why}" for why in self.reasons)])


def decide(
    candidate: "AnyEvaluation",
    champion: "AnyEvaluation | None",
    paired: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[bool, tuple[str, ...]]:
    """Return whether a candidate passes, and why or why not.

    Parameters
    ----------
    candidate, champion : Evaluation or CostEvaluation
        Each on its own held-out patients.
    paired : mapping of metric to mapping, optional
        ``difference``, ``lower`` and ``upper`` on the same rows, candidate minus champion.
    """
    from riskmodels.evaluation import CostEvaluation

    metrics: tuple[str, ...] = ("auroc",)
    if isinstance(candidate, CostEvaluation):
        verdicts, metrics = _costs_calibrated(candidate), COST_METRICS
    else:
        verdicts = [_within(candidate, "calibration_slope", SLOPES)]
    if champion is None:
        verdicts.append((True, "there is no champion to compare with"))
    elif said := _other_sort(candidate, champion):
        verdicts.append((False, said))
    else:
        verdicts += [_not_worse(name, candidate, champion, (paired or {}).get(name)) for name in metrics]
    return all(good for good, _ in verdicts), tuple(why for _, why in verdicts)


def compare_with_champion(
    predicted: Any,
    frame: Any,
    outcome: Any,
    patients: Any,
    name: str,
    *,
    like: "Bundle | None" = None,
    exposure: Any = None,
    tracking_uri: str | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Measure the champion of `name` on the candidate's held-out rows; None where none fits them.

    A champion that was fitted on some of these patients looks better than it is, so the comparison errs
    against the candidate.

    Parameters
    ----------
    predicted : array-like of float, shape (rows,)
        The candidate's risks or expected costs.
    frame : frame or FeatureFrame, shape (rows, features)
        The features; the champion takes those it knows. One with sparse columns needs the feature frame.
    outcome, patients : array-like, shape (rows,)
        Outcome, or what was spent, and patient of each row.
    like : Bundle, optional
        The candidate; by default one of a risk. A champion of another kind or timing is not measured.
    exposure : array-like, shape (rows,), optional
        Of costs: see `riskmodels.evaluation.compare_costs`.

    Returns
    -------
    dict or None
        ``version`` of the champion, and by metric ``difference`` (candidate minus champion), ``lower`` and
        ``upper``: ``auroc`` of a risk, ``r2`` and ``mae`` of expected costs.
    """
    from riskmodels.errors import ContractError, RegistryError
    from riskmodels.learning.bundle import ModelBundle
    from riskmodels.learning.registry import CHAMPION, load_model

    kind = ModelBundle if like is None else type(like)
    try:
        champion = load_model(f"models:/{name}@{CHAMPION}", tracking_uri, kind=kind)
        theirs = champion.predict(known_columns(frame, champion))
    except (RegistryError, ContractError):
        return None
    if getattr(champion, "timing", None) != getattr(like, "timing", None):
        return None
    draws: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed}
    if isinstance(champion, ModelBundle):
        found = _risk_differences(outcome, predicted, theirs, patients, draws)
    else:
        found = _cost_differences(outcome, predicted, theirs, patients, exposure, draws)
    numbers = [value for difference in found.values() for value in difference.values()]
    if any(value is None or math.isnan(value) for value in numbers):
        return None
    return {"version": champion.version, **found}


def known_columns(frame: Any, bundle: "Bundle") -> Any:
    """Return what a model knows of a table or feature frame, sparse columns too where it has some."""
    import narwhals as nw

    wide = getattr(frame, "sparse_columns", [])
    table = frame.frame if hasattr(frame, "sparse_columns") else frame
    rows = nw.from_native(table, eager_only=True).to_polars()
    rows = rows.select([name for name in bundle.contract.names if name in rows.columns])
    known = {column.name for column in bundle.contract.sparse_columns}
    places = [n for n, column in enumerate(wide) if column.name in known]
    if not places:
        return rows
    return replace(
        frame, frame=rows, sparse=frame.sparse[:, places], sparse_columns=[wide[n] for n in places]
    )


def _risk_differences(
    outcome: Any, mine: Any, theirs: Any, patients: Any, draws: dict[str, Any]
) -> dict[str, dict[str, float]]:
    from riskmodels.evaluation import compare

    models = {"champion": theirs, "candidate": mine}
    table = compare(outcome, models, patients, reference="champion", **draws)
    row = table.filter((table["metric"] == "auroc") & (table["model"] == "candidate")).row(0, named=True)
    limits = {key: row[f"difference_{key}"] for key in ("lower", "upper")}
    return {"auroc": {"difference": row["difference"], **limits}}


def _cost_differences(
    cost: Any, mine: Any, theirs: Any, patients: Any, exposure: Any, draws: dict[str, Any]
) -> dict[str, dict[str, float]]:
    from riskmodels.evaluation import compare_costs

    models = {"champion": theirs, "candidate": mine}
    made = compare_costs(cost, models, patients, exposure=exposure, **draws)
    return {
        row["metric"]: {"difference": row["value"], "lower": row["lower"], "upper": row["upper"]}
        for row in made.differences.iter_rows(named=True)
        if row["metric"] in COST_METRICS
    }


def _within(evaluation: "AnyEvaluation", metric: str, limits: tuple[float, float]) -> tuple[bool, str]:
    from riskmodels.evaluation import metric_label

    low, high = limits
    value = evaluation[metric].value
    good = low <= value <= high
    label = metric_label(metric)
    return good, f"{label[0].lower()}{label[1:]} {_number(value)} {_is(good)} within {low} to {high}"


def _costs_calibrated(evaluation: "CostEvaluation") -> list[tuple[bool, str]]:
    total = _within(evaluation, "predictive_ratio", RATIOS)
    low, high = RATIOS_OF_TENTHS
    known = evaluation.tenths.drop_nulls(["lower", "upper"])
    if known.is_empty():
        return [total, (False, "too few persons or draws to judge tenths of the expectation")]
    outside = known.filter((known["lower"] > high) | (known["upper"] < low)).to_dicts()
    which = ", ".join(
        f"{row['level']}: {row['ratio']:.2f} ({row['lower']:.2f}-{row['upper']:.2f})" for row in outside
    )
    said = f"{len(outside)} of {known.height} tenths ({which})" if outside else "no tenth"
    return [
        total,
        (not outside, f"expected/spent of {said} lies outside {low} to {high} with its whole interval"),
    ]


def _other_sort(candidate: "AnyEvaluation", champion: "AnyEvaluation") -> str:
    """Say what makes a champion a model of something else, or nothing."""
    fix = "; register the candidate under another name"
    if type(candidate) is not type(champion):
        return f"the champion is not of the same kind: one expects a cost, the other a risk{fix}"
    timings = [evaluation.settings.get("timing") for evaluation in (candidate, champion)]
    if timings[0] != timings[1]:
        return f"the candidate is {timings[0]} and the champion {timings[1]}{fix}"
    return ""


def _not_worse(
    metric: str,
    candidate: "AnyEvaluation",
    champion: "AnyEvaluation",
    paired: Mapping[str, float] | None,
) -> tuple[bool, str]:
    """Return whether a candidate is no worse than the champion in one metric, and the words for it."""
    from riskmodels.evaluation import format_interval, format_metric, metric_label

    higher, label = HIGHER_IS_BETTER[metric], metric_label(metric)
    if paired is not None:
        good = paired["upper"] >= 0 if higher else paired["lower"] <= 0
        difference, low, high = (_signed(metric, paired[key]) for key in ("difference", "lower", "upper"))
        return good, (
            f"{label} differs from the champion's by {difference} ({low} to {high}) on the same rows: "
            f"{_worse(good)}"
        )
    mine, theirs = candidate[metric], champion[metric]
    good = mine.upper >= theirs.value if higher else mine.lower <= theirs.value
    return good, (
        f"{label} {format_metric(metric, mine.value)} ({format_interval(metric, mine.lower, mine.upper)}) "
        f"against the champion's {format_metric(metric, theirs.value)}, on different rows: {_worse(good)} "
        "within the interval"
    )


def _signed(metric: str, value: float) -> str:
    return f"{value:+,.0f} dollars" if metric == "mae" else f"{value:+.4f}"


def _is(good: bool) -> str:
    return "is" if good else "is not"


def _worse(good: bool) -> str:
    return "not worse" if good else "worse"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
