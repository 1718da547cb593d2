"""The commands of expected cost: risk scores, panel benchmarks, target prices, interventions."""

from datetime import datetime
from pathlib import Path

import click

from riskmodels.cli.options import DATE, PATH, as_of_option, tracking_option

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
    """Score everyone in a HISTORY by the CMS-HCC models."""
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


@click.command()
@click.argument("history", type=PATH)
@click.option("--year", type=int, required=True, help="Performance year.")
@click.option("--base-years", metavar="YEAR,...", help="Benchmark years.  [default: up to three before]")
@click.option("--weights", metavar="SHARE,...", help="Weights of the benchmark years.  [default: equal]")
@click.option("--by", default="provider_id", show_default=True, help="Column that names the panel.")
@click.option("--members", type=PATH, help="File: person_id, the column of --by, and where it changes year.")
@click.option(
    "--model", help="A model of expected cost as the measure of risk: models:/NAME@champion or a folder."
)
@click.option(
    "--risk",
    type=click.Choice(["model", "hcc", "demographics", "none"]),
    help="What says how costly patients are.  [default: the model, else the HCC score]",
)
@click.option("--risk-cap", type=float, help="The most that risk may rise: 0.03 in shared savings.")
@click.option("--trend", type=PATH, help="File: year, enrolment (or all), factor.  [default: everyone's]")
@click.option(
    "--credibility",
    type=click.Choice(["buhlmann", "limited", "none"]),
    default="buhlmann",
    show_default=True,
    help="How far a panel's own history counts.",
)
@click.option("--no-completion", is_flag=True, help="Take the claims as they are known.")
@click.option(
    "--out", type=PATH, required=True, help="FILE.parquet or FILE.csv, as `riskmodels pay` reads it."
)
@as_of_option
@click.option("--draws", type=click.IntRange(min=0), default=200, show_default=True, help="Bootstrap draws.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--keep-small-cells", is_flag=True, help="Withhold nothing: to settle a payment inside the house."
)
@tracking_option
def panel(
    history: Path,
    year: int,
    base_years: str | None,
    weights: str | None,
    by: str,
    members: Path | None,
    model: str | None,
    risk: str | None,
    risk_cap: float | None,
    trend: Path | None,
    credibility: str,
    no_completion: bool,
    out: Path,
    as_of: datetime | None,
    draws: int,
    seed: int,
    keep_small_cells: bool,
    tracking_uri: str | None,
) -> None:
    """Benchmark what panels of patients cost in a year."""
    from riskmodels.benchmarks.panel import panel_benchmark
    from riskmodels.benchmarks.tables import read_frame
    from riskmodels.history import open_history

    factors = None
    if trend is not None:
        rows = read_frame(trend, ("year", "enrolment", "factor")).select("year", "enrolment", "factor")
        factors = {(int(when), str(group)): float(factor) for when, group, factor in rows.iter_rows()}
    made = panel_benchmark(
        open_history(history, as_of=as_of),
        year,
        base_years=None
        if base_years is None
        else [int(when) for when in _numbers(base_years, "--base-years")],
        weights=_numbers(weights, "--weights") or None,
        by=by,
        members=None if members is None else read_frame(members, ("person_id", by)),
        model=model,
        risk=risk,
        risk_cap=risk_cap,
        trend=factors,
        credibility=credibility,
        completion=not no_completion,
        n_draws=draws,
        seed=seed,
        suppress=not keep_small_cells,
        tracking_uri=tracking_uri,
    )
    made.write(out)
    click.echo(made.to_text())


