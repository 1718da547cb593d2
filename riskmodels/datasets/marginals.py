"""Figures of a simulated population beside published ones."""

import math
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from riskmodels.datasets.parameters import catalogue

if TYPE_CHECKING:
    from riskmodels.datasets.simulation import Simulation

__all__ = ["marginals", "published"]


@cache
def published() -> pl.DataFrame:
    """Return the published figures, the bands the simulator promises, and their sources.

    ``verified`` is ``yes`` where the figure was read in the source or its abstract, ``secondary`` where it
    was read in a text that cites the source, and ``no`` where it is from memory of the source.
    """
    return pl.read_csv((files("riskmodels.datasets") / "data" / "published.csv").read_bytes())


def marginals(simulation: "Simulation") -> pl.DataFrame:
    """Return simulated figures beside the published ones, as counted from the tables an analyst sees."""
    figures = _figures(simulation)
    counted = pl.DataFrame({"figure": list(figures), "simulated": list(figures.values())})
    columns = ("figure", "simulated", "published", "low", "high", "source", "verified")
    return published().join(counted, on="figure", how="left", maintain_order="left").select(columns)


def _figures(simulation: "Simulation") -> dict[str, float]:
    person, coverage = simulation.tables["person"], simulation.tables["coverage"]
    encounter, event = simulation.tables["encounter"], simulation.tables["event"]
    days = (pl.col("end_date") - pl.col("start_date")).dt.total_days() + 1
    covered = coverage.with_columns(days.alias("days"))
    thousand_years = float(covered["days"].to_numpy().sum()) / 365.25 / 1000
    dual_years = float(covered.filter("dual")["days"].to_numpy().sum()) / 365.25 / 1000
    kinds = encounter.group_by("kind").len()
    number = dict.fromkeys(("emergency", "observation"), 0) | dict(kinds.iter_rows())
    visits = number["emergency"] + number["observation"]
    stays = encounter.filter(kind="inpatient").filter(pl.col("discharge_disposition").is_not_null())
    joined = stays.filter(pl.col("discharge_disposition") != "transfer")
    admitted = encounter.filter(
        pl.col("kind") == "emergency", pl.col("discharge_disposition").is_null()
    ).height
    covered_deaths = person.join(coverage, on="person_id").filter(pl.col("end_date") == pl.col("death_date"))
    first = coverage.group_by("person_id").agg(pl.min("start_date"))
    age_at_first = person.join(first, on="person_id").select(
        (pl.col("start_date") - pl.col("birth_date")).dt.total_days() / 365.25
    )
    spending = _yearly_spending(simulation)
    figures = {
        "Readmission within 30 days (unplanned) per discharge alive": _readmission(simulation),
        "Inpatient stays per 1000 beneficiary-years": joined.height / thousand_years,
        "Mean length of stay in days": _mean(stays.select((pl.col("end") - pl.col("start")).dt.total_days())),
        "ED visits per 1000 beneficiary-years": visits / thousand_years,
        "Share of ED visits that end in admission": _ratio(admitted, visits),
        "Share of spending of the costliest 5%": _top_share(spending, 20),
        "Share of spending of the costliest 10%": _top_share(spending, 10),
        "Dual share of beneficiaries": dual_years / thousand_years,
        "Deaths per 1000 beneficiary-years": covered_deaths.height / thousand_years,
        "Share male": float(person["sex"].eq("male").to_numpy().mean()),
        "Share under 65": _mean((age_at_first < 64.99).select(pl.all().cast(pl.Float64))),
    }
    return figures | _prevalences(event, coverage)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _top_share(spending: np.ndarray, one_in: int) -> float:
    """Return the share of the costliest one in so many of the person-years."""
    return _ratio(float(spending[: len(spending) // one_in].sum()), float(spending.sum()))


def _mean(frame: pl.DataFrame) -> float:
    return float(frame.to_series().to_numpy().mean()) if frame.height else math.nan


def _readmission(simulation: "Simulation") -> float:
    """Return the share of discharges a month or more before the end with an unplanned stay within 30 days."""
    last = simulation.end - timedelta(days=30)
    index = simulation.truth.filter(pl.col("index_time").dt.date() <= last)
    unplanned = simulation.tables["encounter"].filter(
        (pl.col("kind") == "inpatient")
        & (pl.col("admission_type") != "elective")
        & (pl.col("admission_source") != "transfer")
    )
    after = pl.col("start") - pl.col("index_time")
    pairs = index.select("encounter_id", "person_id", "index_time").join(
        unplanned.select("person_id", "start"), on="person_id"
    )
    within = pairs.filter((after > timedelta(0)) & (after <= timedelta(days=30)))
    return _ratio(within["encounter_id"].n_unique(), index.height)


def _yearly_spending(simulation: "Simulation") -> np.ndarray:
    """Return allowed amounts under Parts A and B, person by person and year, the highest first.

    Person-years without a claim count as zero; drugs are not part of it.
    """
    coverage = simulation.tables["coverage"]
    years = range(simulation.start.year, simulation.end.year + 1)
    in_year = [
        coverage.filter(
            (pl.col("start_date").dt.year() <= year) & (pl.col("end_date").dt.year() >= year)
        ).select("person_id", pl.lit(year, pl.Int32).alias("year")).unique()
        for year in years
    ]  # fmt: skip
    spent = (
        simulation.tables["encounter"]
        .group_by("person_id", pl.col("end").dt.year().cast(pl.Int32).alias("year"))
        .agg(pl.col("allowed").sum())
    )
    joined = pl.concat(in_year).join(spent, on=("person_id", "year"), how="left")
    return np.sort(joined["allowed"].fill_null(0).to_numpy())[::-1]


def _prevalences(event: pl.DataFrame, coverage: pl.DataFrame) -> dict[str, float]:
    """Return the share of beneficiaries with a code of each condition anywhere in the study."""
    table = catalogue().conditions.select("condition", pl.col("codes").str.split(" ").alias("code"))
    codes = table.explode("code").unique()
    seen = event.filter(kind="diagnosis").select("person_id", "code").unique().join(codes, on="code")
    counts = seen.select("person_id", "condition").unique().group_by("condition").len()
    persons = coverage["person_id"].n_unique()
    return {f"Prevalence of {name}": n / persons for name, n in counts.iter_rows()}
