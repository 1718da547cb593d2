"""Compare CMS-HCC risk scores with hccinfhir's: equality member by member, and members a second, in one run.

usage: hcc.py [--members 100000] [--million 1000000] [--seed 1]    (needs hccinfhir 0.4.0)

Every model's members are made up: drawn over all segments and age edges. hccinfhir scores them one by one;
riskmodels scores the same ones, and then a million of V28 with 5 diagnoses each on average.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks_room" / "hcc"))

from hcc_oracle import arbitrary, hccinfhir_scores, random_members

from riskmodels.benchmarks.hcc import MODELS, hcc_scores


def compare(model: str, n: int, seed: int) -> tuple[float, float]:
    """Print the match of every segment; return members a second of riskmodels and of hccinfhir."""
    year = 2025 if model == "CMS-HCC V24" else 2026
    members, codes = random_members(model, n, seed)
    start = time.perf_counter()
    scores = hcc_scores(members, codes, model, year, conventions="hccinfhir")
    ours = time.perf_counter() - start
    start = time.perf_counter()
    theirs = hccinfhir_scores(members, codes, model)
    seconds = time.perf_counter() - start
    by_chance = (
        arbitrary(members, codes) if model == "CMS-HCC V28" else pl.Series([False]).new_from_index(0, n)
    )
    same = np.abs(scores.frame["raw"].to_numpy() - theirs) < 5e-7
    frame = scores.frame.select("segment").with_columns(pl.Series("same", same), by_chance.alias("chance"))
    print(f"{model}: {ours:.2f} s, hccinfhir {seconds:.1f} s")
    print(f"  {int(by_chance.sum())} members whom hccinfhir scores by chance are left out")
    table = frame.filter(~pl.col("chance")).group_by("segment").agg(pl.len(), pl.col("same").sum())
    for segment, count, equal in table.sort("segment").iter_rows():
        print(f"  {segment:18} {equal:7,} of {count:7,} equal ({equal / count:.4%})")
    return n / ours, n / seconds


def million(n: int, seed: int) -> float:
    """Return members a second for many members, made by repeating some under other names."""
    some, codes = random_members("CMS-HCC V28", 20_000, seed)
    copies = -(-n // some.height)
    number = pl.DataFrame({"copy": [f"-{copy}" for copy in range(copies)]})

    def named(frame: pl.DataFrame) -> pl.DataFrame:
        joined = frame.join(number, how="cross")
        return joined.with_columns(pl.col("person_id") + pl.col("copy")).drop("copy")

    members, diagnoses = named(some), named(codes)
    start = time.perf_counter()
    hcc_scores(members, diagnoses)
    seconds = time.perf_counter() - start
    print(f"{members.height:,} members, {diagnoses.height:,} diagnoses, CMS-HCC V28: {seconds:.1f} s")
    return members.height / seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=100_000, help="members a model to compare")
    parser.add_argument("--million", type=int, default=1_000_000, help="members to time")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rates = {model: compare(model, options.members, options.seed) for model in MODELS}
    fast = million(options.million, options.seed)
    slow = rates["CMS-HCC V28"][1]
    for model, (ours, theirs) in rates.items():
        print(f"{model}: {ours:,.0f} members a second, hccinfhir {theirs:,.0f}: {ours / theirs:,.0f} times")
    print(f"many members of V28: {fast:,.0f} a second: {fast / slow:,.0f} times hccinfhir")
