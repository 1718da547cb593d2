"""A history opened as of a day shows what was known when that day began, by hand-worked tables."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from riskmodels.errors import StoreError
from riskmodels.history import open_history

PERSON = {"person_id": "a", "birth_date": date(1950, 1, 1), "sex": "female"}
STAY = {"encounter_id": "e", "person_id": "a", "kind": "inpatient", "start": datetime(2020, 3, 1)}
LAB = {"person_id": "a", "kind": "lab", "code_system": "LOINC", "code": "718-7"}


@pytest.mark.parametrize(
    ("end", "recorded_at", "as_of", "visible"),
    [
        # over at the instant itself: not yet known
        (datetime(2020, 3, 4), None, date(2020, 3, 3), False),
        (datetime(2020, 3, 4), None, date(2020, 3, 4), False),
        (datetime(2020, 3, 4), None, date(2020, 3, 5), True),
        (datetime(2020, 3, 4, 15), None, datetime(2020, 3, 4, 15), False),
        (datetime(2020, 3, 4, 15), None, datetime(2020, 3, 4, 15, 1), True),
        # the claim came in June
        (datetime(2020, 3, 4), datetime(2020, 6, 1), date(2020, 3, 5), False),
        (datetime(2020, 3, 4), datetime(2020, 6, 1), date(2020, 6, 1), False),
        (datetime(2020, 3, 4), datetime(2020, 6, 1), date(2020, 6, 2), True),
        # recorded before it was over, which cannot be: not shown before its end
        (datetime(2020, 3, 4), datetime(2020, 3, 2), date(2020, 3, 3), False),
        (datetime(2020, 3, 4), datetime(2020, 3, 2), date(2020, 3, 5), True),
    ],
)
def test_encounters_and_events_are_known_once_over_and_recorded(write, end, recorded_at, as_of, visible):
    """Visible if both the end and, where it is told, the recording lie before the instant."""
    history = write(
        {
            "person": [PERSON],
            "encounter": [{**STAY, "end": end, "recorded_at": recorded_at}],
            "event": [{**LAB, "time": end, "recorded_at": recorded_at}],
        }
    )
    then = open_history(history.path, as_of)
    shard = then.shard(0)
    assert (shard.encounter.height, shard.event.height) == (visible, visible)
    assert then.table("event").collect().height == visible


@pytest.mark.parametrize(
    ("death", "as_of", "known"),
    [
        (date(2020, 6, 1), date(2020, 5, 31), None),
        (date(2020, 6, 1), date(2020, 6, 1), None),
        (date(2020, 6, 1), date(2020, 6, 2), date(2020, 6, 1)),
        (None, date(2020, 6, 2), None),
    ],
)
def test_a_death_is_known_the_day_after(write, death, as_of, known):
    """A death on or after the day is hidden; the person is not."""
    history = write({"person": [{**PERSON, "death_date": death}]})
    assert open_history(history.path, as_of).shard(0).person["death_date"].to_list() == [known]


@pytest.mark.parametrize(
    ("as_of", "spans"),
    [
        (date(2019, 1, 1), []),
        (date(2019, 1, 2), [(date(2019, 1, 1), date(2019, 1, 1))]),
        (date(2020, 1, 1), [(date(2019, 1, 1), date(2019, 12, 31))]),
        (date(2020, 3, 1), [(date(2019, 1, 1), date(2019, 12, 31)), (date(2020, 1, 1), date(2020, 2, 29))]),
        (datetime(2019, 6, 1, 12), [(date(2019, 1, 1), date(2019, 6, 1))]),
        (date(2030, 1, 1), [(date(2019, 1, 1), date(2019, 12, 31)), (date(2020, 1, 1), date(2020, 12, 31))]),
    ],
)
def test_coverage_ends_the_day_before(write, as_of, spans):
    """Spans that have not begun are hidden, and those that go on are cut off."""
    rows = [
        {"person_id": "a", "start_date": date(2019, 1, 1), "end_date": date(2019, 12, 31)},
        {"person_id": "a", "start_date": date(2020, 1, 1), "end_date": date(2020, 12, 31)},
    ]
    shard = open_history(write({"person": [PERSON], "coverage": rows}).path, as_of).shard(0)
    assert shard.coverage.select("start_date", "end_date").rows() == spans


def test_an_instant_with_a_zone_is_refused(write):
    """Times of a history have no zone, so an instant with one cannot be compared."""
    path = write({"person": [PERSON]}).path
    with pytest.raises(StoreError, match="no zone"):
        open_history(path, datetime(2020, 1, 1, tzinfo=UTC))


def test_who_is_not_born_is_not_there(write):
    """A person is hidden until the day after birth; numbers of the others stay."""
    history = write({"person": [PERSON, {**PERSON, "person_id": "0", "birth_date": date(2020, 6, 1)}]})
    assert open_history(history.path, date(2020, 6, 1)).shard(0).person["person"].to_list() == [1]
    assert open_history(history.path, date(2020, 6, 2)).shard(0).person["person"].to_list() == [0, 1]


@pytest.mark.parametrize("as_of", [date(2020, 3, 2), datetime(2020, 3, 4, 15), date(2020, 7, 1)])
def test_a_history_as_of_is_what_would_have_been_written_then(small, write, as_of):
    """Opening as of an instant shows the same rows as a history of the rows that end before it."""
    whole = open_history(write(small).path, as_of)
    start = as_of if isinstance(as_of, datetime) else datetime(as_of.year, as_of.month, as_of.day)
    then = {
        **small,
        "encounter": [row for row in small["encounter"] if row["end"] < start],
        "event": [row for row in small["event"] if row["time"] < start],
    }
    earlier = write(then)
    for name in ("encounter", "event"):
        columns = pl.exclude("encounter_id") if name == "event" else pl.all()
        assert (
            whole.table(name).select(columns).collect().equals(earlier.table(name).select(columns).collect())
        )
