"""What stands beside a benchmark: social risk, periods, reliability, the error of the expectation, plots."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose
from polars.testing import assert_frame_equal

from riskmodels.benchmarks import benchmark, benchmark_stays, period_tables, read_benchmark, social_tables
from riskmodels.benchmarks.design import design_matrix
from riskmodels.benchmarks.expected_error import expectation_error
from riskmodels.benchmarks.reliability import reliability, signal_variance
from riskmodels.benchmarks.social import SocialLevels, social_levels
from riskmodels.benchmarks.suppression import suppress_parts
from riskmodels.cli import main
from riskmodels.datasets import simulate
from riskmodels.errors import DataError, SpecError
from riskmodels.features import FeatureColumn, standard_features
from riskmodels.history import History
from riskmodels.reports import write_benchmark_plots

QUICK = {"n_estimators": 40, "learning_rate": 0.1, "num_threads": 1}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return simulate(4000, seed=8).write(tmp_path_factory.mktemp("beside") / "H")


def stays_of(seed: int = 0, rows: int = 8000, entities: int = 20, effect: float = 0.5) -> pl.DataFrame:
    """Return stays of which those at social risk have `effect` more log-odds, and cluster in some places."""
    rng = np.random.default_rng(seed)
    entity = rng.integers(0, entities, rows)
    dual = rng.random(rows) < np.linspace(0.05, 0.6, entities)[entity]
    log_odds = rng.normal(-1.8, 0.5, rows)
    # Places with many at risk are worse on top: what a comparison between places would blame on the patients.
    true = log_odds + effect * dual + np.linspace(-0.3, 0.3, entities)[entity]
    return pl.DataFrame(
        {
            "facility_id": np.char.add("H", np.char.zfill(entity.astype(str), 2)), "person": np.arange(rows),
            "observed": (rng.random(rows) < 1 / (1 + np.exp(-true))).astype(int),
            "expected": 1 / (1 + np.exp(-log_odds)), "dual": dual,
            "index_time": [datetime(2022, 1, 1) + timedelta(days=int(d)) for d in rng.integers(0, 730, rows)],
        }
    )  # fmt: skip


def levels_of(stays: pl.DataFrame) -> SocialLevels:
    """Return yes and no."""
    return SocialLevels(stays["dual"].cast(pl.String).replace({"true": "yes", "false": "no"}), stays["dual"])


class TestSocialRisk:
    """Adjusted only when asked, and then beside."""

    def test_the_effect_is_that_within_places(self) -> None:
        """Places that serve more at risk are worse; the patients' own effect comes out all the same."""
        stays = stays_of(rows=40_000)
        effects = social_tables(stays, levels_of(stays), by="facility_id", name="dual")["social_effects"]
        row = effects.filter(pl.col("level") == "yes").row(0, named=True)
        assert abs(row["log_odds"] - 0.5) < 2.5 * row["standard_error"] < 0.15
        assert effects["level"][0] == "no"
        assert effects["stays"].sum() == stays.height

    def test_both_ways_stand_side_by_side(self) -> None:
        """Adjusted ratios fall where the share is high, rise where it is low; the plain ones stay."""
        stays = stays_of()
        table = social_tables(stays, levels_of(stays), by="facility_id", name="dual", suppress=False)[
            "social"
        ]
        plain = benchmark_stays(stays, n_draws=0, dispersion=False, suppress=False).frame
        assert_frame_equal(
            table.select("facility_id", "ratio", "ratio_lower"),
            plain.select("facility_id", "ratio", "ratio_lower"),
        )
        moved = (table["ratio_adjusted"] / table["ratio"]).to_numpy()
        assert np.corrcoef(moved, table["dual_share"].to_numpy())[0, 1] < -0.95
        assert moved.max() > 1 > moved.min()

    def test_peer_groups_are_fifths_of_the_share(self) -> None:
        """Five groups of four hospitals each; the ratio to the median of the own group."""
        stays = stays_of()
        table = social_tables(stays, levels_of(stays), by="facility_id", name="dual", suppress=False)[
            "social"
        ]
        ordered = table.sort("dual_share")
        assert ordered["peer_group"].to_list() == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4
        first = ordered.head(4)
        assert_allclose(first["ratio_to_peers"], first["ratio"] / first["ratio"].median())

    def test_strata_add_up_and_small_ones_are_hidden_in_pairs(self) -> None:
        """Levels sum to the hospital; of two levels none is shown alone, or the other could be worked out."""
        stays = stays_of()
        options = {"by": "facility_id", "name": "dual"}
        whole = social_tables(stays, levels_of(stays), **options, suppress=False)["social_strata"]  # type: ignore[arg-type]
        total = (
            whole.group_by("facility_id").agg(pl.col("n").sum(), pl.col("observed").sum()).sort("facility_id")
        )
        frame = benchmark_stays(stays, n_draws=0, suppress=False).frame
        assert total["observed"].to_list() == frame["observed"].to_list()
        shown = social_tables(stays, levels_of(stays), by="facility_id", name="dual")["social_strata"]
        hidden = shown.group_by("facility_id").agg(pl.col("suppressed").sum())
        assert set(hidden["suppressed"].to_list()) == {0, 2}

    def test_where_levels_come_from(self, history: History) -> None:
        """A column of the cases, of the persons, or of a table; an index with many values in fifths."""
        from riskmodels.cohorts import build_cohort

        cases = build_cohort("readmission-30d", history).observed
        assert set(social_levels(cases, history, "dual").values.unique()) <= {"yes", "no", "unknown"}
        race = social_levels(cases, history, "race_ethnicity")
        assert len(race.values) == cases.height
        table = cases.select(pl.col("person_id").unique().sort()).with_row_index("adi").head(-3)
        fifths = social_levels(cases, history, "adi", table.to_pandas())
        assert set(fifths.values.unique()) == {f"fifth {i}" for i in range(1, 6)} | {"unknown"}
        assert (fifths.values.filter(fifths.at_risk) == "fifth 5").all()

    @pytest.mark.parametrize(
        ("name", "table", "says"),
        [
            ("dula", None, "no column of the index cases or persons"),
            ("adi", {"person_id": ["a", "a"], "adi": [1, 2]}, "more than once"),
            ("adi", {"person": ["a"], "adi": [1]}, "no column 'person_id'"),
            ("adi", {"person_id": ["a"], "adi": [1]}, "one level only"),
        ],
        ids=["misspelt", "person twice", "no person_id", "one level"],
    )
    def test_what_is_no_social_risk(
        self, history: History, name: str, table: dict[str, list[object]] | None, says: str
    ) -> None:
        from riskmodels.cohorts import build_cohort

        cases = build_cohort("readmission-30d", history).observed
        with pytest.raises(SpecError, match=says):
            social_levels(cases, history, name, None if table is None else pl.DataFrame(table))


