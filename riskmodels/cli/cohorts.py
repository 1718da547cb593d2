"""The commands about tasks and about who answers for a patient."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from riskmodels.cli.options import DATE, PATH, as_of_option, engine_options

if TYPE_CHECKING:
    from riskmodels.engines import Engine

__all__ = ["attribute", "check_up", "tasks"]


def check_up(history: Path, as_of: datetime | None, out: Path | None) -> str:
    """Check a history, write the report where it is asked for, and return it as text."""
    from dataclasses import asdict

    from riskmodels.cohorts.support import say, support
    from riskmodels.errors import DataError
    from riskmodels.files import write_json
    from riskmodels.history import check, compare_with_usual, open_history

    if out is not None and out.suffix not in (".json", ".html"):
        raise DataError(
            f"cannot write {out.suffix or 'a file without suffix'}", file=out, fix="end it in .json or .html"
        )
    opened = open_history(history, as_of=as_of)
    quality, usual, able = check(opened), compare_with_usual(opened), support(opened)
    if out is not None and out.suffix == ".json":
        verdicts = [asdict(entry) for entry in able]
        content = {**quality.to_dict(withhold=True), "plausibility": usual.to_dict(), "tasks": verdicts}
        write_json(out, content)
    elif out is not None:
        from riskmodels.reports import write_check_page

        write_check_page(out, history.name, quality, usual, able)
    return "\n".join((quality.to_text(), usual.to_text(), say(able)))


@click.command()
def tasks() -> None:
    """List the tasks that come with the package."""
    from riskmodels.cohorts import load_task, task_names

    width = max(map(len, task_names()))
    for name in task_names():
        click.echo(f"{name:<{width}}  {load_task(name).title}")


@click.command()
@click.argument("history", type=PATH)
@click.option("--year", type=int, help="Performance year, with its rules; or give --since and --until.")
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
@click.option("--acos", type=PATH, help="CSV: the groups that are ACOs; others get no patients.")
@click.option("--designations", type=PATH, help="CSV: person, provider, date: whom patients chose.")
@click.option(
    "--designated-by",
    type=DATE,
    metavar="DATE",
    help="Last day of designations in force; default: 30 September before the year (unverified).",
)
@click.option(
    "--third-step/--no-third-step",
    default=None,
    help="Look at 24 months for those without a physician; default: from 2025 on, with --specialties.",
)
@click.option(
    "--enrolled/--anybody",
    default=None,
    help="Leave out who may not be assigned, by coverage; default: with --year, where there is coverage.",
)
@click.option(
    "--teaching-hospital", multiple=True, metavar="CCN", help="Hospital whose clinic visits (G0463) count."
)
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
    acos: Path | None,
    designations: Path | None,
    designated_by: datetime | None,
    third_step: bool | None,
    enrolled: bool | None,
    teaching_hospital: tuple[str, ...],
    as_of: datetime | None,
    engine: "Engine",
) -> None:
    """Attribute patients by primary care, and by whom they chose.

    The steps of 42 CFR 425.402: primary care clinicians first, specialists for patients without any, and from
    2025 on the 24-month window; a patient's own designation goes before claims.
    """
    from riskmodels.benchmarks.tables import write_frame
    from riskmodels.cohorts.attribution import FIRST_PERFORMANCE_YEAR, window_of
    from riskmodels.cohorts.attribution import attribute as run
    from riskmodels.cohorts.designations import read_designations
    from riskmodels.cohorts.providers import read_accountable, read_providers
    from riskmodels.history import open_history

    first, last = window_of(
        year,
        window,  # type: ignore[arg-type]
        since=None if since is None else since.date(),
        until=None if until is None else until.date(),
    )
    before = year is not None and year < FIRST_PERFORMANCE_YEAR and designations is None
    opened = open_history(history, as_of=as_of)
    found = run(
        opened,
        first,
        last,
        performance_year=None if before else year,
        third_step=third_step,
        enrolled=enrolled,
        designations=None if designations is None else read_designations(designations),
        designated_by=None if designated_by is None else designated_by.date(),
        accountable=None if acos is None else read_accountable(acos),
        provider=provider,
        services=services,  # type: ignore[arg-type]
        specialties=None if specialties is None else read_providers(specialties, "specialty"),
        groups=None if groups is None else read_providers(groups, "group"),
        teaching_hospitals=teaching_hospital,
        engine=engine,
    )
    write_frame(found, out)
    of, providers = opened.manifest.rows["person"], found["attributed_provider"].n_unique()
    words = {0: "by designation", 2: "in the second step", 3: "in the third step"}
    by_step = ", ".join(f"{int((found['step'] == step).sum()):,} {word}" for step, word in words.items())
    click.echo(
        f"{out}: {found.height:,} of {of:,} patients attributed to {providers:,} providers by services from "
        f"{first} to {last}, {by_step}"
        + ("" if specialties else "; every provider taken for a primary care physician (no --specialties)")
        + (f"; codes of any year, since the rules begin with {FIRST_PERFORMANCE_YEAR}" if before else "")
    )
