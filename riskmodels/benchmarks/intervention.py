"""What an intervention would move: outcomes avoided and dollars, by threshold of the risk score.

Of those at or above a threshold t the intervention reaches a share, costs so much each and lowers the risk of
each by the same share. With risks p, uptake u, relative risk reduction r, cost c a patient reached and value
v of an outcome avoided,

    avoided(t) = u r sum(p)        net benefit(t) = v avoided(t) - c u n(t)

so that a patient is worth reaching where p > c / (r v): the decision-analytic threshold of Pauker and
Kassirer (1980, N Engl J Med 302:1109), and net benefit in the sense of Vickers and Elkin (2006, Med Decis
Making 26:565), in dollars. The effect is the user's: there is no default.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.evaluation.bootstrap import weights_of_draws
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["Effect", "InterventionResult", "intervene"]

THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.0, 0.61, 0.02), 2))
Z = 1.959964


@dataclass(frozen=True)
class Effect:
    """A relative risk reduction with its 95% interval, as a trial or a meta-analysis gives it.

    Parameters
    ----------
    reduction : float
        Share of the outcomes avoided among those reached, below 1; negative where the intervention harms.
    lower, upper : float, optional
        Its limits; without them it counts as known.
    """

    reduction: float
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        """Refuse a reduction of everything, or limits that do not hold it."""
        if not self.reduction < 1:
            raise SpecError(f"a relative risk reduction of {self.reduction} leaves no risk: give one below 1")
        if (self.lower is None) != (self.upper is None):
            raise SpecError("give both limits of the effect, or none")
        if self.lower is None or self.upper is None:
            return
        if not self.lower <= self.reduction <= self.upper < 1:
            raise SpecError(f"the effect {self.reduction} is not between {self.lower} and {self.upper}")

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return draws: the logarithm of the relative risk is taken as normal."""
        if self.lower is None or self.upper is None:
            return np.full(n, self.reduction)
        spread = (np.log1p(-self.lower) - np.log1p(-self.upper)) / (2 * Z)
        found: np.ndarray = 1 - np.exp(
            np.random.default_rng(seed).normal(np.log1p(-self.reduction), spread, n)
        )
        return found


@dataclass(frozen=True, eq=False)
class InterventionResult:
    """What an intervention would move at each threshold.

    Parameters
    ----------
    frame : pl.DataFrame
        threshold, reached (patients), expected_outcomes (among them, without it), avoided, cost, saved and
        net_benefit (dollars), number_needed (patients reached for one outcome avoided), each uncertain one
        with ``_lower`` and ``_upper``; levels of fewer than 11 patients, or of 1 to 10
        more than another, are null.
    best : float or None
        The threshold of the largest net benefit, None where none is above 0.
    break_even : float or None
        The risk from which a patient is worth reaching.
    notes : tuple of str
        What the interval holds and what not.
    """

    frame: pl.DataFrame
    best: float | None
    break_even: float | None
    notes: tuple[str, ...] = field(default=())

    def to_text(self) -> str:
        """Return the best threshold, or the one asked for, in a few lines."""
        rows = self.frame.drop_nulls("net_benefit")
        if rows.is_empty():
            return "fewer than 11 patients are reached at any threshold"
        shown = rows if rows.height == 1 else rows.filter(pl.col("net_benefit") == rows["net_benefit"].max())
        row = shown.row(0, named=True)
        edge = self.break_even
        words = "worth it at no risk" if edge is None else f"worth it from a risk of {edge:.1%}"
        outcomes = f"{row['expected_outcomes']:,.1f} outcomes"
        limits = f"{_dollars(row['net_benefit_lower'])} to {_dollars(row['net_benefit_upper'])}"
        dollars = f"saved {_dollars(row['saved'])}, cost {_dollars(row['cost'])}"
        avoided = f"{row['avoided']:,.1f} ({row['avoided_lower']:,.1f} to {row['avoided_upper']:,.1f})"
        lines = [
            f"threshold {row['threshold']:.1%}: {row['reached']:,.0f} patients reached ({words})",
            f"  avoided {avoided} of {outcomes}",
            f"  net benefit {_dollars(row['net_benefit'])} ({limits}): {dollars}",
        ]
        if self.best is None:
            lines.append("  at no threshold is the net benefit above 0")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def intervene(
    risk: Any,
    effect: Effect,
    *,
    cost_per_patient: float,
    value_per_outcome: float,
    thresholds: Sequence[float] | None = None,
    capacity: int | None = None,
    uptake: float = 1.0,
    observed: Any = None,
    n_draws: int = 1000,
    seed: int = 0,
) -> InterventionResult:
    """Return what an intervention on the patients at highest risk would move.

    Parameters
    ----------
    risk : array-like (n,)
        Calibrated risks of the patients who could be reached, an entry a patient or discharge.
    effect : Effect
        Relative risk reduction among those who take part.
    cost_per_patient, value_per_outcome : float
        Dollars a patient who takes part, and dollars that an outcome avoided saves.
    thresholds : sequence of float, optional
        Risks from which on patients are reached; by default 0% to 60% in steps of 2.
    capacity : int, optional
        Reach so many, those at highest risk: the threshold is then the risk of the last.
    uptake : float
        Share of those offered who take part.
    observed : frame, optional
        risk, label (0 or 1) and, where known, person_id of patients whose outcome is known: the risks are
        scaled, at each threshold, by observed over expected there, and its chance is in the interval.
    n_draws, seed
        Draws of the effect and of the patients observed.

    Raises
    ------
    SpecError
        An amount, share or threshold is out of its range.
    DataError
        A risk is not between 0 and 1.
    """
    if not 0 < uptake <= 1:
        raise SpecError(f"uptake is {uptake}: give a share above 0, at most 1")
    if cost_per_patient < 0 or value_per_outcome < 0:
        raise SpecError("cost_per_patient and value_per_outcome are dollars of at least 0")
    risks = _risks(risk, "risk")
    if capacity is not None:
        if thresholds is not None:
            raise SpecError("give thresholds or a capacity, not both")
        if capacity < 1:
            raise SpecError(f"capacity is {capacity}: at least 1 patient")
        last = float(np.sort(risks)[::-1][min(capacity, len(risks)) - 1])
        levels: Sequence[float] = (last,)
    else:
        levels = THRESHOLDS if thresholds is None else thresholds
    if any(not 0 <= level <= 1 for level in levels):
        raise SpecError("thresholds are risks from 0 to 1")
    draws = effect.draw(n_draws, seed)
    scale, scales = _calibration(levels, observed, n_draws, seed)
    rows = []
    reached = [int(np.count_nonzero(risks >= level)) for level in levels]
    apart = _apart(reached if capacity is None else [min(capacity, len(risks))])
    for place, level in enumerate(levels):
        above = np.sort(risks[risks >= level])[::-1]
        above = above if capacity is None else above[:capacity]
        taken = uptake * len(above)
        outcomes = scale[place] * above.sum()
        avoided = uptake * effect.reduction * outcomes
        drawn = uptake * draws * scales[:, place] * above.sum()
        cost = cost_per_patient * taken
        row = {
            "threshold": level,
            "reached": taken,
            "expected_outcomes": outcomes * uptake,
            "avoided": avoided,
            "avoided_lower": float(np.quantile(drawn, 0.025)),
            "avoided_upper": float(np.quantile(drawn, 0.975)),
            "cost": cost,
            "saved": value_per_outcome * avoided,
            "net_benefit": value_per_outcome * avoided - cost,
            "net_benefit_lower": float(np.quantile(value_per_outcome * drawn - cost, 0.025)),
            "net_benefit_upper": float(np.quantile(value_per_outcome * drawn - cost, 0.975)),
            "number_needed": taken / avoided if avoided > 0 else None,
        }
        small = {"threshold": level, **dict.fromkeys(list(row)[1:])}
        rows.append(row if apart[place] else small)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.Float64))
    top = frame.drop_nulls("net_benefit").sort("net_benefit", descending=True, nulls_last=True)
    best = float(top["threshold"][0]) if top.height and top["net_benefit"][0] > 0 else None
    worth = effect.reduction * value_per_outcome
    edge = cost_per_patient / worth if worth > 0 and cost_per_patient < worth else None
    notes = [] if effect.lower is not None else ["the effect is taken as known: the interval leaves it out"]
    if observed is None:
        notes.append("risks are taken as calibrated: the interval leaves out how well they are")
    return InterventionResult(frame, best, edge, tuple(notes))


