"""The page of `riskmodels check`: what a history can be used for, what to look into, and what is in it."""

from pathlib import Path
from typing import Any

from riskmodels.cohorts.support import Support, alike
from riskmodels.history.plausibility import NO_RATES, NOTHING, Plausibility
from riskmodels.history.quality import Listing, QualityReport
from riskmodels.reports.page import write_page
from riskmodels.reports.writing import count

__all__ = ["write_check_page"]


def write_check_page(
    path: str | Path, name: str, quality: QualityReport, usual: Plausibility, able: tuple[Support, ...]
) -> Path:
    """Write the check of a history as a page that needs no network; small cells are withheld.

    Parameters
    ----------
    path : path
        The HTML file; written whole or not at all.
    name : str
        What the history is called.
    quality, usual, able
        From `riskmodels.history.check`, `riskmodels.history.compare_with_usual` and
        `riskmodels.cohorts.support.support`.

    Returns
    -------
    Path
        Where it was written.
    """
    return write_page(
        path,
        "check.html",
        title=f"Check of {name}",
        meta=f"History from {quality.source_format}{quality.known}",
        lines=_lines(quality, usual, able),
        remarks=usual.remarks,
        tasks=alike(able),
        usual=[_view(listing) for listing in usual.listings()],
        no_rates=NO_RATES if usual.rates.is_empty() else "",
        stock=[_view(listing) for listing in quality.listings() if listing.rows],
    )


def _lines(quality: QualityReport, usual: Plausibility, able: tuple[Support, ...]) -> list[str]:
    """Return what the page says first."""
    verdicts = [entry.verdict for entry in able]
    tasks = (
        f"Of {len(able)} tasks this history supports {verdicts.count('yes')} as they are defined, "
        f"{verdicts.count('in part')} in part and {verdicts.count('no')} not."
    )
    compared = "of what could be compared with published rates or with its own past"
    remarks = f"To look into: {count(len(usual.remarks))} {compared}." if usual.remarks else NOTHING
    odd = len(quality.odd)
    found = f"Odd rows of {odd} {'kind' if odd == 1 else 'kinds'} were found."
    return [tasks, remarks, found if odd else "Nothing odd was found."]


def _view(listing: Listing) -> dict[str, Any]:
    """Return a listing for the template, each cell with whether its column holds numbers."""
    head, body = (listing.rows[0], listing.rows[1:]) if listing.headed else ([], listing.rows)
    return {
        "title": listing.title,
        "head": list(zip(head, listing.numbers, strict=False)),
        "rows": [list(zip(row, listing.numbers, strict=True)) for row in body],
    }
