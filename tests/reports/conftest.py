"""Inputs of a report: small, made up, with known numbers."""

import numpy as np
import polars as pl
import pytest

from riskmodels.evaluation import band, compare, evaluate, summarise_drivers


@pytest.fixture(scope="session")
def risks():
    """Return outcomes, true risks, patients and a feature of 3,000 rows."""
    random = np.random.default_rng(0)
    visits = random.poisson(1.0, 3000).astype(float)
    x = -1.8 + 0.6 * (visits - 1) + random.normal(0, 0.4, 3000)
    p = 1 / (1 + np.exp(-x))
    return (random.random(3000) < p).astype(int), p, random.integers(0, 2500, 3000), visits


@pytest.fixture(scope="session")
def evaluation(risks):
    y, p, patients, _ = risks
    random = np.random.default_rng(1)
    groups = {
        "Age": band(random.integers(50, 100, 3000), (65, 75, 85)),
        "Sex": np.where(np.arange(3000) < 9, "X", random.choice(["F", "M"], 3000, p=[0.52, 0.48])),
    }
    return evaluate(y, p, patients, groups, n_bootstrap=25, name="LightGBM")


@pytest.fixture(scope="session")
def comparison(risks):
    y, p, patients, visits = risks
    noisy = 1 / (1 + np.exp(-np.log(p / (1 - p)) - np.random.default_rng(9).normal(0, 0.5, 3000)))
    return compare(
        y, {"LightGBM": p, "Logistic regression": noisy, "LACE": visits * 3}, patients, n_bootstrap=25
    )


@pytest.fixture(scope="session")
def drivers(risks):
    visits = risks[3]
    X = pl.DataFrame({"visits": visits, "chapter": np.where(visits > 2, "J <lungs & more>", "I")})
    effects = pl.DataFrame({"visits": 0.6 * (visits - 1), "chapter": np.where(visits > 2, 0.1, -0.02)})
    return summarise_drivers(effects, X, {"visits": "ED visits in the last 90 days", "chapter": "Diagnosis"})


@pytest.fixture(scope="session")
def benchmark():
    """Forty hospitals; 000007 has a small cell that its benchmark forgot to hide, 000008 is marked."""
    random = np.random.default_rng(2)
    n = random.integers(120, 900, 40)
    expected = n * 0.15
    ratio = random.lognormal(0, 0.12, 40)
    ratio[3] = 2.5
    observed = np.round(expected * ratio)
    n[7], observed[7], expected[7] = 61, 7, 8.125
    ratio = observed / expected
    return pl.DataFrame(
        {
            "facility_id": [f"{i:06d}" for i in range(40)],
            "n": n,
            "observed": observed.astype(int),
            "expected": expected,
            "ratio": ratio,
            "ratio_lower": ratio - 1.96 * np.sqrt(ratio / expected),
            "ratio_upper": ratio + 1.96 * np.sqrt(ratio / expected),
            "rate": ratio * 0.15,
            "suppressed": np.arange(40) == 8,
        }
    )


@pytest.fixture(scope="session")
def payment():
    """Forty hospitals, every other penalised by a tenth of a percent more than the one before."""
    reduction = np.where(np.arange(40) % 2, np.arange(40) * 0.0005, 0.0)
    return pl.DataFrame(
        {
            "facility_id": [f"{i:06d}" for i in range(40)],
            "payment_adjustment_factor": 1 - reduction,
            "payment_reduction": reduction,
            "payment_reduction_dollars": reduction * 20_000_000,
            "payment_adjustment_factor_lower": 1 - reduction - 0.001,
            "payment_adjustment_factor_upper": np.minimum(1 - reduction + 0.001, 1),
            "payment_reduction_dollars_lower": np.maximum(reduction - 0.001, 0) * 20_000_000,
            "payment_reduction_dollars_upper": (reduction + 0.001) * 20_000_000,
        }
    )


@pytest.fixture(scope="session")
def training():
    return {
        "task": "readmission-30d",
        "title": "Unplanned readmission within 30 days",
        "outcome": "an unplanned readmission within 30 days",
        "n_rows": 12_345,
        "n_patients": 9_876,
        "n_events": 1_852,
        "model_name": "readmission-30d",
        "model_version": "3",
        "source_format": "simulated",
        "data_fingerprint": "9f2c71aa",
        "first_date": "2022-01-01",
        "last_date": "2023-11-30",
        "attrition": [
            {"step": "Inpatient stays", "stays": 20_000},
            {"step": "Discharged alive", "stays": 19_000},
            {"step": "Not against medical advice", "stays": 18_997},
            {"step": "Covered for 365 days before", "stays": 12_345},
        ],
        "splits": [
            {"name": "train", "rows": 9_000, "patients": 7_200, "events": 1_350},
            {"name": "test", "rows": 3_345, "patients": 2_676, "events": 502},
        ],
        "features": [
            {"name": "visits", "label": "ED visits", "role": "predict", "kind": "number"},
            {"name": "age", "label": "Age", "role": "adjust", "kind": "number"},
        ],
        "parameters": {"num_leaves": 31},
        "versions": {"lightgbm": "4.7.0"},
        "limitations": ["The patients are simulated."],
    }


@pytest.fixture(scope="session")
def everything(training, evaluation, comparison, drivers, benchmark, payment):
    """Return all that write_report takes."""
    return {
        "title": "Readmission <of> simulated & other patients",
        "training": training,
        "evaluation": evaluation,
        "comparison": comparison,
        "drivers": drivers,
        "benchmark": benchmark,
        "benchmark_metadata": {"model": "adjust-only", "features": ["age"], "auroc": 0.6123},
        "payment": payment,
        "payment_summary": {
            "title": "HRRP, fiscal year 2025",
            "rules": [
                {
                    "name": "maximum_reduction",
                    "value": 0.03,
                    "source": "42 CFR 412.154(c)(2)",
                    "verified": True,
                },
                {"name": "neutrality_modifier", "value": 0.9652, "source": "own estimate", "verified": False},
            ],
            "dollars_lower": 1_500_000.0,
            "dollars_upper": 6_500_000.0,
        },
    }
