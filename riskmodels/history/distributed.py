"""Fill a history on an engine: pieces of the source are read apart, then the shards are finished apart.

The same adapters, staging and `finish_shard` as here, and so the same bytes: a history does not depend on
the order of its rows. Persons are numbered here, and the ids of encounters compared here over all shards.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from riskmodels.engines import Engine, Tables
from riskmodels.history.adapters import Adapter, SourceFile, get_adapter
from riskmodels.history.numbering import coded, lay_aside
from riskmodels.history.schema import TABLES
from riskmodels.history.sorting import Numbers, finish_shard, shared_encounters
from riskmodels.history.staging import Staging, Tally
from riskmodels.history.store import STAGING, Filled, default_shards, write_shard

__all__ = ["fill_on"]

SPAN = {"first": pl.Datetime("us"), "last": pl.Datetime("us")}


def fill_on(
    engine: Engine,
    adapter: Adapter,
    pieces: Sequence[Sequence[SourceFile]],
    folder: Path,
    shards: int | None,
) -> Filled:
    """Fill a history's folder from pieces of a source.

    Parameters
    ----------
    engine : Engine
    adapter : Adapter
    pieces : sequence of sequence of SourceFile
        What can be read apart; the first, with all persons, is read here.
    folder : Path
        On a file system that the engine's workers share.
    shards : int, optional
        The number of shards. Default: by the number of events.
    """
    folder = folder.absolute()
    dropped, noted = Tally(), Tally()
    staging = Staging(folder / STAGING, shards)
    found = lay_aside(adapter.parts(pieces[0]), staging, dropped, noted)
    staging.store()
    others = dict(enumerate(pieces[1:], start=1))
    reading = _Piece(adapter.name, others, staging.folder, _persons(staging), shards)
    for _, said in engine.run(reading, dict.fromkeys(others), "Reading", unit="piece"):
        numbers, found = coded(said["codes"], found)
        staging.gather(said["chunks"], numbers["code"])
        dropped.add_frame(said["dropped"])
        noted.add_frame(said["noted"])
    n_shards = shards or default_shards(staging.rows["event"], staging.rows["person"])
    shared = shared_encounters(staging, n_shards, noted)
    staging.encounter_hashes.clear()  # no task needs them, and every task is sent the rest
    every = dict.fromkeys(range(n_shards))
    counted = engine.run(_EncounterCounts(staging, n_shards), every, "Counting encounters")
    counts = [int(said["counts"].item()) for _, said in counted]
    starts = [0, *np.cumsum(counts).tolist()]
    finish = _Finish(folder, staging, found, shared, tuple(starts))
    rows: dict[str, list[int]] = {name: [] for name in TABLES}
    spans = []
    for _, said in engine.run(finish, every, "Writing the history"):
        for name, count in said["rows"].iter_rows():
            rows[name].append(count)
        dropped.add_frame(said["dropped"])
        noted.add_frame(said["noted"])
        spans.append(said["span"])
    first, last = pl.concat(spans).select(pl.col("first").min(), pl.col("last").max()).row(0)
    return Filled(Numbers(found, shared).vocabulary, rows, dropped, noted, first, last)


@dataclass(frozen=True)
class _Piece:
    """Lays the rows of a piece of the source aside, in a folder of its own; a piece has no persons."""

    format: str
    pieces: dict[int, Sequence[SourceFile]]
    folder: Path
    persons: Path
    shards: int | None

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        persons = pl.scan_ipc(self.persons).select("person_id", "person").collect()
        # A task that is run twice leaves a folder that nobody is told of; it goes with the rest.
        folder = Path(tempfile.mkdtemp(prefix=f"piece-{number:06d}-", dir=self.folder))
        staging, dropped, noted = Staging(folder / "rows", self.shards), Tally(), Tally()
        parts = get_adapter(self.format).parts(self.pieces[number])
        found = lay_aside(parts, staging, dropped, noted, persons=persons)
        staging.store()
        return {
            "chunks": staging.to_frame(),
            "dropped": dropped.to_frame(),
            "noted": noted.to_frame(),
            "codes": found.sort("code").select("code_system", code="code_text"),
        }


@dataclass(frozen=True)
class _EncounterCounts:
    """Counts the encounters of a shard, so that each shard knows where its numbers start."""

    staging: Staging
    n_shards: int

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        found = self.staging.shard("encounter", number, self.n_shards, ["person", "encounter_id"])
        count = 0 if found is None else found.n_unique()
        return {"counts": pl.DataFrame({"encounters": [count]})}


@dataclass(frozen=True)
class _Finish:
    """Writes the tables of a shard."""

    folder: Path
    staging: Staging
    found: pl.DataFrame
    shared: pl.DataFrame
    starts: tuple[int, ...]

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        numbers = Numbers(self.found, self.shared, next_encounter=self.starts[number])
        dropped, noted = Tally(), Tally()
        tables = finish_shard(self.staging, number, len(self.starts) - 1, numbers, dropped, noted)
        write_shard(self.folder, number, tables)
        heights = [(name, frame.height) for name, frame in tables.items()]
        return {
            "rows": pl.DataFrame(heights, schema={"table": pl.String, "rows": pl.Int64}, orient="row"),
            "dropped": dropped.to_frame(),
            "noted": noted.to_frame(),
            "span": pl.DataFrame({"first": [numbers.first], "last": [numbers.last]}, schema=SPAN),
        }


def _persons(staging: Staging) -> Path:
    """Return the file in which the persons were laid aside."""
    ((path, _),) = staging.chunks["person"]
    assert isinstance(path, Path)
    return path
