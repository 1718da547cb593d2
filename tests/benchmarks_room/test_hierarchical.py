"""The hierarchical model against lme4, gpboost, brute force, and what must happen in degenerate cases."""

import math

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.optimize import minimize

from riskmodels.benchmarks import HierarchicalFit, fit_hierarchical
from riskmodels.benchmarks.hierarchical_newton import maximise
from riskmodels.benchmarks.hierarchical_problem import sorted_problem
from riskmodels.errors import SpecError

# Contagious bovine pleuropneumonia in 15 herds (Lesnoff and others 2004), the example of lme4's manual: herd,
# period, cases, size.
CBPP = """
1:2/14 3/12 4/9 0/5|2:3/22 1/18 1/21|3:8/22 2/16 0/16 2/20|4:2/10 0/10 2/9 0/6|5:5/18 0/25 0/24 1/4
6:3/17 0/17 0/18 1/20|7:8/16 1/10 3/9 0/5|8:12/34|9:2/9 0/6 0/8 0/6|10:1/22 1/22 0/18 2/22
11:0/25 5/27 3/22 1/22|12:2/10 1/8 0/6 0/5|13:1/21 2/24 0/19 0/23|14:11/19 0/2 0/3 0/2|15:1/19 1/15 1/15 0/15
"""


def cbpp() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return design, outcomes and herds, a row an animal; and the log of the binomial coefficients."""
    rows, constant = [], 0.0
    for herd in CBPP.replace("\n", "|").strip("|").split("|"):
        name, periods = herd.split(":")
        for period, cell in enumerate(periods.split(), 1):
            cases, size = map(int, cell.split("/"))
            rows += [(int(name), period, int(animal < cases)) for animal in range(size)]
            constant += math.log(math.comb(size, cases))
    table = np.array(rows)
    design = (table[:, [1]] == [2, 3, 4]).astype(float)
    return design, table[:, 2], table[:, 0], constant


def simulated(
    seed: int, entities: int = 60, variance: float = 0.16, rows: tuple[int, int] = (5, 120)
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return design, outcomes, entities and true effects."""
    rng = np.random.default_rng(seed)
    entity = np.repeat(np.arange(entities), rng.integers(*rows, entities))
    x = np.column_stack([rng.normal(size=len(entity)), rng.random(len(entity)) < 0.3]).astype(float)
    effect = rng.normal(0, math.sqrt(variance), entities)
    log_odds = -1.8 + 0.5 * x[:, 0] - 0.4 * x[:, 1] + effect[entity]
    outcome = (rng.random(len(entity)) < 1 / (1 + np.exp(-log_odds))).astype(float)
    return x, outcome, entity, effect


def test_lme4_on_its_own_example() -> None:
    """Herds of lme4's manual: what glmer and glmmADMB print of the Laplace fit.

    glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial). lme4 1.1 stops 2e-4 short
    of the maximum that lme4a and glmmADMB find and that this solver finds to all their digits.
    """
    design, outcome, herd, constant = cbpp()
    fit = fit_hierarchical(design, outcome, herd)
    assert len(outcome) == 842
    assert_allclose(fit.coefficients, [-1.3983429, -0.9919250, -1.1282162, -1.5797454], atol=7e-4)
    assert_allclose(math.sqrt(fit.variance), 0.6420699, atol=3e-4)
    lme4a = [-1.39853504914, -0.992334711, -1.12867541477, -1.58037390498]
    assert_allclose(fit.coefficients, lme4a, atol=7e-5)
    glmm_admb = {"errors": [0.232, 0.307, 0.327, 0.427], "variance": 0.4125, "log-likelihood": -92.0263}
    assert_allclose(fit.standard_errors, glmm_admb["errors"], atol=6e-4)
    assert_allclose(fit.variance, glmm_admb["variance"], atol=5e-5)
    assert_allclose(fit.log_likelihood + constant, glmm_admb["log-likelihood"], atol=5e-4)
    assert fit.converged
    assert fit.notes == ()


