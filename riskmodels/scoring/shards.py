"""Score one shard of a history and write its file: the unit of a scoring job, wherever it runs."""

import tempfile
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.engines import Tables
from riskmodels.history import History
from riskmodels.learning.bundle import ModelBundle, RiskBands
from riskmodels.learning.contract import CheckedFrame
from riskmodels.scoring.job import ScoreFolder
from riskmodels.scoring.reasons import reason_columns, top_reasons

__all__ = ["ShardScores"]

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


@dataclass(frozen=True)
class ShardScores:
    """Scores the shards of a history into a folder; called with a shard's number.

    Parameters
    ----------
    folder : ScoreFolder
        Where the files go.
    bundle : ModelBundle
    history : History
        Opened as of `as_of`.
    as_of, since : datetime
        Index discharges from `since` on and before `as_of`; a population is scored at midnight of the day.
    bands : RiskBands
    reasons : int
        How many reasons a row.
    reasons_from : str, optional
        The lowest risk band that gets reasons.
    """

    folder: ScoreFolder
    bundle: ModelBundle
    history: History
    as_of: datetime
    since: datetime
    bands: RiskBands
    reasons: int
    reasons_from: str | None

    def __call__(self, number: int, rows: pl.DataFrame | None = None) -> Tables:
        """Write a shard's scores; return how many rows, and what the data contract remarked."""
        frame, checked = self.scores(number)
        self.folder.write_shard(number, frame)
        unknown = {} if checked is None else checked.unknown
        drifted = [] if checked is None else list(checked.drifted)
        return {
            "rows": pl.DataFrame({"rows": [frame.height]}),
            "unknown": pl.DataFrame(
                {"column": list(unknown), "rows": list(unknown.values())},
                schema={"column": pl.String, "rows": pl.Int64},
            ),
            "drifted": pl.DataFrame({"column": drifted}, schema={"column": pl.String}),
        }

    def scores(self, number: int) -> tuple[pl.DataFrame, CheckedFrame | None]:
        """Return a shard's scores, and its features as they were checked; None where there is no case."""
        from riskmodels.cohorts import shard_cases
        from riskmodels.features import build_shard_features

        shard = self.history.shard(number)
        cases, _ = shard_cases(
            self.bundle.task,
            shard,
            vocabulary=self.history.vocabulary,
            require_follow_up=False,
            as_of=self.as_of,
            index_date=self.as_of.date(),
        )
        if self.bundle.task.index.event != "date":  # a population is scored on the day itself
            at_risk = pl.col("index_time").is_between(self.since, self.as_of, closed="left")
            cases = cases.filter(at_risk)
        cases = cases.sort("person_id", "index_time", "index_id")
        schema = HEAD | reason_columns(self.reasons) | TAIL
        if cases.is_empty():
            return pl.DataFrame(schema=schema), None
        checked, features = self.bundle.ready(build_shard_features(shard, cases, self.plan))
        risk = self.bundle.model.predict_proba(features)[:, 1]
        lowest = 0 if self.reasons_from is None else self.bands.names.index(self.reasons_from)
        frame = pl.concat(
            [
                cases.select(*(name for name in HEAD if name in cases.columns), _status().alias("status")),
                pl.DataFrame({"risk": risk, "risk_band": self.bands.assign(risk)}),
                top_reasons(self.bundle, features, self.reasons, self.bands.index(risk) >= lowest),
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

    @cached_property
    def plan(self) -> Any:
        """Return the features made ready for the history's codes."""
        from riskmodels.features import make_plan

        return make_plan(self.bundle.feature_set, self.history.vocabulary, known_only=self.bundle.known_only)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process with the model as the files of its folder, and without the plan."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["folder"] = replace(self.folder, path=self.folder.path.absolute())
        with tempfile.TemporaryDirectory() as place:
            folder = values.pop("bundle").save(Path(place) / "model")
            files = {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
        return _again, (files, values)


def _again(files: dict[str, bytes], values: dict[str, Any]) -> ShardScores:
    with tempfile.TemporaryDirectory() as place:
        for name, content in files.items():
            path = Path(place) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return ShardScores(bundle=ModelBundle.load(place), **values)


def _status() -> pl.Expr:
    """Say whether a patient is still at risk, as far as is known; whom to call is ``open``."""
    return (
        pl.when(pl.col("outcome_time").is_not_null())
        .then(pl.lit("had the outcome"))
        .when(pl.col("death_date").is_not_null())
        .then(pl.lit("died"))
        .otherwise(pl.lit("open"))
    )
