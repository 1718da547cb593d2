"""Small hand-made histories."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from riskmodels.history import Shard
from riskmodels.history.schema import STORED

DAY_0 = date(2024, 3, 10)
CODED = ("diagnosis", "procedure", "others")


def day(number: int) -> date:
    """Return the date of a numbered day."""
    return DAY_0 + timedelta(days=number)


def instant(number: float) -> datetime:
    """Return the instant of a numbered day; a fraction is a time of day."""
    return datetime.combine(DAY_0, datetime.min.time()) + timedelta(days=number)


@dataclass
class Patient:
    """What happened to one patient, in numbered days."""

    person: int = 0
    covered: list[tuple[int, int]] = field(default_factory=lambda: [(-400, 200)])
    death: int | None = None
    encounters: list[dict[str, Any]] = field(default_factory=list)

    def encounter(self, kind: str, start: float, end: float, **facts: Any) -> "Patient":
        """Add an encounter.

        `diagnosis` (the principal one) and `procedure` are (code system, code), `others` a list of more.
        """
        self.encounters.append({"kind": kind, "start": start, "end": end, **facts})
        return self

    def stay(self, start: float, end: float, facility_id: str | None = "A", **facts: Any) -> "Patient":
        """Add an inpatient encounter."""
        return self.encounter("inpatient", start, end, facility_id=facility_id, **facts)

    def ed(self, start: float, end: float | None = None, **facts: Any) -> "Patient":
        """Add an ED visit, of the same day unless it says otherwise."""
        return self.encounter("emergency", start, start if end is None else end, **facts)


def make_shard(*patients: Patient, number_from: int = 0) -> tuple[Shard, pl.DataFrame]:
    """Return a shard with these patients, and its vocabulary."""
    persons, coverage, encounters, events = [], [], [], []
    codes: dict[tuple[str, str], int] = {}
    number = number_from
    for patient in patients:
        persons.append(
            {
                "person": patient.person,
                "person_id": f"P{patient.person}",
                "birth_date": date(1950, 3, 10),
                "sex": "female",
                "death_date": None if patient.death is None else day(patient.death),
            }
        )
        coverage += [
            {"person": patient.person, "start_date": day(first), "end_date": day(last), "dual": True}
            for first, last in patient.covered
        ]
        for place, entry in enumerate(patient.encounters):
            facts = {key: value for key, value in entry.items() if key not in CODED}
            encounters.append(
                {
                    "encounter_id": f"P{patient.person}-{place}",
                    **facts,
                    "person": patient.person,
                    "encounter": number,
                    "start": instant(entry["start"]),
                    "end": instant(entry["end"]),
                }
            )
            events += [
                {
                    "person": patient.person,
                    "time": instant(entry["end"]),
                    "kind": kind,
                    "code": codes.setdefault(entry[kind], len(codes)),
                    "position": 1,
                    "encounter": number,
                }
                for kind in ("diagnosis", "procedure")
                if kind in entry
            ]
            events += [
                {
                    "person": patient.person,
                    "time": instant(entry["end"]),
                    "kind": "procedure" if other[0].endswith("PCS") else "diagnosis",
                    "code": codes.setdefault(other, len(codes)),
                    "position": place + 2,
                    "encounter": number,
                }
                for place, other in enumerate(entry.get("others", []))
            ]
            number += 1
    shard = Shard(
        number=0,
        person=_frame("person", persons, "person"),
        coverage=_frame("coverage", coverage, "person", "start_date"),
        encounter=_frame("encounter", encounters, "person", "start", "end", "encounter"),
        event=_frame("event", events, "person", "time", "kind", "code"),
    )
    vocabulary = pl.DataFrame(
        [(number, system, code) for (system, code), number in codes.items()],
        schema={"code": pl.Int32, "code_system": pl.String, "code_text": pl.String},
        orient="row",
    )
    return shard, vocabulary


def _frame(table: str, rows: Iterable[dict[str, Any]], *order: str) -> pl.DataFrame:
    schema = STORED[table]
    complete = [{name: row.get(name) for name in schema} for row in rows]
    return pl.DataFrame(complete, schema=schema).sort(*order)
