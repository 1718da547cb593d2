"""How a report writes numbers."""

from collections.abc import Iterable
from typing import Any

from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["ABSENT", "count", "decimal", "dollars", "listed", "percent", "small_count", "span"]

ABSENT = "–"


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


def dollars(value: float | None, *, short: bool = False) -> str:
    """Write dollars, millions in words or, where there is no room, as M."""
    if value is None:
        return ABSENT
    if abs(value) >= 1e6:
        return f"${value / 1e6:,.2f}{'M' if short else ' million'}".replace("$-", "−$")
    return f"${value:,.0f}".replace("$-", "−$")


def span(lower: str, upper: str) -> str:
    """Write an interval from its limits; nothing where one is absent."""
    if ABSENT in (lower, upper):
        return ""
    return f"{lower} to {upper}" if "−" in lower + upper or "million" in lower + upper else f"{lower}–{upper}"


def listed(items: Iterable[Any]) -> str:
    """Write items as a list in a sentence: ``"a, b and c"``."""
    words = [str(item) for item in items]
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
