"""The adapters' narwhals transformations give the same rows on PySpark frames as on Polars."""

from collections.abc import Callable
from typing import Any

import narwhals as nw
import polars as pl
import pytest
from synpuf_files import write_source

from riskmodels.engines.spark import SparkEngine
from riskmodels.history.adapters import desynpuf
from riskmodels.history.adapters import desynpuf_people as people
from riskmodels.history.adapters import desynpuf_tables as tables
from riskmodels.history.reading import read_whole_csv


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pl.DataFrame]:
    """Return the function that reads one of DE-SynPUF's tables from the files of `synpuf_files.py`."""
    found = desynpuf.adapter().find(write_source(tmp_path_factory.mktemp("source"), persons=20))

    def frame(table: str) -> pl.DataFrame:
        file = next(file for file in found if file.table == table)
        rows = read_whole_csv(file.path, desynpuf.FIELDS[table])
        return rows.with_columns(pl.lit(2008, pl.Int32).alias("year")) if table == "beneficiary" else rows

    return frame


CASES: dict[str, tuple[str, Callable[..., Any], dict[str, Any]]] = {
    "persons": ("beneficiary", people.persons, {}),
    "coverage": ("beneficiary", people.coverage, {}),
    "stays": ("inpatient", tables.claim_rows, {"inpatient": True}),
    "visits": ("outpatient", tables.claim_rows, {"inpatient": False}),
    "offices": ("carrier", tables.carrier_encounters, {}),
    "lines": ("carrier", tables.carrier_lines, {}),
    "fills": ("drug", tables.fills, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_same_rows(spark: SparkEngine, read: Callable[[str], pl.DataFrame], case: str) -> None:
    """Whatever the order of the rows."""
    table, transform, options = CASES[case]
    rows = read(table)
    here = transform(nw.from_native(rows.lazy()), **options).to_native().collect()
    frame = nw.from_native(spark.session.createDataFrame(rows.to_arrow()))
    there = pl.DataFrame(transform(frame, **options).to_native().toArrow())
    there = there.select(pl.col(name).cast(dtype) for name, dtype in here.schema.items())
    assert here.height > 0
    assert here.sort(pl.all()).equals(there.sort(pl.all()))
