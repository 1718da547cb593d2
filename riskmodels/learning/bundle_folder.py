"""What every kind of model has that is put to use: its features, task and data contract, in a folder of text.

The folder holds a head (metadata and the SHA-256 of the other files), ``task.yaml``, ``features.json``,
``contract.json`` and ``model/``. Nothing is pickled, and the bytes are the same each time.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from riskmodels.errors import RegistryError
from riskmodels.files import atomic_directory, sha256
from riskmodels.learning.contract import DataContract, content_hash

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.features import FeatureSet

__all__ = ["Bundle", "bundle_kind", "load_bundle", "refuse_other"]

MEND = "Fix: take the model folder from its source again"


class Bundle(ABC):
    """A fitted model with its features, task and data contract; a kind of model is a subclass.

    Attributes
    ----------
    HEAD : str
        The file that marks the folder of such a model.
    KIND : str
        What it is, in words: ``"a model of a risk"``.
    OUTPUTS : mapping of str to str
        What `output` returns, by name: ``"double"`` or ``"string"``.
    """

    HEAD: ClassVar[str]
    KIND: ClassVar[str]
    OUTPUTS: ClassVar[Mapping[str, str]]
    FORMAT_VERSION: ClassVar[int]

    model: Any
    feature_set: "FeatureSet"
    task: "Task"
    contract: DataContract
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return the name under which the model goes; the task's where none was given."""
        return str(self.metadata.get("name") or self.task.name)

    @property
    def version(self) -> str:
        """Return the version in the registry, or what the metadata say of a model that is in none."""
        return str(self.metadata.get("version") or "unregistered")

    @property
    def predict_features(self) -> tuple[str, ...]:
        """Return the features of role `predict`, which risk adjustment may not use."""
        return tuple(column.name for column in self.contract.every_column if column.role != "adjust")

    @abstractmethod
    def predict(self, frame: Any) -> np.ndarray:
        """Return what is expected of each row (n,), once the data contract is checked."""

    @abstractmethod
    def output(self, frame: Any) -> dict[str, Any]:
        """Return `OUTPUTS` of each row, as MLflow's predict gives them."""

    def fingerprint(self) -> str:
        """Return a hash of what the model computes, whatever its name, version and metadata."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            hashes = self._write_parts(Path(folder))
        return content_hash(hashes | self._beside())

    def save(self, folder: str | Path, *, replace: bool = False) -> Path:
        """Write the bundle to `folder`, whole or not at all.

        Parameters
        ----------
        replace : bool
            Take the place of a model that is there already, and of nothing else.

        Raises
        ------
        RegistryError
            The folder is there already, or holds something else than a model.
        """
        folder = Path(folder)
        if folder.exists() and not replace:
            raise RegistryError(f"{folder} is there already\nFix: name another folder, or remove it")
        refuse_other(folder)
        with atomic_directory(folder, replace=replace) as temporary:
            files = self._write_parts(temporary)
            _write(temporary / self.HEAD, self._head(files) | {"files": files})
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a bundle; a file that is missing or not as written is refused.

        Raises
        ------
        RegistryError
            `folder` is no bundle of this kind, of a newer format, or damaged.
        """
        from riskmodels.cohorts import Task
        from riskmodels.features import FeatureSet

        folder = Path(folder)
        head = folder / cls.HEAD
        if not head.is_file():
            raise RegistryError(f"{folder} is no folder of {cls.KIND}: it has no {cls.HEAD}")
        try:
            content = json.loads(head.read_text(encoding="utf-8"))
            newer = content["format_version"] > cls.FORMAT_VERSION
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"{head} is not as it was written\n{MEND}") from error
        if newer:
            raise RegistryError(
                f"{folder} was written by a newer riskmodels (format {content['format_version']}; this one "
                f"reads up to {cls.FORMAT_VERSION})\nFix: update riskmodels"
            )
        for name, expected in content["files"].items():
            part = folder / name
            if not part.is_file() or sha256(part) != expected:
                state = "is not as it was written" if part.is_file() else "is missing"
                raise RegistryError(f"{part} {state}\n{MEND}")
        return cls._restore(
            content,
            folder / "model",
            feature_set=FeatureSet.from_dict(json.loads((folder / "features.json").read_text("utf-8"))),
            task=Task.from_yaml((folder / "task.yaml").read_text("utf-8")),
            contract=DataContract.from_dict(json.loads((folder / "contract.json").read_text("utf-8"))),
        )

    def called(self, known: Mapping[str, Any]) -> Self:
        """Return the bundle with further metadata, such as its name and version in the registry."""
        return replace(self, metadata={**self.metadata, **known})  # type: ignore[type-var]

    @abstractmethod
    def _head(self, files: Mapping[str, str]) -> dict[str, Any]:
        """Return what the head holds beside the hashes of the other files."""

    @classmethod
    @abstractmethod
    def _restore(cls, head: Mapping[str, Any], model: Path, **parts: Any) -> Self:
        """Return the bundle from its head, the folder of its model and the other parts."""

    def _beside(self) -> dict[str, str]:
        """Return what a fingerprint rests on beside the files."""
        return {}

    def _write_parts(self, folder: Path) -> dict[str, str]:
        """Write all but the head; return the SHA-256 of each file by its name in the folder."""
        self.model.save(folder / "model")
        (folder / "task.yaml").write_text(self.task.to_yaml(), encoding="utf-8")
        _write(folder / "features.json", self.feature_set.to_dict())
        _write(folder / "contract.json", self.contract.to_dict())
        return {
            path.relative_to(folder).as_posix(): sha256(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def bundle_kind(folder: str | Path) -> type[Bundle] | None:
    """Return the kind of model that a folder holds, or None."""
    from riskmodels.learning.bundle import ModelBundle
    from riskmodels.learning.cost_bundle import CostBundle

    kinds: tuple[type[Bundle], ...] = (ModelBundle, CostBundle)
    return next((kind for kind in kinds if (Path(folder) / kind.HEAD).is_file()), None)


def refuse_other(folder: str | Path) -> None:
    """Refuse to write a model where something else than a model is, which would be lost.

    Raises
    ------
    RegistryError
        The path is a file, or a folder that holds something else.
    """
    folder = Path(folder)
    if folder.exists() and bundle_kind(folder) is None and (folder.is_file() or any(folder.iterdir())):
        raise RegistryError(
            f"{folder} holds something else than a model, and it would be lost\nFix: name another folder"
        )


def load_bundle(folder: str | Path) -> Bundle:
    """Read the model in a folder, of whatever kind.

    Raises
    ------
    RegistryError
        `folder` is no model, of a newer format, or damaged.
    """
    kind = bundle_kind(folder)
    if kind is None:
        raise RegistryError(f"{folder} is no model folder of riskmodels: it has no bundle.json")
    return kind.load(folder)


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
