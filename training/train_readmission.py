"""Train the readmission model of models/readmission_30d.

    python training/train_readmission.py HISTORY [--tracking-uri URI]    on your own history
    python training/train_readmission.py --ship                          on simulated patients, as shipped

With --ship the model's folder gets the model itself, its card, and golden scores: simulated discharges with
the risk that the model gives them. The tests load the model and compare, so that a model that was stored
today still scores alike tomorrow.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import polars as pl

from riskmodels.datasets import simulate
from riskmodels.errors import RiskModelsError
from riskmodels.files import atomic_file
from riskmodels.learning.bundle import ModelBundle
from riskmodels.pipeline import Trained, train, training_set
from riskmodels.pipeline.card import model_card

FOLDER = Path(__file__).resolve().parents[1] / "models" / "readmission_30d"
PATIENTS, SEED = 60_000, 0
GOLDEN_PATIENTS, GOLDEN_SEED, GOLDEN_ROWS = 3_000, 99, 60


def ship(work: Path, tracking_uri: str) -> Trained:
    """Train on simulated patients; write the model, its card and its golden scores to the model's folder."""
    history = simulate(PATIENTS, seed=SEED).write(work / "history")
    trained = train(
        "readmission-30d",
        history,
        config=FOLDER / "model.yaml",
        tracking_uri=tracking_uri,
        out=FOLDER / "model",
    )
    with atomic_file(FOLDER / "MODEL_CARD.md") as temporary:
        temporary.write_text(model_card(trained.fitted), encoding="utf-8")
    with atomic_file(FOLDER / "golden_scores.csv") as temporary:
        golden_scores(ModelBundle.load(FOLDER / "model"), work).write_csv(temporary)
    return trained


def golden_scores(bundle: ModelBundle, work: Path) -> pl.DataFrame:
    """Return features and risk of some simulated discharges that the model has not seen."""
    history = simulate(GOLDEN_PATIENTS, seed=GOLDEN_SEED).write(work / "golden")
    made = training_set(bundle.task, history, features=bundle.feature_set)
    rows = made.features.frame.head(GOLDEN_ROWS)
    return rows.with_columns(pl.Series("risk", bundle.predict(rows)))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("history", type=Path, nargs="?", help="a history made by `riskmodels ingest`")
    parser.add_argument("--tracking-uri", help="MLflow server; default: sqlite:///mlflow.db")
    parser.add_argument("--ship", action="store_true", help="train on simulated patients, store the model")
    given = parser.parse_args()
    if given.ship == (given.history is not None):
        parser.error("give a HISTORY, or --ship")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        if given.ship:
            with tempfile.TemporaryDirectory() as work:
                uri = given.tracking_uri or f"sqlite:///{work}/mlflow.db"
                print(ship(Path(work), uri).to_text())
        else:
            trained = train(
                "readmission-30d",
                given.history,
                config=FOLDER / "model.yaml",
                tracking_uri=given.tracking_uri,
            )
            print(trained.to_text())
    except RiskModelsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
