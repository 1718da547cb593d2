"""A fitted RiskModel as a folder of text: no pickle, the same bytes each time, nothing of any patient."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from riskmodels.errors import RegistryError
from riskmodels.files import atomic_directory
from riskmodels.learning.boosting import booster_text, read_booster
from riskmodels.learning.calibration import calibrator_from_dict
from riskmodels.learning.encoding import TableEncoder

__all__ = ["FORMAT_VERSION", "load_model", "save_model"]

FORMAT = "riskmodels.RiskModel"
FORMAT_VERSION = 1
DESCRIPTION = "model.json"
MEND = "Fix: restore it, or train the model anew"

Model = TypeVar("Model")


def save_model(model: Any, folder: Path) -> None:
    """Write a fitted model; take the place of a model that is there already, and of nothing else."""
    if folder.exists() and not (folder.is_dir() and _holds_model_alone(folder)):
        raise RegistryError(
            f"{folder} holds something else than a model, and it would be lost.\nFix: choose another folder"
        )
    texts = [booster_text(booster) for booster in model.boosters_]
    files = ["booster.txt" if i == 0 else f"booster-{i + 1}.txt" for i in range(len(texts))]
    content: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "lightgbm_version": _lightgbm_version(),
        "parameters": {name: _plain(value) for name, value in sorted(model.get_params(deep=False).items())},
        "classes": {"values": model.classes_.tolist(), "dtype": model.classes_.dtype.str},
        "named": hasattr(model, "feature_names_in_"),
        "roles": model.feature_roles_,
        "encoder": model.encoder_.to_dict(),
        **({"sparse": list(model.sparse_names_)} if model.sparse_names_ else {}),
        "calibrator": model.calibrator_.to_dict(),
        "best_iteration": model.best_iteration_,
        "expected_value": model.expected_value_,
        "n_training": model.n_training_,
        "boosters": [
            {"file": name, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            for name, text in zip(files, texts, strict=True)
        ],
    }
    content["sha256"] = _digest(content)
    with atomic_directory(folder, replace=True) as temporary:
        for name, text in zip(files, texts, strict=True):
            (temporary / name).write_bytes(text.encode())
        written = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (temporary / DESCRIPTION).write_bytes((written + "\n").encode())


def load_model(kind: type[Model], folder: Path) -> Model:
    """Return the model in a folder.

    Raises
    ------
    RegistryError
        If the folder is no model, a file is missing or was changed, or the version is another.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise RegistryError(f"{folder} is not a saved model: it has no {DESCRIPTION}.")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise RegistryError(f"{path} is not JSON: {error}.\nFix: save the model anew") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RegistryError(f"{path} does not describe a {FORMAT}.")
    if content.get("format_version") != FORMAT_VERSION:
        raise RegistryError(
            f"{folder} is of model format {content.get('format_version')!r}; this riskmodels reads format "
            f"{FORMAT_VERSION}.\nFix: load it with the version that saved it, or train the model anew"
        )
    if content.pop("sha256", None) != _digest(content):
        raise RegistryError(
            f"{path} was changed after it was saved.\nFix: restore it, or train the model anew"
        )
    boosters = []
    for entry in content["boosters"]:
        file = folder / entry["file"]
        if not file.is_file():
            raise RegistryError(f"{file} is missing.\n{MEND}")
        text = file.read_bytes()
        if hashlib.sha256(text).hexdigest() != entry["sha256"]:
            raise RegistryError(
                f"{file} was changed after it was saved.\nFix: restore it, or train the model anew"
            )
        boosters.append(read_booster(text.decode()))
    model: Any = kind(**content["parameters"])
    classes = content["classes"]
    model.classes_ = np.array(classes["values"], dtype=np.dtype(classes["dtype"]))
    model.encoder_ = TableEncoder.from_dict(content["encoder"])
    model.calibrator_ = calibrator_from_dict(content["calibrator"])
    model.boosters_ = boosters
    model.best_iteration_ = content["best_iteration"]
    model.expected_value_ = content["expected_value"]
    model.n_training_ = content["n_training"]
    model.sparse_names_ = tuple(content.get("sparse", ()))
    names = [*model.encoder_.names, *model.sparse_names_]
    model.feature_roles_ = {name: content["roles"][name] for name in names}
    model.categories_ = dict(model.encoder_.levels)
    model.n_features_in_ = len(names)
    model.partition_ = np.array([], dtype=str)
    if content["named"]:
        model.feature_names_in_ = np.array(names, dtype=object)
    return model


def _holds_model_alone(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()}
    return not names or (
        DESCRIPTION in names and all(name == DESCRIPTION or name.startswith("booster") for name in names)
    )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a parameter as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _lightgbm_version() -> str:
    import lightgbm

    return str(lightgbm.__version__)
