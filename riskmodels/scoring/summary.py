"""What a scoring job did, in numbers that may be shown."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["ScoreSummary", "say_count"]


@dataclass(frozen=True)
class ScoreSummary:
    """What a scoring job did.

    Parameters
    ----------
    path : Path
        The folder of the scores.
    rows : int
        Index discharges scored, over all shards.
    by_band : dict of str to int
        How many of them in each risk band, from low to high.
    computed, shards : int
        Shards computed now, of how many; the others were there from an earlier start.
    warnings : tuple of str
        What the data contract had to remark.
    """

    path: Path
    rows: int
    by_band: dict[str, int]
    computed: int
    shards: int
    model: str
    version: str
    as_of: datetime
    since: datetime
    warnings: tuple[str, ...] = ()

    @property
    def already_done(self) -> bool:
        """Return whether the job had ended before, so that nothing was done."""
        return self.computed == 0

    def to_text(self) -> str:
        """Return a summary of a few lines, small counts suppressed."""
        state = "was done already, nothing to do" if self.already_done else f"{self.computed} computed now"
        hidden = _hidden(self.by_band)
        bands = ", ".join(
            f"{name} {'few' if name in hidden else f'{rows:,}'}" for name, rows in self.by_band.items()
        )
        scored = f"discharges from {self.since:%Y-%m-%d} to {self.as_of:%Y-%m-%d}"
        if self.since == self.as_of:
            scored = f"persons on {self.as_of:%Y-%m-%d}"
        lines = [
            f"{self.path}: {say_count(self.rows)} {scored}",
            f"  model: {self.model} version {self.version}",
            f"  risk bands: {bands}",
            f"  {self.shards} shards: {state}",
        ]
        return "\n".join([*lines, *(f"  Note: {warning}" for warning in self.warnings)])


def _hidden(counts: dict[str, int]) -> set[str]:
    """Return the names of counts of 1 to 10; where there is one alone, the next smallest too.

    The total is said beside them, and from it a single hidden count could be worked out.
    """
    small = {name for name, rows in counts.items() if 0 < rows < SMALLEST_CELL}
    others = [name for name, rows in counts.items() if rows and name not in small]
    if len(small) == 1 and others:
        small.add(min(others, key=lambda name: counts[name]))
    return small


def say_count(rows: int) -> str:
    """Return a number of rows, small ones without saying how many."""
    return "fewer than 11" if 0 < rows < SMALLEST_CELL else f"{rows:,}"
