"""A set of features: what columns it gives, in which order, and its form as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any as AnyValue

from riskmodels import terminology
from riskmodels.errors import DataError, SpecError, did_you_mean
from riskmodels.features.facts import FACTS
from riskmodels.features.formulas import FORMULAS
from riskmodels.features.sources import Events, Window
from riskmodels.features.spec import ROLES, LookBack, Score, Spec, Static, spec_from_dict
from riskmodels.terminology import Grouper

__all__ = ["FeatureColumn", "FeatureSet", "find_grouper"]

VERSION = 1


@dataclass(frozen=True)
class FeatureColumn:
    """What a column of a feature frame is.

    Attributes
    ----------
    name : str
        The column's name.
    role : {'predict', 'adjust'}
        Whether risk adjustment may use it.
    kind : {'number', 'flag', 'category'}
        Numbers and flags are Float64; a category is an Enum where `levels` are known, else text.
    label : str
        In words: ``ED visits in the last 90 days``.
    source : str
        Where it comes from: ``encounter: emergency``, ``event: lab``, ``case``.
    window : str or None
        As `Window` writes it, with its anchor: ``90d before admission``.
    group : str or None
        The code group.
    levels : tuple of str or None
        The values of a category that is a closed set.
    tables : tuple of str
        The tables of a history that it needs.
    aggregation : str
        The aggregation or formula.
    """

    name: str
    role: str
    kind: str
    label: str
    source: str
    window: str | None = None
    group: str | None = None
    levels: tuple[str, ...] | None = None
    tables: tuple[str, ...] = ()
    aggregation: str = ""

    def to_dict(self) -> dict[str, AnyValue]:
        """Return the column as plain JSON values."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, AnyValue]) -> "FeatureColumn":
        """Read a column from `to_dict`."""
        values: dict[str, AnyValue] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return cls(**values)


@dataclass(frozen=True)
class Part:
    """One look-back column: a specification with one window and at most one group."""

    spec: LookBack
    window: Window
    group: str | None
    name: str


