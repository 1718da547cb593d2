"""The UCI benchmark: no stay learns from a later stay, another patient or an outcome."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from riskmodels.errors import DataError
from riskmodels.evaluation import evaluate
from riskmodels.learning import RiskModel
from riskmodels.learning.tuning import split_patients

TRAINING = Path(__file__).resolve().parents[2] / "training"


@pytest.fixture(scope="module")
def uci():
    sys.path.insert(0, str(TRAINING))
    import uci_diabetes130

    yield uci_diabetes130
    sys.path.remove(str(TRAINING))


@pytest.fixture(scope="module")
def script(uci):
    import benchmark_uci

    return benchmark_uci


def table(uci, n=1200, seed=0):
    """Return invented stays with the columns of the published table."""
    rng = np.random.default_rng(seed)
    stays = {
        "encounter_id": rng.permutation(n) + 1_000 * (seed + 1),
        "patient_nbr": rng.integers(0, n // 2, n) + 10_000 * (seed + 1),
        "age": rng.choice(["[60-70)", "[70-80)"], n),
    }
    stays |= {name: rng.integers(1, 9, n) for name in uci.NUMBERS}
    stays |= {name: rng.choice(["a", "b", "?"], n) for name in uci.CATEGORIES}
    stays |= {name: rng.choice(["No", "Steady", "Up"], n) for name in uci.DRUGS}
    stays |= {name: rng.choice(["428", "250.83", "38", "V57", "E888", "?"], n) for name in uci.DIAGNOSES}
    stays["discharge_disposition_id"] = rng.choice(["1", "3", "11", "13"], n, p=[0.6, 0.3, 0.05, 0.05])
    often = rng.random(n) < 0.05 + 0.06 * stays["number_inpatient"]
    stays["readmitted"] = np.where(often, "<30", rng.choice(["NO", ">30"], n))
    return pl.DataFrame(stays).cast(pl.String)


@pytest.fixture
def write(tmp_path):
    def to_file(frame, name="stays.csv"):
        frame.write_csv(tmp_path / name)
        return tmp_path / name

    return to_file


def test_features_of_a_stay_are_its_own_and_of_earlier_stays(uci, write):
    """A patient's stays up to one read the same alone as among all patients and all later stays."""
    stays = table(uci)
    at_risk = stays.filter(~pl.col("discharge_disposition_id").is_in(uci.NOT_AT_RISK))
    patient = at_risk["patient_nbr"].mode()[0]
    ids = at_risk.filter(pl.col("patient_nbr") == patient)["encounter_id"].cast(pl.Int64).sort()
    middle = ids[len(ids) // 2]
    until = stays.filter(pl.col("patient_nbr") == patient, pl.col("encounter_id").cast(pl.Int64) <= middle)
    alone = uci.read_stays(write(until)).X[_row(uci, until, middle)]
    among_all = uci.read_stays(write(stays)).X[_row(uci, stays, middle)]
    assert alone["earlier_stays"][0] > 0
    assert_frame_equal(alone, among_all)


def _row(uci, stays, encounter):
    at_risk = stays.filter(~pl.col("discharge_disposition_id").is_in(uci.NOT_AT_RISK))
    return [at_risk["encounter_id"].to_list().index(str(encounter))]


def test_no_feature_knows_an_outcome(uci, write):
    stays = table(uci)
    turned = stays.with_columns(readmitted=pl.lit("NO"))
    first, second = uci.read_stays(write(stays)), uci.read_stays(write(turned, "turned.csv"))
    assert_frame_equal(first.X, second.X)
    assert not {"readmitted", "encounter_id", "patient_nbr"} & set(first.X.columns)


def test_death_and_hospice_give_history_and_are_dropped(uci, write):
    stays = table(uci)
    found = uci.read_stays(write(stays))
    gone = stays["discharge_disposition_id"].is_in(["11", "13"]).sum()
    assert found.n_not_at_risk == gone
    assert len(found.y) == stays.height - gone
    assert found.X["earlier_stays"].max() == stays["patient_nbr"].value_counts()["count"].max() - 1


def test_question_marks_are_missing_and_none_is_a_value(uci, write):
    stays = table(uci).with_columns(A1Cresult=pl.lit("None"), payer_code=pl.lit("?"))
    found = uci.read_stays(write(stays)).X
    assert found["A1Cresult"].null_count() == 0
    assert found["payer_code"].null_count() == found.height


def test_codes_get_their_leading_zeros_back(uci, write):
    stays = table(uci).with_columns(diag_1=pl.lit("38"), diag_2=pl.lit("8.45"), diag_3=pl.lit("V57"))
    found = uci.read_stays(write(stays)).X
    assert found.select("diag_1", "diag_2", "diag_3").unique().rows() == [("038", "008.45", "V57")]
    assert found["diag_1_chapter"].unique().to_list() == ["infectious"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda t: t.drop("readmitted", "insulin"), "2 columns are missing", id="columns"),
        pytest.param(lambda t: t.clear(), "no stays", id="empty"),
        pytest.param(lambda t: t.with_columns(readmitted=pl.lit("yes")), "readmitted, line 2", id="label"),
        pytest.param(lambda t: t.with_columns(num_procedures=pl.lit("x")), "'x' is not a", id="number"),
        pytest.param(lambda t: t.with_columns(encounter_id=pl.lit("?")), "an empty cell", id="no-order"),
        pytest.param(lambda t: pl.concat([t, t]), "share patient and place", id="twice"),
        pytest.param(
            lambda t: t.with_columns(discharge_disposition_id=pl.lit("11")),
            "no stay is at risk",
            id="all-died",
        ),
    ],
)
def test_files_that_are_not_the_table_are_refused(uci, write, change, says):
    with pytest.raises(DataError, match=says):
        uci.read_stays(write(change(table(uci))))


