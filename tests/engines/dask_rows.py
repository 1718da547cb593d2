"""A features file with made-up rows: numbers, a category of few levels, one of many, two rows a patient."""

from pathlib import Path

import numpy as np
import polars as pl

from riskmodels.features import FeatureColumn

__all__ = ["COLUMNS", "NAMES", "write_rows"]


def _column(name: str, kind: str) -> FeatureColumn:
    return FeatureColumn(name=name, role="predict", kind=kind, label=name, source="made up")


COLUMNS = [_column("age", "number"), _column("visits", "number"), _column("ward", "category")]
COLUMNS.append(_column("diagnosis", "category"))
NAMES = [column.name for column in COLUMNS]


def write_rows(path: Path, n: int = 6000, seed: int = 0) -> pl.DataFrame:
    """Write the file; the rarest diagnoses and the last ward are those of the last patients alone."""
    rng = np.random.default_rng(seed)
    age, visits = rng.integers(40, 95, n), rng.poisson(1.5, n)
    ward = rng.choice(["a", "b", "c"], n)
    ward[-40:] = "z"
    diagnosis = np.array([f"D{number:02d}" for number in np.minimum(rng.geometric(0.08, n), 40)])
    effect = np.array([int(name[1:]) % 5 for name in diagnosis]) * 0.3
    risk = 1 / (1 + np.exp(-(-4.5 + 0.02 * age + 0.45 * visits + 0.8 * (ward == "a") + effect)))
    frame = pl.DataFrame(
        {
            "person_id": [f"P{row // 2:06d}" for row in range(n)],
            "label": (rng.random(n) < risk).astype(np.int8),
            "age": np.where(rng.random(n) < 0.1, np.nan, age),
            "visits": visits,
            "ward": ward,
            "diagnosis": diagnosis,
        }
    ).with_columns(pl.col("age").fill_nan(None))
    frame.write_parquet(path)
    return frame
