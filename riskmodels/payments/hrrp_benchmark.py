"""Read a benchmark of one's own, and CMS's public readmission results, for the readmissions program."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.hrrp_neutrality import neutrality
from riskmodels.payments.program import Inputs
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["is_benchmark", "peer_groups", "read", "read_base_payments"]

logger = logging.getLogger(__name__)

_OWN = ("facility_id", "ratio")
_PUBLIC = ("facility id", "measure name", "excess readmission ratio")
_PUBLIC_MEASURES = {
    "READM-30-AMI-HRRP": "AMI", "READM-30-COPD-HRRP": "COPD", "READM-30-HF-HRRP": "HF",
    "READM-30-PN-HRRP": "Pneumonia", "READM-30-CABG-HRRP": "CABG", "READM-30-HIP-KNEE-HRRP": "THA/TKA",
}  # fmt: skip


def is_benchmark(path: Path) -> bool:
    """Tell whether a file is a benchmark (facility_id, ratio) or CMS's public readmission results."""
    return any(_has_header(path, header) for header in (_OWN, _PUBLIC))


def _has_header(path: Path, header: tuple[str, ...]) -> bool:
    try:
        table = read_table(path, header)
    except DataError as error:
        if error.problem.startswith("no header row"):
            return False
        raise
    return all(table.find(name) is not None for name in header)


def read(path: Path, rules: Rules, options: Mapping[str, Any]) -> Inputs:
    """Read a benchmark and its companions: DRG payment ratios, peer groups, base payments.

    Raises
    ------
    SpecError
        Where DRG payment ratios or peer groups are not given.
    DataError
        Where a hospital of the benchmark is missing in a companion.
    """
    missing = [name for name in ("drg_ratios", "peer_groups") if not options.get(name)]
    if missing:
        flags = " and ".join(f"--{name.replace('_', '-')} FILE" for name in missing)
        raise SpecError(f"{path}: a benchmark has no DRG payment ratios or peer groups. Give {flags}.")
    own = _has_header(path, _OWN)
    measures = _own(path) if own else _public(path)
    measures = measures.with_columns(
        published_indicator=pl.lit(None, dtype=pl.Boolean),
        counts=pl.lit(True) if own else pl.col("measure").is_in(rules["measures"]),
        source_file=pl.lit(str(path)),
    )
    facilities = measures.select("facility_id").unique(maintain_order=True)
    groups = _peer_file(Path(options["peer_groups"]), rules["peer_groups"])
    hospitals = _companion(facilities, groups, Path(options["peer_groups"]))
    measures = _with_ratios(measures, Path(options["drg_ratios"]), rules)
    median = pl.col("excess_readmission_ratio").median().over("measure", "peer_group")
    grouped = hospitals.select("facility_id", "peer_group")
    measures = measures.join(grouped, on="facility_id", maintain_order="left")
    measures = measures.with_columns(median.alias("peer_group_median")).drop("peer_group")
    if options.get("base_payments"):
        base = read_base_payments(Path(options["base_payments"]))
        hospitals = hospitals.join(base, on="facility_id", how="left", maintain_order="left")
    else:
        hospitals = hospitals.with_columns(base_operating_payments=pl.lit(None, dtype=pl.Float64))
    modifier, kind, source = neutrality(options.get("neutrality_modifier"), rules, measures, hospitals)
    hospitals = hospitals.with_columns(pl.lit(modifier).alias("neutrality_modifier"))
    if own:
        hidden = pl.col("eligible_discharges").is_null() & pl.col("excess_readmission_ratio").is_null()
        withheld = measures.filter(hidden)["facility_id"].unique()
        hospitals = hospitals.with_columns(pl.col("facility_id").is_in(withheld.to_list()).alias("withheld"))
    groups_file = Path(options["peer_groups"]).name
    known = measures.filter(pl.col("excess_readmission_ratio").is_not_null())["facility_id"].n_unique()
    notes: tuple[str, ...] = (
        f"peer-group medians are of the benchmark's {known:,} hospitals with a ratio, by {groups_file}",
        f"neutrality modifier {modifier:.6g}: {source}",
    )
    if own and len(withheld):
        hidden_words = (
            f"{len(withheld):,} hospitals whose small cells the benchmark withholds are not settled"
        )
        notes += (f"{hidden_words}; to settle them: riskmodels benchmark --keep-small-cells",)
    return Inputs(
        {"hospitals": hospitals, "measures": measures},
        {"neutrality": kind, "neutrality_source": source,
         "columns": {
             "eligible_discharges": "n", "excess_readmission_ratio": "ratio",
             "peer_group_median": "the median of the benchmark's hospitals in the peer group",
             "drg_payment_ratio": Path(options["drg_ratios"]).name, "dual_proportion": "dual_proportion",
         },
         "drawn": ("excess_readmission_ratio", "predicted", "expected", "eligible_discharges")},
        notes,
        _draws(path, facilities) if own and measures.height == facilities.height else None,
    )  # fmt: skip


