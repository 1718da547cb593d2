"""Episodes of bundled payments from a history."""

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import load_rules, pay
from riskmodels.payments.episode_rules import (
    episodes_of,
    read_categories,
    read_exclusions,
    read_prices,
)
from riskmodels.payments.episodes import build_episodes, find_anchors, history_claims, winsorise

ANCHOR = {"participant_id": "H", "patient_id": "p", "episode_category": "470", "start": date(2024, 1, 1),
          "anchor_end": date(2024, 1, 3)}  # fmt: skip


def _claims(*rows: tuple[date, date, float, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [("p", *row) for row in rows], schema=["patient_id", "start", "end", "paid", "code"], orient="row"
    )


@pytest.mark.parametrize(
    ("claim", "cost"),
    [
        ((date(2024, 1, 1), date(2024, 1, 3), 1000.0, "470"), 1000),  # the anchor itself
        ((date(2023, 12, 31), date(2024, 1, 2), 1000.0, "x"), 0),  # before the anchor
        ((date(2024, 2, 1), date(2024, 2, 1), 1000.0, "x"), 1000),  # the last day of 30
        ((date(2024, 2, 2), date(2024, 2, 2), 1000.0, "x"), 0),  # the day after
        ((date(2024, 1, 31), date(2024, 2, 9), 1000.0, "x"), 200),  # two of ten days
        ((date(2024, 1, 10), date(2024, 1, 10), 1000.0, "C50.9"), 0),  # excluded
    ],
    ids=["anchor", "before", "last-day", "day-after", "prorated", "excluded"],
)
def test_what_counts_in_an_episode(claim: tuple[date, date, float, str], cost: float) -> None:
    episodes = build_episodes(pl.DataFrame([ANCHOR]), _claims(claim), window_days=30, excluded_codes=["C"])
    assert episodes["cost"].to_list() == pytest.approx([cost])
    # 42 CFR 510.210(a): the day of discharge, January 3, is the first of the 30.
    assert episodes["end"].to_list() == [date(2024, 2, 1)]
    assert "patient_id" not in episodes.columns


def test_an_anchor_inside_an_episode_begins_none() -> None:
    second = {**ANCHOR, "start": date(2024, 2, 1), "anchor_end": date(2024, 2, 4)}
    third = {**ANCHOR, "start": date(2024, 2, 2), "anchor_end": date(2024, 2, 4)}
    claims = _claims((date(2024, 1, 1), date(2024, 1, 1), 1.0, "x"))
    kept = build_episodes(pl.DataFrame([third, ANCHOR, second]), claims, window_days=30)
    assert kept["start"].to_list() == [date(2024, 1, 1), date(2024, 2, 2)]


def test_an_anchor_inside_an_episode_cancels_it_where_the_model_says_so() -> None:
    """42 CFR 510.210(b)(2): readmitted for another anchor hospitalization."""
    second = {**ANCHOR, "start": date(2024, 2, 1), "anchor_end": date(2024, 2, 4)}
    other = {**ANCHOR, "patient_id": "q", "start": date(2024, 2, 3), "anchor_end": date(2024, 2, 4)}
    claims = _claims((date(2024, 1, 1), date(2024, 1, 1), 1.0, "x"))
    kept = build_episodes(
        pl.DataFrame([ANCHOR, second, other]), claims, window_days=30, later_anchor="cancels"
    )
    assert kept["start"].to_list() == [date(2024, 2, 1), date(2024, 2, 3)]


@pytest.mark.parametrize(
    ("drgs", "kept"),
    [
        (("470", "469", "280"), [1]),  # the second joint takes the first one's place, the infarction none
        (("470", "470", "522"), [2]),  # and the third the second's
        (("247", "266", "247"), [1]),  # a valve by catheter after a coronary intervention
        (("266", "247", "470"), [0]),
        (("280", "470", "470"), [0]),  # joints inside another episode begin none
    ],
)
def test_a_second_joint_takes_the_place_of_the_first_in_bpci_advanced(
    drgs: tuple[str, ...], kept: list[int]
) -> None:
    """Days 1 to 3 of January, February and March: the 90 days of the first reach to April."""
    starts = [date(2023, month, 1) for month in (1, 2, 3)]
    anchors = pl.DataFrame(
        [{**ANCHOR, "drg": drg, "start": day, "anchor_end": day.replace(day=3)}
         for drg, day in zip(drgs, starts, strict=True)]
    )  # fmt: skip
    later = load_rules("bpci-advanced", 2023)["later_anchor"]
    claims = _claims((starts[0], starts[0], 1.0, "x"))
    built = build_episodes(anchors, claims, later_anchor=later["otherwise"], replaced=later["replaced"])
    assert built["start"].to_list() == [starts[number] for number in kept]


def test_a_joint_whose_patient_dies_in_it_does_not_take_the_place_of_the_first() -> None:
    second = {**ANCHOR, "start": date(2024, 2, 1), "anchor_end": date(2024, 2, 4)}
    death = pl.lit(date(2024, 2, 3)).alias("death_date")
    anchors = pl.DataFrame([ANCHOR, second]).with_columns(pl.lit("470").alias("drg"), death)
    claims = _claims((date(2024, 1, 1), date(2024, 1, 1), 1.0, "x"))
    pair = [{"earlier": ["470"], "later": ["470"]}]
    built = build_episodes(anchors, claims, cancelled_by_death="anchor", replaced=pair)
    assert built["start"].to_list() == [date(2024, 1, 1)]
    with pytest.raises(DataError, match="anchors have no column drg"):
        build_episodes(anchors.drop("drg"), claims, replaced=pair)


def test_a_claim_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(DataError, match="claims: row 1 ends before it starts"):
        build_episodes(pl.DataFrame([ANCHOR]), _claims((date(2024, 1, 2), date(2024, 1, 1), 1.0, "x")))
    missing = _claims((date(2024, 1, 2), date(2024, 1, 2), 1.0, "x")).with_columns(
        pl.lit(None, dtype=pl.Float64).alias("paid")
    )
    with pytest.raises(DataError, match="claims: row 1 has no amount"):
        build_episodes(pl.DataFrame([ANCHOR]), missing)


@pytest.mark.parametrize(
    ("death", "rule", "episodes"),
    [
        (None, "episode", 1),
        (date(2024, 1, 3), "anchor", 0),
        (date(2024, 1, 20), "anchor", 1),
        (date(2024, 1, 20), "episode", 0),
        (date(2024, 3, 1), "episode", 1),
        (date(2024, 1, 2), None, 1),
    ],
)
def test_death_cancels_an_episode_where_the_model_says_so(
    death: date | None, rule: str | None, episodes: int
) -> None:
    anchors = pl.DataFrame([{**ANCHOR, "death_date": death}], schema_overrides={"death_date": pl.Date})
    claims = _claims((date(2024, 1, 1), date(2024, 1, 3), 1.0, "x"))
    built = build_episodes(anchors, claims, window_days=30, cancelled_by_death=rule)  # type: ignore[arg-type]
    assert built.height == episodes


def _history() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return encounters and events of two patients of hospital H: an AMI and a bypass, with what followed."""
    stays = [
        ("a", "inpatient", datetime(2020, 1, 1, 9), datetime(2020, 1, 5, 12), "H", "280", 10_000.0),
        ("a", "inpatient", datetime(2020, 2, 1), datetime(2020, 2, 3), "G", "291", 6_000.0),  # readmission
        ("a", "inpatient", datetime(2020, 3, 1), datetime(2020, 3, 3), "G", "9", 50_000.0),  # unrelated DRG
        ("a", "home_health", datetime(2020, 3, 31), datetime(2020, 4, 9), "V", None, 1_000.0),  # runs past
        ("b", "inpatient", datetime(2020, 1, 1), datetime(2020, 1, 8), "H", "236", 30_000.0),
        ("b", "office", datetime(2020, 4, 6), datetime(2020, 4, 6), "O", None, 100.0),  # day 90
        ("b", "office", datetime(2020, 4, 7), datetime(2020, 4, 7), "O", None, 900.0),  # day 91
        ("b", "office", datetime(2020, 1, 20), datetime(2020, 1, 20), "O", None, None),  # not paid for
    ]
    columns = ["person_id", "kind", "start", "end", "facility_id", "drg", "paid"]
    events = [
        ("b", datetime(2020, 1, 10), "drug", "00071015523", 40.0),
        ("b", datetime(2020, 1, 11), "procedure", "C50", 7_000.0),  # an excluded code
        ("b", datetime(2020, 1, 12), "diagnosis", "I25.10", None),
    ]
    return pl.DataFrame(stays, schema=columns, orient="row"), pl.DataFrame(
        events, schema=["person_id", "time", "kind", "code", "paid"], orient="row"
    )


def test_an_ami_and_a_bypass_from_their_history_to_the_reconciliation(tmp_path: Path) -> None:
    """By hand: 10,000 + 6,000 + 4 of 10 days of 1,000 (AMI), 30,000 + 100 + 40 (CABG); targets of 53,000."""
    encounters, events = _history()
    anchors = find_anchors(encounters, {"280": "AMI", "236": "CABG"}).with_columns(
        pl.col("episode_category").replace_strict({"AMI": 20_000.0, "CABG": 33_000.0}).alias("target_price")
    )
    claims = history_claims(encounters, events)
    episodes = build_episodes(
        anchors,
        claims,
        window_days=90,
        excluded_codes=["C"],
        excluded_drgs=["009"],
    )
    assert episodes["cost"].to_list() == pytest.approx([16_400, 30_140])
    assert episodes["anchor_cost"].to_list() == [10_000, 30_000]
    path, quality = tmp_path / "episodes.csv", tmp_path / "quality.csv"
    episodes.write_csv(path)
    quality.write_text("participant_id,composite_quality_score\nH,50\n", encoding="utf-8")
    payment = pay("bpci-advanced", path, year=2020, quality=quality)
    assert payment.frame["payment"].to_list() == pytest.approx([0.95 * (53_000 - 46_540)])
    assert sorted(payment.detail["episode_category"]) == ["AMI", "CABG"]


def test_costs_are_winsorised_within_their_category() -> None:
    episodes = pl.DataFrame({"episode_category": ["x"] * 101 + ["y"], "cost": [*map(float, range(101)), 1e6]})
    held = winsorise(episodes)
    assert held["winsor_low"].unique().sort().to_list() == [1.0, 1e6]
    assert held.filter(episode_category="x")["winsor_high"].unique().to_list() == pytest.approx([99.0])
    with pytest.raises(DataError, match="episodes have no column region"):
        winsorise(episodes, by=("episode_category", "region"))


def test_a_stay_without_facility_or_end_anchors_nothing() -> None:
    encounters, _ = _history()
    unknown = encounters.with_columns(pl.lit(None, dtype=pl.String).alias("facility_id"))
    assert find_anchors(unknown, {"280": "AMI"}).height == 0
    ongoing = encounters.with_columns(pl.lit(None, dtype=pl.Datetime).alias("end"))
    assert find_anchors(ongoing, {"280": "AMI"}).height == 0


def test_costs_above_two_deviations_are_held_in_joint_replacement() -> None:
    """42 CFR 510.300(b)(5): mean 20, deviation 40, so that 100 is what costs are held at."""
    episodes = pl.DataFrame({"episode_category": ["470"] * 5, "cost": [0.0, 0.0, 0.0, 0.0, 100.0]})
    assert winsorise(episodes, deviations=2)["winsor_high"].unique().to_list() == pytest.approx([100.0])


class TestByTheRulesOfAProgram:
    def test_the_cardiac_episodes_of_a_year(self) -> None:
        encounters, events = _history()
        kinds = {"280": "AMI", "236": "CABG"}
        built = episodes_of("bpci-advanced", 2020, encounters, events, categories=kinds,
                            excluded_codes=("C",), excluded_drgs=("009",))  # fmt: skip
        assert built.frame["cost"].to_list() == pytest.approx([16_400, 30_140])
        assert set(built.unverified) == {"later_anchor"}
        assert "AMI: 1 episodes, mean cost $16,400" in built.to_text()

    def test_joint_replacement_has_its_own_drgs_and_a_death_cancels(self) -> None:
        encounters, _ = _history()
        joints = encounters.with_columns(drg=pl.lit("470")).filter(facility_id="H")
        deaths = joints.with_columns(
            death_date=pl.when(person_id="b").then(pl.date(2020, 4, 6)).otherwise(None)
        )
        assert episodes_of("cjr", 2018, joints).frame.height == 2
        built = episodes_of("cjr", 2018, deaths)
        assert built.frame.height == 1
        assert built.unverified == ()

    def test_a_sum_of_claims_below_zero_counts_as_nothing_and_is_said(self) -> None:
        encounters, _ = _history()
        built = episodes_of("cjr", 2018, encounters.with_columns(drg=pl.lit("470"), paid=-pl.col("paid")))
        assert built.frame["cost"].min() == 0
        assert "count as $0" in built.to_text()

    def test_prices_are_joined_and_a_missing_one_is_refused(self, tmp_path: Path) -> None:
        encounters, _ = _history()
        path = tmp_path / "prices.csv"
        path.write_text('participant_id,episode_category,target_price\nH,AMI,"$20,000"\n', encoding="utf-8")
        given = {"categories": {"280": "AMI"}, "prices": read_prices(path)}
        assert episodes_of("bpci-advanced", 2020, encounters, **given).frame["target_price"].to_list() == [
            20_000
        ]
        given["categories"] = {"236": "CABG"}
        with pytest.raises(DataError, match="no price of 'CABG' for 'H'"):
            episodes_of("bpci-advanced", 2020, encounters, **given)

    def test_files_of_categories_and_exclusions(self, tmp_path: Path) -> None:
        path = tmp_path / "f.csv"
        path.write_text("drg,episode_category\n9,Nine\n470,LEJR\n", encoding="utf-8")
        assert read_categories(path) == {"009": "Nine", "470": "LEJR"}
        path.write_text("kind,code\nDRG,009\ndiagnosis,C50\n", encoding="utf-8")
        assert read_exclusions(path) == (("C50",), ("009",))
        path.write_text("kind,code\nstay,009\n", encoding="utf-8")
        with pytest.raises(DataError, match="'stay' is none of drg"):
            read_exclusions(path)

    def test_what_has_no_episodes_is_refused(self) -> None:
        encounters, _ = _history()
        with pytest.raises(SpecError, match="team 2026 needs the DRGs"):
            episodes_of("team", 2026, encounters)
        with pytest.raises(SpecError, match="'hrrp' has no episodes"):
            episodes_of("hrrp", 2025, encounters)
