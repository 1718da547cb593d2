"""Start a Spark session that is quiet, whose workers run this Python, and that says what it lacks."""

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from riskmodels.errors import SpecError

__all__ = ["java_version", "start_session"]

OLDEST_JAVA = 17
SECONDS_TO_ANSWER = 5.0
MASTER = re.compile(r"spark://(?P<hosts>[^/]+)$")
# All that Spark takes; of a master of another form it tells in stack traces alone.
MASTERS = re.compile(
    r"local(\[(\*|[1-9]\d*)(,\s*\d+)?\])?|local-cluster\[[\d\s,]+\]|spark://[^/]+|yarn|k8s://.+"
)
LOGGING = Path(__file__).with_name("log4j2.properties")

# One thread a task: Spark counts tasks by cores. Arrow throughout; instants have no zone.
SETTINGS = {
    "spark.executorEnv.POLARS_MAX_THREADS": "1",
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.NUMBA_NUM_THREADS": "1",
    "spark.driver.maxResultSize": "0",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
}


def start_session(master: str | None = None) -> tuple[Any, bool]:
    """Start a Spark session, or take the one that runs in this process; return it, and whether it is new.

    Spark has one context in a process. Where the caller runs one, it is used through a session of its own, so
    that the caller's settings stay as they are.

    Parameters
    ----------
    master : str, optional
        As Spark takes it. Default: what Spark's configuration says, else ``local[*]``.

    Raises
    ------
    SpecError
        The master has no form that Spark takes, PySpark or Java is missing or too old, no master answers,
        or a session runs on another master.
    """
    if master is not None and MASTERS.fullmatch(master) is None:
        raise SpecError(
            f"{master!r} is no master of Spark's\nFix: name one such as local[2], spark://HOST:7077 or yarn"
        )
    try:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SpecError(
            "the engine spark needs PySpark 4, which is not installed\nFix: pip install 'riskmodels[spark]'"
        ) from error
    found = java_version()
    if found is None or found < OLDEST_JAVA:
        raise SpecError(
            f"PySpark 4 needs Java {OLDEST_JAVA} or newer, and {_state_of_java(found)}\n"
            f"Fix: install a Java {OLDEST_JAVA} runtime, and set JAVA_HOME to it if it is not on the PATH"
        )
    _check_answers(master)
    context = SparkContext._active_spark_context  # the public questions are about the thread, not the process
    if context is not None:
        return _beside(SparkSession(context), master), False
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    builder = SparkSession.builder.appName("riskmodels").config(map=dict(SETTINGS))
    if master is not None:
        builder = builder.master(master)
        if master.startswith("local"):  # nothing of it is for other machines
            builder = builder.config("spark.driver.host", "127.0.0.1")
            builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas 3, which is not used: all goes by Arrow
            session = builder.getOrCreate()
    except Exception as error:
        raise SpecError(
            f"Spark cannot be started on {master or 'the master of its configuration'}: {_reason(error)}\n"
            "Fix: see that the master is up, and Spark's settings (SPARK_CONF_DIR, PYSPARK_SUBMIT_ARGS)"
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    return session, True


def _beside(running: Any, master: str | None) -> Any:
    """Return a new session on the context of one that runs."""
    there = running.sparkContext.master
    if master not in (None, there):
        raise SpecError(
            f"a Spark session runs here on {there}, and the master asked for is {master}\n"
            f"Fix: stop that session first, or give its master ({there}) or none"
        )
    session = running.newSession()
    for name, value in SETTINGS.items():
        if session.conf.isModifiable(name):
            session.conf.set(name, value)
    return session


def java_version() -> int | None:
    """Return the major version of the Java that Spark would use; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).is_file():
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else None


def _state_of_java(version: int | None) -> str:
    """Say what Java there is, and where it was looked for."""
    home = os.environ.get("JAVA_HOME")
    if version is not None:
        return f"the Java here is version {version}"
    return f"JAVA_HOME is {home}, which holds none" if home else "there is no Java here"


def _reason(error: Exception) -> str:
    """Return the line that says why Spark did not start: Java's own, where Java gave one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    javas = [line.removeprefix(": ") for line in lines if line.startswith(": ")]
    return (javas or lines or ["no reason given"])[0][:300]


def _check_answers(master: str | None) -> None:
    """Ask a standalone master whether it is there: Spark itself would try for a minute."""
    match = MASTER.match(master or "")
    if match is None:
        return
    for address in match["hosts"].split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER):
                return
        except (OSError, ValueError):
            continue
    raise SpecError(
        f"no Spark master answers at {master}\n"
        "Fix: see that it is running and that host and port are those of its log (spark://HOST:7077)"
    )
