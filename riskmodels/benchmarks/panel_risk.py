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

__all__ = ["RISKS", "add_risk", "risk_model"]

RISKS = ("model", "hcc", "demographics", "none")
LEAST = 1e-6


def risk_model(model: "str | Path | CostBundle | None", tracking_uri: str | None = None) -> "CostBundle":
    """Return the model of expected cost that says the risk of panels.

    Raises
    ------
    SpecError
        The model uses features of role ``predict`` or a year's own diagnoses, or is missing.
    """
    from riskmodels.learning.cost_bundle import CostBundle
    from riskmodels.learning.registry import load_model

    if model is None:
        raise SpecError("risk='model' needs a model of expected cost: give model=, or --model")
    bundle = load_model(model, tracking_uri, kind=CostBundle) if isinstance(model, str | Path) else model
    refuse_predict_features(bundle.contract.columns, f"the model {bundle.name}", bundle.task.name)
    if bundle.concurrent:
        raise SpecError(
            f"the model {bundle.name} is concurrent: it would expect what is coded in the year itself\n"
            "Fix: train one without --concurrent"
        )
    return bundle


def add_risk(cases: pl.DataFrame, history: "History", risk: "str | CostBundle") -> tuple[pl.DataFrame, str]:
    """Return the cases with a column `risk`, above 0, and the version of what said it.

    Its scale does not matter: panels are compared with everyone of the same year and enrolment category.

    Parameters
    ----------
    risk : {"hcc", "demographics", "none"} or CostBundle
    """
    if not isinstance(risk, str):
        from riskmodels.features import build_features

        features = build_features(history, cases, risk.feature_set)
        return _with(cases, risk.predict(features.frame.drop("index_id"))), f"{risk.name} {risk.version}"
    if risk == "none":
        return cases.with_columns(risk=pl.lit(1.0)), "none"
    if risk == "demographics":
        age = ((cases["index_time"].dt.date() - cases["birth_date"]).dt.total_days() / 365.25).to_numpy()
        months = cases["member_months"].to_numpy()
        cells = demographic_cells(age, cases["sex"], cases["cost"].to_numpy() / months, months)
        return _with(cases, expected_of_cells(cells, age, cases["sex"])), "demographics"
    scores = hcc_of_cases(history, cases)
    joined = cases.join(scores, on="index_id", how="left", maintain_order="left")
    mean = float(np.nanmean(joined["hcc"].cast(pl.Float64).to_numpy()))
    return _with(cases, joined["hcc"].fill_null(mean).to_numpy()), "CMS-HCC"


def _with(cases: pl.DataFrame, risk: np.ndarray) -> pl.DataFrame:
    return cases.with_columns(pl.Series("risk", np.maximum(risk, LEAST)))
