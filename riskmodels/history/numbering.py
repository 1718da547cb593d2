"""Lay rows aside for a history, with small whole numbers in place of identifiers and codes."""

import logging
from collections.abc import Iterable

import polars as pl

from riskmodels.errors import DataError, StoreError
from riskmodels.history.sorting import merge_persons
from riskmodels.history.staging import NO_PERSON, Part, Staging, Tally, prepare
from riskmodels.progress import track

__all__ = ["FOUND", "extend", "lay_aside", "number_persons"]

FOUND = {"code_system": pl.String, "code_text": pl.String, "code": pl.Int32}

logger = logging.getLogger(__name__)


def lay_aside(
    parts: Iterable[Part],
    staging: Staging,
    dropped: Tally,
    noted: Tally,
    *,
    persons: pl.DataFrame | None = None,
    numbered: bool = True,
) -> pl.DataFrame:
    """Lay all rows aside with numbers for persons and codes; return the codes in order of appearance.

    Parameters
    ----------
    persons : DataFrame of person_id, person, optional
        Where the persons have been laid aside before.
    numbered : bool
        False: codes stay text, since nobody has seen all of them.
    """
    waiting: list[pl.DataFrame] = []
    vocabulary = pl.DataFrame(schema=FOUND)
    for part in track(parts, "Reading", unit="part", name=lambda part: part.label):
        frame = prepare(part, dropped)
        logger.info("%s: %d rows of %s", part.label, frame.height, part.table)
        if part.table == "person":
            if persons is not None:
                raise StoreError(f"{part.label}: the parts of table person must come before all others.")
            waiting.append(frame)
            continue
        if persons is None:
            persons = number_persons(waiting, staging, dropped, noted)
        known = frame.join(persons, on="person_id", how="inner").drop("person_id")
        dropped.add(part.table, NO_PERSON, frame.height - known.height)
        if part.table == "event":
            vocabulary = extend(vocabulary, known)
            known = known.rename({"code": "code_text"})
            if numbered:
                keys = ["code_system", "code_text"]
                known = known.join(vocabulary, on=keys, how="left").drop(keys)
        staging.add(part.table, known)
    if persons is None:
        number_persons(waiting, staging, dropped, noted)
    return vocabulary


def number_persons(
    waiting: list[pl.DataFrame], staging: Staging, dropped: Tally, noted: Tally
) -> pl.DataFrame:
    """Lay the persons aside; return the number of each person_id, in sorted order."""
    if not any(frame.height for frame in waiting):
        raise DataError("there is not one person with an id, a birth date and a sex in the input")
    persons = merge_persons(pl.concat(waiting), dropped, noted).sort("person_id")
    persons = persons.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("person"))
    staging.add("person", persons)
    return persons.select("person_id", "person")


def extend(vocabulary: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return the vocabulary with the codes of events that it has not yet."""
    found = events.select("code_system", pl.col("code").alias("code_text")).unique()
    new = found.join(vocabulary, on=["code_system", "code_text"], how="anti")
    number = pl.int_range(vocabulary.height, vocabulary.height + new.height, dtype=pl.Int32).alias("code")
    return pl.concat([vocabulary, new.with_columns(number)])
