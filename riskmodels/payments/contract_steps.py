"""The kinds of step that a contract is made of: formula, gate, tiers, corridor, cap, withhold, fee."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import polars as pl

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.payments.formula import compile_formula

__all__ = ["KINDS", "compile_step"]

Compile = Callable[[Any], pl.Expr]


def compile_step(step: Mapping[str, Any], known: Collection[str]) -> pl.Expr:
    """Return a step as an expression over the inputs and earlier steps.

    Raises
    ------
    SpecError
        For an unknown kind, or a key that the kind needs or does not know.
    """
    name = step.get("name", "?")
    kind = step.get("kind", "formula")
    if kind not in KINDS:
        raise SpecError(f"step {name!r}: unknown kind {kind!r}. {did_you_mean(str(kind), KINDS)}")
    keys, build = KINDS[kind]
    given = set(step) - {"name", "kind", "source"}
    missing = [key for key in keys if key not in given and not key.endswith("?")]
    if missing:
        raise SpecError(f"step {name!r}: a {kind} needs {', '.join(missing)}")
    unknown = given - {key.rstrip("?") for key in keys}
    if unknown:
        raise SpecError(f"step {name!r}: a {kind} has no {', '.join(sorted(unknown))}")

    def compile_value(value: Any) -> pl.Expr:
        return compile_formula(str(value), known, f"step {name!r}")

    return build(step, compile_value)


def _formula(step: Mapping[str, Any], value: Compile) -> pl.Expr:
    return value(step["formula"])


def _gate(step: Mapping[str, Any], value: Compile) -> pl.Expr:
    """Return `then` where `value` is at least `at_least`, else `otherwise` (0)."""
    passed = value(step["value"]) >= value(step["at_least"])
    return pl.when(passed).then(value(step["then"])).otherwise(value(step.get("otherwise", 0)))


def _tiers(step: Mapping[str, Any], value: Compile) -> pl.Expr:
    """Return the `result` of the last tier that the value reaches; linear between tiers if asked."""
    rows = step["tiers"]
    if not rows or any(set(row) != {"at_least", "result"} for row in rows):
        raise SpecError(f"step {step['name']!r}: each tier needs at_least and result")
    starts = [float(row["at_least"]) for row in rows]
    if starts != sorted(set(starts)):
        raise SpecError(f"step {step['name']!r}: tiers have to rise")
    x = value(step["value"])
    result = value(step.get("below", 0))
    for index, row in enumerate(rows):
        here = value(row["result"])
        if step.get("linear", False) and index + 1 < len(rows):
            width = starts[index + 1] - starts[index]
            here = here + (value(rows[index + 1]["result"]) - here) * (x - starts[index]) / width
        result = pl.when(x >= starts[index]).then(here).otherwise(result)
    return result


def _corridor(step: Mapping[str, Any], value: Compile) -> pl.Expr:
    """Return an amount shared in bands of a base, gains and losses alike, each band at its `share`."""
    base, amount = value(step["base"]), value(step["amount"])
    rate, shared, start = (amount / base).abs(), pl.lit(0.0), 0.0
    for band in step["bands"]:
        end = float(band.get("to", 1e9))
        if end <= start:
            raise SpecError(f"step {step['name']!r}: bands have to rise")
        shared = shared + (rate.clip(0, end) - start).clip(0) * float(band["share"])
        start = end
    return amount.sign() * shared * base


def _cap(step: Mapping[str, Any], value: Compile) -> pl.Expr:
    """Return a value held between `lowest` and `highest`, each where it is given."""
    held = value(step["value"])
    if "highest" in step:
        held = pl.min_horizontal(held, value(step["highest"]))
    if "lowest" in step:
        held = pl.max_horizontal(held, value(step["lowest"]))
    return held


def _withhold(step: Mapping[str, Any], value: Compile) -> pl.Expr:
    """Return an amount less a share of it that is withheld, plus the part of that share that is earned."""
    amount, share = value(step["amount"]), value(step["share"])
    return amount * (1 - share * (1 - value(step.get("earned", 0))))


def _fee(step: Mapping[str, Any], value: Compile) -> pl.Expr:
    """Return a fee per member and month."""
    return value(step["rate"]) * value(step["months"])


KINDS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any], Compile], pl.Expr]]] = {
    "formula": (("formula",), _formula),
    "gate": (("value", "at_least", "then", "otherwise?"), _gate),
    "tiers": (("value", "tiers", "below?", "linear?"), _tiers),
    "corridor": (("amount", "base", "bands"), _corridor),
    "cap": (("value", "lowest?", "highest?"), _cap),
    "withhold": (("amount", "share", "earned?"), _withhold),
    "fee": (("rate", "months"), _fee),
}
"""Each kind of step: its keys (a question mark where it may be left out) and what it computes."""
