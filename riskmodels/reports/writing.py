"""How a report writes numbers."""

from collections.abc import Iterable
from typing import Any

from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = [
    "ABSENT",
    "count",
    "decimal",
    "dollar_span",
    "dollars",
    "entities",
    "listed",
    "percent",
    "small_count",
    "span",
]

ABSENT = "–"
MILLION = 1e6
# What a benchmark's rows are, by the name of their column.
NOUNS = {
    "facility_id": ("hospital", "hospitals"),
    "provider_id": ("provider", "providers"),
    "attributed_provider": ("provider", "providers"),
    "drg": ("DRG", "DRGs"),
}


def count(value: float | None) -> str:
    """Write a whole number with thousands separated."""
    return ABSENT if value is None else f"{value:,.0f}"


def small_count(value: float | None) -> str:
    """Write a number of people or stays; 1 to 10 are not shown."""
    if value is not None and 0 < value < SMALLEST_CELL:
        return f"<{SMALLEST_CELL}"
    return count(value)


def decimal(value: float | None, digits: int = 2) -> str:
    """Write a number with so many decimals."""
    return ABSENT if value is None else f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share as a percentage."""
    return ABSENT if value is None else f"{value:.{digits}%}".replace("-", "−")


def entities(column: str, number: int | None = None) -> str:
    """Return what the rows of a benchmark by `column` are, in the plural or with their number."""
    one, many = NOUNS.get(column, ("entity", "entities"))
    return many if number is None else f"{number:,} {one if number == 1 else many}"


def dollars(value: float | None, *, short: bool = False, millions: bool | None = None) -> str:
    """Write dollars, millions in words or, where there is no room, as M.

    `millions` says whether they are written as such; without it, those of a million and more are.
    """
    if value is None:
        return ABSENT
    if abs(value) >= MILLION if millions is None else millions:
        return f"${value / MILLION:,.2f}{'M' if short else ' million'}".replace("$-", "−$")
    return f"${value:,.0f}".replace("$-", "−$")


def dollar_span(lower: float | None, upper: float | None, *, short: bool = False) -> str:
    """Write an interval in dollars, both limits in the unit of the larger; nothing where one is absent."""
    if lower is None or upper is None:
        return ""
    millions = max(abs(lower), abs(upper)) >= MILLION
    return span(*(dollars(value, short=short, millions=millions) for value in (lower, upper)))


def span(lower: str, upper: str) -> str:
    """Write an interval from its limits; nothing where one is absent."""
    if ABSENT in (lower, upper):
        return ""
    return f"{lower} to {upper}" if "−" in lower + upper or "million" in lower + upper else f"{lower}–{upper}"


def listed(items: Iterable[Any]) -> str:
    """Write items as a list in a sentence: ``"a, b and c"``."""
    words = [str(item) for item in items]
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
