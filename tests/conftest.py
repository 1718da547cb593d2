"""What all tests share."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of public data that stands beside a maintainer's checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the public data in ../shared/data, which this checkout does not have beside it")
    return SHARED_DATA
