"""A Dask cluster whose workers each keep one part, and that says so when one of them is lost."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np

from riskmodels.errors import DataError, RiskModelsError, SpecError
from riskmodels.learning.dask_parts import free_place, grow, sample_of, size_of, versions_of

__all__ = ["Cluster", "open_cluster"]

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_ANSWER = 10
SAMPLE = 100_000  # rows from which the bins are taken
BYTES_IN_A_TASK = 1_000_000  # larger arguments go to the workers by themselves
NETWORK = re.compile(r"\[(machines|local_listen_port|num_machines|time_out): [^\]]*\]\n")


class Cluster:
    """The workers of a scheduler, in a fixed order; each holds the part of its number.

    Parameters
    ----------
    client : distributed.Client
        Used by nothing else: it is closed when a worker is lost.
    """

    def __init__(self, client: Any) -> None:
        from distributed import Lock

        self.client = client
        self.turn = Lock("riskmodels", scheduler_rpc=client.scheduler, loop=client.loop)
        threads: dict[str, int] = client.ncores()
        self.workers = sorted(threads)
        self.threads = [threads[worker] for worker in self.workers]
        if not self.workers:
            raise SpecError(
                f"the Dask scheduler {client.scheduler.address} has no worker\n"
                "Fix: start some: dask worker tcp://HOST:8786"
            )
        for worker, found in zip(self.workers, self.each(versions_of), strict=True):
            for name, here, there in zip(("riskmodels", "LightGBM"), versions_of(), found, strict=True):
                if there != here:
                    raise SpecError(
                        f"this process has {name} {here} and the worker {worker} has {there}\n"
                        "Fix: install the same version on every worker"
                    )

    def check_file(self, path: Path) -> None:
        """Refuse a file that a worker does not see as this process does."""
        here = size_of(path)
        for worker, there in zip(self.workers, self.each(size_of, [path] * len(self.workers)), strict=True):
            if there != here:
                problem = "cannot read it" if there is None else "finds another file there"
                raise DataError(
                    f"the worker {worker} {problem}",
                    file=path,
                    fix="keep it on a file system that all workers share, under the same path",
                )

    def send(self, values: Sequence[np.ndarray]) -> list[Any]:
        """Return what stands for one array for each worker among the arguments of `each` and `place`."""
        if sum(value.nbytes for value in values) < BYTES_IN_A_TASK:
            return list(values)
        return [
            self.client.scatter(value, workers=[worker], hash=False)
            for worker, value in zip(self.workers, values, strict=True)
        ]

    def place(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Start a function on every worker with the arguments of its number; return the futures."""
        return [
            self.client.submit(function, *given, workers=[worker], allow_other_workers=False, pure=False)
            for worker, given in zip(self.workers, _by_worker(arguments, len(self.workers)), strict=True)
        ]

    def each(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Run a function on every worker with the arguments of its number; return the results."""
        futures = self.place(function, *arguments)
        return list(self.watched(lambda: self.client.gather(futures), lambda: self.client.cancel(futures)))

    def watched(self, work: Callable[[], Any], give_up: Callable[[], Any]) -> Any:
        """Return what `work` returns; raise, and give up, as soon as a worker is lost that it waits for."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            try:
                while True:
                    try:
                        return future.result(SECONDS_BETWEEN_LOOKS)
                    except NotYet:
                        self._refuse_loss()
                    except Exception as error:
                        self._refuse_loss()
                        raise _explained(error) from error
            finally:
                if not future.done():  # a worker is lost, or the user has stopped the fit
                    give_up()

    def _refuse_loss(self) -> None:
        try:
            lost = sorted(set(self.workers) - set(self.client.ncores()))
        except OSError as error:
            raise RiskModelsError(
                "training stopped: the Dask scheduler was lost, and with it what the workers held\n"
                "Fix: see its log, start it and the workers, and train again"
            ) from error
        if lost:
            raise RiskModelsError(
                f"training stopped: the Dask worker {lost[0]} was lost, and its part of the rows\n"
                "Fix: see its log (most often its memory was full: use more workers), and start again"
            )

    def boost(
        self,
        params: dict[str, Any],
        designs: Sequence[Any],
        sizes: Sequence[int],
        names: Sequence[str],
        categorical: Sequence[int],
        rounds: int,
    ) -> str:
        """Grow a booster on matrices that the workers hold, of so many rows each; return it as text.

        It is what `lightgbm.dask` does: one task on each worker, which LightGBM joins by its own sockets into
        one data-parallel fit. Here the workers have a fixed order and the same bins, so that the same rows
        give the same trees, and no category is lost that only some of the workers have.
        """
        n, total = len(self.workers), sum(sizes)
        shares = [-(-size * min(SAMPLE, total) // total) for size in sizes]
        seeds = [params["seed"] + i for i in range(n)]
        drawn = _stacked(self.each(sample_of, designs, shares, seeds))
        sample = self.client.scatter(drawn, broadcast=True, hash=False)  # no other client's by its content
        hosts = [str(urlparse(worker).hostname) for worker in self.workers]
        same = [[value] * n for value in (params, names, categorical, rounds)]
        with self._alone():
            machines = self.each(free_place, hosts)
            grown = self.each(grow, designs, [sample] * n, [machines] * n, range(n), self.threads, *same)
        # Addresses and ports of this run are no part of a model.
        return NETWORK.sub("", grown[0])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other training grow trees: tasks that wait for each other would stand in two orders."""
        if not self.turn.acquire(timeout=SECONDS_BETWEEN_LOOKS):
            logger.info("waiting for another training on the cluster")
            self.watched(self.turn.acquire, self.client.close)
        try:
            yield
        finally:
            if self.client.status == "running":  # else it ends by itself
                self.turn.release()


@contextmanager
def open_cluster(client: Any) -> Iterator[Cluster]:
    """Connect to a cluster for the time of the block.

    Parameters
    ----------
    client : str or distributed.Client
        The scheduler's address, or a client of it, which is left open.

    Raises
    ------
    SpecError
        Dask is missing, no scheduler answers, or it has no workers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SpecError(
            "training on a cluster needs Dask, which is not installed\nFix: pip install 'riskmodels[dask]'"
        ) from error
    address = client if isinstance(client, str) else client.scheduler.address
    security = None if isinstance(client, str) else client.security
    try:
        own = Client(address, timeout=SECONDS_TO_ANSWER, security=security, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SpecError(
            f"no Dask scheduler answers at {address}\nFix: start one (dask scheduler), and name tcp://HOST:8786"
        ) from error
    try:
        yield Cluster(own)
    finally:
        own.close(SECONDS_TO_ANSWER)


def _stacked(matrices: Sequence[Any]) -> Any:
    """Return the rows of one matrix after those of another, dense or sparse."""
    if isinstance(matrices[0], np.ndarray):
        return np.concatenate(matrices)
    from scipy.sparse import csr_matrix, vstack

    return csr_matrix(vstack(matrices, "csr"))


def _by_worker(arguments: Sequence[Sequence[Any]], n: int) -> list[tuple[Any, ...]]:
    return [tuple(argument[i] for argument in arguments) for i in range(n)]


def _explained(error: Exception) -> Exception:
    if isinstance(error, RiskModelsError):
        return error
    said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    fix = (
        "install the same riskmodels in the Python of every worker"
        if isinstance(error, ImportError)
        else "see that every worker reads the paths given here, and the workers' logs"
    )
    return RiskModelsError(f"training failed on the Dask cluster: {said[:300]}\nFix: {fix}")
