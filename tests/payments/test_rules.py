"""Rules are data: every parameter of every year has a value and a source."""

import subprocess
import sys

import pytest

from riskmodels.errors import SpecError
from riskmodels.payments import known_years, load_rules, programs
from riskmodels.payments.rules import parse_rules, rule_programs

ALL = [(program, year) for program in rule_programs() for year in known_years(program)]


@pytest.mark.parametrize(("program", "year"), ALL, ids=[f"{program}-{year}" for program, year in ALL])
def test_every_file_names_its_program_and_year_and_every_parameter_its_source(
    program: str, year: int
) -> None:
    rules = load_rules(program, year)
    assert (rules.program, rules.year) == (program, year)
    assert str(year) in rules.title
    assert all(len(parameter.source) > 10 for parameter in rules.parameters.values())


def test_every_program_has_rules_and_every_rule_a_program() -> None:
    assert set(programs()) - {"contract"} == set(rule_programs())


def test_an_unverified_parameter_is_named() -> None:
    content = {
        "program": "p",
        "year": 1,
        "title": "t",
        "a": {"value": 1, "source": "memory", "verified": False},
    }
    rules = parse_rules(content, "here")
    assert rules.unverified() == ("a",)
    assert rules.unverified(["b"]) == ()
    assert rules.cite("a") == "UNVERIFIED: memory"


@pytest.mark.parametrize("table", [{"value": 1}, {"source": "x"}, 3])
def test_a_parameter_without_value_or_source_is_refused(table: object) -> None:
    with pytest.raises(SpecError, match="needs a value and a source"):
        parse_rules({"program": "p", "year": 1, "title": "t", "a": table}, "here")


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(SpecError, match="did you mean 'hrrp'"):
        load_rules("hrp", 2025)


def test_payments_import_no_modelling_library() -> None:
    heavy = (
        "lightgbm shap mlflow sklearn matplotlib numba pandas openpyxl riskmodels.history riskmodels.learning"
    )
    code = f"import sys, riskmodels.payments; print([n for n in '{heavy}'.split() if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
