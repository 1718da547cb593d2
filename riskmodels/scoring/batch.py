"""Score a history shard by shard: calibrated risk, band and reasons for each index discharge at risk."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from riskmodels import __version__
from riskmodels.engines import Engine, LocalEngine
from riskmodels.errors import SpecError, StoreError, did_you_mean
from riskmodels.learning.bundle import ModelBundle, RiskBands
from riskmodels.learning.contract_columns import OFTEN_OUTSIDE
from riskmodels.scoring.job import ScoreFolder, partition_name
from riskmodels.scoring.shards import ShardScores
from riskmodels.scoring.summary import ScoreSummary, say_count

if TYPE_CHECKING:
    from riskmodels.history import History

__all__ = ["ScoreSummary", "read_scores", "score"]

logger = logging.getLogger(__name__)


def score(
    model: str | Path | ModelBundle,
    history: "str | Path | History",
    *,
    as_of: date | datetime | str,
    out: str | Path,
    since: date | datetime | str | None = None,
    reasons: int = 3,
    reasons_from: str | None = None,
    bands: Sequence[float] | RiskBands | None = None,
    tracking_uri: str | None = None,
    engine: Engine | None = None,
) -> ScoreSummary:
    """Score the index discharges whose follow-up is open, as things were known at an instant.

    Writes ``OUT/as_of=DATE/shard=NNN.parquet``, a row a discharge. A job that was killed is taken up again
    by the same call and ends with the same bytes; a job that has ended is left alone.

    Parameters
    ----------
    model : str, path or ModelBundle
        ``models:/NAME@champion``, ``models:/NAME/VERSION``, ``runs:/RUN_ID`` or a folder.
    history : path or History
        Seen as of `as_of`.
    as_of : date, datetime or ISO text
        The start of this day, or this instant.
    out : path
        Folder of the scores.
    since : date, datetime or ISO text, optional
        Discharges from this day on and before `as_of`. Default: as many days before `as_of` as the outcome's
        horizon has, so that the follow-up is still open. A population is scored on the day of `as_of`.
    reasons : int
        How many reasons a row; 0 for none, which is 100 to 1,000 times faster.
    reasons_from : str, optional
        The lowest risk band that gets reasons. Default: all.
    bands : sequence of float or RiskBands, optional
        Thresholds in place of the model's own.
    engine : Engine, optional
        Where the shards are scored: see `riskmodels.engines`. Default: here.

    Raises
    ------
    ContractError
        The history or its features do not fit what the model was fitted on.
    StoreError
        `out` holds another job's scores for this instant, or another process is writing there.
    """
    from riskmodels.history import open_history
    from riskmodels.learning.registry import load_model

    instant = _instant(as_of, "as_of")
    bundle = model if isinstance(model, ModelBundle) else load_model(model, tracking_uri, kind=ModelBundle)
    chosen = _bands(bundle, bands)
    if reasons_from is not None and reasons_from not in chosen.names:
        raise SpecError(f"there is no risk band {reasons_from!r}. {did_you_mean(reasons_from, chosen.names)}")
    horizon = timedelta(days=bundle.task.horizon_days)
    if bundle.task.index.event == "date":
        if since is not None:
            raise SpecError(
                f"{bundle.task.name} is about a population, which is scored on the day of as_of itself\n"
                "Fix: leave since out"
            )
        start = instant
    else:
        start = instant - horizon if since is None else _instant(since, "since")
        if start >= instant:
            raise SpecError(
                f"since ({start}) is not before as_of ({instant})\nFix: leave since out, or choose it earlier"
            )
    opened = open_history(history if isinstance(history, str | Path) else history.path, as_of=instant)
    _refuse_too_early(opened, instant)
    folder = ScoreFolder(
        Path(out) / partition_name(instant),
        {
            "model": bundle.name,
            "model_version": bundle.version,
            "model_content": bundle.fingerprint(),
            "history": opened.fingerprint,
            "task": bundle.task.name,
            "as_of": str(instant),
            "since": str(start),
            "reasons": reasons,
            "reasons_from": reasons_from,
            "bands": chosen.to_dict(),
            "riskmodels_version": __version__,
        },
        opened.n_shards,
    )
    with folder.open():
        computed = 0
        warnings: tuple[str, ...] = ()
        if folder.finished() is None:
            shards = ShardScores(folder, bundle, opened, instant, start, chosen, reasons, reasons_from)
            computed, warnings = _run(shards, engine or LocalEngine())
            folder.finish()
    counts = dict.fromkeys(chosen.names, 0)
    scored = read_scores(folder.path).group_by("risk_band").len().collect()
    counts |= dict(scored.iter_rows())
    summary = ScoreSummary(
        folder.path,
        sum(counts.values()),
        counts,
        computed,
        opened.n_shards,
        bundle.name,
        bundle.version,
        instant,
        start,
        warnings,
    )
    if not summary.rows:
        logger.warning(
            "no index case of %s from %s to %s; the history has %s",
            bundle.task.name,
            start,
            instant,
            opened.days_known(),
        )
    return summary


def read_scores(folder: str | Path) -> pl.LazyFrame:
    """Return the scores in a folder ``as_of=DATE``, in the order of the shards.

    Raises
    ------
    SpecError
        The folder holds no scores.
    """
    paths = sorted(Path(folder).glob("shard=*.parquet"))
    if not paths:
        raise SpecError(
            f"{folder} holds no scores\nFix: name the folder as_of=DATE that riskmodels score wrote"
        )
    return pl.concat([pl.scan_parquet(path, hive_partitioning=False) for path in paths])


def _run(shards: ShardScores, engine: Engine) -> tuple[int, tuple[str, ...]]:
    """Compute the shards that are not there; return how many, and the contract's remarks."""
    from riskmodels.features.unknown_codes import warn_of_unknown_codes

    bundle, folder = shards.bundle, shards.folder
    warnings = list(bundle.contract.check_history(shards.history))
    done = folder.done()
    if done:
        logger.info("%s: %s of %s shards are there already", folder.path, len(done), folder.n_shards)
    missing = [number for number in range(folder.n_shards) if number not in done]
    warn_of_unknown_codes(shards.history, bundle.feature_set, engine=engine)
    rows, unknown, drifted = 0, Counter[str](), Counter[str]()
    for _, said in engine.run(shards, dict.fromkeys(missing), f"Scoring with {bundle.name}"):
        rows += int(said["rows"]["rows"].item())
        unknown.update(dict(said["unknown"].iter_rows()))
        drifted.update(said["drifted"]["column"].to_list())
    unseen = sorted(set(missing) - folder.done())
    if unseen:
        raise StoreError(
            f"{folder.path}: workers wrote the scores of {len(unseen)} shards where this machine does not "
            "see them\nFix: name an --out on a file system that all machines share, under the same path"
        )
    # As many as were rare in training are no news.
    rare = {column.name: column.rare_share * rows + 2 for column in bundle.contract.columns}
    warnings += [
        f"{name}: {say_count(count)} of {say_count(rows)} rows with a level that training did not see, "
        "or hardly; taken as missing where the model does not know it"
        for name, count in unknown.items()
        if count > rare[name]
    ]
    warnings += [
        f"{name}: more than {OFTEN_OUTSIDE:.0%} of the values lie where hardly any training value lay, in "
        f"{count} of {len(missing)} shards"
        for name, count in drifted.items()
    ]
    return len(missing), tuple(warnings)


def _bands(bundle: ModelBundle, bands: Sequence[float] | RiskBands | None) -> RiskBands:
    if bands is None:
        return bundle.bands
    return bands if isinstance(bands, RiskBands) else RiskBands(tuple(float(value) for value in bands))


def _refuse_too_early(history: "History", instant: datetime) -> None:
    first = history.manifest.first
    if first is not None and instant <= datetime.fromisoformat(first):
        raise SpecError(
            f"as of {instant} nothing is known: {history.path} has {history.days_known()}\n"
            "Fix: choose as_of after the look-back of the first cases to be scored"
        )


def _instant(value: date | datetime | str, name: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise SpecError(f"{name} is {value!r}\nFix: write a date as 2023-07-01") from error
    if not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value.replace(tzinfo=None)
