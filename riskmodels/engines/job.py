"""The folder of a job that works shard by shard: who may write to it, what it computes, and what is done.

What a job computes is put together in a fingerprint that is written before the first shard. Each shard's
file appears whole or not at all; a job that was killed is started again with the same command and computes
only the shards that are not there.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

from riskmodels.errors import StoreError
from riskmodels.files import PARTIAL, write_json

__all__ = ["JOB", "LOCK", "JobFolder"]

JOB, LOCK = "_job.json", "_lock"


@dataclass(frozen=True)
class JobFolder:
    """A folder with a file a shard.

    Parameters
    ----------
    path : Path
    job : mapping
        Plain data that say what is computed.
    n_shards : int
        How many shards there are.
    """

    path: Path
    job: Mapping[str, Any]
    n_shards: int

    work: ClassVar[str] = "job"  # as a user would say it
    suffix: ClassVar[str] = ".parquet"

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
            Another process is writing to it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a") as lock:
            if not _locked(lock):
                raise StoreError(
                    f"{self.path}: another {self.work} is writing here\nFix: wait for it, or choose "
                    "another --out"
                )
            self.claim()
            for left_over in self.path.glob(f".*{PARTIAL}*"):  # of a process that was killed while writing
                left_over.unlink(missing_ok=True)
            yield

    def shard_path(self, number: int) -> Path:
        """Return the file of a shard."""
        return self.path / f"shard={number:03d}{self.suffix}"

    def done(self) -> set[int]:
        """Return the shards whose files are there."""
        return {number for number in range(self.n_shards) if self.shard_path(number).is_file()}

    def begun(self) -> dict[str, Any]:
        """Return what the job that wrote here computes, with its fingerprint; empty where there was none."""
        job = self.path / JOB
        return json.loads(job.read_text(encoding="utf-8")) if job.is_file() else {}

    def begin(self) -> None:
        """Write down what this job computes."""
        write_json(self.path / JOB, {**self.job, "fingerprint": self.fingerprint})

    def claim(self) -> None:
        """Make sure that what is in the folder is of this job; called with the lock held."""
        raise NotImplementedError


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
