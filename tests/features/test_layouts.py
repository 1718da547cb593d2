"""However a shard and its cases lie in memory, features are the same, and nothing beside them is read."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import feature_strategies as strategies
import numpy as np
import polars as pl
import pytest
from feature_tables import GROUPER, VOCABULARY, cases, day, reference, shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskmodels.features import (
    Count,
    Distinct,
    Events,
    FeatureSet,
    Last,
    Mean,
    Sum,
    build_shard_features,
)
from riskmodels.features import build as build_module
from riskmodels.features.laying import _places

odd_amounts = st.sampled_from([None, math.nan, math.inf, 0.0, 1.5, -2.0])
layouts = st.fixed_dictionaries(
    {"before": st.integers(0, 11), "after": st.integers(0, 3), "cut": st.integers(0, 15)}
)


def laid_out(frame: pl.DataFrame, before: int, after: int, cut: int) -> pl.DataFrame:
    """Return the same rows as a slice of a longer frame, so many rows in, and in two pieces."""
    if frame.is_empty():
        return frame
    longer = pl.concat([frame[:1]] * before + [frame] + [frame[-1:]] * after, rechunk=True)
    slice_of_it = longer.slice(before, frame.height)
    return pl.concat([slice_of_it[:cut], slice_of_it[cut:]], rechunk=False) if cut else slice_of_it


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    strategies.encounter_rows(),
    strategies.event_rows,
    st.lists(strategies.case_rows(), min_size=1, max_size=3).map(
        lambda lists: [row for rows in lists for row in rows]
    ),
    st.lists(strategies.specs(), min_size=1, max_size=4),
    st.tuples(layouts, layouts, layouts),
    st.data(),
)
def test_specifications_side_by_side_equal_the_reference_in_any_layout(
    encounters, events, rows, specs, shapes, data
):
    """Several at once, odd amounts, cases in blocks, and tables that are slices of others, in pieces."""
    odd = [{**row, "value": data.draw(odd_amounts)} for row in events]
    known_only, block = data.draw(st.booleans()), data.draw(st.integers(1, 4))
    named = [
        type(spec)(
            spec.source, spec.windows, value=spec.value, anchor=spec.anchor, name=f"f{n}_{{group}}_{{window}}"
        )
        for n, spec in enumerate(specs)
    ]
    feature_set = FeatureSet("s", named, [GROUPER])
    whole, index_cases = shard(encounters, odd), cases(*rows)
    moved = replace(
        whole, encounter=laid_out(whole.encounter, **shapes[0]), event=laid_out(whole.event, **shapes[1])
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build_module, "CASES_AT_ONCE", block)
        placed = laid_out(index_cases, **shapes[2])
        frame = build_shard_features(moved, placed, feature_set, VOCABULARY, known_only=known_only).frame
    for case, got in zip(index_cases.iter_rows(named=True), frame.iter_rows(named=True), strict=True):
        for part in feature_set.parts():
            expected = reference(whole, case, part.spec, part.window, part.group, known_only)
            if expected is None or math.isnan(expected):
                assert got[part.name] is None, part
            else:
                assert math.isclose(got[part.name], expected, rel_tol=1e-9, abs_tol=1e-9), part


@pytest.mark.parametrize("n_cases", [2047, 2048, 2049, 4500])
def test_more_cases_than_are_filled_at_once(n_cases):
    """A case's features do not depend on how many stand before it, nor on where it stands among them."""
    events = [
        {"person": p, "time": day(p % 5 + n), "kind": "lab", "code": n, "value": float(p + n), "encounter": n}
        for p in range(40)
        for n in range(3)
    ]
    rows = [{"person": n % 50, "index_time": day(n % 11), "stay_encounters": [n % 2]} for n in range(n_cases)]
    specs = [
        Count(Events("lab"), ("2d", "2d+stay", "all"), name="n_{window}"),
        Distinct(Events("lab"), "all", name="codes"),
        Sum(Events("lab"), "4d", name="sum"),
        Last(Events("lab"), ("1d", "4d"), name="last_{window}"),
    ]
    data, feature_set = shard((), events), FeatureSet("s", specs, [GROUPER])
    frame = build_shard_features(data, cases(*rows), feature_set, VOCABULARY).frame.drop("index_id")
    few = cases(*rows[:550])  # they repeat: 50 persons, 11 days, 2 stays
    again = build_shard_features(data, few, feature_set, VOCABULARY).frame.drop("index_id")
    assert frame.equals(again[np.arange(n_cases) % 550])
    for case, got in zip(few.iter_rows(named=True), again.iter_rows(named=True), strict=True):
        for part in feature_set.parts():
            assert got[part.name] == reference(data, case, part.spec, part.window, part.group), part


def test_all_four_amounts_and_sixty_four_conditions_are_told_apart():
    """Each column of amounts, and each of the most conditions there may be, is its own."""
    amounts = {"value": 1.0, "days_supply": 20.0, "quantity": 300.0, "paid": None}
    rows = [{"person": 0, "time": day(n / 64), "kind": "drug", "code": 0, "position": n} for n in range(64)]
    events = [{**row, **amounts, "paid": 4000.0 if n == 63 else None} for n, row in enumerate(rows)]
    specs = [
        *(Mean(Events("drug"), "all", value=name, name=name) for name in amounts),
        *(Count(Events(where={"position": tuple(range(n + 1))}), "all", name=f"to_{n}") for n in range(64)),
    ]
    given_set = FeatureSet("s", specs, [GROUPER])
    got = build_shard_features(shard((), events), cases({"index_time": day(1)}), given_set, VOCABULARY).frame
    assert got.row(0)[1:] == (1.0, 20.0, 300.0, 4000.0, *map(float, range(1, 65)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=80), st.lists(st.integers(-2, 63), max_size=20))
def test_the_rows_of_a_person_are_found_wherever_the_search_was(persons, wanted):
    """Persons asked for in any order, also such as have no rows."""
    persons, wanted = np.array(sorted(persons), np.int32), np.array(wanted, np.int32)
    low, high = _places(persons, wanted)
    assert low.tolist() == np.searchsorted(persons, wanted, "left").tolist()
    assert high.tolist() == np.searchsorted(persons, wanted, "right").tolist()


@pytest.mark.skipif(os.name == "nt", reason="pages are protected otherwise there")
def test_the_kernel_reads_nothing_beside_its_arrays():
    """With memory that cannot be read right behind every array, it runs: not a byte beyond any end."""
    program = Path(__file__).parent / "guarded_kernel.py"
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
