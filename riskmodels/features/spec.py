"""Feature specifications: small frozen dataclasses that say what a column is, and nothing about how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any as AnyValue
from typing import ClassVar

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.features.facts import FACTS
from riskmodels.features.look_back import KEYS, ROLES, VALUES, LookBack, one_of
from riskmodels.features.sources import source_from_dict

__all__ = [
    "SPECS",
    "Any",
    "Count",
    "DaysSince",
    "Distinct",
    "Last",
    "LookBack",
    "Mean",
    "Score",
    "Slope",
    "Spec",
    "Static",
    "Sum",
    "spec_from_dict",
]


class Count(LookBack):
    """Count the rows."""

    aggregation = "count"
    phrase = "Number of "


class Any(LookBack):
    """Whether there is a row, 0 or 1."""

    aggregation = "any"
    kind = "flag"


class Sum(LookBack):
    """Add up `value`; missing values add nothing."""

    aggregation = "sum"
    options = VALUES
    phrase = "Sum of "


class Mean(LookBack):
    """Average `value`; missing where there is none."""

    aggregation = "mean"
    absent = float("nan")
    options = VALUES
    phrase = "Mean of "


class Last(LookBack):
    """The latest known `value`; missing where there is none. Ties go to the row the store keeps last."""

    aggregation = "last"
    absent = float("nan")
    options = VALUES
    phrase = "Last "


class Slope(LookBack):
    """Least-squares change of `value` in a day; missing with fewer than two instants."""

    aggregation = "slope"
    absent = float("nan")
    options = VALUES
    needs_age = True
    phrase = "Change in a day of "


class DaysSince(LookBack):
    """Days (with their fraction) from the latest row to the anchor; missing where there is none."""

    aggregation = "days_since"
    absent = float("nan")
    needs_age = True
    phrase = "Days since the last "


class Distinct(LookBack):
    """Count the different values of a key: codes, days, encounters, facilities."""

    aggregation = "distinct"
    options = KEYS
    phrase = "Different "


@dataclass(frozen=True)
class Static:
    """A fact of the case itself: of the person, the coverage or the index stay.

    Parameters
    ----------
    fact : str
        One of `riskmodels.features.facts.FACTS`, such as ``"age"`` or ``"length_of_stay"``.
    role : {'predict', 'adjust'}
        See `LookBack`.
    grouper : str, optional
        For facts that are a code group.
    name, label : str, optional
        In place of the fact's own.
    """

    fact: str
    role: str = "predict"
    grouper: str | None = None
    name: str | None = None
    label: str | None = None
    aggregation: ClassVar[str] = "static"

    def __post_init__(self) -> None:
        """Check the words."""
        one_of(self.role, ROLES, "role")
        one_of(self.fact, tuple(FACTS), "fact")
        if FACTS[self.fact].grouped != (self.grouper is not None):
            needs = "needs" if FACTS[self.fact].grouped else "takes no"
            raise SpecError(f"Static({self.fact!r}) {needs} grouper=.")

    def to_dict(self) -> dict[str, AnyValue]:
        """Return the specification as plain JSON values."""
        content = {"aggregation": "static", **self.__dict__}
        return {k: v for k, v in content.items() if v is not None}


@dataclass(frozen=True)
class Score:
    """A published score, with its components, computed from other features.

    Parameters
    ----------
    formula : str
        One of `riskmodels.features.formulas.FORMULAS`, such as ``"lace"``.
    role : {'predict', 'adjust'}
        See `LookBack`.
    label : str, optional
        What a person calls it, for a formula of one column. Default: the formula's own words.
    """

    formula: str
    role: str = "predict"
    label: str | None = None
    aggregation: ClassVar[str] = "score"

    def __post_init__(self) -> None:
        """Check the words."""
        from riskmodels.features.formulas import FORMULAS  # which needs the specifications above

        one_of(self.role, ROLES, "role")
        one_of(self.formula, tuple(FORMULAS), "formula")
        columns = FORMULAS[self.formula].outputs
        if self.label is not None and len(columns) > 1:
            raise SpecError(
                f"{self.formula!r} gives {len(columns)} columns, which one label cannot name.\n"
                "Fix: leave the label out."
            )

    def to_dict(self) -> dict[str, AnyValue]:
        """Return the specification as plain JSON values."""
        named = {} if self.label is None else {"label": self.label}
        return {"aggregation": "score", "formula": self.formula, "role": self.role, **named}


Spec = LookBack | Static | Score

SPECS: dict[str, type[LookBack] | type[Static] | type[Score]] = {
    **{cls.aggregation: cls for cls in (Count, Any, Sum, Mean, Last, Slope, DaysSince, Distinct)},
    "static": Static,
    "score": Score,
}


def spec_from_dict(content: Mapping[str, AnyValue]) -> Spec:
    """Read a specification from `to_dict`.

    Raises
    ------
    SpecError
        Where a key or a word is unknown, with the nearest known one.
    """
    rest = dict(content)
    aggregation = str(rest.pop("aggregation", ""))
    if aggregation not in SPECS:
        hint = did_you_mean(aggregation, SPECS)
        raise SpecError(
            f"Unknown aggregation {aggregation!r}. {hint} One of your own is known once the module that "
            "registers it is imported."
        )
    cls = SPECS[aggregation]
    allowed = tuple(f for f in cls.__dataclass_fields__)
    for key in rest:
        if key not in allowed:
            raise SpecError(f"Unknown key {key!r} in a {aggregation} feature. {did_you_mean(key, allowed)}")
    if issubclass(cls, LookBack):
        for key in ("source", "windows"):
            if key not in rest:
                raise SpecError(f"A {aggregation} feature needs the key {key!r}.")
        return cls(source_from_dict(rest.pop("source")), rest.pop("windows"), **rest)
    return cls(**rest)
