"""Which admissions were planned, as far as the data can tell."""

import polars as pl

from riskmodels.history import Shard
from riskmodels.terminology import load_grouper
from riskmodels.terminology.grouper import normalize, well_formed

__all__ = ["add_planned", "care_groups", "coded", "rows_in", "with_procedures"]

PROCEDURE_SYSTEMS = ("ICD9PCS", "ICD10PCS")


def add_planned(
    stays: pl.DataFrame, shard: Shard, vocabulary: pl.DataFrame, *, elective: bool = True
) -> pl.DataFrame:
    """Add `planned`: whether a stay's admission was planned.

    CMS's planned-readmission algorithm, version 4.0, on the segment that began the stay; the first rule that
    applies:

    1. a procedure that is always planned (transplantation): planned;
    2. a principal diagnosis that is always planned (cancer treatment, rehabilitation): planned;
    3. a potentially planned procedure, and a principal diagnosis that is not acute: planned;
    4. else: not planned.

    Where a segment has no procedure in ICD-10-PCS or ICD-9-CM, an `admission_type` of ``elective`` stands in
    for a potentially planned one, unless `elective` says not to.
    """
    rules = load_grouper("planned")
    first = stays["first_encounter"]
    procedures = coded(shard, vocabulary, "planned", ("procedure",))

    def done(group: str) -> pl.Series:
        return first.is_in(procedures.filter(pl.col("group") == rules.number(group))["encounter"].implode())

    diagnoses = rules.assign(stays["first_system"], stays["first_code"])
    always = rows_in(diagnoses, rules.number("always_planned_diagnosis"), stays.height)
    acute = rows_in(diagnoses, rules.number("acute_diagnosis"), stays.height)
    potentially = done("potentially_planned_procedure")
    if elective:
        said = (stays["admission_type"] == "elective").fill_null(False)
        potentially |= said & ~first.is_in(with_procedures(shard, vocabulary)["encounter"].implode())
    planned = done("always_planned_procedure") | always | (potentially & ~acute)
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
        {group: rows_in(assigned, number, stays.height) for number, group in enumerate(grouper.groups)}
    )


def rows_in(assigned: pl.DataFrame, group: int, height: int) -> pl.Series:
    """Return for each row whether it was assigned to the group."""
    rows = pl.int_range(height, dtype=pl.UInt32, eager=True)
    return rows.is_in(assigned.filter(pl.col("group") == group)["row"].implode())


def coded(shard: Shard, vocabulary: pl.DataFrame, table: str, kinds: tuple[str, ...]) -> pl.DataFrame:
    """Return the events of some kinds that are in a group of a code table.

    A code that does not look like one of its system is in none: a diagnosis in a field for procedures.

    Returns
    -------
    DataFrame of person, encounter, time, kind, position, group
        An event is there once for each of its groups; those of no encounter have a null.
    """
    vocabulary = vocabulary.with_columns(plain=normalize(pl.col("code_text"))).filter(well_formed())
    assigned = load_grouper(table).assign(vocabulary["code_system"], vocabulary["plain"])
    groups = pl.DataFrame({"code": vocabulary["code"].gather(assigned["row"]), "group": assigned["group"]})
    events = shard.event.filter(pl.col("kind").is_in(kinds))
    return events.select("person", "encounter", "time", "kind", "position", "code").join(groups, on="code")


def with_procedures(shard: Shard, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return encounter and time of the procedures in ICD-10-PCS and ICD-9-CM."""
    codes = vocabulary.filter(pl.col("code_system").is_in(PROCEDURE_SYSTEMS))["code"]
    events = shard.event.filter((pl.col("kind") == "procedure") & pl.col("code").is_in(codes.implode()))
    return events.select("encounter", "time").drop_nulls("encounter")
