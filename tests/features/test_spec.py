"""Specifications: names, words, JSON, and errors that say what to do."""

import json
import re
from pathlib import Path

import feature_strategies as strategies
import pytest
from feature_tables import GROUPER
from hypothesis import given

from riskmodels.errors import DataError, SpecError
from riskmodels.features import (
    Any,
    Count,
    DaysSince,
    Distinct,
    Encounters,
    Events,
    FeatureColumn,
    FeatureSet,
    Last,
    Score,
    Static,
    Sum,
    Window,
)

ED = Encounters("emergency")
PAGE = Path(__file__).parents[2] / "docs" / "features.md"


@pytest.mark.parametrize(
    ("text", "index_words", "admission_words"),
    [
        ("90d", "in the last 90 days", "in the 90 days before admission"),
        ("1d", "in the last 1 day", "in the 1 day before admission"),
        ("48h", "in the last 2 days", "in the 2 days before admission"),
        ("36h", "in the last 36 hours", "in the 36 hours before admission"),
        ("30d:365d", "30 days to 365 days ago", "30 days to 365 days before admission"),
        ("all", "at any time before", "at any time before admission"),
        ("30d:all", "more than 30 days ago", "more than 30 days before admission"),
        ("stay", "during the stay", "during the stay"),
        (
            "365d+stay",
            "in the last 365 days or during the stay",
            "in the 365 days before admission or during the stay",
        ),
        ("24h after", "in the 1 day after index", "in the 1 day after admission"),
        ("12h:36h after", "12 hours to 36 hours after index", "12 hours to 36 hours after admission"),
        ("all after", "since index", "since admission"),
        ("2d:all after", "more than 2 days after index", "more than 2 days after admission"),
    ],
)
def test_a_window_is_read_written_and_said(text, index_words, admission_words):
    """A window's text comes back, and a nurse can read what it says."""
    window = Window.parse(text)
    assert Window.parse(str(window)) == window
    assert (window.phrase("index"), window.phrase("admission")) == (index_words, admission_words)


def test_a_bare_number_is_days():
    """Days need no letter."""
    assert Window.parse(30) == Window.parse("30d") == Window.parse("720h")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        "90",
        "3m",
        "90d+",
        "30d:30d",
        "365d:30d",
        "0d",
        "stay+stay",
        "stay after",
        "1dafter",
        "1d after after",
        "99999999d",
        True,
        1.5,
    ],
)
def test_what_is_no_window_is_refused(text):
    """An empty or misspelt window is an error, not a column of zeros."""
    with pytest.raises(SpecError, match=r"window|Window"):
        Window.parse(text)


