"""Claims outside hospital stays: ED visits that end at home, office and outpatient visits, drugs."""

import numpy as np
from numpy.typing import NDArray

from riskmodels.datasets.coding import lab_values
from riskmodels.datasets.ledger import NONE, Codes, Encounters, Events, Spans, claim_lag, condition_codes
from riskmodels.datasets.parameters import Parameters, catalogue, stream
from riskmodels.datasets.population import YEAR, People
from riskmodels.datasets.trajectories import DIED, WINDOW, Stays
from riskmodels.history.schema import ENCOUNTER_KINDS, EVENT_KINDS

__all__ = ["emergency_visits", "fills", "visits"]

# Principal diagnoses of visits that do not end in an admission, with their shares.
EMERGENCY_REASONS = {
    "R079": 0.13, "R109": 0.10, "S0990XA": 0.09, "R42": 0.06, "J069": 0.05, "N390": 0.07, "R0602": 0.07,
    "K529": 0.04, "R519": 0.05, "M25561": 0.06, "S93401A": 0.04, "R55": 0.04, "L03115": 0.04, "J441": 0.04,
    "I10": 0.04, "K5900": 0.03, "W19XXXA": 0.05,
}  # fmt: skip
VISIT_REASONS = {
    "Z0000": 0.22, "Z23": 0.14, "M25561": 0.10, "R5383": 0.08, "J069": 0.06, "R0602": 0.05, "L309": 0.05,
    "H2513": 0.10, "N390": 0.04, "Z1231": 0.06, "K219": 0.10,
}  # fmt: skip
VISIT_LEVELS = ("99281", "99282", "99283", "99284", "99285")
LEVEL_SHARES = (0.01, 0.05, 0.24, 0.42, 0.28)


def emergency_visits(
    people: People,
    stays: Stays,
    death: NDArray[np.int64],
    covered: Spans,
    home: NDArray[np.int64],
    horizon: int,
    parameters: Parameters,
    codes: Codes,
    seed: int,
    block: int,
) -> tuple[Encounters, list[Events]]:
    """Return treat-and-release ED visits and observation stays that began in the ED.

    Visits come at each person's own rate, and more often in the month after a discharge. None falls on
    the day before an admission or during a stay: such a visit would read as the start of the stay.
    """
    rng = stream(seed, "emergency", block)
    index = catalogue().condition_index
    mental = people.has[:, index["severe_mental_illness"]] + 1.0 * people.has[:, index["substance_use"]]
    rate = parameters.emergency_rate * np.exp(
        0.35 * people.frailty + 0.55 * (people.admission - 0.3) + 0.30 * people.dual + 0.35 * mental
    )
    person, day = _scatter(rng, rate, horizon)
    n = len(stays.person)
    comes_back = (rng.random(n) < 0.09) & (stays.disposition != DIED)
    soon = (
        stays.discharge
        + 1
        + np.floor(np.minimum(rng.standard_exponential(n) * 10, WINDOW - 1)).astype(np.int64)
    )
    person = np.concatenate([person, stays.person[comes_back]])
    day = np.concatenate([day, soon[comes_back]])
    order = np.lexsort((day, person))
    person, day = person[order], day[order]
    in_hospital = Spans(stays.person, stays.admit - 1, stays.discharge)
    distinct = (
        np.r_[True, (person[1:] != person[:-1]) | (day[1:] != day[:-1])] if len(person) else np.zeros(0, bool)
    )
    kept = distinct & _open(person, day, death, covered, horizon) & ~in_hospital.contain(person, day)
    person, day = person[kept], day[kept]
    n = len(person)
    observed = rng.random(n) < 0.12
    # One night at the most, so that an observation stay does not run into a hospital stay.
    end = np.where(observed, np.minimum(day + 1, death[person]), day)
    allowed = np.exp(6.45 + 0.85 * rng.standard_normal(n)) * np.where(observed, 2.6, 1.0)
    none = np.full(n, NONE)
    recorded = end + claim_lag(rng, n, parameters.claim_lag_days)
    emergency, observation = ENCOUNTER_KINDS.index("emergency"), ENCOUNTER_KINDS.index("observation")
    encounters = Encounters(
        letter="E",
        kind=np.where(observed, observation, emergency),
        person=person,
        start=day,
        end=end,
        facility=np.where(rng.random(n) < 0.85, home[person], rng.permutation(home)[person]),
        admission_type=none,
        source=none,
        disposition=np.zeros(n, dtype=np.int64),
        drg=none,
        allowed=allowed,
        paid=0.8 * allowed,
        recorded=recorded,
    )
    rows = np.arange(n)
    reason = rng.choice(codes.all("ICD10CM", EMERGENCY_REASONS), n, p=np.array([*EMERGENCY_REASONS.values()]))
    level = rng.choice(codes.all("HCPCS", VISIT_LEVELS), n, p=LEVEL_SHARES)
    events = [
        Events.of(person, end, EVENT_KINDS.index("diagnosis"), reason, recorded, position=1, encounter=rows),
        Events.of(person, day, EVENT_KINDS.index("procedure"), level, recorded, position=1, encounter=rows),
        _chronic(people, person, end, recorded, rows, 2, rng.random(n) < 0.6, codes, rng),
    ]
    return encounters, events


