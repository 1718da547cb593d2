"""No count of 1 to 10 can be read or worked out of a benchmark."""

import polars as pl
import pytest

from riskmodels.benchmarks import suppress_small_cells
from riskmodels.benchmarks.suppression import FUNNELS, WITHHELD


def table(rows: list[tuple[str, int, int]], persons: list[int] | None = None) -> pl.DataFrame:
    """Return a table of (entity, n, observed) in the form of `standardise`."""
    ids, n, observed = zip(*rows, strict=True)
    expected = [0.2 * count for count in n]
    ratio = [o / e for o, e in zip(observed, expected, strict=True)]
    return pl.DataFrame(
        {
            "facility_id": ids,
            "n": n,
            "persons": persons or n,
            "observed": observed,
            "expected": expected,
            **dict.fromkeys(WITHHELD[1:], ratio),
            **dict.fromkeys(FUNNELS, ratio),
        }
    )


@pytest.mark.parametrize(
    ("rows", "hidden", "hidden_size"),
    [
        ([("a", 100, 20), ("b", 100, 20)], [], []),
        ([("a", 100, 20), ("b", 100, 10), ("c", 100, 10)], ["b", "c"], []),
        ([("a", 100, 30), ("b", 100, 20), ("c", 100, 10)], ["b", "c"], []),
        ([("a", 100, 0), ("b", 100, 20)], ["a"], []),
        ([("a", 100, 0), ("b", 100, 7), ("c", 100, 20), ("d", 100, 30)], ["a", "b", "c"], []),
        ([("a", 25, 20), ("b", 100, 20), ("c", 100, 30)], ["a", "b"], []),
        ([("a", 10, 0), ("b", 10, 0), ("c", 90, 20)], ["a", "b"], ["a", "b"]),
        ([("a", 10, 0), ("b", 50, 20), ("c", 90, 20)], ["a", "b"], ["a", "b"]),
        ([("a", 100, 5), ("b", 100, 5), ("c", 100, 20), ("d", 100, 30)], ["a", "b", "c"], []),
    ],
    ids=[
        "nothing small",
        "two small counts",
        "one small count takes the next with it",
        "none observed is withheld as well",
        "none observed does not hide a small count beside it",
        "few without the outcome",
        "two small sizes",
        "one small size takes the next with it",
        "small counts that sum to ten take one more",
    ],
)
def test_what_is_hidden(rows: list[tuple[str, int, int]], hidden: list[str], hidden_size: list[str]) -> None:
    found = suppress_small_cells(table(rows))
    assert found.filter("suppressed")["facility_id"].to_list() == hidden
    assert found.filter(pl.col("n").is_null())["facility_id"].to_list() == hidden_size
    withheld = found.filter("suppressed").select(WITHHELD)
    assert withheld.null_count().row(0) == (len(hidden),) * len(WITHHELD)
    assert found.filter(~pl.col("suppressed")).select(WITHHELD).null_count().row(0) == (0,) * len(WITHHELD)


@pytest.mark.parametrize("observed", range(1, 11))
def test_a_total_does_not_give_a_small_count_away(observed: int) -> None:
    """The suppressed counts are two or more and sum to 11 or more, whatever the small count is."""
    rows = [("a", 100, observed), ("b", 200, 30), ("c", 300, 50)]
    secret = suppress_small_cells(table(rows)).filter("suppressed")["facility_id"].to_list()
    counts = [count for entity, _, count in rows if entity in secret]
    assert len(counts) >= 2
    assert sum(counts) >= 11


def test_few_patients_with_many_stays_are_small() -> None:
    found = suppress_small_cells(table([("a", 30, 15), ("b", 100, 20), ("c", 100, 40)], persons=[3, 90, 80]))
    assert found.filter(pl.col("n").is_null())["facility_id"].to_list() == ["a", "b"]


def test_a_minimum_number_of_stays() -> None:
    """HRRP assesses hospitals with 25 stays or more; a smaller one is not assessed, its size is no secret."""
    found = suppress_small_cells(table([("a", 24, 12), ("b", 100, 20), ("c", 30, 15)]), minimum_n=25)
    assert found.filter(pl.col("note") == "fewer than 25 stays")["facility_id"].to_list() == ["a"]
    assert found["n"].to_list() == [24, 100, 30]
