"""The kernel against a reference of a few lines, and the properties that make a feature point-in-time."""

import math
from dataclasses import replace
from datetime import timedelta

import feature_strategies as strategies
import polars as pl
import pytest
from feature_tables import GROUPER, VOCABULARY, cases, day, reference, shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError
from riskmodels.features import Count, Distinct, Encounters, Events, FeatureSet, Last, build_shard_features

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def build(data, index_cases, specs, **options):
    return build_shard_features(data, index_cases, FeatureSet("s", specs, [GROUPER]), VOCABULARY, **options)


@quick
@given(
    strategies.encounter_rows(),
    strategies.event_rows,
    strategies.case_rows(),
    strategies.specs(),
    st.booleans(),
)
def test_every_column_equals_the_reference(encounters, events, rows, spec, known_only):
    """What the kernel gives is the definition, for every aggregation, source, window and anchor."""
    data, index_cases = shard(encounters, events), cases(*rows)
    feature_set = FeatureSet("s", [spec], [GROUPER])
    frame = build_shard_features(data, index_cases, feature_set, VOCABULARY, known_only=known_only).frame
    for case, got in zip(index_cases.iter_rows(named=True), frame.iter_rows(named=True), strict=True):
        for part in feature_set.parts():
            expected = reference(data, case, spec, part.window, part.group, known_only)
            if expected is None:
                assert got[part.name] is None, part
            else:
                assert math.isclose(got[part.name], expected, rel_tol=1e-9, abs_tol=1e-9), part


@quick
@given(
    strategies.encounter_rows(),
    strategies.event_rows,
    strategies.case_rows().map(lambda rows: rows[:1]),
    st.lists(strategies.specs(), min_size=1, max_size=1),
    st.lists(strategies.event_row, max_size=8),
    strategies.encounter_rows(),
    st.randoms(),
)
def test_rows_at_or_after_the_index_time_move_nothing(encounters, events, rows, specs, later, others, random):
    """What is dated at or after the prediction instant is no predictor, but for the stay's own rows."""
    case = rows[0]
    t, stay = case["index_time"], case["stay_encounters"]
    shift = [timedelta(0), timedelta(hours=1), timedelta(days=30)]
    added = []
    for row in later:
        at = t + random.choice(shift)
        free = row["encounter"] if row["encounter"] not in stay or at > t else None
        added.append({**row, "person": case["person"], "time": at, "encounter": free})
    stays = []
    for number, row in enumerate(others):
        end = t + random.choice(shift)
        start = end - random.choice([timedelta(0), timedelta(days=5)])
        stays.append({**row, "person": case["person"], "encounter": 100 + number, "start": start, "end": end})
    before, after = shard(encounters, events), shard([*encounters, *stays], [*events, *added])
    index_cases = cases(case)
    assert build(before, index_cases, specs).frame.equals(build(after, index_cases, specs).frame)


@quick
@given(
    strategies.encounter_rows(),
    strategies.event_rows,
    strategies.case_rows(),
    strategies.specs(),
    st.randoms(),
)
def test_case_order_changes_nothing(encounters, events, rows, spec, random):
    """A case's features do not depend on which cases stand around it."""
    data, index_cases = shard(encounters, events), cases(*rows)
    whole = build(data, index_cases, [spec]).frame
    order = list(range(len(rows)))
    random.shuffle(order)
    assert build(data, index_cases[order], [spec]).frame.equals(whole[order])
    for n in order:
        assert build(data, index_cases[n : n + 1], [spec]).frame.equals(whole[n : n + 1])


@quick
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows(), strategies.specs())
def test_patients_are_independent(encounters, events, rows, spec):
    """The rows of another patient move nothing."""
    data, index_cases = shard(encounters, events), cases(*rows)
    whole = build(data, index_cases, [spec]).frame
    for person in range(strategies.N_PERSONS):
        own = replace(
            data,
            encounter=data.encounter.filter(pl.col("person") == person),
            event=data.event.filter(pl.col("person") == person),
        )
        mine = index_cases["person"] == person
        assert build(own, index_cases.filter(mine), [spec]).frame.equals(whole.filter(mine))


