"""The claims of DE-SynPUF as the tables of a history: transformations, the same on every engine of narwhals.

Columns are those of the CMS Linkable 2008-2010 Medicare Data Entrepreneurs' Synthetic Public Use File (DE
1.0) and its codebook. What they were found to hold, and what follows from it, is in docs/history.md.
"""

from functools import reduce
from typing import Any

import narwhals as nw

__all__ = [
    "ED_VISITS",
    "carrier_encounters",
    "carrier_lines",
    "claim_codes",
    "claim_rows",
    "encounters",
    "fills",
    "procedures_alone",
    "with_end",
    "with_end_of_claim",
]

Frame = nw.LazyFrame[Any]

ED_VISITS = ("99281", "99282", "99283", "99284", "99285")  # CPT: emergency department visit, levels 1 to 5
MASKED = ("OTHER", "OTH")  # what CMS wrote in place of rare codes
PROCEDURE = r"^[0-9]{2,4}$"
CARRIER_LINES = 13
SEGMENT_LINES = 45


def claim_rows(claims: Frame, *, inpatient: bool) -> Frame:
    """Return one narrow row for each row of an institutional claims file.

    Paid is what Medicare paid: for a stay the claim's payment and the per diem of its days. Allowed adds what
    the patient and a primary payer owe.
    """
    money = {
        True: ("NCH_BENE_IP_DDCTBL_AMT", "NCH_BENE_PTA_COINSRNC_LBLTY_AM"),
        False: ("NCH_BENE_PTB_DDCTBL_AMT", "NCH_BENE_PTB_COINSRNC_AMT"),
    }[inpatient]
    paid = amount("CLM_PMT_AMT")
    start, end = nw.col("CLM_FROM_DT"), nw.col("CLM_THRU_DT")
    emergency = nw.lit(0)
    drg = nw.lit(None, dtype=nw.String)
    if inpatient:
        paid = paid + amount("CLM_PASS_THRU_PER_DIEM_AMT") * amount("CLM_UTLZTN_DAY_CNT")
        start = nw.coalesce(nw.col("CLM_ADMSN_DT"), start)
        end = nw.coalesce(nw.col("NCH_BENE_DSCHRG_DT"), end)
        drg = nw.when(~nw.col("CLM_DRG_CD").is_in([*MASKED, "000"])).then(nw.col("CLM_DRG_CD"))
    else:
        visit = [nw.col(f"HCPCS_CD_{n}").is_in(ED_VISITS) for n in range(1, 46)]
        emergency = nw.when(nw.any_horizontal(*visit, ignore_nulls=True)).then(1).otherwise(0)
    owed = reduce(
        lambda total, name: total + amount(name),
        (*money, "NCH_BENE_BLOOD_DDCTBL_LBLTY_AM", "NCH_PRMRY_PYR_CLM_PD_AMT"),
        paid,
    )
    return claims.select(
        nw.col("CLM_ID").alias("encounter_id"),
        nw.col("DESYNPUF_ID").alias("person_id"),
        nw.col("SEGMENT").alias("segment"),
        start.alias("start"),
        end.alias("end"),
        nw.col("PRVDR_NUM").alias("facility_id"),
        nw.col("AT_PHYSN_NPI").alias("provider_id"),
        drg.alias("drg"),
        paid.alias("paid"),
        owed.alias("allowed"),
        emergency.alias("emergency"),
    )


def amount(column: str) -> nw.Expr:
    """Return dollars or days, none where the cell is blank."""
    return nw.coalesce(nw.col(column), nw.lit(0.0))


def encounters(rows: Frame, *, inpatient: bool) -> Frame:
    """Return table encounter from `claim_rows`: the segments of a claim are one encounter.

    The first segment says when, where and what was paid: later ones lack the dates of the claim, and what
    they say was paid is not in the totals of the beneficiary summaries.
    """
    claim = ["person_id", "encounter_id"]
    rows = rows.unique()
    claims = rows.group_by(claim).agg(
        nw.col("segment").min(),
        nw.col("emergency").max().alias("emergency_at_all"),
    )
    visit = nw.when(nw.col("emergency_at_all") == 1).then(nw.lit("emergency")).otherwise(nw.lit("outpatient"))
    kind = nw.lit("inpatient") if inpatient else visit
    return rows.join(claims, on=[*claim, "segment"], how="inner").select(
        *claim,
        kind.alias("kind"),
        "start",
        "end",
        "facility_id",
        "provider_id",
        "drg",
        "paid",
        "allowed",
    )


def with_end(claims: Frame, *columns: str) -> Frame:
    """Add `end`, the first of the columns that is not blank, and `place`, what positions are counted from."""
    return claims.with_columns(
        nw.coalesce(*(nw.col(name) for name in columns)).alias("end"),
        nw.lit(0, dtype=nw.Int32).alias("place"),
    )


