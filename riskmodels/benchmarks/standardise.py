"""Observed against expected, entity by entity, from one row a stay."""

from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.benchmarks.intervals import IntervalMethod, funnel_limits, ratio_interval
from riskmodels.errors import SpecError, did_you_mean

__all__ = ["bootstrap_ratios", "patient_dispersion", "standardise"]


def standardise(
    stays: Any,
    *,
    entity: str = "facility_id",
    method: IntervalMethod = "mid-p",
    level: float = 0.95,
    dispersion: float = 1.0,
) -> pl.DataFrame:
    """Return observed, expected and their ratio with an interval, a row an entity.

    Parameters
    ----------
    stays : pandas, Polars or Arrow frame
        A row a stay: the `entity` column, ``observed`` (0 or 1), ``expected`` (risk between 0 and 1) and,
        where there is one, ``person``. Stays without an entity are left out.
    entity : str
        The column that names the hospital, provider or other group.

    Returns
    -------
    pl.DataFrame
        Sorted by entity: `entity`, n, persons, observed, expected, ratio, ratio_lower, ratio_upper, rate,
        rate_lower, rate_upper, and funnel_lower_95, funnel_upper_95, funnel_lower_998, funnel_upper_998.
        ``rate`` is the indirectly standardised rate: ratio times the rate over all stays.
    """
    rows = _stays(stays, entity)
    number, names = _numbered(rows[entity])
    observed, expected = rows["observed"].to_numpy(), rows["expected"].to_numpy()

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(number, weights=values, minlength=len(names))

    events, sums = total(observed), total(expected)
    interval = ratio_interval(
        expected, observed, number, len(names), method=method, level=level, dispersion=dispersion
    )
    rate = observed.mean()
    variance = expected * (1 - expected)
    moments = sums, total(variance) * dispersion, total(variance * (1 - 2 * expected)) * dispersion**1.5
    funnels = {95: funnel_limits(*moments, level=0.95), 998: funnel_limits(*moments, level=0.998)}
    persons = (
        rows.group_by(pl.Series("number", number)).agg(pl.col("person").n_unique()).sort("number")["person"]
        if "person" in rows.columns
        else pl.Series(np.bincount(number, minlength=len(names)))
    )
    ratio = events / sums
    return pl.DataFrame(
        {
            entity: names,
            "n": np.bincount(number, minlength=len(names)),
            "persons": persons.cast(pl.Int64),
            "observed": events.astype(np.int64),
            "expected": sums,
            "ratio": ratio,
            "ratio_lower": interval.lower,
            "ratio_upper": interval.upper,
            "rate": ratio * rate,
            "rate_lower": interval.lower * rate,
            "rate_upper": np.minimum(interval.upper * rate, 1.0),
            **{f"funnel_lower_{name}": funnel.lower for name, funnel in funnels.items()},
            **{f"funnel_upper_{name}": funnel.upper for name, funnel in funnels.items()},
        }
    )


def bootstrap_ratios(
    stays: Any, *, entity: str = "facility_id", n_draws: int = 200, seed: int = 0, balanced: bool = True
) -> pl.DataFrame:
    """Return observed/expected of every entity in bootstrap samples of patients.

    Patients are drawn with replacement and bring all their stays, at whatever entity, so that the ratios
    of a draw belong together: a total over entities has the right interval. The expected risks are not
    fitted again.

    Parameters
    ----------
    balanced : bool
        In each draw, scale the expected outcomes to sum to the observed ones, as they do in the sample.

    Returns
    -------
    pl.DataFrame
        `entity`, draw (from 0) and ratio, sorted; without the entities that a draw left empty.

    Raises
    ------
    SpecError
        The stays have no column ``person``.
    """
    rows = _stays(stays, entity)
    if "person" not in rows.columns:
        raise SpecError("a bootstrap by patient needs the column 'person'")
    number, names = _numbered(rows[entity])
    person = rows["person"].rank("dense").to_numpy().astype(np.int64) - 1
    n_persons = int(person.max()) + 1
    observed, expected = rows["observed"].to_numpy(), rows["expected"].to_numpy()
    generator = np.random.default_rng(seed)
    ratios = np.full((n_draws, len(names)), np.nan)
    for draw in range(n_draws):
        weight = np.bincount(generator.integers(n_persons, size=n_persons), minlength=n_persons)[person]
        events = np.bincount(number, weights=weight * observed, minlength=len(names))
        sums = np.bincount(number, weights=weight * expected, minlength=len(names))
        scale = events.sum() / sums.sum() if balanced and events.any() else 1.0
        np.divide(events, sums * scale, out=ratios[draw], where=sums > 0)
    return pl.DataFrame(
        {
            entity: pl.Series(np.tile(np.arange(len(names)), n_draws)).replace_strict(
                list(range(len(names))), names, return_dtype=pl.String
            ),
            "draw": np.repeat(np.arange(n_draws, dtype=np.int32), len(names)),
            "ratio": ratios.ravel(),
        }
    ).filter(pl.col("ratio").is_not_nan())


def patient_dispersion(observed: np.ndarray, expected: np.ndarray, person: np.ndarray) -> float:
    """Return the variance of the patients' totals over what independent stays would have; at least 1.

    The stays of one patient go together as far as the expected risk misses what is particular to the
    patient. With r the residual observed - expected: Σ over patients of (Σ over stays r)² / Σ over stays
    of r².
    """
    residual = observed - expected
    _, number = np.unique(person, return_inverse=True)
    clustered = float((np.bincount(number, weights=residual) ** 2).sum())
    independent = float((residual**2).sum())
    return max(clustered / independent, 1.0) if independent > 0 else 1.0


def _stays(stays: Any, entity: str) -> pl.DataFrame:
    rows = nw.from_native(stays, eager_only=True).to_polars()
    for name in (entity, "observed", "expected"):
        if name not in rows.columns:
            raise SpecError(f"the stays have no column {name!r}. {did_you_mean(name, rows.columns)}")
    rows = rows.with_columns(
        pl.col(entity).cast(pl.String),
        pl.col("observed").cast(pl.Float64),
        pl.col("expected").cast(pl.Float64),
    ).drop_nulls(entity)
    if rows.is_empty():
        raise SpecError(f"no stay has a value in {entity!r}\nFix: benchmark by another column")
    bad = rows.filter(~pl.col("observed").is_in([0.0, 1.0]) | ~pl.col("expected").is_between(0, 1)).height
    if bad or rows.select(pl.any_horizontal(pl.col("observed", "expected").is_null().any())).item():
        raise SpecError(
            f"{bad or 'some'} stays have an outcome other than 0 or 1, or an expected risk outside 0 to 1"
        )
    return rows


def _numbered(values: pl.Series) -> tuple[np.ndarray, list[str]]:
    """Return the number of each value in sorted order, and the values."""
    names = values.unique().sort()
    return names.search_sorted(values).to_numpy().astype(np.int64), names.to_list()
