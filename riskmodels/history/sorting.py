"""From rows laid aside to the sorted tables of a shard: duplicates, numbers, order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from riskmodels.history.schema import STORED
from riskmodels.history.staging import Staging, Tally

__all__ = ["Numbers", "finish_shard", "merge_persons", "shared_encounters"]

DUPLICATE = "the same row again"
CONFLICT = "another row has the same encounter_id and was recorded later, or sorts later"
SHARED = "several persons have the same encounter_id: told apart as ENCOUNTER@PERSON"
UNRESOLVED = "the encounter named is not in the encounter table: the event stands alone"
ORDER = {
    "person": ["person"],
    "coverage": ["person", "start_date", "end_date", "payer", "dual", "orig_disability", "esrd", "hospice"],
    "event": [
        "person",
        "time",
        "kind",
        "code",
        "position",
        "encounter",
        "value",
        "unit",
        "quantity",
        "days_supply",
        "paid",
        "recorded_at",
    ],
}


@dataclass
class Numbers:
    """What is counted up from shard to shard.

    Parameters
    ----------
    found : DataFrame
        code_system, code_text and the code each was given when it was first seen.
    shared : DataFrame
        person and encounter_id of encounters whose id several persons have.
    """

    found: pl.DataFrame
    shared: pl.DataFrame
    next_encounter: int = 0
    first: datetime | None = None
    last: datetime | None = None
    vocabulary: pl.DataFrame = field(init=False)
    final_code: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Give the codes numbers in sorted order, whatever the order in which they came."""
        ordered = self.found.sort("code_system", "code_text")
        self.final_code = np.empty(ordered.height, dtype=np.int32)
        self.final_code[ordered["code"].to_numpy()] = np.arange(ordered.height, dtype=np.int32)
        number = pl.int_range(pl.len(), dtype=pl.Int32).alias("code")
        self.vocabulary = ordered.select(number, "code_system", "code_text")

    def codes(self, events: pl.DataFrame) -> pl.Series:
        """Return the final numbers of the codes of events, which carry the first ones or the text."""
        if "code_text" not in events.columns:
            return pl.Series("code", self.final_code[events["code"].to_numpy()], dtype=pl.Int32)
        text = ["code_system", "code_text"]
        return events.select(text).join(self.vocabulary, on=text, how="left", maintain_order="left")["code"]

    def see(self, *instants: pl.Series) -> None:
        """Widen the range of time."""
        for values in instants:
            low, high = values.min(), values.max()
            if isinstance(low, datetime) and isinstance(high, datetime):
                self.first = low if self.first is None else min(low, self.first)
                self.last = high if self.last is None else max(high, self.last)


def merge_persons(rows: pl.DataFrame, dropped: Tally, noted: Tally) -> pl.DataFrame:
    """Return one row a person.

    Where rows of a person disagree, each column takes its earliest or alphabetically first value, a known sex
    before ``unknown``; how many persons disagree is noted for each column.
    """
    distinct = rows.unique()
    dropped.add("person", DUPLICATE, rows.height - distinct.height)
    columns = [name for name in rows.columns if name != "person_id"]
    known = distinct.with_columns(pl.col("sex").replace("unknown", None))
    grouped = known.group_by("person_id").agg(
        *[pl.col(name).min() for name in columns],
        *[pl.col(name).drop_nulls().n_unique().alias(f"n_{name}") for name in columns],
    )
    for name in columns:
        noted.add(
            "person", f"{name} differs between the rows of one person", int((grouped[f"n_{name}"] > 1).sum())
        )
    return grouped.select("person_id", *columns).with_columns(pl.col("sex").fill_null("unknown"))


def shared_encounters(staging: Staging, n_shards: int, noted: Tally) -> pl.DataFrame:
    """Return person and encounter_id of the encounters whose id more than one person has.

    Ids are compared over all shards by a hash of 64 bits (12 bytes an encounter), then exactly.
    """
    identity = ("person", "encounter_id")
    empty = pl.DataFrame(schema={"person": pl.Int32, "encounter_id": pl.String})
    hashes = [
        rows.select("person", pl.col("encounter_id").hash().alias("hash")).unique()
        for rows in _shards(staging, "encounter", n_shards)
    ]
    if not hashes:
        return empty
    suspects = pl.concat(hashes).filter(pl.col("hash").is_duplicated()).get_column("hash").unique()
    if suspects.is_empty():
        return empty
    candidates = [
        rows.select(identity).filter(pl.col("encounter_id").hash().is_in(suspects.implode())).unique()
        for rows in _shards(staging, "encounter", n_shards)
    ]
    shared = pl.concat(candidates).filter(pl.col("encounter_id").is_duplicated())
    noted.add("encounter", SHARED, shared.height)
    return shared


