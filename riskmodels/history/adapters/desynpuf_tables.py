"""DE-SynPUF as the tables of a history: relational transformations, the same on every engine of narwhals.

Columns are those of the CMS Linkable 2008-2010 Medicare Data Entrepreneurs' Synthetic Public Use File (DE
1.0) and its codebook. What they were found to hold, and what follows from it, is in docs/history.md.
"""

from datetime import date, datetime, timedelta
from functools import reduce
from itertools import pairwise
from typing import Any

import narwhals as nw

__all__ = [
    "CONDITIONS",
    "ED_VISITS",
    "PAYMENTS",
    "annual_summaries",
    "carrier_encounters",
    "carrier_lines",
    "claim_codes",
    "claim_rows",
    "coverage",
    "encounters",
    "fills",
    "persons",
    "with_end",
    "with_end_of_claim",
]

Frame = nw.LazyFrame[Any]

YEARS = (2008, 2009, 2010)
FIRST_DAYS = [date(year, month, 1) for year in YEARS for month in range(1, 13)] + [date(YEARS[-1] + 1, 1, 1)]
ED_VISITS = ("99281", "99282", "99283", "99284", "99285")  # CPT: emergency department visit, levels 1 to 5
MASKED = ("OTHER", "OTH")  # what CMS wrote in place of rare codes
SEXES = {"1": "male", "2": "female"}
RACES = {"1": "white", "2": "black", "3": "other", "5": "hispanic"}
# Flags of the Chronic Conditions Data Warehouse (CCW), and what Medicare reimbursed, of a calendar year.
CONDITIONS = (
    "ALZHDMTA",
    "CHF",
    "CHRNKIDN",
    "CNCR",
    "COPD",
    "DEPRESSN",
    "DIABETES",
    "ISCHMCHT",
    "OSTEOPRS",
    "RA_OA",
    "STRKETIA",
)
PAYMENTS = ("IP", "OP", "CAR")
CARRIER_LINES = 13
SEGMENT_LINES = 45


def month_start(year: nw.Expr, month: nw.Expr) -> nw.Expr:
    """Return the first day of a month of the years that are published."""
    # A chain of cases, since engines have no common way to make a day of numbers.
    result = nw.lit(None, dtype=nw.Date)
    for first in FIRST_DAYS[:-1]:
        here = (year == first.year) & (month == first.month)
        result = nw.when(here).then(nw.lit(first)).otherwise(result)
    return result


def month_end(year: nw.Expr, month: nw.Expr) -> nw.Expr:
    """Return the last day of a month of the years that are published."""
    result = nw.lit(None, dtype=nw.Date)
    for first, after in pairwise(FIRST_DAYS):
        here = (year == first.year) & (month == first.month)
        result = nw.when(here).then(nw.lit(after - timedelta(days=1))).otherwise(result)
    return result


def words(column: str, names: dict[str, str]) -> nw.Expr:
    """Return the words that a column's codes stand for; null where a code is not known."""
    result = nw.lit(None, dtype=nw.String)
    for code, word in names.items():
        result = nw.when(nw.col(column) == code).then(nw.lit(word)).otherwise(result)
    return result


def died_on(column: str = "BENE_DEATH_DT") -> nw.Expr:
    """Return the last day of the month of death: only the month is published, as its first day."""
    return month_end(nw.col(column).dt.year(), nw.col(column).dt.month())


def persons(beneficiaries: Frame) -> Frame:
    """Return table person from the yearly summaries, which say the same of a person but for the death."""
    return beneficiaries.select(
        nw.col("DESYNPUF_ID").alias("person_id"),
        nw.col("BENE_BIRTH_DT").alias("birth_date"),
        nw.coalesce(words("BENE_SEX_IDENT_CD", SEXES), nw.lit("unknown")).alias("sex"),
        words("BENE_RACE_CD", RACES).alias("race_ethnicity"),
        died_on().alias("death_date"),
    ).unique()


