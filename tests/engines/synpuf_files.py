"""DE-SynPUF's files with made-up rows, in the published layout: two samples, all kinds of claims."""

import csv
from pathlib import Path
from random import Random
from typing import Any

from riskmodels.history.adapters.desynpuf import FIELDS

__all__ = ["write_source"]

NAMES = {
    "inpatient": "Inpatient_Claims_Sample_{}",
    "outpatient": "Outpatient_Claims_Sample_{}",
    "carrier": "Carrier_Claims_Sample_{}A",
    "drug": "Prescription_Drug_Events_Sample_{}",
}
CODES = ("4280", "25000", "41401", "5849", "OTHER", "")
VISITS = ("99283", "99213", "36415", "")


def write_source(folder: Path, persons: int = 60, seed: int = 0) -> Path:
    """Write the files; some rows are doubled, of unknown persons, or later segments of a claim."""
    random = Random(seed)
    for sample in (1, 2):
        ids = [f"{sample}P{number:04d}" for number in range(persons)]
        for year in (2008, 2009, 2010):
            rows = [_beneficiary(person, random) for person in ids]
            _write(folder / f"DE1_0_{year}_Beneficiary_Summary_File_Sample_{sample}.csv", "beneficiary", rows)
        for table, name in NAMES.items():
            claims = [_claim(table, random.choice([*ids, "nobody"]), n, random) for n in range(6 * persons)]
            claims += claims[:3]
            _write(folder / f"DE1_0_2008_to_2010_{name.format(sample)}.csv", table, claims)
    return folder


def _beneficiary(person: str, random: Random) -> dict[str, Any]:
    return {
        "DESYNPUF_ID": person,
        "BENE_BIRTH_DT": f"19{20 + sum(map(ord, person)) % 25}0301",
        "BENE_SEX_IDENT_CD": random.choice("12"),
        "BENE_RACE_CD": "1",
        "BENE_ESRD_IND": random.choice("0Y"),
        "BENE_HI_CVRAGE_TOT_MONS": random.choice(["12", "12", "7"]),
        "BENE_SMI_CVRAGE_TOT_MONS": "12",
        "BENE_HMO_CVRAGE_TOT_MONS": random.choice(["0", "12"]),
    }


def _claim(table: str, person: str, number: int, random: Random) -> dict[str, Any]:
    year, month, day = random.choice("890"), random.randint(1, 12), random.randint(1, 20)
    year = {"8": "2008", "9": "2009", "0": "2010"}[year]
    start, end = f"{year}{month:02d}{day:02d}", f"{year}{month:02d}{day + random.randint(0, 8):02d}"
    if table == "drug":
        return {
            "DESYNPUF_ID": person,
            "SRVC_DT": start,
            "PROD_SRVC_ID": f"0000{random.randint(1, 40):07d}",
            "QTY_DSPNSD_NUM": "30.000",
            "DAYS_SUPLY_NUM": random.choice(["30", "90", ""]),
            "PTNT_PAY_AMT": "5.10",
            "TOT_RX_CST_AMT": f"{random.randint(1, 400)}.30",
        }
    later = table == "inpatient" and number % 9 == 8
    claim = {
        "DESYNPUF_ID": person,
        "CLM_ID": f"{table}{number // 2 if table == 'outpatient' else number - later}",
        "CLM_FROM_DT": "" if later else start,
        "CLM_THRU_DT": "" if later else end,
        "ICD9_DGNS_CD_1": random.choice(CODES[:4]),
        "ICD9_DGNS_CD_2": random.choice(CODES),
        "HCPCS_CD_1": random.choice(VISITS),
    }
    if table == "carrier":
        return {
            **claim,
            "LINE_NCH_PMT_AMT_1": f"{random.randint(1, 90)}.10",
            "LINE_ALOWD_CHRG_AMT_1": "100.00",
        }
    claim |= {"SEGMENT": "2" if later else "1", "PRVDR_NUM": f"{number % 7:02d}00ZZ", "CLM_PMT_AMT": "400.70"}
    if table == "inpatient":
        claim |= {
            "CLM_ADMSN_DT": start,
            "NCH_BENE_DSCHRG_DT": end,
            "CLM_DRG_CD": "291",
            "CLM_UTLZTN_DAY_CNT": "3",
        }
    return claim


def _write(path: Path, table: str, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(FIELDS[table]), restval="")
        writer.writeheader()
        writer.writerows(rows)
