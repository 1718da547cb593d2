"""Hierarchies, interactions and counts of payment HCCs, for many members at once."""

from collections.abc import Iterator

import numpy as np

from riskmodels.benchmarks.hcc.members import Members
from riskmodels.benchmarks.hcc.tables import ModelTables

__all__ = ["disease_variables"]

CHUNK = 8192
"""Members at a time: a matrix of members by HCCs of one byte a cell, of about 1 MB, stays in the cache."""


def disease_variables(
    row: np.ndarray, column: np.ndarray, members: Members, tables: ModelTables, *, hierarchies: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the disease variables that hold: HCCs after hierarchies, interactions and the count.

    Parameters
    ----------
    row, column : np.ndarray
        Member and HCC (place in `ModelTables.hccs`), in any order.

    Returns
    -------
    row, variable : np.ndarray
        Member and place in `ModelTables.variables`, sorted by member; -1 for one that it does not have.
    """
    found = list(_chunks(row, column, members, tables, hierarchies))
    if not found:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int16)
    return np.concatenate([rows for rows, _ in found]), np.concatenate([names for _, names in found])


def _chunks(
    row: np.ndarray, column: np.ndarray, members: Members, tables: ModelTables, hierarchies: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    disabled, nonaged = members.disabled, ~members.aged
    starts = range(0, len(members), CHUNK)
    # Small numbers, so that the sort is one of counting.
    chunk = (row // CHUNK).astype(np.int16 if len(starts) < 2**15 else np.int32)
    order = np.argsort(chunk, kind="stable")
    row, column = row[order], column[order]
    bounds = np.searchsorted(chunk[order], np.arange(len(starts) + 1))
    for number, start in enumerate(starts):
        stop = min(start + CHUNK, len(members))
        here = slice(bounds[number], bounds[number + 1])
        has = np.zeros((len(tables.hccs), stop - start), dtype=bool)
        has[column[here], row[here] - start] = True
        has = _after_hierarchies(has, tables, hierarchies)
        states = {"DISABLED": disabled[start:stop], "NONAGED": nonaged[start:stop]}
        names, holds = _interactions(has, states, tables)
        variables = np.concatenate([tables.lookup([f"{tables.prefix}{hcc}" for hcc in tables.hccs]), names])
        which, member = np.divmod(np.flatnonzero(np.vstack([has, holds])), stop - start)
        by_member = np.argsort(member.astype(np.int16 if CHUNK < 2**15 else np.int32), kind="stable")
        member, which = member[by_member], which[by_member]
        yield member + start, variables[which]


def _after_hierarchies(has: np.ndarray, tables: ModelTables, hierarchies: bool) -> np.ndarray:
    """Drop what a more severe HCC of the same member drops; `has` is HCCs by members."""
    place = {hcc: index for index, hcc in enumerate(tables.hccs)}
    for hcc in tables.never:
        has[place[hcc]] = False
    for hcc, others in tables.needs_other.items():
        has[place[hcc]] &= has[[place[other] for other in others]].any(axis=0)
    if not hierarchies:
        return has
    after = has.copy()
    for hcc, dropped in tables.drops.items():
        lower = [place[other] for other in dropped if other in place]
        after[lower] &= ~has[place[hcc]]
    return after


def _interactions(
    has: np.ndarray, states: dict[str, np.ndarray], tables: ModelTables
) -> tuple[np.ndarray, np.ndarray]:
    """Return interactions and counts: their variables, and for each whether it holds for each member."""
    place = {hcc: index for index, hcc in enumerate(tables.hccs)}
    names, holds = [], []
    for interaction in tables.interactions:
        held = np.ones(has.shape[1], dtype=bool)
        for group in interaction.groups:
            held &= has[[place[hcc] for hcc in group if hcc in place]].any(axis=0)
        for state in interaction.states:
            held &= states[state]
        names.append(interaction.name)
        holds.append(held)
    if tables.counts:
        count = has.sum(axis=0)
        names += [*(f"D{number}" for number in range(1, 10)), "D10P"]
        holds += [*(count == number for number in range(1, 10)), count >= 10]
    return tables.lookup(names), np.array(holds)
