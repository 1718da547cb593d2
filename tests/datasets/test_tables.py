"""The simulated tables keep the history's contract and look like claims."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from riskmodels.datasets import Parameters, Simulation, simulate
from riskmodels.datasets.parameters import catalogue
from riskmodels.errors import SpecError
from riskmodels.history import open_history
from riskmodels.history.schema import TABLES

ADMISSION_TYPES = {"emergency", "urgent", "elective"}
DISPOSITIONS = {
    "home", "home_health", "snf", "rehab", "transfer", "hospice", "ama", "died", "long_term_care",
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_table_has_the_columns_types_and_words_of_the_schema(small: Simulation, table: str) -> None:
    frame, columns = small.tables[table], TABLES[table]
    assert frame.columns == list(columns)
    assert frame.height > 0
    for name, column in columns.items():
        assert frame.schema[name] == column.dtype, name
        if column.required:
            assert frame[name].null_count() == 0, name
        if column.options:
            assert set(frame[name].drop_nulls().unique()) <= set(column.options), name


def test_words_of_encounters_are_those_that_tasks_know(population: Simulation) -> None:
    encounter = population.tables["encounter"]
    assert set(encounter["admission_type"].drop_nulls().unique()) == ADMISSION_TYPES
    assert set(encounter["admission_source"].drop_nulls().unique()) == {
        "emergency", "physician", "transfer", "snf",
    }  # fmt: skip
    stays = encounter.filter(kind="inpatient")
    assert set(stays["discharge_disposition"].drop_nulls().unique()) == DISPOSITIONS


def test_identifiers_are_unique_and_point_somewhere(population: Simulation) -> None:
    tables = population.tables
    assert tables["person"]["person_id"].is_unique().all()
    assert tables["encounter"]["encounter_id"].is_unique().all()
    assert population.truth["encounter_id"].is_unique().all()
    for table in ("coverage", "encounter", "event"):
        assert tables[table].join(tables["person"], on="person_id", how="anti").is_empty()
    keys = ["person_id", "encounter_id"]
    linked = tables["event"].filter(pl.col("encounter_id").is_not_null()).select(keys).unique()
    assert linked.join(tables["encounter"], on=keys, how="anti").is_empty()
    named = tables["encounter"].select("facility_id").drop_nulls().unique()
    assert named.join(population.facilities, on="facility_id", how="anti").is_empty()


def test_nothing_happens_before_birth_after_death_or_backwards(population: Simulation) -> None:
    person = population.tables["person"]
    encounter = population.tables["encounter"].join(person, on="person_id")
    event = population.tables["event"].join(person, on="person_id")
    coverage = population.tables["coverage"].join(person, on="person_id")
    death, birth = pl.col("death_date").cast(pl.Datetime("us")), pl.col("birth_date").cast(pl.Datetime("us"))
    assert encounter.filter((pl.col("end") > death) | (pl.col("start") < birth)).is_empty()
    assert encounter.filter(pl.col("start") > pl.col("end")).is_empty()
    assert event.filter((pl.col("time") > death) | (pl.col("time") < birth)).is_empty()
    assert coverage.filter(pl.col("end_date") > pl.col("death_date")).is_empty()
    assert coverage.filter(pl.col("start_date") > pl.col("end_date")).is_empty()


def test_care_begins_on_a_covered_day_of_the_study(population: Simulation) -> None:
    """An admission, visit or fill outside coverage leaves no claim; what follows a covered stay may."""
    starts = population.tables["encounter"].filter(
        ~pl.col("kind").is_in(["snf", "hospice"])
        & (pl.col("admission_source") != "transfer").fill_null(True)
        & ~((pl.col("kind") == "inpatient") & (pl.col("encounter_id").is_in(_second_segments(population))))
    )
    covered = starts.select("encounter_id", "person_id", pl.col("start").dt.date()).join(
        population.tables["coverage"], on="person_id"
    )
    inside = covered.filter(pl.col("start").is_between("start_date", "end_date"))
    assert inside["encounter_id"].n_unique() == starts.height
    assert starts["start"].dt.date().max() <= population.end
    assert starts["start"].dt.date().min() >= population.start


def _second_segments(population: Simulation) -> list[str]:
    stays = population.tables["encounter"].filter(kind="inpatient").sort("person_id", "start", "end")
    before = pl.col("end").shift().over("person_id")
    return stays.filter(pl.col("start") <= before)["encounter_id"].to_list()


def test_coverage_has_gaps_switches_of_dual_status_and_early_ends(population: Simulation) -> None:
    spans = population.tables["coverage"].sort("person_id", "start_date")
    spans = spans.with_columns(
        wait=(pl.col("start_date") - pl.col("end_date").shift().over("person_id")).dt.total_days(),
        flipped=pl.col("dual") != pl.col("dual").shift().over("person_id"),
    )
    assert (spans["wait"].drop_nulls() >= 1).all(), "spans of a person do not overlap"
    persons = spans["person_id"].n_unique()
    assert 0.02 < spans.filter(pl.col("wait") > 29)["person_id"].n_unique() / persons < 0.05
    assert spans.filter((pl.col("wait") == 1) & pl.col("flipped")).height > 100
    last = (
        spans.group_by("person_id").agg(pl.max("end_date")).join(population.tables["person"], on="person_id")
    )
    left = last.filter((pl.col("end_date") < population.end) & pl.col("death_date").is_null())
    assert 0.03 < left.height / persons < 0.15


def test_a_transfer_continues_elsewhere_on_the_same_or_the_next_day(inpatient: pl.DataFrame) -> None:
    following = inpatient.with_columns(
        pl.col("facility_id", "start", "admission_source").shift(-1).over("person_id").name.prefix("next_")
    ).filter(pl.col("discharge_disposition") == "transfer")
    days = (following["next_start"] - following["end"]).dt.total_days()
    assert 0.015 < following.height / inpatient.height < 0.05
    assert set(days.unique()) == {0, 1}
    assert (following["facility_id"] != following["next_facility_id"]).all()
    assert (following["next_admission_source"] == "transfer").all()


def test_no_other_stay_reads_as_a_transfer(inpatient: pl.DataFrame) -> None:
    """Another facility's admission on the day after a discharge would be joined to the stay before it."""
    pairs = inpatient.with_columns(
        pl.col("facility_id", "start", "admission_source").shift(-1).over("person_id").name.prefix("next_")
    ).filter(
        (pl.col("next_start") - pl.col("end") <= timedelta(days=1)) & (pl.col("next_start") >= pl.col("end"))
    )
    elsewhere = pairs.filter(pl.col("facility_id") != pl.col("next_facility_id"))
    assert (elsewhere["discharge_disposition"] == "transfer").all()


