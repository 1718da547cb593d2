"""Read a file of features back: the table, the sparse matrix, and what each column is."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from riskmodels.errors import DataError
from riskmodels.features.build import FeatureFrame
from riskmodels.features.feature_set import FeatureColumn, FeatureSet
from riskmodels.features.sparse import COLUMNS, VALUES, from_lists

__all__ = ["KEY", "describe_features", "description", "is_known_only", "read_features"]

KEY, FORMAT = b"riskmodels.features", 1


def description(feature_set: FeatureSet, known_only: bool = False) -> dict[bytes, str]:
    """Return what a file says of its columns, as metadata of Parquet; what is empty is left out."""
    lists = {
        key: [{k: v for k, v in column.to_dict().items() if v not in (None, "", [])} for column in columns]
        for key, columns in (
            ("columns", feature_set.columns),
            ("sparse_columns", feature_set.sparse_columns),
        )
    }
    content = {"format": FORMAT, "feature_set": feature_set.name, **lists}
    if known_only:
        content["known_only"] = True
    return {KEY: json.dumps(content, separators=(",", ":"))}


def read_features(path: str | Path) -> FeatureFrame:
    """Read what `write_features` wrote: the features, and what each column is.

    Columns of the cases that were kept beside them are left out; any reader of Parquet finds them.

    Raises
    ------
    DataError
        The file is missing, is no Parquet file, or was not written by `write_features`.
    """
    columns, sparse_columns = describe_features(path)
    lists = [COLUMNS, VALUES] if sparse_columns else []
    frame = pl.read_parquet(path, columns=["index_id", *(column.name for column in columns), *lists])
    sparse = from_lists(frame, len(sparse_columns)) if sparse_columns else None
    return FeatureFrame(
        frame.select("index_id", *(_as_built(column) for column in columns)), columns, sparse, sparse_columns
    )


def describe_features(path: str | Path) -> tuple[list[FeatureColumn], list[FeatureColumn]]:
    """Return what each column of a file of `write_features` is: those of its table, the sparse ones.

    Raises
    ------
    DataError
        As `read_features`.
    """
    content = _described(path)
    if content.get("format") != FORMAT:
        raise DataError(
            f"is of format {content.get('format')}; this riskmodels reads format {FORMAT}",
            file=Path(path),
            fix="read it with the version that wrote it, or write it again",
        )
    columns, sparse_columns = (
        [FeatureColumn.from_dict(column) for column in content[key]] for key in ("columns", "sparse_columns")
    )
    return columns, sparse_columns


def is_known_only(path: str | Path) -> bool:
    """Tell whether the features of a file use only what was recorded before each index time.

    Raises
    ------
    DataError
        As `read_features`.
    """
    return bool(_described(path).get("known_only", False))


def _described(path: str | Path) -> dict[str, Any]:
    path = Path(path)
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, ValueError) as error:
        raise DataError(
            "there is no such file" if not path.exists() else "is no Parquet file",
            file=path,
            fix="name the file that riskmodels features wrote",
        ) from error
    if KEY not in metadata:
        raise DataError(
            "does not say what its columns are", file=path, fix="write it with riskmodels features"
        )
    return dict(json.loads(metadata[KEY]))


def _as_built(column: FeatureColumn) -> pl.Expr:
    if column.kind != "category":
        return pl.col(column.name).cast(pl.Float64)
    return pl.col(column.name).cast(pl.String if column.levels is None else pl.Enum(column.levels))
