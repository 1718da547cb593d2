"""Hierarchies, interactions and counts of payment HCCs, for many members at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from riskmodels.benchmarks.hcc.kernels import STATES_FROM, Masks, disease
from riskmodels.benchmarks.hcc.members import Members
from riskmodels.benchmarks.hcc.tables import ModelTables, load_tables

__all__ = ["Diseases", "diseases", "n_words"]

STATES = ("DISABLED", "NONAGED")
THREADS = 2
SMALL = 20_000
"""Members that are not worth a second thread."""


@dataclass(frozen=True)
class Diseases:
    """The disease part of the scores, and what it is made of.

    Parameters
    ----------
    total : np.ndarray of float, shape (members,)
        Sum of the relative factors of HCCs after hierarchies, interactions and the count; not rounded.
    row, variable, factor : np.ndarray
        What adds up to it: member, place in `ModelTables.variables`, relative factor; sorted by member. HCCs
        are there always, interactions and counts where they add something.
    """

    total: np.ndarray
    row: np.ndarray
    variable: np.ndarray
    factor: np.ndarray


def n_words(tables: ModelTables) -> int:
    """Return how many 64-bit words hold a bit for each HCC of a model."""
    return -(-len(tables.hccs) // 64)


def diseases(
    bits: np.ndarray, segment: np.ndarray, members: Members, tables: ModelTables, *, hierarchies: bool = True
) -> Diseases:
    """Return the disease scores of members.

    Parameters
    ----------
    bits : np.ndarray of uint64, shape (members, n_words)
        The HCCs of each member before hierarchies, by place in `ModelTables.hccs`; changed in place.
    segment : np.ndarray of int16
        Place in `ModelTables.segments`; -1 for none, whose factors are 0.
    """
    masks = _masks(tables.model, tables.coefficients)
    state = members.disabled.astype(np.uint8) | ((~members.aged).astype(np.uint8) << 1)
    count = THREADS if len(bits) > SMALL else 1
    edges = [len(bits) * part // count for part in range(count + 1)]
    parts = [slice(*edge) for edge in pairwise(edges)]
    with ThreadPoolExecutor(count) as threads:
        found = list(
            threads.map(
                lambda part: disease(
                    bits[part], state[part], segment[part], tables.values, hierarchies, masks
                ),
                parts,
            )
        )
    row = [rows + part.start for part, (_, rows, _, _) in zip(parts, found, strict=True)]
    return Diseases(
        np.concatenate([total for total, _, _, _ in found]),
        np.concatenate(row),
        np.concatenate([variable for _, _, variable, _ in found]),
        np.concatenate([factor for _, _, _, factor in found]),
    )


@cache
def _masks(model: str, coefficients: str) -> Masks:
    """Return a model's rules as bits."""
    tables = load_tables(model, coefficients)
    place = {hcc: index for index, hcc in enumerate(tables.hccs)}
    words = n_words(tables)

    def mask(hccs: tuple[int, ...]) -> np.ndarray:
        bits = np.zeros(words, dtype=np.uint64)
        for hcc in hccs:
            if hcc in place:
                bits[place[hcc] >> 6] |= np.uint64(1) << np.uint64(place[hcc] & 63)
        return bits

    def stacked(groups: list[tuple[int, ...]]) -> np.ndarray:
        return np.array([mask(group) for group in groups], dtype=np.uint64).reshape(len(groups), words)

    found = tables.interactions
    groups = list(dict.fromkeys(group for item in found for group in item.groups))
    names = [f"{tables.prefix}{hcc}" for hcc in tables.hccs]
    names += [*(item.name for item in found), *(f"D{number}" for number in range(1, 10)), "D10P"]
    return Masks(
        allowed=~mask(tables.never),
        needy=np.array([place[hcc] for hcc in tables.needs_other], dtype=np.int64),
        others=stacked(list(tables.needs_other.values())),
        drops=stacked([tables.drops.get(hcc, ()) for hcc in tables.hccs]),
        groups=stacked(groups),
        asked=np.array(
            [
                sum(1 << groups.index(group) for group in item.groups)
                + sum(1 << (int(STATES_FROM) + STATES.index(state)) for state in item.states)
                for item in found
            ],
            dtype=np.uint64,
        ),
        variables=tables.lookup(names),
        n_hccs=len(names) - len(found) - 10,
        counts=tables.counts,
    )
