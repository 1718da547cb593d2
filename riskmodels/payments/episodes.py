"""Build bundled-payment episodes from a history: anchors, window, exclusions, proration, winsorising."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import polars as pl

from riskmodels.errors import DataError

__all__ = ["build_episodes", "find_anchors", "history_claims", "winsorise"]

_ANCHORS = ("participant_id", "patient_id", "episode_category", "start", "anchor_end")
_CLAIMS = ("patient_id", "start", "end", "paid")
_STAYS = ("person_id", "kind", "start", "end", "facility_id", "drg")


def find_anchors(encounters: pl.DataFrame, categories: Mapping[str, str]) -> pl.DataFrame:
    """Return the anchors of a history: inpatient stays whose DRG begins an episode.

    Parameters
    ----------
    encounters : polars.DataFrame
        The history's encounters: person_id, kind, start, end, facility_id, drg; death_date where known.
    categories : mapping of str to str
        DRG to episode category, such as ``{"469": "LEJR", "470": "LEJR"}``.

    Returns
    -------
    polars.DataFrame
        What `build_episodes` takes: participant_id (the facility), patient_id, episode_category, drg, start,
        anchor_end, and death_date where it was given.
    """
    _require(encounters, _STAYS, "encounters")
    drg = pl.col("drg").cast(pl.String).str.zfill(3)
    known = {code.zfill(3): category for code, category in categories.items()}
    return (
        encounters.filter((pl.col("kind").cast(pl.String) == "inpatient") & drg.is_in(list(known)))
        .filter(pl.col("facility_id").is_not_null() & pl.col("end").is_not_null())
        .select(
            pl.col("facility_id").alias("participant_id"),
            pl.col("person_id").alias("patient_id"),
            drg.replace_strict(known, return_dtype=pl.String).alias("episode_category"),
            drg.alias("drg"),
            pl.col("start").cast(pl.Date),
            pl.col("end").cast(pl.Date).alias("anchor_end"),
            *(["death_date"] if "death_date" in encounters.columns else []),
        )
    )


def history_claims(encounters: pl.DataFrame, events: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return what a history paid as claims: its encounters, and the events that were paid by themselves.

    Parameters
    ----------
    encounters : polars.DataFrame
        The history's encounters: person_id, kind, start, end, paid and, where known, drg.
    events : polars.DataFrame, optional
        The history's events: person_id, time, kind, code and paid; those without payment are left out.

    Returns
    -------
    polars.DataFrame
        patient_id, start, end, paid, kind, drg and code.
    """
    _require(encounters, ("person_id", "kind", "start", "end", "paid"), "encounters")
    schema = {"kind": pl.String, "drg": pl.String, "code": pl.String}
    has_drg = "drg" in encounters.columns
    stays = encounters.filter(pl.col("paid").is_not_null()).select(
        pl.col("person_id").alias("patient_id"),
        pl.col("start").cast(pl.Date),
        pl.coalesce("end", "start").cast(pl.Date).alias("end"),
        pl.col("paid").cast(pl.Float64),
        pl.col("kind").cast(schema["kind"]),
        (pl.col("drg") if has_drg else pl.lit(None)).cast(schema["drg"]).alias("drg"),
        pl.lit(None, dtype=schema["code"]).alias("code"),
    )
    if events is None:
        return stays
    _require(events, ("person_id", "time", "kind", "code", "paid"), "events")
    day = pl.col("time").cast(pl.Date)
    paid = events.filter(pl.col("paid").is_not_null()).select(
        pl.col("person_id").alias("patient_id"),
        day.alias("start"),
        day.alias("end"),
        pl.col("paid").cast(pl.Float64),
        pl.col("kind").cast(schema["kind"]),
        pl.lit(None, dtype=schema["drg"]).alias("drg"),
        pl.col("code").cast(schema["code"]),
    )
    return pl.concat([stays, paid])


