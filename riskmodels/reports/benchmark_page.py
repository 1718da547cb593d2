"""A benchmark's own figures, as one picture or one page: funnel, caterpillar, social risk, change."""

import io
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import polars as pl
from matplotlib import image

from riskmodels.errors import DataError
from riskmodels.files import atomic_file
from riskmodels.reports.benchmark_plots import plot_changes, plot_social
from riskmodels.reports.hospital_plots import plot_caterpillar, plot_funnel
from riskmodels.reports.hospital_sections import withhold
from riskmodels.reports.sections import figure_view
from riskmodels.reports.style import to_png

__all__ = ["write_benchmark_plots"]

WHITE = 1.0
TEXTS = {
    "funnel": (
        "Funnel plot",
        (
            "Small entities scatter by chance alone: only points outside the limits differ from what was "
            "expected. Hollow: outside 95%; filled: outside 99.8%."
        ),
    ),
    "caterpillar": ("From lowest to highest", "Ranks say little where intervals overlap."),
    "social": (
        "Social risk",
        (
            "Hollow: as the benchmark has it, without social risk. Filled: with the patients' own social "
            "risk expected. The benchmark itself is not adjusted."
        ),
    ),
    "changes": (
        "Change of performance",
        "What is left of the last change after case mix, and what changed everywhere, are taken out.",
    ),
}


def write_benchmark_plots(path: str | Path, benchmark: Any) -> None:
    """Write the figures of a benchmark as FILE.png or as a page FILE.html that needs no network.

    Parameters
    ----------
    benchmark : riskmodels.benchmarks.Benchmark
        Its tables ``social`` and ``changes`` are drawn too, where it has them. Small cells are withheld from
        the figures of the ratios, whatever is in the frame.

    Raises
    ------
    DataError
        The name ends neither in .png nor in .html.
    """
    path = Path(path)
    if path.suffix not in (".png", ".html"):
        raise DataError("plots are written as .png or .html", file=path, fix="name it FILE.png or FILE.html")
    frame, method = withhold(benchmark.frame), str(benchmark.metadata.get("method", "oe"))
    ratio = "predicted over expected" if method == "rsrr" else "observed over expected"
    shown = frame.filter(~pl.col("suppressed")).height
    drawn = [(plot_funnel(frame), "funnel", f"{ratio} by expected number, {shown} entities, with limits")]
    drawn.append(
        (plot_caterpillar(frame), "caterpillar", f"{ratio} with intervals, {shown} entities in order")
    )
    if "social" in benchmark.tables:
        words = "ratios with and without adjustment for social risk, by the share at risk"
        drawn.append((plot_social(benchmark.tables["social"]), "social", words))
    if "changes" in benchmark.tables:
        words = "change of each entity that case mix and the common change do not explain"
        drawn.append((plot_changes(benchmark.tables["changes"]), "changes", words))
    with atomic_file(path) as temporary:
        if path.suffix == ".png":
            image.imsave(temporary, _stacked([to_png(figure) for figure, *_ in drawn]), format="png")
        else:
            views = [
                figure_view(figure, name, TEXTS[name][0], words, TEXTS[name][1])
                for figure, name, words in drawn
            ]
            temporary.write_text(_page(views, benchmark), encoding="utf-8")


def _stacked(pictures: list[bytes]) -> np.ndarray:
    """Return pictures one below the other, on white."""
    arrays = [np.asarray(image.imread(io.BytesIO(picture))) for picture in pictures]
    width = max(array.shape[1] for array in arrays)
    padded = [
        np.pad(array, ((0, 0), (0, width - array.shape[1]), (0, 0)), constant_values=WHITE)
        for array in arrays
    ]
    return np.ascontiguousarray(np.concatenate(padded))


def _page(figures: list[dict[str, str]], benchmark: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    known = benchmark.metadata
    title = f"{known.get('task', 'Benchmark')} by {benchmark.entity}"
    return environment.get_template("benchmark.html").render(
        figures=figures,
        title=title,
        version=known.get("riskmodels_version", ""),
        lines=[line.strip() for line in benchmark.to_text().splitlines()],
        span=f"{str(known.get('first_index', ''))[:10]} to {str(known.get('last_index', ''))[:10]}",
    )


def _template(name: str) -> str:
    return (resources.files("riskmodels.reports") / "templates" / name).read_text(encoding="utf-8")
