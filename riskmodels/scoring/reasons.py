"""Why a risk is high or low: the topics that move a patient's log-odds most, in words."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels.scoring.wording import Wording, reason_topic

if TYPE_CHECKING:
    from riskmodels.learning.bundle import ModelBundle

__all__ = ["reason_columns", "top_reasons"]

WORTH_SAYING = 0.005  # log-odds; below, a reason would move the risk by less than half a percent of itself


def reason_columns(count: int) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Return the columns of `count` reasons: words, feature and its topic's share of the log-odds."""
    columns: dict[str, pl.DataType | type[pl.DataType]] = {}
    for rank in range(1, count + 1):
        columns |= {
            f"reason_{rank}": pl.String,
            f"reason_{rank}_feature": pl.String,
            f"reason_{rank}_log_odds": pl.Float64,
        }
    return columns


def top_reasons(bundle: "ModelBundle", frame: Any, count: int, rows: np.ndarray) -> pl.DataFrame:
    """Return the `count` strongest reasons of some rows; null for the others.

    The SHAP values of features that say nearly the same (one event in several windows) are added up, and the
    feature that moves most in the direction of the sum speaks for them.

    Parameters
    ----------
    frame : pl.DataFrame, shape (n, features), or FeatureFrame
        Features in the order of the contract, as `ModelBundle.ready` gives them.
    rows : ndarray of bool, shape (n,)
        Which rows are explained.
    """
    schema = reason_columns(count)
    found: dict[str, list[object]] = {name: [None] * frame.height for name in schema}
    places = np.flatnonzero(rows)
    if count and places.size:
        explained = frame.filter(pl.Series(rows))
        effects = bundle.model.explain(explained)
        contributions, names = np.ascontiguousarray(effects.to_numpy()), list(effects.columns)
        columns = {column.name: column for column in bundle.feature_set.every_column}
        topics, number = np.unique([reason_topic(columns[name]) for name in names], return_inverse=True)
        by_topic = contributions @ np.eye(len(topics))[number]
        order = np.argsort(-np.abs(by_topic), axis=1, kind="stable")[:, :count]
        wording = Wording.of(bundle.feature_set)
        values = explained if isinstance(explained, pl.DataFrame) else explained.to_dense()
        members = [np.flatnonzero(number == topic) for topic in range(len(topics))]
        for row, place in enumerate(places):
            for rank, topic in enumerate(order[row], start=1):
                total = by_topic[row, topic]
                if abs(total) < WORTH_SAYING:
                    break
                of_topic = members[topic]
                speaker = names[of_topic[np.argmax(contributions[row, of_topic] * np.sign(total))]]
                words = wording.say(speaker, values.item(row, speaker))
                found[f"reason_{rank}"][place] = f"{words} ({'raises' if total > 0 else 'lowers'} risk)"
                found[f"reason_{rank}_feature"][place] = speaker
                found[f"reason_{rank}_log_odds"][place] = float(np.round(total, 6))
    return pl.DataFrame(found, schema=schema)
