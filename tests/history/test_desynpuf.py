"""The DE-SynPUF adapter on files written here in the published layout, and on the published files."""

import gzip
import shutil
import zipfile
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import ingest
from riskmodels.history.adapters.desynpuf import FIELDS

BENEFICIARY = "DE1_0_{}_Beneficiary_Summary_File_Sample_1.csv"
CLAIMS = "DE1_0_2008_to_2010_{}_Sample_1.csv"
LIFE = {
    "BENE_BIRTH_DT": "19400301",
    "BENE_SEX_IDENT_CD": "2",
    "BENE_RACE_CD": "1",
    "BENE_ESRD_IND": "0",
    "BENE_HI_CVRAGE_TOT_MONS": "12",
    "BENE_SMI_CVRAGE_TOT_MONS": "12",
    "BENE_HMO_CVRAGE_TOT_MONS": "0",
}
STAY = {
    "DESYNPUF_ID": "A",
    "CLM_ID": "196",
    "SEGMENT": "1",
    "CLM_FROM_DT": "20080310",
    "CLM_THRU_DT": "20080314",
    "CLM_ADMSN_DT": "20080309",
    "NCH_BENE_DSCHRG_DT": "20080314",
    "PRVDR_NUM": "0100ZZ",
    "AT_PHYSN_NPI": "1",
    "CLM_DRG_CD": "291",
    "CLM_PMT_AMT": "4000.00",
    "CLM_PASS_THRU_PER_DIEM_AMT": "10.00",
    "CLM_UTLZTN_DAY_CNT": "4",
    "NCH_BENE_IP_DDCTBL_AMT": "1024.00",
    "NCH_PRMRY_PYR_CLM_PD_AMT": "0.00",
    "ADMTNG_ICD9_DGNS_CD": "78605",
    "ICD9_DGNS_CD_1": "4280",
    "ICD9_DGNS_CD_2": "25000",
    "ICD9_PRCDR_CD_1": "3995",
}
LATER_SEGMENT = {
    "DESYNPUF_ID": "A",
    "CLM_ID": "196",
    "SEGMENT": "2",
    "CLM_ADMSN_DT": "20080201",
    "NCH_BENE_DSCHRG_DT": "20080314",
    "PRVDR_NUM": "9999ZZ",
    "CLM_DRG_CD": "000",
    "CLM_PMT_AMT": "500.00",
    "ICD9_DGNS_CD_1": "OTHER",
    "ICD9_DGNS_CD_2": "5849",
}
VISIT = {
    "DESYNPUF_ID": "A",
    "SEGMENT": "1",
    "CLM_FROM_DT": "20080501",
    "CLM_THRU_DT": "20080502",
    "PRVDR_NUM": "0100ZZ",
    "CLM_PMT_AMT": "100.00",
    "NCH_BENE_PTB_COINSRNC_AMT": "25.00",
    "ICD9_DGNS_CD_1": "78650",
}


@pytest.fixture
def synpuf(tmp_path, csv_file):
    """Return the function that writes DE-SynPUF files: table -> rows, beneficiaries by year."""

    def written(folder="source", years=None, **claims):
        source = tmp_path / folder
        for year, rows in (years or {2008: [{"DESYNPUF_ID": "A"}]}).items():
            path = source / BENEFICIARY.format(year)
            csv_file(path, list(FIELDS["beneficiary"]), [{**LIFE, **row} for row in rows])
        for table, rows in claims.items():
            name = {"carrier": "Carrier_Claims", "drug": "Prescription_Drug_Events"}.get(
                table, f"{table.capitalize()}_Claims"
            )
            path = source / CLAIMS.format(name).replace("Carrier_Claims_Sample_1", "Carrier_Claims_Sample_1A")
            csv_file(path, list(FIELDS[table]), rows)
        return source

    return written


def ingested(source):
    return ingest("desynpuf", source, source.with_name("history"))