class TestPeriods:
    """Case mix and performance apart."""

    def test_worked_example(self) -> None:
        """H: 20% to 30%, expected 20% to 28%: 8 points are case mix, 2 performance, common and own."""

        def part(name: str, year: int, n: int, events: int, expected: float) -> pl.DataFrame:
            return pl.DataFrame(
                {"facility_id": name, "person": range(n), "observed": [1] * events + [0] * (n - events),
                 "expected": expected, "index_time": datetime(year, 6, 1)}
            )  # fmt: skip

        stays = pl.concat([part("H", 2021, 100, 20, 0.2), part("H", 2022, 100, 30, 0.28),
                           part("K", 2021, 100, 20, 0.2), part("K", 2022, 100, 20, 0.2)])  # fmt: skip
        tables = period_tables(stays, n_draws=0)
        h = tables["changes"].filter(pl.col("facility_id") == "H").row(0, named=True)
        assert (h["period_from"], h["period_to"]) == ("2021", "2022")
        assert_allclose([h["change"], h["case_mix"], h["common"], h["own"]], [0.1, 0.08, 0.01, 0.01])
        assert h["own_lower"] is None
        everyone = tables["changes"].filter(pl.col("facility_id") == "(all)").row(0, named=True)
        assert_allclose([everyone["change"], everyone["case_mix"], everyone["common"]], [0.05, 0.04, 0.01])
        assert_allclose(tables["periods"]["ratio"], [1.0, 0.3 / 0.28, 1.0, 1.0])

    def test_parts_add_up_within_their_intervals(self) -> None:
        changes = period_tables(stays_of(), period="quarter", n_draws=50, suppress=False)["changes"]
        assert changes["period_from"].unique().sort().to_list()[0] == "2022Q1"
        assert changes.height == 21 * 7
        assert_allclose(
            changes["case_mix"] + changes["common"] + changes["own"], changes["change"], atol=1e-12
        )
        for part in ("change", "case_mix", "own"):
            assert (changes[f"{part}_lower"] <= changes[f"{part}_upper"]).all()
        held = (
            changes.filter(pl.col("facility_id") != "(all)")
            .select(pl.lit(0).is_between("own_lower", "own_upper"))
            .to_series()
        )
        assert 0.88 <= held.mean() <= 1.0  # type: ignore[operator]  # nothing changed in truth

    def test_small_cells_are_in_no_change(self) -> None:
        """A quarter that is withheld takes the changes from and to it with it."""
        few = stays_of(rows=2500)
        tables = period_tables(few, period="quarter", n_draws=5)
        hidden = tables["periods"].filter("suppressed").select("facility_id", "period")
        touched = tables["changes"].join(
            hidden, left_on=["facility_id", "period_to"], right_on=["facility_id", "period"], how="semi"
        )
        assert touched.height > 0
        assert touched["own"].null_count() == touched.height == touched["case_mix_lower"].null_count()

    @pytest.mark.parametrize(
        ("stays", "period", "says"),
        [(stays_of(rows=100), "month", "period is 'month'"),
         (stays_of(rows=100).with_columns(index_time=datetime(2022, 1, 1)), "year", "all stays are of 2022")],
        ids=["month", "one year"],
    )  # fmt: skip
    def test_what_is_no_period(self, stays: pl.DataFrame, period: str, says: str) -> None:
        with pytest.raises(SpecError, match=says):
            period_tables(stays, period=period)


