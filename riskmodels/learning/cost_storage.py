"""A fitted CostModel as a folder of text: no pickle, the same bytes each time, nothing of any patient."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from riskmodels.errors import RegistryError
from riskmodels.files import atomic_directory
from riskmodels.learning.boosting import booster_text, read_booster
from riskmodels.learning.encoding import TableEncoder

__all__ = ["DESCRIPTION", "load_cost_model", "save_cost_model"]

FORMAT = "riskmodels.CostModel"
FORMAT_VERSION = 1
DESCRIPTION = "cost_model.json"

Model = TypeVar("Model")


def save_cost_model(model: Any, folder: Path) -> None:
    """Write a fitted model; take the place of a cost model that is there already, and of nothing else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / DESCRIPTION).is_file():
        raise RegistryError(
            f"{folder} holds something else than a cost model, and it would be lost.\n"
            "Fix: choose another folder"
        )
    texts = {f"booster-{part}.txt": booster_text(booster) for part, booster in model.boosters_.items()}
    content: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "parameters": {
            name: dict(value) if hasattr(value, "items") else value
            for name, value in sorted(model.get_params(deep=False).items())
        },
        "named": hasattr(model, "feature_names_in_"),
        "roles": model.feature_roles_,
        "encoder": model.encoder_.to_dict(),
        "scale": model.scale_,
        "factor": model.factor_,
        "best_iteration": model.best_iteration_,
        "n_training": model.n_training_,
        "boosters": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()},
    }
    content["sha256"] = _digest(content)
    with atomic_directory(folder, replace=True) as temporary:
        for name, text in texts.items():
            (temporary / name).write_bytes(text.encode())
        written = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (temporary / DESCRIPTION).write_bytes((written + "\n").encode())


def load_cost_model(kind: type[Model], folder: Path) -> Model:
    """Return the cost model in a folder.

    Raises
    ------
    RegistryError
        If the folder is no cost model, a file is missing or was changed, or the version is another.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise RegistryError(f"{folder} is not a saved cost model: it has no {DESCRIPTION}.")
    mend = "Fix: restore it, or train the model anew"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RegistryError(f"{path} is not as it was written.\n{mend}") from error
    if content.get("format") != FORMAT or content.get("format_version") != FORMAT_VERSION:
        raise RegistryError(f"{path} does not describe a {FORMAT} of format {FORMAT_VERSION}.\n{mend}")
    if content.pop("sha256", None) != _digest(content):
        raise RegistryError(f"{path} was changed after it was saved.\n{mend}")
    model: Any = kind(**content["parameters"])
    model.boosters_ = {}
    for name, digest in content["boosters"].items():
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise RegistryError(f"{file} is missing or was changed after it was saved.\n{mend}")
        part = name.removeprefix("booster-").removesuffix(".txt")
        model.boosters_[part] = read_booster(file.read_text(encoding="utf-8"))
    model.encoder_ = TableEncoder.from_dict(content["encoder"])
    model.categories_ = dict(model.encoder_.levels)
    model.scale_, model.factor_ = content["scale"], content["factor"]
    model.best_iteration_, model.n_training_ = content["best_iteration"], content["n_training"]
    model.feature_roles_ = {name: content["roles"][name] for name in model.encoder_.names}
    model.n_features_in_ = len(model.encoder_.names)
    if content["named"]:
        model.feature_names_in_ = np.array(model.encoder_.names, dtype=object)
    return model


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
