"""The claims of Medicare's Claim and Claim Line Feed and their codes, for every engine of narwhals.

The rows have ``person_id`` and ``claim_id``; those of events also their encounter: ``encounter_id``,
``encounter_end``, ``recorded_at`` and, for Part A, ``place_on``: what positions are counted on by.
"""

from datetime import date
from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional import LINE, is_emergency, named
from riskmodels.history.adapters.tuva_tables import PRESENT

__all__ = [
    "diagnoses",
    "drugs",
    "header_diagnoses",
    "institutional_lines",
    "line_procedures",
    "physician_claims",
    "physician_diagnoses",
    "procedures",
    "revenue",
    "telling_lines",
]

Frame = nw.LazyFrame[Any]

VERSIONS = {"9": "9", "0": "10"}  # ICD version indicator
ICD10_FROM = date(2015, 10, 1)
CAUSES = 50  # what the positions of external causes are counted on by


def telling_lines(lines: Frame) -> Frame:
    """Return the lines that tell the kind of a claim: emergency, observation, rehabilitation."""
    rows = lines.select(
        "person_id",
        nw.col("CUR_CLM_UNIQ_ID").alias("claim_id"),
        nw.col("CLM_LINE_PROD_REV_CTR_CD").alias("revenue_code"),
        nw.col("CLM_LINE_HCPCS_CD").alias("hcpcs"),
    )
    kind = nw.coalesce(nw.col("revenue_code").is_in(["0762", "0024"]), nw.lit(False)) | nw.coalesce(
        nw.col("hcpcs") == "G0378", nw.lit(False)
    )
    return rows.filter(is_emergency() | kind).unique()


def institutional_lines(claims: Frame, telling: Frame) -> Frame:
    """Return final Part A claims as lines: one, or as many as tell the kind of the claim.

    Stays run over the days of the claim: the feed has no dates of admission and discharge.
    """
    drg = nw.col("DGNS_DRG_CD")
    four = drg.str.len_chars() == 4
    status = nw.col("BENE_PTNT_STUS_CD")
    nothing = nw.lit(None, dtype=nw.Date)
    columns = {
        "bill_type": nw.concat_str(
            nw.col("CLM_BILL_FAC_TYPE_CD"),
            nw.col("CLM_BILL_CLSFCTN_CD"),
            nw.coalesce(nw.col("CLM_BILL_FREQ_CD"), nw.lit("1")),
        ),
        "start": nw.col("CLM_FROM_DT"),
        "end": nw.col("CLM_THRU_DT"),
        "admission_date": nothing,
        "discharge_date": nothing,
        "facility_id": nw.col("place_of_claim"),
        "provider_id": nw.coalesce(nw.col("CLM_ATNDG_PRVDR_NPI_NUM"), nw.col("ATNDG_PRVDR_NPI_NUM")),
        "admission_type": nw.col("CLM_ADMSN_TYPE_CD"),
        "admission_source": nw.col("CLM_ADMSN_SRC_CD"),
        "disposition": nw.when(status.str.len_chars() == 1)
        .then(nw.concat_str(nw.lit("0"), status))
        .otherwise(status),
        "drg": nw.when(four).then(drg.str.slice(1, 3)).otherwise(drg),
        "paid": nw.col("CLM_PMT_AMT"),
        "allowed": nw.lit(None, dtype=nw.Float64),
    }
    rows = claims.join(telling, on=["person_id", "claim_id"], how="left")
    return rows.select(*(columns[name].alias(name) if name in columns else nw.col(name) for name in LINE))


def physician_claims(lines: Frame) -> Frame:
    """Return one row a Part B claim from its lines that were not denied."""
    same = ["person_id", "claim_id", "control", "adjustment"]
    emergency = is_emergency("no_revenue", "CLM_LINE_HCPCS_CD")
    return (
        lines.with_columns(nw.lit(None, dtype=nw.String).alias("no_revenue"))
        .with_columns(nw.when(emergency).then(nw.lit(1)).otherwise(nw.lit(0)).alias("emergency"))
        .group_by(same)
        .agg(
            nw.col("effective").max(),
            nw.col("recorded_at").max(),
            nw.col("file_day").max(),
            nw.col("CLM_FROM_DT").min().alias("start"),
            nw.col("CLM_THRU_DT").max().alias("end"),
            nw.col("CLM_POS_CD").min().alias("place"),
            nw.col("provider_id").max(),
            nw.col("emergency").max(),
            nw.col("CLM_LINE_CVRD_PD_AMT").sum().alias("paid"),
            nw.col("CLM_LINE_ALOWD_CHRG_AMT").sum().alias("allowed"),
        )
        .with_columns(
            nw.lit(None, dtype=nw.String).alias("facility_id"),
            (nw.col("paid").abs() * 100).round(0).cast(nw.Int64).alias("cents"),
        )
    )


def _system(day: nw.Expr, ten: str, nine: str) -> nw.Expr:
    """Return the code system that the version indicator names, else that of the day."""
    version = named(nw.col("DGNS_PRCDR_ICD_IND"), VERSIONS)
    by_day = nw.when(day < nw.lit(ICD10_FROM)).then(nw.lit("9")).otherwise(nw.lit("10"))
    known = nw.coalesce(version, by_day)
    return nw.when(known == "9").then(nw.lit(nine)).otherwise(nw.lit(ten))


def _events(rows: Frame, *, kind: str, **columns: Any) -> Frame:
    return rows.select(
        "person_id", "encounter_id", "recorded_at", nw.lit(kind).alias("kind"), **columns
    ).filter(~nw.col("code").is_null())


