"""A model of expected cost with its features, task and data contract, as a folder of text."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riskmodels.errors import RegistryError
from riskmodels.files import atomic_directory, sha256
from riskmodels.learning.contract import DataContract

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.features import FeatureSet
    from riskmodels.learning.cost_model import CostModel

__all__ = ["CostBundle", "is_cost_bundle"]

FORMAT = "riskmodels.CostBundle"
FORMAT_VERSION = 1
HEAD = "cost_bundle.json"


@dataclass(frozen=True)
class CostBundle:
    """A fitted cost model with what it needs to say what a person is expected to cost.

    Parameters
    ----------
    metadata : mapping
        Plain data: name, timing (``prospective`` or ``concurrent``), what it was trained on, metrics.
    """

    model: "CostModel"
    feature_set: "FeatureSet"
    task: "Task"
    contract: DataContract
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the model's name, by default that of its task."""
        return str(self.metadata.get("name", self.task.name))

    @property
    def version(self) -> str:
        """Return the first twelve digits of the hash of what the model computes."""
        return str(self.metadata.get("version", "unregistered"))

    @property
    def concurrent(self) -> bool:
        """Tell whether features are of the year whose cost is expected, not of the one before."""
        return self.metadata.get("timing") == "concurrent"

    def predict(self, frame: Any) -> np.ndarray:
        """Return the expected cost of each row in dollars a year, once the data contract is checked."""
        return self.model.predict(self.contract.check(frame).frame)

    def save(self, folder: str | Path) -> Path:
        """Write the bundle, whole or not at all; take the place of a cost bundle and of nothing else.

        Raises
        ------
        RegistryError
            The folder holds something else.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()) and not (folder / HEAD).is_file():
            raise RegistryError(f"{folder} holds something else than a cost model\nFix: name another folder")
        with atomic_directory(folder, replace=True) as temporary:
            self.model.save(temporary / "model")
            (temporary / "task.yaml").write_text(self.task.to_yaml(), encoding="utf-8")
            _write(temporary / "features.json", self.feature_set.to_dict())
            _write(temporary / "contract.json", self.contract.to_dict())
            parts = sorted(path for path in temporary.rglob("*") if path.is_file())
            files = {path.relative_to(temporary).as_posix(): sha256(path) for path in parts}
            version = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
            _write(
                temporary / HEAD,
                {
                    "format": FORMAT,
                    "format_version": FORMAT_VERSION,
                    "metadata": {"version": version, **self.metadata},
                    "files": files,
                },
            )
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "CostBundle":
        """Read a bundle; a file that is missing or not as written is refused.

        Raises
        ------
        RegistryError
            `folder` is no bundle of a cost model, of another format, or damaged.
        """
        from riskmodels.cohorts import Task
        from riskmodels.features import FeatureSet
        from riskmodels.learning.cost_model import CostModel

        folder = Path(folder)
        head = folder / HEAD
        if not head.is_file():
            raise RegistryError(f"{folder} is no folder of a cost model: it has no {HEAD}")
        mend = "Fix: take the model folder from its source again"
        try:
            content = json.loads(head.read_text(encoding="utf-8"))
            known = (content["format"], content["format_version"]) == (FORMAT, FORMAT_VERSION)
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"{head} is not as it was written\n{mend}") from error
        if not known:
            raise RegistryError(f"{head} is of another format than {FORMAT} {FORMAT_VERSION}\n{mend}")
        for name, expected in content["files"].items():
            part = folder / name
            if not part.is_file() or sha256(part) != expected:
                raise RegistryError(f"{part} is missing or not as it was written\n{mend}")
        return cls(
            model=CostModel.load(folder / "model"),
            feature_set=FeatureSet.from_dict(json.loads((folder / "features.json").read_text("utf-8"))),
            task=Task.from_yaml((folder / "task.yaml").read_text("utf-8")),
            contract=DataContract.from_dict(json.loads((folder / "contract.json").read_text("utf-8"))),
            metadata=content["metadata"],
        )


def is_cost_bundle(folder: str | Path) -> bool:
    """Tell whether a folder holds a model of expected cost."""
    return (Path(folder) / HEAD).is_file()


def _write(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=2, sort_keys=True, default=str, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
