"""Write a history: parts in any order and of any size in, a sorted store out, whole or not at all."""

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from riskmodels import __version__
from riskmodels.errors import StoreError
from riskmodels.files import PARTIAL, atomic_directory, sha256
from riskmodels.history.manifest import (
    VOCABULARY,
    Manifest,
    canonical,
    is_history,
    read_manifest,
    shard_folder,
    write_manifest,
)
from riskmodels.history.numbering import lay_aside
from riskmodels.history.opening import History, open_history
from riskmodels.history.schema import SCHEMA_VERSION, TABLES
from riskmodels.history.sorting import Numbers, finish_shard, shared_encounters
from riskmodels.history.staging import MOST_SHARDS, Part, Staging, Tally
from riskmodels.progress import track

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

__all__ = ["STAGING", "Filled", "default_shards", "write_history", "write_shard", "write_store"]

EVENTS_PER_SHARD = 1_000_000
PERSONS_PER_SHARD = 250
FEWEST_SHARDS = 4
HIGHEST_SHARDS = 4096
ROWS_PER_GROUP = 1 << 20
STAGING = "staging"
LOCK = "writing.lock"
ABANDONED_SECONDS = 3600.0

logger = logging.getLogger(__name__)


@dataclass
class Filled:
    """What was written into a history's folder: its numbers, for the manifest."""

    vocabulary: pl.DataFrame
    rows: dict[str, list[int]]
    dropped: Tally
    noted: Tally
    first: datetime | None
    last: datetime | None


def write_history(
    parts: Iterable[Part],
    path: str | Path,
    *,
    source_format: str,
    sources: Sequence[dict[str, Any]] = (),
    shards: int | None = None,
    replace: bool = False,
    adapter_version: int = 1,
) -> History:
    """Write tables as a history, whole or not at all.

    The result does not depend on the order of the rows or on how they are split into parts: the same rows
    give the same bytes.

    Parameters
    ----------
    parts : iterable of Part
        All parts of ``person`` first, then the others in any order. They are taken one by one, lazy frames a
        batch of rows at a time: what is in memory is a few million rows, or one shard.
    path : path
        Where the history goes.
    source_format : str
        What the rows were read from, for the manifest.
    sources : sequence of dict
        What identifies the input, for the manifest: name, bytes and sha256 of each file, or the parameters of
        a simulation. Where `path` is already the history of the same sources, nothing is done.
    shards : int, optional
        Number of shards. Default: about a million events each, at least 4, at most 256, and never more than
        one for each 250 persons.
    replace : bool
        Take the place of another history at `path`. A folder that is no history is never replaced.
    adapter_version : int
        Version of the rules that made the parts.

    Returns
    -------
    History

    Raises
    ------
    StoreError
        If `path` is taken, or a part is not of the tables of a history.
    DataError
        If there are no persons, or a value is not one of its column's words.
    """
    return write_store(
        lambda folder: _fill(folder, parts, shards),
        Path(path),
        source_format=source_format,
        sources=sources,
        shards=shards,
        replace=replace,
        adapter_version=adapter_version,
    )


def write_store(
    fill: Callable[[Path], Filled],
    path: Path,
    *,
    source_format: str,
    sources: Sequence[dict[str, Any]],
    shards: int | None,
    replace: bool,
    adapter_version: int,
) -> History:
    """Write a history, whole or not at all, with a function that fills its folder; see `write_history`."""
    if shards is not None and not 1 <= shards <= HIGHEST_SHARDS:
        raise StoreError(f"shards is {shards}.\nFix: choose from 1 to {HIGHEST_SHARDS}, or leave it out.")
    if up_to_date(path, source_format, adapter_version, sources, shards):
        logger.info("%s is up to date.", path)
        return open_history(path)
    _check_vacant(path, replace)
    remove_abandoned(path)
    with atomic_directory(path, replace=replace) as folder, _locked(folder):
        filled = fill(folder)
        _seal(folder, filled, source_format, adapter_version, canonical(list(sources)), shards)
    return open_history(path)


def up_to_date(
    path: Path,
    source_format: str,
    adapter_version: int,
    sources: Sequence[dict[str, Any]],
    shards: int | None,
) -> bool:
    """Say whether `path` is already the whole history that these sources would give."""
    try:
        manifest = read_manifest(path)
    except StoreError:
        return False
    return manifest.is_of(source_format, adapter_version, list(sources), shards)


