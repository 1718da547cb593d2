"""Progress of long work: a bar on a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

__all__ = ["track"]

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def track(
    items: Iterable[Item],
    what: str,
    *,
    total: int | None = None,
    unit: str = "shard",
    name: Callable[[Item], str] | None = None,
) -> Iterator[Item]:
    """Yield `items`, showing how far the work is.

    Parameters
    ----------
    items : iterable
        What to go through.
    what : str
        The work, as a user would say it: ``"Building features"``.
    total : int, optional
        How many items there are; taken from `items` where it has a length.
    unit : str
        What one item is.
    name : function of an item, optional
        What the item at hand is called, to show beside the bar.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(items, desc=what, total=total, unit=unit) as bar:
            for item in bar:
                if name is not None:
                    bar.set_postfix_str(name(item))
                yield item
        return
    logger = logging.getLogger("riskmodels.progress")
    started = said = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES:
            said = now
            logger.info(
                "%s: %s of %s %ss, %.0f s", what, done, "?" if total is None else total, unit, now - started
            )
    logger.info("%s: %s %s%s, %.1f s", what, done, unit, "" if done == 1 else "s", time.monotonic() - started)
