"""A model folder: the same bytes each time, nothing pickled, damage noticed; and the words for a risk."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from riskmodels.errors import ContractError, RegistryError
from riskmodels.learning.bundle import ModelBundle, RiskBands

from .model_bundles import draw_frame, fit_bundle


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return fit_bundle()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_round_trip_gives_the_same_risks_and_bytes(bundle: ModelBundle, tmp_path: Path) -> None:
    frame, _, _ = draw_frame(200, seed=5)
    loaded = ModelBundle.load(bundle.save(tmp_path / "one"))
    assert_array_equal(loaded.predict(frame), bundle.predict(frame))
    assert loaded.contract == bundle.contract
    assert loaded.task == bundle.task
    assert loaded.feature_set.columns == bundle.feature_set.columns
    assert contents(loaded.save(tmp_path / "two")) == contents(tmp_path / "one")


def test_the_folder_is_text(bundle: ModelBundle, tmp_path: Path) -> None:
    """Every file is text: there is nothing to unpickle."""
    for name, content in contents(bundle.save(tmp_path / "b")).items():
        assert content.decode("utf-8"), name
        assert Path(name).suffix in (".json", ".yaml", ".txt")


def test_an_undefined_metric_is_null(bundle: ModelBundle, tmp_path: Path) -> None:
    """The calibration slope of a tiny test set is not a number, and JSON has none such."""
    undefined = ModelBundle(**{**vars(bundle), "metadata": {"metrics": {"slope": float("nan"), "n": [1.5]}}})
    assert "NaN" not in (undefined.save(tmp_path / "b") / "bundle.json").read_text()
    assert ModelBundle.load(tmp_path / "b").metadata == {"metrics": {"slope": None, "n": [1.5]}}


def test_fingerprint_is_of_what_the_model_computes(bundle: ModelBundle) -> None:
    named = ModelBundle(**{**vars(bundle), "metadata": {"name": "another", "version": "7"}})
    assert named.fingerprint() == bundle.fingerprint()
    assert fit_bundle(seed=1).fingerprint() != bundle.fingerprint()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "bundle.json").unlink(), "no bundle.json"),
        (lambda folder: (folder / "contract.json").unlink(), "contract.json is missing"),
        (lambda folder: (folder / "task.yaml").write_text("name: x"), "task.yaml is not as it was written"),
        (
            lambda folder: (folder / "bundle.json").write_text('{"bands'),
            "bundle.json is not as it was written",
        ),
        (
            lambda folder: (folder / "bundle.json").write_text(json.dumps({"format_version": 99})),
            "newer riskmodels",
        ),
    ],
    ids=["no head", "a part missing", "a part changed", "a head cut short", "a newer format"],
)
def test_a_damaged_folder_is_refused(bundle: ModelBundle, tmp_path: Path, damage: object, says: str) -> None:
    folder = bundle.save(tmp_path / "b")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(RegistryError, match=says):
        ModelBundle.load(folder)


def test_an_existing_folder_is_replaced_only_when_told(bundle: ModelBundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    with pytest.raises(RegistryError, match="there already"):
        bundle.save(tmp_path / "b")
    assert bundle.save(tmp_path / "b", replace=True).is_dir()


def test_predict_checks_the_contract(bundle: ModelBundle) -> None:
    frame, _, _ = draw_frame(20)
    with pytest.raises(ContractError, match="'drg' missing"):
        bundle.predict(frame.drop("drg"))


def test_predict_features_are_named(bundle: ModelBundle) -> None:
    assert bundle.predict_features == ("drg", "ed_visits_90d", "ed_visits_365d")


@pytest.mark.parametrize(
    ("risk", "band"),
    [(0.0, "low"), (0.0999, "low"), (0.1, "medium"), (0.25, "high"), (0.4, "very high"), (1.0, "very high")],
)
def test_a_band_begins_at_its_threshold(risk: float, band: str) -> None:
    assert RiskBands((0.1, 0.2, 0.4)).assign([risk]).to_list() == [band]


def test_bands_from_predictions_hold_their_shares() -> None:
    risk = np.random.default_rng(0).beta(2, 10, 20_000)
    bands = RiskBands.from_predictions(risk)
    shares = np.bincount(bands.index(risk), minlength=4) / risk.size
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.15, 0.05], atol=0.005)
    assert RiskBands.from_dict(json.loads(json.dumps(bands.to_dict()))) == bands


def test_a_model_that_tells_few_risks_apart_gets_fewer_bands() -> None:
    bands = RiskBands.from_predictions(np.repeat([0.1, 0.3], [900, 100]))
    assert len(bands.names) == len(bands.thresholds) + 1
    assert set(bands.assign([0.1, 0.3]).to_list()) == {"medium", "very high"}


@pytest.mark.parametrize(
    ("thresholds", "names"),
    [((0.2, 0.1), ("a", "b", "c")), ((0.1,), ("a", "b", "c"))],
    ids=["falling", "too few"],
)
def test_bands_that_make_no_sense_are_refused(thresholds: tuple[float, ...], names: tuple[str, ...]) -> None:
    with pytest.raises(RegistryError):
        RiskBands(thresholds, names)
