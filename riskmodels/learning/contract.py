"""The data contract: what a model was fitted on, and the refusal of data that do not fit it.

A contract holds no row of a patient: ranges are 1st and 99th percentiles and are left out for small training
sets, and levels that fewer than 11 stays had are counted together, not named.
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.errors import ContractError, did_you_mean
from riskmodels.evaluation.suppression import SMALLEST_CELL
from riskmodels.history.schema import SCHEMA_VERSION
from riskmodels.learning.inventory import Inventory, needs_of, take_inventory

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn
    from riskmodels.history import History

__all__ = ["CheckedFrame", "ColumnContract", "DataContract", "content_hash"]

logger = logging.getLogger(__name__)

ROWS_FOR_RANGES = 1_100  # then at least 11 rows lie beyond each of the two percentiles
ROWS_FOR_DRIFT = 100
MOSTLY_OUTSIDE = 0.5
OFTEN_OUTSIDE = 0.1


@dataclass(frozen=True)
class ColumnContract:
    """What training saw in one feature.

    Parameters
    ----------
    kind : {"number", "category", "flag"}
        What the values are.
    levels : tuple of str, optional
        The levels of a category: all of a closed set, else those that at least 11 training rows had.
    closed : bool
        Whether `levels` is the whole set by definition (sex) or what happened to be seen (DRG).
    rare_share : float
        Share of the training rows whose level is not listed because fewer than 11 rows had it.
    missing_share : float
        Share of the training rows without a value.
    low, high : float, optional
        1st and 99th percentile of a number in training.
    typical : float or str, optional
        The median of a number, the commonest level of a category; for made-up example rows.
    needs : tuple of str
        What a history must have for this feature: ``"event:drug"``, ``"encounter:emergency"``,
        ``"coverage"``.
    """

    name: str
    kind: str
    role: str = "predict"
    label: str = ""
    levels: tuple[str, ...] | None = None
    closed: bool = False
    rare_share: float = 0.0
    missing_share: float = 0.0
    low: float | None = None
    high: float | None = None
    typical: float | str | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckedFrame:
    """A frame that fits the contract: its columns in the order of training, numbers as 64-bit floats.

    `unknown` counts, by category column, the rows whose level training did not see; the model takes those as
    missing. `warnings` are sentences a user can act on.
    """

    frame: pl.DataFrame
    unknown: dict[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class DataContract:
    """What a model was fitted on.

    Parameters
    ----------
    columns : tuple of ColumnContract
        The features in the order of training.
    n : int
        Number of training rows.
    code_systems : mapping
        By event kind that the features need, the code systems that made up at least 1% of its training
        events.
    tolerance : float
        Share of rows with an unknown level that a category with an open set of levels may have, beside the
        share that was rare in training. A closed set has no tolerance.
    """

    columns: tuple[ColumnContract, ...]
    n: int
    task_hash: str = ""
    feature_set_hash: str = ""
    schema_version: int = SCHEMA_VERSION
    code_systems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tolerance: float = 0.05

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the features in the order of training."""
        return tuple(column.name for column in self.columns)

    @property
    def needs(self) -> tuple[str, ...]:
        """Return what the features need of a history, sorted."""
        return tuple(sorted({need for column in self.columns for need in column.needs}))

    @classmethod
    def from_training(
        cls,
        frame: Any,
        columns: Sequence["FeatureColumn"],
        *,
        task: Any = None,
        feature_set: Any = None,
        history: "History | Inventory | None" = None,
        tolerance: float = 0.05,
    ) -> "DataContract":
        """Describe a training set.

        Parameters
        ----------
        frame : pandas, Polars or Arrow frame
            The feature columns, a row an index case; other columns are left aside.
        columns : sequence of FeatureColumn
            The features in the order in which the model takes them.
        task, feature_set : optional
            What the training set was made with; their hashes are kept.
        history : History or Inventory, optional
            Where the training set came from, for the code systems the events were coded in.
        """
        rows = nw.from_native(frame, eager_only=True).to_polars()
        missing = [column.name for column in columns if column.name not in rows.columns]
        if missing:
            raise ContractError(f"the training frame lacks the features {', '.join(map(repr, missing))}")
        described = tuple(_describe(column, rows[column.name]) for column in columns)
        systems: dict[str, tuple[str, ...]] = {}
        if history is not None:
            seen = history if isinstance(history, Inventory) else take_inventory(history)
            # What the training history did not have either, a history to be scored need not have.
            described = tuple(
                replace(column, needs=tuple(need for need in column.needs if seen.has(need)))
                for column in described
            )
            needs = {need for column in described for need in column.needs}
            systems = {
                kind: seen.main_code_systems(kind)
                for kind in sorted(seen.events)
                if needs & {"event", f"event:{kind}"}
            }
        return cls(
            columns=described,
            n=rows.height,
            task_hash=content_hash(task) if task is not None else "",
            feature_set_hash=content_hash(feature_set) if feature_set is not None else "",
            code_systems=systems,
            tolerance=tolerance,
        )

    def check(self, frame: Any, *, ignore: Iterable[str] = ("index_id",)) -> CheckedFrame:
        """Return `frame` with the columns in the order of training, or refuse it.

        Raises
        ------
        ContractError
            A column is missing, unexpected or of another type; a category has levels that training did not
            see, in more rows than the tolerance; most values of a number lie outside what training saw.
        """
        rows = nw.from_native(frame, eager_only=True).to_polars()
        self._check_names([name for name in rows.columns if name not in set(ignore)])
        unknown: dict[str, int] = {}
        warnings: list[str] = []
        ready = []
        for column in self.columns:
            values = rows[column.name]
            if column.kind == "category":
                values = _as_text(column, values)
                if count := self._count_unknown(column, values):
                    unknown[column.name] = count
                    warnings.append(
                        f"{column.name}: {_rows(count)} of {rows.height:,} with a level that training did "
                        "not see, "
                        "or hardly; taken as missing where the model does not know it"
                    )
            else:
                values = _as_number(column, values)
                if said := _drift(column, values):
                    warnings.append(said)
            ready.append(values)
        return CheckedFrame(pl.DataFrame(ready), unknown, tuple(warnings))

    def check_history(self, history: "History | Inventory") -> tuple[str, ...]:
        """Refuse a history that lacks what the features need; return warnings.

        Raises
        ------
        ContractError
            A table, a kind of encounter or a kind of event is missing, or most events of a kind are coded in
            systems that training did not have.
        """
        seen = history if isinstance(history, Inventory) else take_inventory(history)
        if seen.schema_version != self.schema_version:
            raise ContractError(
                f"the history has schema version {seen.schema_version}, the model was fitted on version "
                f"{self.schema_version}\nFix: ingest the history again with this version of riskmodels, or "
                "train the model anew"
            )
        for need in self.needs:
            if not seen.has(need):
                names = [column.name for column in self.columns if need in column.needs]
                raise ContractError(
                    f"the history has no {_say_need(need)}, which {len(names)} of the model's "
                    f"{len(self.columns)} features need ({_some(names)})\nFix: ingest a source that has "
                    "them, or "
                    "train a model on features that do without"
                )
        warnings = []
        for kind, systems in self.code_systems.items():
            new = {name: count for name, count in seen.events.get(kind, {}).items() if name not in systems}
            share = sum(new.values()) / max(sum(seen.events.get(kind, {}).values()), 1)
            said = (
                f"{share:.0%} of the {kind} events are coded in {', '.join(sorted(new))}; the model was "
                "fitted on "
                f"{', '.join(systems)}"
            )
            if share > MOSTLY_OUTSIDE:
                raise ContractError(
                    f"{said}\nFix: translate the codes, or train the model on a history coded like this one"
                )
            if share > self.tolerance:
                warnings.append(said)
        return tuple(warnings)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract as plain data for JSON."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "DataContract":
        """Read what `to_dict` gave."""
        columns = tuple(
            ColumnContract(
                **{
                    **column,
                    "levels": None if column["levels"] is None else tuple(column["levels"]),
                    "needs": tuple(column["needs"]),
                }
            )
            for column in content["columns"]
        )
        systems = {kind: tuple(names) for kind, names in content["code_systems"].items()}
        return cls(**{**content, "columns": columns, "code_systems": systems})

    def _check_names(self, names: Sequence[str]) -> None:
        missing = [name for name in self.names if name not in names]
        extra = [name for name in names if name not in self.names]
        if missing:
            hint = f" {did_you_mean(missing[0], extra)}" if extra else ""
            raise ContractError(
                f"{_columns(missing)} missing: the model was fitted on {len(self.columns)} features.{hint}\n"
                "Fix: build the features with the feature set that is kept with the model"
            )
        if extra:
            raise ContractError(
                f"{_columns(extra)} not among the features that the model was fitted on.\n"
                "Fix: leave them out, or build the features with the feature set that is kept with the model"
            )

    def _count_unknown(self, column: ColumnContract, values: pl.Series) -> int:
        """Count the rows with an unlisted level; refuse them where they are too many."""
        present = values.drop_nulls()
        unlisted = present.filter(~present.is_in(list(column.levels or ())))
        allowed = 0.0 if column.closed else column.rare_share + self.tolerance
        # Two rows of grace, so that one patient with a rare DRG does not stop a list of ten.
        limit = 0 if column.closed else allowed * values.len() + 2
        if unlisted.len() > limit:
            by_count = unlisted.value_counts(sort=True, name="rows").sort(
                ["rows", values.name], descending=[True, False]
            )
            raise ContractError(
                f"column {column.name!r}: {_rows(unlisted.len())} of {values.len():,} with an unknown "
                "category "
                f"({_some([repr(level) for level in by_count[values.name].to_list()])}); "
                + (
                    f"the levels are {', '.join(map(repr, column.levels or ()))}"
                    if column.closed
                    else f"at most {allowed:.0%} was to be expected from training"
                )
                + "\nFix: code the column as in training, or train the model on data with these levels"
            )
        return unlisted.len()