@pytest.mark.parametrize("known_only", [False, True])
def test_an_event_that_names_the_encounter_of_another_patient_belongs_to_none(known_only):
    """A shard that is made by hand can hold what a history cannot: it must not join two patients."""
    stay = {"person": 0, "encounter": 0, "kind": "inpatient", "start": day(0), "end": day(0)}
    coded = {"time": day(0), "kind": "diagnosis", "code": 0, "position": 1, "encounter": 0}
    data = shard([stay], [{"person": 0, **coded}, {"person": 1, **coded}])
    spec = Count(Events("diagnosis", where={"encounter_kind": ("inpatient",)}), "1d", name="n")
    rows = cases({"person": 0, "index_time": day(1)}, {"person": 1, "index_time": day(1)})
    assert build(data, rows, [spec], known_only=known_only).frame["n"].to_list() == [1.0, 0.0]


def test_an_event_of_an_encounter_that_was_not_known_belongs_to_none():
    """As in a history that ends there: by its time it may be of the stay, and it adds no encounter."""
    other = {"person": 0, "encounter": 7, "kind": "office", "start": day(2), "end": day(2)}
    ordered = {"person": 0, "time": day(2), "kind": "lab", "code": 4, "encounter": 7}
    case = cases({"admission_time": day(1), "index_time": day(3), "stay_encounters": [2]})
    specs = [
        Count(Events(), "stay", name="of_the_stay"),
        Distinct(Events(), "all", value="encounter", name="encounters"),
    ]
    for recorded, expected in ((day(2.5), (0, 1)), (day(9), (1, 0))):
        data = shard([{**other, "recorded_at": recorded}], [ordered])
        assert build(data, case, specs, known_only=True).frame.row(0)[1:] == expected
        assert build(data, case, specs).frame.row(0)[1:] == (0, 1)


@quick
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows(), strategies.specs())
def test_counts_grow_with_the_window(encounters, events, rows, spec):
    """A window that holds another counts at least as much."""
    if spec.aggregation not in ("count", "any", "distinct"):
        spec = Count(spec.source, "1d", anchor=spec.anchor)
    nested = ["12h", "1d", "5d", "20d", "all"] + ([] if spec.needs_age else ["all+stay"])
    widths = type(spec)(spec.source, nested, value=spec.value, anchor=spec.anchor)
    feature_set = FeatureSet("s", [widths], [GROUPER])
    frame = build_shard_features(shard(encounters, events), cases(*rows), feature_set, VOCABULARY).frame
    for group in {part.group for part in feature_set.parts()}:
        names = [part.name for part in feature_set.parts() if part.group == group]
        for row in frame.select(names).iter_rows():
            assert list(row) == sorted(row)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, 0), (1 / 24, 1), (10, 1), (10 + 1 / 24, 0)],
    ids=["at t", "just before", "at t-w", "older"],
)
def test_windows_are_half_open(age, expected):
    """A row at t - w counts, a row at t does not."""
    data = shard(
        [{"person": 0, "encounter": 1, "kind": "office", "start": day(20 - age), "end": day(20 - age)}]
    )
    frame = build(data, cases({"index_time": day(20)}), [Count(Encounters("office"), "10d", name="n")]).frame
    assert frame["n"].to_list() == [expected]


def test_nothing_of_the_index_time_or_later_counts_though_the_admission_is_later_still():
    """Cases of one's own may name any two instants; the prediction instant is the bound of both."""
    events = [{"person": 0, "time": day(n), "kind": "lab", "code": 4, "value": float(n)} for n in range(9)]
    rows = cases({"index_time": day(4), "admission_time": day(7)})
    windows = ("2d", "4d", "4d:all", "all", "stay", "4d+stay", "1d after", "all after")
    for known_only in (False, True):
        got = build(
            shard((), events),
            rows,
            [Count(Events(), windows, anchor="admission", name="n")],
            known_only=known_only,
        )
        assert got.frame.row(0)[1:] == (0, 1, 3, 4, 0, 1, 0, 0)


