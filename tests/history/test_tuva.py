"""The Tuva adapter on small claims written here, and on the publisher's sample."""

import gzip
import zipfile
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import ingest
from riskmodels.history.adapters.tuva import CODED, FIELDS, HEADER

LIFE = {
    "person_id": "A",
    "gender": "female",
    "race": "white",
    "birth_date": "1940-03-01",
    "enrollment_start_date": "2018-01-01",
    "enrollment_end_date": "2018-12-31",
    "payer": "Medicare",
    "payer_type": "medicare",
}
DISABLED = {**LIFE, "original_reason_entitlement_code": "1", "medicare_status_code": "11"}
DEAD = {**LIFE, "person_id": "B", "death_date": "2018-05-04", "medicare_status_code": "20"}
STAY = {
    "person_id": "A",
    "claim_id": "s1",
    "claim_line_number": "1",
    "claim_type": "institutional",
    "claim_start_date": "2018-03-01",
    "claim_end_date": "2018-03-05",
    "admission_date": "2018-03-01",
    "discharge_date": "2018-03-05",
    "admit_type_code": "1",
    "admit_source_code": "7",
    "discharge_disposition_code": "03",
    "bill_type_code": "111",
    "drg_code": "291",
    "revenue_center_code": "0120",
    "facility_id": "H",
    "rendering_id": "D",
    "paid_date": "2018-04-01",
    "paid_amount": "100.00",
    "allowed_amount": "120.00",
    "diagnosis_code_type": "icd-10-cm",
    "diagnosis_code_1": "I5023",
    "diagnosis_code_2": "N179",
    "diagnosis_poa_1": "Y",
    "diagnosis_poa_2": "N",
    "procedure_code_type": "icd-10-pcs",
    "procedure_code_1": "5A1D70Z",
    "procedure_date_1": "2018-03-02",
}
NO_DATES = {"admission_date": "", "discharge_date": ""}
VISIT = {
    **{
        k: v
        for k, v in STAY.items()
        if not k.startswith(("diagnosis", "procedure", "adm", "discharge", "drg"))
    },
    "claim_id": "v1",
    "bill_type_code": "131",
    "claim_start_date": "2018-06-01",
    "claim_end_date": "2018-06-01",
    "revenue_center_code": "0450",
}
DOCTOR = {
    "person_id": "A",
    "claim_id": "p1",
    "claim_line_number": "1",
    "claim_type": "professional",
    "claim_start_date": "2018-06-01",
    "claim_end_date": "2018-06-01",
    "claim_line_start_date": "2018-06-01",
    "place_of_service_code": "23",
    "hcpcs_code": "99284",
    "paid_amount": "80",
    "diagnosis_code_1": "R079",
}
COLUMNS = {
    "eligibility": list(FIELDS["eligibility"]),
    "medical_claim": list(HEADER | CODED),
    "pharmacy_claim": list(FIELDS["pharmacy_claim"]),
}


@pytest.fixture
def tuva(tmp_path, csv_file):
    """Return the function that writes the input layer."""

    def written(claims=(STAY,), lives=(LIFE,), fills=None, folder="source"):
        csv_file(tmp_path / folder / "eligibility.csv", COLUMNS["eligibility"], lives)
        csv_file(tmp_path / folder / "medical_claim.csv", COLUMNS["medical_claim"], claims)
        if fills is not None:
            csv_file(tmp_path / folder / "pharmacy_claim.csv", COLUMNS["pharmacy_claim"], fills)
        return tmp_path / folder

    return written


def ingested(source):
    return ingest("tuva", source, source.with_name("history"))


def encounters(history, *columns):
    return history.table("encounter").select(columns).collect().sort(pl.all()).rows()


