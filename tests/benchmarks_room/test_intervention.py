"""What an intervention moves: by hand, with the effect's interval, and never a default effect."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.benchmarks.intervention import Effect, intervene
from riskmodels.cli import main
from riskmodels.errors import DataError, SpecError

RISKS = np.array([0.4] * 20 + [0.1] * 80)
COSTS = {"cost_per_patient": 400.0, "value_per_outcome": 10_000.0}


def test_outcomes_avoided_and_dollars_by_hand() -> None:
    """From 30% on: 20 patients at 40% have 8 outcomes, a quarter avoided, $20,000 saved for $8,000."""
    row = intervene(RISKS, Effect(0.25), **COSTS, thresholds=[0.3]).frame.row(0, named=True)
    assert (row["reached"], row["expected_outcomes"], row["avoided"]) == pytest.approx((20, 8, 2))
    assert (row["cost"], row["saved"], row["net_benefit"]) == pytest.approx((8_000, 20_000, 12_000))
    assert row["number_needed"] == pytest.approx(10)


def test_the_best_threshold_reaches_those_who_are_worth_it() -> None:
    """A patient is worth reaching from 400 / (0.25 x 10,000) = 16% on; at 10% one costs more than saved."""
    found = intervene(RISKS, Effect(0.25), **COSTS, thresholds=[0.0, 0.2])
    assert found.break_even == pytest.approx(0.16)
    assert found.best == 0.2
    assert intervene(RISKS, Effect(0.01), **COSTS).best is None


def test_capacity_reaches_those_at_highest_risk_and_uptake_a_share_of_them() -> None:
    """Of 30 places 20 go to those at 40%; half of those offered take part and cost."""
    row = intervene(RISKS, Effect(0.25), **COSTS, capacity=30, uptake=0.5).frame.row(0, named=True)
    assert row["reached"] == 15
    assert row["avoided"] == pytest.approx(0.5 * 0.25 * (20 * 0.4 + 10 * 0.1))


def test_the_interval_is_that_of_the_effect() -> None:
    """With nothing else uncertain, avoided outcomes have the limits of the effect."""
    effect = Effect(0.2, 0.1, 1 - 0.8**2 / 0.9)
    row = intervene(RISKS, effect, **COSTS, thresholds=[0.0], n_draws=20_000).frame.row(0, named=True)
    assert row["avoided_lower"] == pytest.approx(0.1 * 16, rel=0.03)
    assert row["avoided_upper"] == pytest.approx(effect.upper * 16, rel=0.03)


def test_observed_outcomes_recalibrate_and_widen() -> None:
    """Risks that are half of what came true avoid twice as many; their chance widens the interval."""
    draw = np.random.default_rng(0)
    seen = pl.DataFrame({"risk": np.repeat(0.2, 4000), "label": (draw.random(4000) < 0.4).astype(int)})
    plain = intervene(np.repeat(0.2, 100), Effect(0.25), **COSTS, thresholds=[0.1]).frame
    found = intervene(np.repeat(0.2, 100), Effect(0.25), **COSTS, thresholds=[0.1], observed=seen).frame
    assert found["avoided"].item() == pytest.approx(2 * plain["avoided"].item(), rel=0.06)
    assert found["avoided_lower"].item() < found["avoided"].item() < found["avoided_upper"].item()


def test_few_patients_are_not_shown() -> None:
    """A threshold that ten patients reach has no figures."""
    risks = np.array([0.9] * 10 + [0.1] * 50)
    frame = intervene(risks, Effect(0.2), **COSTS, thresholds=[0.0, 0.5]).frame
    assert frame["reached"].to_list() == [60, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"effect": lambda: Effect(1.0)}, "leaves no risk"),
        ({"effect": lambda: Effect(0.2, 0.3, 0.4)}, "is not between"),
        ({"effect": lambda: Effect(0.2, 0.1)}, "give both limits"),
        ({"uptake": 0.0}, "uptake is 0.0"),
        ({"cost_per_patient": -1.0}, "at least 0"),
        ({"thresholds": [2.0]}, "risks from 0 to 1"),
        ({"thresholds": [0.1], "capacity": 5}, "not both"),
        ({"risk": [1.2]}, "numbers from 0 to 1"),
    ],
    ids=["effect of all", "outside", "one limit", "uptake", "cost", "threshold", "both", "risk"],
)
def test_what_makes_no_sense_is_refused(change: dict, message: str) -> None:
    """The error says what is out of its range."""
    given = {"risk": RISKS, "effect": lambda: Effect(0.2), **COSTS, **change}
    with pytest.raises((SpecError, DataError), match=message):
        intervene(given.pop("risk"), given.pop("effect")(), **given)


def test_the_command_asks_for_the_effect_and_draws_the_plot(tmp_path: Path) -> None:
    """Without --effect it is a usage error; with it, table and plot are written."""
    scores = tmp_path / "scores.csv"
    pl.DataFrame({"risk": RISKS}).write_csv(scores)
    words = ["intervene", str(scores), "--cost-per-patient", "400", "--value-per-outcome", "10000"]
    assert CliRunner().invoke(main, words).exit_code == 2
    files = ["--out", str(tmp_path / "o.csv"), "--plot", str(tmp_path / "p.svg")]
    done = CliRunner().invoke(main, [*words, "--effect", "0.25", "--effect-interval", "0.1,0.4", *files])
    assert done.exit_code == 0, done.output
    assert "20 patients reached (worth it from a risk of 16.0%)" in done.output
    assert pl.read_csv(tmp_path / "o.csv").height == 31
    drawn = (tmp_path / "p.svg").read_text()
    assert "a patient breaks even (16.0%)" in drawn
    assert "<dc:date>" not in drawn
    refused = CliRunner().invoke(main, [*words, "--effect", "0.25", "--plot", str(tmp_path / "p.pdf")])
    assert refused.exit_code == 1
    assert "end it in .svg or .png" in refused.output


def test_a_loss_is_written_with_its_sign_before_the_dollars() -> None:
    found = intervene(RISKS, Effect(0.25, 0.1, 0.4), cost_per_patient=5_000, value_per_outcome=10_000)
    assert "net benefit -$80,000 (-$9" in found.to_text()
    assert "$-" not in found.to_text()


def test_patients_between_two_thresholds_cannot_be_worked_out() -> None:
    """40, 37 and 20 are reached: 40 less 37 would tell three patients."""
    risk = [0.1] * 3 + [0.2] * 17 + [0.4] * 20
    found = intervene(
        risk, Effect(0.2), cost_per_patient=1, value_per_outcome=9, thresholds=[0.05, 0.15, 0.3]
    )
    assert found.frame["reached"].to_list() == [None, 37, 20]
