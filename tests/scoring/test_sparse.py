"""A model with sparse columns, from the history to the reasons: the same risks as with dense ones."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from riskmodels.cohorts import build_cohort, load_task
from riskmodels.features import Any, Count, DaysSince, Encounters, Events, FeatureSet, Static, build_features
from riskmodels.learning import LogisticBaseline, RiskModel
from riskmodels.learning.bundle import ModelBundle, RiskBands
from riskmodels.learning.contract import DataContract
from riskmodels.learning.frames import InputError
from riskmodels.scoring import score
from riskmodels.scoring.batch import read_scores
from riskmodels.scoring.wording import Wording

DIAGNOSES = Events("diagnosis", grouper="elixhauser")
SPECS = [
    Static("age", role="adjust"),
    Static("discharge_disposition"),
    Count(Encounters("inpatient"), "365d", anchor="admission", name="admissions", label="Admissions"),
    Any(DIAGNOSES, "365d", role="adjust", name="any"),
    Count(DIAGNOSES, ("90d", "365d"), role="adjust", name="n", label="Claims for {group}"),
    DaysSince(DIAGNOSES, "365d", name="since"),
]


def with_sparse(name: str, sparse: bool) -> FeatureSet:
    specs = SPECS[:4] + [type(s)(**{**s.__dict__, "sparse": sparse}) for s in SPECS[4:]]
    return FeatureSet(name, specs)


@pytest.fixture(scope="module")
def wide(history):
    """Return the bundle of a model with sparse columns, its features, outcomes and patients."""
    task, feature_set = load_task("readmission-30d"), with_sparse("wide", True)
    cases = build_cohort(task, history).observed
    features = build_features(history, cases, feature_set)
    y, groups = cases["label"].to_numpy(), cases["person"].to_numpy()
    model = RiskModel(n_estimators=30, num_threads=1, folds=None).fit(features, y, groups=groups)
    contract = DataContract.from_training(
        features.frame.drop("index_id"),
        features.columns,
        task=task,
        feature_set=feature_set,
        history=history,
        sparse_columns=features.sparse_columns,
    )
    bands = RiskBands.from_predictions(model.predict_proba(features)[:, 1])
    bundle = ModelBundle(model, feature_set, task, contract, bands, {"name": "wide", "version": "1"})
    return bundle, features, y, groups, cases


def test_a_model_knows_its_sparse_columns(wide):
    """Names, order and roles are kept, and a plain table in their place is refused."""
    bundle, features, *_ = wide
    model = bundle.model
    assert list(model.feature_names_in_) == [c.name for c in features.every_column]
    assert model.n_features_in_ == len(features.every_column) == 3 + 31 + 3 * 31
    assert model.feature_roles_ == {c.name: c.role for c in features.every_column}
    with pytest.raises(InputError, match="93 sparse columns, and 93 of them are missing"):
        model.predict_proba(features.frame.drop("index_id"))
    with pytest.raises(InputError, match="takes no sparse columns"):
        LogisticBaseline().fit(features, wide[2])
    sparse = [name for name in bundle.predict_features if name not in features.frame.columns]
    assert len(sparse) == 31
    assert all(name.startswith("since_") for name in sparse)


def test_sparse_columns_give_the_risks_that_dense_ones_give(wide, history):
    """The matrix is another way to hold the same numbers: trees fitted on either agree."""
    _, _, y, groups, cases = wide
    counts_only = FeatureSet("counts", with_sparse("x", True).specs[:5])
    sparse = build_features(history, cases, counts_only)
    dense = build_features(history, cases, FeatureSet("dense", with_sparse("x", False).specs[:5]))
    risks = [
        RiskModel(n_estimators=30, num_threads=1, folds=None)
        .fit(given, y, groups=groups)
        .predict_proba(given)
        for given in (sparse, dense)
    ]
    assert np.allclose(*risks, atol=1e-9)


def test_the_order_of_sparse_columns_does_not_matter(wide):
    """Columns are found by name."""
    bundle, features, *_ = wide
    order = np.random.default_rng(0).permutation(len(features.sparse_columns))
    shuffled = replace(
        features,
        sparse=features.sparse[:, order],
        sparse_columns=[features.sparse_columns[n] for n in order],
    )
    assert np.array_equal(bundle.model.predict_proba(shuffled), bundle.model.predict_proba(features))


def test_shap_values_of_sparse_columns_add_up(wide):
    """A row of contributions, dense and sparse, sums to the margin."""
    bundle, features, *_ = wide
    some = features.filter(pl.Series(np.arange(features.height) < 50))
    effects = bundle.model.explain(some)
    assert list(effects.columns) == list(bundle.model.feature_names_in_)
    assert np.allclose(effects.sum(axis=1) + bundle.model.expected_value, bundle.model.predict_raw(some))


def test_a_stored_model_scores_with_reasons_from_sparse_columns(wide, history, tmp_path):
    """Saved, read again and run as a batch, risks are those of the features, and reasons are words."""
    bundle, *_ = wide
    bundle.save(tmp_path / "model")
    again = ModelBundle.load(tmp_path / "model")
    assert again.fingerprint() == bundle.fingerprint()
    assert again.contract == bundle.contract
    done = score(tmp_path / "model", history, as_of="2023-06-01", out=tmp_path / "scores", since="2022-06-01")
    scores = read_scores(done.path).collect()
    assert scores.height > 100
    spoken = scores.select(pl.concat_list("^reason_[0-9]_feature$")).to_series().explode().drop_nulls()
    sparse = {c.name: c for c in bundle.feature_set.sparse_columns}
    assert set(spoken) & set(sparse)
    said = scores.filter(pl.col("reason_1_feature").is_in(list(sparse)))["reason_1"]
    assert said.str.contains(r"(?i)claims? for|days? since|^No ").all()


def test_what_the_sparse_columns_need_is_in_the_contract(wide):
    """A history without diagnoses is refused, also where only sparse columns read them."""
    contract = wide[0].contract
    alone = replace(contract, columns=tuple(c for c in contract.columns if not c.needs))
    assert "event:diagnosis" in alone.needs
    assert DataContract.from_dict(alone.to_dict()) == alone


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2.0, "2 claims for Chronic, lasting asthma in the last 90 days"),
        (1.0, "1 claim for Chronic, lasting asthma in the last 90 days"),
        (0.0, "No claims for Chronic, lasting asthma in the last 90 days"),
    ],
)
def test_a_count_of_claims_is_said_in_words(value, words):
    """The name of a group stays as it is, whatever is in it; the plural is that of the claims."""
    from riskmodels.terminology import Grouper

    labels = {"asthma": "Chronic, lasting asthma"}
    grouper = Grouper("lungs", "1", "made up", "none", ("asthma",), labels, (("ICD10CM", "J45", 0),))
    claims = Count(
        Events("diagnosis", grouper="lungs"), "90d", name="n", label="Claims for {group}", sparse=True
    )
    assert Wording.of(FeatureSet("s", [claims], [grouper])).say("n_asthma", value) == words
