"""Published examples of risk scores come out as published."""

import numpy as np
import polars as pl
import pytest

from riskmodels.benchmarks.hcc import blend_shares, blended_hcc_scores, factor, hcc_scores
from riskmodels.benchmarks.hcc.factors import half_up
from riskmodels.benchmarks.hcc.tables import load_tables
from riskmodels.errors import SpecError


def raw(codes: list[str], model: str = "CMS-HCC V28", year: int = 2026, **member: object) -> float:
    """Return the raw score of one member."""
    members = pl.DataFrame([{"person_id": "a", "orec": 0, **member}])
    diagnoses = pl.DataFrame(
        {"person_id": ["a"] * len(codes), "code": codes}, schema_overrides={"code": pl.String}
    )
    return hcc_scores(members, diagnoses, model, year).frame["raw"].item()


def test_normalisation_then_coding_adjustment_each_rounded() -> None:
    """Tuva's example of 2024: 0.754 / 1.015 = 0.743, less 5.9 percent 0.699."""
    normalised, payment = factor("CMS-HCC V28", 2024).apply(np.array([0.754]))
    assert (normalised[0], payment[0]) == (0.743, 0.699)


@pytest.mark.parametrize(
    ("score", "member", "codes"),
    [
        (1.034, {"age": 70, "sex": "male"}, ["E11.69", "I50.9"]),
        (
            0.996,
            {"age": 45, "sex": "female", "orec": 1},
            ["E11.69", "I50.30", "I50.9", "I21.1", "I20.9", "R05"],
        ),
        (2.491, {"age": 76, "sex": "female"}, ["E11.69", "I50.9", "J44.9", "N18.6"]),
        (0.901, {"age": 76, "sex": "female", "new_enrollee": True}, ["E11.69", "I50.9", "J44.9", "N18.6"]),
        (0.906, {"age": 51, "sex": "male", "orec": 1, "new_enrollee": True}, ["C15.3"]),
    ],
    ids=[
        "aged-man",
        "disabled-woman",
        "four-hccs",
        "four-hccs-new-enrollee",
        "one-cancer-new-enrollee",
    ],
)
def test_v28_examples(score: float, member: dict, codes: list[str]) -> None:
    """risk_adjustment_model's test cases and Tuva's fixture of the official 2026 software."""
    assert raw(codes, **member) == score


def test_factor_of_one_cancer() -> None:
    """Tuva's fixture prints all segments of a member aged 51: HCC 20 as non-dual aged is 1.136."""
    tables = load_tables("CMS-HCC V28", "cms_hcc_v28")
    assert tables.values[tables.segment("CNA"), tables.variable("HCC20")] == 1.136


@pytest.mark.parametrize(("month", "score"), [(1, 5.985), (2, 0.941), (3, 0.941)])
def test_kidney_transplant_months_are_flat(month: int, score: float) -> None:
    """The first three months after a transplant have a factor of their own, whatever the diagnoses."""
    member = {"age": 70, "sex": "male", "graft_months": month, "orec": 2}
    assert raw(["E11.69", "I50.9"], "CMS-HCC ESRD V24", **member) == score


@pytest.mark.parametrize(
    ("member", "codes", "hccs"),
    [
        ({"age": 70, "sex": "male"}, ["T82512A"], []),
        ({"age": 70, "sex": "male"}, ["T82512A", "I509"], ["HCC223"]),
        ({"age": 70, "sex": "male"}, ["D66"], ["HCC111"]),
        ({"age": 70, "sex": "female"}, ["D66"], ["HCC112"]),
        ({"age": 49, "sex": "female"}, ["C50911"], ["HCC22"]),
        ({"age": 50, "sex": "female"}, ["C50911"], ["HCC23"]),
        ({"age": 17, "sex": "female"}, ["J449"], []),
        ({"age": 18, "sex": "female"}, ["J449"], ["HCC280"]),
    ],
    ids=[
        "223-alone",
        "223-with-226",
        "haemophilia-man",
        "haemophilia-woman",
        "breast-49",
        "breast-50",
        "copd-17",
        "copd-18",
    ],
)
def test_v28_edits(member: dict, codes: list[str], hccs: list[str]) -> None:
    """HCC 223 needs another heart failure; sex and age send a code to another HCC or to none."""
    members = pl.DataFrame([{"person_id": "a", **member}])
    scores = hcc_scores(members, pl.DataFrame({"person_id": "a", "code": codes}))
    found = scores.hccs.filter(pl.col("label") != "")["variable"].cast(pl.String).to_list()
    assert found == hccs


def test_blend_takes_finished_scores() -> None:
    """2025: a third V24 and two thirds V28, each normalised, adjusted and rounded first: 0.987."""
    parts = {"CMS-HCC V24": 1.2, "CMS-HCC V28": 1.1}
    finished = {model: factor(model, 2025).apply(np.array([score]))[1][0] for model, score in parts.items()}
    assert finished == {"CMS-HCC V24": 0.980, "CMS-HCC V28": 0.991}
    assert (
        half_up(np.array([sum(share * finished[m] for m, share in blend_shares(2025).items())]))[0] == 0.987
    )


def test_blended_scores_of_members() -> None:
    """The blended score is the shares' sum of the models' payment scores, rounded."""
    members = pl.DataFrame(
        {"person_id": ["a", "b"], "age": [70, 45], "sex": ["male", "female"], "orec": [0, 1]}
    )
    codes = pl.DataFrame({"person_id": ["a", "a", "b"], "code": ["E1169", "I509", "E1169"]})
    blended = blended_hcc_scores(members, codes, 2024)
    v24, v28 = (
        hcc_scores(members, codes, model, 2024).frame["payment"] for model in ("CMS-HCC V24", "CMS-HCC V28")
    )
    assert blended["payment"].to_list() == half_up((0.67 * v24 + 0.33 * v28).to_numpy()).tolist()


@pytest.mark.parametrize(
    ("model", "year"), [("CMS-HCC V24", 2026), ("CMS-HCC V28", 2023), ("RxHCC V08", 2024)]
)
def test_a_year_without_factors_is_refused(model: str, year: int) -> None:
    """A year whose factors are not known raises, naming those that are."""
    with pytest.raises(SpecError, match="Years known: 20"):
        raw([], model, year, age=70, sex="male")


def test_the_doubtful_factors_are_those_of_the_announcements() -> None:
    """One package's README has 1.015 for 2026 and 1.022 for 2025; three sources have 1.067 and 1.045."""
    assert [factor("CMS-HCC V28", year).normalisation for year in (2025, 2026)] == [1.045, 1.067]
    assert factor("CMS-HCC V28", 2026).coding_adjustment == 0.059


def test_unverified_factors_are_said_to_be() -> None:
    """Scores made with a factor that only one source gives name that source."""
    members = pl.DataFrame({"person_id": ["a"], "age": [70], "sex": ["male"]})
    none = pl.DataFrame(schema={"person_id": pl.String, "code": pl.String})
    assert hcc_scores(members, none).unverified == ()
    assert hcc_scores(members, none, "CMS-HCC ESRD V24").unverified
