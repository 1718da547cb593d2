"""Tuva's claims input layer: eligibility, medical_claim and pharmacy_claim, as CSV or Parquet."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import narwhals as nw
import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters import institutional, professional
from riskmodels.history.adapters import tuva_tables as tables
from riskmodels.history.adapters.base import Adapter, SourceFile, run
from riskmodels.history.adapters.tabular import read_table, tables_in, whole_table
from riskmodels.history.reading import Field
from riskmodels.history.staging import Part

__all__ = ["adapter"]

logger = logging.getLogger(__name__)

TEXT, NUMBER, DAY = Field(optional=True), Field("number", optional=True), Field("day", optional=True)
NEEDED, NEEDED_DAY = Field(), Field("day")
# The layer renamed some columns over the years: the name of today, and what it was before.
PERSON = {"person_id": ("person_id", "patient_id")}
RENAMED = {
    "eligibility": PERSON,
    "medical_claim": {
        **PERSON,
        "drg": ("drg_code", "ms_drg_code"),
        "facility_id": ("facility_id", "facility_npi"),
        "provider_id": ("rendering_id", "rendering_npi"),
    },
    "pharmacy_claim": PERSON,
}
CLAIM = {
    "person_id": TEXT,
    "patient_id": TEXT,
    "claim_id": NEEDED,
    "claim_type": NEEDED,
    "claim_start_date": NEEDED_DAY,
    "claim_end_date": NEEDED_DAY,
    "claim_line_start_date": DAY,
    "claim_line_end_date": DAY,
    "revenue_center_code": TEXT,
    "hcpcs_code": TEXT,
    "paid_amount": NUMBER,
    "paid_date": DAY,
}
HEADER = {
    **CLAIM,
    "admission_date": DAY,
    "discharge_date": DAY,
    "admit_source_code": TEXT,
    "admit_type_code": TEXT,
    "discharge_disposition_code": TEXT,
    "place_of_service_code": TEXT,
    "bill_type_code": NEEDED,
    "drg_code_type": TEXT,
    "drg_code": TEXT,
    "ms_drg_code": TEXT,
    "facility_id": TEXT,
    "facility_npi": TEXT,
    "rendering_id": TEXT,
    "rendering_npi": TEXT,
    "allowed_amount": NUMBER,
}
NUMBERS = range(1, tables.CODES + 1)
CODED = {
    **CLAIM,
    "claim_line_number": Field("number"),
    "service_unit_quantity": NUMBER,
    "diagnosis_code_type": TEXT,
    "procedure_code_type": TEXT,
    **{f"diagnosis_code_{n}": Field(optional=n > 1) for n in NUMBERS},
    **{f"diagnosis_poa_{n}": TEXT for n in NUMBERS},
    **{f"procedure_code_{n}": TEXT for n in NUMBERS},
    **{f"procedure_date_{n}": DAY for n in NUMBERS},
}
FIELDS: dict[str, dict[str, Field]] = {
    "eligibility": {
        "person_id": TEXT,
        "patient_id": TEXT,
        "gender": NEEDED,
        "race": TEXT,
        "birth_date": NEEDED_DAY,
        "death_date": DAY,
        "enrollment_start_date": NEEDED_DAY,
        "enrollment_end_date": NEEDED_DAY,
        "payer": TEXT,
        "payer_type": TEXT,
        "dual_status_code": TEXT,
        "medicare_status_code": TEXT,
        "original_reason_entitlement_code": TEXT,
    },
    "medical_claim": HEADER,
    "pharmacy_claim": {
        "person_id": TEXT,
        "patient_id": TEXT,
        "dispensing_date": NEEDED_DAY,
        "ndc_code": NEEDED,
        "quantity": NUMBER,
        "days_supply": NUMBER,
        "paid_date": DAY,
        "paid_amount": NUMBER,
    },
}
REQUIRED = ("eligibility", "medical_claim")
BATCH_ROWS = 200_000


class Tuva:
    """The Tuva Project's claims input layer: enrolment spans and claim lines of any payer."""

    name = "tuva"
    version = 1
    description = "Tuva claims input layer: eligibility, medical_claim, pharmacy_claim (CSV or Parquet)"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the tables of a folder or archive by their names."""
        found = tables_in(source, FIELDS, "Tuva's eligibility.csv and medical_claim.csv")
        return found.complete(source, REQUIRED, "Tuva's input layer")

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read the enrolment, then the claims twice: for their encounters, and for their codes."""
        by_table = {file.table: file for file in files}
        spans = _same_names(
            whole_table(by_table["eligibility"], FIELDS["eligibility"], rows_required=True),
            "eligibility",
            by_table["eligibility"],
        )
        label = by_table["eligibility"].name
        yield Part("person", run(tables.persons, spans), label)
        claims = by_table["medical_claim"]
        yield from _claims(claims, spans, label)
        if "pharmacy_claim" in by_table:
            file = by_table["pharmacy_claim"]
            for batch in read_table(file, FIELDS["pharmacy_claim"]):
                fills = _same_names(batch, "pharmacy_claim", file)
                yield Part("event", run(tables.pharmacy, fills), file.name)

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return all files as one piece: the spans of enrolment end where the last claim does."""
        return [list(files)]


def adapter() -> Adapter:
    """Return the adapter."""
    return Tuva()


def _claims(file: SourceFile, spans: pl.DataFrame, spans_label: str) -> Iterator[Part]:
    hospital, others = [], []
    for batch in read_table(file, HEADER, rows_required=True):
        lines = _same_names(batch, "medical_claim", file)
        hospital.append(run(tables.institutional_lines, lines).collect())
        others.append(run(tables.professional_lines, lines).collect())
    rows = run(institutional.claims, pl.concat(hospital)).collect()
    bills = run(institutional.encounters, rows, repeated=amounts_repeated(rows)).collect()
    if out := rows.height - bills.height:
        logger.info("%s: %d institutional claims were voided or billed anew", file.name, out)
    stays = bills.drop("claim_id", "place_on").unique(maintain_order=True)
    billed = run(professional.visits_of_institutions, stays)
    visits = run(professional.professional, pl.concat(others), billed).collect()
    last = pl.concat([stays["end"], visits["end"]]).max()
    yield Part(
        "coverage", run(tables.coverage, spans.with_columns(pl.lit(last).alias("last_day"))), spans_label
    )
    yield Part("encounter", stays, file.name)
    yield Part("encounter", visits, file.name)
    links = _links(bills, visits)
    for batch in read_table(file, CODED, batch_rows=BATCH_ROWS):
        lines = _same_names(batch, "medical_claim", file)
        lines = lines.join(links, on=["person_id", "claim_id", "institutional"], how="inner").with_columns(
            pl.col("paid_date").cast(pl.Datetime("us")).alias("recorded_at")
        )
        coded = [column for column in lines.columns if column.startswith(("diagnosis_", "procedure_"))]
        once = lines.select("person_id", "encounter_id", "encounter_end", "place_on", "recorded_at", *coded)
        filled = [
            (kind, n)
            for n in NUMBERS
            for kind in ("diagnosis", "procedure")
            if once[f"{kind}_code_{n}"].null_count() < once.height
        ]
        if filled:
            coded_once = nw.from_native(once.unique(maintain_order=True).lazy())
            pieces = [tables.codes(coded_once, kind=kind, n=n).to_native() for kind, n in filled]
            yield Part("event", pl.concat(pieces), file.name)
        yield Part("event", run(tables.hcpcs, lines), file.name)
        yield Part("event", run(tables.revenue, lines), file.name)


def _links(bills: pl.DataFrame, visits: pl.DataFrame) -> pl.DataFrame:
    """Return the encounter, and its end, of each claim."""
    moment = pl.col("end").cast(pl.Datetime("us")).alias("encounter_end")
    hospital = bills.select(
        "person_id", "claim_id", "encounter_id", moment, "place_on", pl.lit(True).alias("institutional")
    )
    others = visits.select(
        "person_id",
        pl.col("encounter_id").alias("claim_id"),
        "encounter_id",
        moment,
        pl.lit(0, dtype=pl.Int32).alias("place_on"),
        pl.lit(False).alias("institutional"),
    )
    return pl.concat([hospital, others])


def amounts_repeated(rows: pl.DataFrame) -> bool:
    """Say whether the lines of institutional claims repeat the amount of their claim.

    They do if all the claims with amounts on several lines have the same, not zero, on each of them:
    connectors of sources without amounts of institutional lines, as Medicare's CCLF, fill the layer so.
    """
    several = rows.filter((pl.col("paid_rows") > 1) & (pl.col("paid_claim") != 0))
    return several.height > 0 and bool((several["paid_least"] == several["paid_claim"]).all())


def _same_names(frame: pl.DataFrame, table: str, file: SourceFile) -> pl.DataFrame:
    """Bring columns that were renamed over the years to one name."""
    for name, candidates in RENAMED[table].items():
        there = [column for column in candidates if column in frame.columns]
        if there:
            frame = frame.with_columns(pl.coalesce(there).alias(name))
    if frame.height and frame["person_id"].null_count() == frame.height:
        raise DataError(
            "there is no column 'person_id' (or 'patient_id') with a value",
            file=file.keys.get("archive", file.path),
            column="person_id",
            fix="name the column as Tuva's input layer does",
        )
    if "claim_type" in frame.columns:
        kind = pl.col("claim_type").str.to_lowercase().str.strip_chars()
        frame = frame.with_columns(kind, (kind == "institutional").fill_null(False).alias("institutional"))
    return frame
