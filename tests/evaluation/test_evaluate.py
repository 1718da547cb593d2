"""Intervals, groups, small cells, edge cases and the round trip of an evaluation."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.evaluation import Evaluation, band, compare, evaluate


def cohort(n=4000, seed=0, patients=None):
    """Return outcomes, true risks and patients."""
    random = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-random.normal(-2, 0.8, n)))
    ids = random.integers(0, patients or n, n)
    return (random.random(n) < p).astype(int), p, ids


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Of 60 samples of known risk, about 95% of the intervals of slope, intercept and O/E hold 1, 0 and 1."""
    held = {"calibration_slope": 0, "calibration_intercept": 0, "observed_expected": 0}
    for seed in range(60):
        y, p, ids = cohort(1500, seed)
        measured = evaluate(y, p, ids, n_bootstrap=100, seed=seed)
        for metric, truth in zip(held, (1, 0, 1), strict=True):
            interval = measured[metric]
            held[metric] += interval.lower <= truth <= interval.upper
    # Binomial(60, 0.95) lies between 51 and 60 with probability 0.999; 100 draws cost a little coverage.
    assert all(count >= 50 for count in held.values()), held
    assert any(count < 60 for count in held.values()), held


def test_rows_repeated_within_patients_widen_the_interval():
    """Four copies of a row say no more than one: intervals by patient stay, those by row halve."""
    y, p, _ = cohort(1500)
    once = evaluate(y, p, n_bootstrap=300)["auroc"]
    patients = np.repeat(np.arange(len(y)), 4)
    clustered = evaluate(np.repeat(y, 4), np.repeat(p, 4), patients, n_bootstrap=300)["auroc"]
    naive = evaluate(np.repeat(y, 4), np.repeat(p, 4), n_bootstrap=300)["auroc"]
    width = clustered.upper - clustered.lower
    assert width == pytest.approx(once.upper - once.lower)
    assert (naive.upper - naive.lower) / width == pytest.approx(0.5, abs=0.1)


def test_the_value_lies_inside_its_interval_even_for_the_calibration_error():
    y, p, ids = cohort()
    metrics = evaluate(y, p, ids, n_bootstrap=100).metrics
    assert metrics.filter(~pl.col("value").is_between("lower", "upper")).is_empty()


def test_the_seed_decides_the_draws_and_the_order_of_rows_does_not():
    y, p, ids = cohort(800, patients=500)
    first = evaluate(y, p, ids, n_bootstrap=50, seed=7)
    shuffled = np.random.default_rng(1).permutation(len(y))
    again = evaluate(y[shuffled], p[shuffled], ids[shuffled], n_bootstrap=50, seed=7)
    other = evaluate(y, p, ids, n_bootstrap=50, seed=8)
    assert first["auroc"].lower == pytest.approx(again["auroc"].lower)
    assert first["auroc"].lower != other["auroc"].lower


def test_each_group_is_measured_on_its_own_rows():
    y, p, ids = cohort()
    sex = np.where(np.arange(len(y)) % 2, "F", "M")
    by_group = evaluate(y, p, ids, {"sex": sex}, n_bootstrap=20).by_group
    women = by_group.filter((pl.col("level") == "F") & (pl.col("metric") == "auroc"))
    assert women["value"].item() == pytest.approx(
        evaluate(y[sex == "F"], p[sex == "F"], n_bootstrap=0)["auroc"].value
    )
    assert women["n"].item() == (sex == "F").sum()
    assert women["lower"].item() < women["value"].item() < women["upper"].item()


@pytest.mark.parametrize(
    "kind",
    [pl.DataFrame, pd.DataFrame, dict, lambda x: pl.DataFrame(x).to_arrow()],
    ids=["polars", "pandas", "dict", "arrow"],
)
def test_groups_come_as_any_frame(kind):
    y, p, ids = cohort(600)
    dual = (np.arange(len(y)) % 3 == 0).tolist()
    by_group = evaluate(y, p, ids, kind({"dual": dual}), n_bootstrap=0).by_group
    assert by_group["level"].unique().sort().to_list() == ["no", "yes"]


