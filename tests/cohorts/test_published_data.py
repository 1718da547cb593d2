"""Crude readmission on published data, counted again by a plain loop over the publisher's own files."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from riskmodels.cohorts import Cohort, build_cohort, load_task
from riskmodels.history import ingest
from riskmodels.terminology import Grouper, care, ccs, ccs_procedures, planned_admissions

READMISSION = load_task("readmission-30d")
SINGLE = ("3818", "5503", "5504", "9426", "9427")
CHEMOTHERAPY = ("V580", "V581", "V661", "V662", "V671", "V672")
HEART_FAILURE = r"428|402[019]1|404[019][13]"
REHABILITATION = ("V520", "V521", "V524", "V528", "V529", "V538", "V57", "V5882")


def join(segments: pd.DataFrame) -> pd.DataFrame:
    """Join segments into stays by the rules of docs/tasks.md, one after the other."""
    stays: list[dict[str, Any]] = []
    for row in segments.sort_values(["person", "start", "end", "facility", "id"]).to_dict("records"):
        stay = stays[-1] if stays and stays[-1]["person"] == row["person"] else None
        if stay is not None:
            gap = (row["start"].normalize() - stay["end"].normalize()).days
            elsewhere = row["facility"] != stay["facility"]
            same = row["dx"] is not None and row["dx"] == stay["dx"]
            if row["start"] < stay["end"] or (gap <= 1 and elsewhere) or (gap == 0 and same):
                if row["end"] >= stay["end"]:
                    stay |= {
                        name: row[name]
                        for name in ("end", "facility", "dx", "left", "code", "place")
                        if name in row
                    }
                continue
        stays.append(row)
    return pd.DataFrame(stays)


def categories(system: str, codes: pd.Series) -> dict[str, str]:
    """Return the CCS category of each procedure."""
    distinct = pl.Series(codes[codes.str.fullmatch("[0-9]{2,4}|[0-9A-Z]{7}", na=False)].unique().tolist())
    assigned = ccs_procedures().assign(pl.repeat(system, len(distinct), eager=True), distinct)
    return {distinct[row]: ccs_procedures().groups[number] for row, number in assigned.iter_rows()}


def readmitted(stays: pd.DataFrame) -> pd.Series:
    """Return whether the next stay of the same person began within 30 days and was not planned.

    Where the `place` is known that the patient was discharged to, the care there is passed over.
    """
    rows = stays.to_dict("records")
    labels = [False] * len(rows)
    for number, stay in enumerate(rows):
        for later in rows[number + 1 :]:
            days = (later["start"].normalize() - stay["end"].normalize()).days
            if later["person"] != stay["person"] or days > 30:
                break
            place = stay.get("place")
            if days <= 1 and (
                place == "REHAB"
                or (place == "PSYCH FACILITY" and later["begun"].startswith(("F", "29", "30", "31")))
            ):
                continue
            labels[number] = not later["planned"]
            break
    return pd.Series(labels, index=stays.index)


def counted(cohort: Cohort) -> tuple[int, int]:
    return cohort.observed.height, int(cohort.observed["label"].sum())


@pytest.mark.slow
def test_de_synpuf_sample_1(shared_data: Path, tmp_path: Path) -> None:
    """Every stay that ended alive, 30 days before the data end."""
    folder = shared_data / "patients" / "desynpuf_sample1"
    claims = pd.concat(pd.read_csv(path, dtype=str) for path in folder.glob("*Inpatient*.csv"))
    # Many fields for procedures hold a diagnosis: what the file has more often as one is one.
    told = claims.filter(like="DGNS_CD").stack().value_counts()
    times = claims.filter(like="ICD9_PRCDR_CD").stack().value_counts()
    misplaced = times.index[told.reindex(times.index).fillna(0) > times]
    claims = claims[claims["SEGMENT"] == "1"]
    principal = claims["ICD9_DGNS_CD_1"].where(claims["ICD9_DGNS_CD_1"] != "OTHER")
    done = claims.filter(like="ICD9_PRCDR_CD")
    done = done.where(~done.isin(misplaced))
    category = categories("ICD9PCS", done.stack())
    tables = shared_data / "terminology" / "planned_readmission"
    listed = set(pd.read_csv(tables / "potentially_planned_ccs_procedure_category.csv", dtype=str).iloc[:, 0])
    planned_codes = {code for code, number in category.items() if number in listed}
    planned_codes |= set(SINGLE)
    diagnoses = pl.Series(principal.astype(object).where(principal.notna(), None).to_list(), dtype=pl.String)
    rules = planned_admissions()
    assigned = rules.assign(pl.repeat("ICD9CM", len(diagnoses), eager=True), diagnoses)
    acute = np.zeros(len(diagnoses), dtype=bool)
    acute[assigned.filter(pl.col("group") == rules.number("acute_diagnosis"))["row"]] = True
    transplanted = done.apply(lambda codes: codes.map(category).isin(["64", "105", "176"])).any(axis=1)
    potential = done.isin(planned_codes).any(axis=1) & ~acute
    always = principal.str.startswith(CHEMOTHERAPY + REHABILITATION, na=False) | transplanted | potential
    stays = join(
        pd.DataFrame(
            {
                "person": claims["DESYNPUF_ID"],
                "id": claims["CLM_ID"],
                "start": pd.to_datetime(claims["CLM_ADMSN_DT"]),
                "end": pd.to_datetime(claims["NCH_BENE_DSCHRG_DT"]),
                "facility": claims["PRVDR_NUM"],
                "dx": principal.str[:3].astype(object).where(principal.notna(), None),
                "code": principal,
                "left": None,
                "planned": always,
            }
        )
    )
    died = pd.concat(pd.read_csv(path, dtype=str) for path in folder.glob("*Beneficiary*.csv"))
    died = pd.to_datetime(died.groupby("DESYNPUF_ID")["BENE_DEATH_DT"].max()) + pd.offsets.MonthEnd(0)
    death, last = stays["person"].map(died), stays["end"].max()
    watched = stays["end"] + timedelta(days=30) <= last
    alive = ~(death <= stays["end"])
    label = readmitted(stays)[watched & alive]

    history = ingest("desynpuf", folder, tmp_path / "history")
    crude = replace(
        READMISSION,
        index=replace(READMISSION.index, exclude_principal_diagnosis=()),
        look_back=replace(READMISSION.look_back, require_coverage=False),
    )
    cohort = build_cohort(crude, history)
    assert cohort.attrition["stays"][2] == len(stays)
    assert counted(cohort) == (len(label), int(label.sum()))

    failure = stays["code"].str.match(HEART_FAILURE, na=False) & alive
    assisted = claims.filter(like="ICD9_PRCDR_CD").apply(lambda codes: codes.str.match("3751|3766", na=False))
    assisted = claims.loc[assisted.any(axis=1), ["DESYNPUF_ID", "NCH_BENE_DSCHRG_DT"]]
    for person, day in assisted.itertuples(index=False):
        since = stays["start"] - timedelta(days=365)
        failure &= ~(
            (stays["person"] == person) & (since <= pd.Timestamp(day)) & (pd.Timestamp(day) <= stays["end"])
        )
    keep = dict.fromkeys(stays.index, False)
    for _, group in stays[failure].groupby("person"):
        until = None
        for number, start, end in group[["start", "end"]].itertuples():
            if until is None or (start - until).days > 30:
                keep[number], until = True, end
    label = readmitted(stays)[pd.Series(keep) & watched]
    task = load_task("readmission-30d-hf")
    crude = replace(
        task,
        index=replace(task.index, min_age=None),
        look_back=replace(task.look_back, require_coverage=False),
    )
    assert counted(build_cohort(crude, history)) == (len(label), int(label.sum()))


def test_mimic_iv_demo(shared_data: Path, tmp_path: Path) -> None:
    """The task as it is, on real stays with times of day; look-back and follow-up leave nobody out here."""
    folder = shared_data / "patients" / "mimic_iv_demo"
    table = pd.read_csv(folder / "hosp/admissions.csv.gz", dtype=str)
    table = table[
        ~table["admission_type"].isin(["EU OBSERVATION", "DIRECT OBSERVATION", "AMBULATORY OBSERVATION"])
    ]
    coded = pd.read_csv(folder / "hosp/diagnoses_icd.csv.gz", dtype=str)
    principal = coded[coded["seq_num"] == "1"].set_index("hadm_id")
    codes = principal.loc[table["hadm_id"]]
    system = pl.Series(codes["icd_version"].map({"9": "ICD9CM", "10": "ICD10CM"}).to_list())
    code = pl.Series(codes["icd_code"].to_list())

    def belongs(grouper: Grouper, *groups: str) -> list[bool]:
        found = grouper.assign(system, code)
        rows = set(found.filter(pl.col("group").is_in([grouper.number(group) for group in groups]))["row"])
        return [row in rows for row in range(len(code))]

    # What was done, by the categories and codes that CMS publishes; surgery before ICD-10-PCS by the DRG.
    tables = shared_data / "terminology" / "planned_readmission"
    cohorts = pd.read_csv(tables / "specialty_cohort.csv", dtype=str)
    surgery = cohorts.loc[cohorts["procedure_or_diagnosis"] == "Procedure", "ccs"]
    done = pd.read_csv(folder / "hosp/procedures_icd.csv.gz", dtype=str)
    category = {
        **categories("ICD9PCS", done.loc[done["icd_version"] == "9", "icd_code"]),
        **categories("ICD10PCS", done.loc[done["icd_version"] == "10", "icd_code"]),
    }

    def had(wanted: pd.Series, listed: str) -> np.ndarray:
        codes_listed = set(pd.read_csv(tables / listed, dtype=str).iloc[:, 0])
        single = codes_listed | (set(SINGLE) if "planned" in listed else set())
        hit = done["icd_code"].map(category).isin(set(wanted)) | done["icd_code"].isin(single)
        return table["hadm_id"].isin(done.loc[hit, "hadm_id"]).to_numpy()

    potential = pd.read_csv(tables / "potentially_planned_ccs_procedure_category.csv", dtype=str).iloc[:, 0]
    surgical_drg = pd.read_csv(tables / "ms_drg.csv", dtype=str).query("medical_surgical == 'Surgical'")
    drg = pd.read_csv(folder / "hosp/drgcodes.csv.gz", dtype=str).query("drg_type == 'HCFA'")
    # Defibrillators, pacemakers and angioplasty: operations, and not of the cohort.
    other = [f"{n}" for n in (*range(222, 228), *range(242, 252), *range(258, 263), 265)]
    by_drg = drg.loc[drg["drg_code"].isin(set(surgical_drg["ms_drg"]) - set(other)), "hadm_id"]
    told = table["hadm_id"].isin(done["hadm_id"]).to_numpy()
    operated = had(surgery, "surgery_gynecology_cohort.csv") | (
        table["hadm_id"].isin(by_drg).to_numpy() & ~told
    )

    elective = table["admission_type"].isin(["ELECTIVE", "SURGICAL SAME DAY ADMISSION"]).to_numpy() & ~told
    acute = np.array(belongs(planned_admissions(), "acute_diagnosis"))
    always = np.array(belongs(care(), "cancer_treatment", "rehabilitation"))
    potentially = had(potential, "potentially_planned_icd_10_pcs.csv") | elective
    transplants = pd.read_csv(tables / "always_planned_ccs_procedure_category.csv", dtype=str).iloc[:, 0]
    always |= table["hadm_id"].isin(
        done.loc[done["icd_code"].map(category).isin(set(transplants)), "hadm_id"]
    )
    left = table["discharge_location"].where(table["hospital_expire_flag"] == "0", "DIED")
    excluded = left.isin(["DIED", "AGAINST ADVICE"]).to_numpy() | belongs(care(), *care().groups)
    excluded |= np.array(belongs(ccs(), *map(str, range(11, 46)))) & ~operated
    stays = join(
        pd.DataFrame(
            {
                "person": table["subject_id"],
                "id": table["hadm_id"],
                "start": pd.to_datetime(table["admittime"]),
                "end": pd.to_datetime(table["dischtime"]),
                "facility": "the one hospital",
                "dx": codes["icd_code"].str[:3].to_numpy(),
                "left": excluded,
                "code": codes["icd_code"].to_numpy(),
                "begun": codes["icd_code"].to_numpy(),
                "place": left,
                "planned": always | (potentially & ~acute),
            }
        )
    )
    label = readmitted(stays)[~stays["left"].astype(bool)]
    cohort = build_cohort(READMISSION, ingest("mimic-iv", folder, tmp_path / "history"))
    assert counted(cohort) == (len(label), int(label.sum()))
