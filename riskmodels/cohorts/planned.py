"""Which admissions were planned, as far as the data can tell."""

import polars as pl

from riskmodels.history import Shard
from riskmodels.terminology import Grouper, load_grouper

__all__ = ["add_planned", "care_groups"]

ALWAYS_PLANNED_CARE = ("cancer_treatment", "rehabilitation")


def add_planned(stays: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Add `planned`: whether a stay's admission was planned.

    By the first rule that applies, on the segment that began the stay:

    1. a procedure that is always planned (transplantation): planned;
    2. a principal diagnosis that is always planned (cancer treatment, rehabilitation): planned;
    3. `admission_type` is ``elective`` and the principal diagnosis is not acute: planned;
    4. else: not planned.

    Steps 1, 2 and 4 are those of CMS's planned-readmission algorithm (version 4.0). Step 3 stands in for its
    potentially-planned procedures: it needs the admission type, which DE-SynPUF does not have.
    """
    rules = load_grouper("planned")
    care = care_groups(stays, "first")
    always = pl.any_horizontal(pl.col(group) for group in ALWAYS_PLANNED_CARE)
    diagnoses = rules.assign(stays["first_system"], stays["first_code"])
    acute = _rows_of(diagnoses, rules.number("acute_diagnosis"), stays.height)
    planned = (
        stays["first_encounter"].is_in(_encounters_with_planned_procedure(shard, vocabulary, rules).implode())
        | care.select(always).to_series()
        | ((stays["admission_type"] == "elective").fill_null(False) & ~acute)
    )
    return stays.with_columns(planned=planned)


def care_groups(stays: pl.DataFrame, which: str) -> pl.DataFrame:
    """Return one Boolean column for each group of the `care` table.

    Parameters
    ----------
    which : {'first', 'last'}
        The segment of the stay whose principal diagnosis is looked at.
    """
    grouper = load_grouper("care")
    assigned = grouper.assign(stays[f"{which}_system"], stays[f"{which}_code"])
    return pl.DataFrame(
        {group: _rows_of(assigned, number, stays.height) for number, group in enumerate(grouper.groups)}
    )


def _rows_of(assigned: pl.DataFrame, group: int, height: int) -> pl.Series:
    """Return for each row whether it was assigned to the group."""
    rows = pl.int_range(height, dtype=pl.UInt32, eager=True)
    return rows.is_in(assigned.filter(pl.col("group") == group)["row"].implode())


def _encounters_with_planned_procedure(shard: Shard, vocabulary: pl.DataFrame, rules: Grouper) -> pl.Series:
    assigned = rules.assign(vocabulary["code_system"], vocabulary["code_text"]).filter(
        pl.col("group") == rules.number("always_planned_procedure")
    )
    codes = vocabulary["code"].gather(assigned["row"])
    events = shard.event.filter((pl.col("kind") == "procedure") & pl.col("code").is_in(codes.implode()))
    return events["encounter"].drop_nulls().unique()
