"""From a publisher's files to a history."""

from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

from riskmodels.engines import Engine, LocalEngine
from riskmodels.files import sha256
from riskmodels.history.adapters import get_adapter
from riskmodels.history.distributed import fill_on
from riskmodels.history.opening import History
from riskmodels.history.store import write_history, write_store
from riskmodels.progress import track

__all__ = ["ingest"]


def ingest(
    format: str,  # noqa: A002 - the word users know
    source: str | Path,
    path: str | Path,
    *,
    shards: int | None = None,
    replace: bool = False,
    engine: Engine | None = None,
) -> History:
    """Read a publisher's files as they are and write a history, whole or not at all.

    Parameters
    ----------
    format : str
        One of `riskmodels.history.adapters.FORMATS`.
    source : path
        The folder with the files.
    path : path
        Where the history goes. If it is already there and the files are the same, nothing is done.
    shards : int, optional
        Number of shards. Default: by the number of events.
    replace : bool
        Take the place of another history at `path`.
    engine : Engine, optional
        Where the files are read and the shards written: see `riskmodels.engines`. Default: here.

    Raises
    ------
    DataError
        If files are missing or cannot be read, naming file, column, line and value.
    StoreError
        If `path` is taken.
    """
    adapter = get_adapter(format)
    files = adapter.find(Path(source))
    sources = [
        {"name": file.name, "bytes": file.path.stat().st_size, "sha256": sha256(file.path)}
        for file in track(files, "Checking the files", unit="file")
    ]
    options: dict[str, Any] = {
        "source_format": adapter.name,
        "sources": sources,
        "shards": shards,
        "replace": replace,
        "adapter_version": adapter.version,
    }
    if engine is None or isinstance(engine, LocalEngine):
        return write_history(adapter.parts(files), path, **options)
    pieces = [
        [replaced(file, path=file.path.absolute()) for file in piece] for piece in adapter.pieces(files)
    ]
    return write_store(lambda folder: fill_on(engine, adapter, pieces, folder, shards), Path(path), **options)
