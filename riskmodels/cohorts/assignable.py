"""Who can be assigned at all: 42 CFR 425.401, as far as a history tells."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from riskmodels.engines import Engine, LocalEngine, Tables
from riskmodels.history import History

__all__ = ["HEALTH_PLANS", "assignable_people"]

# Words of `coverage.payer` for a Medicare health plan in place of fee-for-service.
HEALTH_PLANS = ("medicare_advantage", "medicare advantage", "ma", "medicare_hmo", "medicare hmo")


def assignable_people(
    history: History,
    first: date,
    last: date,
    performance_year: int,
    *,
    engine: Engine | None = None,
) -> pl.DataFrame:
    """Return for every person whether the rules of enrolment let a provider answer for them.

    425.401(a) asks of the assignment window: at least a month of Parts A and B and none of one of them
    alone, no month in a Medicare health plan, no other shared savings initiative, and a residence in the
    United States. 425.401(b) asks for the first two in the performance year, too, of people who are
    assigned before it. Here `by_claims` is coverage on a day of the window and no day of it in a health
    plan; `by_designation` adds no day of the performance year in a health plan, and being alive when it
    begins. A history keeps the days on which both parts cover; one part alone, other initiatives and
    residence it cannot tell.

    Parameters
    ----------
    first, last : date
        The assignment window, both days included.
    performance_year : int

    Returns
    -------
    DataFrame of person_id, by_claims, by_designation
        Both are true for everybody where the history has no coverage at all, but for the dead.
    """
    told = history.manifest.rows["coverage"] > 0
    task = _ShardPeople(history, first, last, performance_year, told)
    runs = (engine or LocalEngine()).run(task, dict.fromkeys(range(history.n_shards)), "Reading coverage")
    return pl.concat([tables["people"] for _, tables in runs])


@dataclass(frozen=True)
class _ShardPeople:
    """Who can be assigned, in the shards of a history."""

    history: History
    first: date
    last: date
    performance_year: int
    told: bool

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        shard = self.history.shard(number, ("person", "coverage"))
        begin, end = date(self.performance_year, 1, 1), date(self.performance_year, 12, 31)
        plan = pl.col("payer").str.to_lowercase().is_in(HEALTH_PLANS).fill_null(False)

        def meets(since: date, until: date) -> pl.Expr:
            return (pl.col("start_date") <= until) & (pl.col("end_date") >= since)

        facts = shard.coverage.group_by("person").agg(
            covered=meets(self.first, self.last).any(),
            plan_before=(plan & meets(self.first, self.last)).any(),
            plan_then=(plan & meets(begin, end)).any(),
        )
        people = shard.person.join(facts, on="person", how="left", maintain_order="left")
        by_claims = pl.col("covered").fill_null(False) & ~pl.col("plan_before").fill_null(False)
        alive = pl.col("death_date").is_null() | (pl.col("death_date") >= begin)
        stays = ~pl.col("plan_then").fill_null(False)
        if not self.told:
            by_claims, stays = pl.lit(True), pl.lit(True)
        return {
            "people": people.select(
                "person_id", by_claims=by_claims, by_designation=by_claims & stays & alive
            )
        }