def peer_groups(dual_proportion: pl.Expr, groups: int = 5) -> pl.Expr:
    """Return peer groups 1 (lowest dual proportion) to `groups`; equal proportions stay together."""
    rank = dual_proportion.rank("min")
    return ((rank - 1) * groups / dual_proportion.count()).floor().cast(pl.Int64) + 1


def _own(path: Path) -> pl.DataFrame:
    """Read a riskmodels benchmark: one measure, or a `measure` column."""
    table = read_table(path, _OWN)
    measure = table.find("measure")
    ids = table.keys(table.column("facility_id"))
    frame = pl.DataFrame(
        {
            "facility_id": ids,
            "measure": table.text(measure) if measure else pl.Series(["readmission-30d"] * len(ids)),
            "eligible_discharges": table.number(table.column("n"), minimum=0, integer=True),
            "expected": table.number(table.column("expected"), minimum=0),
            "excess_readmission_ratio": table.number(table.column("ratio"), minimum=0),
            "source_line": pl.Series(table.lines),
        }
    )
    _refuse_twice(frame, path)
    n = pl.col("eligible_discharges")
    return frame.with_columns(
        (pl.col("excess_readmission_ratio") * pl.col("expected") / n).alias("predicted"),
        (pl.col("expected") / n).alias("expected"),
    )


def _public(path: Path) -> pl.DataFrame:
    """Read CMS's public results: a hospital and measure a row, rates in percent.

    The number of discharges is withheld for some hospitals that have an ERR; CMS publishes an ERR from 25
    discharges on, so these count as 25.
    """
    table = read_table(path, _PUBLIC)
    names = table.text(table.column("Measure Name"))
    discharges = table.number(table.column("Number of Discharges"), minimum=0, integer=True)
    err = table.number(table.column("Excess Readmission Ratio"), minimum=0)
    frame = pl.DataFrame(
        {
            "facility_id": table.keys(table.column("Facility ID"), width=6),
            "measure": names.replace(_PUBLIC_MEASURES),
            "eligible_discharges": pl.select(
                pl.when(discharges.is_null() & err.is_not_null()).then(25).otherwise(discharges)
            ).to_series(),
            "predicted": table.number(table.column("Predicted Readmission Rate"), minimum=0) / 100,
            "expected": table.number(table.column("Expected Readmission Rate"), minimum=0) / 100,
            "excess_readmission_ratio": err,
            "source_line": pl.Series(table.lines),
        }
    )
    _refuse_twice(frame, path)
    return frame


def _refuse_twice(frame: pl.DataFrame, path: Path) -> None:
    twice = frame.filter(pl.struct("facility_id", "measure").is_duplicated())
    if twice.height:
        row = twice.row(1, named=True)
        problem = f"{row['facility_id']} {row['measure']} is here twice"
        raise DataError(problem, file=path, line=row["source_line"])


