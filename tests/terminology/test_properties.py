"""The join of codes and prefixes finds what a plain search through the table finds."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.terminology import Grouper, care, charlson, clinical_groups, elixhauser

PREFIXES = st.tuples(
    st.sampled_from(["ICD9CM", "ICD10CM"]), st.text("0I5.", min_size=1, max_size=4), st.integers(0, 2)
)


def plain(code: str) -> str:
    return code.upper().replace(".", "").replace(" ", "")


def search(grouper: Grouper, system: str, code: str) -> set[int]:
    hits = [
        (len(prefix), group)
        for its_system, prefix, group in grouper.prefixes
        if its_system == system and plain(code).startswith(prefix)
    ]
    longest = max((length for length, _ in hits), default=0)
    return {group for length, group in hits if length == longest or not grouper.exclusive}


@settings(max_examples=60, deadline=None)
@given(
    table=st.lists(PREFIXES, min_size=1, max_size=8),
    codes=st.lists(st.tuples(st.sampled_from(["ICD9CM", "ICD10CM", "NDC"]), st.text("0i5. ", max_size=5))),
    exclusive=st.booleans(),
)
def test_assign_agrees_with_a_plain_search(
    table: list[tuple[str, str, int]], codes: list[tuple[str, str]], exclusive: bool
) -> None:
    prefixes = {(system, plain(prefix), group) for system, prefix, group in table if plain(prefix)}
    if not prefixes:
        return
    grouper = Grouper(
        name="test",
        version="1",
        source="here",
        licence="none",
        groups=("a", "b", "c"),
        labels={"a": "A", "b": "B", "c": "C"},
        prefixes=tuple(sorted(prefixes)),
        exclusive=exclusive,
    )
    assigned = grouper.assign(
        pl.Series([system for system, _ in codes], dtype=pl.String),
        pl.Series([code for _, code in codes], dtype=pl.String),
    )
    expected = [
        (row, group)
        for row, (system, code) in enumerate(codes)
        for group in sorted(search(grouper, system, code))
    ]
    assert assigned.rows() == expected
    unknown = grouper.unknown(
        pl.Series([system for system, _ in codes], dtype=pl.String),
        pl.Series([code for _, code in codes], dtype=pl.String),
    )
    without = [pair for pair in codes if not search(grouper, *pair)]
    assert unknown["rows"].sum() == len(without)
    assert set(unknown.select("code_system", "code").iter_rows()) == set(without)


@pytest.mark.parametrize(
    "table", [charlson, elixhauser, clinical_groups, care], ids=lambda table: table.__name__
)
def test_every_prefix_of_a_table_finds_its_own_group(table) -> None:
    grouper = table()
    systems, prefixes, groups = zip(*grouper.prefixes, strict=True)
    assigned = grouper.assign(pl.Series(systems), pl.Series(prefixes))
    assert set(enumerate(groups)) <= set(assigned.iter_rows())
