"""What every payment program is made of, and the result that it gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError, did_you_mean
from riskmodels.files import atomic_file, write_json
from riskmodels.payments.audit import Audit
from riskmodels.payments.rules import Rules, load_rules
from riskmodels.payments.whatif import apply_changes, set_values

__all__ = ["Inputs", "Payment", "Program", "Settlement"]

_MOST_COMPARED = 20_000


@dataclass(frozen=True)
class Inputs:
    """What a program was given, read and checked.

    Parameters
    ----------
    frames : mapping of str to polars.DataFrame
        Tables by name; each row has the `source_file` and `source_line` that it was read from.
    options : mapping
        Settings that the settlement needs.
    notes : tuple of str
        What a reader of the result should know about the inputs.
    draws : polars.DataFrame, optional
        Draws of an uncertain input: entity, draw, value.
    """

    frames: Mapping[str, pl.DataFrame]
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    draws: pl.DataFrame | None = None


@dataclass(frozen=True)
class Settlement:
    """The figures of a program: a row an entity, a row a component, the rule parameters that were used.

    `notes` says what a reader of the figures should know that only the settlement shows. `total_interval` is
    the 95% interval of the dollars of all entities together, where an input was drawn.
    """

    frame: pl.DataFrame
    detail: pl.DataFrame
    used: tuple[str, ...]
    notes: tuple[str, ...] = ()
    total_interval: tuple[float, float] | None = None


class Program(ABC):
    """One payment program: how it reads, settles and explains."""

    name: ClassVar[str]
    entity: ClassVar[str]
    """The column that names who is paid."""
    component: ClassVar[str]
    """The column of `detail` that names what the payment is made of."""
    options: ClassVar[Mapping[str, str]] = {}
    """What `pay` takes beside the inputs, and what each option is."""
    changeable: ClassVar[Mapping[str, str]]
    """The inputs that a what-if may change: column to the name of its table."""
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """The least and the most that an input can be; 0 and no limit where it is not here."""

    def load(self, year: int, paths: Sequence[Path]) -> Rules:
        """Return the rules of a year."""
        return load_rules(self.name, year)

    def table_of(self, column: str, inputs: Inputs) -> str | None:
        """Return the name of the table with an input that a what-if may change, or None."""
        return self.changeable.get(column)

    def range_of(self, column: str, inputs: Inputs) -> tuple[float, float]:
        """Return the least and the most that an input can be, which a what-if keeps to."""
        return self.ranges.get(column, (0.0, inf))

    @abstractmethod
    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read and check the published files."""

    def after_change(self, frames: dict[str, pl.DataFrame], column: str) -> dict[str, pl.DataFrame]:
        """Return the tables with what follows from a changed column brought up to date."""
        return frames

    @abstractmethod
    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Compute the payments of all entities."""

    @abstractmethod
    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down how the payment of one entity came about."""

    @abstractmethod
    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return what would have to change for the payment to turn, a row an entity and component."""


@dataclass(frozen=True)
class Payment:
    """The result of a payment program: `frame`, `detail`, audits, what-ifs, break-evens and intervals.

    Parameters
    ----------
    program : Program
    rules : Rules
        The parameters of the year, each with its source.
    inputs : Inputs
        What was read.
    settlement : Settlement
        What came out.
    """

    program: Program
    rules: Rules
    inputs: Inputs
    settlement: Settlement

    @property
    def frame(self) -> pl.DataFrame:
        """One row an entity."""
        names = ", ".join(self.unverified) or None
        return self.settlement.frame.with_columns(
            pl.lit(names, dtype=pl.String).alias("unverified_parameters")
        )

    @property
    def detail(self) -> pl.DataFrame:
        """One row an entity and component."""
        return self.settlement.detail

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the result should know."""
        return self.inputs.notes + self.settlement.notes

    @property
    def unverified(self) -> tuple[str, ...]:
        """Parameters that the result used and that no public source could confirm."""
        return self.rules.unverified(self.settlement.used)

    @property
    def entities(self) -> tuple[str, ...]:
        """The ids of all who are paid."""
        return tuple(self.settlement.frame[self.program.entity])

    def audit(self, entity: str) -> Audit:
        """Return the calculation of one entity, line by line.

        Raises
        ------
        SpecError
            Where the inputs have no such entity.
        """
        if entity not in self.entities:
            raise SpecError(f"no {self.program.entity} {entity!r} in the inputs. {self._hint(entity)}")
        return self.program.explain(self.inputs, self.settlement, self.rules, entity)

    def _hint(self, entity: str) -> str:
        """Return the ids nearest to one that is not there, else some of those that are."""
        ids = self.settlement.frame[self.program.entity].cast(pl.String)
        near = ids.filter(ids.str.to_lowercase() == entity.strip().lower())
        near = near if len(near) else ids.filter(ids.str.strip_chars_start("0") == entity.lstrip("0"))
        if len(near):
            return did_you_mean(near[0], near)
        alike = ids if len(ids) <= _MOST_COMPARED else ids.filter(ids.str.starts_with(entity[:3]))
        found = get_close_matches(entity, alike.head(_MOST_COMPARED).to_list(), n=3)
        if found:
            return f"Hint: did you mean {' or '.join(map(repr, found))}?"
        return f"There are {len(ids):,}, such as {', '.join(ids.head(3))}."

    def what_if(self, changes: Mapping[str, float | str], entities: Iterable[str] | None = None) -> "Payment":
        """Return the payment with some inputs changed, all other inputs held as they are.

        Parameters
        ----------
        changes : mapping
            Input to change, such as ``"excess_readmission_ratio[HF]"`` or, for one entity,
            ``"excess_readmission_ratio[HF]@010006"``; to a number, or by ``"-5%"``, ``"+0.01"``, ``"*0.9"``.
        entities : iterable of str, optional
            The entities whose inputs change; all by default.
        """
        inputs = apply_changes(self.inputs, changes, self.program, entities)
        return replace(self, inputs=inputs, settlement=self.program.settle(inputs, self.rules))

    def compare(self, other: "Payment") -> pl.DataFrame:
        """Return the figures of both payments side by side: ``x``, ``x_other`` and ``x_change``.

        Only entities whose figures differ are shown.
        """
        key = self.program.entity
        shared = set(other.settlement.frame.columns)
        schema = self.settlement.frame.schema
        numeric = [name for name, kind in schema.items() if kind.is_numeric() and name in shared]
        both = self.settlement.frame.select(key, *numeric).join(
            other.settlement.frame.select(key, *numeric), on=key, suffix="_other"
        )
        changes = [(pl.col(f"{name}_other") - pl.col(name)).alias(f"{name}_change") for name in numeric]
        changed = pl.any_horizontal(pl.col(f"{name}_change").fill_null(0) != 0 for name in numeric)
        order = [column for name in numeric for column in (name, f"{name}_other", f"{name}_change")]
        return both.with_columns(changes).filter(changed).select(key, *order)

    def interval(self, column: str, draws: pl.DataFrame, *, level: float = 0.95) -> pl.DataFrame:
        """Return the figures with an interval where an input is uncertain: every draw goes through the rules.

        Parameters
        ----------
        column : str
            The uncertain input, such as ``"expenditures"`` or ``"excess_readmission_ratio[HF]"``.
        draws : polars.DataFrame
            The entity (under its own name or as ``entity``), ``draw`` and ``value``; an entity without draws
            keeps its input.
        level : float
            How much of the draws the interval holds.

        Returns
        -------
        polars.DataFrame
            The entity, and for each figure that moves its value, ``..._lower`` and ``..._upper``.
        """
        key = self.program.entity
        name = key if key in draws.columns else "entity"
        absent = {name, "draw", "value"} - set(draws.columns)
        if absent:
            raise SpecError(f"draws have no column {', '.join(sorted(absent))}")
        settled = []
        for (draw,), rows in draws.group_by("draw"):
            inputs = set_values(
                self.inputs, column, rows.select(pl.col(name).alias(key), "value"), self.program
            )
            frame = self.program.settle(inputs, self.rules).frame
            settled.append(frame.with_columns(pl.lit(draw).alias("draw")))
        every = pl.concat(settled)
        schema = self.settlement.frame.schema
        numeric = [name for name, kind in schema.items() if kind.is_float() and name in every.columns]
        tail = (1 - level) / 2
        bounds = every.group_by(key).agg(
            *(pl.col(name).quantile(tail, "linear").alias(f"{name}_lower") for name in numeric),
            *(pl.col(name).quantile(1 - tail, "linear").alias(f"{name}_upper") for name in numeric),
            *(pl.col(name).n_unique().alias(f"{name}_values") for name in numeric),
        )
        moving = [name for name in numeric if (bounds[f"{name}_values"] > 1).any()]
        order = [part for name in moving for part in (name, f"{name}_lower", f"{name}_upper")]
        return self.settlement.frame.join(bounds, on=key, how="left", maintain_order="left").select(
            key, *order
        )

    def break_even(self, entity: str | None = None) -> pl.DataFrame:
        """Return what would have to change for the payment to turn; for one entity, or for all."""
        frame = self.program.break_even(self.inputs, self.settlement, self.rules)
        return frame if entity is None else frame.filter(pl.col(self.program.entity) == entity)

    def write(self, path: str | Path | None, detail: str | Path | None = None) -> None:
        """Write the result with its rules beside it, and the detail, as CSV or Parquet by suffix.

        ``PAY.csv`` comes with ``PAY.rules.json``: the parameters that were used, with their sources.

        Raises
        ------
        DataError
            A path ends in neither .csv nor .parquet; nothing is written.
        """
        from riskmodels.payments.summary import rules_path, summarise

        targets = [(target, frame) for target, frame in ((path, self.frame), (detail, self.detail)) if target]
        for target, _ in targets:
            if Path(target).suffix.lower() not in (".csv", ".parquet"):
                raise DataError(
                    "cannot write this kind of file", file=target, fix="end it in .csv or .parquet"
                )
        for target, frame in targets:
            with atomic_file(target) as temporary:
                if Path(target).suffix.lower() == ".parquet":
                    frame.write_parquet(temporary)
                else:
                    frame.write_csv(temporary)
        if path:
            write_json(rules_path(path), summarise(self))