@pytest.mark.parametrize("column", ["person", "index_time", "admission_time"])
def test_a_case_without_an_instant_or_a_person_is_refused(column):
    """It would have rows of any time; the message names the case."""
    rows = cases({"index_time": day(4)}, {"index_time": day(5)}).with_columns(
        pl.when(pl.col("index_id") != "case1").then(column)
    )
    with pytest.raises(DataError, match=f"column {column}: row 2 of the index cases has none"):
        build(shard(), rows, [Count(Events(), "2d")])


def test_an_encounter_counts_once_it_is_over():
    """An encounter that is under way at the anchor is not in the window; its end decides."""
    data = shard([{"person": 0, "encounter": 1, "kind": "snf", "start": day(5), "end": day(25)}])
    frame = build(
        data,
        cases({"index_time": day(20)}, {"index_time": day(26)}),
        [Count(Encounters("snf"), "10d", name="n")],
    ).frame
    assert frame["n"].to_list() == [0, 1]


def test_index_stay_is_not_earlier_use():
    """With the admission as anchor neither the stay nor its ED visit counts; with `stay` its own codes do."""
    data = shard(
        [
            {"person": 0, "encounter": 1, "kind": "emergency", "start": day(10), "end": day(10.2)},
            {"person": 0, "encounter": 2, "kind": "inpatient", "start": day(10), "end": day(14)},
        ],
        [
            {"person": 0, "time": day(14), "kind": "diagnosis", "code": 1, "encounter": 2, "position": 1},
            {"person": 0, "time": day(14), "kind": "diagnosis", "code": 3, "encounter": 9, "position": 1},
        ],
    )
    specs = [
        Count(Encounters(), "365d", anchor="admission", name="visits"),
        Count(Events("diagnosis"), "stay", name="coded"),
        Count(Events("diagnosis"), "365d", name="coded_before"),
    ]
    case = cases({"admission_time": day(10), "index_time": day(14), "stay_encounters": [2]})
    assert build(data, case, specs).frame.row(0) == ("case0", 0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("discharge", "expected"),
    [(14.0, [2, 2, 4, 1]), (10.5, [1, 0, 1, 1]), (10.0, [0, 0, 0, 1])],
    ids=["four days", "half a day", "no stay"],
)
def test_a_window_after_admission_ends_before_the_index_time(discharge, expected):
    """A row at the admission counts, one at the window's end or at the discharge does not."""
    at = (9.9, 10.0, 10.5, 11.0, 12.0, 14.0, 15.0)
    results = [{"person": 0, "time": day(a), "kind": "lab", "code": 4, "value": 1.0} for a in at]
    case = cases({"admission_time": day(10), "index_time": day(discharge), "stay_encounters": [2]})
    windows = ("24h after", "1d:3d after", "all after", "30d")
    frame = build(
        shard((), results), case, [Count(Events("lab"), windows, anchor="admission", name="n")]
    ).frame
    assert list(frame.row(0)[1:]) == expected


def test_the_last_of_two_results_at_one_instant_is_the_one_with_the_larger_position():
    """The store keeps rows of one instant and code in order of position; `Last` takes the last of them."""
    results = [
        {"person": 0, "time": day(3), "kind": "lab", "code": 4, "position": position, "value": value}
        for position, value in ((2, 20.0), (1, 10.0), (3, None))
    ]
    frame = build(
        shard((), results), cases({"index_time": day(4)}), [Last(Events("lab"), "all", name="x")]
    ).frame
    assert frame["x"].to_list() == [20.0]