def test_a_stay_has_its_dates_words_money_and_codes(tuva):
    """Admission to discharge; codes at discharge, procedures on their day, known once paid."""
    history = ingested(tuva())
    (row,) = history.table("encounter").collect().rows(named=True)
    wanted = {
        "encounter_id": "s1",
        "kind": "inpatient",
        "start": datetime(2018, 3, 1),
        "end": datetime(2018, 3, 5),
        "facility_id": "H",
        "provider_id": "D",
        "admission_type": "emergency",
        "admission_source": "emergency",
        "discharge_disposition": "snf",
        "drg": "291",
        "paid": 100.0,
        "allowed": 120.0,
        "recorded_at": datetime(2018, 4, 1),
    }
    assert {name: row[name] for name in wanted} == wanted
    events = (
        history.table("event").select("kind", "code_system", "code", "position", "value", "time").collect()
    )
    end = datetime(2018, 3, 5)
    assert sorted(events.rows(), key=str) == [
        ("diagnosis", "ICD10CM", "I5023", 1, 1.0, end),
        ("diagnosis", "ICD10CM", "N179", 2, 0.0, end),
        ("procedure", "ICD10PCS", "5A1D70Z", 1, None, datetime(2018, 3, 2)),
        ("procedure", "REVENUE", "0120", None, None, end),
    ]
    assert history.table("event").collect()["recorded_at"].unique().to_list() == [datetime(2018, 4, 1)]


JANUARY = {**STAY, **NO_DATES, "claim_start_date": "2018-01-20", "claim_end_date": "2018-01-31"}
FEBRUARY = {**JANUARY, "claim_id": "s2", "claim_start_date": "2018-02-01", "claim_end_date": "2018-02-10"}
ELSEWHERE = {**FEBRUARY, "facility_id": "K", "claim_start_date": "2018-01-30"}
INTERIM = {**JANUARY, "bill_type_code": "112", "discharge_disposition_code": "30"}
VOID = {**JANUARY, "claim_id": "s9", "bill_type_code": "118", "paid_amount": "-100"}


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        pytest.param(
            [INTERIM, {**FEBRUARY, "bill_type_code": "114"}],
            [("s1", datetime(2018, 1, 20), datetime(2018, 2, 10), "snf", 200.0)],
            id="interim bills are one stay",
        ),
        pytest.param(
            [JANUARY, {**FEBRUARY, "claim_start_date": "2018-01-31"}],
            [
                ("s1", datetime(2018, 1, 20), datetime(2018, 1, 31), "snf", 100.0),
                ("s2", datetime(2018, 1, 31), datetime(2018, 2, 10), "snf", 100.0),
            ],
            id="a same-day readmission after a discharge is another stay",
        ),
        pytest.param(
            [{**JANUARY, "discharge_disposition_code": "02"}, ELSEWHERE],
            [
                ("s1", datetime(2018, 1, 20), datetime(2018, 1, 31), "transfer", 100.0),
                ("s2", datetime(2018, 1, 30), datetime(2018, 2, 10), "snf", 100.0),
            ],
            id="stays in two hospitals are two",
        ),
        pytest.param(
            [JANUARY, {**FEBRUARY, "claim_start_date": "2018-01-25", "bill_type_code": "121"}],
            [("s1", datetime(2018, 1, 20), datetime(2018, 2, 10), "snf", 200.0)],
            id="overlapping bills of a hospital are one stay",
        ),
        pytest.param(
            [JANUARY, {**JANUARY, "claim_id": "s9", "bill_type_code": "117", "paid_amount": "70"}],
            [("s9", datetime(2018, 1, 20), datetime(2018, 1, 31), "snf", 70.0)],
            id="a replacement takes the place of its claim",
        ),
        pytest.param(
            [JANUARY, VOID, FEBRUARY],
            [("s2", datetime(2018, 2, 1), datetime(2018, 2, 10), "snf", 100.0)],
            id="a void takes its claim away",
        ),
    ],
)  # fmt: skip
def test_bills_of_a_stay(tuva, claims, wanted):
    """Interim bills, overlaps, replacements and voids."""
    history = ingested(tuva(claims))
    assert encounters(history, "encounter_id", "start", "end", "discharge_disposition", "paid") == wanted


