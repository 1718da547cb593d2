"""Panel benchmarks: what a group of patients was to cost, by enrolment category, as shared savings need it.

The frame of 42 CFR 425 subpart G: yearly Parts A and B cost by enrolment category, truncated at the 99th
percentile, benchmark years trended and risk-adjusted to the performance year; with completion for claim lag,
credibility for small panels and bootstrap intervals, which the regulation does not have.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.benchmarks.attribution import attribute, given_attribution
from riskmodels.benchmarks.completion import completion_of_years, history_triangle
from riskmodels.benchmarks.credibility import METHODS, buhlmann_straub, limited_fluctuation
from riskmodels.benchmarks.panel_frames import panel_by_category, panel_draws, panel_frame, panel_trend
from riskmodels.benchmarks.panel_math import MONTHS, Cells, PersonYears, cells_of, expect, trend_table
from riskmodels.benchmarks.panel_risk import RISKS, add_risk, risk_model
from riskmodels.benchmarks.result import Benchmark
from riskmodels.errors import DataError, SpecError, did_you_mean
from riskmodels.evaluation.bootstrap import weights_of_draws
from riskmodels.evaluation.suppression import SMALLEST_CELL
from riskmodels.progress import track

if TYPE_CHECKING:
    from riskmodels.cohorts import Task
    from riskmodels.history import History
    from riskmodels.learning.cost_bundle import CostBundle

__all__ = ["PanelBenchmark", "panel_benchmark"]

logger = logging.getLogger(__name__)

TASK = "cost-12m"
WORDS = ("suppressed", "note", "method", "model_version")


@dataclass(frozen=True, eq=False)
class PanelBenchmark(Benchmark):
    """Observed and expected cost of panels.

    `frame` has a row a panel: n (persons of the performance year), member_months, person_years, observed and
    expected (dollars of the year), ratio with its interval, both a member and month with theirs, credibility.
    `draws` have panel, draw, ratio, observed and expected. `tables["enrolment"]` has the same by enrolment
    category, `tables["trend"]` the growth used.
    """

    def to_text(self) -> str:
        """Return a summary of a few lines."""
        known = self.metadata
        shown = self.frame.filter(~pl.col("suppressed"))
        spent, due = (float(shown[name].to_numpy().sum()) for name in ("observed", "expected"))
        below = shown.filter(pl.col("ratio_upper") < 1).height
        above = shown.filter(pl.col("ratio_lower") > 1).height
        complete = ", ".join(f"{year} {share:.1%}" for year, share in known["completion"].items())
        years = ", ".join(map(str, known["base_years"]))
        sums = f"{known['n']:,} persons in the panels shown\n  observed ${spent:,.0f}, expected ${due:,.0f}"
        return (
            f"{known['year']} against {years} by {self.entity}: {self.frame.height:,} panels, "
            f"{sums if shown.height else 'every one withheld as small'}; risk by {known['risk']}; "
            f"claims known: {complete}\n"
            f"  {above:,} above what was expected, {below:,} below (95% interval without 1); "
            f"{self.frame.height - shown.height:,} suppressed as small"
        )


def panel_benchmark(
    history: "str | Path | History",
    year: int,
    *,
    base_years: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    by: str = "provider_id",
    members: Any = None,
    model: "str | Path | CostBundle | None" = None,
    risk: str | None = None,
    risk_cap: float | None = None,
    trend: Mapping[tuple[int, str], float] | None = None,
    credibility: str = "buhlmann",
    completion: bool = True,
    task: "str | Path | Task" = TASK,
    n_draws: int = 200,
    seed: int = 0,
    minimum_n: int = SMALLEST_CELL,
    suppress: bool = True,
    tracking_uri: str | None = None,
) -> PanelBenchmark:
    """Benchmark the cost of panels of patients.

    Parameters
    ----------
    history : path or History
        Everyone in it who was covered for the year before is the reference population.
    year : int
        The performance year.
    base_years : sequence of int, optional
        Benchmark years; by default those before `year` that have persons, at most three.
    weights : sequence of float, optional
        Of the benchmark years; equal by default (42 CFR 425.601(a)(4) has 10%, 30% and 60%).
    by, members
        Whose patients they are: a column of visits (see `attribute`), or with `members` a column of that
        frame (see `given_attribution`).
    model : str, path or CostBundle, optional
        A model of expected cost of ``adjust`` features, which then says the risk: ``models:/NAME@champion``,
        ``models:/NAME/VERSION``, ``runs:/RUN_ID``, a folder or the model itself.
    risk : {"model", "hcc", "demographics", "none"}, optional
        What says how costly a panel's patients are; by default the model, else the CMS-HCC score.
    risk_cap, trend
        See `riskmodels.benchmarks.panel_math.expect`; `trend` by (year, category), or (year, "all").
    credibility : {"buhlmann", "limited", "none"}
        How far a panel's own history is believed beside everyone's; "none" believes it in full.
    completion : bool
        Scale each year's claims up to what they will be (chain ladder).
    task : str, path or Task
        What counts as cost, and where it is truncated.
    n_draws, seed, minimum_n, suppress
        Draws of persons for the intervals, and panels too small to show. Completion, truncation, risk and
        credibility are held as they are in each draw.

    tracking_uri : str, optional
        Where the model is registered; see `riskmodels.learning.registry`.

    Raises
    ------
    SpecError
        The model uses a ``predict`` feature, or an argument is out of its range.
    DataError
        A year has no persons.
    """
    from riskmodels.history import open_history

    if credibility not in METHODS:
        raise SpecError(f"credibility is {credibility!r}. {did_you_mean(credibility, METHODS)}")
    chosen = risk or ("hcc" if model is None else "model")
    if model is not None and chosen != "model":
        raise SpecError(f"risk={chosen!r} leaves the model without effect\nFix: leave one of the two out")
    if chosen not in RISKS:
        raise SpecError(f"risk is {chosen!r}. {did_you_mean(chosen, RISKS)}")
    measure = risk_model(model, tracking_uri) if chosen == "model" else chosen
    opened = open_history(history) if isinstance(history, str | Path) else history
    loaded, cases = _cases(task, opened, year, base_years)
    years = (*sorted(set(cases["year"]) - {year}), year)
    found = given_attribution(members, years, by) if members is not None else attribute(opened, years, by)
    share = _completion(opened, loaded, years) if completion else dict.fromkeys(years, 1.0)
    cases, version = add_risk(cases, opened, measure)
    data = _person_years(_assigned(cases, found, by), by, years, share)
    share_of = _weights(weights, years)
    growth = None if trend is None else trend_table(trend, years[:-1], data.categories)
    point = cells_of(data)
    belief = _credibility(data, point, credibility)
    best = expect(point, share_of, belief, trend=growth, risk_cap=risk_cap)
    drawn = []
    persons = int(data.person.max()) + 1
    for weight in track(
        weights_of_draws(persons, n_draws, seed), "Drawing persons", unit="draw", total=n_draws
    ):
        again = expect(cells_of(data, weight), share_of, belief, trend=growth, risk_cap=risk_cap)
        drawn.append([value.sum(axis=1) for value in (again.observed, again.expected, again.months)])
    frame = panel_frame(data, best, np.array(drawn), belief, by)
    minimum_n = max(minimum_n, SMALLEST_CELL) if suppress else minimum_n
    small = frame["n"] < minimum_n
    frame = frame.with_columns(
        suppressed=small,
        note=pl.when(small).then(pl.lit(f"fewer than {minimum_n} persons")).otherwise(pl.lit("")),
        method=pl.lit(f"panel, {credibility} credibility"),
        model_version=pl.lit(version),
    )
    if suppress:
        figures = [
            name
            for name in frame.columns
            if name not in (by, "suppressed", "note", "method", "model_version")
        ]
        frame = frame.with_columns(pl.when(~small).then(name).alias(name) for name in figures)
    shown = ~small.to_numpy() if suppress else np.ones(len(small), dtype=bool)
    metadata = {
        "task": loaded.name,
        "by": by,
        "year": year,
        "base_years": list(years[:-1]),
        "weights": list(share_of),
        "n": int(frame["n"].sum()),
        "risk": chosen if chosen != "model" else f"the model {version}",
        "risk_cap": risk_cap,
        "credibility": credibility,
        "completion": {str(when): round(value, 4) for when, value in share.items()},
        "n_draws": n_draws,
        "seed": seed,
        "history": opened.fingerprint,
        "as_of": None if opened.as_of is None else str(opened.as_of),
        "riskmodels_version": __version__,
    }
    tables = {
        "enrolment": panel_by_category(data, best, by, shown, suppress=suppress),
        "trend": panel_trend(data, best),
    }
    return PanelBenchmark(frame, panel_draws(data, np.array(drawn), by, shown), metadata, tables)


def _cases(
    task: "str | Path | Task", history: "History", year: int, base_years: Sequence[int] | None
) -> "tuple[Task, pl.DataFrame]":
    """Return the cost cases of the years wanted. Claims that are still to come are for completion to add."""
    from riskmodels.cohorts import build_cohort, load_task

    loaded = load_task(task)
    if loaded.outcome.event != "cost":
        raise SpecError(f"the outcome of {loaded.name} is no cost\nFix: use {TASK}, or a task like it")
    loaded = replace(loaded, follow_up=replace(loaded.follow_up, runout_days=0))
    cases = build_cohort(loaded, history).observed
    cases = cases.with_columns(year=pl.col("index_time").dt.year().cast(pl.Int64))
    there = set(cases["year"])
    wanted = sorted(there & {year - 1, year - 2, year - 3}) if base_years is None else sorted(base_years)
    for needed in (*wanted, year):
        if needed not in there:
            known = ", ".join(map(str, sorted(there))) or "none"
            raise DataError(
                f"no person was covered for all of {needed - 1} and seen in {needed}",
                file=history.path,
                fix=f"choose among the years that have persons: {known}",
            )
    if not wanted or year in wanted:
        raise SpecError(f"{year} needs a benchmark year before it, and {sorted(there)} are there")
    return loaded, cases.filter(pl.col("year").is_in([*wanted, year]))


def _assigned(cases: pl.DataFrame, found: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return the cases with whose they are in column `by`; null for the reference population alone."""
    found = found.with_columns(pl.col(by).cast(pl.String))
    if by in cases.columns:
        cases = cases.drop(by)
    return cases.join(found, on=["person_id", "year"], how="left", maintain_order="left")


