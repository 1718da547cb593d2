"""Write a page that loads nothing: a template of this room, filled, with the style of all pages in it."""

from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from riskmodels import __version__
from riskmodels.files import atomic_file

__all__ = ["write_page"]


def write_page(path: str | Path, template: str, *, title: str, meta: str, **content: Any) -> Path:
    """Fill a template and write the page, whole or not at all.

    Parameters
    ----------
    path : path
        The HTML file.
    template : str
        Its name in ``reports/templates``; text that is put into it is escaped.
    title, meta : str
        The heading, and the line below it.
    content
        What the template shows. A name that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["count"] = _count
    page = environment.get_template(template)
    text = page.render(title=title, meta=meta, version=__version__, **content)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _read(name: str) -> str:
    return (resources.files("riskmodels.reports") / "templates" / name).read_text(encoding="utf-8")


def _count(value: Any) -> str:
    return "–" if value is None else f"{value:,}"
