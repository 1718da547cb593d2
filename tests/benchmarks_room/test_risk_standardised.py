"""Risk-standardised rates: by hand, against CMS's own reports, and against the truth of a simulation."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from polars.testing import assert_frame_equal

from riskmodels.benchmarks import fit_hierarchical, risk_standardise_stays, standardise_given
from riskmodels.errors import SpecError


def expit(x: np.ndarray) -> np.ndarray:
    """Return the probability of log-odds."""
    return 1 / (1 + np.exp(-x))


def stays_of(
    seed: int, entities: int = 40, rows: int = 6000, spread: float = 0.3
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return stays with a known risk at the average entity, and the true ratio of each entity."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0, 0.6, entities)
    entity = rng.choice(entities, size=rows, p=size / size.sum())
    log_odds = rng.normal(-1.7, 0.6, rows)
    risk = expit(log_odds + rng.normal(0, spread, entities)[entity])
    names = np.char.add("H", np.char.zfill(np.arange(entities).astype(str), 3))
    stays = pl.DataFrame(
        {
            "facility_id": names[entity], "person": np.arange(rows),
            "observed": (rng.random(rows) < risk).astype(int), "expected": expit(log_odds),
        }
    )  # fmt: skip
    truth = stays.with_columns(pl.Series("risk", risk)).group_by("facility_id").agg(
        true=pl.col("risk").sum() / pl.col("expected").sum()
    )  # fmt: skip
    return stays, truth


@pytest.fixture(scope="module")
def stays() -> pl.DataFrame:
    return stays_of(0)[0]


class TestGiven:
    """Coefficients and effects are known: what a hospital-specific report prints."""

    def test_worked_example(self) -> None:
        """A: log-odds 0 and 1 with effect -1, average -2; rates are means over the hospital's own stays."""
        found = standardise_given(
            [0.0, 1.0, 0.5], ["A", "A", "B"], {"A": -1.0, "B": -2.0}, -2.0, observed_rate=0.2
        )
        a, b = found.to_dicts()
        assert (a["entity"], a["n"], b["n"]) == ("A", 2, 1)
        assert_allclose(a["predicted"], (0.2689414214 + 0.5) / 2)
        assert_allclose(a["expected"], (0.1192029220 + 0.2689414214) / 2)
        assert_allclose(a["ratio"], a["predicted"] / a["expected"])
        assert_allclose([b["ratio"], b["rate"]], [1.0, 0.2])

    def test_an_effect_that_is_not_there_is_named(self) -> None:
        with pytest.raises(SpecError, match="no effect is given for 'B'"):
            standardise_given([0.0, 0.0], ["A", "B"], {"A": 0.1}, 0.0)
        with pytest.raises(SpecError, match="must be finite"):
            standardise_given([np.nan], ["A"], 0.0, 0.0)

    @pytest.mark.parametrize("year", [2020, 2021, 2022])
    def test_cms_reports_to_1e_8(self, shared_data: Path, year: int) -> None:
        """Discharge rows of CMS's mock report give its predicted, expected and excess ratio."""
        import openpyxl

        path = shared_data / "payments" / "hrrp" / "mock_hsr" / f"FY{year}_HRRP_MockHSR.xlsx"
        book = openpyxl.load_workbook(path, data_only=True, read_only=True)
        printed = [
            [cell for cell in row[1:6] if cell is not None]
            for row in book["Table 2 Hospital Results"].iter_rows(min_row=6, max_row=11, values_only=True)
        ]
        compared = 0
        sheets = [name for name in book.sheetnames if re.search(r"Discharges .* Readm", name)]
        for sheet, row in zip(sheets, printed, strict=True):
            stays = _discharges(list(book[sheet].iter_rows(values_only=True)))
            if stays is None or str(row[0]).startswith("NQ"):
                continue
            log_odds, hospital, average = stays
            found = standardise_given(log_odds, ["010001"] * len(log_odds), hospital, average).row(
                0, named=True
            )
            assert found["n"] == row[0]
            mine = [found[name] for name in ("predicted", "expected", "ratio")]
            assert_allclose(mine, [float(cell) for cell in row[2:5]], atol=1e-8, rtol=0)
            compared += 1
        assert compared >= 4


