"""Institutional claims as stays and visits: what the lines of a UB-04 claim say, whoever publishes them.

`claims` makes one row of a claim's lines, `encounters` joins the bills of one stay and names its kind. Both
take and give narwhals lazy frames, so that every adapter of claims shares them. The codes are
those that CMS publishes for the fields of a claim (Medicare Claims Processing Manual, chapters 1 and 25).
"""

from typing import Any

import narwhals as nw

from riskmodels.history.adapters.institutional_words import (
    ADMISSION_SOURCES,
    ADMISSION_TYPES,
    DISPOSITIONS,
    KINDS,
)

__all__ = ["LINE", "claims", "encounters", "in_force", "is_emergency", "known_sum", "named"]

Frame = nw.LazyFrame[Any]

LINE = (  # the columns that `claims` asks for; codes are text as billed, dates are dates
    "person_id",
    "claim_id",
    "bill_type",
    "start",
    "end",
    "admission_date",
    "discharge_date",
    "facility_id",
    "provider_id",
    "admission_type",
    "admission_source",
    "disposition",
    "drg",
    "revenue_code",
    "hcpcs",
    "paid",
    "allowed",
    "recorded_at",
)
ED_VISITS = ("99281", "99282", "99283", "99284", "99285")  # CPT: emergency department visit, levels 1 to 5
ED_REVENUE = ("045", "0981")  # emergency room; professional fees of an emergency room
OBSERVATION_REVENUE = "0762"
OBSERVATION_HCPCS = "G0378"  # hospital observation service, per hour
REHAB_REVENUE = "0024"  # inpatient rehabilitation facility prospective payment
STAYS = ("inpatient", "rehab", "snf")
INTERIM = ("2", "3")  # frequency of a bill after which the stay goes on
VOID = "8"
REPLACING = ("7", "F", "G", "H", "I", "J", "K", "M", "P")  # replacement by the provider; adjustments
STILL_PATIENT = "30"
POSITIONS = 100  # what the codes of an earlier bill of a stay are counted on by


def named(code: nw.Expr, names: dict[str, str]) -> nw.Expr:
    """Return the words that codes stand for; null where a code is not known."""
    result = nw.lit(None, dtype=nw.String)
    for known, word in names.items():
        result = nw.when(code == known).then(nw.lit(word)).otherwise(result)
    return result


def known_sum(total: nw.Expr, greatest: nw.Expr) -> nw.Expr:
    """Return a sum, or null where the greatest of what was summed is null: there was no amount at all.

    Rounded, so that it does not depend on the order in which an engine adds.
    """
    return nw.when(~greatest.is_null()).then(total.round(4))


def is_emergency(revenue: str = "revenue_code", hcpcs: str = "hcpcs") -> nw.Expr:
    """Say whether a line is of an emergency department: revenue 045x or 0981, or HCPCS 99281 to 99285."""
    code = nw.col(revenue)
    found = code.str.starts_with(ED_REVENUE[0]) | (code == ED_REVENUE[1])
    return nw.coalesce(found, nw.lit(False)) | nw.coalesce(nw.col(hcpcs).is_in(ED_VISITS), nw.lit(False))