def test_a_stay_has_its_dates_money_and_codes(synpuf):
    """Admission to discharge, what Medicare paid with the per diem, and the codes at discharge."""
    history = ingested(synpuf(inpatient=[STAY]))
    (row,) = history.table("encounter").collect().rows(named=True)
    wanted = {
        "encounter_id": "196",
        "person_id": "A",
        "kind": "inpatient",
        "start": datetime(2008, 3, 9),
        "end": datetime(2008, 3, 14),
        "facility_id": "0100ZZ",
        "provider_id": "1",
        "drg": "291",
        "paid": 4040.0,
        "allowed": 5064.0,
        "admission_type": None,
        "recorded_at": None,
    }
    assert {name: row[name] for name in wanted} == wanted
    events = history.table("event").select("kind", "code_system", "code", "position", "time").collect()
    end = datetime(2008, 3, 14)
    assert sorted(events.rows()) == [
        ("diagnosis", "ICD9CM", "25000", 2, end),
        ("diagnosis", "ICD9CM", "4280", 1, end),
        ("diagnosis", "ICD9CM", "78605", 0, end),  # the admitting diagnosis
        ("procedure", "ICD9PCS", "3995", 1, end),
    ]


@pytest.mark.parametrize("rows", [[STAY, LATER_SEGMENT], [LATER_SEGMENT, STAY]], ids=["in order", "reversed"])
def test_segments_of_a_claim_are_one_stay(synpuf, rows):
    """The first segment says when, where and what was paid; codes of both are kept."""
    history = ingested(synpuf(inpatient=rows))
    (row,) = history.table("encounter").collect().rows(named=True)
    assert (row["start"], row["facility_id"], row["drg"]) == (datetime(2008, 3, 9), "0100ZZ", "291")
    assert (row["paid"], row["allowed"]) == (4040.0, 5064.0)
    later = history.table("event").filter(pl.col("code") == "5849").collect()
    assert later.select("time", "position", "encounter_id").rows() == [(datetime(2008, 3, 14), 47, "196")]
    assert history.table("event").filter(pl.col("code") == "OTHER").collect().is_empty()


def test_a_diagnosis_in_a_field_for_procedures_is_left_out(synpuf):
    """What is no ICD-9-CM procedure, or more often a diagnosis in the file, is counted and left out."""
    rows = [
        {**STAY, "CLM_ID": "1", "ICD9_DGNS_CD_2": "5849", "ICD9_PRCDR_CD_1": "5849"},
        {**STAY, "CLM_ID": "2", "ICD9_DGNS_CD_2": "5849", "ICD9_PRCDR_CD_1": "41401"},
        {**STAY, "CLM_ID": "3", "ICD9_DGNS_CD_2": "0066", "ICD9_PRCDR_CD_1": "0066"},
        {**STAY, "CLM_ID": "4", "ICD9_DGNS_CD_2": "", "ICD9_PRCDR_CD_1": "V4582"},
    ]
    history = ingested(synpuf(inpatient=rows))
    procedures = history.table("event").filter(pl.col("kind") == "procedure").collect()
    assert procedures.select("encounter_id", "code").rows() == [("3", "0066")]
    assert history.manifest.dropped == {"event": {"a diagnosis code in a field for procedures": 3}}


def test_a_stay_without_admission_date_starts_with_its_claim(synpuf):
    """Without admission and discharge dates the dates of the claim count."""
    history = ingested(synpuf(inpatient=[{**STAY, "CLM_ADMSN_DT": "", "NCH_BENE_DSCHRG_DT": ""}]))
    assert history.table("encounter").select("start", "end").collect().rows() == [
        (datetime(2008, 3, 10), datetime(2008, 3, 14))
    ]


@pytest.mark.parametrize("code", ["99281", "99285"])
def test_an_outpatient_claim_with_an_ed_visit_code_is_an_emergency(synpuf, code):
    """HCPCS 99281 to 99285 on any line make a visit to the emergency department; others do not."""
    rows = [
        {**VISIT, "CLM_ID": "1", "HCPCS_CD_45": code},
        {**VISIT, "CLM_ID": "2", "HCPCS_CD_1": "99213"},
        {**VISIT, "CLM_ID": "3"},
    ]
    history = ingested(synpuf(outpatient=rows))
    kinds = history.table("encounter").select("encounter_id", "kind").collect().rows()
    assert sorted(kinds) == [("1", "emergency"), ("2", "outpatient"), ("3", "outpatient")]
    assert history.table("encounter").select("paid", "allowed").unique().collect().rows() == [(100.0, 125.0)]
    procedures = history.table("event").filter(pl.col("kind") == "procedure").collect()
    assert set(procedures.select("code", "position").rows()) == {(code, 45), ("99213", 1)}


