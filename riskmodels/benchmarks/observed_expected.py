"""From a history to observed/expected by facility."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.benchmarks.expected import (
    Expected,
    cross_fitted_risk,
    recalibrate,
    refuse_predict_features,
)
from riskmodels.benchmarks.intervals import IntervalMethod
from riskmodels.benchmarks.result import Benchmark
from riskmodels.benchmarks.standardise import bootstrap_ratios, patient_dispersion, standardise
from riskmodels.benchmarks.suppression import suppress_small_cells
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.evaluation.suppression import SMALLEST_CELL

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.engines import Engine
    from riskmodels.history import History
    from riskmodels.learning.bundle import ModelBundle

__all__ = ["benchmark", "benchmark_stays"]

logger = logging.getLogger(__name__)


def benchmark(
    task: "str | Path | Task",
    history: "str | Path | History",
    by: str = "facility_id",
    model: "str | Path | ModelBundle | None" = None,
    *,
    n_draws: int = 200,
    seed: int = 0,
    minimum_n: int = SMALLEST_CELL,
    suppress: bool = True,
    interval: IntervalMethod = "mid-p",
    dispersion: bool = True,
    folds: int = 5,
    parameters: Mapping[str, Any] | None = None,
    reference: str = "auto",
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
    n_draws : int
        Bootstrap draws of patients; 0 for none.
    minimum_n : int
        Entities with fewer stays are not assessed.
    suppress : bool
        Withhold small cells (counts of 1 to 10, and what they can be worked out from). False is for use
        inside the organisation that holds the data, such as settling a payment; it may not be published.
    interval : {"mid-p", "byar"}
        See `riskmodels.benchmarks.intervals`.
    dispersion : bool
        Widen intervals by how far stays of one patient go together.
    folds, parameters
        Of the model that is fitted here: patient folds, and keyword arguments of `riskmodels.RiskModel`.
    reference : {"auto", "here", "model"}
        What a ratio of 1 means: the average of this history (``here``: expected outcomes are calibrated to
        sum to the observed ones), or that of the population the model was fitted on (``model``). ``auto``
        is ``here`` without a model and ``model`` with one.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here. What is fitted is fitted here.

    Raises
    ------
    SpecError
        The model uses a feature of role ``predict``, or `by` is no column of the index cases.
    """
    from riskmodels.cohorts import build_cohort, load_task
    from riskmodels.features import build_features, standard_features
    from riskmodels.history import open_history

    if reference not in ("auto", "here", "model"):
        raise SpecError(f"reference is {reference!r}. {did_you_mean(reference, ('auto', 'here', 'model'))}")
    task = load_task(task)
    bundle = _bundle(model, tracking_uri)
    if bundle is not None:
        refuse_predict_features(bundle.contract.every_column, f"the model {bundle.name}")
        if bundle.task.name != task.name:
            raise SpecError(f"the model {bundle.name} is of the task {bundle.task.name}, not of {task.name}")
    if isinstance(history, str | Path):
        history = open_history(history)
    cases = build_cohort(task, history, engine=engine).cases.filter(pl.col("label").is_not_null())
    if by not in cases.columns:
        raise SpecError(f"the index cases have no column {by!r}. {did_you_mean(by, cases.columns)}")
    cases = cases.filter(pl.col(by).is_not_null())
    if cases.is_empty():
        raise SpecError(
            f"no index case of {task.name} has both an observed follow-up and a value in {by!r}\n"
            "Fix: see what the history holds with: riskmodels check HISTORY"
        )
    outcome = cases["label"].to_numpy().astype(float)
    person = cases["person"].to_numpy()
    if bundle is None:
        feature_set = standard_features(task.name, role="adjust").select(role="adjust")
        features = build_features(history, cases, feature_set, engine=engine)
        expected = cross_fitted_risk(
            features.frame,
            outcome,
            person,
            features.columns,
            folds=folds,
            seed=seed,
            parameters=parameters,
        )
    else:
        features = build_features(history, cases, bundle.feature_set, engine=engine)
        risk = bundle.predict(features)
        if reference == "here":
            risk, _ = recalibrate(np.log(risk / (1 - risk)), outcome)
        expected = Expected(
            risk,
            {
                "model": bundle.name,
                "model_version": bundle.version,
                "features": [column.name for column in bundle.contract.every_column],
            },
        )
    stays = cases.select(by, "person", pl.col("label").alias("observed")).with_columns(
        pl.Series("expected", expected.risk)
    )
    return benchmark_stays(
        stays,
        by=by,
        n_draws=n_draws,
        seed=seed,
        minimum_n=minimum_n,
        suppress=suppress,
        interval=interval,
        dispersion=dispersion,
        balanced=reference == "here" or (reference == "auto" and bundle is None),
        metadata={
            "task": task.name,
            "task_version": task.version,
            "first_index": str(cases["index_time"].min()),
            "last_index": str(cases["index_time"].max()),
            "as_of": None if history.as_of is None else str(history.as_of),
            "history": history.fingerprint,
            **expected.source,
        },
    )


