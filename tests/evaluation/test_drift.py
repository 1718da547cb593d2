"""The population stability index against its formula, and what it calls shifted."""

import json

import numpy as np
import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.evaluation import reference_distribution, stability


def frame(n=2000, shift=0.0, seed=0):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "risk": np.clip(random.beta(2, 12, n) + shift, 0, 1),
            "dual": random.random(n) < 0.2 + shift,
            "chapter": random.choice(["I", "J", "K"], n, p=[0.5, 0.3, 0.2]),
        }
    )


def test_by_hand():
    """Half of the rows no and half yes, later 80 and 20: (0.3 ln 1.6) + (-0.3 ln 0.4)."""
    reference = reference_distribution(pl.DataFrame({"dual": [0, 1] * 50}))
    found = stability(reference, pl.DataFrame({"dual": [0] * 80 + [1] * 20}))
    assert found["psi"].item() == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4))
    assert found["verdict"].item() == "shifted"
    assert found["largest_change"].item() == "below 1: 50.0% before, 80.0% now"


def test_the_same_rows_have_no_shift_also_after_json():
    reference = json.loads(json.dumps(reference_distribution(frame())))
    found = stability(reference, frame())
    assert found["psi"].to_list() == pytest.approx([0, 0, 0])
    assert set(stability(reference, frame(seed=1))["verdict"]) == {"stable"}


def test_a_moved_column_stands_first():
    found = stability(reference_distribution(frame()), frame(shift=0.15, seed=1))
    assert found["column"][0] == "risk"
    assert dict(found.select("column", "verdict").iter_rows())["chapter"] == "stable"


def test_a_new_level_and_missing_values_count_as_a_shift():
    reference = reference_distribution(frame())
    new = frame().with_columns(chapter=pl.lit("Z"), risk=pl.lit(None, dtype=pl.Float64))
    found = {row["column"]: row for row in stability(reference, new).to_dicts()}
    assert found["chapter"]["largest_change"] == "other: 0.0% before, 100.0% now"
    assert found["risk"]["largest_change"] == "missing: 0.0% before, 100.0% now"


def test_a_rare_level_is_not_kept_in_the_reference():
    rows = pl.DataFrame({"chapter": ["I"] * 50 + ["rare"] * 10})
    assert reference_distribution(rows)["chapter"]["levels"] == ["I"]


@pytest.mark.parametrize(
    ("current", "message"),
    [(pl.DataFrame({"x": []}), "no rows"), (pl.DataFrame({"x": [1]}), "column 'risk'")],
    ids=["empty", "column missing"],
)
def test_frames_that_cannot_be_compared_are_refused(current, message):
    with pytest.raises(DataError, match=message):
        stability(reference_distribution(frame()), current)