def test_carrier_claims_are_office_visits(synpuf):
    """Payments of the lines add up; each line is a procedure with what was paid for it."""
    claim = {
        "DESYNPUF_ID": "A",
        "CLM_ID": "887",
        "CLM_FROM_DT": "20080102",
        "CLM_THRU_DT": "20080103",
        "PRF_PHYSN_NPI_1": "77",
        "ICD9_DGNS_CD_1": "4019",
        "HCPCS_CD_1": "99213",
        "HCPCS_CD_2": "36415",
        "LINE_NCH_PMT_AMT_1": "40.00",
        "LINE_NCH_PMT_AMT_2": "3.00",
        "LINE_ALOWD_CHRG_AMT_1": "60.00",
        "LINE_ALOWD_CHRG_AMT_2": "3.00",
    }
    history = ingested(synpuf(carrier=[claim]))
    row = history.table("encounter").collect().row(0, named=True)
    assert (row["kind"], row["provider_id"], row["paid"], row["allowed"]) == ("office", "77", 43.0, 63.0)
    events = history.table("event").select("kind", "code", "position", "paid", "time").collect().rows()
    day = datetime(2008, 1, 3)
    assert sorted(events) == [
        ("diagnosis", "4019", 1, None, day),
        ("procedure", "36415", 2, 3.0, day),
        ("procedure", "99213", 1, 40.0, day),
    ]


def test_prescription_fills_are_drug_events(synpuf):
    """A fill has its drug, quantity and days; paid is what the patient did not pay."""
    fill = {
        "DESYNPUF_ID": "A",
        "SRVC_DT": "20090704",
        "PROD_SRVC_ID": "00002751001",
        "QTY_DSPNSD_NUM": "30.000",
        "DAYS_SUPLY_NUM": "30",
        "PTNT_PAY_AMT": "10.00",
        "TOT_RX_CST_AMT": "120.00",
    }
    row = ingested(synpuf(drug=[fill])).table("event").collect().row(0, named=True)
    assert (row["kind"], row["code_system"], row["code"]) == ("drug", "NDC", "00002751001")
    assert (row["quantity"], row["days_supply"], row["paid"]) == (30.0, 30.0, 110.0)
    assert (row["time"], row["encounter_id"]) == (datetime(2009, 7, 4), None)


def test_a_person_is_one_over_the_years_and_dies_at_the_end_of_the_month(synpuf):
    """Three summaries are one person; a death is published as a month, and stays follow its first day."""
    dead = {"DESYNPUF_ID": "A", "BENE_DEATH_DT": "20100201"}
    years = {2008: [{"DESYNPUF_ID": "A"}], 2009: [{"DESYNPUF_ID": "A"}], 2010: [dead]}
    history = ingested(synpuf(years=years, inpatient=[STAY]))
    assert history.table("person").collect().rows() == [
        ("A", date(1940, 3, 1), "female", "white", date(2010, 2, 28))
    ]
    assert history.manifest.dropped == history.manifest.noted == {}


def _months(*pairs):
    return {
        year: [{"BENE_HI_CVRAGE_TOT_MONS": str(a), "BENE_SMI_CVRAGE_TOT_MONS": str(b), **more}]
        for year, (a, b, more) in zip((2008, 2009, 2010), pairs, strict=False)
    }


