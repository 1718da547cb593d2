"""What the workers of a Dask cluster do with their part of a features file.

A part stays where it was read. What travels are levels, counts, margins, trees, which rows are to be used,
and a sample of encoded rows from which all workers take the same bins.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.errors import SpecError
from riskmodels.learning.boosting import booster_text, margins, plain_names, read_booster
from riskmodels.learning.encoding import TableEncoder
from riskmodels.learning.frames import as_category, is_category
from riskmodels.learning.wide import beside

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn

__all__ = [
    "Columns",
    "Design",
    "Encoded",
    "Part",
    "counts_of",
    "design_of",
    "encoded_of",
    "free_place",
    "grow",
    "leaves_of",
    "levels_of",
    "losses_of",
    "margins_of",
    "sample_of",
    "size_of",
    "versions_of",
]

MINUTES_TO_CONNECT = 2
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Columns:
    """What is read of a features file: features of the table and sparse ones, and the outcome, 0 or 1."""

    names: tuple[str, ...]
    sparse: tuple["FeatureColumn", ...]
    label: str


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

    def read_sparse(self, columns: "Sequence[FeatureColumn]") -> Any:
        """Read the sparse columns as trees take them, a csr_matrix (rows, columns); None where none is."""
        from riskmodels.features.sparse import COLUMNS, VALUES, from_lists, model_matrix

        if not columns:
            return None
        return model_matrix(from_lists(self.read([COLUMNS, VALUES]), len(columns)), columns)


@dataclass(frozen=True)
class Encoded:
    """A part as a worker keeps it: what `TableEncoder.codes` gives, the sparse matrix, outcomes (n,)."""

    codes: np.ndarray
    sparse: Any
    y: np.ndarray

    def matrix(self, rows: np.ndarray, encoder: TableEncoder) -> Any:
        """Return some rows (mask) as a booster sees them."""
        return beside(encoder.transform(self.codes[rows]), self.sparse, rows)


@dataclass(frozen=True)
class Design:
    """Rows to fit on: their matrix, dense or sparse, and their outcomes (n,)."""

    matrix: Any
    y: np.ndarray


def versions_of() -> tuple[str, str]:
    """Return the versions of riskmodels and of LightGBM here."""
    return __version__, metadata.version("lightgbm")


def size_of(path: Path) -> int | None:
    """Return the size of a file as this machine sees it; None where it cannot read it."""
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError:
        return None


def levels_of(
    part: Part, use: np.ndarray, names: Sequence[str], declared: Sequence[str]
) -> dict[str, list[str] | None]:
    """Return the levels that some rows (mask) have of each category; None for a column of numbers."""
    found: dict[str, list[str] | None] = {}
    for column in part.read(names).filter(use).iter_columns():
        chosen = column.name in declared or is_category(column)
        found[column.name] = as_category(column).drop_nulls().unique().to_list() if chosen else None
    return found


def encoded_of(part: Part, encoder: TableEncoder, columns: Columns) -> Encoded:
    """Read and encode a part."""
    codes = encoder.codes(part.read(columns.names))
    y = part.read([columns.label])[columns.label].cast(pl.Float64).to_numpy()
    return Encoded(codes, part.read_sparse(columns.sparse), y)


def counts_of(
    encoded: Encoded, fold: np.ndarray, n_folds: int, levels: dict[int, int]
) -> dict[int, np.ndarray]:
    """Count rows by fold, level and outcome.

    Parameters
    ----------
    encoded : Encoded
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
    outcome = encoded.y[used].astype(np.int64)
    counts = {}
    for column, n in levels.items():
        code = encoded.codes[used, column]
        level = np.where(np.isnan(code), n, code).astype(np.int64)
        place = (fold[used].astype(np.int64) * (n + 1) + level) * 2 + outcome
        counts[column] = np.bincount(place, minlength=n_folds * (n + 1) * 2).reshape(n_folds, n + 1, 2)
    return counts


def design_of(encoded: Encoded, fold: np.ndarray, encoders: Sequence[TableEncoder]) -> Design:
    """Return the rows to fit on (fold not -1) as a booster sees them; those of fold i by the i-th encoder."""
    used = fold >= 0
    chosen = encoded.codes[used]
    matrix = np.empty_like(chosen, order="C")
    for i, encoder in enumerate(encoders):
        rows = fold[used] == i
        matrix[rows] = encoder.transform(chosen[rows])
    return Design(beside(matrix, encoded.sparse, used), encoded.y[used])


