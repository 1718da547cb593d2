"""Trajectories: who is admitted when, with the exact risk of an unplanned readmission at each discharge.

A patient's life is a chain of stays. At each discharge alive it is decided, with the probability that the
truth states, whether an unplanned readmission follows within 30 days. If so, its day is drawn and nothing
else happens before it. If not, no unplanned admission starts in the 30 days: the background rate of unplanned
admissions takes over only afterwards, while planned admissions and death may come at any time. A planned stay
inside the 30 days has a risk of its own; its unplanned readmission, if any, falls after the first window has
passed. So for every discharge the stated risk is the probability that its outcome occurs, death without
readmission counting as no outcome.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from riskmodels.datasets.facilities import Facilities, Referral, choose
from riskmodels.datasets.parameters import Parameters, catalogue, stream
from riskmodels.datasets.population import YEAR, People, years_to_death

__all__ = ["DISPOSITIONS", "WINDOW", "Stays", "follow"]

WINDOW = 30
DISPOSITIONS = ("home", "home_health", "snf", "rehab", "long_term_care", "hospice", "ama", "died")
HOME, HOME_HEALTH, SNF, REHAB, LONG_TERM_CARE, HOSPICE, AMA, DIED = range(8)
DISPOSITION_RISK = np.array([0.0, 0.08, 0.14, 0.05, 0.10, -1.20, 0.45, 0.0])
MOST_STAYS = 400

# Days from discharge to readmission: front-loaded, about a third in the first week (Dharmarajan 2013).
_DAY_CDF = np.cumsum(np.exp(-np.arange(1, WINDOW + 1) / 13.0) + 0.22)
_DAY_CDF /= _DAY_CDF[-1]


@dataclass(frozen=True)
class Stays:
    """Joined stays of a block, sorted by person and admission; days count from the first day of the study."""

    person: NDArray[np.int64]
    admit: NDArray[np.int64]
    discharge: NDArray[np.int64]
    reason: NDArray[np.int64]  # row of the catalogue's admissions
    facility: NDArray[np.int64]  # of the last segment
    first_facility: NDArray[np.int64]  # of the first; another one where the patient was transferred
    first_discharge: NDArray[np.int64]  # end of the first segment; the joined discharge if there was one only
    second_admit: NDArray[np.int64]  # start of the last segment
    severity: NDArray[np.float64]  # latent
    disposition: NDArray[np.int64]
    risk: NDArray[np.float64]  # true risk of unplanned readmission in 30 days; 0 where the patient died
    linear_predictor: NDArray[np.float64]  # without the facility's effect


@dataclass
class _State:
    """Where each person of the block stands after the last stay."""

    last: NDArray[np.int64]  # day of the last discharge, or the day before entry
    blocked: NDArray[np.int64]  # no background unplanned admission on or before this day
    readmission: NDArray[np.int64]  # day of the decided readmission, or -1
    facility: NDArray[np.int64]
    disposition: NDArray[np.int64]  # -1 before the first stay


def follow(
    people: People,
    referral: Referral,
    facilities: Facilities,
    parameters: Parameters,
    horizon: int,
    seed: int,
    block: int,
) -> tuple[Stays, NDArray[np.int64]]:
    """Follow one block of persons over the study.

    Returns
    -------
    stays : Stays
        All stays that start before `horizon`, covered or not.
    death : array of int
        Day of death, or a day after every other for those who live on.
    """
    rng = stream(seed, "trajectories", block)
    n = len(people)
    never = np.iinfo(np.int64).max // 4
    death = np.full(n, never)
    state = _State(people.entry - 1, people.entry - 1, np.full(n, -1), referral.home.copy(), np.full(n, -1))
    reasons = _reason_shares(people)
    size_shares = np.cumsum(facilities.size / facilities.size.sum())
    pieces: list[Stays] = []
    who = np.flatnonzero(people.entry < horizon)
    for _ in range(MOST_STAYS):
        if not len(who):
            break
        unplanned, planned, dies = _next_events(people, state, who, parameters, rng)
        admit = np.minimum(unplanned, planned)
        gone = (dies < admit) & (dies < horizon)
        death[who[gone]] = dies[gone]
        stays_on = ~gone & (admit < horizon)
        who, admit, is_planned = who[stays_on], admit[stays_on], (planned < unplanned)[stays_on]
        piece = _stay(
            people, referral, facilities, state, reasons, size_shares, who, admit, is_planned, parameters, rng
        )
        pieces.append(piece)
        dead = piece.disposition == DIED
        death[who[dead]] = piece.discharge[dead]
        _decide(state, piece, rng)
        who = who[~dead]
    columns = {f.name: np.concatenate([getattr(p, f.name) for p in pieces]) for f in fields(Stays)}
    order = np.lexsort((columns["admit"], columns["person"]))
    return Stays(**{name: values[order] for name, values in columns.items()}), death


def _next_events(
    people: People, state: _State, who: NDArray[np.int64], parameters: Parameters, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw the days of the next unplanned admission, planned admission and death, whichever comes first."""
    last, after = state.last[who], state.disposition[who]
    age = (last - people.birth[who]) / YEAR
    in_hospice = after == HOSPICE
    wait = rng.standard_exponential((4, len(who)))
    uniform = rng.random((2, len(who)))

    rate = parameters.admission_rate * np.exp(people.admission[who] + 0.028 * np.clip(age - 72, -10, 25))
    rate *= np.where(in_hospice, 0.1, 1.0)
    background = np.maximum(state.blocked[who], last) + np.ceil(_days(wait[0], rate)).astype(np.int64)
    decided = state.readmission[who]
    unplanned = np.where(decided >= 0, decided, background)

    index = catalogue().condition_index
    has = people.has[who]
    elective = 1 + 0.8 * has[:, index["arthritis"]] + 0.8 * has[:, index["ischaemic_heart_disease"]]
    elective = elective + has[:, index["cancer"]]
    elective = (
        parameters.planned_rate
        * elective
        * np.where(age > 84, 0.5, 1.0)
        * np.exp(-0.15 * people.frailty[who])
    )
    elective = elective + 0.9 * has[:, index["metastatic_cancer"]]
    elective = elective * np.where(in_hospice, 0.0, 1.0)
    # Two days at the least: a stay elsewhere the day after a discharge would read as a transfer.
    planned = last + 2 + np.floor(_days(wait[1], elective)).astype(np.int64)

    dies = (
        last
        + 1
        + np.floor(YEAR * years_to_death(age, people.mortality[who] - 0.80, uniform[0])).astype(np.int64)
    )
    excess = np.where(in_hospice, 0.95, 0.045 * np.exp(0.5 * people.frailty[who] + 0.03 * (age - 75)))
    excess = np.where((after >= 0) & (uniform[1] < excess), 1.0, 0.0)
    soon = last + 1 + np.floor(wait[2] * np.where(in_hospice, 22, 60)).astype(np.int64)
    dies = np.where(excess > 0, np.minimum(dies, soon), dies)

    never = np.iinfo(np.int64).max // 4
    planned = np.where(decided >= 0, never, planned)
    dies = np.where(decided >= 0, never, dies)
    return unplanned, planned, dies