@pytest.mark.parametrize(
    ("months", "spans"),
    [
        (_months((12, 12, {}), (12, 12, {})), [("2008-01-01", "2008-12-31"), ("2009-01-01", "2009-12-31")]),
        (_months((0, 0, {})), []),
        (_months((12, 0, {})), []),
        (_months((12, 5, {}), (12, 12, {})), [("2008-08-01", "2008-12-31"), ("2009-01-01", "2009-12-31")]),
        (
            _months((12, 12, {}), (2, 2, {}), (0, 0, {})),
            [("2008-01-01", "2008-12-31"), ("2009-01-01", "2009-02-28")],
        ),
        (_months((0, 0, {}), (3, 3, {})), [("2009-10-01", "2009-12-31")]),
        (_months((12, 12, {}), (7, 7, {})), [("2008-01-01", "2008-12-31"), ("2009-01-01", "2009-07-31")]),
        (_months((2, 2, {"BENE_DEATH_DT": "20080501"})), [("2008-01-01", "2008-02-29")]),
        (_months((12, 12, {"BENE_DEATH_DT": "20080501"})), [("2008-01-01", "2008-05-31")]),
    ],
    ids=[
        "two whole years",
        "never covered",
        "Part A alone is not enough",
        "enters: up to the end of the year",
        "leaves: from the start of the year",
        "enters in the second year",
        "stops after a whole year",
        "dies: from the start of the year",
        "not after death",
    ],
)
def test_months_of_coverage_are_placed_in_the_year(synpuf, months, spans):
    """As many months as both parts cover, at the start of the year or at its end."""
    years = {year: [{"DESYNPUF_ID": "A", **row} for row in rows] for year, rows in months.items()}
    coverage = ingested(synpuf(years=years, inpatient=[STAY])).table("coverage").collect()
    found = coverage.select(pl.col("start_date", "end_date").cast(pl.String)).rows()
    assert found == spans


def test_coverage_tells_managed_care_year_by_year(synpuf):
    """The payer is that of at least half of the covered months; dual status is not published."""
    years = {
        2008: [{"DESYNPUF_ID": "A", "BENE_HMO_CVRAGE_TOT_MONS": "5"}],
        2009: [{"DESYNPUF_ID": "A", "BENE_HMO_CVRAGE_TOT_MONS": "6"}],
    }
    coverage = ingested(synpuf(years=years, inpatient=[STAY])).table("coverage").collect()
    assert coverage.select("payer", "dual").rows() == [("medicare", None), ("medicare_advantage", None)]


def test_esrd_is_what_was_known_when_the_year_began(synpuf):
    """The indicator of a year sums up the year: at an index date in it, only the last one is known."""
    said = {2008: "0", 2009: "Y", 2010: "0"}
    years = {year: [{"DESYNPUF_ID": "A", "BENE_ESRD_IND": word}] for year, word in said.items()}
    coverage = ingested(synpuf(years=years, inpatient=[STAY])).table("coverage").collect()
    assert coverage["esrd"].to_list() == [None, False, True]


def test_a_years_summary_is_known_when_the_year_is_over(synpuf):
    """Conditions and payments of a year are events at its end; a year that ends with a death has none."""
    years = {
        2008: [
            {"DESYNPUF_ID": "A", "SP_CHF": "1", "SP_COPD": "2", "MEDREIMB_IP": "5000.00", "MEDREIMB_OP": "0"}
        ],
        2009: [{"DESYNPUF_ID": "A", "SP_CHF": "1", "BENE_DEATH_DT": "20091101"}],
    }
    events = ingested(synpuf(years=years, inpatient=[STAY])).table("event").collect()
    summary = events.filter(pl.col("kind") == "observation").sort("code")
    over = datetime(2009, 1, 1)
    assert summary.select("time", "code", "value").rows() == [
        (over, "CCW:CHF", 1.0),
        (over, "REIMBURSED:IP", 5000.0),
    ]


def test_packed_files_and_other_cases_of_names_give_the_same_history(synpuf, tmp_path):
    """Zipped, gzipped and renamed in case, the same rows give the same tables."""
    plain = synpuf(inpatient=[STAY], outpatient=[{**VISIT, "CLM_ID": "1"}])
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in plain.iterdir():
        if "Beneficiary" in path.name:
            with zipfile.ZipFile(packed / f"{path.stem}.zip", "w") as archive:
                archive.write(path, path.name)
        elif "Inpatient" in path.name:
            (packed / f"{path.name.upper()}.gz").write_bytes(gzip.compress(path.read_bytes()))
        else:
            shutil.copy(path, packed / path.name.replace("Outpatient_Claims", "OUTPATIENT_claims"))
    first, second = ingest("desynpuf", plain, tmp_path / "1"), ingest("desynpuf", packed, tmp_path / "2")
    assert first.fingerprint == second.fingerprint
    assert first.manifest.sources != second.manifest.sources


