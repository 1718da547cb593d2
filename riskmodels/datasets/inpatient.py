"""Claims of hospital stays: segments, the ED visit before, post-acute care, diagnoses, procedures, costs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskmodels.datasets.ledger import (
    ADMISSION_TYPES,
    NONE,
    SOURCES,
    Codes,
    Encounters,
    Events,
    Spans,
    claim_lag,
    condition_codes,
)
from riskmodels.datasets.parameters import catalogue, stream
from riskmodels.datasets.population import People
from riskmodels.datasets.trajectories import DIED, DISPOSITIONS, HOSPICE, SNF, Stays
from riskmodels.history.schema import ENCOUNTER_KINDS, EVENT_KINDS

__all__ = ["DISPOSITION_WORDS", "Inpatient", "bill"]

DISPOSITION_WORDS = (*DISPOSITIONS, "transfer")
TRANSFER = len(DISPOSITIONS)
BASE_RATE = 8_200.0  # allowed USD for a DRG of weight 1, capital and add-ons included
PART_A_DEDUCTIBLE = 1_556.0  # calendar year 2022
MOST_DIAGNOSES = 25  # positions on an institutional claim
# Acute secondary diagnoses: code, share at average severity, slope of its log-odds on latent severity.
COMPLICATIONS = (
    ("N179", 0.17, 0.7),
    ("E871", 0.11, 0.6),
    ("E876", 0.12, 0.4),
    ("J9601", 0.13, 0.9),
    ("D62", 0.08, 0.6),
    ("E872", 0.07, 0.9),
    ("E43", 0.05, 0.6),
    ("R6521", 0.03, 1.1),
    ("G9341", 0.05, 0.7),
    ("N390", 0.09, 0.2),
    ("Z9181", 0.08, 0.0),
    ("Z66", 0.09, 0.5),
)


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
    codes: Codes,
    seed: int,
    block: int,
) -> Inpatient:
    """Write the claims of the covered stays: a stay is covered where its first day is."""
    rng = stream(seed, "stays", block + 1_000_000)
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
    allowed = base * np.exp(0.16 * normal[0]) + outlier + (uniform[3] < 0.03) * rng.pareto(2.2, n) * 9_000
    paid = np.maximum(allowed - PART_A_DEDUCTIBLE, 0.0)
    recorded = stays.discharge + claim_lag(stream(seed, "lag", block), n)

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

    others = [
        _before_admission(stays, emergency, recorded, rng),
        _after_discharge(stays, following, death, horizon, SNF, "N", "snf", 24, 560.0, rng),
        _after_discharge(stays, following, death, horizon, HOSPICE, "H", "hospice", 75, 200.0, rng),
    ]
    principal = codes.all("ICD10CM", table["principal"])[stays.reason]
    diagnoses = _diagnoses(
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
        _procedures(stays, last_place, recorded, codes, rng),
        _labs(people, stays, last_place, recorded, codes, stream(seed, "labs", block)),
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
        recorded=end[rows] + claim_lag(rng, n),
    )


def _diagnoses(
    people: People,
    stays: Stays,
    principal: NDArray[np.int64],
    segment: NDArray[np.int64],
    recorded: NDArray[np.int64],
    codes: Codes,
    rng: np.random.Generator,
) -> Events:
    """Return the coded diagnoses of each stay, principal first, all dated at its end."""
    n = len(stays.person)
    variants = condition_codes(codes)
    chronic = people.has[stays.person] & (rng.random((n, variants.shape[0])) < 0.88)
    variant = rng.integers(0, variants.shape[1], (n, variants.shape[0]))
    extra = codes.all("ICD10CM", [code for code, _, _ in COMPLICATIONS])
    logit = np.array([np.log(share / (1 - share)) for _, share, _ in COMPLICATIONS])
    slope = np.array([s for _, _, s in COMPLICATIONS])
    acute = rng.random((n, len(extra))) < 1 / (1 + np.exp(-(logit + slope * stays.severity[:, None])))
    table = np.concatenate(
        [
            principal[:, None],
            np.broadcast_to(extra, acute.shape),
            variants[np.arange(variants.shape[0]), variant],
        ],
        axis=1,
    )
    present = np.concatenate([np.ones((n, 1), dtype=bool), acute, chronic], axis=1)
    present[:, 1:] &= table[:, 1:] != principal[:, None]
    position = present.cumsum(axis=1)
    row, column = np.nonzero(present & (position <= MOST_DIAGNOSES))
    return Events.of(
        stays.person[row],
        stays.discharge[row],
        EVENT_KINDS.index("diagnosis"),
        table[row, column],
        recorded[row],
        position=position[row, column],
        encounter=segment[row],
    )


def _procedures(
    stays: Stays,
    segment: NDArray[np.int64],
    recorded: NDArray[np.int64],
    codes: Codes,
    rng: np.random.Generator,
) -> Events:
    """Return the ICD-10-PCS procedures, done on the first or second day."""
    table = catalogue().admissions
    codes_of = codes.all("ICD10PCS", [code or "3E0336Z" for code in table["procedures"]])
    share = table["share_procedure"].to_numpy()[stays.reason]
    uniform = rng.random((2, len(stays.person)))
    rows = np.flatnonzero(uniform[0] < share)
    day = np.minimum(stays.second_admit[rows] + (uniform[1, rows] < 0.4), stays.discharge[rows])
    return Events.of(
        stays.person[rows],
        day,
        EVENT_KINDS.index("procedure"),
        codes_of[stays.reason[rows]],
        recorded[rows],
        position=1,
        encounter=segment[rows],
    )


def _labs(
    people: People,
    stays: Stays,
    segment: NDArray[np.int64],
    recorded: NDArray[np.int64],
    codes: Codes,
    rng: np.random.Generator,
) -> Events:
    """Return the last haemoglobin, sodium and creatinine of three stays in four, dated at discharge."""
    alive = stays.disposition != DIED
    rows = np.flatnonzero(alive & (rng.random(len(stays.person)) < 0.75))
    panel = np.tile(np.array([0, 1, 2]), len(rows))
    rows = np.repeat(rows, 3)
    value = lab_values(people.has[stays.person[rows]], panel, stays.severity[rows], rng)
    return Events.of(
        stays.person[rows],
        stays.discharge[rows],
        EVENT_KINDS.index("lab"),
        codes.all("LOINC", catalogue().labs["code"])[panel],
        np.minimum(stays.discharge[rows] + 1, recorded[rows]),
        value=value,
        unit=panel,
        encounter=segment[rows],
    )


def lab_values(
    has: NDArray[np.bool_], lab: NDArray[np.int64], severity: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw lab values: shifted in those who have the condition, and by acute severity."""
    table = catalogue().labs
    index = catalogue().condition_index
    condition = np.array([index[name] for name in table["condition"]])
    sick = has[np.arange(len(lab)), condition[lab]]
    mean, sd = table["mean"].to_numpy()[lab], table["sd"].to_numpy()[lab]
    value = mean + table["shift"].to_numpy()[lab] * sick + table["severity"].to_numpy()[lab] * severity
    value = value + sd * rng.standard_normal(len(lab)) * np.where(sick, 1.25, 1.0)
    low = np.array([5.0, 110.0, 0.3, 4.0])[lab]
    return np.asarray(np.round(np.maximum(value, low), 1))
