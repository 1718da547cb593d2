"""Tuva's claims input layer as the tables of a history: transformations for every engine of narwhals."""

from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional import LINE, is_emergency, named

__all__ = [
    "codes",
    "coverage",
    "hcpcs",
    "institutional_lines",
    "persons",
    "pharmacy",
    "professional_lines",
    "revenue",
]

Frame = nw.LazyFrame[Any]

SEXES = {"male": "male", "female": "female", "m": "male", "f": "female"}
# Medicare's monthly dual status: QMB, SLMB, QDWI, QI and other full benefits; 09 is without Medicaid.
DUAL = {
    **dict.fromkeys(("01", "02", "03", "04", "05", "06", "08"), 1),
    **dict.fromkeys(("00", "09", "NA"), 0),
}
# Original reason for entitlement: age, disability, end-stage renal disease, both of these.
ENTITLED = {"0": 0, "1": 1, "2": 0, "3": 1}
DISABLED_NOW = ("20", "21")  # Medicare status of a beneficiary under 65: so the original reason, too
STATUS_ESRD = {"10": 0, "20": 0, "11": 1, "21": 1, "31": 1}
SYSTEMS = {
    "icd-10-cm": "ICD10CM",
    "icd-9-cm": "ICD9CM",
    "icd-10-pcs": "ICD10PCS",
    "icd-9-pcs": "ICD9PCS",
}
PRESENT = {"Y": 1.0, "W": 1.0, "1": 1.0, "N": 0.0, "U": 0.0}  # present on admission; 1 is exempt from saying
CODES = 25


def flag(column: nw.Expr, values: dict[str, int]) -> nw.Expr:
    """Return the truth that codes stand for; null where a code is not known."""
    result = nw.lit(None, dtype=nw.Boolean)
    for code, value in values.items():
        result = nw.when(column == code).then(nw.lit(value == 1)).otherwise(result)
    return result


def persons(eligibility: Frame) -> Frame:
    """Return table person from the spans, which repeat who the patient is."""
    race = nw.col("race").str.to_lowercase()
    return eligibility.select(
        "person_id",
        "birth_date",
        nw.coalesce(named(nw.col("gender").str.to_lowercase(), SEXES), nw.lit("unknown")).alias("sex"),
        nw.when(race != "unknown").then(race).alias("race_ethnicity"),
        "death_date",
    ).unique()


def coverage(eligibility: Frame) -> Frame:
    """Return table coverage: spans of enrolment, cut at death; one without an end goes on to the last day.

    The last day is that of the greatest ``last_day``, which the adapter adds: what the files tell about.
    """
    end = nw.coalesce(nw.col("enrollment_end_date"), nw.col("last_day"))
    end = nw.min_horizontal(end, nw.col("death_date"))
    status = nw.col("medicare_status_code")
    disabled = nw.when(status.is_in(DISABLED_NOW)).then(nw.lit(True))
    return eligibility.select(
        "person_id",
        nw.col("enrollment_start_date").alias("start_date"),
        end.alias("end_date"),
        nw.coalesce(nw.col("payer_type"), nw.col("payer")).str.to_lowercase().alias("payer"),
        flag(nw.col("dual_status_code"), DUAL).alias("dual"),
        nw.coalesce(flag(nw.col("original_reason_entitlement_code"), ENTITLED), disabled).alias(
            "orig_disability"
        ),
        flag(status, STATUS_ESRD).alias("esrd"),
    ).unique()


def institutional_lines(lines: Frame) -> Frame:
    """Return the lines of institutional claims with the columns that stays are made from."""
    disposition = nw.col("discharge_disposition_code")
    disposition = (
        nw.when(disposition.str.len_chars() == 1)
        .then(nw.concat_str(nw.lit("0"), disposition))
        .otherwise(disposition)
    )
    renamed = {
        "bill_type": "bill_type_code",
        "start": "claim_start_date",
        "end": "claim_end_date",
        "admission_type": "admit_type_code",
        "admission_source": "admit_source_code",
        "revenue_code": "revenue_center_code",
        "hcpcs": "hcpcs_code",
        "paid": "paid_amount",
        "allowed": "allowed_amount",
        "recorded_at": "paid_date",
    }
    return (
        lines.filter(nw.col("claim_type") == "institutional")
        .with_columns(disposition.alias("disposition"))
        .select(*(nw.col(renamed.get(name, name)).alias(name) for name in LINE))
    )


