"""What scoring promises whatever the model: order, repeats, unknown codes, clear errors."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hcc_oracle import random_members

from riskmodels.benchmarks.hcc import MODELS, Factor, hcc_scores
from riskmodels.benchmarks.hcc import diseases as disease_module
from riskmodels.benchmarks.hcc import members as member_module
from riskmodels.benchmarks.hcc.kernels import encode
from riskmodels.benchmarks.hcc.members import read_members
from riskmodels.benchmarks.hcc.tables import load_diagnoses, load_tables
from riskmodels.errors import DataError, SpecError

NONE = pl.DataFrame(schema={"person_id": pl.String, "code": pl.String})
YEARS = {"CMS-HCC V24": 2025}


def one(**member: object) -> pl.DataFrame:
    """Return a frame of one member."""
    return pl.DataFrame([{"person_id": "a", "age": 70, "sex": "male", **member}])


@pytest.mark.parametrize("model", MODELS)
def test_order_and_repeats_of_rows_do_not_matter(model: str) -> None:
    """Members in another order and diagnoses shuffled and doubled give each member the same score."""
    members, codes = random_members(model, 400, 7)
    year = YEARS.get(model, 2026)
    first = hcc_scores(members, codes, model, year)
    again = hcc_scores(
        members.sample(fraction=1, shuffle=True, seed=1),
        pl.concat([codes, codes]).sample(fraction=1, shuffle=True, seed=2),
        model,
        year,
    )
    assert again.frame.sort("person_id").equals(first.frame.sort("person_id"))
    order = ["person_id", "variable"]
    assert again.hccs.sort(order).equals(first.hccs.sort(order))


@pytest.mark.parametrize("model", MODELS)
def test_disease_score_is_the_sum_of_what_is_listed(model: str) -> None:
    """The listed coefficients add up to the disease score, and demographic plus disease to the raw score."""
    members, codes = random_members(model, 400, 8)
    scores = hcc_scores(members, codes, model, YEARS.get(model, 2026))
    listed = scores.hccs.group_by("person_id").agg(pl.col("coefficient").sum())
    both = scores.frame.join(listed, on="person_id", how="left").with_columns(
        pl.col("coefficient").fill_null(0)
    )
    assert both.select((pl.col("coefficient") - pl.col("disease")).abs().max()).item() < 1e-9
    assert both.select((pl.col("demographic") + pl.col("disease") - pl.col("raw")).abs().max()).item() < 1e-9


@pytest.mark.parametrize("model", MODELS)
def test_no_hcc_stands_beside_one_that_drops_it(model: str) -> None:
    """After hierarchies, no listed HCC is dropped by another of the same member."""
    members, codes = random_members(model, 600, 9)
    hccs = hcc_scores(members, codes, model, YEARS.get(model, 2026)).hccs
    tables = load_tables(model, "rxhcc_v08_2026" if model == "RxHCC V08" else "cms_hcc_v28")
    found = hccs.group_by("person_id").agg(pl.col("variable").cast(pl.String)).rows()
    for _, names in found:
        for hcc, dropped in tables.drops.items():
            if f"{tables.prefix}{hcc}" in names:
                assert not {f"{tables.prefix}{lower}" for lower in dropped} & set(names)


def test_two_threads_do_not_change_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members worked on in two parts score as all at once."""
    members, codes = random_members("CMS-HCC V28", 300, 10)
    whole = hcc_scores(members, codes)
    monkeypatch.setattr(disease_module, "SMALL", 37)
    parts = hcc_scores(members, codes)
    assert parts.frame.equals(whole.frame)
    assert parts.hccs.equals(whole.hccs)


