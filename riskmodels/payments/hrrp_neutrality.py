"""The neutrality modifier of the readmissions program: published, given, or solved for."""

from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import SpecError
from riskmodels.payments.rules import Rules

__all__ = ["neutrality", "solve_neutrality"]


def solve_neutrality(penalties: np.ndarray, plain: np.ndarray, base: np.ndarray, cap: float) -> float:
    """Return the modifier that keeps the program's savings where they were before peer groups.

    Savings are ``Σ base × min(cap, NM × penalty)`` with peer-group medians; they equal
    ``Σ base × min(cap, plain)``, where an excess is measured from 1. (Social Security Act 1886(q)(3)(D)(ii).)

    Parameters
    ----------
    penalties, plain : array of shape (hospitals,)
        Σ DRG ratio × (ERR − median)⁺, and Σ DRG ratio × (ERR − 1)⁺.
    base : array of shape (hospitals,)
        Base operating payments, dollars.
    """
    target = float(np.sum(base * np.minimum(cap, plain)))
    low, high = 0.0, 1.0
    for _ in range(60):  # Doubling to 1e18 means that no modifier reaches the target.
        if np.sum(base * np.minimum(cap, high * penalties)) >= target:
            break
        low, high = high, 2 * high
    else:
        raise SpecError("no neutrality modifier makes these payments budget neutral: give one as a number")
    for _ in range(200):
        middle = (low + high) / 2
        if np.sum(base * np.minimum(cap, middle * penalties)) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def neutrality(
    given: Any, rules: Rules, measures: pl.DataFrame, hospitals: pl.DataFrame
) -> tuple[float, str, str]:
    """Return the modifier, the kind of its source (rules, given, solved) and the source in words.

    Raises
    ------
    SpecError
        Where it has to be solved for and base payments are missing.
    """
    if given is None:
        given = "rules" if "neutrality_modifier" in rules else "solve"
    if given == "rules":
        return rules["neutrality_modifier"], "rules", rules.cite("neutrality_modifier")
    if given != "solve":
        try:
            return float(given), "given", "given by the user"
        except (TypeError, ValueError):
            raise SpecError(f"neutrality_modifier {given!r}: give a number, 'rules' or 'solve'") from None
    base = hospitals["base_operating_payments"]
    if base.null_count():
        raise SpecError(
            f"no source that could be read has the neutrality modifier of {rules.year}: give --base-payments "
            "FILE of all hospitals to solve for it, or the modifier as a number"
        )
    excess = pl.col("excess_readmission_ratio")
    enough = pl.col("counts") & (pl.col("eligible_discharges") >= rules["minimum_discharges"])
    sums = measures.filter(enough).group_by("facility_id").agg(
        (pl.col("drg_payment_ratio") * (excess - pl.col("peer_group_median")).clip(0)).sum().alias("peer"),
        (pl.col("drg_payment_ratio") * (excess - 1).clip(0)).sum().alias("plain"),
    )  # fmt: skip
    both = hospitals.join(sums, on="facility_id", how="left").with_columns(
        pl.col("peer", "plain").fill_null(0)
    )
    modifier = solve_neutrality(
        both["peer"].to_numpy(), both["plain"].to_numpy(), both["base_operating_payments"].to_numpy(),
        rules["maximum_reduction"],
    )  # fmt: skip
    return (
        modifier,
        "solved",
        "solved: these hospitals' reductions as without peer groups",
    )
