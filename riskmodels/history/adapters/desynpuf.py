"""DE-SynPUF: the files of CMS's synthetic Medicare claims, by the names they were published under."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters import desynpuf_people as people
from riskmodels.history.adapters import desynpuf_tables as tables
from riskmodels.history.adapters.base import Adapter, SourceFile, candidates, nothing_found, run, the_first
from riskmodels.history.reading import Field, read_csv, read_whole_csv
from riskmodels.history.staging import Part

__all__ = ["adapter"]

LOOKED_FOR = (
    "DE1_0_20NN_Beneficiary_Summary_File_Sample_N.csv",
    "DE1_0_2008_to_2010_Inpatient_Claims_Sample_N.csv",
    "DE1_0_2008_to_2010_Outpatient_Claims_Sample_N.csv",
    "DE1_0_2008_to_2010_Carrier_Claims_Sample_NA.csv",
    "DE1_0_2008_to_2010_Prescription_Drug_Events_Sample_N.csv",
)
SUFFIX = r"(?:\.csv)?(?:\.zip|\.gz)?$"
SAMPLE = r"(?:_?sample_(?P<sample>\d+)(?P<half>[ab]?))?"
# With the publisher's prefix, or without it as in extracts: beneficiary_summary_2008.csv.
PATTERNS = {
    "beneficiary": re.compile(
        rf"^(?:de1_0_)?(?P<first>200[89]|2010)?_?beneficiary_summary(?:_file)?_?(?P<last>200[89]|2010)?_?{SAMPLE}{SUFFIX}",
        re.IGNORECASE,
    ),
    **{
        table: re.compile(rf"^(?:de1_0_)?(?:2008_to_2010_)?{name}{SAMPLE}{SUFFIX}", re.IGNORECASE)
        for table, name in (
            ("inpatient", "inpatient_claims"),
            ("outpatient", "outpatient_claims"),
            ("carrier", "carrier_claims"),
            ("drug", "prescription_drug_events"),
        )
    },
}

TEXT, NUMBER, DAY = Field(), Field("number"), Field("day")


def _numbered(prefix: str, count: int, field: Field = TEXT) -> dict[str, Field]:
    return {f"{prefix}_{number}": field for number in range(1, count + 1)}


INSTITUTIONAL = {
    "DESYNPUF_ID": TEXT,
    "CLM_ID": TEXT,
    "SEGMENT": TEXT,
    "CLM_FROM_DT": DAY,
    "CLM_THRU_DT": DAY,
    "PRVDR_NUM": TEXT,
    "CLM_PMT_AMT": NUMBER,
    "NCH_PRMRY_PYR_CLM_PD_AMT": NUMBER,
    "AT_PHYSN_NPI": TEXT,
    "ADMTNG_ICD9_DGNS_CD": TEXT,
    "NCH_BENE_BLOOD_DDCTBL_LBLTY_AM": NUMBER,
    **_numbered("ICD9_DGNS_CD", 10),
    **_numbered("ICD9_PRCDR_CD", 6),
    **_numbered("HCPCS_CD", 45),
}
FIELDS: dict[str, dict[str, Field]] = {
    "beneficiary": {
        "DESYNPUF_ID": TEXT,
        "BENE_BIRTH_DT": DAY,
        "BENE_DEATH_DT": DAY,
        "BENE_SEX_IDENT_CD": TEXT,
        "BENE_RACE_CD": TEXT,
        "BENE_ESRD_IND": TEXT,
        "BENE_HI_CVRAGE_TOT_MONS": NUMBER,
        "BENE_SMI_CVRAGE_TOT_MONS": NUMBER,
        "BENE_HMO_CVRAGE_TOT_MONS": NUMBER,
        **{f"SP_{name}": Field(optional=True) for name in people.CONDITIONS},
        **{f"MEDREIMB_{name}": Field("number", optional=True) for name in people.PAYMENTS},
    },
    "inpatient": {
        **INSTITUTIONAL,
        "CLM_ADMSN_DT": DAY,
        "NCH_BENE_DSCHRG_DT": DAY,
        "CLM_DRG_CD": TEXT,
        "CLM_PASS_THRU_PER_DIEM_AMT": NUMBER,
        "CLM_UTLZTN_DAY_CNT": NUMBER,
        "NCH_BENE_IP_DDCTBL_AMT": NUMBER,
        "NCH_BENE_PTA_COINSRNC_LBLTY_AM": NUMBER,
    },
    "outpatient": {**INSTITUTIONAL, "NCH_BENE_PTB_DDCTBL_AMT": NUMBER, "NCH_BENE_PTB_COINSRNC_AMT": NUMBER},
    "carrier": {
        "DESYNPUF_ID": TEXT,
        "CLM_ID": TEXT,
        "CLM_FROM_DT": DAY,
        "CLM_THRU_DT": DAY,
        "PRF_PHYSN_NPI_1": TEXT,
        **_numbered("ICD9_DGNS_CD", 8),
        **_numbered("HCPCS_CD", 13),
        **_numbered("LINE_NCH_PMT_AMT", 13, NUMBER),
        **_numbered("LINE_ALOWD_CHRG_AMT", 13, NUMBER),
    },
    "drug": {
        "DESYNPUF_ID": TEXT,
        "SRVC_DT": DAY,
        "PROD_SRVC_ID": TEXT,
        "QTY_DSPNSD_NUM": NUMBER,
        "DAYS_SUPLY_NUM": NUMBER,
        "PTNT_PAY_AMT": NUMBER,
        "TOT_RX_CST_AMT": NUMBER,
    },
}
DIAGNOSES = ("diagnosis", "ICD9CM")
DIAGNOSIS_LISTS = (("ADMTNG_ICD9_DGNS_CD", 0, *DIAGNOSES), ("ICD9_DGNS_CD_", 10, *DIAGNOSES))
PROCEDURE_LISTS = (("ICD9_PRCDR_CD_", 6, "procedure", "ICD9PCS"),)
LINE_LISTS = (("HCPCS_CD_", 45, "procedure", "HCPCS"),)
MISPLACED = "a diagnosis code in a field for procedures"
STAY_END = ("NCH_BENE_DSCHRG_DT", "CLM_THRU_DT")
BATCH_ROWS = 50_000


class DeSynpuf:
    """CMS Linkable 2008-2010 Medicare DE-SynPUF: synthetic beneficiaries, ICD-9 claims of three years."""

    name = "desynpuf"
    version = 4
    description = "CMS DE-SynPUF 2008-2010 CSV files as published, any number of samples"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the files of a folder that have published names, a copy that is packed only once."""
        found = candidates(source, "DE-SynPUF's CSV files, such as " + LOOKED_FOR[0])
        files: dict[str, SourceFile] = {}
        for path in sorted(found, key=lambda path: (path.suffix.lower() != ".csv", path)):
            file = _recognised(path, source)
            if file is None:
                continue
            first = files.get(_stem(path), file)
            if not file.keys["sample"] and first.path.parent != path.parent:
                raise DataError(
                    f"{first.name} and {file.name}: nothing tells whether they are of one sample",
                    file=source,
                    fix="name one of the folders, or put the sample into the names: ..._Sample_2.csv",
                )
            the_first(files, _stem(path), file, source)
        names = [path.name for path in found]
        samples = {file.keys["sample"] for file in files.values() if file.table == "beneficiary"}
        claims = [file for file in files.values() if file.table != "beneficiary"]
        if not samples:
            raise nothing_found(source, "no beneficiary summary of DE-SynPUF here", LOOKED_FOR, names)
        if not claims:
            raise nothing_found(source, "beneficiary summaries but no claims here", LOOKED_FOR[1:], names)
        alone = sorted(file.name for file in claims if file.keys["sample"] not in samples)
        if alone:
            missing = f"{alone[0]} has no beneficiary summary of its sample beside it"
            raise nothing_found(source, missing, LOOKED_FOR[:1], names)
        return sorted(files.values(), key=lambda file: file.name)

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read the beneficiaries of all samples, then the claims, file by file in batches."""
        spans: list[Part] = []
        for sample in sorted({file.keys["sample"] for file in files if file.table == "beneficiary"}):
            summaries = [f for f in files if f.table == "beneficiary" and f.keys["sample"] == sample]
            years = [
                read_whole_csv(file.path, FIELDS["beneficiary"]).with_columns(
                    pl.lit(file.keys["year"], dtype=pl.Int32).alias("year")
                )
                for file in summaries
            ]
            label = ", ".join(file.name for file in summaries)
            beneficiaries = pl.concat(years)
            yield Part("person", run(people.persons, beneficiaries), label)
            spans.append(Part("coverage", run(people.coverage, beneficiaries).collect(), label))
            spans.append(Part("event", run(people.annual_summaries, beneficiaries).collect(), label))
        yield from spans
        readers = {"carrier": _carrier, "drug": _drugs, "inpatient": _claims, "outpatient": _claims}
        for file in files:
            if file.table != "beneficiary":
                yield from readers[file.table](file)

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return the beneficiaries of all samples, then each file of claims."""
        claims = [[file] for file in files if file.table != "beneficiary"]
        return [[file for file in files if file.table == "beneficiary"], *claims]


