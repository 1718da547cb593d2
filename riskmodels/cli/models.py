"""The commands of models: train, promote, score, report."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from riskmodels.cli.options import DATE, PATH, as_of_option, engine_options, tracking_option
from riskmodels.errors import SpecError

if TYPE_CHECKING:
    from riskmodels.engines import Engine

__all__ = ["promote", "report", "score", "train"]


@click.command()
@click.argument("task")
@click.argument("history", type=PATH)
@tracking_option
@click.option("--config", type=PATH, help="A model.yaml with features, parameters and split.")
@as_of_option
@click.option(
    "--seed", type=int, help="Seed of the split and of the model.  [default: the model.yaml's, or 0]"
)
@click.option("--out", type=PATH, help="Also write the model to this folder.")
@click.option("--promote", is_flag=True, help="Promote the model to champion if it passes the gate.")
@click.option("--concurrent", is_flag=True, help="cost-12m: expect a year's cost from its own diagnoses.")
@click.option("--features", type=PATH, help="Read the features that `riskmodels features` wrote.")
@click.option("--scheduler", metavar="URL", help="Fit on a Dask cluster: tcp://HOST:8786, with --features.")
@engine_options
def train(
    task: str,
    history: Path,
    tracking_uri: str | None,
    config: Path | None,
    as_of: datetime | None,
    seed: int | None,
    out: Path | None,
    promote: bool,
    concurrent: bool,
    features: Path | None,
    scheduler: str | None,
    engine: "Engine",
) -> None:
    """Train, evaluate and register a model of a TASK.

    TASK is a name that `riskmodels tasks` lists, or a .yaml file. With --engine spark index cases and
    features are built on the cluster, and the model is fitted here. With --scheduler it is fitted on a Dask
    cluster, whose workers read the file --features.
    """
    from riskmodels.cohorts import load_task
    from riskmodels.pipeline import train as run

    options: dict[str, Any] = {
        "config": config,
        "as_of": as_of,
        "seed": seed,
        "tracking_uri": tracking_uri,
        "out": out,
        "promote": promote,
        "features": features,
        "engine": engine,
    }
    if load_task(task).outcome.event == "cost":
        from riskmodels.pipeline import train_cost

        if scheduler is not None:
            raise SpecError(f"{task} is fitted on one node, not on a cluster\nFix: leave out --scheduler")
        click.echo(train_cost(task, history, concurrent=concurrent, **options).to_text())
        return
    if concurrent:
        raise SpecError(
            f"the outcome of {task} is no cost, and --concurrent is for costs\nFix: leave out --concurrent"
        )
    click.echo(run(task, history, scheduler=scheduler, **options).to_text())


@click.command()
@click.argument("model")
@tracking_option
@click.option("--version", help="The version to promote.  [default: the one with alias candidate]")
def promote(model: str, tracking_uri: str | None, version: str | None) -> None:
    """Make a MODEL's candidate champion if it passes the gate.

    MODEL is a registered name, such as readmission-30d or cost-12m. Exit code 1 where the gate refuses.
    """
    from riskmodels.learning.registry import promote as run

    promotion = run(model, version=version, tracking_uri=tracking_uri)
    click.echo(promotion.to_text())
    if not promotion.promoted:
        raise SystemExit(1)


@click.command()
@click.argument("model")
@click.argument("history", type=PATH)
@click.option(
    "--as-of",
    type=DATE,
    metavar="DATE",
    required=True,
    help="Score as things were known at the start of this day.",
)
@click.option("--out", type=PATH, required=True, help="Folder for the scores (Parquet, a file a shard).")
@click.option(
    "--since",
    type=DATE,
    metavar="DATE",
    help="Discharges from this day on.  [default: those whose follow-up is still open]",
)
@click.option(
    "--reasons", type=click.IntRange(0, 10), default=3, show_default=True, help="Top reasons a row."
)
@tracking_option
@engine_options
def score(
    model: str,
    history: Path,
    as_of: datetime,
    out: Path,
    since: datetime | None,
    reasons: int,
    tracking_uri: str | None,
    engine: "Engine",
) -> None:
    """Score a HISTORY with a MODEL.

    MODEL is models:/NAME@champion, models:/NAME/VERSION, runs:/RUN_ID or a folder. Started again after it
    was killed, it goes on where it was.
    """
    from riskmodels.scoring import score as run

    done = run(
        model,
        history,
        as_of=as_of,
        out=out,
        since=since,
        reasons=reasons,
        tracking_uri=tracking_uri,
        engine=engine,
    )
    click.echo(done.to_text())


@click.command()
@click.argument("run")
@click.option("--out", type=PATH, required=True, help="FILE.html: one page, no network needed.")
@click.option("--benchmark", type=PATH, help="What `riskmodels benchmark` wrote.")
@click.option("--payment", type=PATH, help="What `riskmodels pay hrrp` wrote.")
@tracking_option
def report(
    run: str, out: Path, benchmark: Path | None, payment: Path | None, tracking_uri: str | None
) -> None:
    """Write the report of a RUN.

    RUN is an MLflow run id, models:/NAME@champion or models:/NAME/VERSION.
    """
    from riskmodels.pipeline import report as write

    click.echo(write(run, out, benchmark=benchmark, payment=payment, tracking_uri=tracking_uri))
