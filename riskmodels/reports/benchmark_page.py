"""A benchmark's own figures, as one picture or one page: funnel, caterpillar, social risk, change."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib import image

from riskmodels.errors import DataError
from riskmodels.files import atomic_file
from riskmodels.reports.benchmark_plots import plot_changes, plot_social
from riskmodels.reports.hospital_plots import plot_caterpillar, plot_funnel
from riskmodels.reports.hospital_sections import withhold
from riskmodels.reports.page import write_page
from riskmodels.reports.sections import figure_view
from riskmodels.reports.style import heading, to_png
from riskmodels.reports.writing import entities, listed, percent, small_count

__all__ = ["write_benchmark_plots"]

WHITE = 1.0
MOST_NAMED = 8
CAPTIONS = {
    "funnel": (
        "Funnel plot",
        (
            "Small {entities} scatter by chance alone: only points outside the limits differ from what was "
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
    title = f"{_outcome(benchmark)}, by {entities(benchmark.entity, 1).removeprefix('1 ')}"
    if path.suffix == ".png":
        bands = [band for figure, name, _ in drawn for band in (heading(CAPTIONS[name][0], title), figure)]
        with atomic_file(path) as temporary:
            image.imsave(temporary, _stacked([to_png(band) for band in bands]), format="png")
        return
    write_page(
        path,
        "benchmark.html",
        title=title,
        meta=f"Benchmark of {benchmark.metadata.get('task', 'an outcome')} by {benchmark.entity}",
        lines=_lines(benchmark, frame),
        figures=[
            figure_view(
                figure, name, CAPTIONS[name][0], words,
                CAPTIONS[name][1].format(entities=entities(benchmark.entity)),
            )
            for figure, name, words in drawn
        ],
    )  # fmt: skip


def _stacked(pictures: list[bytes]) -> np.ndarray:
    """Return pictures one below the other, on white."""
    arrays = [np.asarray(image.imread(io.BytesIO(picture))) for picture in pictures]
    width = max(array.shape[1] for array in arrays)
    padded = [
        np.pad(array, ((0, 0), (0, width - array.shape[1]), (0, 0)), constant_values=WHITE)
        for array in arrays
    ]
    return np.ascontiguousarray(np.concatenate(padded))


def _outcome(benchmark: Any) -> str:
    """Return the outcome in words; a benchmark of an earlier version has the name of its task alone."""
    return str(benchmark.metadata.get("title") or benchmark.metadata.get("task") or "Benchmark")


def _lines(benchmark: Any, frame: pl.DataFrame) -> list[str]:
    """Return what the page says first: who differs, then of how many stays, and how it was worked out."""
    known, shown = benchmark.metadata, frame.filter(~pl.col("suppressed")).sort("ratio", descending=True)
    above, below = shown.filter(pl.col("ratio_lower") > 1), shown.filter(pl.col("ratio_upper") < 1)
    small = frame.height - shown.height
    lines = [
        f"Of {entities(benchmark.entity, shown.height)} large enough to show, {above.height:,} had more "
        f"outcomes than expected of their patients{_names(above)} and {below.height:,} fewer"
        f"{_names(below.reverse())} (95% intervals without 1)."
        + (f" {small:,} {'is' if small == 1 else 'are'} withheld as small." if small else "")
    ]
    if {"n", "persons", "rate"} <= known.keys():
        rate = "few" if known["rate"] is None else percent(known["rate"])
        lines.append(
            f"{small_count(known['n'])} index cases of {small_count(known['persons'])} patients from "
            f"{str(known.get('first_index', ''))[:10]} to {str(known.get('last_index', ''))[:10]}; "
            f"{rate} had the outcome."
        )
    return [*lines, *(f"{line[:1].upper()}{line[1:]}." for line in benchmark.basis())]


def _names(rows: pl.DataFrame) -> str:
    """Return who they are, where they are few."""
    return f" ({listed(rows[rows.columns[0]])})" if 0 < rows.height <= MOST_NAMED else ""