def claims(lines: Frame) -> Frame:
    """Return one row a claim from its lines, which have the columns `LINE` and repeat what is of the claim.

    The result has ``bill_kind`` and ``frequency`` of the type of bill, ``kind``, the dates of the encounter,
    and the money as lines say it: ``paid_lines`` and ``allowed_lines`` are sums, ``paid_claim`` and
    ``allowed_claim`` the greatest, ``paid_least`` the least, ``paid_rows`` how many lines have an amount.
    """

    def flag(condition: nw.Expr) -> nw.Expr:
        return nw.when(nw.coalesce(condition, nw.lit(False))).then(nw.lit(1)).otherwise(nw.lit(0))

    bill = nw.col("bill_type")
    bill = nw.when(bill.str.len_chars() == 4).then(bill.str.slice(1, 3)).otherwise(bill)
    texts = [
        "facility_id",
        "provider_id",
        "admission_type",
        "admission_source",
        "disposition",
        "drg",
    ]
    rows = (
        lines.with_columns(
            bill.alias("bill_type"),
            flag(is_emergency()).alias("emergency"),
            flag(
                (nw.col("revenue_code") == OBSERVATION_REVENUE) | (nw.col("hcpcs") == OBSERVATION_HCPCS)
            ).alias("observed"),
            flag(nw.col("revenue_code") == REHAB_REVENUE).alias("rehab"),
            flag(~nw.col("paid").is_null()).alias("has_paid"),
        )
        .group_by("person_id", "claim_id")
        .agg(
            nw.col("bill_type").max(),
            nw.coalesce(nw.col("admission_date"), nw.col("start")).min().alias("admitted"),
            nw.coalesce(nw.col("discharge_date"), nw.col("end")).max().alias("discharged"),
            nw.col("start").min(),
            nw.col("end").max(),
            *(nw.col(name).max() for name in texts),
            nw.col("emergency").max(),
            nw.col("observed").max(),
            nw.col("rehab").max(),
            nw.col("paid").sum().alias("paid_lines"),
            nw.col("paid").max().alias("paid_claim"),
            nw.col("paid").min().alias("paid_least"),
            nw.col("has_paid").sum().alias("paid_rows"),
            nw.col("allowed").sum().alias("allowed_lines"),
            nw.col("allowed").max().alias("allowed_claim"),
            nw.col("recorded_at").max(),
        )
    )
    rows = rows.with_columns(
        nw.col("bill_type").str.slice(0, 2).alias("bill_kind"),
        nw.col("bill_type").str.slice(2, 1).alias("frequency"),
    ).with_columns(named(nw.col("bill_kind"), KINDS).alias("billed"))
    visit = (
        nw.when(nw.col("observed") == 1)
        .then(nw.lit("observation"))
        .otherwise(
            nw.when(nw.col("emergency") == 1).then(nw.lit("emergency")).otherwise(nw.lit("outpatient"))
        )
    )
    stay = (
        nw.when((nw.col("billed") == "inpatient") & (nw.col("rehab") == 1))
        .then(nw.lit("rehab"))
        .otherwise(nw.col("billed"))
    )
    rows = rows.with_columns(nw.coalesce(stay, visit).alias("kind"))
    in_bed = nw.col("kind").is_in(STAYS)
    return rows.with_columns(
        *(known_sum(nw.col(f"{name}_lines"), nw.col(f"{name}_claim")) for name in ("paid", "allowed")),
        nw.when(in_bed).then(nw.col("admitted")).otherwise(nw.col("start")).alias("start"),
        nw.when(in_bed).then(nw.col("discharged")).otherwise(nw.col("end")).alias("end"),
        nw.coalesce(nw.col("frequency"), nw.lit("1")).alias("frequency"),
    ).drop("admitted", "discharged", "billed", "bill_type", "rehab", "observed", "emergency")


def in_force(rows: Frame) -> Frame:
    """Return the claims that still stand, without voids, what they void, and stays that were billed anew.

    Without a number that links them, a void takes away the claims of the same person, place, type and days
    with the same amount; a replacement or adjustment of a stay those of the same person, place and days.
    """
    same = ["person_id", "place", "bill_kind", "start", "end"]
    rows = rows.with_columns(
        nw.coalesce(nw.col("facility_id"), nw.lit("")).alias("place"),
        nw.coalesce(nw.col("paid_claim").abs(), nw.lit(0.0)).alias("amount"),
    )
    voids = rows.filter(nw.col("frequency") == VOID).select(*same, "amount").unique()
    voids = voids.with_columns(nw.lit(1).alias("voided"))
    anew = rows.filter(nw.col("kind").is_in(STAYS) & nw.col("frequency").is_in(REPLACING))
    anew = anew.group_by(same).agg(nw.col("claim_id").max().alias("replaced_by"))
    standing = (
        rows.join(voids, on=[*same, "amount"], how="left")
        .filter(nw.col("voided").is_null() & (nw.col("frequency") != VOID))
        .join(anew, on=same, how="left")
    )
    kept = nw.col("replaced_by").is_null() | (nw.col("replaced_by") == nw.col("claim_id"))
    return standing.filter(kept).drop("voided", "amount", "replaced_by")


