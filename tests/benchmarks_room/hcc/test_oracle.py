"""Where hccinfhir or risk-adjustment-model is installed, new made-up members score as they score them."""

import numpy as np
import pytest
from hcc_oracle import arbitrary, hccinfhir_scores, random_members, reference_scores, shared

from riskmodels.benchmarks.hcc import MODELS, hcc_scores

YEARS = {"CMS-HCC V24": 2025}
SEED = 20260201


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_hccinfhir_conventions_equal_hccinfhir(model: str) -> None:
    """100,000 random members of all segments have hccinfhir's raw score."""
    pytest.importorskip("hccinfhir", reason="compares with hccinfhir 0.4.0, which is not installed")
    members, codes = random_members(model, 100_000, SEED)
    raw = (
        hcc_scores(members, codes, model, YEARS.get(model, 2026), conventions="hccinfhir")
        .frame["raw"]
        .to_numpy()
    )
    settled = (
        ~arbitrary(members, codes).to_numpy() if model == "CMS-HCC V28" else np.ones(len(raw), dtype=bool)
    )
    np.testing.assert_allclose(
        raw[settled], hccinfhir_scores(members, codes, model)[settled], rtol=0, atol=5e-7
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_cms_conventions_equal_the_package_checked_against_the_cms_software(model: str) -> None:
    """20,000 random members of all its segments have risk-adjustment-model's raw score."""
    pytest.importorskip(
        "risk_adjustment_model", reason="compares with risk-adjustment-model 0.7.1, not installed"
    )
    members, codes = random_members(model, 20_000, SEED)
    codes = shared(codes, model)
    scores = hcc_scores(members, codes, model, YEARS.get(model, 2026), code_editor=False)
    theirs = reference_scores(members, codes, model)
    known = ~np.isnan(theirs)
    np.testing.assert_allclose(scores.frame["raw"].to_numpy()[known], theirs[known], rtol=0, atol=5e-4)