def build_episodes(
    anchors: pl.DataFrame,
    claims: pl.DataFrame,
    *,
    window_days: int = 90,
    excluded_codes: Iterable[str] = (),
    excluded_drgs: Iterable[str] = (),
    cancelled_by_death: Literal["anchor", "episode"] | None = None,
    later_anchor: Literal["ignored", "cancels"] = "ignored",
    replaced: Sequence[Mapping[str, Sequence[str]]] = (),
) -> pl.DataFrame:
    """Return one row an episode with its cost, as the bundle programs read it.

    An episode begins with its anchor stay or procedure and ends on day `window_days` after discharge, the day
    of discharge being the first (42 CFR 510.210(a)). A claim that begins in it counts; of one that runs past
    its end, the days inside count (512.555).

    Parameters
    ----------
    anchors : polars.DataFrame
        participant_id, patient_id, episode_category, start and anchor_end (dates), target_price where known,
        and death_date where death cancels.
    claims : polars.DataFrame
        patient_id, start, end (dates), paid (dollars); code (diagnosis or procedure) and drg where they are
        excluded.
    window_days : int
        90 for CJR and BPCI Advanced, 30 for TEAM.
    excluded_codes : iterable of str
        Claims whose code begins with one of these are unrelated and do not count; dots are ignored.
    excluded_drgs : iterable of str
        Stays with these DRGs are unrelated readmissions and do not count; the anchor always does.
    cancelled_by_death : {"anchor", "episode"}, optional
        Whether a death in the anchor, or at any time of the episode, cancels the episode.
    later_anchor : {"ignored", "cancels"}
        What an anchor inside an earlier episode of the same patient does: it begins none, or it cancels the
        earlier episode and begins its own (CJR, 42 CFR 510.210(b)(2)).
    replaced : sequence of mappings
        Exceptions where later anchors are ignored: DRGs of `earlier` episodes that an anchor with one of the
        DRGs in `later` takes the place of (BPCI Advanced: a second joint replacement). Anchors need `drg`.

    Returns
    -------
    polars.DataFrame
        participant_id, episode_category, start, end, cost, of which anchor_cost (claims that begin in the
        anchor), and target_price where it was given; no patient id.

    Raises
    ------
    DataError
        For a missing column, a claim without an amount, or a claim or anchor that ends before it starts.
    """
    for name, frame, needed in (("anchors", anchors, _ANCHORS), ("claims", claims, _CLAIMS)):
        _require(frame, needed, name)
        ends = "anchor_end" if name == "anchors" else "end"
        rows = frame.with_row_index("row")
        backwards = rows.filter(pl.col(ends).is_null() | (pl.col(ends) < pl.col("start")))
        if backwards.height:
            raise DataError(f"{name}: row {backwards['row'][0] + 1} ends before it starts", column=ends)
    if claims["paid"].null_count():
        row = int(claims["paid"].is_null().arg_max() or 0) + 1
        raise DataError(f"claims: row {row} has no amount", column="paid")
    if cancelled_by_death:
        _require(anchors, ("death_date",), "anchors")
    if replaced:
        _require(anchors, ("drg",), "anchors")
    death = pl.col("death_date").cast(pl.Date)
    if cancelled_by_death == "anchor":
        anchors = anchors.filter(~(death <= pl.col("anchor_end").cast(pl.Date)).fill_null(False))
    episodes = _episodes(anchors, window_days, later_anchor, replaced)
    if cancelled_by_death == "episode":
        episodes = episodes.filter(~(death <= pl.col("end")).fill_null(False))
    day = pl.Date
    columns = [pl.col("start").cast(day).alias("start_claim"), pl.col("end").cast(day).alias("end_claim")]
    dated = claims.with_columns(_related(claims, excluded_codes, excluded_drgs).alias("related"))
    days = (pl.col("end_claim") - pl.col("start_claim")).dt.total_days() + 1
    inside = (pl.min_horizontal("end_claim", "end") - pl.col("start_claim")).dt.total_days() + 1
    in_anchor = pl.col("start_claim") <= pl.col("anchor_end")
    anchor = (pl.col("start_claim") == pl.col("start")) & (pl.col("end_claim") == pl.col("anchor_end"))
    counted = pl.when(pl.col("related") | anchor).then(pl.col("paid") * inside / days)
    costs = (
        episodes.select("episode", "patient_id", "start", pl.col("anchor_end").cast(day), "end")
        .join(dated.select("patient_id", "paid", "related", *columns), on="patient_id")
        .filter(pl.col("start_claim").is_between(pl.col("start"), pl.col("end")))
        .group_by("episode")
        .agg(counted.sum().alias("cost"), counted.filter(in_anchor).sum().alias("anchor_cost"))
    )
    kept = ["participant_id", "episode_category", "start", "end", "cost", "anchor_cost"]
    kept += ["target_price"] if "target_price" in anchors.columns else []
    return (
        episodes.join(costs, on="episode", how="left", maintain_order="left")
        .with_columns(pl.col("cost", "anchor_cost").fill_null(0.0))
        .select(kept)
    )