def finish_shard(
    staging: Staging, number: int, n_shards: int, numbers: Numbers, dropped: Tally, noted: Tally
) -> dict[str, pl.DataFrame]:
    """Return the four tables of a shard, as they are stored."""
    person = _ordered("person", staging.shard("person", number, n_shards), dropped)
    encounter, ids = _encounters(
        staging.shard("encounter", number, n_shards), person, numbers, dropped, noted
    )
    return {
        "person": person,
        "coverage": _ordered("coverage", staging.shard("coverage", number, n_shards), dropped),
        "encounter": encounter,
        "event": _events(staging.shard("event", number, n_shards), ids, numbers, dropped, noted),
    }


def _shards(staging: Staging, table: str, n_shards: int) -> Iterator[pl.DataFrame]:
    for number in range(n_shards):
        rows = staging.shard(table, number, n_shards)
        if rows is not None:
            yield rows


def _encounters(
    rows: pl.DataFrame | None, person: pl.DataFrame, numbers: Numbers, dropped: Tally, noted: Tally
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the encounters with their numbers, and the number of each (person, encounter_id)."""
    identity = ["person", "encounter_id"]
    if rows is None:
        table = pl.DataFrame(schema=STORED["encounter"])
        return table, table.select(*identity, "encounter")
    distinct = rows.unique()
    dropped.add("encounter", DUPLICATE, rows.height - distinct.height)
    # Of two versions of a claim the later one counts; the other columns only make the choice repeatable.
    others = [name for name in distinct.columns if name != "recorded_at"]
    newest = distinct.sort("recorded_at", *others, nulls_last=False).unique(identity, keep="last")
    dropped.add("encounter", CONFLICT, distinct.height - newest.height)
    ordered = newest.sort("person", "start", "end", "encounter_id")
    number = pl.int_range(numbers.next_encounter, numbers.next_encounter + ordered.height, dtype=pl.Int32)
    ordered = ordered.with_columns(number.alias("encounter"))
    numbers.next_encounter += ordered.height
    numbers.see(ordered["start"], ordered["end"])
    ids = ordered.select(*identity, "encounter")
    apart = numbers.shared.join(person.select("person", "person_id"), on="person", how="inner")
    ordered = ordered.join(apart, on=identity, how="left", maintain_order="left").with_columns(
        pl.when(pl.col("person_id").is_null())
        .then(pl.col("encounter_id"))
        .otherwise(pl.format("{}@{}", "encounter_id", "person_id"))
        .alias("encounter_id")
    )
    return _stored("encounter", ordered), ids


def _events(
    rows: pl.DataFrame | None, ids: pl.DataFrame, numbers: Numbers, dropped: Tally, noted: Tally
) -> pl.DataFrame:
    if rows is None:
        return pl.DataFrame(schema=STORED["event"])
    code = numbers.codes(rows)
    unnamed = rows["encounter_id"].null_count()
    rows = rows.with_columns(code).join(ids, on=["person", "encounter_id"], how="left")
    noted.add("event", UNRESOLVED, rows["encounter"].null_count() - unnamed)
    numbers.see(rows["time"])
    return _ordered("event", rows, dropped)


def _stored(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(dtype) for name, dtype in STORED[table].items())


def _ordered(table: str, rows: pl.DataFrame | None, dropped: Tally) -> pl.DataFrame:
    """Sort a table and leave out rows that are the same as the row before."""
    if rows is None:
        return pl.DataFrame(schema=STORED[table])
    rows = _stored(table, rows)
    if rows.is_empty():
        return rows
    # A column without values orders nothing, and claims have several.
    keys = [name for name in ORDER[table] if rows[name].null_count() < rows.height]
    rows = rows.sort(keys, nulls_last=True)
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in keys)
    kept = rows.filter(~same | (pl.int_range(pl.len()) == 0))
    dropped.add(table, DUPLICATE, rows.height - kept.height)
    return kept