def test_a_message_never_names_a_patient(uci, write):
    stays = table(uci).with_columns(patient_nbr=pl.lit("MRN-77"))
    with pytest.raises(DataError, match="line 2") as caught:
        uci.read_stays(write(stays))
    assert "MRN-77" not in str(caught.value)


def test_the_script_writes_the_metrics_with_intervals(uci, script, write, tmp_path, caplog, monkeypatch):
    few_rounds = script.RiskModel(n_estimators=20, num_threads=1)
    monkeypatch.setattr(script, "make_model", lambda seed, threads: few_rounds)
    train = write(table(uci, 3000, seed=0), "train.csv")
    shared = table(uci, 1500, seed=1)
    test = write(pl.concat([shared, table(uci, 3000, seed=0).head(1)]), "test.csv")
    out = tmp_path / "result.json"
    assert script.main([str(train), str(test), "--out", str(out), "--draws", "20", "--splits", "1"]) == 0
    result = json.loads(out.read_text())
    for name in script.METRICS:
        assert result[f"{name}_lower"] <= result[name] <= result[f"{name}_upper"]
    assert {row["model"] for row in result["splits_of_train"]} == {"riskmodels", "logistic regression"}
    assert result["patients_in_both"] == 1
    assert "1 patients are in both files" in caplog.text


def test_the_script_says_what_is_wrong_and_exits_with_1(script, tmp_path, capsys):
    out = tmp_path / "result.json"
    assert script.main([str(tmp_path / "none.csv"), str(tmp_path / "x.csv"), "--out", str(out)]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert not out.exists()


def test_real_stays_reach_what_the_table_allows(uci, shared_data, calibration_slope):
    """On a third of the shared stays, by patient: far above chance, far below a leak, and calibrated."""
    stays = uci.read_stays(shared_data / "patients" / "uci_diabetes130" / "diabetic_data.csv")
    assert stays.X.height == 74_940
    part = split_patients(stays.y, stays.patients, {"train": 1 / 3, "test": 1 / 3, "rest": 1 / 3}, seed=0)
    train, test = part == "train", part == "test"
    model = RiskModel(learning_rate=0.1, colsample_bytree=0.3, num_threads=1, early_stopping_rounds=20)
    model.fit(stays.X.filter(train), stays.y[train], groups=stays.patients[train])
    p = model.predict_proba(stays.X.filter(test))[:, 1]
    assert 0.66 < evaluate(stays.y[test], p, n_bootstrap=0)["auroc"].value < 0.75
    assert 0.8 < calibration_slope(stays.y[test], p) < 1.2
