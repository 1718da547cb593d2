"""The compiled loops behind the risk scores: identifiers to numbers, HCCs as bits, factors added up.

A member's HCCs are bits of a few 64-bit words, so that a hierarchy, a group of an interaction or the count of
payment HCCs is one operation on a word. Identifiers are looked up by two independent 64-bit hashes, one for
the place and one to compare, so that no text is read twice.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["Masks", "add_factors", "disease", "encode", "find", "index", "mark"]

_DE_BRUIJN = 0x03F79D71B4CB0A89
_ONE = np.uint64(1)
_SHIFT = np.uint64(58)
_MULTIPLIER = np.uint64(_DE_BRUIJN)
STATES_FROM = np.uint64(60)
# Place of the only bit of a word, by the top six bits of its product with a de Bruijn number.
BIT = np.zeros(64, dtype=np.int64)
BIT[[((_DE_BRUIJN << place) % 2**64) >> 58 for place in range(64)]] = np.arange(64)


class Masks(NamedTuple):
    """What a model does with HCCs, as bits: `words` 64-bit words hold the HCCs in the model's order."""

    allowed: np.ndarray  # uint64 (words,), HCCs that the model never takes away before the hierarchies
    needy: np.ndarray  # int64 (needs,), an HCC that counts only beside another
    others: np.ndarray  # uint64 (needs, words), those others
    drops: np.ndarray  # uint64 (HCCs, words), what each HCC drops
    groups: np.ndarray  # uint64 (groups, words), the HCCs of each group of some interaction
    asked: np.ndarray  # uint64 (interactions,), the groups that one asks for, and from bit 60 on the states
    variables: np.ndarray  # int16 (HCCs + interactions + 10,), their places in the table of factors; -1: none
    n_hccs: int
    counts: bool  # whether the last ten variables, the counts of payment HCCs, are used


@njit(cache=True, nogil=True)
def encode(place, check):  # type: ignore[no-untyped-def]
    """Return a number for each row, equal where both hashes are, and the first row of each number."""
    size = 1 << 12
    slots = np.full(size, -1, dtype=np.int32)
    number = np.empty(len(place), dtype=np.int32)
    first = np.empty(len(place), dtype=np.int64)
    count = 0
    for row in range(len(place)):
        slot = place[row] & np.uint64(size - 1)
        while slots[slot] >= 0 and check[first[slots[slot]]] != check[row]:
            slot = (slot + _ONE) & np.uint64(size - 1)
        if slots[slot] >= 0:
            number[row] = slots[slot]
            continue
        slots[slot] = number[row] = count
        first[count] = row
        count += 1
        if 2 * count > size:
            size *= 4
            slots = np.full(size, -1, dtype=np.int32)
            for other in range(count):
                slot = place[first[other]] & np.uint64(size - 1)
                while slots[slot] >= 0:
                    slot = (slot + _ONE) & np.uint64(size - 1)
                slots[slot] = other
    return number, first[:count].copy()


@njit(cache=True, nogil=True)
def index(place, check):  # type: ignore[no-untyped-def]
    """Return an open-addressing table of rows (hash to compare, row + 1), and whether two have one hash."""
    size = 1
    while size < 2 * len(place):
        size *= 2
    table = np.zeros((size, 2), dtype=np.uint64)
    twice = False
    for row in range(len(place)):
        slot = place[row] & np.uint64(size - 1)
        while table[slot, 1] > 0:
            twice |= table[slot, 0] == check[row]
            slot = (slot + _ONE) & np.uint64(size - 1)
        table[slot, 0] = check[row]
        table[slot, 1] = row + 1
    return table, twice


@njit(cache=True, nogil=True)
def find(table, place, check, found):  # type: ignore[no-untyped-def]
    """Write the indexed row of each row to `found`, -1 for one that is not in the table."""
    last = np.uint64(len(table) - 1)
    for row in range(len(place)):
        slot = place[row] & last
        while table[slot, 1] > 0 and table[slot, 0] != check[row]:
            slot = (slot + _ONE) & last
        found[row] = np.int64(table[slot, 1]) - 1


@njit(cache=True, nogil=True)
def mark(row, code, start, column, rule, instead, limits, age, female, bits):  # type: ignore[no-untyped-def]
    """Set the bit of each diagnosis' HCCs, after the age and sex edits.

    A code's HCCs are `column[start[code]:start[code + 1]]`; `rule` is the edit of each, -1 for none. Where an
    edit holds, the HCC is `instead[rule]`, -1 for none. `limits` has for each edit the age up to and from
    which it holds, and the sex: 0 male, 1 female, -1 any.
    """
    for diagnosis in range(len(row)):
        member = row[diagnosis]
        if member < 0:
            continue
        for at in range(start[code[diagnosis]], start[code[diagnosis] + 1]):
            hcc, edit = column[at], rule[at]
            if edit >= 0 and (
                age[member] <= limits[edit, 0]
                or age[member] >= limits[edit, 1]
                or female[member] == limits[edit, 2]
            ):
                hcc = instead[edit]
            if hcc >= 0:
                bits[member, hcc >> 6] |= _ONE << np.uint64(hcc & 63)