def test_gpboost_on_a_simulated_set() -> None:
    """Of the same rows gpboost 1.8.0 gives the same coefficients, variance, effects and likelihood.

    GPModel(group_data=entity, likelihood="bernoulli_logit").fit(y=y, X=[1, x], params={"delta_rel_conv":
    1e-14, "maxit": 10000}); get_coef(), get_cov_pars(), predict(..., predict_var=True).
    """
    x, outcome, entity, _ = _gpboost_rows()
    fit = fit_hierarchical(x, outcome, entity)
    assert_allclose(fit.coefficients, [-1.71178065, 0.47389437, -0.34853095], atol=1e-6)
    assert_allclose(fit.variance, 0.16075770, atol=1e-6)
    assert_allclose(fit.log_likelihood, -1691.98345708, atol=1e-6)
    assert_allclose(fit.effects[:5], [0.47279376, -0.11925418, 0.02012032, 0.40257490, 0.42162230], atol=1e-6)
    spread = [0.04162658, 0.06875951, 0.06220789, 0.04377042, 0.05787606]
    assert_allclose(fit.effect_variance[:5], spread, atol=1e-6)
    assert_allclose(fit.standard_errors, [0.07697663, 0.04588932, 0.10132544], rtol=0.02)


def _gpboost_rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    entity = np.repeat(np.arange(60), rng.integers(5, 120, 60))
    x = np.column_stack([rng.normal(size=len(entity)), rng.random(len(entity)) < 0.3]).astype(float)
    effect = rng.normal(0, 0.4, 60)
    log_odds = -1.8 + 0.5 * x[:, 0] - 0.4 * x[:, 1] + effect[entity]
    return x, (rng.random(len(entity)) < 1 / (1 + np.exp(-log_odds))).astype(float), entity, effect


def test_quadrature_is_the_integral() -> None:
    """Maximum likelihood by brute force: the integral on a fine fixed grid, maximised without derivatives."""
    design, outcome, herd, _ = cbpp()
    one = np.column_stack([np.ones(len(outcome)), design])
    grid = np.linspace(-7, 7, 401)

    def deviance(theta: np.ndarray) -> float:
        eta = one @ theta[:4]
        log_odds = eta[:, None] + math.exp(theta[4]) * grid
        by_row = np.where(outcome[:, None] == 1, log_odds, 0) - np.logaddexp(0, log_odds)
        by_herd = np.add.reduceat(by_row, np.flatnonzero(np.diff(herd, prepend=0)), axis=0)
        weight = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi) * (grid[1] - grid[0])
        return -2 * float(np.log(np.exp(by_herd) @ weight).sum())

    fit = fit_hierarchical(design, outcome, herd, quadrature_points=25)
    found = np.append(fit.coefficients, math.log(fit.variance) / 2)
    assert_allclose(-2 * fit.log_likelihood, deviance(found), atol=1e-6)
    best = minimize(deviance, found + 0.05, method="BFGS", options={"gtol": 1e-5}).x
    assert_allclose(found, best, atol=2e-4)


