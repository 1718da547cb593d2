"""Columns of a whole grouper as a sparse matrix: equal to the dense ones, and as trees see them."""

import feature_strategies as strategies
import numpy as np
import polars as pl
import pytest
from feature_tables import GROUPER, VOCABULARY, cases, day, reference, shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from test_build import store, stored_cases

from riskmodels.errors import SpecError
from riskmodels.features import (
    Any,
    Count,
    DaysSince,
    Distinct,
    Encounters,
    Events,
    FeatureSet,
    Last,
    Sum,
    build_features,
    build_shard_features,
    read_features,
    write_features,
)
from riskmodels.features import sparse as sparse_module
from riskmodels.features.sparse import as_lists, from_lists, model_matrix

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DIAGNOSES = Events("diagnosis", grouper="colours")


@st.composite
def grouped_specs(draw):
    """Return a specification with a column for each group, of any aggregation that can be sparse."""
    cls = draw(st.sampled_from([Any, Count, DaysSince, Distinct, Sum]))
    source = Events(
        draw(st.sampled_from([(), ("diagnosis",), ("drug", "lab")])),
        grouper="colours",
        groups=draw(st.sampled_from([(), ("red",), ("green", "blue")])),
        where=draw(st.sampled_from([None, {"encounter_kind": ("inpatient",)}])),
    )
    value = draw(st.sampled_from(cls.options["event"])) if cls.options else None
    spans = strategies.spans if cls.needs_age else strategies.stay_spans
    return cls(
        source,
        draw(st.lists(spans, min_size=1, max_size=4, unique=True)),
        value=value,
        anchor=draw(st.sampled_from(["index", "admission"])),
        sparse=True,
    )


@quick
@given(
    strategies.encounter_rows(),
    strategies.event_rows,
    strategies.case_rows(),
    st.lists(grouped_specs(), min_size=1, max_size=2, unique_by=lambda s: s.aggregation),
    st.booleans(),
)
def test_the_sparse_matrix_equals_the_reference(encounters, events, rows, specs, known_only):
    """Every place holds what the definition says; those that are empty are 0, or never was."""
    data, index_cases = shard(encounters, events), cases(*rows)
    feature_set = FeatureSet("s", specs, [GROUPER])
    built = build_shard_features(data, index_cases, feature_set, VOCABULARY, known_only=known_only)
    assert built.frame.columns == ["index_id"]
    assert isinstance(built.sparse, csr_matrix)
    assert built.sparse.has_canonical_format
    assert [column.name for column in built.sparse_columns] == [p.name for p in feature_set.parts()]
    dense = built.to_dense()
    for case, got in zip(index_cases.iter_rows(named=True), dense.iter_rows(named=True), strict=True):
        for part in feature_set.parts():
            expected = reference(data, case, part.spec, part.window, part.group, known_only)
            assert got[part.name] == (expected if expected is None else pytest.approx(expected)), part


def frame_of(specs, events, *index_cases):
    return build_shard_features(
        shard((), events), cases(*index_cases), FeatureSet("s", specs, [GROUPER]), VOCABULARY
    )


CODED = [
    {"person": 0, "time": day(1), "kind": "diagnosis", "code": 1},
    {"person": 0, "time": day(3), "kind": "diagnosis", "code": 2},
    {"person": 0, "time": day(4), "kind": "diagnosis", "code": 3},
]
CASES = ({"index_time": day(5)}, {"index_time": day(1)}, {"index_time": day(12)})


def test_a_hand_worked_matrix():
    """A0 is red, A1 red and green, B9 nothing: what is in which window of which case."""
    built = frame_of([Count(DIAGNOSES, ("3d", "10d"), name="n", sparse=True)], CODED, *CASES)
    assert [c.name for c in built.sparse_columns] == [
        f"n_{group}_{window}" for group in ("red", "green", "blue") for window in ("3d", "10d")
    ]
    assert built.sparse.toarray().tolist() == [[1, 2, 1, 1, 0, 0], [0] * 6, [0, 1, 0, 1, 0, 0]]
    assert built.sparse.nnz == 6
    assert built.sparse_columns[1].label == "Diagnoses of Red codes in the last 10 days"


def test_columns_beside_the_table_keep_their_place():
    """Dense and sparse columns of one set, and of two anchors, stand where the set says."""
    specs = [
        Count(DIAGNOSES, "all", name="a", sparse=True),
        Any(DIAGNOSES, "all", name="dense"),
        DaysSince(DIAGNOSES, "all", anchor="admission", name="b", sparse=True),
    ]
    built = frame_of(specs, CODED, {"index_time": day(5), "admission_time": day(3)})
    assert built.frame.columns == ["index_id", "dense_red", "dense_green", "dense_blue"]
    assert built.sparse.toarray().tolist() == [[2, 1, 0, 2, 0, 0]]
    assert built.to_dense()["b_blue"].to_list() == [None]
    assert FeatureSet("s", specs, [GROUPER]).roles.keys() == {c.name for c in built.every_column}


