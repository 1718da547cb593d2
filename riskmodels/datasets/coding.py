"""What is coded and measured in hospital stays: diagnoses, procedures and lab values."""

import numpy as np
from numpy.typing import NDArray

from riskmodels.datasets.ledger import NONE, Codes, Events, condition_codes
from riskmodels.datasets.parameters import catalogue
from riskmodels.datasets.population import People
from riskmodels.datasets.trajectories import DIED, Stays
from riskmodels.history.schema import EVENT_KINDS

__all__ = ["lab_values", "stay_diagnoses", "stay_labs", "stay_procedures"]

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


def stay_diagnoses(
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


def stay_procedures(
    stays: Stays,
    segment: NDArray[np.int64],
    recorded: NDArray[np.int64],
    codes: Codes,
    rng: np.random.Generator,
) -> Events:
    """Return the ICD-10-PCS procedures, done on the first or second day."""
    table = catalogue().admissions
    done = [codes.number("ICD10PCS", code) if code else NONE for code in table["procedures"]]
    share = table["share_procedure"].to_numpy()[stays.reason]
    uniform = rng.random((2, len(stays.person)))
    rows = np.flatnonzero(uniform[0] < share)
    day = np.minimum(stays.second_admit[rows] + (uniform[1, rows] < 0.4), stays.discharge[rows])
    return Events.of(
        stays.person[rows],
        day,
        EVENT_KINDS.index("procedure"),
        np.array(done)[stays.reason[rows]],
        recorded[rows],
        position=1,
        encounter=segment[rows],
    )


def stay_labs(
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
