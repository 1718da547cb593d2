"""Scores of a history: whose diagnoses count, who is scored, by which model."""

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from riskmodels.benchmarks.hcc import hcc_scores, read_eligible_codes, score_history
from riskmodels.cli import main
from riskmodels.errors import DataError, SpecError
from riskmodels.history import Part, open_history, write_history

PEOPLE = {  # birth date, coverage, dual, disability, renal disease
    "aged": (date(1950, 3, 1), date(2024, 1, 1), False, False, False),
    "dual": (date(1950, 3, 1), date(2024, 1, 1), True, False, False),
    "young": (date(1980, 3, 1), date(2024, 1, 1), False, True, False),
    "new": (date(1960, 3, 1), date(2025, 6, 1), False, False, False),
    "renal": (date(1950, 3, 1), date(2024, 1, 1), False, False, True),
    "late": (date(1960, 3, 1), date(2026, 2, 1), False, False, False),
}
CLAIMS = [  # person, kind of encounter, day, diagnosis, procedure
    ("aged", "inpatient", date(2025, 5, 1), "E1169", None),
    ("aged", "snf", date(2025, 6, 1), "I509", None),
    ("aged", "inpatient", date(2024, 12, 31), "C7951", None),
    ("dual", "office", date(2025, 12, 31), "I509", "99213"),
    ("young", "office", date(2025, 4, 1), "I509", "70450"),
    ("renal", "outpatient", date(2025, 4, 1), "N186", "90935"),
]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store six people whose diagnoses are of all sources."""
    people = pl.DataFrame(
        [{"person_id": name, "birth_date": born, "sex": "female"} for name, (born, *_) in PEOPLE.items()]
    )
    coverage = pl.DataFrame(
        [
            {"person_id": name, "start_date": start, "end_date": date(2026, 12, 31), "dual": dual,
             "orig_disability": disability, "esrd": renal}
            for name, (_, start, dual, disability, renal) in PEOPLE.items()
        ]
    )  # fmt: skip
    encounters, events = [], []
    for number, (person, kind, day, diagnosis, procedure) in enumerate(CLAIMS):
        at = datetime(day.year, day.month, day.day)
        encounters.append(
            {"encounter_id": f"e{number}", "person_id": person, "kind": kind, "start": at, "end": at}
        )
        for sort, system, code in (("diagnosis", "ICD10CM", diagnosis), ("procedure", "HCPCS", procedure)):
            if code is not None:
                events.append({"person_id": person, "time": at, "kind": sort, "code_system": system,
                               "code": code, "encounter_id": f"e{number}"})  # fmt: skip
    tables = {"person": people, "coverage": coverage, "encounter": encounters, "event": events}
    parts = [Part(name, pl.DataFrame(rows), name) for name, rows in tables.items()]
    path = tmp_path_factory.mktemp("hcc") / "history"
    write_history(parts, path, source_format="test", shards=1)
    return path


def variables(scores, person: str) -> list[str]:
    """Return the HCCs of a person."""
    return scores.hccs.filter(pl.col("person_id") == person)["variable"].to_list()


def test_diagnoses_of_accepted_sources_in_the_year_before_count(history: Path) -> None:
    """Diagnoses of hospitals and offices count, those of a nursing facility or of another year do not."""
    scores = score_history(history, 2026)
    assert variables(scores, "aged") == ["HCC37"]
    assert variables(scores, "dual") == variables(scores, "young")[:1] == ["HCC226"]
    assert dict(scores.sources.select("kind", "used").iter_rows())["snf"] == 0


def test_with_cms_list_office_diagnoses_need_an_eligible_procedure(history: Path) -> None:
    """A visit on the list counts, a picture alone does not, and a hospital stay needs none."""
    scores = score_history(history, 2026, eligible_codes=["99213", "90935"])
    assert variables(scores, "dual") == ["HCC226"]
    assert variables(scores, "young") == []
    assert variables(scores, "aged") == ["HCC37"]


def test_coverage_decides_segment_and_model(history: Path) -> None:
    """Dual status, disability, a short coverage and renal disease are told; latecomers are not scored."""
    frame = score_history(history, 2026).frame
    assert dict(frame.select("person_id", "segment").iter_rows()) == {
        "aged": "CNA", "dual": "CFA", "young": "CND", "new": "NE", "renal": "DI",
    }  # fmt: skip
    assert frame.filter(pl.col("raw_esrd").is_not_null())["person_id"].to_list() == ["renal"]


def test_a_year_of_transition_is_blended(history: Path) -> None:
    """In 2025 a third of V24 and two thirds of V28 are paid, each finished and rounded first."""
    scores = score_history(history, 2025)
    row = scores.frame.row(by_predicate=pl.col("person_id") == "aged", named=True)
    one = pl.DataFrame({"person_id": ["aged"], "sex": ["female"], "age": [74]})
    codes = pl.DataFrame({"person_id": ["aged"], "code": ["C7951"]})
    paid = [hcc_scores(one, codes, f"CMS-HCC {v}", 2025).frame["payment"].item() for v in ("V24", "V28")]
    assert row["payment"] == pytest.approx(0.33 * paid[0] + 0.67 * paid[1], abs=5e-4)


def test_a_year_without_a_renal_factor_says_so(history: Path) -> None:
    """Where no normalisation is known the raw score is there and the payment score is not."""
    scores = score_history(history, 2025)
    row = scores.frame.row(by_predicate=pl.col("person_id") == "renal", named=True)
    assert row["raw_esrd"] > 0
    assert row["payment"] is None
    assert any("no normalisation is known for 2025" in note for note in scores.notes)


def test_what_is_given_takes_the_place_of_what_the_history_tells(history: Path) -> None:
    """A partial dual and an institutional member are scored as such; other columns are passed on."""
    given = pl.DataFrame(
        {
            "person_id": ["dual", "aged"],
            "dual_status": ["03", None],
            "institutional": [None, True],
            "county": ["a", "b"],
        }
    )
    frame = score_history(history, 2026, members=given.select("person_id", "dual_status", "county")).frame
    assert dict(frame.select("person_id", "segment").iter_rows())["dual"] == "CPA"
    assert dict(frame.select("person_id", "county").iter_rows())["aged"] == "b"
    frame = score_history(history, 2026, members=given.select("person_id", "institutional")).frame
    assert dict(frame.select("person_id", "segment").iter_rows())["aged"] == "INS"


def test_nobody_covered_is_an_error(history: Path) -> None:
    """A payment year after the history's coverage, or without a blend, says what to do."""
    with pytest.raises(SpecError, match="no blend is known"):
        score_history(history, 2031)
    with pytest.raises(DataError, match="nobody is covered on 1 January 2025"):
        score_history(open_history(history, as_of=date(2023, 1, 1)), 2025)


