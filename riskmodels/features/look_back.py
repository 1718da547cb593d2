"""What every aggregation over look-back windows has: rows, windows, an anchor, a role, a name and words."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any as AnyValue
from typing import ClassVar

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.features.sources import Encounters, Events, Source, Window

__all__ = ["ANCHORS", "KEYS", "ROLES", "VALUES", "LookBack", "one_of", "slug"]

ROLES = ("predict", "adjust")
ANCHORS = ("index", "admission")
VALUES = {
    "encounter": ("paid", "allowed", "length_of_stay"),
    "event": ("value", "days_supply", "quantity", "paid"),
}
KEYS = {"encounter": ("facility_id", "provider_id", "drg", "day"), "event": ("code", "encounter", "day")}
NOUNS = {"diagnosis": "Diagnoses", "procedure": "Procedures", "drug": "Fills", "lab": "Results"}

WindowLike = Window | str | int


@dataclass(frozen=True)
class LookBack:
    """An aggregation over the rows of a source that fall in look-back windows; one column a window.

    Parameters
    ----------
    source : Encounters or Events
        The rows.
    windows : window or sequence of windows
        Such as ``("30d", "90d", "30d:365d", "all")``; a bare number is days.
    value : str, optional
        The column that is aggregated, for those that need one.
    anchor : {'index', 'admission'}
        What windows end at: the prediction instant (the index discharge) or the start of the index stay.
    role : {'predict', 'adjust'}
        `adjust` where a provider cannot change it, so that a benchmark may expect by it.
    name : str, optional
        The column's name. Groups and windows are added where there is more than one; say where with
        ``{group}``, ``{window}`` or ``{days}``.
    label : str, optional
        The name in words; ``{group}`` stands for the group's label. The window's words are added.
    sparse : bool
        Keep the columns, one for each group of a grouper, in the sparse matrix of a feature frame: what is
        0, or never was, takes no place.
    """

    source: Source
    windows: tuple[Window, ...]
    value: str | None = None
    anchor: str = "index"
    role: str = "predict"
    name: str | None = None
    label: str | None = None
    sparse: bool = False

    aggregation: ClassVar[str] = ""
    kind: ClassVar[str] = "number"
    absent: ClassVar[float] = 0.0  # what a column holds where no row is in its window
    options: ClassVar[Mapping[str, tuple[str, ...]] | None] = None  # columns that `value` may name
    needs_age: ClassVar[bool] = False
    phrase: ClassVar[str] = ""

    def __init__(
        self,
        source: Source,
        windows: WindowLike | Iterable[WindowLike],
        *,
        value: str | None = None,
        anchor: str = "index",
        role: str = "predict",
        name: str | None = None,
        label: str | None = None,
        sparse: bool = False,
    ) -> None:
        listed = [windows] if isinstance(windows, Window | str | int) else list(windows)
        fields = {
            "source": source,
            "windows": tuple(Window.parse(w) for w in listed),
            "value": value,
            "anchor": one_of(anchor, ANCHORS, "anchor"),
            "role": one_of(role, ROLES, "role"),
            "name": name,
            "label": label,
            "sparse": bool(sparse),
        }
        for key, content in fields.items():
            object.__setattr__(self, key, content)
        self._check()

    def _check(self) -> None:
        who = f"{type(self).__name__}({self.name or ''})"
        if not self.windows:
            raise SpecError(f"{who} has no window: give at least one, such as windows=('90d',).")
        if len(set(self.windows)) < len(self.windows):
            raise SpecError(f"{who} lists a window twice: {[str(w) for w in self.windows]}.")
        if self.needs_age and any(w.stay or w.is_after for w in self.windows):
            raise SpecError(
                f"{who} measures time before the anchor, so its windows cannot hold the stay itself."
            )
        if self.anchor != "admission" and any(w.is_after for w in self.windows):
            raise SpecError(
                f"{who} looks at what comes after the index time, which is no predictor: with 'after' give "
                "anchor='admission'."
            )
        if self.sparse and not (isinstance(self.source, Events) and self.source.each):
            raise SpecError(f"{who} is sparse, and has no column a group: give its Events a grouper=.")
        if self.sparse and not (self.absent == 0.0 or self.aggregation == "days_since"):
            raise SpecError(
                f"{who} cannot be sparse: where no row is, it is missing, and in a sparse matrix that is 0."
            )
        if self.options is None:
            if self.value is not None:
                raise SpecError(f"{who} takes no value= column; got {self.value!r}.")
            return
        options = self.options[self.source.table]
        if self.value is None:
            default = {"event": {"distinct": "code"}.get(self.aggregation, "value")}.get(self.source.table)
            if default is None:
                raise SpecError(f"{who} needs value=, one of: {', '.join(options)}.")
            object.__setattr__(self, "value", default)
        elif self.value not in options:
            hint = did_you_mean(self.value, options)
            raise SpecError(f"{who}: an {self.source.table} has no value {self.value!r}. {hint}")

    def to_dict(self) -> dict[str, AnyValue]:
        """Return the specification as plain JSON values."""
        content = {
            "aggregation": self.aggregation,
            "source": self.source.to_dict(),
            "windows": [str(w) for w in self.windows],
            "value": self.value,
            "anchor": self.anchor,
            "role": self.role,
            "name": self.name,
            "label": self.label,
            "sparse": self.sparse or None,
        }
        return {k: v for k, v in content.items() if v is not None}

    @property
    def stem(self) -> str:
        """The name a column begins with."""
        if self.name:
            return self.name
        what = "_".join(self.source.kinds) or self.source.table
        codes = () if isinstance(self.source, Encounters) else self.source.codes
        grouper = "" if isinstance(self.source, Encounters) else self.source.grouper or ""
        value = "" if self.value in (None, "value", "code") else str(self.value)
        return slug("_".join(part for part in (self.aggregation, value, what, grouper, *codes) if part))

    def column_name(self, window: Window, group: str | None) -> str:
        """Return the column's name for a window and a group."""
        group = slug(group) if group else ""
        if "{" in self.stem:
            days = str(window.longest // (24 * 3_600_000_000))
            return self.stem.format(group=group, window=window.suffix, days=days)
        parts = [self.stem, group, window.suffix if len(self.windows) > 1 or not self.name else ""]
        return "_".join(part for part in parts if part)

    def column_label(self, window: Window, group_label: str | None) -> str:
        """Return the column's name in words."""
        what = "{group}" if group_label else " or ".join(self.source.kinds) or self.source.table
        phrase = self.phrase
        if group_label and self.aggregation == "count" and len(self.source.kinds) == 1:
            phrase = f"{NOUNS.get(self.source.kinds[0], self.source.kinds[0].capitalize() + 's')} of "
        words = (self.label or f"{phrase}{what}").format(group=group_label or "")
        when = window.phrase(self.anchor)
        return f"{words} ({when})" if self.needs_age else f"{words} {when}"


def slug(text: str) -> str:
    """Return text as a part of a column name: small letters, digits and single underscores."""
    return re.sub(r"[^a-z0-9{}]+", "_", text.lower()).strip("_")


def one_of(value: str, options: tuple[str, ...], what: str) -> str:
    """Return a word, or raise a SpecError that names the nearest of its options."""
    if value not in options:
        raise SpecError(f"Unknown {what} {value!r}. {did_you_mean(value, options)}")
    return value