def adapter() -> Adapter:
    """Return the adapter."""
    return DeSynpuf()


def _recognised(path: Path, source: Path) -> SourceFile | None:
    for table, pattern in PATTERNS.items():
        match = pattern.match(path.name)
        if match is None:
            continue
        keys: dict[str, object] = {"sample": int(match["sample"] or 0)}
        if table == "beneficiary":
            year = match["first"] or match["last"]
            if year is None:
                continue
            keys["year"] = int(year)
        return SourceFile(path, path.relative_to(source).as_posix(), table, keys)
    return None


def _stem(path: Path) -> str:
    return re.sub(SUFFIX, "", path.name, flags=re.IGNORECASE).casefold()


def _claims(file: SourceFile) -> Iterator[Part]:
    inpatient = file.table == "inpatient"
    columns = STAY_END if inpatient else STAY_END[1:]
    rows, later = [], []
    done: list[pl.DataFrame] = []
    told: list[pl.DataFrame] = []
    for batch in read_csv(file.path, FIELDS[file.table], batch_rows=BATCH_ROWS):
        rows.append(run(tables.claim_rows, batch, inpatient=inpatient).collect())
        later.append(batch.filter(pl.col("CLM_THRU_DT").is_null()))
        dated = run(tables.with_end, batch.filter(pl.col("CLM_THRU_DT").is_not_null()), *columns)
        yield from _coded(file, dated, done, told)
    encounters = run(tables.encounters, pl.concat(rows), inpatient=inpatient).collect()
    yield Part("encounter", encounters, file.name)
    undated = pl.concat(later)
    if undated.height:
        claims = run(tables.with_end_of_claim, undated, encounters)
        yield from _coded(file, claims, done, told)
    procedures = pl.concat(done)
    kept = run(tables.procedures_alone, procedures, pl.concat(told)).collect()
    yield Part("event", kept, file.name, {MISPLACED: procedures.height - kept.height})


