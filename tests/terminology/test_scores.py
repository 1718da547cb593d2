"""Comorbidity scores add up as the papers say."""

import polars as pl
import pytest

from riskmodels.errors import SpecError
from riskmodels.terminology import charlson, comorbidity_score, elixhauser


def score(codes: list[str], weights: str, grouper=charlson) -> float:
    members = grouper().assign(pl.Series(["ICD10CM"] * len(codes)), pl.Series(codes))
    patient = members.with_columns(row=pl.lit(0))
    return comorbidity_score(patient, grouper(), weights)["score"].sum()


@pytest.mark.parametrize(
    ("codes", "weights", "expected"),
    [
        pytest.param([], "charlson", 0, id="nothing"),
        pytest.param(["I21", "I252"], "charlson", 1, id="a-group-counts-once"),
        pytest.param(["I50", "N18"], "charlson", 3, id="heart-failure-and-kidney-disease"),
        pytest.param(["E119", "E112"], "charlson", 2, id="diabetes-with-complications-outranks-without"),
        pytest.param(["K703", "K704"], "charlson", 3, id="severe-liver-disease-outranks-mild"),
        pytest.param(["C18", "C78"], "charlson", 6, id="metastases-outrank-the-tumor"),
        pytest.param(["I50", "F03"], "lace", 5, id="lace-heart-failure-and-dementia"),
        pytest.param(["I50", "F03"], "quan", 4, id="quan-2011-heart-failure-and-dementia"),
    ],
)
def test_charlson_score(codes: list[str], weights: str, expected: float) -> None:
    assert score(codes, weights) == expected


def test_van_walraven_weights_may_be_negative() -> None:
    assert score(["I50", "E66"], "van_walraven", elixhauser) == 7 - 4


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(SpecError, match="did you mean 'charlson'"):
        score([], "charlton")
