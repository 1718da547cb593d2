"""Compare CMS-HCC risk scores with hccinfhir's and hccpy's: equality, and members a second, in one run.

usage: hcc.py [--members 100000] [--million 1000000] [--seed 1]    (hccinfhir 0.4.0; hccpy 0.1.9 if there)

Every model's members are made up: drawn over all segments and age edges. hccinfhir scores them one by one;
riskmodels scores the same ones, and then a million of V28 with 5 diagnoses each on average. hccpy scores a
tenth of those of V24 and V28 (it is timed; its tables are of other years).
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


def timed(score, *inputs, repeat=1, **options):
    """Return scores, and the median seconds of some runs: on the clock, and of all processors."""
    runs = []
    for _ in range(repeat):
        start = time.perf_counter(), time.process_time()
        scores = score(*inputs, **options)
        runs.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return scores, np.median(np.array(runs), axis=0)


def compare(model: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Print the match of every segment; return the seconds of riskmodels and of hccinfhir."""
    year = 2025 if model == "CMS-HCC V24" else 2026
    members, codes = random_members(model, n, seed)
    hcc_scores(members.head(1000), codes, model, year)  # Reads the tables.
    scores, ours = timed(hcc_scores, members, codes, model, year, conventions="hccinfhir", repeat=3)
    raw, theirs = timed(hccinfhir_scores, members, codes, model)
    by_chance = (
        arbitrary(members, codes) if model == "CMS-HCC V28" else pl.Series([False]).new_from_index(0, n)
    )
    same = np.abs(scores.frame["raw"].to_numpy() - raw) < 5e-7
    frame = scores.frame.select("segment").with_columns(pl.Series("same", same), by_chance.alias("chance"))
    print(model)
    print(f"  {int(by_chance.sum())} members whom hccinfhir scores by chance are left out")
    table = frame.filter(~pl.col("chance")).group_by("segment").agg(pl.len(), pl.col("same").sum())
    for segment, count, equal in table.sort("segment").iter_rows():
        print(f"  {segment:18} {equal:7,} of {count:7,} equal ({equal / count:.4%})")
    return ours, theirs


def compare_hccpy(model: str, n: int, seed: int) -> np.ndarray | None:
    """Print how hccpy compares on members of a model; return its seconds for `n` members, None without it."""
    try:
        from hccpy.hcc import HCCEngine
    except ImportError:
        return None
    members, codes = random_members(model, max(n // 10, 100), seed)
    of = dict(codes.group_by("person_id").agg("code").iter_rows())
    engine = HCCEngine(version=model[-2:])

    def scored(rows):
        return [
            engine.profile(
                [code.replace(".", "") for code in of.get(row["person_id"], [])],
                age=row["age"], sex=row["sex"][0].upper(), elig=row["segment"], orec=str(row["orec"]),
                medicaid=row["dual_status"] != "00",
            )["risk_score"]
            for row in rows
        ]  # fmt: skip

    year = 2025 if model == "CMS-HCC V24" else 2026
    ours = hcc_scores(members, codes, model, year).frame
    rows = list(members.with_columns(ours["segment"]).iter_rows(named=True))
    theirs, seconds = timed(scored, rows)
    same = np.abs(ours["raw"].to_numpy() - np.array(theirs, dtype=float)) < 5e-4
    print(f"  hccpy: {same.mean():.1%} of {members.height:,} members have the same raw score")
    return seconds * n / members.height


def million(n: int, seed: int) -> np.ndarray:
    """Return the seconds for a member, of many that are made by repeating some under other names."""
    some, codes = random_members("CMS-HCC V28", 20_000, seed)
    copies = -(-n // some.height)
    number = pl.DataFrame({"copy": [f"-{copy}" for copy in range(copies)]})

    def named(frame: pl.DataFrame) -> pl.DataFrame:
        joined = frame.join(number, how="cross")
        return joined.with_columns(pl.col("person_id") + pl.col("copy")).drop("copy")

    members, diagnoses = named(some), named(codes)
    _, seconds = timed(hcc_scores, members, diagnoses, repeat=3)
    print(f"{members.height:,} members, {diagnoses.height:,} diagnoses, CMS-HCC V28: {seconds[0]:.1f} s")
    return seconds / members.height


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=100_000, help="members a model to compare")
    parser.add_argument("--million", type=int, default=1_000_000, help="members to time")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seconds, others = {}, {}
    for model in MODELS:
        seconds[model] = compare(model, options.members, options.seed)
        if model in ("CMS-HCC V24", "CMS-HCC V28"):
            others[model] = compare_hccpy(model, options.members, options.seed)
    one = million(options.million, options.seed)
    seconds["a million of V28"] = (one * options.members, seconds["CMS-HCC V28"][1])
    for name, (ours, theirs) in seconds.items():
        for clock, us, them in zip(("on the clock", "of processor time"), ours, theirs, strict=True):
            fast, slow = (round(options.members / spent) for spent in (us, them))
            print(f"{name}: {fast:,} a second {clock}, hccinfhir {slow:,}: {them / us:,.0f} times")
    for name, found in others.items():
        if found is not None:
            rate = round(options.members / found[0])
            print(
                f"{name}: hccpy {rate:,} a second; the million of V28 is "
                f"{found[0] / one[0] / options.members:,.0f} times as fast"
            )
