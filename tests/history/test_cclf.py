"""The CCLF adapter on records of fixed width written here in CMS's layout: no claims are public in it."""

import gzip
import shutil
import zipfile
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import ingest, ingest_tables
from riskmodels.history.adapters import get_adapter
from riskmodels.history.adapters.cclf_reading import _layouts, table_and_day

LIFE = {
    "BENE_MBI_ID": "1AA0AA0AA00",
    "BENE_DOB": "1940-03-01",
    "BENE_SEX_CD": "2",
    "BENE_RACE_CD": "1",
    "BENE_MDCR_STUS_CD": "11",
    "BENE_DUAL_STUS_CD": "02",
    "BENE_ORGNL_ENTLMT_RSN_CD": "1",
    "BENE_PART_A_ENRLMT_BGN_DT": "2005-03-01",
    "BENE_PART_B_ENRLMT_BGN_DT": "2005-04-01",
}
STAY = {
    "CUR_CLM_UNIQ_ID": "1001",
    "PRVDR_OSCAR_NUM": "050001",
    "CLM_BLG_PRVDR_OSCAR_NUM": "050001",
    "BENE_MBI_ID": LIFE["BENE_MBI_ID"],
    "CLM_TYPE_CD": "60",
    "CLM_FROM_DT": "2023-03-01",
    "CLM_THRU_DT": "2023-03-05",
    "CLM_BILL_FAC_TYPE_CD": "1",
    "CLM_BILL_CLSFCTN_CD": "1",
    "PRNCPL_DGNS_CD": "I5023",
    "ADMTG_DGNS_CD": "R0602",
    "CLM_PMT_AMT": "8000.00",
    "BENE_PTNT_STUS_CD": "03",
    "DGNS_DRG_CD": "0291",
    "CLM_ATNDG_PRVDR_NPI_NUM": "1234567893",
    "CLM_ADJSMT_TYPE_CD": "0",
    "CLM_EFCTV_DT": "2023-03-24",
    "CLM_IDR_LD_DT": "2023-03-28",
    "CLM_ADMSN_TYPE_CD": "1",
    "CLM_ADMSN_SRC_CD": "7",
    "CLM_BILL_FREQ_CD": "1",
    "DGNS_PRCDR_ICD_IND": "0",
}
LINE = {
    "CUR_CLM_UNIQ_ID": "1001",
    "CLM_LINE_NUM": "1",
    "BENE_MBI_ID": LIFE["BENE_MBI_ID"],
    "CLM_LINE_FROM_DT": "1000-01-01",
    "CLM_LINE_PROD_REV_CTR_CD": "0120",
    "CLM_LINE_SRVC_UNIT_QTY": "4.0000",
}
CODE = {
    "CUR_CLM_UNIQ_ID": "1001",
    "BENE_MBI_ID": LIFE["BENE_MBI_ID"],
    "CLM_PROD_TYPE_CD": "D",
    "CLM_VAL_SQNC_NUM": "1",
    "CLM_DGNS_CD": "I5023",
    "CLM_POA_IND": "Y",
    "DGNS_PRCDR_ICD_IND": "0",
}
CUT = {
    "CUR_CLM_UNIQ_ID": "1001",
    "BENE_MBI_ID": LIFE["BENE_MBI_ID"],
    "CLM_VAL_SQNC_NUM": "1",
    "CLM_PRCDR_CD": "5A1D70Z",
    "CLM_PRCDR_PRFRM_DT": "2023-03-02",
    "DGNS_PRCDR_ICD_IND": "0",
}
DOCTOR = {
    "CUR_CLM_UNIQ_ID": "5001",
    "CLM_LINE_NUM": "1",
    "BENE_MBI_ID": LIFE["BENE_MBI_ID"],
    "CLM_FROM_DT": "2023-06-01",
    "CLM_THRU_DT": "2023-06-01",
    "CLM_POS_CD": "11",
    "CLM_LINE_FROM_DT": "2023-06-01",
    "CLM_LINE_HCPCS_CD": "99214",
    "CLM_LINE_CVRD_PD_AMT": "80.00",
    "CLM_LINE_ALOWD_CHRG_AMT": "100.00",
    "CLM_RNDRG_PRVDR_NPI_NUM": "1999999999",
    "CLM_CARR_PMT_DNL_CD": "1",
    "CLM_PRCSG_IND_CD": "A",
    "CLM_ADJSMT_TYPE_CD": "0",
    "CLM_EFCTV_DT": "2023-06-16",
    "CLM_CNTL_NUM": "C5001",
    "CLM_LINE_SRVC_UNIT_QTY": "1.0000",
    "CLM_DGNS_1_CD": "I10",
    "DGNS_PRCDR_ICD_IND": "0",
}
WHEELCHAIR = {
    **{name: value for name, value in DOCTOR.items() if name in _layouts()["fields"]["cclf6"]},
    "CUR_CLM_UNIQ_ID": "6001",
    "CLM_LINE_HCPCS_CD": "K0001",
    "CLM_CNTL_NUM": "C6001",
}
FILL = {
    "CUR_CLM_UNIQ_ID": "7001",
    "BENE_MBI_ID": LIFE["BENE_MBI_ID"],
    "CLM_LINE_NDC_CD": "00002751001",
    "CLM_LINE_FROM_DT": "2023-02-03",
    "PRVDR_SRVC_ID_QLFYR_CD": "01",
    "CLM_SRVC_PRVDR_GNRC_ID_NUM": "1555555555",
    "CLM_LINE_SRVC_UNIT_QTY": "60.0000",
    "CLM_LINE_DAYS_SUPLY_QTY": "30",
    "CLM_ADJSMT_TYPE_CD": "0",
    "CLM_EFCTV_DT": "1000-01-01",
    "CLM_IDR_LD_DT": "2023-02-20",
    "CLM_LINE_RX_SRVC_RFRNC_NUM": "000000123456",
    "CLM_LINE_RX_FILL_NUM": "1",
}
BASE = {
    "cclf1": [STAY],
    "cclf2": [LINE],
    "cclf3": [CUT],
    "cclf4": [CODE],
    "cclf5": [DOCTOR],
    "cclf6": [WHEELCHAIR],
    "cclf7": [FILL],
    "cclf8": [LIFE],
    "cclf9": [],
}
DELIVERY = "D240215"


