"""Claims of hospital stays: segments, the ED visit before, post-acute care and costs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskmodels.datasets.coding import stay_diagnoses, stay_labs, stay_procedures
from riskmodels.datasets.ledger import (
    ADMISSION_TYPES,
    NONE,
    SOURCES,
    Codes,
    Encounters,
    Events,
    Spans,
    claim_lag,
)
from riskmodels.datasets.parameters import Parameters, catalogue, stream
from riskmodels.datasets.population import People
from riskmodels.datasets.trajectories import DISPOSITIONS, HOSPICE, SNF, Stays
from riskmodels.history.schema import ENCOUNTER_KINDS, EVENT_KINDS

__all__ = ["DISPOSITION_WORDS", "Inpatient", "bill"]

DISPOSITION_WORDS = (*DISPOSITIONS, "transfer")
TRANSFER = len(DISPOSITIONS)
BASE_RATE = 8_200.0  # allowed USD for a DRG of weight 1, capital and add-ons included
PART_A_DEDUCTIBLE = 1_556.0  # calendar year 2022


@dataclass(frozen=True)
class Inpatient:
    """The claims of a block's stays; `last_segment` is the row of each kept stay's last segment."""

    stays: Stays
    segments: Encounters
    last_segment: NDArray[np.int64]
    base_payment: NDArray[np.float64]
    others: list[Encounters]  # ED visits before admission, SNF and hospice stays
    events: list[Events]


def bill(
    people: People,
    stays: Stays,
    death: NDArray[np.int64],
    covered: Spans,
    horizon: int,
    parameters: Parameters,
    codes: Codes,
    seed: int,
    block: int,
) -> Inpatient:
    """Write the claims of the covered stays: a stay is covered where its first day is."""
    rng = stream(seed, "billing", block)
    following = np.full(len(stays.person), np.iinfo(np.int64).max // 4)
    same = stays.person[1:] == stays.person[:-1]
    following[:-1] = np.where(same, stays.admit[1:], following[:-1])
    kept = np.flatnonzero(covered.contain(stays.person, stays.admit))
    stays = Stays(**{name: values[kept] for name, values in vars(stays).items()})
    following = following[kept]
    n = len(stays.person)
    table = catalogue().admissions
    planned = table["planned"].to_numpy()[stays.reason] == 1
    uniform = rng.random((8, n))
    normal = rng.standard_normal((2, n))

    emergency = ~planned & (uniform[0] < 0.78)
    from_snf = ~planned & ~emergency & (uniform[1] < 0.2)
    admission_type = np.where(planned, 2, np.where(emergency, 0, 1))
    source = np.where(emergency, 0, np.where(from_snf, 3, 1))
    drgs = codes.choices("DRG", table["drgs"].to_list())
    # The more complicated of a DRG pair with the latent severity; its weight follows.
    major = uniform[2] < 1 / (1 + np.exp(-(0.4 + stays.severity)))
    drg = np.where(major, drgs[stays.reason, 0], drgs[stays.reason, drgs.shape[1] - 1])
    weight = table["drg_weight"].to_numpy()[stays.reason] * np.where(major, 1.12, 0.82)
    days = stays.discharge - stays.second_admit
    outlier = np.maximum(days - 2.2 * table["days"].to_numpy()[stays.reason], 0) * 1_900
    base = weight * BASE_RATE
    allowed = base * np.exp(0.16 * normal[0]) + outlier + (uniform[3] < 0.05) * rng.pareto(2.0, n) * 12_000
    paid = np.maximum(allowed - PART_A_DEDUCTIBLE, 0.0)
    recorded = stays.discharge + claim_lag(stream(seed, "lag", block), n, parameters.claim_lag_days)

    moved = stays.first_facility != stays.facility
    two = stays.first_discharge < stays.discharge
    first = Encounters(
        letter="I",
        kind=_kind("inpatient", two.sum()),
        person=stays.person[two],
        start=stays.admit[two],
        end=stays.first_discharge[two],
        facility=stays.first_facility[two],
        admission_type=admission_type[two],
        source=source[two],
        disposition=np.where(moved[two], TRANSFER, NONE),
        drg=drg[two],
        allowed=0.45 * allowed[two],
        paid=0.45 * paid[two],
        recorded=recorded[two] - (stays.discharge - stays.first_discharge)[two],
    )
    last = Encounters(
        letter="I",
        kind=_kind("inpatient", n),
        person=stays.person,
        start=stays.second_admit,
        end=stays.discharge,
        facility=stays.facility,
        admission_type=np.where(moved, ADMISSION_TYPES.index("urgent"), admission_type),
        source=np.where(moved, SOURCES.index("transfer"), source),
        disposition=stays.disposition,
        drg=drg,
        allowed=allowed,
        paid=paid,
        recorded=recorded,
    )
    both = join_encounters([first, last])
    order = np.lexsort((both.end, both.start, both.person))
    segments = both.take(order)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    first_place, last_place = place[: len(first)], place[len(first) :]

    lag = parameters.claim_lag_days
    others = [
        _before_admission(stays, emergency, recorded, rng),
        _after_discharge(stays, following, death, horizon, SNF, "N", "snf", 24, 560.0, lag, rng),
        _after_discharge(stays, following, death, horizon, HOSPICE, "H", "hospice", 75, 200.0, lag, rng),
    ]
    principal = codes.all("ICD10CM", table["principal"])[stays.reason]
    diagnoses = stay_diagnoses(
        people, stays, principal, last_place, recorded, codes, stream(seed, "diagnoses", block)
    )
    early = Events.of(
        first.person,
        first.end,
        EVENT_KINDS.index("diagnosis"),
        principal[two],
        first.recorded,
        position=1,
        encounter=first_place,
    )
    events = [
        early,
        diagnoses,
        stay_procedures(stays, last_place, recorded, codes, rng),
        stay_labs(people, stays, last_place, recorded, codes, stream(seed, "labs", block)),
    ]
    return Inpatient(stays, segments, last_place, base, others, events)


def join_encounters(parts: list[Encounters]) -> Encounters:
    """Return several groups of encounters as one, with the letter of the first."""
    names = [name for name in vars(parts[0]) if name != "letter"]
    joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    return Encounters(letter=parts[0].letter, **joined)


def _kind(name: str, n: int) -> NDArray[np.int64]:
    return np.full(n, ENCOUNTER_KINDS.index(name))


def _before_admission(
    stays: Stays, emergency: NDArray[np.bool_], recorded: NDArray[np.int64], rng: np.random.Generator
) -> Encounters:
    """Return the ED visits that ended in an admission: same day, same facility."""
    n = int(emergency.sum())
    allowed = np.exp(6.6 + 0.6 * rng.standard_normal(n))
    none = np.full(n, NONE)
    return Encounters(
        letter="A",
        kind=_kind("emergency", n),
        person=stays.person[emergency],
        start=stays.admit[emergency],
        end=stays.admit[emergency],
        facility=stays.first_facility[emergency],
        admission_type=none,
        source=none,
        disposition=none,
        drg=none,
        allowed=allowed,
        paid=0.8 * allowed,
        recorded=recorded[emergency] - (stays.discharge - stays.admit)[emergency],
    )


def _after_discharge(
    stays: Stays,
    following: NDArray[np.int64],
    death: NDArray[np.int64],
    horizon: int,
    disposition: int,
    letter: str,
    kind: str,
    mean_days: float,
    daily: float,
    lag: float,
    rng: np.random.Generator,
) -> Encounters:
    """Return the post-acute stays that a disposition leads to; the next admission or death ends them."""
    length = np.ceil(rng.gamma(1.5, mean_days / 1.5, len(stays.person))).astype(np.int64)
    end = np.minimum(np.minimum(stays.discharge + length, following), death[stays.person])
    rows = (stays.disposition == disposition) & (stays.discharge < horizon)
    n = int(rows.sum())
    none = np.full(n, NONE)
    allowed = np.maximum((end - stays.discharge)[rows], 1) * daily * np.exp(0.2 * rng.standard_normal(n))
    return Encounters(
        letter=letter,
        kind=_kind(kind, n),
        person=stays.person[rows],
        start=stays.discharge[rows],
        end=end[rows],
        facility=none,
        admission_type=none,
        source=none,
        disposition=none,
        drg=none,
        allowed=allowed,
        paid=0.9 * allowed,
        recorded=end[rows] + claim_lag(rng, n, lag),
    )
