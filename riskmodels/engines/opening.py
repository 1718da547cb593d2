"""Open an engine by its name."""

from collections.abc import Iterator
from contextlib import contextmanager

from riskmodels.engines.base import Engine, LocalEngine
from riskmodels.errors import SpecError, did_you_mean

__all__ = ["ENGINES", "open_engine"]

ENGINES = ("local", "spark")


@contextmanager
def open_engine(name: str = "local", master: str | None = None) -> Iterator[Engine]:
    """Open an engine for the time of the block.

    Parameters
    ----------
    name : {"local", "spark"}
    master : str, optional
        Spark's master: ``local[2]`` for two processes here, ``spark://HOST:7077`` for a cluster. Default:
        what Spark's own configuration says, else ``local[*]``.

    Raises
    ------
    SpecError
        There is no such engine, PySpark or Java is missing, or no master answers.
    """
    if name not in ENGINES:
        raise SpecError(f"there is no engine {name!r}. {did_you_mean(name, ENGINES)}")
    if name == "local":
        if master is not None:
            raise SpecError(f"master is {master!r}, and the engine is local\nFix: add --engine spark")
        yield LocalEngine()
        return
    from riskmodels.engines.spark import SparkEngine

    engine = SparkEngine(master)
    try:
        yield engine
    finally:
        engine.stop()
