"""Parts of patients: whole patients, no part without an outcome, the same draw every time."""

import numpy as np
import pytest

from riskmodels.learning import LogisticBaseline
from riskmodels.learning.frames import FitError
from riskmodels.learning.tuning import cross_validate, patient_folds, split_patients

PARTS = {"fit": 0.7, "stop": 0.15, "calibrate": 0.15}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 3000, 8000)
    return (rng.random(8000) < 0.1).astype(float), patients


def test_a_patient_is_in_one_part(rows):
    y, patients = rows
    part = split_patients(y, patients, PARTS, seed=1)
    assert len({(p, q) for p, q in zip(patients, part, strict=True)}) == len(np.unique(patients))


def test_parts_have_their_shares_and_an_equal_rate(rows):
    y, patients = rows
    part = split_patients(y, patients, PARTS, seed=1)
    for name, share in PARTS.items():
        assert np.mean(part == name) == pytest.approx(share, abs=0.02)
        assert y[part == name].mean() == pytest.approx(y.mean(), abs=0.015)


def test_the_draw_depends_on_patients_and_seed_and_not_on_the_order_of_rows(rows):
    y, patients = rows
    order = np.random.default_rng(5).permutation(len(y))
    part = split_patients(y, patients, PARTS, seed=1)
    np.testing.assert_array_equal(split_patients(y[order], patients[order], PARTS, seed=1), part[order])
    assert (split_patients(y, patients, PARTS, seed=2) != part).any()


@pytest.mark.parametrize("n", [3, 4, 5, 11])
def test_each_part_has_a_patient_with_and_one_without_the_outcome(n):
    y = np.repeat([0.0, 1.0], n)
    part = split_patients(y, np.arange(2 * n), PARTS, seed=0)
    for name in PARTS:
        assert set(y[part == name]) == {0.0, 1.0}


@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_too_few_patients_are_refused(rare):
    y = np.array([rare, rare, *[1 - rare] * 20])
    with pytest.raises(FitError, match="2 of 22 patients"):
        split_patients(y, np.arange(22), PARTS, seed=0)


def test_folds_are_equal_in_size_and_keep_patients_together(rows):
    y, patients = rows
    fold = patient_folds(y, patients, 5, seed=0)
    assert sorted(np.unique(fold)) == [0, 1, 2, 3, 4]
    assert all(np.mean(fold == k) == pytest.approx(0.2, abs=0.02) for k in range(5))
    assert all(len(np.unique(fold[patients == p])) == 1 for p in range(100) if (patients == p).any())


def test_cross_validation_judges_each_row_once_a_repeat(world):
    found = cross_validate(
        lambda seed: LogisticBaseline(C=0.1, random_state=seed),
        world.X,
        world.y,
        world.patients,
        lambda y, p: {"brier": float(np.mean((y - p) ** 2))},
        folds=3,
        repeats=2,
    )
    assert found.by_fold["n"].sum() == 2 * len(world.y)
    summary = found.summary()["brier"]
    assert summary["min"] < summary["mean"] < summary["max"]
    assert summary["mean"] < np.var(world.y)
