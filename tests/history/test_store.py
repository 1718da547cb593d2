"""What a written history holds, whatever way its rows came."""

import json
import random
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError, StoreError
from riskmodels.history import Part, open_history, staging, write_history
from riskmodels.history.schema import STORED, TABLES


def test_tables_come_back_with_their_own_ids_and_codes(small, write):
    """A decoded table holds what was put in, with every column of the schema."""
    history = write(small)
    for name, rows in small.items():
        back = history.table(name).collect()
        assert back.columns == list(TABLES[name])
        keys = [key for key in rows[0] if key in back.columns]
        wanted = pl.DataFrame(rows, infer_schema_length=None).select(keys).sort(keys)
        assert back.select(keys).sort(keys).cast(wanted.schema).equals(wanted)


def test_a_shard_is_sorted_and_numbered(small, write):
    """Persons are numbered in the order of their ids, encounters and events are in the order of time."""
    shard = write(small).shard(0)
    assert shard.person["person_id"].to_list() == ["a", "b", "c"]
    assert shard.person["person"].to_list() == [0, 1, 2]
    assert shard.encounter["encounter_id"].to_list() == ["e1", "e2", "e3"]
    assert shard.encounter["encounter"].to_list() == [0, 1, 2]
    assert shard.event.select("person", "time").rows() == [
        (0, datetime(2020, 1, 5)),
        (0, datetime(2020, 3, 2, 6)),
        (0, datetime(2020, 3, 4, 15)),
        (1, datetime(2020, 2, 3)),
    ]
    assert shard.event["encounter"].to_list() == [0, 1, 1, None]
    for name, schema in STORED.items():
        assert getattr(shard, name).schema == pl.Schema(schema)


def test_codes_are_numbered_in_the_order_of_system_and_text(small, write):
    """The vocabulary is sorted, and a code is the number of its row."""
    history = write(small)
    assert history.vocabulary.rows() == [
        (0, "ICD10CM", "A41.9"),
        (1, "ICD10CM", "I50.9"),
        (2, "LOINC", "718-7"),
        (3, "NDC", "00002751001"),
    ]
    assert history.shard(0).event["code"].to_list() == [0, 2, 1, 3]


@pytest.mark.parametrize("n_shards", [1, 2, 3, 8])
def test_a_person_is_in_one_shard_with_all_there_is(small, write, n_shards):
    """Shard i holds the persons with person % n_shards == i, and numbers go through the whole history."""
    history = write(small, shards=n_shards)
    assert history.n_shards == n_shards
    encounters = []
    for number, shard in enumerate(history.shards()):
        for name in STORED:
            assert (getattr(shard, name)["person"] % n_shards == number).all()
        encounters += shard.encounter["encounter"].to_list()
    assert sorted(encounters) == [0, 1, 2]
    assert history.table("event").collect().height == 4


@pytest.mark.parametrize(
    ("events", "persons", "shards"),
    [
        (0, 1, 1),
        (0, 10_000, 4),
        (9_000_000, 10_000, 16),
        (9_000_000, 2_000, 8),
        (10**9, 10**7, 256),
        (9, 999, 2),
    ],
    ids=[
        "one person",
        "few events",
        "a million a shard",
        "250 persons a shard",
        "at most 256",
        "few persons",
    ],
)
def test_default_number_of_shards(events, persons, shards):
    """About a million events a shard, at least 4, at most 256, and one for each 250 persons at most."""
    from riskmodels.history.store import default_shards

    assert default_shards(events, persons) == shards


@pytest.mark.parametrize("seed", range(5))
def test_order_and_parts_of_the_input_change_nothing(small, parts, write, bytes_of, tmp_path, seed):
    """The same rows give the same bytes, shuffled and cut into any number of parts."""
    whole = write(small)
    shuffle = random.Random(seed)
    pieces = []
    for part in parts(small):
        rows = part.frame.sample(fraction=1.0, shuffle=True, seed=seed)
        cut = shuffle.randrange(rows.height + 1)
        pieces += [Part(part.table, rows[:cut], "1"), Part(part.table, rows[cut:].lazy(), "2")]
    persons = [part for part in pieces if part.table == "person"]
    others = [part for part in pieces if part.table != "person"]
    shuffle.shuffle(others)
    again = write_history([*persons, *others], tmp_path / "again", source_format="test")
    assert bytes_of(again.path) == bytes_of(whole.path)
    assert again.fingerprint == whole.fingerprint


