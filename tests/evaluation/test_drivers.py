"""Summaries of SHAP values: strength, direction and bins, without a patient."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.evaluation import summarise_drivers

N = 600


@pytest.fixture
def explained():
    """Features with known effects on the log-odds."""
    random = np.random.default_rng(0)
    visits = random.poisson(0.8, N).astype(float)
    age = random.integers(20, 100, N).astype(float)
    sex = np.where(np.arange(N) < 5, "unknown", np.where(np.arange(N) % 2, "F", "M"))
    lab = np.where(np.arange(N) % 3 == 0, np.nan, random.normal(0, 1, N))
    X = pl.DataFrame({"visits": visits, "age": age, "sex": sex, "lab": lab})
    shap_values = pd.DataFrame(
        {
            "visits": 0.4 * (visits - visits.mean()),
            "age": -0.01 * (age - age.mean()),
            "sex": np.where(sex == "F", 0.1, -0.1),
            "lab": np.where(np.isnan(lab), 0.02, np.where(np.abs(lab) > 1, 0.05, -0.05)),
        }
    )
    return shap_values, X


def test_the_strongest_driver_comes_first_with_its_share(explained):
    shap_values, X = explained
    found = summarise_drivers(shap_values, X, {"visits": "ED visits in the last 90 days"})
    strengths = shap_values.abs().mean().sort_values(ascending=False)
    assert found["feature"].to_list() == strengths.index.to_list()
    assert found["mean_abs_shap"].to_list() == pytest.approx(strengths.to_list())
    assert found["share"].sum() == pytest.approx(1)
    assert found["label"][0] == "ED visits in the last 90 days"


def test_direction_says_which_way_a_value_moves_risk(explained):
    found = summarise_drivers(*explained)
    assert dict(found.select("feature", "direction").iter_rows()) == {
        "visits": "higher raises risk",
        "age": "higher lowers risk",
        "sex": "by level",
        "lab": "mixed",
    }


def test_bins_hold_the_mean_effect_of_their_rows(explained):
    shap_values, X = explained
    found = summarise_drivers(shap_values, X)
    visits = {b["bin"]: b for b in found.row(by_predicate=pl.col("feature") == "visits", named=True)["bins"]}
    none = X["visits"].to_numpy() == 0
    assert visits["0"]["n"] == none.sum()
    assert visits["0"]["mean_shap"] == pytest.approx(shap_values["visits"][none].mean())
    lab = found.row(by_predicate=pl.col("feature") == "lab", named=True)["bins"]
    assert lab[-1]["bin"] == "missing"
    assert lab[-1]["mean_shap"] == pytest.approx(0.02)


def test_a_bin_of_fewer_than_eleven_rows_is_left_out(explained):
    sex = summarise_drivers(*explained).row(by_predicate=pl.col("feature") == "sex", named=True)["bins"]
    assert [b["bin"] for b in sex] == ["F", "M"]


def test_a_constant_feature_has_no_direction():
    found = summarise_drivers(pl.DataFrame({"x": [0.0] * 20}), pl.DataFrame({"x": [1.0] * 20}))
    assert found["direction"].item() == "mixed"
    assert found["share"].item() == 0


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pl.DataFrame({"x": [1.0]}), "shap_values has 2 rows and X has 1"),
        (pl.DataFrame({"z": [1.0, 2.0]}), "X lacks 'x'"),
    ],
    ids=["rows differ", "feature missing"],
)
def test_frames_that_do_not_belong_together_are_refused(X, message):
    with pytest.raises(DataError, match=message):
        summarise_drivers(pl.DataFrame({"x": [0.1, 0.2]}), X)
