"""Print how long each payment program takes for all entities of a year, after reading.

``python tests/benchmarks/payments.py [../shared/data]``: the published files that the folder has, and made-up
inputs of the size of a year for the other programs. Nothing is asserted.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from riskmodels.payments import Payment, pay

DOMAINS = ("clinical_outcomes", "safety", "person_and_community_engagement", "efficiency_and_cost_reduction")
SCORES = ("quality", "cost", "improvement_activities", "promoting_interoperability", "part_b_payments")
HOSPITALS, ACOS, CLINICIANS, MEMBERS, EPISODES = 3_000, 500, 500_000, 200_000, 100_000


def published(root: Path) -> Iterator[tuple[str, Payment]]:
    """Yield a payment of each published file that is there."""
    hvbp = [root / "hvbp_fy2024" / f"hvbp_{name}.csv" for name in DOMAINS]
    files = {
        "hrrp 2025": ("hrrp", root / "hrrp" / "FY2025_Final_Rule_Supplemental_File.csv", 2025),
        "hvbp 2024": ("hvbp", hvbp, 2024),
        "hac 2024": ("hac", root / "hvbp_fy2024" / "FY_2024_HAC_Reduction_Program_Hospital.csv", 2024),
        **{f"mssp {year}": ("mssp", root / "mssp" / f"PY{year}.csv", year) for year in (2016, 2021, 2022)},
        **{f"aco-reach {year}": ("aco-reach", root / "reach" / "reach_performance.json", year)
           for year in (2021, 2022, 2023)},
    }  # fmt: skip
    for label, (program, paths, year) in files.items():
        if all(path.exists() for path in (paths if isinstance(paths, list) else [paths])):
            yield label, pay(program, paths, year=year)


def made_up(folder: Path) -> Iterator[tuple[str, Payment]]:
    """Yield a payment of each other program on made-up inputs of a year's size."""
    random = np.random.default_rng(0)

    def write(name: str, **columns: object) -> Path:
        path = folder / f"{name}.csv"
        pl.DataFrame(columns).write_csv(path)
        return path

    ids = [str(i) for i in range(CLINICIANS)]
    scores = {name: random.uniform(0, 100, CLINICIANS).round(2) for name in SCORES}
    path = write("mips", clinician_id=ids, **scores)
    yield f"mips, {CLINICIANS:,} clinicians", pay("mips", path, year=2026, scaling_factor="solve")

    rates = write("rates", county=["a", "b"], ffs_rate=[1000, 1200], quartile=[1, 4])
    members = write(
        "members",
        member_id=ids[:MEMBERS],
        county=random.choice(["a", "b"], MEMBERS),
        months=random.integers(1, 13, MEMBERS),
        raw_v28=random.uniform(0.3, 3, MEMBERS).round(3),
    )
    paid = pay("ma-capitation", members, year=2026, county_rates=rates, bid=950, stars=4)
    yield f"ma-capitation, {MEMBERS:,} members", paid

    who = random.integers(0, HOSPITALS, EPISODES).astype(str)
    target = random.uniform(2e4, 4e4, EPISODES).round(2)
    episodes = write(
        "episodes",
        participant_id=who,
        episode_category=random.choice(["AMI", "LEJR"], EPISODES),
        target_price=target,
        cost=(target * random.uniform(0.5, 1.5, EPISODES)).round(2),
    )
    for program, year, top in (("bpci-advanced", 2020, 100), ("team", 2027, 100), ("cjr", 2019, 20)):
        every = [str(i) for i in range(HOSPITALS)]
        quality = write("quality", participant_id=every, track=["3"] * HOSPITALS,
                        composite_quality_score=random.uniform(0, top, HOSPITALS).round(1))  # fmt: skip
        label = f"{program}, {EPISODES:,} episodes of {HOSPITALS:,}"
        yield label, pay(program, episodes, year=year, quality=quality)

    practices = write(
        "practices",
        practice_id=ids[:HOSPITALS],
        mean_risk_score=random.uniform(0.8, 2.5, HOSPITALS),
        beneficiary_months=random.integers(1000, 20_000, HOSPITALS),
    )
    yield f"primary-care, {HOSPITALS:,} practices", pay("primary-care", practices, year=2023)

    contract = folder / "contract.toml"
    contract.write_text(
        'title = "x"\nyear = 2025\nentity = "provider"\n[inputs]\ntarget = { column = "target" }\n'
        'actual = { column = "actual" }\n[[step]]\nname = "shared"\n'
        'formula = "max(target - actual, 0) * 0.5"\n',
        encoding="utf-8",
    )
    figures = write("figures", provider=ids[:ACOS], target=[100] * ACOS, actual=random.uniform(80, 120, ACOS))
    yield f"contract, {ACOS} providers", pay("contract", [contract, figures], year=2025)


def measure(payment: Payment) -> tuple[float, float]:
    """Return the seconds of a settlement (the best of three) and of an audit of its first entity."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        settlement = payment.program.settle(payment.inputs, payment.rules)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    payment.audit(settlement.frame[payment.program.entity][0])
    return min(times), time.perf_counter() - start


def main() -> None:
    """Print a line a program: entities, seconds to settle all, seconds of one audit."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "payments"
    lines = [f"{'program':<48} {'entities':>9} {'settle, s':>10} {'audit, s':>9}"]
    with tempfile.TemporaryDirectory() as folder:
        for source in (published(root), made_up(Path(folder))):
            for label, payment in source:
                settle, audit = measure(payment)
                lines.append(f"{label:<48} {len(payment.entities):>9,} {settle:>10.3f} {audit:>9.3f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