def _days(wait: NDArray[np.float64], yearly: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return waiting times in days at a yearly rate, capped at a century."""
    return np.minimum(wait * YEAR / np.maximum(yearly, 1e-9), 36_525.0)


def _reason_shares(people: People) -> dict[bool, NDArray[np.float32]]:
    """Return cumulative shares of the principal diagnoses, per person, unplanned and planned."""
    table = catalogue().admissions
    index = catalogue().condition_index
    shares = {}
    for planned in (False, True):
        weights = np.where(table["planned"] == planned, table["weight"], 0.0)
        matrix = np.repeat(weights[None, :], len(people), axis=0)
        for k, (needs, boost) in enumerate(table.select("needs", "boost").iter_rows()):
            if needs:
                matrix[:, k] *= np.where(people.has[:, index[needs]], boost, 1.0)
        cumulative = matrix.cumsum(axis=1)
        shares[planned] = (cumulative / cumulative[:, -1:]).astype(np.float32)
    return shares


def _stay(
    people: People,
    referral: Referral,
    facilities: Facilities,
    state: _State,
    reasons: dict[bool, NDArray[np.float32]],
    size_shares: NDArray[np.float64],
    who: NDArray[np.int64],
    admit: NDArray[np.int64],
    is_planned: NDArray[np.bool_],
    parameters: Parameters,
    rng: np.random.Generator,
) -> Stays:
    """Draw one stay for each of `who`, with its true risk at discharge."""
    k = len(who)
    uniform = rng.random((10, k))
    normal = rng.standard_normal((2, k))
    table = catalogue().admissions
    drawn = np.where(is_planned[:, None], reasons[True][who], reasons[False][who])
    reason = choose(drawn, uniform[0])
    severity = np.where(is_planned, 0.6, 1.0) * normal[0]

    anywhere = choose(referral.shares[who], uniform[1])
    usual = np.where(uniform[2] < 0.82, referral.home[who], anywhere)
    # A readmission comes back to the same facility mostly, and always so on the next day, where a stay
    # elsewhere would read as a transfer.
    back = (state.readmission[who] >= 0) & ((uniform[3] < 0.6) | (admit - state.last[who] <= 1))
    first = np.where(back, state.facility[who], usual)

    expected_days = table["days"].to_numpy()[reason]
    spread = 0.50 * normal[1] + 0.22 * severity + 0.05 * people.frailty[who]
    days = np.clip(np.round(expected_days * np.exp(spread - 0.06)), 1, 90).astype(np.int64)

    moved = ~is_planned & (uniform[4] < parameters.transfer_share)
    elsewhere = np.searchsorted(size_shares, uniform[5]).astype(np.int64) % len(facilities)
    elsewhere = np.where(elsewhere == first, (elsewhere + 1) % len(facilities), elsewhere)
    first_discharge = admit + np.maximum(1, days // 3)
    second_admit = first_discharge + (uniform[6] < 0.3)
    split = ~is_planned & ~moved & (days >= 3) & (uniform[4] > 1 - parameters.split_share)
    # Billed in two: the second claim starts on the day the first ends, or one day before it.
    split_end = admit + np.maximum(2, days // 2)
    discharge = np.where(moved, second_admit + days, admit + days)
    first_discharge = np.where(moved, first_discharge, np.where(split, split_end, discharge))
    overlap = (uniform[7] < 0.5).astype(np.int64)
    second_admit = np.where(moved, second_admit, np.where(split, split_end - overlap, admit))
    facility = np.where(moved, elsewhere, first)

    age = (admit - people.birth[who]) / YEAR
    disposition = _disposition(people, who, age, days, severity, reason, is_planned, uniform[8:], parameters)
    linear = (
        parameters.readmission_intercept
        + 1.05 * people.burden[who]
        + table["risk"].to_numpy()[reason]
        + parameters.frailty_effect * people.frailty[who]
        + parameters.severity_effect * severity
        + 0.006 * (np.clip(age, 65, 95) - 75)
        + 0.25 * (age < 65)
        + 0.05 * people.male[who]
        + 0.16 * np.log(days / 4.0)
        + DISPOSITION_RISK[disposition]
    )
    risk = 1 / (1 + np.exp(-(linear + facilities.effect[facility])))
    risk[disposition == DIED] = 0.0
    return Stays(
        person=who,
        admit=admit,
        discharge=discharge,
        reason=reason,
        facility=facility,
        first_facility=first,
        first_discharge=first_discharge,
        second_admit=second_admit,
        severity=severity,
        disposition=disposition,
        risk=risk,
        linear_predictor=linear,
    )


def _disposition(
    people: People,
    who: NDArray[np.int64],
    age: NDArray[np.float64],
    days: NDArray[np.int64],
    severity: NDArray[np.float64],
    reason: NDArray[np.int64],
    is_planned: NDArray[np.bool_],
    uniform: NDArray[np.float64],
    parameters: Parameters,
) -> NDArray[np.int64]:
    """Draw how the stay ends: it depends on the patient and the stay, never on the facility."""
    table = catalogue().admissions
    frailty = people.frailty[who]
    needs_rehab = np.isin(table["principal"].to_numpy()[reason], ("S72001A", "I639"))
    mortality = table["mortality"].to_numpy()[reason]
    scores = np.zeros((len(who), 6))
    scores[:, HOME_HEALTH] = -0.95 + 0.02 * (age - 75) + 0.10 * frailty
    scores[:, SNF] = (
        -1.35 + 0.05 * (age - 75) + 0.07 * (days - 5) + 0.2 * frailty + 1.6 * needs_rehab - 0.4 * is_planned
    )
    scores[:, REHAB] = -3.2 + 0.05 * (days - 5) + 1.9 * needs_rehab
    scores[:, LONG_TERM_CARE] = -4.6 + 0.06 * (days - 5)
    scores[:, HOSPICE] = (
        -4.4 + 0.06 * (age - 78) + 0.5 * severity + 0.3 * frailty + 8 * mortality - 1.5 * is_planned
    )
    shares = np.exp(scores).cumsum(axis=1)
    shares /= shares[:, -1:]
    disposition = choose(shares.astype(np.float32), uniform[0])
    dies = np.minimum(mortality * np.exp(0.55 * severity + 0.02 * (age - 75) + 0.2 * frailty - 0.35), 0.6)
    ama = np.where(is_planned, 0.0, parameters.ama_share)
    disposition = np.where(uniform[1] < dies, DIED, disposition)
    return np.where((uniform[1] >= dies) & (uniform[1] < dies + ama), AMA, disposition)


def _decide(state: _State, stays: Stays, rng: np.random.Generator) -> None:
    """Draw whether and when an unplanned readmission follows, and move each person to the discharge."""
    uniform = rng.random((2, len(stays.person)))
    who = stays.person
    # Where the window of an earlier discharge is still open and was decided without a readmission, the day
    # falls after it; there is always one left, since this discharge is later than that one.
    still_blocked = np.clip(state.blocked[who] - stays.discharge, 0, WINDOW - 1)
    used = np.where(still_blocked > 0, _DAY_CDF[still_blocked - 1], 0.0)
    day = 1 + np.searchsorted(_DAY_CDF, used + uniform[1] * (1 - used)).clip(0, WINDOW - 1)
    returns = uniform[0] < stays.risk
    state.readmission[who] = np.where(returns, stays.discharge + np.maximum(day, still_blocked + 1), -1)
    state.last[who] = stays.discharge
    state.blocked[who] = stays.discharge + WINDOW
    state.facility[who] = stays.facility
    state.disposition[who] = stays.disposition
