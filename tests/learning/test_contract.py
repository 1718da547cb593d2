"""The data contract: what it keeps of a training set, and what it refuses."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from riskmodels.errors import ContractError
from riskmodels.features import Count, Encounters, Events, FeatureColumn, FeatureSet, Static
from riskmodels.learning.contract import DataContract, content_hash
from riskmodels.learning.inventory import Inventory

FEATURES = FeatureSet(
    "small",
    [
        Static("age", role="adjust"),
        Static("sex", role="adjust"),
        Static("drg"),
        Static("admission_type"),
        Count(Encounters("emergency"), "90d", name="ed_visits"),
        Count(Events("drug"), "90d", name="drug_fills"),
    ],
)
SEEN = Inventory(
    tables={"person": 100, "coverage": 100},
    encounters={"inpatient": 50, "emergency": 20},
    events={"diagnosis": {"ICD10CM": 990, "ICD9CM": 5}, "drug": {"NDC": 40}},
    words={"admission_type": {"elective": 20, "emergency": 20, "unclear": 10}},
)


def training(n: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Return a training set; DRG 999 has three rows, so it is too rare to be named."""
    rng = np.random.default_rng(seed)
    drg = rng.choice(["291", "292", "470"], n).astype(object)
    drg[:3] = "999"
    return pl.DataFrame(
        {
            "index_id": [f"e{i}" for i in range(n)],
            "age": rng.integers(65, 95, n).astype(float),
            "sex": pl.Series(rng.choice(["female", "male"], n), dtype=pl.Enum(["female", "male", "unknown"])),
            "drg": drg,
            "admission_type": pl.Series(rng.choice(["emergency", "elective"], n)),
            "ed_visits": rng.poisson(0.3, n).astype(float),
            "drug_fills": np.where(rng.random(n) < 0.1, np.nan, rng.poisson(5, n)),
        }
    )


@pytest.fixture(scope="module")
def contract() -> DataContract:
    return DataContract.from_training(training(), FEATURES.columns, feature_set=FEATURES, history=SEEN)


def test_the_training_set_fits_its_own_contract(contract: DataContract) -> None:
    frame = training()
    checked = contract.check(frame)
    assert checked.frame.columns == FEATURES.names
    assert checked.frame["drg"].to_list() == frame["drg"].to_list()
    assert checked.frame["age"].to_list() == frame["age"].to_list()


def test_columns_may_come_in_any_order_and_from_pandas(contract: DataContract) -> None:
    frame = training()
    shuffled = frame.select(reversed(frame.columns)).to_pandas()
    assert contract.check(shuffled).frame.equals(contract.check(frame).frame)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop("ed_visits"), r"column 'ed_visits' missing.*\nFix: build the features"),
        (lambda f: f.rename({"ed_visits": "ed_visit"}), r"'ed_visits' missing.*did you mean 'ed_visit'"),
        (lambda f: f.with_columns(extra=1.0), r"column 'extra' not among the features.*\nFix: leave"),
        (lambda f: f.with_columns(age=pl.lit("old")), r"column 'age' is String.*numbers\nFix"),
        (lambda f: f.with_columns(drg=pl.lit(291)), r"column 'drg' is Int32.*text\nFix.*'065', not 65"),
        (lambda f: f.with_columns(drg=pl.lit("DRG 291")), r"column 'drg': 2,000 rows.*\('DRG 291'\)"),
        (lambda f: f.with_columns(sex=pl.lit("F")), r"column 'sex': 2,000 rows.*'female', 'male', 'unknown'"),
        (lambda f: f.with_columns(age=pl.col("age") * 12), r"column 'age': 100% .* outside 65 to 94.*\nFix"),
        (lambda f: f.with_columns(drug_fills=pl.lit(None, pl.Float64)), r"'drug_fills' is missing in 100%"),
    ],
    ids=[
        "missing",
        "renamed",
        "extra",
        "text for a number",
        "number for text",
        "unknown category",
        "unknown level of a closed set",
        "another unit",
        "nothing there",
    ],
)
def test_a_changed_frame_is_refused(contract: DataContract, change: Any, says: str) -> None:
    """One message names the column, the value and the fix."""
    with pytest.raises(ContractError, match=rf"(?s){says}"):
        contract.check(change(training()))


def test_a_single_row_with_an_unknown_level_of_a_closed_set_is_refused(contract: DataContract) -> None:
    one = training().head(1).with_columns(sex=pl.lit("F"))
    with pytest.raises(ContractError, match=r"'sex'.*'F'"):
        contract.check(one)