@pytest.mark.parametrize(
    ("n", "events"),
    [(10, 5), (40, 10), (40, 30)],
    ids=["ten rows", "ten events", "ten rows without the event"],
)
def test_small_cells_are_suppressed_and_so_is_their_neighbour(n, events):
    """With one level hidden, the next smallest is hidden too, or its count would follow from the total."""
    y = np.r_[np.tile([0, 0, 0, 1], 100), np.tile([0, 0, 0, 1], 50), np.arange(n) < events].astype(int)
    p = np.random.default_rng(0).uniform(0.01, 0.9, len(y))
    level = np.array(["large"] * 400 + ["medium"] * 200 + ["small"] * n)
    cells = evaluate(y, p, groups={"size": level}, n_bootstrap=5).by_group
    for name, suppressed in {"large": False, "medium": True, "small": True}.items():
        rows = cells.filter(pl.col("level") == name)
        assert rows["suppressed"].unique().to_list() == [suppressed]
        assert (
            rows.select("n", "value", "lower", "upper").null_count().row(0) == (rows.height,) * 4
        ) == suppressed
    assert set(cells.filter("suppressed")["note"].str.head(11)) == {"suppressed:"}


def test_bands_keep_their_own_order():
    age = band([64, 65, 74.5, 85, None, 101], (65, 75, 85), name="age")
    assert age.to_list() == ["<65", "65-74", "65-74", "85+", None, "85+"]
    y, p, ids = cohort(4000)
    years = np.random.default_rng(0).integers(50, 100, len(y))
    levels = evaluate(y, p, ids, {"age": band(years, (65, 75, 85))}, n_bootstrap=0).by_group["level"]
    assert levels.unique(maintain_order=True).to_list() == ["<65", "65-74", "75-84", "85+"]


@pytest.mark.parametrize(
    ("y", "p", "metric", "note"),
    [
        pytest.param([0] * 4, [0.1, 0.2, 0.3, 0.4], "auroc", "no row has the event", id="no event"),
        pytest.param([1] * 4, [0.1, 0.2, 0.3, 0.4], "auroc", "all rows have the event", id="events only"),
        pytest.param([0, 1] * 2, [0.3] * 4, "calibration_slope", "all predictions are equal", id="constant"),
        pytest.param(
            [0, 0, 1, 1],
            [0.1, 0.2, 0.8, 0.9],
            "calibration_slope",
            "the predictions separate events from non-events",
            id="separated",
        ),
    ],
)
def test_what_is_not_defined_is_null_and_says_why(y, p, metric, note):
    row = evaluate(y, p, n_bootstrap=20).metrics.filter(pl.col("metric") == metric).row(0, named=True)
    assert (row["value"], row["lower"], row["upper"], row["note"]) == (None, None, None, note)


def test_constant_predictions_rank_as_chance():
    assert evaluate([0, 1, 0, 1], [0.5] * 4, n_bootstrap=0)["auroc"].value == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"y": [], "p": []}, "y has shape", id="empty"),
        pytest.param({"y": [0, 2], "p": [0.1, 0.2]}, "y holds 2 at row 1", id="outcome of 2"),
        pytest.param({"y": [0, None], "p": [0.1, 0.2]}, "y holds nan at row 1", id="outcome missing"),
        pytest.param({"y": ["no", "yes"], "p": [0.1, 0.2]}, "y holds values that are no numbers", id="words"),
        pytest.param({"y": [0, 1], "p": [0.1]}, "p has shape", id="lengths differ"),
        pytest.param(
            {"y": [0, 1], "p": [0.1, np.nan]}, "p is missing or infinite in 1 rows, first at row 1", id="nan"
        ),
        pytest.param({"y": [0, 1], "p": [0.1, 1.2]}, "p holds 1.2 at row 1", id="beyond 1"),
        pytest.param(
            {"y": [0, 1], "p": [0.1, 0.2], "patients": ["a"]}, "patients has 1 rows", id="patients short"
        ),
        pytest.param(
            {"y": [0, 1], "p": [0.1, 0.2], "patients": ["a", None]}, "patients is missing", id="no patient"
        ),
        pytest.param(
            {"y": [0, 1], "p": [0.1, 0.2], "groups": {"sex": ["F"]}}, "groups\\['sex'\\] has 1", id="groups"
        ),
        pytest.param({"y": [0, 1], "p": [0.1, 0.2], "level": 95}, "level=95", id="level"),
        pytest.param(
            {"y": [0, 1], "p": [0.1, 0.2], "thresholds": [10]}, "thresholds=\\[10\\]", id="threshold in %"
        ),
    ],
)
def test_input_that_cannot_be_used_is_named(arguments, message):
    with pytest.raises(DataError, match=message) as caught:
        evaluate(**arguments)
    assert caught.value.fix


