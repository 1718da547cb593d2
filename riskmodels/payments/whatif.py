"""Change inputs of a payment: set, add to, scale."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import polars as pl

from riskmodels.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from riskmodels.payments.program import Inputs, Program

__all__ = ["apply_changes", "parse_changes", "set_values"]

_KEY = re.compile(r"(?P<column>\w+)(\[(?P<component>[^\]]+)\])?(@(?P<entity>.+))?")


def parse_changes(texts: Iterable[str]) -> dict[str, str]:
    """Return changes as `apply_changes` takes them, from texts such as ``excess_readmission_ratio[HF]=-5%``.

    >>> parse_changes(["cost@010006=*0.9"])
    {'cost@010006': '*0.9'}

    Raises
    ------
    SpecError
        For a text without an equals sign, or an input that is there twice.
    """
    changes: dict[str, str] = {}
    for text in texts:
        key, equals, change = (part.strip() for part in text.partition("="))
        if not (key and equals and change):
            raise SpecError(f"what-if {text!r}: write INPUT=CHANGE, such as cost=-5%")
        if key in changes:
            raise SpecError(f"what-if {key!r} is here twice")
        changes[key] = change
    return changes


def apply_changes(
    inputs: "Inputs",
    changes: Mapping[str, float | str],
    program: "Program",
    entities: Iterable[str] | None = None,
) -> "Inputs":
    """Return the inputs with the changes made and noted.

    Raises
    ------
    SpecError
        For an input that cannot be changed, an entity or component that is not there, or a change that is
        neither a number nor of the form ``-5%``, ``+0.01``, ``*0.9``.
    """
    frames, notes, draws = dict(inputs.frames), list(inputs.notes), inputs.draws
    chosen = None if entities is None else list(entities)
    for key, change in changes.items():
        match = _KEY.fullmatch(key.strip())
        column = match["column"] if match else key
        name = program.table_of(column, inputs)
        if match is None or name is None:
            raise SpecError(f"no input {column!r} to change. {did_you_mean(column, program.changeable)}")
        frame = frames[name]
        rows = pl.lit(True)
        if match["component"]:
            if program.component not in frame.columns:
                raise SpecError(f"{column} is one figure for each {program.entity}: write it without [...]")
            rows &= pl.col(program.component) == match["component"]
        ids = [match["entity"]] if match["entity"] else chosen
        if ids is not None:
            rows &= pl.col(program.entity).is_in(ids)
        count = frame.filter(rows).height
        if not count:
            raise SpecError(f"what-if {key!r}: no such {program.entity} or {program.component} in the inputs")
        kind = frame.schema[column]
        new = _changed(pl.col(column).cast(pl.Float64), change, key)
        if kind.is_integer():
            new = new.round().cast(kind)
        frames[name] = frame.with_columns(pl.when(rows).then(new).otherwise(pl.col(column)).alias(column))
        _refuse_impossible(frames[name].filter(rows), column, key, program, inputs)
        frames = program.after_change(frames, column)
        if column in inputs.options.get("drawn", ()):
            draws = None  # The draws are of the ratio as it was.
        notes.append(f"what if: {key} changed to {change} ({count} row{'s' if count > 1 else ''})")
    return replace(inputs, frames=frames, notes=tuple(notes), draws=draws)


def set_values(inputs: "Inputs", key: str, values: pl.DataFrame, program: "Program") -> "Inputs":
    """Return the inputs with one of them set for each entity in `values` (the entity and `value`).

    Raises
    ------
    SpecError
        For an input that cannot be changed.
    """
    match = _KEY.fullmatch(key.strip())
    column = match["column"] if match else key
    name = program.table_of(column, inputs)
    if match is None or name is None or match["entity"]:
        raise SpecError(f"no input {key!r} to draw. {did_you_mean(column, program.changeable)}")
    frame = inputs.frames[name]
    joined = frame.join(values, on=program.entity, how="left", maintain_order="left")
    drawn = pl.col("value").is_not_null()
    if match["component"]:
        drawn &= pl.col(program.component) == match["component"]
    new = pl.when(drawn).then(pl.col("value")).otherwise(pl.col(column)).alias(column)
    frames = {**inputs.frames, name: joined.with_columns(new).drop("value")}
    return replace(inputs, frames=program.after_change(frames, column), draws=None)


def _refuse_impossible(
    changed: pl.DataFrame, column: str, key: str, program: "Program", inputs: "Inputs"
) -> None:
    """Refuse a change that takes an input to what it cannot be, naming the entity."""
    low, high = program.range_of(column, inputs)
    value = pl.col(column).cast(pl.Float64)
    beyond = changed.filter((value < low) | (value > high) | value.is_nan())
    if beyond.height:
        row = beyond.row(0, named=True)
        bounds = [f"at least {low:g}"] * (low > -inf) + [f"at most {high:g}"] * (high < inf)
        raise SpecError(
            f"what-if {key!r} makes {column} of {row[program.entity]} {row[column]:g}; "
            f"it is {' and '.join(bounds)}"
        )


def _changed(old: pl.Expr, change: float | str, key: str) -> pl.Expr:
    if isinstance(change, (int, float)):
        return pl.lit(float(change))
    text = change.strip()
    try:
        if text.startswith("*"):
            return old * float(text[1:])
        if text.startswith(("+", "-")) and text.endswith("%"):
            return old * (1 + float(text[:-1]) / 100)
        if text.startswith(("+", "-")):
            return old + float(text)
        return pl.lit(float(text))
    except ValueError:
        raise SpecError(
            f"what-if {key!r}: {change!r} is not a change. Write a number, '-5%', '+0.01' or '*0.9'."
        ) from None
