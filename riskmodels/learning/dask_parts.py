"""What the workers of a Dask cluster do with their part of a features file.

A part stays where it was read. What travels are levels, counts, outcomes, margins, trees, and a sample of
encoded rows from which all workers take the same bins.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.learning.boosting import booster_text, margins, plain_names, read_booster
from riskmodels.learning.encoding import TableEncoder
from riskmodels.learning.frames import as_category, is_category

__all__ = [
    "Part",
    "codes_of",
    "counts_of",
    "design_of",
    "free_port",
    "grow",
    "levels_of",
    "losses_of",
    "margins_of",
    "sample_of",
    "version_of",
]

MINUTES_TO_CONNECT = 2


@dataclass(frozen=True)
class Part:
    """Rows [start, stop) of a features file, on a file system that the workers share."""

    path: Path
    start: int
    stop: int

    def read(self, names: Sequence[str]) -> pl.DataFrame:
        """Read columns."""
        rows = pl.scan_parquet(self.path, hive_partitioning=False).slice(self.start, self.stop - self.start)
        return rows.select(names).collect()


def version_of() -> str:
    """Return the version of riskmodels here."""
    return __version__


def levels_of(part: Part, names: Sequence[str], declared: Sequence[str]) -> dict[str, list[str] | None]:
    """Return the levels of each category; None for a column of numbers."""
    found: dict[str, list[str] | None] = {}
    for column in part.read(names).iter_columns():
        chosen = column.name in declared or is_category(column)
        found[column.name] = as_category(column).drop_nulls().unique().to_list() if chosen else None
    return found


def codes_of(part: Part, encoder: TableEncoder) -> np.ndarray:
    """Return the part as `TableEncoder.codes` gives it."""
    return encoder.codes(part.read(encoder.names))


def counts_of(
    codes: np.ndarray, y: np.ndarray, fold: np.ndarray, n_folds: int, levels: dict[int, int]
) -> dict[int, np.ndarray]:
    """Count rows by fold, level and outcome.

    Parameters
    ----------
    codes : ndarray (n, columns)
    y : ndarray (n,)
        Outcomes, 0 or 1.
    fold : ndarray (n,)
        From 0 to `n_folds` - 1; rows of fold -1 do not count.
    levels : dict of int to int
        The number of levels of each column to count.

    Returns
    -------
    dict of int to ndarray (folds, levels + 1, 2)
        By column; missing values are the last level.
    """
    used = fold >= 0
    counts = {}
    for column, n in levels.items():
        code = codes[used, column]
        level = np.where(np.isnan(code), n, code).astype(np.int64)
        place = (fold[used].astype(np.int64) * (n + 1) + level) * 2 + y[used].astype(np.int64)
        counts[column] = np.bincount(place, minlength=n_folds * (n + 1) * 2).reshape(n_folds, n + 1, 2)
    return counts


def design_of(codes: np.ndarray, fold: np.ndarray, encoders: Sequence[TableEncoder]) -> np.ndarray:
    """Return the matrix of the rows to fit on; those of fold i by the i-th encoder."""
    used = fold >= 0
    chosen = codes[used]
    matrix = np.empty_like(chosen, order="C")
    for i, encoder in enumerate(encoders):
        rows = fold[used] == i
        matrix[rows] = encoder.transform(chosen[rows])
    return matrix


def sample_of(design: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Return so many rows of a matrix, drawn without replacement and in their order; all if it has fewer."""
    if rows >= len(design):
        return design
    return design[np.sort(np.random.default_rng(seed).choice(len(design), rows, replace=False))]


def free_port(host: str) -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def grow(
    design: np.ndarray,
    y: np.ndarray,
    sample: np.ndarray,
    machines: Sequence[str],
    number: int,
    params: dict[str, Any],
    names: Sequence[str],
    categorical: Sequence[int],
    rounds: int,
) -> str | None:
    """Grow trees together with the other workers; the first of them returns the booster as text.

    Parameters
    ----------
    design, y : ndarray (n, columns), (n,)
        The rows of this worker.
    sample : ndarray (rows, columns)
        Rows of all workers. Left to itself, LightGBM would take a column's bins from the rows of one worker,
        and a level that this one has not would be lost.
    machines : sequence of str
        ``host:port`` of every worker, in the order of their numbers.
    number : int
        Of this worker.
    params, names, categorical, rounds
        As `riskmodels.learning.boosting.train_booster` takes them.
    """
    import lightgbm as lgb

    params = {**params, "tree_learner": "data", "pre_partition": True}
    bins = lgb.Dataset(
        sample,
        feature_name=plain_names(names),
        categorical_feature=list(categorical),
        params=params | {"bin_construct_sample_cnt": max(1, len(sample))},
    ).construct()
    data = lgb.Dataset(design, y, reference=bins).construct()
    network = {
        "machines": ",".join(machines),
        "num_machines": len(machines),
        "local_listen_port": int(machines[number].rpartition(":")[2]),
        "time_out": MINUTES_TO_CONNECT,
    }
    booster = lgb.Booster({**params, **network}, data)
    try:
        for _ in range(rounds):
            if booster.update():
                break
        return booster_text(booster) if number == 0 else None
    finally:
        booster.free_network()


def losses_of(
    booster: str, codes: np.ndarray, y: np.ndarray, rows: np.ndarray, encoder: TableEncoder
) -> np.ndarray:
    """Return the sum of the log losses of some rows after each round (rounds,)."""
    trees = read_booster(booster)
    losses = np.zeros(trees.current_iteration())
    if not rows.any():
        return losses
    matrix, sign = encoder.transform(codes[rows]), 1.0 - 2.0 * y[rows]
    margin = np.zeros(len(matrix))
    for i in range(len(losses)):
        margin += trees.predict(matrix, raw_score=True, start_iteration=i, num_iteration=1)
        losses[i] = np.logaddexp(0.0, sign * margin).sum()
    return losses


def margins_of(
    boosters: Sequence[str], codes: np.ndarray, rows: np.ndarray, encoder: TableEncoder
) -> np.ndarray:
    """Return the margins of some rows."""
    trees: list[Any] = [read_booster(text) for text in boosters]
    return margins(trees, encoder.transform(codes[rows]))
