"""Compare models of next year's cost on the Medical Expenditure Panel Survey, split by person.

usage: benchmark_cost.py MEPS.parquet [--splits 3]

MEPS.parquet is a two-year longitudinal extract: what was known and spent in year 1 (columns ending in Y1 or
y1, demographics), and TOTEXPY2, what was spent in year 2. Answers below 0 are missing.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from riskmodels.benchmarks.cost import ScoreBaseline, demographic_cells, expected_of_cells
from riskmodels.evaluation import compare_costs
from riskmodels.learning import CostModel

SECOND_YEAR = ("Y2", "Y2X", "Y2_M18")
LATER_ROUNDS = ("3", "4", "5")
ROUNDS = ("AGE", "RTHLTH", "MNHLTH", "ASTHEP")
OTHER = ("DUPERSID", "PANEL", "SOURCE_PANEL", "AGE_MAX")
TRUNCATED = 250_000.0


def year_one(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of the first year, missing answers as missing."""
    later = [
        name
        for name in frame.columns
        if name.endswith(SECOND_YEAR)
        or name in OTHER
        or (name.startswith(ROUNDS) and name.rstrip("X")[-1] in LATER_ROUNDS)
    ]
    features = frame.drop(later)
    numbers = [name for name, kind in features.schema.items() if kind.is_numeric()]
    return features.with_columns(
        pl.when(pl.col(name) >= 0).then(pl.col(name).cast(pl.Float64)) for name in numbers
    )


def main() -> None:
    """Print the comparison of each split."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("meps", type=Path)
    parser.add_argument("--splits", type=int, default=3)
    options = parser.parse_args()
    frame = pl.read_parquet(options.meps).filter(pl.col("TOTEXPY2") >= 0)
    features, cost = year_one(frame), frame["TOTEXPY2"].cast(pl.Float64).to_numpy()
    persons = frame["DUPERSID"].to_numpy()
    age = features["AGEY1X"].fill_null(40).to_numpy()
    sex, spent = features["SEX"].cast(pl.String), features["TOTEXPY1"].fill_null(0.0).to_numpy()
    for split in range(options.splits):
        test = np.random.default_rng(split).random(len(cost)) < 0.4
        learn = ~test
        expected = {}
        for method in ("tweedie", "two-part", "squared"):
            model = CostModel(method=method, num_leaves=8, max_depth=4, min_child_samples=100, num_threads=2)
            model.fit(features.filter(learn), cost[learn], groups=persons[learn])
            expected[method] = model.predict(features.filter(test))
        cells = demographic_cells(age[learn], sex.filter(learn), cost[learn])
        expected["age and sex"] = expected_of_cells(cells, age[test], sex.filter(test))
        expected["last year's cost"] = ScoreBaseline.fit(spent[learn], cost[learn]).predict(spent[test])
        for words, limit in (("every dollar", None), ("costs held at $250,000", TRUNCATED)):
            print(f"split {split}, {int(test.sum()):,} persons held out, {words}")
            print(compare_costs(cost[test], expected, persons[test], truncate=limit).to_text())


if __name__ == "__main__":
    main()
