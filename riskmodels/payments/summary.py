"""A payment in a few lines for people, and the rules it followed as plain data for a report."""

from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from riskmodels.payments.program import Payment

__all__ = ["break_even_to_text", "rules_path", "summarise", "to_text"]

THOUSAND = 1_000


def rules_path(path: str | Path) -> Path:
    """Return where the rules stand that a written payment followed: ``PAY.rules.json`` beside ``PAY.csv``."""
    path = Path(path)
    return path.with_name(f"{path.stem}.rules.json")


def summarise(payment: Payment) -> dict[str, Any]:
    """Return title, rules with value, source and whether verified, notes and totals, as plain data."""
    used = [payment.rules.parameter(name) for name in payment.settlement.used if name in payment.rules]
    together = payment.settlement.total_interval
    totals = {} if together is None else {"dollars_lower": together[0], "dollars_upper": together[1]}
    return {
        "title": payment.rules.title,
        "rules": [
            {"name": rule.name, "value": rule.value, "source": rule.source, "verified": rule.verified}
            for rule in used
        ],
        "notes": list(payment.notes),
        **totals,
    }


def to_text(payment: Payment) -> str:
    """Return the payments of all entities in a few lines: range of each figure, notes, what is unverified.

    Amounts of a thousand and more are written with two decimals, others with four.
    """
    frame = payment.settlement.frame
    lines = [f"{payment.rules.title}: {frame.height:,} rows, one for each {payment.program.entity}"]
    known = [
        name for name, kind in frame.schema.items() if kind.is_float() and frame[name].is_not_null().any()
    ]
    limits = {f"{name}_{end}" for name in known for end in ("lower", "upper")} & set(known)
    numeric = [name for name in known if name not in limits]
    width = max((len(name) for name in numeric), default=0)
    if numeric:
        lines.append(f"  {'':<{width}}  {'least':>14} {'median':>14} {'most':>14}")
    for name in numeric:
        low, middle, high = (
            frame.select(pl.col(name).quantile(q, "nearest")).item() for q in (0.0, 0.5, 1.0)
        )
        digits = 2 if max(abs(low), abs(high)) >= THOUSAND else 4
        values = " ".join(f"{value:>14,.{digits}f}" for value in (low, middle, high))
        lines.append(f"  {name:<{width}}  {values}")
    if limits:
        lines.append(f"  95% intervals of {len(limits) // 2} of them: columns ..._lower and ..._upper")
    lines += [f"Note: {note}" for note in payment.notes]
    if payment.unverified:
        lines.append(f"Unverified: no public source confirmed {', '.join(payment.unverified)}")
    return "\n".join(lines)


def break_even_to_text(payment: Payment, entity: str | None = None) -> str:
    """Return what would have to change for a payment to turn, as a table of text; all rows of it."""
    frame = payment.break_even(entity)
    if frame.is_empty():
        return "Break-even: nothing has to change for the payment to turn."
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=200,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        fmt_str_lengths=60,
        fmt_float="full",
    ):
        return str(frame.with_columns(cs.float().round_sig_figs(9)))
