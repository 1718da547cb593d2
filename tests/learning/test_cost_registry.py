"""Expected cost in the registry: logged, gated, promoted and loaded as models of a risk are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from riskmodels.cohorts import load_task
from riskmodels.errors import RegistryError
from riskmodels.evaluation import CostEvaluation, Evaluation, compare_costs, read_evaluation
from riskmodels.features import FeatureSet, Static
from riskmodels.learning import CostModel
from riskmodels.learning.bundle import ModelBundle
from riskmodels.learning.contract import DataContract
from riskmodels.learning.cost_bundle import CostBundle
from riskmodels.learning.gate import compare_with_champion, decide
from riskmodels.learning.registry import LoggedModel, fetch_run, load_model, log_model, promote
from riskmodels.learning.tracking import tracking

from .model_bundles import fit_bundle

FEATURES = FeatureSet("small", [Static("age", role="adjust"), Static("sex", role="adjust")])
NAME = "cost-12m"


def draw_costs(n: int = 4000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Return features, yearly costs and persons of n person years; a fifth cost nothing, age costs."""
    rng = np.random.default_rng(seed)
    age = rng.integers(65, 95, n).astype(float)
    cost = np.where(rng.random(n) < 0.2, 0.0, rng.gamma(2.0, 40 * (age - 60)))
    sex = pl.Series(rng.choice(["female", "male"], n), dtype=pl.Enum(["female", "male", "unknown"]))
    return pl.DataFrame({"age": age, "sex": sex}), cost, np.arange(n) // 2


def fit_costs(scale: float = 1.0, *, known: bool = True, timing: str = "prospective") -> CostBundle:
    """Fit a small model; of costs `scale` times as high, or with a column of age that says nothing."""
    frame, cost, persons = draw_costs()
    seen = frame if known else frame.with_columns(pl.col("age").shuffle(seed=1))
    model = CostModel(n_estimators=60, learning_rate=0.2, folds=2, num_threads=1)
    model.fit(seen, cost * scale, groups=persons, columns=FEATURES.columns)
    contract = DataContract.from_training(frame, FEATURES.columns, feature_set=FEATURES)
    return CostBundle(model, FEATURES, load_task(NAME), contract, {"name": NAME, "timing": timing})


def judge(bundle: CostBundle) -> CostEvaluation:
    """Evaluate a model on persons of another draw."""
    frame, cost, persons = draw_costs(seed=9)
    made = compare_costs(cost, {"m": bundle.predict(frame)}, persons, n_bootstrap=50)
    return made.evaluation("m", timing=bundle.timing)


def made_up(
    ratio: float = 1.0,
    *,
    r2: tuple[float, float, float] = (0.2, 0.17, 0.23),
    mae: tuple[float, float, float] = (900, 850, 950),
    tenth: tuple[float, float] = (0.9, 1.1),
    timing: str = "prospective",
) -> CostEvaluation:
    """Return an evaluation with these figures; `tenth` is the interval of the first tenth."""
    metrics = [("predictive_ratio", ratio, ratio, ratio, None), ("r2", *r2, None), ("mae", *mae, None)]
    limits = [tenth, *[(0.9, 1.1)] * 9]
    ratios = [
        ("tenth of expected", str(i), 50, 1.0, 1.0, sum(part) / 2, *part)
        for i, part in enumerate(limits, start=1)
    ]
    names = ("group", "level", "n", "observed", "expected", "ratio", "lower", "upper")
    return CostEvaluation(
        "made up",
        500,
        500,
        pl.DataFrame(metrics, schema=["metric", "value", "lower", "upper", "note"], orient="row"),
        pl.DataFrame(ratios, schema=list(names), orient="row"),
        {"timing": timing},
    )


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def bundle() -> CostBundle:
    return fit_costs()


@pytest.fixture(scope="module")
def logged(uri: str, bundle: CostBundle) -> LoggedModel:
    return log_model(bundle, judge(bundle), params={"method": "tweedie"}, tracking_uri=uri)


