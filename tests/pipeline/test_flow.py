"""The whole flow through the command line, on simulated patients: each step's files feed the next."""

import json
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.history import check, open_history

PATIENTS, SEED = 5_000, 3


def run(*arguments: object) -> str:
    """Return what a command says, once it has ended well."""
    result = CliRunner().invoke(main, ["--quiet", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a history, its truth, and a trained model that was promoted if it passed."""
    folder = tmp_path_factory.mktemp("flow")
    run("simulate", folder / "H", "--patients", PATIENTS, "--seed", SEED, "--truth", folder / "truth")
    said = run(
        *("train", "readmission-30d", folder / "H", "--tracking-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--out", folder / "model", "--promote"),
    )
    (folder / "train.txt").write_text(said)
    return folder


@pytest.fixture(scope="module")
def benchmark(place: Path) -> Path:
    run("benchmark", "readmission-30d", place / "H", "--out", place / "B.parquet", "--draws", 50)
    return place / "B.parquet"


def test_training_says_how_good_the_model_is_and_where_it_went(place: Path) -> None:
    """AUROC has its interval, rivals stand on the same rows, and the registered version is named."""
    said = (place / "train.txt").read_text()
    assert "AUROC" in said
    assert "Logistic regression" in said
    assert "LACE" in said
    assert "models:/readmission-30d/1" in said
    assert "gate" in said or "champion" in said


def test_the_training_set_holds_observed_cases_with_their_label(place: Path) -> None:
    run("features", "readmission-30d", place / "H", "--out", place / "F.parquet")
    frame = pl.read_parquet(place / "F.parquet")
    assert frame["label"].null_count() == 0
    assert frame["index_id"].is_unique().all()
    assert 0.08 < frame["label"].mean() < 0.25
    assert {"age", "sex", "lace_score"} <= set(frame.columns)


def test_the_model_folder_and_the_registered_version_score_alike(place: Path) -> None:
    """A model loaded from a folder and one loaded from the registry give the same risks."""
    for name, model in (("S1", place / "model"), ("S2", "models:/readmission-30d/1")):
        uri = f"sqlite:///{place}/mlflow.db"
        arguments = ("score", model, place / "H", "--as-of", "2023-06-01", "--tracking-uri", uri)
        run(*arguments, "--out", place / name, "--reasons", 0)
    scores = [
        pl.read_parquet(str(place / name / "**" / "*.parquet")).sort("index_id").select("index_id", "risk")
        for name in ("S1", "S2")
    ]
    assert scores[0].height > 50
    assert scores[0].equals(scores[1])


def test_the_benchmark_and_the_payment_follow_from_each_other(place: Path, benchmark: Path) -> None:
    """The benchmark's ratios are the payment's excess readmission ratios; dollars have an interval."""
    simulated = pl.read_parquet(place / "truth" / "facilities.parquet")
    for name, column in (
        ("drg_ratios", "drg_payment_ratio"),
        ("peer_groups", "dual_proportion"),
        ("base_payments", "base_operating_payments"),
    ):
        simulated.select("facility_id", column).write_csv(place / f"{name}.csv")
    run(
        *("pay", "hrrp", benchmark, "--year", 2025, "--out", place / "P.csv", "--detail", place / "D.csv"),
        *("--drg-ratios", place / "drg_ratios.csv", "--peer-groups", place / "peer_groups.csv"),
        *("--base-payments", place / "base_payments.csv"),
    )
    ratios = pl.read_parquet(benchmark).filter(~pl.col("suppressed"))
    detail = pl.read_csv(place / "D.csv", schema_overrides={"facility_id": pl.String})
    both = ratios.join(detail, on="facility_id")
    assert both.height > 0
    assert (both["ratio"] - both["excess_readmission_ratio"]).abs().max() < 1e-12  # type: ignore[operator]
    paid = pl.read_csv(place / "P.csv", schema_overrides={"facility_id": pl.String})
    assert paid["payment_adjustment_factor"].is_between(0.97, 1.0).all()
    sure = paid.filter(pl.col("payment_reduction_dollars_lower").is_not_null())
    assert sure.height > 0
    assert (sure["payment_reduction_dollars_lower"] <= sure["payment_reduction_dollars_upper"]).all()
    assert json.loads((place / "P.rules.json").read_text())["rules"]


def test_the_report_is_one_page_with_every_section(place: Path, benchmark: Path) -> None:
    page = place / "report.html"
    uri = f"sqlite:///{place}/mlflow.db"
    run("report", "models:/readmission-30d/1", "--out", page, "--benchmark", benchmark, "--tracking-uri", uri)
    text = page.read_text(encoding="utf-8")
    HTMLParser().feed(text)
    assert "readmission" in text
    assert "<svg" in text
    assert 'src="http' not in text


def test_what_a_report_cannot_show_is_said_with_the_file(place: Path, tmp_path: Path) -> None:
    """Another program's payment, and a name that no browser opens as a page, are refused."""
    other = tmp_path / "savings.csv"
    other.write_text("aco_id,earned_savings_losses\nA1,1\n")
    asked = ["report", "models:/readmission-30d/1", "--tracking-uri", f"sqlite:///{place}/mlflow.db"]
    for arguments, says in (
        (["--out", tmp_path / "r.html", "--payment", other], "savings.csv: a report shows what hospitals"),
        (["--out", tmp_path / "r.txt"], "r.txt: a report is a page\nFix: end it in .html"),
    ):
        result = CliRunner().invoke(main, [*asked, *map(str, arguments)])
        assert result.exit_code == 1
        assert says in result.output
    assert list(tmp_path.iterdir()) == [other]


def test_the_demo_ends_with_the_page_to_open(tmp_path: Path) -> None:
    said = run("demo", "--out", tmp_path / "demo", "--patients", 3_000, "--seed", 1)
    page = Path(said.strip().splitlines()[-1])
    assert page.is_file()
    assert page.read_text(encoding="utf-8").count("<svg") >= 5
    assert "AUROC" in said
    kinds = len(check(open_history(tmp_path / "demo" / "history")).odd)
    assert f"3,000 simulated patients, odd rows of {kinds} kinds" in said


def test_the_demo_spares_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert (tmp_path / "mine.txt").read_text() == "keep me"
