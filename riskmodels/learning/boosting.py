"""LightGBM, kept deterministic: train with early stopping, predict margins and contributions."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "Rows",
    "booster_text",
    "contributions",
    "margins",
    "plain_names",
    "read_booster",
    "recounted",
    "train_booster",
]


@dataclass(frozen=True)
class Rows:
    """An encoded design matrix (n, columns), dense or sparse, with outcomes and weights (n,)."""

    matrix: Any
    y: np.ndarray
    weight: np.ndarray


def train_booster(
    params: dict[str, Any],
    rows: Rows,
    names: Sequence[str],
    categorical: Sequence[int],
    *,
    rounds: int,
    stop_on: Rows | None = None,
    patience: int = 50,
) -> tuple[Any, int]:
    """Train one booster and return it with its number of rounds.

    Parameters
    ----------
    params : dict
        LightGBM parameters.
    rows : Rows
        What to fit on.
    names : sequence of str
        Names of the columns.
    categorical : sequence of int
        Positions of the columns that LightGBM splits as categories.
    rounds : int
        The most rounds; exactly so many without `stop_on`.
    stop_on : Rows, optional
        Rows of other patients; the log loss on them chooses the number of rounds.
    patience : int
        Rounds without a better loss after which to stop.
    """
    import lightgbm as lgb

    data = lgb.Dataset(
        rows.matrix,
        rows.y,
        weight=rows.weight,
        feature_name=plain_names(names),
        categorical_feature=list(categorical),
        params=params,
        free_raw_data=True,
    )
    if stop_on is None:
        booster = lgb.train(params, data, num_boost_round=rounds)
        return read_booster(booster_text(booster, rounds)), rounds
    valid = data.create_valid(stop_on.matrix, stop_on.y, weight=stop_on.weight)
    booster = lgb.train(
        params,
        data,
        num_boost_round=rounds,
        valid_sets=[valid],
        callbacks=[lgb.early_stopping(patience, verbose=False)],
    )
    best = max(1, booster.best_iteration)
    return read_booster(booster_text(booster, best)), best


def margins(boosters: Sequence[Any], matrix: Any, num_threads: int = 0) -> np.ndarray:
    """Return the mean margin (n,), in log-odds, of boosters over an encoded matrix."""
    total = np.zeros(matrix.shape[0])
    if matrix.shape[0] == 0:
        return total
    for booster in boosters:
        total += booster.predict(matrix, raw_score=True, num_threads=num_threads)
    return total / len(boosters)


def contributions(boosters: Sequence[Any], matrix: Any, num_threads: int = 0) -> np.ndarray:
    """Return mean SHAP values (n, columns + 1), the expected margin last (Lundberg et al. 2020, TreeSHAP)."""
    total = np.zeros((matrix.shape[0], matrix.shape[1] + 1))
    if matrix.shape[0] == 0:
        return total
    for booster in boosters:
        found = booster.predict(matrix, pred_contrib=True, num_threads=num_threads)
        total += found if isinstance(found, np.ndarray) else found.toarray()
    return total / len(boosters)


def booster_text(booster: Any, rounds: int = -1) -> str:
    """Return a booster as text that does not depend on the machine's number of threads."""
    text = booster.model_to_string(num_iteration=rounds)
    return re.sub(r"\[num_threads: -?\d+\]", "[num_threads: 0]", text)


def read_booster(text: str) -> Any:
    """Return the booster that `booster_text` wrote."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)


def recounted(text: str, counts: Sequence[np.ndarray]) -> str:
    """Return a booster's text with other numbers of rows in its leaves: SHAP values rest on these.

    Parameters
    ----------
    text : str
        What `booster_text` gave.
    counts : sequence of ndarray (leaves,)
        For each tree, the rows in each of its leaves.
    """
    head, *trees = re.split(r"(?m)^(?=Tree=)", text)
    last, end, rest = trees[-1].partition("end of trees")
    trees[-1] = last
    written = [_recounted_tree(tree, n) for tree, n in zip(trees, counts, strict=True)]
    sizes = [int(size) for size in re.findall(r"(?m)^tree_sizes=(.*)$", head)[0].split()]
    sizes = [size + len(new) - len(old) for size, new, old in zip(sizes, written, trees, strict=True)]
    head = re.sub(r"(?m)^tree_sizes=.*$", f"tree_sizes={_listed(sizes)}", head)
    return head + "".join(written) + end + rest


def _recounted_tree(tree: str, leaves: np.ndarray) -> str:
    """Return a tree's text with other numbers of rows in its leaves, and their sums in its inner nodes."""
    found = dict(re.findall(r"(?m)^(left_child|right_child)=(.*)$", tree))
    children = [
        [int(child) for child in found.get(side, "").split()] for side in ("left_child", "right_child")
    ]
    inner = [0] * len(children[0])
    for node in reversed(range(len(inner))):  # a child comes after its parent; leaf i is written as -1 - i
        inner[node] = sum(int(leaves[~c]) if c < 0 else inner[c] for c in (side[node] for side in children))
    tree = re.sub(r"(?m)^leaf_count=.*$", f"leaf_count={_listed(leaves)}", tree)
    return re.sub(r"(?m)^internal_count=.*$", f"internal_count={_listed(inner)}", tree)


def _listed(numbers: Iterable[int]) -> str:
    return " ".join(str(int(number)) for number in numbers)


def plain_names(names: Sequence[str]) -> list[str]:
    """Return unique column names without the signs that LightGBM refuses."""
    return [f"{re.sub(r'[^A-Za-z0-9_]', '_', name)}__{i}" for i, name in enumerate(names)]