def encounters(rows: Frame, *, repeated: bool) -> Frame:
    """Return a row a claim in force with the encounter it is part of: stays joined, visits as they are.

    Bills of a stay follow one another in the same place: they overlap, start on the same day, or the earlier
    one says that the patient is still there (interim bill, discharge status 30) and the next starts at most
    a day after it. The encounter is named after its first bill.

    Parameters
    ----------
    rows : LazyFrame
        From `claims`.
    repeated : bool
        Whether each line repeats the amounts of the claim, rather than having its own.

    Returns
    -------
    LazyFrame
        The columns of table encounter, alike in all claims of an encounter, and ``claim_id``, ``place_on``:
        what the positions of the claim's codes are counted on by, none for the last bill.
    """
    money = {name: nw.col(f"{name}_claim" if repeated else f"{name}_lines") for name in ("paid", "allowed")}
    rows = in_force(rows).with_columns(**money)
    group = ["person_id", "place", "kind"]
    order = ["start", "end", "claim_id"]
    goes_on = nw.col("frequency").is_in(INTERIM) | (
        nw.coalesce(nw.col("disposition"), nw.lit("")) == STILL_PATIENT
    )
    rows = rows.with_columns(
        nw.when(goes_on).then(nw.lit(1)).otherwise(nw.lit(0)).alias("goes_on"),
        nw.col("end").cum_max().over(*group, order_by=order).alias("so_far"),
    ).with_columns(
        nw.col("so_far").shift(1).over(*group, order_by=order).alias("before"),
        nw.col("start").shift(1).over(*group, order_by=order).alias("started"),
        nw.col("goes_on").shift(1).over(*group, order_by=order).alias("went_on"),
    )
    follows = nw.col("kind").is_in(STAYS) & (
        (nw.col("start") < nw.col("before"))
        | (nw.col("start") == nw.col("started"))
        | ((nw.col("went_on") == 1) & (nw.col("start") <= nw.col("before").dt.offset_by("1d")))
    )
    new = nw.when(nw.coalesce(follows, nw.lit(False))).then(nw.lit(0)).otherwise(nw.lit(1))
    rows = rows.with_columns(new.alias("new"), nw.lit(1).alias("one")).with_columns(
        nw.col("new").cum_sum().over(*group, order_by=order).alias("number"),
        nw.col("one").cum_sum().over(*group, order_by=order).alias("bill"),
    )
    stay = [*group, "number"]
    joined = rows.group_by(stay).agg(
        nw.col("start").min(),
        nw.col("end").max(),
        nw.col("paid").sum(),
        nw.col("allowed").sum(),
        nw.col("paid").max().alias("any_paid"),
        nw.col("allowed").max().alias("any_allowed"),
        nw.col("recorded_at").max(),
        nw.col("drg").max().alias("any_drg"),
        nw.col("bill").min().alias("first"),
        nw.col("bill").max().alias("last"),
    )
    first = rows.select(
        *group,
        nw.col("bill").alias("first"),
        nw.col("claim_id").alias("encounter_id"),
        named(nw.col("admission_type"), ADMISSION_TYPES).alias("admission_type"),
        named(nw.col("admission_source"), ADMISSION_SOURCES).alias("admission_source"),
    )
    last = rows.select(
        *group,
        nw.col("bill").alias("last"),
        "facility_id",
        "provider_id",
        nw.col("drg").alias("last_drg"),
        named(nw.col("disposition"), DISPOSITIONS).alias("discharge_disposition"),
    )
    whole = joined.join(first, on=[*group, "first"], how="left").join(last, on=[*group, "last"], how="left")
    links = rows.select(*stay, "claim_id", "bill")
    return (
        links.join(whole, on=stay, how="inner")
        .with_columns(
            ((nw.col("last") - nw.col("bill")) * POSITIONS).cast(nw.Int32).alias("place_on"),
            nw.coalesce(nw.col("last_drg"), nw.col("any_drg")).alias("drg"),
            *(known_sum(nw.col(name), nw.col(f"any_{name}")) for name in ("paid", "allowed")),
        )
        .drop("any_drg", "any_paid", "any_allowed", "last_drg", "first", "last", "bill", "number", "place")
    )
