"""Build the features of index cases, shard by shard."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any as AnyValue

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from riskmodels.engines import Engine, LocalEngine, Tables
from riskmodels.errors import SpecError
from riskmodels.features.arrays import Cases, Program, Rows
from riskmodels.features.facts import FACTS, FactInput
from riskmodels.features.feature_set import FeatureColumn, FeatureSet
from riskmodels.features.formulas import FORMULAS
from riskmodels.features.laying import anchored, check_cases, lay_cases, lay_rows, ordered, placed, some
from riskmodels.features.plan import Plan, make_plan
from riskmodels.features.reading import read_shard
from riskmodels.features.sparse import as_lists, fill_lists, from_lists, model_matrix, stacked
from riskmodels.features.spec import Score, Static
from riskmodels.features.table import Table, as_frame, new_table, pour
from riskmodels.features.windows import look_back
from riskmodels.history import History, Shard
from riskmodels.history.schema import STORED

__all__ = ["FeatureFrame", "build_features", "build_shard_features"]

CASES_AT_ONCE = 2048


@dataclass(frozen=True)
class FeatureFrame:
    """Features of index cases.

    Attributes
    ----------
    frame : DataFrame
        index_id and one column for each feature, in the order of `columns`; rows in the order of the cases.
    columns : list of FeatureColumn
        What each column of `frame` is.
    sparse : csr_matrix or None
        The columns of specifications with ``sparse=True``, in the order of `sparse_columns`; a row for each
        row of `frame`. None where there is no such column.
    sparse_columns : list of FeatureColumn
        What each column of `sparse` is.
    """

    frame: pl.DataFrame
    columns: list[FeatureColumn]
    sparse: csr_matrix | None = None
    sparse_columns: list[FeatureColumn] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self.frame.height

    @property
    def every_column(self) -> list[FeatureColumn]:
        """Return the columns of the table and then those of the sparse matrix."""
        return [*self.columns, *self.sparse_columns]

    @property
    def model_matrix(self) -> csr_matrix | None:
        """Return the sparse matrix as trees take it: see `riskmodels.features.sparse.model_matrix`."""
        return None if self.sparse is None else model_matrix(self.sparse, self.sparse_columns)

    def filter(self, rows: pl.Series | np.ndarray) -> "FeatureFrame":
        """Return the rows for which a mask is true."""
        mask = pl.Series(rows, dtype=pl.Boolean).fill_null(False)
        kept = None if self.sparse is None else self.sparse[mask.to_numpy()]
        return replace(self, frame=self.frame.filter(mask), sparse=kept)

    def take(self, rows: pl.Series | np.ndarray) -> "FeatureFrame":
        """Return rows by their places, in the order given."""
        places = pl.Series(rows)
        taken = None if self.sparse is None else self.sparse[places.to_numpy()]
        return replace(self, frame=self.frame[places], sparse=taken)

    def to_dense(self) -> pl.DataFrame:
        """Return all columns as one table; where a patient never had what days are counted since, null."""
        if self.sparse is None:
            return self.frame
        dense = pl.DataFrame(self.sparse.toarray(), schema=[column.name for column in self.sparse_columns])
        never = [column.name for column in self.sparse_columns if column.aggregation == "days_since"]
        dense = dense.with_columns(pl.when(pl.col(name) != 0).then(pl.col(name)) for name in never)
        return pl.concat([self.frame, dense], how="horizontal")


def build_shard_features(
    shard: Shard,
    cases: pl.DataFrame,
    feature_set: FeatureSet | Plan,
    vocabulary: pl.DataFrame | None = None,
    *,
    known_only: bool = False,
) -> FeatureFrame:
    """Build the features of index cases whose patients are in one shard.

    Parameters
    ----------
    shard : Shard
    cases : DataFrame
        index_id, person, index_time, admission_time, stay_encounters, and what the facts of the set ask for.
    feature_set : FeatureSet or Plan
        A plan (`make_plan`) saves the look-up of codes where many shards follow each other.
    vocabulary : DataFrame
        The history's; not needed with a plan.
    known_only : bool
        Leave out rows that were recorded at or after the index time.

    Returns
    -------
    FeatureFrame
        Rows in the order of `cases`.
    """
    if isinstance(feature_set, Plan):
        plan = feature_set
    elif vocabulary is None:
        raise SpecError("build_shard_features needs vocabulary=, the history's, with a feature set.")
    else:
        plan = make_plan(feature_set, vocabulary, known_only=known_only)
    check_cases(cases)
    numbers, sparse = _look_backs(shard, cases, plan)
    statics = _statics(shard, cases, plan, plan.feature_set.every_static())
    found = [cases.select("index_id"), numbers, pl.DataFrame(statics)]
    frame = pl.concat([part for part in found if part.width], how="horizontal")
    scores = [spec for spec in plan.feature_set.specs if isinstance(spec, Score)]
    frame = frame.with_columns(
        expression.cast(pl.Float64) for spec in scores for expression in FORMULAS[spec.formula].compute()
    )
    columns, sparse_columns = plan.feature_set.columns, plan.feature_set.sparse_columns
    # By names: of each expression Python would make an object.
    frame = frame[["index_id", *plan.feature_set.names]]
    return FeatureFrame(frame, columns, sparse, sparse_columns)


@dataclass(frozen=True)
class _ShardFeatures:
    """`build_shard_features` of the shards of a history, for the cases that come with each."""

    history: History
    feature_set: FeatureSet
    known_only: bool

    @cached_property
    def plan(self) -> Plan:
        return make_plan(self.feature_set, self.history.vocabulary, known_only=self.known_only)

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        assert rows is not None
        shard = read_shard(self.history, number, self.plan)
        built = build_shard_features(shard, rows, self.plan)
        sparse = {} if built.sparse is None else {"sparse": as_lists(built.sparse)}
        return {"features": built.frame, **sparse}

    def __reduce__(self) -> tuple[AnyValue, ...]:  # the plan is made where it is used
        return type(self), (self.history, self.feature_set, self.known_only)


def build_features(
    history: History,
    cases: pl.DataFrame,
    feature_set: FeatureSet,
    *,
    known_only: bool = False,
    engine: Engine | None = None,
) -> FeatureFrame:
    """Build the features of index cases of a history, shard by shard.

    Parameters
    ----------
    history : History
    cases : DataFrame
        As `build_shard_features` takes them, of any shards, in any order.
    feature_set : FeatureSet
    known_only : bool
        Leave out rows that were recorded at or after the index time.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here.

    Returns
    -------
    FeatureFrame
        Rows in the order of `cases`.
    """
    function = _ShardFeatures(history, feature_set, known_only)
    numbered = cases.with_row_index("_row")
    groups = split_cases(numbered, history.n_shards)
    frames, rows = [empty_frame(function.plan, cases)], [pl.Series("_row", [], dtype=pl.UInt32)]
    matrices, width = [], len(feature_set.sparse_columns)
    for number, tables in (engine or LocalEngine()).run(function, groups, "Building features"):
        frames.append(tables["features"])
        rows.append(groups[number]["_row"])
        if width:
            matrices.append(from_lists(tables["sparse"], width))
    order = pl.concat(rows).arg_sort()
    sparse = stacked(matrices, width)[order.to_numpy()] if width else None
    return FeatureFrame(pl.concat(frames)[order], feature_set.columns, sparse, feature_set.sparse_columns)


def split_cases(cases: pl.DataFrame, n_shards: int) -> dict[int, pl.DataFrame]:
    """Return the cases of each shard that has some, in the order in which they are given."""
    check_cases(cases)
    placed = cases.with_columns(_shard=pl.col("person") % n_shards)
    parts = placed.partition_by("_shard", as_dict=True, include_key=False, maintain_order=True)
    return {int(number): part for (number,), part in sorted(parts.items())}


def empty_features(plan: Plan, cases: pl.DataFrame) -> FeatureFrame:
    """Return the feature frame of no cases."""
    shard = Shard(0, **{name: pl.DataFrame(schema=schema) for name, schema in STORED.items()})
    return build_shard_features(shard, cases.clear(), plan)


def empty_frame(plan: Plan, cases: pl.DataFrame) -> pl.DataFrame:
    """Return the table of the feature frame of no cases."""
    return empty_features(plan, cases).frame


def _look_backs(shard: Shard, cases: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, csr_matrix | None]:
    """Return the look-back columns of the table, and the sparse matrix where there is one."""
    runs: list[tuple[Rows, Cases, Program]] = []
    sparse: csr_matrix | None = None
    laid, person = lay_cases(cases), cases["person"].cast(pl.Int32)
    for table in plan.tables:
        frame = ordered(shard, table.table)
        rows, n_keys = lay_rows(shard, frame, table, plan.known_only)
        here = placed(laid, person, frame)
        runs += [
            (rows, anchored(here, run.anchor), run.program._replace(n_keys=n_keys)) for run in table.passes
        ]
        for run in table.sparse_passes:
            program = run.program._replace(n_keys=n_keys)
            filled = fill_lists(rows, anchored(here, run.anchor), program, len(plan.sparse_parts))
            sparse = filled if sparse is None else sparse + filled  # no two passes fill the same column
    return as_frame(_filled(runs, cases.height, plan), plan.parts, packed=plan.packed), sparse


def _filled(runs: list[tuple[Rows, Cases, Program]], n_cases: int, plan: Plan) -> Table:
    """Run the kernel, a few cases at a time: so that what it fills stays in the processor's cache."""
    out = new_table(plan.parts, n_cases)
    absent = np.array([part.spec.absent for part in plan.parts])
    block = np.empty((len(plan.parts), min(n_cases, CASES_AT_ONCE)))
    block[:] = absent[:, None]
    for start in range(0, max(n_cases, 1), CASES_AT_ONCE):  # once, so that no cases compile it all too
        for rows, cases, program in runs:
            look_back(rows, some(cases, start, CASES_AT_ONCE), program, block)
        pour(block, absent, out, start)
    return out


def _statics(shard: Shard, cases: pl.DataFrame, plan: Plan, specs: Iterable[Static]) -> list[pl.Series]:
    found: dict[str, pl.Series] = {}
    levels = {column.name: column.levels for column in plan.feature_set.columns}
    for spec in specs:
        name = spec.name or spec.fact
        if name in found:
            continue
        grouper = plan.feature_set.grouper(spec.grouper) if spec.grouper else None
        given = FactInput(cases, shard.encounter, shard.event, plan.vocabulary, grouper, plan.known_only)
        values = FACTS[spec.fact].compute(given).alias(name)
        closed = levels.get(name)
        found[name] = values.cast(pl.Enum(closed), strict=False) if closed else values
    return list(found.values())