def test_a_run_holds_contract_metrics_and_evaluation(
    logged: LoggedModel, bundle: CostBundle, uri: str, tmp_path: Path
) -> None:
    """What a run of a risk has, of costs: the evaluation is read as one of costs."""
    files = fetch_run(logged.run_id, tmp_path, uri)
    assert json.loads(files["contract.json"].read_text()) == bundle.contract.to_dict()
    evaluation = read_evaluation(json.loads(files["evaluation.json"].read_text()))
    assert isinstance(evaluation, CostEvaluation)
    assert evaluation.tenths.height == 10
    assert evaluation.to_dict() == judge(bundle).to_dict()
    with tracking(uri) as server:
        metrics = server.client.get_run(logged.run_id).data.metrics
        tags = server.client.get_model_version(logged.name, logged.version).tags
    assert {"r2", "r2_lower", "mae", "mae_upper", "predictive_ratio"} <= set(metrics)
    assert tags["r2"].startswith(f"{metrics['r2']:.4f} (")


@pytest.mark.parametrize("form", ["alias", "version", "run", "folder"])
def test_the_loaded_model_expects_the_same_costs(
    logged: LoggedModel, bundle: CostBundle, uri: str, tmp_path: Path, form: str
) -> None:
    forms = {
        "alias": f"models:/{logged.name}@candidate",
        "version": f"models:/{logged.name}/{logged.version}",
        "run": f"runs:/{logged.run_id}",
        "folder": tmp_path / "model",
    }
    bundle.save(tmp_path / "model")
    frame, _, _ = draw_costs(100, seed=4)
    loaded = load_model(forms[form], uri, kind=CostBundle)
    np.testing.assert_array_equal(loaded.predict(frame), bundle.predict(frame))
    hashed = CostBundle.load(tmp_path / "model").version
    assert loaded.version == (logged.version if form in ("alias", "version") else hashed)