def winsorise(
    episodes: pl.DataFrame,
    *,
    low: float = 0.01,
    high: float = 0.99,
    deviations: float | None = None,
    by: Sequence[str] = ("episode_category",),
) -> pl.DataFrame:
    """Return episodes with `winsor_low` and `winsor_high`, between which the bundle programs hold costs.

    The bounds are percentiles of the costs in each cell of `by`: the 1st and 99th of BPCI Advanced (a
    participant's published code), or none below and the 99th of TEAM (42 CFR 512.540). With `deviations` the
    upper bound is that many standard deviations above the mean, and there is no lower one: 2 in CJR (42 CFR
    510.300(b)(5), 510.305(e)(1)(i)).

    Raises
    ------
    DataError
        For a missing column.
    """
    _require(episodes, ("cost", *by), "episodes")
    if deviations is not None:
        spread = pl.col("cost").std(ddof=0).fill_null(0.0)
        most = (pl.col("cost").mean() + deviations * spread).over(by)
        return episodes.with_columns(pl.lit(0.0).alias("winsor_low"), most.alias("winsor_high"))
    return episodes.with_columns(
        pl.col("cost").quantile(low, "linear").over(by).alias("winsor_low"),
        pl.col("cost").quantile(high, "linear").over(by).alias("winsor_high"),
    )


def _related(claims: pl.DataFrame, codes: Iterable[str], drgs: Iterable[str]) -> pl.Expr:
    related = pl.lit(True)
    if prefixes := tuple(code.replace(".", "") for code in codes):
        _require(claims, ("code",), "claims")
        code = pl.col("code").str.replace_all(".", "", literal=True)
        unrelated = pl.any_horizontal(code.str.starts_with(prefix) for prefix in prefixes)
        related &= ~unrelated.fill_null(False)
    if excluded := [drg.zfill(3) for drg in drgs]:
        _require(claims, ("drg",), "claims")
        related &= ~pl.col("drg").cast(pl.String).str.zfill(3).is_in(excluded).fill_null(False)
    return related


def _require(frame: pl.DataFrame, columns: Iterable[str], name: str) -> None:
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        raise DataError(f"{name} have no column {', '.join(absent)}")


def _episodes(
    anchors: pl.DataFrame,
    window_days: int,
    later_anchor: str,
    replaced: Sequence[Mapping[str, Sequence[str]]],
) -> pl.DataFrame:
    """Return the anchors that begin an episode, with its end, by what a later anchor inside one does."""
    ordered = anchors.sort("patient_id", "start", "anchor_end", maintain_order=True)
    # The day of discharge is the first day of the window.
    ends = (pl.col("anchor_end").cast(pl.Date) + pl.duration(days=window_days - 1)).alias("end")
    ordered = ordered.with_columns(pl.col("start").cast(pl.Date), ends)
    if later_anchor == "cancels":
        same = pl.col("patient_id") == pl.col("patient_id").shift(-1)
        inside = (pl.col("start").shift(-1) <= pl.col("end")) & same
        return ordered.filter(~inside.fill_null(False)).with_row_index("episode")
    swaps = {(first, then) for pair in replaced for first in pair["earlier"] for then in pair["later"]}
    drgs = ordered["drg"].cast(pl.String).to_list() if swaps else [None] * ordered.height
    rows = list(zip(*(ordered[name].to_list() for name in ("patient_id", "start", "end")), drgs, strict=True))
    kept: list[int] = []
    for number, (patient, start, _, drg) in enumerate(rows):
        if kept:
            last_patient, _, last_end, last_drg = rows[kept[-1]]
            if patient == last_patient and start <= last_end:
                if (last_drg, drg) not in swaps:
                    continue
                kept.pop()
        kept.append(number)
    return ordered[kept].with_row_index("episode")
