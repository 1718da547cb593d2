"""What an engine is, and the one that needs nothing: this process."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import polars as pl

from riskmodels.progress import track

__all__ = ["Engine", "LocalEngine", "ShardFunction", "Tables"]

Tables = dict[str, pl.DataFrame]
# (number of the shard, rows that belong to it or None) -> tables. It is sent to other processes: an instance
# of a class at the top of a module, which carries what it needs beside and holds nothing open.
ShardFunction = Callable[[int, pl.DataFrame | None], Tables]


class Engine(Protocol):
    """Runs a function over shards."""

    name: str

    def run(
        self,
        function: ShardFunction,
        shards: Mapping[int, pl.DataFrame | None],
        what: str,
        *,
        unit: str = "shard",
    ) -> Iterator[tuple[int, Tables]]:
        """Yield each shard's number and what the function returned for it, in the order of the numbers.

        Parameters
        ----------
        function : ShardFunction
        shards : mapping
            The number of each shard, and rows to hand to the function with it (its index cases) or None.
        what : str
            The work, as a user would say it.
        unit : str
            What is numbered, where it is not shards.
        """


class LocalEngine:
    """One shard after the other in this process: what is in memory is one shard and what the caller keeps."""

    name = "local"

    def run(
        self,
        function: ShardFunction,
        shards: Mapping[int, pl.DataFrame | None],
        what: str,
        *,
        unit: str = "shard",
    ) -> Iterator[tuple[int, Tables]]:
        """Yield each shard's number and what the function returned for it, as it is computed."""
        for number in track(sorted(shards), what, unit=unit):
            yield number, function(number, shards[number])
