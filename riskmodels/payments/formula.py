"""Arithmetic as a contract writes it, turned into column expressions; nothing else is evaluated."""

import ast
from collections.abc import Callable, Collection

import polars as pl

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.payments.rounding import round_half_up

__all__ = ["compile_formula"]

_OPERATORS: dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.GtE: lambda a, b: a >= b,
    ast.Gt: lambda a, b: a > b,
    ast.LtE: lambda a, b: a <= b,
    ast.Lt: lambda a, b: a < b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
_FUNCTIONS = ("abs", "max", "min", "round", "where")


def compile_formula(formula: str, known: Collection[str], where: str) -> pl.Expr:
    """Return a formula as an expression over the columns `known`.

    Numbers, names, ``+ - * /``, comparisons, ``and``, ``or``, ``not``, and the functions ``min``, ``max``,
    ``abs``, ``round(x, decimals)`` and ``where(condition, then, otherwise)``.

    Raises
    ------
    SpecError
        For anything else, and for an unknown name; `where` says in which step.
    """
    try:
        tree = ast.parse(formula.strip(), mode="eval")
    except SyntaxError as error:
        raise SpecError(f"{where}: {formula!r} is not a formula: {error.msg}") from error
    return _Compiler(known, f"{where}: {formula!r}").visit(tree.body)


class _Compiler:
    """Turn a parsed formula into an expression, node by node."""

    def __init__(self, known: Collection[str], where: str) -> None:
        self.known, self.where = known, where

    def visit(self, node: ast.expr) -> pl.Expr:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return pl.lit(float(node.value))  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            if node.id not in self.known:
                raise SpecError(
                    f"{self.where}: unknown name {node.id!r}. {did_you_mean(node.id, self.known)}"
                )
            return pl.col(node.id)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](self.visit(node.left), self.visit(node.right))
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            return _COMPARISONS[type(node.ops[0])](self.visit(node.left), self.visit(node.comparators[0]))
        if isinstance(node, ast.BoolOp):
            parts = [self.visit(value) for value in node.values]
            return pl.all_horizontal(parts) if isinstance(node.op, ast.And) else pl.any_horizontal(parts)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, node.args)
        raise SpecError(f"{self.where}: {ast.unparse(node)!r} cannot stand in a formula")

    def _unary(self, node: ast.UnaryOp) -> pl.Expr:
        value = self.visit(node.operand)
        if isinstance(node.op, ast.USub):
            return 0.0 - value
        if isinstance(node.op, ast.Not):
            return ~value
        return value

    def _call(self, name: str, arguments: list[ast.expr]) -> pl.Expr:
        if name not in _FUNCTIONS:
            raise SpecError(f"{self.where}: unknown function {name!r}. {did_you_mean(name, _FUNCTIONS)}")
        counts = {"abs": (1, 1), "round": (2, 2), "where": (3, 3), "min": (2, 99), "max": (2, 99)}
        low, high = counts[name]
        if not low <= len(arguments) <= high:
            raise SpecError(
                f"{self.where}: {name} takes {low if low == high else f'{low} or more'} arguments"
            )
        if name == "round":
            decimals = arguments[1]
            if not isinstance(decimals, ast.Constant) or not isinstance(decimals.value, int):
                raise SpecError(f"{self.where}: round takes a whole number of decimals")
            return round_half_up(self.visit(arguments[0]), decimals.value)
        values = [self.visit(argument) for argument in arguments]
        if name == "abs":
            return values[0].abs()
        if name == "where":
            return pl.when(values[0]).then(values[1]).otherwise(values[2])
        return pl.min_horizontal(values) if name == "min" else pl.max_horizontal(values)