def read_base_payments(path: Path) -> pl.DataFrame:
    """Read base operating DRG payments: facility_id, base_operating_payments in dollars.

    Raises
    ------
    DataError
        For a missing column, a negative or missing amount, or a hospital twice.
    """
    table = read_table(path, ("facility_id", "base_operating_payments"))
    return pl.DataFrame(
        {
            "facility_id": table.identifiers(table.column("facility_id")),
            "base_operating_payments": table.number(
                table.column("base_operating_payments"), minimum=0, required=True
            ),
        }
    )


def _peer_file(path: Path, groups: int) -> pl.DataFrame:
    table = read_table(path, ("facility_id",))
    ids = table.identifiers(table.column("facility_id"))
    dual_column, group_column = table.find("dual_proportion"), table.find("peer_group")
    if dual_column is None and group_column is None:
        raise DataError("no column 'dual_proportion' or 'peer_group'", file=path)
    dual = None
    if dual_column is not None:
        dual = table.number(dual_column, minimum=0, maximum=1, required=group_column is None)
    if group_column is not None:
        group = table.number(group_column, minimum=1, maximum=groups, required=True, integer=True)
    else:
        assert dual is not None
        group = pl.select(peer_groups(pl.lit(dual), groups)).to_series()
    empty = pl.Series([None] * len(ids), dtype=pl.Float64)
    return pl.DataFrame(
        {"facility_id": ids, "dual_proportion": empty if dual is None else dual, "peer_group": group}
    ).with_columns(source_file=pl.lit(str(path)), source_line=pl.Series(table.lines))


def _companion(facilities: pl.DataFrame, other: pl.DataFrame, path: Path) -> pl.DataFrame:
    absent = facilities.join(other, on="facility_id", how="anti")
    if absent.height:
        raise DataError(
            f"{absent.height} of {facilities.height} hospitals missing, such as {absent['facility_id'][0]!r}",
            file=path,
            column="facility_id",
        )
    return facilities.join(other, on="facility_id", how="left", maintain_order="left")


def _with_ratios(measures: pl.DataFrame, path: Path, rules: Rules) -> pl.DataFrame:
    table: Table = read_table(path, ("facility_id", "drg_payment_ratio"))
    measure = table.find("measure")
    keys = ["facility_id", "measure"] if measure else ["facility_id"]
    ids = (
        table.keys(table.column("facility_id")) if measure else table.identifiers(table.column("facility_id"))
    )
    ratios = pl.DataFrame(
        {
            "facility_id": ids,
            **({"measure": table.text(measure)} if measure else {}),
            "drg_payment_ratio": table.number(
                table.column("drg_payment_ratio"), minimum=0, maximum=1, required=True
            ),
        }
    )
    if ratios.select(pl.struct(keys).is_duplicated().any()).item():
        raise DataError(f"a row of {' and '.join(keys)} is here twice", file=path)
    joined = measures.join(ratios, on=keys, how="left", maintain_order="left")
    enough = pl.col("counts") & (pl.col("eligible_discharges") >= rules["minimum_discharges"])
    absent = joined.filter(enough & pl.col("drg_payment_ratio").is_null())
    if absent.height:
        row = absent.row(0, named=True)
        raise DataError(f"no DRG payment ratio of {row['facility_id']!r} {row['measure']}", file=path)
    return joined


def _draws(path: Path, facilities: pl.DataFrame) -> pl.DataFrame | None:
    """Read the benchmark's draws, which stand beside it as ``<stem>.draws.parquet``."""
    beside = path.with_name(f"{path.stem}.draws.parquet")
    if not beside.is_file():
        logger.info("%s has no draws beside it: no intervals", path)
        return None
    frame = pl.read_parquet(beside)
    entity = "facility_id" if "facility_id" in frame.columns else "entity"
    absent = {entity, "draw", "ratio"} - set(frame.columns)
    if absent:
        raise DataError(f"no column {', '.join(sorted(absent))}", file=beside)
    draws = frame.select(pl.col(entity).cast(pl.String).alias("facility_id"), "draw", "ratio").drop_nulls()
    return draws.join(facilities, on="facility_id", how="semi")
