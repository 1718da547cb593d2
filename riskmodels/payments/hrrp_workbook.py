"""Read CMS's hospital-specific report: predicted and expected readmissions from its discharge rows."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.hrrp_cells import (
    Rows,
    as_float,
    cell,
    find_header,
    find_sheet,
    optional,
    position,
    required,
)
from riskmodels.payments.program import Inputs
from riskmodels.payments.reading import SUPPRESSED, normalise, read_workbook
from riskmodels.payments.rules import Rules

__all__ = ["is_report", "predicted_and_expected", "read"]

_SHEET_MEASURES = {
    "AMI": "AMI",
    "COPD": "COPD",
    "HF": "HF",
    "PN": "Pneumonia",
    "CABG": "CABG",
    "HK": "THA/TKA",
}
_ROW_MEASURES = {
    "ami": "AMI", "copd": "COPD", "hf": "HF", "pneumonia": "Pneumonia", "pn": "Pneumonia", "cabg": "CABG",
    "tha/tka": "THA/TKA",
}  # fmt: skip
_CCN = re.compile(r"(?<![0-9A-Z])\d{2}[0-9A-Z]\d{3}(?![0-9A-Z])")
_TOLERANCE = 1e-8
_INDEX_STAY = r"index stay \(yes/no\).*"


def is_report(path: Path) -> bool:
    """Tell whether a workbook is a hospital-specific report, by its sheets."""
    names = [name.lower() for name in read_workbook(path)] if path.is_file() else []
    return any("payment adjustment" in name for name in names)


def read(paths: Sequence[Path], rules: Rules) -> Inputs:
    """Read any number of reports.

    Raises
    ------
    DataError
        For a report of another year, without its tables, or two of one hospital.
    """
    hospitals: list[dict[str, Any]] = []
    measures: list[dict[str, Any]] = []
    notes: list[str] = []
    for path in paths:
        sheets = read_workbook(path)
        _check_year(sheets, rules, path)
        hospital, found, remarks = _read_one(path, sheets, rules)
        if any(other["facility_id"] == hospital["facility_id"] for other in hospitals):
            raise DataError(f"a second report of {hospital['facility_id']!r}", file=path,
                            fix="put the hospital's CCN into the file's name")  # fmt: skip
        hospitals.append(hospital)
        measures += found
        notes += remarks
    return Inputs(
        {
            "hospitals": pl.DataFrame(hospitals, infer_schema_length=None).with_columns(
                base_operating_payments=pl.lit(None, dtype=pl.Float64)
            ),
            "measures": pl.DataFrame(measures, schema_overrides=_MEASURE_TYPES, infer_schema_length=None),
        },
        {"columns": _COLUMNS},
        tuple(notes),
    )


_COLUMNS = {
    "eligible_discharges": "discharge sheet, index stays", "excess_readmission_ratio": "discharge sheet",
    "peer_group_median": "Table 2, column [g]", "drg_payment_ratio": "Table 2, column [i]",
    "dual_proportion": "Table 1, column [a] / column [b]", "peer_group": "Table 1, column [d]",
}  # fmt: skip
_MEASURE_TYPES = {
    "eligible_discharges": pl.Int64, "predicted": pl.Float64, "expected": pl.Float64,
    "excess_readmission_ratio": pl.Float64, "peer_group_median": pl.Float64,
    "published_indicator": pl.Boolean, "drg_payment_ratio": pl.Float64, "counts": pl.Boolean,
}  # fmt: skip


def predicted_and_expected(
    x: np.ndarray, b: np.ndarray, hospital: float, average: float
) -> tuple[float, float]:
    """Return the mean predicted and expected risk of readmission of a hospital's discharges.

    The hierarchical logistic model of CMS's readmission measures: predicted is the mean of
    ``expit(hospital effect + x'b)``, expected the mean of ``expit(average effect + x'b)``.

    Parameters
    ----------
    x : array of shape (discharges, covariates)
    b : array of shape (covariates,)
        National coefficients.
    hospital, average : float
        Intercepts, in log-odds.
    """
    score = x @ b
    return float(np.mean(1 / (1 + np.exp(-(hospital + score))))), float(
        np.mean(1 / (1 + np.exp(-(average + score))))
    )


def _read_one(
    path: Path, sheets: dict[str, Rows], rules: Rules
) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    title, rows = find_sheet(sheets, "payment adjustment", path)
    start, header = find_header(rows, "neutrality modifier", path, title)
    cells, line = rows[start + 1], start + 2

    def read(pattern: str) -> float:
        return required(cells, header, pattern, path, title, line)

    facility = _facility(path, rows)
    stays, all_stays = read(r"number of dual.*"), read(r".*\(denominator\).*")
    notes = _check_dual(sheets, stays, facility)
    hospital = {
        "facility_id": facility,
        "dual_proportion": stays / all_stays,
        "peer_group": int(read(r"peer group assignment.*")),
        "neutrality_modifier": read(r"neutrality modifier.*"),
        "source_file": str(path),
        "source_line": line,
    }
    measures = []
    for row in _results(sheets, path, facility):
        discharges = _discharges(sheets, row["measure"], path)
        if discharges is not None:
            n, predicted, expected = discharges
            notes += _compare(row, n, predicted, expected)
            row |= {"eligible_discharges": n, "predicted": predicted, "expected": expected,
                    "excess_readmission_ratio": predicted / expected}  # fmt: skip
        measures.append(row | {"counts": row["measure"] in rules["measures"]})
    return hospital, measures, notes


def _results(sheets: dict[str, Rows], path: Path, facility: str) -> list[dict[str, Any]]:
    """Read Table 2, the hospital's results as CMS prints them."""
    title, rows = find_sheet(sheets, "hospital results", path)
    start, header = find_header(rows, "peer group median", path, title)
    results = []
    for line, cells in enumerate(rows[start + 1 :], start + 2):
        measure = _ROW_MEASURES.get(normalise(cells[0])) if cells else None
        if measure is None:
            continue

        def read(pattern: str, cells: list[str] = cells, line: int = line) -> float | None:
            return optional(cells, header, pattern, path, title, line)

        n = read(r"number of eligible.*")
        results.append(
            {
                "facility_id": facility,
                "measure": measure,
                "eligible_discharges": None if n is None else int(n),
                "predicted": read(r"predicted.*"),
                "expected": read(r"expected.*"),
                "excess_readmission_ratio": read(r"excess.*"),
                "peer_group_median": read(r"peer group median.*"),
                "published_indicator": normalise(cell(cells, header, r"penalty indicator.*")).startswith("y"),
                "drg_payment_ratio": read(r"ratio of drg.*"),
                "source_file": str(path),
                "source_line": line,
            }
        )
    if not results:
        raise DataError(f"sheet {title!r} has no measure", file=path)
    return results


