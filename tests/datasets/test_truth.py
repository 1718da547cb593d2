"""The stated truth is exact, and it is hidden where the documentation says."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from riskmodels.datasets import Parameters, Simulation, simulate
from riskmodels.datasets.marginals import published
from riskmodels.datasets.parameters import catalogue


@pytest.fixture(scope="module")
def labelled(population: Simulation) -> pl.DataFrame:
    return label(population)


def label(simulation: Simulation) -> pl.DataFrame:
    """Label index discharges that were followed up, with no code of the simulator."""
    encounter, coverage = simulation.tables["encounter"], simulation.tables["coverage"]
    month = timedelta(days=30)
    admissions = encounter.filter(
        (pl.col("kind") == "inpatient")
        & pl.col("admission_type").is_in(["emergency", "urgent"])
        & (pl.col("admission_source") != "transfer")
    ).select("person_id", "start")
    pairs = simulation.truth.join(admissions, on="person_id").filter(
        (pl.col("start") > pl.col("index_time")) & (pl.col("start") <= pl.col("index_time") + month)
    )
    last = coverage.group_by("person_id").agg(covered_until=pl.max("end_date"))
    gaps = (
        coverage.sort("person_id", "start_date")
        .with_columns(back=pl.col("start_date").shift(-1).over("person_id"))
        .filter((pl.col("back") - pl.col("end_date")).dt.total_days() > 1)
        .select("person_id", gap_from="end_date")
    )
    day = pl.col("index_time").dt.date()
    watched = pl.min_horizontal(day + month, pl.col("death_date").fill_null(pl.lit(simulation.end) + month))
    return (
        simulation.truth.join(last, on="person_id")
        .join(simulation.tables["person"], on="person_id")
        .join(gaps, on="person_id", how="left")
        .filter((watched <= pl.col("covered_until")) & (day + month <= simulation.end))
        .filter(~pl.col("gap_from").is_between(day, day + month).fill_null(False))
        .with_columns(outcome=pl.col("encounter_id").is_in(pairs["encounter_id"].unique().implode()))
    )


def z(outcome: np.ndarray, risk: np.ndarray) -> float:
    return float((outcome - risk).sum() / np.sqrt((risk * (1 - risk)).sum()))


def test_outcomes_come_as_often_as_the_true_risk_says(labelled: pl.DataFrame) -> None:
    assert labelled.height > 20_000
    assert abs(z(labelled["outcome"].to_numpy(), labelled["true_risk"].to_numpy())) < 3


def test_true_risk_is_calibrated_in_each_tenth(labelled: pl.DataFrame) -> None:
    risk, outcome = labelled["true_risk"].to_numpy(), labelled["outcome"].to_numpy()
    tenth = np.digitize(risk, np.quantile(risk, np.arange(0.1, 1, 0.1)))
    scores = np.array([z(outcome[tenth == k], risk[tenth == k]) for k in range(10)])
    assert (scores**2).sum() < 29.6  # chi-square, 10 degrees of freedom, 0.001


@pytest.mark.parametrize(
    "group",
    [
        pl.col("true_risk") > 0.3,
        pl.col("index_time").dt.month() == 12,
        pl.col("sex") == "male",
    ],
    ids=["high risk", "December", "men"],
)
def test_true_risk_is_calibrated_in_groups_known_at_discharge(labelled: pl.DataFrame, group: pl.Expr) -> None:
    rows = labelled.filter(group)
    score = z(rows["outcome"].to_numpy(), rows["true_risk"].to_numpy())
    assert abs(score) < 3


def test_one_truth_row_for_each_stay_that_ends_alive_and_not_against_advice(
    population: Simulation, inpatient: pl.DataFrame
) -> None:
    """Joined by hand: a segment that continues (transfer, interim bill) is not the last one."""
    last = inpatient.filter(pl.col("discharge_disposition").is_not_null()).filter(
        pl.col("discharge_disposition") != "transfer"
    )
    index = last.filter(~pl.col("discharge_disposition").is_in(["died", "ama"]))
    keys = ["encounter_id", "person_id", "facility_id"]
    joined = population.truth.join(index, on=keys)
    assert joined.height == index.height == population.truth.height
    assert (joined["index_time"] == joined["end"]).all()


def test_readmissions_come_early_in_the_thirty_days(population: Simulation, inpatient: pl.DataFrame) -> None:
    """More than half within 15 days, more than 30% after (Dharmarajan and others 2013)."""
    unplanned = inpatient.filter(pl.col("admission_type") != "elective").select("person_id", "start")
    days = population.truth.join(unplanned, on="person_id").select(
        (pl.col("start") - pl.col("index_time")).dt.total_days().alias("day")
    )["day"]
    days = days.filter(days.is_between(1, 30))
    assert 0.5 < (days <= 15).mean() < 0.7
    assert (days <= 7).mean() > 7 / 30
    assert set(days.unique()) == set(range(1, 31))


def test_true_risk_separates_as_well_as_published_models_do_at_best(labelled: pl.DataFrame) -> None:
    risk, outcome = labelled["true_risk"].to_numpy(), labelled["outcome"].to_numpy()
    order = np.argsort(np.argsort(risk)) + 1
    positives = outcome.sum()
    area = (order[outcome].sum() - positives * (positives + 1) / 2) / (positives * (~outcome).sum())
    assert 0.68 <= area <= 0.72


def test_risk_at_the_average_facility_differs_by_the_facility_effect_alone(population: Simulation) -> None:
    def logit(name: str) -> pl.Expr:
        return (pl.col(name) / (1 - pl.col(name))).log()

    rows = population.truth.join(population.facilities, on="facility_id")
    difference = rows.select(logit("true_risk") - logit("true_risk_average_facility")).to_series()
    assert np.allclose(difference, rows["true_effect"])
    assert np.allclose(rows.select(logit("true_risk_average_facility")).to_series(), rows["linear_predictor"])


def test_observed_over_expected_recovers_the_true_facility_effects(labelled: pl.DataFrame) -> None:
    by = labelled.group_by("facility_id").agg(
        observed=pl.col("outcome").sum(),
        expected=pl.col("true_risk_average_facility").sum(),
        predicted=pl.col("true_risk").sum(),
        variance=(pl.col("true_risk") * (1 - pl.col("true_risk"))).sum(),
        effect=pl.col("facility_effect").first(),
    )
    scores = (by["observed"] - by["predicted"]).to_numpy() / by["variance"].sqrt().to_numpy()
    assert (scores**2).sum() < 40 + 3.3 * np.sqrt(2 * 40)
    excess, true = (by["observed"] - by["expected"]).to_numpy(), (by["predicted"] - by["expected"]).to_numpy()
    weight = 1 / by["variance"].to_numpy()
    slope = (weight * excess * true).sum() / (weight * true**2).sum()
    assert abs(slope - 1) < 3 / np.sqrt((weight * true**2).sum())


def test_crude_rates_mislead_and_adjusting_for_age_sex_and_diagnoses_mends_it(
    population: Simulation, labelled: pl.DataFrame
) -> None:
    """Expected readmissions from what claims show are near the true ones in each facility."""
    from sklearn.linear_model import LogisticRegression

    frame = labelled.sort("encounter_id")
    adjust = _adjust_features(population, frame)
    outcome = frame["outcome"].to_numpy()
    fitted = (
        LogisticRegression(C=0.3, solver="newton-cholesky").fit(adjust, outcome).predict_proba(adjust)[:, 1]
    )
    compared = frame.select("facility_id", "facility_effect", true="true_risk_average_facility").with_columns(
        adjusted=pl.Series(fitted), crude=pl.lit(outcome.mean())
    )
    by = compared.group_by("facility_id").agg(
        pl.len(), pl.col("true", "adjusted", "crude").sum(), pl.col("facility_effect").first()
    )
    weight = np.sqrt(by["len"].to_numpy())
    spread = {
        name: np.sqrt(np.cov(np.log(by[name] / by["true"]), aweights=weight))
        for name in ("adjusted", "crude")
    }
    assert spread["crude"] > 0.10
    assert spread["adjusted"] < 0.4 * spread["crude"]
    slope = np.polyfit(by["facility_effect"], np.log(by["adjusted"] / by["true"]), 1, w=weight)[0]
    assert abs(slope) < 0.12, "expected readmissions hardly take up the facilities' own effects"


def _adjust_features(population: Simulation, frame: pl.DataFrame) -> np.ndarray:
    conditions = (
        catalogue()
        .conditions.select("condition", code=pl.col("codes").str.split(" "))
        .explode("code")
        .unique()
    )
    diagnoses = population.tables["event"].filter(kind="diagnosis")
    year = timedelta(days=365)
    seen = (
        frame.select("encounter_id", "person_id", "index_time")
        .join(diagnoses.select("person_id", "time", "code"), on="person_id")
        .filter(pl.col("time").is_between(pl.col("index_time") - year, pl.col("index_time")))
        .join(conditions, on="code")
        .select("encounter_id", "condition", one=pl.lit(1))
        .unique()
        .pivot("condition", index="encounter_id", values="one")
    )
    principal = diagnoses.filter(position=1).select("encounter_id", "code").unique("encounter_id")
    age = ((pl.col("index_time").dt.date() - pl.col("birth_date")).dt.total_days() / 365.25).alias("age")
    wide = (
        frame.join(seen, on="encounter_id", how="left")
        .join(principal, on="encounter_id")
        .sort("encounter_id")
    )
    numbers = wide.select(age / 10, (age < 65).alias("under_65"), pl.col("sex") == "male", *seen.columns[1:])
    return np.column_stack([numbers.fill_null(0).cast(pl.Float64), wide.select("code").to_dummies()])


def test_the_average_facility_is_the_one_of_the_average_discharge(population: Simulation) -> None:
    """Facility effects cancel over discharges, so risks sum to what they would be without them."""
    assert abs(population.truth["facility_effect"].mean()) < 1e-12  # type: ignore[arg-type]
    total = population.truth.select(pl.col("true_risk", "true_risk_average_facility").sum()).row(0)
    assert abs(total[0] / total[1] - 1) < 0.01


def test_without_facility_effects_every_facility_is_average() -> None:
    even = simulate(1_000, seed=1, parameters=Parameters(facility_effect_sd=0.0))
    assert np.allclose(even.truth["true_risk"], even.truth["true_risk_average_facility"])
    assert (even.facilities["true_effect"] == 0).all()


def test_facility_effects_have_the_spread_asked_for() -> None:
    many = simulate(1_000, seed=5, n_facilities=400, parameters=Parameters(facility_effect_sd=0.3))
    assert many.facilities["true_effect"].std() == pytest.approx(0.3, rel=0.15)
    assert abs(many.facilities["true_effect"].mean()) < 0.06


def test_facilities_have_what_the_payment_programs_ask_for(population: Simulation) -> None:
    facilities = population.facilities
    assert facilities["facility_id"].str.len_chars().unique().to_list() == [6]
    assert facilities["drg_payment_ratio"].is_between(0, 1).all()
    assert (facilities["base_operating_payments"] > 0).all()
    assert facilities["dual_proportion"].std() > 0.05
    groups = (
        facilities.group_by("peer_group").agg(pl.len(), pl.col("dual_proportion").max()).sort("peer_group")
    )
    assert groups["len"].to_list() == [8] * 5
    assert groups["dual_proportion"].is_sorted()


@pytest.mark.parametrize("figure", published()["figure"])
def test_marginal_lies_in_its_band(population_marginals: dict[str, tuple], figure: str) -> None:
    simulated, low, high = population_marginals[figure]
    assert low <= simulated <= high


@pytest.fixture(scope="module")
def population_marginals(population: Simulation) -> dict[str, tuple]:
    frame = population.marginals().select("figure", "simulated", "low", "high")
    return {row[0]: row[1:] for row in frame.iter_rows()}


def test_each_published_figure_has_its_source_and_lies_in_its_band() -> None:
    table = published()
    assert table["source"].str.len_chars().min() > 10
    assert set(table["verified"]) <= {"yes", "secondary", "no"}
    assert table.filter(~pl.col("published").is_between("low", "high")).is_empty()