@njit(inline="always")
def _bit(word):  # type: ignore[no-untyped-def]
    """Return the place of the lowest bit of a word that has one."""
    low = word & (~word + _ONE)
    return BIT[(low * _MULTIPLIER) >> _SHIFT]


@njit(inline="always")
def _meets(word, mask):  # type: ignore[no-untyped-def]
    """Tell whether two sets of HCCs have one in common."""
    common = word[0] & mask[0]
    for number in range(1, len(word)):
        common |= word[number] & mask[number]
    return common != 0


@njit(cache=True, nogil=True)
def _member(bits, state, hierarchies, masks, after, held):  # type: ignore[no-untyped-def]
    """Write one member's variables to `held`, in the model's order, and return how many there are.

    `after` is scratch for the bits after hierarchies. A variable that the table of factors lacks is left out.
    """
    words = len(bits)
    some = bits[0]
    for word in range(1, words):
        some |= bits[word]
    if some == 0:
        return 0
    for word in range(words):
        bits[word] &= masks.allowed[word]
    for need in range(len(masks.needy)):
        if not _meets(bits, masks.others[need]):
            hcc = masks.needy[need]
            bits[hcc >> 6] &= ~(_ONE << np.uint64(hcc & 63))
    after[:] = bits
    if hierarchies:
        for word in range(words):
            rest = bits[word]
            while rest:
                hcc = 64 * word + _bit(rest)
                rest &= rest - _ONE
                for other in range(words):
                    after[other] &= ~masks.drops[hcc, other]
    count = payable = 0
    for word in range(words):
        rest = after[word]
        while rest:
            variable = masks.variables[64 * word + _bit(rest)]
            rest &= rest - _ONE
            payable += 1
            if variable >= 0:
                held[count] = variable
                count += 1
    if payable == 0:
        return 0
    met = np.uint64(state) << STATES_FROM
    for group in range(len(masks.groups)):
        if _meets(after, masks.groups[group]):
            met |= _ONE << np.uint64(group)
    for number in range(len(masks.asked)):
        if masks.asked[number] & ~met == 0 and masks.variables[masks.n_hccs + number] >= 0:
            held[count] = masks.variables[masks.n_hccs + number]
            count += 1
    if masks.counts:
        variable = masks.variables[masks.n_hccs + len(masks.asked) + min(payable, 10) - 1]
        if variable >= 0:
            held[count] = variable
            count += 1
    return count


@njit(cache=True, nogil=True)
def disease(bits, state, segment, values, hierarchies, masks):  # type: ignore[no-untyped-def]
    """Return each member's sum of disease factors, and what it is made of: members, variables, factors.

    An HCC is listed always, an interaction or a count where it adds something.
    """
    after = np.empty(bits.shape[1], dtype=np.uint64)
    held = np.empty(len(masks.variables), dtype=np.int16)
    is_hcc = np.zeros(values.shape[1], dtype=np.bool_)
    is_hcc[masks.variables[: masks.n_hccs]] = True
    total = np.zeros(len(bits))
    row = np.empty(2 * len(bits) + len(held), dtype=np.int32)
    variable, factor = np.empty(len(row), dtype=np.int16), np.empty(len(row))
    filled = 0
    for member in range(len(bits)):
        if filled + len(held) > len(row):
            row, variable, factor = _doubled(row), _doubled(variable), _doubled(factor)
        for place in range(_member(bits[member], state[member], hierarchies, masks, after, held)):
            value = values[segment[member], held[place]]
            total[member] += value
            if value != 0 or is_hcc[held[place]]:
                row[filled], variable[filled], factor[filled] = member, held[place], value
                filled += 1
    return total, row[:filled], variable[:filled], factor[:filled]


@njit(inline="always")
def _doubled(array):  # type: ignore[no-untyped-def]
    larger = np.empty(2 * len(array), dtype=array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def add_factors(segment, variables, values, total):  # type: ignore[no-untyped-def]
    """Add the factor of each member's variable to `total`; `values` has a last row and column of 0 for -1."""
    for member in range(len(segment)):
        total[member] += values[segment[member], variables[member]]
