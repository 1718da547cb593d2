"""How costly a panel's patients are to be expected: by a cost model, an HCC score, or age and sex."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from riskmodels.benchmarks.cost import demographic_cells, expected_of_cells
from riskmodels.benchmarks.expected import refuse_predict_features
from riskmodels.benchmarks.hcc.cases import hcc_of_cases
from riskmodels.errors import SpecError

if TYPE_CHECKING:
    from riskmodels.history import History
    from riskmodels.learning.cost_bundle import CostBundle

__all__ = ["RISKS", "add_risk"]

RISKS = ("model", "hcc", "demographics", "none")
LEAST = 1e-6


def add_risk(
    cases: pl.DataFrame, history: "History", risk: str, model: "str | Path | CostBundle | None"
) -> tuple[pl.DataFrame, str]:
    """Return the cases with a column `risk`, above 0, and the version of what said it.

    Its scale does not matter: panels are compared with everyone of the same year and enrolment category.

    Raises
    ------
    SpecError
        The model uses features of role ``predict`` or a year's own diagnoses, or is missing.
    """
    if risk == "none":
        return cases.with_columns(risk=pl.lit(1.0)), "none"
    if risk == "demographics":
        age = ((cases["index_time"].dt.date() - cases["birth_date"]).dt.total_days() / 365.25).to_numpy()
        months = cases["member_months"].to_numpy()
        cells = demographic_cells(age, cases["sex"], cases["cost"].to_numpy() / months, months)
        return _with(cases, expected_of_cells(cells, age, cases["sex"])), "demographics"
    if risk == "hcc":
        scores = hcc_of_cases(history, cases)
        joined = cases.join(scores, on="index_id", how="left", maintain_order="left")
        mean = float(np.nanmean(joined["hcc"].cast(pl.Float64).to_numpy()))
        return _with(cases, joined["hcc"].fill_null(mean).to_numpy()), "CMS-HCC"
    if model is None:
        raise SpecError("risk='model' needs a model of expected cost: give model=, or --model FOLDER")
    from riskmodels.features import build_features
    from riskmodels.learning.cost_bundle import CostBundle

    bundle = CostBundle.load(model) if isinstance(model, str | Path) else model
    refuse_predict_features(bundle.contract.columns, f"the model {bundle.name}", bundle.task.name)
    if bundle.concurrent:
        raise SpecError(
            f"the model {bundle.name} is concurrent: it would expect what is coded in the year itself\n"
            "Fix: train one without --concurrent"
        )
    features = build_features(history, cases, bundle.feature_set)
    return _with(cases, bundle.predict(features.frame.drop("index_id"))), f"{bundle.name} {bundle.version}"


def _with(cases: pl.DataFrame, risk: np.ndarray) -> pl.DataFrame:
    return cases.with_columns(pl.Series("risk", np.maximum(risk, LEAST)))
