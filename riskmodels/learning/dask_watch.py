"""End a fit on a worker once nobody waits for it any more.

LightGBM waits without end for a machine that has closed its connection in good order, and so a worker would
be busy for ever after another was lost, or after the user has stopped the fit.
"""

import os
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]
from distributed import get_worker

__all__ = ["cut_when_unwanted"]

SECONDS_BETWEEN_LOOKS = 0.5


@contextmanager
def cut_when_unwanted(ports: Set[int]) -> Iterator[None]:
    """Cut the connections of this process with some ports as soon as the task that runs here is given up.

    What waits for them then fails, as it does when a cable is cut.

    Parameters
    ----------
    ports : set of int
        At which the machines of the fit listen, this one too.
    """
    worker, ended = get_worker(), threading.Event()
    key = worker.get_current_task()

    def look() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            task = worker.state.tasks.get(key)
            if task is None or task.state != "executing":
                _cut(ports)

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def _cut(ports: Set[int]) -> None:
    """Put what is no socket in the place of each connection, under the number by which it is known."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        for connection in psutil.Process().net_connections("tcp"):
            ends = [end.port for end in (connection.laddr, connection.raddr) if end]
            if connection.fd >= 0 and connection.raddr and not ports.isdisjoint(ends):
                os.dup2(nothing, connection.fd)
    finally:
        os.close(nothing)
