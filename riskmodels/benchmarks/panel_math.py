"""The arithmetic of panel benchmarks: cells of panel, year and category, for any weights of persons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from riskmodels.errors import DataError

__all__ = ["MONTHS", "Cells", "Expectation", "PersonYears", "cells_of", "expect", "trend_table"]

MONTHS = 12


@dataclass(frozen=True)
class PersonYears:
    """Persons' years as arrays, an entry a person and year.

    Parameters
    ----------
    panel : np.ndarray of int
        Place among `panels`; -1 for a person of the reference population only.
    year, category : np.ndarray of int
        Places among `years` (the last is the performance year) and `categories`.
    cost, months, risk : np.ndarray of float
        Dollars (truncated and completed), member months, and a risk score above 0.
    person : np.ndarray of int
        Who it is, from 0.
    """

    panels: pl.Series
    years: tuple[int, ...]
    categories: tuple[str, ...]
    panel: np.ndarray
    year: np.ndarray
    category: np.ndarray
    cost: np.ndarray
    months: np.ndarray
    risk: np.ndarray
    person: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return panels, years, categories."""
        return len(self.panels), len(self.years), len(self.categories)


@dataclass(frozen=True)
class Cells:
    """Sums of cost, months and months x risk: of panels (panels, years, categories) and of everyone."""

    cost: np.ndarray
    months: np.ndarray
    risk: np.ndarray
    all_cost: np.ndarray
    all_months: np.ndarray
    all_risk: np.ndarray


@dataclass(frozen=True)
class Expectation:
    """Of each panel and category in the performance year: expected and observed dollars, months and risk."""

    expected: np.ndarray
    observed: np.ndarray
    months: np.ndarray
    risk: np.ndarray
    trend: np.ndarray


def cells_of(data: PersonYears, weight: np.ndarray | None = None) -> Cells:
    """Return the sums of every cell, each person counted `weight` times."""
    times = np.ones(len(data.cost)) if weight is None else weight[data.person]
    panels, years, categories = data.shape
    own = data.panel >= 0
    everyone = data.year * categories + data.category
    place = data.panel * (years * categories) + everyone
    values = (data.cost * times, data.months * times, data.months * data.risk * times)
    of_panels = [
        np.bincount(place[own], weights=value[own], minlength=panels * years * categories).reshape(data.shape)
        for value in values
    ]
    of_all = [
        np.bincount(everyone, weights=value, minlength=years * categories).reshape(years, categories)
        for value in values
    ]
    return Cells(*of_panels, *of_all)


def expect(
    cells: Cells,
    weights: Sequence[float],
    credibility: np.ndarray,
    *,
    trend: np.ndarray | None = None,
    risk_cap: float | None = None,
) -> Expectation:
    """Return what was to be expected in the performance year.

    A panel's cost a month in each benchmark year is trended to the performance year and multiplied by its
    risk of the performance year over that of the year, both relative to everyone's; the years are weighted.
    That is blended, by credibility, with the cost of everyone times the panel's relative risk.

    Parameters
    ----------
    weights : sequence of float
        Of the benchmark years, in order; a year in which a panel has nobody of a category gives its weight
        to the others.
    credibility : np.ndarray (panels,)
        Of the panels' own experience.
    trend : np.ndarray (benchmark years, categories), optional
        Growth from each year to the performance year; by default that of everyone.
    risk_cap : float, optional
        The most that risk may rise, as a share (42 CFR 425.605(a)(2) has 0.03); a fall counts in full.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        everyone = cells.all_cost / cells.all_months
        mean_risk = cells.all_risk / cells.all_months
        relative = cells.risk / cells.months / mean_risk
        own = cells.cost / cells.months
        growth = everyone[-1] / everyone[:-1] if trend is None else trend
        rise = relative[:, -1:, :] / relative[:, :-1, :]
        if risk_cap is not None:
            rise = np.minimum(rise, 1 + risk_cap)
        history = own[:, :-1, :] * growth * rise
        base = np.where(np.isfinite(growth), everyone[:-1] * growth, np.nan)
    share = np.asarray(weights, dtype=float)[:, None]
    there = np.isfinite(history) & (cells.months[:, :-1, :] > 0)
    total = (share * there).sum(axis=1)
    mean = (share * np.where(there, history, 0.0)).sum(axis=1)
    known = total > 0
    usual = np.isfinite(base)
    manual = (share * np.where(usual, base, 0.0)).sum(axis=0) / np.maximum((share * usual).sum(axis=0), 1e-12)
    manual = manual * np.where(np.isfinite(relative[:, -1, :]), relative[:, -1, :], 1.0)
    belief = np.where(known, credibility[:, None], 0.0)
    experience = np.divide(mean, total, out=np.zeros_like(mean), where=known)
    pmpm = belief * experience + (1 - belief) * manual
    months = cells.months[:, -1, :]
    return Expectation(pmpm * months, cells.cost[:, -1, :], months, relative[:, -1, :], growth)


def trend_table(
    factors: Mapping[tuple[int, str], float], years: Sequence[int], categories: Sequence[str]
) -> np.ndarray:
    """Return given trend factors as an array (benchmark years, categories).

    Raises
    ------
    DataError
        A year and category has none, or it is not above 0.
    """
    table = np.full((len(years), len(categories)), np.nan)
    for row, year in enumerate(years):
        for column, category in enumerate(categories):
            factor = factors.get((year, category), factors.get((year, "all")))
            if factor is None or not factor > 0:
                raise DataError(
                    f"no trend factor above 0 for {year} and {category!r}",
                    fix="give year, enrolment (or 'all') and factor, growth to the performance year",
                )
            table[row, column] = factor
    return table
