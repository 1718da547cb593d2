"""Figures show what they are given, also where it is little, and keep matplotlib's settings as they were."""

import json
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from riskmodels.evaluation import evaluate, summarise_drivers
from riskmodels.reports import plots
from riskmodels.reports.hospital_plots import funnel_limits
from riskmodels.reports.style import QUIET


@pytest.fixture(params=["usual", "one class", "constant", "few"])
def measured(request, evaluation):
    """Return evaluations with all, some or none of the curves."""
    rows = {
        "one class": ([0] * 40, np.linspace(0.1, 0.4, 40)),
        "constant": ([0, 1] * 40, [0.3] * 80),
        "few": ([0] * 20 + [1] * 3, np.linspace(0.1, 0.4, 23)),
    }
    return evaluate(*rows[request.param], n_bootstrap=3) if request.param in rows else evaluation


@pytest.mark.parametrize(
    "draw",
    [
        plots.plot_calibration,
        plots.plot_decision_curve,
        plots.plot_roc,
        plots.plot_precision_recall,
        plots.plot_groups,
    ],
    ids=lambda draw: draw.__name__,
)
def test_an_evaluation_is_drawn_and_settings_are_left_alone(draw, measured):
    before = dict(mpl.rcParams)
    drawn = draw(measured)
    assert isinstance(drawn, Figure)
    assert plots.to_png(drawn, dpi=30).startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before


def test_calibration_points_are_the_bins(evaluation):
    drawn = plots.plot_calibration(evaluation)
    points = drawn.axes[0].lines[1].get_xydata()
    curve = evaluation.curves["calibration"]
    assert points.tolist() == [list(pair) for pair in zip(curve["risk"], curve["observed"], strict=True)]


def test_a_short_gap_of_the_decision_curve_is_bridged_and_a_long_one_is_not(evaluation):
    curves = json.loads(json.dumps(evaluation.curves))
    curves["decision"]["model"][10:13] = [None] * 3
    curves["decision"]["model"][20:30] = [None] * 10
    line = plots.plot_decision_curve(replace(evaluation, curves=curves)).axes[0].lines[0].get_ydata()
    given = evaluation.curves["decision"]["model"]
    assert line[11] == pytest.approx((given[9] + given[13]) / 2)
    assert np.isnan(line[20:30]).all()


def test_drivers_are_named_and_measured(drivers):
    drawn = plots.plot_drivers(drivers)
    words = [text.get_text() for text in drawn.axes[0].texts]
    assert words == [
        "ED visits in the last 90 days",
        f"{drivers['mean_abs_shap'][0]:.3f}",
        "Diagnosis",
        f"{drivers['mean_abs_shap'][1]:.3f}",
    ]


def test_labels_are_written_as_they_are():
    """Two dollar signs are no formula to typeset, and a tag is no tag."""
    X = pl.DataFrame({"paid": np.arange(60.0)})
    named = summarise_drivers(X, X, {"paid": "Paid ($) <b> a month ($)"})
    assert "Paid ($) &lt;b&gt; a month ($)</text>" in plots.to_svg(plots.plot_drivers(named), "d", "Drivers")


def test_funnel_limits_meet_the_normal_ones():
    """100 expected of 400: variance 100 x 0.75, so the 95% limits are 1 ± 1.96 x sqrt(75) / 100."""
    frame = funnel_limits(pl.DataFrame({"facility_id": ["1"], "n": [400], "expected": [100.0]}))
    assert frame["funnel_upper_95"].item() == pytest.approx(1 + 1.959964 * np.sqrt(75) / 100)
    assert frame["funnel_lower_998"].item() == pytest.approx(1 - 3.090232 * np.sqrt(75) / 100)


def test_given_funnel_limits_are_kept(benchmark):
    given = benchmark.with_columns(pl.lit(9.0).alias("funnel_lower_95"))
    assert funnel_limits(given)["funnel_lower_95"].to_list() == [9.0] * 40