def test_an_entity_withheld_in_the_benchmark_is_withheld_beside_it() -> None:
    """Both periods of one that was hidden for another's sake would add up to what is hidden."""
    stays = stays_of()
    names = ["H07"]
    periods = period_tables(stays, n_draws=5, hidden=names)
    social = social_tables(stays, levels_of(stays), by="facility_id", name="dual", hidden=names)
    for table in (periods["periods"], social["social"], social["social_strata"]):
        row = table.filter(pl.col("facility_id") == "H07")
        assert row.select("ratio", "ratio_lower").null_count().row(0) == (row.height,) * 2
        assert table["ratio"].null_count() < table.height / 2
    assert periods["changes"].filter(pl.col("facility_id") == "H07")["change"].to_list() == [None]
    open_ones = period_tables(stays, n_draws=5)["periods"].filter(pl.col("facility_id") == "H07")
    assert open_ones["ratio"].null_count() == 0


def test_a_share_is_withheld_where_it_would_tell_a_stratum() -> None:
    """One entity has 4 stays at risk; the next smaller stratum goes with it, and both shares."""
    stays = stays_of()
    first = pl.int_range(pl.len()).over("facility_id") < 4
    stays = stays.with_columns(
        dual=pl.when(pl.col("facility_id") == "H00").then(first).otherwise(pl.col("dual"))
    )
    found = social_tables(stays, levels_of(stays), by="facility_id", name="dual")
    counted = found["social_strata"].filter(pl.col("n").is_null())["facility_id"].unique().sort().to_list()
    hidden = found["social"].filter(pl.col("dual_share").is_null())["facility_id"].to_list()
    assert len(hidden) >= 2
    assert "H00" in hidden
    assert set(counted) <= set(hidden)


def test_a_level_of_few_stays_has_no_effect_to_show() -> None:
    stays = stays_of().with_columns(dual=pl.int_range(pl.len()) < 6)
    effects = social_tables(stays, levels_of(stays), by="facility_id", name="dual")["social_effects"]
    assert effects["stays"].null_count() == 2
    assert effects.filter(pl.col("level") == "yes")["log_odds"].to_list() == [None]


def test_a_change_of_few_outcomes_over_all_is_withheld() -> None:
    """7 outcomes in a year over all entities: the overall rates would tell them."""
    stays = stays_of()
    late = pl.col("index_time") >= datetime(2023, 1, 1)
    nth = pl.col("observed").cum_sum().over(late)
    stays = stays.with_columns(observed=pl.when(late & (nth > 7)).then(0).otherwise("observed"))
    changes = period_tables(stays, n_draws=5)["changes"]
    assert changes.filter(pl.col("facility_id") == "(all)")["change"].to_list() == [None]


