"""Dataclasses to and from the plain values that YAML and JSON hold."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from riskmodels.errors import SpecError, did_you_mean

__all__ = ["from_plain", "to_plain"]

Spec = TypeVar("Spec")


def from_plain(spec: type[Spec], content: Mapping[str, Any], where: str = "") -> Spec:
    """Make a dataclass, and those within it, of plain values.

    Parameters
    ----------
    spec : type
        The dataclass.
    content : mapping
        Its fields by name.
    where : str
        What stands before a key in an error message.

    Raises
    ------
    SpecError
        For a key that the dataclass does not have, one that is missing, or a value of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(spec)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(spec)
    for key in content:
        if key not in fields:
            raise SpecError(f"Unknown key {where}{key}. {did_you_mean(str(key), fields)}")
    values = {
        key: from_plain(hints[key], value, f"{key}.")
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, Mapping)
        else _typed(value, hints[key], f"{where}{key}")
        for key, value in content.items()
    }
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in values]
    if missing:
        raise SpecError(f"Missing: {', '.join(where + name for name in missing)}.")
    return spec(**values)


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return the value as the type that the hint asks for."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in options:
            raise SpecError(f"{where} cannot be {value!r}. {did_you_mean(str(value), options)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise SpecError(f"{where} is a list of words; {value!r} is not.")
        return tuple(value)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = options[0]
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SpecError(f"{where} is of type {hint.__name__}; {value!r} is not.")
    return value


def to_plain(value: Any) -> Any:
    """Return a dataclass as dictionaries, lists and plain values, fit for YAML and JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