@pytest.mark.parametrize("points", [1, 11], ids=["Laplace", "quadrature"])
def test_derivatives_are_those_of_the_likelihood(points: int) -> None:
    """Gradient and Hessian against differences, away from the maximum and with weights."""
    x, outcome, entity, _ = simulated(1, entities=20)
    likelihood, entities = sorted_problem(x, outcome, entity, None, ("1", "a", "b"), points)
    weights = np.random.default_rng(2).integers(0, 3, len(entities)).astype(float)

    def at(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        found = likelihood.at(theta[:-1], theta[-1], np.zeros(len(entities)), weights)
        return found.value, found.gradient, found.hessian

    theta = np.array([-1.5, 0.3, -0.2, -1.2])
    _, gradient, hessian = at(theta)
    steps = 1e-5 * np.eye(4)
    assert_allclose(gradient, [(at(theta + h)[0] - at(theta - h)[0]) / 2e-5 for h in steps], atol=1e-5)
    assert_allclose(hessian, [(at(theta + h)[1] - at(theta - h)[1]) / 2e-5 for h in steps], atol=1e-4)


def same(a: HierarchicalFit, b: HierarchicalFit, atol: float = 1e-6) -> None:
    """Assert that two fits are one."""
    assert_allclose(a.coefficients, b.coefficients, atol=atol)
    assert_allclose(a.standard_errors, b.standard_errors, atol=atol)
    assert_allclose(a.effects, b.effects, atol=atol)
    assert_allclose([a.variance, a.log_likelihood], [b.variance, b.log_likelihood], atol=atol)


def test_sparse_frames_and_order_change_nothing() -> None:
    x, outcome, entity, _ = simulated(3)
    plain = fit_hierarchical(x, outcome, entity)
    order = np.random.default_rng(0).permutation(len(outcome))
    same(plain, fit_hierarchical(x[order], outcome[order], entity[order]))
    same(plain, fit_hierarchical(sparse.csr_array(x), outcome, entity))
    frame = pl.DataFrame({"severity": x[:, 0], "frail": x[:, 1]})
    named = fit_hierarchical(frame, pl.Series(outcome), [f"H{e:03d}" for e in entity])
    same(plain, named)
    assert named.names == ("(intercept)", "severity", "frail")
    assert named.entities[0] == "H000"


def test_an_offset_is_a_column_whose_coefficient_is_one() -> None:
    x, outcome, entity, _ = simulated(4)
    full = fit_hierarchical(x, outcome, entity)
    offset = full.coefficients[1] * x[:, 0]
    part = fit_hierarchical(x[:, 1:], outcome, entity, offset=offset)
    assert_allclose(part.coefficients, full.coefficients[[0, 2]], atol=1e-5)
    assert_allclose(part.variance, full.variance, atol=1e-5)


def test_weights_are_copies_of_entities() -> None:
    """An entity of weight 2 counts as two of the same rows; one of weight 0 is not there."""
    x, outcome, entity, _ = simulated(5, entities=12)
    likelihood, entities = sorted_problem(x, outcome, entity, None, ("1", "a", "b"))
    weights = np.array([2, 0, 1, 1, 3, 1, 0, 1, 1, 1, 0, 1], dtype=float)
    found = maximise(likelihood, np.array([-1.8, 0.5, -0.4]), weights, tolerance=1e-12)
    rows = [np.flatnonzero(entity == e) for e in entities]
    copies = [(rows[e], k) for e in range(12) for k in range(int(weights[e]))]
    take = np.concatenate([r for r, _ in copies])
    names = np.concatenate([np.full(len(r), i) for i, (r, _) in enumerate(copies)])
    copied = fit_hierarchical(x[take], outcome[take], names)
    assert_allclose(found.coefficients, copied.coefficients, atol=1e-6)
    assert_allclose(found.variance, copied.variance, atol=1e-6)


def test_intervals_hold_the_truth() -> None:
    """Over 40 sets: coefficients within 1.96 errors, and effects within 1.96 conditional deviations."""
    inside, within = [], []
    for seed in range(40):
        x, outcome, entity, effect = simulated(100 + seed, entities=80, variance=0.2, rows=(20, 60))
        fit = fit_hierarchical(x, outcome, entity)
        z = (fit.coefficients - [-1.8, 0.5, -0.4]) / fit.standard_errors
        inside.append(np.abs(z) < 1.96)
        within.append(np.abs(effect - fit.effects) < 1.96 * np.sqrt(fit.effect_variance))
    assert 0.89 <= np.mean(inside) <= 0.99
    assert 0.93 <= np.mean(within) <= 0.97


def test_without_variance_it_is_logistic_regression() -> None:
    """Where entities differ by less than chance the variance is 0, every effect 0, and a note says so."""
    from sklearn.linear_model import LogisticRegression

    x, outcome, _, _ = simulated(6, entities=40, variance=0.0)
    spread = np.empty(len(outcome), dtype=int)  # cases dealt out in turn: less variance than by chance
    spread[np.argsort(outcome, kind="stable")] = np.arange(len(outcome)) % 40
    fit = fit_hierarchical(x, outcome, spread)
    plain = LogisticRegression(C=np.inf, tol=1e-10, max_iter=500).fit(x, outcome)
    assert fit.variance == 0
    assert fit.converged
    assert "no variance between entities" in fit.notes[0]
    assert_allclose(fit.coefficients[1:], plain.coef_[0], atol=1e-5)
    assert (fit.effects == 0).all()
    assert (fit.reliability == 0).all()
    assert fit.to_dict()["variance_error"] is None


def test_entities_of_one_row_and_of_one_outcome_are_finite() -> None:
    """A hospital of one case, and those where all or none had the outcome, are drawn to the average."""
    x, outcome, entity, _ = simulated(7, entities=50)
    outcome[entity == 3], outcome[entity == 4] = 1.0, 0.0
    extra = np.append(entity, [900, 901])
    fit = fit_hierarchical(np.vstack([x, np.zeros((2, 2))]), np.append(outcome, [1.0, 0.0]), extra)
    assert fit.converged
    assert np.isfinite(fit.effects).all()
    assert fit.effects[3] == fit.effects.max()
    assert fit.effects[4] < 0
    assert 0 < fit.effects[50] < fit.effects[3]
    assert (fit.effect_variance < fit.variance).all()
    assert fit.reliability[50] < 0.25 < 0.8 < fit.reliability.max()


def test_a_column_that_repeats_others_is_named() -> None:
    x, outcome, entity, _ = simulated(8)
    twice = np.column_stack([x, x[:, 0] - 2 * x[:, 1], np.ones(len(x))])
    fit = fit_hierarchical(twice, outcome, entity, names=["a", "b", "a-2b", "constant"])
    assert fit.notes == ("columns that repeat others have a coefficient of 0: a-2b, constant",)
    assert_allclose(fit.coefficients[:3], fit_hierarchical(x, outcome, entity).coefficients, atol=1e-6)
    assert np.isnan(fit.standard_errors[3:]).all()


def test_separation_is_named_and_a_ridge_ends_it() -> None:
    """A flag that only cases have has no finite coefficient; with a ridge it has."""
    x, outcome, entity, _ = simulated(9)
    flag = np.zeros(len(outcome))
    flag[np.flatnonzero(outcome == 1)[:8]] = 1
    design = np.column_stack([x, flag])
    fit = fit_hierarchical(design, outcome, entity, names=["a", "b", "only cases"])
    assert any("only cases separates the outcomes" in note for note in fit.notes)
    held = fit_hierarchical(design, outcome, entity, names=["a", "b", "only cases"], ridge=1.0)
    assert held.notes == ()
    assert 1 < held.coefficients[3] < 12
    assert_allclose(held.coefficients[1:3], fit.coefficients[1:3], atol=0.02)


def test_entities_whose_rows_are_all_alike_have_no_finite_variance() -> None:
    """With two rows an entity, always of one outcome, the variance runs to its bound, which is said."""
    rng = np.random.default_rng(0)
    outcome = np.repeat(rng.random(40) < 0.3, 2).astype(float)
    fit = fit_hierarchical(np.empty((80, 0)), outcome, np.repeat(np.arange(40), 2))
    assert_allclose(fit.variance, 16)
    assert any("too few rows to tell their variance" in note for note in fit.notes)
    assert np.isfinite(fit.effects).all()
    assert np.isfinite(fit.standard_errors).all()
    alone = fit_hierarchical(np.empty((40, 0)), outcome[::2], np.arange(40))
    assert np.isfinite(alone.effects).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outcome": [0, 1, 2, 0]}, "other than 0 and 1"),
        ({"outcome": [1, 1, 1, 1]}, "same outcome"),
        ({"outcome": [1, 0, 1]}, "entity has 4 rows, outcome 3"),
        ({"entity": ["a", "a", "a", "a"]}, "two entities"),
        ({"entity": ["a", None, "b", "b"]}, "missing in 1 rows"),
        ({"design": [[1.0], [np.nan], [0.0], [1.0]]}, "missing or infinite values in x1"),
        ({"names": ["a", "b"]}, "2 names for 1 columns"),
        ({"offset": [0.0, np.inf, 0.0, 0.0]}, "offset has values"),
        ({"quadrature_points": 0}, "must be 1 or more"),
    ],
    ids=["2", "all events", "short", "one entity", "no entity", "nan", "names", "offset", "points"],
)
def test_what_cannot_be_fitted_says_why(change: dict[str, object], says: str) -> None:
    given: dict[str, object] = {
        "design": [[1.0], [0.0], [0.5], [0.2]], "outcome": [0, 1, 1, 0], "entity": ["a", "a", "b", "b"],
        **change,
    }  # fmt: skip
    design, outcome, entity = (given.pop(name) for name in ("design", "outcome", "entity"))
    with pytest.raises(SpecError, match=says):
        fit_hierarchical(np.array(design), outcome, entity, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seed", "rows", "entities", "variance"), [(2, 400, 10, 0.17346), (40, 1500, 20, 0.05727)]
)
def test_a_long_step_of_the_variance_is_cut_and_still_goes_uphill(
    seed: int, rows: int, entities: int, variance: float
) -> None:
    """Here Newton's first step changes the variance far too much; cut in that coordinate alone it led down.

    The estimates are those of a search that halves whole steps.
    """
    rng = np.random.default_rng(seed)
    entity, x = rng.integers(0, entities, rows), rng.normal(-1.7, 0.6, rows)
    effect = rng.normal(0, 0.3, entities)
    outcome = (rng.random(rows) < 1 / (1 + np.exp(-x - effect[entity]))).astype(float)
    fit = fit_hierarchical(x[:, None], outcome, entity)
    assert fit.converged
    assert fit.steps < 15
    assert_allclose(fit.variance, variance, rtol=1e-3)