def test_the_funnel_leaves_suppressed_hospitals_out_and_names_the_farthest(benchmark):
    drawn = plots.plot_funnel(benchmark)
    points = sum(len(collection.get_offsets()) for collection in drawn.axes[0].collections)
    assert points == 39
    assert "000003" in [text.get_text() for text in drawn.axes[0].texts]


def test_the_caterpillar_rises(benchmark):
    drawn = plots.plot_caterpillar(benchmark)
    heights = {x: y for line in drawn.axes[0].lines[1:] for x, y in line.get_xydata()}
    ratios = [heights[place] for place in sorted(heights)]
    assert ratios == sorted(benchmark.filter(~pl.col("suppressed"))["ratio"].to_list())


@pytest.mark.parametrize("draw", [plots.plot_funnel, plots.plot_caterpillar], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("hospitals", [0, 1, 2, 40], ids="{} hospitals".format)
def test_any_number_of_hospitals_is_drawn(draw, hospitals, benchmark):
    assert plots.to_svg(draw(benchmark.head(hospitals)), "x", "Hospitals").startswith("<svg")


def test_few_penalties_are_drawn_one_by_one_and_many_as_a_spread(payment):
    single = plots.plot_payment(payment).axes[0]
    assert len(single.get_yticklabels()) == 20
    many = plots.plot_payment(pl.concat([payment] * 10)).axes[0]
    assert "200 of 400 without a reduction" in [text.get_text() for text in many.texts]


def test_nobody_penalised_is_drawn_too(payment):
    drawn = plots.plot_payment(payment.with_columns(payment_reduction=pl.lit(0.0))).axes[0]
    assert "40 of 40 without a reduction" in [text.get_text() for text in drawn.texts]


def test_the_same_figure_has_the_same_svg(evaluation):
    """A report of the same run is the same file."""
    assert plots.to_svg(plots.plot_roc(evaluation), "roc", "ROC") == plots.to_svg(
        plots.plot_roc(evaluation), "roc", "ROC"
    )


@pytest.mark.parametrize(("hospitals", "marks"), [(2, 4), (40, 0)], ids="{0} hospitals".format)
def test_too_few_hospitals_for_a_curve_have_limits_of_their_own(hospitals, marks, benchmark):
    """A limit that the legend names is always in the plot: a mark a hospital where no curve fits."""
    lines = plots.plot_funnel(benchmark.head(hospitals)).axes[0].lines
    assert sum(line.get_marker() == "_" for line in lines) == marks
    limits = [line for line in lines if line.get_color() == QUIET]
    assert len(limits) == 4
    assert all(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).all() for line in limits)


@pytest.mark.parametrize(
    ("column", "rows", "said"),
    [("facility_id", 40, "39 hospitals"), ("facility_id", 1, "1 hospital"), ("drg", 2, "2 DRGs"),
     ("sex", 2, "2 entities")],
    ids=["hospitals", "one hospital", "DRGs", "sexes"],
)  # fmt: skip
def test_what_is_compared_is_called_by_its_name(benchmark, column, rows, said):
    """A benchmark by sex or DRG is not one of hospitals."""
    drawn = plots.plot_caterpillar(benchmark.head(rows).rename({"facility_id": column}))
    assert drawn.axes[0].get_xlabel().partition(",")[0] == said


@pytest.mark.filterwarnings("error")
def test_hospitals_that_nothing_tells_apart_are_drawn(benchmark):
    """Without variance between hospitals all rates and their limits are 1."""
    ones = {f"funnel_{side}_{level}": 1.0 for side in ("lower", "upper") for level in ("95", "998")}
    alike = benchmark.with_columns(
        ratio=pl.lit(1.0), predicted=pl.col("expected"), **{k: pl.lit(v) for k, v in ones.items()}
    )
    low, high = plots.plot_funnel(alike).axes[0].get_ylim()
    assert low < 1 < high
