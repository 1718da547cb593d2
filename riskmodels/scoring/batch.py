"""Score a history shard by shard: calibrated risk, band and reasons for each index discharge at risk."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from riskmodels import __version__
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.learning.bundle import ModelBundle, RiskBands
from riskmodels.learning.contract import CheckedFrame
from riskmodels.learning.contract_columns import OFTEN_OUTSIDE
from riskmodels.progress import track
from riskmodels.scoring.job import ScoreFolder, partition_name
from riskmodels.scoring.reasons import reason_columns, top_reasons
from riskmodels.scoring.summary import ScoreSummary, say_count

if TYPE_CHECKING:
    from riskmodels.history import History

__all__ = ["ScoreSummary", "read_scores", "score"]

logger = logging.getLogger(__name__)

_TIME = pl.Datetime("us")
HEAD: dict[str, pl.DataType | type[pl.DataType]] = {
    "person_id": pl.String,
    "index_id": pl.String,
    "index_time": _TIME,
    "facility_id": pl.String,
    "status": pl.String,
    "risk": pl.Float64,
    "risk_band": pl.String,
}
TAIL: dict[str, pl.DataType | type[pl.DataType]] = {
    "model_name": pl.String,
    "model_version": pl.String,
    "task": pl.String,
    "features_version": pl.String,
    "as_of": _TIME,
}


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
        horizon has, so that the follow-up is still open.
    reasons : int
        How many reasons a row; 0 for none, which is 100 to 1,000 times faster.
    reasons_from : str, optional
        The lowest risk band that gets reasons. Default: all.
    bands : sequence of float or RiskBands, optional
        Thresholds in place of the model's own.

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
    bundle = model if isinstance(model, ModelBundle) else load_model(model, tracking_uri)
    chosen = _bands(bundle, bands)
    if reasons_from is not None and reasons_from not in chosen.names:
        raise SpecError(f"there is no risk band {reasons_from!r}. {did_you_mean(reasons_from, chosen.names)}")
    horizon = timedelta(days=bundle.task.horizon_days)
    start = instant - horizon if since is None else _instant(since, "since")
    if start >= instant:
        raise SpecError(
            f"since ({start}) is not before as_of ({instant})\nFix: leave since out, or choose it earlier"
        )
    opened = open_history(history if isinstance(history, str | Path) else history.path, as_of=instant)
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
            job = _Job(bundle, opened, instant, start, chosen, reasons, reasons_from)
            computed, warnings = job.run(folder)
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
        logger.warning("no index discharge of %s from %s to %s", bundle.task.name, start, instant)
    return summary


def read_scores(folder: str | Path) -> pl.LazyFrame:
    """Return the scores in a folder ``as_of=DATE``, in the order of the shards."""
    paths = sorted(Path(folder).glob("shard=*.parquet"))
    if not paths:
        raise SpecError(
            f"{folder} holds no scores\nFix: name the folder as_of=DATE that riskmodels score wrote"
        )
    return pl.concat([pl.scan_parquet(path, hive_partitioning=False) for path in paths])


@dataclass(frozen=True)
class _Job:
    bundle: ModelBundle
    history: "History"
    as_of: datetime
    since: datetime
    bands: RiskBands
    reasons: int
    reasons_from: str | None

    def run(self, folder: ScoreFolder) -> tuple[int, tuple[str, ...]]:
        """Compute the shards that are not there; return how many, and the contract's remarks."""
        from riskmodels.features import make_plan

        warnings = list(self.bundle.contract.check_history(self.history))
        plan = make_plan(self.bundle.feature_set, self.history.vocabulary)
        done = folder.done()
        if done:
            logger.info("%s: %s of %s shards are there already", folder.path, len(done), folder.n_shards)
        missing = [number for number in range(folder.n_shards) if number not in done]
        rows, unknown, drifted = 0, Counter[str](), Counter[str]()
        for number in track(missing, f"Scoring with {self.bundle.name}"):
            frame, checked = self._score_shard(number, plan)
            folder.write_shard(number, frame)
            rows += frame.height
            if checked is not None:
                unknown.update(checked.unknown)
                drifted.update(dict.fromkeys(checked.drifted, 1))
        # As many as were rare in training are no news.
        rare = {column.name: column.rare_share * rows + 2 for column in self.bundle.contract.columns}
        warnings += [
            f"{name}: {say_count(count)} of {say_count(rows)} rows with a level that training did not see, "
            "or "
            "hardly; "
            "taken as missing where the model does not know it"
            for name, count in unknown.items()
            if count > rare[name]
        ]
        warnings += [
            f"{name}: more than {OFTEN_OUTSIDE:.0%} of the values lie where hardly any training value lay, "
            "in "
            f"{count} of {len(missing)} shards"
            for name, count in drifted.items()
        ]
        return len(missing), tuple(warnings)

    def _score_shard(self, number: int, plan: Any) -> tuple[pl.DataFrame, CheckedFrame | None]:
        from riskmodels.cohorts import shard_cases
        from riskmodels.features import build_shard_features

        shard = self.history.shard(number)
        cases, _ = shard_cases(
            self.bundle.task,
            shard,
            vocabulary=self.history.vocabulary,
            require_follow_up=False,
            as_of=self.as_of,
        )
        at_risk = pl.col("index_time").is_between(self.since, self.as_of, closed="left")
        cases = cases.filter(at_risk).sort("person_id", "index_time", "index_id")
        schema = HEAD | reason_columns(self.reasons) | TAIL
        if cases.is_empty():
            return pl.DataFrame(schema=schema), None
        checked = self.bundle.check(build_shard_features(shard, cases, plan).frame)
        risk = self.bundle.model.predict_proba(checked.frame)[:, 1]
        lowest = 0 if self.reasons_from is None else self.bands.names.index(self.reasons_from)
        frame = pl.concat(
            [
                cases.select(*(name for name in HEAD if name in cases.columns), _status().alias("status")),
                pl.DataFrame({"risk": risk, "risk_band": self.bands.assign(risk)}),
                top_reasons(self.bundle, checked.frame, self.reasons, self.bands.index(risk) >= lowest),
            ],
            how="horizontal",
        ).with_columns(
            model_name=pl.lit(self.bundle.name),
            model_version=pl.lit(self.bundle.version),
            task=pl.lit(self.bundle.task.name),
            features_version=pl.lit(self.bundle.contract.feature_set_hash[:12]),
            as_of=pl.lit(self.as_of),
        )
        return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()), checked


def _status() -> pl.Expr:
    """Say whether a patient is still at risk, as far as is known; whom to call is ``open``."""
    return (
        pl.when(pl.col("outcome_time").is_not_null())
        .then(pl.lit("had the outcome"))
        .when(pl.col("death_date").is_not_null())
        .then(pl.lit("died"))
        .otherwise(pl.lit("open"))
    )


def _bands(bundle: ModelBundle, bands: Sequence[float] | RiskBands | None) -> RiskBands:
    if bands is None:
        return bundle.bands
    return bands if isinstance(bands, RiskBands) else RiskBands(tuple(float(value) for value in bands))


def _instant(value: date | datetime | str, name: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise SpecError(f"{name} is {value!r}\nFix: write a date as 2023-07-01") from error
    if not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value.replace(tzinfo=None)
