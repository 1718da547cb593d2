"""Contracts that a TOML file declares."""

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import Payment, pay
from riskmodels.payments.contract_audit import spell
from riskmodels.payments.contract_steps import compile_step

Settle = Callable[..., Payment]

SHARED_SAVINGS = """
title = "Commercial shared savings"
year = 2025
entity = "provider"
source = "Agreement, schedule C"

[inputs]
target = { column = "target_pmpm", minimum = 0 }
actual = { column = "actual_pmpm", minimum = 0 }
months = { column = "member_months", minimum = 0 }

[constants]
minimum_savings_rate = 0.01
share = 0.5

[[step]]
name = "savings"
formula = "(target - actual) * months"
source = "C.2"

[[step]]
name = "counted"
kind = "gate"
value = "savings"
at_least = "minimum_savings_rate * target * months"
then = "savings"
source = "C.3"

[[step]]
name = "shared"
formula = "counted * share"
source = "C.4"
"""

MSSP_2022 = """
title = "Shared Savings Program, savings side of performance year 2022"
year = 2022
entity = "ACO_ID"

[inputs]
benchmark = { column = "ABtotBnchmk", minimum = 0 }
difference = { column = "BnchmkMinExp" }
rate = { column = "MinSavPerc", minimum = 0 }
share = { column = "FinalShareRate", minimum = 0, maximum = 1 }
enhanced = { column = "enhanced" }

[[step]]
name = "counted"
kind = "gate"
value = "difference"
at_least = "max(rate * benchmark - 0.5, 0.5)"
then = "difference"

[[step]]
name = "paid"
kind = "withhold"
amount = "counted * share"
share = "0.02"

[[step]]
name = "earned"
kind = "cap"
value = "paid"
highest = "where(enhanced == 1, 0.2, 0.1) * benchmark"
"""

REACH = """
title = "Professional risk corridors"
year = 2021
entity = "aco_id"

[inputs]
benchmark = {}
expenditures = {}

[[step]]
name = "shared"
kind = "corridor"
amount = "benchmark - expenditures"
base = "benchmark"
bands = [
  { to = 0.05, share = 0.5 }, { to = 0.10, share = 0.35 }, { to = 0.15, share = 0.15 }, { share = 0.05 },
]

[[step]]
name = "payment"
formula = "where(shared > 0, shared * 0.98, shared)"
"""


@pytest.fixture
def settle(tmp_path: Path) -> Settle:
    """Return a function that settles a contract for lines of a table."""

    def run(contract: str, *lines: str, year: int = 2025, **options: object) -> Payment:
        toml, table = tmp_path / "contract.toml", tmp_path / "figures.csv"
        toml.write_text(contract, encoding="utf-8")
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return pay("contract", [toml, table], year=year, **options)

    return run


HEADER = "provider,target_pmpm,actual_pmpm,member_months"
TIERS = [{"at_least": 0, "result": "0"}, {"at_least": 50, "result": "1"}, {"at_least": 100, "result": "3"}]
BANDS = [{"to": 0.05, "share": 0.5}, {"share": 0.2}]


@pytest.mark.parametrize(("actual", "shared"), [(495.50, 0), (495.00, 312_500), (494.00, 375_000), (510, 0)])
def test_the_published_minimum_savings_rate_example(settle: Settle, actual: float, shared: float) -> None:
    """$500 target, half of the savings from 1% on (axenehp.com): $495.50 earns nothing."""
    payment = settle(SHARED_SAVINGS, HEADER, f"A,$500.00,{actual},125000")
    assert payment.frame["payment"].to_list() == [pytest.approx(shared)]


def test_the_audit_shows_inputs_constants_formulas_and_the_contract(settle: Settle) -> None:
    text = str(settle(SHARED_SAVINGS, HEADER, "A,500,490,1000").audit("A"))
    for part in ("figures.csv, line 2, column actual_pmpm", "share: 0.5", "counted * share", "C.4", "5,000"):
        assert part in text


def test_the_audit_writes_the_figures_into_every_step(settle: Settle) -> None:
    lines = {
        line.label: line.formula for line in settle(SHARED_SAVINGS, HEADER, "A,500,490,1000").audit("A").lines
    }
    assert lines["savings"] == "(target - actual) * months = (500 − 490) × 1,000"
    assert lines["counted"] == (
        "savings = 10,000 ≥ minimum_savings_rate * target * months = 0.01 × 500 × 1,000 = 5,000; "
        "then savings = 10,000"
    )
    assert lines["shared"] == "counted * share = 10,000 × 0.5"
    missed = settle(SHARED_SAVINGS, HEADER, "A,500,510,1000").audit("A").lines
    gate = next(line.formula for line in missed if line.label == "counted")
    assert gate.startswith("savings = −10,000 < minimum_savings_rate")
    assert gate.endswith("; otherwise 0")


