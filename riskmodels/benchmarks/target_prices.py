"""Target prices of bundled-payment episodes from a baseline, with draws that `pay` takes."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels import __version__
from riskmodels.benchmarks.credibility import buhlmann_straub
from riskmodels.benchmarks.result import Benchmark
from riskmodels.errors import DataError, SpecError

__all__ = ["TargetPriceBenchmark", "target_prices"]

NEEDED = ("participant_id", "episode_category", "start", "cost")
TAIL = 0.99
FEWEST = 20
"""Baseline episodes that a category must have for a price."""


@dataclass(frozen=True, eq=False)
class TargetPriceBenchmark(Benchmark):
    """The episodes of the performance period with their target prices; draws by participant.

    `frame` has the columns of the episodes and ``target_price``; `tables["prices"]` participant_id,
    episode_category, episodes, observed and expected (dollars), ratio and credibility.
    """

    def to_text(self) -> str:
        """Return a summary of a few lines."""
        known = self.metadata
        prices = self.tables["prices"].group_by("episode_category", maintain_order=True)
        lines = [
            f"{self.frame.height:,} episodes from {known['performance_from']} on",
            f"  priced on {known['baseline_episodes']:,} before",
        ]
        for (category,), rows in prices:
            n, spent, due = (float(rows[name].sum()) for name in ("episodes", "observed", "expected"))
            lines.append(
                f"  {category}: {n:,.0f} episodes, mean cost ${spent / n:,.0f}, mean target ${due / n:,.0f}, "
                f"trend {known['trend'][str(category)]:.3f}"
            )
        return "\n".join(lines)


def target_prices(
    episodes: Any,
    performance_from: date,
    *,
    discount: float = 0.0,
    trend: float | None = None,
    trend_cap: float | None = None,
    credibility: str = "none",
    n_draws: int = 200,
    seed: int = 0,
) -> TargetPriceBenchmark:
    """Price the episodes of a performance period on those of a baseline.

    A price is the mean cost of the category's baseline episodes, of all participants, times trend, less the
    discount; with ``credibility="buhlmann"`` it is blended with the participant's own baseline mean.

    Parameters
    ----------
    episodes : frame
        What `riskmodels episodes` writes: participant_id, episode_category, start and cost, and where known
        winsor_low and winsor_high, between which costs are held; without them baseline costs are held at the
        99th percentile of their category.
    performance_from : date
        Episodes that start before are the baseline.
    discount : float
        The program's share of the price, such as 0.02 (42 CFR 512.540 has the model's).
    trend : float, optional
        Growth from the baseline to the performance period; by default that of all participants' mean costs by
        category (a retrospective trend), at most 1 +- `trend_cap` where that is given.
    credibility : {"none", "buhlmann"}
        Whether a participant's own baseline counts.
    n_draws : int
        Bootstrap draws of episodes, which stand for patients: few have two.

    Raises
    ------
    DataError
        A column is missing, a period has no episodes, or a category has fewer than 20 in the baseline.
    """
    if not 0 <= discount < 1:
        raise SpecError(f"discount is {discount}: give a share from 0 to below 1")
    if credibility not in ("none", "buhlmann"):
        raise SpecError(f"credibility is {credibility!r}: give 'none' or 'buhlmann'")
    frame = _read(episodes)
    before = (frame["start"] < performance_from).to_numpy()
    if before.all() or not before.any():
        raise DataError(
            f"all episodes start {'before' if before.all() else 'from'} {performance_from}"
            f"{'' if before.all() else ' on'}",
            column="start",
            fix="choose a day inside the episodes' time: those before it are the baseline",
        )
    categories = frame["episode_category"].unique().sort()
    participants = frame["participant_id"].unique().sort()
    kind = _places(frame["episode_category"], categories)
    who = _places(frame["participant_id"], participants)
    counts = np.bincount(kind[before], minlength=len(categories))
    if counts.min() < FEWEST:
        few = categories[int(counts.argmin())]
        raise DataError(
            f"{few!r} has {int(counts.min())} baseline episodes, and a price needs {FEWEST}",
            fix="leave the category out, or give a longer baseline",
        )
    held = _held(frame, before)
    pairs = who * len(categories) + kind
    belief = np.zeros(len(participants))
    if credibility == "buhlmann":
        mean = np.bincount(kind[before], held[before], len(categories)) / counts
        belief = buhlmann_straub(held[before], mean[kind[before]], who[before], len(participants))
    shape = (len(participants), len(categories))

    def priced(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return prices (participants, categories), trends, and performance episodes by pair."""
        base, now = weight * before, weight * ~before
        spent, number = (np.bincount(kind, base * value, len(categories)) for value in (held, 1.0))
        mean = spent / np.maximum(number, 1e-12)
        if trend is None:
            later = np.bincount(kind, now * held, len(categories))
            growth = later / np.maximum(np.bincount(kind, now, len(categories)), 1e-12) / mean
            growth = np.where(growth > 0, growth, 1.0)
            growth = growth if trend_cap is None else np.clip(growth, 1 - trend_cap, 1 + trend_cap)
        else:
            growth = np.full(len(categories), trend)
        own_spent, own_number = (
            np.bincount(pairs, base * value, shape[0] * shape[1]).reshape(shape) for value in (held, 1.0)
        )
        own = np.where(own_number > 0, own_spent / np.maximum(own_number, 1e-12), mean)
        price = (belief[:, None] * own + (1 - belief[:, None]) * mean) * growth * (1 - discount)
        return price, growth, np.bincount(pairs, now, shape[0] * shape[1]).reshape(shape)

    price, growth, number = priced(np.ones(frame.height))
    later = frame.with_columns(target_price=pl.Series(price[who, kind])).filter(pl.Series(~before))
    spent = np.bincount(pairs, held * ~before, shape[0] * shape[1]).reshape(shape)
    draws = []
    random = np.random.default_rng(seed)
    for draw in range(n_draws):
        drawn = random.integers(0, frame.height, frame.height)
        weight = np.bincount(drawn, minlength=frame.height).astype(float)
        again, _, times = priced(weight)
        cost = np.bincount(who, weight * held * ~before, len(participants))
        # As factors of what stands in the file: dollars an episode, times the episodes there are.
        each = times.sum(axis=1)
        fixed = number.sum(axis=1)
        scale = np.divide(fixed, each, out=np.full(len(each), np.nan), where=each > 0)
        due = (again * times).sum(axis=1) * scale
        draws.append((draw, due, cost * scale))
    prices = _prices(participants, categories, number, spent, price, belief)
    metadata = {
        "by": "participant_id",
        "performance_from": str(performance_from),
        "baseline_episodes": int(before.sum()),
        "discount": discount,
        "trend": {str(name): float(value) for name, value in zip(categories, growth, strict=True)},
        "trend_cap": trend_cap,
        "credibility": credibility,
        "n_draws": n_draws,
        "seed": seed,
        "riskmodels_version": __version__,
    }
    return TargetPriceBenchmark(later, _draw_frame(participants, draws), metadata, {"prices": prices})


