"""Fit the model of a training set and measure it, beside its baselines, on patients held out."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.errors import SpecError
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.training_data import TrainingSet

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.evaluation import Evaluation
    from riskmodels.evaluation.result import Measured
    from riskmodels.features import FeatureFrame
    from riskmodels.history import History
    from riskmodels.learning import RiskModel
    from riskmodels.learning.bundle import ModelBundle

__all__ = ["Fitted", "fit", "hold_out", "interval_of", "parts_of", "trained_on", "training_summary"]

logger = logging.getLogger(__name__)

KIND = "LightGBM, calibrated on patients of their own"
MODEL, LOGISTIC, LACE = "LightGBM", "Logistic regression", "LACE"
FEWEST_OUTCOMES = 11
EXPLAINED_ROWS = 5_000
AGE_BANDS = (65, 75, 85)
DRAWN = ("drawn for logistic regression", "drawn to compare models and to see drivers")
SOFTWARE = ("lightgbm", "numpy", "polars", "scikit-learn", "shap")


@dataclass(frozen=True)
class Fitted:
    """A model, its evidence, and what it was learned from.

    Parameters
    ----------
    bundle : ModelBundle
    evaluation : Evaluation
        On the patients held out.
    baselines : DataFrame
        The model, logistic regression and LACE on the same rows; see `riskmodels.compare`.
    drivers : DataFrame
        See `riskmodels.evaluation.summarise_drivers`.
    summary : dict
        Fields of `riskmodels.reports.TrainingSummary`.
    held_out : DataFrame
        Index case, patient, outcome, risk and features of the rows held out, or of patients drawn from them;
        it stays in memory.
    held_out_features : FeatureFrame
        Features of the same rows, the sparse ones too.
    """

    bundle: "ModelBundle"
    evaluation: "Evaluation"
    baselines: pl.DataFrame
    drivers: pl.DataFrame
    summary: Mapping[str, Any]
    held_out: pl.DataFrame = field(repr=False)
    held_out_features: "FeatureFrame" = field(repr=False)


def parts_of(cases: pl.DataFrame, plan: TrainingPlan) -> pl.Series:
    """Return ``train`` or ``test`` for each case, null for those that belong to neither.

    By patient: all cases of a patient go to one side. By time: the latest share of the cases, of patients
    who are not learned from.
    """
    from riskmodels.cohorts import split_by_patient, split_by_time

    if plan.split == "patient":
        shares = {"train": 1 - plan.test_fraction, "test": plan.test_fraction}
        return split_by_patient(cases, shares, seed=plan.seed)
    times = cases["index_time"].sort()
    cutoff = times[int(len(times) * (1 - plan.test_fraction))]
    return split_by_time(cases, cutoff, new_patients_only=True)


def hold_out(cases: pl.DataFrame, plan: TrainingPlan) -> pl.Series:
    """Return the part of each case as `parts_of` does; refuse a part with too few outcomes."""
    split = parts_of(cases, plan)
    for part in ("train", "test"):
        outcomes = cases.filter(split == part)["label"].sum() or 0
        if outcomes < FEWEST_OUTCOMES:
            raise SpecError(
                f"fewer than {FEWEST_OUTCOMES} outcomes in the {part} part of {cases.height} cases: too "
                "few to learn from.\nFix: ingest more patients, or change test_fraction in model.yaml."
            )
    return split


def fit(data: TrainingSet, plan: TrainingPlan) -> Fitted:
    """Fit the model of a plan on the ``train`` part, and measure it on the ``test`` part.

    Of more rows than this process may hold, the logistic regression is fitted on drawn patients, and it, LACE
    and the drivers are measured on drawn patients.
    """
    from riskmodels.evaluation import compare, evaluate, summarise_drivers
    from riskmodels.learning import LogisticBaseline, RiskModel
    from riskmodels.learning.bundle import ModelBundle, RiskBands
    from riskmodels.learning.tuning import history_parameters

    split, history, table = hold_out(data.cases, plan), data.history, data.table
    learned, held = (split.eq_missing(part).to_numpy() for part in ("train", "test"))
    cases, test_cases = data.cases.filter(learned), data.cases.filter(held)
    logger.info("fitting on %d cases, holding out %d", cases.height, test_cases.height)
    settings = {"random_state": plan.seed, **history_parameters(cases.height), **plan.parameters}
    model = table.fit(RiskModel(**settings), data.cases, learned)
    logger.info("%s: %s rounds; fitting the baseline", MODEL, model.best_iteration_)
    risk = table.risk(model, held)
    draws, seed = plan.n_bootstrap, plan.seed
    evaluation = evaluate(
        test_cases["label"],
        risk,
        test_cases["person_id"],
        groups=_groups(test_cases, history),
        name=MODEL,
        n_bootstrap=draws,
        seed=seed,
    )

    basis = _some(data.cases, learned, table.rows_here, seed)
    known = data.cases[basis]
    logistic = LogisticBaseline(random_state=seed)
    features = table.take(basis).frame.drop("index_id")
    logistic.fit(features, known["label"], groups=known["person_id"], columns=table.columns)
    shown = _some(data.cases, held, table.rows_here, seed)
    shown_cases, test_given = data.cases[shown], table.take(shown)
    test_features = test_given.frame.drop("index_id")
    shown_risk = risk[np.searchsorted(np.flatnonzero(held), shown)]
    rivals: dict[str, Any] = {MODEL: shown_risk, LOGISTIC: logistic.predict_proba(test_features)[:, 1]}
    rivals |= _lace(test_features)
    outcome, patients = shown_cases["label"], shown_cases["person_id"]
    baselines = compare(outcome, rivals, patients, n_bootstrap=draws, seed=seed)

    rows = pl.int_range(shown_cases.height, eager=True)
    some = test_given.take(rows.sample(min(EXPLAINED_ROWS, shown_cases.height), seed=plan.seed))
    labels = {column.name: column.label for column in data.feature_set.every_column}
    drivers = summarise_drivers(model.explain(some), some.to_dense(), labels)
    summary = training_summary(data, split, plan, KIND + _fitted_by(model))
    for words, part, places in ((DRAWN[0], learned, basis), (DRAWN[1], held, shown)):
        if len(places) < part.sum():
            summary["splits"].append(_counts(data.cohort.task, words, data.cases[places]))
    bundle = ModelBundle(
        model=model,
        feature_set=data.feature_set,
        task=data.cohort.task,
        contract=table.contract(
            learned, task=data.cohort.task, feature_set=data.feature_set, history=history
        ),
        bands=RiskBands.from_predictions(risk),
        known_only=plan.known_only,
        metadata={
            "name": plan.name,
            "riskmodels_version": __version__,
            "trained_on": trained_on(summary),
            "metrics": {
                name: interval_of(evaluation, name)
                for name in ("auroc", "auprc", "brier", "calibration_slope")
            },
        },
    )
    held_out = shown_cases.select("index_id", "person_id", "label").with_columns(
        pl.Series("risk", shown_risk)
    )
    held_out = pl.concat([held_out, test_features], how="horizontal")
    return Fitted(bundle, evaluation, baselines, drivers, summary, held_out, test_given)


def _fitted_by(model: "RiskModel") -> str:
    workers = getattr(model, "n_workers_", None)
    return "" if workers is None else f", fitted by {workers} Dask workers together"


def _some(cases: pl.DataFrame, rows: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """Return the places of some rows (mask): all, or those of patients drawn until there are `most`."""
    places = np.flatnonzero(rows)
    if most is None or len(places) <= most:
        return places
    owner = cases["person_id"].gather(places).rank("dense").to_numpy() - 1
    order = np.random.default_rng(seed).permutation(int(owner.max()) + 1)
    enough = np.cumsum(np.bincount(owner)[order]) <= most
    drawn = np.zeros(len(order), dtype=bool)
    drawn[order[enough]] = True
    return places[drawn[owner]]


TRAINED_ON = (
    "n_rows",
    "n_patients",
    "n_events",
    "first_date",
    "last_date",
    "source_format",
    "data_fingerprint",
)


def _lace(features: pl.DataFrame) -> dict[str, pl.Series]:
    """Return the LACE index of each row; without the points that the data cannot tell where they cannot."""
    for name, words in (("lace_score", LACE), ("lace_known_points", f"{LACE}, known points")):
        if name in features.columns and features[name].null_count() == 0:
            return {words: features[name]}
    return {}


def _groups(cases: pl.DataFrame, history: "History") -> dict[str, pl.Series]:
    """Return the groups to look at apart: age, sex, race and ethnicity, dual eligibility."""
    from riskmodels.evaluation import band

    person = history.table("person").select("person_id", "race_ethnicity").collect()
    known = cases.join(person, on="person_id", how="left", maintain_order="left")
    years = (known["index_time"].dt.date() - known["birth_date"]).dt.total_days() / 365.25
    groups = {
        "Age": band(years.floor(), AGE_BANDS),
        "Sex": known["sex"],
        "Race and ethnicity": known["race_ethnicity"],
        "Dual eligible": known["dual"].replace_strict(
            {True: "yes", False: "no"}, default=None, return_dtype=pl.String
        ),
    }
    return {name: values for name, values in groups.items() if values.n_unique() > 1}


def interval_of(evaluation: "Measured", name: str) -> dict[str, float]:
    """Return a metric with its interval as plain data."""
    found = evaluation[name]
    return {"value": found.value, "lower": found.lower, "upper": found.upper}


def _in_a_sentence(title: str) -> str:
    """Return a title as it stands in a sentence: "an ED visit", "an unplanned readmission".

    >>> _in_a_sentence("Unplanned readmission within 30 days")
    'an unplanned readmission within 30 days'
    """
    article = "an" if title[0] in "AEIOU" else "a"
    return f"{article} {title if title[:2].isupper() else title[0].lower() + title[1:]}"


def trained_on(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model's metadata say of the data it was learned from."""
    return {key: summary[key] for key in TRAINED_ON if key in summary}


