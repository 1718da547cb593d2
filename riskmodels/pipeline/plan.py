"""What a model.yaml says: which task, features, parameters and split a model is trained with."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskmodels.errors import DataError, SpecError, did_you_mean

if TYPE_CHECKING:
    from riskmodels.features import FeatureSet

__all__ = ["TrainingPlan"]

SPLITS = ("patient", "time")
ROLES = ("predict", "adjust")


@dataclass(frozen=True)
class TrainingPlan:
    """How a model is trained; read from a model.yaml.

    Parameters
    ----------
    name : str
        Name under which the model is registered.
    task : str
        A task's name, or a path to its YAML page.
    role : {"adjust"}, optional
        Use only features of this role. A benchmark needs a model of ``adjust`` features.
    features : str, optional
        A feature set, YAML or JSON, in place of the standard one; in a model.yaml its path is taken from the
        folder of the model.yaml.
    known_only : bool
        Use only what was recorded before each index time, in training and whenever the model is used.
    parameters : mapping
        Keyword arguments of `riskmodels.RiskModel`, over `riskmodels.learning.tuning.history_parameters`.
    test_fraction : float
        Share of patients (``split: patient``) or of index cases (``split: time``) that evaluate the model.
    split : {"patient", "time"}
        Hold out patients at random, or the latest index cases of patients that were not trained on.
    n_bootstrap : int
        Draws of patients for the intervals of the evaluation.
    seed : int
        Seed of the split, the model and the draws.
    """

    name: str
    task: str
    role: str | None = None
    features: str | None = None
    known_only: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    test_fraction: float = 0.25
    split: str = "patient"
    n_bootstrap: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no training could follow."""
        if self.split not in SPLITS:
            raise SpecError(f"split is {self.split!r}. {did_you_mean(str(self.split), SPLITS)}")
        if self.role is not None and self.role not in ROLES:
            raise SpecError(f"role is {self.role!r}. {did_you_mean(str(self.role), ROLES)}")
        if not isinstance(self.known_only, bool):
            raise SpecError(f"known_only is {self.known_only!r}; it must be true or false")
        if self.features is not None and not isinstance(self.features, str):
            raise SpecError(f"features is {self.features!r}; it must be the path of a feature set")
        if not 0.05 <= self.test_fraction <= 0.9:
            raise SpecError(f"test_fraction is {self.test_fraction}; it must lie between 0.05 and 0.9")

    @classmethod
    def read(cls, path: Path) -> "TrainingPlan":
        """Read a model.yaml.

        Raises
        ------
        DataError
            The file is missing or no YAML mapping.
        SpecError
            A key is unknown or missing, or its value cannot be used.
        """
        import yaml

        if not path.is_file():
            raise DataError("there is no such file", file=path, fix="give the path of a model.yaml")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataError(f"is no YAML: {error}", file=path) from error
        if not isinstance(content, dict):
            raise DataError("is no YAML mapping", file=path, fix="see models/readmission_30d/model.yaml")
        known = [f.name for f in fields(cls)]
        for key in content:
            if key not in known:
                raise SpecError(f"{path}: unknown key {key!r}. {did_you_mean(str(key), known)}")
        for key in ("name", "task"):
            if key not in content:
                raise SpecError(f"{path}: the key {key!r} is missing")
        plan = cls(**content)
        return plan if plan.features is None else replace(plan, features=str(path.parent / plan.features))

    def feature_set(self) -> "FeatureSet | None":
        """Return the feature set that the plan names; None where it is the standard one."""
        from riskmodels.features import FeatureSet

        return None if self.features is None else FeatureSet.read(self.features)

    def check_parameters(self, model: type) -> None:
        """Refuse parameters that a model does not have.

        Raises
        ------
        SpecError
            Names the parameter and the nearest one there is.
        """
        known = list(inspect.signature(model).parameters)
        for name in self.parameters:
            if name not in known:
                raise SpecError(
                    f"the plan {self.name}: {model.__name__} has no parameter {name!r}. "
                    f"{did_you_mean(str(name), known)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return asdict(self)
