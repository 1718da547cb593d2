"""What the commands share: paths, dates, options, one message for an error, log lines above a bar."""

import errno
import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from riskmodels.errors import RiskModelsError

__all__ = [
    "DATE",
    "PATH",
    "Lines",
    "OneMessage",
    "as_of_option",
    "engine_options",
    "in_words",
    "tracking_option",
]

PATH = click.Path(path_type=Path)
DATE = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


class Lines(logging.StreamHandler):
    """Write log lines above a progress bar where one is shown, not through it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if (tqdm := sys.modules.get("tqdm")) is not None:
            tqdm.tqdm.write(self.format(record), file=sys.stderr)
        else:
            super().emit(record)


class OneMessage(click.Group):
    """Turn errors that a user can act on into one message and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except RiskModelsError as error:
            raise SystemExit(say(error)) from error
        except OSError as error:
            raise SystemExit(say(error)) from error


def say(error: Exception) -> int:
    click.echo(f"Error: {in_words(error)}", err=True)
    return 1


def in_words(error: Exception) -> str:
    """Return what was wrong, where and how to mend it, of the system's errors too."""
    if not isinstance(error, OSError):
        return str(error)
    problem = error.strerror or str(error)
    where = "" if error.filename is None else f"{error.filename}: "
    if error.errno == errno.ENOSPC or "No space left" in problem:
        problem = "no space left on the disk"
        fix = "free space there, or write elsewhere"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        fix = "name a place that may be read and written"
    else:
        return f"{where}{problem}"
    return f"{where}{problem}\nFix: {fix}"


as_of_option = click.option(
    "--as-of", type=DATE, metavar="DATE", help="Use only what was known at the start of this day."
)


tracking_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    help="MLflow tracking URI.  [default: sqlite:///mlflow.db in the working folder]",
)


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --engine and --master; the command is given the engine, open for as long as it runs."""

    @click.option(
        "--engine",
        type=click.Choice(["local", "spark"]),
        default="local",
        show_default=True,
        help="Where the shards are worked on.",
    )
    @click.option("--master", metavar="URL", help="Spark's master: local[2] or spark://HOST:7077.")
    @functools.wraps(command)
    def with_engine(*, engine: str, master: str | None, **options: Any) -> None:
        from riskmodels.engines import open_engine

        with open_engine(engine, master) as opened:
            command(engine=opened, **options)

    return with_engine
