"""From a history to a benchmark: observed over expected, or risk-standardised rates, of each entity."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from riskmodels.benchmarks.design import design_matrix
from riskmodels.benchmarks.expected_error import expectation_error
from riskmodels.benchmarks.intervals import IntervalMethod
from riskmodels.benchmarks.observed_expected import benchmark_stays
from riskmodels.benchmarks.result import Benchmark
from riskmodels.benchmarks.stays import Stays, prepare_stays
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.evaluation.suppression import SMALLEST_CELL

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.engines import Engine
    from riskmodels.history import History
    from riskmodels.learning.bundle import ModelBundle

__all__ = ["benchmark"]

METHODS, RISKS = ("oe", "rsrr"), ("trees", "linear")


def benchmark(
    task: "str | Path | Task",
    history: "str | Path | History",
    by: str = "facility_id",
    model: "str | Path | ModelBundle | None" = None,
    *,
    method: Literal["oe", "rsrr"] = "oe",
    risk: Literal["trees", "linear"] = "trees",
    n_draws: int = 200,
    seed: int = 0,
    minimum_n: int = SMALLEST_CELL,
    suppress: bool = True,
    interval: IntervalMethod = "mid-p",
    dispersion: bool = True,
    refits: int = 0,
    folds: int = 5,
    parameters: Mapping[str, Any] | None = None,
    reference: str = "auto",
    social: str | None = None,
    social_table: Any = None,
    period: Literal["year", "quarter"] | None = None,
    tracking_uri: str | None = None,
    engine: "Engine | None" = None,
) -> Benchmark:
    """Compare observed with expected outcomes of a task, entity by entity.

    Parameters
    ----------
    task : str, path or Task
        What the outcome is.
    history : path or History
        Where it is looked for. Index cases whose follow-up was not observed are left out.
    by : str
        The column of the index cases that names the entity.
    model : str, path or ModelBundle, optional
        A model of `adjust` features only. Without one a model is fitted on this history, and each patient is
        predicted by one fitted on other patients.
    method : {"oe", "rsrr"}
        Observed over expected; or predicted over expected with a random intercept an entity, as CMS's
        risk-standardised rates: see `riskmodels.benchmarks.rsrr`.
    risk : {"trees", "linear"}
        Of method ``rsrr`` without `model`: what stands for the patients' risk beside the entities' effects.
        Cross-fitted trees, their log-odds with a slope; or the features themselves, as CMS has it.
    n_draws : int
        Bootstrap draws, of patients (``oe``) or entities (``rsrr``); 0 for none.
    minimum_n : int
        Entities with fewer stays are not assessed.
    suppress : bool
        Withhold small cells (counts of 1 to 10, and what they can be worked out from). False is for use
        inside the organisation that holds the data, such as settling a payment; it may not be published.
    interval : {"mid-p", "byar"}
        Of method ``oe``: see `riskmodels.benchmarks.intervals`.
    dispersion : bool
        Widen intervals of method ``oe`` by how far stays of one patient go together.
    refits : int
        Of method ``oe`` without `model`: fit what is expected again on so many draws of patients, and widen
        intervals by what that adds. Costs `folds` fits a draw; 0 leaves the error of the expectation out.
    folds, parameters
        Of the model that is fitted here: patient folds, and keyword arguments of `riskmodels.RiskModel`.
    reference : {"auto", "here", "model"}
        Of method ``oe``: what a ratio of 1 means: the average of this history (``here``: expected outcomes
        are calibrated to sum to the observed ones), or that of the population the model was fitted on
        (``model``). ``auto`` is ``here`` without a model and ``model`` with one.
    social : str, optional
        A social risk factor: ``dual``, ``race_ethnicity``, or a column of `social_table`, such as an index of
        area deprivation. Nothing is adjusted for it; the tables ``social``, ``social_strata`` and
        ``social_effects`` show it beside: see `riskmodels.benchmarks.social`.
    social_table : frame, optional
        person_id and the column that `social` names.
    period : {"year", "quarter"}, optional
        Adds the tables ``periods`` and ``changes``: ratios by period of discharge, and each change split into
        case mix, what changed for all entities, and what the entity itself changed.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here. What is fitted is fitted here.

    Raises
    ------
    SpecError
        The model uses a feature of role ``predict``, `by` is no column of the index cases, or an option is
        given that the others leave without effect.
    """
    from riskmodels.benchmarks.periods import check_period, period_tables
    from riskmodels.benchmarks.risk_standardised import risk_standardise_stays
    from riskmodels.benchmarks.social import social_levels, social_tables
    from riskmodels.cohorts import load_task

    for name, value, choices in (
        ("reference", reference, ("auto", "here", "model")),
        ("method", method, METHODS),
        ("risk", risk, RISKS),
    ):
        if value not in choices:
            raise SpecError(f"{name} is {value!r}. {did_you_mean(value, choices)}")
    check_period(period)
    _refuse_idle(method, risk, model is None, interval, refits)
    linear = risk == "linear"
    stays = prepare_stays(
        load_task(task),
        history,
        by,
        model,
        risk="linear" if linear else "trees",
        reference=reference,
        folds=folds,
        seed=seed,
        parameters=parameters,
        tracking_uri=tracking_uri,
        engine=engine,
    )
    levels = None if social is None else social_levels(stays.cases, stays.history, social, social_table)
    rows = stays.rows(by)
    if method == "rsrr":
        design, names = design_matrix(stays.features.frame, stays.features.columns) if linear else (None, ())
        own = {"model": "linear, fitted with the entities' effects", "model_version": "hierarchical",
               "features": [column.name for column in stays.features.columns],
               "in_sample": True} if linear else {}  # fmt: skip
        found, average_risk = risk_standardise_stays(
            rows,
            by=by,
            design=design,
            names=names,
            n_draws=n_draws,
            seed=seed,
            minimum_n=minimum_n,
            suppress=suppress,
            metadata={**stays.metadata, **own, "risk": risk if model is None else "model"},
        )
        rows = rows.with_columns(pl.Series("expected", average_risk))
    else:
        found = benchmark_stays(
            rows,
            by=by,
            n_draws=n_draws,
            seed=seed,
            minimum_n=minimum_n,
            suppress=suppress,
            interval=interval,
            dispersion=dispersion,
            expectation=_expectation(stays, by, refits, folds, seed, parameters),
            balanced=reference == "here" or (reference == "auto" and model is None),
            metadata=stays.metadata,
        )
    tables: dict[str, pl.DataFrame] = {}
    hidden = found.frame.filter("suppressed")[by].to_list()
    if levels is not None:
        tables |= social_tables(rows, levels, by=by, name=social or "", suppress=suppress, hidden=hidden)
    if period is not None:
        dated = rows.with_columns(stays.cases["index_time"])
        tables |= period_tables(
            dated, by=by, period=period, n_draws=n_draws, seed=seed, suppress=suppress, hidden=hidden
        )
    return replace(found, tables=tables)


def _refuse_idle(method: str, risk: str, fitted_here: bool, interval: str, refits: int) -> None:
    """Refuse an option that the others leave without effect, before any work is done."""
    for idle, option, of in (
        (risk == "linear" and method != "rsrr", "risk='linear'", "method='rsrr'"),
        (
            risk == "linear" and not fitted_here,
            "risk='linear'",
            "a risk fitted here, without a model",
        ),
        (interval != "mid-p" and method != "oe", f"interval={interval!r}", "method='oe'"),
        (refits > 0 and method != "oe", "refits", "method='oe', since rates hold the error of their fit"),
        (refits > 0 and not fitted_here, "refits", "an expectation that is fitted here, without a model"),
    ):
        if idle:
            raise SpecError(f"{option} is for {of}\nFix: leave one of the two out")


def _expectation(
    stays: Stays,
    by: str,
    refits: int,
    folds: int,
    seed: int,
    parameters: Mapping[str, Any] | None,
) -> float:
    """Return by what factor the error of the fitted expectation widens the variance; 1 if it is not asked."""
    if refits == 0:
        return 1.0
    assert stays.expected is not None
    return expectation_error(
        stays.features.frame,
        stays.outcome,
        stays.cases["person"].to_numpy(),
        stays.features.columns,
        stays.cases[by].cast(pl.String).rank("dense").to_numpy().astype(np.int64) - 1,
        stays.expected.risk,
        refits=refits,
        folds=folds,
        seed=seed,
        parameters=parameters,
    )