def content_hash(content: Any) -> str:
    """Return the SHA-256 of a task, a feature set or plain data, by what it says and not by its spelling."""
    plain = content.to_dict() if hasattr(content, "to_dict") else content
    if hasattr(content, "to_yaml"):
        plain = content.to_yaml()
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def _describe(column: "FeatureColumn", values: pl.Series) -> ColumnContract:
    """Say of one training column what may be kept of it."""
    n = max(values.len(), 1)
    common: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "role": column.role,
        "label": column.label,
        "needs": needs_of(column),
    }
    if column.kind != "category":
        numbers = values.cast(pl.Float64).fill_nan(None)
        present = numbers.drop_nulls()
        low = high = typical = None
        if column.kind == "number" and present.len() >= ROWS_FOR_RANGES:
            low, high = present.quantile(0.01, "nearest"), present.quantile(0.99, "nearest")
            typical = float(np.median(present.to_numpy()))
        missing = _share(numbers.null_count(), n)
        return ColumnContract(**common, low=low, high=high, typical=typical, missing_share=missing)
    text = values.cast(pl.String)
    counts = text.drop_nulls().value_counts(name="rows").sort(["rows", values.name], descending=[True, False])
    frequent = counts.filter(pl.col("rows") >= SMALLEST_CELL)
    rare = int(counts["rows"].sum()) - int(frequent["rows"].sum())
    closed = column.levels is not None
    return ColumnContract(
        **common,
        levels=tuple(column.levels or sorted(frequent[values.name].to_list())),
        closed=closed,
        typical=next(iter(frequent[values.name].to_list()), None),
        rare_share=0.0 if closed else _share(rare, n),
        missing_share=_share(text.null_count(), n),
    )