def header_diagnoses(claims: Frame) -> Frame:
    """Return table event: the principal diagnosis of a Part A claim at position 1, the admitting one at 0."""
    system = _system(nw.col("CLM_THRU_DT"), "ICD10CM", "ICD9CM")
    pieces = [
        _events(
            claims,
            kind="diagnosis",
            time=nw.col("encounter_end"),
            code_system=system,
            code=nw.col(column),
            position=(nw.col("place_on") + position).cast(nw.Int32),
        )
        for column, position in (("PRNCPL_DGNS_CD", 1), ("ADMTG_DGNS_CD", 0))
    ]
    return nw.concat(pieces)


def diagnoses(rows: Frame) -> Frame:
    """Return table event from the diagnoses of Part A claims, but for the principal one, with its header.

    A diagnosis that is the principal one again only says whether it was present on admission. External causes
    (product type E or 1) stand after the others.
    """
    number = nw.coalesce(nw.col("CLM_VAL_SQNC_NUM"), nw.lit(1.0))
    cause = nw.coalesce(nw.col("CLM_PROD_TYPE_CD").is_in(["E", "1"]), nw.lit(False))
    principal = nw.coalesce(nw.col("CLM_DGNS_CD") == nw.col("PRNCPL_DGNS_CD"), nw.lit(False))
    later = nw.when(number < 2).then(nw.lit(2.0)).otherwise(number)
    place = (
        nw.when(cause).then(number + CAUSES).otherwise(nw.when(principal).then(nw.lit(1.0)).otherwise(later))
    )
    present = nw.lit(None, dtype=nw.Float64)
    for answer, value in PRESENT.items():
        present = nw.when(nw.col("CLM_POA_IND") == answer).then(nw.lit(value)).otherwise(present)
    return _events(
        rows,
        kind="diagnosis",
        time=nw.col("encounter_end"),
        code_system=_system(nw.col("CLM_THRU_DT"), "ICD10CM", "ICD9CM"),
        code=nw.col("CLM_DGNS_CD"),
        value=present,
        position=(place + nw.col("place_on")).cast(nw.Int32),
    )


def procedures(rows: Frame) -> Frame:
    """Return table event from the ICD procedures of Part A claims, on their day."""
    day = nw.coalesce(nw.col("CLM_PRCDR_PRFRM_DT").cast(nw.Datetime("us")), nw.col("encounter_end"))
    number = nw.coalesce(nw.col("CLM_VAL_SQNC_NUM"), nw.lit(1.0))
    return _events(
        rows,
        kind="procedure",
        time=day,
        code_system=_system(nw.col("CLM_THRU_DT"), "ICD10PCS", "ICD9PCS"),
        code=nw.col("CLM_PRCDR_CD"),
        position=(number + nw.col("place_on")).cast(nw.Int32),
    )


def revenue(rows: Frame) -> Frame:
    """Return table event from revenue lines: their revenue codes, but for the total (0001), and services."""
    day = nw.coalesce(
        nw.col("CLM_LINE_INSTNL_REV_CTR_DT").cast(nw.Datetime("us")),
        nw.col("CLM_LINE_FROM_DT").cast(nw.Datetime("us")),
        nw.col("encounter_end"),
    )
    code = nw.col("CLM_LINE_PROD_REV_CTR_CD")
    quantity = nw.col("CLM_LINE_SRVC_UNIT_QTY")
    billed = _events(
        rows.filter(code != "0001"),
        kind="procedure",
        time=day,
        code_system=nw.lit("REVENUE"),
        code=code,
        quantity=quantity,
        position=nw.lit(None, dtype=nw.Int32),
    ).unique()
    services = _events(
        rows,
        kind="procedure",
        time=day,
        code_system=nw.lit("HCPCS"),
        code=nw.col("CLM_LINE_HCPCS_CD"),
        quantity=quantity,
        position=nw.col("CLM_LINE_NUM").cast(nw.Int32),
    )
    return nw.concat([billed, services])


def physician_diagnoses(rows: Frame, *, n: int) -> Frame:
    """Return table event from the nth diagnosis of Part B claims, whose lines repeat it."""
    return _events(
        rows,
        kind="diagnosis",
        time=nw.col("encounter_end"),
        code_system=_system(nw.col("CLM_THRU_DT"), "ICD10CM", "ICD9CM"),
        code=nw.col(f"CLM_DGNS_{n}_CD"),
        position=nw.lit(n, dtype=nw.Int32),
    ).unique()


def line_procedures(rows: Frame) -> Frame:
    """Return table event from the services of Part B lines and what was paid for them."""
    return _events(
        rows,
        kind="procedure",
        time=nw.coalesce(nw.col("CLM_LINE_FROM_DT"), nw.col("CLM_THRU_DT")).cast(nw.Datetime("us")),
        code_system=nw.lit("HCPCS"),
        code=nw.col("CLM_LINE_HCPCS_CD"),
        quantity=nw.col("CLM_LINE_SRVC_UNIT_QTY"),
        paid=nw.col("CLM_LINE_CVRD_PD_AMT"),
        position=nw.col("CLM_LINE_NUM").cast(nw.Int32),
    )


def drugs(fills: Frame) -> Frame:
    """Return table event from Part D; what the plan paid is not in the feed."""
    return _events(
        fills.with_columns(nw.lit(None, dtype=nw.String).alias("encounter_id")),
        kind="drug",
        time=nw.col("CLM_LINE_FROM_DT").cast(nw.Datetime("us")),
        code_system=nw.lit("NDC"),
        code=nw.col("CLM_LINE_NDC_CD"),
        quantity=nw.col("CLM_LINE_SRVC_UNIT_QTY"),
        days_supply=nw.col("CLM_LINE_DAYS_SUPLY_QTY"),
    )
