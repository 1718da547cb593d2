"""MLflow, quietly: which server, which experiment, and no chatter."""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from riskmodels.errors import RegistryError

__all__ = ["Tracking", "answer", "tracking", "without_password"]

SQLITE = "sqlite:///"
DEFAULT_URI = f"{SQLITE}mlflow.db"
# Read by MLflow when it is imported. The models may be of patients: nothing is reported to anyone.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    # A server that is away is said to be so within seconds; MLflow's seven retries take many minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


class Tracking:
    """An open connection to a tracking server and registry."""

    def __init__(self, uri: str, client: Any) -> None:
        self.uri = uri
        self.client = client

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made where new; SQLite has the files in mlartifacts/ beside it."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self.uri.startswith(SQLITE):
            beside = Path(self.uri.removeprefix(SQLITE)).absolute().parent
            location = (beside / "mlartifacts" / name).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))


@contextlib.contextmanager
def tracking(uri: str | None = None, *, must_exist: bool = False) -> Iterator[Tracking]:
    """Open MLflow for a block: `uri`, else MLFLOW_TRACKING_URI, else ``sqlite:///mlflow.db`` in this folder.

    Parameters
    ----------
    uri : str, optional
        The tracking server.
    must_exist : bool
        For reading: refuse an SQLite file that is not there, which MLflow would make, empty.

    Raises
    ------
    RegistryError
        There is no such file, its database cannot be opened or written, or MLflow refused, with what it
        said.
    """
    if must_exist:
        _refuse_missing(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.utils import logging_utils
    from sqlalchemy.exc import DBAPIError

    # MLflow keeps the URI that was set in the environment too; what was there before is put back at the end.
    before = os.environ.get("MLFLOW_TRACKING_URI")
    chosen = uri or before or DEFAULT_URI
    _refuse_closed(chosen)
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "mlflow.store.db.utils")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    logging_utils.disable_logging()
    try:
        mlflow.set_tracking_uri(chosen)
        yield Tracking(chosen, mlflow.MlflowClient(tracking_uri=chosen))
    except MlflowException as error:
        first_line = str(error).splitlines()[0]
        raise RegistryError(f"MLflow at {without_password(chosen)}: {first_line}") from error
    except DBAPIError as error:
        raise _refused(chosen, error.orig) from error
    finally:
        logging_utils.enable_logging()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        mlflow.set_tracking_uri(before)


def answer(uri: str | None = None) -> None:
    """See that a registry can be written to, before the work whose end it is to keep.

    Raises
    ------
    RegistryError
        As `tracking`.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    if chosen.startswith(SQLITE):
        _refuse_closed(chosen, "BEGIN IMMEDIATE")
    else:
        with tracking(uri) as server:
            server.client.search_experiments(max_results=1)


def _refuse_closed(uri: str, statement: str = "PRAGMA schema_version") -> None:
    """Refuse an SQLite file that cannot be opened; MLflow would try for two minutes."""
    if not uri.startswith(SQLITE):
        return
    try:
        with contextlib.closing(sqlite3.connect(_path(uri), timeout=60)) as database:
            database.execute(statement)
    except sqlite3.Error as error:
        raise _refused(uri, error) from error


def _refused(uri: str, error: object) -> RegistryError:
    return RegistryError(
        f"the database of MLflow at {without_password(uri)} refused: {error}\n"
        "Fix: name one that may be written, on a disk with space: --tracking-uri, or MLFLOW_TRACKING_URI"
    )


def _path(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


def _refuse_missing(uri: str) -> None:
    if not uri.startswith(SQLITE):
        return
    path = _path(uri)
    if not path.is_file():
        raise RegistryError(
            f"there is no model registry at {path.absolute()}\n"
            "Fix: name the one that the model was registered in: --tracking-uri sqlite:///PATH.db, or "
            "MLFLOW_TRACKING_URI"
        )


def without_password(uri: str) -> str:
    """Return the URI of a tracking server without the user and the password in it."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
