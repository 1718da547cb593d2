"""Rounding as the published rules do it."""

import polars as pl

__all__ = ["round_half_up"]

_FUZZ = 1e-9
"""A decimal such as 0.99675 is stored a hair below itself; SAS's ROUND, which CMS uses, allows for that."""


def round_half_up(value: pl.Expr, decimals: int) -> pl.Expr:
    """Return `value` rounded to `decimals`, halves away from zero, as on paper.

    >>> pl.select(round_half_up(pl.lit(0.12345), 4)).item()
    0.1235
    """
    scale = 10.0**decimals
    magnitude = (value.abs() * scale + 0.5 + _FUZZ).floor() / scale
    # A quotient of Polars may lie a bit beside the number that a reader of 0.97 gets: round takes it there.
    return (value.sign() * magnitude + 0.0).round(decimals)  # And no minus zero.
