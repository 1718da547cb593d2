"""What a result of any program offers."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from riskmodels.errors import SpecError
from riskmodels.payments import Audit, Line, pay, program_options, programs
from riskmodels.payments.summary import to_text


@pytest.fixture
def contract(tmp_path: Path) -> list[Path]:
    """Write a small contract and its figures."""
    toml, table = tmp_path / "c.toml", tmp_path / "f.csv"
    toml.write_text(
        'title = "Fees"\nyear = 2025\nentity = "id"\n[inputs]\nmonths = {}\n'
        '[[step]]\nname = "fee"\nkind = "fee"\nrate = "10"\nmonths = "months"\n',
        encoding="utf-8",
    )
    table.write_text("id,months\na,12\nb,6\n", encoding="utf-8")
    return [toml, table]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_result_and_detail_are_written_by_suffix(contract: list[Path], tmp_path: Path, suffix: str) -> None:
    payment = pay("contract", contract, year=2025)
    out, detail = tmp_path / f"out{suffix}", tmp_path / f"detail{suffix}"
    payment.write(out, detail)
    read = pl.read_csv if suffix == ".csv" else pl.read_parquet
    assert read(out)["payment"].to_list() == [120, 60]
    assert read(detail).height == payment.detail.height


def test_an_audit_is_text_and_plain_data() -> None:
    audit = Audit("Title", (Line("Part"), Line("figure", "3", "1 + 2", "file, line 4")), ("guess",))
    text = audit.to_text()
    assert "figure: 3 = 1 + 2" in text
    assert "[file, line 4]" in text
    assert "Unverified parameters in this result: guess." in text
    data = audit.to_dict()
    assert data["unverified"] == ["guess"]
    assert data["lines"] == [
        {"label": "Part", "value": "", "formula": "", "source": ""},
        {"label": "figure", "value": "3", "formula": "1 + 2", "source": "file, line 4"},
    ]


def test_every_program_says_what_its_options_are() -> None:
    for name in programs():
        assert all(text for text in program_options(name).values())


def test_unknown_programs_options_and_empty_inputs_are_refused(contract: list[Path]) -> None:
    with pytest.raises(SpecError, match="did you mean 'mssp'"):
        pay("msp", "x.csv", year=2022)
    with pytest.raises(SpecError, match=r"has no option 'slopes'\. Hint: did you mean 'slope'"):
        pay("hvbp", "x.csv", year=2024, slopes=1)
    with pytest.raises(SpecError, match="at least one input"):
        pay("mssp", [], year=2022)
    with pytest.raises(SpecError, match="has no option"):
        pay("contract", contract, year=2025, anything=1)


def test_break_even_where_an_input_of_nothing_has_no_result(tmp_path: Path) -> None:
    toml, table = tmp_path / "c.toml", tmp_path / "f.csv"
    toml.write_text(
        'title = "Rate"\nyear = 2025\nentity = "id"\n[inputs]\nmonths = {}\ncost = {}\n'
        '[[step]]\nname = "gain"\nformula = "100 - cost / months"\n',
        encoding="utf-8",
    )
    table.write_text("id,months,cost\na,12,900\n", encoding="utf-8")
    turn = pay("contract", [toml, table], year=2025).break_even("a")
    assert turn.filter(input="months")["value_at_turn"][0] == pytest.approx(9)
    assert turn.filter(input="cost")["value_at_turn"][0] == pytest.approx(1200)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("quality_score@A1", 1.5, "quality_score of A1 1.5; it is at least 0 and at most 1"),
        ("expenditures", "-200%", "it is at least 0$"),
        ("assigned_beneficiaries", -1, "at least 0"),
    ],
)
def test_a_what_if_refuses_what_an_input_cannot_be(
    tmp_path: Path, key: str, change: float | str, message: str
) -> None:
    path = tmp_path / "puf.csv"
    path.write_text(
        "ACO_ID,Current_Track,N_AB,MinSavPerc,QualScore,Met_QPS,ABtotBnchmk,ABtotExp\n"
        "A1,E,9000,0.02,0.9,1,1000,900\n",
        encoding="utf-8",
    )
    payment = pay("mssp", path, year=2022)
    with pytest.raises(SpecError, match=message):
        payment.what_if({key: change})
    assert payment.what_if({"quality_score": 1}).frame["earned_savings_losses"][0] > 0


def test_what_a_contract_says_of_its_inputs_holds_for_a_what_if(contract: list[Path]) -> None:
    text = contract[0].read_text(encoding="utf-8").replace("months = {}", "months = { maximum = 24 }")
    contract[0].write_text(text, encoding="utf-8")
    payment = pay("contract", contract, year=2025)
    assert payment.what_if({"months@a": -12}).frame["payment"].to_list() == [-120, 60]
    with pytest.raises(SpecError, match="months of b 30; it is at most 24"):
        payment.what_if({"months@b": 30})


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("A", "did you mean 'a'"), ("0a", "did you mean 'a'"), ("zz", "There are 2, such as a, b")],
)
def test_an_id_that_is_not_there_is_answered_with_the_nearest(
    contract: list[Path], asked: str, hint: str
) -> None:
    with pytest.raises(SpecError, match=hint):
        pay("contract", contract, year=2025).audit(asked)


def test_a_summary_has_a_row_a_figure_and_amounts_in_cents(contract: list[Path]) -> None:
    """Limits are in the file: least, median and most of a limit say nothing."""
    contract[1].write_text("id,months\na,120.5\nb,6\n", encoding="utf-8")
    payment = pay("contract", contract, year=2025)
    limits = {"payment_lower": pl.col("payment") - 1, "payment_upper": pl.col("payment") + 1}
    settled = replace(payment.settlement, frame=payment.settlement.frame.with_columns(**limits))
    text = to_text(replace(payment, settlement=settled))
    assert "2 rows, one for each entity_id" in text
    assert [line.split() for line in text.splitlines() if line.startswith("  payment")] == [
        ["payment", "60.00", "1,205.00", "1,205.00"]
    ]
    assert "95% intervals of 1 of them: columns ..._lower and ..._upper" in text