def professional_lines(lines: Frame) -> Frame:
    """Return one narrow row a line of the claims that are not institutional."""
    emergency = is_emergency("revenue_center_code", "hcpcs_code")
    return lines.filter(nw.coalesce(nw.col("claim_type"), nw.lit("")) != "institutional").select(
        "person_id",
        "claim_id",
        nw.coalesce(nw.col("claim_start_date"), nw.col("claim_line_start_date")).alias("start"),
        nw.coalesce(nw.col("claim_end_date"), nw.col("claim_line_end_date")).alias("end"),
        nw.col("place_of_service_code").alias("place"),
        "facility_id",
        "provider_id",
        nw.when(emergency).then(nw.lit(1)).otherwise(nw.lit(0)).alias("emergency"),
        nw.col("paid_amount").alias("paid"),
        nw.col("allowed_amount").alias("allowed"),
        nw.col("paid_date").alias("recorded_at"),
    )


def _system(kind: nw.Expr, end: nw.Expr, icd10: str, icd9: str) -> nw.Expr:
    """Return the code system that a claim names, else that of its days: ICD-10 from 1 October 2015."""
    before = end < nw.lit("2015-10-01").str.to_datetime(format="%Y-%m-%d")
    by_day = nw.when(before).then(nw.lit(icd9)).otherwise(nw.lit(icd10))
    return nw.coalesce(named(kind.str.to_lowercase(), SYSTEMS), by_day)


def codes(lines: Frame, *, kind: str, n: int) -> Frame:
    """Return table event from the nth diagnosis or ICD procedure of lines that have their encounter beside.

    Diagnoses are dated at the encounter's end; their value is 1 if present on admission, 0 if not. Procedures
    have their own date, or the encounter's end.
    """
    code, end = nw.col(f"{kind}_code_{n}"), nw.col("encounter_end")
    value = nw.lit(None, dtype=nw.Float64)
    if kind == "diagnosis":
        time = end
        system = _system(nw.col("diagnosis_code_type"), end, "ICD10CM", "ICD9CM")
        for answer, number in PRESENT.items():
            said = nw.col(f"diagnosis_poa_{n}") == answer
            value = nw.when(said).then(nw.lit(number)).otherwise(value)
    else:
        time = nw.coalesce(nw.col(f"procedure_date_{n}").cast(nw.Datetime("us")), end)
        system = _system(nw.col("procedure_code_type"), end, "ICD10PCS", "ICD9PCS")
    return lines.filter(~code.is_null()).select(
        "person_id",
        "encounter_id",
        "recorded_at",
        time.alias("time"),
        nw.lit(kind).alias("kind"),
        system.alias("code_system"),
        code.alias("code"),
        value.alias("value"),
        (nw.coalesce(nw.col("place_on"), nw.lit(0, dtype=nw.Int32)) + n).alias("position"),
    )


def hcpcs(lines: Frame) -> Frame:
    """Return table event from the services of lines; paid is told for lines of professional claims only."""
    day = nw.coalesce(nw.col("claim_line_start_date").cast(nw.Datetime("us")), nw.col("encounter_end"))
    own = nw.when(nw.col("claim_type") != "institutional").then(nw.col("paid_amount"))
    return lines.filter(~nw.col("hcpcs_code").is_null()).select(
        "person_id",
        "encounter_id",
        "recorded_at",
        day.alias("time"),
        nw.lit("procedure").alias("kind"),
        nw.lit("HCPCS").alias("code_system"),
        nw.col("hcpcs_code").alias("code"),
        nw.col("service_unit_quantity").alias("quantity"),
        own.alias("paid"),
        nw.col("claim_line_number").cast(nw.Int32).alias("position"),
    )


def revenue(lines: Frame) -> Frame:
    """Return table event from the revenue codes of lines; 0001 is the total of a claim and no service."""
    day = nw.coalesce(nw.col("claim_line_start_date").cast(nw.Datetime("us")), nw.col("encounter_end"))
    billed = lines.filter(
        ~nw.col("revenue_center_code").is_null() & (nw.col("revenue_center_code") != "0001")
    )
    return billed.select(
        "person_id",
        "encounter_id",
        "recorded_at",
        day.alias("time"),
        nw.lit("procedure").alias("kind"),
        nw.lit("REVENUE").alias("code_system"),
        nw.col("revenue_center_code").alias("code"),
        nw.col("service_unit_quantity").alias("quantity"),
    ).unique()


def pharmacy(fills: Frame) -> Frame:
    """Return table event from pharmacy claims."""
    return fills.select(
        "person_id",
        nw.col("dispensing_date").cast(nw.Datetime("us")).alias("time"),
        nw.lit("drug").alias("kind"),
        nw.lit("NDC").alias("code_system"),
        nw.col("ndc_code").alias("code"),
        "quantity",
        "days_supply",
        nw.col("paid_amount").alias("paid"),
        nw.col("paid_date").cast(nw.Datetime("us")).alias("recorded_at"),
    )
