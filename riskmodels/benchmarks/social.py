"""Social risk beside a benchmark: adjusted for, by level, and among peers; never inside it unasked.

Programs differ in what they do about social risk. HRRP adjusts no rate for it and compares hospitals within
five groups of like dual share (42 CFR 412.152, 412.154); Hospital VBP and ACO REACH add points or dollars by
the share of underserved patients. So the benchmark itself stays as it is, and what each way would show stands
beside it.

The effect of a level is what it is *within* entities: the model holds the entities' effects and each entity's
share of the level too (Mundlak, Econometrica 1978;46:69-85), and only the patient's own level goes into the
adjusted expectation. Otherwise the low quality of places that serve the poor would count as the patients'
risk (ASPE's first Report to Congress on social risk, 2016, splits within from between providers likewise).
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.benchmarks.hierarchical import fit_hierarchical
from riskmodels.benchmarks.intervals import normal_quantile
from riskmodels.benchmarks.standardise import standardise
from riskmodels.benchmarks.suppression import suppress_parts, suppress_small_cells, unsuppressed, withhold
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.evaluation.suppression import SMALLEST_CELL

if TYPE_CHECKING:
    from riskmodels.history import History

__all__ = ["SocialLevels", "social_levels", "social_tables"]

PEER_GROUPS = 5
MOST_LEVELS = 10
UNKNOWN = "unknown"
RIDGE = 0.01


class SocialLevels:
    """The level of each stay, and which levels are at risk.

    Parameters
    ----------
    values : pl.Series of String, shape (stays,)
        ``unknown`` where nothing is known.
    at_risk : pl.Series of Boolean, shape (stays,)
        What the share of an entity counts: the dually eligible, the most deprived fifth, those not of the
        most frequent level.
    """

    def __init__(self, values: pl.Series, at_risk: pl.Series) -> None:
        self.values, self.at_risk = values, at_risk


def social_levels(
    cases: pl.DataFrame, history: "History", name: str, table: Any | None = None
) -> SocialLevels:
    """Find the level of each index case.

    Parameters
    ----------
    cases : pl.DataFrame
        Index cases.
    name : str
        A column of `table`, of the cases, or of the history's persons.
    table : frame, optional
        person_id and `name`.

    Raises
    ------
    SpecError
        No such column, a person twice in the table, or one level only.
    """
    if table is not None:
        known = nw.from_native(table, eager_only=True).to_polars()
        for column in ("person_id", name):
            if column not in known.columns:
                hint = did_you_mean(column, known.columns)
                raise SpecError(f"the table of social risk has no column {column!r}. {hint}")
        known = known.select(pl.col("person_id").cast(pl.String), name)
        if known["person_id"].is_duplicated().any():
            raise SpecError("a person is in the table of social risk more than once\nFix: one row a person")
        values = cases.join(known, on="person_id", how="left", maintain_order="left")[name]
    elif name in cases.columns:
        values = cases[name]
    else:
        persons = history.table("person")
        columns = persons.collect_schema().names()
        if name not in columns:
            raise SpecError(
                f"{name!r} is no column of the index cases or persons. {did_you_mean(name, columns)}\n"
                "Fix: name one, such as dual or race_ethnicity, or give a table with person_id and the column"
            )
        known = persons.select("person_id", name).collect()
        values = cases.join(known, on="person_id", how="left", maintain_order="left")[name]
    return _levelled(values.rename(name))


def _levelled(values: pl.Series) -> SocialLevels:
    if values.n_unique() - bool(values.null_count()) < 2:
        raise SpecError(f"{values.name} has one level only among these stays: nothing to compare")
    if values.dtype == pl.Boolean:
        text = values.cast(pl.String).replace({"true": "yes", "false": "no"})
        return SocialLevels(text.fill_null(UNKNOWN), values.fill_null(False))
    if values.dtype.is_numeric() and values.n_unique() > MOST_LEVELS:
        rank = values.rank("average") / (len(values) - values.null_count())
        fifth = (rank * 5).ceil().clip(1, 5).cast(pl.Int64)
        return SocialLevels(
            pl.select(pl.format("fifth {}", fifth)).to_series().fill_null(UNKNOWN),
            (fifth == 5).fill_null(False),
        )
    text = values.cast(pl.String).fill_null(UNKNOWN)
    if text.n_unique() > MOST_LEVELS:
        raise SpecError(f"{values.name} has {text.n_unique()} levels, at most {MOST_LEVELS} can be compared")
    most = text.value_counts(sort=True, name="count")[text.name][0]
    return SocialLevels(text, text != most)


def social_tables(
    rows: pl.DataFrame,
    levels: SocialLevels,
    *,
    by: str,
    name: str,
    suppress: bool = True,
    hidden: Collection[str] = (),
) -> dict[str, pl.DataFrame]:
    """Return the tables ``social``, ``social_strata`` and ``social_effects``.

    Parameters
    ----------
    rows : pl.DataFrame, shape (stays, ...)
        `by`, person, observed, expected (of the benchmark, without social risk).
    levels : SocialLevels
        In the order of the rows.
    hidden : collection of str
        Entities that the benchmark withholds: these tables do too, or it could be worked out from them.

    Returns
    -------
    social
        An entity a row: n, `name`_share, ratio with its interval as it is; ratio_adjusted with its interval;
        peer_group (1, lowest share, to 5), peer_median of the ratios, ratio_to_peers.
    social_strata
        An entity and level a row: n, observed, expected, ratio and its interval.
    social_effects
        A level a row: stays, log-odds against the most frequent level within entities, its standard error,
        the odds ratio and its interval.
    """
    rows = rows.with_columns(
        pl.col(by).cast(pl.String), level=levels.values, at_risk=levels.at_risk.cast(pl.Float64)
    )
    adjusted, effects = _adjusted(rows, by)
    if suppress and (effects["stays"] < SMALLEST_CELL).any():  # the other levels' would give it away
        small = pl.col("stays") < SMALLEST_CELL
        effects = effects.with_columns(
            *(pl.when(~small).then(name).alias(name) for name in effects.columns[2:]),
            stays=pl.lit(None, dtype=effects["stays"].dtype),
        )
    plain = standardise(rows, entity=by)
    own = standardise(rows.with_columns(pl.Series("expected", adjusted)), entity=by)
    share = rows.group_by(by).agg(
        pl.col("at_risk").mean().alias(f"{name}_share"), pl.col("at_risk").sum().alias("_count")
    )
    table = withhold(suppress_small_cells(plain), hidden) if suppress else unsuppressed(plain, 1)
    strata = _strata(rows, by, "level")
    strata = withhold(suppress_parts(strata, "level"), hidden) if suppress else unsuppressed(strata, 1)
    sides = suppress_parts(_strata(rows, by, "at_risk"), "at_risk")
    counted = sides.group_by(by).agg(_counted=pl.col("n").is_not_null().all())
    figures = ("ratio", "ratio_lower", "ratio_upper")
    side = own.select(
        by, *(pl.col(column).alias(column.replace("ratio", "ratio_adjusted", 1)) for column in figures)
    )
    table = table.select(by, "n", *figures, "suppressed").join(side, on=by, maintain_order="left")
    table = table.join(share, on=by, maintain_order="left").join(counted, on=by, maintain_order="left")
    rank = pl.col(f"{name}_share").rank("min")
    group = ((rank - 1) * PEER_GROUPS / pl.len()).floor().cast(pl.Int64) + 1
    median = pl.col("ratio").median().over("peer_group")
    small = pl.col("_count").is_between(1, SMALLEST_CELL - 1) | (pl.col("n") - pl.col("_count")).is_between(
        1, SMALLEST_CELL - 1
    )
    # Where the number at risk, or not, is withheld beside others, the share would tell it.
    shown = ~(small | pl.col("n").is_null()) & pl.col("_counted") if suppress else pl.lit(True)
    beside = [f"ratio_adjusted{end}" for end in ("", "_lower", "_upper")]
    table = (
        table.with_columns(group.alias("peer_group"))
        .with_columns(
            median.alias("peer_median"),
            pl.when(shown).then(pl.col(f"{name}_share")).alias(f"{name}_share"),
            *(pl.when(pl.col("ratio").is_not_null()).then(pl.col(column)).alias(column) for column in beside),
        )
        .with_columns((pl.col("ratio") / pl.col("peer_median")).alias("ratio_to_peers"))
        .select(
            by,
            "n",
            f"{name}_share",
            *figures,
            *beside,
            "peer_group",
            "peer_median",
            "ratio_to_peers",
            "suppressed",
        )
    )
    strata = strata.select(by, "level", "n", "observed", "expected", *figures, "suppressed", "note")
    return {"social": table, "social_strata": strata.sort(by, "level"), "social_effects": effects}


def _strata(rows: pl.DataFrame, by: str, part: str) -> pl.DataFrame:
    """Return observed and expected of each entity and value of `part`."""
    pieces = [
        standardise(piece, entity=by).with_columns(pl.lit(piece[part][0]).alias(part))
        for piece in rows.sort(part).partition_by(part, maintain_order=True)
    ]
    return pl.concat(pieces).sort(by, part, maintain_order=True)


def _adjusted(rows: pl.DataFrame, by: str) -> tuple[np.ndarray, pl.DataFrame]:
    """Return the risks with the levels' effects, with the same sum as without, and the effects."""
    risk = np.clip(rows["expected"].to_numpy(), 1e-9, 1 - 1e-9)
    log_odds = np.log(risk / (1 - risk))
    counts = rows["level"].value_counts(sort=True)
    reference, *others = counts["level"].to_list()
    flags = [(rows["level"] == level).cast(pl.Float64) for level in others]
    means = [
        rows.with_columns(flag=flag).select(pl.col("flag").mean().over(by)).to_series() for flag in flags
    ]
    design = np.column_stack([log_odds, *(series.to_numpy() for series in (*flags, *means))])
    names = ["risk", *others, *(f"share {level}" for level in others)]
    fit = fit_hierarchical(design, rows["observed"].to_numpy(), rows[by], names=names, ridge=RIDGE)
    slope, shift = fit.coefficients[1], fit.coefficients[2 : 2 + len(others)]
    error = fit.standard_errors[2 : 2 + len(others)]
    part = slope * log_odds + design[:, 1 : 1 + len(others)] @ shift
    total = float(rows["expected"].sum())
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        expected = 1 / (1 + np.exp(-(middle + part)))
        low, high = (middle, high) if expected.sum() < total else (low, middle)
    z = normal_quantile(0.975)
    effects = pl.DataFrame(
        {
            "level": [reference, *others],
            "stays": counts["count"],
            "log_odds": [0.0, *map(float, shift)],
            "standard_error": [0.0, *map(float, error)],
        }
    ).with_columns(
        pl.col("log_odds").exp().alias("odds_ratio"),
        (pl.col("log_odds") - z * pl.col("standard_error")).exp().alias("odds_ratio_lower"),
        (pl.col("log_odds") + z * pl.col("standard_error")).exp().alias("odds_ratio_upper"),
    )
    return expected, effects
