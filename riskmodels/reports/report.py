"""Write one self-contained HTML file: what a run learned, how good it is, and what follows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from riskmodels.evaluation import Evaluation
from riskmodels.evaluation.compare import COMPARISON_SCHEMA
from riskmodels.evaluation.drivers import DRIVERS_SCHEMA
from riskmodels.reports.hospital_sections import benchmark_view, payment_view, withhold
from riskmodels.reports.page import write_page
from riskmodels.reports.sections import comparison_view, drivers_view, evaluation_view, training_view
from riskmodels.reports.summary import PaymentSummary, TrainingSummary
from riskmodels.reports.summary_lines import headline, tiles

__all__ = ["write_report"]

ADD = {
    "evaluation": ("How good the predictions are", "riskmodels train {task} HISTORY"),
    "drivers": ("What drives risk", "riskmodels train {task} HISTORY"),
    "benchmark": ("Hospitals", "riskmodels benchmark {task} HISTORY --by {by} --out FILE.parquet"),
    "payment": ("What it means for payments", "riskmodels pay hrrp FILE --year YEAR --out FILE.csv"),
}
STAYS, PEOPLE = TrainingSummary.unit, "person-years"


def write_report(
    path: str | Path,
    *,
    title: str,
    training: TrainingSummary | Mapping[str, Any],
    evaluation: Evaluation | Mapping[str, Any] | None = None,
    comparison: Any = None,
    drivers: Any = None,
    benchmark: Any = None,
    benchmark_metadata: Mapping[str, Any] | None = None,
    payment: Any = None,
    payment_summary: PaymentSummary | Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    created: datetime | None = None,
) -> Path:
    """Write the report of a run; a section without its input is left out and named.

    Parameters
    ----------
    path : path
        The HTML file; written whole or not at all.
    title : str
        Heading of the page.
    training : TrainingSummary or dict
        What was learned from whom.
    evaluation : Evaluation or dict, optional
        On patients that were kept back.
    comparison : frame, optional
        From :func:`riskmodels.evaluation.compare`, on the same rows.
    drivers : frame, optional
        From :func:`riskmodels.evaluation.summarise_drivers`.
    benchmark : frame, optional
        One row a hospital: entity (first column), n, observed, expected, ratio, ratio_lower, ratio_upper, and
        where it has them rate, suppressed and funnel limits.
    benchmark_metadata : mapping, optional
        How the expected numbers came about: model, features, auroc.
    payment : frame, optional
        One row a hospital: entity (first column), payment_adjustment_factor, payment_reduction, and where it
        has them payment_reduction_dollars and the limits ``…_lower`` and ``…_upper``.
    payment_summary : PaymentSummary or dict, optional
        The program and the rules that were used.
    warnings : sequence of str
        What stands above all else: a very small sample, simulated data.
    created : datetime, optional
        When the report was written; now, where it is None.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    DataError
        Where an input lacks what it must have.
    """
    training = training if isinstance(training, TrainingSummary) else TrainingSummary.from_dict(training)
    if evaluation is not None and not isinstance(evaluation, Evaluation):
        evaluation = Evaluation.from_dict(dict(evaluation))
    if payment_summary is None:
        payment_summary = PaymentSummary("Payment")
    elif not isinstance(payment_summary, PaymentSummary):
        payment_summary = PaymentSummary.from_dict(payment_summary)
    drivers, comparison = _frame(drivers, DRIVERS_SCHEMA), _frame(comparison, COMPARISON_SCHEMA)
    hospitals, hidden = None, set()
    if (given := _frame(benchmark)) is not None:
        safe = withhold(given)
        hidden = set(safe.filter("suppressed")[safe.columns[0]].cast(pl.String))
        hospitals = benchmark_view(safe, benchmark_metadata or {})
    paid = _frame(payment)
    pays = None if paid is None else payment_view(paid, payment_summary, hidden)
    given_inputs = {"evaluation": evaluation, "drivers": drivers, "benchmark": hospitals, "payment": pays}
    # People of a population belong to no hospital, and the readmissions program is about stays.
    by = "attributed_provider" if training.unit == PEOPLE else "facility_id"
    named = " ".join(filter(None, (training.model_name, training.model_version)))
    written = (created or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    meta = (training.title if training.title != title else "", f"Model {named}" if named else "")
    return write_page(
        path,
        "report.html",
        title=title,
        meta=" · ".join([*filter(None, meta), f"written {written}"]),
        training=training,
        learned=training_view(training),
        lines=headline(training, evaluation, comparison, drivers, hospitals, pays),
        tiles=tiles(training, evaluation, hospitals, pays),
        warnings=[*warnings, *(evaluation.warnings if evaluation is not None else ())],
        evaluation=None if evaluation is None else evaluation_view(evaluation),
        settings=None if evaluation is None else evaluation.settings,
        size=None if evaluation is None else evaluation,
        comparison=None
        if comparison is None or evaluation is None
        else comparison_view(comparison, evaluation),
        drivers=None if drivers is None else drivers_view(drivers),
        benchmark=hospitals,
        payment=pays,
        absent=[
            (name, command.format(task=training.task, by=by))
            for key, (name, command) in ADD.items()
            if given_inputs[key] is None and (key != "payment" or training.unit == STAYS)
        ],
        created=written,
    )


def _frame(given: Any, schema: Mapping[str, Any] | None = None) -> pl.DataFrame | None:
    """Return a frame; columns that came through JSON or CSV without a value get their type back."""
    if given is None:
        return None
    frame = nw.from_native(given, eager_only=True).to_polars()
    return frame.cast({name: kind for name, kind in (schema or {}).items() if name in frame.columns})
