"""Payment programs: from published files or a benchmark to the payment, with an audit trail.

>>> from riskmodels.payments import programs
>>> "hrrp" in programs()
True
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.payments import panel_benchmark
from riskmodels.payments.audit import Audit, Line
from riskmodels.payments.panel_benchmark import for_benchmark
from riskmodels.payments.program import Payment, Program
from riskmodels.payments.rules import Parameter, Rules, known_years, load_rules
from riskmodels.payments.whatif import parse_changes

__all__ = [
    "Audit",
    "Line",
    "Parameter",
    "Payment",
    "Rules",
    "known_years",
    "load_rules",
    "parse_changes",
    "pay",
    "program_options",
    "programs",
]

_PROGRAMS = (
    *("aco-reach", "bpci-advanced", "cjr", "contract", "hac", "hrrp", "hvbp"),
    *("ma-capitation", "mips", "mssp", "primary-care", "team"),
)


def programs() -> tuple[str, ...]:
    """Return the names of the payment programs."""
    return _PROGRAMS


def program_options(program: str) -> Mapping[str, str]:
    """Return the options that `pay` takes for a program, each with what it is."""
    chosen = _program(program)
    return {**chosen.options, **(panel_benchmark.OPTION if program in panel_benchmark.PROGRAMS else {})}


def pay(
    program: str,
    inputs: str | Path | Iterable[str | Path],
    *,
    year: int,
    what_if: Mapping[str, float | str] | None = None,
    **options: Any,
) -> Payment:
    """Compute a payment program from files.

    Parameters
    ----------
    program : str
        One of `programs()`.
    inputs : path or paths
        The files as published, or a benchmark.
    year : int
        The program's year (fiscal, performance or payment year, as the program counts).
    what_if : mapping, optional
        Inputs to change before settling, such as ``{"excess_readmission_ratio[HF]": "-5%"}``.
    **options
        The program's own options, see `program_options`; None is as if not given.

    Raises
    ------
    SpecError
        For an unknown program, year, option or change.
    DataError
        For a file that cannot be used; names file, column, line and value.
    """
    chosen = _program(program)
    paths = [Path(path) for path in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    if not paths:
        raise SpecError(f"{program} needs at least one input file")
    chosen = for_benchmark(chosen, paths, options)
    rules = chosen.load(int(year), paths)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in chosen.options:
            raise SpecError(f"{program} has no option {name!r}. {did_you_mean(name, chosen.options)}")
    read = chosen.read(paths, rules, given)
    payment = Payment(chosen, rules, read, chosen.settle(read, rules))
    return payment.what_if(what_if) if what_if else payment


def _program(name: str) -> Program:
    if name not in _PROGRAMS:
        raise SpecError(f"unknown payment program {name!r}. {did_you_mean(name, _PROGRAMS)}")
    program: Program = import_module(f"riskmodels.payments.{name.replace('-', '_')}").PROGRAM
    return program
