"""Was a patient watched? Spans of coverage, and what they say about a day."""

import polars as pl

__all__ = ["covered_on", "covered_spans", "span_around", "status_on"]

FLAGS = ("dual", "orig_disability", "esrd")


def covered_spans(coverage: pl.DataFrame, max_gap_days: int = 0) -> pl.DataFrame:
    """Merge the spans of each person that overlap, touch, or are at most `max_gap_days` uncovered days apart.

    Parameters
    ----------
    coverage : DataFrame of person, start_date, end_date
        Both dates are covered days.

    Returns
    -------
    DataFrame of person, span_start, span_end
        Sorted by both; no two spans of a person touch.
    """
    rows = (
        coverage.filter(pl.col("end_date") >= pl.col("start_date"))
        .select("person", "start_date", "end_date")
        .sort("person", "start_date", "end_date")
        .with_columns(ended_before=pl.col("end_date").cum_max().shift(1).over("person"))
    )
    uncovered = (pl.col("start_date") - pl.col("ended_before")).dt.total_days() - 1
    return (
        rows.with_columns(span=(uncovered > max_gap_days).fill_null(True).cum_sum())
        .group_by("span", maintain_order=True)
        .agg(
            pl.col("person").first(), span_start=pl.col("start_date").min(), span_end=pl.col("end_date").max()
        )
        .drop("span")
    )


def span_around(cases: pl.DataFrame, spans: pl.DataFrame, day: pl.Expr) -> pl.DataFrame:
    """Add `covered_until`: the end of the span that covers a day, null where none does.

    Parameters
    ----------
    cases : DataFrame with person
        Its rows keep their order.
    day : Expr
        The day, of type Date, in terms of `cases`.
    """
    joined = (
        cases.with_row_index("case")
        .with_columns(day=day)
        .sort("day", "case")
        .join_asof(
            spans.sort("span_start", "person"),
            left_on="day",
            right_on="span_start",
            by="person",
            strategy="backward",
            check_sortedness=False,
        )
        .sort("case")
    )
    covers = pl.col("span_end") >= pl.col("day")
    return joined.with_columns(covered_until=pl.when(covers).then("span_end")).drop(
        "case", "day", "span_start", "span_end"
    )


def covered_on(cases: pl.DataFrame, coverage: pl.DataFrame, day: pl.Expr) -> pl.Series:
    """Return for each case whether a span covers a day; no gap is overlooked.

    Parameters
    ----------
    day : Expr
        The day, of type Date, in terms of `cases`.
    """
    around = span_around(cases.select("person", day=day), covered_spans(coverage), pl.col("day"))
    return around["covered_until"].is_not_null()


def status_on(cases: pl.DataFrame, coverage: pl.DataFrame, day: pl.Expr) -> pl.DataFrame:
    """Add dual, orig_disability and esrd as the coverage says on a day, null where it says nothing.

    Of several rows that cover the day, the one that began last counts among those that say something.
    """
    numbered = cases.with_row_index("case")
    covering = (
        numbered.select("case", "person", day=day)
        .join(coverage.select("person", "start_date", "end_date", *FLAGS), on="person")
        .filter(pl.col("day").is_between("start_date", "end_date"))
    )
    said = (
        covering.group_by("case", "start_date")
        .agg(pl.col(flag).max() for flag in FLAGS)
        .sort("case", "start_date")
        .group_by("case", maintain_order=True)
        .agg(pl.col(flag).drop_nulls().last() for flag in FLAGS)
    )
    return numbered.join(said, on="case", how="left", maintain_order="left").drop("case")
