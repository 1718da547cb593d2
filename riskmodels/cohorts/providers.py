"""Facts that a user brings: specialties, the group of a provider, the ACOs, and other small tables."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from riskmodels.errors import DataError

__all__ = ["read_accountable", "read_columns", "read_providers"]

NUMBERS = {1: "one", 2: "two", 3: "three"}


def read_columns(path: Path, names: Sequence[str], what: str) -> pl.DataFrame:
    """Read a CSV with a header as text, without blanks around it; an empty cell is null.

    Parameters
    ----------
    names : sequence of str
        What the columns are called, in the order of the file, whose own names do not matter.
    what : str
        What is in them, as a user would say it.

    Raises
    ------
    DataError
        There is no such file, it is no table, or has another number of columns.
    """
    if not path.is_file():
        raise DataError("there is no such file", file=path, fix=f"give a CSV of {what}")
    try:
        table = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        problem = f"cannot be read as a table: {str(error).splitlines()[0]}"
        raise DataError(problem, file=path, fix=f"give a CSV of {what}, with a header") from error
    if len(table.columns) != len(names):
        raise DataError(
            f"has {len(table.columns)} columns", file=path, fix=f"give {NUMBERS[len(names)]}: {what}"
        )
    table = table.rename(dict(zip(table.columns, names, strict=True)))
    return table.select(pl.all().str.strip_chars().replace("", None))


def read_providers(path: Path, what: str) -> dict[str, str]:
    """Read a CSV of two columns: provider, and its specialty code or its group.

    Raises
    ------
    DataError
        It cannot be read, or a provider is there twice with other values.
    """
    table = read_columns(path, ("provider", "value"), f"provider and {what}").drop_nulls().unique()
    if twice := table.filter(pl.col("provider").is_duplicated())["provider"].to_list():
        raise DataError(
            f"names provider {min(twice)!r} twice, with different values",
            file=path,
            fix=f"keep one {what} a provider",
        )
    values = table["value"].str.zfill(2) if what == "specialty" else table["value"]
    return dict(zip(table["provider"].to_list(), values.to_list(), strict=True))


def read_accountable(path: Path) -> frozenset[str]:
    """Read a CSV of one column: the groups that are ACOs.

    Raises
    ------
    DataError
        It cannot be read, or nothing is in it.
    """
    names = read_columns(path, ("name",), "the names of the ACOs")["name"].drop_nulls()
    if names.is_empty():
        raise DataError("names no ACO below its header", file=path, fix="give one a line")
    return frozenset(names.to_list())
