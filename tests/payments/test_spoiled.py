"""Any cell of any program's input may be spoiled: the file is refused in words, or every figure is finite."""

import csv
import random
from pathlib import Path
from typing import Any

import pytest

from riskmodels.errors import DataError, RiskModelsError
from riskmodels.payments import pay

SPOILS = (
    "",
    "abc",
    "-5",
    "nan",
    "inf",
    "1e400",
    "0",
    "1e-320",
    "100%",
    "$",
    "Y",
    "2.5.1",
    "99999999999999",
    '"',
)
QUALITY = "participant_id,composite_quality_score,track,rural\nP,10,3,0\n"
EPISODES = "participant_id,episode_category,target_price,cost,winsor_low,winsor_high\nP,470,100,90,0,200\n"
INPUTS: dict[str, tuple[str, int, str, dict[str, str]]] = {
    "mssp": ("mssp", 2022, ("ACO_ID,N_AB,Current_Track,MinSavPerc,QualScore,Met_QPS,ABtotBnchmk,ABtotExp\n"
             'A1,10000,E,2,90,1,"$100,000,000","90,000,000"\nA2,20000,C,2,80,1,100000000,120000000\n'), {}),
    "mips": ("mips", 2025, ("clinician_id,quality,cost,improvement_activities,promoting_interoperability,"
             "part_b_payments,small_practice\n1,80,70,100,90,1000,0\n2,,70,10,90,1000,1\n"),
             {"scaling_factor": "solve"}),
    "ma": ("ma-capitation", 2026, "member_id,county,months,raw_v28\nm1,C,12,1.1\nm2,C,3,0.9\n",
           {"county_rates": "county,ffs_rate,quartile\nC,1000,2\n", "bid": "900", "stars": "4"}),
    "rates": ("ma-capitation", 2026, "county,ffs_rate,quartile,double_bonus\nC,1000,2,0\n",
              {"members": "member_id,county,months,raw_v28\nm1,C,12,1.1\n", "bid": "900", "stars": "4"}),
    "cjr": ("cjr", 2019, EPISODES, {"quality": QUALITY}),
    "team": ("team", 2027, EPISODES, {"quality": QUALITY}),
    "bpci": ("bpci-advanced", 2020, EPISODES, {"quality": QUALITY}),
    "pcf": ("primary-care", 2022, ("practice_id,mean_risk_score,beneficiary_months,visits,leakage_rate,"
            "adjustment\nX,1.2,1000,300,0.1,0.05\n"), {"model": "pcf"}),
    "flex": ("primary-care", 2025, ("aco_id,county,beneficiary_months,county_rate,risk_adjustment,"
             "first_year\nX,C,100,30,1.1,1\n"), {"model": "flex"}),
    "reach": ("aco-reach", 2022, ("aco_id,perf_year,risk_arrangement,final_benchmark,tot_cost_care,"
              "tot_cost_care_net,qual_scr\nD1,2022,Global,1000000,950000,950000,0.9\n"), {}),
    "hac": ("hac", 2025, ("Facility ID,State,Fiscal Year,PSI 90 W Z Score,CLABSI W Z Score,CAUTI W Z Score,"
            "SSI W Z Score,CDI W Z Score,MRSA W Z Score\n010001,AL,2025,1,0,0.1,0.2,N/A,N/A\n"), {}),
}  # fmt: skip


def _settled(tmp_path: Path, name: str, rows: list[list[str]]) -> Any:
    program, year, _, options = INPUTS[name]
    path = tmp_path / "input.csv"
    with path.open("w", encoding="utf-8", newline="") as target:
        csv.writer(target).writerows(rows)
    given: dict[str, Any] = {}
    for option, value in options.items():
        if "\n" in value:
            (tmp_path / f"{option}.csv").write_text(value, encoding="utf-8")
        given[option] = tmp_path / f"{option}.csv" if "\n" in value else value
    if "members" in given:
        return pay(program, given.pop("members"), year=year, county_rates=path, **given)
    return pay(program, path, year=year, **given)


@pytest.mark.parametrize("name", INPUTS)
def test_a_spoiled_cell_is_refused_or_gives_finite_figures(tmp_path: Path, name: str) -> None:
    rows = list(csv.reader(INPUTS[name][2].splitlines()))
    assert _settled(tmp_path, name, rows).frame.height == len(rows) - 1 or name in ("rates", "cjr")
    chance = random.Random(name)
    for _ in range(12):
        spoiled = [list(row) for row in rows]
        spoiled[chance.randrange(len(rows))][chance.randrange(len(rows[0]))] = chance.choice(SPOILS)
        try:
            payment = _settled(tmp_path, name, spoiled)
        except RiskModelsError:
            continue
        for column, kind in payment.frame.schema.items():
            if kind.is_float():
                assert payment.frame[column].drop_nulls().is_finite().all(), (column, spoiled)
        assert str(payment.audit(payment.entities[0]))


@pytest.mark.parametrize("name", ["reach", "rates"])
def test_a_benchmark_of_nothing_is_refused(tmp_path: Path, name: str) -> None:
    rows = list(csv.reader(INPUTS[name][2].splitlines()))
    column = next(at for at, word in enumerate(rows[0]) if word in ("final_benchmark", "ffs_rate"))
    rows[1][column] = "0"
    with pytest.raises(DataError, match="'0' is below 1"):
        _settled(tmp_path, name, rows)


@pytest.mark.parametrize("name", ["ma", "pcf"])
def test_no_member_month_pays_nothing(tmp_path: Path, name: str) -> None:
    rows = list(csv.reader(INPUTS[name][2].splitlines()))
    column = next(at for at, word in enumerate(rows[0]) if word.endswith("months"))
    for row in rows[1:]:
        row[column] = "0"
    frame = _settled(tmp_path, name, rows).frame
    assert frame["payment"].is_finite().all()
