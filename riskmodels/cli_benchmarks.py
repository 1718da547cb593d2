"""The commands of expected cost: risk scores, panel benchmarks, target prices, interventions."""

from datetime import datetime
from pathlib import Path

import click

from riskmodels.cli_options import PATH, as_of_option

__all__ = ["COMMANDS"]


@click.command()
@click.argument("history", type=PATH)
@click.option("--payment-year", type=int, required=True, help="Diagnoses of the year before are used.")
@click.option("--out", type=PATH, required=True, help="FILE.parquet or FILE.csv, a row a member.")
@click.option("--hccs", type=PATH, help="FILE.parquet or FILE.csv: the HCCs behind each score.")
@click.option("--unknown-codes", type=PATH, help="FILE.parquet or FILE.csv: codes without an HCC.")
@click.option("--eligible-codes", type=PATH, help="CMS's list of CPT/HCPCS codes for risk adjustment.")
@click.option("--members", type=PATH, help="File of person_id and what is known better; see docs/hcc.md.")
@click.option(
    "--dual-benefits",
    type=click.Choice(["full", "partial"]),
    default="full",
    show_default=True,
    help="What members with Medicaid count as where no dual_status is given.",
)
@as_of_option
def hcc(
    history: Path,
    payment_year: int,
    out: Path,
    hccs: Path | None,
    unknown_codes: Path | None,
    eligible_codes: Path | None,
    members: Path | None,
    dual_benefits: str,
    as_of: datetime | None,
) -> None:
    """Score everyone in a HISTORY under the CMS-HCC models of a payment year."""
    from riskmodels.benchmarks.hcc import read_eligible_codes, score_history
    from riskmodels.benchmarks.tables import read_frame, write_frame
    from riskmodels.history import open_history

    scores = score_history(
        open_history(history, as_of=as_of),
        payment_year,
        eligible_codes=None if eligible_codes is None else read_eligible_codes(eligible_codes),
        members=None if members is None else read_frame(members, ("person_id",)),
        dual_benefits=dual_benefits,
    )
    write_frame(scores.frame, out)
    for path, frame in ((hccs, scores.hccs), (unknown_codes, scores.unknown_codes)):
        if path is not None:
            write_frame(frame, path)
    click.echo(scores.to_text())


COMMANDS = (hcc,)
