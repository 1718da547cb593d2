"""From rows laid aside to the sorted tables of a shard: duplicates, numbers, order."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from riskmodels.history.ordering import sort_distinct
from riskmodels.history.schema import STORED, TABLES
from riskmodels.history.staging import Staging, Tally, with_columns_of

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
    rows = with_columns_of("person", rows).cast({"sex": pl.String})
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

    Ids are compared over all shards by a hash of 64 bits (8 bytes an encounter), then exactly.
    """
    empty = pl.DataFrame(schema={"person": pl.Int32, "encounter_id": pl.String})
    if not staging.encounter_hashes:
        return empty
    hashes = np.concatenate(staging.encounter_hashes)
    staging.encounter_hashes.clear()
    hashes.sort()  # in place: there may be many millions
    suspects = pl.Series(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]), dtype=pl.UInt64)
    if suspects.is_empty():
        return empty
    candidates = []
    for number in range(n_shards):
        rows = staging.shard("encounter", number, n_shards, ["person", "encounter_id"])
        if rows is not None:
            hashed = pl.col("encounter_id").hash()
            candidates.append(rows.filter(hashed.is_in(suspects.implode())).unique())
    shared = pl.concat(candidates).filter(pl.col("encounter_id").is_duplicated())
    noted.add("encounter", SHARED, shared.height)
    return shared.select(empty.columns)


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


def _encounters(
    rows: pl.DataFrame | None, person: pl.DataFrame, numbers: Numbers, dropped: Tally, noted: Tally
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the encounters with their numbers, and the number of each (person, encounter_id)."""
    identity = ["person", "encounter_id"]
    if rows is None:
        table = pl.DataFrame(schema=STORED["encounter"])
        return table, table.select(*identity, "encounter")
    twice = rows.select(identity).is_duplicated()
    if twice.any():
        rows = pl.concat([rows.filter(~twice), _settled(rows.filter(twice), identity, dropped)])
    ordered, _ = sort_distinct(rows, ["person", "start", "end", "encounter_id"])
    number = pl.int_range(numbers.next_encounter, numbers.next_encounter + ordered.height, dtype=pl.Int32)
    ordered = ordered.with_columns(number.alias("encounter"))
    numbers.next_encounter += ordered.height
    numbers.see(ordered["start"], ordered["end"])
    ids = ordered.select(*identity, "encounter")
    if not numbers.shared.is_empty():
        apart = numbers.shared.join(person.select("person", "person_id"), on="person", how="inner")
        ordered = ordered.join(apart, on=identity, how="left", maintain_order="left").with_columns(
            pl.when(pl.col("person_id").is_null())
            .then(pl.col("encounter_id"))
            .otherwise(pl.format("{}@{}", "encounter_id", "person_id"))
            .alias("encounter_id")
        )
    return _stored("encounter", ordered), ids


def _settled(rows: pl.DataFrame, identity: list[str], dropped: Tally) -> pl.DataFrame:
    """Return one of the rows of each encounter that is there more than once."""
    distinct = rows.unique()
    dropped.add("encounter", DUPLICATE, rows.height - distinct.height)
    # Of two versions of a claim the later one counts; the other columns only make the choice repeatable.
    text = distinct.with_columns(
        pl.col(name).cast(column.dtype) for name, column in TABLES["encounter"].items() if column.options
    )
    others = [name for name in rows.columns if name != "recorded_at"]
    order = text.with_row_index("_row").sort("recorded_at", *others, nulls_last=False)["_row"]
    newest = distinct[order].unique(identity, keep="last")
    dropped.add("encounter", CONFLICT, distinct.height - newest.height)
    return newest


def _events(
    rows: pl.DataFrame | None, ids: pl.DataFrame, numbers: Numbers, dropped: Tally, noted: Tally
) -> pl.DataFrame:
    if rows is None:
        return pl.DataFrame(schema=STORED["event"])
    code = pl.Series("code", numbers.final_code[rows["code"].to_numpy()], dtype=pl.Int32)
    rows = rows.with_columns(code, encounter=_encounter_of(rows, ids, numbers))
    unnamed = rows["encounter_id"].null_count()
    noted.add("event", UNRESOLVED, rows["encounter"].null_count() - unnamed)
    numbers.see(rows["time"])
    return _ordered("event", rows, dropped)


def _encounter_of(rows: pl.DataFrame, ids: pl.DataFrame, numbers: Numbers) -> pl.Series:
    """Return the number of the encounter that each event names, null where it is not one of the person's."""
    if rows["encounter_id"].null_count() == rows.height:
        return pl.repeat(None, rows.height, dtype=pl.Int32, eager=True)
    named = rows.select("person", "encounter_id")
    if not numbers.shared.is_empty():
        found = named.join(ids, on=["person", "encounter_id"], how="left", maintain_order="left")
        return found["encounter"]
    # An id is of one person only: to look for the id alone is quicker.
    found = named.join(ids, on="encounter_id", how="left", maintain_order="left", suffix="_of")
    same = pl.when(pl.col("person") == pl.col("person_of")).then(pl.col("encounter"))
    return found.select(same).to_series()


def _stored(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(dtype) for name, dtype in STORED[table].items())


def _ordered(table: str, rows: pl.DataFrame | None, dropped: Tally) -> pl.DataFrame:
    """Sort a table and leave out rows that are the same as the row before."""
    if rows is None:
        return pl.DataFrame(schema=STORED[table])
    kept, again = sort_distinct(_stored(table, rows), ORDER[table])
    dropped.add(table, DUPLICATE, again)
    return kept
