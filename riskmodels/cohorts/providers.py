"""Facts about providers that a user brings: specialty, and the group that a provider belongs to."""

from pathlib import Path

import polars as pl

from riskmodels.errors import DataError

__all__ = ["read_providers"]


def read_providers(path: Path, what: str) -> dict[str, str]:
    """Read a CSV of two columns: provider, and its specialty code or its group.

    Raises
    ------
    DataError
        There is no such file, it has not two columns, or a provider is there twice with other values.
    """
    if not path.is_file():
        raise DataError("there is no such file", file=path, fix=f"give a CSV of provider and {what}")
    table = pl.read_csv(path, infer_schema=False)
    if len(table.columns) != 2:
        raise DataError(f"has {len(table.columns)} columns", file=path, fix=f"give two: provider and {what}")
    table = table.rename(dict(zip(table.columns, ("provider", "value"), strict=True))).drop_nulls().unique()
    if twice := table.filter(pl.col("provider").is_duplicated())["provider"].to_list():
        raise DataError(
            f"names provider {min(twice)!r} twice, with different values",
            file=path,
            fix=f"keep one {what} a provider",
        )
    values = table["value"].str.zfill(2) if what == "specialty" else table["value"]
    return dict(zip(table["provider"].to_list(), values.to_list(), strict=True))
