"""A features file with made-up rows: numbers, a category of few levels, one of many, two rows a patient."""

from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix, random_array

from riskmodels.features import FeatureColumn, FeatureFrame
from riskmodels.features.sparse import as_lists

__all__ = ["COLUMNS", "NAMES", "SPARSE", "feature_frame", "write_rows"]

WIDTH = 30


def _column(name: str, kind: str, aggregation: str = "") -> FeatureColumn:
    return FeatureColumn(name, "predict", kind, name, source="made up", aggregation=aggregation)


COLUMNS = [_column("age", "number"), _column("visits", "number"), _column("ward", "category")]
COLUMNS += [_column("diagnosis", "category"), _column("nothing", "number")]
NAMES = [column.name for column in COLUMNS]
SPARSE = [_column(f"group_{i}", "number", "days_since" if i < 5 else "count") for i in range(WIDTH)]


def write_rows(path: Path, n: int = 6000, seed: int = 0) -> pl.DataFrame:
    """Write the file; the rarest diagnoses and the last ward are those of the last patients alone."""
    rng = np.random.default_rng(seed)
    age, visits = rng.integers(40, 95, n), rng.poisson(1.5, n)
    ward = rng.choice(["a", "b", "c"], n)
    ward[-120:] = "z"
    diagnosis = np.array([f"D{number:02d}" for number in np.minimum(rng.geometric(0.08, n), 40)])
    effect = np.array([int(name[1:]) % 5 for name in diagnosis]) * 0.3
    filled = {"density": 0.1, "rng": rng, "data_sampler": lambda size: rng.integers(1, 90, size) * 1.0}
    groups = csr_matrix(random_array((n, WIDTH), format="csr", **filled))
    effect += 0.9 * (groups[:, :8] > 0).sum(axis=1).A1
    risk = 1 / (1 + np.exp(-(-5.2 + 0.02 * age + 0.45 * visits + 0.8 * (ward == "a") + effect)))
    frame = pl.DataFrame(
        {
            "person_id": [f"P{row // 2:06d}" for row in range(n)],
            "label": (rng.random(n) < risk).astype(np.int8),
            "age": np.where(rng.random(n) < 0.1, np.nan, age),
            "visits": visits,
            "ward": ward,
            "diagnosis": diagnosis,
            "nothing": np.zeros(n),
        }
    ).with_columns(pl.col("age").fill_nan(None))
    frame = pl.concat([frame, as_lists(groups)], how="horizontal")
    frame.write_parquet(path)
    return frame


def feature_frame(frame: pl.DataFrame, sparse: bool) -> FeatureFrame:
    """Return the rows of such a file as `read_features` would, with or without the sparse columns."""
    from riskmodels.features.sparse import from_lists

    matrix = from_lists(frame, WIDTH) if sparse else None
    return FeatureFrame(frame.select(NAMES), COLUMNS, matrix, SPARSE if sparse else [])