def visits(
    people: People,
    death: NDArray[np.int64],
    covered: Spans,
    in_hospital: Spans,
    home: NDArray[np.int64],
    horizon: int,
    parameters: Parameters,
    codes: Codes,
    seed: int,
    block: int,
) -> tuple[Encounters, list[Events]]:
    """Return office and hospital outpatient visits with their diagnoses and lab results."""
    rng = stream(seed, "office", block)
    burden = people.has.sum(axis=1)
    index = catalogue().condition_index
    office_rate = parameters.office_rate * np.exp(0.10 * (burden - 4.2)) * 0.93
    outpatient_rate = parameters.outpatient_rate * np.exp(0.14 * (burden - 4.2) + 0.15 * people.frailty) * 0.9
    person, day = _scatter(rng, office_rate, horizon)
    hospital_person, hospital_day = _scatter(rng, outpatient_rate, horizon)
    is_office = np.r_[np.ones(len(person), bool), np.zeros(len(hospital_person), bool)]
    person, day = np.r_[person, hospital_person], np.r_[day, hospital_day]
    kept = _open(person, day, death, covered, horizon) & ~in_hospital.contain(person, day)
    person, day, is_office = person[kept], day[kept], is_office[kept]
    order = np.lexsort((day, person))
    person, day, is_office = person[order], day[order], is_office[order]
    n = len(person)
    dear = (rng.random(n) < 0.05) * rng.pareto(1.9, n) * 8_000
    # Dialysis and infused cancer drugs are given in hospital outpatient departments.
    therapy = 1 + 11.0 * people.has[:, index["end_stage_renal_disease"]]
    therapy += 2.0 * people.has[:, index["cancer"]]
    therapy += 9.0 * people.has[:, index["metastatic_cancer"]]
    hospital_cost = np.exp(5.9 + 1.15 * rng.standard_normal(n)) * therapy[person] + dear
    allowed = np.where(is_office, np.exp(4.75 + 0.45 * rng.standard_normal(n)), hospital_cost)
    none = np.full(n, NONE)
    recorded = day + claim_lag(rng, n, parameters.claim_lag_days)
    encounters = Encounters(
        letter="V",
        kind=np.where(is_office, ENCOUNTER_KINDS.index("office"), ENCOUNTER_KINDS.index("outpatient")),
        person=person,
        start=day,
        end=day,
        facility=np.where(is_office, NONE, home[person]),
        admission_type=none,
        source=none,
        disposition=none,
        drg=none,
        allowed=allowed,
        paid=0.8 * allowed,
        recorded=recorded,
    )
    rows = np.arange(n)
    diseased = burden[person] > 0
    about_disease = diseased & (rng.random(n) < 0.72)
    reason = rng.choice(codes.all("ICD10CM", VISIT_REASONS), n, p=np.array([*VISIT_REASONS.values()]))
    other = np.flatnonzero(~about_disease)
    events = [
        Events.of(
            person[other],
            day[other],
            EVENT_KINDS.index("diagnosis"),
            reason[other],
            recorded[other],
            position=1,
            encounter=other,
        ),
        _chronic(people, person, day, recorded, rows, 1, about_disease, codes, rng),
        _chronic(people, person, day, recorded, rows, 2, diseased & (rng.random(n) < 0.75), codes, rng),
        _labs(people, person, day, recorded, codes, rng),
    ]
    return encounters, events


