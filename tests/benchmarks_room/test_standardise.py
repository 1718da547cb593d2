"""Observed, expected, rates and draws on tables that can be worked by hand."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose

from riskmodels.benchmarks import bootstrap_ratios, patient_dispersion, standardise
from riskmodels.errors import SpecError

STAYS = pl.DataFrame(
    {
        "facility_id": ["010001", "010001", "010001", "020001", "020001", None],
        "person": [1, 1, 2, 3, 4, 5],
        "observed": [1, 0, 1, 0, 0, 1],
        "expected": [0.5, 0.2, 0.3, 0.4, 0.1, 0.9],
    }
)


def test_worked_example() -> None:
    """010001: 2 observed, 1.0 expected, ratio 2, rate 2 x 2/5; a stay without a facility is left out."""
    found = standardise(STAYS)
    assert found["facility_id"].to_list() == ["010001", "020001"]
    assert found["n"].to_list() == [3, 2]
    assert found["persons"].to_list() == [2, 2]
    assert found["observed"].to_list() == [2, 0]
    assert_allclose(found["expected"], [1.0, 0.5])
    assert_allclose(found["ratio"], [2.0, 0.0])
    assert_allclose(found["rate"], [0.8, 0.0])
    assert (found["ratio_lower"] <= found["ratio"]).all()
    assert (found["ratio"] <= found["ratio_upper"]).all()


@pytest.mark.parametrize("convert", [pl.DataFrame.to_pandas, pl.DataFrame.to_arrow, lambda frame: frame])
def test_pandas_arrow_and_polars_give_the_same(convert: object) -> None:
    assert standardise(convert(STAYS)).equals(standardise(STAYS))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"observed": [1, 0, 2, 0, 0, 1]}, "outcome other than 0 or 1"),
        ({"expected": [0.5, 0.2, 1.3, 0.4, 0.1, 0.9]}, "outside 0 to 1"),
        ({"expected": [0.5, 0.2, None, 0.4, 0.1, 0.9]}, "outside 0 to 1"),
        ({"facility_id": [None] * 6}, "no stay has a value in 'facility_id'"),
    ],
    ids=["outcome of 2", "risk above 1", "risk missing", "no facility"],
)
def test_bad_stays_are_refused(change: dict[str, list[object]], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        standardise(STAYS.with_columns(pl.Series(name, values) for name, values in change.items()))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SpecError, match="no column 'expected'"):
        standardise(STAYS.rename({"expected": "expcted"}))


def many_stays(seed: int = 0, patients: int = 4000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    expected = rng.beta(1.5, 8, person.size)
    return pl.DataFrame(
        {
            "facility_id": rng.integers(0, 20, person.size).astype(str),
            "person": person,
            "observed": (rng.random(person.size) < expected).astype(int),
            "expected": expected,
        }
    )


def test_draws_spread_as_the_interval_says() -> None:
    """The draws spread as widely as the interval, within sampling error, and depend on the seed alone."""
    stays = many_stays()
    draws = bootstrap_ratios(stays, n_draws=400, seed=3)
    spread = draws.group_by("facility_id").agg(pl.col("ratio").std()).sort("facility_id")["ratio"].to_numpy()
    found = standardise(stays)
    width = (found["ratio_upper"] - found["ratio_lower"]).to_numpy() / (2 * 1.96)
    assert_allclose(np.mean(spread / width), 1.0, atol=0.08)
    assert draws.equals(bootstrap_ratios(stays, n_draws=400, seed=3))
    assert not draws.equals(bootstrap_ratios(stays, n_draws=400, seed=4))


def test_each_draw_is_balanced() -> None:
    """With balanced draws the ratio of a single entity is 1: expected outcomes are scaled to observed."""
    one = many_stays().with_columns(pl.lit("all").alias("facility_id"))
    assert_allclose(bootstrap_ratios(one, n_draws=5)["ratio"], 1.0)
    assert bootstrap_ratios(one, n_draws=5, balanced=False)["ratio"].std() > 0  # type: ignore[operator]


def test_patients_are_drawn_with_all_their_stays() -> None:
    """Ten identical stays of each patient spread sqrt(10) times as wide as those of ten patients."""
    rng = np.random.default_rng(5)
    outcome = rng.random(600) < 0.2
    copies = pl.DataFrame(
        {
            "facility_id": ["a"] * 6000,
            "person": np.repeat(np.arange(600), 10),
            "observed": np.repeat(outcome, 10).astype(int),
            "expected": [0.2] * 6000,
        }
    )
    together = bootstrap_ratios(copies, n_draws=300, balanced=False)["ratio"].std()
    apart = bootstrap_ratios(copies.with_columns(person=pl.int_range(pl.len())), n_draws=300, balanced=False)[
        "ratio"
    ].std()
    assert_allclose(together / apart, np.sqrt(10), rtol=0.15)  # type: ignore[operator]


def test_dispersion_of_copies_and_of_independent_stays() -> None:
    """K identical stays have k times the variance; independent ones 1, within sampling error."""
    stays = many_stays()
    columns = [stays[name].to_numpy() for name in ("observed", "expected", "person")]
    assert 1.0 <= patient_dispersion(*columns) < 1.06
    copied = [np.repeat(values, 3) for values in columns[:2]]
    assert_allclose(patient_dispersion(*copied, np.repeat(np.arange(stays.height), 3)), 3.0)


def test_a_frame_from_pandas_without_person_counts_stays() -> None:
    frame = pd.DataFrame(STAYS.drop("person").to_dict(as_series=False))
    assert standardise(frame)["persons"].to_list() == [3, 2]
