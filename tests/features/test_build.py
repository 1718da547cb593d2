"""Features of a whole history: from the store, in any layout, as of any instant, in memory or to a file."""

from datetime import date, timedelta

import feature_strategies as strategies
import polars as pl
import pytest
from feature_tables import CODES, GROUPER, VOCABULARY, cases, day, shard
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from riskmodels.features import (
    Any,
    Count,
    DaysSince,
    Distinct,
    Encounters,
    Events,
    FeatureSet,
    Last,
    Mean,
    Score,
    Static,
    Sum,
    build_features,
    build_shard_features,
    make_plan,
    write_features,
)
from riskmodels.history import Part, Shard, open_history, write_history
from riskmodels.history.opening import known_at, of_encounters

FEATURES = FeatureSet(
    "all kinds",
    [
        Count(Encounters("inpatient"), ("5d", "all"), anchor="admission", name="admissions"),
        Sum(Encounters(), "all", value="paid", name="paid"),
        Distinct(Encounters(), "all", value="facility_id", name="facilities"),
        DaysSince(Encounters("emergency"), "all", name="since_ed"),
        Any(Events("diagnosis", grouper="colours"), "all+stay", anchor="admission", name="colour"),
        Distinct(Events(), ("5d", "all"), name="codes"),
        Last(Events("lab"), "all", name="last_result"),
        Mean(Events("lab"), "2d:9d", name="mean_result"),
        Count(Events(where={"encounter_kind": ("inpatient",)}), "all", name="hospital_events"),
        Count(Events(), "stay", name="of_the_stay"),
        Distinct(Events(), "all", value="encounter", name="encounters_with_events"),
        Static("age"),
        Static("sex"),
        Static("principal_diagnosis"),
        Static("principal_diagnosis_group", grouper="colours"),
        Score("charlson"),
        Score("lace"),
    ],
    [GROUPER],
)
# Each example writes a store, so that few are tried and none is shrunk.
slow = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def store(folder, encounters, events, n_shards, deliveries=None):
    """Write rows of hand-built tables as a history and return it.

    `deliveries` says how many encounters, and which events, come in a first file, before the others.
    """
    people = [
        {"person_id": f"p{n}", "birth_date": date(1950, 1, 1), "sex": "female"}
        for n in range(strategies.N_PERSONS)
    ]
    stays = [
        {k: v for k, v in row.items() if k not in ("person", "encounter")}
        | {"person_id": f"p{row['person']}", "encounter_id": f"e{row['encounter']}"}
        for row in encounters
    ]
    owned = {n: {e["encounter"] for e in encounters if e["person"] == n} for n in range(strategies.N_PERSONS)}
    facts = [
        {k: v for k, v in row.items() if k not in ("person", "encounter", "code")}
        | {
            "person_id": f"p{row['person']}",
            "encounter_id": f"e{row['encounter']}" if row["encounter"] in owned[row["person"]] else None,
            "code_system": CODES[row["code"]][0],
            "code": CODES[row["code"]][1],
        }
        for row in events
    ]
    cut, early = deliveries or (len(stays), [True] * len(facts))
    first = stays[:cut], [row for row, now in zip(facts, early, strict=True) if now]
    second = stays[cut:], [row for row, now in zip(facts, early, strict=True) if not now]
    parts = [Part("person", pl.DataFrame(people), "p")]
    parts += [
        Part(t, pl.DataFrame(rows, infer_schema_length=None), f"{t} {n}")
        for n, delivery in enumerate((first, second))
        for t, rows in zip(("encounter", "event"), delivery, strict=True)
        if rows
    ]
    return write_history(parts, folder, source_format="test", shards=n_shards)


def stored_cases(history, rows):
    """Return cases with the numbers that the history gave to persons and encounters."""
    people = pl.concat([s.person for s in history.shards(["person"])])
    numbers = dict(people.select("person_id", "person").iter_rows())
    stays = pl.concat([s.encounter for s in history.shards(["encounter"])])
    named = dict(stays.select("encounter_id", "encounter").iter_rows())
    return cases(
        *[
            {
                **row,
                "index_id": f"e{row['stay_encounters'][-1]}#{n}" if row["stay_encounters"] else f"c{n}",
                "person": numbers[f"p{row['person']}"],
                "stay_encounters": [named[f"e{e}"] for e in row["stay_encounters"] if f"e{e}" in named],
                "birth_date": date(1950, 1, 1),
                "sex": "female",
            }
            for n, row in enumerate(rows)
        ]
    )


@slow
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows(), st.randoms())
def test_row_order_and_shard_layout_change_nothing(tmp_path_factory, encounters, events, rows, random):
    """One shard or three, rows in any order: the same frame, in the order of the cases."""
    frames = []
    for n_shards in (1, 3):
        folder = tmp_path_factory.mktemp("history") / "h"
        random.shuffle(encounters)
        random.shuffle(events)
        history = store(folder, encounters, events, n_shards)
        frames.append(build_features(history, stored_cases(history, rows), FEATURES).frame)
    assert frames[0].equals(frames[1])
    assert frames[0]["index_id"].to_list() == stored_cases(history, rows)["index_id"].to_list()


@slow
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows())
def test_the_file_holds_what_the_frame_holds(tmp_path_factory, encounters, events, rows):
    """Written shard by shard, the features are those built in memory."""
    folder = tmp_path_factory.mktemp("history")
    history = store(folder / "h", encounters, events, 3)
    index_cases = stored_cases(history, rows)
    columns = write_features(history, index_cases, FEATURES, folder / "features.parquet")
    built = build_features(history, index_cases, FEATURES)
    assert columns == built.columns
    written = pl.read_parquet(folder / "features.parquet")
    assert written.columns == built.frame.columns
    order = ["index_id"]
    assert written.cast(built.frame.schema).sort(order).equals(built.frame.sort(order))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.encounter_rows(), strategies.event_rows, strategies.case_rows().map(lambda rows: rows[:1]))