def record(table, row, layout="since 2022"):
    """Return a record of fixed width: numbers to the right, the rest to the left."""
    length = _layouts()["layouts"][layout][table]
    text = [" "] * length
    for name, value in row.items():
        first, last, kind = _layouts()["fields"][table][name]
        if first > length:
            continue
        width = last - first + 1
        text[first - 1 : last] = value.rjust(width) if kind == "number" else value.ljust(width)
    return "".join(text)


@pytest.fixture
def cclf(tmp_path):
    """Return the function that writes a delivery."""

    def written(day=DELIVERY, folder="source", layout="since 2022", **tables):
        (tmp_path / folder).mkdir(exist_ok=True)
        for table, rows in {**BASE, **tables}.items():
            if rows is None:
                continue
            path = tmp_path / folder / f"P.A1234.ACO.Z{table[1:4].upper()}Y24.{day}.T0123456"
            path = path.with_name(path.name.replace("ZCLF", f"ZC{table[-1]}"))
            path.write_text("".join(record(table, row, layout) + "\n" for row in rows))
        return tmp_path / folder

    return written


def ingested(source, name="history"):
    return ingest("cclf", source, source.with_name(name))


def rows_of(history, table, *columns):
    return history.table(table).select(columns).collect().sort(pl.all()).rows()


def file_of(source, number):
    (path,) = source.glob(f"*.ZC{number}Y*")
    return path


