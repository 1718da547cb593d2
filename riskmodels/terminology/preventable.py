"""AHRQ Prevention Quality Indicators: admissions that good primary care may prevent."""

from dataclasses import dataclass

import polars as pl

from riskmodels.errors import SpecError
from riskmodels.terminology.grouper import Grouper, load_grouper

__all__ = ["COMPOSITES", "PQI", "Indicator", "pqi", "pqi_admissions"]


@dataclass(frozen=True)
class Indicator:
    """What makes an admission count for an indicator; words are groups of the table `pqi`.

    Parameters
    ----------
    label : str
        What a person calls it.
    principal : tuple of str
        One of these as principal diagnosis; empty: any that is not obstetric or a newborn's.
    anywhere : tuple of str
        All of these among the diagnoses and procedures.
    unless : tuple of tuple of str
        Not where all groups of one of these are among the diagnoses and procedures.
    min_age, max_age : int, optional
        Whole years at admission, both included.
    """

    label: str
    principal: tuple[str, ...]
    anywhere: tuple[str, ...] = ()
    unless: tuple[tuple[str, ...], ...] = ()
    min_age: int = 18
    max_age: int | None = None


_IMMUNE = (("immunocompromised",), ("immunocompromised_procedure",))

PQI: dict[str, Indicator] = {
    "01": Indicator("Diabetes, short-term complications", ("diabetes_short_term",)),
    "03": Indicator("Diabetes, long-term complications", ("diabetes_long_term",)),
    "05": Indicator(
        "COPD or asthma in older adults", ("copd", "asthma"), unless=(("respiratory_anomaly",),), min_age=40
    ),
    "07": Indicator(
        "Hypertension",
        ("hypertension",),
        unless=(("cardiac_procedure",), ("kidney_disease", "dialysis_access")),
    ),
    "08": Indicator("Heart failure", ("heart_failure",), unless=(("cardiac_procedure",),)),
    "11": Indicator(
        "Community-acquired pneumonia", ("bacterial_pneumonia",), unless=(("sickle_cell",), *_IMMUNE)
    ),
    "12": Indicator(
        "Urinary tract infection",
        ("urinary_tract_infection",),
        unless=(("urinary_tract_disorder",), *_IMMUNE),
    ),
    "14": Indicator("Uncontrolled diabetes", ("diabetes_uncontrolled",)),
    "15": Indicator("Asthma in younger adults", ("asthma",), unless=(("respiratory_anomaly",),), max_age=39),
    "16": Indicator(
        "Lower-extremity amputation with diabetes",
        (),
        anywhere=("diabetes", "amputation"),
        unless=(("traumatic_amputation",),),
    ),
}

# AHRQ's composites: overall, acute, chronic, diabetes.
COMPOSITES: dict[str, tuple[str, ...]] = {
    "90": tuple(PQI),
    "91": ("11", "12"),
    "92": ("01", "03", "05", "07", "08", "14", "15", "16"),
    "93": ("01", "03", "14", "16"),
}

# Sources of admission that make it a transfer, which no indicator counts.
TRANSFERS = ("transfer", "snf")


def pqi() -> Grouper:
    """Return the value sets of the AHRQ Prevention Quality Indicators."""
    return load_grouper("pqi")


def pqi_admissions(admissions: pl.DataFrame, codes: pl.DataFrame) -> pl.DataFrame:
    """Find the indicators that each admission counts for.

    Parameters
    ----------
    admissions : DataFrame of encounter, age (whole years at admission), admission_source
        Transfers from a hospital or nursing facility count for none.
    codes : DataFrame of encounter, position (1: principal diagnosis), code_system, code
        Diagnoses and procedures of these admissions; a procedure's position does not matter.

    Returns
    -------
    DataFrame of encounter, pqi (String, "01" to "16")
        Sorted; an admission that counts for none is not in it, and one may count for several.

    Raises
    ------
    SpecError
        Where a column is missing.

    Source: AHRQ Quality Indicators, technical specifications of the PQIs. Which value sets an indicator
    takes is written from memory of these and not checked against a version's text (unverified).
    """
    for name, frame, columns in (
        ("admissions", admissions, ("encounter", "age", "admission_source")),
        ("codes", codes, ("encounter", "position", "code_system", "code")),
    ):
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise SpecError(f"pqi_admissions: {name} has no column {', '.join(missing)}.")
    table = pqi()
    assigned = table.assign(codes["code_system"], codes["code"])
    found = codes.select("encounter", "position", "code_system")[assigned["row"]].hstack([assigned["group"]])
    # "Principal" is a word of diagnoses: a procedure in first place is none.
    first = (pl.col("position") == 1) & ~pl.col("code_system").str.ends_with("PCS")
    groups = range(len(table.groups))
    flags = found.group_by("encounter").agg(
        *((pl.col("group") == number).any().alias(f"any_{table.groups[number]}") for number in groups),
        *(
            ((pl.col("group") == number) & first).any().alias(f"main_{table.groups[number]}")
            for number in groups
        ),
    )
    rows = (
        admissions.select("encounter", "age", "admission_source")
        .join(flags, on="encounter", how="inner")
        .filter(~pl.col("admission_source").is_in(TRANSFERS).fill_null(False))
    )
    parts = [
        rows.filter(_counts(rule)).select("encounter", pqi=pl.lit(number)) for number, rule in PQI.items()
    ]
    return pl.concat(parts).sort("encounter", "pqi")


def _counts(rule: Indicator) -> pl.Expr:
    """Return whether a row of flags counts for an indicator."""
    if rule.principal:
        counts = pl.any_horizontal(f"main_{group}" for group in rule.principal)
    else:
        counts = ~pl.any_horizontal("main_obstetric", "main_newborn")
    for group in rule.anywhere:
        counts &= pl.col(f"any_{group}")
    for groups in rule.unless:
        counts &= ~pl.all_horizontal(f"any_{group}" for group in groups)
    counts &= (pl.col("age") >= rule.min_age).fill_null(False)
    if rule.max_age is not None:
        counts &= pl.col("age") <= rule.max_age
    return counts