def sample_of(design: Design, rows: int, seed: int) -> Any:
    """Return so many rows of the matrix, drawn without replacement, in their order; all if it has fewer."""
    n = len(design.y)
    if rows >= n:
        return design.matrix
    return design.matrix[np.sort(np.random.default_rng(seed).choice(n, rows, replace=False))]


def free_place(host: str) -> str:
    """Return ``address:port`` of this machine where nothing listens, as LightGBM takes it: by number."""
    try:
        address = socket.gethostbyname(host)
        with socket.socket() as free:
            free.bind((address, 0))
            return f"{address}:{free.getsockname()[1]}"
    except OSError as error:
        raise SpecError(
            f"{host} is no IPv4 address of this worker ({error.strerror}), and LightGBM takes no other\n"
            "Fix: start the workers with --host and such an address"
        ) from error


def grow(
    design: Design,
    sample: Any,
    machines: Sequence[str],
    number: int,
    threads: int,
    params: dict[str, Any],
    names: Sequence[str],
    categorical: Sequence[int],
    rounds: int,
) -> str | None:
    """Grow trees together with the other workers; the first of them returns the booster as text.

    Parameters
    ----------
    design : Design
        The rows of this worker.
    sample : ndarray or csr_matrix (rows, columns)
        Rows of all workers. Left to itself, LightGBM would take a column's bins from the rows of one worker,
        and a level that this one has not would be lost.
    machines : sequence of str
        ``host:port`` of every worker, in the order of their numbers.
    number, threads : int
        Of this worker.
    params, names, categorical, rounds
        As `riskmodels.learning.boosting.train_booster` takes them.
    """
    import lightgbm as lgb

    from riskmodels.learning.dask_watch import cut_when_unwanted

    params = {**params, "tree_learner": "data", "pre_partition": True, "num_threads": threads}
    bins = lgb.Dataset(
        sample,
        feature_name=plain_names(names),
        categorical_feature=list(categorical),
        params=params | {"bin_construct_sample_cnt": max(1, sample.shape[0])},
    ).construct()
    data = lgb.Dataset(design.matrix, design.y, reference=bins, params=bins.get_params()).construct()
    network = {
        "machines": ",".join(machines),
        "num_machines": len(machines),
        "local_listen_port": int(machines[number].rpartition(":")[2]),
        "time_out": MINUTES_TO_CONNECT,
    }
    with cut_when_unwanted({int(machine.rpartition(":")[2]) for machine in machines}):
        booster = lgb.Booster({**params, **network}, data)
        try:
            for _ in range(rounds):
                if booster.update():
                    break
        finally:
            booster.free_network()
    return booster_text(booster) if number == 0 else None


def leaves_of(booster: str, design: Design) -> list[np.ndarray]:
    """Count the rows in each leaf of each tree."""
    trees = read_booster(booster)
    sizes = [tree["num_leaves"] for tree in trees.dump_model()["tree_info"]]
    counts = [np.zeros(size, np.int64) for size in sizes]
    for start in range(0, len(design.y), ROWS_AT_ONCE):
        leaf = trees.predict(design.matrix[start : start + ROWS_AT_ONCE], pred_leaf=True)
        for i, count in enumerate(counts):
            count += np.bincount(leaf[:, i], minlength=len(count))
    return counts


def losses_of(booster: str, encoded: Encoded, rows: np.ndarray, encoder: TableEncoder) -> np.ndarray:
    """Return the sum of the log losses of some rows after each round (rounds,)."""
    trees = read_booster(booster)
    losses = np.zeros(trees.current_iteration())
    if not rows.any():
        return losses
    matrix, sign = encoded.matrix(rows, encoder), 1.0 - 2.0 * encoded.y[rows]
    margin = np.zeros(len(sign))
    for i in range(len(losses)):
        margin += trees.predict(matrix, raw_score=True, start_iteration=i, num_iteration=1)
        losses[i] = np.logaddexp(0.0, sign * margin).sum()
    return losses


def margins_of(
    boosters: Sequence[str], encoded: Encoded, rows: np.ndarray, encoder: TableEncoder
) -> np.ndarray:
    """Return the margins of some rows."""
    trees: list[Any] = [read_booster(text) for text in boosters]
    return margins(trees, encoded.matrix(rows, encoder))
