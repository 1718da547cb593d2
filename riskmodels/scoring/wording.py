"""Features in words: ``3 ED visits in the 90 days before admission``."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from riskmodels.terminology import Grouper

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn, FeatureSet

__all__ = ["Wording", "reason_topic"]

COUNTS = ("count", "distinct", "sum")
# How `riskmodels.features` words a window at the end of a label, with or without brackets.
WINDOW = re.compile(
    r" \(?(in the (last )?\d+ (days?|hours?)|\d+ (days?|hours?) to \d+ (days?|hours?) |during the stay|"
    r"at any time before|since admission|more than \d+ ).*$"
)
# Amounts, and lists, that no number can go before; what a count is of or for may be a list.
NO_COUNT = re.compile(r"^Sum of |^Number of |dollars|^((?! of | for ).)*,")
OF_WHAT = re.compile(r" (?:of|for) ")
IN_BRACKETS = re.compile(r" \((?:Charlson|Elixhauser)\)")
DISPOSITIONS = {
    "home": "Discharged home",
    "home_health": "Discharged home with home health care",
    "snf": "Discharged to a skilled nursing facility",
    "rehab": "Discharged to inpatient rehabilitation",
    "transfer": "Transferred to another hospital",
    "hospice": "Discharged to hospice",
    "ama": "Left against medical advice",
    "psychiatric": "Discharged to a psychiatric hospital",
    "long_term_care": "Discharged to long-term care",
    "other": "Discharged elsewhere",
}


@dataclass(frozen=True)
class Wording:
    """Says what a feature's value means for one patient.

    Parameters
    ----------
    columns : mapping of str to FeatureColumn
        The features by name.
    level_labels : mapping of str to mapping
        By category feature, the words for its levels.
    """

    columns: Mapping[str, "FeatureColumn"]
    level_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, feature_set: "FeatureSet") -> "Wording":
        """Return the wording of a feature set; code groups go by the labels of their grouper."""
        labels: dict[str, Mapping[str, str]] = {"discharge_disposition": DISPOSITIONS}
        for spec in feature_set.specs:
            name = getattr(spec, "grouper", None)
            if name:
                grouper: Grouper = feature_set.grouper(name)
                fact = getattr(spec, "fact", "")
                labels[getattr(spec, "name", None) or fact] = grouper.labels
        return cls({column.name: column for column in feature_set.every_column}, labels)

    def say(self, name: str, value: Any) -> str:
        """Return a feature and its value in words.

        >>> from riskmodels.features import Count, Encounters, FeatureSet
        >>> visits = Count(Encounters("emergency"), "90d", name="ed", label="ED visits")
        >>> words = Wording.of(FeatureSet("example", [visits]))
        >>> words.say("ed", 3.0), words.say("ed", 1.0)
        ('3 ED visits in the last 90 days', '1 ED visit in the last 90 days')
        """
        return self._say(self.columns[name], value).replace("365 days", "year")

    def _say(self, column: "FeatureColumn", value: Any) -> str:
        label = IN_BRACKETS.sub("", column.label)
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        if column.kind == "category":
            return self._category(column, label, None if missing else str(value))
        if column.aggregation == "days_since":
            return _days_since(label, None if missing else float(value))
        if missing:
            return f"{label}: not known"
        if column.kind == "flag":
            if value:
                return label
            return f"No {_lower_first(label)}" if column.aggregation == "any" else f"{label}: no"
        if column.name == "age":
            return f"{_number(float(value))} years old"
        if column.aggregation in COUNTS and not NO_COUNT.search(label):
            return _count(label, float(value))
        return f"{label.replace(',', '')}: {_number(float(value))}"

    def _category(self, column: "FeatureColumn", label: str, level: str | None) -> str:
        if level is None:
            return f"{label}: not known"
        said = self.level_labels.get(column.name, {}).get(level, level.replace("_", " "))
        return (
            said
            if column.name == "discharge_disposition" and said in DISPOSITIONS.values()
            else f"{label}: {said}"
        )


def reason_topic(column: "FeatureColumn") -> str:
    """Return what features have in common that are one reason: ED visits in whatever window, the diagnosis.

    Their contributions are added up; features of one topic say nearly the same and share it at random.
    """
    if column.name.startswith("principal_diagnosis") or column.name == "drg":
        return "index diagnosis"
    if column.aggregation == "score":
        return f"score: {column.source}"
    if column.group is not None:
        return f"{column.source.partition(':')[0]} {column.group}"
    if column.source.startswith(("encounter: ", "event: ")) and column.aggregation != "static":
        kind = "paid" if column.name.startswith("paid") else column.source
        window = column.window or ""
        during_the_stay = window == "stay" or window.endswith(" after admission")
        return f"{kind}{' during the stay' if during_the_stay else ''}"
    return column.name


def _days_since(label: str, days: float | None) -> str:
    what = WINDOW.sub("", label)
    if days is None:
        window = label[len(what) :].replace("(", "").replace(")", "")
        return f"No {what.removeprefix('Days since the last ')}{window}"
    rounded = math.floor(days)
    return f"{rounded:,} {_singular_if_one(_lower_first(what), rounded)}"


def _count(label: str, value: float) -> str:
    what = WINDOW.sub("", label)
    window = label[len(what) :]
    if value == 0:
        return f"No {_lower_first(label)}"
    of = OF_WHAT.search(what)
    head, rest = (what, "") if of is None else (what[: of.start()], what[of.start() :])
    return f"{_number(value)} {_singular_if_one(_lower_first(head), value, last=True)}{rest}{window}"


def _singular_if_one(words: str, value: float, *, last: bool = False) -> str:
    """Take the plural s off the first, or the last, of the words if there is one of it."""
    if value != 1:
        return words
    place = -1 if last else 0
    parts = words.split(" ")
    if parts[place].lower().endswith("diagnoses"):
        parts[place] = f"{parts[place][:-2]}is"
    elif parts[place].endswith("s") and not parts[place].endswith("ss"):
        parts[place] = parts[place][:-1]
    return " ".join(parts)


def _lower_first(text: str) -> str:
    """Return text with a small first letter, unless the first word is an abbreviation."""
    return (
        text
        if len(text) > 1 and (text[1].isupper() or not text[1].isalpha())
        else text[:1].lower() + text[1:]
    )


def _number(value: float) -> str:
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}"