def test_known_only_replays_the_history_as_it_was_known(encounters, events, rows):
    """What only counts known rows equals what a history opened as of the index time gives."""
    data, index_cases = shard(encounters, events), cases(*rows)
    t = rows[0]["index_time"]
    cut = {name: known_at(name, getattr(data, name).lazy(), t).collect() for name in ("encounter", "event")}
    cut["event"] = of_encounters(cut["event"].lazy(), cut["encounter"].lazy()).collect()
    as_of = Shard(0, data.person, data.coverage, **cut)
    replayed = build_shard_features(as_of, index_cases, FEATURES, VOCABULARY).frame
    known = build_shard_features(data, index_cases, FEATURES, VOCABULARY, known_only=True).frame
    assert known.equals(replayed)


def test_a_history_as_of_a_date_hides_what_came_later(tmp_path):
    """`as_of` reaches the features: a claim recorded later does not count."""
    visit = {"person": 0, "kind": "emergency", "start": day(1), "end": day(1), "paid": 1.0}
    late = [
        {**visit, "encounter": 0, "recorded_at": day(3)},
        {**visit, "encounter": 1, "recorded_at": day(30)},
    ]
    store(tmp_path / "h", late, [], 1)
    for as_of, expected in ((None, 2.0), (day(20), 1.0), (day(2), 0.0)):
        history = open_history(tmp_path / "h", as_of=as_of)
        rows = [{"person": 0, "index_time": day(20), "admission_time": day(20), "stay_encounters": []}]
        found = build_features(history, stored_cases(history, rows), FEATURES).frame
        assert found["paid"].to_list() == [expected]


def test_no_cases_give_an_empty_frame_with_all_columns(tmp_path):
    """A history without an index case is no error."""
    history = store(tmp_path / "h", [], [], 1)
    found = build_features(history, cases(), FEATURES)
    assert found.frame.columns == ["index_id", *FEATURES.names]
    assert found.frame.height == 0
    write_features(history, cases(), FEATURES, tmp_path / "f.parquet")
    assert pl.read_parquet(tmp_path / "f.parquet").height == 0


@pytest.mark.parametrize(
    ("born", "admitted", "age"),
    [(date(1950, 6, 15), 166, 70.0), (date(1950, 6, 15), 165, 69.0), (date(1952, 2, 29), 58, 67.0)],
    ids=["on the birthday", "the day before", "born on a leap day"],
)
def test_age_is_in_completed_years_at_admission(born, admitted, age):
    """The 166th day after 1 January 2020 is 15 June."""
    case = cases(
        {"index_time": day(admitted) + timedelta(days=9), "admission_time": day(admitted), "birth_date": born}
    )
    frame = build_shard_features(shard(), case, FeatureSet("s", [Static("age")]), VOCABULARY).frame
    assert frame["age"].to_list() == [age]


def test_the_principal_diagnosis_is_that_of_the_discharging_hospital():
    """Of a joined stay, the first-listed code of the segment that names the case."""
    stays = [
        {"person": 0, "encounter": n, "kind": "inpatient", "start": day(n), "end": day(n + 1)} for n in (1, 2)
    ]
    coded = [(1, 1, 1), (2, 3, 2), (2, 1, 1)]  # encounter, code, position
    events = [
        {"person": 0, "time": day(e + 1), "kind": "diagnosis", "code": c, "position": p, "encounter": e}
        for e, c, p in [*coded, (2, 2, 1)]
    ]
    case = cases(
        {"index_id": "e2", "admission_time": day(1), "index_time": day(3), "stay_encounters": [1, 2]},
        {"index_id": "nothing coded", "index_time": day(3), "stay_encounters": [9]},
    )
    specs = [Static("principal_diagnosis"), Static("principal_diagnosis_group", grouper="colours")]
    found = build_shard_features(shard(stays, events), case, FeatureSet("s", specs, [GROUPER]), VOCABULARY)
    assert found.frame.rows() == [("e2", "A0", "red"), ("nothing coded", None, None)]
    assert found.frame.schema["principal_diagnosis_group"] == pl.Enum(["red", "green", "blue"])


def test_categories_keep_their_levels_whatever_the_rows_hold():
    """A closed category has all its levels in every frame, so that codes cannot shift between frames."""
    specs = [Static("sex"), Static("admission_type"), Static("discharge_disposition"), Static("drg")]
    feature_set = FeatureSet("s", specs)
    case = cases({"index_time": day(1), "sex": "male", "admission_type": "urgent", "drg": "291"})
    frame = build_shard_features(shard(), case, feature_set, VOCABULARY).frame
    for column in feature_set.columns:
        expected = pl.String if column.levels is None else pl.Enum(column.levels)
        assert frame.schema[column.name] == expected
    assert frame.row(0) == ("case0", "male", "urgent", None, "291")


def test_a_plan_is_made_once_for_many_shards():
    """A plan gives what the feature set gives."""
    data = shard([{"person": 0, "encounter": 1, "kind": "inpatient", "start": day(1), "end": day(2)}])
    case = cases({"index_time": day(9), "birth_date": date(1950, 1, 1), "sex": "male"})
    plan = make_plan(FEATURES, VOCABULARY)
    assert build_shard_features(data, case, plan).frame.equals(
        build_shard_features(data, case, FEATURES, VOCABULARY).frame
    )