def fills(
    people: People,
    death: NDArray[np.int64],
    covered: Spans,
    horizon: int,
    codes: Codes,
    seed: int,
    block: int,
) -> Events:
    """Return the pharmacy fills of the drugs each person takes for a chronic condition."""
    rng = stream(seed, "drugs", block)
    table = catalogue().drugs
    index = catalogue().condition_index
    condition = np.array([index[name] for name in table["condition"]])
    takes = people.has[:, condition] & (rng.random((len(people), table.height)) < table["share"].to_numpy())
    who, drug = np.nonzero(takes)
    supply = table["days"].to_numpy()[drug]
    interval = supply * (1.0 + 0.35 * rng.random(len(who)) ** 2)
    phase = rng.random(len(who)) * interval
    first = people.entry[who] + phase
    number = np.maximum(np.ceil((horizon - first) / interval), 0).astype(np.int64)
    series = np.repeat(np.arange(len(who)), number)
    nth = np.arange(len(series)) - np.repeat(number.cumsum() - number, number)
    person = who[series]
    day = np.floor(first[series] + nth * interval[series]).astype(np.int64)
    kept = np.flatnonzero(_open(person, day, death, covered, horizon))
    series, person, day = series[kept], person[kept], day[kept]
    months = supply[series] / 30
    paid = table["price"].to_numpy()[drug[series]] * np.exp(0.15 * rng.standard_normal(len(series)))
    return Events.of(
        person,
        day,
        EVENT_KINDS.index("drug"),
        codes.all("ATC", table["drug"])[drug[series]],
        day + 1 + np.floor(rng.standard_exponential(len(series)) * 5).astype(np.int64),
        quantity=30 * months,
        days_supply=supply[series],
        paid=np.round(paid, 2),
    )


def _scatter(
    rng: np.random.Generator, yearly: NDArray[np.float64], horizon: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Scatter events over the study at each person's yearly rate; return persons and days."""
    number = rng.poisson(yearly * horizon / YEAR)
    person = np.repeat(np.arange(len(yearly)), number)
    return person, rng.integers(0, horizon, len(person))


def _open(
    person: NDArray[np.int64], day: NDArray[np.int64], death: NDArray[np.int64], covered: Spans, horizon: int
) -> NDArray[np.bool_]:
    """Return which days can have a claim: alive, covered and inside the study."""
    return (day < horizon) & (day <= death[person]) & covered.contain(person, day)


def _chronic(
    people: People,
    person: NDArray[np.int64],
    day: NDArray[np.int64],
    recorded: NDArray[np.int64],
    encounter: NDArray[np.int64],
    position: int,
    wanted: NDArray[np.bool_],
    codes: Codes,
    rng: np.random.Generator,
) -> Events:
    """Return one chronic condition of the patient for each visit that is `wanted`."""
    uniform = rng.random((2, len(person)))
    owner, condition = np.nonzero(people.has)
    number = np.bincount(owner, minlength=len(people))
    start = number.cumsum() - number
    rows = np.flatnonzero(wanted & (number[person] > 0))
    chosen = start[person[rows]] + np.floor(uniform[0, rows] * number[person[rows]]).astype(np.int64)
    variants = condition_codes(codes)
    variant = np.floor(uniform[1, rows] * variants.shape[1]).astype(np.int64)
    return Events.of(
        person[rows],
        day[rows],
        EVENT_KINDS.index("diagnosis"),
        variants[condition[chosen], variant],
        recorded[rows],
        position=position,
        encounter=encounter[rows],
    )


def _labs(
    people: People,
    person: NDArray[np.int64],
    day: NDArray[np.int64],
    recorded: NDArray[np.int64],
    codes: Codes,
    rng: np.random.Generator,
) -> Events:
    """Return lab results of one visit in six; HbA1c in diabetes only."""
    taken = rng.random((4, len(person))) < np.array([0.12, 0.12, 0.16, 0.30])[:, None]
    taken[3] &= people.has[person, catalogue().condition_index["diabetes"]]
    lab, rows = np.nonzero(taken)
    value = lab_values(people.has[person[rows]], lab, np.zeros(len(rows)), rng)
    return Events.of(
        person[rows],
        day[rows],
        EVENT_KINDS.index("lab"),
        codes.all("LOINC", catalogue().labs["code"])[lab],
        np.minimum(day[rows] + 1, recorded[rows]),
        value=value,
        unit=lab,
        encounter=rows,
    )
