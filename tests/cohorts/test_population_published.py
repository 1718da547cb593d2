"""Populations of DE-SynPUF, against what CMS published of the same years and a plain pandas script."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from riskmodels.cohorts import build_cohort, load_task
from riskmodels.history import History, ingest

YEARS = (2009, 2010)


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "patients" / "desynpuf_outpatient_1596"


@pytest.fixture(scope="module")
def history(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> History:
    return ingest("desynpuf", folder, tmp_path_factory.mktemp("published") / "H")


def test_paid_cost_of_a_year_is_what_cms_says_it_reimbursed(history: History, folder: Path) -> None:
    """A case of 1 January covers the calendar year: to the dollar what the summary says was reimbursed."""
    task = load_task("cost-12m")
    task = replace(task, outcome=replace(task.outcome, amount="paid", truncate_percentile=None))
    cases = build_cohort(task, history).cases.filter(pl.col("member_months") == 12).to_pandas()
    for year, count in zip(YEARS, (1300, 1310), strict=True):
        summary = pd.read_csv(folder / f"beneficiary_summary_{year}.csv", index_col="DESYNPUF_ID")
        cost = cases[cases["index_time"].dt.year == year].set_index("person_id")["cost"]
        reimbursed = (summary["MEDREIMB_IP"] + summary["MEDREIMB_OP"]).loc[cost.index]
        assert len(cost) == count
        pd.testing.assert_series_equal(cost, reimbursed, check_dtype=False, check_names=False)


def day_of(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d")


def test_ed_visits_are_those_of_a_plain_script(history: History, folder: Path) -> None:
    """Claims with HCPCS 99281-99285 that no stay holds or follows within a day, by loops over the CSVs."""
    outpatient = pd.read_csv(folder / "outpatient_claims.csv", dtype=str)
    dates = ["DESYNPUF_ID", "CLM_FROM_DT", "CLM_ADMSN_DT", "NCH_BENE_DSCHRG_DT"]
    stays = pd.read_csv(folder / "inpatient_claims.csv", dtype=str, usecols=dates)
    hcpcs = [name for name in outpatient.columns if name.startswith("HCPCS_CD")]
    emergency = outpatient[hcpcs].isin([f"9928{digit}" for digit in range(1, 6)]).any(axis=1)
    visits = outpatient[emergency].dropna(subset=["CLM_FROM_DT", "CLM_THRU_DT"])
    stays = stays.dropna(subset=["CLM_FROM_DT"])
    spans = {
        person: [(day_of(row.CLM_ADMSN_DT), day_of(row.NCH_BENE_DSCHRG_DT)) for row in rows.itertuples()]
        for person, rows in stays.groupby("DESYNPUF_ID")
    }
    released: dict[str, list[datetime]] = {}
    for row in visits[["DESYNPUF_ID", "CLM_FROM_DT", "CLM_THRU_DT"]].itertuples():
        first, last = day_of(row.CLM_FROM_DT), day_of(row.CLM_THRU_DT)
        near = last + timedelta(days=1)
        of_a_stay = any(a <= first < b or first <= a <= near for a, b in spans.get(row.DESYNPUF_ID, []))
        if not of_a_stay:
            released.setdefault(row.DESYNPUF_ID, []).append(first)
    cases = build_cohort("ed-visit-12m", history).observed
    assert cases.height > 2_500
    for person, index, label in cases.select("person_id", "index_time", "label").iter_rows():
        until = index + timedelta(days=365)
        assert label == any(index <= start < until for start in released.get(person, []))
