"""Small tables of the user's own, read and written by suffix."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from riskmodels.errors import DataError, did_you_mean
from riskmodels.files import atomic_file

__all__ = ["read_frame", "write_frame"]

SUFFIXES = (".csv", ".parquet")


def read_frame(path: str | Path, columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return a CSV or Parquet file as a frame; columns named ``..._id`` stay text, with their leading zeros.

    Raises
    ------
    DataError
        The file is not there, is of another kind, or lacks one of `columns`.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("there is no such file", file=path, fix="give the path of a .csv or .parquet file")
    try:
        if path.suffix.lower() == ".parquet":
            frame = pl.read_parquet(path)
        elif path.suffix.lower() == ".csv":
            names = pl.read_csv(path, n_rows=0).columns
            text = {name: pl.String for name in names if name.endswith("_id") or name == "dual_status"}
            frame = pl.read_csv(path, schema_overrides=text, infer_schema_length=None)
        else:
            raise DataError("is neither CSV nor Parquet", file=path, fix="end it in .csv or .parquet")
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"cannot be read as {path.suffix[1:]}: {reason}", file=path) from error
    for name in columns:
        if name not in frame.columns:
            raise DataError(
                f"the column is missing. {did_you_mean(name, frame.columns)}", file=path, column=name
            )
    return frame


def write_frame(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a frame as CSV or Parquet by suffix, whole or not at all.

    Raises
    ------
    DataError
        The suffix is another.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError("cannot write this kind of file", file=path, fix="end it in .csv or .parquet")
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.write_parquet(temporary)
        else:
            frame.write_csv(temporary)
