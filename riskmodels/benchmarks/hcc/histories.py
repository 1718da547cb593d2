"""HCC scores of the people of a history: which diagnoses count, who is scored, and by which model.

CMS accepts diagnoses of hospital inpatient, hospital outpatient and professional encounters of the year
before the payment year (42 CFR 422.310; Medicare Managed Care Manual, chapter 7). Outpatient and professional
ones count only where a procedure on CMS's list of eligible CPT/HCPCS codes was done. The list's codes are the
AMA's, so it is not shipped: CMS publishes it each year, and its file is read as it is.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl

from riskmodels.benchmarks.hcc.eligible import history_diagnoses
from riskmodels.benchmarks.hcc.factors import blend_shares, half_up, known_years
from riskmodels.benchmarks.hcc.scores import HccScores, hcc_scores
from riskmodels.errors import DataError, SpecError

if TYPE_CHECKING:
    from riskmodels.history import History, Shard

__all__ = ["HistoryScores", "history_members", "score_history"]

logger = logging.getLogger(__name__)

ESRD = "CMS-HCC ESRD V24"
ADULT = 65


@dataclass(frozen=True)
class HistoryScores:
    """Payment scores of the people of a history.

    Parameters
    ----------
    frame : pl.DataFrame
        person_id, member_id (the same, under the name that ``ma-capitation`` reads), age, segment, the
        raw score of each model (``raw_v24``, ``raw_v28``, ``raw_esrd``; null where the model is not the
        member's), ``payment`` (normalised, adjusted and blended; null where the year's factor is not known),
        and further columns of `members`.
    by_model : mapping of str to HccScores
        What each model gave: HCCs, unknown codes.
    sources : pl.DataFrame
        The diagnoses of the year by kind of encounter: rows, used, reason.
    notes : tuple of str
        What the history could not tell and what was taken in its place.
    """

    frame: pl.DataFrame = field(repr=False)
    by_model: Mapping[str, HccScores] = field(repr=False)
    sources: pl.DataFrame
    payment_year: int
    notes: tuple[str, ...]

    @property
    def hccs(self) -> pl.DataFrame:
        """Return model, person_id, variable, label and coefficient of all models."""
        return pl.concat(
            found.hccs.select(
                pl.lit(model).alias("model"),
                "person_id",
                pl.col("variable", "label").cast(pl.String),
                "coefficient",
            )
            for model, found in self.by_model.items()
        )

    @property
    def unknown_codes(self) -> pl.DataFrame:
        """Return model, code, rows and reason of the diagnoses without an HCC."""
        return pl.concat(
            found.unknown_codes.select(pl.lit(model).alias("model"), "code", "rows", "reason")
            for model, found in self.by_model.items()
        )

    def to_text(self) -> str:
        """Return a summary of a few lines."""
        payment = self.frame["payment"].drop_nulls().to_numpy()
        mean = f"mean payment score {payment.mean():.3f}" if len(payment) else "no payment score"
        lines = [f"payment year {self.payment_year}: {self.frame.height:,} members, {mean}"]
        lines += [
            f"  {row['kind']}: {row['used']:,} of {row['rows']:,} diagnoses count{row['reason']}"
            for row in self.sources.iter_rows(named=True)
        ]
        codes = self.unknown_codes.filter(~pl.col("reason").str.starts_with("has "))
        if codes.height:
            lines.append(f"  {codes['code'].n_unique():,} codes are not of the form of an ICD-10-CM code")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def score_history(
    history: "str | Path | History",
    payment_year: int,
    *,
    eligible_codes: Iterable[str] | None = None,
    members: Any = None,
    dual_benefits: str = "full",
) -> HistoryScores:
    """Score everyone in a history who is covered when the payment year begins.

    Parameters
    ----------
    history : path or History
        Diagnoses of the year before the payment year are used, in ICD-10-CM.
    payment_year : int
        Blended over the CMS-HCC models of the year; members with end-stage renal disease by the ESRD model.
    eligible_codes : iterable of str, optional
        CMS's CPT/HCPCS codes that make outpatient and professional diagnoses count. Without them all do,
        which a note says.
    members : frame, optional
        person_id and what is known better than the history tells: dual_status, institutional, orec, crec,
        new_enrollee, snp, graft_months, esrd; other columns (county, months) are passed on.
    dual_benefits : {"full", "partial"}
        What a member with Medicaid counts as: histories have one flag.

    Raises
    ------
    DataError
        Nobody is covered when the year begins, or the year before has diagnoses in other code systems only.
    SpecError
        The payment year has no blend, or `dual_benefits` is another word.
    """
    from riskmodels.history import open_history

    if dual_benefits not in ("full", "partial"):
        raise SpecError(f"dual_benefits is {dual_benefits!r}: give 'full' or 'partial'")
    shares = blend_shares(payment_year)
    opened = open_history(history) if isinstance(history, str | Path) else history
    who = history_members(opened, payment_year, dual_benefits=dual_benefits)
    who, passed = _with_given(who, members)
    diagnoses, sources = history_diagnoses(opened, payment_year - 1, eligible_codes)
    renal, others = who.filter(pl.col("esrd")), who.filter(~pl.col("esrd"))
    of_others = _of(diagnoses, others)
    by_model = {model: hcc_scores(others, of_others, model, payment_year) for model in shares}
    notes = _notes(eligible_codes, members, dual_benefits)
    scored = _blended(by_model, shares)
    if renal.height:
        known = payment_year in known_years(ESRD)
        year = payment_year if known else max(known_years(ESRD))
        by_model[ESRD] = hcc_scores(renal, _of(diagnoses, renal), ESRD, year)
        payment = pl.col("payment") if known else pl.lit(None, dtype=pl.Float64)
        own = by_model[ESRD].frame.select("person_id", "age", "segment", raw_esrd="raw", payment=payment)
        scored = pl.concat([scored, own], how="diagonal")
        count = f"{renal.height:,} members with end-stage renal disease"
        notes.append(f"{count} are scored as in dialysis, but for those given graft_months")
        if not known:
            notes.append(f"{count} have no payment score: no normalisation is known for {payment_year}")
    order = who.select("person_id", *passed)
    frame = order.join(scored, on="person_id", how="left", maintain_order="left")
    raw = [name for name in ("raw_v24", "raw_v28", "raw_esrd") if name in frame.columns]
    frame = frame.select(
        "person_id", pl.col("person_id").alias("member_id"), "age", "segment", *raw, "payment", *passed
    )
    unverified = sorted({source for found in by_model.values() for source in found.unverified})
    notes += [f"unverified factor: {source}" for source in unverified]
    return HistoryScores(frame, by_model, sources, payment_year, tuple(notes))


def history_members(history: "History", payment_year: int, *, dual_benefits: str = "full") -> pl.DataFrame:
    """Return who is alive and covered when the payment year begins, with the columns that `hcc_scores` reads.

    Covered is who was on the day before or is on the first. Status is that of the latest coverage begun by
    then. A new enrollee has fewer than twelve months covered in the year before. Who is under 65 without a
    flag of disability is taken as entitled by it, or by end-stage renal disease where that flag is set.

    Raises
    ------
    DataError
        Nobody is covered when the payment year begins.
    """
    parts = [_shard_members(shard, payment_year) for shard in history.shards()]
    frame = pl.concat(parts) if parts else pl.DataFrame()
    if frame.is_empty():
        raise DataError(
            f"nobody is covered on 1 January {payment_year} or the day before",
            file=history.path,
            fix="choose a payment year that begins where the history's coverage is, or ends",
        )
    young = pl.col("birth_date").dt.offset_by(f"{ADULT}y") > date(payment_year, 2, 1)
    orec = (
        pl.when("orig_disability")
        .then(1)
        .when(young & pl.col("esrd"))
        .then(2)
        .when(young)
        .then(1)
        .otherwise(0)
    )
    return frame.with_columns(
        orec.alias("orec"),
        pl.when("dual").then(pl.lit(dual_benefits)).otherwise(pl.lit("none")).alias("dual_status"),
    ).drop("dual", "orig_disability")


def _shard_members(shard: "Shard", year: int) -> pl.DataFrame:
    first, last_day = date(year, 1, 1), date(year - 1, 12, 31)
    spans = shard.coverage.select("person", "start_date", "end_date", "dual", "orig_disability", "esrd")
    here = spans.filter((pl.col("start_date") <= first) & (pl.col("end_date") >= last_day))
    status = here.sort("person", "start_date").unique("person", keep="last", maintain_order=True)
    firsts = pl.DataFrame({"day": [date(year - 1, month, 1) for month in range(1, 13)]})
    months = (
        spans.join(firsts, how="cross")
        .filter(pl.col("day").is_between("start_date", "end_date"))
        .group_by("person")
        .agg(pl.col("day").n_unique().alias("months"))
    )
    people = shard.person.select("person", "person_id", "birth_date", "sex", "death_date")
    alive = pl.col("death_date").is_null() | (pl.col("death_date") >= first)
    return (
        people.join(status, on="person", maintain_order="left")
        .filter(alive & pl.col("sex").is_in(["female", "male"]) & pl.col("birth_date").is_not_null())
        .join(months, on="person", how="left", maintain_order="left")
        .select(
            "person_id",
            "birth_date",
            "sex",
            pl.col("dual", "orig_disability", "esrd").fill_null(value=False),
            (pl.col("months").fill_null(0) < 12).alias("new_enrollee"),
        )
    )


def _with_given(who: pl.DataFrame, members: Any) -> tuple[pl.DataFrame, list[str]]:
    """Put what is given in the place of what the history told; return the columns to pass on."""
    if members is None:
        return who, []
    given = nw.from_native(members, eager_only=True).to_polars()
    if "person_id" not in given.columns:
        raise DataError("the members have no column person_id")
    if given["person_id"].is_duplicated().any():
        raise DataError("a member is here twice", column="person_id", fix="give one row a person")
    given = given.with_columns(pl.col("person_id").cast(pl.String))
    own = ("dual_status", "institutional", "orec", "crec", "new_enrollee", "snp", "graft_months", "esrd")
    passed = [name for name in given.columns if name not in (*own, "person_id", *who.columns)]
    joined = who.join(given, on="person_id", how="left", suffix="_given", maintain_order="left")
    both = [name for name in own if f"{name}_given" in joined.columns]
    joined = joined.with_columns(
        pl.coalesce(pl.col(f"{name}_given").cast(who.schema[name]), name).alias(name) for name in both
    )
    return joined.drop(
        f"{name}_given" for name in joined.columns if f"{name}_given" in joined.columns
    ), passed


def _of(diagnoses: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    return diagnoses.join(who.select("person_id"), on="person_id", how="semi")


def _blended(by_model: Mapping[str, HccScores], shares: Mapping[str, float]) -> pl.DataFrame:
    frames = {model: by_model[model].frame for model in shares}
    first = next(iter(frames.values()))
    raw = [frame["raw"].alias(f"raw_{model[-3:].lower()}") for model, frame in frames.items()]
    payment = sum(share * frames[model]["payment"].to_numpy() for model, share in shares.items())
    return first.select("person_id", "age", "segment").with_columns(
        *raw,
        pl.Series("payment", half_up(payment)),  # type: ignore[arg-type]
    )


def _notes(eligible: Iterable[str] | None, members: Any, dual_benefits: str) -> list[str]:
    notes = []
    if eligible is None:
        notes.append(
            "no list of eligible CPT/HCPCS codes: every outpatient and professional diagnosis counts"
        )
    given = [] if members is None else list(nw.from_native(members, eager_only=True).columns)
    if "dual_status" not in given:
        notes.append(f"members with Medicaid count as {dual_benefits} benefit dual eligibles")
    if "institutional" not in given:
        notes.append("nobody counts as long-term institutional: histories do not tell")
    return notes
