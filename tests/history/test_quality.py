"""What `check` finds, each oddity planted alone in a history that has none."""

import json
from datetime import date, datetime, timedelta

import pytest

from riskmodels.history import check, ingest
from riskmodels.history.checks import MEANINGS, SHAPES
from riskmodels.history.quality import QualityReport


def found(history):
    return {finding.name: finding.rows for finding in check(history).odd}


@pytest.fixture
def sound(small):
    """Return tables with nothing odd: every stay diagnosed and every person covered."""
    small["person"].pop()
    small["encounter"].pop()
    small["coverage"][0]["start_date"] = date(2018, 1, 1)
    return small


def _change(table, number, **values):
    return lambda tables: tables[table][number].update(values)


def _add(table, number, **values):
    return lambda tables: tables[table].append({**tables[table][number], **values})


NEXT_YEAR = datetime.now() + timedelta(days=400)
PLANTED = {
    "person_died_before_birth": _change(
        "person", 0, death_date=date(1930, 1, 1), birth_date=date(1940, 1, 1)
    ),
    "person_too_old": _change("person", 1, birth_date=date(1890, 1, 1)),
    "person_without_coverage": _add("person", 1, person_id="z"),
    "coverage_overlaps": _add("coverage", 0, start_date=date(2020, 12, 31)),
    "encounter_before_birth": _change("person", 1, birth_date=date(2020, 1, 6)),
    "encounter_after_death": _change("person", 1, death_date=date(2020, 2, 29)),
    "encounter_recorded_early": _change("encounter", 0, recorded_at=datetime(2020, 3, 4)),
    "encounter_outside_coverage": _change("coverage", 0, start_date=date(2020, 1, 6)),
    "encounter_in_future": _change("encounter", 0, end=NEXT_YEAR),
    "inpatient_overlaps": _add("encounter", 0, encounter_id="e9", start=datetime(2020, 3, 4, 14)),
    "inpatient_without_diagnosis": _change("event", 0, kind="observation"),
    "event_before_birth": _change("event", 2, time=datetime(1940, 4, 30)),
    "event_after_death": _change("event", 2, time=datetime(2020, 6, 2)),
    "event_long_after_death": _change("event", 2, time=datetime(2020, 7, 2)),
    "event_recorded_early": _change("event", 1, recorded_at=datetime(2020, 3, 2, 5)),
    "event_outside_encounter": _change("event", 1, time=datetime(2020, 2, 29)),
    "event_in_future": _change("event", 2, time=NEXT_YEAR),
    "code_of_wrong_shape": _change("event", 3, code="4280"),
    "person_rows_disagree": _add("person", 1, birth_date=date(1951, 1, 1)),
    "encounter_id_twice": _add("encounter", 0, paid=1.0),
    "encounter_id_shared": _add("encounter", 0, person_id="b", kind="office", start=datetime(2020, 3, 4)),
    "row_twice": _add("event", 0),
}


def test_every_finding_has_its_planted_case():
    """No check is without a test."""
    assert set(MEANINGS) <= set(PLANTED)


def test_a_sound_history_has_no_finding(sound, write):
    """Nothing odd, nothing said."""
    history = write(sound)
    assert found(history) == {}
    assert "Nothing odd was found." in check(history).to_text()


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("shards", [1, 2])
def test_a_planted_oddity_is_found(sound, write, name, shards):
    """The oddity is counted, also where persons are in different shards."""
    PLANTED[name](sound)
    assert found(write(sound, shards=shards)).get(name, 0) >= 1


def test_a_death_allows_its_own_day(sound, write):
    """What is dated on the day of death is not after it."""
    sound["event"][2]["time"] = datetime(2020, 6, 1, 23, 59)
    assert "event_after_death" not in found(write(sound))


def test_stays_that_touch_do_not_overlap(sound, write):
    """A stay that starts at the instant at which the last one ended is a transfer, not an overlap."""
    sound["encounter"].append(
        {**sound["encounter"][0], "encounter_id": "e9", "start": datetime(2020, 3, 4, 15)}
    )
    assert "inpatient_overlaps" not in found(write(sound))


