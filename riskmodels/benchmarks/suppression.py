"""Small cells: nothing is shown from which a count of 1 to 10 can be read or worked out.

The rule is the CMS cell-size suppression policy: no count of 1 to 10 patients or stays, nor a figure from
which one can be derived. Since observed = ratio x expected, a small observed count takes the ratio, the
rate and their intervals with it. Since the total over all entities is shown too, a suppressed count must
not be the only one, nor may the suppressed ones sum to less than 11: then the next smallest goes with them
(complementary suppression). An observed count of 0 is withheld too, though it gives no one away: of small
hospitals only those without an outcome would be shown otherwise, and they would look like the best.
"""

from collections.abc import Collection

import polars as pl

from riskmodels.evaluation.suppression import SMALLEST_CELL

__all__ = ["WITHHELD", "suppress_parts", "suppress_small_cells", "unsuppressed", "withhold"]

WITHHELD = ("observed", "ratio", "ratio_lower", "ratio_upper", "rate", "rate_lower", "rate_upper")
WITHHELD_TOO = ("predicted", "effect", "ratio_shrunken")  # where the frame has them
SIZES = ("n", "persons", "expected")
FUNNELS = tuple(f"funnel_{side}_{level}" for level in (95, 998) for side in ("lower", "upper"))
SIZES_TOO = ("reliability", *FUNNELS)  # where the frame has them: they follow from the sizes


def suppress_small_cells(frame: pl.DataFrame, *, minimum_n: int = SMALLEST_CELL) -> pl.DataFrame:
    """Return `frame` with a column ``suppressed``, small cells set to null and the reason in ``note``.

    Parameters
    ----------
    frame : pl.DataFrame
        What `standardise` returns.
    minimum_n : int
        Entities with fewer stays are not assessed either (25 in the Hospital Readmissions Reduction Program).
    """
    few = max(minimum_n, SMALLEST_CELL)
    small_size = (pl.col("n") < SMALLEST_CELL) | (pl.col("persons") < SMALLEST_CELL)
    without = pl.col("n") - pl.col("observed")
    small_count = (pl.col("observed") < SMALLEST_CELL) | (without < SMALLEST_CELL)
    marked = frame.with_columns(
        pl.when(small_size)
        .then(pl.lit("fewer than 11 stays or patients"))
        .when(pl.col("n") < few)
        .then(pl.lit(f"fewer than {few} stays"))
        .when(small_count)
        .then(pl.lit("fewer than 11 with, or without, the outcome"))
        .otherwise(pl.lit(""))
        .alias("note")
    )
    marked = _complement(marked, "observed", pl.col("note") != "")
    # A size is hidden where it is small itself; then a second one must be, or the total gives it away.
    hidden_size = pl.col("_hide_n")
    marked = _complement(marked.with_columns(small_size.alias("_hide_n")), "n", hidden_size, flag="_hide_n")
    hidden = pl.col("note") != ""
    return marked.with_columns(
        hidden.alias("suppressed"),
        *(pl.when(~hidden).then(pl.col(name)).alias(name) for name in WITHHELD),
        *(pl.when(~hidden).then(pl.col(name)).alias(name) for name in WITHHELD_TOO if name in frame.columns),
        *(pl.when(~hidden_size).then(pl.col(name)).alias(name) for name in SIZES),
        *(
            pl.when(~hidden_size).then(pl.col(name)).alias(name)
            for name in SIZES_TOO
            if name in frame.columns
        ),
    ).drop("_hide_n")