@click.command()
@click.argument("episodes", type=PATH)
@click.option("--from", "start", type=DATE, metavar="DATE", required=True, help="First day of performance.")
@click.option(
    "--discount", type=float, default=0.0, show_default=True, help="The program's share, such as 0.02."
)
@click.option("--trend", type=float, help="Growth from the baseline.  [default: all participants', as seen]")
@click.option("--trend-cap", type=float, help="The most that the trend seen may differ from 1, such as 0.03.")
@click.option(
    "--credibility",
    type=click.Choice(["none", "buhlmann"]),
    default="none",
    show_default=True,
    help="Whether a participant's own baseline counts.",
)
@click.option(
    "--out", type=PATH, required=True, help="FILE.parquet or FILE.csv, as `riskmodels pay` reads it."
)
@click.option("--draws", type=click.IntRange(min=0), default=200, show_default=True, help="Bootstrap draws.")
@click.option("--seed", type=int, default=0, show_default=True)
def prices(
    episodes: Path,
    start: datetime,
    discount: float,
    trend: float | None,
    trend_cap: float | None,
    credibility: str,
    out: Path,
    draws: int,
    seed: int,
) -> None:
    """Price bundled-payment EPISODES on those before a day.

    EPISODES is what `riskmodels episodes` wrote; those of the performance period are written with their
    target prices, for team, cjr and bpci-advanced.
    """
    from riskmodels.benchmarks.tables import read_frame
    from riskmodels.benchmarks.target_prices import target_prices

    made = target_prices(
        read_frame(episodes),
        start.date(),
        discount=discount,
        trend=trend,
        trend_cap=trend_cap,
        credibility=credibility,
        n_draws=draws,
        seed=seed,
    )
    made.write(out)
    click.echo(made.to_text())


@click.command()
@click.argument("scores", type=PATH)
@click.option("--effect", type=float, required=True, help="Relative risk reduction, such as 0.2.")
@click.option("--effect-interval", metavar="LOW,HIGH", help="Its 95% interval, such as 0.1,0.3.")
@click.option("--cost-per-patient", type=float, required=True, help="Dollars a patient who takes part.")
@click.option("--value-per-outcome", type=float, required=True, help="Dollars that an outcome avoided saves.")
@click.option("--threshold", type=float, multiple=True, help="Reach patients from this risk on; repeatable.")
@click.option("--capacity", type=click.IntRange(min=1), help="Reach so many, those at highest risk.")
@click.option("--uptake", type=float, default=1.0, show_default=True, help="Share who take part.")
@click.option("--observed", type=PATH, help="File of risk, label, person_id: how well calibrated risks are.")
@click.option("--out", type=PATH, help="FILE.csv or FILE.parquet, a row a threshold.")
@click.option("--plot", type=PATH, help="FILE.svg or FILE.png: net benefit by threshold.")
@click.option("--seed", type=int, default=0, show_default=True)
def intervene(
    scores: Path,
    effect: float,
    effect_interval: str | None,
    cost_per_patient: float,
    value_per_outcome: float,
    threshold: tuple[float, ...],
    capacity: int | None,
    uptake: float,
    observed: Path | None,
    out: Path | None,
    plot: Path | None,
    seed: int,
) -> None:
    """Say what reaching the patients at highest risk would move.

    SCORES is the folder that `riskmodels score` wrote (those still open are taken), or a table with a column
    risk.
    """
    import polars as pl

    from riskmodels.benchmarks.intervention import Effect
    from riskmodels.benchmarks.intervention import intervene as run
    from riskmodels.benchmarks.tables import read_frame, write_frame

    if scores.is_dir():
        from riskmodels.scoring import read_scores

        days = sorted(scores.glob("as_of=*"))
        risks = (
            read_scores(days[0] if len(days) == 1 else scores)
            .filter(pl.col("status") == "open")
            .select("risk")
            .collect()
        )
    else:
        risks = read_frame(scores, ("risk",))
    limits = _numbers(effect_interval, "--effect-interval")
    if len(limits) not in (0, 2):
        raise click.BadParameter("give two numbers, such as 0.1,0.3", param_hint="--effect-interval")
    found = run(
        risks["risk"],
        Effect(effect, *limits),
        cost_per_patient=cost_per_patient,
        value_per_outcome=value_per_outcome,
        thresholds=threshold or None,
        capacity=capacity,
        uptake=uptake,
        observed=None if observed is None else read_frame(observed, ("risk", "label")),
        seed=seed,
    )
    if out is not None:
        write_frame(found.frame, out)
    if plot is not None:
        from riskmodels.reports import plot_net_benefit, write_figure

        write_figure(plot, plot_net_benefit(found))
    click.echo(found.to_text())


def _numbers(text: str | None, option: str) -> list[float]:
    """Return a list of numbers as given on the command line, empty where it was not."""
    try:
        return [] if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        message = f"{text!r} is no list of numbers, such as 2021,2022"
        raise click.BadParameter(message, param_hint=option) from None


COMMANDS = (hcc, panel, prices, intervene)
