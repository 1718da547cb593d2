"""An aggregation of one's own, as docs/features.md shows it."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import feature_strategies as strategies
import pytest
from feature_tables import GROUPER, VOCABULARY, cases, day, reference_rows, shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskmodels.errors import SpecError
from riskmodels.features import (
    Count,
    Events,
    FeatureSet,
    LookBack,
    build_shard_features,
    register_aggregation,
)

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return the module that the page shows, imported from a file as a user would have it."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "@register_aggregation" in block]
    path = tmp_path_factory.mktemp("mine") / "my_features.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("my_features", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, path


def longest_from_the_latest(ages) -> int:
    """Define the streak without any speed: days that have a row, from the nearest on without a gap."""
    days = sorted({int(age // 1) for age in ages})
    return next((n for n, d in enumerate(days) if d != days[0] + n), len(days))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=strategies.event_rows,
    rows=strategies.case_rows(),
    windows=st.lists(strategies.spans, min_size=1, max_size=3, unique=True),
    source=strategies.event_sources,
    anchor=st.sampled_from(["index", "admission"]),
    known_only=st.booleans(),
    sparse=st.booleans(),
)
def test_the_streak_of_the_page_equals_its_definition(
    shown, events, rows, windows, source, anchor, known_only, sparse
):
    """Beside an aggregation of the package, in every window, anchor and filter, as a table or sparse."""
    spec = shown[0].Streak(source, windows, anchor=anchor, name="streak", sparse=sparse and source.each)
    feature_set = FeatureSet("s", [spec, Count(Events(), "all", name="rows")], [GROUPER])
    data, index_cases = shard((), events), cases(*rows)
    built = build_shard_features(data, index_cases, feature_set, VOCABULARY, known_only=known_only).to_dense()
    for case, got in zip(index_cases.iter_rows(named=True), built.iter_rows(named=True), strict=True):
        for part in feature_set.parts():
            chosen = reference_rows(data, case, part.spec, part.window, part.group, known_only)
            ages = [age for age, _ in chosen]
            expected = len(ages) if part.name == "rows" else longest_from_the_latest(ages)
            assert got[part.name] == expected, part


def test_it_has_names_words_and_json(shown):
    """The feature set of the page is as any other."""
    features = shown[0].features
    assert features.names == ["drug_days_in_a_row_30d", "drug_days_in_a_row_365d"]
    assert features.columns[0].label == "Days in a row with drug in the last 30 days"
    again = FeatureSet.from_dict(json.loads(json.dumps(features.to_dict())))
    assert again == features
    assert again.columns == features.columns


def test_a_process_that_does_not_know_it_says_what_to_import(shown):
    """A stored feature set is read where the module was imported, and the error elsewhere says so."""
    module, path = shown
    content = json.dumps(module.features.to_dict())
    read = "import sys, json; from riskmodels.features import FeatureSet; {}; "
    read += "print(FeatureSet.from_dict(json.loads(sys.argv[1])).names)"
    runs = [
        subprocess.run(
            [sys.executable, "-c", read.format(first), content],
            capture_output=True,
            text=True,
            cwd=path.parent,
        )
        for first in ("import my_features", "pass")
    ]
    assert "drug_days_in_a_row_30d" in runs[0].stdout
    assert "Unknown aggregation 'streak'" in runs[1].stderr
    assert "the module that registers it is imported" in runs[1].stderr


def test_its_module_may_be_loaded_again(shown):
    """In a notebook a cell runs twice: the later function counts."""
    module, _ = shown
    before = register_aggregation(module.streak)(module.Streak)
    assert before is module.Streak
    fill = {"person": 0, "time": day(4), "kind": "drug", "code": 0}
    case = cases({"index_time": day(5)})
    built = build_shard_features(shard((), [fill]), case, module.features, VOCABULARY).frame
    assert built.row(0) == ("case0", 1.0, 1.0)


def takes_two(state, age):
    """Lack the value."""


def not_arithmetic(state, age, value):
    state[0] = Path("file")


def nothing(state, age, value):
    """Do nothing."""


@pytest.mark.parametrize(
    ("function", "name", "message"),
    [
        (takes_two, "two", r"takes \(state, age, value\)"),
        (not_arithmetic, "no_numbers", "'no_numbers' cannot be compiled"),
        (nothing, "count", "There is an aggregation 'count' already"),
        (nothing, "", "give it a name"),
    ],
)
def test_what_cannot_be_an_aggregation_says_so(function, name, message):
    """A wrong function or name is a SpecError when it is registered, not a crash of the kernel."""
    with pytest.raises(SpecError, match=message):
        register_aggregation(function)(type("Mine", (LookBack,), {"aggregation": name}))