@pytest.mark.parametrize(
    ("spec", "names", "label"),
    [
        (
            Count(ED, (30, 90), name="ed_visits", label="ED visits"),
            ["ed_visits_30d", "ed_visits_90d"],
            "ED visits in the last 30 days",
        ),
        (Count(ED, 30, name="ed_visits"), ["ed_visits"], "Number of emergency in the last 30 days"),
        (Count(ED, (30,)), ["count_emergency_30d"], "Number of emergency in the last 30 days"),
        (Sum(ED, 90, value="paid"), ["sum_paid_emergency_90d"], "Sum of emergency in the last 90 days"),
        (
            DaysSince(ED, "all", anchor="admission"),
            ["days_since_emergency_ever"],
            "Days since the last emergency (at any time before admission)",
        ),
        (
            Any(Events("diagnosis", grouper="colours"), 365),
            [f"any_diagnosis_colours_{g}_365d" for g in ("red", "green", "blue")],
            "Red codes in the last 365 days",
        ),
        (
            Count(Events(grouper="colours", groups="blue"), (1, 2), name="{group}_n_{days}"),
            ["blue_n_1", "blue_n_2"],
            "Number of Blue codes in the last 1 day",
        ),
        (
            Any(
                Events(grouper="colours", groups=("red", "blue"), each=False), 365, name="warm", label="Warm"
            ),
            ["warm"],
            "Warm in the last 365 days",
        ),
        (Last(Events("lab", codes="718-7"), 30), ["last_lab_718_7_30d"], "Last lab in the last 30 days"),
        (Static("age"), ["age"], "Age in years"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_columns_are_named_and_labelled(spec, names, label):
    """Names are stable snake case; the first column's label is in words."""
    columns = FeatureSet("s", [spec], [GROUPER]).columns
    assert [column.name for column in columns] == names
    assert columns[0].label == label


@given(strategies.specs())
def test_a_feature_set_survives_json(spec):
    """What is written as JSON and read again is the same set with the same columns."""
    feature_set = FeatureSet("s", [spec, Static("sex", role="adjust"), Score("lace")], [GROUPER])
    again = FeatureSet.from_dict(json.loads(json.dumps(feature_set.to_dict())))
    assert again == feature_set
    assert again.columns == feature_set.columns
    columns = json.loads(json.dumps([column.to_dict() for column in again.columns]))
    assert [FeatureColumn.from_dict(column) for column in columns] == feature_set.columns


def test_select_keeps_one_role():
    """An expected risk can be asked for adjust features alone."""
    feature_set = FeatureSet("s", [Static("age", role="adjust"), Count(ED, 30), Static("sex", role="adjust")])
    assert feature_set.select(role="adjust").names == ["age", "sex"]
    assert feature_set.select(role="predict").names == ["count_emergency_30d"]
    assert feature_set.select() is feature_set
    assert feature_set.roles == {"age": "adjust", "count_emergency_30d": "predict", "sex": "adjust"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Encounters("inpatent"), "Unknown encounter kind 'inpatent'. Hint: did you mean 'inpatient'"),
        (lambda: Events("diagnoses"), "did you mean 'diagnosis'"),
        (lambda: Events("lab", code_system="LOINK"), "did you mean 'LOINC'"),
        (lambda: Events("lab", groups="x"), "needs the grouper"),
        (lambda: Events("lab", grouper="charlson", codes="x"), "not both"),
        (lambda: Encounters("office", {"position": 1}), "where= cannot ask for 'position' of an encounter"),
        (lambda: Count(ED, ()), "no window"),
        (lambda: Count(ED, (30, "30d")), "twice"),
        (lambda: Count(ED, 30, value="paid"), "takes no value="),
        (lambda: Count(ED, 30, role="adjusted"), "Unknown role 'adjusted'. Hint: did you mean 'adjust'"),
        (lambda: Count(ED, 30, anchor="discharge"), "Unknown anchor"),
        (lambda: Sum(ED, 30), "needs value=, one of: paid, allowed, length_of_stay"),
        (lambda: Sum(ED, 30, value="piad"), "did you mean 'paid'"),
        (lambda: Distinct(ED, 30), "needs value="),
        (lambda: DaysSince(ED, "30d+stay"), "cannot hold the stay"),
        (lambda: DaysSince(ED, "1d after", anchor="admission"), "cannot hold the stay"),
        (lambda: Count(ED, "24h after"), "no predictor: with 'after' give anchor='admission'"),
        (lambda: Static("agee"), "Unknown fact 'agee'. Hint: did you mean 'age'"),
        (lambda: Static("age", grouper="charlson"), "takes no grouper="),
        (lambda: Static("principal_diagnosis_group"), "needs grouper="),
        (lambda: Score("lacee"), "did you mean 'lace'"),
        (lambda: Score("lace", label="LACE"), "'lace' gives 6 columns, which one label cannot name"),
        (lambda: FeatureSet("s", [Static("age"), Static("age")]), "two columns called 'age'"),
        (lambda: FeatureSet("s", [Any(Events(grouper="chralson"), 1)]), "did you mean 'charlson'"),
        (lambda: FeatureSet("s", [Any(Events(grouper="charlson", groups="cancr"), 1)]), "mean 'cancer'"),
        (lambda: FeatureSet("s", []).select(role="predicts"), "did you mean 'predict'"),
        (lambda: FeatureSet.from_dict({"name": "s", "spec": []}), "Unknown key 'spec' in a feature set"),
        (lambda: FeatureSet.from_dict({"name": "s"}), "needs the key 'specs'"),
        (lambda: FeatureSet.from_dict({"name": "s", "specs": [], "version": 9}), "version 9"),
        (lambda: FeatureSet.from_dict({"name": "s", "specs": [{"aggregation": "counts"}]}), "mean 'count'"),
        (
            lambda: FeatureSet.from_dict({"name": "s", "specs": [{"aggregation": "count", "windows": [3]}]}),
            "needs the key 'source'",
        ),
        (
            lambda: FeatureSet.from_dict(
                {
                    "name": "s",
                    "specs": [{"aggregation": "count", "source": {"encounter": []}, "windows": [3]}],
                }
            ),
            "'encounters' or 'events'",
        ),
    ],
)
def test_a_wrong_specification_says_what_and_how_to_mend_it(make, message):
    """Every mistake is one SpecError that names the argument and value."""
    with pytest.raises(SpecError) as error:
        make()
    assert message in str(error.value)


def test_a_page_of_yaml_is_a_feature_set(tmp_path):
    """The set that docs/features.md shows is read, and is the one its specifications make in Python."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(block, encoding="utf-8")
    codes = Events("lab", codes="718-7", code_system="LOINC")
    assert FeatureSet.read(path) == FeatureSet(
        "mine",
        [
            Count(ED, ("30d", "365d"), anchor="admission", name="ed_visits"),
            Count(Events("diagnosis", grouper="ccs"), ("90d", "365d"), name="claims", sparse=True),
            Last(codes, "365d", name="hemoglobin"),
            Static("age", role="adjust"),
        ],
    )
    assert len(FeatureSet.read(path).sparse_columns) == 2 * 283


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("name: [x", "is no YAML or JSON"),
        ("- count", "is no mapping"),
    ],
)
def test_a_file_that_is_no_feature_set_says_so(tmp_path, content, message):
    """The file is named, and what is wrong with it."""
    path = tmp_path / "set.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        FeatureSet.read(path)
