"""Read what the readmissions program is computed from: CMS's files, or a benchmark of one's own."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import hrrp_benchmark, hrrp_workbook
from riskmodels.payments.program import Inputs
from riskmodels.payments.reading import SUPPRESSED, Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["OPTIONS", "read"]

OPTIONS = {
    "drg_ratios": "file: facility_id[, measure], drg_payment_ratio (for a benchmark)",
    "peer_groups": "file: facility_id, dual_proportion or peer_group (for a benchmark)",
    "base_payments": "file: facility_id, base_operating_payments (dollars a year)",
    "neutrality_modifier": "a number, 'rules' (the year's published one) or 'solve' (budget neutral)",
}

_LABELS = {"AMI": "ami", "COPD": "copd", "HF": "hf", "Pneumonia": "pneumonia|pn", "CABG": "cabg",
           "THA/TKA": "tha/tka|hip/knee|thatka"}  # fmt: skip
_SUPPLEMENTAL = ("hospital (ccn|cnn)", "dual proportion.*", "neutrality modifier.*")


def read(paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
    """Read hospitals and measures from whichever of the known layouts the files have.

    Raises
    ------
    DataError
        For a file of no known layout, of another year, or with figures that contradict each other.
    """
    if all(path.suffix.lower() in (".xlsx", ".xlsm") and hrrp_workbook.is_report(path) for path in paths):
        found = hrrp_workbook.read(paths, rules)
    elif len(paths) > 1:
        raise SpecError("hrrp takes one table, or any number of hospital-specific report workbooks")
    elif hrrp_benchmark.is_benchmark(paths[0]):
        return hrrp_benchmark.read(paths[0], rules, options)
    else:
        found = _supplemental(paths[0], rules)
    refused = [name for name in ("drg_ratios", "peer_groups") if options.get(name)]
    if refused:
        raise SpecError(f"CMS's own file has its {' and '.join(refused)}: leave the option out")
    hospitals, source, kind = found.frames["hospitals"], "the input's own neutrality modifier", "input"
    given = options.get("neutrality_modifier")
    if given is not None:
        modifier = rules["neutrality_modifier"] if given == "rules" else _number(given)
        hospitals = hospitals.with_columns(pl.lit(modifier).alias("neutrality_modifier"))
        kind = "rules" if given == "rules" else "given"
        source = rules.cite("neutrality_modifier") if given == "rules" else "given by the user"
    if options.get("base_payments"):
        hospitals = hospitals.drop("base_operating_payments").join(
            hrrp_benchmark.read_base_payments(Path(options["base_payments"])),
            on="facility_id", how="left", maintain_order="left",
        )  # fmt: skip
    return Inputs(
        {**found.frames, "hospitals": hospitals},
        {**found.options, "neutrality": kind, "neutrality_source": source},
        found.notes,
    )


def _number(given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError):
        raise SpecError(
            f"neutrality_modifier {given!r}: with CMS's own file give a number, 'rules' or nothing"
        ) from None


def _supplemental(path: Path, rules: Rules) -> Inputs:
    """Read CMS's supplemental file: a hospital a row, five columns a measure."""
    table = read_table(path, _SUPPLEMENTAL)
    check_year(table.preface, rules, path)
    ids = table.identifiers(table.column("Hospital CCN", "Hospital CNN"), width=6)
    file, lines = pl.lit(str(path)), pl.Series(table.lines)
    hospitals = pl.DataFrame(
        {
            "facility_id": ids,
            "dual_proportion": _column(table, "dual proportion.*", minimum=0, maximum=1),
            "peer_group": _column(
                table,
                "peer group assignment.*",
                minimum=1,
                maximum=rules["peer_groups"],
                integer=True,
            ),
            "neutrality_modifier": _column(table, "neutrality modifier.*", minimum=0, required=True),
        }
    ).with_columns(
        base_operating_payments=pl.lit(None, dtype=pl.Float64), source_file=file, source_line=lines
    )
    measures = []
    for measure, label in _LABELS.items():
        if table.find(pattern=f"err for ({label})") is None and measure not in rules["measures"]:
            continue
        measures.append(
            _measure(table, measure, label, ids, rules).with_columns(source_file=file, source_line=lines)
        )
    frame = pl.concat(measures).sort("source_line", maintain_order=True)
    _check_supplemental(table, hospitals, frame, rules)
    columns = {
        "eligible_discharges": "Number of eligible discharges", "excess_readmission_ratio": "ERR",
        "peer_group_median": "Peer group median ERR", "drg_payment_ratio": "DRG payment ratio",
        "dual_proportion": "Dual proportion", "peer_group": "Peer group assignment",
    }  # fmt: skip
    return Inputs({"hospitals": hospitals, "measures": frame}, {"columns": columns})


_LARGEST_RATIO = 10.0
"""An excess readmission ratio above this is a slip: those published are between 0.4 and 1.8."""


