"""From specifications to the arrays that the window kernel runs on."""

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any as AnyValue

import numpy as np
import polars as pl

from riskmodels.errors import SpecError
from riskmodels.features.arrays import MEASURE, Program
from riskmodels.features.facts import FACTS
from riskmodels.features.feature_set import FeatureSet, Part
from riskmodels.features.registering import functions_for
from riskmodels.features.sources import Encounters, Events, Source
from riskmodels.features.table import is_whole
from riskmodels.features.windows import AGGREGATIONS
from riskmodels.history.schema import ENCOUNTER_KINDS, EVENT_KINDS, STORED
from riskmodels.terminology.grouper import normalize

__all__ = ["KINDS", "Pass", "Plan", "TablePlan", "fixed", "make_plan"]

TIMES = {"encounter": ("start", "end"), "event": ("time", "code")}
KINDS = {"encounter": ENCOUNTER_KINDS, "event": EVENT_KINDS}
Condition = tuple[str, tuple[AnyValue, ...]]


@dataclass
class Pass:
    """One run of the kernel over a table: the columns that share an anchor."""

    anchor: str
    program: Program


@dataclass
class TablePlan:
    """What is read from a table, and the passes over it."""

    table: str
    values: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    sparse_passes: list[Pass] = field(default_factory=list)

    @property
    def asks_encounter(self) -> bool:
        """Whether it matters which encounter an event belongs to."""
        asked = "encounter" in self.keys or any(column == "encounter_kind" for column, _ in self.conditions)
        return self.table == "event" and (asked or self.any_stay)

    @property
    def any_stay(self) -> bool:
        """Whether a pass asks which rows belong to the index stay."""
        return any(p.program.any_stay for p in (*self.passes, *self.sparse_passes))


@dataclass(frozen=True)
class Plan:
    """A feature set made ready for the codes of one history.

    Attributes
    ----------
    feature_set : FeatureSet
    vocabulary : DataFrame
    known_only : bool
        Whether only rows known before the index time count.
    parts : list
        The look-back columns of the table, in the order of the kernel's output: whole numbers first.
    sparse_parts : list
        Those of the sparse matrix.
    tables : list of TablePlan
    reads : dict of table to columns
        What is read of a shard.
    packed : bool
        Whether columns of whole numbers are Int32.
    """

    feature_set: FeatureSet
    vocabulary: pl.DataFrame
    known_only: bool
    parts: list[Part]
    sparse_parts: list[Part]
    tables: list[TablePlan]
    reads: dict[str, set[str]]
    packed: bool = False


def make_plan(
    feature_set: FeatureSet, vocabulary: pl.DataFrame, *, known_only: bool = False, packed: bool = False
) -> Plan:
    """Look up the codes and groups of a feature set in a history's vocabulary.

    Parameters
    ----------
    feature_set : FeatureSet
    vocabulary : DataFrame
        code, code_system, code_text.
    known_only : bool
        Leave out rows that were recorded at or after the index time.
    packed : bool
        Make columns of whole numbers Int32, as a file of features has them.
    """
    found = feature_set.parts()
    parts = sorted((part for part in found if not part.spec.sparse), key=is_whole, reverse=True)
    sparse_parts = [part for part in found if part.spec.sparse]
    codes = _Codes(feature_set, vocabulary)
    tables = []
    for table in ("encounter", "event"):
        plan = TablePlan(table)
        for passes, columns in ((plan.passes, parts), (plan.sparse_passes, sparse_parts)):
            keyed: dict[tuple[str, bool], list[int]] = {}
            for n, part in enumerate(columns):
                if part.spec.source.table == table:
                    keyed.setdefault((part.spec.anchor, part.window.stay), []).append(n)
            for (anchor, _), numbers in keyed.items():
                passes.append(_pass(plan, columns, anchor, numbers, codes, known_only))
        if plan.passes or plan.sparse_passes:
            tables.append(plan)
    reads = _reads(feature_set, tables, known_only)
    return Plan(feature_set, vocabulary, known_only, parts, sparse_parts, tables, reads, packed)


