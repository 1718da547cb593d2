"""From arrays of day numbers to the tables of a history."""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskmodels.datasets.facilities import facility_ids
from riskmodels.datasets.inpatient import DISPOSITION_WORDS
from riskmodels.datasets.ledger import ADMISSION_TYPES, SOURCES, UNITS, Codes, Encounters, Events
from riskmodels.datasets.population import RACES, Coverage, People
from riskmodels.history.schema import ENCOUNTER_KINDS, EVENT_KINDS, TABLES

__all__ = [
    "Words",
    "coverage_frame",
    "encounter_frame",
    "event_frame",
    "instants",
    "person_frame",
    "person_ids",
]

_EPOCH = date(1970, 1, 1)
_DAY_US = 86_400_000_000


class Words:
    """The texts that numbers stand for, made once for all blocks."""

    def __init__(self, start: date, n_facilities: int, codes: Codes) -> None:
        self.offset = (start - _EPOCH).days
        self.codes = codes
        self.facilities = pl.Series(facility_ids(n_facilities), dtype=pl.String)
        self.numbers = pl.Series([f"{i:03d}" for i in range(1, 10_000)], dtype=pl.String)


def person_ids(block: int, size: int, n_persons: int) -> pl.Series:
    """Return the identifiers of one block, as many as there are persons."""
    first = block * size
    return pl.Series([f"P{i + 1:07d}" for i in range(first, min(first + size, n_persons))], dtype=pl.String)


def instants(days: NDArray[np.int64], words: Words) -> pl.Series:
    """Return midnights of day numbers as ``Datetime('us')``."""
    return pl.Series((days + words.offset) * _DAY_US).cast(pl.Datetime("us"))


def person_frame(
    people: People, death: NDArray[np.int64], names: pl.Series, horizon: int, words: Words
) -> pl.DataFrame:
    """Return the person table; deaths after the study are not known."""
    n = len(names)
    died = death[:n] < horizon + 400  # a stay that began in the study may end in a death after it
    return pl.DataFrame(
        {
            "person_id": names,
            "birth_date": _dates(people.birth[:n], words),
            "sex": pl.Series(np.where(people.male[:n], "male", "female"), dtype=pl.String),
            "race_ethnicity": _gather(RACES, people.race[:n]),
            "death_date": _dates(np.where(died, death[:n], 0), words).zip_with(
                pl.Series(died), pl.Series([None], dtype=pl.Date).new_from_index(0, n)
            ),
        }
    )


def coverage_frame(
    coverage: Coverage, people: People, names: pl.Series, esrd: NDArray[np.bool_], words: Words
) -> pl.DataFrame:
    """Return the coverage table."""
    rows = np.flatnonzero(coverage.person < len(names))
    who = coverage.person[rows]
    return pl.DataFrame(
        {
            "person_id": names.gather(who),
            "start_date": _dates(coverage.start[rows], words),
            "end_date": _dates(coverage.end[rows], words),
            "payer": pl.Series(["Medicare FFS"]).new_from_index(0, len(rows)),
            "dual": pl.Series(coverage.dual[rows]),
            "orig_disability": pl.Series(people.disabled[who]),
            "esrd": pl.Series(esrd[who]),
            "hospice": pl.Series([None], dtype=pl.Boolean).new_from_index(0, len(rows)),
        }
    )


def encounter_frame(encounters: Encounters, names: pl.Series, words: Words) -> pl.DataFrame:
    """Return encounters sorted as they are; the number in the identifier counts within a person."""
    n = len(encounters)
    person = encounters.person
    number = np.arange(n) - np.searchsorted(person, person, side="left")
    who = names.gather(person)
    code_text = pl.Series(words.codes.codes, dtype=pl.String)
    frame = {
        "encounter_id": who + f"-{encounters.letter}" + words.numbers.gather(number),
        "person_id": who,
        "kind": _gather(ENCOUNTER_KINDS, encounters.kind),
        "start": instants(encounters.start, words),
        "end": instants(encounters.end, words),
        "facility_id": words.facilities.gather(_nullable(encounters.facility)),
        "provider_id": pl.Series([None], dtype=pl.String).new_from_index(0, n),
        "admission_type": _gather(ADMISSION_TYPES, encounters.admission_type),
        "admission_source": _gather(SOURCES, encounters.source),
        "discharge_disposition": _gather(DISPOSITION_WORDS, encounters.disposition),
        "drg": code_text.gather(_nullable(encounters.drg)),
        "paid": pl.Series(np.round(encounters.paid, 2)),
        "allowed": pl.Series(np.round(encounters.allowed, 2)),
        "recorded_at": instants(encounters.recorded, words),
    }
    return pl.DataFrame(frame).select(list(TABLES["encounter"]))


def event_frame(
    events: Events, names: pl.Series, encounter_ids: pl.Series | None, words: Words
) -> pl.DataFrame:
    """Return events; numbers that do not apply are null."""
    n = len(events)
    if encounter_ids is None:
        encounter = pl.Series([None], dtype=pl.String).new_from_index(0, n)
    else:
        encounter = encounter_ids.gather(_nullable(events.encounter))
    frame = {
        "person_id": names.gather(events.person),
        "time": instants(events.time, words),
        "kind": _gather(EVENT_KINDS, events.kind),
        "code_system": pl.Series(words.codes.systems, dtype=pl.String).gather(events.code),
        "code": pl.Series(words.codes.codes, dtype=pl.String).gather(events.code),
        "value": pl.Series(events.value, nan_to_null=True),
        "unit": _gather(UNITS, events.unit),
        "quantity": pl.Series(events.quantity, nan_to_null=True),
        "days_supply": pl.Series(events.days_supply, nan_to_null=True),
        "paid": pl.Series(events.paid, nan_to_null=True),
        "position": _nullable(events.position).cast(pl.Int32),
        "encounter_id": encounter,
        "recorded_at": instants(events.recorded, words),
    }
    return pl.DataFrame(frame).select(list(TABLES["event"]))


def _dates(days: NDArray[np.int64], words: Words) -> pl.Series:
    return pl.Series((days + words.offset).astype(np.int32)).cast(pl.Date)


def _nullable(numbers: NDArray[np.int64]) -> pl.Series:
    """Return numbers with null in place of -1."""
    series = pl.Series(numbers)
    return series.set(series < 0, None)


def _gather(texts: tuple[str, ...], numbers: NDArray[np.int64]) -> pl.Series:
    return pl.Series(texts, dtype=pl.String).gather(_nullable(numbers))
