"""What a feature looks at (encounters or events) and when (half-open windows before an anchor)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any as AnyValue

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.history.schema import CODE_SYSTEMS, ENCOUNTER_KINDS, EVENT_KINDS

__all__ = ["Encounters", "Events", "Source", "Window"]

HOUR = 3_600_000_000  # microseconds
DAY = 24 * HOUR
FOREVER = 2**62
AFTER = " after"
_UNDERSCORES = str.maketrans(":+ ", "___")

_SPAN = re.compile(r"(\d+)([dh])")
_WHERE = {
    "encounter": (
        "admission_type",
        "admission_source",
        "discharge_disposition",
        "drg",
        "facility_id",
        "provider_id",
    ),
    "event": ("encounter_kind", "position", "unit"),
}


@dataclass(frozen=True, order=True)
class Window:
    """A half-open stretch of time about an anchor `a`: ``[a - far, a - near)``, in microseconds.

    Written as text: ``"90d"`` or ``"48h"`` (up to the anchor), ``"30d:365d"`` (ends 30 days before it),
    ``"all"`` (everything before it), ``"stay"`` (the index stay's own rows, up to and with its last
    instant) and ``"365d+stay"`` (a stretch together with the index stay's own rows). ``"24h after"`` is the
    24 hours from the admission on, ``"24h:72h after"`` the two days that follow, ``"all after"`` all that
    follows; of these only what is before the index time counts.

    >>> Window.parse("30d:365d")
    Window('30d:365d')
    >>> Window.parse(90)
    Window('90d')
    """

    far: int
    near: int = 0
    stay: bool = False

    @classmethod
    def parse(cls, value: "str | int | Window") -> "Window":
        """Read a window from its text; a bare whole number is days.

        Raises
        ------
        SpecError
            Where the text is not a window.
        """
        if isinstance(value, Window):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            value = f"{value}d"
        if not isinstance(value, str):
            raise _no_window(value)
        if value == "stay":
            return cls(0, 0, True)
        if value.endswith(AFTER):
            first = cls.parse(value.removesuffix(AFTER))
            if first.stay or first.is_after:
                raise _no_window(value)
            return cls(-first.near, -first.far)
        span, plus, stay = value.partition("+")
        if plus and stay != "stay":
            raise _no_window(value)
        near, _, far = span.rpartition(":")
        window = cls(_span(far, value), _span(near, value) if near else 0, bool(stay))
        if window.far <= window.near:
            raise SpecError(
                f"Window {value!r} is empty: write the nearer bound first and make it the smaller one, "
                "such as '30d:365d'."
            )
        return window

    @property
    def is_stay_only(self) -> bool:
        """Whether only the index stay's own rows count."""
        return self.stay and self.far == 0

    @property
    def is_after(self) -> bool:
        """Whether the window begins at its anchor or later."""
        return self.near < 0

    @property
    def longest(self) -> int:
        """How far the window reaches from its anchor, in microseconds."""
        return -self.near if self.is_after else self.far

    def __str__(self) -> str:
        """Write the window as `parse` reads it."""
        if self.is_stay_only:
            return "stay"
        if self.is_after:
            return f"{Window(-self.near, -self.far)}{AFTER}"
        near = f"{_text(self.near)}:" if self.near else ""
        return f"{near}{_text(self.far)}{'+stay' if self.stay else ''}"

    def __repr__(self) -> str:
        """Write the window as it stands in code."""
        return f"Window({str(self)!r})"

    @property
    def suffix(self) -> str:
        """The window as the end of a column's name: ``90d``, ``30d_365d``, ``ever``, ``365d_stay``."""
        return str(self).replace("all", "ever").translate(_UNDERSCORES)

    def phrase(self, anchor: str) -> str:
        """Return the window in words: ``in the last 90 days``, ``in the 90 days before admission``."""
        if self.is_stay_only:
            return "during the stay"
        if self.is_after:
            if self.near == -FOREVER:
                return f"more than {_words(-self.far)} after {anchor}" if self.far else f"since {anchor}"
            first = f"{_words(-self.far)} to " if self.far else "in the "
            return f"{first}{_words(-self.near)} after {anchor}"
        before = "before admission" if anchor == "admission" else "ago"
        if self.far == FOREVER:
            since = f"more than {_words(self.near)} {before}" if self.near else ""
            at_any_time = "at any time before admission" if anchor == "admission" else "at any time before"
            words = since or at_any_time
        elif self.near:
            words = f"{_words(self.near)} to {_words(self.far)} {before}"
        elif anchor == "admission":
            words = f"in the {_words(self.far)} before admission"
        else:
            words = f"in the last {_words(self.far)}"
        return f"{words} or during the stay" if self.stay else words


def _span(text: str, whole: str) -> int:
    if text == "all":
        return FOREVER
    found = _SPAN.fullmatch(text)
    if not found:
        raise _no_window(whole)
    length = int(found[1]) * (DAY if found[2] == "d" else HOUR)
    if length >= FOREVER:
        raise SpecError(f"Window {whole!r} is longer than time: write 'all' for everything before.")
    return length


def _no_window(value: object) -> SpecError:
    return SpecError(
        f"{value!r} is not a window. Write days as '90d' (or the number 90), hours as '48h', a gap as "
        "'30d:365d', everything before as 'all', the index stay as 'stay', both as '365d+stay', the first "
        "day of the stay as '24h after'."
    )


def _text(span: int) -> str:
    if span == FOREVER:
        return "all"
    return f"{span // DAY}d" if span % DAY == 0 else f"{span // HOUR}h"


def _words(span: int) -> str:
    number, unit = (span // DAY, "day") if span % DAY == 0 else (span // HOUR, "hour")
    return f"{number} {unit}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class Encounters:
    """Encounters of some kinds; one falls in a window by its end, for it counts once it is over.

    Parameters
    ----------
    kinds : str or sequence of str
        Encounter kinds; none given means all of them.
    where : mapping of column to accepted values, optional
        Such as ``{"admission_type": ("emergency", "urgent")}``.
    """

    kinds: tuple[str, ...] = ()
    where: tuple[tuple[str, tuple[AnyValue, ...]], ...] = ()
    table: str = field(default="encounter", init=False, repr=False)

    def __init__(
        self,
        kinds: str | Iterable[str] = (),
        where: Mapping[str, AnyValue] | Iterable[AnyValue] | None = None,
    ) -> None:
        object.__setattr__(self, "kinds", _words_of(kinds, ENCOUNTER_KINDS, "encounter kind"))
        object.__setattr__(self, "where", _conditions(where, "encounter"))
        object.__setattr__(self, "table", "encounter")

    def to_dict(self) -> dict[str, AnyValue]:
        """Return the source as plain JSON values."""
        where = {"where": {k: list(v) for k, v in self.where}} if self.where else {}
        return {"encounters": list(self.kinds), **where}


@dataclass(frozen=True)
class Events:
    """Events of some kinds, and of some codes or code groups.

    Parameters
    ----------
    kinds : str or sequence of str
        Event kinds; none given means all of them.
    codes : sequence of str
        Codes, dots ignored; ``"428*"`` takes all that begin with 428.
    code_system : str, optional
        The system `codes` are of.
    grouper : str, optional
        A grouper of `riskmodels.terminology` or of the feature set.
    groups : sequence of str
        Groups of the grouper; none given means all.
    each : bool
        One column for each group (the default with a grouper); False takes the groups together.
    where : mapping of column to accepted values, optional
        Such as ``{"encounter_kind": ("inpatient",)}`` or ``{"position": (1,)}``.
    """

    kinds: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    code_system: str | None = None
    grouper: str | None = None
    groups: tuple[str, ...] = ()
    each: bool = True
    where: tuple[tuple[str, tuple[AnyValue, ...]], ...] = ()
    table: str = field(default="event", init=False, repr=False)

    def __init__(
        self,
        kinds: str | Iterable[str] = (),
        *,
        codes: str | Iterable[str] = (),
        code_system: str | None = None,
        grouper: str | None = None,
        groups: str | Iterable[str] = (),
        each: bool = True,
        where: Mapping[str, AnyValue] | Iterable[AnyValue] | None = None,
    ) -> None:
        if code_system is not None and code_system not in CODE_SYSTEMS:
            raise SpecError(f"Unknown code system {code_system!r}. {did_you_mean(code_system, CODE_SYSTEMS)}")
        groups, codes = _tuple(groups), _tuple(codes)
        if groups and grouper is None:
            raise SpecError(f"groups={list(groups)} needs the grouper they belong to: give grouper=.")
        if codes and grouper is not None:
            raise SpecError("Give codes= or grouper=, not both.")
        values = {
            "kinds": _words_of(kinds, EVENT_KINDS, "event kind"),
            "codes": codes,
            "code_system": code_system,
            "grouper": grouper,
            "groups": groups,
            "each": bool(each) and grouper is not None,
            "where": _conditions(where, "event"),
            "table": "event",
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, AnyValue]:
        """Return the source as plain JSON values."""
        optional = {
            "codes": list(self.codes),
            "code_system": self.code_system,
            "grouper": self.grouper,
            "groups": list(self.groups),
            "where": {k: list(v) for k, v in self.where},
        }
        each = {"each": self.each} if self.grouper else {}
        return {"events": list(self.kinds), **{k: v for k, v in optional.items() if v}, **each}


Source = Encounters | Events


def source_from_dict(content: Mapping[str, AnyValue]) -> Source:
    """Read a source from `to_dict`; a key or word that is unknown is a SpecError."""
    rest = dict(content)
    if "encounters" in rest:
        allowed, build, kinds = {"where"}, Encounters, rest.pop("encounters")
    elif "events" in rest:
        allowed = {"codes", "code_system", "grouper", "groups", "each", "where"}
        build, kinds = Events, rest.pop("events")  # type: ignore[assignment]
    else:
        raise SpecError(f"A source needs the key 'encounters' or 'events'; got {sorted(rest)}.")
    for key in rest:
        if key not in allowed:
            raise SpecError(f"Unknown key {key!r} in a source. {did_you_mean(key, allowed)}")
    return build(kinds, **rest)


def _tuple(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _words_of(value: str | Iterable[str], options: tuple[str, ...], what: str) -> tuple[str, ...]:
    words = _tuple(value)
    for word in words:
        if word not in options:
            raise SpecError(f"Unknown {what} {word!r}. {did_you_mean(str(word), options)}")
    return words


def _conditions(
    where: Mapping[str, AnyValue] | Iterable[AnyValue] | None, table: str
) -> tuple[tuple[str, tuple[AnyValue, ...]], ...]:
    conditions = []
    for column, accepted in sorted(dict(where or {}).items()):
        if column not in _WHERE[table]:
            raise SpecError(
                f"where= cannot ask for {column!r} of an {table}. {did_you_mean(column, _WHERE[table])}"
            )
        values = (accepted,) if isinstance(accepted, str | int) else tuple(accepted)
        conditions.append((column, values))
    return tuple(conditions)