def _read(episodes: Any) -> pl.DataFrame:
    frame = nw.from_native(episodes, eager_only=True).to_polars()
    for name in NEEDED:
        if name not in frame.columns:
            raise DataError(
                "the episodes lack the column", column=name, fix="make them with: riskmodels episodes"
            )
    if frame.schema["start"] == pl.String:
        frame = frame.with_columns(pl.col("start").str.to_date(strict=False))
    frame = frame.with_columns(pl.col("start").cast(pl.Date), pl.col("participant_id").cast(pl.String))
    bad = frame.filter(pl.any_horizontal(pl.col(NEEDED).is_null()) | (pl.col("cost") < 0))
    if bad.height:
        raise DataError(
            f"{bad.height} episodes have no start, cost or participant, or cost less than nothing"
        )
    return frame


def _held(frame: pl.DataFrame, before: np.ndarray) -> np.ndarray:
    """Return costs inside the limits of their episode, or at most at the baseline's 99th percentile."""
    if {"winsor_low", "winsor_high"} <= set(frame.columns):
        held = pl.min_horizontal(pl.max_horizontal("cost", "winsor_low"), "winsor_high")
        return frame.select(held).to_series().to_numpy()
    limits = (
        frame.filter(pl.Series(before))
        .group_by("episode_category")
        .agg(limit=pl.col("cost").quantile(TAIL, "linear"))
    )
    joined = frame.join(limits, on="episode_category", how="left", maintain_order="left")
    return joined.select(pl.min_horizontal("cost", "limit")).to_series().to_numpy()


def _places(values: pl.Series, among: pl.Series) -> np.ndarray:
    numbers = pl.Series(range(len(among)), dtype=pl.Int64)
    return values.replace_strict(among, numbers, return_dtype=pl.Int64).to_numpy()


def _prices(
    participants: pl.Series,
    categories: pl.Series,
    number: np.ndarray,
    spent: np.ndarray,
    price: np.ndarray,
    belief: np.ndarray,
) -> pl.DataFrame:
    count = len(categories)
    frame = pl.DataFrame(
        {
            "participant_id": participants.gather(np.repeat(np.arange(len(participants)), count)),
            "episode_category": pl.concat([categories] * len(participants)),
            "episodes": number.ravel().astype(int),
            "observed": spent.ravel(),
            "expected": (price * number).ravel(),
            "target_price": price.ravel(),
            "credibility": np.repeat(belief, count),
        }
    )
    return frame.filter(pl.col("episodes") > 0).with_columns(ratio=pl.col("observed") / pl.col("expected"))


def _draw_frame(participants: pl.Series, draws: list[tuple[int, np.ndarray, np.ndarray]]) -> pl.DataFrame:
    parts = [
        pl.DataFrame(
            {
                "participant_id": participants,
                "draw": draw,
                "ratio": cost / due,
                "observed": cost,
                "expected": due,
            },
            schema_overrides={"draw": pl.Int32},
        )
        for draw, due, cost in draws
    ]
    figures = dict.fromkeys(("ratio", "observed", "expected"), pl.Float64)
    empty = pl.DataFrame(schema={"participant_id": pl.String, "draw": pl.Int32, **figures})
    return pl.concat([empty, *parts]).fill_nan(None).drop_nulls("expected")