def _completion(history: "History", task: "Task", years: tuple[int, ...]) -> dict[int, float]:
    triangle = history_triangle(history, task.outcome.kinds, task.outcome.amount)
    return completion_of_years(triangle, years, history.as_of)


def _person_years(
    cases: pl.DataFrame, by: str, years: tuple[int, ...], share: Mapping[int, float]
) -> PersonYears:
    panels = cases[by].drop_nulls().unique().sort()
    if panels.is_empty():
        raise DataError("nobody of these years is attributed to anyone", column=by)
    categories = tuple(cases["enrolment"].cast(pl.String).unique().sort())

    def place(values: pl.Series, among: Any) -> np.ndarray:
        old = pl.Series(list(among), dtype=values.dtype)
        numbers = pl.Series(range(len(old)), dtype=pl.Int64)
        return values.replace_strict(old, numbers, default=-1, return_dtype=pl.Int64).to_numpy()

    complete = cases["year"].replace_strict(share, return_dtype=pl.Float64).to_numpy()
    return PersonYears(
        panels,
        years,
        categories,
        place(cases[by].cast(pl.String), panels.cast(pl.String)),
        place(cases["year"], years),
        place(cases["enrolment"].cast(pl.String), categories),
        cases["cost"].to_numpy() / complete,
        cases["member_months"].to_numpy(),
        cases["risk"].to_numpy(),
        np.unique(cases["person"].to_numpy(), return_inverse=True)[1],
    )