def _discharges(rows: list[tuple[object, ...]]) -> tuple[np.ndarray, float, float] | None:
    start, head = next((i, row) for i, row in enumerate(rows) if "HOSP_EFFECT" in row)
    names = [str(name).lower() for name in head]
    hospital, average = names.index("hosp_effect"), names.index("avg_effect")
    index = next(i for i, name in enumerate(names) if name.startswith("index stay"))
    weights = rows[start + 1]

    def number(cell: object) -> float | None:
        try:
            return float(str(cell))
        except ValueError:
            return None

    if number(weights[hospital]) is None:
        return None
    at = [i for i in range(hospital) if number(weights[i]) is not None]
    used = [row for row in rows[start + 2 :] if str(row[index]).strip().lower() == "yes"]
    x = np.array([[float(str(row[i])) for i in at] for row in used])
    log_odds = x @ [float(str(weights[i])) for i in at]
    return log_odds, float(str(weights[hospital])), float(str(weights[average]))


def test_the_frame_is_predicted_over_expected_of_the_fit(stays: pl.DataFrame) -> None:
    """The columns are what the fitted coefficients and effects give, computed here from the formula."""
    made, risk = risk_standardise_stays(stays, n_draws=0, suppress=False)
    x = np.log(stays["expected"] / (1 - stays["expected"])).to_numpy()
    fit = fit_hierarchical(x[:, None], stays["observed"].to_numpy(), stays["facility_id"], ridge=0.01)
    effect = dict(zip(fit.entities.to_list(), fit.effects, strict=True))
    linear = fit.coefficients[0] + fit.coefficients[1] * x
    by_hand = standardise_given(
        linear, stays["facility_id"], effect, 0.0, observed_rate=stays["observed"].mean()
    )
    assert_allclose(made.frame["ratio"], by_hand["ratio"], rtol=1e-6)
    assert_allclose(made.frame["rate"], by_hand["rate"], rtol=1e-6)
    assert_allclose(made.frame["predicted"] / made.frame["n"], by_hand["predicted"], rtol=1e-6)
    assert_allclose(risk, expit(linear), rtol=1e-6)
    assert made.metadata["hierarchical"]["converged"]
    assert made.metadata["interval"] == "rsrr, posterior"
    assert made.draws.is_empty()


def test_ratios_are_drawn_to_one_by_what_is_not_reliable(stays: pl.DataFrame) -> None:
    """A hospital of few stays is drawn far in, one of many little; and none beyond its observed ratio."""
    frame = risk_standardise_stays(stays, n_draws=0, suppress=False)[0].frame
    raw = (frame["observed"] / frame["expected"]).to_numpy()
    kept = (frame["ratio"].to_numpy() - 1) / (raw - 1)
    far = np.abs(raw - 1) > 0.1
    assert ((kept[far] > 0) & (kept[far] < 1)).all()
    assert np.corrcoef(kept[far], frame["reliability"].to_numpy()[far])[0, 1] > 0.9
    assert frame.select(pl.corr("n", "reliability", method="spearman")).item() > 0.95
    assert (frame["ratio_lower"] < frame["ratio"]).all()
    assert (frame["ratio"] < frame["ratio_upper"]).all()


def test_intervals_hold_the_true_ratio() -> None:
    """Over 6 sets of 40 hospitals, about 95 in 100 bootstrap intervals hold the true ratio."""
    inside = []
    for seed in range(6):
        stays, truth = stays_of(50 + seed, rows=5000, spread=0.25)
        frame = risk_standardise_stays(stays, n_draws=100, suppress=False)[0].frame.join(
            truth, on="facility_id"
        )
        inside.append(frame.select(pl.col("true").is_between("ratio_lower", "ratio_upper")).to_series())
    assert 0.92 <= pl.concat(inside).mean() <= 0.99  # type: ignore[operator]


def test_draws_hold_every_entity_and_follow_the_seed(stays: pl.DataFrame) -> None:
    made, _ = risk_standardise_stays(stays, n_draws=6, seed=1, suppress=False)
    assert made.draws.columns == ["facility_id", "draw", "ratio"]
    assert made.draws.height == 6 * made.frame.height
    assert made.draws["ratio"].is_finite().all()
    assert_frame_equal(made.draws, risk_standardise_stays(stays, n_draws=6, seed=1, suppress=False)[0].draws)
    assert not made.draws.equals(risk_standardise_stays(stays, n_draws=6, seed=2, suppress=False)[0].draws)