def with_end_of_claim(claims: Frame, encounters: Frame) -> Frame:
    """Add `end` and `place` to later segments of claims, whose own dates are blank."""
    ends = encounters.select(
        nw.col("person_id").alias("DESYNPUF_ID"), nw.col("encounter_id").alias("CLM_ID"), "end"
    )
    place = (nw.col("SEGMENT").cast(nw.Int32) - 1) * SEGMENT_LINES
    return claims.join(ends, on=["DESYNPUF_ID", "CLM_ID"], how="left").with_columns(place.alias("place"))


def claim_codes(claims: Frame, *, lists: tuple[tuple[str, int, str, str], ...]) -> Frame:
    """Return table event from the code columns of a claims file `with_end`, dated at the claim's end.

    Parameters
    ----------
    lists : tuple of (prefix, count, kind, code system)
        The numbered columns; a count of 0 is a single column, which gets position 0.
    """
    pieces = []
    for prefix, count, kind, system in lists:
        for position in range(1, count + 1) if count else [0]:
            code = nw.col(f"{prefix}{position}" if count else prefix)
            pieces.append(
                claims.filter(~code.is_null() & ~code.is_in(MASKED)).select(
                    nw.col("DESYNPUF_ID").alias("person_id"),
                    nw.col("end").alias("time"),
                    nw.lit(kind).alias("kind"),
                    nw.lit(system).alias("code_system"),
                    code.alias("code"),
                    (nw.col("place") + position).alias("position"),
                    nw.col("CLM_ID").alias("encounter_id"),
                )
            )
    return nw.concat(pieces)


def procedures_alone(procedures: Frame, diagnoses: Frame) -> Frame:
    """Return the procedures of a claims file without the diagnosis codes that stand among them.

    Left out is what does not look like a procedure of ICD-9-CM volume 3, and a code that the file has more
    often as a diagnosis than as a procedure: 4019 is hypertension there, not an operation on a lymph node.

    Parameters
    ----------
    procedures : table event
        As `claim_codes` gives it.
    diagnoses : code, len
        How often each code is a diagnosis; a code may be there more than once.
    """
    shaped = procedures.filter(nw.col("code").str.contains(PROCEDURE))
    done = shaped.group_by("code").agg(nw.len().alias("done"))
    told = diagnoses.group_by("code").agg(nw.col("len").sum().alias("told"))
    diagnosed = done.join(told, on="code", how="inner").filter(nw.col("told") > nw.col("done"))
    return shaped.join(diagnosed.select("code"), on="code", how="anti")


def carrier_encounters(claims: Frame) -> Frame:
    """Return table encounter from a carrier file: a claim of a physician is a visit to an office."""

    def total(prefix: str) -> nw.Expr:
        return reduce(lambda a, b: a + b, [amount(f"{prefix}_{n}") for n in range(1, CARRIER_LINES + 1)])

    return claims.select(
        nw.col("CLM_ID").alias("encounter_id"),
        nw.col("DESYNPUF_ID").alias("person_id"),
        nw.lit("office").alias("kind"),
        nw.col("CLM_FROM_DT").alias("start"),
        nw.col("CLM_THRU_DT").alias("end"),
        nw.col("PRF_PHYSN_NPI_1").alias("provider_id"),
        total("LINE_NCH_PMT_AMT").alias("paid"),
        total("LINE_ALOWD_CHRG_AMT").alias("allowed"),
    )


def carrier_lines(claims: Frame) -> Frame:
    """Return table event from the lines of a carrier file: a procedure and what was paid for it."""
    pieces = []
    for line in range(1, CARRIER_LINES + 1):
        code = nw.col(f"HCPCS_CD_{line}")
        pieces.append(
            claims.filter(~code.is_null() & ~code.is_in(MASKED)).select(
                nw.col("DESYNPUF_ID").alias("person_id"),
                nw.col("CLM_THRU_DT").alias("time"),
                nw.lit("procedure").alias("kind"),
                nw.lit("HCPCS").alias("code_system"),
                code.alias("code"),
                nw.lit(line, dtype=nw.Int32).alias("position"),
                nw.col("CLM_ID").alias("encounter_id"),
                nw.col(f"LINE_NCH_PMT_AMT_{line}").alias("paid"),
            )
        )
    return nw.concat(pieces)


def fills(events: Frame) -> Frame:
    """Return table event from prescription drug events; paid is what others than the patient paid."""
    return events.select(
        nw.col("DESYNPUF_ID").alias("person_id"),
        nw.col("SRVC_DT").alias("time"),
        nw.lit("drug").alias("kind"),
        nw.lit("NDC").alias("code_system"),
        nw.col("PROD_SRVC_ID").alias("code"),
        nw.col("QTY_DSPNSD_NUM").alias("quantity"),
        nw.col("DAYS_SUPLY_NUM").alias("days_supply"),
        (nw.col("TOT_RX_CST_AMT") - amount("PTNT_PAY_AMT")).alias("paid"),
    )
