"""Run shard functions as Spark tasks: one a shard, on whatever master Spark is given."""

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import polars as pl

from riskmodels import errors
from riskmodels.engines.base import ShardFunction, Tables
from riskmodels.engines.session import start_session
from riskmodels.engines.tasks import ANSWER, QUESTION, ShardTask, from_arrow, to_arrow
from riskmodels.errors import RiskModelsError
from riskmodels.progress import track

__all__ = ["SparkEngine"]

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_WITHOUT_WORKERS = 30.0
LOST_TASK = re.compile(r"Lost task \S+ in stage \S+ \(TID \d+\) \((?P<where>[^)]*)\): (?P<why>.+)")
# What to do about a failure that says one of these; the last is for all others.
FIXES = {
    "ModuleNotFoundError": "install the same riskmodels in the Python of every worker (PYSPARK_PYTHON)",
    "Cannot run program": "set PYSPARK_PYTHON to a Python that is at this path on every worker",
    "ExecutorLostFailure": "see the worker's log and memory (spark.executor.memory), and start again",
    "": "see the worker's log, and that every worker reads and writes the paths given here",
}


class SparkEngine:
    """A Spark session that runs shard functions, on the context of this process where it has one.

    Workers read and write the same paths as this process: a file system that all of them share is assumed,
    and the same riskmodels in the Python that ``PYSPARK_PYTHON`` names.

    Parameters
    ----------
    master : str, optional
        As Spark takes it: ``local[2]``, ``spark://HOST:7077``, ``yarn``.

    Raises
    ------
    SpecError
        PySpark or Java is missing or too old, or no master answers.
    """

    name = "spark"

    def __init__(self, master: str | None = None) -> None:
        self.session, self._started_here = start_session(master)

    def stop(self) -> None:
        """End the session, if this engine started it; a caller's own goes on."""
        if self._started_here:
            self.session.stop()

    def run(
        self,
        function: ShardFunction,
        shards: Mapping[int, pl.DataFrame | None],
        what: str,
        *,
        unit: str = "shard",
    ) -> Iterator[tuple[int, Tables]]:
        """Yield each shard's number and what the function returned for it, once all are computed."""
        if not shards:
            return
        asked = [(n, None if rows is None else to_arrow(rows)) for n, rows in sorted(shards.items())]
        # As many slices as rows: a task a shard.
        rows = self.session.sparkContext.parallelize(asked, len(asked))
        frame = self.map_arrow(self.session.createDataFrame(rows, QUESTION), ShardTask(function), ANSWER)
        answers = self.collect(frame, len(asked), what, unit)
        raise_answered(answers)
        tables: dict[int, Tables] = {number: {} for number, _ in asked}
        for shard, name, content, _ in answers.iter_rows():
            tables[shard][name] = from_arrow(content)
        yield from tables.items()

    def map_arrow(self, frame: Any, function: Callable[..., Any], schema: Any) -> Any:
        """Return a Spark frame of what a function makes of the Arrow batches of each of its partitions."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of pandas 3, which is not used
            return frame.mapInArrow(function, schema)

    def collect(self, frame: Any, tasks: int, what: str, unit: str) -> pl.DataFrame:
        """Return the rows of a Spark frame, showing how far its tasks are."""
        context = self.session.sparkContext
        group = f"riskmodels-{time.monotonic_ns()}"

        def collected() -> Any:
            context.setJobGroup(group, what)
            return frame.toArrow()

        with ThreadPoolExecutor(1) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            future = pool.submit(collected)
            for _ in track(self._tasks_done(future, group, tasks, what, unit), what, total=tasks, unit=unit):
                pass
            try:
                return pl.DataFrame(future.result())
            except Exception as error:
                raise _explained(error, what) from error

    def _tasks_done(self, future: Future[Any], group: str, tasks: int, what: str, unit: str) -> Iterator[int]:
        """Yield once for each task that is done, until all are or one has failed for good."""
        said, warned, idle_since = 0, False, time.monotonic()
        while not future.done():
            done, busy = self._count(group)
            if busy or done > said or done >= tasks:
                warned, idle_since = False, time.monotonic()
            elif not warned and time.monotonic() - idle_since > SECONDS_WITHOUT_WORKERS:
                warned = True
                logger.warning(
                    "%s: %d of %d %ss done, and no worker takes the others; has the cluster free ones?",
                    what,
                    done,
                    tasks,
                    unit,
                )
            yield from range(said, min(done, tasks))
            said = max(said, min(done, tasks))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if future.exception() is None:
            yield from range(said, tasks)

    def _count(self, group: str) -> tuple[int, int]:
        """Return how many tasks of a group of jobs are done, and how many are at work."""
        tracker = self.session.sparkContext.statusTracker()
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
        found = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
        stages = [stage for stage in found if stage]
        return sum(s.numCompletedTasks for s in stages), sum(s.numActiveTasks for s in stages)


def raise_answered(answers: pl.DataFrame) -> None:
    """Raise the first error that tasks answered with, as it would have been raised here."""
    failed = answers.filter(pl.col("error").is_not_null())
    if failed.height:
        kind, _, said = failed["error"][0].partition("\n")
        raise getattr(errors, kind)(said)


def _explained(error: Exception, what: str) -> RiskModelsError:
    """Return what made a task fail and where, out of the stack traces of Python inside Java."""
    lines = [line.strip().removeprefix(": ") for line in str(error).splitlines()]
    heads = [(line, line.partition(": ")[0]) for line in lines if ": " in line]
    named = [line for line, head in heads if head.endswith(("Error", "Exception"))]
    inside = [line for line in named if "org.apache" not in line and "pyspark" not in line.partition(":")[0]]
    said = (inside or named or [*filter(None, lines)] or ["no reason given"])[0]
    lost = next(filter(None, map(LOST_TASK.search, lines)), None)
    if lost is not None:
        said = f"{(said if inside else lost['why'])[:300]} ({lost['where']})"
    fix = next((fix for sign, fix in FIXES.items() if sign in said), FIXES[""])
    return RiskModelsError(f"{what}: a task failed on the cluster: {said[:400]}\nFix: {fix}")
