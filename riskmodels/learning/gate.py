"""The gate between a candidate and the champion.

A version passes if

1. its calibration slope on patients held out lies between 0.8 and 1.25, and
2. it discriminates no worse than the champion within the interval: where both were measured on the same
rows, the
   95% interval of the difference in AUROC (candidate minus champion) does not lie wholly below 0;
   otherwise the upper limit of the candidate's AUROC is not below the champion's AUROC.

Without a champion the first rule alone decides.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riskmodels.evaluation import Evaluation
    from riskmodels.learning.bundle import ModelBundle

__all__ = ["SLOPES", "Promotion", "compare_with_champion", "decide"]

SLOPES = (0.8, 1.25)


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
    candidate: "Evaluation", champion: "Evaluation | None", paired: Mapping[str, float] | None = None
) -> tuple[bool, tuple[str, ...]]:
    """Return whether a candidate passes, and why or why not.

    Parameters
    ----------
    candidate, champion : Evaluation
        Each on its own held-out patients.
    paired : mapping, optional
        ``difference``, ``lower`` and ``upper`` of the AUROC on the same rows, candidate minus champion.
    """
    slope = candidate["calibration_slope"].value
    low, high = SLOPES
    calibrated = low <= slope <= high
    verdict = "is" if calibrated else "is not"
    reasons = [f"calibration slope {_number(slope)} {verdict} within {low} to {high}"]
    if champion is None:
        return calibrated, (*reasons, "there is no champion to compare with")
    if paired is not None:
        good = paired["upper"] >= 0
        reasons.append(
            f"AUROC differs from the champion's by {paired['difference']:+.4f} ({paired['lower']:+.4f} to "
            f"{paired['upper']:+.4f}) on the same rows: {'not worse' if good else 'worse'}"
        )
    else:
        mine, theirs = candidate["auroc"], champion["auroc"]
        good = mine.upper >= theirs.value
        reasons.append(
            f"AUROC {_number(mine.value)} ({_number(mine.lower)}-{_number(mine.upper)}) against the "
            "champion's "
            f"{_number(theirs.value)}, on different rows: {'not worse' if good else 'worse'} within the "
            "interval"
        )
    return calibrated and good, tuple(reasons)


def compare_with_champion(
    candidate_risk: Any,
    frame: Any,
    outcome: Any,
    patients: Any,
    name: str,
    *,
    tracking_uri: str | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Measure the champion of `name` on the candidate's held-out rows; None where none fits them.

    A champion that was fitted on some of these patients looks better than it is, so the comparison errs
    against the candidate.

    Parameters
    ----------
    candidate_risk : array-like of float, shape (rows,)
        The candidate's risks.
    frame : frame or FeatureFrame, shape (rows, features)
        The features; the champion takes those it knows. One with sparse columns needs the feature frame.
    outcome, patients : array-like, shape (rows,)
        Outcome and patient of each row.

    Returns
    -------
    dict or None
        ``version`` of the champion, ``difference`` of the AUROC (candidate minus champion), ``lower``,
        ``upper``.
    """
    from riskmodels.errors import ContractError, RegistryError
    from riskmodels.evaluation import compare
    from riskmodels.learning.bundle import ModelBundle
    from riskmodels.learning.registry import CHAMPION, load_model

    try:
        champion = load_model(f"models:/{name}@{CHAMPION}", tracking_uri, kind=ModelBundle)
        risk = champion.predict(known_columns(frame, champion))
    except (RegistryError, ContractError):
        return None
    table = compare(
        outcome,
        {"champion": risk, "candidate": candidate_risk},
        patients,
        reference="champion",
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    row = table.filter((table["metric"] == "auroc") & (table["model"] == "candidate")).row(0, named=True)
    limits = {key: row[f"difference_{key}"] for key in ("lower", "upper")}
    if any(value is None or math.isnan(value) for value in (row["difference"], *limits.values())):
        return None
    return {"version": champion.version, "difference": row["difference"], **limits}


def known_columns(frame: Any, bundle: "ModelBundle") -> Any:
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


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
