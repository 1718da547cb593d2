"""A contract's steps with their figures, as an audit writes them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from riskmodels.payments.audit import number, percent
from riskmodels.payments.formula import compile_formula

__all__ = ["spell"]

_SIGNS = ((">=", "≥"), ("<=", "≤"), ("==", "="), ("!=", "≠"), ("*", "×"), ("-", "−"))
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")


def spell(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    """Return how a step came about: its formula, then the same with the figures of one entity.

    Parameters
    ----------
    step : mapping
        A step of a contract, as `contract_steps` compiles it.
    values : mapping of str to float
        The entity's inputs and steps, and the contract's constants.

    >>> spell({"name": "shared", "formula": "counted * share"}, {"counted": 5000, "share": 0.5})
    'counted * share = 5,000 × 0.5'
    """
    return _KINDS[step.get("kind", "formula")](step, values)


def _written(text: Any) -> str:
    """Return a formula with the signs of print."""
    written = str(text).strip()
    for plain, sign in _SIGNS:
        written = written.replace(plain, sign)
    return written


def _figure(value: float) -> str:
    return number(value + 0.0).replace("-", "−")  # no minus before a zero


def _figures(text: Any, values: Mapping[str, float]) -> str:
    """Return a formula with figures in the place of names, negative ones in brackets."""

    def replace(match: re.Match[str]) -> str:
        if match[0] not in values:
            return match[0]
        figure = _figure(values[match[0]])
        alone = match[0] == str(text).strip()
        return f"({figure})" if values[match[0]] < 0 and not alone else figure

    return _NAME.sub(replace, _written(text))


def _value(text: Any, values: Mapping[str, float]) -> float:
    """Return what a formula comes to for the entity."""
    frame = pl.DataFrame({"": [0.0], **{name: [float(value)] for name, value in values.items()}})
    return float(frame.select(compile_formula(str(text), values, "audit").cast(pl.Float64)).item())


def _worked(text: Any, values: Mapping[str, float], *, result: bool = True) -> str:
    """Return a formula as the contract has it, its figures, and what they come to."""
    figures, written = _figures(text, values), _written(text)
    parts = [str(text).strip(), *([figures] if figures != written else [])]
    outcome = _figure(_value(text, values)) if result else figures
    return " = ".join([*parts, *([outcome] if outcome != figures else [])])


def _formula(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    return _worked(step["formula"], values, result=False)


def _gate(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    passed = _value(step["value"], values) >= _value(step["at_least"], values)
    sign, way = ("≥", "then") if passed else ("<", "otherwise")
    asked = f"{_worked(step['value'], values)} {sign} {_worked(step['at_least'], values)}"
    return f"{asked}; {way} {_worked(step.get(way, 0), values)}"


def _tiers(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    x, rows = _value(step["value"], values), step["tiers"]
    reached = [index for index, row in enumerate(rows) if x >= float(row["at_least"])]
    text = _worked(step["value"], values)
    if not reached:
        below = f"below {_figure(float(rows[0]['at_least']))}"
        return f"{text}, {below}: {_worked(step.get('below', 0), values)}"
    row, after = rows[reached[-1]], rows[reached[-1] + 1 :]
    start, here = float(row["at_least"]), _worked(row["result"], values)
    if not step.get("linear", False) or not after:
        return f"{text}, from {_figure(start)} on: {here}"
    end = float(after[0]["at_least"])
    low, high = (_value(each["result"], values) for each in (row, after[0]))
    line = f"{_figure(low)} + ({_figure(high)} − {_figure(low)}) × ({_figure(x)} − {_figure(start)})"
    return f"{text}, from {_figure(start)} to {_figure(end)}: {line} / {_figure(end - start)}"


def _corridor(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    amount, base = (_value(step[key], values) for key in ("amount", "base"))
    rate, start, parts = abs(amount / base), 0.0, []
    for band in step["bands"]:
        end = float(band.get("to", 1e9))
        inside = max(min(rate, end) - start, 0.0)
        if inside > 0:
            parts.append(f"{_figure(inside * abs(base))} × {percent(float(band['share']))}")
        start = end
    sign = "−" if amount * base < 0 else ""
    asked = f"{_worked(step['amount'], values)} of {_worked(step['base'], values)}"
    rate_of = percent(amount / base).replace("-", "−")
    return f"{asked} is {rate_of}: {sign}({' + '.join(parts) or '0'})"


def _cap(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    limits = [
        f"{words} {_worked(step[key], values)}"
        for key, words in (("highest", "at most"), ("lowest", "at least"))
        if key in step
    ]
    return ", ".join([_worked(step["value"], values), *limits])


def _withhold(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    amount, share, earned = (
        _figure(_value(text, values)) for text in (step["amount"], step["share"], step.get("earned", 0))
    )
    kept = f"{share} × (1 − {earned})" if "earned" in step else share
    given = [_worked(step[key], values) for key in ("amount", "share", "earned") if key in step]
    named = [text for text in given if "=" in text]
    return "; ".join([*named, f"{amount} × (1 − {kept})"])


def _fee(step: Mapping[str, Any], values: Mapping[str, float]) -> str:
    given = [_worked(step[key], values) for key in ("rate", "months")]
    rate, months = (_figure(_value(step[key], values)) for key in ("rate", "months"))
    return "; ".join([*(text for text in given if "=" in text), f"{rate} × {months}"])


_KINDS: dict[str, Callable[[Mapping[str, Any], Mapping[str, float]], str]] = {
    "formula": _formula,
    "gate": _gate,
    "tiers": _tiers,
    "corridor": _corridor,
    "cap": _cap,
    "withhold": _withhold,
    "fee": _fee,
}
