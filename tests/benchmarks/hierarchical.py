"""Speed of the hierarchical model: 500,000 discharges of 3,000 hospitals, beside gpboost, in one run.

    python tests/benchmarks/hierarchical.py [--columns 10] [--repeats 3] [--gpboost PYTHON] [--lme4 RSCRIPT]

``--gpboost`` names the Python of an environment with ``pip install gpboost==1.8.0 pandas``, which the project
does not need; ``--lme4`` an Rscript with lme4. Each is given the same rows, and its own time for reading them
is left out. The rows have half as many normal columns (five at most) as flags with 2% to 40% of stays.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from riskmodels.benchmarks import fit_hierarchical, risk_standardise_stays

GPBOOST = """
import json, sys, time
import gpboost, numpy as np
with np.load(sys.argv[1]) as held:
    x, y, entity = held["x"], held["y"], held["entity"]
x = np.column_stack([np.ones(len(y)), x])
seconds = {}
for errors in (False, True):
    best = 1e9
    for _ in range(int(sys.argv[2])):
        began = time.perf_counter()
        model = gpboost.GPModel(group_data=entity, likelihood="bernoulli_logit")
        model.fit(y=y, X=x)
        if errors:
            model.get_coef(std_err=True)
        best = min(best, time.perf_counter() - began)
    seconds["with standard errors" if errors else "without"] = best
found = {"seconds": seconds, "variance": float(np.ravel(model.get_cov_pars())[0]),
         "coefficients": np.ravel(model.get_coef()).tolist(), "version": gpboost.__version__}
print("\\n" + json.dumps(found))
"""

LME4 = """
library(lme4)
arguments <- commandArgs(TRUE)
rows <- read.csv(arguments[1])
terms <- paste(setdiff(names(rows), c("y", "entity")), collapse = " + ")
began <- proc.time()[["elapsed"]]
fit <- glmer(as.formula(paste("y ~", terms, "+ (1 | entity)")), rows, binomial)
seconds <- proc.time()[["elapsed"]] - began
cat(sprintf('{"seconds": %f, "variance": %.8f}', seconds, VarCorr(fit)$entity[1, 1]))
"""


def simulated(rows: int, entities: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return risk factors, outcomes and entities; the variance is 0.12."""
    rng = np.random.default_rng(0)
    size = rng.lognormal(0, 1, entities)
    entity = rng.choice(entities, size=rows, p=size / size.sum())
    normal = min(columns // 2, 5)
    flags = [rng.random(rows) < rng.uniform(0.02, 0.4) for _ in range(columns - normal)]
    x = np.column_stack([rng.normal(size=(rows, normal)), *flags]).astype(float)
    log_odds = -1.9 + x @ rng.normal(0, 0.2, columns) + rng.normal(0, 0.12**0.5, entities)[entity]
    return x, (rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(float), entity


def main() -> None:
    """Time each and print figures and ratios as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--entities", type=int, default=3_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--draws", type=int, default=20, help="Bootstrap refits to time.")
    parser.add_argument("--gpboost", help="Python of an environment with gpboost.")
    parser.add_argument("--lme4", help="Rscript with lme4.")
    options = parser.parse_args()
    x, y, entity = simulated(options.rows, options.entities, options.columns)
    fit_hierarchical(x[:4000], y[:4000], entity[:4000])  # compiles
    best = 1e9
    for _ in range(options.repeats):
        began = time.perf_counter()
        fit = fit_hierarchical(x, y, entity)
        best = min(best, time.perf_counter() - began)
    began = time.perf_counter()
    fine = fit_hierarchical(x, y, entity, quadrature_points=9)
    found = {
        "riskmodels": {
            "seconds": best, "steps": fit.steps, "variance": fit.variance,
            "seconds of 9 quadrature points": time.perf_counter() - began, "their variance": fine.variance,
        }
    }  # fmt: skip
    import polars as pl

    stays = pl.DataFrame({"facility_id": entity, "person": np.arange(len(y)), "observed": y})
    began = time.perf_counter()
    risk_standardise_stays(stays, design=x, names=[f"x{i}" for i in range(x.shape[1])], n_draws=options.draws)
    found["riskmodels"][f"seconds of rates with {options.draws} refits"] = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        if options.gpboost:
            held = Path(folder) / "rows.npz"
            np.savez(held, x=x, y=y, entity=entity)
            said = subprocess.run(
                [options.gpboost, "-c", GPBOOST, str(held), str(options.repeats)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            other = json.loads(said.stdout.strip().splitlines()[-1])
            gap = np.abs(np.array(other.pop("coefficients")) - fit.coefficients).max()
            times = {f"times as fast, {name}": s / best for name, s in other["seconds"].items()}
            found["gpboost"] = {**other, "largest difference of a coefficient": float(gap), **times}
        if options.lme4:
            held = Path(folder) / "rows.csv"
            pl.DataFrame(x, schema=[f"x{i}" for i in range(x.shape[1])]).with_columns(
                pl.Series("y", y), pl.Series("entity", entity)
            ).write_csv(held)
            script = Path(folder) / "fit.R"
            script.write_text(LME4)
            said = subprocess.run(
                [options.lme4, str(script), str(held)], check=True, capture_output=True, text=True
            )
            other = json.loads(said.stdout.strip().splitlines()[-1])
            found["lme4"] = {**other, "times as fast": other["seconds"] / best}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
