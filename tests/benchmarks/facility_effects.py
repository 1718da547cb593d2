"""Linear and boosted risk with a random intercept, held against the simulator's true facility effects.

    python tests/benchmarks/facility_effects.py --patients 20000 --seeds 2 3 4 5 6

For each seed the simulator makes a history. Patients' risk is judged out of fold (AUROC, calibration slope),
the facilities' ratios against the truth: Σ true risk / Σ true risk at the average facility over the same
stays (coverage of the 95% intervals, of that truth and of it over its mean over all stays; mean error, root
mean square error, rank correlation; facilities with at least 25 stays). With ``--synpuf FOLDER`` its files
are read instead: there is no truth, so what is shown is the risks' discrimination and how far the two
rankings agree.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from riskmodels.benchmarks import benchmark_stays, fit_hierarchical, risk_standardise_stays
from riskmodels.benchmarks.design import design_matrix
from riskmodels.benchmarks.stays import Stays, prepare_stays
from riskmodels.cohorts import load_task
from riskmodels.datasets import simulate
from riskmodels.evaluation import auroc
from riskmodels.history import History, ingest

FOLDS = 5
FEWEST = 25


def linear_out_of_fold(stays: Stays, matrix: np.ndarray, by: str) -> np.ndarray:
    """Return the log-odds of each stay by a hierarchical model fitted on other patients."""
    person = stays.cases["person"].to_numpy()
    persons, number = np.unique(person, return_inverse=True)
    fold = (np.random.default_rng(0).permutation(len(persons)) % FOLDS)[number]
    log_odds = np.empty(len(person))
    for held in range(FOLDS):
        rest = fold != held
        fit = fit_hierarchical(
            matrix[rest], stays.outcome[rest], stays.cases[by].filter(pl.Series(rest)), ridge=0.01
        )
        log_odds[~rest] = fit.coefficients[0] + matrix[~rest] @ fit.coefficients[1:]
    return log_odds


def slope(log_odds: np.ndarray, outcome: np.ndarray) -> float:
    """Return the calibration slope."""
    from sklearn.linear_model import LogisticRegression

    return float(LogisticRegression(C=np.inf).fit(log_odds[:, None], outcome).coef_[0, 0])


def assess(frame: pl.DataFrame, truth: pl.DataFrame | None, by: str) -> dict[str, float]:
    """Return how the ratios and their intervals agree with the true ratios."""
    if truth is None:
        return {}
    both = frame.join(truth, on=by).filter(pl.col("n") >= FEWEST)
    error = both["ratio"] - both["true"]
    scaled = pl.col("true") / pl.col("scale")

    def inside(true: pl.Expr) -> int:
        return int(both.select(true.is_between("ratio_lower", "ratio_upper").sum()).item())

    return {
        "facilities": both.height,
        "median_stays": float(both["n"].median()),  # type: ignore[arg-type]
        "inside": inside(pl.col("true")),
        "inside_scaled": inside(scaled),
        "mean_error": float(error.mean()),  # type: ignore[arg-type]
        "rmse": float((error**2).mean() ** 0.5),  # type: ignore[operator]
        "width": float((both["ratio_upper"] - both["ratio_lower"]).mean()),  # type: ignore[arg-type]
        "spearman": both.select(pl.corr("ratio", "true", method="spearman")).item(),
    }


def compare(
    history: History, truth: pl.DataFrame | None, draws: int, by: str = "facility_id"
) -> dict[str, Any]:
    """Return what each method gives on one history; `truth` has the true risks of its discharges."""
    found: dict[str, Any] = {}
    began = time.perf_counter()
    stays = prepare_stays(load_task("readmission-30d"), history, by, None)
    found["seconds_of_trees"] = time.perf_counter() - began
    assert stays.expected is not None
    matrix, names = design_matrix(stays.features.frame, stays.features.columns)
    rows, outcome = stays.rows(by), stays.outcome
    risk = stays.expected.risk
    trees, linear = np.log(risk / (1 - risk)), linear_out_of_fold(stays, matrix, by)
    found["stays"] = rows.height
    found["patients"] = {
        name: {"auroc": float(auroc(outcome, value)), "slope": slope(value, outcome)}
        for name, value in (("trees", trees), ("linear", linear))
    }
    plain = {"n_draws": draws, "suppress": False, "minimum_n": 1}
    began = time.perf_counter()
    frames = {
        "O/E, trees": benchmark_stays(rows, by=by, **plain).frame,
        "O/E, trees, Byar's": benchmark_stays(rows, by=by, interval="byar", **plain).frame,
    }
    for name, options in (
        ("RSRR, trees", {}),
        ("RSRR, linear", {"design": matrix, "names": names}),
        ("RSRR, trees, posterior", {"intervals": "posterior"}),
        ("RSRR, linear, posterior", {"design": matrix, "names": names, "intervals": "posterior"}),
        ("RSRR, no risk factors", {"design": np.empty((rows.height, 0)), "intervals": "posterior"}),
    ):
        began = time.perf_counter()
        made = risk_standardise_stays(rows, by=by, **options, **plain)[0]
        frames[name] = made.frame
        found[f"variance: {name}"] = made.metadata["hierarchical"]["variance"]
        found[f"seconds: {name}"] = time.perf_counter() - began
    if truth is not None:
        known = truth.select("true_risk", "true_risk_average_facility", index_id="encounter_id")
        stays_known = stays.cases.join(known, on="index_id")
        true = pl.col("true_risk").sum() / pl.col("true_risk_average_facility").sum()
        truth = stays_known.group_by(by).agg(true=true).with_columns(scale=stays_known.select(true).item())
    found["facilities"] = {name: assess(frame, truth, by) for name, frame in frames.items()}
    both = frames["RSRR, trees"].join(frames["RSRR, linear"], on=by, suffix="_linear")
    found["rank correlation of trees and linear"] = (
        both.filter(pl.col("n") >= FEWEST).select(pl.corr("ratio", "ratio_linear", method="spearman")).item()
    )
    return found


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over seeds, and the coverage over all facilities."""
    methods = runs[0]["facilities"]
    total: dict[str, Any] = {
        name: {
            "coverage": sum(run["facilities"][name]["inside"] for run in runs)
            / sum(run["facilities"][name]["facilities"] for run in runs),
            "coverage_scaled": sum(run["facilities"][name]["inside_scaled"] for run in runs)
            / sum(run["facilities"][name]["facilities"] for run in runs),
            **{
                key: float(np.mean([run["facilities"][name][key] for run in runs]))
                for key in ("mean_error", "rmse", "width", "spearman")
            },
        }
        for name in methods
    }
    total["facilities"] = sum(run["facilities"]["O/E, trees"]["facilities"] for run in runs)
    total["stays"] = sum(run["stays"] for run in runs)
    total["patients"] = {
        name: {
            key: float(np.mean([run["patients"][name][key] for run in runs])) for key in ("auroc", "slope")
        }
        for name in ("trees", "linear")
    }
    return total


def main() -> None:
    """Run the comparison and print it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--facilities", type=int, help="Facilities; one for 500 patients unless told.")
    parser.add_argument("--synpuf", type=Path, help="Folder of the DE-SynPUF files.")
    options = parser.parse_args()
    if options.synpuf is not None:
        with tempfile.TemporaryDirectory() as folder:
            found = compare(ingest("desynpuf", options.synpuf, Path(folder) / "H"), None, options.draws)
        print(json.dumps(found, indent=1))
        return
    runs = []
    for seed in options.seeds:
        simulation = simulate(options.patients, seed=seed, n_facilities=options.facilities)
        with tempfile.TemporaryDirectory() as folder:
            runs.append(compare(simulation.write(Path(folder) / "H"), simulation.truth, options.draws))
        print(json.dumps({"seed": seed, **runs[-1]}), flush=True)
    print(json.dumps(summary(runs), indent=1))


if __name__ == "__main__":
    main()