def test_many_chunks_and_shards_give_the_same_bytes(write, parts, bytes_of, tmp_path):
    """Staging in small chunks gives what one chunk gives, also where the number of shards is found late."""
    persons = [
        {"person_id": f"p{i:04d}", "birth_date": date(1940, 1, 1), "sex": "female"} for i in range(1500)
    ]
    events = [
        {
            "person_id": f"p{i % 1500:04d}",
            "time": datetime(2020, 1, 1 + i % 28),
            "kind": "diagnosis",
            "code_system": "ICD10CM",
            "code": f"I{i % 97:02d}",
        }
        for i in range(6000)
    ]
    whole = write({"person": persons, "event": events})
    assert whole.n_shards == 4
    person, event = parts({"person": persons, "event": events})
    chunks = [Part("event", event.frame[i : i + 500], str(i)) for i in range(5500, -1, -500)]
    again = write_history([person, *chunks], tmp_path / "again", source_format="test")
    assert bytes_of(again.path) == bytes_of(whole.path)


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize("lazy", [False, True], ids=["frames", "lazy frames"])
def test_rows_at_hand_at_once_change_nothing(
    small, write, parts, bytes_of, tmp_path, monkeypatch, batch, lazy
):
    """Rows that are laid aside in files, a few at a time, give the bytes of rows that fit in memory."""
    small = {name: rows + rows[:1] for name, rows in small.items()}
    whole = write(small, shards=2)
    monkeypatch.setattr(staging, "BATCH", batch)
    cut = [Part(part.table, part.frame.lazy() if lazy else part.frame, part.label) for part in parts(small)]
    again = write_history(cut, tmp_path / "again", source_format="test", shards=2)
    assert bytes_of(again.path) == bytes_of(whole.path)


def test_the_same_row_again_is_dropped_and_counted(small, write):
    """A row that is in the input twice is in the history once, and the manifest says so."""
    once = write(small)
    twice = write({name: rows + rows for name, rows in small.items()})
    assert twice.manifest.rows == once.manifest.rows
    again = "the same row again"
    assert {table: reasons[again] for table, reasons in twice.manifest.dropped.items()} == once.manifest.rows
    assert twice.fingerprint == once.fingerprint


def test_rows_of_one_person_that_disagree_are_settled_and_noted(small, write):
    """The earlier date and the known sex are kept, whatever the order, and the manifest counts it."""
    other = {"person_id": "c", "birth_date": date(1961, 1, 1), "sex": "female", "death_date": None}
    for persons in ([*small["person"], other], [other, *small["person"]]):
        history = write({**small, "person": persons})
        row = history.table("person").filter(pl.col("person_id") == "c").collect().row(0, named=True)
        assert (row["birth_date"], row["sex"]) == (date(1960, 7, 9), "female")
        assert history.manifest.noted == {"person": {"birth_date differs between the rows of one person": 1}}


def test_of_two_versions_of_an_encounter_the_later_recorded_counts(small, write):
    """One row is kept of an encounter_id that a person has twice, and the other is counted."""
    first, *rest = small["encounter"]
    early = {**first, "paid": 5.0, "recorded_at": datetime(2020, 4, 1)}
    late = {**first, "paid": 1.0, "recorded_at": datetime(2020, 9, 1)}
    for rows in ([early, late], [late, early]):
        history = write({**small, "encounter": [*rows, *rest]})
        kept = history.table("encounter").filter(pl.col("encounter_id") == "e2").collect()
        assert kept["paid"].to_list() == [1.0]
        assert list(history.manifest.dropped["encounter"].values()) == [1]
        assert history.shard(0).event["encounter"].to_list() == [0, 1, 1, None]


def test_an_encounter_id_of_two_persons_is_told_apart(small, write):
    """Encounter ids are unique in a history: one that two persons have gets the person's id, and is noted."""
    small["encounter"].append({**small["encounter"][2], "encounter_id": "e1"})
    small["event"].append({**small["event"][2], "encounter_id": "e1"})
    for shards in (1, 2):
        history = write(small, shards=shards)
        ids = history.table("encounter").collect()["encounter_id"].to_list()
        assert sorted(ids) == ["e1@a", "e1@b", "e2", "e3"]
        assert list(history.manifest.noted["encounter"].values()) == [2]
        events = history.table("event").filter(pl.col("encounter_id") == "e1@b").collect()
        assert events["person_id"].to_list() == ["b"]


def test_rows_of_unknown_persons_are_counted_and_said(small, write, caplog):
    """Rows whose person is not in the person table are left out, with their number in manifest and log."""
    small["event"].append({**small["event"][0], "person_id": "nobody"})
    small["coverage"].append({**small["coverage"][0], "person_id": "nobody"})
    history = write(small)
    reason = "the person is not in the person table"
    assert history.manifest.dropped == {"coverage": {reason: 1}, "event": {reason: 1}}
    assert f"event: 1 left out: {reason}" in caplog.text
    assert "nobody" not in caplog.text