def coverage(beneficiaries: Frame) -> Frame:
    """Return table coverage: a span a person and year, of as many months as Part A and Part B both cover.

    Twelve months are the whole year. Fewer are placed from 1 January for who dies in the year or is not
    covered in the next, and up to 31 December for who was not covered all the year before.

    `esrd` is what the summary of the year before says, null where there is none: a year's own is known when
    the year is over, and goes with the claims of all its months.
    """
    months = nw.min_horizontal("BENE_HI_CVRAGE_TOT_MONS", "BENE_SMI_CVRAGE_TOT_MONS").cast(nw.Int32)
    spans = beneficiaries.select(
        nw.col("DESYNPUF_ID").alias("person_id"),
        "year",
        months.alias("months"),
        nw.col("BENE_HMO_CVRAGE_TOT_MONS").alias("hmo"),
        (nw.col("BENE_ESRD_IND") == "Y").alias("esrd"),
        died_on().alias("death_date"),
    ).unique()
    before = spans.select(
        "person_id",
        (nw.col("year") + 1).alias("year"),
        nw.col("months").alias("before"),
        nw.col("esrd").alias("esrd_before"),
    )
    after = spans.select("person_id", (nw.col("year") - 1).alias("year"), nw.col("months").alias("after"))
    spans = (
        spans.join(before, on=["person_id", "year"], how="left")
        .join(after, on=["person_id", "year"], how="left")
        .filter(nw.col("months") > 0)
    )
    dies = nw.coalesce(nw.col("death_date").dt.year() == nw.col("year"), nw.lit(False))
    leaves = nw.coalesce(nw.col("after"), nw.lit(12)) == 0
    full_before = nw.coalesce(nw.col("before"), nw.lit(0)) == 12
    enters = ~dies & ~leaves & ~full_before & (nw.col("months") < 12)
    first_month = nw.when(enters).then(13 - nw.col("months")).otherwise(nw.lit(1))
    last_month = nw.when(enters).then(nw.lit(12)).otherwise(nw.col("months"))
    return (
        spans.with_columns(
            month_start(nw.col("year"), first_month).alias("start_date"),
            month_end(nw.col("year"), last_month).alias("last"),
        )
        .with_columns(
            nw.when(dies & (nw.col("death_date") < nw.col("last")))
            .then(nw.col("death_date"))
            .otherwise(nw.col("last"))
            .alias("end_date"),
            nw.when(2 * nw.col("hmo") >= nw.col("months"))
            .then(nw.lit("medicare_advantage"))
            .otherwise(nw.lit("medicare"))
            .alias("payer"),
        )
        .select("person_id", "start_date", "end_date", "payer", nw.col("esrd_before").alias("esrd"))
    )


def annual_summaries(beneficiaries: Frame) -> Frame:
    """Return table event from the yearly summaries: chronic conditions and reimbursements of a year.

    They sum up a whole year, so they are dated when it is over, at the start of the next: earlier they would
    tell what is still to come. The year of a death has none.
    """
    over = nw.lit(None, dtype=nw.Datetime("us"))
    for year in YEARS:
        over = nw.when(nw.col("year") == year).then(nw.lit(datetime(year + 1, 1, 1))).otherwise(over)
    alive = nw.coalesce(nw.col("BENE_DEATH_DT").dt.year() > nw.col("year"), nw.lit(True))
    living = beneficiaries.filter(alive).with_columns(over.alias("time"))
    flags = [
        (f"CCW:{name}", nw.lit(1.0), nw.col(f"SP_{name}") == "1") for name in CONDITIONS
    ]  # 1 is yes and 2 is no
    money = [
        (f"REIMBURSED:{name}", nw.col(f"MEDREIMB_{name}"), nw.col(f"MEDREIMB_{name}") > 0)
        for name in PAYMENTS
    ]
    pieces = [
        living.filter(there).select(
            nw.col("DESYNPUF_ID").alias("person_id"),
            "time",
            nw.lit("observation").alias("kind"),
            nw.lit("LOCAL").alias("code_system"),
            nw.lit(code).alias("code"),
            value.alias("value"),
        )
        for code, value, there in (*flags, *money)
    ]
    return nw.concat(pieces).unique()


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
