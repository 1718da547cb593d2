"""What runs inside a Spark task: a shard function, its result as Arrow, its errors as rows.

An error that says what is wrong with the input would be the same on a second try: it is returned, not
raised, so that Spark does not try again. Any other failure is raised, and Spark runs the task elsewhere.
"""

import pickle
import socket
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import polars as pl
import pyarrow as pa

from riskmodels import __version__
from riskmodels.errors import RiskModelsError, StoreError

__all__ = ["ANSWER", "QUESTION", "ShardTask", "from_arrow", "to_arrow"]

QUESTION = "shard int, rows binary"
ANSWER = "shard int, name string, content binary, error string"
SCHEMA = pa.schema(
    [("shard", pa.int32()), ("name", pa.string()), ("content", pa.binary()), ("error", pa.string())]
)


class ShardTask:
    """A shard function as Spark's `mapInArrow` takes it.

    Parameters
    ----------
    function : ShardFunction
        Sent as bytes and made again inside the task, where a history that the worker cannot see is an answer.
    """

    def __init__(self, function: Any) -> None:
        self.function = pickle.dumps(function)
        self.version = __version__

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Answer each row of (shard, rows) with a row for each table that the function returns."""
        for batch in batches:
            for row in batch.to_pylist():
                yield pa.RecordBatch.from_pylist(self._answers(row["shard"], row["rows"]), schema=SCHEMA)

    def _answers(self, shard: int, rows: bytes | None) -> list[dict[str, Any]]:
        if self.version != __version__:
            said = f"the driver has riskmodels {self.version} and a worker {__version__}"
            return [_error(shard, f"SpecError\n{said}\nFix: install the same version on every worker")]
        try:
            function = self._made_again()
            tables = function(shard, None if rows is None else from_arrow(rows))
        except RiskModelsError as error:
            return [_error(shard, f"{type(error).__name__}\n{error}")]
        return [
            {"shard": shard, "name": name, "content": to_arrow(table), "error": None}
            for name, table in tables.items()
        ]

    def _made_again(self) -> Any:
        try:
            # Made by the driver's own constructor above and carried by Spark: never read from a file.
            return pickle.loads(self.function)
        except StoreError as error:
            said, _, _ = str(error).partition("\n")
            raise StoreError(
                f"a worker ({socket.gethostname()}) does not see what the driver sees: {said}\n"
                "Fix: keep it on a file system that all machines share, under the same path"
            ) from error


def _error(shard: int, said: str) -> dict[str, Any]:
    return {"shard": shard, "name": None, "content": None, "error": said}


def to_arrow(frame: pl.DataFrame) -> bytes:
    """Return a frame as an Arrow file: Spark has no types for categories and unsigned numbers."""
    written = BytesIO()
    frame.write_ipc(written, compression="zstd")
    return written.getvalue()


def from_arrow(content: bytes) -> pl.DataFrame:
    """Read what `to_arrow` gave."""
    return pl.read_ipc(BytesIO(content))
