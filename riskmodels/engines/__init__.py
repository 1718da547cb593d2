"""Where work runs, shard by shard: here or on a Spark cluster. The same functions, the same results."""

from riskmodels.engines.base import Engine, LocalEngine, ShardFunction, Tables
from riskmodels.engines.opening import ENGINES, open_engine

__all__ = ["ENGINES", "Engine", "LocalEngine", "ShardFunction", "Tables", "open_engine"]
