"""The command `riskmodels pay`, with the options of every payment program."""

from pathlib import Path
from typing import Any

import click

from riskmodels.cli_options import PATH

__all__ = ["PROGRAM_OPTIONS", "pay"]

PROGRAM_OPTIONS = {
    "base_payments": "hrrp, hac, hvbp: file of base operating payments, for dollars.",
    "bid": "ma-capitation: the plan's standardised bid, dollars a member and month.",
    "county_rates": "ma-capitation: file of county benchmarks.",
    "cutoff": "hac: the score above which the reduction applies, or 'file'.",
    "drg_ratios": "hrrp on a benchmark: file of DRG payment ratios.",
    "equity_adjustment": "aco-reach: file of health equity adjustments.",
    "model": "primary-care: 'cpc+' or 'pcf'.",
    "neutrality_modifier": "hrrp on a benchmark: a number, 'rules' or 'solve'.",
    "peer_groups": "hrrp on a benchmark: file of dual proportions or peer groups.",
    "quality": "team, cjr, bpci-advanced: file of composite quality scores.",
    "revenue": "mssp: file of the ACOs' Medicare revenue.",
    "scaling_factor": "mips: a number, or 'solve'.",
    "slope": "hvbp: the published exchange slope, in place of solving for it.",
    "stars": "ma-capitation: the contract's star rating.",
}


def _program_options(command: Any) -> Any:
    """Add to a command what single programs take; `pay` refuses what is not the program's own."""
    for name, words in reversed(PROGRAM_OPTIONS.items()):
        command = click.option(f"--{name.replace('_', '-')}", metavar="VALUE", help=words)(command)
    return command


@click.command()
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