def test_a_grouping_with_a_level_a_row_is_refused():
    y, p, _ = cohort(200)
    with pytest.raises(DataError, match="levels; at most 40"):
        evaluate(y, p, groups={"patient": np.arange(200)})


def test_round_trip_through_json(tmp_path):
    y, p, ids = cohort(500)
    measured = evaluate(
        y, p, ids, {"sex": np.where(np.arange(500) < 8, "F", "M")}, n_bootstrap=10, name="lace+"
    )
    measured.write(tmp_path / "evaluation.json")
    text = (tmp_path / "evaluation.json").read_text()
    assert "NaN" not in text
    assert Evaluation.from_dict(json.loads(text)).to_dict() == measured.to_dict()


def test_an_evaluation_of_another_format_is_refused():
    with pytest.raises(DataError, match="format 99"):
        Evaluation.from_dict({"format": 99})


def test_text_shows_value_and_interval():
    y, p, ids = cohort()
    measured = evaluate(y, p, ids, n_bootstrap=30)
    area = measured["auroc"]
    assert (
        f"AUROC                         {area.value:.3f} ({area.lower:.3f}-{area.upper:.3f})"
        in measured.to_text()
    )


def test_few_events_are_said_and_very_few_are_not_counted():
    assert "Only 20 events" in evaluate([0, 1] * 20, np.linspace(0.1, 0.9, 40), n_bootstrap=0).to_text()
    assert (
        "fewer than 11 events"
        in evaluate([0] * 50 + [1] * 3, np.linspace(0.1, 0.9, 53), n_bootstrap=0).to_text()
    )


def test_metrics_that_rest_on_a_small_cell_are_not_shown():
    """Of 200 rows ten are flagged: whatever share of them had the event, it is a count of 1 to 10."""
    y, p, ids = cohort(200, seed=3)
    measured = evaluate(y, p, ids, n_bootstrap=0)
    assert measured.withheld("ppv@top5%")
    assert not measured.withheld("auroc")
    assert "PPV, top 5% flagged           withheld" in measured.to_text()
    large = evaluate(*cohort(), n_bootstrap=0)
    assert not any(large.withheld(metric) for metric in large.metrics["metric"])


def test_the_rate_of_very_few_events_is_not_shown():
    measured = evaluate([0] * 50 + [1] * 3, np.linspace(0.1, 0.9, 53), n_bootstrap=0)
    assert measured.withheld("observed_rate")
    assert measured.curves["decision"]["treat_all"] == [None] * 60


def test_a_metric_that_is_not_there_gets_a_hint():
    with pytest.raises(DataError, match="did you mean 'auroc'"):
        evaluate([0, 1], [0.1, 0.2], n_bootstrap=0)["aurocc"]


