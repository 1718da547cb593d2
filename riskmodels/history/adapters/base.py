"""What an adapter is, and how adapters find a publisher's files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import narwhals as nw
import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.staging import Part

__all__ = ["Adapter", "SourceFile", "candidates", "every_file", "nothing_found", "run", "the_first"]

DEEPEST = 3
SHOWN = 8


@dataclass(frozen=True)
class SourceFile:
    """A file of a source.

    Attributes
    ----------
    path : Path
    name : str
        The path inside the source, for messages and the manifest.
    table : str
        Which of the publisher's tables it is.
    keys : dict
        What its name says beside: a sample, a year.
    """

    path: Path
    name: str
    table: str
    keys: dict[str, Any] = field(default_factory=dict)


class Adapter(Protocol):
    """Brings a publisher's own files into the tables of a history.

    Attributes
    ----------
    name : str
        The format, as the command line calls it.
    version : int
        Raised when the same files would give another history.
    description : str
        One line for users.
    """

    name: str
    version: int
    description: str

    def find(self, source: Path) -> list[SourceFile]:
        """Return the files to read; raise DataError if they are not there."""

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read all files, or those of a piece: all parts of table ``person``, then the others."""

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Divide the files into what can be read apart; all persons are in the first piece.

        One piece where the files explain each other.
        """


def run(
    transform: Callable[..., nw.LazyFrame[Any]], *inputs: pl.DataFrame | pl.LazyFrame | Any, **options: Any
) -> pl.LazyFrame:
    """Run a narwhals transformation on Polars frames; what else it takes is handed on."""
    frames = (pl.DataFrame, pl.LazyFrame)
    given = [nw.from_native(item.lazy()) if isinstance(item, frames) else item for item in inputs]
    result: pl.LazyFrame = transform(*given, **options).to_native()
    return result


def candidates(source: Path, looked_for: str) -> list[Path]:
    """Return the CSV files in a folder and the folders in it, packed or not; see `every_file`."""
    packed = (".csv", ".csv.gz", ".csv.zip", ".zip", ".gz")
    return [path for path in every_file(source, looked_for) if path.name.lower().endswith(packed)]


def every_file(source: Path, looked_for: str) -> list[Path]:
    """Return the files in a folder and the folders in it, but for hidden ones.

    Raises
    ------
    DataError
        If `source` is missing, a file, or a folder with nothing in it.
    """
    if not source.exists():
        raise DataError(
            "there is no such folder", file=source, fix=f"name the folder that holds {looked_for}"
        )
    if not source.is_dir():
        raise DataError(
            "this is a file, and the source is a folder",
            file=source,
            fix=f"name the folder that holds {looked_for}",
        )
    if not any(source.iterdir()):
        raise DataError("there is nothing in the folder", file=source, fix=f"put there {looked_for}")
    return sorted(
        path
        for path in source.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
        and len(path.relative_to(source).parts) <= DEEPEST
    )


def the_first(files: dict[str, SourceFile], key: str, file: SourceFile, source: Path) -> SourceFile:
    """Return the file that a key stands for: this one, or that of the same folder that came before.

    Raises
    ------
    DataError
        If the one before is in another folder: nothing tells which of them counts.
    """
    first = files.setdefault(key, file)
    if first.path.parent != file.path.parent:
        raise DataError(
            f"{first.name} and {file.name} are both the table {file.table}",
            file=source,
            fix="keep one of them, or name the folder that holds one",
        )
    return first


def nothing_found(
    source: Path, missing: str, looked_for: Iterable[str], found: Iterable[str], *, packed: bool = False
) -> DataError:
    """Return the error that names what was looked for and what was there.

    `packed` says that the source may be an archive, too: the only one in a folder is then named.
    """
    names = sorted(found)
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    archives = [name for name in names if name.lower().endswith(".zip")] if packed and source.is_dir() else []
    place = (
        f"the archive itself: {source / archives[0]}"
        if len(archives) == 1
        else "the folder that holds the files as they were published"
    )
    return DataError(
        f"{missing}\nLooked for: {'; '.join(looked_for)}\nFound: {shown or 'no CSV file'}",
        file=source,
        fix=f"name {place}",
    )
