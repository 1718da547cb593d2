"""The public names of the packages mean the same however and whenever they are imported."""

import subprocess
import sys

import pytest

PACKAGES = (
    "riskmodels",
    "riskmodels.evaluation",
    "riskmodels.learning",
    "riskmodels.pipeline",
    "riskmodels.reports",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_turns_into_a_module_of_the_same_name(package: str) -> None:
    """A name that is looked up late loses against a module of the package that is called the same."""
    # In a process of its own, since it is the first import that goes wrong.
    code = f"""
import importlib, types
package = importlib.import_module("{package}")
for name in package.__all__:
    space = {{}}
    exec(f"from {package} import {{name}} as it", space)
    if isinstance(space["it"], types.ModuleType):
        print(name)
""".replace("{package}", package)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == ""