def test_a_stay_has_its_dates_words_money_and_codes(cclf):
    """A Part A claim is a stay over its days; codes at its end, procedures on their day."""
    history = ingested(cclf())
    stay = history.table("encounter").filter(pl.col("kind") == "inpatient").collect().row(0, named=True)
    wanted = {
        "encounter_id": "1001",
        "start": datetime(2023, 3, 1),
        "end": datetime(2023, 3, 5),
        "facility_id": "050001",
        "provider_id": "1234567893",
        "admission_type": "emergency",
        "admission_source": "emergency",
        "discharge_disposition": "snf",
        "drg": "291",
        "paid": 8000.0,
        "allowed": None,
        "recorded_at": datetime(2023, 3, 24),
    }
    assert {name: stay[name] for name in wanted} == wanted
    end = datetime(2023, 3, 5)
    events = history.table("event").filter(pl.col("encounter_id") == "1001")
    columns = ("kind", "code_system", "code", "position", "value", "time")
    assert sorted(events.select(columns).collect().rows(), key=str) == [
        ("diagnosis", "ICD10CM", "I5023", 1, 1.0, end),
        ("diagnosis", "ICD10CM", "R0602", 0, None, end),
        ("procedure", "ICD10PCS", "5A1D70Z", 1, None, datetime(2023, 3, 2)),
        ("procedure", "REVENUE", "0120", None, None, end),
    ]


def test_other_claims(cclf):
    """Physicians' claims are visits, supplies and fills events without one; 1000-01-01 is no day."""
    history = ingested(cclf())
    office = history.table("encounter").filter(pl.col("kind") == "office").collect().row(0, named=True)
    assert (office["paid"], office["allowed"], office["provider_id"]) == (80.0, 100.0, "1999999999")
    events = history.table("event").filter(pl.col("code").is_in(["99214", "K0001", "00002751001", "I10"]))
    columns = ("code", "encounter_id", "time", "paid", "quantity", "days_supply", "recorded_at")
    visit, known = datetime(2023, 6, 1), datetime(2023, 6, 16)
    assert sorted(events.select(columns).collect().rows()) == [
        ("00002751001", None, datetime(2023, 2, 3), None, 60.0, 30.0, datetime(2023, 2, 20)),
        ("99214", "5001", visit, 80.0, 1.0, None, known),
        ("I10", "5001", visit, None, None, None, known),
        ("K0001", None, visit, 80.0, None, None, known),
    ]


def test_beneficiaries(cclf):
    """Covered by Part A and B until the last claim; a delivery's statuses hold from its day on."""
    dead = {**LIFE, "BENE_MBI_ID": "2BB", "BENE_DEATH_DT": "2023-05-04", "BENE_RACE_CD": "5"}
    history = ingested(cclf("D230415", cclf8=[LIFE, dead]))
    people = rows_of(history, "person", "person_id", "birth_date", "sex", "race_ethnicity", "death_date")
    assert people == [
        ("1AA0AA0AA00", date(1940, 3, 1), "female", "white", None),
        ("2BB", date(1940, 3, 1), "female", "hispanic", date(2023, 5, 4)),
    ]
    columns = ("person_id", "start_date", "end_date", "dual", "esrd", "orig_disability", "hospice", "payer")
    begin, told = date(2005, 4, 1), date(2023, 4, 15)
    before = (begin, date(2023, 4, 14), None, None, True, None, "medicare")
    assert rows_of(history, "coverage", *columns) == [
        ("1AA0AA0AA00", *before),
        ("1AA0AA0AA00", told, date(2023, 6, 1), True, True, True, False, "medicare"),
        ("2BB", *before),
        ("2BB", told, date(2023, 5, 4), True, True, True, False, "medicare"),
    ]


def test_who_left_the_aco_is_observed_up_to_the_last_delivery(cclf):
    """A beneficiary who is in the first of two deliveries only is not observed after it."""
    left = {**LIFE, "BENE_MBI_ID": "2BB"}
    cclf("D230415", cclf8=[LIFE, left])
    source = cclf("D230715", cclf8=[{**LIFE, "BENE_DUAL_STUS_CD": "NA"}])
    spans = rows_of(ingested(source), "coverage", "person_id", "end_date", "dual")
    assert spans == [
        ("1AA0AA0AA00", date(2023, 4, 14), None),
        ("1AA0AA0AA00", date(2023, 6, 1), True),
        ("2BB", date(2023, 4, 14), None),
        ("2BB", date(2023, 4, 15), True),
    ]


