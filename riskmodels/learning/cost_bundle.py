"""A model of expected cost with its features, task and data contract, as a folder of text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from riskmodels.learning.bundle_folder import Bundle
from riskmodels.learning.contract import DataContract, content_hash

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.features import FeatureSet
    from riskmodels.learning.cost_model import CostModel

__all__ = ["CostBundle"]

DIGITS = 12


@dataclass(frozen=True)
class CostBundle(Bundle):
    """A fitted cost model with what it needs to say what a person is expected to cost.

    Parameters
    ----------
    metadata : mapping
        Plain data: ``name``, ``timing`` (``prospective`` or ``concurrent``), ``version`` (where registered;
        else the first twelve digits of the hash of what the model computes, once it was saved),
        ``trained_on``, ``metrics``.
    """

    HEAD: ClassVar[str] = "cost_bundle.json"
    KIND: ClassVar[str] = "a model of expected cost"
    OUTPUTS: ClassVar[Mapping[str, str]] = {"expected_cost": "double"}
    FORMAT_VERSION: ClassVar[int] = 1

    model: "CostModel"
    feature_set: "FeatureSet"
    task: "Task"
    contract: DataContract
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def timing(self) -> str:
        """Return ``concurrent`` or ``prospective``."""
        return str(self.metadata.get("timing", "prospective"))

    @property
    def concurrent(self) -> bool:
        """Tell whether features are of the year whose cost is expected, not of the one before."""
        return self.timing == "concurrent"

    def predict(self, frame: Any) -> np.ndarray:
        """Return the expected cost of each row in dollars a year, once the data contract is checked."""
        return self.model.predict(self.contract.check(frame).frame)

    def output(self, frame: Any) -> dict[str, Any]:
        """Return the expected cost of each row in dollars a year."""
        return {"expected_cost": self.predict(frame)}

    def _head(self, files: Mapping[str, str]) -> dict[str, Any]:
        return {
            "format": "riskmodels.CostBundle",
            "format_version": self.FORMAT_VERSION,
            "metadata": {"version": content_hash(files)[:DIGITS], **self.metadata},
        }

    @classmethod
    def _restore(cls, head: Mapping[str, Any], model: Path, **parts: Any) -> Self:
        from riskmodels.learning.cost_model import CostModel

        return cls(model=CostModel.load(model), metadata=head["metadata"], **parts)
