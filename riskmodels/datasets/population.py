"""Persons: who they are, what they have and when they are covered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskmodels.datasets.parameters import BLOCK, Parameters, catalogue, stream

__all__ = ["RACES", "Coverage", "People", "cover", "draw_people", "years_to_death"]

YEAR = 365.25
RACES = ("white", "black", "hispanic", "asian", "american indian", "other", "unknown")
RACE_SHARES = (0.745, 0.100, 0.085, 0.035, 0.005, 0.015, 0.015)
# (first age, last age, share of beneficiaries at the start): under 65 are entitled by disability.
AGE_BANDS = (
    (25, 45, 0.025),
    (45, 65, 0.100),
    (62, 65, 0.075),  # not entitled yet: they enter at 65 while the study runs
    (65, 70, 0.240),
    (70, 75, 0.210),
    (75, 80, 0.150),
    (80, 85, 0.105),
    (85, 90, 0.062),
    (90, 101, 0.033),
)
ENTRANTS = 2
GOMPERTZ_AGEING = 0.085  # the force of mortality doubles every 8 years


@dataclass(frozen=True)
class People:
    """One block of persons; days count from the first day of the study."""

    birth: NDArray[np.int64]  # day of birth, negative
    male: NDArray[np.bool_]
    race: NDArray[np.int64]
    dual: NDArray[np.bool_]
    disabled: NDArray[np.bool_]  # originally entitled by disability
    entry: NDArray[np.int64]  # first day of entitlement
    has: NDArray[np.bool_]  # (persons, conditions)
    frailty: NDArray[np.float64]  # latent; nobody sees it
    burden: NDArray[np.float64]  # what the coded conditions add to the log-odds of readmission
    mortality: NDArray[np.float64]  # log hazard ratio of death
    admission: NDArray[np.float64]  # log rate ratio of unplanned admission

    def __len__(self) -> int:
        """Return the number of persons."""
        return len(self.birth)

    def age(self, day: NDArray[np.int64] | int) -> NDArray[np.float64]:
        """Return the age in years on a day."""
        return np.asarray((day - self.birth) / YEAR)


@dataclass(frozen=True)
class Coverage:
    """Spans of fee-for-service coverage, both days covered; `person` is the row in the block."""

    person: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    dual: NDArray[np.bool_]


def draw_people(seed: int, block: int) -> People:
    """Draw one block of persons with their latent frailty and chronic conditions."""
    rng = stream(seed, "population", block)
    bands = np.array(AGE_BANDS)
    band = rng.choice(len(bands), BLOCK, p=bands[:, 2])
    birth = (
        -((bands[band, 0] + rng.random(BLOCK) * (bands[band, 1] - bands[band, 0])) * YEAR).astype(np.int64)
        - 1
    )
    age = -birth / YEAR
    entrant = band == ENTRANTS
    under_65 = (age < 65) & ~entrant
    male = rng.random(BLOCK) < np.where(under_65, 0.52, np.clip(0.50 - 0.006 * (age - 65), 0.3, 0.5))
    race = rng.choice(len(RACES), BLOCK, p=RACE_SHARES)
    disabled = under_65 | (~entrant & (rng.random(BLOCK) < 0.09))
    dual = rng.random(BLOCK) < _expit(
        -2.36 + 1.9 * under_65 + 0.5 * disabled + 0.9 * np.isin(race, (1, 2, 4)) + 0.2 * (age > 84)
    )
    frailty = rng.standard_normal(BLOCK)
    entry = np.where(entrant, ((65 * YEAR) + birth).astype(np.int64), 0)
    has = _conditions(seed, block, age, male, dual, under_65, frailty)
    table = catalogue().conditions
    rate = has @ table["admission_rate"].to_numpy()
    return People(
        birth=birth,
        male=male,
        race=race,
        dual=dual,
        disabled=disabled,
        entry=entry,
        has=has,
        frailty=frailty,
        burden=has @ table["risk"].to_numpy(),
        mortality=0.45 * frailty + 0.55 * rate + 0.35 * male,
        admission=rate + 0.30 * frailty,
    )


def _conditions(
    seed: int,
    block: int,
    age: NDArray[np.float64],
    male: NDArray[np.bool_],
    dual: NDArray[np.bool_],
    under_65: NDArray[np.bool_],
    frailty: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Draw chronic conditions from a liability-threshold model with shared latent factors.

    A condition is present where its liability (age, sex, dual status, frailty, a disease factor and chance;
    mean 0 and variance about 1) is above the threshold that gives its published prevalence.
    """
    rng = stream(seed, "conditions", block)
    table = catalogue().conditions
    factors = {name: rng.standard_normal(len(age)) for name in ("cardiometabolic", "mental", "respiratory")}
    # The disabled under 65 are as sick as the old; their age says nothing, so they count as 68.
    aged = (np.where(under_65, 68.0, age) - 73.0) / 8.5
    chance = rng.standard_normal((table.height, len(age)))
    has = np.empty((len(age), table.height), dtype=bool)
    thresholds = catalogue().thresholds()
    for i, row in enumerate(table.iter_rows(named=True)):
        fixed = row["age"] ** 2 + row["frailty"] ** 2 + row["factor_loading"] ** 2
        liability = (
            row["age"] * aged
            + row["frailty"] * frailty
            + row["male"] * (male - 0.46)
            + row["dual"] * (dual - 0.17)
            + chance[i] * np.sqrt(max(1.0 - fixed, 0.2))
        )
        if row["factor"]:
            liability += row["factor_loading"] * factors[row["factor"]]
        if row["factor"] == "mental" and row["condition"] != "dementia":
            liability += 0.55 * (under_65 - 0.125)
        has[:, i] = liability > thresholds[i]
    return has


