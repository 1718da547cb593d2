"""The whole flow on simulated patients: simulate, check, train, score, benchmark, pay, report."""

import logging
import time
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import StoreError
from riskmodels.pipeline.reporting import report
from riskmodels.pipeline.training import train

__all__ = ["demo"]

logger = logging.getLogger(__name__)

TASK = "readmission-30d"
YEAR = 2025
AS_OF = date(2023, 10, 1)
MARK = "riskmodels-demo.txt"


def demo(out: Path, *, patients: int = 30_000, seed: int = 0) -> str:
    """Run the whole flow on simulated patients; return a summary that ends with the report's path.

    Parameters
    ----------
    out : path
        Folder for everything that is made. What an earlier demo left there is replaced.
    patients : int
        How many to simulate.
    seed : int
        Of the simulation and of the model.

    Raises
    ------
    StoreError
        `out` holds something that is not a demo's.
    """
    from riskmodels.benchmarks import benchmark
    from riskmodels.datasets import simulate
    from riskmodels.history import check
    from riskmodels.payments import pay
    from riskmodels.scoring import score

    started = time.monotonic()
    _clear(out)
    tracking_uri = f"sqlite:///{(out / 'mlflow.db').as_posix()}"

    logger.info("1 of 6: simulating %s patients", f"{patients:,}")
    simulation = simulate(patients, seed=seed)
    history = simulation.write(out / "history")
    quality = check(history)

    logger.info("2 of 6: training and evaluating")
    trained = train(TASK, history, seed=seed, tracking_uri=tracking_uri, promote=True)

    logger.info("3 of 6: scoring as of %s", AS_OF)
    champion = f"models:/{trained.logged.name}/{trained.logged.version}"
    scores = score(champion, history, as_of=AS_OF, out=out / "scores", tracking_uri=tracking_uri)

    logger.info("4 of 6: benchmarking hospitals")
    hospitals = benchmark(TASK, history, seed=seed)
    hospitals.write(out / "benchmark.parquet")

    logger.info("5 of 6: settling the readmissions program")
    inputs = _payment_inputs(simulation.facilities, out)
    payment = pay("hrrp", out / "benchmark.parquet", year=YEAR, **inputs)
    payment.write(out / "payment.csv", out / "payment_detail.csv")

    logger.info("6 of 6: writing the report")
    page = report(
        trained.logged.uri,
        out / "report.html",
        benchmark=out / "benchmark.parquet",
        payment=out / "payment.csv",
        tracking_uri=tracking_uri,
    )
    auroc = trained.evaluation["auroc"]
    penalised = payment.frame.filter(pl.col("payment_reduction") > 0)
    at_stake = penalised["payment_reduction_dollars"].sum()
    return "\n".join(
        [
            f"{patients:,} simulated patients, odd rows of {len(quality.odd)} kinds (riskmodels check)",
            f"{TASK}: AUROC {auroc.value:.3f} ({auroc.lower:.3f}-{auroc.upper:.3f}) on patients held out",
            scores.to_text(),
            hospitals.to_text(),
            f"hrrp {YEAR}: {penalised.height} of {payment.frame.height} hospitals lose ${at_stake:,.0f}",
            f"Everything is in {out}, made in {time.monotonic() - started:.0f} s. Open the report:",
            str(page),
        ]
    )


def _clear(out: Path) -> None:
    """Make `out` an empty folder; refuse one that holds anything but an earlier demo."""
    import shutil

    if out.exists():
        if any(out.iterdir()) and not (out / MARK).is_file():
            raise StoreError(
                f"{out} holds something that is not a demo.\nFix: name another folder with --out."
            )
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).write_text("Made by riskmodels demo; it may be removed.\n", encoding="utf-8")


def _payment_inputs(facilities: pl.DataFrame, out: Path) -> dict[str, Any]:
    """Write what a hospital knows of itself as the files that `riskmodels pay hrrp` takes."""
    columns = {
        "drg_ratios": ["facility_id", "drg_payment_ratio"],
        "peer_groups": ["facility_id", "dual_proportion"],
        "base_payments": ["facility_id", "base_operating_payments"],
    }
    paths = {name: out / f"{name}.csv" for name in columns}
    for name, wanted in columns.items():
        facilities.select(wanted).write_csv(paths[name])
    return paths
