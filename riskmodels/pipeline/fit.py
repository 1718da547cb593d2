"""Fit the model of a training set and measure it, beside its baselines, on patients held out."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import polars as pl

from riskmodels import __version__
from riskmodels.errors import SpecError
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.training_data import TrainingSet

if TYPE_CHECKING:
    from riskmodels.evaluation import Evaluation
    from riskmodels.features import FeatureFrame
    from riskmodels.history import History
    from riskmodels.learning.bundle import ModelBundle

__all__ = ["Fitted", "fit", "hold_out", "interval_of"]

logger = logging.getLogger(__name__)

MODEL, LOGISTIC, LACE = "LightGBM", "Logistic regression", "LACE"
FEWEST_OUTCOMES = 11
EXPLAINED_ROWS = 5_000
AGE_BANDS = (65, 75, 85)
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
        Index case, patient, outcome, risk and features of the rows held out; it stays in memory.
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


def hold_out(cases: pl.DataFrame, plan: TrainingPlan) -> pl.Series:
    """Return ``train`` or ``test`` for each case, null for those that belong to neither.

    By patient: all cases of a patient go to one side. By time: the latest share of the cases, of patients
    who are not learned from.
    """
    from riskmodels.cohorts import split_by_patient, split_by_time

    if plan.split == "patient":
        shares = {"train": 1 - plan.test_fraction, "test": plan.test_fraction}
        split = split_by_patient(cases, shares, seed=plan.seed)
    else:
        times = cases["index_time"].sort()
        cutoff = times[int(len(times) * (1 - plan.test_fraction))]
        split = split_by_time(cases, cutoff, new_patients_only=True)
    for part in ("train", "test"):
        outcomes = cases.filter(split == part)["label"].sum() or 0
        if outcomes < FEWEST_OUTCOMES:
            raise SpecError(
                f"fewer than {FEWEST_OUTCOMES} outcomes in the {part} part of {cases.height} cases: too "
                "few to learn from.\nFix: ingest more patients, or change test_fraction in model.yaml."
            )
    return split


def fit(data: TrainingSet, plan: TrainingPlan) -> Fitted:
    """Fit the model of a plan on the ``train`` part, and measure it on the ``test`` part."""
    from riskmodels.evaluation import compare, evaluate, summarise_drivers
    from riskmodels.learning import LogisticBaseline, RiskModel
    from riskmodels.learning.bundle import ModelBundle, RiskBands
    from riskmodels.learning.contract import DataContract
    from riskmodels.learning.tuning import history_parameters

    split = hold_out(data.cases, plan)
    history = data.history
    columns = data.features.columns
    given, test_given = data.features.filter(split == "train"), data.features.filter(split == "test")
    features, test_features = (part.frame.drop("index_id") for part in (given, test_given))
    cases, test_cases = data.cases.filter(split == "train"), data.cases.filter(split == "test")
    logger.info("fitting on %d cases, holding out %d", cases.height, test_cases.height)
    settings = {"random_state": plan.seed, **history_parameters(cases.height), **plan.parameters}
    model = RiskModel(**settings)
    model.fit(given, cases["label"], groups=cases["person_id"])
    logger.info("%s: %s rounds; fitting the baseline", MODEL, model.best_iteration_)
    logistic = LogisticBaseline(random_state=plan.seed)
    logistic.fit(features, cases["label"], groups=cases["person_id"], columns=columns)

    risk = model.predict_proba(test_given)[:, 1]
    outcome, patients = test_cases["label"], test_cases["person_id"]
    draws, seed = plan.n_bootstrap, plan.seed
    evaluation = evaluate(
        outcome, risk, patients, groups=_groups(test_cases, history), name=MODEL, n_bootstrap=draws, seed=seed
    )
    rivals: dict[str, Any] = {MODEL: risk, LOGISTIC: logistic.predict_proba(test_features)[:, 1]}
    rivals |= _lace(test_features)
    baselines = compare(outcome, rivals, patients, n_bootstrap=draws, seed=seed)

    rows = pl.int_range(test_cases.height, eager=True)
    some = test_given.take(rows.sample(min(EXPLAINED_ROWS, test_cases.height), seed=plan.seed))
    labels = {column.name: column.label for column in data.features.every_column}
    drivers = summarise_drivers(model.explain(some), some.to_dense(), labels)
    summary = _summary(data, split, plan)
    bundle = ModelBundle(
        model=model,
        feature_set=data.feature_set,
        task=data.cohort.task,
        contract=DataContract.from_training(
            features,
            columns,
            task=data.cohort.task,
            feature_set=data.feature_set,
            history=history,
            sparse_columns=data.features.sparse_columns,
        ),
        bands=RiskBands.from_predictions(risk),
        known_only=plan.known_only,
        metadata={
            "name": plan.name,
            "riskmodels_version": __version__,
            "trained_on": {key: summary[key] for key in _TRAINED_ON},
            "metrics": {
                name: interval_of(evaluation, name)
                for name in ("auroc", "auprc", "brier", "calibration_slope")
            },
        },
    )
    held_out = test_cases.select("index_id", "person_id", "label").with_columns(pl.Series("risk", risk))
    held_out = pl.concat([held_out, test_features], how="horizontal")
    return Fitted(bundle, evaluation, baselines, drivers, summary, held_out, test_given)


_TRAINED_ON = (
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


def interval_of(evaluation: "Evaluation", name: str) -> dict[str, float]:
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


def _summary(data: TrainingSet, split: pl.Series, plan: TrainingPlan) -> dict[str, Any]:
    cases, task, history = data.cases, data.cohort.task, data.history
    parts: list[dict[str, Any]] = []
    for name, words in (("train", "learned from"), ("test", "held out to evaluate")):
        part = cases.filter(split == name)
        parts.append(
            {
                "name": words,
                "rows": part.height,
                "patients": part["person_id"].n_unique(),
                "events": int(part["label"].sum()),
            }
        )
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
        "n_events": int(cases["label"].sum()),
        "model_name": plan.name,
        "model_kind": "LightGBM, calibrated on patients of their own",
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
    }