def test_a_file_and_its_archive_are_read_once(synpuf):
    """A zip beside the CSV file that came out of it does not double the claims."""
    source = synpuf(inpatient=[STAY])
    for path in list(source.iterdir()):
        with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
            archive.write(path, path.name)
    history = ingested(source)
    assert history.manifest.rows["encounter"] == 1
    assert [entry["name"][-4:] for entry in history.manifest.sources] == [".csv", ".csv"]


def test_several_samples_are_one_history(synpuf):
    """Files of further samples add their persons and claims."""
    source = synpuf(inpatient=[STAY])
    for path in list(source.iterdir()):
        text = path.read_text().replace("\nA,", "\nB,").replace(",196,", ",296,")
        path.with_name(path.name.replace("Sample_1", "Sample_20")).write_text(text)
    history = ingested(source)
    assert history.manifest.rows == {"person": 2, "coverage": 2, "encounter": 2, "event": 8}


def test_ingest_again_is_done_at_once(synpuf, bytes_of, caplog):
    """The same files leave the history as it is; a changed file asks for --replace."""
    source = synpuf(inpatient=[STAY])
    caplog.set_level("INFO")
    history = ingested(source)
    before = bytes_of(history.path)
    ingested(source)
    assert bytes_of(history.path) == before
    assert "is up to date" in caplog.text


def _only(*tables):
    def kept(source):
        for path in source.iterdir():
            if not any(table in path.name for table in tables):
                path.unlink()

    return kept


def _other_sample(source):
    path = source / CLAIMS.format("Inpatient_Claims")
    path.rename(path.with_name(path.name.replace("Sample_1", "Sample_2")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_only("Inpatient"), "no beneficiary summary of DE-SynPUF here"),
        (_only("Beneficiary"), "beneficiary summaries but no claims here"),
        (_only("nothing"), "nothing in the folder"),
        (_other_sample, "no beneficiary summary of its sample"),
        (lambda source: (_only("nothing")(source), (source / "a.csv").write_text("x\n")), "Found: a.csv"),
    ],
    ids=["no persons", "no claims", "empty", "other sample", "other files"],
)
def test_a_folder_that_is_not_the_source_is_one_error(synpuf, tmp_path, change, said):
    """The error says what was looked for and what was found; nothing is written."""
    source = synpuf(inpatient=[STAY])
    change(source)
    with pytest.raises(DataError, match=said) as error:
        ingest("desynpuf", source, tmp_path / "h")
    assert "Beneficiary_Summary_File" in str(error.value) or "Inpatient_Claims" in str(error.value)
    assert not (tmp_path / "h").exists()


def test_extracts_of_one_name_in_two_folders_are_not_guessed_at(synpuf, tmp_path):
    """Names without a sample number do not tell two samples from two copies."""
    source = synpuf(inpatient=[STAY])
    for path in list(source.iterdir()):
        plain = "inpatient_claims.csv" if "Inpatient" in path.name else "beneficiary_summary_2008.csv"
        for folder in ("one", "two"):
            (source / folder).mkdir(exist_ok=True)
            shutil.copy(path, source / folder / plain)
        path.unlink()
    with pytest.raises(DataError, match="nothing tells whether they are of one sample"):
        ingest("desynpuf", source, tmp_path / "h")
    assert ingest("desynpuf", source / "one", tmp_path / "h").manifest.rows["encounter"] == 1


