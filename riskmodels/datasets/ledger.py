"""Claims as plain arrays of numbers; the frames are made of them once, at the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from riskmodels.datasets.parameters import catalogue

__all__ = [
    "ADMISSION_TYPES",
    "SOURCES",
    "UNITS",
    "Codes",
    "Encounters",
    "Events",
    "Spans",
    "claim_lag",
    "stack",
]

ADMISSION_TYPES = ("emergency", "urgent", "elective")
SOURCES = ("emergency", "physician", "transfer", "snf")
UNITS = ("g/dL", "mmol/L", "mg/dL", "%")
NONE = -1


@dataclass
class Codes:
    """Numbers for (code system, code) pairs, in order of first use."""

    systems: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def number(self, system: str, code: str) -> int:
        """Return the number of a code, a new one where it is new."""
        key = (system, code)
        if key not in self.numbers:
            self.numbers[key] = len(self.codes)
            self.systems.append(system)
            self.codes.append(code)
        return self.numbers[key]

    def all(self, system: str, codes: Iterable[str]) -> NDArray[np.int64]:
        """Return the numbers of several codes."""
        return np.array([self.number(system, code) for code in codes], dtype=np.int64)

    def choices(self, system: str, cells: Sequence[str]) -> NDArray[np.int64]:
        """Return a (cells, choices) table from cells with one or more codes; short rows repeat."""
        rows = [self.all(system, cell.split()) for cell in cells]
        width = max(len(row) for row in rows)
        return np.array([np.resize(row, width) for row in rows])


@dataclass(frozen=True)
class Encounters:
    """Encounters of a block: days count from the first day of the study, -1 stands for none."""

    letter: str  # begins the number in the encounter_id
    kind: NDArray[np.int64]  # position in ENCOUNTER_KINDS
    person: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    facility: NDArray[np.int64]
    admission_type: NDArray[np.int64]
    source: NDArray[np.int64]
    disposition: NDArray[np.int64]
    drg: NDArray[np.int64]  # number of the DRG as text
    allowed: NDArray[np.float64]
    paid: NDArray[np.float64]
    recorded: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of encounters."""
        return len(self.person)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Encounters":
        """Return the rows asked for."""
        names = [f.name for f in fields(self) if f.name != "letter"]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True)
class Events:
    """Events of a block; `encounter` is the row among the encounters they come with, -1 for none."""

    person: NDArray[np.int64]
    time: NDArray[np.int64]
    kind: NDArray[np.int64]  # position in EVENT_KINDS
    code: NDArray[np.int64]
    position: NDArray[np.int64]
    encounter: NDArray[np.int64]
    recorded: NDArray[np.int64]
    value: NDArray[np.float64]
    unit: NDArray[np.int64]
    quantity: NDArray[np.float64]
    days_supply: NDArray[np.float64]
    paid: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.person)

    @classmethod
    def of(
        cls,
        person: NDArray[np.int64],
        time: NDArray[np.int64],
        kind: int,
        code: NDArray[np.int64],
        recorded: NDArray[np.int64],
        **columns: ArrayLike,
    ) -> "Events":
        """Return events of one kind; columns not given are empty."""
        n = len(person)

        def column(name: str, empty: float, dtype: type) -> NDArray:
            return np.broadcast_to(np.asarray(columns.get(name, empty), dtype=dtype), n)

        return cls(
            person=person,
            time=time,
            kind=np.full(n, kind),
            code=np.broadcast_to(code, n),
            position=column("position", NONE, np.int64),
            encounter=column("encounter", NONE, np.int64),
            recorded=recorded,
            value=column("value", np.nan, np.float64),
            unit=column("unit", NONE, np.int64),
            quantity=column("quantity", np.nan, np.float64),
            days_supply=column("days_supply", np.nan, np.float64),
            paid=column("paid", np.nan, np.float64),
        )


@dataclass(frozen=True)
class Spans:
    """Spans of days, sorted by person and start and not overlapping within a person."""

    person: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    _STRIDE = 1 << 32

    def contain(self, person: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which days lie inside a span of that person, both ends included."""
        if not len(self.person):
            return np.zeros(len(person), dtype=bool)
        keys = self.person * self._STRIDE + self.start
        found = np.searchsorted(keys, person * self._STRIDE + day, side="right") - 1
        at = np.maximum(found, 0)
        return (found >= 0) & (self.person[at] == person) & (day <= self.end[at])


def stack(parts: Sequence[Events]) -> Events:
    """Return several groups of events as one."""
    return Events(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Events)})


def claim_lag(rng: np.random.Generator, n: int, mean: float) -> NDArray[np.int64]:
    """Return days from the end of a service to the day its claim is known: one in twenty is months late."""
    lag = rng.gamma(2.0, mean / 2.0, n)
    late = rng.random(n) < 0.05
    days = np.ceil(lag + late * rng.standard_exponential(n) * 75).astype(np.int64)
    return np.maximum(days, 1)


def condition_codes(codes: Codes) -> NDArray[np.int64]:
    """Return the (condition, variant) table of diagnosis code numbers."""
    return codes.choices("ICD10CM", catalogue().conditions["codes"].to_list())
