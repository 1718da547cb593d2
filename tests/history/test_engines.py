"""The adapters' transformations give the same rows on another engine of narwhals as on Polars."""

from datetime import datetime

import narwhals as nw
import polars as pl
import pytest

from riskmodels.history.adapters import (
    cclf_codes,
    cclf_tables,
    desynpuf,
    fhir_claims,
    fhir_resources,
    fhir_tables,
    get_adapter,
    institutional,
    meds_tables,
    mimic_iv,
    mimic_iv_tables,
    omop,
    omop_tables,
    professional,
    synthea,
    synthea_tables,
    tuva,
    tuva_tables,
)
from riskmodels.history.adapters import desynpuf_people as people
from riskmodels.history.adapters import desynpuf_tables as synpuf
from riskmodels.history.adapters.cclf_reading import _layouts
from riskmodels.history.adapters.tabular import whole_table
from riskmodels.history.reading import Field, read_whole_csv

duckdb = pytest.importorskip("duckdb")

MEDS_WORDS = (
    "facility_id",
    "provider_id",
    "admission_type",
    "admission_source",
    "discharge_disposition",
    "drg",
    "unit",
)
VALUES = {
    "text": ["1", "2", None, "99283", "Y", "OTHER"],
    "number": [1.0, 12.0, None, 7.0, 0.5, 100.0],
    "day": ["2008-01-05", "2010-02-01", None, "2009-12-31", "2008-02-29", "2010-06-01"],
    "instant": ["2008-01-05 10:00:00", None, "2010-02-01 00:00:00"],
}


