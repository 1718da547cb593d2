"""From diagnosis codes to HCCs: the mapping, the age and sex edits, and what was not mapped."""

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
import pyarrow.compute as pc

from riskmodels.benchmarks.hcc.members import Members
from riskmodels.benchmarks.hcc.tables import Edit, ModelTables, load_diagnoses
from riskmodels.errors import DataError

__all__ = ["Mapped", "map_diagnoses"]

ICD10CM = r"^[A-Z][0-9][0-9A-Z]([0-9A-Z]{1,4})?$"
"""The form of an ICD-10-CM code without its dot: 3 to 7 characters."""


@dataclass(frozen=True)
class Mapped:
    """The HCCs of members before hierarchies.

    Parameters
    ----------
    row, column : np.ndarray
        Member (place in the frame of members) and HCC (place in `ModelTables.hccs`); one may occur twice.
    unknown : pl.DataFrame
        Codes without an HCC in the model: code as given, rows, reason.
    strangers : int
        Diagnoses of persons who are not among the members.
    """

    row: np.ndarray
    column: np.ndarray
    unknown: pl.DataFrame
    strangers: int


def map_diagnoses(diagnoses: Any, members: Members, tables: ModelTables, *, editor: bool = True) -> Mapped:
    """Map each member's diagnosis codes to HCCs.

    Parameters
    ----------
    diagnoses : frame
        person_id and code (ICD-10-CM, with or without the dot, in any case).
    editor : bool
        Whether the ages of the Medicare Code Editor hold too, beside the mandatory edits.

    Raises
    ------
    DataError
        Where a column is missing or person_id is of another type than the members'.
    """
    frame = nw.from_native(diagnoses, eager_only=True).to_polars()
    for name in ("person_id", "code"):
        if name not in frame.columns:
            raise DataError(f"the diagnoses have no column {name}")
    ids, persons = _key(members.person_id), _key(frame["person_id"])
    if frame.is_empty():
        persons = persons.cast(ids.dtype)
    if persons.dtype != ids.dtype:
        raise DataError(
            f"person_id is {persons.dtype} in the diagnoses and {ids.dtype} in the members",
            column="person_id",
            fix="give both the same type",
        )
    given = pc.dictionary_encode(frame["code"].cast(pl.String).to_arrow(), null_encoding="encode")
    code = given.indices.to_numpy()
    codes = _plain(pl.Series("code", given.dictionary), np.bincount(code, minlength=len(given.dictionary)))
    row = pc.fill_null(pc.index_in(persons.to_arrow(), value_set=ids.to_arrow()), -1).to_numpy()
    strangers = int(np.count_nonzero(row < 0))
    edits = [edit for edit in tables.edits if editor or edit.kind == "mandatory"]
    known = load_diagnoses()
    mine = known.filter(pl.col("model") == tables.model).select(pl.col("code").alias("plain"), "hcc")
    hccs = codes.join(mine, on="plain").join(_rules(edits), on="plain", how="left").sort("number", "hcc")
    hccs = hccs.with_columns(pl.col("rule").fill_null(-1))
    place = np.zeros(max(tables.hccs) + 1, dtype=np.int16)
    place[list(tables.hccs)] = np.arange(len(tables.hccs))
    number, hcc, rule = (hccs[name].to_numpy() for name in ("number", "hcc", "rule"))
    count = np.bincount(number, minlength=codes.height)
    kept = (row >= 0) & (count[code] > 0)
    row, code = row[kept], code[kept]
    # A code with two HCCs counts twice: repeat its rows, and number the repeats.
    times = count[code]
    which = np.repeat(np.cumsum(count)[code] - times, times)
    repeat = np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times)
    which, row = which + repeat, np.repeat(row, times)
    row, hcc = _edited(row, hcc[which], rule[which], edits, members)
    return Mapped(row, place[hcc], _unknown(codes, mine, known), strangers)


def _key(ids: pl.Series) -> pl.Series:
    """Return identifiers in a type that can be looked up: categories as their text."""
    return ids.cast(pl.String) if isinstance(ids.dtype, pl.Categorical | pl.Enum) else ids


def _plain(code: pl.Series, rows: np.ndarray) -> pl.DataFrame:
    """Return each code as given, its number and rows, and as CMS writes it: no dot, no blank, in capitals."""
    plain = code.str.strip_chars().str.replace_all(".", "", literal=True).str.to_uppercase()
    return pl.DataFrame({"code": code, "rows": rows, "plain": plain}).with_row_index("number")


def _rules(edits: list[Edit]) -> pl.DataFrame:
    """Return the edit of each code that has one, by its place among `edits`."""
    pairs = [(code, number) for number, edit in enumerate(edits) for code in edit.codes]
    return pl.DataFrame(pairs, schema={"plain": pl.String, "rule": pl.Int16}, orient="row")


def _edited(
    row: np.ndarray, hcc: np.ndarray, rule: np.ndarray, edits: list[Edit], members: Members
) -> tuple[np.ndarray, np.ndarray]:
    """Give a code that an edit touches the edit's HCC, or none."""
    touched = np.flatnonzero(rule >= 0)
    age, female = members.age[row[touched]], members.female[row[touched]]
    for number, edit in enumerate(edits):
        holds = np.zeros(len(touched), dtype=bool)
        if edit.sex is not None:
            holds |= female == (edit.sex == "female")
        if edit.age_to is not None:
            holds |= age <= edit.age_to
        if edit.age_from is not None:
            holds |= age >= edit.age_from
        hcc[touched[holds & (rule[touched] == number)]] = edit.hcc
    return row[hcc > 0], hcc[hcc > 0]


def _unknown(codes: pl.DataFrame, mine: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the codes without an HCC in the model, most frequent first, and why."""
    rest = codes.join(mine, on="plain", how="anti")
    elsewhere = pl.col("plain").is_in(known["code"].unique().implode())
    reason = (
        pl.when(pl.col("plain").is_null())
        .then(pl.lit("missing"))
        .when(~pl.col("plain").str.contains(ICD10CM))
        .then(pl.lit("not of the form of an ICD-10-CM code"))
        .when(elsewhere)
        .then(pl.lit("has an HCC in another model only"))
        .otherwise(pl.lit("has no HCC in any model: a diagnosis that is not paid for, or no valid code"))
    )
    return rest.select("code", "rows", reason.alias("reason")).sort(
        ["rows", "code"], descending=[True, False]
    )