@dataclass(frozen=True)
class FeatureSet:
    """A named list of feature specifications.

    Parameters
    ----------
    name : str
        What the set is called.
    specs : sequence of Count, Sum, DaysSince, Last, Mean, Slope, Distinct, Any, Static, Score
        In the order of the columns.
    groupers : sequence of Grouper
        Code groupers of the set's own, before those of `riskmodels.terminology`.

    Raises
    ------
    SpecError
        Where two columns have one name, or a group or grouper is unknown.
    """

    name: str
    specs: tuple[Spec, ...]
    groupers: tuple[Grouper, ...] = ()

    def __init__(self, name: str, specs: Iterable[Spec], groupers: Iterable[Grouper] = ()) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "specs", tuple(specs))
        object.__setattr__(self, "groupers", tuple(groupers))
        seen: set[str] = set()
        for column in self.every_column:
            if column.name in seen or column.name == "index_id":
                raise SpecError(
                    f"Feature set {name!r} has two columns called {column.name!r}: give one of the "
                    "specifications another name=."
                )
            seen.add(column.name)

    def __hash__(self) -> int:
        """Hash what tells sets apart, without the tables of their groupers."""
        return hash((self.name, self.specs))

    @cached_property
    def columns(self) -> list[FeatureColumn]:
        """The columns of a feature frame's table, in order."""
        return [c for spec in self.specs if not _is_sparse(spec) for c in self._columns_of(spec)]

    @cached_property
    def sparse_columns(self) -> list[FeatureColumn]:
        """The columns of a feature frame's sparse matrix, in order."""
        return [c for spec in self.specs if _is_sparse(spec) for c in self._columns_of(spec)]

    @property
    def every_column(self) -> list[FeatureColumn]:
        """The columns of the table and then those of the sparse matrix: what a model sees."""
        return [*self.columns, *self.sparse_columns]

    @property
    def names(self) -> list[str]:
        """The names of the table's columns, in order."""
        return [column.name for column in self.columns]

    @property
    def roles(self) -> dict[str, str]:
        """The role of each column."""
        return {column.name: column.role for column in self.every_column}

    def select(self, role: str | None = None) -> "FeatureSet":
        """Return the features of a role; the same set where `role` is None."""
        if role is None:
            return self
        if role not in ROLES:
            raise SpecError(f"Unknown role {role!r}. {did_you_mean(role, ROLES)}")
        return replace(self, specs=tuple(spec for spec in self.specs if spec.role == role))

    def grouper(self, name: str) -> Grouper:
        """Return a grouper of the set, or of `riskmodels.terminology`."""
        for grouper in self.groupers:
            if grouper.name == name:
                return grouper
        return find_grouper(name)

    def to_dict(self) -> dict[str, AnyValue]:
        """Return the set as plain JSON values; its own groupers are part of it."""
        return {
            "version": VERSION,
            "name": self.name,
            "specs": [spec.to_dict() for spec in self.specs],
            "groupers": [_grouper_to_dict(grouper) for grouper in self.groupers],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, AnyValue]) -> "FeatureSet":
        """Read a set from `to_dict`.

        Raises
        ------
        SpecError
            Where a part is missing, unknown, or of another version.
        """
        allowed = ("version", "name", "specs", "groupers")
        for key in content:
            if key not in allowed:
                raise SpecError(f"Unknown key {key!r} in a feature set. {did_you_mean(key, allowed)}")
        for key in ("name", "specs"):
            if key not in content:
                raise SpecError(f"A feature set needs the key {key!r}.")
        if content.get("version", VERSION) != VERSION:
            raise SpecError(
                f"This feature set is of version {content['version']}; only {VERSION} can be read."
            )
        groupers = [_grouper_from_dict(g) for g in content.get("groupers", ())]
        return cls(content["name"], [spec_from_dict(s) for s in content["specs"]], groupers)

    @classmethod
    def read(cls, path: str | Path) -> "FeatureSet":
        """Read a set from a file of JSON or YAML: what `to_dict` gives.

        Raises
        ------
        DataError
            The file is missing, or holds no mapping.
        SpecError
            As `from_dict`.
        """
        import yaml

        path = Path(path)
        if not path.is_file():
            raise DataError("there is no such file", file=path, fix="give the path of a feature set")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataError(f"is no YAML or JSON: {error}", file=path) from error
        if not isinstance(content, dict):
            raise DataError("is no mapping of name and specs", file=path, fix="see docs/features.md")
        return cls.from_dict(content)

    def parts(self) -> list[Part]:
        """Return every look-back column that is to be computed, those that only scores need included."""
        found: dict[str, Part] = {}
        for spec in [*self.specs, *self.score_inputs()]:
            if isinstance(spec, LookBack):
                for window, group in self._expand(spec):
                    part = Part(spec, window, group, spec.column_name(window, group))
                    found.setdefault(part.name, part)
        return list(found.values())

    def score_inputs(self) -> list[Spec]:
        """Return the specifications that scores are computed from."""
        return [
            part for spec in self.specs if isinstance(spec, Score) for part in FORMULAS[spec.formula].inputs
        ]

    def every_static(self) -> list[Static]:
        """Return the facts that are to be found, those that only scores need included."""
        return [spec for spec in [*self.specs, *self.score_inputs()] if isinstance(spec, Static)]

    def _expand(self, spec: LookBack) -> list[tuple[Window, str | None]]:
        source = spec.source
        groups: Sequence[str | None] = (None,)
        if isinstance(source, Events) and source.grouper is not None:
            grouper = self.grouper(source.grouper)
            for group in source.groups:
                if group not in grouper.groups:
                    hint = did_you_mean(group, grouper.groups)
                    raise SpecError(f"Grouper {grouper.name!r} has no group {group!r}. {hint}")
            if source.each:
                groups = source.groups or grouper.groups
        return [(window, group) for group in groups for window in spec.windows]

    def _columns_of(self, spec: Spec) -> list[FeatureColumn]:
        if isinstance(spec, Static):
            return [self._static(spec)]
        if isinstance(spec, Score):
            formula = FORMULAS[spec.formula]
            inputs = FeatureSet(spec.formula, formula.inputs, self.groupers).columns
            tables = tuple(sorted({table for column in inputs for table in column.tables}))
            return [
                FeatureColumn(
                    name,
                    spec.role,
                    "number",
                    spec.label or label,
                    formula.source,
                    tables=tables,
                    aggregation="score",
                )
                for name, label in formula.outputs.items()
            ]
        return [self._look_back(spec, window, group) for window, group in self._expand(spec)]

    def _static(self, spec: Static) -> FeatureColumn:
        fact = FACTS[spec.fact]
        levels = self.grouper(spec.grouper).groups if spec.grouper else fact.levels
        return FeatureColumn(
            name=spec.name or spec.fact,
            role=spec.role,
            kind=fact.kind,
            label=spec.label or fact.label,
            source="event: diagnosis" if fact.columns else "case",
            levels=levels,
            tables=("event",) if fact.columns else (),
            aggregation="static",
        )

    def _look_back(self, spec: LookBack, window: Window, group: str | None) -> FeatureColumn:
        source = spec.source
        grouper = self.grouper(source.grouper) if isinstance(source, Events) and source.grouper else None
        kinds = ", ".join(source.kinds) or "any"
        group_label = str(grouper.labels.get(group, group)) if grouper and group else None
        anchor = "admission" if spec.anchor == "admission" else "index"
        linked = isinstance(source, Events) and any(column == "encounter_kind" for column, _ in source.where)
        return FeatureColumn(
            name=spec.column_name(window, group),
            role=spec.role,
            kind=spec.kind,
            label=spec.column_label(window, group_label),
            source=f"{source.table}: {kinds}",
            window=_window_words(window, anchor),
            group=group,
            tables=("encounter", "event") if linked else (source.table,),
            aggregation=spec.aggregation,
        )


def _window_words(window: Window, anchor: str) -> str:
    """Return a window with its anchor, as it stands in a column's description."""
    if window.is_stay_only:
        return "stay"
    return f"{window} {anchor}" if window.is_after else f"{window} before {anchor}"


def _is_sparse(spec: Spec) -> bool:
    return isinstance(spec, LookBack) and spec.sparse


def find_grouper(name: str) -> Grouper:
    """Return a grouper of `riskmodels.terminology` by its name."""
    factory = getattr(terminology, name, None)
    return factory() if callable(factory) else terminology.load_grouper(name)


def _grouper_to_dict(grouper: Grouper) -> dict[str, AnyValue]:
    return {
        "name": grouper.name,
        "version": grouper.version,
        "source": grouper.source,
        "licence": grouper.licence,
        "groups": list(grouper.groups),
        "labels": dict(grouper.labels),
        "prefixes": [list(entry) for entry in grouper.prefixes],
        "exclusive": grouper.exclusive,
    }


def _grouper_from_dict(content: Mapping[str, AnyValue]) -> Grouper:
    prefixes = tuple((system, prefix, int(number)) for system, prefix, number in content["prefixes"])
    return Grouper(**{**content, "groups": tuple(content["groups"]), "prefixes": prefixes})
