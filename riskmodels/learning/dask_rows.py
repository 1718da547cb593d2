"""What the process that trains on a cluster knows of the rows: outcomes, patients, whose part is which."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.features.sparse import COLUMNS, VALUES
from riskmodels.learning.dask_parts import Columns, Part

__all__ = ["Rows", "read_rows"]


@dataclass(frozen=True)
class Rows:
    """What this process knows of the rows to use (m,): outcome and patient; whose part they are in.

    Attributes
    ----------
    y, patients : ndarray (m,)
    parts : list of Part
        One for each worker; they hold all rows of the file.
    use : ndarray of bool (n,)
        Which rows of the file are to be used.
    """

    y: np.ndarray
    patients: np.ndarray
    parts: list[Part]
    use: np.ndarray

    def cut(self, values: np.ndarray, others: Any) -> list[np.ndarray]:
        """Return an array over the rows to use as one array over all rows of each part."""
        whole = np.full(len(self.use), others, dtype=values.dtype)
        whole[self.use] = values
        return [whole[part.start : part.stop] for part in self.parts]


def read_rows(path: Path, columns: Columns, patient: str, use: np.ndarray | None, n_parts: int) -> Rows:
    """Read outcomes and patients, and cut the rows between patients, so that each part has as many to use."""
    if not path.is_file():
        raise DataError("there is no such file", file=path, fix="make it with: riskmodels features")
    label = columns.label
    scan = pl.scan_parquet(path, hive_partitioning=False)
    there = set(scan.collect_schema().names())
    for name in (label, patient, *columns.names, *((COLUMNS, VALUES) if columns.sparse else ())):
        if name not in there:
            raise DataError("the column is missing", file=path, column=name, fix="see riskmodels features")
    read = scan.select(pl.col(label).cast(pl.Float64), pl.col(patient)).collect()
    chosen = np.ones(read.height, dtype=bool) if use is None else np.asarray(use, dtype=bool)
    if len(chosen) != read.height:
        raise SpecError(f"use says of {len(chosen)} rows whether to use them, and {path} has {read.height}")
    y = read[label].filter(chosen)
    if missing := y.null_count():
        raise DataError(
            f"{missing} of {len(y)} outcomes are missing",
            file=path,
            column=label,
            fix="leave out rows whose outcome was not observed",
        )
    if not y.is_in([0.0, 1.0]).all():
        raise DataError("an outcome is neither 0 nor 1", file=path, column=label)
    owner = read[patient]
    first = owner.ne_missing(owner.shift(1)).fill_null(True)
    first[0] = True
    if int(first.sum()) != owner.n_unique():
        raise DataError(
            "the rows of a patient do not stand together",
            file=path,
            column=patient,
            fix="write the file with riskmodels features, or sort it by patient",
        )
    # By the order of their ids, as they are numbered on one node: the draw of patients depends on it.
    patients = owner.filter(chosen).rank("dense").to_numpy()
    bounds = _bounds(path, first.to_numpy(), chosen, n_parts)
    parts = [Part(path.absolute(), bounds[i], bounds[i + 1]) for i in range(n_parts)]
    return Rows(y.to_numpy(), patients, parts, chosen)


def _bounds(path: Path, first: np.ndarray, use: np.ndarray, n_parts: int) -> list[int]:
    """Return where parts begin and end (n_parts + 1,), given the first row of each patient (n,)."""
    starts = np.flatnonzero(first)
    used = np.add.reduceat(use.astype(np.int64), starts)  # rows of each patient
    starts, used = starts[used > 0], used[used > 0]
    if len(starts) < n_parts:
        raise SpecError(
            f"{path} has {len(starts)} patients to learn from and the cluster {n_parts} workers\n"
            "Fix: train here, without --scheduler, or on fewer workers"
        )
    before = np.cumsum(used) - used  # rows to use before each patient
    wanted = np.linspace(0, before[-1] + used[-1], n_parts + 1)[1:-1]
    places = np.searchsorted(before, wanted)
    # A patient of very many rows may take the place of several parts: each has at least one patient.
    places = np.maximum.accumulate(places - np.arange(n_parts - 1)) + np.arange(n_parts - 1)
    latest = len(starts) - np.arange(n_parts - 1, 0, -1)
    places = np.minimum(np.maximum(places, np.arange(1, n_parts)), latest)
    return [0, *starts[places].tolist(), len(first)]