def _measure(table: Table, measure: str, label: str, ids: pl.Series, rules: Rules) -> pl.DataFrame:
    counts = measure in rules["measures"]
    indicator = table.find(pattern=f"penalty indicator for ({label})")
    unsaid = pl.Series([None] * len(ids), dtype=pl.Boolean)
    return pl.DataFrame(
        {
            "facility_id": ids,
            "measure": measure,
            "eligible_discharges": _column(
                table, f"number of eligible (discharges|cases) for ({label})", minimum=0, integer=True
            ),
            "predicted": pl.Series([None] * len(ids), dtype=pl.Float64),
            "expected": pl.Series([None] * len(ids), dtype=pl.Float64),
            "excess_readmission_ratio": _column(
                table, f"err for ({label})", minimum=0, maximum=_LARGEST_RATIO
            ),
            "peer_group_median": _column(table, f"peer group median err for ({label})", minimum=0),
            "published_indicator": _yes_no(table, table.text(indicator)) if indicator else unsaid,
            "drg_payment_ratio": _column(table, f"drg payment ratio for ({label})", minimum=0, maximum=1),
            "counts": counts,
        }
    )


def _yes_no(table: Table, values: pl.Series) -> pl.Series:
    words = {"y": True, "yes": True, "n": False, "no": False}
    plain = values.str.to_lowercase()
    known = plain.is_in([*words, *(SUPPRESSED - {"n"})]) | plain.is_null()
    if not known.all():
        row = int((~known).arg_max() or 0)
        raise DataError(f"{values[row]!r} is neither Y nor N", file=table.path, column=values.name,
                        line=table.lines[row])  # fmt: skip
    return plain.replace_strict(words, default=None, return_dtype=pl.Boolean)


def _column(table: Table, pattern: str, **checks: Any) -> pl.Series:
    return table.number(table.column(pattern=pattern), **checks)


def _check_supplemental(table: Table, hospitals: pl.DataFrame, measures: pl.DataFrame, rules: Rules) -> None:
    """Refuse figures of the file that contradict each other, naming hospital, measure and line."""
    modifiers = hospitals["neutrality_modifier"].unique()
    if len(modifiers) > 1:
        odd = hospitals.filter(pl.col("neutrality_modifier") != hospitals["neutrality_modifier"][0])
        raise DataError(
            f"neutrality modifier {odd['neutrality_modifier'][0]} where the rows above have "
            f"{hospitals['neutrality_modifier'][0]}: there is one a year",
            file=table.path, column="Neutrality modifier", line=odd["source_line"][0],
        )  # fmt: skip
    err, median = pl.col("excess_readmission_ratio"), pl.col("peer_group_median")
    enough = pl.col("eligible_discharges") >= rules["minimum_discharges"]
    says = pl.col("published_indicator")
    problems = {
        "enough discharges for a penalty and no ERR": enough & err.is_null(),
        "enough discharges, an ERR and no peer-group median": enough & median.is_null(),
        "a penalty without a DRG payment ratio": enough
        & (err > median)
        & pl.col("drg_payment_ratio").is_null(),
        "penalty indicator N, but the ERR is above the median": enough & (err > median) & ~says,
        "penalty indicator Y, but the ERR is below the median": (err < median) & says,
        "penalty indicator Y with too few discharges": ~enough & says,
    }
    used = measures.filter("counts")
    for problem, wrong in problems.items():
        rows = used.filter(wrong.fill_null(False))
        if rows.height:
            first = rows.row(0, named=True)
            raise DataError(
                f"{first['facility_id']}: {problem}", file=table.path, column=f"{first['measure']} columns",
                line=first["source_line"], fix="correct the row, or take CMS's file as published",
            )  # fmt: skip
    joined = used.join(hospitals.select("facility_id", "peer_group"), on="facility_id", maintain_order="left")
    several = joined.drop_nulls("peer_group_median").group_by("measure", "peer_group").agg(
        median.n_unique().alias("medians")
    )  # fmt: skip
    for row in several.filter(pl.col("medians") > 1).iter_rows(named=True):
        group = joined.filter(measure=row["measure"], peer_group=row["peer_group"])
        group = group.drop_nulls("peer_group_median").with_columns(median.alias("median"))
        usual = group["median"].mode().sort()[0]
        other = group.filter(pl.col("median") != usual).row(0, named=True)
        raise DataError(
            f"peer group {row['peer_group']} has {row['medians']} different medians of {row['measure']}: "
            f"{other['peer_group_median']:g} here, {usual:g} elsewhere",
            file=table.path, column=f"Peer group median ERR for {row['measure']}", line=other["source_line"],
        )  # fmt: skip


def check_year(text: str, rules: Rules, path: Path) -> None:
    """Refuse a file that says it is of another fiscal year.

    Raises
    ------
    DataError
    """
    found = re.search(r"\bFY\)?\s*(20\d\d)", text)
    if found and int(found[1]) != rules.year:
        raise DataError(
            f"the file is of fiscal year {found[1]}, the rules asked for are of {rules.year}",
            file=path, line=1, fix=f"give --year {found[1]}",
        )  # fmt: skip
