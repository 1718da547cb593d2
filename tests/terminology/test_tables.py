"""Known codes fall into the groups that a table has for them, and into the right indicators."""

from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from riskmodels.errors import SpecError
from riskmodels.terminology import (
    ED_CLASSES,
    PQI,
    Grouper,
    ccs,
    ccs_procedures,
    ccsr,
    comorbidity_score,
    conditions,
    drug_classes,
    ed_classification,
    ed_probabilities,
    elixhauser_ahrq,
    hcc,
    hrrp_conditions,
    hwr_cohorts,
    planned_admissions,
    pqi,
    pqi_admissions,
)
from riskmodels.terminology.preventable import COMPOSITES

TABLES = [
    ccs, ccs_procedures, ccsr, conditions, drug_classes, ed_classification, elixhauser_ahrq, hrrp_conditions,
    hwr_cohorts, planned_admissions, pqi, hcc,
]  # fmt: skip


def groups_of(grouper: Grouper, system: str, codes: list[str]) -> dict[str, set[str]]:
    assigned = grouper.assign(pl.Series([system] * len(codes), dtype=pl.String), pl.Series(codes))
    found: dict[str, set[str]] = {code: set() for code in codes}
    for row, group in assigned.iter_rows():
        found[codes[row]].add(grouper.groups[group])
    return found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_a_table_names_its_source_version_and_licence(table) -> None:
    grouper = table()
    assert all((grouper.name, grouper.version, grouper.source, grouper.licence))
    assert set(grouper.labels) == set(grouper.groups)
    assert len(set(grouper.labels.values())) == len(grouper.groups)
    assert {group for lows in grouper.outranks.values() for group in lows} <= set(grouper.groups)
    assert len(set(grouper.prefixes)) == len(grouper.prefixes)


@pytest.mark.parametrize(
    ("table", "system", "code", "expected"),
    [
        (ccs, "ICD10CM", "I50.23", {"108"}),
        (ccs, "ICD9CM", "428.0", {"108"}),
        (ccs, "ICD10CM", "I21.4", {"100"}),
        (ccs, "ICD9CM", "V57.89", {"254"}),
        (ccs, "ICD10CM", "Z51.11", {"45"}),
        (ccs, "ICD9CM", "E880.1", {"2603"}),
        (ccs, "ICD10CM", "U07.1", set()),
        (ccs, "ICD10CM", "APPLE", set()),
        (ccs_procedures, "ICD10PCS", "0SR9019", {"153"}),
        (ccs_procedures, "ICD10PCS", "0210093", {"44"}),
        (ccs_procedures, "ICD9PCS", "81.54", {"152"}),
        (ccs_procedures, "ICD9PCS", "01.02", {"8"}),
        (ccs_procedures, "ICD9PCS", "97.44", {"63"}),
        (ccs_procedures, "ICD9PCS", "39.95", {"58"}),
        (ccs_procedures, "ICD9PCS", "99.99", {"231"}),
        (ccs_procedures, "ICD10PCS", "0TY00Z0", {"105"}),
        (ccsr, "ICD10CM", "I50.9", {"CIR019"}),
        (ccsr, "ICD10CM", "E11.9", {"END002"}),
        (hcc, "ICD10CM", "E11.22", {"37"}),
        (hwr_cohorts, "ICD10CM", "I50.9", {"cardiorespiratory"}),
        (hwr_cohorts, "ICD10CM", "I21.4", {"cardiovascular"}),
        (hwr_cohorts, "ICD10CM", "I63.9", {"neurology"}),
        (hwr_cohorts, "ICD9CM", "599.0", {"medicine"}),
        (hwr_cohorts, "ICD10CM", "C34.90", {"cancer"}),
        (hwr_cohorts, "ICD10CM", "F32.9", {"psychiatric"}),
        (hwr_cohorts, "ICD10PCS", "0SR9019", {"surgery_gynecology"}),
        (hwr_cohorts, "ICD9PCS", "47.01", {"surgery_gynecology"}),
        (hwr_cohorts, "ICD9PCS", "36.06", set()),
        (hrrp_conditions, "ICD9CM", "410.71", {"ami"}),
        (hrrp_conditions, "ICD9CM", "410.72", set()),
        (hrrp_conditions, "ICD10CM", "I21.A1", set()),
        (hrrp_conditions, "ICD10CM", "J44.1", {"copd", "copd_exacerbation"}),
        (hrrp_conditions, "ICD10CM", "J44.9", {"copd"}),
        (hrrp_conditions, "ICD10CM", "J69.0", {"pneumonia"}),
        (hrrp_conditions, "ICD10PCS", "0SRC0EZ", set()),
        (hrrp_conditions, "ICD10PCS", "02RF0JZ", {"not_isolated_cabg"}),
        (drug_classes, "ATC", "A10BA02", {"alimentary", "oral_antidiabetics"}),
        (conditions, "ICD10CM", "I50.9", {"heart_failure"}),
    ],
    ids=lambda value: (
        " ".join(sorted(value)) if isinstance(value, set) else getattr(value, "__name__", str(value))
    ),
)
def test_known_codes_are_in_their_group(table, system: str, code: str, expected: set[str]) -> None:
    assert groups_of(table(), system, [code])[code] == expected


