"""Small files of the published layouts, for tests that need no public data."""

from collections.abc import Callable
from pathlib import Path

import pytest

_MEASURES = ("AMI", "COPD", "HF", "pneumonia", "CABG", "THA/TKA")


@pytest.fixture
def supplemental(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of supplemental files: hospital id to {measure: (n, err, median, indicator, ratio)}.

    Hospitals are in peer group 1 with a dual proportion of 0.1, unless `peers` says otherwise.
    """

    def write(
        hospitals: dict[str, dict[str, tuple[object, ...]]],
        modifier: str = "0.9652",
        year: int = 2025,
        peers: dict[str, tuple[object, object]] | None = None,
        name: str = "supplemental.csv",
    ) -> Path:
        header = "Hospital CCN,Payment adjustment factor,Dual proportion,Peer group assignment,"
        header += "Neutrality modifier "
        for measure in _MEASURES:
            header += (
                f",Number of eligible discharges for {measure},ERR for {measure},"
                f"Peer group median ERR for {measure},Penalty indicator for {measure},"
                f"DRG payment ratio for {measure}"
            )
        lines = [f"FY {year} IPPS/LTCH PPS Final Rule: Supplemental Data  " + "," * 34, header]
        for facility, measures in hospitals.items():
            dual, group = (peers or {}).get(facility, (0.1, 1))
            cells: list[object] = [facility, "1.0000", dual, group, modifier]
            for measure in _MEASURES:
                cells += measures.get(measure, ("", "", "1.0000", "N", ""))
            lines.append(",".join(f'"{cell}"' if "," in str(cell) else str(cell) for cell in cells))
        path = tmp_path / name
        path.write_text("\ufeff" + "\n".join([*lines, "," * 34, ""]), encoding="utf-8")
        return path

    return write
