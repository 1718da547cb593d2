"""Uncertain inputs go through the rules, and figures come out with an interval."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from riskmodels.errors import SpecError
from riskmodels.payments import Payment, pay


@pytest.fixture
def shared_savings(tmp_path: Path) -> Payment:
    """Settle two ACOs: one far above its minimum savings rate, one at its edge."""
    path = tmp_path / "puf.csv"
    header = "ACO_ID,Current_Track,N_AB,MinSavPerc,QualScore,Met_QPS,ABtotBnchmk,ABtotExp"
    rows = ["A1,B,10000,3.00%,90%,1,100000000,90000000", "A2,B,10000,3.00%,90%,1,100000000,97000000"]
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return pay("mssp", path, year=2022)


def _draws(entity: str, values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"entity": entity, "draw": np.arange(len(values)), "value": values})


def test_where_the_rule_is_linear_the_interval_is_that_of_the_input(shared_savings: Payment) -> None:
    draws = _draws("A1", np.linspace(89e6, 91e6, 201))
    frame = shared_savings.interval("expenditures", draws)
    row = frame.row(by_predicate=pl.col("aco_id") == "A1", named=True)
    share = 0.4 * 0.98
    assert row["earned_savings_losses"] == pytest.approx(10e6 * share)
    assert row["earned_savings_losses_lower"] == pytest.approx((10e6 - 0.95e6) * share)
    assert row["earned_savings_losses_upper"] == pytest.approx((10e6 + 0.95e6) * share)
    other = frame.row(by_predicate=pl.col("aco_id") == "A2", named=True)
    assert other["earned_savings_losses_lower"] == other["earned_savings_losses_upper"]
    assert "benchmark" not in frame.columns  # it does not move


def test_at_the_edge_of_the_minimum_savings_rate_the_interval_holds_nothing_and_the_whole(
    shared_savings: Payment,
) -> None:
    draws = _draws("A2", np.linspace(96.5e6, 97.5e6, 101))
    frame = shared_savings.interval("expenditures", draws)
    row = frame.row(by_predicate=pl.col("aco_id") == "A2", named=True)
    assert row["earned_savings_losses_lower"] == 0
    assert row["earned_savings_losses_upper"] > 3e6 * 0.39


def test_draws_of_an_unknown_input_are_refused(shared_savings: Payment) -> None:
    with pytest.raises(SpecError, match="did you mean 'expenditures'"):
        shared_savings.interval("expenditure", _draws("A1", np.ones(2)))
    with pytest.raises(SpecError, match="no column value"):
        shared_savings.interval("expenditures", _draws("A1", np.ones(2)).rename({"value": "x"}))