@pytest.mark.parametrize("version", ["V24", "V28", "ESRD V24", "RxHCC V08"])
def test_every_code_of_an_hcc_model_has_its_categories(version: str) -> None:
    folder = Path(__file__).resolve().parents[2] / "riskmodels" / "benchmarks" / "hcc" / "data"
    table = pl.read_parquet(folder / "diagnoses.parquet").with_columns(pl.col("model").cast(pl.String))
    expected = defaultdict(set)
    for model, code, number in table.select("model", "code", "hcc").iter_rows():
        if model.endswith(version) and (version != "V24" or "ESRD" not in model):
            expected[code].add(str(number))
    assert len(expected) > 5_000
    assert groups_of(hcc(version), "ICD10CM", list(expected)) == expected


def test_an_unknown_hcc_model_is_refused_with_a_hint() -> None:
    with pytest.raises(SpecError, match="did you mean 'V28'"):
        hcc("V29")


def test_the_worse_form_of_a_disease_alone_counts_for_the_ahrq_index() -> None:
    """Diabetes with complications takes the place of diabetes without; stroke that of its sequelae."""
    codes = ["E11.22", "E11.9", "I50.9", "I63.9", "I69.30"]
    members = elixhauser_ahrq().assign(pl.Series(["ICD10CM"] * 5), pl.Series(codes))
    patient = members.with_columns(row=pl.lit(0))
    weights = elixhauser_ahrq().weights["mortality"]
    groups = ("diab_cx", "hf", "cbvd")
    score = comorbidity_score(patient, elixhauser_ahrq(), "mortality")["score"].to_list()
    assert score == [sum(weights[group] for group in groups)] == [17.0]


def test_the_classes_of_a_visit_add_up_to_one() -> None:
    system = pl.Series(["ICD10CM", "ICD10CM", "ICD10CM", "ICD9CM", None], dtype=pl.String)
    found = ed_probabilities(system, pl.Series(["L40.0", "S72.001A", "no code", "4280", "L40.0"]))
    assert found.columns == [*ED_CLASSES, "unclassified"]
    assert found.sum_horizontal().to_list() == pytest.approx([1.0] * 5, abs=1e-5)
    assert found["injury"].to_list() == [0, 1, 0, 0, 0]
    assert found["unclassified"].to_list() == [0, 0, 1, 1, 1]
    assert found["non_emergent"][0] > 0.5


COPD, PNEUMONIA, FAILURE = "J44.1", "J13", "I50.23"
DIABETES = "E11.51"


@pytest.mark.parametrize(
    ("age", "source", "principal", "others", "expected"),
    [
        (70, None, FAILURE, [], ["08"]),
        (70, "physician", FAILURE, [], ["08"]),
        (70, "transfer", FAILURE, [], []),
        (70, "snf", FAILURE, [], []),
        (17, None, FAILURE, [], []),
        (18, None, FAILURE, [], ["08"]),
        (None, None, FAILURE, [], []),
        (70, None, "Z99.9", [FAILURE], []),
        (70, None, FAILURE, ["P:02RF0JZ"], []),
        (39, None, COPD, [], []),
        (40, None, COPD, [], ["05"]),
        (39, None, "J45.901", [], ["15"]),
        (40, None, "J45.901", [], ["05"]),
        (70, None, COPD, ["E84.0"], []),
        (70, None, PNEUMONIA, [], ["11"]),
        (70, None, PNEUMONIA, ["D57.1"], []),
        (70, None, PNEUMONIA, ["B20"], []),
        (70, None, PNEUMONIA, ["P:30233G0"], []),
        (70, None, "N39.0", [], ["12"]),
        (70, None, "N39.0", ["N11.0"], []),
        (70, None, "I10", [], ["07"]),
        (70, None, "I12.9", [], ["07"]),
        (70, None, "I12.9", ["P:031509D"], []),
        (70, None, "I10", ["P:031509D"], ["07"]),
        (70, None, DIABETES, [], ["03"]),
        (70, None, DIABETES, ["P:0Y620ZZ"], ["03", "16"]),
        (70, None, DIABETES, ["P:0Y620ZZ", "S78.011A"], ["03"]),
        (70, None, "L97.909", ["E11.9", "P:0Y620ZZ"], ["16"]),
        (30, None, "O24.410", ["E11.9", "P:0Y620ZZ"], []),
    ],
)
def test_an_admission_counts_for_the_indicators_of_its_facts(
    age: int | None, source: str | None, principal: str, others: list[str], expected: list[str]
) -> None:
    admissions = pl.DataFrame(
        {"encounter": [7], "age": [age], "admission_source": [source]},
        schema={"encounter": pl.Int32, "age": pl.Int32, "admission_source": pl.String},
    )
    entries = [(7, 1, "ICD10CM", principal)]
    for place, other in enumerate(others):
        system = "ICD10PCS" if other.startswith("P:") else "ICD10CM"
        entries.append((7, 1 if system == "ICD10PCS" else place + 2, system, other.removeprefix("P:")))
    codes = pl.DataFrame(
        entries,
        schema={"encounter": pl.Int32, "position": pl.Int32, "code_system": pl.String, "code": pl.String},
        orient="row",
    )
    assert pqi_admissions(admissions, codes)["pqi"].to_list() == expected