@pytest.mark.parametrize(
    ("system", "right", "wrong"),
    [
        ("ICD9CM", ["428", "428.0", "V45.01", "E849.7", "0389"], ["I509", "42", "OTHER", "42801234"]),
        ("ICD10CM", ["I50.9", "I10", "C7A.00", "U07.1", "S72001A"], ["4280", "I5", "I50.90000X"]),
        ("ICD9PCS", ["37.95", "3995", "999"], ["25000", "V4582"]),
        ("ICD10PCS", ["0BH17EZ"], ["0BH17E", "0BI17EZ"]),
        ("HCPCS", ["99283", "G0103", "0001F"], ["0851", "9928"]),
        ("NDC", ["00002751001", "0002751001"], ["0", "OTHER"]),
        ("ATC", ["A10BA02", "C09"], ["10BA"]),
        ("RxNorm", ["860975"], ["metformin"]),
        ("LOINC", ["718-7", "33762-6"], ["718", "MIMIC:1"]),
        ("REVENUE", ["0450"], ["450"]),
    ],
)
def test_shapes_of_codes(sound, write, system, right, wrong):
    """Codes that look like their system pass, with and without dots; others are counted."""
    assert system in SHAPES
    event = {**sound["event"][2], "code_system": system, "kind": "observation"}
    sound["event"] = [sound["event"][0], *({**event, "code": code} for code in [*right, *wrong])]
    assert found(write(sound)).get("code_of_wrong_shape", 0) == len(wrong)


def test_counts_by_table_year_and_kind(small, write):
    """Years are those of the start; events are told by kind and code system."""
    report = check(write(small, shards=2))
    assert report.rows == {"person": 3, "coverage": 2, "encounter": 3, "event": 4}
    assert report.years == {"coverage": {2019: 1, 2020: 1}, "encounter": {2020: 3}, "event": {2020: 4}}
    assert report.kinds["encounter"] == {"emergency": 1, "inpatient": 2}
    assert report.kinds["event"] == {"diagnosis ICD10CM": 2, "drug NDC": 1, "lab LOINC": 1}


def test_small_counts_are_not_shown_to_people(small, write):
    """The text shows counts from 1 to 10 as <11, and no count in the dict is changed."""
    report = check(write(small))
    body = report.to_text().split("\n", 2)[2]
    assert "<11" in body
    assert not {word for word in body.split() if word in {str(n) for n in range(1, 11)}}
    assert json.loads(json.dumps(report.to_dict()))["rows"]["person"] == 3


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"a": 20, "b": 30}, {"a": "20", "b": "30"}),
        ({"a": 0, "b": 30}, {"a": "0", "b": "30"}),
        ({"a": 4, "b": 20, "c": 30}, {"a": "<11", "b": "-", "c": "30"}),
        ({"a": 4, "b": 5, "c": 20, "d": 30}, {"a": "<11", "b": "<11", "c": "-", "d": "30"}),
        ({"a": 4, "b": 9, "c": 20}, {"a": "<11", "b": "<11", "c": "20"}),
    ],
    ids=["none small", "none at all", "one small", "two, together small", "two, together 11 or more"],
)
def test_no_small_count_can_be_worked_out_from_its_total(counts, shown):
    """The total stands beside the parts: a small part alone, or a small sum, takes another along."""
    report = QualityReport(
        "simulated", None, {"encounter": sum(counts.values())}, {}, {"encounter": counts}, ()
    )
    (listing,) = [found for found in report.listings() if found.title == "Encounters"]
    assert dict(listing.rows[1:]) == shown
    hidden = {name for name, text in shown.items() if text in ("<11", "-")}
    written = report.to_dict(withhold=True)["kinds"]["encounter"]
    assert {name for name, n in written.items() if n is None} == hidden
    assert report.to_dict()["kinds"]["encounter"] == counts


def test_a_table_without_years_has_none(small, write):
    """Persons have no year: their cells are empty, not 0."""
    (line,) = [line for line in check(write(small)).to_text().splitlines() if line.startswith("person ")]
    assert line.split() == ["person", "<11"]


def test_what_was_left_out_at_ingest_is_in_the_report(small, write):
    """The report names the reasons and does not end with what is in the store."""
    small["event"] += [{**small["event"][0], "person_id": f"nobody{n}"} for n in range(30)]
    report = check(write(small))
    assert report.ingested["left out"] == {"event": {"the person is not in the person table": 30}}
    assert "30  event  the person is not in the person table" in report.to_text()


def test_a_history_as_of_is_checked_as_it_was_known(small, write):
    """Counts are those of what was known then."""
    from riskmodels.history import open_history

    history = open_history(write(small).path, date(2020, 2, 1))
    report = check(history)
    assert (report.rows["encounter"], report.rows["event"]) == (1, 1)
    assert "as known at 2020-02-01" in report.to_text()


def test_sample_1_has_its_known_overlaps(shared_data, tmp_path):
    """1,807 stays of DE-SynPUF Sample 1 end after the next one has started, and none lies after a death."""
    history = ingest("desynpuf", shared_data / "patients" / "desynpuf_sample1", tmp_path / "h")
    odd = found(history)
    assert odd["inpatient_overlaps"] == 1807
    assert not {"event_after_death", "encounter_after_death", "event_before_birth"} & set(odd)
