"""The report of a run: fetch its evidence, add a benchmark and a payment, write one HTML page."""

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError, RegistryError
from riskmodels.pipeline.registering import BASELINES, DRIVERS, SUMMARY

__all__ = ["report"]

EVALUATION = "evaluation.json"


def report(
    run: str | Path,
    out: str | Path,
    *,
    benchmark: str | Path | None = None,
    payment: str | Path | None = None,
    tracking_uri: str | None = None,
) -> Path:
    """Write the report of a training run as one self-contained HTML file.

    Parameters
    ----------
    run : str
        An MLflow run id, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
    out : path
        The HTML file.
    benchmark, payment : path, optional
        What `riskmodels benchmark` and `riskmodels pay` wrote.

    Raises
    ------
    DataError
        `out` is no HTML file, or `benchmark` or `payment` lacks a column.
    RegistryError
        There is no such run, or it holds no evaluation.
    """
    from riskmodels.benchmarks import read_benchmark
    from riskmodels.learning.registry import fetch_run
    from riskmodels.reports import write_report

    if Path(out).suffix not in (".html", ".htm"):
        raise DataError("a report is a page", file=out, fix="end it in .html")
    with tempfile.TemporaryDirectory() as folder:
        files = fetch_run(run, folder, tracking_uri)
        if missing := [name for name in (SUMMARY, EVALUATION) if name not in files]:
            raise RegistryError(f"run {run} holds no {missing[0]}: it was not made by `riskmodels train`")
        kept = {
            name: json.loads(path.read_text("utf-8"))
            for name, path in files.items()
            if name in (SUMMARY, EVALUATION, BASELINES, DRIVERS)
        }
    if kept[EVALUATION].get("outcome") == "cost":
        raise RegistryError(
            f"run {run} is of a model of expected cost, which has a card and no report page\n"
            "Fix: read MODEL_CARD.md among the run's files, or report a model of a risk"
        )
    hospitals = None if benchmark is None else read_benchmark(benchmark)
    paid, rules = (None, None) if payment is None else _payment(Path(payment))
    summary = kept[SUMMARY]
    return write_report(
        out,
        title=summary["title"],
        training=summary,
        evaluation=kept[EVALUATION],
        comparison=_frame(kept.get(BASELINES)),
        drivers=_frame(kept.get(DRIVERS)),
        benchmark=None if hospitals is None else hospitals.frame,
        benchmark_metadata=None if hospitals is None else hospitals.metadata,
        payment=paid,
        payment_summary=rules,
        warnings=_warnings(summary),
    )


def _frame(rows: Any) -> pl.DataFrame | None:
    return None if rows is None else pl.DataFrame(rows, infer_schema_length=None)


def _payment(path: Path) -> tuple[pl.DataFrame, dict[str, Any] | None]:
    """Read a written payment, and the rules beside it where they are."""
    from riskmodels.payments.summary import rules_path

    if not path.is_file():
        raise DataError("there is no such payment", file=path, fix="make one with: riskmodels pay")
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
    else:
        first = pl.read_csv(path, n_rows=0).columns[0]
        frame = pl.read_csv(path, schema_overrides={first: pl.String}, infer_schema_length=None)
    if "payment_adjustment_factor" not in frame.columns:
        raise DataError(
            "a report shows what hospitals are paid under HRRP, and this file has no adjustment factors",
            file=path,
            fix="give what riskmodels pay hrrp wrote, or leave out --payment",
        )
    rules = rules_path(path)
    return frame, json.loads(rules.read_text("utf-8")) if rules.is_file() else None


def _warnings(summary: dict[str, Any]) -> list[str]:
    simulated = summary["source_format"] == "simulated"
    return (
        ["These patients are simulated: the figures show the method, not a population."] if simulated else []
    )
