"""The registry: what is logged, what loads in a fresh process, and what passes the gate."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose

from riskmodels.errors import RegistryError
from riskmodels.evaluation import Evaluation, evaluate
from riskmodels.learning.bundle import ModelBundle
from riskmodels.learning.gate import compare_with_champion, decide
from riskmodels.learning.logged import synthetic_example
from riskmodels.learning.registry import (
    LoggedModel,
    fetch_run,
    load_model,
    log_model,
    promote,
)
from riskmodels.learning.tracking import answer, tracking

from .model_bundles import draw_frame, fit_bundle, upside_down


def held_out(bundle: ModelBundle, seed: int = 9) -> Evaluation:
    frame, outcome, patients = draw_frame(seed=seed)
    return evaluate(outcome, bundle.predict(frame), patients, n_bootstrap=50)


def made_up(auroc: tuple[float, float, float], slope: float = 1.0) -> Evaluation:
    """Return an evaluation with this AUROC (value, lower, upper) and slope."""
    rows = [("auroc", *auroc, None), ("calibration_slope", slope, slope, slope, None)]
    metrics = pl.DataFrame(rows, schema=["metric", "value", "lower", "upper", "note"], orient="row")
    return Evaluation("made up", 100, 100, 20, metrics, pl.DataFrame(), {})


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return fit_bundle()


@pytest.fixture(scope="module")
def logged(uri: str, bundle: ModelBundle, tmp_path_factory: pytest.TempPathFactory) -> LoggedModel:
    plot = tmp_path_factory.mktemp("plots") / "c.svg"
    plot.write_text("<svg/>")
    return log_model(
        bundle,
        held_out(bundle),
        plots={"calibration": plot},
        params={"model": {"learning_rate": 0.1}, "long": "x" * 900},
        tracking_uri=uri,
        artifacts={"tables/attrition.csv": plot},
    )


def test_what_a_run_holds(logged: LoggedModel, bundle: ModelBundle, uri: str, tmp_path: Path) -> None:
    """Parameters, metrics with their limits, the contract, the plots; fetched again for a report."""
    files = fetch_run(logged.run_id, tmp_path, uri)
    assert sorted(files) == [
        "contract.json",
        "evaluation.json",
        "plots/calibration.svg",
        "tables/attrition.csv",
    ]
    assert json.loads(files["contract.json"].read_text()) == bundle.contract.to_dict()
    assert Evaluation.from_dict(json.loads(files["evaluation.json"].read_text()))["auroc"].value > 0.5
    with tracking(uri) as server:
        data = server.client.get_run(logged.run_id).data
        version = server.client.get_model_version_by_alias(logged.name, "candidate")
    assert {"auroc", "auroc_lower", "auroc_upper", "calibration_slope"} <= set(data.metrics)
    assert data.params["model.learning_rate"] == "0.1"
    assert (str(version.version), version.run_id) == (logged.version, logged.run_id)


@pytest.mark.parametrize("form", ["alias", "version", "run"])
def test_the_loaded_model_gives_the_same_risks(
    logged: LoggedModel, bundle: ModelBundle, uri: str, form: str
) -> None:
    forms = {
        "alias": f"models:/{logged.name}@candidate",
        "version": f"models:/{logged.name}/{logged.version}",
        "run": f"runs:/{logged.run_id}",
    }
    frame, _, _ = draw_frame(100, seed=4)
    loaded = load_model(forms[form], uri)
    np.testing.assert_array_equal(loaded.predict(frame), bundle.predict(frame))
    assert loaded.version == ("unregistered" if form == "run" else logged.version)


def test_a_fresh_process_loads_it_with_mlflow_alone(
    logged: LoggedModel, bundle: ModelBundle, uri: str, tmp_path: Path
) -> None:
    """Where nothing of ours was imported, reordered columns do no harm and a missing one is refused."""
    frame, _, _ = draw_frame(50, seed=4)
    rows = frame.with_columns(pl.col("sex").cast(pl.String)).to_pandas()
    rows[rows.columns[::-1]].to_parquet(tmp_path / "rows.parquet")
    program = f"""