def _reads(feature_set: FeatureSet, tables: list[TablePlan], known_only: bool) -> dict[str, set[str]]:
    reads: dict[str, set[str]] = {}
    for plan in tables:
        wanted = {"person", "kind", *TIMES[plan.table], *plan.values, *plan.keys}
        wanted |= {column for column, _ in plan.conditions}
        if plan.any_stay or {"encounter", "encounter_kind"} & wanted:
            wanted.add("encounter")
        if plan.table == "encounter":
            wanted.add("encounter")
        reads[plan.table] = wanted & set(STORED[plan.table])
        if "encounter_kind" in wanted or (known_only and plan.asks_encounter):
            reads.setdefault("encounter", set()).update(("person", "encounter", "kind", "end"))
    facts = {column for spec in feature_set.every_static() for column in FACTS[spec.fact].columns}
    if facts:
        reads.setdefault("event", set()).update(facts)
        reads.setdefault("encounter", set()).update(("encounter", "encounter_id", "end"))
    if known_only:
        for table in ("encounter", "event"):
            if table in reads:
                reads[table].add("recorded_at")
    return reads


class _Codes:
    """Which codes of the vocabulary a source takes; each question is asked once."""

    def __init__(self, feature_set: FeatureSet, vocabulary: pl.DataFrame) -> None:
        self.feature_set, self.vocabulary = feature_set, vocabulary
        self.size = vocabulary.height
        self._groups: dict[str, dict[int, np.ndarray]] = {}

    def of(self, source: Events, group: str | None) -> np.ndarray | None:
        """Return the codes, or None where the source takes all of them."""
        if source.grouper is not None:
            grouper = self.feature_set.grouper(source.grouper)
            if source.grouper not in self._groups:
                columns = self.vocabulary["code_system"], self.vocabulary["code_text"]
                found = grouper.assign(*columns).unique(["group", "row"]).partition_by("group", as_dict=True)
                code = self.vocabulary["code"].to_numpy()
                self._groups[source.grouper] = {
                    int(number): code[rows["row"].to_numpy()] for (number,), rows in found.items()
                }
            wanted = [group] if group is not None else list(source.groups or grouper.groups)
            groups = self._groups[source.grouper]
            codes = [groups[n] for n in map(grouper.groups.index, wanted) if n in groups]
            return np.unique(np.concatenate([np.empty(0, np.int32), *codes]))
        if not source.codes and source.code_system is None:
            return None
        hit = pl.lit(True)
        if source.codes:
            plain = normalize(pl.col("code_text"))
            asked = [code.upper().replace(".", "") for code in source.codes]
            exact = [code for code in asked if not code.endswith("*")]
            starts = [plain.str.starts_with(code[:-1]) for code in asked if code.endswith("*")]
            hit = pl.any_horizontal(plain.is_in(exact), *starts)
        if source.code_system is not None:
            hit = hit & (pl.col("code_system") == source.code_system)
        return self.vocabulary.filter(hit)["code"].to_numpy()