def test_the_chronic_and_acute_indicators_are_all_there_are() -> None:
    assert set(COMPOSITES["91"]) | set(COMPOSITES["92"]) == set(PQI) == set(COMPOSITES["90"])


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(SpecError, match="admissions has no column age"):
        pqi_admissions(pl.DataFrame({"encounter": [1], "admission_source": ["snf"]}), pl.DataFrame())


@pytest.mark.parametrize(
    ("system", "codes", "group"),
    [
        ("ICD9CM", "410.01 410.91", "ami"),
        ("ICD9CM", "290.0 290.43 294.21 331.19 797", "dementia"),
        (
            "ICD9CM",
            "016.03 189.0 250.42 403.91 580.9 584.9 585.6 591 753.23 794.4",
            "chronic_kidney_disease",
        ),
        ("ICD10CM", "A18.11 C64.9 E11.65 I13.2 N00.9 N18.30 N19 Q61.11 R94.4", "chronic_kidney_disease"),
        ("ICD9CM", "296.24 296.51 296.66 300.4 311", "depression"),
        ("ICD9CM", "250.93 362.05 366.41", "diabetes"),
        ("ICD9CM", "431 433.91 434.00 434.91 435.9 436 997.02", "stroke_tia"),
        ("ICD10CM", "G45.9 G46.2 I63.9 I66.9 I67.848 I97.821", "stroke_tia"),
        ("ICD10CM", "K56.609 T82.7XXA K91.89 Z47.1 Z79.4", "procedure_complication"),
    ],
)
def test_conditions_of_the_measure(system: str, codes: str, group: str) -> None:
    """Codes of each list as it was read, its first and last among them."""
    assert all(group in found for found in groups_of(conditions(), system, codes.split()).values())


@pytest.mark.parametrize(
    ("system", "codes", "group"),
    [
        ("ICD9CM", "410.00 410.02 412", "ami"),
        ("ICD9CM", "290.8 290.9", "dementia"),
        ("ICD9CM", "403.90 404.01 592.0 753.11", "chronic_kidney_disease"),
        ("ICD9CM", "296.50 296.40", "depression"),
        ("ICD9CM", "362.07", "diabetes"),
        ("ICD9CM", "432.9 435.2", "stroke_tia"),
        ("ICD10CM", "G45.3 I62.9", "stroke_tia"),
        ("ICD10CM", "S72.001A Z51.11 K57.30", "procedure_complication"),
    ],
)
def test_what_is_no_condition_of_the_measure(system: str, codes: str, group: str) -> None:
    """Later episodes of infarction, neighbours in a list, CCS categories beside those of complications."""
    assert not any(group in found for found in groups_of(conditions(), system, codes.split()).values())


@pytest.mark.parametrize(
    ("system", "codes", "group", "inside"),
    [
        ("ICD10CM", "I11.0 I13.0 I13.2 I50.1 I50.20 I50.33 I50.43 I50.9", "heart_failure", True),
        ("ICD10CM", "I09.81 I11.9 I13.10", "heart_failure", False),
        ("ICD10PCS", "02YA0Z0 02YA0Z2 02HA0QZ 02HA0RS 02HA3RZ 02HA4RS", "lvad_transplant", True),
        ("ICD10PCS", "02HA0MZ 02HA3NZ", "lvad_transplant", False),
        ("ICD10CM", "J41.8 J42 J43.0 J43.9 J44.0 J44.1 J44.9", "copd", True),
        ("ICD10CM", "J40 J41.0 J41.1 J45.909 J47.9", "copd", False),
        ("ICD10CM", "J96.00 J96.22 J96.92 R09.2", "respiratory_failure", True),
        ("ICD10CM", "J80 J96.10", "respiratory_failure", False),
        ("ICD10CM", "J44.0 J44.1", "copd_exacerbation", True),
        ("ICD10CM", "J44.9", "copd_exacerbation", False),
    ],
)
def test_condition_cohorts_as_a_hospital_system_has_them(
    system: str, codes: str, group: str, inside: bool
) -> None:
    found = groups_of(hrrp_conditions(), system, codes.split())
    assert {group in groups for groups in found.values()} == {inside}
