"""Rebuild the benchmark of Shared Savings ACOs from what it is made of, in place of the published one.

The public use file has an ACO's expenditures, risk scores and person years of the three benchmark years and
of the performance year by enrolment category; what it lacks (trends, growth, regional and national
expenditures) stands in CMS's benchmark reports to the ACO, and is given in a file of its own.
"""

from pathlib import Path

import numpy as np
import polars as pl

from riskmodels.errors import DataError
from riskmodels.payments.mssp_benchmark import (
    CATEGORIES,
    aggregate_risk_ratio,
    benchmark_adjustment,
    historical_benchmark,
    regional_adjustment,
    risk_ratio,
    update_factor,
    updated_benchmark,
)
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["CHANGEABLE", "read_components", "rebuild"]

_PUBLISHED = {"esrd": ("ESRD", "ESRD"), "disabled": ("DIS", "DIS"), "aged_dual": ("AGDU", "AGED_Dual"),
              "aged_nondual": ("AGND", "AGED_NonDual")}  # fmt: skip
_NEEDED = ("trend_by1", "trend_by2", "national_growth", "regional_growth", "national_weight")
_OPTIONAL = ("prospective_growth", "regional_by3", "national_by3", "prior_savings", "dual_share",
             "demographic_by3", "demographic_py")  # fmt: skip
_FIGURES = (*(f"expenditures_by{year}" for year in (1, 2, 3)), *(f"risk_by{year}" for year in (1, 2, 3)),
            "risk_py", "person_years_by3", "person_years_py")  # fmt: skip
CHANGEABLE = (*_NEEDED, *_OPTIONAL, *_FIGURES)
"""What a what-if may change of a benchmark that was rebuilt."""
_SCORES = (*(name for name in _FIGURES if "risk" in name), "demographic_by3", "demographic_py")
_FIRST_START = 2019
_LEAST_RISK = 0.01
_PROSPECTIVE_START = 2024


