"""The command `riskmodels benchmark`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from riskmodels.cli.options import PATH, as_of_option, engine_options, tracking_option

if TYPE_CHECKING:
    from riskmodels.engines import Engine

__all__ = ["benchmark"]


@click.command()
@click.argument("task")
@click.argument("history", type=PATH)
@click.option(
    "--by",
    default="facility_id",
    show_default=True,
    help="Column that names the hospital or group; attributed_provider for a population.",
)
@click.option("--out", type=PATH, required=True, help="FILE.parquet or FILE.csv.")
@click.option(
    "--method",
    type=click.Choice(["oe", "rsrr"]),
    default="oe",
    show_default=True,
    help="Observed over expected, or risk-standardised: predicted over expected, as CMS has it.",
)
@click.option(
    "--risk",
    type=click.Choice(["trees", "linear"]),
    default="trees",
    show_default=True,
    help="rsrr: patients' risk from cross-fitted trees, or from a linear model.",
)
@click.option(
    "--model", help="A model of adjust features.  [default: one is fitted, cross-fitted by patient]"
)
@as_of_option
@click.option("--draws", type=click.IntRange(min=0), default=200, show_default=True, help="Bootstrap draws.")
@click.option(
    "--refits",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="oe: fit what is expected again on so many draws of patients, and widen the intervals by that.",
)
@click.option("--social", metavar="COLUMN", help="Show social risk beside: dual, race_ethnicity, ...")
@click.option("--social-table", type=PATH, help="FILE with person_id and the column of --social.")
@click.option(
    "--period", type=click.Choice(["year", "quarter"]), help="Show periods, and changes in parts, beside."
)
@click.option("--plot", type=PATH, help="FILE.png or FILE.html: funnel, caterpillar and what stands beside.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--keep-small-cells",
    is_flag=True,
    help="Withhold nothing: for settling a payment inside the organisation that holds the data.",
)
@tracking_option
@engine_options
def benchmark(
    task: str,
    history: Path,
    by: str,
    out: Path,
    method: Any,
    risk: Any,
    model: str | None,
    as_of: datetime | None,
    draws: int,
    refits: int,
    social: str | None,
    social_table: Path | None,
    period: Any,
    plot: Path | None,
    seed: int,
    keep_small_cells: bool,
    tracking_uri: str | None,
    engine: "Engine",
) -> None:
    """Compare observed with expected outcomes.

    TASK is a name that `riskmodels tasks` lists, or a .yaml file. What --social and --period show is written
    beside FILE, as FILE.social.parquet and so on; the ratios in FILE are not adjusted for social risk.
    """
    from riskmodels.benchmarks import benchmark as run
    from riskmodels.history import open_history

    if social_table is not None and social is None:
        raise click.UsageError("--social-table needs --social COLUMN")
    if plot is not None and plot.suffix not in (".png", ".html"):
        raise click.UsageError(f"--plot {plot}: name it FILE.png or FILE.html")
    if out.suffix not in (".parquet", ".csv"):
        raise click.UsageError(f"--out {out}: name it FILE.parquet or FILE.csv")
    result = run(
        task,
        open_history(history, as_of=as_of),
        by=by,
        method=method,
        risk=risk,
        model=model,
        n_draws=draws,
        refits=refits,
        social=social,
        social_table=None if social_table is None else read_social_table(social_table),
        period=period,
        seed=seed,
        suppress=not keep_small_cells,
        tracking_uri=tracking_uri,
        engine=engine,
    )
    result.write(out)
    if plot is not None:
        from riskmodels.reports import write_benchmark_plots

        write_benchmark_plots(plot, result)
    click.echo(result.to_text())


def read_social_table(path: Path) -> Any:
    """Read a CSV or Parquet file, identifiers as text."""
    import polars as pl

    from riskmodels.errors import DataError

    if not path.is_file():
        raise DataError("there is no such file", file=path, fix="give a CSV or Parquet file")
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, schema_overrides={"person_id": pl.String}, infer_schema_length=None)