def suppress_parts(frame: pl.DataFrame, part: str, *, minimum_n: int = SMALLEST_CELL) -> pl.DataFrame:
    """Suppress small cells of entities in parts (periods, strata), whose total over the parts is shown too.

    Parameters
    ----------
    frame : pl.DataFrame
        What `standardise` returns for each part, one below the other, with the column `part`. The entity is
        the first column.

    Notes
    -----
    Within a part as `suppress_small_cells`. Then within an entity: where a part is hidden, further ones are,
    smallest first, until two or more are hidden whose outcomes sum to 11 or more.
    """
    pieces = [
        suppress_small_cells(piece, minimum_n=minimum_n).with_columns(_true_observed=piece["observed"])
        for piece in frame.partition_by(part, maintain_order=True)
    ]
    marked = pl.concat(pieces).with_row_index("_row")
    more, sizes = [], []
    for rows in marked.partition_by(marked.columns[1], maintain_order=True):
        secret, open_rows = rows.filter("suppressed"), rows.filter(~pl.col("suppressed"))
        if secret.is_empty():
            continue
        count, total = secret.height, int(secret["_true_observed"].sum())
        for row in open_rows.sort("_true_observed").iter_rows(named=True):
            if count > 1 and total >= SMALLEST_CELL:
                break
            more.append(row["_row"])
            count, total = count + 1, total + row["_true_observed"]
        if secret["n"].null_count():
            sizes += rows["_row"].to_list()
    hide, hide_size = pl.col("_row").is_in(more), pl.col("_row").is_in(sizes)
    figures = [name for name in (*WITHHELD, *WITHHELD_TOO) if name in marked.columns]
    counted = [name for name in (*SIZES, *SIZES_TOO) if name in marked.columns]
    note = pl.lit("withheld so that a small cell cannot be worked out from the total")
    return marked.with_columns(
        *(pl.when(~(hide | hide_size)).then(pl.col(name)).alias(name) for name in figures),
        *(pl.when(~hide_size).then(pl.col(name)).alias(name) for name in counted),
        pl.when((hide | hide_size) & ~pl.col("suppressed")).then(note).otherwise("note").alias("note"),
        (pl.col("suppressed") | hide | hide_size).alias("suppressed"),
    ).drop("_row", "_true_observed")


def withhold(frame: pl.DataFrame, entities: Collection[str]) -> pl.DataFrame:
    """Withhold the figures of entities (the first column) that are withheld elsewhere; sizes stay.

    Parameters
    ----------
    frame : pl.DataFrame
        What `suppress_small_cells` or `suppress_parts` returned. A table of parts whose sum would be the
        figure that another table withholds must not show all of them.
    """
    hide = pl.col(frame.columns[0]).is_in(list(entities))
    figures = [name for name in (*WITHHELD, *WITHHELD_TOO) if name in frame.columns]
    note = pl.lit("withheld in the benchmark itself")
    return frame.with_columns(
        *(pl.when(~hide).then(pl.col(name)).alias(name) for name in figures),
        pl.when(hide & ~pl.col("suppressed")).then(note).otherwise("note").alias("note"),
        (pl.col("suppressed") | hide).alias("suppressed"),
    )


def unsuppressed(frame: pl.DataFrame, minimum_n: int) -> pl.DataFrame:
    """Return `frame` with ``suppressed`` and ``note`` where an entity is too small, and nothing withheld."""
    few = pl.col("n") < minimum_n
    note = pl.when(few).then(pl.lit(f"fewer than {minimum_n} stays")).otherwise(pl.lit(""))
    return frame.with_columns(few.alias("suppressed"), note.alias("note"))


def _complement(marked: pl.DataFrame, count: str, hidden: pl.Expr, flag: str | None = None) -> pl.DataFrame:
    """Mark further entities, smallest first, until two or more are hidden that sum to 11 or more."""
    while True:
        secret = marked.filter(hidden)
        open_rows = marked.filter(~hidden)
        # An entity with a count of 0 hides nothing: the rest of the hidden sum would still be one entity's.
        counts = secret.filter(pl.col(count) > 0)[count]
        if counts.is_empty() or open_rows.is_empty() or (counts.len() > 1 and counts.sum() >= SMALLEST_CELL):
            return marked
        names = open_rows.filter(pl.col(count) > 0)
        if names.is_empty():
            return marked
        entity = marked.columns[0]
        least = names.sort([count, entity])[entity][0]
        marked = marked.with_columns(
            pl.when((pl.col(entity) == least) & (pl.col("note") == ""))
            .then(pl.lit("withheld so that a small cell cannot be worked out from the total"))
            .otherwise(pl.col("note"))
            .alias("note"),
            *([(pl.col(flag) | (pl.col(entity) == least)).alias(flag)] if flag else []),
        )
