"""The folder of a scoring job: who may write to it, what is done, and when it is finished.

A job is what it computes: model, history, as-of instant and options, put together in a fingerprint that is
written before the first score. Each shard's file appears whole or not at all; a job that was killed is
started again with the same command and computes only the shards that are not there. No file holds a time
or a path of the machine, so the folder is the same, byte for byte, however often the job was interrupted.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import polars as pl

from riskmodels.engines.job import JOB, JobFolder
from riskmodels.errors import StoreError
from riskmodels.files import atomic_file, sha256, write_json

__all__ = ["ScoreFolder", "partition_name"]

MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"
LONGEST_SHOWN = 40


def partition_name(as_of: datetime) -> str:
    """Return the name of the folder for scores as of an instant.

    >>> partition_name(datetime(2023, 7, 1)), partition_name(datetime(2023, 7, 1, 14, 30))
    ('as_of=2023-07-01', 'as_of=2023-07-01T143000')
    """
    midnight = (as_of.hour, as_of.minute, as_of.second, as_of.microsecond) == (0, 0, 0, 0)
    return f"as_of={as_of:%Y-%m-%d}" if midnight else f"as_of={as_of:%Y-%m-%dT%H%M%S}"


@dataclass(frozen=True)
class ScoreFolder(JobFolder):
    """``OUT/as_of=DATE`` with a Parquet file a shard."""

    work: ClassVar[str] = "scoring job"

    def write_shard(self, number: int, frame: pl.DataFrame) -> None:
        """Write a shard's scores, whole or not at all."""
        with atomic_file(self.shard_path(number)) as temporary:
            frame.write_parquet(temporary, compression="zstd", statistics=True)

    def finish(self) -> dict[str, Any]:
        """Write the manifest and the mark of success; return the manifest."""
        paths = [self.shard_path(number) for number in range(self.n_shards)]
        files = {
            path.name: {
                "rows": pl.scan_parquet(path).select(pl.len()).collect().item(),
                "sha256": sha256(path),
            }
            for path in paths
        }
        manifest = {
            "fingerprint": self.fingerprint,
            "rows": sum(entry["rows"] for entry in files.values()),
            "files": files,
        }
        write_json(self.path / MANIFEST, manifest)
        with atomic_file(self.path / SUCCESS):
            pass
        return manifest

    def finished(self) -> dict[str, Any] | None:
        """Return the manifest if the job has ended and its files are as it left them, else None.

        Files that were changed are removed, so that they are made again.
        """
        if not (self.path / SUCCESS).is_file() or not (self.path / MANIFEST).is_file():
            return None
        manifest = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        damaged = [
            self.path / name
            for name, entry in manifest["files"].items()
            if not (self.path / name).is_file() or sha256(self.path / name) != entry["sha256"]
        ]
        if not damaged:
            return manifest
        (self.path / SUCCESS).unlink(missing_ok=True)
        for path in damaged:
            path.unlink(missing_ok=True)
        return None

    def claim(self) -> None:
        """Refuse a folder that holds the scores of another job, or other files."""
        there, scores = self.begun(), any(self.path.glob("shard=*.parquet"))
        if not there and scores:
            raise StoreError(
                f"{self.path} holds files but no {JOB}: it was not written by a scoring job\n"
                "Fix: choose another --out"
            )
        if there.get("fingerprint") == self.fingerprint:
            return
        if not scores:  # new, or of a job that was refused or killed before its first shard
            self.begin()
            return
        mine = json.loads(json.dumps(dict(self.job), sort_keys=True, default=str))
        keys = sorted(key for key in {*mine, *there} - {"fingerprint"} if mine.get(key) != there.get(key))
        said = "; ".join(_difference(key, there.get(key), mine.get(key)) for key in keys)
        raise StoreError(
            f"{self.path} holds the scores of another job ({said})\n"
            "Fix: choose another --out, or remove that folder if its scores are no longer needed"
        )


def _difference(key: str, was: Any, now: Any) -> str:
    """Say what differs, without hashes and other long values."""
    short = all(len(str(value)) <= LONGEST_SHOWN for value in (was, now))
    return f"{key} was {was!r}, is {now!r}" if short else f"{key} differs"
