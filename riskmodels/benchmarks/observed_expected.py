"""Observed over expected of stays whose expected risk is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.benchmarks.intervals import IntervalMethod
from riskmodels.benchmarks.reliability import reliability, signal_variance
from riskmodels.benchmarks.result import Benchmark
from riskmodels.benchmarks.standardise import bootstrap_ratios, patient_dispersion, standardise
from riskmodels.benchmarks.suppression import suppress_small_cells, unsuppressed
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["benchmark_stays"]


def benchmark_stays(
    stays: Any,
    *,
    by: str = "facility_id",
    n_draws: int = 200,
    seed: int = 0,
    minimum_n: int = SMALLEST_CELL,
    suppress: bool = True,
    interval: IntervalMethod = "mid-p",
    dispersion: bool = True,
    expectation: float = 1.0,
    balanced: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> Benchmark:
    """Benchmark stays whose expected risk is known already, from whatever model.

    Parameters
    ----------
    stays : pandas, Polars or Arrow frame
        A row a stay: `by`, person, observed (0 or 1), expected (risk).
    expectation : float
        Factor by which the error of the expected risks widens the variance: see `expectation_error`.
    balanced : bool
        Whether the expected outcomes sum to the observed ones, and shall in each draw.
    metadata : mapping, optional
        Further plain data to keep.

    See Also
    --------
    benchmark : for the other parameters.
    """
    import narwhals as nw

    from riskmodels.evaluation import auroc

    rows = nw.from_native(stays, eager_only=True).to_polars().drop_nulls(by)
    observed = rows["observed"].to_numpy().astype(float)
    risk = rows["expected"].to_numpy().astype(float)
    person = rows["person"].to_numpy()
    factor = (patient_dispersion(observed, risk, person) if dispersion else 1.0) * expectation
    frame = standardise(rows, entity=by, method=interval, dispersion=factor)
    chance = _chance(rows, by, risk, frame["expected"].to_numpy()) * factor
    signal = signal_variance(frame["ratio"].to_numpy(), chance)
    share = pl.Series("reliability", reliability(signal, chance))
    frame = frame.with_columns(share, (1 + share * (pl.col("ratio") - 1)).alias("ratio_shrunken"))
    frame = suppress_small_cells(frame, minimum_n=minimum_n) if suppress else unsuppressed(frame, minimum_n)
    known = dict(metadata or {})
    draws = bootstrap_ratios(rows, entity=by, n_draws=n_draws, seed=seed, balanced=balanced)
    if expectation > 1:  # draws of patients do not fit the expectation again: their spread grows as much
        centre = pl.col("ratio").mean().over(by)
        wider = centre + (pl.col("ratio") - centre) * expectation**0.5
        draws = draws.with_columns(wider.clip(0).alias("ratio"))
    shown = frame.filter(~pl.col("suppressed")).select(by)
    draws = draws.join(shown, on=by, how="semi", maintain_order="left")
    events = int(observed.sum())
    small = suppress and 0 < min(events, len(observed) - events) < SMALLEST_CELL
    frame = frame.with_columns(
        pl.lit(_words(interval, dispersion, expectation)).alias("method"),
        pl.lit(str(known.get("model_version", "given"))).alias("model_version"),
    )
    return Benchmark(
        frame,
        draws,
        {
            "by": by,
            "method": "oe",
            "entities": frame.height,
            "n": rows.height,
            "persons": int(rows["person"].n_unique()),
            "observed": None if small else events,
            "expected": None if small else float(risk.sum()),
            "rate": None if small else float(observed.mean()),
            "auroc": None if small or events in (0, len(observed)) else float(auroc(observed, risk)),
            "interval": interval,
            "dispersion": factor / expectation,
            "expectation_error": expectation,
            "signal_variance": signal,
            "median_reliability": float(share.median() or 0.0),  # type: ignore[arg-type]
            "n_draws": n_draws,
            "seed": seed,
            "minimum_n": minimum_n,
            "suppressed": suppress,
            "balanced": balanced,
            "riskmodels_version": __version__,
            **known,
        },
    )


def _chance(rows: pl.DataFrame, by: str, risk: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the variance by chance of observed/expected, an entity: Σp(1-p) / (Σp)²."""
    grouped = rows.select(pl.col(by).cast(pl.String), pl.Series("variance", risk * (1 - risk)))
    variance = grouped.group_by(by).agg(pl.col("variance").sum()).sort(by)["variance"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(variance / expected**2)


def _words(interval: str, dispersion: bool, expectation: float) -> str:
    """Return how the interval was made."""
    error = " and the error of the expectation" if expectation > 1 else ""
    return f"{interval}{' with patient dispersion' if dispersion else ''}{error}"