def test_some_stays_are_billed_in_overlapping_or_adjacent_segments(inpatient: pl.DataFrame) -> None:
    pairs = inpatient.with_columns(
        pl.col("start", "facility_id").shift(-1).over("person_id").name.prefix("next_")
    )
    interim = pairs.filter(pl.col("discharge_disposition").is_null())
    overlap = (interim["end"] - interim["next_start"]).dt.total_days()
    assert set(overlap.unique()) == {0, 1}
    assert (interim["facility_id"] == interim["next_facility_id"]).all()
    assert 0.003 < interim.height / inpatient.height < 0.03


def test_planned_stays_have_planned_reasons_and_their_procedure(
    population: Simulation, inpatient: pl.DataFrame
) -> None:
    table = catalogue().admissions
    planned = set(table.filter(pl.col("planned") == 1)["principal"])
    principal = population.tables["event"].filter((pl.col("kind") == "diagnosis") & (pl.col("position") == 1))
    coded = inpatient.join(principal.select("encounter_id", "code"), on="encounter_id")
    assert coded.height == inpatient.height, "each stay has one principal diagnosis"
    elective = pl.col("admission_type") == "elective"
    assert set(coded.filter(elective)["code"].unique()) <= planned
    assert not set(coded.filter(~elective)["code"].unique()) & planned
    procedures = population.tables["event"].filter(
        (pl.col("kind") == "procedure") & (pl.col("code_system") == "ICD10PCS")
    )
    assert inpatient.filter(elective).join(procedures, on="encounter_id", how="anti").is_empty()


def test_diagnoses_are_dated_at_the_end_of_their_encounter(population: Simulation) -> None:
    diagnoses = (
        population.tables["event"]
        .filter(kind="diagnosis")
        .join(population.tables["encounter"].select("encounter_id", "end"), on="encounter_id")
    )
    assert diagnoses.height == population.tables["event"].filter(kind="diagnosis").height
    assert (diagnoses["time"] == diagnoses["end"]).all()


def test_diagnosis_positions_count_from_one_within_a_stay(
    population: Simulation, inpatient: pl.DataFrame
) -> None:
    stays = population.tables["event"].filter(kind="diagnosis").join(inpatient, on="encounter_id", how="semi")
    counted = stays.group_by("encounter_id").agg(
        pl.len(), pl.col("position").min().alias("low"), pl.col("position").max().alias("high"),
        pl.col("position").n_unique().alias("distinct"),
    )  # fmt: skip
    assert (counted["low"] == 1).all()
    assert (counted["high"] == counted["len"]).all()
    assert (counted["distinct"] == counted["len"]).all()
    assert counted["high"].max() <= 25