def _coded(
    file: SourceFile, claims: pl.LazyFrame, done: list[pl.DataFrame], told: list[pl.DataFrame]
) -> Iterator[Part]:
    """Yield diagnoses and lines of claims.

    What is in the fields for procedures goes to `done`, how often each code is a diagnosis to `told`.
    """
    diagnoses = _codes(claims, DIAGNOSIS_LISTS).collect()
    told.append(diagnoses.group_by("code").len())
    done.append(_codes(claims, PROCEDURE_LISTS).collect())
    yield Part("event", diagnoses, file.name)
    yield Part("event", _codes(claims, LINE_LISTS), file.name)


def _codes(claims: pl.LazyFrame, lists: tuple[tuple[str, int, str, str], ...]) -> pl.LazyFrame:
    return run(tables.claim_codes, claims, lists=lists)


def _carrier(file: SourceFile) -> Iterator[Part]:
    lists = (("ICD9_DGNS_CD_", 8, *DIAGNOSES),)
    for batch in read_csv(file.path, FIELDS["carrier"], batch_rows=BATCH_ROWS):
        yield Part("encounter", run(tables.carrier_encounters, batch), file.name)
        yield Part("event", _codes(run(tables.with_end, batch, "CLM_THRU_DT"), lists), file.name)
        yield Part("event", run(tables.carrier_lines, batch), file.name)


def _drugs(file: SourceFile) -> Iterator[Part]:
    for batch in read_csv(file.path, FIELDS["drug"], batch_rows=BATCH_ROWS):
        yield Part("event", run(tables.fills, batch), file.name)