def test_events_of_an_unknown_encounter_stand_alone(small, write):
    """An event that names an encounter that is not there is kept without it, and noted."""
    small["event"][2]["encounter_id"] = "e99"
    history = write(small)
    assert history.manifest.rows["event"] == 4
    assert list(history.manifest.noted["event"].values()) == [1]


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        ("event", {"code": "  "}, "no code"),
        ("event", {"time": None}, "no time"),
        ("encounter", {"end": datetime(2019, 1, 1)}, "end is before start"),
        ("coverage", {"end_date": date(2018, 1, 1)}, "end_date is before start_date"),
        ("encounter", {"encounter_id": None}, "no encounter_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_rows_that_cannot_be_placed_are_dropped_and_counted(small, write, table, change, reason):
    """A row without a required value, or that ends before it starts, is left out under its reason."""
    rows = small[table]
    rows.append({**rows[0], **change})
    history = write(small)
    assert history.manifest.dropped == {table: {reason: 1}}
    assert history.manifest.rows[table] == len(rows) - 1


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("encounter", "kind", "inpatint", "did you mean 'inpatient'"),
        ("encounter", "discharge_disposition", "hom", "did you mean 'home'"),
        ("event", "code_system", "ICD10", "did you mean 'ICD10CM'"),
        ("person", "sex", "F", "Choose from: female, male, unknown"),
    ],
)
def test_a_word_that_is_not_the_schema_s_is_an_error(small, write, table, column, value, said):
    """The error names the column and the value, and offers the word that was meant."""
    small[table][0][column] = value
    with pytest.raises(DataError, match=said) as error:
        write(small)
    assert f"{table}.{column}" in str(error.value)
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("part", "error", "said"),
    [
        (Part("events", pl.DataFrame({"x": [1]}), "f"), StoreError, "did you mean 'event'"),
        (Part("event", pl.DataFrame({"person": ["a"]}), "f"), StoreError, "did you mean 'person_id'"),
        (Part("event", pl.DataFrame({"person_id": ["a"]}), "f"), StoreError, "needs the column 'time'"),
        (
            Part("coverage", pl.DataFrame({"person_id": ["a"], "start_date": ["x"], "end_date": ["x"]}), "f"),
            DataError,
            "the column is text and should be Date",
        ),
    ],
    ids=["table", "unknown column", "missing column", "type"],
)
def test_a_part_that_does_not_fit_the_tables_is_an_error(small, parts, tmp_path, part, error, said):
    """Wrong tables, columns and types are named, and nothing is left behind."""
    with pytest.raises(error, match=said):
        write_history([parts(small)[0], part], tmp_path / "h", source_format="test")
    assert list(tmp_path.iterdir()) == []


def test_persons_come_first(small, parts, tmp_path):
    """A part of table person after another table is an error, since its rows would have been dropped."""
    person, coverage, *_ = parts(small)
    with pytest.raises(StoreError, match="person must come before"):
        write_history([person, coverage, person], tmp_path / "h", source_format="test")


def test_a_history_needs_persons(tmp_path):
    """No person at all is an error."""
    with pytest.raises(DataError, match="not one person"):
        write_history([], tmp_path / "h", source_format="test")


SOURCES = [{"name": "x.csv", "bytes": 3, "sha256": "00"}]


def test_the_same_sources_leave_a_history_untouched(small, parts, tmp_path, bytes_of):
    """Writing again from the same sources does not even read them."""
    history = write_history(parts(small), tmp_path / "h", source_format="test", sources=SOURCES)
    before = bytes_of(history.path)

    def unread():
        raise AssertionError("read again")
        yield

    again = write_history(unread(), tmp_path / "h", source_format="test", sources=SOURCES)
    assert again.manifest == history.manifest
    assert bytes_of(history.path) == before


@pytest.mark.parametrize(
    "change",
    [
        {"sources": [{**SOURCES[0], "sha256": "01"}]},
        {"shards": 2},
        {"adapter_version": 2},
        {"source_format": "other"},
    ],
    ids=["sources", "shards", "adapter", "format"],
)
def test_another_history_in_the_way_is_replaced_only_on_request(small, parts, tmp_path, change):
    """Other sources or options at the same place are an error without replace=True."""
    options = {"source_format": "test", "sources": SOURCES}
    first = write_history(parts(small), tmp_path / "h", **options)
    with pytest.raises(StoreError, match="replace"):
        write_history(parts(small), tmp_path / "h", **{**options, **change})
    assert open_history(tmp_path / "h").manifest == first.manifest
    second = write_history(parts(small), tmp_path / "h", **{**options, **change}, replace=True)
    assert second.manifest != first.manifest
    assert [path.name for path in tmp_path.iterdir()] == ["h"]


