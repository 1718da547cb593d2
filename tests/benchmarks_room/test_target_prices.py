"""Target prices of episodes: by hand, with trend, discount and credibility, and settled with an interval."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.benchmarks.target_prices import target_prices
from riskmodels.cli import main
from riskmodels.errors import DataError, SpecError
from riskmodels.payments import pay

START = date(2023, 1, 1)


def episodes(n: int = 400, seed: int = 0) -> pl.DataFrame:
    """Return episodes of two hospitals, half in the baseline, of $20,000 on average and 10% more later."""
    draw = np.random.default_rng(seed)
    later = np.arange(n) % 2 == 1
    return pl.DataFrame(
        {
            "participant_id": np.where(np.arange(n) % 4 < 2, "H1", "H2"),
            "episode_category": "LEJR",
            "start": [date(2023, 5, 1) if is_later else date(2022, 5, 1) for is_later in later],
            "cost": draw.normal(np.where(later, 22_000, 20_000), 3_000, n),
            "winsor_low": 0.0,
            "winsor_high": 1e6,
        }
    )


def test_a_price_is_the_baseline_mean_trended_and_discounted() -> None:
    """Mean of all baseline episodes x 1.05 x 0.98, the same for both hospitals."""
    rows = episodes()
    mean = rows.filter(pl.col("start") < START)["cost"].mean()
    made = target_prices(rows, START, trend=1.05, discount=0.02, n_draws=0)
    assert made.frame["target_price"].to_list() == pytest.approx([mean * 1.05 * 0.98] * 200)
    assert made.frame["start"].min() >= START


def test_the_trend_seen_is_capped() -> None:
    """Costs rose by a tenth, of which at most 3% count."""
    made = target_prices(episodes(), START, trend_cap=0.03, n_draws=0)
    assert made.metadata["trend"] == {"LEJR": pytest.approx(1.03)}
    free = target_prices(episodes(), START, n_draws=0)
    assert free.metadata["trend"]["LEJR"] == pytest.approx(1.1, abs=0.03)


def test_costs_beyond_their_limits_do_not_move_a_price() -> None:
    """An episode of a million counts as its upper limit."""
    rows = episodes().with_columns(winsor_high=pl.lit(40_000.0))
    dear = rows.with_columns(cost=pl.when(pl.int_range(pl.len()) == 0).then(1e6).otherwise("cost"))
    held = target_prices(dear, START, trend=1.0, n_draws=0).frame["target_price"][0]
    plain = target_prices(rows, START, trend=1.0, n_draws=0).frame["target_price"][0]
    assert held - plain < 40_000 / 200


def test_own_history_counts_as_far_as_it_is_credible() -> None:
    """Hospitals that differ get prices of their own with Buhlmann, one price without."""
    rows = episodes(2000).with_columns(
        cost=pl.col("cost") * pl.when(pl.col("participant_id") == "H1").then(1.3).otherwise(0.7)
    )
    one = (
        target_prices(rows, START, n_draws=0)
        .frame.group_by("participant_id")
        .agg(pl.col("target_price").mean())
    )
    own = target_prices(rows, START, n_draws=0, credibility="buhlmann").frame
    both = dict(own.group_by("participant_id").agg(pl.col("target_price").mean()).iter_rows())
    assert one["target_price"].n_unique() == 1
    assert both["H1"] / both["H2"] == pytest.approx(1.3 / 0.7, rel=0.05)


@pytest.mark.parametrize("program", ["team", "cjr"])
def test_pay_settles_the_written_file_with_an_interval(tmp_path: Path, program: str) -> None:
    """Target and cost are the file's, and the payment lies within its bounds."""
    made = target_prices(episodes(), START, trend=1.05, n_draws=100)
    made.write(tmp_path / "prices.parquet")
    quality = tmp_path / "quality.csv"
    quality.write_text("participant_id,composite_quality_score,track\nH1,8,3\nH2,16,3\n")
    year = {"team": 2026, "cjr": 2019}[program]
    frame = pay(program, tmp_path / "prices.parquet", year=year, quality=quality).frame
    quality.write_text("participant_id,composite_quality_score,track\n*,8,3\nH2,16,3\n")
    assert pay(program, tmp_path / "prices.parquet", year=year, quality=quality).frame.equals(frame)
    assert frame["cost"].sum() == pytest.approx(made.frame["cost"].sum())
    assert (frame["payment_lower"] <= frame["payment"]).all()
    assert (frame["payment"] <= frame["payment_upper"]).all()
    assert (frame["cost_lower"] < frame["cost_upper"]).all()


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (episodes().drop("cost"), {}, "lack the column"),
        (episodes(), {"performance_from": date(2020, 1, 1)}, "all episodes start from 2020-01-01 on"),
        (episodes(), {"performance_from": date(2030, 1, 1)}, "all episodes start before 2030-01-01"),
        (episodes(30), {}, "a price needs 20"),
        (episodes(), {"discount": 1.5}, "discount is 1.5"),
        (episodes().with_columns(cost=pl.lit(-1.0)), {}, "or cost less than nothing"),
    ],
    ids=["no cost", "no baseline", "no performance", "few", "discount", "negative"],
)
def test_what_has_no_price_is_said(rows: pl.DataFrame, options: dict, message: str) -> None:
    """The error names column, value and remedy."""
    with pytest.raises((DataError, SpecError), match=message):
        target_prices(rows, **{"performance_from": START, **options})


def test_the_command_prices_a_file_of_episodes(tmp_path: Path) -> None:
    """From CSV to prices, draws and metadata."""
    episodes().write_csv(tmp_path / "e.csv")
    words = ["prices", str(tmp_path / "e.csv"), "--from", "2023-01-01", "--draws", "5", "--out"]
    done = CliRunner().invoke(main, [*words, str(tmp_path / "p.parquet")])
    assert done.exit_code == 0, done.output
    assert "200 episodes from 2023-01-01 on" in done.output
    assert pl.read_parquet(tmp_path / "p.draws.parquet").height == 10
    assert (tmp_path / "p.prices.parquet").is_file()