def _discharges(sheets: dict[str, Rows], measure: str, path: Path) -> tuple[int, float, float] | None:
    """Compute a measure from its discharge rows; None where the sheet is missing or has no index stay."""
    code = next(code for code, name in _SHEET_MEASURES.items() if name == measure)
    sheet = next((name for name in sheets if re.search(rf"\s{code}\s", name)), None)
    if sheet is None:
        return None
    rows = sheets[sheet]
    start, header = find_header(rows, "hosp_effect", path, sheet)
    # Where a year's sheets have no column for it, an index stay is one that nothing excludes (indicator 0).
    asked = any(re.fullmatch(_INDEX_STAY, name) for name in header)
    index = position(header, _INDEX_STAY if asked else r"(cohort )?inclusion.*", path, sheet)
    wanted = ("yes",) if asked else ("0", "0.0")
    effects = [position(header, name, path, sheet) for name in ("hosp_effect", "avg_effect")]
    weights = rows[start + 1]  # National coefficients and the two effects; '--' in the other columns.
    covariates = [at for at, cell in enumerate(weights[: effects[0]]) if cell.lower() not in SUPPRESSED]
    stays = [
        (line, cells)
        for line, cells in enumerate(rows[start + 2 :], start + 3)
        if len(cells) > index and normalise(cells[index]) in wanted
    ]
    if not stays or weights[effects[0]].lower() in SUPPRESSED:
        return None

    def value(cells: list[str], at: int, line: int) -> float:
        return as_float(cells[at], path, f"{sheet}: {header[at]}", line)

    b = np.array([value(weights, at, start + 2) for at in covariates])
    x = np.array([[value(cells, at, line) for at in covariates] for line, cells in stays])
    hospital, average = (value(weights, at, start + 2) for at in effects)
    return len(stays), *predicted_and_expected(x, b, hospital, average)


def _compare(row: dict[str, Any], n: int, predicted: float, expected: float) -> list[str]:
    """Say where the discharge rows and Table 2 differ; the discharge rows are used."""
    printed = (row["eligible_discharges"], row["predicted"], row["expected"])
    notes = []
    for word, mine, theirs in zip(("discharges", "predicted", "expected"), (n, predicted, expected), printed,
                                  strict=True):  # fmt: skip
        if theirs is not None and abs(mine - theirs) > _TOLERANCE:
            notes.append(
                f"{row['facility_id']} {row['measure']}: {word} is {mine:.10g} by the discharge rows, "
                f"{theirs:.10g} in Table 2; the discharge rows are used"
            )
    return notes


def _check_dual(sheets: dict[str, Rows], stays: float, facility: str) -> list[str]:
    for name, rows in sheets.items():
        if "dual stays" in name.lower():
            counted = sum(bool(cells) and cells[0].isdigit() for cells in rows)
            if counted != stays:
                return [
                    f"{facility}: Table 1 counts {stays:g} dual-eligible stays, the stay rows are {counted}"
                ]
    return []


def _check_year(sheets: dict[str, Rows], rules: Rules, path: Path) -> None:
    for rows in sheets.values():
        text = " ".join(cell for row in rows[:3] for cell in row)
        found = re.search(r"\(FY\)\s*(20\d\d)|\bFY\s*(20\d\d)", text)
        if found:
            year = int(found[1] or found[2])
            if year != rules.year:
                raise DataError(
                    f"the report is of fiscal year {year}, the rules asked for are of {rules.year}",
                    file=path, fix=f"give --year {year}",
                )  # fmt: skip
            return


def _facility(path: Path, rows: Rows) -> str:
    """Return the CCN from the report's head or the file's name, else the hospital's printed name."""
    head = " ".join(cell for row in rows[:3] for cell in row)
    found = _CCN.search(head) or _CCN.search(path.stem.upper())
    return (
        found[0] if found else next((cell for cell in (rows[1] if len(rows) > 1 else []) if cell), path.stem)
    )
