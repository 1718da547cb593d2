"""Lay rows aside for a history, with small whole numbers in place of identifiers and codes."""

import logging
from collections.abc import Iterable

import polars as pl

from riskmodels.errors import DataError, StoreError
from riskmodels.history.schema import CODE_SYSTEMS
from riskmodels.history.sorting import merge_persons
from riskmodels.history.staging import NO_PERSON, Part, Staging, Tally, prepare
from riskmodels.progress import track

__all__ = ["coded", "lay_aside"]

logger = logging.getLogger(__name__)


def lay_aside(
    parts: Iterable[Part],
    staging: Staging,
    dropped: Tally,
    noted: Tally,
    *,
    persons: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Lay all rows aside with numbers for persons and codes; return the codes in order of appearance.

    Parameters
    ----------
    persons : DataFrame of person_id, person, optional
        Where the persons have been laid aside before.

    Raises
    ------
    StoreError
        A part of table person comes after another table's.
    """
    waiting: list[pl.DataFrame] = []
    systems = pl.Enum(CODE_SYSTEMS)
    vocabulary = pl.DataFrame(schema={"code_system": systems, "code_text": pl.String, "code": pl.Int32})
    for part in track(parts, "Reading", unit="part", name=lambda part: part.label):
        rows = 0
        for frame in prepare(part, dropped):
            rows += frame.height
            if part.table == "person":
                if persons is not None:
                    raise StoreError(f"{part.label}: the parts of table person must come before all others.")
                waiting.append(frame)
                continue
            if persons is None:
                persons = _number_persons(waiting, staging, dropped, noted)
            known = _of_persons(frame, persons)
            dropped.add(part.table, NO_PERSON, frame.height - known.height)
            if part.table == "event":
                known, vocabulary = coded(known, vocabulary)
            staging.add(part.table, known)
        logger.info("%s: %d rows of %s", part.label, rows, part.table)
    if persons is None:
        _number_persons(waiting, staging, dropped, noted)
    return vocabulary.with_columns(pl.col("code_system").cast(pl.String))


def _of_persons(rows: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of persons who are in the person table, with their numbers."""
    number = rows.select("person_id").join(persons, on="person_id", how="left", maintain_order="left")[
        "person"
    ]
    rows = rows.drop("person_id").with_columns(number)
    return rows.filter(pl.col("person").is_not_null()) if number.null_count() else rows


def coded(events: pl.DataFrame, vocabulary: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the events with numbers for codes, and the vocabulary with the codes that are new."""
    keys = ["code_system", "code_text"]
    texts = events.select("code_system", code_text="code")
    found = texts.join(vocabulary, on=keys, how="left", maintain_order="left")["code"]
    if found.null_count():
        new = texts.filter(found.is_null()).unique()
        number = pl.int_range(vocabulary.height, vocabulary.height + new.height, dtype=pl.Int32).alias("code")
        vocabulary = pl.concat([vocabulary, new.with_columns(number)])
        found = texts.join(vocabulary, on=keys, how="left", maintain_order="left")["code"]
    return events.drop("code_system").with_columns(found), vocabulary


def _number_persons(
    waiting: list[pl.DataFrame], staging: Staging, dropped: Tally, noted: Tally
) -> pl.DataFrame:
    if not any(frame.height for frame in waiting):
        raise DataError("there is not one person with an id, a birth date and a sex in the input")
    persons = merge_persons(pl.concat(waiting, how="diagonal"), dropped, noted).sort("person_id")
    persons = persons.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("person"))
    staging.add("person", persons)
    return persons.select("person_id", "person")
