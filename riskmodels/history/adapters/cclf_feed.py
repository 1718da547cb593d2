"""The files of one or more deliveries of the CCLF, read in several passes: who, what is final, its codes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters import cclf_codes as codes
from riskmodels.history.adapters import cclf_tables as tables
from riskmodels.history.adapters import institutional, professional
from riskmodels.history.adapters.base import SourceFile, run
from riskmodels.history.adapters.cclf_people import NO_IDS, current_ids, observed
from riskmodels.history.adapters.cclf_reading import read_cclf
from riskmodels.history.staging import Part

__all__ = ["Feed"]

ADJUSTMENTS = {"0": "0", "00": "0", "1": "1", "01": "1", "2": "2", "02": "2"}
ALLOWED_LINES = ("A", "R", "S")  # processing indicator: allowed, reprocessed, secondary payer
PAID_CLAIMS = (*"123456789", "A", "B")  # carrier payment denial code; all others are denied
PART_B = [
    *("CUR_CLM_UNIQ_ID", "CLM_LINE_NUM", "BENE_MBI_ID", "CLM_FROM_DT", "CLM_THRU_DT", "CLM_LINE_HCPCS_CD"),
    *("CLM_LINE_CVRD_PD_AMT", "CLM_LINE_ALOWD_CHRG_AMT", "CLM_CARR_PMT_DNL_CD", "CLM_PRCSG_IND_CD"),
    *("CLM_ADJSMT_TYPE_CD", "CLM_EFCTV_DT", "CLM_IDR_LD_DT", "CLM_CNTL_NUM"),
]
PHYSICIANS = ["CLM_POS_CD", "RNDRG_PRVDR_NPI_NUM", "CLM_RNDRG_PRVDR_NPI_NUM"]
FILL = [
    "CLM_LINE_FROM_DT",
    "PRVDR_SRVC_ID_QLFYR_CD",
    "CLM_SRVC_PRVDR_GNRC_ID_NUM",
    "CLM_DSPNSNG_STUS_CD",
    "CLM_LINE_RX_SRVC_RFRNC_NUM",
    "CLM_LINE_RX_FILL_NUM",
]
CLAIM = ["person_id", "claim_id"]
DIAGNOSES = range(1, 13)
LONG_AGO = pl.lit(tables.LONG_AGO)
TEXTS = ("person_id", "claim_id", "control", "adjustment", "place", "provider_id", "facility_id")
NO_CLAIMS = pl.DataFrame(
    schema={
        **dict.fromkeys(TEXTS, pl.String),
        **dict.fromkeys(("start", "end", "file_day", "effective"), pl.Date),
        **dict.fromkeys(("paid", "allowed"), pl.Float64),
        "emergency": pl.Int32,
        "cents": pl.Int64,
        "recorded_at": pl.Datetime("us"),
    }
)
CANCELLED = "claims of the CCLF that a later one cancels"
CANCELLATIONS = "cancellations of the CCLF"
DENIED = "claims of the CCLF that were denied"


class Feed:
    """The files of a source, the oldest first."""

    def __init__(self, files: Sequence[SourceFile]) -> None:
        self.files: dict[str, list[tuple[int, SourceFile]]] = defaultdict(list)
        for number, file in enumerate(files):
            self.files[file.table].append((number, file))
        ids = pl.concat([NO_IDS, *self.read("cclf9", list(NO_IDS.columns[:3]))])
        self.xref = current_ids(ids, self.label("cclf9"))

    def parts(self) -> Iterator[Part]:
        """Yield the parts of a history."""
        people = pl.concat(self.read("cclf8")).with_row_index("order")
        if people.is_empty():
            raise DataError(
                "there is no beneficiary in it", file=self.label("cclf8"), fix="get it again from CMS"
            )
        yield Part("person", run(tables.persons, people), self.label("cclf8"))
        claims, left_out = self.part_a()
        bills = self.bills(claims)
        stays = bills.drop("claim_id", "place_on").unique(maintain_order=True)
        billed, not_final = self.part_b("cclf5", PHYSICIANS)
        days = run(professional.visits_of_institutions, stays).collect()
        visits = run(professional.professional, billed, days).collect()
        last: Any = pl.concat([stays["end"], visits["end"]]).max()
        yield Part("coverage", run(tables.coverage, observed(people, last)), self.label("cclf8"))
        yield Part("encounter", stays, self.label("cclf1"), left_out)
        yield Part("encounter", visits, self.label("cclf5"), not_final)
        yield from self.codes_of_part_a(claims, bills)
        links = _links(billed, pl.col("claim_id"), pl.col("end").cast(pl.Datetime("us")))
        for batch in self.lines_of("cclf5", links):
            for n in DIAGNOSES:
                if batch[f"CLM_DGNS_{n}_CD"].null_count() < batch.height:
                    coded = run(codes.physician_diagnoses, batch, n=n)
                    yield Part("event", coded, self.label("cclf5"))
            yield Part("event", run(codes.line_procedures, batch), self.label("cclf5"))
        supplies, not_final = self.part_b("cclf6", [])
        # Supplies are no visits: their lines are events that belong to no encounter.
        links = _links(supplies, pl.lit(None, dtype=pl.String), pl.col("end").cast(pl.Datetime("us")))
        for batch in self.lines_of("cclf6", links):
            batch = batch.with_columns(pl.lit(None, dtype=pl.Float64).alias("CLM_LINE_SRVC_UNIT_QTY"))
            yield Part("event", run(codes.line_procedures, batch), self.label("cclf6"), not_final)
            not_final = {}
        yield from self.fills()

    def read(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield batches with the number and day of their delivery, persons by their current identifier."""
        for number, file in self.files[table]:
            for rows in read_cclf(file, columns):
                batch = rows.with_columns(
                    pl.lit(number, dtype=pl.Int32).alias("delivery"),
                    pl.lit(file.keys["day"], dtype=pl.Date).alias("file_day"),
                )
                if "CUR_CLM_UNIQ_ID" in batch.columns:
                    batch = batch.with_columns(pl.col("CUR_CLM_UNIQ_ID").alias("claim_id"))
                if "CLM_ADJSMT_TYPE_CD" in batch.columns:
                    batch = _dated(batch, file)
                if "BENE_MBI_ID" in batch.columns:
                    batch = run(tables.current, batch, self.xref).collect()
                yield batch

    def label(self, table: str) -> str:
        """Return the name of a table's first file, or the table where there is none."""
        return self.files[table][0][1].name if self.files[table] else table

    def part_a(self) -> tuple[pl.DataFrame, dict[str, int]]:
        """Return the final Part A claims, and how many claims are not."""
        claims = pl.concat(self.read("cclf1")).with_columns(
            pl.coalesce("CLM_BLG_PRVDR_OSCAR_NUM", "PRVDR_OSCAR_NUM").alias("place_of_claim"),
            (pl.col("CLM_PMT_AMT").fill_null(0.0).abs() * 100).round(0).cast(pl.Int64).alias("cents"),
        )
        claims = claims.with_columns(
            pl.col("place_of_claim").fill_null("").alias("oscar"),
            pl.col("CLM_FROM_DT").fill_null(LONG_AGO).alias("from"),
            pl.col("CLM_THRU_DT").fill_null(LONG_AGO).alias("thru"),
        )
        claims = run(tables.latest, claims.unique(), keys=CLAIM, order=["delivery", "effective"]).collect()
        paid = claims.filter(pl.col("CLM_MDCR_NPMT_RSN_CD").is_null())
        final = run(tables.final_action, paid, keys=["person_id", "oscar", "from", "thru"]).collect()
        return final, _left_out(paid, final, claims.height - paid.height)

    def bills(self, claims: pl.DataFrame) -> pl.DataFrame:
        """Return a row a final Part A claim with the encounter it is part of."""
        columns = ["CUR_CLM_UNIQ_ID", "BENE_MBI_ID", "CLM_LINE_PROD_REV_CTR_CD", "CLM_LINE_HCPCS_CD"]
        telling = [
            run(codes.telling_lines, batch).collect().join(claims, on=CLAIM, how="semi")
            for batch in self.read("cclf2", columns)
        ]
        lines = run(codes.institutional_lines, claims, pl.concat(telling).unique())
        rows = run(institutional.claims, lines).collect()
        return run(institutional.encounters, rows, repeated=True).collect()

    def part_b(self, table: str, more: Sequence[str]) -> tuple[pl.DataFrame, dict[str, int]]:
        """Return the final Part B claims, and how many claims or lines are not."""
        read = [_not_denied(batch) for batch in self.read(table, [*PART_B, *more])]
        if not read:
            return NO_CLAIMS.clone(), {}
        lines = pl.concat(kept for kept, _ in read)
        for name in set(PHYSICIANS) - set(lines.columns):
            lines = lines.with_columns(pl.lit(None, dtype=pl.String).alias(name))
        lines = lines.with_columns(
            pl.coalesce("CLM_CNTL_NUM", "claim_id").alias("control"),
            pl.coalesce("CLM_RNDRG_PRVDR_NPI_NUM", "RNDRG_PRVDR_NPI_NUM").alias("provider_id"),
            pl.col("CLM_LINE_NUM").fill_null(0.0),
        )
        keys = [*CLAIM, "CLM_LINE_NUM"]
        lines = run(tables.latest, lines.unique(), keys=keys, order=["delivery", "effective"]).collect()
        claims = run(codes.physician_claims, lines).collect()
        final = run(tables.final_action, claims, keys=["person_id", "control"]).collect()
        return final, _left_out(claims, final, sum(denied for _, denied in read))

    def codes_of_part_a(self, claims: pl.DataFrame, bills: pl.DataFrame) -> Iterator[Part]:
        """Yield the diagnoses, procedures and revenue lines of final Part A claims."""
        header = claims.select(
            *CLAIM,
            *(
                "file_day",
                "recorded_at",
                "CLM_THRU_DT",
                "PRNCPL_DGNS_CD",
                "ADMTG_DGNS_CD",
                "DGNS_PRCDR_ICD_IND",
            ),
        )
        moment = pl.col("end").cast(pl.Datetime("us")).alias("encounter_end")
        links = bills.select(*CLAIM, "encounter_id", moment, "place_on").join(header, on=CLAIM, how="inner")
        told = []
        for batch in self.lines_of("cclf4", links.drop("ADMTG_DGNS_CD", "DGNS_PRCDR_ICD_IND")):
            principal = pl.col("CLM_DGNS_CD") == pl.col("PRNCPL_DGNS_CD")
            coded = run(codes.diagnoses, batch).collect()
            cause = pl.col("CLM_PROD_TYPE_CD").is_in(["E", "1"]).fill_null(False)
            told.append(batch.filter(principal & ~cause).select(CLAIM))
            yield Part("event", coded, self.label("cclf4"))
        seen = pl.concat([*told, links.select(CLAIM).clear()]).unique().with_columns(told=pl.lit(True))
        again = pl.when(pl.col("told").is_null()).then(pl.col("PRNCPL_DGNS_CD")).alias("PRNCPL_DGNS_CD")
        own = links.join(seen, on=CLAIM, how="left").with_columns(again)
        yield Part("event", run(codes.header_diagnoses, own), self.label("cclf1"))
        links = links.drop("PRNCPL_DGNS_CD", "ADMTG_DGNS_CD", "DGNS_PRCDR_ICD_IND")
        for batch in self.lines_of("cclf3", links):
            yield Part("event", run(codes.procedures, batch), self.label("cclf3"))
        for batch in self.lines_of("cclf2", links):
            yield Part("event", run(codes.revenue, batch), self.label("cclf2"))

    def lines_of(self, table: str, links: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yield the lines of final claims, of the delivery that last told of them, with their encounters."""
        for batch in self.read(table):
            if "CLM_PRCSG_IND_CD" in batch.columns:
                batch, _ = _not_denied(batch)
            own = [name for name in links.columns if name not in CLAIM and name in batch.columns]
            rows = batch.rename({"file_day": "line_day"}).drop(name for name in own if name != "file_day")
            rows = rows.join(links, on=CLAIM, how="inner")
            same = (pl.col("line_day") == pl.col("file_day")).fill_null(True)
            yield rows.filter(same)

    def fills(self) -> Iterator[Part]:
        """Yield the fills of Part D: of related ones the last, unless it is a cancellation."""
        read = list(self.read("cclf7"))
        if not read:
            return
        fills = (
            pl.concat(read)
            .unique()
            .with_columns(
                pl.col("CLM_LINE_FROM_DT").fill_null(LONG_AGO),
                pl.col(FILL[1:]).fill_null(""),
                pl.col("CUR_CLM_UNIQ_ID").fill_null(""),
                pl.col("adjustment").replace_strict({"0": 0, "1": 1, "2": 2}).alias("step"),
            )
        )
        order = ["delivery", "effective", "step", "CUR_CLM_UNIQ_ID"]
        # A fill that no number tells apart from others is related to none.
        alone = (pl.col("CLM_LINE_RX_SRVC_RFRNC_NUM") == "") | (pl.col("CLM_LINE_FROM_DT") == LONG_AGO)
        fills = fills.with_columns(pl.when(alone).then("CUR_CLM_UNIQ_ID").otherwise(pl.lit("")).alias("own"))
        final = run(tables.latest, fills, keys=["person_id", "own", *FILL], order=order).collect()
        final = final.filter((pl.col("adjustment") != "1") & (pl.col("CLM_LINE_FROM_DT") != LONG_AGO))
        left_out = {"fills of the CCLF that are cancelled or replaced": fills.height - final.height}
        yield Part("event", run(codes.drugs, final), self.label("cclf7"), left_out)


def _dated(batch: pl.DataFrame, file: SourceFile) -> pl.DataFrame:
    """Add ``effective``, when a claim was processed, ``recorded_at`` and the type of ``adjustment``."""
    known = pl.coalesce("CLM_EFCTV_DT", "CLM_IDR_LD_DT", "file_day")
    kind = pl.col("CLM_ADJSMT_TYPE_CD").fill_null("0").str.strip_chars()
    batch = batch.with_columns(
        known.fill_null(LONG_AGO).alias("effective"),
        known.cast(pl.Datetime("us")).alias("recorded_at"),
        kind.replace_strict(ADJUSTMENTS, default=None).alias("adjustment"),
    )
    if batch["adjustment"].null_count():
        code = batch.filter(pl.col("adjustment").is_null())["CLM_ADJSMT_TYPE_CD"][0]
        raise DataError(
            f"{code!r} is not an adjustment type: 0 is an original, 1 a cancellation, 2 an adjustment",
            file=file.keys.get("archive", file.path),
            column="CLM_ADJSMT_TYPE_CD",
            fix="see that the records are in the layout that CMS describes, or get the file again",
        )
    return batch


def _not_denied(lines: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    allowed = pl.col("CLM_PRCSG_IND_CD").is_in(ALLOWED_LINES).fill_null(True)
    paid = pl.col("CLM_CARR_PMT_DNL_CD").is_in(PAID_CLAIMS).fill_null(True)
    kept = lines.filter(allowed & paid)
    return kept, lines.height - kept.height


def _left_out(claims: pl.DataFrame, final: pl.DataFrame, denied: int) -> dict[str, int]:
    cancellations = claims.filter(pl.col("adjustment") == "1").height
    cancelled = claims.height - cancellations - final.height
    return {CANCELLATIONS: cancellations, CANCELLED: cancelled, DENIED: denied}


def _links(claims: pl.DataFrame, encounter: pl.Expr, end: pl.Expr) -> pl.DataFrame:
    return claims.select(
        *CLAIM, "file_day", "recorded_at", encounter.alias("encounter_id"), end.alias("encounter_end")
    )
