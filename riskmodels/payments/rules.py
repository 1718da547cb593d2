"""Payment rules as data: one TOML file a program and year, each parameter with its citation."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from riskmodels.errors import SpecError, did_you_mean

__all__ = ["Parameter", "Rules", "known_years", "load_rules", "rule_programs"]


@dataclass(frozen=True)
class Parameter:
    """One number, table or word of a rule, and where it is written.

    Parameters
    ----------
    name : str
    value : Any
        A number, a string, a list or a table, as the TOML file has it.
    source : str
        The regulation section, Federal Register page, CMS document or result file that says so.
    verified : bool
        Whether a source could be read that confirms the value. An unverified value is used, and said to be.
    """

    name: str
    value: Any
    source: str
    verified: bool = True


@dataclass(frozen=True)
class Rules:
    """The parameters of one program in one year."""

    program: str
    year: int
    title: str
    parameters: Mapping[str, Parameter] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a parameter."""
        return self.parameter(name).value

    def __contains__(self, name: object) -> bool:
        """Tell whether the year has a parameter."""
        return name in self.parameters

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a parameter, or `default` where the year has none."""
        return self.parameters[name].value if name in self.parameters else default

    def parameter(self, name: str) -> Parameter:
        """Return a parameter with its source.

        Raises
        ------
        SpecError
            Where the rules of the year have no such parameter.
        """
        if name not in self.parameters:
            raise SpecError(
                f"{self.program} {self.year} has no parameter {name!r}. {did_you_mean(name, self.parameters)}"
            )
        return self.parameters[name]

    def unverified(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return the names of the parameters (among `names`) that no source could confirm."""
        chosen = self.parameters if names is None else [name for name in names if name in self.parameters]
        return tuple(name for name in chosen if not self.parameters[name].verified)

    def cite(self, name: str) -> str:
        """Return the source of a parameter, marked where it is unverified."""
        parameter = self.parameter(name)
        return parameter.source if parameter.verified else f"UNVERIFIED: {parameter.source}"


def rule_programs() -> tuple[str, ...]:
    """Return the programs that have rules, in alphabetical order."""
    root = resources.files(__package__) / "rules"
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir()))


def known_years(program: str) -> tuple[int, ...]:
    """Return the years whose rules are known, in order.

    Raises
    ------
    SpecError
        For an unknown program, naming the programs known.
    """
    if program not in rule_programs():
        raise SpecError(f"unknown payment program {program!r}. {did_you_mean(program, rule_programs())}")
    folder = resources.files(__package__) / "rules" / program
    names = [entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return tuple(sorted(int(name) for name in names))


@cache
def load_rules(program: str, year: int) -> Rules:
    """Read the rules of a program in a year.

    Parameters
    ----------
    program : str
        Such as ``"hrrp"``.
    year : int
        The program's own year: a federal fiscal year, a performance year or a payment year.

    Raises
    ------
    SpecError
        For an unknown program or year, naming those known, and for a rules file that is not well formed.
    """
    years = known_years(program)
    if year not in years:
        known = ", ".join(map(str, years))
        raise SpecError(f"{program} has no rules for {year}. Years known: {known}.")
    path = resources.files(__package__) / "rules" / program / f"{year}.toml"
    return parse_rules(tomllib.loads(path.read_text(encoding="utf-8")), f"{program}/{year}.toml")


def parse_rules(content: Mapping[str, Any], where: str) -> Rules:
    """Turn the tables of a rules file into `Rules`.

    A table with a ``value`` and a ``source`` is a parameter; ``verified`` is true unless it says otherwise.

    Raises
    ------
    SpecError
        Where the file has no program, year or title, or a parameter has no value or source.
    """
    missing = [key for key in ("program", "year", "title") if key not in content]
    if missing:
        raise SpecError(f"{where}: missing {', '.join(missing)}")
    parameters = {}
    for name, table in content.items():
        if name in ("program", "year", "title"):
            continue
        if not isinstance(table, Mapping) or "value" not in table or not table.get("source"):
            raise SpecError(f"{where}: parameter {name!r} needs a value and a source")
        parameters[name] = Parameter(name, table["value"], table["source"], table.get("verified", True))
    return Rules(content["program"], content["year"], content["title"], parameters)
