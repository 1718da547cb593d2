"""A model of a risk with all that scoring needs, as a folder of text files: see `bundle_folder`.

Its head is ``bundle.json`` (metadata, risk bands, SHA-256 of the other files).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl

from riskmodels.errors import RegistryError
from riskmodels.learning.bundle_folder import Bundle
from riskmodels.learning.contract import CheckedFrame, DataContract

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.features import FeatureSet
    from riskmodels.learning import RiskModel

__all__ = ["BAND_NAMES", "ModelBundle", "RiskBands"]

BAND_NAMES = ("low", "medium", "high", "very high")
BAND_QUANTILES = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class RiskBands:
    """Words for a risk: band i begins at `thresholds[i - 1]`, the first band at 0.

    Parameters
    ----------
    thresholds : tuple of float
        Increasing risks at which the next band begins; a risk at the threshold is in the upper band.
    names : tuple of str
        One more than there are thresholds, from low to high.
    source : str
        Where the thresholds come from, in words.
    """

    thresholds: tuple[float, ...]
    names: tuple[str, ...] = BAND_NAMES
    source: str = "given"

    def __post_init__(self) -> None:
        """Refuse thresholds that leave a band empty or undefined."""
        if len(self.names) != len(self.thresholds) + 1:
            raise RegistryError(
                f"{len(self.names)} risk bands need {len(self.names) - 1} thresholds; got "
                f"{len(self.thresholds)}"
            )
        if any(low >= high for low, high in zip(self.thresholds, self.thresholds[1:], strict=False)):
            raise RegistryError(f"the thresholds of the risk bands must increase; got {self.thresholds}")

    @classmethod
    def from_predictions(
        cls,
        risk: Any,
        quantiles: Sequence[float] = BAND_QUANTILES,
        names: Sequence[str] = BAND_NAMES,
        where: str = "held-out patients",
    ) -> "RiskBands":
        """Set the thresholds at quantiles of the calibrated risks of patients that the trees have not seen.

        With the default quantiles the upper 5% are ``very high``, the 15% below ``high``, the 30% below
        ``medium``. Thresholds are rounded to three digits, so that none is a patient's own risk. A model
        that tells few risks apart gets fewer bands.
        """
        values = np.round(np.quantile(np.asarray(risk, dtype=float), quantiles), 3)
        keep = [i for i, value in enumerate(values) if value > 0 and (i == 0 or value > values[:i].max())]
        shares = ", ".join(f"{quantiles[i]:.0%}" for i in keep)
        return cls(
            tuple(float(values[i]) for i in keep),
            (names[0], *(names[i + 1] for i in keep)),
            f"quantiles {shares} of the calibrated risk of {where}",
        )

    def index(self, risk: Any) -> np.ndarray:
        """Return the number of the band of each risk, 0 for the lowest."""
        return np.searchsorted(np.asarray(self.thresholds), np.asarray(risk, dtype=float), side="right")

    def assign(self, risk: Any) -> pl.Series:
        """Return the name of the band of each risk."""
        return pl.Series("risk_band", np.array(self.names, dtype=object)[self.index(risk)], dtype=pl.String)

    def to_dict(self) -> dict[str, Any]:
        """Return the bands as plain data for JSON."""
        return {"thresholds": list(self.thresholds), "names": list(self.names), "source": self.source}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RiskBands":
        """Read what `to_dict` gave."""
        return cls(tuple(content["thresholds"]), tuple(content["names"]), content["source"])


@dataclass(frozen=True)
class ModelBundle(Bundle):
    """A fitted model of a risk with its features, task, data contract and risk bands.

    Parameters
    ----------
    metadata : mapping
        Plain data: ``name``, ``version`` (where registered), ``trained_on`` (counts, dates, fingerprint of
        the history), ``riskmodels_version``, ``metrics``; never a row of a patient.
    reference : mapping
        Plain data for comparison later, such as the distribution of risk by band in training.
    known_only : bool
        The model was fitted on what was recorded before each index time, and is used so.
    """

    HEAD: ClassVar[str] = "bundle.json"
    KIND: ClassVar[str] = "a model of a risk"
    OUTPUTS: ClassVar[Mapping[str, str]] = {"risk": "double", "risk_band": "string"}
    FORMAT_VERSION: ClassVar[int] = 2  # 1 where the model uses all that is dated before the index time

    model: "RiskModel"
    feature_set: "FeatureSet"
    task: "Task"
    contract: DataContract
    bands: RiskBands
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    known_only: bool = False

    def check(self, frame: Any) -> CheckedFrame:
        """Return `frame` in the order of training, or refuse it: see `DataContract.check`."""
        return self.contract.check(frame)

    def predict(self, frame: Any) -> np.ndarray:
        """Return the calibrated risk of each row, between 0 and 1, once the data contract is checked.

        `frame` is a table of features, or the feature frame that `build_features` returns.
        """
        _, ready = self.ready(frame)
        return np.asarray(self.model.predict_proba(ready)[:, 1], dtype=float)

    def output(self, frame: Any) -> dict[str, Any]:
        """Return the risk and the name of its band for each row."""
        risk = self.predict(frame)
        return {"risk": risk, "risk_band": self.bands.assign(risk).to_list()}

    def ready(self, frame: Any) -> tuple[CheckedFrame, Any]:
        """Return a table or feature frame as it was checked, and as the model takes it.

        The sparse columns of a feature frame, which the contract knows by name alone, stay beside its table.
        """
        if not hasattr(frame, "sparse_columns"):
            checked = self.check(frame)
            return checked, checked.frame
        checked = self.check(frame.frame)
        return checked, replace(frame, frame=checked.frame) if frame.sparse_columns else checked.frame

    def _head(self, files: Mapping[str, str]) -> dict[str, Any]:
        return {
            "format_version": self.FORMAT_VERSION if self.known_only else 1,
            **({"known_only": True} if self.known_only else {}),
            "metadata": dict(self.metadata),
            "reference": dict(self.reference),
            "bands": self.bands.to_dict(),
        }

    @classmethod
    def _restore(cls, head: Mapping[str, Any], model: Path, **parts: Any) -> Self:
        from riskmodels.learning import RiskModel

        return cls(
            model=RiskModel.load(model),
            bands=RiskBands.from_dict(head["bands"]),
            metadata=head["metadata"],
            reference=head["reference"],
            known_only=head.get("known_only", False),
            **parts,
        )

    def _beside(self) -> dict[str, str]:
        known = {"known_only": "true"} if self.known_only else {}
        return {**known, "bands": json.dumps(self.bands.to_dict(), sort_keys=True)}
