"""The page on terminology says of each table what the table says of itself."""

import re
from pathlib import Path

import pytest

from riskmodels import terminology
from riskmodels.terminology import load_grouper

PAGE = Path(__file__).resolve().parents[2] / "docs" / "terminology.md"
ROWS = re.findall(
    r"^\| `(\w+)` \| `(\w+)\(\)` \| (\d+) \| ([\w, ]+) \|", PAGE.read_text(encoding="utf-8"), re.M
)


def test_the_page_has_every_table() -> None:
    folder = Path(terminology.__file__).parent / "data"
    assert sorted(name for name, *_ in ROWS) == sorted(path.stem for path in folder.glob("*.toml"))


@pytest.mark.parametrize(("name", "function", "groups", "systems"), ROWS, ids=lambda value: str(value))
def test_the_page_describes_the_table(name: str, function: str, groups: str, systems: str) -> None:
    grouper = load_grouper(name)
    assert getattr(terminology, function)() is grouper
    assert len(grouper.groups) == int(groups)
    assert set(grouper.code_systems) == set(systems.split(", "))