def made_up(fields: dict[str, Field], rows: int = 60) -> pl.DataFrame:
    """Return rows that go through the values of each type in another rhythm for each column."""
    columns = {}
    for i, (name, field) in enumerate(fields.items()):
        values = VALUES[field.kind]
        column = [values[(row * (i + 1) + row // 7) % len(values)] for row in range(rows)]
        dtype = {"text": pl.String, "number": pl.Float64}.get(field.kind, pl.String)
        series = pl.Series(name, column, dtype=dtype)
        if field.kind in ("day", "instant"):
            series = series.str.to_date() if field.kind == "day" else series.str.to_datetime(time_unit="us")
        columns[name] = series
    return pl.DataFrame(columns)


def beneficiaries() -> pl.DataFrame:
    frame = made_up(desynpuf.FIELDS["beneficiary"])
    ids = pl.Series("DESYNPUF_ID", [f"p{row // 3}" for row in range(frame.height)])
    years = pl.Series("year", [2008 + row % 3 for row in range(frame.height)], dtype=pl.Int32)
    return frame.with_columns(ids, years)


def assert_same(transform, *frames, **options):
    """Run on Polars and on DuckDB and compare, whatever the order of the rows."""
    here = transform(*(nw.from_native(frame.lazy()) for frame in frames), **options).to_native().collect()
    connection = duckdb.connect()
    relations = [nw.from_native(connection.from_arrow(frame.to_arrow())) for frame in frames]
    there = transform(*relations, **options).to_native().pl()
    there = there.select(pl.col(name).cast(dtype) for name, dtype in here.schema.items())
    assert here.height > 0
    assert here.sort(pl.all()).equals(there.sort(pl.all()))
    return here


@pytest.mark.parametrize("transform", [people.persons, people.coverage, people.annual_summaries])
def test_beneficiaries(transform):
    """Persons, coverage and yearly summaries."""
    assert_same(transform, beneficiaries())


@pytest.mark.parametrize("inpatient", [True, False], ids=["inpatient", "outpatient"])
def test_institutional_claims(inpatient):
    """Claims with segments, and their codes."""
    claims = made_up(desynpuf.FIELDS["inpatient" if inpatient else "outpatient"]).with_columns(
        pl.Series("CLM_ID", [str(row // 2) for row in range(60)]),
        pl.Series("SEGMENT", [str(1 + row % 2) for row in range(60)]),
        pl.lit("p1").alias("DESYNPUF_ID"),
    )
    rows = assert_same(synpuf.claim_rows, claims, inpatient=inpatient)
    encounters = assert_same(synpuf.encounters, rows, inpatient=inpatient)

    lists = (*desynpuf.DIAGNOSIS_LISTS, *desynpuf.PROCEDURE_LISTS, *desynpuf.LINE_LISTS)

    def codes(claims):
        return synpuf.claim_codes(synpuf.with_end(claims, "CLM_THRU_DT"), lists=lists)

    def later_codes(claims, encounters):
        return synpuf.claim_codes(synpuf.with_end_of_claim(claims, encounters), lists=lists)

    found = assert_same(codes, claims)
    assert_same(later_codes, claims, encounters)
    done = found.filter(pl.col("code_system") == "ICD9PCS")
    done = done.with_columns(pl.col("code").replace({"1": "3995", "2": "5849"}))
    told = pl.DataFrame({"code": ["5849", "3995"], "len": [1000, 1]})
    kept = assert_same(synpuf.procedures_alone, done, told)
    assert set(kept["code"]) == {"3995"}


@pytest.mark.parametrize(
    ("transform", "table"),
    [(synpuf.carrier_encounters, "carrier"), (synpuf.carrier_lines, "carrier"), (synpuf.fills, "drug")],
)
def test_other_claims(transform, table):
    """Physicians' claims and prescription fills."""
    assert_same(transform, made_up(desynpuf.FIELDS[table]))


def test_mimic_iv(shared_data):
    """All of MIMIC-IV's transformations, on the demo."""
    files = get_adapter("mimic-iv").find(shared_data / "patients" / "mimic_iv_demo")
    tables = {file.table: read_whole_csv(file.path, mimic_iv.FIELDS[file.table]) for file in files}
    tables["labevents"] = tables["labevents"].head(2000)
    tables["prescriptions"] = tables["prescriptions"].head(2000)
    people = assert_same(mimic_iv_tables.persons, tables["patients"])
    stays = assert_same(mimic_iv_tables.admissions, tables["admissions"], tables["drgcodes"])
    assert_same(mimic_iv_tables.race, tables["admissions"])
    assert_same(mimic_iv_tables.ed_stays, tables["transfers"])
    assert_same(mimic_iv_tables.coverage, stays, people)
    assert_same(mimic_iv_tables.diagnoses, tables["diagnoses_icd"], tables["admissions"])
    for table, transform in mimic_iv.EVENTS.items():
        assert_same(transform, tables[table])


def test_synthea(shared_data):
    """All of Synthea's transformations, on an export."""
    files = get_adapter("synthea").find(shared_data / "patients" / "synthea_csv_nj")
    read = {file.table: whole_table(file, synthea.FIELDS[file.table]) for file in files}
    assert_same(synthea_tables.persons, read["patients"])
    assert_same(synthea_tables.encounters, read["encounters"])
    assert_same(synthea_tables.reasons, read["encounters"])
    spans = read["payer_transitions"].with_columns(pl.lit(datetime(2025, 9, 23)).dt.date().alias("last_day"))
    assert_same(synthea_tables.coverage, spans, read["payers"], read["patients"])
    for kind in ("diagnosis", "procedure"):
        assert_same(synthea_tables.codes, read["conditions"], read["encounters"], kind=kind)
    for table, transform in synthea.EVENTS.items():
        assert_same(transform, read[table])
    number = pl.lit(1.5).alias("VALUE")
    assert_same(synthea_tables.observations, made_up(synthea.FIELDS["observations"]).with_columns(number))


def test_omop(shared_data):
    """All of the transformations of OMOP tables, on a published database."""
    files = get_adapter("omop").find(shared_data / "patients" / "omop_synthea27nj" / "Synthea27Nj_5.4.zip")
    read = {file.table: whole_table(file, omop.FIELDS[file.table]) for file in files}
    details = read["visit_detail"].rename({"visit_detail_concept_id": "visit_concept_id"})
    visits = read["visit_occurrence"]
    kinds, places = omop.kinds_by_name(read["concept"], visits), omop.places_by_name(read["concept"], visits)
    assert_same(omop_tables.persons, read["person"], read["death"])
    assert_same(omop_tables.coverage, read["observation_period"])
    assert_same(omop_tables.encounters, visits, details, kinds, places)
    codes = assert_same(omop_tables.vocabulary, read["concept"])
    positions = pl.DataFrame(
        {"concept_id": ["32902"], "position": [1]}, schema_overrides={"position": pl.Int32}
    )
    rows = read["condition_occurrence"].rename(omop.CONDITION_NAMES)
    assert_same(omop_tables.conditions, rows, codes, visits, positions)
    for table, (kind, _, names) in omop.EVENTS.items():
        rows = omop._with_all(read[table].rename(names)).head(2000)
        assert_same(omop_tables.events, rows, codes, kind=kind)


def test_meds():
    """Rows of a dataset, with what their codes say."""
    roles = ["birth", "sex", "start", "end", "covered", "uncovered", "event"]
    rows = pl.DataFrame(
        {
            "role": [roles[n % 7] for n in range(84)],
            "person_id": [f"p{n // 28}" for n in range(84)],
            "encounter_id": [None if n // 7 % 4 == 3 else f"e{n // 7}" for n in range(84)],
            "coverage_span": [str(n // 7) for n in range(84)],
            "word": [["inpatient", "female"][n % 7 == 1] for n in range(84)],
            "code_system": ["LOINC"] * 84,
            "event_code": ["718-7"] * 84,
            "time": [datetime(2020, 1, 1 + n // 7, n % 7) for n in range(84)],
            **{name: ["true"] * 84 for name in meds_tables.FLAGS},
            **{name: ["urgent"] * 84 for name in MEDS_WORDS},
            **{name: [1.5] * 84 for name in ("numeric_value", "quantity", "days_supply", "paid", "allowed")},
            "position": pl.Series([1] * 84, dtype=pl.Int32),
            "recorded_at": [datetime(2020, 2, 1)] * 84,
        }
    )
    for transform in (
        meds_tables.persons,
        meds_tables.encounters,
        meds_tables.coverage,
        meds_tables.contacts,
        meds_tables.events,
    ):
        assert_same(transform, rows)


def test_tuva(shared_data):
    """Tuva's transformations and those of institutional claims, on the sample."""
    files = get_adapter("tuva").find(shared_data / "patients" / "tuva_claims_sample")
    read = {file.table: whole_table(file, tuva.FIELDS[file.table]) for file in files}
    claims = next(file for file in files if file.table == "medical_claim")
    same = {name: tuva._same_names(frame, name, claims) for name, frame in read.items()}
    spans = same["eligibility"].with_columns(pl.lit(datetime(2018, 12, 31)).dt.date().alias("last_day"))
    assert_same(tuva_tables.persons, spans)
    assert_same(tuva_tables.coverage, spans)
    assert_same(tuva_tables.pharmacy, same["pharmacy_claim"])
    lines = assert_same(tuva_tables.institutional_lines, same["medical_claim"])
    others = assert_same(tuva_tables.professional_lines, same["medical_claim"])
    rows = assert_same(institutional.claims, lines)
    for repeated in (True, False):
        bills = assert_same(institutional.encounters, rows, repeated=repeated)
    billed = assert_same(professional.visits_of_institutions, bills)
    visits = assert_same(professional.professional, others, billed)
    coded = tuva._same_names(whole_table(claims, tuva.CODED), "medical_claim", claims)
    links = tuva._links(bills, visits)
    coded = coded.join(links, on=["person_id", "claim_id", "institutional"]).with_columns(
        pl.col("paid_date").cast(pl.Datetime("us")).alias("recorded_at")
    )
    for kind in ("diagnosis", "procedure"):
        assert_same(tuva_tables.codes, coded, kind=kind, n=1)
    assert_same(tuva_tables.hcpcs, coded)
    assert_same(tuva_tables.revenue, coded)


def test_cclf():
    """CCLF's transformations, on made-up claims of a few beneficiaries in a few places."""
    days = ["2023-01-05", "2023-02-01", "2023-03-31", "2023-05-01", None]

    def rows(table: str, n: int = 90) -> pl.DataFrame:
        fields = {name: Field(kind) for name, (_, _, kind) in _layouts()["fields"][table].items()}
        dates = [pl.Series(days)[(row * 3 + row // 5) % 5] for row in range(n)]
        return made_up(fields, n).with_columns(
            pl.Series("person_id", [f"p{row % 4}" for row in range(n)]),
            pl.Series("claim_id", [f"c{row}" for row in range(n)]),
            pl.Series("order", range(n)),
            pl.Series("delivery", [row % 3 for row in range(n)]),
            pl.Series("effective", dates).str.to_date().fill_null(cclf_tables.LONG_AGO),
            pl.Series("file_day", dates).str.to_date(),
            pl.Series("recorded_at", dates).str.to_datetime(time_unit="us"),
            pl.Series("encounter_end", ["2023-01-05"] * n).str.to_datetime(time_unit="us"),
            pl.Series("encounter_id", [f"e{row // 3}" for row in range(n)]),
            pl.Series("place_on", [100 * (row % 2) for row in range(n)], dtype=pl.Int32),
            pl.Series("control", [f"k{row % 7}" for row in range(n)]),
            pl.Series("adjustment", [str(row // 2 % 3) for row in range(n)]),
            pl.Series("cents", [row % 3 for row in range(n)]),
            pl.Series("provider_id", ["d"] * n),
            pl.Series("place_of_claim", ["h"] * n),
        )

    people = rows("cclf8").with_columns(
        pl.col("file_day").fill_null(cclf_tables.LONG_AGO).alias("told_on"),
        pl.lit(datetime(2023, 6, 30)).dt.date().alias("ends"),
        pl.lit(datetime(2010, 1, 1)).dt.date().alias("BENE_PART_A_ENRLMT_BGN_DT"),
    )
    xref = pl.DataFrame({"previous": ["1"], "present": ["2"]})
    assert_same(cclf_tables.current, rows("cclf8").drop("person_id"), xref)
    assert_same(cclf_tables.persons, people)
    assert_same(cclf_tables.coverage, people)
    claims = rows("cclf1")
    final = assert_same(cclf_tables.final_action, claims, keys=["person_id", "control"])
    lines = rows("cclf2").with_columns(CLM_LINE_PROD_REV_CTR_CD=pl.lit("0450"))
    telling = assert_same(cclf_codes.telling_lines, lines)
    assert_same(cclf_codes.institutional_lines, final, telling)
    assert_same(cclf_codes.header_diagnoses, claims)
    same = claims.select("claim_id", "PRNCPL_DGNS_CD", "CLM_THRU_DT")
    assert_same(cclf_codes.diagnoses, rows("cclf4").join(same, on="claim_id"))
    assert_same(cclf_codes.procedures, rows("cclf3").join(same, on="claim_id"))
    assert_same(cclf_codes.revenue, lines)
    assert_same(cclf_codes.physician_claims, rows("cclf5"))
    assert_same(cclf_codes.physician_diagnoses, rows("cclf5"), n=1)
    assert_same(cclf_codes.line_procedures, rows("cclf5"))
    assert_same(cclf_codes.drugs, rows("cclf7").drop("encounter_id"))


def test_fhir():
    """FHIR's transformations, on made-up rows of resources."""

    def rows(schema: dict, n: int = 40, **columns: object) -> pl.DataFrame:
        words = {pl.String: "text", pl.Float64: "number", pl.Date: "day", pl.Datetime("us"): "instant"}
        fields = {name: Field(words.get(dtype, "number")) for name, dtype in schema.items()}
        typed = made_up(fields, n).cast(schema)
        ids = [f"e{row}" for row in range(n)]
        return typed.with_columns(
            pl.Series(name, ids if value == "ids" else [value] * n) for name, value in columns.items()
        )

    places = pl.DataFrame(
        {"encounter_id": ["1", "2"], "whole_id": ["2", "2"], "over": [datetime(2023, 1, 1)] * 2}
    )
    money = pl.DataFrame({"of_encounter": ["e1"], "paid": [1.5], "allowed": [2.0]})
    ranks = pl.DataFrame(
        {"condition_id": ["1"], "ranked_in": ["1"], "position": pl.Series([1], dtype=pl.Int32)}
    )
    schemas = fhir_resources.SCHEMAS
    assert_same(fhir_tables.encounters, rows(schemas["Encounter"], encounter_id="ids"), money)
    assert_same(fhir_tables.conditions, rows(schemas["Condition"]), places, ranks)
    assert_same(fhir_tables.events, rows(schemas["Procedure"]), places, kind="procedure")
    assert_same(fhir_tables.events, rows(schemas["Observation"]), places, kind="observation")
    drugs = pl.DataFrame({"medication_id": ["1"], "medication_system": ["NDC"], "medication_code": ["2"]})
    assert_same(fhir_tables.orders, rows(schemas["MedicationRequest"]), places, drugs)
    claims = rows(fhir_claims.CLAIM, claim_id="ids")
    lines = rows(fhir_claims.LINE, claim_id="ids", revenue_code="0450")
    assert_same(fhir_tables.institutional_lines, claims, lines)
    assert_same(fhir_tables.professional_claims, claims, lines)
    links = claims.select(
        *("claim_id", "person_id", "recorded_at"),
        encounter_id="claim_id",
        encounter_end=pl.lit(datetime(2023, 1, 5)),
        place_on=pl.lit(100, dtype=pl.Int32),
    )
    assert_same(fhir_tables.claim_codes, rows(fhir_claims.CODE, claim_id="ids"), links)
    fields = {"person_id": Field(), "start_date": Field("day"), "end_date": Field("day")}
    spans = made_up(fields).with_columns(
        payer=pl.lit("x"),
        dual=pl.lit(True),
        orig_disability=pl.lit(True),
        esrd=pl.lit(True),
        last_day=pl.lit(datetime(2023, 1, 5)).dt.date(),
    )
    assert_same(fhir_tables.coverage, spans, rows(schemas["Patient"]))
    assert_same(fhir_tables.contacts, rows(schemas["Encounter"]))
