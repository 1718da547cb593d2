"""The calculation of one payment, line by line: inputs and where they stand, formulas, citations, dollars."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Audit", "Line", "dollars", "number", "percent", "where"]


@dataclass(frozen=True)
class Line:
    """One line of an audit.

    Parameters
    ----------
    label : str
        What the line is about. A line with an empty `value` is a heading.
    value : str
        The figure.
    formula : str
        How it came about, with the numbers in it.
    source : str
        For an input: the file, line and column. For a rule: the regulation or document.
    """

    label: str
    value: str = ""
    formula: str = ""
    source: str = ""


@dataclass(frozen=True)
class Audit:
    """How the payment of one entity came about.

    Parameters
    ----------
    title : str
    lines : tuple of Line
    unverified : tuple of str
        Parameters in the calculation that no public source could confirm.
    """

    title: str
    lines: tuple[Line, ...]
    unverified: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the audit as plain text, one line a step."""
        out = [self.title, "=" * len(self.title)]
        for line in self.lines:
            if not line.value:
                out += ["", line.label]
                continue
            out.append(f"  {line.label}: {line.value}" + (f" = {line.formula}" if line.formula else ""))
            if line.source:
                out.append(f"      [{line.source}]")
        if self.unverified:
            out += ["", "Unverified parameters in this result: " + ", ".join(self.unverified) + "."]
            out.append("No public source could confirm them; see the rules file for what they rest on.")
        return "\n".join(out)

    def to_dict(self) -> dict[str, object]:
        """Return the audit as plain lists and dicts, for JSON."""
        lines = [
            {"label": line.label, "value": line.value, "formula": line.formula, "source": line.source}
            for line in self.lines
        ]
        return {"title": self.title, "lines": lines, "unverified": list(self.unverified)}

    def __str__(self) -> str:
        """Return the audit as plain text."""
        return self.to_text()


def number(value: float | None, digits: int = 6) -> str:
    """Return a figure as an audit prints it: up to `digits` decimals, thousands separated.

    >>> number(1234.5)
    '1,234.5'
    """
    if value is None or value != value:
        return "none"
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars(value: float | None) -> str:
    """Return an amount in dollars and cents.

    >>> dollars(-1234.5)
    '-$1,234.50'
    """
    if value is None or value != value:
        return "none"
    return f"-${-value:,.2f}" if value < 0 else f"${value:,.2f}"


def percent(value: float | None, digits: int = 4) -> str:
    """Return a share as a percentage.

    >>> percent(0.0033)
    '0.33%'
    """
    return "none" if value is None or value != value else f"{number(100 * value, digits)}%"


def where(file: str | Path | None, line: int | None = None, column: str | None = None) -> str:
    """Return the place of an input as 'file, line 3, column ERR for AMI'."""
    parts: Sequence[str] = [Path(file).name] if file else []
    places: Iterable[str] = (
        *parts,
        *([f"line {line}"] if line is not None else []),
        *([f"column {column.strip()}"] if column else []),
    )
    return ", ".join(places)