def _as_text(column: ColumnContract, values: pl.Series) -> pl.Series:
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        raise ContractError(
            f"column {column.name!r} is {values.dtype}; the model was fitted on categories as text\n"
            "Fix: give the levels as text, as the feature set does (a DRG is '065', not 65)"
        )
    return values.cast(pl.String)


def _as_number(column: ColumnContract, values: pl.Series) -> pl.Series:
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise ContractError(
            f"column {column.name!r} is {values.dtype}; the model was fitted on numbers\n"
            "Fix: give the column as numbers, missing values as null or NaN"
        )
    return values.cast(pl.Float64).fill_nan(None)


def _drift(column: ColumnContract, values: pl.Series) -> str:
    """Return a warning on a number that has moved, refuse one that has gone somewhere else altogether."""
    present = values.drop_nulls()
    if values.len() < ROWS_FOR_DRIFT:
        return ""
    missing = 1 - present.len() / values.len()
    if missing > column.missing_share + MOSTLY_OUTSIDE:
        raise ContractError(
            f"column {column.name!r} is missing in {missing:.0%} of the rows, {column.missing_share:.0%} "
            "in training\n"
            "Fix: see that the source of this feature was ingested"
        )
    if column.low is None or column.high is None or not present.len():
        return ""
    outside = ((present < column.low) | (present > column.high)).mean()
    share = float(outside) if isinstance(outside, int | float) else math.nan
    said = (
        f"column {column.name!r}: {share:.0%} of the values lie outside {column.low:g} to {column.high:g}, "
        "where 98% "
        "of the training values lay"
    )
    if share > MOSTLY_OUTSIDE:
        raise ContractError(f"{said}\nFix: see whether its unit or its meaning has changed")
    return said if share > OFTEN_OUTSIDE else ""


def _share(count: int, n: int) -> float:
    """Return a share to three digits, without a numerator of 1 to 10 behind it."""
    return 0.0 if 0 < count < SMALLEST_CELL else round(count / n, 3)


def _rows(count: int) -> str:
    return "fewer than 11 rows" if count < SMALLEST_CELL else f"{count:,} rows"


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {_some([repr(name) for name in names])}"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _say_need(need: str) -> str:
    table, _, kind = need.partition(":")
    return f"{table} rows of kind {kind!r}" if kind else f"rows in the table {table!r}"