def test_emergency_visits_lead_to_the_stay_or_to_home(
    population: Simulation, inpatient: pl.DataFrame
) -> None:
    """A visit without disposition is the first day of a stay; one sent home is on no day of a stay."""
    visits = population.tables["encounter"].filter(pl.col("kind").is_in(["emergency", "observation"]))
    near = visits.join(inpatient.select("person_id", admit="start", discharge="end"), on="person_id")
    near = near.filter(
        (pl.col("start") >= pl.col("admit") - timedelta(days=1)) & (pl.col("start") <= pl.col("discharge"))
    )
    admitted = visits.filter(pl.col("discharge_disposition").is_null())
    assert near.filter(pl.col("discharge_disposition") == "home").is_empty()
    assert admitted.join(near, on="encounter_id", how="anti").is_empty()
    by_emergency = inpatient.filter(pl.col("admission_source") == "emergency")
    assert admitted.height >= 0.98 * by_emergency.height


def test_claims_are_known_some_weeks_later_a_few_after_months(population: Simulation) -> None:
    lag = population.tables["encounter"].select(
        (pl.col("recorded_at") - pl.col("end")).dt.total_days().alias("lag")
    )["lag"]
    assert lag.min() >= 1
    assert 9 < lag.median() < 17
    assert 0.01 < (lag > 60).mean() < 0.06
    event = population.tables["event"]
    assert (event["recorded_at"] >= event["time"]).all()


def test_parameters_move_the_claim_lag_and_nothing_else(small: Simulation) -> None:
    slow = simulate(1_500, seed=3, n_facilities=25, parameters=Parameters(claim_lag_days=40))
    lag = pl.col("recorded_at") - pl.col("end")
    assert slow.tables["encounter"].select(lag.median()).item() > timedelta(days=30)
    for table in ("encounter", "event"):
        assert_frame_equal(slow.tables[table].drop("recorded_at"), small.tables[table].drop("recorded_at"))


def test_the_same_seed_gives_the_same_simulation(small: Simulation) -> None:
    again = simulate(1_500, seed=3, n_facilities=25)
    other = simulate(1_500, seed=4, n_facilities=25)
    for table in TABLES:
        assert_frame_equal(again.tables[table], small.tables[table])
    assert_frame_equal(again.truth, small.truth)
    assert_frame_equal(again.facilities, small.facilities)
    assert not other.truth.equals(small.truth)


def test_more_patients_leave_the_first_ones_as_they_were(small: Simulation) -> None:
    larger = simulate(6_000, seed=3, n_facilities=25)
    first = small.tables["person"].select("person_id")
    for table in TABLES:
        kept = larger.tables[table].join(first, on="person_id", how="semi")
        assert_frame_equal(kept, small.tables[table], check_row_order=False)
    # Who the average facility is depends on all discharges; the risk itself does not.
    own = ["encounter_id", "person_id", "facility_id", "index_time", "true_risk"]
    kept = larger.truth.join(first, on="person_id", how="semi")
    assert_frame_equal(kept.select(own), small.truth.select(own), check_row_order=False)


def test_another_rate_of_office_visits_leaves_hospital_stays_as_they_were(small: Simulation) -> None:
    other = simulate(1_500, seed=3, n_facilities=25, parameters=Parameters(office_rate=1.0))
    hospital = pl.col("kind").is_in(["inpatient", "emergency", "observation"])
    assert_frame_equal(other.tables["encounter"].filter(hospital), small.tables["encounter"].filter(hospital))
    assert_frame_equal(other.truth, small.truth)
    assert other.tables["encounter"].height < small.tables["encounter"].height


def test_written_history_holds_every_row(small: Simulation, tmp_path: Path) -> None:
    small.write(tmp_path / "history")
    history = open_history(tmp_path / "history")
    for table, frame in small.tables.items():
        assert history.table(table).select(pl.len()).collect().item() == frame.height
    assert history.manifest.source_format == "simulated"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"n_patients": 0}, "n_patients"),
        ({"n_facilities": 1}, "n_facilities"),
        ({"end": date(2021, 6, 30)}, "end must be at least a year after start"),
    ],
    ids=["no patients", "one facility", "half a year"],
)
def test_impossible_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(SpecError, match=named):
        simulate(**arguments)


def test_a_negative_rate_is_refused_by_its_name() -> None:
    with pytest.raises(SpecError, match="office_rate"):
        Parameters(office_rate=-1.0)