def test_a_fresh_process_loads_it_with_mlflow_alone(
    logged: LoggedModel, bundle: CostBundle, uri: str, tmp_path: Path
) -> None:
    """By its signature: columns in another order do no harm, a missing one is refused."""
    frame, _, _ = draw_costs(50, seed=4)
    frame.with_columns(pl.col("sex").cast(pl.String)).select("sex", "age").write_parquet(
        tmp_path / "rows.parquet"
    )
    program = f"""
import mlflow, pandas as pd
mlflow.set_tracking_uri({uri!r})
model = mlflow.pyfunc.load_model("models:/{logged.name}@candidate")
rows = pd.read_parquet("rows.parquet")
model.predict(rows).to_json("costs.json", orient="records", double_precision=15)
try:
    model.predict(rows.drop(columns="age"))
except mlflow.exceptions.MlflowException as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    costs = [row["expected_cost"] for row in json.loads((tmp_path / "costs.json").read_text())]
    np.testing.assert_allclose(costs, bundle.predict(frame), rtol=1e-9)
    assert "age" in done.stdout


def test_the_gate_promotes_a_calibrated_model_and_keeps_out_a_worse_one(
    logged: LoggedModel, bundle: CostBundle, uri: str
) -> None:
    """Twice the costs are not calibrated; a model that knows nothing is worse on the same rows."""
    assert promote(logged.name, tracking_uri=uri).promoted
    frame, cost, persons = draw_costs(seed=9)
    for worse, reason in (
        (fit_costs(2.0), "is not within 0.9 to 1.1"),
        (fit_costs(known=False), "same rows: worse"),
    ):
        against = compare_with_champion(
            worse.predict(frame), frame, cost, persons, NAME, like=worse, tracking_uri=uri, n_bootstrap=50
        )
        version = log_model(worse, judge(worse), tracking_uri=uri, comparison=against).version
        decision = promote(NAME, tracking_uri=uri)
        assert (decision.promoted, decision.version, decision.against) == (False, version, logged.version)
        assert reason in decision.to_text()
    assert load_model(f"models:/{NAME}@champion", uri).version == logged.version
    with tracking(uri) as server:
        assert "worse" in server.client.get_model_version(NAME, version).tags["gate.reasons"]


def test_a_champion_is_compared_with_itself_on_the_same_rows(
    logged: LoggedModel, bundle: CostBundle, uri: str
) -> None:
    """Nothing differs; a model of another timing or of a risk is not compared."""
    promote(logged.name, version=logged.version, tracking_uri=uri)
    frame, cost, persons = draw_costs(seed=9)
    given = (bundle.predict(frame), frame, cost, persons, NAME)
    nothing = {"difference": 0, "lower": 0, "upper": 0}
    found = compare_with_champion(*given, like=bundle, tracking_uri=uri, n_bootstrap=10)
    assert found == {"version": logged.version, "r2": nothing, "mae": nothing}
    other = bundle.called({"timing": "concurrent"})
    assert compare_with_champion(*given, like=other, tracking_uri=uri, n_bootstrap=10) is None
    assert compare_with_champion(*given, tracking_uri=uri, n_bootstrap=10) is None


BETTER = {"difference": 0.0, "lower": -1.0, "upper": 1.0}


@pytest.mark.parametrize(
    ("candidate", "champion", "paired", "passes"),
    [
        (made_up(), None, None, True),
        (made_up(0.9), None, None, True),
        (made_up(0.89), None, None, False),
        (made_up(1.11), None, None, False),
        (made_up(float("nan")), None, None, False),
        (made_up(tenth=(1.2, 1.6)), None, None, True),
        (made_up(tenth=(1.26, 1.6)), None, None, False),
        (made_up(tenth=(0.5, 0.79)), None, None, False),
        (made_up(), made_up(), None, True),
        (made_up(r2=(0.1, 0.05, 0.19)), made_up(), None, False),
        (made_up(mae=(1000, 901, 1100)), made_up(), None, False),
        (made_up(r2=(0.1, 0.05, 0.19)), made_up(), {"r2": BETTER, "mae": BETTER}, True),
        (made_up(), made_up(), {"r2": {**BETTER, "upper": -0.01}, "mae": BETTER}, False),
        (made_up(), made_up(), {"r2": BETTER, "mae": {**BETTER, "lower": 5.0}}, False),
        (made_up(), made_up(timing="concurrent"), None, False),
    ],
    ids=[
        "first",
        "nine tenths of what was spent",
        "too little",
        "too much",
        "nothing was spent",
        "a tenth whose interval reaches the limit",
        "a tenth that is too dear",
        "a tenth that is too cheap",
        "as good on other rows",
        "worse in R2 on other rows",
        "worse in absolute error on other rows",
        "the same rows decide for",
        "the same rows decide by R2",
        "the same rows decide by absolute error",
        "a champion of another timing",
    ],
)
def test_the_rules_of_the_gate(
    candidate: CostEvaluation, champion: CostEvaluation | None, paired: dict | None, passes: bool
) -> None:
    assert decide(candidate, champion, paired)[0] is passes


def test_tenths_that_nobody_can_judge_do_not_pass() -> None:
    """Fewer than 11 persons a tenth: there is nothing to show that the model is calibrated."""
    few = made_up()
    unknown = few.ratios.with_columns(lower=pl.lit(None, pl.Float64), upper=pl.lit(None, pl.Float64))
    passes, reasons = decide(CostEvaluation("few", 50, 50, few.metrics, unknown, few.settings), None)
    assert not passes
    assert "too few persons" in reasons[1]


def test_a_model_of_a_risk_takes_no_name_of_a_cost() -> None:
    """A candidate of another kind than the champion stays one, and the reason says why."""
    risk = Evaluation(
        "risk",
        200,
        200,
        50,
        pl.DataFrame(
            [("auroc", 0.7, 0.6, 0.8, None), ("calibration_slope", 1.0, 1.0, 1.0, None)],
            schema=["metric", "value", "lower", "upper", "note"],
            orient="row",
        ),
        pl.DataFrame(),
        {},
    )
    for candidate, champion in ((risk, made_up()), (made_up(), risk)):
        passes, reasons = decide(candidate, champion)
        assert not passes
        assert "register the candidate under another name" in reasons[-1]


def test_a_model_of_the_other_kind_is_refused_by_name(bundle: CostBundle, tmp_path: Path) -> None:
    """What scores risks refuses a model of cost, and the reverse; the message says what to do."""
    bundle.save(tmp_path / "cost")
    fit_bundle(n=2000).save(tmp_path / "risk")
    with pytest.raises(
        RegistryError, match=r"cost is a model of expected cost, and not .*\nFix: .*riskmodels panel"
    ):
        load_model(tmp_path / "cost", kind=ModelBundle)
    with pytest.raises(
        RegistryError, match=r"risk is a model of a risk, and not .*\nFix: .*cost-12m@champion"
    ):
        load_model(tmp_path / "risk", kind=CostBundle)


def test_a_folder_of_something_else_is_not_replaced(bundle: CostBundle, tmp_path: Path) -> None:
    """Only a model takes the place of a model: a folder of documents is left as it was."""
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(RegistryError, match="holds something else than a model"):
        bundle.save(tmp_path, replace=True)
    assert (tmp_path / "mine.txt").read_text() == "keep me"
