"""What a history holds and where it came from: `manifest.json`, written last."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from riskmodels.errors import StoreError
from riskmodels.files import write_json
from riskmodels.history.damage import say_damage
from riskmodels.history.schema import SCHEMA_VERSION, TABLES

__all__ = [
    "MANIFEST",
    "VOCABULARY",
    "Manifest",
    "is_history",
    "read_manifest",
    "shard_folder",
    "write_manifest",
]

MANIFEST = "manifest.json"
VOCABULARY = "vocabulary.parquet"
KIND = "riskmodels history"


@dataclass(frozen=True)
class Manifest:
    """The contents of a history in numbers. It has no clock time: the same input gives the same manifest.

    Attributes
    ----------
    kind : str
        The mark by which a folder is known to be a history.
    schema_version : int
        Version of the tables; a history of another version does not open.
    riskmodels_version : str
        What wrote it.
    source_format, adapter_version
        The adapter and the version of its rules.
    sources : list of dict
        The files read: name, bytes and sha256.
    options : dict
        What the user asked for (``shards``), as asked.
    n_shards : int
    rows : dict of str to int
        Rows kept, by table.
    rows_by_shard : dict of str to list of int
    dropped : dict of str to dict of str to int
        Rows left out, by table and reason.
    noted : dict of str to dict of str to int
        Rows kept though something was odd or had to be settled, by table and reason.
    first, last : str or None
        The earliest and the latest instant of any encounter or event.
    vocabulary_size : int
        How many different codes there are.
    files : dict of str to dict
        Every file but this one: bytes and sha256.
    """

    schema_version: int
    riskmodels_version: str
    source_format: str
    adapter_version: int
    sources: list[dict[str, Any]]
    options: dict[str, Any]
    n_shards: int
    rows: dict[str, int]
    rows_by_shard: dict[str, list[int]]
    dropped: dict[str, dict[str, int]]
    noted: dict[str, dict[str, int]]
    first: str | None
    last: str | None
    vocabulary_size: int
    files: dict[str, dict[str, Any]]
    kind: str = KIND

    @property
    def fingerprint(self) -> str:
        """Return a digest of the stored contents, the same for the same contents wherever they stand."""
        lines = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def is_of(
        self, source_format: str, adapter_version: int, sources: list[dict[str, Any]], shards: int | None
    ) -> bool:
        """Say whether these sources, read in this way, would give this history again."""
        asked = (source_format, adapter_version, canonical(sources), {"shards": shards})
        return bool(sources) and asked == (
            self.source_format,
            self.adapter_version,
            canonical(self.sources),
            self.options,
        )


def canonical(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sources as JSON keeps them, in an order that does not depend on how they were listed."""
    entries: list[dict[str, Any]] = json.loads(json.dumps(list(sources), default=str))
    return sorted(entries, key=lambda entry: json.dumps(entry, sort_keys=True))


def shard_folder(number: int) -> str:
    """Return the name of a shard's folder inside a history."""
    return f"shard={number:03d}"


def is_history(path: Path) -> bool:
    """Say whether a folder is a history of this or another version."""
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, Mapping) and content.get("kind") == KIND


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a history's folder."""
    write_json(folder / MANIFEST, asdict(manifest))


def read_manifest(path: Path) -> Manifest:
    """Read a history's manifest and see that what it lists is there.

    Raises
    ------
    StoreError
        If the folder is missing, is no history, is of another version, or lacks a file or part of one.
    """
    if not path.exists():
        raise StoreError(
            f"There is no history at {path}.\nFix: make one with: riskmodels ingest FORMAT SOURCE {path}"
        )
    if not path.is_dir():
        raise StoreError(
            f"{path} is a file, and a history is a folder.\nFix: name the folder that ingest wrote."
        )
    if not is_history(path):
        raise StoreError(
            f"{path} is not a history: it has no readable {MANIFEST} of one.\n"
            f"Fix: name the folder that ingest wrote, or make one: riskmodels ingest FORMAT SOURCE H"
        )
    content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"The history at {path} has schema version {version}; this riskmodels reads {SCHEMA_VERSION}.\n"
            f"Fix: ingest it again."
        )
    names = {field.name for field in fields(Manifest)}
    if set(content) != names:
        wrong = sorted(names.symmetric_difference(content))
        raise StoreError(f"{path / MANIFEST} is damaged: see {', '.join(wrong)}.\nFix: ingest it again.")
    for counts in ("rows", "rows_by_shard"):
        content[counts] = {table: content[counts][table] for table in TABLES}
    manifest = Manifest(**content)
    for name, entry in manifest.files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            said = say_damage(file, manifest)
            state = f"has another size than when it was written{said}" if file.is_file() else "is missing"
            raise StoreError(f"The history at {path} is damaged: {name} {state}.\nFix: ingest it again.")
    return manifest