def _pass(
    plan: TablePlan, parts: Sequence[Part], anchor: str, numbers: list[int], codes: _Codes, known_only: bool
) -> Pass:
    sources: dict[tuple[Source, str | None], dict[tuple[AnyValue, ...], list[int]]] = {}
    for n in numbers:
        spec, window = parts[n].spec, parts[n].window
        measures = sources.setdefault((spec.source, parts[n].group), {})
        nested = (spec.aggregation, spec.value, window.near, window if window.stay else None)
        measures.setdefault(nested, []).append(n)
    by_kind: list[list[int]] = [[] for _ in KINDS[plan.table]]
    by_code: list[tuple[np.ndarray, int]] = []
    records: list[tuple[AnyValue, ...]] = []
    ladders: dict[tuple[int, ...], int] = {}  # where windows end, and how far each of them reaches back
    places: list[int] = []
    n_seen = 0
    for (source, group), measures in sources.items():
        taken = [KINDS[plan.table].index(kind) for kind in source.kinds or KINDS[plan.table]]
        kinds = sum(1 << kind for kind in taken)
        marks = sum(1 << _place(plan.conditions, condition) for condition in source.where)
        linked = any(column == "encounter_kind" for column, _ in source.where)
        listed = None if isinstance(source, Encounters) else codes.of(source, group)
        for members in measures.values():
            number, first = len(records), len(places)
            if listed is None:
                for kind in taken:
                    by_kind[kind].append(number)
            else:
                by_code.append((listed, number))
            windows = sorted(members, key=lambda n: parts[n].window.far)
            places += windows
            spec, nearest = parts[windows[0]].spec, parts[windows[0]].window
            climb = (nearest.near, *(parts[n].window.far for n in windows))
            ladder = ladders.setdefault(climb, len(ladders))
            distinct = spec.aggregation == "distinct"
            by_encounter = linked or (distinct and spec.value == "encounter")
            value = -1 if distinct or spec.value is None else _place(plan.values, spec.value)
            key = _place(plan.keys, spec.value) if distinct else -1
            how = AGGREGATIONS[spec.aggregation]
            records.append(
                (
                    kinds,
                    marks,
                    how,
                    value,
                    key,
                    n_seen,
                    ladder,
                    first,
                    len(places),
                    nearest.stay,
                    by_encounter,
                )
            )
            n_seen += distinct
    if len(plan.conditions) > 64:
        raise SpecError(f"A feature set can have at most 64 different where= conditions on {plan.table}s.")
    code_start, code_measures = _csr(by_code, codes.size if by_code else 0)
    chosen = [parts[n] for n in places]
    any_stay = any(part.window.stay for part in chosen)
    program = Program(
        measures=fixed(np.array(records, MEASURE), MEASURE),
        by_kind_start=_starts(by_kind),
        by_kind=fixed([number for members in by_kind for number in members], np.uint32),
        by_code_start=code_start,
        by_code=code_measures,
        place=fixed(places, np.uint32),
        near=fixed([climb[0] for climb in ladders], np.int64),
        rung_start=_starts([climb[1:] for climb in ladders]),
        far=fixed([far for climb in ladders for far in climb[1:]], np.int64),
        longest=2**62 if any_stay else max(climb[-1] for climb in ladders),
        any_stay=any_stay,
        any_after=any(part.window.is_after for part in chosen),
        only_known=known_only,
        n_seen=n_seen,
        n_keys=0,
        others=functions_for({part.spec.aggregation for part in chosen}),
    )
    return Pass(anchor, program)


def _starts(lists: Iterable[Sized]) -> np.ndarray:
    return fixed(np.cumsum([0, *map(len, lists)]), np.uint32)


def _csr(entries: list[tuple[np.ndarray, int]], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each code, where its measures start and the measures themselves."""
    if not entries:
        return fixed([0], np.uint32), fixed([], np.uint32)
    code = np.concatenate([codes for codes, _ in entries]).astype(np.int64)
    slot = np.concatenate([np.full(codes.size, number, np.int32) for codes, number in entries])
    order = np.argsort(code, kind="stable")
    counts = np.bincount(code, minlength=size)
    return fixed(np.concatenate([[0], np.cumsum(counts)]), np.uint32), fixed(slot[order], np.uint32)


def _place(items: list[AnyValue], item: AnyValue) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)


def fixed(values: AnyValue, dtype: AnyValue) -> np.ndarray:
    """Return a contiguous array that cannot be written to: the one form that the kernel is compiled for."""
    array = np.ascontiguousarray(values, dtype=dtype).view()
    array.flags.writeable = False
    return array
