"""Populations that several tests look at."""

import polars as pl
import pytest

from riskmodels.datasets import Simulation, simulate


@pytest.fixture(scope="session")
def population() -> Simulation:
    return simulate(40_000, seed=7, n_facilities=40)


@pytest.fixture(scope="session")
def small() -> Simulation:
    return simulate(1_500, seed=3, n_facilities=25)


@pytest.fixture(scope="session")
def inpatient(population: Simulation) -> pl.DataFrame:
    return population.tables["encounter"].filter(kind="inpatient").sort("person_id", "start", "end")
