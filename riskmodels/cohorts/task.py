"""What a task is: which cases, who is eligible, what counts as the outcome, and until when to watch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from riskmodels.cohorts.checking import check_rules
from riskmodels.cohorts.plain import from_plain, to_plain
from riskmodels.cohorts.rules import FollowUp, IndexRule, LookBack, OutcomeRule
from riskmodels.errors import SpecError, did_you_mean

__all__ = [
    "FollowUp",
    "IndexRule",
    "LookBack",
    "OutcomeRule",
    "Task",
    "load_task",
    "task_names",
]


@dataclass(frozen=True)
class Task:
    """A prediction task: index cases, eligibility, follow-up and outcome.

    Parameters
    ----------
    name : str
        What the command line calls it.
    version : int
        Raised whenever the definition changes, so that models say which one they were fitted on.
    title : str
        What a person calls the outcome.
    source : str
        The measure, regulation or paper that the definition follows.
    """

    name: str
    version: int
    title: str
    source: str
    index: IndexRule = field(default_factory=IndexRule)
    look_back: LookBack = field(default_factory=LookBack)
    follow_up: FollowUp = field(default_factory=FollowUp)
    outcome: OutcomeRule = field(default_factory=OutcomeRule)

    def __post_init__(self) -> None:
        """Refuse definitions that contradict themselves."""
        check_rules(self.index, self.look_back, self.follow_up, self.outcome)

    @property
    def horizon_days(self) -> int:
        """Return the last day of the follow-up."""
        return self.follow_up.last_day

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """Return the columns of the cases that hold the outcome: a label, or what was spent."""
        if self.outcome.event == "cost":
            return ("cost", "member_months", "cost_pmpm", "enrolment")
        return ("label",)

    @property
    def unit(self) -> str:
        """Return what a case is called: index discharges, ED visits, admissions or person-years."""
        if self.index.event == "date":
            return "person-years"
        if self.index.event == "admission":
            return "admissions"
        return "index discharges" if "inpatient" in self.index.kinds else "ED visits"

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain values, fit for YAML and JSON."""
        return to_plain(self)

    def to_yaml(self) -> str:
        """Return the definition as a page of YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=110)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Task":
        """Make a task of plain values.

        Raises
        ------
        SpecError
            For an unknown or missing key, or a value of the wrong type.
        """
        return from_plain(cls, content)

    @classmethod
    def from_yaml(cls, text: str) -> "Task":
        """Make a task of a page of YAML; see `from_dict`."""
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SpecError(f"The task is not valid YAML: {error}") from error
        if not isinstance(content, Mapping):
            raise SpecError("The task is not a page of `key: value` lines.")
        return cls.from_dict(content)


def task_names() -> tuple[str, ...]:
    """Return the names of the tasks that come with the package."""
    folder = files("riskmodels.cohorts") / "tasks"
    return tuple(
        sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    )


def load_task(task: "str | Path | Task") -> Task:
    """Return a task by its name or from a YAML file.

    Raises
    ------
    SpecError
        Where there is no such task or file, or its content is no task.
    """
    if isinstance(task, Task):
        return task
    if str(task) in task_names():
        return _shipped_task(str(task))
    path = Path(task)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise SpecError(f"There is no task file {path}.")
        try:
            return Task.from_yaml(path.read_text(encoding="utf-8"))
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from error
    raise SpecError(
        f"There is no task {str(task)!r}. {did_you_mean(str(task), task_names())} "
        "The path of a .yaml file works too."
    )


@lru_cache
def _shipped_task(name: str) -> Task:
    folder = files("riskmodels.cohorts") / "tasks"
    return Task.from_yaml((folder / f"{name}.yaml").read_text(encoding="utf-8"))
