"""What a task is: which cases, who is eligible, what counts as the outcome, and until when to watch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from riskmodels.cohorts.plain import from_plain, to_plain
from riskmodels.cohorts.rules import FollowUp, IndexRule, LookBack, OutcomeRule
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.history.schema import DISCHARGE_DISPOSITIONS, ENCOUNTER_KINDS
from riskmodels.terminology import load_grouper

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
        _check(self)

    @property
    def horizon_days(self) -> int:
        """Return the last day of the follow-up."""
        return self.follow_up.last_day

    @property
    def lookback_days(self) -> int:
        """Return the days that a patient must have been watched before admission."""
        return self.look_back.days

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


def _check(task: Task) -> None:
    """Refuse words that the data never have and windows that end before they begin."""
    words: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
        ("index.kinds", task.index.kinds, ENCOUNTER_KINDS),
        ("index.exclude_dispositions", task.index.exclude_dispositions, DISCHARGE_DISPOSITIONS),
        (
            "index.exclude_principal_diagnosis",
            task.index.exclude_principal_diagnosis,
            load_grouper("care").groups,
        ),
        ("outcome.kinds", task.outcome.kinds, ENCOUNTER_KINDS),
        ("outcome.admitted_kinds", task.outcome.admitted_kinds, ENCOUNTER_KINDS),
    ]
    for where, used, known in words:
        for word in used:
            if word not in known:
                raise SpecError(f"{where} has no {word!r}. {did_you_mean(word, known)}")
    for where, days in (
        ("index.transfer_gap_days", task.index.transfer_gap_days),
        ("look_back.days", task.look_back.days),
        ("look_back.max_gap_days", task.look_back.max_gap_days),
        ("follow_up.first_day", task.follow_up.first_day),
        ("follow_up.runout_days", task.follow_up.runout_days),
        ("outcome.admitted_gap_days", task.outcome.admitted_gap_days),
    ):
        if days < 0:
            raise SpecError(f"{where} is {days}; it counts days and cannot be negative.")
    if task.follow_up.last_day < task.follow_up.first_day:
        raise SpecError(
            f"follow_up.last_day is {task.follow_up.last_day}, before first_day ({task.follow_up.first_day})."
        )
    if not task.index.kinds or not task.outcome.kinds:
        raise SpecError("index.kinds and outcome.kinds each name at least one kind of encounter.")
    if task.outcome.event == "unplanned_admission" and set(task.outcome.kinds) != set(task.index.kinds):
        raise SpecError(
            "outcome.kinds must be index.kinds for unplanned_admission: a readmission is another such stay."
        )