def test_parts_of_a_whole_hide_each_other() -> None:
    """An entity's single small part would be its total less the others: the smallest of them goes with it."""
    from riskmodels.benchmarks import standardise

    def part(period: str, events: int) -> pl.DataFrame:
        return pl.DataFrame(
            {"facility_id": ["A"] * 100 + ["B"] * 100 + ["C"] * 100, "person": range(300),
             "observed": [1] * events + [0] * (100 - events) + ([1] * 40 + [0] * 60) * 2, "expected": 0.4}
        ).with_columns(period=pl.lit(period))  # fmt: skip

    parts = [part("1", 5), part("2", 30), part("3", 20)]
    frame = pl.concat([standardise(p).with_columns(period=pl.lit(p["period"][0])) for p in parts])
    shown = suppress_parts(frame, "period").filter(pl.col("facility_id") == "A").sort("period")
    assert shown["suppressed"].to_list() == [True, False, True]


class TestReliability:
    """Signal over signal and noise."""

    def test_moments_find_the_variance_of_the_truth(self) -> None:
        rng = np.random.default_rng(0)
        noise = rng.uniform(0.01, 0.1, 4000)
        ratio = 1 + rng.normal(0, 0.2, 4000) + rng.normal(0, np.sqrt(noise))
        assert_allclose(signal_variance(ratio, noise), 0.04, rtol=0.1)
        assert signal_variance(1 + rng.normal(0, 0.5 * np.sqrt(noise)), noise) == 0
        assert signal_variance(np.array([1.2]), np.array([0.1])) == 0

    def test_shrunken_ratios_are_nearer_to_the_truth(self) -> None:
        rng = np.random.default_rng(1)
        noise = rng.uniform(0.01, 0.3, 2000)
        true = 1 + rng.normal(0, 0.2, 2000)
        ratio = true + rng.normal(0, np.sqrt(noise))
        share = reliability(signal_variance(ratio, noise), noise)
        error = ((1 + share * (ratio - 1) - true) ** 2).mean(), ((ratio - true) ** 2).mean()
        assert error[0] < 0.5 * error[1]

    def test_it_stands_in_the_frame(self) -> None:
        frame = benchmark_stays(stays_of(), n_draws=0).frame
        assert frame["reliability"].is_between(0.2, 1).all()
        shrunk = 1 + frame["reliability"] * (frame["ratio"] - 1)
        assert_allclose(frame["ratio_shrunken"], shrunk)


def test_the_error_of_the_expectation_widens_the_interval() -> None:
    """Fitted on few patients, what is expected is uncertain: the variance grows, and the draws' too."""
    rng = np.random.default_rng(2)
    n = 900
    frame = pl.DataFrame({f"x{i}": rng.normal(size=n) for i in range(6)})
    outcome = (rng.random(n) < 1 / (1 + np.exp(1.2 - frame["x0"].to_numpy()))).astype(float)
    columns = [FeatureColumn(f"x{i}", "adjust", "number", f"x{i}", "made up") for i in range(6)]
    entity, risk = np.arange(n) % 6, np.full(n, outcome.mean())
    factor = expectation_error(
        frame, outcome, np.arange(n), columns, entity, risk, refits=4, folds=2, parameters=QUICK
    )  # fmt: skip
    assert 1 <= factor < 3
    stays = stays_of(rows=3000)
    wide, narrow = (benchmark_stays(stays, n_draws=40, expectation=f) for f in (2.0, 1.0))
    assert_allclose(wide.metadata["expectation_error"], 2.0)
    width = [(b.frame["ratio_upper"] - b.frame["ratio_lower"]).mean() for b in (wide, narrow)]
    assert_allclose(width[0] / width[1], np.sqrt(2), rtol=0.03)
    spread = [
        b.draws.group_by("facility_id").agg(pl.col("ratio").std())["ratio"].mean() for b in (wide, narrow)
    ]
    assert_allclose(spread[0] / spread[1], np.sqrt(2), rtol=0.03)
    with pytest.raises(SpecError, match="needs 2 or more"):
        expectation_error(frame, outcome, np.arange(n), columns, entity, risk, refits=1)


def test_the_matrix_of_a_linear_model() -> None:
    """Numbers standardised with their square and a flag for missing; levels as flags; rare ones left out."""
    features = {column.name: column for column in standard_features("readmission-30d", role="adjust").columns}
    names = ["age", "sex", "charlson_heart_failure", "charlson_dementia"]
    frame = pl.DataFrame(
        {"age": [60.0, None, 80.0, 90.0] * 50, "sex": ["female", "male"] * 100,
         "charlson_heart_failure": [0.0, 1.0] * 100, "charlson_dementia": [0.0] * 199 + [1.0]}
    )  # fmt: skip
    matrix, columns = design_matrix(frame, [features[name] for name in names])
    assert columns[:3] == ("age missing", "age", "age²")
    assert len([name for name in columns if name.startswith("sex=")]) == 1
    assert "charlson_heart_failure" in columns
    assert "charlson_dementia" not in columns
    assert np.isfinite(matrix).all()
    assert_allclose(matrix[:, 1].std(), 1)


