"""What is scored, what a row says, and what is refused."""

import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from riskmodels.cohorts import build_cohort
from riskmodels.datasets import simulate
from riskmodels.engines import LocalEngine
from riskmodels.errors import ContractError, SpecError, StoreError
from riskmodels.features import build_features
from riskmodels.history import History, Part, open_history, write_history
from riskmodels.learning.bundle import ModelBundle
from riskmodels.scoring import ScoreSummary, read_scores, score
from riskmodels.scoring.job import ScoreFolder
from riskmodels.scoring.shards import ShardScores

AS_OF = date(2023, 7, 1)


@pytest.fixture(scope="module")
def scored(bundle: ModelBundle, history: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scores")
    return score(bundle, history, as_of=AS_OF, out=out, since="2023-01-01").path


def test_every_discharge_at_risk_is_scored_once(scored: Path, bundle: ModelBundle, history: History) -> None:
    """The rows are the eligible discharges from `since` on, as known then, with the model's risk."""
    seen = open_history(history.path, as_of=AS_OF)
    cases = build_cohort(bundle.task, seen, require_follow_up=False).cases
    cases = cases.filter(
        pl.col("index_time").is_between(datetime(2023, 1, 1), datetime(2023, 7, 1), closed="left")
    )
    found = read_scores(scored).collect()
    assert cases.height > 200
    assert sorted(found["index_id"]) == sorted(cases["index_id"])
    features = build_features(seen, cases, bundle.feature_set).frame
    risk = pl.DataFrame({"index_id": features["index_id"], "expected": bundle.predict(features)})
    both = found.join(risk, on="index_id")
    np.testing.assert_array_equal(both["risk"], both["expected"])
    assert both["risk_band"].to_list() == bundle.bands.assign(both["risk"]).to_list()


def test_what_a_row_says(scored: Path, bundle: ModelBundle) -> None:
    found = read_scores(scored).collect()
    assert found.columns[:7] == [
        "person_id",
        "index_id",
        "index_time",
        "facility_id",
        "status",
        "risk",
        "risk_band",
    ]
    assert set(found["model_name"]) == {"readmission-test"}
    assert set(found["model_version"]) == {"3"}
    assert set(found["as_of"]) == {datetime(2023, 7, 1)}
    assert found["features_version"][0] == bundle.contract.feature_set_hash[:12]
    assert found["reason_1"].drop_nulls().str.contains(r" \((raises|lowers) risk\)$").all()
    strengths = found.select(pl.col("^reason_._log_odds$").abs()).drop_nulls()
    assert (strengths[:, 0] >= strengths[:, 1]).all()
    assert (strengths[:, 1] >= strengths[:, 2]).all()


def test_status_tells_whom_to_call(scored: Path) -> None:
    """A discharge whose outcome is known, or whose patient died, stays in the list but is not open."""
    found = read_scores(scored).collect()
    assert set(found["status"]) == {"open", "had the outcome", "died"}


def test_a_day_before_the_data_is_refused(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"as of 1999-01-01 .* nothing is known: .* has facts from 20"):
        score(bundle, history, as_of=date(1999, 1, 1), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_day_long_after_the_data_gives_no_rows_and_says_until_when_there_are_facts(
    bundle: ModelBundle, history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = score(bundle, history, as_of=date(2040, 1, 1), out=tmp_path)
    assert done.rows == 0
    assert re.search(r"no index case of .* the history has facts from 20\d\d-\d\d-\d\d to 20", caplog.text)


def test_by_default_the_follow_up_is_still_open(
    bundle: ModelBundle, history: History, tmp_path: Path
) -> None:
    done = score(bundle, history, as_of=AS_OF, out=tmp_path)
    times = read_scores(done.path).collect()["index_time"]
    assert times.min() >= datetime(2023, 6, 1)  # type: ignore[operator]
    assert times.max() < datetime(2023, 7, 1)  # type: ignore[operator]


def test_what_became_known_later_does_not_matter(
    bundle: ModelBundle, history: History, tmp_path: Path
) -> None:
    """Rows recorded, or events after the as-of instant, taken away from the store give the same scores."""
    instant = datetime(2023, 4, 1)
    tables = {name: history.table(name).collect() for name in ("person", "coverage", "encounter", "event")}
    over = {"encounter": "end", "event": "time"}
    for name, column in over.items():
        tables[name] = tables[name].filter(pl.max_horizontal("recorded_at", column) < instant)
    parts = [Part(name, frame, name) for name, frame in tables.items()]
    then = write_history(parts, tmp_path / "then", source_format="simulated", shards=4)
    one = score(bundle, history, as_of=instant, out=tmp_path / "a", since="2023-02-01")
    two = score(bundle, then, as_of=instant, out=tmp_path / "b", since="2023-02-01")
    frames = [read_scores(done.path).collect().sort("index_id") for done in (one, two)]
    assert frames[0].height > 50
    assert_frame_equal(*frames)


def test_reasons_only_from_a_band_upwards(
    scored: Path, bundle: ModelBundle, history: History, tmp_path: Path
) -> None:
    done = score(
        bundle, history, as_of=AS_OF, out=tmp_path, since="2023-01-01", reasons=1, reasons_from="high"
    )
    found = read_scores(done.path).collect()
    explained = found.filter(pl.col("reason_1").is_not_null())["risk_band"]
    assert set(explained) == {"high", "very high"}
    assert "reason_2" not in found.columns
    everyone = read_scores(scored).collect().select("index_id", full="reason_1")
    both = found.filter(pl.col("reason_1").is_not_null()).join(everyone, on="index_id")
    assert both["reason_1"].to_list() == both["full"].to_list()


def test_reasons_add_up_to_the_margin(
    scored: Path, bundle: ModelBundle, history: History, tmp_path: Path
) -> None:
    """With a reason for each topic, their log-odds and the expected value give the model's margin."""
    topics = 100
    done = score(bundle, history, as_of=AS_OF, out=tmp_path, since="2023-06-20", reasons=topics)
    found = read_scores(done.path).collect()
    total = found.select(pl.sum_horizontal(pl.col("^reason_.*_log_odds$"))).to_series().to_numpy()
    seen = open_history(history.path, as_of=AS_OF)
    cases = build_cohort(bundle.task, seen, require_follow_up=False).cases
    cases = cases.join(found.select("index_id"), on="index_id", how="semi")
    features = build_features(seen, cases, bundle.feature_set).frame
    margin = bundle.model.predict_raw(bundle.check(features).frame) - bundle.model.expected_value
    expected = pl.DataFrame({"index_id": cases["index_id"], "margin": margin})
    both = found.select("index_id").with_columns(total=total).join(expected, on="index_id")
    # Topics below 0.005 are left unsaid.
    np.testing.assert_allclose(both["total"], both["margin"], atol=0.005 * topics)


def test_a_history_without_drugs_is_refused(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    tables = {name: history.table(name).collect() for name in ("person", "coverage", "encounter", "event")}
    tables["event"] = tables["event"].filter(pl.col("kind") != "drug")
    parts = [Part(name, frame, name) for name, frame in tables.items()]
    without = write_history(parts, tmp_path / "without", source_format="simulated")
    with pytest.raises(ContractError, match=r"(?s)no event rows of kind 'drug'.*fills.*\nFix"):
        score(bundle, without, as_of=AS_OF, out=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_another_feature_set_is_refused(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    """A bundle whose features are not those of its contract names the column that is missing."""
    smaller = replace(bundle.feature_set, specs=bundle.feature_set.specs[1:])
    with pytest.raises(ContractError, match="'age' missing"):
        score(replace(bundle, feature_set=smaller), history, as_of=AS_OF, out=tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"as_of": "July"}, "as_of is 'July'\nFix: write a date as 2023-07-01"),
        ({"as_of": AS_OF, "since": AS_OF}, "is not before as_of"),
        ({"as_of": AS_OF, "reasons_from": "highest"}, "no risk band 'highest'. Hint: did you mean 'high'"),
    ],
    ids=["no date", "since after as_of", "no such band"],
)
def test_options_that_make_no_sense(
    bundle: ModelBundle, history: History, tmp_path: Path, options: dict[str, object], says: str
) -> None:
    with pytest.raises(SpecError, match=says):
        score(bundle, history, out=tmp_path, **options)  # type: ignore[arg-type]


def test_no_discharge_is_no_error(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    done = score(bundle, history, as_of="2030-01-01", out=tmp_path)
    assert done.rows == 0
    assert read_scores(done.path).collect().is_empty()


def test_a_finished_job_is_left_alone(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    first = score(bundle, history, as_of=AS_OF, out=tmp_path)
    times = {path: path.stat().st_mtime_ns for path in first.path.glob("*.parquet")}
    again = score(bundle, history, as_of=AS_OF, out=tmp_path)
    assert not first.already_done
    assert again.already_done
    assert "was done already" in again.to_text()
    assert (again.rows, again.by_band) == (first.rows, first.by_band)
    assert {path: path.stat().st_mtime_ns for path in first.path.glob("*.parquet")} == times


def test_a_damaged_shard_is_made_again(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    first = score(bundle, history, as_of=AS_OF, out=tmp_path)
    shards = sorted(first.path.glob("*.parquet"))
    whole = {path: path.read_bytes() for path in shards}
    shards[2].write_bytes(b"PAR1")
    shards[5].unlink()
    again = score(bundle, history, as_of=AS_OF, out=tmp_path)
    assert again.computed == 2
    assert {path: path.read_bytes() for path in shards} == whole


@pytest.mark.parametrize("change", ["model", "version", "since", "reasons"])
def test_another_job_in_the_same_folder_is_refused(
    bundle: ModelBundle, history: History, tmp_path: Path, change: str
) -> None:
    """The message says what differs; the scores that are there stay."""
    first = score(bundle, history, as_of=AS_OF, out=tmp_path)
    before = {path: path.read_bytes() for path in first.path.iterdir()}
    metadata = {"version": {**bundle.metadata, "version": "4"}, "model": {**bundle.metadata, "name": "other"}}
    other = replace(bundle, metadata=metadata.get(change, bundle.metadata))
    options = {"since": {"since": "2023-06-15"}, "reasons": {"reasons": 2}}.get(change, {})
    with pytest.raises(StoreError, match=rf"another job .*{change}.*\nFix"):
        score(other, history, as_of=AS_OF, out=tmp_path, **options)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in first.path.iterdir()} == before


def test_a_history_that_changed_is_refused(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    score(bundle, history, as_of=AS_OF, out=tmp_path)
    tables = {name: history.table(name).collect() for name in ("person", "coverage", "encounter", "event")}
    parts = [
        Part(name, frame, name) for name, frame in (tables | {"event": tables["event"].head(-1)}).items()
    ]
    changed = write_history(parts, tmp_path / "H2", source_format="simulated", shards=16)
    with pytest.raises(StoreError, match=r"another job \(history differs\)"):
        score(bundle, changed, as_of=AS_OF, out=tmp_path)


def test_a_job_that_never_scored_anything_is_in_nobodys_way(
    bundle: ModelBundle, history: History, tmp_path: Path
) -> None:
    """A job that was refused before its first shard leaves the folder to the next."""
    smaller = replace(bundle.feature_set, specs=bundle.feature_set.specs[1:])
    with pytest.raises(ContractError):
        score(replace(bundle, feature_set=smaller), history, as_of=AS_OF, out=tmp_path)
    assert score(bundle, history, as_of=AS_OF, out=tmp_path).rows > 0


def test_two_jobs_at_once_in_one_folder(tmp_path: Path) -> None:
    """The second is told; the lock goes with the first."""
    folder = ScoreFolder(tmp_path / "as_of=2023-07-01", {"model": "m"}, 1)
    with folder.open(), pytest.raises(StoreError, match="another scoring job is writing here"), folder.open():
        pass
    with folder.open():
        assert folder.done() == set()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "as_of=2023-07-01"
    path.mkdir()
    pl.DataFrame({"x": [1]}).write_parquet(path / "shard=000.parquet")
    with (
        pytest.raises(StoreError, match="was not written by a scoring job"),
        ScoreFolder(path, {"model": "m"}, 1).open(),
    ):
        pass


@pytest.mark.parametrize(
    ("by_band", "says"),
    [
        ({"low": 40, "medium": 30, "high": 20}, "low 40, medium 30, high 20"),
        ({"low": 40, "medium": 30, "high": 0}, "low 40, medium 30, high 0"),
        ({"low": 40, "medium": 30, "high": 5}, "low 40, medium few, high few"),
        ({"low": 40, "medium": 9, "high": 5}, "low 40, medium few, high few"),
        ({"low": 5}, "low few"),
    ],
    ids=["none small", "none is not small", "one takes the next with it", "two", "all there is"],
)
def test_the_summary_gives_no_small_count_away(by_band: dict[str, int], says: str) -> None:
    rows = sum(by_band.values())
    at, since = datetime(2023, 7, 1), datetime(2023, 6, 1)
    summary = ScoreSummary(Path("out"), rows, by_band, 4, 4, "readmission-test", "3", at, since)
    text = summary.to_text()
    assert f"risk bands: {says}\n" in text
    assert "readmission-test version 3" in text
    assert ("fewer than 11 discharges" in text) is (rows < 11)


def test_codes_that_the_features_do_not_see_are_said_once_a_job(
    bundle: ModelBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the words of training; a job that had ended is left alone, and says nothing."""
    tables = dict(simulate(400, seed=11).tables)
    event = tables["event"]
    foreign = event.filter(pl.col("kind") == "diagnosis").with_columns(
        code_system=pl.lit("SNOMED"), code=pl.lit("84114007")
    )
    tables["event"] = pl.concat([event, foreign])
    parts = [Part(name, tables[name], name) for name in ("person", "coverage", "encounter", "event")]
    history = write_history(parts, tmp_path / "H", source_format="simulated", shards=3)

    def said() -> list[str]:
        caplog.clear()
        score(bundle, history, as_of=AS_OF, out=tmp_path / "scores", since="2023-01-01", reasons=0)
        return [text for text in caplog.messages if "unknown to the groupers" in text]

    (line,) = said()
    assert "(charlson)" in line
    assert "diagnosis codes in SNOMED (100.0%). Fix: map them to a system that is known" in line
    assert not said()


class Elsewhere(LocalEngine):
    """Writes where this machine does not see it, as workers without a shared file system do."""

    def run(self, function: ShardScores, shards, what: str, *, unit: str = "shard"):
        if isinstance(function, ShardScores):
            moved = function.folder.path.parent / "of-the-worker"
            function = replace(function, folder=replace(function.folder, path=moved))
        return super().run(function, shards, what, unit=unit)


def test_scores_that_workers_wrote_elsewhere(bundle: ModelBundle, history: History, tmp_path: Path) -> None:
    """Without a shared file system the files are not there: said in a line, and no job is taken for done."""
    with pytest.raises(
        StoreError, match=r"this machine does not see them\nFix: name an --out on a file system that all"
    ):
        score(bundle, history, as_of=AS_OF, out=tmp_path, reasons=0, engine=Elsewhere())
    assert not list(tmp_path.rglob("_SUCCESS"))