def test_a_damaged_history_in_the_way_is_said_to_be_damaged(small, parts, tmp_path):
    """It is not taken for up to date, and may be replaced."""
    options = {"source_format": "test", "sources": SOURCES}
    write_history(parts(small), tmp_path / "h", **options)
    (tmp_path / "h" / "vocabulary.parquet").unlink()
    with pytest.raises(StoreError, match=r"vocabulary\.parquet is missing"):
        write_history(parts(small), tmp_path / "h", **options)
    assert write_history(parts(small), tmp_path / "h", **options, replace=True).vocabulary.height == 4


def test_pandas_and_arrow_frames_are_taken(small, parts, write, tmp_path):
    """The same tables as pandas or Arrow give the same history."""
    import pandas as pd

    frames = [(part.table, pd.DataFrame(small[part.table])) for part in parts(small)]
    pandas = [Part(table, frame, table) for table, frame in frames]
    arrow = [Part(part.table, part.frame.to_arrow(), part.label) for part in parts(small)]
    wanted = write(small).fingerprint
    assert write_history(arrow, tmp_path / "arrow", source_format="test").fingerprint == wanted
    assert write_history(pandas, tmp_path / "pandas", source_format="test").fingerprint == wanted


def test_a_folder_that_is_no_history_is_never_replaced(small, parts, tmp_path):
    """replace=True does not touch what riskmodels has not written."""
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "thesis.doc").write_text("dear")
    with pytest.raises(StoreError, match="is not a history"):
        write_history(parts(small), tmp_path / "h", source_format="test", replace=True)
    assert (tmp_path / "h" / "thesis.doc").read_text() == "dear"


def test_an_empty_folder_may_be_filled(small, parts, tmp_path):
    """A folder made beforehand is not in the way."""
    (tmp_path / "h").mkdir()
    write_history(parts(small), tmp_path / "h", source_format="test")
    assert open_history(tmp_path / "h").manifest.rows["person"] == 3


def _damage_manifest(path):
    (path / "manifest.json").write_text("{")


def _other_version(path):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "shard=000" / "event.parquet").unlink(), "event.parquet is missing"),
        (lambda path: (path / "vocabulary.parquet").write_bytes(b"PAR1"), "another size"),
        (lambda path: (path / "manifest.json").unlink(), "is not a history"),
        (_damage_manifest, "is not a history"),
        (_other_version, "schema version 99"),
    ],
    ids=["no events", "short vocabulary", "no manifest", "broken manifest", "other version"],
)
def test_a_damaged_history_does_not_open(small, write, damage, said):
    """The error says what is wrong and what to do."""
    path = write(small).path
    damage(path)
    with pytest.raises(StoreError, match=said) as error:
        open_history(path)
    assert "Fix:" in str(error.value)


def test_a_shard_that_changed_within_its_size_is_refused(small, write):
    """Bytes turned to nothing leave the size as it was: the content is looked at when the shard is read."""
    history = write(small)
    file = history.path / "shard=000" / "encounter.parquet"
    content = bytearray(file.read_bytes())
    content[40:60] = bytes(20)
    file.write_bytes(content)
    damaged = open_history(history.path)
    with pytest.raises(StoreError, match=r"encounter\.parquet is not as it was written"):
        damaged.shard(0)
    assert damaged.shard(0, tables=["person"]).person.height


def test_what_is_no_history_does_not_open(tmp_path):
    """A missing folder and a file are told from each other."""
    with pytest.raises(StoreError, match="no history at"):
        open_history(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_history(tmp_path / "file")


def test_the_manifest_tells_counts_and_range(small, write):
    """Counts by table and shard add up; the range of time is that of encounters and events."""
    manifest = write(small, shards=2, sources=SOURCES).manifest
    assert manifest.rows == {"person": 3, "coverage": 2, "encounter": 3, "event": 4}
    assert {name: sum(counts) for name, counts in manifest.rows_by_shard.items()} == manifest.rows
    assert (manifest.first, manifest.last) == ("2020-01-05T00:00:00", "2020-05-09T00:00:00")
    assert (manifest.sources, manifest.vocabulary_size) == (SOURCES, 4)


@pytest.mark.parametrize("number", [-1, 1])
def test_a_shard_that_is_not_there_is_an_error(small, write, number):
    """The error says which shards there are."""
    with pytest.raises(StoreError, match="has the shards 0 to 0"):
        write(small).shard(number)


def test_only_the_wanted_tables_are_read(small, write):
    """The other tables of a shard come without rows and with their columns."""
    shard = write(small).shard(0, tables=["encounter"])
    assert (shard.encounter.height, shard.event.height) == (3, 0)
    assert shard.event.schema == pl.Schema(STORED["event"])
