"""Open a history, as it is or as it was known at an instant."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import StoreError
from riskmodels.files import sha256
from riskmodels.history.damage import say_damage
from riskmodels.history.manifest import VOCABULARY, Manifest, read_manifest, shard_folder
from riskmodels.history.schema import STORED, TABLES

__all__ = ["History", "Shard", "known_at", "of_encounters", "open_history"]


@dataclass(frozen=True)
class Shard:
    """All that is known of some of the persons: the unit of memory and of parallel work.

    The tables have exactly the columns of `riskmodels.history.schema.STORED`.

    Attributes
    ----------
    number : int
        Place of the shard in the history: the persons with ``person % n_shards == number``.
    person : DataFrame
        Sorted by person.
    coverage : DataFrame
        Sorted by person, start_date.
    encounter : DataFrame
        Sorted by person, start, end, encounter.
    event : DataFrame
        Sorted by person, time, kind, code, position.
    """

    number: int
    person: pl.DataFrame
    coverage: pl.DataFrame
    encounter: pl.DataFrame
    event: pl.DataFrame


@dataclass(frozen=True)
class History:
    """A folder of patient histories, sharded by person.

    Attributes
    ----------
    path : Path
    manifest : Manifest
        What it holds and where it came from; counts are those of the whole history, whatever `as_of` is.
    as_of : datetime or None
        Only what was known at the start of this instant is shown.
    """

    path: Path
    manifest: Manifest = field(repr=False)
    as_of: datetime | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as a path that is opened there, so that it says so where it cannot."""
        return open_history, (self.path.absolute(), self.as_of)

    @property
    def n_shards(self) -> int:
        """Return the number of shards."""
        return self.manifest.n_shards

    @property
    def fingerprint(self) -> str:
        """Return a digest of the stored contents, the same for the same contents wherever they stand."""
        return self.manifest.fingerprint

    @cached_property
    def vocabulary(self) -> pl.DataFrame:
        """Return code (Int32, the row number), code_system and code_text, sorted by system and text."""
        return pl.read_parquet(self.path / VOCABULARY)

    def shard(self, number: int, tables: Iterable[str] = tuple(STORED)) -> Shard:
        """Read a shard.

        Parameters
        ----------
        number : int
            From 0 to ``n_shards - 1``.
        tables : iterable of str
            The tables to read; the others come without rows. Default: all.

        Raises
        ------
        StoreError
            There is no such shard, or a file of it is not as it was written.
        """
        if not 0 <= number < self.n_shards:
            raise StoreError(f"{self.path} has the shards 0 to {self.n_shards - 1}, not {number}.")
        wanted = set(tables)
        for name in wanted:
            self._verify(number, name)
        frames = {
            name: self._scan(name, number).collect() if name in wanted else pl.DataFrame(schema=schema)
            for name, schema in STORED.items()
        }
        return Shard(number, **frames)

    def _verify(self, number: int, table: str) -> None:
        """Refuse a file whose content has changed since it was written; each file is looked at once."""
        name = f"{shard_folder(number)}/{table}.parquet"
        if name in self._verified:
            return
        if sha256(self.path / name) != self.manifest.files[name]["sha256"]:
            said = say_damage(self.path / name, self.manifest)
            raise StoreError(
                f"{self.path / name} is not as it was written: it is damaged, or was changed{said}.\n"
                "Fix: ingest the source again with --replace, or take the history from a copy."
            )
        self._verified.add(name)

    @cached_property
    def _verified(self) -> set[str]:
        return set()

    def days_known(self) -> str:
        """Return when the first and the last of its encounters and events are, to be said in a message."""
        if self.manifest.first is None or self.manifest.last is None:
            return "nothing with a date"
        return f"facts from {self.manifest.first[:10]} to {self.manifest.last[:10]}"

    def shards(self, tables: Iterable[str] = tuple(STORED)) -> Iterator[Shard]:
        """Read one shard after the other."""
        wanted = tuple(tables)
        return (self.shard(number, wanted) for number in range(self.n_shards))

    def table(self, name: str, *, shards: Iterable[int] | None = None) -> pl.LazyFrame:
        """Return a table with identifiers and codes as text, in the columns of `schema.TABLES`.

        Parameters
        ----------
        name : {"person", "coverage", "encounter", "event"}
        shards : iterable of int, optional
            Which shards. Default: all. The rows come in the order of the shards.
        """
        if name not in TABLES:
            raise StoreError(f"A history has no table {name!r}: it has {', '.join(TABLES)}.")
        numbers = range(self.n_shards) if shards is None else shards
        return pl.concat([self._decoded(name, number) for number in numbers])

    def _decoded(self, name: str, number: int) -> pl.LazyFrame:
        frame = self._scan(name, number)
        if name != "person":
            ids = self._file("person", number).select("person", "person_id")
            frame = frame.join(ids, on="person", how="left", maintain_order="left")
        if name == "event":
            ids = self._file("encounter", number).select("encounter", "encounter_id")
            frame = (
                frame.join(ids, on="encounter", how="left", maintain_order="left")
                .join(self.vocabulary.lazy(), on="code", how="left", maintain_order="left")
                .drop("code")
                .rename({"code_text": "code"})
            )
        return frame.select(pl.col(column).cast(entry.dtype) for column, entry in TABLES[name].items())

    def _scan(self, name: str, number: int) -> pl.LazyFrame:
        frame = self._file(name, number).select(list(STORED[name]))
        return frame if self.as_of is None else self.seen(name, number, frame)

    def seen(self, name: str, number: int, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Return what was known of a shard's table."""
        assert self.as_of is not None
        known = known_at(name, frame, self.as_of)
        if name != "event":
            return known
        return of_encounters(known, known_at("encounter", self._file("encounter", number), self.as_of))

    def _file(self, name: str, number: int) -> pl.LazyFrame:
        return pl.scan_parquet(self.path / shard_folder(number) / f"{name}.parquet", hive_partitioning=False)


def open_history(path: str | Path, as_of: date | datetime | None = None) -> History:
    """Open a history.

    Parameters
    ----------
    path : path
        The folder that `ingest` or `write_history` wrote.
    as_of : date or datetime, optional
        Show only what was known at the start of this instant (of this day).

    Raises
    ------
    StoreError
        If the folder is missing, is no history, is of another version, or lacks a file or part of one;
        or if `as_of` has a time zone.
    """
    if as_of is not None and not isinstance(as_of, datetime):
        as_of = datetime.combine(as_of, time())
    if as_of is not None and as_of.tzinfo is not None:
        raise StoreError(f"as_of is {as_of}: the times of a history have no zone.\nFix: leave the zone out.")
    return History(Path(path), read_manifest(Path(path)), as_of)


def known_at(name: str, frame: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """Return the rows of a stored table that were known at the start of an instant.

    An encounter or event is known once it is over and, where `recorded_at` says when it was recorded, once
    it was recorded. A death is known from the day after the instant at which its day starts.
    """
    if name in ("encounter", "event"):
        over = "end" if name == "encounter" else "time"
        return frame.filter(pl.max_horizontal("recorded_at", over) < as_of)
    if name == "coverage":
        last_day = (as_of - timedelta(microseconds=1)).date()
        return frame.filter(pl.col("start_date") < as_of).with_columns(
            pl.min_horizontal("end_date", pl.lit(last_day))
        )
    death = pl.when(pl.col("death_date") < as_of).then(pl.col("death_date"))
    return frame.filter(pl.col("birth_date") < as_of).with_columns(death.alias("death_date"))


def of_encounters(events: pl.LazyFrame, encounters: pl.LazyFrame) -> pl.LazyFrame:
    """Return events that belong to one of these encounters or to none, as what it names is not there."""
    both = ["person", "encounter"]
    there = encounters.select(*both, _there=pl.lit(True))
    return (
        events.join(there, on=both, how="left", maintain_order="left")
        .with_columns(encounter=pl.when("_there").then("encounter"))
        .drop("_there")
    )
