"""Memory that is used again from shard to shard."""

import threading

import numpy as np

__all__ = ["Scratch"]


class Scratch(threading.local):
    """Tables of numbers that a thread keeps from shard to shard: fresh memory costs a fault every 4 kB."""

    def table(self, name: str, rows: int, columns: int) -> np.ndarray:
        """Return a table (rows, columns) that holds anything."""
        held = self.__dict__.get(name)
        if held is None or held.size < rows * columns:
            held = self.__dict__[name] = np.empty(rows * columns)
        return held[: rows * columns].reshape(rows, columns)
