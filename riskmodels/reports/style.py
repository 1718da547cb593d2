"""One look for all figures: light, dark text, colours that all can tell apart; as SVG or PNG."""

import io
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from riskmodels.errors import DataError
from riskmodels.files import atomic_file

__all__ = [
    "BAND",
    "COLOURS",
    "INK",
    "MUTED",
    "QUIET",
    "figure",
    "heading",
    "note",
    "percent_axis",
    "styled",
    "to_png",
    "to_svg",
    "write_figure",
]

P = ParamSpec("P")

INK, MUTED, QUIET, BAND = "#1c2530", "#5a6675", "#aeb8c4", "#d9e6f2"
# Okabe & Ito 2008, told apart with every kind of colour vision.
COLOURS = {"blue": "#0072B2", "vermilion": "#D55E00", "green": "#007f5f", "orange": "#E69F00"}

DPI = 150
# 6.2 inches are 446 units of SVG: text keeps about its size on a phone and in two columns.
WIDTH = 6.2
RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf1",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    # "Paid ($) a month ($)" is a label, not a formula.
    "text.parse_math": False,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with the house style and leave matplotlib's own settings as they were."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(RC):
            return draw(*args, **kwargs)

    return inside


def figure(height: float, **layout: Any) -> tuple[Figure, Any]:
    """Return a figure of the common width and its axes (`layout` as in ``Figure.subplots``)."""
    drawn = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = drawn.subplots(**layout)
    for ax in drawn.axes:
        ax.tick_params(length=0)
    return drawn, axes


def percent_axis(axis: Any) -> None:
    """Write the ticks of an axis as percentages, without digits that do not differ."""
    from matplotlib.ticker import FuncFormatter

    def text(value: float, _: int) -> str:
        # 0.15 * 100 is 15.000000000000002: rounding decides how many digits a tick needs.
        percent = round(value * 100, 6)
        return f"{percent:.0f}%" if percent == round(percent) else f"{percent:.1f}%"

    axis.set_major_formatter(FuncFormatter(text))


def note(ax: Axes, text: str) -> None:
    """Write in an empty plot why it is empty."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED)


@styled
def heading(*lines: str) -> Figure:
    """Return a band with lines of text, to stand above a figure that is shown outside of a page."""
    drawn = Figure(figsize=(WIDTH, 0.24 * len(lines) + 0.12))
    for number, line in enumerate(lines):
        drawn.text(
            0.02, 1 - (number + 1) / (len(lines) + 0.5), line, fontsize=13 if number == 0 else 11,
            weight="bold" if number == 0 else "normal", color=MUTED if number else INK,
        )  # fmt: skip
    return drawn


def to_png(drawn: Figure, dpi: int = DPI) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    with mpl.rc_context(RC):
        drawn.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def write_figure(path: str | Path, drawn: Figure) -> Path:
    """Write a figure that stands alone, whole or not at all, as FILE.svg or FILE.png.

    Raises
    ------
    DataError
        The file is of another kind.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".svg", ".png"):
        raise DataError("cannot draw this kind of file", file=path, fix="end it in .svg or .png")
    with atomic_file(path) as temporary, mpl.rc_context({**RC, "svg.hashsalt": path.stem}):
        drawn.savefig(
            temporary, format=kind[1:], dpi=DPI, metadata={"Date": None} if kind == ".svg" else None
        )
    return path


def to_svg(drawn: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element to put into a page: text stays text, and nothing is loaded.

    Parameters
    ----------
    name : str
        Prefix of all ids, unlike that of any other figure on the page.
    description : str
        What the figure shows, for those who do not see it.
    """
    buffer = io.StringIO()
    with mpl.rc_context({**RC, "svg.hashsalt": name}):
        drawn.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="([^"]+)"', rf' id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    svg = re.sub(r"\s+\n", "\n", svg)
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box is not None, "matplotlib writes a viewBox"
    opening = f'<svg {box.group()} role="img" aria-labelledby="{name}-title"><title id="{name}-title">'
    return re.sub(r"<svg[^>]*>", lambda _: f"{opening}{_escape(description)}</title>", svg, count=1).strip()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
