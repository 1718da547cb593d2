"""Risk-standardised rates of stays: fit, ratios, intervals, and the benchmark that holds them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.benchmarks.hierarchical import HierarchicalFit, fit_problem
from riskmodels.benchmarks.hierarchical_newton import MOST_LOG_VARIANCE
from riskmodels.benchmarks.hierarchical_problem import sorted_problem
from riskmodels.benchmarks.intervals import normal_quantile
from riskmodels.benchmarks.result import Benchmark
from riskmodels.benchmarks.rsrr import bootstrap_effects, predicted_over_expected
from riskmodels.benchmarks.standardise import standardise
from riskmodels.benchmarks.suppression import suppress_small_cells, unsuppressed
from riskmodels.errors import SpecError
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["risk_standardise_stays"]

RIDGE = 0.01  # prior standard deviation of 10 a standardised column: binds only where stays say nothing
EDGE = 1e-9
UNBOUNDED = 0.95 * math.exp(MOST_LOG_VARIANCE)
UNSETTLED = 0.01  # twice the log-likelihood still to be gained: a tenth of a standard error


def risk_standardise_stays(
    stays: Any,
    *,
    by: str = "facility_id",
    design: np.ndarray | None = None,
    names: Sequence[str] = (),
    quadrature_points: int = 1,
    intervals: Literal["bootstrap", "posterior"] = "bootstrap",
    n_draws: int = 200,
    seed: int = 0,
    minimum_n: int = SMALLEST_CELL,
    suppress: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> tuple[Benchmark, np.ndarray]:
    """Compute risk-standardised rates of stays, with a random intercept an entity.

    Parameters
    ----------
    stays : pandas, Polars or Arrow frame
        A row a stay: `by`, person, observed (0 or 1), and expected (risk) where no `design` is given.
    design : ndarray, shape (stays, columns), optional
        Risk factors of a linear model, as CMS's. Without it the log-odds of the column ``expected`` are the
        one risk factor, whose slope is fitted with the entities' effects: that is how trees come in.
    names : sequence of str
        Of the columns of `design`.
    intervals : {"bootstrap", "posterior"}
        Entities drawn with replacement and the model refitted, as CMS does; or from the conditional normal
        distribution of the effects alone, which holds no error of the coefficients.
    n_draws : int
        Bootstrap draws. With 0 the intervals are posterior.
    quadrature_points : int
        See `fit_hierarchical`.

    Returns
    -------
    benchmark : Benchmark
        ratio is predicted over expected; predicted, effect (log-odds) and reliability stand beside it. The
        funnel limits are those of observed/expected drawn towards 1 by the reliability.
    expected : ndarray, shape (stays,)
        The risk of each stay with a value in `by` at an average entity.

    Raises
    ------
    SpecError
        Entities have too few stays to tell how far they differ, so that ratios and intervals have no end.

    See Also
    --------
    riskmodels.benchmarks.benchmark_stays : for the other parameters.
    """
    import narwhals as nw

    from riskmodels.evaluation import auroc

    rows = nw.from_native(stays, eager_only=True).to_polars()
    if intervals not in ("bootstrap", "posterior"):
        raise SpecError(f"intervals is {intervals!r}; choose from: bootstrap, posterior")
    known = rows[by].is_not_null()
    rows = rows.filter(known).with_columns(pl.col(by).cast(pl.String))
    outcome = rows["observed"].to_numpy().astype(float)
    if design is None:
        risk = np.clip(rows["expected"].to_numpy().astype(float), EDGE, 1 - EDGE)
        matrix = np.log(risk / (1 - risk))[:, None]
    else:
        matrix = design[known.to_numpy()]
    columns = ("log-odds of the given risk",) if design is None else tuple(names)
    likelihood, entities = sorted_problem(
        matrix, outcome, rows[by], None, ("(intercept)", *columns), quadrature_points
    )
    fit = fit_problem(likelihood, ("(intercept)", *columns), entities, RIDGE)
    if fit.variance > UNBOUNDED or not (fit.converged or fit.gain < UNSETTLED):
        raise _too_few(by, rows.height, len(entities))
    predicted, expected = predicted_over_expected(likelihood, fit)
    average_risk = 1 / (1 + np.exp(-(fit.coefficients[0] + matrix @ fit.coefficients[1:])))
    table = standardise(rows.with_columns(pl.Series("expected", average_risk)), entity=by)
    ratio = predicted / expected
    if intervals == "bootstrap" and n_draws > 0:
        drawn = bootstrap_effects(likelihood, fit, n_draws=n_draws, seed=seed)
        if (drawn.variance > UNBOUNDED).mean() > 0.025:  # then that is the end of the intervals
            raise _too_few(by, rows.height, len(entities))
        # p (draws + 1)-th order statistics: with few draws the default quantiles lie too far inside.
        lower, upper = np.quantile(drawn.ratio, [0.025, 0.975], axis=0, method="weibull")
        draws = pl.DataFrame(
            {
                by: entities.gather(np.tile(np.arange(len(entities)), n_draws)),
                "draw": np.repeat(np.arange(n_draws, dtype=np.int32), len(entities)),
                "ratio": drawn.ratio.ravel(),
            }
        )
        method, spread = "rsrr, bootstrap of entities", drawn.variance
    else:
        lower, upper = _posterior(likelihood, fit)
        draws = pl.DataFrame(schema={by: pl.String, "draw": pl.Int32, "ratio": pl.Float64})
        method, spread = "rsrr, posterior", np.empty(0)
    rate = float(outcome.mean())
    reliability = fit.reliability
    frame = table.with_columns(
        pl.Series("predicted", predicted),
        pl.Series("ratio", ratio),
        pl.Series("ratio_lower", lower),
        pl.Series("ratio_upper", upper),
        pl.Series("rate", ratio * rate),
        pl.Series("rate_lower", lower * rate),
        pl.Series("rate_upper", np.minimum(upper * rate, 1.0)),
        *(
            pl.Series(name, 1 + reliability * (table[name].to_numpy() - 1))
            for name in table.columns
            if name.startswith("funnel_")
        ),
        pl.Series("effect", fit.effects),
        pl.Series("reliability", reliability),
    )
    frame = suppress_small_cells(frame, minimum_n=minimum_n) if suppress else unsuppressed(frame, minimum_n)
    if suppress:  # from the curvature at an effect, and so from the reliability, the effect can be worked out
        told = [name for name in frame.columns if name.startswith("funnel_") or name == "reliability"]
        frame = frame.with_columns(pl.when(~pl.col("suppressed")).then(name).alias(name) for name in told)
    given = dict(metadata or {})
    frame = frame.with_columns(
        pl.lit(method).alias("method"),
        pl.lit(str(given.get("model_version", "given"))).alias("model_version"),
    )
    shown = frame.filter(~pl.col("suppressed")).select(by)
    events = int(outcome.sum())
    small = suppress and 0 < min(events, len(outcome) - events) < SMALLEST_CELL
    made = Benchmark(
        frame,
        draws.join(shown, on=by, how="semi", maintain_order="left"),
        {
            "by": by,
            "method": "rsrr",
            "entities": frame.height,
            "n": rows.height,
            "persons": int(rows["person"].n_unique()) if "person" in rows.columns else None,
            "observed": None if small else events,
            "expected": None if small else float(average_risk.sum()),
            "rate": None if small else rate,
            "auroc": None if small else float(auroc(outcome, average_risk)),
            "interval": method,
            "n_draws": draws["draw"].n_unique(),
            "seed": seed,
            "minimum_n": minimum_n,
            "suppressed": suppress,
            "hierarchical": fit.to_dict(),
            "median_reliability": float(np.median(reliability)),
            "variance_interval": [float(v) for v in np.quantile(spread, [0.025, 0.975])]
            if len(spread)
            else None,
            "riskmodels_version": __version__,
            **given,
        },
    )
    return made, average_risk


def _too_few(by: str, stays: int, entities: int) -> SpecError:
    return SpecError(
        f"{stays:,} stays of {entities:,} entities in {by!r} cannot tell how far entities differ: ratios and "
        "their intervals would have no end\n"
        "Fix: benchmark by a group with more stays, or with method oe"
    )


def _posterior(likelihood: Any, fit: HierarchicalFit, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratio at both ends of the interval of each effect, the coefficients taken as known."""
    from dataclasses import replace

    z = normal_quantile(0.5 + level / 2) * np.sqrt(fit.effect_variance)
    ends = []
    for effect in (fit.effects - z, fit.effects + z):
        predicted, expected = predicted_over_expected(likelihood, replace(fit, effects=effect))
        ends.append(predicted / expected)
    return ends[0], ends[1]