def read_components(path: Path, results: Table, acos: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return what benchmarks are made of, a row an ACO and enrolment category, with the rules that apply.

    Parameters
    ----------
    path : Path
        aco_id, enrolment (esrd, disabled, aged_dual, aged_nondual), trend_by1 and trend_by2 (growth to
        benchmark year 3), national_growth and regional_growth (year 3 to the performance year),
        national_weight (the ACO's share of its region); and where they apply prospective_growth (ACPT),
        regional_by3 and national_by3 (dollars a year), prior_savings (the adjustment, dollars a year),
        dual_share, demographic_by3 and demographic_py (risk scores). The figures of the public file may
        stand here too (expenditures_by1 and so on), and take precedence.
    results : Table
        CMS's public use file of the performance year.
    acos : polars.DataFrame
        aco_id, start_year and source_line of the file's ACOs.

    Raises
    ------
    DataError
        For an ACO that is not in the results, without each category once, whose agreement began before
        July 2019, when benchmarks were made otherwise, or with prior savings in one from before 2024.
    """
    table = read_table(path, ("aco_id", "enrolment", "trend_by1"))
    given = pl.DataFrame(
        {
            "aco_id": table.keys(table.column("aco_id")),
            "component": table.frame[table.column("enrolment")]
            .str.to_lowercase()
            .str.replace_all("[ -]", "_"),
            "component_line": pl.Series(table.lines),
            **{name: table.number(table.column(name), minimum=0, required=True) for name in _NEEDED},
            **{name: _column(table, name) for name in (*_OPTIONAL, *_FIGURES)},
            "adjustments": _column(table, "regional_adjustments"),
        }
    )
    _check(given, acos, path)
    period = results.find("Agreement_Period_Num", "Agreement_Period")
    later = results.number(period).fill_null(1) > 1 if period else pl.Series([False] * acos.height)
    known = acos.select("aco_id", "start_year").with_columns(later.alias("later_agreement"))
    frame = _published(results, acos).join(given, on=["aco_id", "component"], how="inner", suffix="_given")
    frame = frame.with_columns(pl.coalesce(f"{name}_given", name).alias(name) for name in _FIGURES)
    frame = frame.drop(f"{name}_given" for name in _FIGURES).join(known, on="aco_id", how="left")
    for name in _FIGURES:
        absent = frame.filter(pl.col(name).is_null())
        if absent.height:
            row = absent.row(0, named=True)
            raise DataError(f"no {name} of {row['aco_id']}, {row['component']}", file=path,
                            line=row["component_line"], fix=f"give it in a column {name}")  # fmt: skip
    low = frame.filter(pl.min_horizontal(*_SCORES) < _LEAST_RISK)
    if low.height:
        row = low.row(0, named=True)
        whose = f"{row['aco_id']}, {row['component']}"
        raise DataError(f"a risk score of {whose} is below {_LEAST_RISK}", file=path,
                        line=row["component_line"])  # fmt: skip
    old = frame.filter(pl.col("start_year") < _FIRST_START)
    if old.height:
        raise DataError(
            f"{old['aco_id'][0]}: the agreement began in {old['start_year'][0]}, and only benchmarks of "
            "agreements from July 2019 on can be rebuilt", file=path,
        )  # fmt: skip
    early = frame.filter((pl.col("start_year") < _PROSPECTIVE_START) & (pl.col("prior_savings") > 0))
    if early.height:
        row = early.row(0, named=True)
        raise DataError(
            f"{row['aco_id']}: prior savings count in agreements from {_PROSPECTIVE_START} on, and this one "
            f"began in {row['start_year']}", file=path, line=row["component_line"], column="prior_savings",
        )  # fmt: skip
    return _with_rules(frame, rules)


def rebuild(components: pl.DataFrame) -> pl.DataFrame:
    """Return aco_id, the rebuilt benchmark (dollars of the year) and the steps to it, per capita.

    `loss_rise` is by how much the benchmark without the prospective trend is above it, dollars of the year:
    losses are measured from there (42 CFR 425.652(b)(5)).
    """
    rows = []
    for (aco,), parts in components.group_by("aco_id", maintain_order=True):
        ordered = parts.sort(pl.col("component").replace_strict(dict(zip(CATEGORIES, range(4), strict=True))))
        rows.append({"aco_id": aco, **_benchmark(ordered)})
    return pl.DataFrame(rows)


def _benchmark(parts: pl.DataFrame) -> dict[str, float]:
    first = parts.row(0, named=True)

    def years(name: str) -> np.ndarray:
        return np.array([parts[f"{name}_by{year}"].to_numpy() for year in (1, 2, 3)])

    risk = years("risk")
    trend = np.array([parts["trend_by1"].to_numpy(), parts["trend_by2"].to_numpy(), np.ones(4)])
    shares = parts["person_years_by3"].to_numpy()
    history = historical_benchmark(
        years("expenditures"), trend, risk[2] / risk, shares, first_agreement=not first["later_agreement"]
    )
    adjustment, regional = _adjustment(parts, history.by_category, shares)
    prospective = parts["prospective_growth"]
    people = parts["person_years_py"].to_numpy()
    ratios = _risk_ratios(parts, (history.by_category + adjustment) * people)

    def updated_by(trend: pl.Series | None) -> float:
        update = update_factor(parts["national_growth"], parts["regional_growth"],
                               national_weight=parts["national_weight"], prospective=trend)  # fmt: skip
        return updated_benchmark(history.by_category, ratios, update, people, adjustment).per_capita

    updated = updated_by(None if prospective.null_count() else prospective)
    return {
        "benchmark": updated * float(people.sum()),
        "loss_rise": max(updated_by(None) - updated, 0.0) * float(people.sum()),
        "historical_per_capita": history.per_capita,
        "regional_adjustment": regional,
        "adjustment": float(np.average(adjustment, weights=shares)),
        "updated_per_capita": updated,
    }


def _adjustment(parts: pl.DataFrame, history: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the adjustment of each category and the regional one over all, in dollars per capita."""
    first = parts.row(0, named=True)
    prior = first["prior_savings"] or 0.0
    if parts["regional_by3"].null_count():
        return np.full(4, prior), 0.0
    region, nation = parts["regional_by3"].to_numpy(), parts["national_by3"].fill_null(0.0).to_numpy()
    lower = float((region - history) @ shares) > 0
    by_category = regional_adjustment(
        history,
        region,
        nation,
        weight=first["weight_lower"] if lower else first["weight_higher"],
        ceiling=first["ceiling"],
        floor=first["floor"],
    )
    if first["from_2024"]:
        spent = parts["expenditures_by3"].to_numpy() * shares
        risk = float(np.average(parts["risk_by3"].to_numpy(), weights=spent))
        factor = min(max((first["dual_share"] or 0.0) + risk - 1, 0.0), 1.0)
        by_category = np.where(by_category < 0, by_category * (1 - factor), by_category)
    regional = float(np.average(by_category, weights=shares))
    used = benchmark_adjustment(regional, prior) if first["from_2024"] else regional
    return (by_category if used == regional else np.full(4, used)), regional


def _risk_ratios(parts: pl.DataFrame, expenditures: np.ndarray) -> np.ndarray:
    """Return the capped growth of risk scores, by the cap of the agreement."""
    first, scores = parts.row(0, named=True), (parts["risk_py"], parts["risk_by3"])
    if not first["from_2024"]:
        return risk_ratio(*scores, cap=first["risk_cap"])
    growth = (parts["demographic_py"] / parts["demographic_by3"]).fill_null(1.0)
    return aggregate_risk_ratio(*scores, growth, expenditures, cap=first["risk_cap"])


def _with_rules(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Add what the rules say of each ACO's agreement: weights and limits of the adjustment, the risk cap."""
    new = (pl.col("start_year") >= _PROSPECTIVE_START).fill_null(False)
    limits, weights = rules["regional_adjustment_limits"], rules["regional_adjustment_weights"]
    times = pl.col("adjustments").fill_null(1).clip(1, len(weights["lower"])).cast(pl.Int64) - 1
    steps = {side: dict(enumerate(weights[side])) for side in ("lower", "higher")}
    return frame.with_columns(
        *(
            times.replace_strict(steps[side], return_dtype=pl.Float64).alias(f"weight_{side}")
            for side in steps
        ),
        pl.lit(float(limits["ceiling"])).alias("ceiling"),
        pl.when(new).then(limits["floor_from_2024"]).otherwise(limits["floor"]).alias("floor"),
        new.alias("from_2024"),
        pl.lit(float(rules["risk_cap"])).alias("risk_cap"),
    )


def _published(results: Table, acos: pl.DataFrame) -> pl.DataFrame:
    """Return the figures of the public file, a row an ACO and category."""
    parts = []
    for category, (short, long) in _PUBLISHED.items():
        names = {
            **{f"expenditures_by{year}": f"Per_Capita_Exp_ALL_{short}_BY{year}" for year in (1, 2, 3)},
            **{f"risk_by{year}": f"CMS_HCC_RiskScore_{short}_BY{year}" for year in (1, 2, 3)},
            "risk_py": f"CMS_HCC_RiskScore_{short}_PY",
            "person_years_by3": f"N_AB_Year_{long}_BY3",
            "person_years_py": f"N_AB_Year_{long}_PY",
        }
        figures = {name: _column(results, column) for name, column in names.items()}
        parts.append(pl.DataFrame({"aco_id": acos["aco_id"], "component": category, **figures}))
    return pl.concat(parts)


def _check(given: pl.DataFrame, acos: pl.DataFrame, path: Path) -> None:
    unknown = given.join(acos, on="aco_id", how="anti")
    if unknown.height:
        line = unknown["component_line"][0]
        raise DataError(f"{unknown['aco_id'][0]!r} is not in the results", file=path, line=line)
    odd = given.filter(~pl.col("component").is_in(CATEGORIES))
    if odd.height:
        raise DataError(
            f"enrolment {odd['component'][0]!r} is none of {', '.join(CATEGORIES)}",
            file=path, column="enrolment", line=odd["component_line"][0],
        )  # fmt: skip
    counts = given.group_by("aco_id", maintain_order=True).agg(pl.len(), pl.col("component").n_unique())
    wrong = counts.filter((pl.col("len") != 4) | (pl.col("component") != 4))
    if wrong.height:
        raise DataError(f"{wrong['aco_id'][0]!r} needs each of the four categories once", file=path)


def _column(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    if column is None:
        return pl.Series([None] * table.frame.height, dtype=pl.Float64)
    return table.number(column, minimum=0)
