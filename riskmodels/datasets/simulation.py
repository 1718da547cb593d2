"""Simulate a Medicare-like claims population whose true risks and facility effects are known."""

from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from riskmodels.datasets.ambulatory import emergency_visits, fills, visits
from riskmodels.datasets.facilities import Facilities, draw_facilities, refer
from riskmodels.datasets.frames import (
    Words,
    coverage_frame,
    encounter_frame,
    event_frame,
    instants,
    person_frame,
    person_ids,
)
from riskmodels.datasets.inpatient import Inpatient, bill
from riskmodels.datasets.ledger import Codes, Encounters, Events, Spans, stack
from riskmodels.datasets.parameters import BLOCK, Parameters, catalogue, stream
from riskmodels.datasets.population import Coverage, cover, draw_people
from riskmodels.datasets.trajectories import AMA, DIED, follow
from riskmodels.datasets.truth import facility_frame, truth_frame
from riskmodels.errors import SpecError
from riskmodels.history.schema import TABLES
from riskmodels.progress import track

if TYPE_CHECKING:
    from riskmodels.history import History

__all__ = ["Simulation", "simulate"]


@dataclass(frozen=True)
class Simulation:
    """Simulated claims and the truth behind them.

    Attributes
    ----------
    tables : dict of DataFrame
        ``person``, ``coverage``, ``encounter`` and ``event`` with the columns of
        `riskmodels.history.schema.TABLES`.
    truth : DataFrame
        One row per discharge alive and not against medical advice: encounter_id (of the last segment of
        the joined stay), person_id, facility_id, index_time, true_risk, true_risk_average_facility,
        linear_predictor (log-odds at the average facility), facility_effect.
    facilities : DataFrame
        facility_id, true_effect (log-odds), beds, stays, dual_proportion, peer_group (1 to 5, by dual
        proportion), base_operating_payments (USD a year), drg_payment_ratio (share of them in the DRGs of the
        six HRRP conditions).
    parameters : Parameters
    start, end : date
        First and last day of the study.
    seed : int
    """

    tables: dict[str, pl.DataFrame]
    truth: pl.DataFrame
    facilities: pl.DataFrame
    parameters: Parameters
    start: date
    end: date
    seed: int

    def write(self, path: str | Path, *, replace: bool = False) -> "History":
        """Store the tables as a history."""
        from riskmodels.history import Part, write_history

        parts = (
            Part(name, self.tables[name], f"simulated {name}")
            for name in ("person", "coverage", "encounter", "event")
        )
        source = {
            "name": "riskmodels.datasets.simulate",
            "seed": self.seed,
            "persons": self.tables["person"].height,
            "start": str(self.start),
            "end": str(self.end),
            "facilities": self.facilities.height,
            "parameters": asdict(self.parameters),
        }
        return write_history(parts, path, source_format="simulated", sources=[source], replace=replace)

    def marginals(self) -> pl.DataFrame:
        """Return the figures of this population beside the published ones.

        Returns
        -------
        DataFrame
            figure, simulated, published, low, high (the band the simulator promises), source.
        """
        from riskmodels.datasets.marginals import marginals

        return marginals(self)