def years_to_death(
    age: NDArray[np.float64], log_ratio: NDArray[np.float64], uniform: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the time to death in years under a Gompertz hazard.

    The hazard at age x is ``0.0085 exp(0.085 (x - 65)) exp(log_ratio)``, so that
    ``-log(1 - u) = (h(x) / b) (exp(b t) - 1)`` is solved for t.
    """
    now = 0.0085 * np.exp(GOMPERTZ_AGEING * (age - 65) + log_ratio)
    return np.log1p(-np.log1p(-uniform) * GOMPERTZ_AGEING / now) / GOMPERTZ_AGEING


def cover(
    people: People,
    last_day: NDArray[np.int64],
    january_firsts: NDArray[np.int64],
    horizon: int,
    parameters: Parameters,
    seed: int,
    block: int,
) -> Coverage:
    """Draw the coverage spans: entry, a gap for some, the switch to Medicare Advantage, the end at death.

    Nothing here depends on how a patient's illness goes on, so leaving is no sign of what would have
    happened: censoring is independent given what the tables show.

    Parameters
    ----------
    last_day : array of int
        Each person's day of death, or a day after the study.
    january_firsts : array of int
        The days of the study that are a January 1.
    """
    rng = stream(seed, "coverage", block)
    n = len(people)
    person = np.arange(n)
    gap = np.where(
        rng.random(n) < parameters.gap_share, rng.integers(30, max(horizon - 30, 31), n), horizon + 1
    )
    gap_days = rng.integers(30, 301, n)
    leaves = rng.random((n, len(january_firsts))) < parameters.leave_rate
    leaves &= january_firsts[None, :] > people.entry[:, None]
    leave = np.where(leaves, january_firsts[None, :], horizon + 1).min(axis=1, initial=horizon + 1)
    flips = rng.random(n) < 0.06
    flip = january_firsts[rng.integers(0, len(january_firsts), n)] if len(january_firsts) else np.full(n, 0)
    stop = np.minimum(np.minimum(last_day, leave - 1), horizon - 1)
    pieces: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
    spans = ((people.entry, np.minimum(gap - 1, stop)), (np.maximum(gap + gap_days, people.entry), stop))
    for first, last in spans:
        # A span that a change of dual status runs through becomes two spans without a gap.
        cut = flips & (flip > first) & (flip <= last)
        pieces.append((first, np.where(cut, flip - 1, last), people.dual ^ cut))
        pieces.append((np.where(cut, flip, last + 1), last, people.dual))
    start = np.concatenate([p[0] for p in pieces])
    end = np.concatenate([p[1] for p in pieces])
    dual = np.concatenate([p[2] for p in pieces])
    who = np.tile(person, len(pieces))
    kept = np.flatnonzero(start <= end)
    kept = kept[np.lexsort((start[kept], who[kept]))]
    return Coverage(who[kept], start[kept], end[kept], dual[kept])


def _expit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))
