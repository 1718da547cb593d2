"""Fit a model of expected cost and measure it beside demographics and HCC scores on persons held out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.errors import DataError, SpecError
from riskmodels.pipeline.fit import EXPLAINED_ROWS, interval_of, parts_of, trained_on, training_summary
from riskmodels.pipeline.plan import TrainingPlan
from riskmodels.pipeline.tables import InMemory
from riskmodels.pipeline.training_data import TrainingSet

if TYPE_CHECKING:
    from riskmodels.engines import Engine
    from riskmodels.evaluation import CostComparison, CostEvaluation
    from riskmodels.features import FeatureSet
    from riskmodels.learning.cost_bundle import CostBundle

__all__ = ["FittedCost", "at_their_years", "fit_cost", "refuse_sparse"]

logger = logging.getLogger(__name__)

# A year's own diagnoses add up: a log link multiplies them, and a few persons come out far too dear.
METHODS = {"prospective": "tweedie", "concurrent": "squared"}
HCC, DEMOGRAPHICS = "HCC score", "Demographics"
MONTHS = 12
DAYS = 365
FEWEST_PERSONS = 110  # eleven a tenth of the expectation
METRICS = ("r2", "cpm", "predictive_ratio", "mae")


@dataclass(frozen=True)
class FittedCost:
    """A model of expected cost, its evidence, and what it was learned from.

    Parameters
    ----------
    bundle : CostBundle
    evaluation : CostEvaluation
        On the persons held out; yearly cost, truncated as the task says.
    comparison : CostComparison
        The model, its rivals, the HCC score alone, and age and sex alone, on the same rows.
    untruncated : CostComparison
        The same with every claim in full.
    drivers : DataFrame
        See `riskmodels.evaluation.summarise_drivers`.
    summary : dict
        See `riskmodels.pipeline.fit.training_summary`.
    held_out : DataFrame
        Index case, person, cost, exposure and expected cost of the rows held out; it stays in memory.
    held_out_features : DataFrame
        Features of the same rows.
    """

    bundle: "CostBundle"
    evaluation: "CostEvaluation"
    comparison: "CostComparison"
    untruncated: "CostComparison"
    drivers: pl.DataFrame
    summary: Mapping[str, Any]
    held_out: pl.DataFrame = field(repr=False)
    held_out_features: pl.DataFrame = field(repr=False)


def fit_cost(
    data: TrainingSet, plan: TrainingPlan, *, concurrent: bool = False, rivals: Sequence[str] = ()
) -> FittedCost:
    """Fit the model of a plan on the ``train`` part, and measure it on the ``test`` part.

    Parameters
    ----------
    data, plan
        What to learn from, and how; `parameters` are those of `riskmodels.learning.CostModel`.
    concurrent, rivals
        See `riskmodels.pipeline.train_cost`.

    Raises
    ------
    SpecError
        The features are sparse, or there are too few persons.
    """
    from riskmodels.evaluation import compare_costs, summarise_drivers
    from riskmodels.learning import CostModel
    from riskmodels.learning.contract import DataContract
    from riskmodels.learning.cost_bundle import CostBundle
    from riskmodels.learning.tuning import history_parameters

    features, cases = data.features, data.cases
    refuse_sparse(data.feature_set)
    split = parts_of(cases, plan)
    train, test = (split.eq_missing(part) for part in ("train", "test"))
    _refuse_few(cases, train, test)
    table = features.frame.drop("index_id")
    costs = _costs(cases)
    cost, full, exposure = (costs[name].to_numpy() for name in ("cost", "full", "exposure"))
    learn, hold = train.to_numpy(), test.to_numpy()
    logger.info("fitting on %d person years, holding out %d", learn.sum(), hold.sum())
    settings: dict[str, Any] = {
        "random_state": plan.seed,
        "learning_rate": 0.1,
        **history_parameters(int(learn.sum())),
        **plan.parameters,
    }
    timing = "concurrent" if concurrent else "prospective"
    methods = list(dict.fromkeys([settings.pop("method", METHODS[timing]), *rivals]))
    models: dict[str, CostModel] = {}
    for method in methods:
        models[f"LightGBM ({method})"] = CostModel(**{**settings, "method": method}).fit(
            table.filter(train),
            cost[learn],
            groups=cases["person_id"].filter(train),
            sample_weight=exposure[learn],
            columns=features.columns,
        )
    name, model = next(iter(models.items()))
    held, persons = table.filter(test), cases["person_id"].filter(test)
    expected = {title: fitted.predict(held) for title, fitted in models.items()}
    expected |= _baselines(data, cost, exposure, learn, hold, concurrent=concurrent)
    options: dict[str, Any] = {
        "exposure": exposure[hold],
        "groups": _groups(cases.filter(test)),
        "n_bootstrap": plan.n_bootstrap,
        "seed": plan.seed,
    }
    comparison = compare_costs(cost[hold], expected, persons.to_numpy(), **options)
    untruncated = compare_costs(full[hold], expected, persons.to_numpy(), **options)
    evaluation = comparison.evaluation(name, timing=timing)
    some = held.sample(min(EXPLAINED_ROWS, held.height), seed=plan.seed)
    labels = {column.name: column.label for column in features.columns}
    summary = training_summary(data, split, plan, f"{name}, fitted by folds of persons")
    bundle = CostBundle(
        model,
        data.feature_set,
        data.cohort.task,
        DataContract.from_training(
            table.filter(train),
            features.columns,
            task=data.cohort.task,
            feature_set=data.feature_set,
            history=data.history,
        ),
        {
            "name": plan.name,
            "timing": timing,
            "riskmodels_version": __version__,
            "trained_on": trained_on(summary),
            "metrics": {metric: interval_of(evaluation, metric) for metric in METRICS},
        },
    )
    held_out = costs.filter(test).with_columns(
        cases["index_id"].filter(test), persons, pl.Series("expected", expected[name])
    )
    drivers = summarise_drivers(model.explain(some), some, labels)
    return FittedCost(bundle, evaluation, comparison, untruncated, drivers, summary, held_out, held)


def refuse_sparse(feature_set: "FeatureSet | None") -> None:
    """Refuse a feature set with sparse columns."""
    if feature_set is not None and feature_set.sparse_columns:
        raise SpecError(
            f"{feature_set.name} has sparse columns, which a model of expected cost does not take\n"
            "Fix: leave them out of the feature set"
        )


def at_their_years(data: TrainingSet, engine: "Engine | None" = None) -> TrainingSet:
    """Return the training set with the features of the year whose cost is expected, not of the one before."""
    from riskmodels.features import build_features

    later = data.cases.with_columns(pl.col("index_time") + timedelta(days=DAYS))
    built = build_features(data.history, later, data.feature_set, engine=engine)
    return replace(data, table=InMemory(built))


def _costs(cases: pl.DataFrame) -> pl.DataFrame:
    """Return cost a year, truncated and in full (dollars, at least 0), and the observed share of the year."""
    below = cases.filter(pl.col("cost_untruncated") < 0).height
    if below:
        logger.info("%s person years of reversed claims cost less than nothing and count as 0", f"{below:,}")
    return cases.select(
        cost=pl.col("cost_pmpm").clip(0) * MONTHS,
        full=pl.col("cost_untruncated").clip(0) / pl.col("member_months") * MONTHS,
        exposure=pl.col("member_months") / MONTHS,
    )


def _refuse_few(cases: pl.DataFrame, *parts: pl.Series) -> None:
    for part in parts:
        persons = cases["person_id"].filter(part).n_unique()
        if persons < FEWEST_PERSONS:
            raise SpecError(
                f"fewer than {FEWEST_PERSONS} persons to learn from or to evaluate with: {persons} of "
                f"{cases['person_id'].n_unique()}\n"
                "Fix: ingest more patients, or change test_fraction in model.yaml"
            )


def _baselines(
    data: TrainingSet,
    cost: np.ndarray,
    exposure: np.ndarray,
    learn: np.ndarray,
    hold: np.ndarray,
    *,
    concurrent: bool,
) -> dict[str, np.ndarray]:
    """Return what an HCC score alone and age and sex alone expect of the persons held out."""
    from riskmodels.benchmarks.cost import ScoreBaseline, demographic_cells, expected_of_cells
    from riskmodels.benchmarks.hcc.cases import hcc_of_cases

    cases = data.cases
    age = ((cases["index_time"].dt.date() - cases["birth_date"]).dt.total_days() / 365.25).to_numpy()
    sex = cases["sex"]
    cells = demographic_cells(age[learn], sex.filter(pl.Series(learn)), cost[learn], exposure[learn])
    found = {}
    try:
        scores = cases.select("index_id").join(
            hcc_of_cases(data.history, cases, concurrent=concurrent), on="index_id", how="left",
            maintain_order="left",
        )["hcc"]  # fmt: skip
    except (DataError, SpecError) as error:
        logger.info("no HCC score to compare with: %s", str(error).splitlines()[0])
    else:
        score = scores.fill_null(float(np.nan_to_num(scores.to_numpy()).mean())).to_numpy()
        found[HCC] = ScoreBaseline.fit(score[learn], cost[learn], exposure[learn]).predict(score[hold])
    return {**found, DEMOGRAPHICS: expected_of_cells(cells, age[hold], sex.filter(pl.Series(hold)))}


def _groups(cases: pl.DataFrame) -> dict[str, pl.Series]:
    age = (cases["index_time"].dt.date() - cases["birth_date"]).dt.total_days() // 365.25
    band = pl.select(
        pl.when(age < 65).then(pl.lit("under 65")).when(age < 75).then(pl.lit("65 to 74"))
        .when(age < 85).then(pl.lit("75 to 84")).otherwise(pl.lit("85 and older"))
    ).to_series()  # fmt: skip
    return {
        "Enrolment": cases["enrolment"].cast(pl.String),
        "Age": band,
        "Sex": cases["sex"].cast(pl.String),
    }