def test_an_identifier_that_changed_is_one_person(cclf):
    """Claims under a previous identifier belong to the current one, through chains of changes."""
    xref = [
        {"HICN_MBI_XREF_IND": "M", "CRNT_NUM": "MIDDLE", "PRVS_NUM": "OLD"},
        {"HICN_MBI_XREF_IND": "M", "CRNT_NUM": LIFE["BENE_MBI_ID"], "PRVS_NUM": "MIDDLE"},
    ]
    old = {"BENE_MBI_ID": "OLD"}
    source = cclf(cclf9=xref, cclf1=[{**STAY, **old}], cclf4=[{**CODE, **old}], cclf2=[{**LINE, **old}])
    history = ingested(source)
    assert history.table("person").collect().height == 1
    assert ("inpatient", LIFE["BENE_MBI_ID"]) in rows_of(history, "encounter", "kind", "person_id")
    assert ("I5023", LIFE["BENE_MBI_ID"]) in rows_of(history, "event", "code", "person_id")


def claim(number, paid, kind, processed, **more):
    changes = {"CUR_CLM_UNIQ_ID": number, "CLM_PMT_AMT": paid, "CLM_ADJSMT_TYPE_CD": kind}
    return {**STAY, **changes, "CLM_EFCTV_DT": processed, **more}