def benchmark_stays(
    stays: Any,
    *,
    by: str = "facility_id",
    n_draws: int = 200,
    seed: int = 0,
    minimum_n: int = SMALLEST_CELL,
    suppress: bool = True,
    interval: IntervalMethod = "mid-p",
    dispersion: bool = True,
    balanced: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> Benchmark:
    """Benchmark stays whose expected risk is known already, from whatever model.

    Parameters
    ----------
    stays : pandas, Polars or Arrow frame
        A row a stay: `by`, person, observed (0 or 1), expected (risk).
    balanced : bool
        Whether the expected outcomes sum to the observed ones, and shall in each draw.
    metadata : mapping, optional
        Further plain data to keep.

    See Also
    --------
    benchmark : for the other parameters.
    """
    import narwhals as nw

    from riskmodels.evaluation import auroc

    rows = nw.from_native(stays, eager_only=True).to_polars().drop_nulls(by)
    observed = rows["observed"].to_numpy().astype(float)
    risk = rows["expected"].to_numpy().astype(float)
    person = rows["person"].to_numpy()
    factor = patient_dispersion(observed, risk, person) if dispersion else 1.0
    frame = standardise(rows, entity=by, method=interval, dispersion=factor)
    if suppress:
        frame = suppress_small_cells(frame, minimum_n=minimum_n)
    else:
        frame = frame.with_columns(
            (pl.col("n") < minimum_n).alias("suppressed"),
            pl.when(pl.col("n") < minimum_n)
            .then(pl.lit(f"fewer than {minimum_n} stays"))
            .otherwise(pl.lit(""))
            .alias("note"),
        )
    known = dict(metadata or {})
    draws = bootstrap_ratios(rows, entity=by, n_draws=n_draws, seed=seed, balanced=balanced)
    shown = frame.filter(~pl.col("suppressed")).select(by)
    draws = draws.join(shown, on=by, how="semi", maintain_order="left")
    events = int(observed.sum())
    small = suppress and 0 < min(events, len(observed) - events) < SMALLEST_CELL
    frame = frame.with_columns(
        pl.lit(f"{interval}{' with patient dispersion' if dispersion else ''}").alias("method"),
        pl.lit(str(known.get("model_version", "given"))).alias("model_version"),
    )
    return Benchmark(
        frame,
        draws,
        {
            "by": by,
            "entities": frame.height,
            "n": rows.height,
            "persons": int(rows["person"].n_unique()),
            "observed": None if small else events,
            "expected": None if small else float(risk.sum()),
            "rate": None if small else float(observed.mean()),
            "auroc": None if small or events in (0, len(observed)) else float(auroc(observed, risk)),
            "interval": interval,
            "dispersion": factor,
            "n_draws": n_draws,
            "seed": seed,
            "minimum_n": minimum_n,
            "suppressed": suppress,
            "balanced": balanced,
            "riskmodels_version": __version__,
            **known,
        },
    )


def _bundle(model: "str | Path | ModelBundle | None", tracking_uri: str | None) -> "ModelBundle | None":
    if model is None:
        return None
    if isinstance(model, str | Path):
        from riskmodels.learning.registry import load_model

        return load_model(model, tracking_uri=tracking_uri)
    return model
