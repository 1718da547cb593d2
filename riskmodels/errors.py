"""Errors that a user can act on: what was wrong, where, and how to mend it."""

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "ContractError",
    "DataError",
    "RegistryError",
    "RiskModelsError",
    "SpecError",
    "StoreError",
    "did_you_mean",
]


class RiskModelsError(Exception):
    """Base of all errors that riskmodels raises on purpose; the command line shows it as one message."""


class DataError(RiskModelsError):
    """Input data that cannot be used as they are.

    Parameters
    ----------
    problem : str
        What is wrong, naming the value.
    file : path, optional
        The file it is in.
    column, line : optional
        Where in the file; lines count from 1 and include the header.
    fix : str, optional
        What the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        column: str | None = None,
        line: int | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.file, self.column, self.line, self.fix = problem, file, column, line, fix
        where = [str(file)] if file is not None else []
        if column is not None:
            where.append(f"column {column}")
        if line is not None:
            where.append(f"line {line}")
        message = f"{', '.join(where)}: {problem}" if where else problem
        hint = fix or ""
        if fix and not fix.startswith("Hint: "):
            hint = f"Fix: {fix}"
        super().__init__(f"{message}\n{hint}" if hint else message)


class StoreError(RiskModelsError):
    """A history store that is missing, incomplete, of another version, or in the way."""


class SpecError(RiskModelsError):
    """A task, feature, model or rule specification that cannot be carried out."""


class ContractError(RiskModelsError):
    """Data that do not fit what a model was fitted on."""


class RegistryError(RiskModelsError):
    """A model that cannot be found, loaded or promoted."""


def did_you_mean(value: str, options: Iterable[str]) -> str:
    """Return ``Hint: did you mean 'x'?`` where an option is close to value, else the options.

    >>> did_you_mean("inpatint", ["inpatient", "emergency"])
    "Hint: did you mean 'inpatient'?"
    >>> did_you_mean("x", ["inpatient", "emergency"])
    'Choose from: emergency, inpatient.'
    """
    options = sorted(options)
    near = difflib.get_close_matches(value, options, n=1)
    return f"Hint: did you mean {near[0]!r}?" if near else f"Choose from: {', '.join(options)}."
