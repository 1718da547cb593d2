"""A small bundle, quick to fit, whose frame needs no history."""

from dataclasses import replace

import numpy as np
import polars as pl

from riskmodels.cohorts import load_task
from riskmodels.features import Count, Encounters, FeatureSet, Static
from riskmodels.learning import RiskModel
from riskmodels.learning.bundle import ModelBundle, RiskBands
from riskmodels.learning.contract import DataContract

FEATURES = FeatureSet(
    "small",
    [
        Static("age", role="adjust"),
        Static("sex", role="adjust"),
        Static("drg"),
        Count(Encounters("emergency"), ("90d", "365d"), name="ed_visits", label="ED visits"),
    ],
)


def draw_frame(n: int = 6000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Return features, outcomes and patients of n stays; ED visits and the DRG carry the risk."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(0.8, n)
    drg = rng.choice(["291", "292", "470"], n)
    log_odds = -2 + 0.6 * visits - 0.8 * (drg == "470")
    frame = pl.DataFrame(
        {
            "age": rng.integers(65, 95, n).astype(float),
            "sex": pl.Series(rng.choice(["female", "male"], n), dtype=pl.Enum(["female", "male", "unknown"])),
            "drg": drg,
            "ed_visits_90d": (visits > 1).astype(float),
            "ed_visits_365d": visits.astype(float),
        }
    )
    return frame, (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int), np.arange(n) // 2


def fit_bundle(name: str = "readmission-30d", seed: int = 0, n: int = 6000) -> ModelBundle:
    """Fit a small model and put it together with all that scoring needs."""
    frame, outcome, patients = draw_frame(n, seed)
    model = RiskModel(n_estimators=40, learning_rate=0.1, random_state=seed, num_threads=1)
    model.fit(frame, outcome, groups=patients, columns=FEATURES.columns)
    contract = DataContract.from_training(frame, FEATURES.columns, feature_set=FEATURES)
    bands = RiskBands.from_predictions(model.predict_proba(frame)[:, 1])
    return ModelBundle(model, FEATURES, load_task("readmission-30d"), contract, bands, {"name": name})


def upside_down(bundle: ModelBundle, seed: int = 0, n: int = 6000) -> ModelBundle:
    """Return the bundle with a model of the opposite outcomes: it ranks patients the wrong way round."""
    frame, outcome, patients = draw_frame(n, seed)
    model = RiskModel(n_estimators=40, learning_rate=0.1, num_threads=1)
    model.fit(frame, 1 - outcome, groups=patients, columns=FEATURES.columns)
    return replace(bundle, model=model)
