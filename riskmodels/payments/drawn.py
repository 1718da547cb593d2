"""A payment program whose inputs have draws: every draw goes through the rules, and dollars get bounds."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.audit import Audit
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.rules import Rules

__all__ = ["Drawn", "draws_beside", "factors_of"]

INTERVAL = (0.025, 0.975)


class Drawn(Program):
    """A program, settled once as it stands and once for each draw of its uncertain inputs.

    `Inputs.draws` has the entity, ``draw`` and, for each input of `scaled`, a factor on what was read; so a
    what-if moves the draws with the input.
    """

    name: ClassVar[str]
    entity: ClassVar[str]
    component: ClassVar[str]
    table: str
    scaled: Mapping[str, str]

    def __init__(self, program: Program) -> None:
        self.inner = program
        self.name, self.entity, self.component = program.name, program.entity, program.component  # type: ignore[misc]
        self.options = program.options  # type: ignore[misc]
        self.changeable = program.changeable  # type: ignore[misc]

    @abstractmethod
    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read the inputs and their draws."""

    def load(self, year: int, paths: Sequence[Path]) -> Rules:
        """Return the rules of a year."""
        return self.inner.load(year, paths)

    def table_of(self, column: str, inputs: Inputs) -> str | None:
        """Return the name of the table with an input that a what-if may change, or None."""
        return self.inner.table_of(column, inputs)

    def range_of(self, column: str, inputs: Inputs) -> tuple[float, float]:
        """Return the least and the most that an input can be."""
        return self.inner.range_of(column, inputs)

    def after_change(self, frames: dict[str, pl.DataFrame], column: str) -> dict[str, pl.DataFrame]:
        """Return the tables with what follows from a changed column brought up to date."""
        return self.inner.after_change(frames, column)

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Settle what was read, and every draw of it; add the bounds of each figure that moves."""
        found = self.inner.settle(inputs, rules)
        if inputs.draws is None or inputs.draws.is_empty():
            return found
        key, table = self.entity, inputs.frames[self.table]
        settled = []
        for _, rows in inputs.draws.group_by("draw", maintain_order=True):
            factors = table.select(key).join(rows, on=key, how="left", maintain_order="left")
            scaled = table.with_columns(
                pl.col(column) * factors[name].fill_null(1.0) for name, column in self.scaled.items()
            )
            frames = self.after_scaling({**inputs.frames, self.table: scaled}, table)
            settled.append(self.inner.settle(replace(inputs, frames=frames, draws=None), rules).frame)
        return replace(found, frame=_with_bounds(found.frame, pl.concat(settled), key))

    def after_scaling(self, frames: dict[str, pl.DataFrame], before: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Return the tables with what follows from a draw brought up to date."""
        return frames

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down how the payment of one entity came about."""
        return self.inner.explain(inputs, settlement, rules, entity)

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return what would have to change for the payment to turn, a row an entity and component."""
        return self.inner.break_even(inputs, settlement, rules)


def draws_beside(path: Path) -> Path:
    """Return where the draws of a benchmark's file stand."""
    return path.with_name(f"{path.stem}.draws.parquet")


def factors_of(path: Path, points: pl.DataFrame, key: str) -> pl.DataFrame | None:
    """Return the draws beside a file as factors of its figures; None where there are none.

    Parameters
    ----------
    points : polars.DataFrame
        `key`, expected and observed as they were read.

    Raises
    ------
    DataError
        The draws lack a column.
    """
    beside = draws_beside(path)
    if not beside.is_file():
        return None
    frame = pl.read_parquet(beside)
    absent = {"draw", "expected", "observed"} - set(frame.columns)
    if absent:
        raise DataError(f"no column {', '.join(sorted(absent))}", file=beside)
    frame = frame.rename({frame.columns[0]: key}).with_columns(pl.col(key).cast(pl.String))
    joined = frame.drop_nulls(["expected", "observed"]).join(points, on=key, suffix="_point")
    return joined.select(
        key,
        "draw",
        *(
            pl.when(pl.col(f"{name}_point") > 0).then(pl.col(name) / pl.col(f"{name}_point")).alias(name)
            for name in ("expected", "observed")
        ),
    )


def _with_bounds(frame: pl.DataFrame, every: pl.DataFrame, key: str) -> pl.DataFrame:
    """Add ``_lower`` and ``_upper`` beside each figure that differs between the draws."""
    figures = [name for name, kind in frame.schema.items() if kind.is_float()]
    bounds = every.group_by(key).agg(
        *(pl.col(name).quantile(tail, "linear").alias(f"{name}_{end}")
          for name in figures for end, tail in zip(("lower", "upper"), INTERVAL, strict=True)),
    )  # fmt: skip
    moving = [
        name
        for name in figures
        if bounds.select(
            (pl.col(f"{name}_lower") != pl.col(f"{name}_upper")).fill_null(value=False).any()
        ).item()
    ]
    kept = [key, *(f"{name}_{end}" for name in moving for end in ("lower", "upper"))]
    joined = frame.join(bounds.select(kept), on=key, how="left", maintain_order="left")
    order: list[str] = []
    for name in frame.columns:
        order += [name, f"{name}_lower", f"{name}_upper"] if name in moving else [name]
    return joined.select(order)