def test_the_last_bill_names_the_principal_diagnosis(tuva):
    """Codes of an earlier bill are kept behind those of the last, all dated at discharge."""
    last = {**FEBRUARY, "bill_type_code": "114", "diagnosis_code_1": "A419", "diagnosis_code_2": ""}
    events = ingested(tuva([INTERIM, last])).table("event").filter(pl.col("kind") == "diagnosis").collect()
    end = datetime(2018, 2, 10)
    assert events.select("position", "code", "time", "encounter_id").sort("position").rows() == [
        (1, "A419", end, "s1"),
        (101, "I5023", end, "s1"),
        (102, "N179", end, "s1"),
    ]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"revenue_center_code": "0456"}, "emergency"),
        ({"revenue_center_code": "0981"}, "emergency"),
        ({"revenue_center_code": "0300", "hcpcs_code": "99281"}, "emergency"),
        ({"revenue_center_code": "0762"}, "observation"),
        ({"revenue_center_code": "0450", "hcpcs_code": "G0378"}, "observation"),
        ({"revenue_center_code": "0300"}, "outpatient"),
        ({"bill_type_code": "0111"}, "inpatient"),
        ({"bill_type_code": "111", "revenue_center_code": "0024"}, "rehab"),
        ({"bill_type_code": "211"}, "snf"),
        ({"bill_type_code": "322"}, "home_health"),
        ({"bill_type_code": "813"}, "hospice"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value.values()),
)
def test_the_kind_of_an_institutional_claim(tuva, change, kind):
    """Type of bill first, then revenue codes and HCPCS; an ED visit that goes on to observation is one."""
    assert encounters(ingested(tuva([{**VISIT, **change}])), "kind") == [(kind,)]


def test_emergency_physicians_do_not_count_a_visit_twice(tuva):
    """A physician's ED claim is a visit of its own only where no institution bills for the day."""
    claims = [
        VISIT,
        DOCTOR,
        {**DOCTOR, "claim_id": "p2", "claim_start_date": "2018-07-01"},
        {**DOCTOR, "claim_id": "p3", "claim_start_date": "2018-07-01"},
        {**DOCTOR, "claim_id": "p4", "place_of_service_code": "11", "hcpcs_code": "99213"},
    ]
    claims = [{**row, "claim_end_date": row["claim_start_date"]} for row in claims]
    assert encounters(ingested(tuva(claims)), "encounter_id", "kind") == [
        ("p1", "outpatient"),
        ("p2", "emergency"),
        ("p3", "outpatient"),
        ("p4", "office"),
        ("v1", "emergency"),
    ]


@pytest.mark.parametrize(("amounts", "paid"), [(("100", "100"), 100.0), (("60", "40"), 100.0)], ids=str)
def test_amounts_of_lines_and_of_claims(tuva, amounts, paid):
    """Where all lines repeat the amount of their claim it counts once, else lines add up."""
    lines = [{**STAY, "claim_line_number": str(n), "paid_amount": a} for n, a in enumerate(amounts)]
    assert encounters(ingested(tuva(lines)), "paid") == [(paid,)]


def test_coverage(tuva):
    """Spans are cut at death; without an end they last as long as the claims; words of the codes."""
    lives = [
        {**DISABLED, "dual_status_code": "02"},
        {**DEAD, "dual_status_code": "09"},
        {**LIFE, "person_id": "C", "enrollment_end_date": "", "medicare_status_code": "10"},
    ]  # fmt: skip
    spans = ingested(tuva(lives=lives)).table("coverage").collect()
    assert spans.select("person_id", "end_date", "dual", "orig_disability", "esrd").rows() == [
        ("A", date(2018, 12, 31), True, True, True),
        ("B", date(2018, 5, 4), False, True, False),
        ("C", date(2018, 3, 5), None, None, False),
    ]


def test_pharmacy_claims(tuva):
    """A fill is a drug on its day, known once paid."""
    fill = {"person_id": "A", "dispensing_date": "2018-02-03", "ndc_code": "00002751001", "days_supply": "30",
            "quantity": "60", "paid_amount": "12.5", "paid_date": "2018-02-20"}  # fmt: skip
    events = ingested(tuva(fills=[fill])).table("event").filter(pl.col("kind") == "drug").collect()
    wanted = ("00002751001", 30.0, 60.0, 12.5, datetime(2018, 2, 3), datetime(2018, 2, 20))
    assert events.select("code", "days_supply", "quantity", "paid", "time", "recorded_at").rows() == [wanted]