def _check_vacant(path: Path, replace: bool) -> None:
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists() and not is_history(path):
        raise StoreError(
            f"{path} is there and is not a history, so it is left alone.\nFix: choose another place."
        )
    if path.exists() and not replace:
        raise StoreError(
            f"{_state(path)}\nFix: choose another place, or replace it (--replace, or replace=True)."
        )


def _state(path: Path) -> str:
    try:
        read_manifest(path)
    except StoreError as error:
        return str(error).splitlines()[0]
    return f"{path} is a history of other sources or options."


def _fill(folder: Path, parts: Iterable[Part], shards: int | None) -> Filled:
    dropped, noted = Tally(), Tally()
    staging = Staging(folder / STAGING, shards)
    found = lay_aside(parts, staging, dropped, noted)
    n_shards = shards or default_shards(staging.rows["event"], staging.rows["person"])
    numbers = Numbers(found, shared_encounters(staging, n_shards, noted))
    rows: dict[str, list[int]] = {name: [] for name in TABLES}
    for number in track(range(n_shards), "Writing the history"):
        tables = finish_shard(staging, number, n_shards, numbers, dropped, noted)
        write_shard(folder, number, tables)
        for name, frame in tables.items():
            rows[name].append(frame.height)
    return Filled(numbers.vocabulary, rows, dropped, noted, numbers.first, numbers.last)


def _seal(
    folder: Path,
    filled: Filled,
    source_format: str,
    adapter_version: int,
    sources: list[dict[str, Any]],
    shards: int | None,
) -> None:
    _write_parquet(filled.vocabulary, folder / VOCABULARY)
    shutil.rmtree(folder / STAGING)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        riskmodels_version=__version__,
        source_format=source_format,
        adapter_version=adapter_version,
        sources=sources,
        options={"shards": shards},
        n_shards=len(filled.rows["person"]),
        rows={name: sum(counts) for name, counts in filled.rows.items()},
        rows_by_shard=filled.rows,
        dropped=filled.dropped.to_dict(),
        noted=filled.noted.to_dict(),
        first=filled.first.isoformat() if filled.first else None,
        last=filled.last.isoformat() if filled.last else None,
        vocabulary_size=filled.vocabulary.height,
        files={
            file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256(file)}
            for file in sorted(folder.rglob("*.parquet"))
        },
    )
    write_manifest(folder, manifest)
    _say_what_was_odd(manifest)


def write_shard(folder: Path, number: int, tables: dict[str, pl.DataFrame]) -> None:
    """Write the tables of a shard into a history's folder."""
    target = folder / shard_folder(number)
    target.mkdir(exist_ok=True)
    for name, frame in tables.items():
        _write_parquet(frame, target / f"{name}.parquet")


def default_shards(events: int, persons: int) -> int:
    """Return the least power of two that holds the shards to about a million events, within its limits."""
    wanted = max(FEWEST_SHARDS, -(-events // EVENTS_PER_SHARD))
    most = min(MOST_SHARDS, max(1, persons // PERSONS_PER_SHARD))
    number = 1
    while number < wanted and number * 2 <= most:
        number *= 2
    return number


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    # One piece for a shard of the default size: readers then need not put its columns together.
    frame.write_parquet(path, compression="lz4", statistics=False, row_group_size=ROWS_PER_GROUP)


def _say_what_was_odd(manifest: Manifest) -> None:
    for verb, counts in (("left out", manifest.dropped), ("noted", manifest.noted)):
        for table, reasons in counts.items():
            for reason, rows in reasons.items():
                logger.warning("%s: %d %s: %s", table, rows, verb, reason)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock in the folder while it is being written; the lock goes with the process that holds it."""
    if fcntl is None:
        yield
        return
    lock = folder / LOCK
    with lock.open("w") as opened:
        _try_lock(opened.fileno())
        yield
        lock.unlink()


def remove_abandoned(path: Path) -> None:
    """Remove what interrupted writers of `path` have left beside it; leave a writer at work alone."""
    if not path.parent.is_dir():
        return
    for folder in sorted(path.parent.iterdir()):
        if folder.is_dir() and folder.name.startswith(f".{path.name}{PARTIAL}") and _abandoned(folder):
            logger.info("Removing %s, left by an interrupted ingest.", folder.name)
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("r+") as opened:
            return _try_lock(opened.fileno())
    except FileNotFoundError:  # about to be written, about to be moved, or replaced by a newer one
        return time.time() - folder.stat().st_mtime > ABANDONED_SECONDS


def _try_lock(descriptor: int) -> bool:
    if fcntl is None:  # not known, so it is left alone
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
