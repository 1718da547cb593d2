"""Made-up members of every segment score as two other packages score them; neither is needed here."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from riskmodels.benchmarks.hcc import MODELS, hcc_scores

YEARS = {"CMS-HCC V24": 2025}
GOLDEN = pl.read_csv(Path(__file__).with_name("golden.csv"), schema_overrides={"dual_status": pl.String})


def inputs(model: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the stored members of a model and their diagnoses."""
    members = GOLDEN.filter(pl.col("model") == model)
    codes = members.drop_nulls("code").select("person_id", pl.col("code").str.split("|")).explode("code")
    return members.drop("code"), codes


@pytest.mark.parametrize("model", MODELS)
def test_cms_conventions_score_as_the_package_checked_against_the_cms_software(model: str) -> None:
    """Every raw score equals that of risk-adjustment-model 0.7.1, which has no ages of the code editor."""
    members, codes = inputs(model)
    scores = hcc_scores(members, codes, model, YEARS.get(model, 2026), code_editor=False).frame
    known = members["reference"].is_not_null().to_numpy()
    assert known.sum() > 120
    np.testing.assert_array_equal(scores["raw"].to_numpy()[known], members["reference"].to_numpy()[known])


@pytest.mark.parametrize("model", MODELS)
def test_hccinfhir_conventions_score_as_hccinfhir(model: str) -> None:
    """Every raw score equals that of hccinfhir 0.4.0, with its departures from the CMS software."""
    members, codes = inputs(model)
    scores = hcc_scores(members, codes, model, YEARS.get(model, 2026), conventions="hccinfhir").frame
    np.testing.assert_allclose(scores["raw"].to_numpy(), members["hccinfhir"].to_numpy(), rtol=0, atol=5e-7)


@pytest.mark.parametrize(
    ("model", "segments"),
    [("CMS-HCC V24", 9), ("CMS-HCC V28", 9), ("CMS-HCC ESRD V24", 9), ("RxHCC V08", 8)],
)
def test_golden_members_are_in_every_segment(model: str, segments: int) -> None:
    """The stored members reach all segments of each model."""
    members, codes = inputs(model)
    frame = hcc_scores(members, codes, model, YEARS.get(model, 2026)).frame
    assert frame["segment"].n_unique() == segments