def _weights(weights: Sequence[float] | None, years: tuple[int, ...]) -> tuple[float, ...]:
    count = len(years) - 1
    if weights is None:
        return (1 / count,) * count
    if len(weights) != count or min(weights) < 0 or sum(weights) <= 0:
        raise SpecError(f"weights are {list(weights)}: give one of at least 0 for each of {list(years[:-1])}")
    return tuple(weight / sum(weights) for weight in weights)


def _credibility(data: PersonYears, cells: Cells, method: str) -> np.ndarray:
    base = (data.year < len(data.years) - 1) & (data.panel >= 0)
    if method == "none":
        return np.ones(len(data.panels))
    rate = cells.all_cost / np.maximum(cells.all_risk, 1e-12)  # dollars a month of risk 1
    usual = rate[data.year, data.category] * data.risk * data.months
    if method == "buhlmann":
        return buhlmann_straub(data.cost[base], usual[base], data.panel[base], len(data.panels))
    years = data.months[base] / MONTHS
    yearly = data.cost[base] / np.maximum(years, 1e-12)
    mean = np.average(yearly, weights=years)
    spread = float(np.sqrt(np.average((yearly - mean) ** 2, weights=years)) / mean)
    exposure = np.bincount(data.panel[base], weights=years, minlength=len(data.panels))
    return limited_fluctuation(exposure, spread)
