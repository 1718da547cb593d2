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
    acute = _in_group(stays["first_system"], stays["first_code"], rules, "acute_diagnosis")
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
    care = load_grouper("care")
    system, code = stays[f"{which}_system"], stays[f"{which}_code"]
    return pl.DataFrame({group: _in_group(system, code, care, group) for group in care.groups})


def _in_group(system: pl.Series, code: pl.Series, grouper: Grouper, group: str) -> pl.Series:
    """Return for each row whether its code is in the group."""
    assigned = grouper.assign(system, code).filter(pl.col("group") == grouper.number(group))
    rows = pl.int_range(len(code), dtype=pl.UInt32, eager=True)
    return rows.is_in(assigned["row"].implode())


def _encounters_with_planned_procedure(shard: Shard, vocabulary: pl.DataFrame, rules: Grouper) -> pl.Series:
    assigned = rules.assign(vocabulary["code_system"], vocabulary["code_text"]).filter(
        pl.col("group") == rules.number("always_planned_procedure")
    )
    codes = vocabulary["code"].gather(assigned["row"])
    events = shard.event.filter((pl.col("kind") == "procedure") & pl.col("code").is_in(codes.implode()))
    return events["encounter"].drop_nulls().unique()
