"""The commands `riskmodels pay`, with the options of every program, and `riskmodels episodes`."""

from pathlib import Path
from typing import Any

import click

from riskmodels.cli.options import PATH

__all__ = ["PROGRAMS", "PROGRAM_OPTIONS", "episodes", "pay"]

PROGRAM_OPTIONS = {
    "acos": "mssp, aco-reach on a panel benchmark: file of aco_id, track or arrangement, quality.",
    "base_payments": "hrrp, hac, hvbp: file of base operating payments, for dollars.",
    "benchmark": "mssp: file of what the ACOs' benchmarks are made of, to rebuild them.",
    "bid": "ma-capitation: the plan's standardised bid, dollars a member and month.",
    "county_rates": "ma-capitation: file of county benchmarks.",
    "cutoff": "hac: the score above which the reduction applies, or 'file'.",
    "drg_ratios": "hrrp on a benchmark: file of DRG payment ratios.",
    "equity_adjustment": "aco-reach: file of health equity adjustments.",
    "model": "primary-care: 'cpc+', 'pcf' or 'flex'.",
    "neutrality_modifier": "hrrp on a benchmark: a number, 'rules' or 'solve'.",
    "peer_groups": "hrrp on a benchmark: file of dual proportions or peer groups.",
    "quality": "team, cjr, bpci-advanced: file of composite quality scores, or of percentiles.",
    "revenue": "mssp: file of the ACOs' Medicare revenue.",
    "savings_risk_factor": "ma-capitation: the plan's average risk factor, which multiplies the savings.",
    "scaling_factor": "mips: a number or 'solve'; '0.3,0.05' sets the exceptional factor too.",
    "slope": "hvbp: the published exchange slope, in place of solving for it.",
    "stars": "ma-capitation: the contract's star rating.",
}

PROGRAMS = {
    "hrrp": "CMS's supplemental file or hospital-specific reports (.xlsx), or a benchmark with "
    "--drg-ratios and --peer-groups [--base-payments, --neutrality-modifier]",
    "hvbp": "CMS's four domain files [--base-payments, --slope]",
    "hac": "CMS's HAC Reduction Program file [--base-payments, --cutoff]",
    "mssp": "CMS's public use file of a performance year, or a panel benchmark with --acos "
    "[--benchmark, --revenue]",
    "aco-reach": "the model's results (.json or .csv), capitation, stop-loss; or a panel benchmark "
    "with --acos [--equity-adjustment]",
    "mips": "a clinician a row: quality, cost, improvement_activities, promoting_interoperability; "
    "or a measure a row [--scaling-factor]",
    "ma-capitation": "members: member_id, county, months, raw_v28; --county-rates "
    "[--bid, --stars, --savings-risk-factor]",
    "primary-care": "a practice (and tier or county) a row; --model",
    "team": "episodes: participant_id, episode_category, target_price, cost; --quality",
    "cjr": "episodes, as team; --quality",
    "bpci-advanced": "episodes, as team, with winsor_low and winsor_high; --quality",
    "contract": "the contract (.toml) and a table of figures",
}
"""What each program takes, for the help; the tests hold it to the programs there are."""


class _PayCommand(click.Command):
    """The command whose help lists the programs and what each takes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Programs, their inputs [and options]"):
            formatter.write_dl(list(PROGRAMS.items()))
        formatter.write_paragraph()
        formatter.write_text("Columns, years and how exactly each matches CMS's figures: docs/payments.md.")


def _program_options(command: Any) -> Any:
    """Add to a command what single programs take; `pay` refuses what is not the program's own."""
    for name, words in reversed(PROGRAM_OPTIONS.items()):
        command = click.option(f"--{name.replace('_', '-')}", metavar="VALUE", help=words)(command)
    return command


@click.command(cls=_PayCommand)
@click.argument("program")
@click.argument("inputs", nargs=-1, required=True, type=PATH)
@click.option("--year", type=int, required=True, help="Fiscal or performance year of the rules.")
@click.option("--out", type=PATH, help="FILE.csv or FILE.parquet, a row an entity.")
@click.option("--detail", type=PATH, help="FILE.csv or FILE.parquet, a row an entity and component.")
@click.option("--explain", metavar="ID", help="Print how this entity's payment came about, line by line.")
@click.option(
    "--what-if", multiple=True, metavar="INPUT=CHANGE", help="Change an input: cost=-5%, x[HF]@010006=1.02"
)
@click.option("--break-even", is_flag=True, help="Print what has to change for the payment to turn.")
@_program_options
def pay(
    program: str,
    inputs: tuple[Path, ...],
    year: int,
    out: Path | None,
    detail: Path | None,
    explain: str | None,
    what_if: tuple[str, ...],
    break_even: bool,
    **options: Any,
) -> None:
    """Compute PROGRAM's payments from CMS's own files or a benchmark."""
    from riskmodels.payments import parse_changes
    from riskmodels.payments import pay as run
    from riskmodels.payments.summary import break_even_to_text, to_text

    payment = run(program, list(inputs), year=year, what_if=parse_changes(what_if), **options)
    said = payment.audit(explain).to_text() if explain else to_text(payment)
    payment.write(out, detail)
    click.echo(said)
    if break_even:
        click.echo(break_even_to_text(payment, explain))


@click.command()
@click.argument("program", type=click.Choice(["bpci-advanced", "cjr", "team"]))
@click.argument("history", type=PATH)
@click.option("--year", type=int, required=True, help="Performance year of the rules.")
@click.option(
    "--out", type=PATH, required=True, help="FILE.csv or FILE.parquet, as `riskmodels pay` reads it."
)
@click.option("--categories", type=PATH, help="File: drg, episode_category; cjr has its own.")
@click.option(
    "--exclusions", type=PATH, help="File of unrelated services: kind (drg, diagnosis, procedure), code."
)
@click.option("--prices", type=PATH, help="File: participant_id, episode_category, target_price.")
def episodes(
    program: str,
    history: Path,
    year: int,
    out: Path,
    categories: Path | None,
    exclusions: Path | None,
    prices: Path | None,
) -> None:
    """Build the bundled-payment episodes of a HISTORY.

    PROGRAM's rules set the window, what cancels an episode and where its costs are held.
    """
    from riskmodels.history import open_history
    from riskmodels.payments import episode_rules

    opened = open_history(history)
    stays = opened.table("encounter")
    people = opened.table("person")
    if "death_date" in people.collect_schema().names():
        stays = stays.join(people.select("person_id", "death_date"), on="person_id", how="left")
    codes, drgs = episode_rules.read_exclusions(exclusions) if exclusions else ((), ())
    built = episode_rules.episodes_of(
        program,
        year,
        stays.collect(),
        opened.table("event").collect(),
        categories=episode_rules.read_categories(categories) if categories else None,
        excluded_codes=codes,
        excluded_drgs=drgs,
        prices=episode_rules.read_prices(prices) if prices else None,
    )
    built.write(out)
    click.echo(built.to_text())