def test_a_small_cell_takes_what_it_could_be_worked_out_from(stays: pl.DataFrame) -> None:
    """A hospital of ten stays is in neither the frame's figures nor the draws."""
    few = stays.filter(pl.col("facility_id") == "H001").head(10).with_columns(facility_id=pl.lit("small"))
    made, _ = risk_standardise_stays(pl.concat([stays, few]), n_draws=3)
    row = made.frame.filter(pl.col("facility_id") == "small").row(0, named=True)
    hidden = ("n", "observed", "predicted", "expected", "ratio", "rate", "effect", "reliability")
    assert row["suppressed"]
    assert [row[name] for name in hidden] == [None] * 8
    assert "small" not in made.draws["facility_id"].to_list()


def test_a_design_in_place_of_a_risk(stays: pl.DataFrame) -> None:
    """Risk factors of a linear model take the place of expected; stays without entity are left out."""
    x = np.log(stays["expected"] / (1 - stays["expected"])).to_numpy()
    gaps = stays.with_columns(pl.when(pl.int_range(pl.len()) > 9).then("facility_id").alias("facility_id"))
    made, risk = risk_standardise_stays(
        gaps.drop("expected"), design=np.column_stack([x, x**2]), names=["x", "x²"], n_draws=2
    )
    assert made.metadata["n"] == stays.height - 10 == len(risk)
    assert list(made.metadata["hierarchical"]["coefficients"]) == ["(intercept)", "x", "x²"]


def test_intervals_that_are_not_there_are_refused(stays: pl.DataFrame) -> None:
    with pytest.raises(SpecError, match="choose from: bootstrap, posterior"):
        risk_standardise_stays(stays, intervals="profile")  # type: ignore[arg-type]


@pytest.mark.parametrize("entities", [2, 3, 9])
def test_few_hospitals_have_intervals_that_are_not_empty(entities: int) -> None:
    """Even where the variance is estimated as 0: a ratio of 1 is never certain."""
    stays, _ = stays_of(6, entities=entities, rows=700, spread=0.0)
    frame = risk_standardise_stays(stays, n_draws=30, suppress=False)[0].frame
    assert (frame["ratio_upper"] - frame["ratio_lower"] > 0.02).all()
    assert (frame["ratio_upper"] < 5).all()


def test_hospitals_that_differ_by_chance_alone_are_all_average() -> None:
    """With a variance of 0 all ratios are 1; the interval still says how little is known."""
    stays, _ = stays_of(5, entities=30, rows=900, spread=0.0)
    made, _ = risk_standardise_stays(stays, n_draws=20, suppress=False)
    if made.metadata["hierarchical"]["variance"] == 0:
        assert_allclose(made.frame["ratio"], 1.0)
    assert made.frame["ratio"].std() < 0.05  # type: ignore[operator]
    assert (made.frame["ratio_upper"] > 1).all()
    assert (made.frame["ratio_lower"] < 1).all()


def test_entities_of_single_stays_are_refused() -> None:
    """Single stays do not tell how far entities differ; the upper limits would be in the hundreds."""
    rng = np.random.default_rng(0)
    stays = pl.DataFrame(
        {
            "facility_id": np.arange(600).astype(str), "person": np.arange(600),
            "observed": (rng.random(600) < 0.15).astype(int), "expected": rng.uniform(0.1, 0.2, 600),
        }
    )  # fmt: skip
    with pytest.raises(SpecError, match="cannot tell how far entities differ"):
        risk_standardise_stays(stays, n_draws=10, suppress=False, minimum_n=1)


def test_what_an_effect_can_be_worked_out_from_is_withheld_with_it() -> None:
    """Reliability is the curvature at the effect; with n and expected it gives a small count away."""
    stays, _ = stays_of(4, entities=12, rows=900)
    frame = risk_standardise_stays(stays, n_draws=3)[0].frame
    hidden = frame.filter(pl.col("suppressed") & pl.col("n").is_not_null())
    assert hidden.height >= 2
    told = hidden.select("reliability", pl.selectors.starts_with("funnel_"))
    assert told.null_count().row(0) == (hidden.height,) * told.width
