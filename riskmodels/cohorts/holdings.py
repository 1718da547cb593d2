"""What a history holds of what tasks need, counted in one pass over its shards."""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from riskmodels.cohorts.coverage import covered_spans
from riskmodels.history import History, Shard
from riskmodels.progress import track

__all__ = ["Holdings", "take_stock"]

SOON = 30


@dataclass
class Holdings:
    """Counts of a whole history.

    Attributes
    ----------
    counts : Counter of str
        persons, covered, deaths, deaths_after_admission; ``KIND`` encounters, ``KIND:COLUMN`` those that say
        something in a column (facility_id, discharge_disposition, admission_type, allowed, paid, principal);
        inpatient:procedure; dual.
    systems : Counter of str
        Diagnosis events by code system.
    spans : list of int
        Length in days of the longest span of coverage of each covered person.
    """

    counts: Counter[str] = field(default_factory=Counter)
    systems: Counter[str] = field(default_factory=Counter)
    spans: list[int] = field(default_factory=list)

    def share(self, what: str, of: str) -> float:
        """Return a count over another; 0 where there is none of the other."""
        return self.counts[what] / self.counts[of] if self.counts[of] else 0.0


COLUMNS = ("facility_id", "provider_id", "discharge_disposition", "admission_type", "allowed", "paid")


def take_stock(history: History) -> Holdings:
    """Count what a history holds, one shard at a time."""
    found = Holdings()
    systems = history.vocabulary.select("code", "code_system")
    for shard in track(history.shards(), "Seeing what tasks it can support", total=history.n_shards):
        _count(shard, systems, found)
    return found


def _count(shard: Shard, systems: pl.DataFrame, found: Holdings) -> None:
    counts = found.counts
    counts["persons"] += shard.person.height
    counts["deaths"] += shard.person["death_date"].drop_nulls().len()
    counts["dual"] += shard.coverage["dual"].drop_nulls().len()
    diagnoses = shard.event.filter(pl.col("kind") == "diagnosis")
    principal = diagnoses.filter(pl.col("position") == 1)["encounter"].drop_nulls().unique()
    operated = shard.event.filter(pl.col("kind") == "procedure")["encounter"].drop_nulls().unique()
    rows = shard.encounter.with_columns(
        principal=pl.col("encounter").is_in(principal.implode()),
        procedure=pl.col("encounter").is_in(operated.implode()),
    )
    said = rows.group_by(pl.col("kind").cast(pl.String)).agg(
        pl.len(), *(pl.col(name).count() for name in COLUMNS), pl.col("principal", "procedure").sum()
    )
    for row in said.to_dicts():
        kind = row.pop("kind")
        counts[kind] += row.pop("len")
        for name, number in row.items():
            counts[f"{kind}:{name}"] += number
    of_system = diagnoses.join(systems, on="code").group_by("code_system").len()
    found.systems.update(dict(of_system.iter_rows()))
    longest = (
        covered_spans(shard.coverage)
        .with_columns(days=(pl.col("span_end") - pl.col("span_start")).dt.total_days() + 1)
        .group_by("person")
        .agg(pl.col("days").max())
    )
    counts["covered"] += longest.height
    found.spans += longest["days"].to_list()
    died = shard.person.drop_nulls("death_date").select("person", "death_date")
    admitted = shard.encounter.filter(pl.col("kind") == "inpatient").join(died, on="person")
    after = (pl.col("death_date") - pl.col("start").dt.date()).dt.total_days()
    soon = admitted.filter(after.is_between(0, SOON))
    counts["deaths_after_admission"] += soon["person"].n_unique()
