"""Train on the UCI Diabetes-130 stays of one file and measure on those of another.

    python training/benchmark_uci.py TRAIN.csv TEST.csv --out FILE.json

The label is a readmission within 30 days. TRAIN is used for fitting, stopping and calibrating, by patient;
TEST is predicted once. FILE.json holds AUROC, AUPRC, Brier score, calibration slope and intercept, with
intervals that draw patients. With --splits N it also says what N splits of TRAIN by patient give, which is
how the model was chosen.
"""

import argparse
import json
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from uci_diabetes130 import Stays, plain_columns, read_stays

from riskmodels import __version__
from riskmodels.errors import RiskModelsError
from riskmodels.evaluation import Evaluation, compare, evaluate
from riskmodels.files import write_json
from riskmodels.learning import LogisticBaseline, RiskModel
from riskmodels.learning.tuning import split_patients

METRICS = ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept")
TEST_SHARE = 0.25

logger = logging.getLogger("benchmark_uci")


def make_model(seed: int, num_threads: int) -> RiskModel:
    """Return the model: chosen on splits of the shared stays, see docs/modelling.md."""
    return RiskModel(
        learning_rate=0.03,
        early_stopping_rounds=80,
        colsample_bytree=0.3,
        n_models=2,
        random_state=seed,
        num_threads=num_threads,
    )


def predict(train: Stays, test: Stays, seed: int, num_threads: int) -> dict[str, np.ndarray]:
    """Return the risks of the test stays by the model and by logistic regression."""
    model = make_model(seed, num_threads).fit(train.X, train.y, groups=train.patients)
    logger.info("%d boosting rounds, %s", model.best_iteration_, model.calibrator_)
    plain = plain_columns(train.X)
    logistic = LogisticBaseline(random_state=seed).fit(train.X.select(plain), train.y, groups=train.patients)
    return {
        "riskmodels": model.predict_proba(test.X)[:, 1],
        "logistic regression": logistic.predict_proba(test.X.select(plain))[:, 1],
    }


def flat(evaluation: Evaluation) -> dict[str, float | None]:
    """Return each metric as three numbers: x, x_lower, x_upper; None where it is not defined."""
    found: dict[str, float | None] = {}
    for name in METRICS:
        interval = evaluation[name]
        values = {name: interval.value, f"{name}_lower": interval.lower, f"{name}_upper": interval.upper}
        found |= {key: value if math.isfinite(value) else None for key, value in values.items()}
    return found


def judge_on_splits(stays: Stays, n: int, seed: int, num_threads: int) -> list[dict[str, Any]]:
    """Return the metrics of n splits by patient, a quarter of the patients held out each time."""
    rows = []
    for i in range(n):
        part = split_patients(
            stays.y, stays.patients, {"train": 1 - TEST_SHARE, "test": TEST_SHARE}, seed=seed + 100 + i
        )
        train, test = (
            Stays(stays.X.filter(rows_of), stays.y[rows_of], stays.patients[rows_of], 0)
            for rows_of in (part == "train", part == "test")
        )
        for name, p in predict(train, test, seed + i, num_threads).items():
            evaluation = evaluate(test.y, p, test.patients, n_bootstrap=0, name=name)
            rows.append({"split": i, "model": name, **{m: evaluation[m].value for m in METRICS}})
            logger.info("split %d, %s: AUROC %.4f", i + 1, name, rows[-1]["auroc"])
    return rows


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train, predict, measure, and write the result."""
    started = time.monotonic()
    train, test = read_stays(options.train), read_stays(options.test)
    shared = len(np.intersect1d(train.patients, test.patients))
    if shared:
        logger.warning(
            "%d patients are in both files, so the figures for TEST are too good: split by patient_nbr",
            shared,
        )
    risks = predict(train, test, options.seed, options.num_threads)
    evaluations = {
        name: evaluate(test.y, p, test.patients, n_bootstrap=options.draws, seed=options.seed, name=name)
        for name, p in risks.items()
    }
    paired = compare(test.y, risks, test.patients, n_bootstrap=options.draws, seed=options.seed)
    result = {
        **flat(evaluations["riskmodels"]),
        "n": len(test.y),
        "n_patients": len(np.unique(test.patients)),
        "n_readmitted": int(test.y.sum()),
        "n_train": len(train.y),
        "n_train_patients": len(np.unique(train.patients)),
        "patients_in_both": shared,
        "interval": f"95%, {options.draws} bootstrap draws of patients",
        "logistic_regression": flat(evaluations["logistic regression"]),
        "comparison": paired.filter(pl.col("metric").is_in(METRICS)).to_dicts(),
        "seed": options.seed,
        "version": __version__,
        "seconds": round(time.monotonic() - started, 1),
    }
    if options.splits:
        result["splits_of_train"] = judge_on_splits(train, options.splits, options.seed, options.num_threads)
    write_json(options.out, result)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return 0, or 1 where the input cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("train", type=Path, metavar="TRAIN.csv")
    parser.add_argument("test", type=Path, metavar="TEST.csv")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=200, help="bootstrap draws (default 200)")
    parser.add_argument("--splits", type=int, default=0, help="also judge on N splits of TRAIN by patient")
    parser.add_argument("--num-threads", type=int, default=1, help="threads of LightGBM (default 1; 0: all)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        result = run(options)
    except RiskModelsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(json.dumps({name: result[name] for name in (*METRICS, "n", "seconds")}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