@pytest.mark.parametrize(
    "text",
    [
        "99213\nG0439\n",
        "CPT/HCPCS list\nCode,Included\n99213,yes\nG0439,yes\n70450,no\n",
        "99213\tx\nG0439\ty\n",
    ],
    ids=["plain", "with a column of yes and no", "tabs"],
)
def test_the_list_of_codes_is_read_as_published(tmp_path: Path, text: str) -> None:
    """Headers are skipped, codes that are not included left out."""
    path = tmp_path / "codes.txt"
    path.write_text(text)
    assert read_eligible_codes(path) == ["99213", "G0439"]


def test_a_list_without_codes_is_refused(tmp_path: Path) -> None:
    """A file of something else is named."""
    path = tmp_path / "codes.txt"
    path.write_text("nothing here\n")
    with pytest.raises(DataError, match="no CPT or HCPCS code"):
        read_eligible_codes(path)


def test_the_command_writes_scores_hccs_and_unknown_codes(history: Path, tmp_path: Path) -> None:
    """Scores, the HCCs behind them and codes without an HCC are written; the summary names the sources."""
    files = {name: tmp_path / f"{name}.csv" for name in ("out", "hccs", "unknown-codes")}
    arguments = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    done = CliRunner().invoke(main, ["hcc", str(history), "--payment-year", "2026", *arguments])
    assert done.exit_code == 0, done.output
    assert "5 members" in done.output
    assert pl.read_csv(files["out"]).height == 5
    assert "HCC226" in pl.read_csv(files["hccs"])["variable"].to_list()
    assert files["unknown-codes"].exists()
