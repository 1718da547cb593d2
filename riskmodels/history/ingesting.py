"""From a publisher's files, or tables of a database, to a history."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

from riskmodels.engines import Engine, LocalEngine
from riskmodels.errors import DataError, did_you_mean
from riskmodels.files import sha256
from riskmodels.history.adapters import OF_TABLES, get_adapter
from riskmodels.history.distributed import fill_on
from riskmodels.history.opening import History
from riskmodels.history.store import write_history, write_store
from riskmodels.progress import track

__all__ = ["ingest", "ingest_tables"]


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


def ingest_tables(
    format: str,  # noqa: A002 - the word users know
    tables: Mapping[str, Any],
    path: str | Path,
    *,
    shards: int | None = None,
    replace: bool = False,
) -> History:
    """Read a publisher's tables from Arrow readers, as a database gives them, and write a history.

    Parameters
    ----------
    format : {"omop", "tuva", "synthea", "cclf"}
        Formats that are tables.
    tables : mapping of str to Arrow stream
        Table name -> anything with ``__arrow_c_stream__``: a `pyarrow.RecordBatchReader` (of ADBC's
        ``cursor.fetch_record_batch()``, DuckDB's ``to_arrow_reader()``, ...), an Arrow table, a Polars
        frame. Each is read once, a batch at a time, into a temporary Parquet file.
    path : path
        Where the history goes.
    shards, replace
        See `ingest`.

    Raises
    ------
    DataError
        If a table is missing, has no such columns, or is no Arrow stream.
    StoreError
        If `path` is taken.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if format not in OF_TABLES:
        raise DataError(f"{format!r} is not a format of tables. {did_you_mean(format, OF_TABLES)}")
    with tempfile.TemporaryDirectory(prefix="riskmodels-") as name:
        folder = Path(name)
        for table, stream in track(tables.items(), "Reading tables", unit="table", total=len(tables)):
            try:
                reader = pa.RecordBatchReader.from_stream(stream)
            except (TypeError, AttributeError):
                raise DataError(
                    f"the table {table} is of type {type(stream).__name__}, which is no Arrow stream",
                    fix="give a pyarrow.RecordBatchReader, or an object with __arrow_c_stream__",
                ) from None
            with reader, pq.ParquetWriter(folder / f"{table.lower()}.parquet", reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
        try:
            return ingest(format, folder, path, shards=shards, replace=replace)
        except DataError as error:
            where = (
                f"table {Path(str(error.file)).stem}" if error.file and Path(error.file) != folder else None
            )
            problem = error.problem.replace(f"{folder}/", "")
            raise DataError(problem, file=where, column=error.column, fix=error.fix) from None