def test_curves_hold_no_row_and_no_small_bin():
    y, p, ids = cohort(300, seed=2)
    curves = evaluate(y, p, ids, n_bootstrap=20).curves
    assert {len(values) for values in curves["roc"].values()} == {101}
    bins = curves["calibration"]
    assert sum(bins["n"]) == 300
    events = np.array(bins["observed"]) * np.array(bins["n"])
    assert (np.round(events) >= 11).all()
    assert all(
        low <= rate <= high
        for low, rate, high in zip(bins["lower"], bins["observed"], bins["upper"], strict=True)
    )
    assert all(rows is None or rows == 0 or rows >= 11 for rows in curves["histogram"]["rows"])
    flagged = [(p >= threshold, y == 1) for threshold in curves["decision"]["threshold"]]
    for (high, event), benefit in zip(flagged, curves["decision"]["model"], strict=True):
        cells = [(a & b).sum() for a in (high, ~high) for b in (event, ~event)]
        assert (benefit is None) == any(0 < cell < 11 for cell in cells)


def test_the_roc_curve_holds_the_area():
    y, p, ids = cohort(20_000)
    measured = evaluate(y, p, ids, n_bootstrap=0)
    curve = measured.curves["roc"]
    points = [(x, y) for x, y in zip(*curve.values(), strict=True) if y is not None]
    area = np.trapezoid([0, *(y for _, y in points), 1], [0, *(x for x, _ in points), 1])
    assert area == pytest.approx(measured["auroc"].value, abs=0.002)


def test_the_decision_curve_meets_the_net_benefit():
    y, p, ids = cohort()
    measured = evaluate(y, p, ids, n_bootstrap=0)
    curve = measured.curves["decision"]
    assert curve["model"][curve["threshold"].index(0.1)] == pytest.approx(
        measured["net_benefit@0.1"].value, abs=1e-6
    )


class TestCompare:
    def test_differences_are_paired(self):
        """A model that is another plus a little noise differs by less than either interval is wide."""
        y, p, ids = cohort()
        noisy = np.clip(p + np.random.default_rng(99).normal(0, 0.01, len(p)), 0.001, 0.999)
        frame = compare(y, {"ours": p, "noisy": noisy}, ids, n_bootstrap=60)
        row = frame.filter(metric="auroc", model="noisy").row(0, named=True)
        reference = frame.filter(metric="auroc", model="ours").row(0, named=True)
        assert row["difference"] == pytest.approx(row["value"] - reference["value"])
        assert row["difference_lower"] < row["difference"] < row["difference_upper"]
        assert row["difference_upper"] - row["difference_lower"] < (row["upper"] - row["lower"]) / 2
        assert reference["difference"] is None

    def test_agrees_with_evaluate_on_the_same_draws(self):
        y, p, ids = cohort(800)
        frame = compare(y, {"ours": p}, ids, n_bootstrap=40, seed=5).filter(pl.col("metric") != "ece")
        measured = evaluate(y, p, ids, n_bootstrap=40, seed=5).metrics.filter(pl.col("metric") != "ece")
        assert frame["metric"].to_list() == measured["metric"].to_list()
        for column in ("value", "lower", "upper"):
            assert frame[column].to_list() == pytest.approx(measured[column].to_list(), abs=1e-6)

    def test_a_score_of_points_is_ranked_but_not_calibrated(self):
        y, p, ids = cohort(800)
        frame = compare(y, {"ours": p, "LACE": np.round(20 * p)}, ids, n_bootstrap=10)
        lace = {row["metric"]: row for row in frame.filter(model="LACE").to_dicts()}
        assert lace["auroc"]["difference"] is not None
        assert lace["brier"]["value"] is None
        assert lace["brier"]["note"] == "a score of points, not a probability"

    @pytest.mark.parametrize(
        ("models", "reference", "message"),
        [
            ({}, None, "models is empty"),
            ({"ours": [0.1, 0.2]}, "our", "did you mean 'ours'"),
            ({"ours": [0.1, 0.2], "LACE": [1, None]}, None, "LACE is missing"),
        ],
        ids=["no model", "unknown reference", "missing score"],
    )
    def test_input_that_cannot_be_used_is_named(self, models, reference, message):
        with pytest.raises(DataError, match=message):
            compare([0, 1], models, reference=reference)