@pytest.mark.parametrize(
    ("step", "x", "words"),
    [
        ({"formula": "x * 2 - 1"}, -3, "x * 2 - 1 = (−3) × 2 − 1"),
        ({"formula": "where(x >= 2, min(x, 5), 0)"}, 7,
         "where(x >= 2, min(x, 5), 0) = where(7 ≥ 2, min(7, 5), 0)"),
        ({"formula": "3 * 4"}, 1, "3 * 4"),
        ({"kind": "tiers", "value": "x / 2", "tiers": TIERS}, 120, "x / 2 = 120 / 2 = 60, from 50 on: 1"),
        ({"kind": "tiers", "value": "x", "tiers": TIERS}, -1, "x = −1, below 0: 0"),
        ({"kind": "tiers", "value": "x", "tiers": TIERS, "linear": True}, 75,
         "x = 75, from 50 to 100: 1 + (3 − 1) × (75 − 50) / 50"),
        ({"kind": "cap", "value": "x", "highest": "0.5 * 10", "lowest": "-5"}, 7,
         "x = 7, at most 0.5 * 10 = 5, at least -5"),
        ({"kind": "withhold", "amount": "x", "share": "0.1", "earned": "0.25"}, 100,
         "x = 100; 100 × (1 − 0.1 × (1 − 0.25))"),
        ({"kind": "fee", "rate": "8 + 2.5", "months": "x"}, 12, "8 + 2.5 = 10.5; x = 12; 10.5 × 12"),
        ({"kind": "corridor", "amount": "x", "base": "100", "bands": BANDS}, -8,
         "x = −8 of 100 is −8%: −(5 × 50% + 3 × 20%)"),
    ],
)  # fmt: skip
def test_a_step_in_figures(step: dict[str, object], x: float, words: str) -> None:
    assert spell({"name": "s", **step}, {"x": x}) == words


@settings(max_examples=40, deadline=None)
@given(st.floats(-200, 200), st.sampled_from(["withhold", "fee", "corridor", "tiers", "formula"]))
def test_the_figures_of_a_step_come_to_its_value(x: float, kind: str) -> None:
    """What stands after the last colon, semicolon or sign of equality comes to the value as it is printed."""
    x = round(x, 4)
    keys: dict[str, dict[str, object]] = {
        "withhold": {"amount": "x", "share": "0.1", "earned": "0.25"},
        "fee": {"rate": "x", "months": "12"},
        "corridor": {"amount": "x", "base": "1000", "bands": BANDS},
        "tiers": {"value": "x", "below": "2", "tiers": TIERS, "linear": True},
        "formula": {"formula": "(x - 3) * 2 / (1 + 0.5)"},
    }
    step = {"name": "s", "kind": kind, **keys[kind]}
    value = pl.DataFrame({"x": [x]}).select(compile_step(step, ["x"]).cast(pl.Float64)).item()
    terms = re.split("[:;=]", spell(step, {"x": x}))[-1]
    for sign, plain in (("×", "*"), ("−", "-"), (",", ""), ("%", "/100")):
        terms = terms.replace(sign, plain)
    assert eval(terms) == pytest.approx(value, abs=1e-6)


def test_the_break_even_is_where_the_payment_begins(settle: Settle) -> None:
    payment = settle(SHARED_SAVINGS, HEADER, "A,500,499,1000")
    turn = payment.break_even("A").filter(input="actual").row(0, named=True)
    assert turn["value_at_turn"] == pytest.approx(495)
    assert payment.what_if({"actual": 494.99}).frame["payment"][0] > 0
    assert payment.what_if({"actual@A": 495.01}).frame["payment"][0] == 0
    assert payment.break_even("A").filter(input="months")["value_at_turn"].to_list() == [None]


def test_the_shared_savings_program_pays_the_same_through_a_contract(
    shared_data: Path, settle: Settle
) -> None:
    path = shared_data / "payments" / "mssp" / "PY2022.csv"
    table = pl.read_csv(path, infer_schema=False)
    one_line = ["ACO_ID,ABtotBnchmk,BnchmkMinExp,MinSavPerc,FinalShareRate,enhanced"]
    columns = table.select(
        "ACO_ID", "ABtotBnchmk", "BnchmkMinExp", "MinSavPerc", "FinalShareRate", "Current_Track"
    )
    lines = [",".join([*row[:5], "1" if row[5] == "EN" else "0"]) for row in columns.rows()]
    mine = settle(MSSP_2022, *one_line, *lines, year=2022).frame
    program = pay("mssp", path, year=2022).frame
    both = mine.join(program, left_on="entity_id", right_on="aco_id")
    saved = both.filter(pl.col("generated_savings_losses") > 0)
    assert saved.height > 250
    assert (saved["payment"] - saved["earned_savings_losses"]).abs().max() < 0.01


@pytest.mark.parametrize("gross", [2_580_322.5148, 4_000_000.0, -3_000_000.0, 8_000_000.0])
def test_a_corridor_pays_what_aco_reach_pays(settle: Settle, tmp_path: Path, gross: float) -> None:
    benchmark = 29_319_668.2706
    line = f"D1,{benchmark},{benchmark - gross}"
    mine = settle(REACH, "aco_id,benchmark,expenditures", line, year=2021).frame["payment"][0]
    path = tmp_path / "reach.csv"
    header = "aco_id,perf_year,risk_arrangement,final_benchmark,tot_cost_care_net"
    path.write_text(f"{header}\nD1,2021,Professional,{benchmark},{benchmark - gross}\n", encoding="utf-8")
    assert mine == pytest.approx(pay("aco-reach", path, year=2021).frame["payment"][0], abs=1e-6)


