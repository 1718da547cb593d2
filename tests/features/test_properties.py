"""What holds for every history: how it came in, and what was known of it when, is all that counts."""

from datetime import date, timedelta

import feature_strategies as strategies
from feature_tables import CODES, GROUPER, VOCABULARY, cases, shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_build import FEATURES, slow, store, stored_cases

from riskmodels.features import (
    Count,
    DaysSince,
    Events,
    FeatureSet,
    Score,
    Static,
    build_features,
    build_shard_features,
)
from riskmodels.features.facts import FACTS
from riskmodels.history import open_history

WIDE = FeatureSet(
    "look-backs and facts, and sparse ones",
    [
        *(spec for spec in FEATURES.specs if not isinstance(spec, Score)),
        Count(Events(grouper="colours"), ("5d", "all"), anchor="admission", name="n", sparse=True),
        DaysSince(Events("diagnosis", grouper="colours"), "2d:all", name="since", sparse=True),
    ],
    [GROUPER],
)


def features_of(folder, encounters, events, rows, as_of=None, **layout):
    """Return the features of a store with these rows, by case."""
    history = open_history(store(folder, encounters, events, 2, **layout).path, as_of=as_of)
    return build_features(history, stored_cases(history, rows), WIDE).to_dense()


@slow
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows(), st.data())
def test_a_history_in_two_deliveries_equals_one(tmp_path_factory, encounters, events, rows, data):
    """Rows that come in two files, split anywhere, give the features of one file."""
    folder = tmp_path_factory.mktemp("history")
    first = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    cut = data.draw(st.integers(0, len(encounters)))
    one = features_of(folder / "one", encounters, events, rows)
    two = features_of(folder / "two", encounters, events, rows, deliveries=(cut, first))
    assert one.equals(two)


@slow
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows())
def test_a_history_in_two_stores_equals_one(tmp_path_factory, encounters, events, rows):
    """The patients of one store and those of another give what both give in one."""
    folder = tmp_path_factory.mktemp("history")
    whole = features_of(folder / "one", encounters, events, rows)
    for name, chosen in (("some", {0}), ("others", {1, 2})):
        mine = [n for n, row in enumerate(rows) if row["person"] in chosen]
        kept = [[row for row in table if row["person"] in chosen] for table in (encounters, events)]
        apart = features_of(folder / name, *kept, rows)[mine]
        assert apart.equals(whole[mine])


@slow
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows(), strategies.instants)
def test_as_of_an_instant_equals_a_history_that_ends_there(
    tmp_path_factory, encounters, events, rows, instant
):
    """Opened as of any instant, a history is the one that was recorded by then, for cases at any time."""
    folder = tmp_path_factory.mktemp("history")

    def known(row, clock):
        return max(row["recorded_at"] or row[clock], row[clock]) < instant

    truncated = (
        [row for row in encounters if known(row, "end")],
        [row for row in events if known(row, "time")],
    )
    # An event may be known before the stay it belongs to is: then it belongs to none yet.
    seen = {row["encounter"] for row in truncated[0]}
    rows = [{**row, "stay_encounters": [n for n in row["stay_encounters"] if n in seen]} for row in rows]
    whole = features_of(folder / "whole", encounters, events, rows, as_of=instant)
    cut = features_of(folder / "cut", *truncated, rows)
    assert whole.equals(cut)


def known_facts(data, case, fact):
    """Find a fact of a case by looking at every row."""
    born, admitted = case["birth_date"], case["admission_time"].date()
    if fact == "age":
        birthday_to_come = (admitted.month, admitted.day) < (born.month, born.day)
        return admitted.year - born.year - birthday_to_come
    if fact == "stay_segments":
        return len(case["stay_encounters"])
    if not fact.startswith("principal"):
        return case[fact]
    last = [row["encounter"] for row in data.encounter.to_dicts() if row["encounter_id"] == case["index_id"]]
    coded = [
        row["code"]
        for row in data.event.to_dicts()
        if (row["kind"], row["position"]) == ("diagnosis", 1)
        and row["encounter"] in last
        and row["time"] <= case["index_time"]
    ]
    if not coded:
        return None
    system, text = CODES[min(coded)]
    if fact == "principal_diagnosis":
        return text[:3]
    groups = [n for s, prefix, n in GROUPER.prefixes if s == system and text.startswith(prefix)]
    return GROUPER.groups[min(groups)] if groups else None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    strategies.encounter_rows(),
    strategies.event_rows,
    strategies.case_rows(),
    st.dates(date(1920, 1, 1), date(2019, 12, 31)),
    st.sampled_from(["home", "snf", None]),
    st.sampled_from([True, False, None]),
)
def test_every_fact_of_a_case_equals_the_reference(encounters, events, rows, born, disposition, flag):
    """Facts of the person, the coverage and the stay are those of the rows, one by one."""
    given_facts = {
        "birth_date": born,
        "sex": "female",
        "discharge_disposition": disposition,
        "dual": flag,
        "esrd": flag,
        "length_of_stay": 3,
        "drg": None,
    }
    ids = [f"e{row['stay_encounters'][-1]}" if row["stay_encounters"] else "x" for row in rows]
    named = [{**row, **given_facts, "index_id": name} for row, name in zip(rows, ids, strict=True)]
    data, index_cases = shard(encounters, events), cases(*named)
    specs = [Static(f, grouper="colours" if fact.grouped else None) for f, fact in FACTS.items()]
    built = build_shard_features(data, index_cases[:1], FeatureSet("s", specs, [GROUPER]), VOCABULARY).frame
    got = built.row(0, named=True)
    case = index_cases.row(0, named=True)
    for fact in FACTS:
        assert got[fact] == known_facts(data, case, fact), fact


@slow
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows(), st.integers(0, 30))
def test_what_is_dated_later_moves_no_sparse_column(tmp_path_factory, encounters, events, rows, later):
    """Rows at or after the index time of every case are no predictors in the matrix either."""
    last = max(row["index_time"] for row in rows)
    added = [
        {
            "person": n % strategies.N_PERSONS,
            "time": last + timedelta(days=later),
            "kind": "diagnosis",
            "code": n % len(CODES),
            "encounter": None,
        }
        for n in range(6)
    ]
    index_cases = cases(*rows)
    sparse = FeatureSet("s", WIDE.specs[-2:], [GROUPER])
    before, after = (
        build_shard_features(shard(encounters, given), index_cases, sparse, VOCABULARY).sparse
        for given in (events, [*events, *added])
    )
    assert (before != after).nnz == 0