@pytest.mark.parametrize("risk", ["trees", "linear"])
def test_rates_of_a_history(history: History, risk: str) -> None:
    """Both kinds of risk go in; what is given says which, and nothing of role predict is in it."""
    made = benchmark(
        "readmission-30d", history, method="rsrr", risk=risk, n_draws=8, parameters=QUICK, suppress=False,
    )  # type: ignore[arg-type]  # fmt: skip
    assert made.metadata["method"] == "rsrr"
    assert made.metadata["risk"] == risk
    roles = {column.name: column.role for column in standard_features("readmission-30d").columns}
    assert {roles[name] for name in made.metadata["features"]} == {"adjust"}
    assert made.draws["draw"].n_unique() == 8
    assert (made.frame["method"] == "rsrr, bootstrap of entities").all()
    text = made.to_text()
    assert "standard deviation between entities" in text
    assert ("on the stays it was fitted on" in text) is (risk == "linear")


@pytest.mark.parametrize("options", [{"method": "rsr"}, {"risk": "tree"}, {"period": "month"}], ids=str)
def test_options_that_are_not_there_are_named(history: History, options: dict[str, str]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(SpecError, match=f"{name} is '{value}'"):
        benchmark("readmission-30d", history, **options)  # type: ignore[arg-type]


def test_the_command_writes_all_of_it(history: History, tmp_path: Path) -> None:
    """Files beside FILE, a page with four figures; what is asked for no more is there no more."""
    out, page = tmp_path / "B.csv", tmp_path / "B.html"
    arguments = ["benchmark", "readmission-30d", str(history.path), "--out", str(out), "--draws", "5"]
    more = ["--method", "rsrr", "--social", "dual", "--period", "year", "--plot", str(page)]
    result = CliRunner().invoke(main, ["--quiet", *arguments, *more])
    assert result.exit_code == 0, result.output
    again = read_benchmark(out)
    assert set(again.tables) == {"social", "social_strata", "social_effects", "periods", "changes"}
    assert again.tables["periods"]["period"].dtype == pl.String
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert "http" not in text.replace("http://www.w3.org", "")
    assert "<h1>Unplanned readmission within 30 days, by hospital</h1>" in text
    first = text.partition("<li>")[2].partition("</li>")[0]
    shown = again.frame.filter(~pl.col("suppressed"))
    assert first.startswith(f"Of {shown.height} hospitals large enough to show, ")
    assert all(name in first for name in shown.filter(pl.col("ratio_lower") > 1)["facility_id"])
    write_benchmark_plots(tmp_path / "B.png", again)
    assert (tmp_path / "B.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(DataError, match=r"name it FILE\.png or FILE\.html"):
        write_benchmark_plots(tmp_path / "B.pdf", again)
    result = CliRunner().invoke(main, ["--quiet", *arguments])
    assert result.exit_code == 0
    assert read_benchmark(out).tables == {}


def test_the_command_refuses_before_it_begins(history: History, tmp_path: Path) -> None:
    arguments = ["benchmark", "readmission-30d", str(history.path), "--out", str(tmp_path / "B.csv")]
    for wrong in (["--social-table", "x.csv"], ["--plot", "B.pdf"], ["--out", "B.xlsx"]):
        assert CliRunner().invoke(main, [*arguments, *wrong]).exit_code == 2
    result = CliRunner().invoke(
        main, [*arguments, "--social", "adi", "--social-table", str(tmp_path / "x.csv")]
    )
    assert result.exit_code == 1
    assert "there is no such file" in result.output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"risk": "linear"}, "risk='linear' is for method='rsrr'"),
        ({"method": "rsrr", "risk": "linear", "model": "m"}, "without a model"),
        ({"method": "rsrr", "interval": "byar"}, "interval='byar' is for method='oe'"),
        ({"method": "rsrr", "refits": 2}, "refits is for method='oe'"),
        ({"model": "m", "refits": 2}, "refits is for an expectation that is fitted here"),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_options_that_others_leave_without_effect_are_refused(options: dict, says: str) -> None:
    """Nobody is left to believe that a choice was followed; the history is not even opened."""
    with pytest.raises(SpecError, match=says):
        benchmark("readmission-30d", "no history", **options)
