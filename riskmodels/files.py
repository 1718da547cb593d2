"""Write a file or a folder whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["atomic_directory", "atomic_file", "sha256", "write_json"]

PARTIAL = ".partial-"


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there once the block has ended without an error.

    A reader sees the old file or the whole new one, never a half. The folder is made where it is missing.
    """
    path = Path(path)
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}{PARTIAL}", suffix=path.suffix, dir=path.parent
        )
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; move it there once the block has ended without an error.

    Parameters
    ----------
    replace : bool
        Take the place of a folder that is there already. Without it an existing `path` is an error.
    """
    path = Path(path)
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}{PARTIAL}", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if replace and path.exists():
                retired = temporary.with_name(temporary.name + "-old")
                path.rename(retired)
                temporary.rename(path)
                shutil.rmtree(retired)
            else:
                temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8"
        )


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error of the system name the place that was asked for, not the temporary one beside it."""
    try:
        yield
    except OSError as error:
        parts = Path(str(error.filename)).parts
        temporary = [place for place, part in enumerate(parts) if part.startswith(f".{path.name}{PARTIAL}")]
        if temporary:
            error.filename = str(path.joinpath(*parts[temporary[0] + 1 :]))
        elif error.filename is None and "No space left" in str(error):
            error.filename = str(path)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
