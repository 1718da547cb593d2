"""The standard features: their roles, words and documentation."""

import re
from pathlib import Path

import polars as pl
import pytest

from riskmodels.cohorts import build_cohort, load_task, task_names
from riskmodels.datasets import simulate
from riskmodels.errors import SpecError
from riskmodels.features import FeatureSet, build_features, standard_features
from riskmodels.features.code_groups import chronic_conditions
from riskmodels.features.describing import markdown_table

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


@pytest.mark.parametrize("task", task_names())
def test_columns_are_well_named(task):
    """Names are unique snake case and labels say the window in words."""
    feature_set = standard_features(task)
    names = feature_set.names
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert all(column.label and "{" not in column.label for column in feature_set.columns)
    assert FeatureSet.from_dict(feature_set.to_dict()) == feature_set


def test_benchmarks_adjust_only_for_what_the_patient_brought():
    """Use, cost, treatment and social risk are no reason to expect more readmissions of a provider."""
    columns = standard_features(role="adjust").columns
    assert {column.role for column in columns} == {"adjust"}
    sources = {column.source for column in columns if column.aggregation not in ("static", "score")}
    assert sources == {"event: diagnosis", "event: observation"}
    yearly = {column.name for column in columns if column.source == "event: observation"}
    assert yearly == {f"chronic_{group}" for group in chronic_conditions().groups}
    assert all("stay" not in (column.window or "") for column in columns)
    facts = {column.name for column in columns if column.aggregation == "static"}
    assert facts == {"age", "sex", "orig_disability", "esrd", "principal_diagnosis_group"}


def test_earlier_use_ends_at_admission():
    """Visits, diagnoses, drugs and cost before the stay are counted from its admission, not from its end."""
    for column in standard_features().columns:
        if column.window not in (None, "stay") and column.source != "event: lab":
            assert column.window.endswith("before admission"), column.name


def test_a_population_task_has_no_index_stay():
    """Without a stay there are no facts of it, and windows end at the index date."""
    names = standard_features("admission-12m").names
    assert not {"length_of_stay", "drg", "lace_score", "stay_diagnoses"} & set(names)
    windows = [
        c.window for c in standard_features("cost-12m").columns if c.window and c.aggregation != "score"
    ]
    assert all(window.endswith("before index") for window in windows)


def test_an_unknown_task_is_told_what_to_do():
    """A task without standard features is an error that names the nearest."""
    with pytest.raises(SpecError, match="did you mean 'readmission-30d'"):
        standard_features("readmission-30")


def test_the_page_lists_the_standard_features():
    """The table in docs/features.md is the library's; run this file as a script to write it anew."""
    assert markdown_table(standard_features()) in PAGE.read_text(encoding="utf-8")


def test_simulated_patients_have_features(tmp_path):
    """On the simulator's claims the standard features are there, and a few say what they should."""
    history = simulate(n_patients=600, seed=4).write(tmp_path / "history")
    cases = build_cohort(load_task("readmission-30d"), history).cases
    frame = build_features(history, cases, standard_features()).frame
    assert frame["index_id"].to_list() == cases["index_id"].to_list()
    assert frame["age"].is_between(0, 120).all()
    assert (frame["stay_diagnoses"] >= 1).all()
    assert frame["principal_diagnosis"].null_count() == 0
    assert frame["lace_score"].drop_nulls().is_between(0, 19).all()
    assert frame["ed_visits_365d"].sum() > 0
    assert (frame["ed_visits_30d"] <= frame["ed_visits_365d"]).all()
    assert frame["days_since_inpatient_discharge"].drop_nulls().is_between(0, 365).all()
    assert frame.select(pl.col("^charlson_.*$").is_null().any()).row(0) == (False,) * 18


if __name__ == "__main__":
    begin, end = "<!-- table: begin -->\n", "<!-- table: end -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    PAGE.write_text(
        head + begin + markdown_table(standard_features()) + end + rest.split(end)[1], encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("readmission-30d", "from the year before admission"),
        ("mortality-30d", "from the last 365 days"),
        ("admission-12m", "from the last 365 days"),
        ("cost-12m", "from the last 365 days"),
    ],
)
def test_the_charlson_index_says_from_when_it_is(task, words):
    chosen = standard_features(task)
    labels = {column.name: column.label for column in chosen.columns}
    assert labels["charlson_index"] == f"Charlson comorbidity index {words}"
    again = FeatureSet.from_dict(chosen.to_dict())
    assert again.columns == chosen.columns