def test_a_file_or_nothing_in_place_of_the_folder_is_an_error(synpuf, tmp_path):
    """A file, and a folder that is not there, are told from each other."""
    source = synpuf(inpatient=[STAY])
    with pytest.raises(DataError, match="this is a file, and the source is a folder"):
        ingest("desynpuf", source / BENEFICIARY.format(2008), tmp_path / "h")
    with pytest.raises(DataError, match="no such folder"):
        ingest("desynpuf", tmp_path / "missing", tmp_path / "h")
    with pytest.raises(DataError, match="did you mean 'desynpuf'"):
        ingest("desynpuff", source, tmp_path / "h")


def test_a_bad_value_stops_the_ingest_and_leaves_nothing(synpuf, tmp_path):
    """File, column, line and value are named, and no history is there afterwards."""
    source = synpuf(inpatient=[STAY, {**STAY, "CLM_ID": "197", "CLM_THRU_DT": "20081399"}])
    with pytest.raises(DataError, match="'20081399' is not a day") as error:
        ingest("desynpuf", source, tmp_path / "h")
    assert (error.value.column, error.value.line) == ("CLM_THRU_DT", 3)
    assert not (tmp_path / "h").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.fixture(scope="module")
def sample1(shared_data, tmp_path_factory):
    """Ingest the complete Sample 1 once."""
    path = tmp_path_factory.mktemp("sample1") / "history"
    return ingest("desynpuf", shared_data / "patients" / "desynpuf_sample1", path)


def test_sample_1_has_its_published_counts(sample1):
    """116,352 beneficiaries and 66,705 claims (66,773 rows) of 37,780 patients; of codes, misplaced ones."""
    assert sample1.manifest.rows["person"] == 116_352
    assert sample1.manifest.rows["encounter"] == 66_705
    assert sample1.table("encounter").select(pl.col("person_id").n_unique()).collect().item() == 37_780
    assert sample1.manifest.dropped == {"event": {"a diagnosis code in a field for procedures": 58_590}}
    assert sample1.manifest.noted == {}


def test_payments_are_those_of_the_beneficiary_summaries(sample1, shared_data):
    """What was paid for a person's stays of a year is MEDREIMB_IP of the summary, for every one."""
    source = shared_data / "patients" / "desynpuf_sample1"
    check_totals(sample1, source, BENEFICIARY, "MEDREIMB_IP", ["inpatient"])


def test_outpatient_payments_are_those_of_the_beneficiary_summaries(subset, shared_data):
    """So is MEDREIMB_OP, for emergency and other outpatient claims together."""
    source = shared_data / "patients" / "desynpuf_outpatient_1596"
    check_totals(subset, source, "beneficiary_summary_{}.csv", "MEDREIMB_OP", ["emergency", "outpatient"])


def check_totals(history, source, name, column, kinds):
    encounters = history.table("encounter").filter(pl.col("kind").is_in(kinds)).collect()
    for year in (2008, 2009, 2010):
        paid = (
            encounters.filter(pl.col("end").dt.year() == year)
            .group_by("person_id")
            .agg(pl.col("paid").sum().round(2))
        )
        summary = pl.read_csv(source / name.format(year), columns=["DESYNPUF_ID", column])
        both = summary.join(paid, left_on="DESYNPUF_ID", right_on="person_id", how="left").fill_null(0.0)
        assert paid.height > 100
        assert both["paid"].to_list() == both[column].cast(pl.Float64).to_list()


@pytest.fixture(scope="module")
def subset(shared_data, tmp_path_factory):
    """Ingest the beneficiaries that have outpatient claims too."""
    path = tmp_path_factory.mktemp("subset") / "history"
    return ingest("desynpuf", shared_data / "patients" / "desynpuf_outpatient_1596", path)


def test_the_subset_with_outpatient_claims(subset):
    """1,596 persons, 948 stays; 883 rows have an ED visit code, of which two are one claim: 882 visits."""
    kinds = subset.table("encounter").group_by("kind").len().collect()
    assert dict(kinds.rows()) == {"inpatient": 948, "emergency": 882, "outpatient": 10_086}
    assert subset.manifest.rows["person"] == 1596
    # Two claims are there with their second segment alone, which has no dates.
    misplaced = {"a diagnosis code in a field for procedures": 754}
    assert subset.manifest.dropped == {"encounter": {"no start": 2}, "event": {"no time": 2, **misplaced}}
