"""What a panel benchmark shows: frames of panels, draws, enrolment categories and trend."""

import numpy as np
import polars as pl

from riskmodels.benchmarks.panel_math import MONTHS, Expectation, PersonYears
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["panel_by_category", "panel_draws", "panel_frame", "panel_trend"]

INTERVAL = (0.025, 0.975)


def panel_frame(
    data: PersonYears, best: Expectation, drawn: np.ndarray, belief: np.ndarray, by: str
) -> pl.DataFrame:
    """Return a row a panel: dollars, their ratio, both a member and month, with intervals from the draws."""
    now = (data.year == len(data.years) - 1) & (data.panel >= 0)
    n = np.bincount(data.panel[now], minlength=len(data.panels))
    observed, expected, months = (value.sum(axis=1) for value in (best.observed, best.expected, best.months))
    found = {
        by: data.panels,
        "n": n,
        "persons": n,
        "member_months": months,
        "person_years": months / MONTHS,
        "observed": observed,
        "expected": expected,
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = {
            "ratio": (observed / expected, drawn[:, 0] / drawn[:, 1] if len(drawn) else None),
            "observed_pmpm": (observed / months, drawn[:, 0] / drawn[:, 2] if len(drawn) else None),
            "expected_pmpm": (expected / months, drawn[:, 1] / drawn[:, 2] if len(drawn) else None),
        }
    for name, (value, draws) in figures.items():
        found[name] = value
        for end, tail in zip(("lower", "upper"), INTERVAL, strict=True):
            found[f"{name}_{end}"] = (
                value * np.nan if draws is None else np.nanquantile(draws, tail, axis=0, method="weibull")
            )
    return pl.DataFrame({**found, "credibility": belief}).with_columns(pl.selectors.float().fill_nan(None))


def panel_draws(data: PersonYears, drawn: np.ndarray, by: str, shown: np.ndarray) -> pl.DataFrame:
    """Return the draws of the panels shown: panel, draw, ratio, observed, expected."""
    schema = {
        by: pl.String,
        "draw": pl.Int32,
        "ratio": pl.Float64,
        "observed": pl.Float64,
        "expected": pl.Float64,
    }
    if not len(drawn):
        return pl.DataFrame(schema=schema)
    n, panels = len(drawn), int(shown.sum())
    observed, expected = drawn[:, 0, shown].ravel(), drawn[:, 1, shown].ravel()
    names = data.panels.cast(pl.String).filter(pl.Series(shown))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = observed / expected
    return pl.DataFrame(
        {
            by: pl.concat([names] * n),
            "draw": np.repeat(np.arange(n), panels),
            "ratio": ratio,
            "observed": observed,
            "expected": expected,
        },
        schema=schema,
    ).with_columns(pl.selectors.float().fill_nan(None))


def panel_by_category(
    data: PersonYears, best: Expectation, by: str, shown: np.ndarray, *, suppress: bool = True
) -> pl.DataFrame:
    """Return the figures of the panels shown by enrolment category; `suppress` withholds small cells."""
    panels, _, categories = data.shape
    now = (data.year == len(data.years) - 1) & (data.panel >= 0)
    place = data.panel[now] * categories + data.category[now]
    n = np.bincount(place, minlength=panels * categories)
    with np.errstate(divide="ignore", invalid="ignore"):
        frame = pl.DataFrame(
            {
                by: data.panels.gather(np.repeat(np.arange(panels), categories)),
                "enrolment": list(data.categories) * panels,
                "n": n,
                "member_months": best.months.ravel(),
                "relative_risk": best.risk.ravel(),
                "observed_pmpm": (best.observed / best.months).ravel(),
                "expected_pmpm": (best.expected / best.months).ravel(),
            }
        )
    frame = frame.filter(pl.Series(np.repeat(shown, categories)) & (pl.col("n") > 0))
    figures = [name for name in frame.columns if name not in (by, "enrolment")]
    kept = pl.lit(True)
    if suppress:
        # The panel's total is shown: where a cell is small, the smallest are withheld until they are two or
        # more and sum to 11 or more.
        ranked = frame.with_columns(_rank=pl.col("n").rank("ordinal").over(by)).sort(by, "_rank")
        before = pl.col("n").cum_sum().over(by) - pl.col("n")
        small = pl.col("n").min().over(by) < SMALLEST_CELL
        hidden = (pl.col("n") < SMALLEST_CELL) | (small & ((pl.col("_rank") <= 2) | (before < SMALLEST_CELL)))
        frame = ranked.with_columns(_kept=~hidden).sort(by, "enrolment").drop("_rank")
        kept = pl.col("_kept")
    return frame.select(
        by, "enrolment", *(pl.when(kept).then(pl.col(name).fill_nan(None)).alias(name) for name in figures)
    )


def panel_trend(data: PersonYears, best: Expectation) -> pl.DataFrame:
    """Return the growth from each benchmark year to the performance year by enrolment category."""
    rows = [
        (year, category, float(best.trend[place, column]))
        for place, year in enumerate(data.years[:-1])
        for column, category in enumerate(data.categories)
    ]
    schema = {"year": pl.Int64, "enrolment": pl.String, "factor": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("factor").fill_nan(None))
