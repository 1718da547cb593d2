"""Capitation cash flow and stop-loss of ACO REACH.

Capitation changes when and to whom Medicare pays, not what is shared: base primary care and total care
capitation stand in the expenditures for the claims that they replace; enhanced primary care capitation is
an advance that is taken back at settlement.
"""

import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.reading import Table

__all__ = ["cash_flow", "read_capitation", "stop_loss"]

_PAID = {
    "base_pcc": "base primary care capitation",
    "enhanced_pcc": "enhanced primary care capitation",
    "tcc": "total care capitation",
}
_AMOUNTS = {
    **_PAID,
    "claims_reduced": "claims reduced",
    "tcc_withhold": "total care capitation withheld for leakage",
    "claims_outside": "claims paid to others",
}


def read_capitation(table: Table, acos: pl.Series) -> pl.DataFrame:
    """Return the year's capitation of each ACO in dollars, summed over its rows.

    Raises
    ------
    DataError
        For a negative amount, an ACO that is not in the results, or a month that an ACO has twice.
    """
    ids = table.keys(table.column("aco_id"))
    unknown = ~ids.is_in(acos.implode())
    if unknown.any():
        row = int(unknown.arg_max() or 0)
        raise DataError(f"{ids[row]!r} is not in the results", file=table.path, line=table.lines[row])
    month = table.find("month")
    keys = pl.DataFrame({"aco_id": ids, "month": table.frame[month] if month else pl.Series([""] * len(ids))})
    twice = keys.is_duplicated()
    if twice.any():
        row = int(twice.arg_max() or 0)
        raise DataError(f"{ids[row]!r} has the same month twice", file=table.path, line=table.lines[row],
                        fix="keep one row an ACO, or one an ACO and month")  # fmt: skip
    columns = {name: table.find(name) for name in _AMOUNTS}
    amounts = [
        table.number(column, minimum=0).fill_null(0.0).alias(name)
        if column
        else pl.Series(name, [0.0] * len(ids))
        for name, column in columns.items()
    ]
    return keys.with_columns(amounts).group_by("aco_id", maintain_order=True).agg(pl.col(*_AMOUNTS).sum())


def cash_flow(frame: pl.DataFrame, capitation: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the settlement with its cash flow, and a row an ACO and kind of cash.

    In the year an ACO is paid its capitation while its providers' claims are reduced; at settlement enhanced
    capitation is taken back, and what was withheld for leakage is returned less the claims of others.
    """
    wide = frame.join(capitation, on="aco_id", how="left", maintain_order="left").with_columns(
        pl.col(*_AMOUNTS).fill_null(0.0)
    )
    paid = pl.sum_horizontal(*_PAID)
    returned = pl.col("tcc_withhold") - pl.col("claims_outside") - pl.col("enhanced_pcc")
    wide = wide.with_columns(
        paid.alias("capitation_paid"),
        (paid - pl.col("claims_reduced")).alias("cash_in_year"),
        (pl.col("payment") + returned).alias("cash_at_settlement"),
    )
    parts = wide.unpivot(list(_AMOUNTS), index="aco_id", variable_name="component", value_name="amount")
    parts = parts.with_columns(pl.col("component").replace_strict(_AMOUNTS, return_dtype=pl.String))
    new = ["capitation_paid", "claims_reduced", "cash_in_year", "cash_at_settlement"]
    return wide.select(*frame.columns, *new), parts.filter(pl.col("amount") != 0)


def stop_loss(acos: pl.DataFrame, beneficiaries: Table, bands: Table) -> pl.DataFrame:
    """Return the ACOs with expenditures net of stop-loss.

    A beneficiary's expenditures above what was predicted are paid for band by band. The charge is the same
    share of the benchmark for all ACOs with beneficiaries in the file and pays for all payouts. In CMS's
    results the net expenditures of every ACO without stop-loss are its total, and those of the others differ
    to both sides, as a charge less a payout does.

    Raises
    ------
    DataError
        For bands that overlap or a beneficiary of an ACO that is not in the results.
    """
    ids = beneficiaries.keys(beneficiaries.column("aco_id"))
    unknown = ~ids.is_in(acos["aco_id"].implode())
    if unknown.any():
        row = int(unknown.arg_max() or 0)
        raise DataError(f"{ids[row]!r} is not in the results", file=beneficiaries.path,
                        line=beneficiaries.lines[row])  # fmt: skip
    spent = beneficiaries.number(beneficiaries.column("expenditures"), required=True)
    excess = spent - beneficiaries.number(beneficiaries.column("predicted"), minimum=0, required=True)
    payout = pl.Series([0.0] * len(ids), dtype=pl.Float64)
    for low, high, share in _bands(bands):
        payout = payout + (excess.clip(low, high) - low) * share
    totals = pl.DataFrame({"aco_id": ids, "payout": payout}).group_by("aco_id").agg(pl.col("payout").sum())
    joined = acos.join(totals, on="aco_id", how="left", maintain_order="left")
    elected = pl.when(pl.col("payout").is_not_null()).then(pl.col("benchmark")).otherwise(0.0)
    joined = joined.with_columns(elected.alias("elected"), pl.col("payout").fill_null(0.0))
    charge = pl.col("payout").sum() * pl.col("elected") / pl.col("elected").sum()
    net = (charge - pl.col("payout")).alias("stop_loss_net")
    joined = joined.with_columns(net).with_columns(pl.col("expenditures") + pl.col("stop_loss_net"))
    return joined.drop("payout", "elected")


def _bands(table: Table) -> list[tuple[float, float, float]]:
    low = table.number(table.column("attachment"), minimum=0, required=True)
    high = table.number(table.column("limit"), minimum=0).fill_null(float("inf"))
    share = table.number(table.column("payout_share"), minimum=0, maximum=1, required=True)
    bands = sorted(zip(low, high, share, table.lines, strict=True))
    end = 0.0
    for start, stop, _, line in bands:
        if stop <= start or start < end:
            raise DataError("bands overlap or end before they begin", file=table.path, column="attachment",
                            line=line)  # fmt: skip
        end = stop
    return [(start, stop, part) for start, stop, part, _ in bands]
