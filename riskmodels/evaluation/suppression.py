"""Keep small cells out of sight: no count of 1 to 10, and none that can be worked out from its neighbours."""

from collections.abc import Sequence

import polars as pl

__all__ = ["SMALLEST_CELL", "small_cells", "suppress_small"]

# CMS cell size suppression policy: no cell of 10 or fewer may be displayed (https://resdac.org/articles/cms-cell-size-suppression-policy).
SMALLEST_CELL = 11


def small_cells(counts: Sequence[str]) -> pl.Expr:
    """Return the condition that any of the columns `counts` holds fewer than 11."""
    return pl.any_horizontal([pl.col(name).fill_null(0) < SMALLEST_CELL for name in counts])


def suppress_small(
    frame: pl.DataFrame, counts: Sequence[str], hide: Sequence[str] = (), *, within: Sequence[str] = ()
) -> pl.DataFrame:
    """Empty the cells of rows that rest on fewer than 11, and mark them in a column ``suppressed``.

    Where one row alone is hidden among rows that add up to a total, its count would follow by subtraction;
    the next smallest row is hidden with it (complementary suppression).

    Parameters
    ----------
    frame : DataFrame
        One row a cell.
    counts : sequence of str
        Columns that must each be at least 11 (rows, events, non-events). They are emptied too.
    hide : sequence of str
        Further columns to empty: values from which a count could be worked out.
    within : sequence of str
        Columns whose equal values mark the rows of one table. Without it, no complementary suppression.
    """
    frame = frame.with_columns(suppressed=small_cells(counts))
    if within:
        smallest = pl.min_horizontal(pl.col(name) for name in counts)
        shown = pl.when(~pl.col("suppressed")).then(smallest)
        alone = (pl.col("suppressed").sum() == 1).over(within)
        next_smallest = (shown.rank("ordinal") == 1).over(within).fill_null(False)
        frame = frame.with_columns(suppressed=pl.col("suppressed") | (alone & next_smallest))
    emptied = [*counts, *(name for name in hide if name not in counts)]
    return frame.with_columns(
        pl.when(~pl.col("suppressed")).then(pl.col(name)).alias(name) for name in emptied
    )
