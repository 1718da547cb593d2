"""From diagnosis codes to HCCs: the mapping, the age and sex edits, and what was not mapped."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.benchmarks.hcc.diseases import THREADS, n_words
from riskmodels.benchmarks.hcc.kernels import encode, find, mark
from riskmodels.benchmarks.hcc.members import Members, hashes, lookup_key
from riskmodels.benchmarks.hcc.tables import Edit, ModelTables, load_diagnoses
from riskmodels.errors import DataError

__all__ = ["Mapped", "map_diagnoses"]

ICD10CM = r"^[A-Z][0-9][0-9A-Z]([0-9A-Z]{1,4})?$"
"""The form of an ICD-10-CM code without its dot: 3 to 7 characters."""
NO_AGE = 1000
"""An age that nobody has, of an edit that holds from no age on."""


@dataclass(frozen=True)
class Mapped:
    """The HCCs of members before hierarchies.

    Parameters
    ----------
    bits : np.ndarray of uint64, shape (members, words)
        A bit for each HCC, by its place in `ModelTables.hccs`.
    unknown : pl.DataFrame
        Codes without an HCC in the model: code as given, rows, reason.
    strangers : int
        Diagnoses of persons who are not among the members.
    """

    bits: np.ndarray
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
    ids, persons = lookup_key(members.person_id), lookup_key(frame["person_id"])
    if frame.is_empty():
        persons = persons.cast(ids.dtype)
    if persons.dtype != ids.dtype:
        raise DataError(
            f"person_id is {persons.dtype} in the diagnoses and {ids.dtype} in the members",
            column="person_id",
            fix="give both the same type",
        )
    row = _rows(persons, ids, members.table)
    given = frame["code"].cast(pl.String)
    code, first = encode(*hashes(given))
    codes = _plain(given.gather(first), np.bincount(code, minlength=len(first)))
    edits = [edit for edit in tables.edits if editor or edit.kind == "mandatory"]
    known = load_diagnoses()
    mine = known.filter(pl.col("model") == tables.model).select(pl.col("code").alias("plain"), "hcc")
    hccs = codes.join(mine, on="plain").join(_rules(edits), on="plain", how="left").sort("number", "hcc")
    place = np.full(max(tables.hccs) + 1, -1, dtype=np.int64)
    place[list(tables.hccs)] = np.arange(len(tables.hccs))
    start = np.concatenate([[0], np.cumsum(np.bincount(hccs["number"].to_numpy(), minlength=codes.height))])
    instead, limits = _limits(edits, place)
    bits = np.zeros((len(members), n_words(tables)), dtype=np.uint64)
    mark(
        row,
        code,
        start,
        place[hccs["hcc"].to_numpy()],
        hccs["rule"].fill_null(-1).to_numpy(),
        instead,
        limits,
        members.age,
        members.female,
        bits,
    )
    return Mapped(bits, _unknown(codes, mine, known), int(np.count_nonzero(row < 0)))


def _rows(persons: pl.Series, ids: pl.Series, table: np.ndarray | None) -> np.ndarray:
    """Return the place of each person among the members, -1 for a stranger."""
    if table is None:  # two members of one hash: not once in ten billion runs of a million members
        both = pl.DataFrame({"id": ids}).with_row_index("row")
        found = persons.to_frame("id").join(both, on="id", how="left", maintain_order="left")["row"]
        return found.cast(pl.Int32).fill_null(-1).to_numpy()
    place, check = hashes(persons)
    row = np.empty(len(persons), dtype=np.int32)
    edges = [len(row) * part // THREADS for part in range(THREADS + 1)]
    with ThreadPoolExecutor(THREADS) as threads:
        list(
            threads.map(
                lambda low, high: find(table, place[low:high], check[low:high], row[low:high]),
                edges[:-1],
                edges[1:],
            )
        )
    return row


def _plain(code: pl.Series, rows: np.ndarray) -> pl.DataFrame:
    """Return each code as given, its number and rows, and as CMS writes it: no dot, no blank, in capitals."""
    plain = code.str.strip_chars().str.replace_all(".", "", literal=True).str.to_uppercase()
    return pl.DataFrame({"code": code, "rows": rows, "plain": plain}).with_row_index("number")


def _rules(edits: list[Edit]) -> pl.DataFrame:
    """Return the edit of each code that has one, by its place among `edits`."""
    pairs = [(code, number) for number, edit in enumerate(edits) for code in edit.codes]
    return pl.DataFrame(pairs, schema={"plain": pl.String, "rule": pl.Int16}, orient="row")


def _limits(edits: list[Edit], place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each edit's HCC by its place, -1 for none; and its age up to, age from and sex."""
    sexes = {None: -1, "male": 0, "female": 1}
    instead = np.array([place[edit.hcc] if edit.hcc else -1 for edit in edits], dtype=np.int64)
    limits = np.array(
        [
            (
                -1 if edit.age_to is None else edit.age_to,
                NO_AGE if edit.age_from is None else edit.age_from,
                sexes[edit.sex],
            )
            for edit in edits
        ],
        dtype=np.int64,
    )
    return instead, limits.reshape(len(edits), 3)


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
