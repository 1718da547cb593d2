"""A model with all that scoring needs, as a folder of text files: nothing pickled, the same bytes each time.

The folder holds ``bundle.json`` (metadata, risk bands, SHA-256 of the other files), ``task.yaml``,
``features.json``, ``contract.json`` and ``model/`` (the booster and its encoder and calibration).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels.errors import RegistryError
from riskmodels.files import atomic_directory, sha256
from riskmodels.learning.contract import CheckedFrame, DataContract

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.features import FeatureSet
    from riskmodels.learning import RiskModel

__all__ = ["BAND_NAMES", "FORMAT_VERSION", "ModelBundle", "RiskBands"]

FORMAT_VERSION = 2  # 1 where the model uses all that is dated before the index time
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
class ModelBundle:
    """A fitted model with its features, task, data contract and risk bands.

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

    model: "RiskModel"
    feature_set: "FeatureSet"
    task: "Task"
    contract: DataContract
    bands: RiskBands
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    known_only: bool = False

    @property
    def name(self) -> str:
        """Return the name under which the model goes; the task's where none was given."""
        return str(self.metadata.get("name") or self.task.name)

    @property
    def version(self) -> str:
        """Return the version in the registry, or ``unregistered``."""
        return str(self.metadata.get("version") or "unregistered")

    @property
    def predict_features(self) -> tuple[str, ...]:
        """Return the features of role `predict`, which risk adjustment may not use."""
        return tuple(column.name for column in self.contract.every_column if column.role != "adjust")

    def check(self, frame: Any) -> CheckedFrame:
        """Return `frame` in the order of training, or refuse it: see `DataContract.check`."""
        return self.contract.check(frame)

    def predict(self, frame: Any) -> np.ndarray:
        """Return the calibrated risk of each row, between 0 and 1, once the data contract is checked.

        `frame` is a table of features, or the feature frame that `build_features` returns.
        """
        _, ready = self.ready(frame)
        return np.asarray(self.model.predict_proba(ready)[:, 1], dtype=float)

    def ready(self, frame: Any) -> tuple[CheckedFrame, Any]:
        """Return a table or feature frame as it was checked, and as the model takes it.

        The sparse columns of a feature frame, which the contract knows by name alone, stay beside its table.
        """
        if not hasattr(frame, "sparse_columns"):
            checked = self.check(frame)
            return checked, checked.frame
        checked = self.check(frame.frame)
        return checked, replace(frame, frame=checked.frame) if frame.sparse_columns else checked.frame

    def fingerprint(self) -> str:
        """Return a hash of what the model computes, whatever its name, version and metadata."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            hashes = self._write_parts(Path(folder))
        if self.known_only:
            hashes["known_only"] = "true"
        hashes["bands"] = json.dumps(self.bands.to_dict(), sort_keys=True)
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

    def save(self, folder: str | Path, *, replace: bool = False) -> Path:
        """Write the bundle to `folder`, whole or not at all."""
        folder = Path(folder)
        if folder.exists() and not replace:
            raise RegistryError(f"{folder} is there already\nFix: name another folder, or remove it")
        with atomic_directory(folder, replace=replace) as temporary:
            hashes = self._write_parts(temporary)
            _write(
                temporary / "bundle.json",
                {
                    "format_version": FORMAT_VERSION if self.known_only else 1,
                    **({"known_only": True} if self.known_only else {}),
                    "metadata": dict(self.metadata),
                    "reference": dict(self.reference),
                    "bands": self.bands.to_dict(),
                    "files": hashes,
                },
            )
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "ModelBundle":
        """Read a bundle; a file that is missing or not as written is refused.

        Raises
        ------
        RegistryError
            `folder` is no bundle, of a newer format, or damaged.
        """
        from riskmodels.cohorts import Task
        from riskmodels.features import FeatureSet
        from riskmodels.learning import RiskModel

        folder = Path(folder)
        head = folder / "bundle.json"
        if not head.is_file():
            raise RegistryError(f"{folder} is no model folder: it has no bundle.json")
        try:
            content = json.loads(head.read_text(encoding="utf-8"))
            newer = content["format_version"] > FORMAT_VERSION
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(
                f"{head} is not as it was written\nFix: take the model folder from its source again"
            ) from error
        if newer:
            raise RegistryError(
                f"{folder} was written by a newer riskmodels (format {content['format_version']}; this one "
                "reads "
                f"up to {FORMAT_VERSION})\nFix: update riskmodels"
            )
        for name, expected in content["files"].items():
            part = folder / name
            if not part.is_file() or sha256(part) != expected:
                state = "is not as it was written" if part.is_file() else "is missing"
                raise RegistryError(f"{part} {state}\nFix: take the model folder from its source again")
        return cls(
            model=RiskModel.load(folder / "model"),
            feature_set=FeatureSet.from_dict(json.loads((folder / "features.json").read_text("utf-8"))),
            task=Task.from_yaml((folder / "task.yaml").read_text("utf-8")),
            contract=DataContract.from_dict(json.loads((folder / "contract.json").read_text("utf-8"))),
            bands=RiskBands.from_dict(content["bands"]),
            metadata=content["metadata"],
            reference=content["reference"],
            known_only=content.get("known_only", False),
        )

    def _write_parts(self, folder: Path) -> dict[str, str]:
        """Write all but bundle.json; return the SHA-256 of each file by its name in the folder."""
        self.model.save(folder / "model")
        (folder / "task.yaml").write_text(self.task.to_yaml(), encoding="utf-8")
        _write(folder / "features.json", self.feature_set.to_dict())
        _write(folder / "contract.json", self.contract.to_dict())
        return {
            path.relative_to(folder).as_posix(): sha256(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def _write(path: Path, content: Any) -> None:
    text = json.dumps(_finite(content), indent=2, sort_keys=True, default=str, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _finite(content: Any) -> Any:
    """Return plain data with null for numbers that JSON does not have: a metric may be undefined."""
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
