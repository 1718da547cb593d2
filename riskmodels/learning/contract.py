"""The data contract: what a model was fitted on, and the refusal of data that do not fit it.

A contract holds no row of a patient: ranges are 1st and 99th percentiles and are left out for small training
sets, and levels that fewer than 11 stays had are counted together, not named.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl

from riskmodels.errors import ContractError, did_you_mean
from riskmodels.history.schema import SCHEMA_VERSION
from riskmodels.learning.contract_columns import (
    MOSTLY_OUTSIDE,
    ColumnContract,
    as_number,
    as_text,
    count_unknown,
    describe,
    drift,
    say_rows,
    some,
)
from riskmodels.learning.inventory import Inventory, needs_of, take_inventory

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn
    from riskmodels.history import History

__all__ = ["CheckedFrame", "ColumnContract", "DataContract", "content_hash"]


@dataclass(frozen=True)
class CheckedFrame:
    """A frame that fits the contract: its columns in the order of training, numbers as 64-bit floats.

    Parameters
    ----------
    unknown : dict of str to int
        By category, the rows whose level training did not see; the model takes those as missing.
    drifted : tuple of str
        Numbers of which many values lie where hardly any training value lay.
    warnings : tuple of str
        Both in words.
    """

    frame: pl.DataFrame
    unknown: dict[str, int]
    drifted: tuple[str, ...]
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
    other_words : mapping
        By category with a closed set of levels, words outside it that the training history had too; they
        count as missing there and here.
    tolerance : float
        Share of rows with an unknown level that a category with an open set of levels may have, beside the
        share that was rare in training. A closed set has no tolerance.
    sparse_columns : tuple of ColumnContract
        The features that a feature frame keeps in its sparse matrix: role and needs; nothing of their values.
    """

    columns: tuple[ColumnContract, ...]
    n: int
    task_hash: str = ""
    feature_set_hash: str = ""
    schema_version: int = SCHEMA_VERSION
    code_systems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    other_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tolerance: float = 0.05
    sparse_columns: tuple[ColumnContract, ...] = ()

    @property
    def every_column(self) -> tuple[ColumnContract, ...]:
        """Return the features of the table and then the sparse ones."""
        return (*self.columns, *self.sparse_columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the features in the order of training."""
        return tuple(column.name for column in self.columns)

    @property
    def needs(self) -> tuple[str, ...]:
        """Return what the features need of a history, sorted."""
        return tuple(sorted({need for column in self.every_column for need in column.needs}))

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
        sparse_columns: Sequence["FeatureColumn"] = (),
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
        sparse_columns : sequence of FeatureColumn
            Those that the model takes beside the frame.
        """
        rows = nw.from_native(frame, eager_only=True).to_polars()
        missing = [column.name for column in columns if column.name not in rows.columns]
        if missing:
            raise ContractError(f"the training frame lacks the features {', '.join(map(repr, missing))}")
        described = tuple(describe(column, rows[column.name]) for column in columns)
        sparse = tuple(
            ColumnContract(column.name, column.kind, column.role, column.label, needs=needs_of(column))
            for column in sparse_columns
        )
        systems: dict[str, tuple[str, ...]] = {}
        others: dict[str, tuple[str, ...]] = {}
        if history is not None:
            seen = history if isinstance(history, Inventory) else take_inventory(history)
            # What the training history did not have either, a history to be scored need not have.
            described = tuple(_of_what_there_was(column, seen) for column in described)
            sparse = tuple(_of_what_there_was(column, seen) for column in sparse)
            needs = {need for column in (*described, *sparse) for need in column.needs}
            systems = {
                kind: seen.main_code_systems(kind)
                for kind in sorted(seen.events)
                if needs & {"event", f"event:{kind}"}
            }
            others = {name: words for name, words in _strange_words(described, seen).items() if words}
        return cls(
            columns=described,
            n=rows.height,
            task_hash=content_hash(task) if task is not None else "",
            feature_set_hash=content_hash(feature_set) if feature_set is not None else "",
            code_systems=systems,
            other_words=others,
            tolerance=tolerance,
            sparse_columns=sparse,
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
        drifted: list[str] = []
        warnings: list[str] = []
        ready = []
        for column in self.columns:
            values = rows[column.name]
            if column.kind == "category":
                values = as_text(column, values)
                if count := count_unknown(column, values, self.tolerance):
                    unknown[column.name] = count
                if count > column.rare_share * rows.height + 2:
                    warnings.append(
                        f"{column.name}: {say_rows(count)} of {rows.height:,} with a level that training "
                        "did not see, or hardly; taken as missing where the model does not know it"
                    )
            else:
                values = as_number(column, values)
                if said := drift(column, values):
                    drifted.append(column.name)
                    warnings.append(said)
            ready.append(values)
        return CheckedFrame(pl.DataFrame(ready), unknown, tuple(drifted), tuple(warnings))

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
                names = [column.name for column in self.every_column if need in column.needs]
                raise ContractError(
                    f"the history has no {_say_need(need)}, which {len(names)} of the model's "
                    f"{len(self.every_column)} features need ({some(names)})\nFix: ingest a source that has "
                    "them, or "
                    "train a model on features that do without"
                )
        for name, words in _strange_words(self.columns, seen).items():
            if strange := [word for word in words if word not in self.other_words.get(name, ())]:
                levels = next(column.levels or () for column in self.columns if column.name == name)
                raise ContractError(
                    f"the history has an unknown category in {name!r}: {some(list(map(repr, strange)))}; "
                    f"the levels are {', '.join(levels)}\nFix: translate the words at ingest"
                )
        warnings = []
        for kind, systems in self.code_systems.items():
            new = {name: count for name, count in seen.events.get(kind, {}).items() if name not in systems}
            share = sum(new.values()) / max(sum(seen.events.get(kind, {}).values()), 1)
            said = (
                f"{share:.0%} of the {kind} events are coded in {', '.join(sorted(new))}; "
                f"the model was fitted on {', '.join(systems)}"
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
        content = json.loads(json.dumps(asdict(self)))
        if not self.sparse_columns:
            del content["sparse_columns"]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "DataContract":
        """Read what `to_dict` gave."""
        columns, sparse = (
            tuple(
                ColumnContract(
                    **{
                        **column,
                        "levels": None if column["levels"] is None else tuple(column["levels"]),
                        "needs": tuple(column["needs"]),
                    }
                )
                for column in content.get(key, ())
            )
            for key in ("columns", "sparse_columns")
        )
        tuples = {
            key: {name: tuple(values) for name, values in content.get(key, {}).items()}
            for key in ("code_systems", "other_words")
        }
        return cls(**{**content, **tuples, "columns": columns, "sparse_columns": sparse})

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


def content_hash(content: Any) -> str:
    """Return the SHA-256 of a task, a feature set or plain data, by what it says and not by its spelling."""
    plain = content.to_dict() if hasattr(content, "to_dict") else content
    if hasattr(content, "to_yaml"):
        plain = content.to_yaml()
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def _of_what_there_was(column: ColumnContract, seen: Inventory) -> ColumnContract:
    """Return a column without what the training history lacked.

    Where it lacked everything the feature reads, the feature was constant and no tree uses it: any range
    will do.
    """
    needs = tuple(need for need in column.needs if seen.has(need))
    if column.needs and not needs:
        return replace(column, needs=(), low=None, high=None)
    return replace(column, needs=needs)


def _strange_words(columns: Sequence[ColumnContract], seen: Inventory) -> dict[str, tuple[str, ...]]:
    """Return the words of a history that lie outside the closed sets, by category."""
    return {
        column.name: tuple(word for word in seen.words[column.name] if word not in (column.levels or ()))
        for column in columns
        if column.closed and column.name in seen.words
    }


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {some([repr(name) for name in names])}"


def _say_need(need: str) -> str:
    table, _, kind = need.partition(":")
    return f"{table} rows of kind {kind!r}" if kind else f"rows in the table {table!r}"