import mlflow, pandas as pd
mlflow.set_tracking_uri({uri!r})
model = mlflow.pyfunc.load_model("models:/{logged.name}@candidate")
rows = pd.read_parquet("rows.parquet")
model.predict(rows).to_json("risks.json", orient="records")
try:
    model.predict(rows.drop(columns="drg"))
except mlflow.exceptions.MlflowException as error:
    print(str(error).splitlines()[0], error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    risks = json.loads((tmp_path / "risks.json").read_text())
    assert_allclose([row["risk"] for row in risks], bundle.predict(frame), rtol=1e-9)
    assert [row["risk_band"] for row in risks] == bundle.bands.assign(bundle.predict(frame)).to_list()
    assert "drg" in done.stdout


def test_the_signature_allows_missing_numbers(logged: LoggedModel, uri: str) -> None:
    """All numbers are doubles, so that a value may be missing; every column is required by name."""
    import mlflow

    with tracking(uri):
        model = mlflow.pyfunc.load_model(logged.uri)
        types = {column.name: str(column.type) for column in model.metadata.signature.inputs}
        row = synthetic_example(load_model(logged.uri, uri)).assign(age=np.nan)
        assert model.predict(row)["risk"].between(0, 1).all()
    assert set(types.values()) == {"DataType.double", "DataType.string"}
    assert types["age"] == "DataType.double"


def test_the_input_example_is_of_no_patient(bundle: ModelBundle) -> None:
    """Medians and commonest levels, column by column."""
    frame, _, _ = draw_frame()
    example = synthetic_example(bundle)
    assert isinstance(example, pd.DataFrame)
    assert example["age"][0] == frame["age"].median()
    assert example["drg"][0] == frame["drg"].mode().sort()[0]


def test_the_gate_promotes_and_says_why(logged: LoggedModel, bundle: ModelBundle, uri: str) -> None:
    """The first champion needs calibration; a worse one is refused, and its tags say why."""
    first = promote(logged.name, tracking_uri=uri)
    assert first.promoted
    assert load_model(f"models:/{logged.name}@champion", uri).version == logged.version
    assert promote(logged.name, version=logged.version, tracking_uri=uri).reasons == (
        "is the champion already",
    )

    worse = upside_down(bundle)
    second = log_model(worse, held_out(worse), tracking_uri=uri)
    decision = promote(logged.name, tracking_uri=uri)
    assert not decision.promoted
    assert "stays a candidate" in decision.to_text()
    assert load_model(f"models:/{logged.name}@champion", uri).version == logged.version
    with tracking(uri) as server:
        tags = server.client.get_model_version(logged.name, second.version).tags
    assert tags["gate.decision"] == "refused"
    assert tags["gate.against"] == logged.version
    assert "worse" in tags["gate.reasons"]


@pytest.mark.parametrize(
    ("candidate", "champion", "paired", "passes"),
    [
        (made_up((0.6, 0.5, 0.7)), None, None, True),
        (made_up((0.6, 0.5, 0.7), slope=0.79), None, None, False),
        (made_up((0.6, 0.5, 0.7), slope=0.8), None, None, True),
        (made_up((0.6, 0.5, 0.7), slope=1.25), None, None, True),
        (made_up((0.6, 0.5, 0.7), slope=1.26), None, None, False),
        (made_up((0.6, 0.5, 0.7), slope=float("nan")), None, None, False),
        (made_up((0.64, 0.62, 0.66)), made_up((0.66, 0.64, 0.68)), None, True),
        (made_up((0.63, 0.61, 0.65)), made_up((0.66, 0.64, 0.68)), None, False),
        (made_up((0.70, 0.69, 0.71)), made_up((0.66, 0.64, 0.68)), (-0.02, -0.03, -0.01), False),
        (made_up((0.63, 0.61, 0.65)), made_up((0.66, 0.64, 0.68)), (-0.01, -0.02, 0.0), True),
    ],
    ids=[
        "first",
        "slope below 0.8",
        "slope of 0.8",
        "slope of 1.25",
        "slope above 1.25",
        "no slope",
        "upper limit reaches the champion",
        "upper limit below the champion",
        "paired rows decide against",
        "paired rows decide for",
    ],
)
def test_the_rules_of_the_gate(
    candidate: Evaluation, champion: Evaluation | None, paired: tuple[float, ...] | None, passes: bool
) -> None:
    limits = ("difference", "lower", "upper")
    differences = None if paired is None else {"auroc": dict(zip(limits, paired, strict=True))}
    assert decide(candidate, champion, differences)[0] is passes


def test_a_paired_comparison_is_with_the_champion_on_the_same_rows(
    logged: LoggedModel, bundle: ModelBundle, uri: str
) -> None:
    promote(logged.name, version=logged.version, tracking_uri=uri)
    frame, outcome, patients = draw_frame(seed=11)
    same = compare_with_champion(
        bundle.predict(frame), frame, outcome, patients, logged.name, tracking_uri=uri
    )
    assert same is not None
    assert same == {"version": logged.version, "auroc": {"difference": 0, "lower": 0, "upper": 0}}
    worse = upside_down(bundle).predict(frame)
    found = compare_with_champion(worse, frame, outcome, patients, logged.name, tracking_uri=uri)
    assert found is not None
    assert found["auroc"]["upper"] < 0
    assert compare_with_champion(worse, frame, outcome, patients, "nobody", tracking_uri=uri) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("models:/readmision-30d@champion", "did you mean 'readmission-30d'"),
        ("models:/readmission-30d/99", "no version 99; versions: 1"),
        ("models:/readmission-30d@beta", "no alias 'beta'; versions: 1.*aliases: candidate"),
        ("models:/readmission-30d", "names no model\nFix: write models:/NAME@champion"),
        ("no/such/folder", "there is no model folder no/such/folder\nFix"),
    ],
    ids=["misspelt", "version", "alias", "no version", "folder"],
)
def test_a_model_that_is_not_there(logged: LoggedModel, uri: str, name: str, says: str) -> None:
    with pytest.raises(RegistryError, match=rf"(?s){says}"):
        load_model(name, uri)


