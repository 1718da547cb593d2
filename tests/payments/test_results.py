"""What a result of any program offers."""

from pathlib import Path

import polars as pl
import pytest

from riskmodels.errors import SpecError
from riskmodels.payments import Audit, Line, pay, program_options, programs


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


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("A", "did you mean 'a'"), ("0a", "did you mean 'a'"), ("zz", "There are 2, such as a, b")],
)
def test_an_id_that_is_not_there_is_answered_with_the_nearest(
    contract: list[Path], asked: str, hint: str
) -> None:
    with pytest.raises(SpecError, match=hint):
        pay("contract", contract, year=2025).audit(asked)
