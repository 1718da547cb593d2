"""Build bundled-payment episodes from claims: anchor, window, exclusions, proration."""

from collections.abc import Iterable

import polars as pl

from riskmodels.errors import DataError

__all__ = ["build_episodes"]

_ANCHORS = ("participant_id", "patient_id", "episode_category", "start", "anchor_end")
_CLAIMS = ("patient_id", "start", "end", "paid")


def build_episodes(
    anchors: pl.DataFrame,
    claims: pl.DataFrame,
    *,
    window_days: int = 90,
    excluded_codes: Iterable[str] = (),
) -> pl.DataFrame:
    """Return one row an episode with its cost, as the bundle programs read it.

    An episode begins with its anchor stay or procedure and ends `window_days` after the anchor's end, that
    day included. A claim that begins in it counts; of one that runs past its end, the days inside count (42
    CFR 510.200, 512.555). An anchor that begins inside an earlier episode of the same patient begins none.

    Parameters
    ----------
    anchors : polars.DataFrame
        participant_id, patient_id, episode_category, start and anchor_end (dates), target_price where known.
    claims : polars.DataFrame
        patient_id, start, end (dates), paid (dollars), and code (DRG or diagnosis) where codes are excluded.
    window_days : int
        90 for CJR and BPCI Advanced, 30 for TEAM.
    excluded_codes : iterable of str
        Claims whose code begins with one of these are unrelated and do not count.

    Returns
    -------
    polars.DataFrame
        participant_id, episode_category, start, end, cost and target_price where it was given; no patient id.

    Raises
    ------
    DataError
        For a missing column, or a claim or anchor that ends before it starts.
    """
    for name, frame, needed in (("anchors", anchors, _ANCHORS), ("claims", claims, _CLAIMS)):
        absent = [column for column in needed if column not in frame.columns]
        if absent:
            raise DataError(f"{name} have no column {', '.join(absent)}")
        ends = "anchor_end" if name == "anchors" else "end"
        backwards = frame.with_row_index("row").filter(pl.col(ends) < pl.col("start"))
        if backwards.height:
            raise DataError(f"{name}: row {backwards['row'][0] + 1} ends before it starts", column=ends)
    episodes = _episodes(anchors, window_days)
    excluded = tuple(excluded_codes)
    if excluded:
        if "code" not in claims.columns:
            raise DataError("claims have no column code, which exclusions need")
        unrelated = pl.any_horizontal(pl.col("code").str.starts_with(code) for code in excluded)
        claims = claims.filter(~unrelated.fill_null(False))
    days = (pl.col("end_claim") - pl.col("start_claim")).dt.total_days() + 1
    inside = (pl.min_horizontal("end_claim", "end") - pl.col("start_claim")).dt.total_days() + 1
    costs = (
        episodes.select("episode", "patient_id", "start", "end")
        .join(claims.rename({"start": "start_claim", "end": "end_claim"}), on="patient_id")
        .filter(pl.col("start_claim").is_between(pl.col("start"), pl.col("end")))
        .group_by("episode")
        .agg((pl.col("paid") * inside / days).sum().alias("cost"))
    )
    columns = ["participant_id", "episode_category", "start", "end", "cost"]
    columns += ["target_price"] if "target_price" in anchors.columns else []
    return (
        episodes.join(costs, on="episode", how="left", maintain_order="left")
        .with_columns(pl.col("cost").fill_null(0.0))
        .select(columns)
    )


def _episodes(anchors: pl.DataFrame, window_days: int) -> pl.DataFrame:
    """Return the anchors that begin an episode, with its end; later anchors inside one are left out."""
    ordered = anchors.sort("patient_id", "start", "anchor_end", maintain_order=True)
    ends = (pl.col("anchor_end").cast(pl.Date) + pl.duration(days=window_days)).alias("end")
    ordered = ordered.with_columns(pl.col("start").cast(pl.Date), ends)
    keep, last_patient, last_end = [], None, None
    for patient, start, end in ordered.select("patient_id", "start", "end").iter_rows():
        begins = patient != last_patient or last_end is None or start > last_end
        keep.append(begins)
        if begins:
            last_patient, last_end = patient, end
    return ordered.filter(pl.Series(keep, dtype=pl.Boolean)).with_row_index("episode")
