"""From raw score to payment score: normalisation, coding pattern adjustment and blend, by payment year."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from riskmodels.errors import SpecError

__all__ = ["Factor", "blend_shares", "factor", "half_up", "known_years"]

_FUZZ = 1e-9
"""A decimal such as 0.9965 is stored a hair below itself; SAS's ROUND, which CMS uses, allows for that."""


@dataclass(frozen=True)
class Factor:
    """What divides and reduces a raw score in one year.

    Parameters
    ----------
    normalisation : float
        The average raw score of the fee-for-service population in the year, by CMS's projection.
    coding_adjustment : float
        The MA coding pattern adjustment as a share (Social Security Act 1853(a)(1)(C)(ii)(III)); 0 in Part D.
    source : str
    verified : bool
        Whether a second source was found to say the same.
    """

    normalisation: float
    coding_adjustment: float
    source: str
    verified: bool

    def apply(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the normalised score and the payment score, each rounded to three places."""
        normalised = half_up(raw / self.normalisation)
        return normalised, half_up(normalised * (1 - self.coding_adjustment))


def half_up(value: np.ndarray, decimals: int = 3) -> np.ndarray:
    """Return `value` rounded to `decimals`, halves away from zero."""
    scale = 10.0**decimals
    return np.sign(value) * np.floor(np.abs(value) * scale + 0.5 + _FUZZ) / scale


def factor(model: str, year: int, part: str | None = None) -> Factor:
    """Return the factor of a model and year.

    Parameters
    ----------
    part : str, optional
        Where a year has several: ``"dialysis"`` or ``"graft"`` in ESRD; ``"MA-PD"``, ``"PDP"`` or
        ``"PACE"`` in RxHCC.

    Raises
    ------
    SpecError
        Where the year is not known, naming those that are.
    """
    for row in _content()["factor"]:
        if row["model"] == model and row["year"] == year and row.get("part") == part:
            return Factor(row["normalisation"], row["coding_adjustment"], row["source"], row["verified"])
    years = ", ".join(map(str, known_years(model)))
    raise SpecError(f"{model} has no normalisation factor for payment year {year}. Years known: {years}.")


def known_years(model: str) -> tuple[int, ...]:
    """Return the payment years whose factors are known, in order."""
    return tuple(sorted({row["year"] for row in _content()["factor"] if row["model"] == model}))


def blend_shares(year: int) -> Mapping[str, float]:
    """Return the share of each CMS-HCC model in the payment scores of a year.

    Raises
    ------
    SpecError
        Where the year is not known, naming those that are.
    """
    rows = {row["year"]: row["shares"] for row in _content()["blend"]}
    if year not in rows:
        raise SpecError(
            f"no blend is known for payment year {year}. Years known: {', '.join(map(str, rows))}."
        )
    shares: Mapping[str, float] = rows[year]
    return shares


@cache
def _content() -> dict[str, Any]:
    path = resources.files(__package__) / "data" / "factors.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
