"""Facts of a case itself: of the person, the coverage at the index time, and the index stay."""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from riskmodels.history.schema import ADMISSION_TYPES, DISCHARGE_DISPOSITIONS, SEXES
from riskmodels.terminology import Grouper

__all__ = ["FACTS", "Fact", "FactInput"]


@dataclass(frozen=True)
class FactInput:
    """What a fact may look at."""

    cases: pl.DataFrame
    encounter: pl.DataFrame
    event: pl.DataFrame
    vocabulary: pl.DataFrame
    grouper: Grouper | None
    known_only: bool


@dataclass(frozen=True)
class Fact:
    """How a fact is found, and what it is.

    Parameters
    ----------
    label : str
        In words.
    kind : {'number', 'flag', 'category'}
    compute : callable
        From a `FactInput` to a Series with a row for each case.
    levels : tuple of str, optional
        All values of a category, where they are a closed set.
    columns : tuple of str
        The columns of ``event`` it reads, together with the numbers of the encounters.
    grouped : bool
        Whether it needs a grouper; its levels are then the groups.
    """

    label: str
    kind: str
    compute: Callable[[FactInput], pl.Series]
    levels: tuple[str, ...] | None = None
    columns: tuple[str, ...] = field(default=())
    grouped: bool = False


def _of_case(expression: pl.Expr) -> Callable[[FactInput], pl.Series]:
    return lambda given: given.cases.select(fact=expression).to_series()


def _age() -> pl.Expr:
    """Return completed years at admission, as CMS counts age for its readmission measures."""
    born, then = pl.col("birth_date"), pl.col("admission_time").dt.date()
    birthday_to_come = _month_and_day(then) < _month_and_day(born)
    return (then.dt.year() - born.dt.year() - birthday_to_come.cast(pl.Int32)).cast(pl.Float64)


def _month_and_day(day: pl.Expr) -> pl.Expr:
    return day.dt.month().cast(pl.Int32) * 100 + day.dt.day().cast(pl.Int32)


def _principal(given: FactInput) -> pl.DataFrame:
    """Return code_system and code_text of the principal diagnosis, a row for each case (null where unknown).

    It is the diagnosis in first position of the encounter that ended the stay: a joined stay is attributed to
    the hospital that discharged the patient. Of several the first in the order of the vocabulary is taken.
    """
    known = [pl.max_horizontal("recorded_at", "end").alias("known")] if given.known_only else []
    numbers = given.encounter.select("encounter", pl.col("encounter_id").alias("index_id"), *known)
    last = given.cases.select("index_id", "index_time").join(
        numbers, on="index_id", how="left", maintain_order="left"
    )
    if given.known_only:
        last = last.with_columns(pl.when(pl.col("known") < pl.col("index_time")).then("encounter"))
    coded = given.event.filter((pl.col("kind") == "diagnosis") & (pl.col("position") == 1)).select(
        "encounter", "code", "time", *(["recorded_at"] if given.known_only else [])
    )
    found = last.join(coded, on="encounter", how="inner").filter(pl.col("time") <= pl.col("index_time"))
    if given.known_only:
        found = found.filter(pl.max_horizontal("recorded_at", "time") < pl.col("index_time"))
    codes = found.group_by("index_id").agg(pl.col("code").min())
    return (
        last.select("index_id")
        .join(codes, on="index_id", how="left", maintain_order="left")
        .join(given.vocabulary, on="code", how="left", maintain_order="left")
        .select("code", "code_system", "code_text")
    )


def _principal_category(given: FactInput) -> pl.Series:
    """Return the code's category: three characters, four for the E codes of ICD-9-CM."""
    plain = pl.col("code_text").str.replace_all(".", "", literal=True)
    external = (pl.col("code_system") == "ICD9CM") & plain.str.starts_with("E")
    length = pl.when(external).then(4).otherwise(3)
    return _principal(given).select(plain.str.slice(0, length)).to_series()


def _principal_group(given: FactInput) -> pl.Series:
    """Return the first group, in the grouper's order, of the principal diagnosis."""
    assert given.grouper is not None
    principal = _principal(given)
    groups = given.grouper.assign(principal["code_system"], principal["code_text"])
    first = groups.group_by("row").agg(pl.col("group").min())
    names = pl.DataFrame({"name": given.grouper.groups}).with_row_index("group")
    return (
        principal.with_row_index("row")
        .select(pl.col("row").cast(pl.UInt32))
        .join(first, on="row", how="left", maintain_order="left")
        .join(
            names.with_columns(pl.col("group").cast(pl.Int32)), on="group", how="left", maintain_order="left"
        )
        .get_column("name")
    )


_PRINCIPAL = ("kind", "code", "time", "position", "encounter")


def _flag(column: str, label: str) -> Fact:
    return Fact(label, "flag", _of_case(pl.col(column).cast(pl.Float64)))


def _category(column: str, label: str, levels: tuple[str, ...] | None = None) -> Fact:
    return Fact(label, "category", _of_case(pl.col(column).cast(pl.String)), levels)


FACTS: dict[str, Fact] = {
    "age": Fact("Age in years", "number", _of_case(_age())),
    "sex": _category("sex", "Sex", SEXES),
    "dual": _flag("dual", "Medicare and Medicaid (dual eligible)"),
    "orig_disability": _flag("orig_disability", "First entitled to Medicare by disability"),
    "esrd": _flag("esrd", "Entitled by end-stage renal disease"),
    "length_of_stay": Fact(
        "Length of stay in days", "number", _of_case(pl.col("length_of_stay").cast(pl.Float64))
    ),
    "stay_segments": Fact(
        "Hospitals or segments joined into the stay",
        "number",
        _of_case(pl.col("stay_encounters").list.len().cast(pl.Float64)),
    ),
    "admission_type": _category("admission_type", "Type of admission", ADMISSION_TYPES),
    "admission_source": _category("admission_source", "Source of admission"),
    "discharge_disposition": _category("discharge_disposition", "Discharged to", DISCHARGE_DISPOSITIONS),
    "drg": _category("drg", "Diagnosis-related group (DRG)"),
    "principal_diagnosis": Fact(
        "Principal diagnosis, first characters", "category", _principal_category, columns=_PRINCIPAL
    ),
    "principal_diagnosis_group": Fact(
        "Principal diagnosis group", "category", _principal_group, columns=_PRINCIPAL, grouped=True
    ),
}