# Claims of one natural key: number, paid, type, processed; which are final, and CMS's sum: the amounts of all
# claims, of cancellations with the sign turned. The first is the worked example of the Information Packet.
SETS = {
    "packet": (
        [
            ("1014", "200.00", "0", "2023-07-20"),
            ("1015", "0.00", "2", "2023-09-20"),
            ("1016", "200.00", "1", "2023-08-07"),
            ("1017", "210.00", "2", "2023-09-20"),
            ("1018", "0.00", "2", "2023-08-07"),
            ("1019", "0.00", "1", "2023-10-07"),
        ],
        {"1015", "1017"},
        210.0,
    ),
    "cancelled for good": (
        [("1", "90.00", "0", "2023-04-01"), ("2", "90.00", "1", "2023-05-01")],
        set(),
        0.0,
    ),
    "replaced on the day": (
        [
            ("1", "210.00", "0", "2023-04-01"),
            ("9", "210.00", "1", "2023-05-01"),
            ("3", "190.00", "2", "2023-05-01"),
        ],
        {"3"},
        190.0,
    ),
    "replaced at the same amount": (
        [
            ("1", "210.00", "0", "2023-04-01"),
            ("2", "210.00", "1", "2023-05-01"),
            ("3", "210.00", "2", "2023-05-01"),
        ],
        {"3"},
        210.0,
    ),
    "two originals": (
        [
            ("1", "150.00", "0", "2023-04-01"),
            ("2", "95.00", "0", "2023-04-01"),
            ("3", "150.00", "1", "2023-05-01"),
        ],
        {"2"},
        95.0,
    ),
    "cancellation written as a negative": (
        [
            ("1", "90.00", "0", "2023-04-01"),
            ("2", "-90.00", "1", "2023-05-01"),
            ("3", "80.00", "2", "2023-05-02"),
        ],
        {"3"},
        80.0,
    ),
    "of another amount": (
        [
            ("1", "90.00", "0", "2023-04-01"),
            ("2", "89.00", "1", "2023-05-01"),
            ("3", "80.00", "2", "2023-05-01"),
        ],
        {"3"},
        80.0,
    ),
    "original delivered before these files": (
        [("2", "90.00", "1", "2023-05-01"), ("3", "90.00", "2", "2023-05-01")],
        {"3"},
        90.0,
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_related_claims_are_netted(cclf, name):
    """A cancellation takes away what it cancels: the final claims and their sum are those CMS describes."""
    claims, final, total = SETS[name]
    headers = [claim(*given) for given in claims]
    codes = [{**CODE, "CUR_CLM_UNIQ_ID": number} for number, *_ in claims]
    history = ingested(cclf(cclf1=headers, cclf4=codes, cclf5=None))
    stays = history.table("encounter").filter(pl.col("kind") == "inpatient").collect()
    # Final claims of one stay's days are one stay, named after its first bill.
    assert stays.height == bool(final)
    assert stays["paid"].sum() == total
    kept = history.table("event").filter(pl.col("kind") == "diagnosis", pl.col("position") == 1).collect()
    assert kept.height == bool(final)
    dropped = history.manifest.dropped.get("encounter", {})
    cancellations = sum(kind == "1" for _, _, kind, _ in claims)
    assert dropped["cancellations of the CCLF"] == cancellations
    gone = len(claims) - cancellations - len(final)
    assert dropped.get("claims of the CCLF that a later one cancels", 0) == gone


def test_part_b_is_netted_by_control_number(cclf):
    """All lines of a cancelled physician's claim go; another claim of the day stays."""
    second = {**DOCTOR, "CLM_LINE_NUM": "2", "CLM_LINE_HCPCS_CD": "36415", "CLM_LINE_CVRD_PD_AMT": "5.00"}
    cancel = [
        {**row, "CUR_CLM_UNIQ_ID": "5002", "CLM_ADJSMT_TYPE_CD": "1", "CLM_EFCTV_DT": "2023-07-01"}
        for row in (DOCTOR, second)
    ]
    anew = {**DOCTOR, "CUR_CLM_UNIQ_ID": "5003", "CLM_ADJSMT_TYPE_CD": "2", "CLM_LINE_CVRD_PD_AMT": "70.00"}
    anew["CLM_EFCTV_DT"] = "2023-07-01"
    other = {**DOCTOR, "CUR_CLM_UNIQ_ID": "5009", "CLM_CNTL_NUM": "C5009"}
    history = ingested(cclf(cclf5=[DOCTOR, second, *cancel, anew, other]))
    visits = rows_of(history, "encounter", "kind", "encounter_id", "paid")
    assert visits[1:] == [("office", "5003", 70.0), ("office", "5009", 80.0)]
    services = history.table("event").filter(pl.col("code").is_in(["99214", "36415"])).collect()
    assert sorted(services["encounter_id"]) == ["5003", "5009"]


def test_denied_claims_and_lines_are_left_out_and_counted(cclf):
    """A reason for non-payment denies a Part A claim, an indicator or denial code a line of Part B."""
    denied = {**STAY, "CUR_CLM_UNIQ_ID": "1002", "CLM_FROM_DT": "2023-04-01", "CLM_MDCR_NPMT_RSN_CD": "N"}
    denied["CLM_THRU_DT"] = "2023-04-02"
    lines = [
        DOCTOR,
        {**DOCTOR, "CLM_LINE_NUM": "2", "CLM_PRCSG_IND_CD": "N"},
        {**DOCTOR, "CUR_CLM_UNIQ_ID": "5002", "CLM_CNTL_NUM": "C5002", "CLM_CARR_PMT_DNL_CD": "0"},
    ]
    history = ingested(cclf(cclf1=[STAY, denied], cclf5=lines))
    assert rows_of(history, "encounter", "encounter_id", "paid") == [("1001", 8000.0), ("5001", 80.0)]
    assert history.manifest.dropped["encounter"] == {"claims of the CCLF that were denied": 3}


def test_a_claim_that_is_delivered_again_counts_once(cclf):
    """The last delivery of a claim counts, with its own diagnoses."""
    cclf("D230415")
    source = cclf("D230515", cclf1=[{**STAY, "CLM_PMT_AMT": "8100.00"}], cclf4=[{**CODE, "CLM_POA_IND": "N"}])
    history = ingested(source)
    assert rows_of(history, "encounter", "encounter_id", "paid") == [("1001", 8100.0), ("5001", 80.0)]
    told = history.table("event").filter(pl.col("kind") == "diagnosis").select("code", "value").collect()
    assert sorted(told.rows()) == [("I10", None), ("I5023", 0.0), ("R0602", None)]
    assert history.table("event").filter(pl.col("code") == "00002751001").collect().height == 1


@pytest.mark.parametrize(
    ("bill", "line", "kind"),
    [
        (("1", "3"), {"CLM_LINE_PROD_REV_CTR_CD": "0450"}, "emergency"),
        (("1", "3"), {"CLM_LINE_HCPCS_CD": "99284"}, "emergency"),
        (("1", "3"), {"CLM_LINE_PROD_REV_CTR_CD": "0762"}, "observation"),
        (("1", "3"), {"CLM_LINE_HCPCS_CD": "G0378"}, "observation"),
        (("1", "3"), {}, "outpatient"),
        (("1", "1"), {"CLM_LINE_PROD_REV_CTR_CD": "0450"}, "inpatient"),
        (("1", "1"), {"CLM_LINE_PROD_REV_CTR_CD": "0024"}, "rehab"),
        (("2", "1"), {}, "snf"),
        (("8", "1"), {}, "hospice"),
        (("3", "2"), {}, "home_health"),
    ],
)
def test_kinds_of_claims(cclf, bill, line, kind):
    """The type of bill and what the lines say tell the kind, as for other institutional claims."""
    header = {**STAY, "CLM_BILL_FAC_TYPE_CD": bill[0], "CLM_BILL_CLSFCTN_CD": bill[1]}
    history = ingested(cclf(cclf1=[header], cclf2=[LINE, {**LINE, "CLM_LINE_NUM": "2", **line}], cclf5=None))
    assert rows_of(history, "encounter", "kind") == [(kind,)]


def test_interim_bills_are_one_stay(cclf):
    """A stay that is billed in two parts is one, with the disposition of the last."""
    first = {**STAY, "CLM_BILL_FREQ_CD": "2", "BENE_PTNT_STUS_CD": "30"}
    last = {**STAY, "CUR_CLM_UNIQ_ID": "1002", "CLM_FROM_DT": "2023-03-06", "CLM_THRU_DT": "2023-03-20"}
    last |= {"CLM_BILL_FREQ_CD": "4", "BENE_PTNT_STUS_CD": "01", "CLM_PMT_AMT": "2000.00"}
    history = ingested(cclf(cclf1=[first, last], cclf5=None))
    columns = ("encounter_id", "end", "discharge_disposition", "paid")
    assert rows_of(history, "encounter", *columns) == [("1001", datetime(2023, 3, 20), "home", 10000.0)]


def test_external_causes_stand_apart(cclf):
    """Positions are as on the claim; the principal diagnosis is first, external causes are last."""
    codes = [
        {**CODE, "CLM_DGNS_CD": "N179"},
        {**CODE, "CLM_VAL_SQNC_NUM": "2"},
        {**CODE, "CLM_DGNS_CD": "W19XXXA", "CLM_PROD_TYPE_CD": "E"},
    ]
    history = ingested(cclf(cclf4=codes, cclf5=None))
    told = history.table("event").filter(pl.col("kind") == "diagnosis").select("position", "code").collect()
    assert sorted(told.rows()) == [(0, "R0602"), (1, "I5023"), (2, "N179"), (51, "W19XXXA")]


def test_layouts_and_forms_give_the_same_history(cclf, tmp_path):
    """Older records, Windows lines, a byte-order mark, gzip, archives, columns: all the same."""
    plain = ingested(cclf())
    older = ingested(cclf(folder="older", layout="2019-2021"), "older-history")
    windows = cclf(folder="windows")
    for path in windows.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    packed = cclf(folder="packed")
    for path in list(packed.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    (tmp_path / "zipped").mkdir()
    with zipfile.ZipFile(tmp_path / "zipped" / "P.A1234.ACO.ZCY24.D240215.T0123456.zip", "w") as archive:
        for path in cclf().iterdir():
            archive.write(path, path.name)
    columns = tmp_path / "columns"
    columns.mkdir()
    for n, mark in zip(range(1, 10), ",\t|,\t|,\t|", strict=True):
        fields = _layouts()["fields"][f"cclf{n}"]
        names = sorted(fields)  # not the order of the records
        lines = [mark.join(row.get(name, "") for name in names) for row in BASE[f"cclf{n}"]]
        header = mark.join(name.lower() for name in names)
        (columns / f"cclf{n}_2024-02-15.csv").write_text("\n".join([header, *lines]) + "\n")
    for name in ("windows", "packed", "zipped", "columns"):
        history = ingested(tmp_path / name, f"{name}-history")
        assert history.fingerprint == plain.fingerprint, name
    # Older records have the provider under one name only, and lack the attending physician.
    stays = [h.table("encounter").drop("provider_id").collect().sort(pl.all()) for h in (plain, older)]
    assert stays[0].equals(stays[1])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("P.A1234.ACO.ZC1Y24.D240215.T0123456", ("cclf1", date(2024, 2, 15))),
        ("P.D0001.ACO.ZC9R23.D230101.T0123456.gz", ("cclf9", date(2023, 1, 1))),
        ("P.A1234.ACO.ZC5WY24.D240215.T0123456", ("cclf5", date(2024, 2, 15))),
        ("P.A1234.ACO.ZC0Y24.D240215.T0123456", ("cclf0", date(2024, 2, 15))),
        ("P.A1234.ACO.ZCAY24.D240215.T0123456", None),
        ("CCLF8.txt", ("cclf8", None)),
        ("aco_cclf_7_20240215.csv", ("cclf7", date(2024, 2, 15))),
        ("parta_claims_header.csv", ("cclf1", None)),
        ("notes.txt", None),
    ],
)
def test_names_of_files(name, known):
    """CMS's names, W for weekly and R for run-out files, and the names that people give."""
    assert table_and_day(name) == known


def spoil(source, number, change):
    path = file_of(source, number)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (1, lambda text: text[:-40], r"ZC1.*line 1: a record of 398 characters.*layout is not known"),
        (1, lambda text: text + text[:100], r"ZC1.*line 2: the record has 100 characters of 437.*cut short"),
        (1, lambda text: text + b" " + text, r"ZC1.*line 2: the record has 438 characters"),
        (8, lambda text: b" " + text[:-2] + b"\n", r"ZC8.*column BENE_DOB, line 1: .* is not a day"),
        (
            1,
            lambda text: text.replace(b"8000.00", b"8000,00"),
            r"column CLM_PMT_AMT, line 1: '8000,00' is not",
        ),
        (1, lambda text: text.replace(b"2023-03-01", b"03/01/2023"), r"^"),
        (
            1,
            lambda text: text.replace(b"2023-03-01", b"01-MAR-23 "),
            r"column CLM_FROM_DT, line 1: '01-MAR-23'",
        ),
        (1, lambda text: text.decode().encode("utf-16"), r"is UTF-16 text"),
        (1, lambda text: text.replace(b"I5023  ", b"I50\xe923 "), r"line 1: the line is not UTF-8 text"),
        (1, lambda text: b"", r"the file is empty"),
        (1, lambda text: text[:148] + b"7 " + text[150:], r"'7' is not an adjustment type"),
        (8, lambda text: b"\n", r"no beneficiary"),
    ],
    ids=lambda value: None if callable(value) else str(value)[:40],
)
def test_refusals(cclf, number, change, message):
    """A file that is cut, shifted, recoded or empty is refused by name and line, and nothing is written."""
    source = cclf()
    spoil(source, number, change)
    if message == "^":  # a day as people write it is read
        assert ingested(source).manifest.rows["encounter"] == 2
        return
    with pytest.raises(DataError, match=message):
        ingested(source)
    assert sorted(path.name for path in source.parent.iterdir()) == ["source"]


