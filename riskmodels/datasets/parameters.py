"""What the simulator can be told, and the tables of codes that it draws from."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskmodels.errors import SpecError

__all__ = ["BLOCK", "STREAMS", "Catalogue", "Parameters", "catalogue", "stream"]

BLOCK = 5_000
"""Persons simulated together. The size is part of what a seed means: another one gives other patients."""

STREAMS = (
    "facilities",
    "population",
    "conditions",
    "coverage",
    "trajectories",
    "referral",
    "billing",
    "emergency",
    "office",
    "drugs",
    "labs",
    "diagnoses",
    "lag",
)


@dataclass(frozen=True)
class Parameters:
    """The knobs of the simulated world; the defaults give a Medicare-like population.

    Parameters
    ----------
    facility_effect_sd : float
        Standard deviation of the true facility effects, in log-odds of an unplanned readmission.
    case_mix_sd, dual_mix_sd : float
        How strongly the sick, and the dually eligible, are drawn to some facilities (spread of the log-weight
        of a facility per standard deviation of diagnosed burden, and for dual status). Zero: every facility
        sees the same patients.
    readmission_intercept : float
        Log-odds of readmission of the reference patient at the average facility.
    frailty_effect, severity_effect : float
        Log-odds per standard deviation of the patient's latent frailty and of the stay's latent severity.
    admission_rate, planned_rate, emergency_rate, office_rate, outpatient_rate : float
        Yearly rates of the reference patient.
    transfer_share, split_share, ama_share : float
        Shares of unplanned stays that end in a transfer, are billed in two overlapping or adjacent
        segments, or end against medical advice.
    gap_share : float
        Share of persons who lose coverage for some months.
    claim_lag_days : float
        Mean days from the end of a service to the day its claim is known, before the long tail.
    leave_rate : float
        Share of persons a year who leave fee-for-service for Medicare Advantage on January 1.
    """

    facility_effect_sd: float = 0.20
    case_mix_sd: float = 0.45
    dual_mix_sd: float = 0.70
    readmission_intercept: float = -2.62
    frailty_effect: float = 0.22
    severity_effect: float = 0.18
    admission_rate: float = 0.082
    planned_rate: float = 0.030
    emergency_rate: float = 0.24
    office_rate: float = 5.2
    outpatient_rate: float = 1.9
    transfer_share: float = 0.030
    split_share: float = 0.010
    ama_share: float = 0.009
    gap_share: float = 0.04
    leave_rate: float = 0.035
    claim_lag_days: float = 14.0

    def __post_init__(self) -> None:
        """Refuse what is no number, or negative where that has no meaning."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.isfinite(value) or (field.name != "readmission_intercept" and value < 0):
                raise SpecError(f"{field.name} must be a number of at least 0, not {value!r}")


@dataclass(frozen=True)
class Catalogue:
    """The codes, with how often and in whom they occur."""

    conditions: pl.DataFrame
    admissions: pl.DataFrame
    drugs: pl.DataFrame
    labs: pl.DataFrame

    @property
    def condition_index(self) -> Mapping[str, int]:
        """Return the column of each condition in the person-by-condition matrix."""
        return {name: i for i, name in enumerate(self.conditions["condition"])}

    def thresholds(self) -> NDArray[np.float64]:
        """Return the liability above which a person has the condition, per condition."""
        normal = NormalDist()
        return np.array([normal.inv_cdf(1 - p) for p in self.conditions["prevalence"]])


@cache
def catalogue() -> Catalogue:
    """Read the packaged tables of codes."""
    folder = files("riskmodels.datasets") / "data"

    def read(name: str) -> pl.DataFrame:
        return pl.read_csv(
            (folder / f"{name}.csv").read_bytes(),
            schema_overrides={"drgs": pl.String, "codes": pl.String, "procedures": pl.String},
        )

    return Catalogue(read("conditions"), read("admissions"), read("drugs"), read("labs"))


def stream(seed: int, component: str, block: int = 0) -> np.random.Generator:
    """Return the random numbers of one component for one block of persons.

    Each component has a stream of its own (`numpy.random.SeedSequence` with a spawn key), so more patients,
    or another draw in one component, leave the others as they were.
    """
    key = (STREAMS.index(component), block)
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))