def _dollars(value: float) -> str:
    return f"{'-' if round(value) < 0 else ''}${abs(value):,.0f}"


def _apart(reached: Sequence[int]) -> list[bool]:
    """Tell which levels are shown: of 11 patients or more, and none or 11 or more from the next one shown.

    From two levels the patients between them can be worked out. Those of few patients come first.
    """
    last, shown = 0, dict.fromkeys(reached, False)
    for count in sorted(shown):
        if count - last >= SMALLEST_CELL:
            last, shown[count] = count, True
    return [shown[count] for count in reached]


def _calibration(
    levels: Sequence[float], observed: Any, n_draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return observed over expected outcomes at each threshold, and draws of it (n_draws, thresholds)."""
    ones = np.ones(len(levels))
    if observed is None:
        return ones, np.ones((n_draws, len(levels)))
    import narwhals as nw

    frame = nw.from_native(observed, eager_only=True).to_polars()
    for name in ("risk", "label"):
        if name not in frame.columns:
            raise DataError("the observed outcomes lack the column", column=name)
    frame = frame.drop_nulls(["risk", "label"])
    p, label = _risks(frame["risk"], "risk"), frame["label"].cast(pl.Float64).to_numpy()
    who = frame["person_id"].to_numpy() if "person_id" in frame.columns else np.arange(len(p))
    person = np.unique(who, return_inverse=True)[1]
    above = p[None, :] >= np.asarray(levels)[:, None]
    if (above.sum(axis=1) == 0).any():
        raise DataError(
            "nobody observed is at or above a threshold", column="risk", fix="give lower thresholds"
        )
    spent, due = above * label, above * p

    def ratio(weight: np.ndarray) -> np.ndarray:
        below = due @ weight
        return np.divide(spent @ weight, below, out=np.ones(len(levels)), where=below > 0)

    drawn = [ratio(weight[person]) for weight in weights_of_draws(int(person.max()) + 1, n_draws, seed + 1)]
    return ratio(np.ones(len(p))), np.array(drawn)


def _risks(values: Any, name: str) -> np.ndarray:
    risks = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values, dtype=float)
    if risks.ndim != 1 or len(risks) == 0 or not ((risks >= 0) & (risks <= 1)).all():
        raise DataError("risks are numbers from 0 to 1, at least one", column=name)
    return risks
