"""The commands about tasks and about who answers for a patient."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from riskmodels.cli_options import DATE, PATH, as_of_option, engine_options

if TYPE_CHECKING:
    from riskmodels.engines import Engine

__all__ = ["attribute", "tasks"]


@click.command()
def tasks() -> None:
    """List the tasks that come with the package."""
    from riskmodels.cohorts import load_task, task_names

    width = max(map(len, task_names()))
    for name in task_names():
        click.echo(f"{name:<{width}}  {load_task(name).title}")


@click.command()
@click.argument("history", type=PATH)
@click.option("--year", type=int, help="Performance year; or give --since and --until.")
@click.option(
    "--window",
    type=click.Choice(["prospective", "retrospective"]),
    default="retrospective",
    show_default=True,
    help="Services of the year itself, or of the 12 months to 30 September before it.",
)
@click.option("--since", type=DATE, metavar="DATE", help="First day of the services that count.")
@click.option("--until", type=DATE, metavar="DATE", help="Last day of the services that count.")
@click.option("--out", type=PATH, required=True, help="FILE.parquet or FILE.csv.")
@click.option(
    "--provider",
    type=click.Choice(["provider_id", "facility_id"]),
    default="provider_id",
    show_default=True,
    help="Whose services are added up.",
)
@click.option(
    "--services",
    type=click.Choice(["hcpcs", "office"]),
    default="hcpcs",
    show_default=True,
    help="Services with a primary care code, or all office visits.",
)
@click.option("--specialties", type=PATH, help="CSV: provider, Medicare specialty code.")
@click.option("--groups", type=PATH, help="CSV: provider, its ACO, practice or TIN.")
@as_of_option
@engine_options
def attribute(
    history: Path,
    year: int | None,
    window: str,
    since: datetime | None,
    until: datetime | None,
    out: Path,
    provider: str,
    services: str,
    specialties: Path | None,
    groups: Path | None,
    as_of: datetime | None,
    engine: "Engine",
) -> None:
    """Attribute patients by the plurality of primary care.

    The two steps of 42 CFR 425.402: primary care clinicians first, specialists for patients without any.
    """
    from riskmodels.benchmarks.tables import write_frame
    from riskmodels.cohorts.attribution import assignment_window, read_providers
    from riskmodels.cohorts.attribution import attribute as run
    from riskmodels.history import open_history

    if (year is None) == (since is None or until is None):
        raise click.UsageError("give --year, or both --since and --until")
    first, last = (
        assignment_window(year, window)  # type: ignore[arg-type]
        if year is not None
        else (since.date(), until.date())  # type: ignore[union-attr]
    )
    opened = open_history(history, as_of=as_of)
    found = run(
        opened,
        first,
        last,
        provider=provider,
        services=services,  # type: ignore[arg-type]
        specialties=None if specialties is None else read_providers(specialties, "specialty"),
        groups=None if groups is None else read_providers(groups, "group"),
        engine=engine,
    )
    write_frame(found, out)
    of, providers = opened.manifest.rows["person"], found["attributed_provider"].n_unique()
    second = int((found["step"] == 2).sum())
    click.echo(
        f"{out}: {found.height:,} of {of:,} patients attributed to {providers:,} providers by services from "
        f"{first} to {last}, {second:,} in the second step"
        + ("" if specialties else "; every provider taken for a primary care physician (no --specialties)")
    )
