"""Codes of a history that no grouper of a feature set knows, and that its features therefore do not see."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from riskmodels.engines import Engine, LocalEngine, Tables
from riskmodels.features.feature_set import FeatureSet
from riskmodels.features.sources import Events
from riskmodels.features.spec import LookBack, Static
from riskmodels.history import History
from riskmodels.terminology import Grouper
from riskmodels.terminology.grouper import normalize, well_formed

__all__ = ["FEWEST_PERSONS", "MANY", "UnknownCodes", "unknown_codes", "warn_of_unknown_codes"]

logger = logging.getLogger(__name__)

# Laboratory tests and observations have no classification: a grouper names the few that it wants.
KINDS = ("diagnosis", "procedure", "drug")
FEWEST_PERSONS = 11
MANY = 0.01


@dataclass(frozen=True)
class UnknownCodes:
    """How many rows of a history have codes that no grouper of a feature set knows.

    Attributes
    ----------
    counts : DataFrame of kind, code_system, rows, unknown, share, many
        A row for each kind of event that the set's groupers are asked about and code system that the history
        has of it. `many` says whether more than 1% are unknown. `unknown` and `share` are null where they, or
        what is left, are of 1 to 10 persons, and `rows` is, too, where all are. No rows: all is known.
    groupers : dict of str to tuple of str
        The groupers that are asked about each kind, by name.
    """

    counts: pl.DataFrame
    groupers: dict[str, tuple[str, ...]]

    def to_line(self) -> str | None:
        """Return one line about the kinds and systems with many unknown codes; None where there are none."""
        many = self.counts.filter("many")
        if many.is_empty():
            return None
        asked = dict.fromkeys(
            name for kind in many["kind"].unique(maintain_order=True) for name in self.groupers[kind]
        )
        return (
            f"unknown to the groupers of the features ({', '.join(asked)}), which do not see them: "
            f"{'; '.join(map(_in_words, many.to_dicts()))}"
        )

    def limitations(self) -> list[str]:
        """Return what a reader of a model should know: a sentence a kind and system with many of them."""
        return [
            f"No grouper of the features ({', '.join(self.groupers[row['kind']])}) knows {_in_words(row)}: "
            "the features do not see them."
            for row in self.counts.filter("many").to_dicts()
        ]


def unknown_codes(history: History, features: FeatureSet, *, engine: Engine | None = None) -> UnknownCodes:
    """Count the codes that no grouper of a feature set knows, by kind of event and code system.

    A code is known where a grouper that is asked about its kind has a group for it. Where only lists of
    conditions (comorbidities) are asked, and no classification of the code's system, it is also known if it
    looks like a code of a system that one of them has: most codes are no comorbidity. Codes that features
    name themselves, and kinds of events without a grouper, are not looked at; neither are laboratory tests
    and observations, of which a grouper names a few.

    Parameters
    ----------
    history : History
        Opened with ``as_of``, only what was known then is counted.
    features : FeatureSet
    engine : Engine, optional
        Where the shards are read. Default: here.
    """
    asked = _groupers_by_kind(features)
    vocabulary = history.vocabulary
    codes = pl.concat(
        [
            vocabulary.select(
                "code",
                "code_system",
                kind=pl.lit(kind),
                unknown=~_known(groupers, vocabulary),
            )
            for kind, groupers in asked.items()
        ]
        or [pl.DataFrame(schema=_CODES)]
    )
    counts = pl.DataFrame(schema=_COUNTS)
    if codes["unknown"].any():
        task = _ShardCodes(history, codes)
        runs = (engine or LocalEngine()).run(task, dict.fromkeys(range(history.n_shards)), "Looking at codes")
        counts = _shares(pl.concat([tables["codes"] for _, tables in runs]))
    return UnknownCodes(counts, {kind: tuple(g.name for g in groupers) for kind, groupers in asked.items()})


def warn_of_unknown_codes(
    history: History, features: FeatureSet, *, engine: Engine | None = None
) -> UnknownCodes:
    """Say in one warning line which codes the features do not see, where they are many; return the counts."""
    found = unknown_codes(history, features, engine=engine)
    if (line := found.to_line()) is not None:
        logger.warning(
            "%s. Fix: map them to a system that is known, or expect nothing of these features", line
        )
    return found


def _in_words(row: dict[str, Any]) -> str:
    what = f"{row['kind']} codes in {row['code_system']}"
    if row["unknown"] is None:
        return f"more than {MANY:.0%} of {what} (withheld: fewer than {FEWEST_PERSONS} persons)"
    return f"{row['unknown']:,} of {row['rows']:,} {what} ({row['share']:.1%})"


_CODES = {"code": pl.Int32, "code_system": pl.String, "kind": pl.String, "unknown": pl.Boolean}
_COUNTS = {
    "kind": pl.String,
    "code_system": pl.String,
    "rows": pl.Int64,
    "unknown": pl.Int64,
    "share": pl.Float64,
    "many": pl.Boolean,
}


def _groupers_by_kind(features: FeatureSet) -> dict[str, list[Grouper]]:
    """Return the groupers that the columns of a set ask about each kind of event."""
    names: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
    for spec in [*features.specs, *features.score_inputs()]:
        if isinstance(spec, LookBack) and isinstance(spec.source, Events) and spec.source.grouper:
            for kind in spec.source.kinds or KINDS:
                names.get(kind, {})[spec.source.grouper] = None
        elif isinstance(spec, Static) and spec.grouper:
            names["diagnosis"][spec.grouper] = None
    return {kind: [features.grouper(name) for name in found] for kind, found in names.items() if found}


def _known(groupers: Iterable[Grouper], vocabulary: pl.DataFrame) -> pl.Series:
    system, text = vocabulary["code_system"], vocabulary["code_text"]
    place = pl.int_range(vocabulary.height, dtype=pl.UInt32, eager=True)
    grouped = pl.repeat(False, vocabulary.height, eager=True)
    listed: set[str] = set()
    classified: set[str] = set()
    for grouper in groupers:
        grouped |= place.is_in(grouper.assign(system, text)["row"].unique().implode())
        (classified if grouper.exclusive else listed).update(grouper.code_systems)
    shaped = vocabulary.with_columns(plain=normalize(pl.col("code_text"))).select(
        well_formed() & pl.col("code_system").is_in(list(listed - classified))
    )
    return grouped | shaped.to_series()


@dataclass(frozen=True)
class _ShardCodes:
    """Rows and persons by kind and code system, in the shards of a history."""

    history: History
    codes: pl.DataFrame

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        events = self.history.shard(number, ("event",)).event.select(
            "person", "code", pl.col("kind").cast(pl.String)
        )
        told = events.join(self.codes, on=["kind", "code"]).group_by("kind", "code_system")
        return {
            "codes": told.agg(
                rows=pl.len().cast(pl.Int64),
                unknown=pl.col("unknown").sum().cast(pl.Int64),
                persons=pl.col("person").n_unique().cast(pl.Int64),
                persons_unknown=pl.col("person").filter("unknown").n_unique().cast(pl.Int64),
                persons_known=pl.col("person").filter(~pl.col("unknown")).n_unique().cast(pl.Int64),
            )
        }


def _shares(counts: pl.DataFrame) -> pl.DataFrame:
    parts = ("persons_unknown", "persons_known")
    told = pl.all_horizontal((pl.col(name) == 0) | (pl.col(name) >= FEWEST_PERSONS) for name in parts)
    return (
        counts.group_by("kind", "code_system")
        .agg(pl.all().sum())  # a person is in one shard
        .with_columns(many=pl.col("unknown") > MANY * pl.col("rows"))
        .with_columns(
            rows=pl.when(pl.col("persons") >= FEWEST_PERSONS).then("rows"),
            unknown=pl.when((pl.col("persons") >= FEWEST_PERSONS) & told).then("unknown"),
        )
        .with_columns(share=pl.col("unknown") / pl.col("rows"))
        .select(pl.col(name).cast(dtype) for name, dtype in _COUNTS.items())
        .sort("kind", "code_system")
    )