def test_refused_folders(cclf, tmp_path):
    """A delivery that lacks a file, one table in two forms, identifiers in a circle, nothing to read."""
    with pytest.raises(DataError, match=r"no CCLF2 \(revenue centers\) here"):
        ingested(cclf(folder="one", cclf2=None))
    cclf("D230415", folder="two")
    with pytest.raises(DataError, match=r"the delivery of 2023-05-15 has .*, and no CCLF4"):
        ingested(cclf("D230515", folder="two", cclf4=None))
    mixed = cclf(folder="mixed")
    (mixed / "cclf1.csv").write_text("CUR_CLM_UNIQ_ID\n1001\n")
    with pytest.raises(DataError, match="both are CCLF1"):
        ingested(mixed)
    circle = [{"CRNT_NUM": "A", "PRVS_NUM": "B"}, {"CRNT_NUM": "B", "PRVS_NUM": "A"}]
    with pytest.raises(DataError, match="replace each other in a circle"):
        ingested(cclf(folder="circle", cclf9=circle))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "patients.csv").write_text("Id\n1\n")
    with pytest.raises(DataError, match="no CCLF1"):
        ingested(tmp_path / "other")
    headless = cclf(folder="headless")
    file_of(headless, 1).write_text("1001,050001,1AA0AA0AA00,60,2023-03-01,2023-03-05,1,1\n")
    with pytest.raises(DataError, match="put a header with the names of the columns"):
        ingested(headless)
    assert not list(tmp_path.glob("history*"))