def simulate(
    n_patients: int = 20_000,
    seed: int = 0,
    start: date = date(2021, 1, 1),
    end: date = date(2023, 12, 31),
    *,
    n_facilities: int | None = None,
    parameters: Parameters | None = None,
) -> Simulation:
    """Simulate claims of a Medicare-like population with known risks.

    Patients are simulated in blocks that do not know of each other, and each component has random numbers of
    its own: the first patients of a larger simulation with the same seed and facilities are the same.

    Parameters
    ----------
    n_patients : int
        Number of persons.
    seed : int
        The same seed gives the same simulation.
    start, end : date
        First and last day of the study; at least a year apart.
    n_facilities : int, optional
        Number of facilities; one for 500 persons unless told, at least 24 and at most 400.
    parameters : Parameters, optional
        The simulated world; see `Parameters`.

    Returns
    -------
    Simulation

    Raises
    ------
    SpecError
        For no patients, fewer than two facilities, or less than a year.

    Examples
    --------
    >>> simulation = simulate(500, seed=1)
    >>> simulation.tables["person"].height
    500
    """
    horizon = (end - start).days + 1
    if n_patients < 1:
        raise SpecError(f"n_patients must be at least 1, not {n_patients}")
    if horizon < 365:
        raise SpecError(f"end must be at least a year after start: {start} to {end} is {horizon} days")
    if n_facilities is not None and n_facilities < 2:
        raise SpecError(f"n_facilities must be at least 2, not {n_facilities}")
    parameters = parameters or Parameters()
    count = n_facilities or int(np.clip(n_patients // 500, 24, 400))
    facilities = draw_facilities(count, parameters, seed)
    codes = Codes()
    words = Words(start, count, codes)
    blocks = range(-(-n_patients // BLOCK))
    made = [
        _block(block, n_patients, facilities, parameters, (start, end), seed, words)
        for block in track(blocks, "Simulating patients", unit="block")
    ]
    tables = {
        name: pl.concat([frame for piece in made for frame in piece.tables[name]], rechunk=False)
        for name in TABLES
    }
    stays = pl.concat([piece.stays for piece in made])
    return Simulation(
        tables=tables,
        truth=truth_frame(stays, facilities),
        facilities=facility_frame(stays, facilities, horizon),
        parameters=parameters,
        start=start,
        end=end,
        seed=seed,
    )


@dataclass(frozen=True)
class _Block:
    tables: dict[str, list[pl.DataFrame]]
    stays: pl.DataFrame


def _block(
    block: int,
    n_patients: int,
    facilities: Facilities,
    parameters: Parameters,
    study: tuple[date, date],
    seed: int,
    words: Words,
) -> _Block:
    """Simulate one block of persons and turn it into frames."""
    start, end = study
    horizon = (end - start).days + 1
    codes = words.codes
    people = draw_people(seed, block)
    referral = refer(people, facilities, parameters, stream(seed, "referral", block).random(len(people)))
    stays, death = follow(people, referral, facilities, parameters, horizon, seed, block)
    january_firsts = np.array(
        [(date(year, 1, 1) - start).days for year in range(start.year + 1, end.year + 1)], dtype=np.int64
    )
    coverage = cover(people, death, january_firsts, horizon, parameters, seed, block)
    covered = Spans(coverage.person, coverage.start, coverage.end)
    hospital = bill(people, stays, death, covered, horizon, parameters, codes, seed, block)
    in_hospital = Spans(stays.person, stays.admit, stays.discharge)
    emergency, emergency_events = emergency_visits(
        people, stays, death, covered, referral.home, horizon, parameters, codes, seed, block
    )
    seen, seen_events = visits(
        people, death, covered, in_hospital, referral.home, horizon, parameters, codes, seed, block
    )
    drugs = fills(people, death, covered, horizon, codes, seed, block)

    names = person_ids(block, BLOCK, n_patients)
    groups: list[tuple[Encounters, list[Events]]] = [
        (hospital.segments, hospital.events),
        (emergency, emergency_events),
        (seen, seen_events),
        *((other, []) for other in hospital.others),
    ]
    encounters, events = [], []
    for group, with_events in groups:
        frame = encounter_frame(group.take(group.person < len(names)), names, words)
        encounters.append(frame)
        if with_events:
            own = stack(with_events)
            events.append(event_frame(_first(own, len(names)), names, frame["encounter_id"], words))
    events.append(event_frame(_first(drugs, len(names)), names, None, words))
    esrd = people.has[:, catalogue().condition_index["end_stage_renal_disease"]]
    return _Block(
        tables={
            "person": [person_frame(people, death, names, horizon, words)],
            "coverage": [coverage_frame(coverage, people, names, esrd, words)],
            "encounter": encounters,
            "event": events,
        },
        stays=_stay_frame(hospital, coverage, names, encounters[0]["encounter_id"], words),
    )


def _first(events: Events, n_persons: int) -> Events:
    """Return the events of the first persons of a block, where the block is cut."""
    kept = events.person < n_persons
    return events if kept.all() else replace(events, **{name: v[kept] for name, v in vars(events).items()})


def _stay_frame(
    hospital: Inpatient, coverage: Coverage, names: pl.Series, segment_ids: pl.Series, words: Words
) -> pl.DataFrame:
    """Return one row per joined stay with what truth and facilities need."""
    stays = hospital.stays
    rows = np.flatnonzero(stays.person < len(names))
    spans = Spans(coverage.person[coverage.dual], coverage.start[coverage.dual], coverage.end[coverage.dual])
    days = instants(stays.discharge[rows], words)
    return pl.DataFrame(
        {
            "encounter_id": segment_ids.gather(hospital.last_segment[rows]),
            "person_id": names.gather(stays.person[rows]),
            "facility": stays.facility[rows],
            "index_time": days,
            "true_risk": stays.risk[rows],
            "linear_predictor": stays.linear_predictor[rows],
            "index": ~np.isin(stays.disposition[rows], (DIED, AMA)),
            "dual": spans.contain(stays.person[rows], stays.admit[rows]),
            "base_payment": hospital.base_payment[rows],
            "drg": pl.Series(words.codes.codes).gather(hospital.segments.drg[hospital.last_segment[rows]]),
        }
    )