def test_a_run_that_fills_its_room_goes_on_where_it_was(monkeypatch):
    """However little is put by at a time, the matrix is the same."""
    events = [
        {"person": person, "time": day(n), "kind": "diagnosis", "code": n % 3 + 1}
        for person in range(3)
        for n in range(20)
    ]
    rows = [{"person": n % 3, "index_time": day(2 * n)} for n in range(12)]
    specs = [Count(DIAGNOSES, ("3d", "10d"), sparse=True)]
    whole = frame_of(specs, events, *rows).sparse
    monkeypatch.setattr(sparse_module, "ROOM", 7)
    assert (frame_of(specs, events, *rows).sparse != whole).nnz == 0


@quick
@given(st.lists(st.lists(st.sampled_from([0.0, 0.0, 1.0, -2.5]), min_size=4, max_size=4), max_size=5))
def test_lists_hold_the_matrix(rows):
    """As lists, and back."""
    matrix = csr_matrix(np.array(rows).reshape(len(rows), 4))
    again = from_lists(as_lists(matrix), 4)
    assert again.shape == matrix.shape
    assert (again != matrix).nnz == 0


def test_trees_see_never_after_the_longest_time():
    """The order of days is kept, and an empty place is behind all of them; counts stay as they are."""
    columns = FeatureSet("s", [DaysSince(DIAGNOSES, "all", sparse=True)], [GROUPER]).sparse_columns
    turned = model_matrix(csr_matrix([[0.5, 400.0, 0.0]]), columns).toarray()[0]
    assert turned[0] < turned[1] < turned[2] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Last(DIAGNOSES, "all", sparse=True), "cannot be sparse"),
        (lambda: Count(Encounters("office"), "all", sparse=True), "has no column a group"),
        (lambda: Count(Events("lab"), "all", sparse=True), "has no column a group"),
    ],
)
def test_what_cannot_be_sparse_says_so(make, message):
    """Missing is not 0, and a matrix needs the groups that its columns are for."""
    with pytest.raises(SpecError, match=message):
        make()


def test_a_sparse_set_survives_json():
    """`sparse` is written where it is set and read again; sets without it are as they were."""
    feature_set = FeatureSet("s", [Count(DIAGNOSES, "all", sparse=True), Any(DIAGNOSES, "5d")], [GROUPER])
    content = feature_set.to_dict()
    assert [spec.get("sparse") for spec in content["specs"]] == [True, None]
    assert FeatureSet.from_dict(content) == feature_set
    assert FeatureSet.from_dict(content).sparse_columns == feature_set.sparse_columns


def test_no_cases_and_no_codes_give_an_empty_matrix(tmp_path):
    """A history without a case, or without a code of the grouper, is no error, in memory or as a file."""
    history = store(tmp_path / "h", [], [], 2)
    feature_set = FeatureSet("s", [Count(DIAGNOSES, ("3d", "10d"), name="n", sparse=True)], [GROUPER])
    one = stored_cases(history, [{**CASES[0], "person": 0, "admission_time": day(4), "stay_encounters": []}])
    for rows in (one.clear(), one):
        built = build_features(history, rows, feature_set)
        assert built.sparse.shape == (rows.height, 6)
        assert built.sparse.nnz == 0
        write_features(history, rows, feature_set, tmp_path / "f.parquet")
        read = read_features(tmp_path / "f.parquet")
        assert read.sparse.shape == built.sparse.shape
        assert read.frame.equals(built.frame)


def test_rows_of_a_frame_are_taken_with_their_places_in_the_matrix():
    """By a mask or by number, in the order given; null in a mask is no."""
    built = frame_of([Count(DIAGNOSES, "10d", name="n", sparse=True)], CODED, *CASES)
    kept = built.filter(pl.Series([True, None, True]))
    assert kept.frame["index_id"].to_list() == ["case0", "case2"]
    assert kept.sparse.toarray().tolist() == [[2, 1, 0], [1, 1, 0]]
    turned = built.take(np.array([2, 0]))
    assert turned.frame["index_id"].to_list() == ["case2", "case0"]
    assert turned.sparse.toarray().tolist() == [[1, 1, 0], [2, 1, 0]]
    assert turned.height == 2