def test_the_same_file_twice_changes_nothing(cclf, tmp_path):
    """A copy of a file is the same claims again."""
    once = ingested(cclf())
    twice = cclf(folder="twice")
    shutil.copy(file_of(twice, 1), twice / "P.A1234.ACO.ZC1Y24.D240215.T7777777")
    assert ingested(twice, "again").manifest.rows == once.manifest.rows


def test_find_tells_what_was_there(cclf):
    """The adapter lists the files of all deliveries, the oldest first."""
    cclf("D230515")
    files = get_adapter("cclf").find(cclf("D230415"))
    assert [file.keys["day"] for file in files] == [date(2023, 4, 15)] * 9 + [date(2023, 5, 15)] * 9


def test_the_summary_of_a_delivery_tells_what_is_cut(cclf):
    """CCLF0 counts the records of the other files: one that lost whole records is refused."""
    source = cclf()
    told = "".join(
        f"CCLF{n}   |Title{n}             |{len(BASE[f'cclf{n}']):>20}|  437\n" for n in range(1, 10)
    )
    summary = source / "P.A1234.ACO.ZC0Y24.D240215.T0123456"
    summary.write_text("File Number  |File Description    |Total Records Count |Record Length\n" + told)
    assert ingested(source).manifest.rows["person"] == 1
    summary.write_text(told.replace(f"{1:>20}|", f"{2:>20}|", 1))
    with pytest.raises(DataError, match=r"ZC1Y24.*there are 1 records, and .*ZC0Y24.* says 2"):
        ingested(source, "again")


def test_tables_of_a_database_give_the_same_claims(cclf, tmp_path):
    """Typed columns, as a warehouse has them, are read as the records are, but for the day of delivery."""
    kinds = {"number": pl.Float64, "day": pl.Date, "text": pl.String}
    streams = {}
    for n in range(1, 10):
        fields = _layouts()["fields"][f"cclf{n}"]
        rows = [{name: row.get(name) for name in fields} for row in BASE[f"cclf{n}"]]
        frame = pl.DataFrame(rows, schema=dict.fromkeys(fields, pl.String), orient="row")
        streams[f"CCLF{n}"] = frame.with_columns(
            pl.col(name).str.to_date() if kind == "day" else pl.col(name).cast(kinds[kind])
            for name, (_, _, kind) in fields.items()
        )
    tables = ingest_tables("cclf", streams, tmp_path / "tables")
    records = ingested(cclf())
    for name in ("encounter", "event", "person"):
        same = [history.table(name).collect().sort(pl.all()) for history in (tables, records)]
        assert same[0].equals(same[1])
