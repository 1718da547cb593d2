"""The features of a training set in a file that the workers of a Dask cluster read.

This process holds the index cases, and of the features at most `OnCluster.rows_here` rows, or one column.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels.errors import SpecError

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn, FeatureFrame
    from riskmodels.learning import RiskModel
    from riskmodels.learning.contract import DataContract

__all__ = ["OnCluster", "check_cluster"]

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class OnCluster:
    """A file of `riskmodels features` under a path that all workers can read: see `FeatureTable`.

    Parameters
    ----------
    path : Path
    scheduler : str or distributed.Client
        Such as ``tcp://HOST:8786``.
    columns, sparse_columns : sequence of FeatureColumn
        What the file says of itself.
    rows_here : int
        The most rows that this process holds: to fit logistic regression on, to compare models, for drivers.
    """

    path: Path
    scheduler: Any
    columns: "Sequence[FeatureColumn]"
    sparse_columns: "Sequence[FeatureColumn]"
    rows_here: int | None = 100_000

    def fit(self, model: "RiskModel", cases: pl.DataFrame, rows: np.ndarray) -> "RiskModel":
        """Fit a model on some rows (mask); the file has the labels of the cases."""
        from riskmodels.learning.distributed import fit_on_cluster

        return fit_on_cluster(
            model, self.scheduler, self.path, self.columns, sparse_columns=self.sparse_columns, use=rows
        )

    def risk(self, model: "RiskModel", rows: np.ndarray) -> np.ndarray:
        """Return the calibrated risks of some rows (mask), in their order."""
        from riskmodels.learning.distributed import predict_on_cluster

        return predict_on_cluster(model, self.scheduler, self.path, rows, sparse_columns=self.sparse_columns)

    def take(self, places: np.ndarray) -> "FeatureFrame":
        """Return rows by their places, in the order given."""
        from riskmodels.features.sparse import stacked

        order = np.argsort(places, kind="stable")
        wanted = places[order]
        frames: list[pl.DataFrame] = []
        matrices: list[Any] = []
        for start in range(0, int(wanted[-1]) + 1, ROWS_AT_ONCE):
            low, high = np.searchsorted(wanted, (start, start + ROWS_AT_ONCE))
            if low < high:
                frame, sparse = self._rows(start, ROWS_AT_ONCE)
                frames.append(frame[wanted[low:high] - start])
                if sparse is not None:
                    matrices.append(sparse[wanted[low:high] - start])
        back = np.argsort(order)
        width = len(self.sparse_columns)
        return self._frame(pl.concat(frames)[back], stacked(matrices, width)[back] if width else None)

    def read(self) -> "FeatureFrame":
        """Return all rows."""
        return self._frame(*self._rows(0, None))

    def contract(self, rows: np.ndarray, **known: Any) -> "DataContract":
        """Return the data contract of some rows (mask), with one column in memory at a time."""
        from riskmodels.learning.contract import DataContract
        from riskmodels.learning.inventory import take_inventory

        known["history"] = take_inventory(known["history"])
        read = (pl.read_parquet(self.path, columns=[c.name]).filter(rows) for c in self.columns)
        parts = [
            DataContract.from_training(frame, [column], **known)
            for column, frame in zip(self.columns, read, strict=True)
        ]
        empty = pl.DataFrame()
        sparse = DataContract.from_training(empty, [], sparse_columns=self.sparse_columns, **known)
        return replace(
            sparse,
            n=int(rows.sum()),
            columns=tuple(part.columns[0] for part in parts),
            code_systems={k: v for part in (*parts, sparse) for k, v in part.code_systems.items()},
            other_words={name: words for part in parts for name, words in part.other_words.items()},
        )

    def _rows(self, start: int, n: int | None) -> tuple[pl.DataFrame, Any]:
        from riskmodels.features.sparse import COLUMNS, VALUES, from_lists

        lists = [COLUMNS, VALUES] if self.sparse_columns else []
        names = ["index_id", *(column.name for column in self.columns)]
        rows = pl.scan_parquet(self.path, hive_partitioning=False).slice(start, n)
        frame = rows.select(*names, *lists).collect()
        return frame.select(names), from_lists(frame, len(self.sparse_columns)) if lists else None

    def _frame(self, frame: pl.DataFrame, sparse: Any) -> "FeatureFrame":
        from riskmodels.features import FeatureFrame

        return FeatureFrame(frame, list(self.columns), sparse, list(self.sparse_columns))


def check_cluster(scheduler: Any, features: Path | None) -> None:
    """Refuse what no cluster can do, before the index cases are built.

    Raises
    ------
    SpecError
        No file of features is named, or the cluster does not answer or has no workers.
    """
    from riskmodels.learning.dask_cluster import open_cluster

    if features is None:
        raise SpecError(
            "--scheduler needs --features, a file that all workers can read\n"
            "Fix: write it first: riskmodels features TASK HISTORY --out FILE.parquet"
        )
    with open_cluster(scheduler) as cluster:
        logger.info("the cluster has %d workers", len(cluster.workers))
