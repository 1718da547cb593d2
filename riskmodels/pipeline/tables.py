"""Where the features of a training set are: in memory here, or in a file that a cluster reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn, FeatureFrame
    from riskmodels.learning import RiskModel
    from riskmodels.learning.contract import DataContract

__all__ = ["FeatureTable", "InMemory"]


class FeatureTable(Protocol):
    """Features of index cases, a row a case in the order of the cases.

    Attributes
    ----------
    columns, sparse_columns : sequence of FeatureColumn
        What the columns of the table are, and the sparse ones.
    rows_here : int or None
        The most rows that this process may hold; None where it holds all of them anyway.
    """

    @property
    def columns(self) -> "Sequence[FeatureColumn]":
        """What the columns of the table are."""

    @property
    def sparse_columns(self) -> "Sequence[FeatureColumn]":
        """What the sparse columns are."""

    @property
    def rows_here(self) -> int | None:
        """The most rows that this process may hold."""

    def fit(self, model: "RiskModel", cases: pl.DataFrame, rows: np.ndarray) -> "RiskModel":
        """Fit a model on some rows (mask) and their labels."""

    def risk(self, model: "RiskModel", rows: np.ndarray) -> np.ndarray:
        """Return the calibrated risks of some rows (mask), in their order."""

    def take(self, places: np.ndarray) -> "FeatureFrame":
        """Return rows by their places, in the order given."""

    def read(self) -> "FeatureFrame":
        """Return all rows."""

    def contract(self, rows: np.ndarray, **known: Any) -> "DataContract":
        """Return the data contract of some rows (mask): see `DataContract.from_training`."""


@dataclass(frozen=True)
class InMemory:
    """Features that this process holds."""

    features: "FeatureFrame"
    rows_here: int | None = None

    @property
    def columns(self) -> "Sequence[FeatureColumn]":
        """What the columns of the table are."""
        return self.features.columns

    @property
    def sparse_columns(self) -> "Sequence[FeatureColumn]":
        """What the sparse columns are."""
        return self.features.sparse_columns

    def fit(self, model: "RiskModel", cases: pl.DataFrame, rows: np.ndarray) -> "RiskModel":
        """Fit a model on some rows (mask) and their labels."""
        used = cases.filter(rows)
        return model.fit(self.features.filter(rows), used["label"], groups=used["person_id"])

    def risk(self, model: "RiskModel", rows: np.ndarray) -> np.ndarray:
        """Return the calibrated risks of some rows (mask), in their order."""
        return model.predict_proba(self.features.filter(rows))[:, 1]

    def take(self, places: np.ndarray) -> "FeatureFrame":
        """Return rows by their places, in the order given."""
        return self.features.take(places)

    def read(self) -> "FeatureFrame":
        """Return all rows."""
        return self.features

    def contract(self, rows: np.ndarray, **known: Any) -> "DataContract":
        """Return the data contract of some rows (mask)."""
        from riskmodels.learning.contract import DataContract

        return DataContract.from_training(
            self.features.filter(rows).frame, self.columns, sparse_columns=self.sparse_columns, **known
        )