OLD_NAMES = {
    "person_id": "patient_id",
    "facility_id": "facility_npi",
    "rendering_id": "rendering_npi",
    "drg_code": "ms_drg_code",
}


def test_however_the_files_are_packed(tuva, bytes_of):
    """Parquet, gzip, zip, an archive of all, names of older versions, a byte order mark: the same history."""
    source = tuva([STAY, DOCTOR], fills=[])
    wanted = ingested(source).fingerprint
    for packed in ("parquet", "gz", "zip", "bom", "old"):
        folder = source.with_name(packed)
        folder.mkdir()
        for path in source.iterdir():
            frame = pl.read_csv(path, infer_schema=False)
            if packed == "parquet":
                frame.with_columns(
                    pl.col("^.*_date$").cast(pl.String).str.to_date(strict=False)
                ).write_parquet(folder / f"{path.stem}.parquet")
            elif packed == "gz":
                (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            elif packed == "zip":
                with zipfile.ZipFile(folder / "layer.zip", "a") as archive:
                    archive.write(path, f"layer/{path.name}")
            elif packed == "bom":
                text = frame.select(reversed(frame.columns)).write_csv()
                (folder / path.name.upper()).write_bytes(b"\xef\xbb\xbf" + text.encode())
            else:
                frame = frame.drop(OLD_NAMES.values(), strict=False).rename(OLD_NAMES, strict=False)
                frame.write_csv(folder / path.name)
        place = folder / "layer.zip" if packed == "zip" else folder
        assert ingest("tuva", place, folder.with_name(f"{packed}-h")).fingerprint == wanted, packed


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "medical_claim.csv").unlink(), "no medical_claim"),
        (lambda f: _edit(f, "2018-03-05", "05.03.2018"), r"'05\.03\.2018' is not a day.*\n"),
        (lambda f: _edit(f, "claim_id", "claimid"), r"no column 'claim_id'(.|\n)*claimid"),
        (lambda f: _edit(f, "person_id", "whoever"), "person_id"),
        (lambda f: (f / "medical_claim.csv").write_text(""), "the file is empty"),
        (lambda f: (f / "medical_claim.csv").rename(f / "medical_claim.parquet"), "file is not one"),
    ],
    ids=["missing", "date", "column", "person", "empty", "not parquet"],
)
def test_bad_files_are_refused(tuva, spoil, message):
    """One clear error, nothing written."""
    source = tuva()
    spoil(source)
    with pytest.raises(DataError, match=message):
        ingested(source)
    assert sorted(path.name for path in source.parent.iterdir()) == ["source"]


def _edit(folder, old, new):
    path = folder / "medical_claim.csv"
    path.write_text(path.read_text().replace(old, new))


def test_the_sample(shared_data, tmp_path):
    """Stays, ED visits and lines of the publisher's sample, against what its files say directly."""
    source = shared_data / "patients" / "tuva_claims_sample"
    history = ingest("tuva", source, tmp_path / "history")
    lines = pl.read_csv(source / "medical_claim.csv", infer_schema=False)
    stays = lines.filter(pl.col("bill_type_code").str.starts_with("11"))["claim_id"].n_unique()
    table = history.table("encounter").collect()
    assert stays == table.filter(pl.col("kind") == "inpatient").height == 9
    assert table.height == lines["claim_id"].n_unique() == 3106
    once = lines.filter(pl.col("claim_type") == "institutional").unique("claim_id")["paid_amount"]
    every = lines.filter(pl.col("claim_type") == "professional")["paid_amount"]
    total = once.cast(pl.Float64).sum() + every.cast(pl.Float64).sum()
    assert table["paid"].sum() == pytest.approx(total)
    drugs = history.table("event").filter(pl.col("kind") == "drug").collect()
    assert drugs.height == pl.read_csv(source / "pharmacy_claim.csv", infer_schema=False).height == 612
    assert history.manifest.dropped == history.manifest.noted == {}