def training_summary(
    data: TrainingSet, split: pl.Series, plan: TrainingPlan, model_kind: str
) -> dict[str, Any]:
    """Return what was learned from whom, as plain data.

    Counts of outcomes are ``n_events`` and ``events``; of a task of cost there is ``cost_pmpm``, in dollars a
    person and month, in their place.
    """
    cases, task, history = data.cases, data.cohort.task, data.history
    parts = [
        _counts(task, words, cases.filter(split == part))
        for part, words in (("train", "learned from"), ("test", "held out to evaluate"))
    ]
    first, last = cases["index_time"].min(), cases["index_time"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return {
        "task": task.name,
        "title": task.title,
        "outcome": _in_a_sentence(task.title),
        "unit": task.unit,
        "n_rows": cases.height,
        "n_patients": cases["person_id"].n_unique(),
        **_outcomes(task, cases, "n_events"),
        "model_name": plan.name,
        "model_kind": model_kind,
        "source_format": history.manifest.source_format,
        "data_fingerprint": history.fingerprint,
        "first_date": first.date().isoformat(),
        "last_date": last.date().isoformat(),
        "as_of": "" if history.as_of is None else str(history.as_of),
        "created": datetime.now(UTC).date().isoformat(),
        "attrition": data.cohort.attrition.to_dicts(),
        "splits": parts,
        "features": [
            {"name": c.name, "label": c.label, "role": c.role, "kind": c.kind}
            for c in data.features.every_column
        ],
        "parameters": plan.to_dict(),
        "versions": {"riskmodels": __version__, **{name: metadata.version(name) for name in SOFTWARE}},
        "limitations": data.unknown_codes.limitations(),
    }


def _counts(task: "Task", words: str, part: pl.DataFrame) -> dict[str, Any]:
    """Return how many cases, patients and outcomes a part has."""
    patients = part["person_id"].n_unique()
    return {"name": words, "rows": part.height, "patients": patients, **_outcomes(task, part, "events")}


def _outcomes(task: "Task", cases: pl.DataFrame, name: str) -> dict[str, Any]:
    if task.outcome.event == "cost":
        cost, months = (float(cases[column].sum()) for column in ("cost", "member_months"))
        return {"cost_pmpm": cost / months if months else None}
    return {name: int(cases["label"].sum())}