def test_identifiers_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should two members ever have the same hash, they are looked up by their identifiers."""
    members, codes = random_members("CMS-HCC V28", 100, 10)
    whole = hcc_scores(members, codes)
    monkeypatch.setattr(member_module, "index", lambda place, check: (None, True))
    assert hcc_scores(members, codes).frame.equals(whole.frame)


def test_many_distinct_codes_are_numbered_each_for_itself() -> None:
    """Numbering rows by their hashes, as the table grows, gives equal rows one number and others another."""
    values = pl.Series(np.random.default_rng(0).integers(0, 20_000, 60_000))
    number, first = encode(values.hash(1).to_numpy(), values.hash(2).to_numpy())
    assert len(first) == values.n_unique()
    assert values.gather(first).gather(number).equals(values)


def test_unknown_codes_are_reported_with_the_reason() -> None:
    """Codes without an HCC are listed, most frequent first; those of strangers are counted."""
    codes = pl.DataFrame(
        {
            "person_id": ["a"] * 7 + ["z"],
            "code": ["I10", "I10", "i20.9", "99213", None, "E11.69", "e1169", "E1169"],
        }
    )
    scores = hcc_scores(one(), codes)
    assert scores.unknown_codes.select("code", "rows").rows() == [
        ("I10", 2),
        (None, 1),
        ("99213", 1),
        ("i20.9", 1),
    ]
    reasons = dict(scores.unknown_codes.select("code", "reason").iter_rows())
    assert reasons["99213"] == "not of the form of an ICD-10-CM code"
    assert reasons["i20.9"] == "has an HCC in another model only"
    assert reasons[None] == "missing"
    assert scores.unmatched_diagnoses == 1
    assert scores.hccs["variable"].cast(pl.String).to_list() == ["HCC37"]


@pytest.mark.parametrize(
    ("birth_date", "age"),
    [(date(1961, 2, 1), 65), (date(1961, 2, 2), 64), (date(1961, 1, 31), 65), (date(1926, 12, 31), 99)],
)
def test_age_is_that_on_the_first_of_february(birth_date: date, age: int) -> None:
    """Age counts whole years on 1 February of the payment year."""
    members = pl.DataFrame({"person_id": ["a"], "sex": ["F"], "birth_date": [birth_date]})
    assert read_members(members, 2026).age.tolist() == [age]


@pytest.mark.parametrize(
    ("member", "model", "segment"),
    [
        ({}, "CMS-HCC V28", "CNA"),
        ({"age": 64, "orec": 1}, "CMS-HCC V28", "CND"),
        ({"dual_status": "02"}, "CMS-HCC V28", "CFA"),
        ({"dual_status": 8}, "CMS-HCC V28", "CFA"),
        ({"dual_status": "partial", "age": 50}, "CMS-HCC V28", "CPD"),
        ({"institutional": True, "dual_status": "full"}, "CMS-HCC V28", "INS"),
        ({"new_enrollee": True, "institutional": True}, "CMS-HCC V28", "NE"),
        ({"new_enrollee": 1, "snp": 1}, "CMS-HCC V28", "SNPNE"),
        ({"graft_months": 3}, "CMS-HCC ESRD V24", "transplant"),
        ({"graft_months": 4}, "CMS-HCC ESRD V24", "GNPA"),
        ({"graft_months": 4, "institutional": True}, "CMS-HCC ESRD V24", "GI"),
        ({"new_enrollee": True}, "CMS-HCC ESRD V24", "DNE"),
        ({"low_income": True, "age": 64}, "RxHCC V08", "CE_LOW_NONAGED"),
        ({"institutional": True, "new_enrollee": True}, "RxHCC V08", "NE_LTI"),
    ],
)
def test_segments(member: dict, model: str, segment: str) -> None:
    """Age, dual status, setting, enrolment and transplant decide the segment."""
    assert hcc_scores(one(**member), NONE, model).frame["segment"].to_list() == [segment]


def test_new_enrollee_of_64_by_age_counts_as_65() -> None:
    """Who is 64 on 1 February and entitled by age turns 65 in the year; who is disabled does not count so."""
    by_age, at_65, disabled = (
        hcc_scores(one(new_enrollee=True, **member), NONE).frame["raw"].item()
        for member in ({"age": 64, "orec": 0}, {"age": 65, "orec": 0}, {"age": 64, "orec": 1})
    )
    assert by_age == at_65 != disabled


def test_new_enrollee_with_a_graft_is_adjusted() -> None:
    """Female, 70, no Medicaid: (0.688 + 2.529) / 0.905 in month 5, (0.688 + 0.905) / 0.698 in month 10."""
    scores = [
        hcc_scores(one(sex="female", new_enrollee=True, graft_months=month), NONE, "CMS-HCC ESRD V24")
        .frame["raw"]
        .item()
        for month in (5, 10)
    ]
    assert scores == [3.555, 2.282]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"sex": "unknown"}, "column sex: 'unknown' in row 1"),
        ({"age": -1}, "column age: -1 in row 1"),
        ({"age": None}, "column age: None in row 1"),
        ({"orec": 4}, "column orec: 4 in row 1"),
        ({"orec": "x"}, "column orec: 'x' in row 1"),
        ({"dual_status": "11"}, "column dual_status: '11' in row 1"),
        ({"snp": 2}, "column snp: 2 in row 1"),
    ],
)
def test_a_wrong_value_is_named(member: dict, message: str) -> None:
    """A value that is not allowed is named with its column and row, and the remedy."""
    with pytest.raises(DataError, match=message):
        hcc_scores(one(**member), NONE)


def test_a_member_twice_is_refused() -> None:
    """Two rows of one person cannot both be scored."""
    with pytest.raises(DataError, match="occur twice"):
        hcc_scores(pl.concat([one(), one()]), NONE)


def test_person_ids_of_two_types_are_refused() -> None:
    """Text here and numbers there would match no one, and every score would be too low."""
    with pytest.raises(DataError, match="give both the same type"):
        hcc_scores(one(), pl.DataFrame({"person_id": [1], "code": ["I10"]}))


@pytest.mark.parametrize("kind", [pl.Int64, pl.Categorical], ids=["number", "category"])
def test_person_ids_may_be_numbers_or_categories(kind: type[pl.DataType]) -> None:
    """What identifies a person need not be text, and need not occur in both frames."""
    members = one(person_id="1").with_columns(pl.col("person_id").cast(kind))
    codes = pl.DataFrame({"person_id": ["1", "2"], "code": ["E119", "E119"]}).with_columns(
        pl.col("person_id").cast(kind)
    )
    scores = hcc_scores(members, codes)
    assert scores.hccs["variable"].cast(pl.String).to_list() == ["HCC38"]
    assert scores.unmatched_diagnoses == 1


def test_no_diagnoses_at_all_leave_the_demographic_score() -> None:
    """An empty frame of diagnoses, whose columns have no type, is not an error."""
    scores = hcc_scores(one(), pl.DataFrame({"person_id": [], "code": []})).frame
    assert scores["raw"].item() == scores["demographic"].item() == 0.396


def test_given_factors_take_the_place_of_the_years() -> None:
    """A year whose normalisation is not known is scored with that of the user; other parts are refused."""
    factors = {"dialysis": Factor(1.1, 0.059, "own", True), "graft": Factor(1.2, 0.059, "own", True)}
    model = "CMS-HCC ESRD V24"
    with pytest.raises(SpecError, match="no normalisation factor for payment year 2025"):
        hcc_scores(one(), NONE, model, 2025)
    frame = hcc_scores(one(), NONE, model, 2025, factors=factors).frame
    assert frame["normalised"].item() == pytest.approx(frame["raw"].item() / 1.1, abs=6e-4)
    with pytest.raises(SpecError, match="factors of CMS-HCC V28 are of ''"):
        hcc_scores(one(), NONE, factors=factors)


def test_no_members_give_empty_frames() -> None:
    """Nobody to score gives frames without rows and with all columns."""
    scores = hcc_scores(one().clear(), NONE)
    assert scores.frame.shape == (0, 8)
    assert scores.hccs.is_empty()


def test_unknown_model_has_a_hint() -> None:
    """A misspelt model raises with the nearest."""
    with pytest.raises(SpecError, match="did you mean 'CMS-HCC V28'"):
        hcc_scores(one(), NONE, "CMS-HCC V82")


def test_pandas_frames_are_taken() -> None:
    """Frames of pandas give what frames of Polars give."""
    members, codes = random_members("CMS-HCC V28", 50, 11)
    there = hcc_scores(
        pd.DataFrame(members.to_dict(as_series=False)), pd.DataFrame(codes.to_dict(as_series=False))
    )
    assert there.frame["raw"].to_list() == hcc_scores(members, codes).frame["raw"].to_list()


@pytest.mark.parametrize(
    ("model", "codes", "hccs"),
    [
        ("CMS-HCC V24", 10070, 86),
        ("CMS-HCC V28", 8037, 115),
        ("CMS-HCC ESRD V24", 10070, 86),
        ("RxHCC V08", 5404, 84),
    ],
)
def test_tables_are_whole(model: str, codes: int, hccs: int) -> None:
    """The mapping has as many codes, and the model as many HCCs, as the CMS software of 2026."""
    table = load_diagnoses().filter(pl.col("model") == model)
    assert (table["code"].n_unique(), table["hcc"].n_unique()) == (codes, hccs)


@pytest.mark.parametrize(("year", "normalisation"), [(2026, 1.202), (2027, 1.237)])
def test_pace_has_relative_factors_of_its_own(year: int, normalisation: float) -> None:
    """Segment T of 2026 and T2 of 2027, which were equal to risk-adjustment-model for 8,000 members."""
    members = pl.DataFrame({"person_id": ["a"], "age": [70], "sex": ["male"], "orec": [0]})
    diagnoses = pl.DataFrame({"person_id": ["a"], "code": ["E11.69"]})
    pace, other = (
        hcc_scores(members, diagnoses, "RxHCC V08", year, part_d=part) for part in ("PACE", "MA-PD")
    )
    row = pace.frame.row(0, named=True)
    table = load_tables("RxHCC V08", f"rxhcc_v08_{year}_pace")
    column = table.segment(row["segment"])
    by_hand = sum(table.values[column, table.variable(name)] for name in ("M70_74", *pace.hccs["variable"]))
    assert row["raw"] == pytest.approx(by_hand)
    assert row["normalised"] == pytest.approx(by_hand / normalisation, abs=5e-4)
    assert row["raw"] != other.frame["raw"][0]
    assert pace.unverified