def test_a_mistyped_registry_is_refused_and_not_made(tmp_path: Path) -> None:
    """MLflow would make an empty database there, and then say that the model is unknown."""
    missing = tmp_path / "mlflwo.db"
    with pytest.raises(RegistryError, match=r"there is no model registry at .*mlflwo\.db\nFix: name the one"):
        load_model("models:/readmission-30d@champion", f"sqlite:///{missing}")
    assert list(tmp_path.iterdir()) == []


def promote_nothing(uri: str) -> None:
    with tracking(uri):
        raise AssertionError


def test_a_database_that_cannot_be_opened_is_said_in_words(tmp_path: Path) -> None:
    """SQLite refuses at once, and no traceback of its driver is shown."""
    (tmp_path / "text.db").write_text("no database" * 100)
    for name, says in (("", "unable to open database file"), ("text.db", "file is not a database")):
        for ask in (answer, promote_nothing):
            with pytest.raises(RegistryError, match=rf"refused: {says}\nFix: name one"):
                ask(f"sqlite:///{tmp_path / name}")


def test_mlflow_is_quiet(
    bundle: ModelBundle, uri: str, capfd: pytest.CaptureFixture[str], logged: LoggedModel
) -> None:
    log_model(bundle, held_out(bundle), tracking_uri=uri)
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_a_password_is_not_shown() -> None:
    from riskmodels.learning.tracking import without_password

    assert without_password("postgresql://me:secret@db/mlflow") == "postgresql://db/mlflow"


def test_the_tracking_uri_of_others_is_left_alone(
    uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What MLflow was set to before a call holds after it; nothing stays in the environment."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracking(uri):
        assert mlflow.get_tracking_uri() == uri
    assert "MLFLOW_TRACKING_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    with tracking(uri):
        pass
    assert os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///elsewhere.db"
    with tracking() as server:
        assert server.uri == "sqlite:///elsewhere.db"
