"""What a history has: rows by table, kind and code system."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from riskmodels.history.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn
    from riskmodels.history import History

__all__ = ["Inventory", "needs_of", "take_inventory"]

MAIN_SHARE = 0.01
CLOSED = ("admission_type", "discharge_disposition")


@dataclass(frozen=True)
class Inventory:
    """Rows of a history by what they are.

    Parameters
    ----------
    tables : mapping of table to rows
        ``person`` and ``coverage``.
    encounters : mapping of encounter kind to rows
        Kinds without a row are left out.
    events : mapping of event kind to a mapping of code system to rows
        Kinds without a row are left out.
    words : mapping of column to a mapping of word to rows
        The words in the columns of ``encounter`` that features take as closed sets.
    """

    tables: Mapping[str, int] = field(default_factory=dict)
    encounters: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def has(self, need: str) -> bool:
        """Tell whether there are rows of a table (``"coverage"``) or of a kind (``"event:drug"``)."""
        table, _, kind = need.partition(":")
        if table == "encounter":
            return kind in self.encounters if kind else bool(self.encounters)
        if table == "event":
            return kind in self.events if kind else bool(self.events)
        return self.tables.get(table, 0) > 0

    def main_code_systems(self, kind: str) -> tuple[str, ...]:
        """Return the code systems of at least 1% of the events of a kind, sorted."""
        counts = self.events.get(kind, {})
        total = sum(counts.values())
        return tuple(sorted(name for name, count in counts.items() if count >= MAIN_SHARE * total))


def take_inventory(history: "History") -> Inventory:
    """Count a history's rows, shard by shard; only the columns that say what a row is are read."""
    tables = {"person": 0, "coverage": 0}
    encounters: dict[str, int] = {}
    events: dict[str, dict[str, int]] = {}
    words: dict[str, Counter[str]] = {column: Counter() for column in CLOSED}
    systems = history.vocabulary.select("code", "code_system")
    for shard in history.shards():
        tables["person"] += shard.person.height
        tables["coverage"] += shard.coverage.height
        for kind, rows in shard.encounter.group_by("kind").len().iter_rows():
            encounters[kind] = encounters.get(kind, 0) + rows
        for column, counts in words.items():
            counts.update(dict(shard.encounter.drop_nulls(column).group_by(column).len().iter_rows()))
        coded = shard.event.group_by("kind", "code").len().join(systems, on="code", how="left")
        for kind, system, rows in coded.group_by("kind", "code_system").agg(pl.col("len").sum()).iter_rows():
            of_kind = events.setdefault(kind, {})
            of_kind[system] = of_kind.get(system, 0) + rows
    return Inventory(
        tables,
        dict(sorted(encounters.items())),
        {kind: dict(sorted(counts.items())) for kind, counts in sorted(events.items())},
        {column: dict(sorted(counts.items())) for column, counts in words.items()},
        history.manifest.schema_version,
    )


def needs_of(column: "FeatureColumn") -> tuple[str, ...]:
    """Return what a feature reads, sorted: ``"event:drug"`` where it names kinds, else ``"event"``."""
    needs = set(column.tables)
    table, _, kinds = column.source.partition(": ")
    if table in needs and kinds not in ("", "any"):
        needs.remove(table)
        needs |= {f"{table}:{kind}" for kind in kinds.split(", ")}
    return tuple(sorted(needs))
