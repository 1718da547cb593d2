"""Facilities: size, whom they attract, and their true effect on readmission."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskmodels.datasets.parameters import Parameters, stream
from riskmodels.datasets.population import People

__all__ = ["Facilities", "Referral", "draw_facilities", "facility_ids", "refer"]


@dataclass(frozen=True)
class Facilities:
    """All facilities; each array has one value a facility."""

    effect: NDArray[np.float64]  # true effect in log-odds, mean 0 over facilities in the long run
    size: NDArray[np.float64]  # relative volume
    case_mix: NDArray[np.float64]  # pull on patients with a high diagnosed burden
    dual_mix: NDArray[np.float64]  # pull on dually eligible patients
    beds: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of facilities."""
        return len(self.effect)


@dataclass(frozen=True)
class Referral:
    """Where each person of a block goes: cumulative shares over facilities."""

    shares: NDArray[np.float32]  # (persons, facilities)
    home: NDArray[np.int64]


def facility_ids(n: int) -> list[str]:
    """Return identifiers as long as a CMS certification number that no hospital has: ``S00001``."""
    return [f"S{i + 1:05d}" for i in range(n)]


def draw_facilities(n: int, parameters: Parameters, seed: int) -> Facilities:
    """Draw facilities whose true effects do not depend on whom they attract.

    One row of numbers a facility: another number of facilities leaves the earlier ones as they were.
    """
    effect, size, case_mix, dual_mix = stream(seed, "facilities").standard_normal((n, 4)).T
    relative = np.exp(0.75 * size)
    return Facilities(
        effect=parameters.facility_effect_sd * effect,
        size=relative,
        case_mix=case_mix,
        dual_mix=dual_mix,
        beds=np.clip(np.round(170 * relative), 25, 1_500).astype(np.int64),
    )


def refer(
    people: People, facilities: Facilities, parameters: Parameters, uniform: NDArray[np.float64]
) -> Referral:
    """Give each person a home facility and shares of the others.

    The pull depends only on what claims show (diagnosed conditions, age, dual status), never on latent
    frailty: adjustment for age, sex and diagnoses removes the confounding.
    """
    burden = (people.burden - 0.55) / 0.45 + (people.age(0) - 72) / 20
    weight = (
        np.log(facilities.size)[None, :]
        + parameters.case_mix_sd * burden[:, None] * facilities.case_mix[None, :]
        + parameters.dual_mix_sd * (people.dual - 0.17)[:, None] * facilities.dual_mix[None, :]
    )
    shares = np.exp((weight - weight.max(axis=1, keepdims=True)).astype(np.float32)).cumsum(axis=1)
    shares /= shares[:, -1:]
    return Referral(shares, choose(shares, uniform))


def choose(shares: NDArray[np.float32], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw one column a row from cumulative shares."""
    drawn = (shares < uniform[:, None].astype(np.float32)).sum(axis=1)
    return np.minimum(drawn, shares.shape[1] - 1).astype(np.int64)
