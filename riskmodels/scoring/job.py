"""The folder of a scoring job: who may write to it, what is done, and when it is finished.

A job is what it computes: model, history, as-of instant and options, put together in a fingerprint that is
written before the first score. Each shard's file appears whole or not at all; a job that was killed is
started again with the same command and computes only the shards that are not there. No file holds a time
or a path of the machine, so the folder is the same, byte for byte, however often the job was interrupted.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import polars as pl

from riskmodels.errors import StoreError
from riskmodels.files import PARTIAL, atomic_file, sha256, write_json

__all__ = ["ScoreFolder", "partition_name"]

JOB, MANIFEST, SUCCESS, LOCK = "_job.json", "_manifest.json", "_SUCCESS", "_lock"
LONGEST_SHOWN = 40


def partition_name(as_of: datetime) -> str:
    """Return the name of the folder for scores as of an instant.

    >>> partition_name(datetime(2023, 7, 1)), partition_name(datetime(2023, 7, 1, 14, 30))
    ('as_of=2023-07-01', 'as_of=2023-07-01T143000')
    """
    midnight = (as_of.hour, as_of.minute, as_of.second, as_of.microsecond) == (0, 0, 0, 0)
    return f"as_of={as_of:%Y-%m-%d}" if midnight else f"as_of={as_of:%Y-%m-%dT%H%M%S}"


@dataclass(frozen=True)
class ScoreFolder:
    """``OUT/as_of=DATE`` with a Parquet file a shard.

    Parameters
    ----------
    job : mapping
        Plain data that say what is computed.
    n_shards : int
        How many shards there are.
    """

    path: Path
    job: Mapping[str, Any]
    n_shards: int

    @property
    def fingerprint(self) -> str:
        """Return the hash of what the job computes."""
        return hashlib.sha256(json.dumps(dict(self.job), sort_keys=True, default=str).encode()).hexdigest()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Claim the folder for this job.

        Raises
        ------
        StoreError
            Another process is writing to it, or it holds the scores of another job.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a") as lock:
            if not _locked(lock):
                raise StoreError(
                    f"{self.path}: another scoring job is writing here\nFix: wait for it, or choose "
                    "another --out"
                )
            self._claim()
            for left_over in self.path.glob(f".*{PARTIAL}*"):  # of a process that was killed while writing
                left_over.unlink(missing_ok=True)
            yield

    def shard_path(self, number: int) -> Path:
        """Return the file of a shard."""
        return self.path / f"shard={number:03d}.parquet"

    def done(self) -> set[int]:
        """Return the shards whose scores are there."""
        return {number for number in range(self.n_shards) if self.shard_path(number).is_file()}

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

    def _claim(self) -> None:
        job, scores = self.path / JOB, any(self.path.glob("shard=*.parquet"))
        if not job.is_file() and scores:
            raise StoreError(
                f"{self.path} holds files but no {JOB}: it was not written by a scoring job\n"
                "Fix: choose another --out"
            )
        there = json.loads(job.read_text(encoding="utf-8")) if job.is_file() else {}
        if there.get("fingerprint") == self.fingerprint:
            return
        if not scores:  # new, or of a job that was refused or killed before its first shard
            write_json(job, {**self.job, "fingerprint": self.fingerprint})
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


def _locked(opened: IO[str]) -> bool:
    """Take the lock of an open file without waiting; it goes with the process, however that ends."""
    try:
        if os.name == "nt":  # pragma: no cover
            import msvcrt

            msvcrt.locking(opened.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: files still appear whole, and two jobs of one fingerprint write the
        # same.
        return True
    return True
