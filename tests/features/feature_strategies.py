"""Hypothesis strategies for random little histories, cases and specifications."""

from datetime import timedelta

from feature_tables import CODES, DAY0
from hypothesis import strategies as st

from riskmodels.features import Any, Count, DaysSince, Distinct, Encounters, Events, Last, Mean, Slope, Sum

N_PERSONS = 3
HALF_DAYS = 40
instants = st.integers(0, 2 * HALF_DAYS).map(lambda n: DAY0 + timedelta(hours=12 * n))
amounts = st.none() | st.sampled_from([0.0, 1.5, -2.0, 10.0])
linked = st.none() | st.integers(0, 5)


@st.composite
def encounter_rows(draw):
    """Return up to 6 encounters, numbered in order."""
    rows = []
    for number in range(draw(st.integers(0, 6))):
        start, end = sorted((draw(instants), draw(instants)))
        rows.append(
            {
                "person": number % N_PERSONS,
                "encounter": number,
                "kind": draw(st.sampled_from(["inpatient", "emergency", "office"])),
                "start": start,
                "end": end,
                "facility_id": draw(st.sampled_from(["f1", "f2", None])),
                "admission_type": draw(st.sampled_from(["emergency", "elective", None])),
                "paid": draw(amounts),
                "recorded_at": draw(st.none() | instants),
            }
        )
    return rows


event_row = st.fixed_dictionaries(
    {
        "person": st.integers(0, N_PERSONS - 1),
        "time": instants,
        "kind": st.sampled_from(["diagnosis", "drug", "lab"]),
        "code": st.integers(0, len(CODES) - 1),
        "value": amounts,
        "days_supply": amounts,
        "position": st.sampled_from([1, 2, None]),
        "encounter": linked,
        "recorded_at": st.none() | instants,
    }
)
event_rows = st.lists(
    event_row, max_size=15, unique_by=lambda r: (r["person"], r["time"], r["kind"], r["code"])
)


@st.composite
def case_rows(draw):
    """Return one to four cases; those of a patient may overlap."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        admission, index = sorted((draw(instants), draw(instants)))
        rows.append(
            {
                "person": draw(st.integers(0, N_PERSONS - 1)),
                "admission_time": admission,
                "index_time": index,
                "stay_encounters": sorted(draw(st.sets(st.integers(0, 5), max_size=2))),
            }
        )
    return rows


spans = st.sampled_from(["1d", "12h", "5d", "20d", "all", "2d:9d", "36h:all"])
after_spans = st.sampled_from(["1d after", "12h after", "1d:5d after", "all after", "2d:all after"])
stay_spans = spans | st.sampled_from(["stay", "5d+stay", "all+stay", "1d:7d+stay"])
encounter_sources = st.builds(
    Encounters,
    st.sampled_from([(), ("inpatient",), ("emergency", "office")]),
    st.sampled_from([None, {"admission_type": ("emergency",)}, {"facility_id": ("f1", "f2")}]),
)
event_sources = st.one_of(
    st.builds(
        Events,
        st.sampled_from([(), ("diagnosis",), ("drug", "lab")]),
        codes=st.sampled_from([(), ("A1",), ("A*", "L1")]),
        code_system=st.sampled_from([None, "ICD10CM"]),
        where=st.sampled_from([None, {"encounter_kind": ("inpatient",)}, {"position": (1,)}]),
    ),
    st.builds(
        Events,
        st.sampled_from([(), ("diagnosis",)]),
        grouper=st.just("colours"),
        groups=st.sampled_from([(), ("red",), ("green", "blue")]),
        each=st.booleans(),
    ),
)


@st.composite
def specs(draw):
    """Return any look-back specification."""
    source = draw(st.one_of(encounter_sources, event_sources))
    cls = draw(st.sampled_from([Any, Count, DaysSince, Distinct, Last, Mean, Slope, Sum]))
    value = None
    if cls.options is not None:
        value = draw(
            st.sampled_from([v for v in cls.options[source.table] if v not in ("provider_id", "drg")])
        )
    anchor = draw(st.sampled_from(["index", "admission"]))
    possible = spans if cls.needs_age else stay_spans if anchor == "index" else stay_spans | after_spans
    windows = draw(st.lists(possible, min_size=1, max_size=4, unique=True))
    return cls(source, windows, value=value, anchor=anchor)