@pytest.mark.parametrize(
    ("unknown", "refused"), [(0, False), (80, False), (112, False), (113, True), (200, True)]
)
def test_few_unknown_levels_are_counted_and_many_refused(
    contract: DataContract, unknown: int, refused: bool
) -> None:
    """Up to 5% of the rows, the share that was rare in training (0.5%), and two rows."""
    frame = training(seed=1).with_columns(
        drg=pl.when(pl.int_range(pl.len()) < unknown).then(pl.lit("001")).otherwise(pl.lit("291"))
    )
    if refused:
        with pytest.raises(ContractError, match=f"{unknown} rows of 2,000"):
            contract.check(frame)
        return
    checked = contract.check(frame)
    assert checked.unknown == ({"drg": unknown} if unknown else {})
    assert len(checked.warnings) == (1 if unknown > 12 else 0)


def test_a_drifted_number_is_remarked(contract: DataContract) -> None:
    checked = contract.check(training(seed=2).with_columns(age=pl.col("age") + 8))
    assert checked.drifted == ("age",)
    assert any("column 'age'" in warning for warning in checked.warnings)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"events": {"diagnosis": {"ICD10CM": 9}}}, r"no event rows of kind 'drug'.*drug_fills.*\nFix"),
        ({"encounters": {"inpatient": 50}}, r"no encounter rows of kind 'emergency'.*ed_visits"),
        (
            {"events": {**SEEN.events, "drug": {"RxNorm": 30, "NDC": 10}}},
            r"75% of the drug events are coded in RxNorm; the model was fitted on NDC",
        ),
        (
            {"words": {"admission_type": {"emergency": 20, "unclear": 9, "EW EMER.": 1}}},
            r"unknown category in 'admission_type': 'EW EMER\.'; the levels are emergency, .*\nFix",
        ),
        ({"schema_version": 0}, r"schema version 0.*\nFix: ingest"),
    ],
    ids=["no drugs", "no ED visits", "other code system", "other word", "other schema"],
)
def test_a_history_without_what_the_features_need_is_refused(
    contract: DataContract, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ContractError, match=rf"(?s){says}"):
        contract.check_history(Inventory(**{**vars(SEEN), **change}))


def test_what_training_lacked_is_not_asked_for() -> None:
    """A model fitted on claims without drugs scores claims without drugs."""
    without = Inventory(**{**vars(SEEN), "events": {"diagnosis": {"ICD10CM": 9}}})
    contract = DataContract.from_training(training(), FEATURES.columns, history=without)
    assert "event:drug" not in contract.needs
    assert contract.check_history(without) == ()


def test_a_feature_that_was_empty_in_training_may_hold_anything() -> None:
    """Fitted without drugs, the model uses no drug feature, and scores a history that has drugs."""
    without = Inventory(**{**vars(SEEN), "events": {"diagnosis": {"ICD10CM": 9}}})
    empty = training().with_columns(drug_fills=0.0)
    contract = DataContract.from_training(empty, FEATURES.columns, history=without)
    assert contract.check_history(SEEN) == ()
    assert contract.check(training()).drifted == ()


def test_a_few_events_of_another_code_system_are_remarked(contract: DataContract) -> None:
    mixed = Inventory(**{**vars(SEEN), "events": {**SEEN.events, "drug": {"RxNorm": 10, "NDC": 90}}})
    assert [warning.split(" events")[0] for warning in contract.check_history(mixed)] == ["10% of the drug"]


def test_nothing_of_few_patients_is_kept() -> None:
    """No level of fewer than 11 rows, no range of a small set, no count of 1 to 10 behind a share."""
    contract = DataContract.from_training(training(), FEATURES.columns)
    drg = next(column for column in contract.columns if column.name == "drg")
    assert drg.levels == ("291", "292", "470")
    assert drg.rare_share == 10 / 2000  # three rows, of which is said that they are at most ten
    small = DataContract.from_training(training(500), FEATURES.columns)
    assert all(column.low is None and column.high is None for column in small.columns)


def test_shares_are_of_the_training_rows() -> None:
    contract = DataContract.from_training(training(), FEATURES.columns)
    fills = next(column for column in contract.columns if column.name == "drug_fills")
    expected = training()["drug_fills"].is_nan().mean()
    assert fills.missing_share == pytest.approx(expected, abs=6e-4)


def test_json_round_trip(contract: DataContract) -> None:
    assert DataContract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


def test_hash_is_of_the_content() -> None:
    same = FeatureSet("small", FEATURES.specs)
    assert content_hash(same) == content_hash(FEATURES)
    assert content_hash(FeatureSet("small", FEATURES.specs[:-1])) != content_hash(FEATURES)


def test_a_training_frame_without_a_feature_is_refused() -> None:
    column = FeatureColumn("absent", "predict", "number", "Absent", "case")
    with pytest.raises(ContractError, match="lacks the features 'absent'"):
        DataContract.from_training(training(), [column])