def test_a_cap_before_a_share_tops_out_at_four_percent(settle: Settle) -> None:
    """Next Generation agreement: savings capped at 5% of the benchmark, 80% of them shared."""
    contract = """
title = "Next Generation, arrangement A"
year = 2020
entity = "aco"
[inputs]
benchmark = {}
expenditures = {}
[[step]]
name = "capped"
kind = "cap"
value = "benchmark - expenditures"
highest = "0.05 * benchmark"
lowest = "-0.05 * benchmark"
[[step]]
name = "payment"
formula = "0.8 * capped"
"""
    frame = settle(
        contract, "aco,benchmark,expenditures", "A,100,80", "B,100,97", "C,100,130", year=2020
    ).frame
    assert frame["payment"].to_list() == pytest.approx([4.0, 2.4, -4.0])


@pytest.mark.parametrize(
    ("step", "values", "results"),
    [
        ({"kind": "tiers", "value": "x", "tiers": TIERS}, [-1, 0, 49, 50, 100], [0, 0, 0, 1, 3]),
        ({"kind": "tiers", "value": "x", "tiers": TIERS, "linear": True}, [25, 75, 120], [0.5, 2, 3]),
        ({"kind": "withhold", "amount": "x", "share": "0.1", "earned": "0.25"}, [100], [92.5]),
        ({"kind": "fee", "rate": "8 + 2.5", "months": "x"}, [12], [126]),
        ({"formula": "round(x / 3, 2)"}, [1], [0.33]),
        ({"formula": "where(x >= 2 and x < 4, 1, 0)"}, [1, 2, 4], [0, 1, 0]),
        ({"formula": "-x + abs(x - 10) * 2"}, [4], [8]),
    ],
)
def test_steps(step: dict[str, object], values: list[float], results: list[float]) -> None:
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    computed = frame.select(compile_step({"name": "s", **step}, ["x"]).cast(pl.Float64).alias("y"))
    assert computed["y"].to_list() == pytest.approx(results)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("counted * share", "counted * shares", "unknown name 'shares'. Hint: did you mean 'share'"),
        ("counted * share", "__import__('os')", "cannot stand in a formula|unknown function"),
        ("counted * share", "counted ** share", "cannot stand in a formula"),
        ("counted * share", "counted *", "is not a formula"),
        ('kind = "gate"', 'kind = "door"', "unknown kind 'door'"),
        ('then = "savings"', "", "a gate needs then"),
        ('then = "savings"', 'then = "savings"\nbonus = 1', "a gate has no bonus"),
        ('name = "counted"', 'name = "savings"', "unknown name 'counted'|used twice"),
        ("year = 2025", "year = 2024", "is of 2024, not 2025"),
        ('entity = "provider"', "", "needs entity"),
    ],
)
def test_a_contract_that_cannot_be_carried_out_is_refused(
    settle: Settle, old: str, new: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        settle(SHARED_SAVINGS.replace(old, new), HEADER, "A,500,490,1000")


def test_wrong_figures_are_refused(settle: Settle) -> None:
    with pytest.raises(DataError, match="below 0"):
        settle(SHARED_SAVINGS, HEADER, "A,500,-490,1000")
    with pytest.raises(DataError, match="no finite value"):
        settle(SHARED_SAVINGS.replace("counted * share", "counted / (share - 0.5)"), HEADER, "A,500,490,1000")
    with pytest.raises(SpecError, match=r"one \.toml file"):
        pay("contract", ["figures.csv"], year=2025)


def test_a_contract_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With what to do, and without the numbers of the operating system."""
    path = tmp_path / "contract.toml"
    figures = tmp_path / "figures.csv"

    def refused() -> str:
        with pytest.raises(SpecError) as error:
            pay("contract", [path, figures], year=2025)
        assert str(error.value).startswith(str(path))
        assert "Errno" not in str(error.value)
        return str(error.value)

    assert "there is no such file\nFix: name the .toml file that declares the contract" in refused()
    path.mkdir()
    assert "is a folder\nFix: name the .toml file" in refused()
    path.rmdir()
    path.write_bytes(b'title = "\xff"')
    assert "is not UTF-8\nFix: save it" in refused()
    path.write_text("title =", encoding="utf-8")
    assert "Fix: correct the TOML there" in refused()


@settings(max_examples=50, deadline=None)
@given(st.floats(-1, 1), st.floats(0, 0.5))
def test_a_corridor_rises_with_the_amount(amount: float, more: float) -> None:
    bands = [{"to": 0.05, "share": 0.5}, {"to": 0.10, "share": 0.35}, {"share": 0.05}]
    step = {"name": "s", "kind": "corridor", "amount": "x", "base": "1", "bands": bands}
    frame = pl.DataFrame({"x": [amount, amount + more]})
    low, high = frame.select(compile_step(step, ["x"]).alias("y"))["y"].to_list()
    assert low <= high + 1e-12
