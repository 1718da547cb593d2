"""HCC scores of index cases, to compare and to adjust with."""

from typing import TYPE_CHECKING

import polars as pl

from riskmodels.benchmarks.hcc.eligible import history_diagnoses
from riskmodels.benchmarks.hcc.histories import history_members
from riskmodels.benchmarks.hcc.scores import hcc_scores

if TYPE_CHECKING:
    from riskmodels.history import History

__all__ = ["hcc_of_cases"]

FIRST_V24, LAST_V24 = 2019, 2025


def hcc_of_cases(history: "History", cases: pl.DataFrame, *, concurrent: bool = False) -> pl.DataFrame:
    """Return the raw CMS-HCC score of each person on each index date in January: index_id and hcc.

    The score is that of the payment year of the date (with `concurrent`, of the next one): V24 up to 2025,
    V28 from then on. Persons whom the history does not show covered then have none.
    """
    parts = []
    for year in sorted(cases["index_time"].dt.year().unique()):
        rows = cases.filter(pl.col("index_time").dt.year() == year).select("index_id", "person_id")
        shown = year + concurrent
        model = "CMS-HCC V24" if year <= LAST_V24 else "CMS-HCC V28"
        members = history_members(history, year).join(rows, on="person_id", how="semi")
        if concurrent:
            members = members.with_columns(new_enrollee=pl.lit(value=False))
        diagnoses, _ = history_diagnoses(history, shown - 1)
        diagnoses = diagnoses.join(members.select("person_id"), on="person_id", how="semi")
        score = hcc_scores(members, diagnoses, model, max(year, FIRST_V24)).frame.select(
            "person_id", hcc="raw"
        )
        parts.append(rows.join(score, on="person_id", how="left").select("index_id", "hcc"))
    return pl.concat(parts)
