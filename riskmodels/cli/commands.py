"""The command line: every room of riskmodels as one command, with clear errors and exit codes.

Exit codes: 0 done, 1 bad input (one message: what, where, the fix), 2 usage.
"""

import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from riskmodels import __version__
from riskmodels.cli.benchmark import benchmark
from riskmodels.cli.cohorts import attribute, tasks
from riskmodels.cli.cost import COMMANDS as COST_COMMANDS
from riskmodels.cli.models import promote, report, score, train
from riskmodels.cli.options import (
    PATH,
    Lines,
    OneMessage,
    as_of_option,
    engine_options,
)
from riskmodels.cli.pay import episodes, pay

if TYPE_CHECKING:
    from riskmodels.engines import Engine

__all__ = ["main"]


@click.group(
    cls=OneMessage, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="riskmodels")
@click.option("--quiet", is_flag=True, help="Say only results and errors.")
@click.pass_context
def main(context: click.Context, quiet: bool) -> None:
    """Predictive risk modelling for value-based care: from patient histories to payments."""
    handler = Lines(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("riskmodels")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)

    def leave_as_it_was() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    context.call_on_close(leave_as_it_was)


@main.command()
@click.option(
    "--out", type=PATH, default=Path("demo"), show_default=True, help="Folder for everything the demo makes."
)
@click.option("--patients", type=click.IntRange(min=2_000), default=30_000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def demo(out: Path, patients: int, seed: int) -> None:
    """Run the whole flow on simulated patients."""
    from riskmodels.pipeline import demo as run

    click.echo(run(out, patients=patients, seed=seed))


@main.command()
@click.argument("history", type=PATH)
@click.option("--patients", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--truth", type=PATH, help="Folder for the truth: discharges.parquet, facilities.parquet.")
def simulate(history: Path, patients: int, seed: int, truth: Path | None) -> None:
    """Simulate claims with known true risks."""
    from riskmodels.datasets import simulate as run

    simulation = run(patients, seed=seed)
    simulation.write(history)
    if truth is not None:
        truth.mkdir(parents=True, exist_ok=True)
        simulation.truth.write_parquet(truth / "discharges.parquet")
        simulation.facilities.write_parquet(truth / "facilities.parquet")
    click.echo(f"{history}: {patients:,} simulated patients, seed {seed}")


@main.command()
@click.argument("source_format", metavar="FORMAT")
@click.argument("source", type=PATH)
@click.argument("history", type=PATH)
@click.option(
    "--shards", type=click.IntRange(min=1), help="Number of shards.  [default: from the size of the data]"
)
@click.option("--replace", is_flag=True, help="Take the place of the history that is there.")
@engine_options
def ingest(
    source_format: str, source: Path, history: Path, shards: int | None, replace: bool, engine: "Engine"
) -> None:
    """Turn a publisher's files into a HISTORY.

    SOURCE is the folder of the files as they were published (of cclf, tuva, fhir, omop and synthea also a zip
    archive of it). FORMAT is one of:

    \b
      cclf      Medicare's Claim and Claim Line Feed for ACOs, CCLF1 to CCLF9
      desynpuf  CMS's synthetic Medicare claims 2008-2010
      tuva      claims in Tuva's input layer, CSV or Parquet
      fhir      FHIR R4 in bulk (NDJSON): US Core, CARIN, Synthea, Medicare's BCDA
      omop      OMOP common data model 5.4 or 5.3, CSV or Parquet
      meds      Medical Event Data Standard
      synthea   Synthea's CSV export
      mimic-iv  MIMIC-IV's hosp/ and icu/
      mimic-iii  MIMIC-III's files, of version 1.4
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from riskmodels.history import ingest as run

    manifest = run(source_format, source, history, shards=shards, replace=replace, engine=engine).manifest
    rows = ", ".join(f"{count:,} {table} rows" for table, count in manifest.rows.items())
    click.echo(f"{history}: {rows} in {manifest.n_shards} shards")


@main.command()
@click.argument("target_format", metavar="FORMAT")
@click.argument("history", type=PATH)
@click.argument("target", type=PATH)
@as_of_option
def export(target_format: str, history: Path, target: Path, as_of: datetime | None) -> None:
    """Write a HISTORY as a dataset of another FORMAT (meds) at TARGET."""
    from riskmodels.history import open_history
    from riskmodels.history.exporting import export as run

    click.echo(f"{run(target_format, open_history(history, as_of=as_of), target)}: {target_format} dataset")


@main.command()
@click.argument("history", type=PATH)
@as_of_option
@click.option("--out", type=PATH, help="Also write the report: FILE.json or FILE.html.")
def check(history: Path, as_of: datetime | None, out: Path | None) -> None:
    """Report the quality of a HISTORY.

    Counts by table and year, overlapping stays, impossible dates, unknown codes, duplicate ids; rates beside
    published ones, claim lag and run-out; and which tasks the history can support, and why not.
    """
    from riskmodels.cli.cohorts import check_up

    click.echo(check_up(history, as_of, out))


@main.command()
@click.argument("task")
@click.argument("history", type=PATH)
@click.option("--out", type=PATH, required=True, help="FILE.parquet or FILE.csv.")
@as_of_option
@click.option("--role", type=click.Choice(["predict", "adjust"]), help="Only features of this role.")
@click.option(
    "--features", "chosen", type=PATH, help="A feature set, YAML or JSON.  [default: the standard one]"
)
@click.option("--known-only", is_flag=True, help="Use only what was recorded before each index time.")
@engine_options
def features(
    task: str,
    history: Path,
    out: Path,
    as_of: datetime | None,
    role: str | None,
    chosen: Path | None,
    known_only: bool,
    engine: "Engine",
) -> None:
    """Write the training set of a TASK.

    A row an index case, with label and features. TASK is a name that `riskmodels tasks` lists, or a .yaml
    file.
    """
    from riskmodels.features import FeatureSet
    from riskmodels.pipeline import write_training_set

    given = None if chosen is None else FeatureSet.read(chosen)
    click.echo(
        write_training_set(
            task, history, out, as_of=as_of, role=role, features=given, known_only=known_only, engine=engine
        )
    )


for command in (
    attribute,
    benchmark,
    episodes,
    pay,
    promote,
    report,
    score,
    tasks,
    train,
    *COST_COMMANDS,
):
    main.add_command(command)
