"""Benchmarks by period, and each change split into case mix and performance.

With r the observed and e the mean expected rate of an entity in two periods, by one model of all periods,

    r2 - r1 = (e2 - e1) + [(r2 - e2) - (r1 - e1)]

the first part is what other patients explain, the second what they do not: Kitagawa's decomposition (JASA
1955;50:1168-1194), known from regression as Oaxaca's and Blinder's (1973), with the pooled model as the
reference (Oaxaca & Ransom, Journal of Econometrics 1994;61:5-21). The second part is split again into what
changed over all entities alike, such as coding or the season, and what is the entity's own.
"""

from collections.abc import Collection
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.benchmarks.standardise import standardise
from riskmodels.benchmarks.suppression import suppress_parts, unsuppressed, withhold
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["ALL", "PERIODS", "check_period", "period_tables"]

PERIODS = ("year", "quarter")
ALL = "(all)"
PARTS = ("change", "case_mix", "common", "own")


def check_period(period: str | None) -> None:
    """Refuse a period that is neither a year nor a quarter."""
    if period is not None and period not in PERIODS:
        raise SpecError(f"period is {period!r}. {did_you_mean(period, PERIODS)}")


def period_tables(
    stays: Any,
    *,
    by: str = "facility_id",
    period: str = "year",
    n_draws: int = 200,
    seed: int = 0,
    suppress: bool = True,
    hidden: Collection[str] = (),
) -> dict[str, pl.DataFrame]:
    """Return the tables ``periods`` and ``changes``.

    Parameters
    ----------
    stays : frame
        A row a stay: `by`, person, observed, expected (risk under one model of all periods), index_time.
    n_draws : int
        Bootstrap draws of patients for the intervals of the changes; none without.
    hidden : collection of str
        Entities that the benchmark withholds: their periods would add up to what it does not show.

    Returns
    -------
    periods
        An entity and period a row: n, observed, expected, ratio with its interval, observed_rate,
        expected_rate.
    changes
        An entity and two periods that follow each other: change of the observed rate, and its parts
        case_mix, common and own, which add up to it; each with its interval. The entity ``(all)`` is all of
        them.
    """
    check_period(period)
    rows = nw.from_native(stays, eager_only=True).to_polars()
    when = pl.col("index_time").dt.year().cast(pl.String)
    if period == "quarter":
        when = pl.format("{}Q{}", when, pl.col("index_time").dt.quarter())
    rows = rows.with_columns(when.alias("period"), pl.col(by).cast(pl.String))
    pieces = [
        standardise(piece, entity=by).with_columns(pl.lit(piece["period"][0]).alias("period"))
        for piece in rows.sort("period").partition_by("period", maintain_order=True)
    ]
    table = pl.concat(pieces)
    table = withhold(suppress_parts(table, "period"), hidden) if suppress else unsuppressed(table, 1)
    table = table.with_columns(
        (pl.col("observed") / pl.col("n")).alias("observed_rate"),
        (pl.col("expected") / pl.col("n")).alias("expected_rate"),
    ).select(
        by, "period", "n", "observed", "expected", "ratio", "ratio_lower", "ratio_upper",
        "observed_rate", "expected_rate", "suppressed", "note",
    )  # fmt: skip
    changes = _changes(rows, by, n_draws, seed)
    secret = table.filter("suppressed").select(by, "period", _hidden=True)
    if suppress:
        secret = pl.concat([secret, _small_totals(rows, by)])
    for side in ("from", "to"):
        changes = changes.join(secret, left_on=[by, f"period_{side}"], right_on=[by, "period"], how="left",
                               maintain_order="left").rename({"_hidden": f"_{side}"})  # fmt: skip
    shown = pl.col("_from").is_null() & pl.col("_to").is_null()
    figures = [name for name in changes.columns if name.startswith(PARTS)]
    changes = changes.with_columns(
        *(pl.when(shown).then(pl.col(name)).alias(name) for name in figures), (~shown).alias("suppressed")
    ).drop("_from", "_to")
    return {"periods": table.sort(by, "period"), "changes": changes}


def _small_totals(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return the periods in which all entities together have a small cell, as those of the entity (all)."""
    total = rows.group_by("period").agg(pl.len(), events=pl.col("observed").sum())
    least = pl.min_horizontal("events", pl.col("len") - pl.col("events"))
    return total.filter(least < SMALLEST_CELL).select(pl.lit(ALL).alias(by), "period", _hidden=True)


def _changes(rows: pl.DataFrame, by: str, n_draws: int, seed: int) -> pl.DataFrame:
    entities, periods = rows[by].unique().sort(), rows["period"].unique().sort()
    if len(periods) < 2:
        raise SpecError(f"all stays are of {periods[0]}: a change needs two periods")
    cell = (
        entities.search_sorted(rows[by]) * len(periods) + periods.search_sorted(rows["period"])
    ).to_numpy()
    shape = (len(entities), len(periods))
    observed, expected = rows["observed"].to_numpy().astype(float), rows["expected"].to_numpy()

    def parts(weight: np.ndarray) -> np.ndarray:
        """Return the parts of each change, shape (4, entities + 1, periods - 1)."""
        sums = np.stack(
            [np.bincount(cell, weights=weight * values, minlength=shape[0] * shape[1]).reshape(shape)
             for values in (np.ones(len(cell)), observed, expected)]
        )  # fmt: skip
        sums = np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate, mean = sums[1] / sums[0], sums[2] / sums[0]
        change, mix = np.diff(rate, axis=1), np.diff(mean, axis=1)
        rest = change - mix
        common = np.broadcast_to(rest[-1], rest.shape)
        return np.stack([change, mix, common, rest - common])

    point = parts(np.ones(len(cell)))
    person = rows["person"].rank("dense").to_numpy().astype(np.int64) - 1
    n_persons, generator = int(person.max()) + 1, np.random.default_rng(seed)
    draws = np.full((n_draws, *point.shape), np.nan)
    for draw in range(n_draws):
        times = np.bincount(generator.integers(n_persons, size=n_persons), minlength=n_persons)
        draws[draw] = parts(times[person].astype(float))
    names = [*entities.to_list(), ALL]
    columns: dict[str, Any] = {
        by: np.repeat(names, len(periods) - 1).tolist(),
        "period_from": periods[:-1].to_list() * len(names),
        "period_to": periods[1:].to_list() * len(names),
    }
    for i, part in enumerate(PARTS):
        columns[part] = point[i].ravel()
        drawn = draws[:, i].reshape(n_draws, point[i].size)
        filled = np.isfinite(drawn).all(axis=0) if n_draws else np.zeros(point[i].size, dtype=bool)
        for end, level in (("lower", 0.025), ("upper", 0.975)):
            limit = np.full(point[i].size, np.nan)
            if filled.any():
                limit[filled] = np.quantile(drawn[:, filled], level, axis=0, method="weibull")
            columns[f"{part}_{end}"] = limit
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None)).drop_nulls("change")
