"""Bundled payments: BPCI Advanced, TEAM, CJR, and episodes from claims."""

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodels.errors import DataError, SpecError
from riskmodels.payments import Payment, load_rules, pay
from riskmodels.payments.bpci_advanced import PROGRAM
from riskmodels.payments.bundles import Bundle
from riskmodels.payments.cjr import PROGRAM as JOINTS
from riskmodels.payments.program import Inputs
from riskmodels.payments.team import PROGRAM as TEAM

Settle = Callable[..., Payment]


@pytest.fixture
def settle(tmp_path: Path) -> Settle:
    """Return a function that reconciles episodes (target, cost) of participant P."""

    def run(
        program: str, year: int, episodes: list[tuple[float, float]], score: float, **more: object
    ) -> Payment:
        path, quality = tmp_path / "episodes.csv", tmp_path / "quality.csv"
        lines = [f"P,LEJR,{target},{cost}" for target, cost in episodes]
        path.write_text(
            "\n".join(["participant_id,episode_category,target_price,cost", *lines]), encoding="utf-8"
        )
        names, cells = ",".join(["participant_id", "composite_quality_score", *more]), [f"P,{score}"]
        cells += [str(value) for value in more.values()]
        quality.write_text(names + "\n" + ",".join(cells), encoding="utf-8")
        return pay(program, path, year=year, quality=quality)

    return run


@pytest.mark.parametrize(
    ("cost", "score", "adjusted", "payment"),
    [
        (1_900_000, 50, 95_000, 95_000),
        (2_300_000, 50, -285_000, -285_000),
        (1_400_000, 100, 600_000, 400_000),  # held at 20% of the target
        (1_900_000, 0, 90_000, 90_000),
        (2_100_000, 0, -100_000, -100_000),
        (2_900_000, 0, -900_000, -400_000),
    ],
)
def test_bpci_advanced(settle: Settle, cost: float, score: float, adjusted: float, payment: float) -> None:
    result = settle("bpci-advanced", 2020, [(1_000_000, cost / 2)] * 2, score)
    row = result.frame.row(0, named=True)
    assert (row["adjusted_reconciliation"], row["payment"]) == pytest.approx((adjusted, payment))
    assert result.unverified == ()


@pytest.mark.parametrize(("year", "flagged"), [(2018, False), (2019, False), (2020, False), (2021, True)])
def test_the_model_years_that_participants_code_reconciles_are_not_flagged(
    settle: Settle, year: int, flagged: bool
) -> None:
    """10 percent x (1 - 0.80) of the gain of 100,000 is 2,000."""
    result = settle("bpci-advanced", year, [(1_000_000, 900_000)], 80)
    assert result.frame["payment"].to_list() == pytest.approx([98_000])
    assert bool(result.unverified) is flagged


@pytest.mark.parametrize("cost", [900_000.0, 1_300_000.0])
@pytest.mark.parametrize(
    ("program", "year", "score", "more"),
    [("bpci-advanced", 2020, 80, {}), ("team", 2026, 80, {"track": 3}), ("team", 2027, 60, {"track": 2}),
     ("cjr", 2018, 14.25, {})],
)  # fmt: skip
def test_an_audits_dollars_follow_from_its_formulas(
    settle: Settle, program: str, year: int, score: float, more: dict[str, int], cost: float
) -> None:
    payment = settle(program, year, [(500_000, cost / 2)] * 2, score, **more)
    lines = {line.label: line for line in payment.audit("P").lines}
    checked = 0
    for label in ("target", "raw reconciliation", "after the quality adjustment"):
        terms = re.sub(r"([\d.]+)%", r"(\1/100)", re.sub(r", quality \w+|[$,]", "", lines[label].formula))
        terms = terms.replace("×", "*").replace("−", "-")
        if re.fullmatch(r"[-+*/(). \d]+", terms):
            assert eval(terms) == pytest.approx(float(re.sub(r"[$,]", "", lines[label].value)))
            checked += 1
    assert checked == 2


def test_costs_are_winsorised_and_disaster_episodes_above_target_are_left_out(tmp_path: Path) -> None:
    path, quality = tmp_path / "episodes.csv", tmp_path / "quality.csv"
    header = "participant_id,target_price,cost,winsor_low,winsor_high,natural_disaster"
    rows = ["P,100,500,50,200,0", "P,100,10,50,200,0", "P,100,150,,,1", "P,100,90,,,1"]
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    quality.write_text("participant_id,composite_quality_score\nP,100\n", encoding="utf-8")
    payment = pay("bpci-advanced", path, year=2020, quality=quality)
    assert payment.frame.select("target", "cost").row(0) == (300, 200 + 50 + 90)
    assert "disaster_episodes" in str(payment.audit("P")).replace(" ", "_")
    assert payment.unverified == ("disaster_episodes",)
    assert pay("bpci-advanced", path, year=2019, quality=quality).unverified == ()


@pytest.mark.parametrize(
    ("track", "cost", "score", "payment"),
    [
        (3, 900_000, 80, 98_000),  # 10% cut less 10% x 0.80
        (3, 1_300_000, 80, -200_000),  # -276,000, held at 20%
        (2, 1_050_000, 60, -45_500),  # 15% x 0.60 of relief
        (1, 1_300_000, 80, 0),
        (1, 700_000, 100, 100_000),
    ],
)
def test_team_by_hand_and_flagged_where_sources_differ(
    settle: Settle, track: int, cost: float, score: float, payment: float
) -> None:
    result = settle("team", 2027, [(1_000_000, cost)], score, track=track)
    assert result.frame["payment"].to_list() == pytest.approx([payment])
    assert result.unverified == (("track_2",) if track == 2 else ())
    audit = str(result.audit("P"))
    assert ("UNVERIFIED" in audit) is (track == 2)
    assert f"track {track}" in audit


def test_every_track_that_a_year_of_team_offers_has_its_limits() -> None:
    for year in range(2026, 2031):
        rules = load_rules("team", year)
        assert {f"track_{track}" for track in rules["tracks"]} == {
            name for name in rules.parameters if name.startswith("track_")
        }


def test_a_composite_score_is_the_mean_percentile_by_volume(tmp_path: Path) -> None:
    path, quality = tmp_path / "episodes.csv", tmp_path / "quality.csv"
    path.write_text("participant_id,target_price,cost\nP,1000000,900000\n", encoding="utf-8")
    lines = ["participant_id,measure,percentile,volume,track", "P,readmission,80,300,3", "P,PSI-90,40,100,3"]
    quality.write_text("\n".join(lines), encoding="utf-8")
    payment = pay("team", path, year=2026, quality=quality)
    assert payment.frame["composite_quality_score"].to_list() == [70]
    assert payment.frame["payment"].to_list() == pytest.approx([97_000])
    assert "composite_score" in payment.unverified
    quality.write_text("\n".join([*lines, "P,PSI-90,40,100,3"]), encoding="utf-8")
    with pytest.raises(DataError, match="PSI-90 of 'P' is here twice"):
        pay("team", path, year=2026, quality=quality)
    quality.write_text("\n".join([*lines, "P,falls,40,100,1"]), encoding="utf-8")
    with pytest.raises(DataError, match="'P' has two tracks"):
        pay("team", path, year=2026, quality=quality)


def test_a_track_that_the_year_does_not_have_is_refused(settle: Settle) -> None:
    with pytest.raises(DataError, match="track '2' is none of 2026: 1, 3"):
        settle("team", 2026, [(1, 1)], 50, track=2)


class TestJointReplacement:
    def test_the_published_stop_gain_example(self, settle: Settle) -> None:
        """Performance year 1: 150,000 of savings and a limit of 100,000 pay 100,000, and so do 100,000."""
        # Excellent: a discount of 1.5%; a target of 2,000,000 has its 5% limit at 100,000.
        price = 2_000_000 / 0.985
        payment = settle("cjr", 2016, [(price, 1_850_000)], 15)
        assert payment.frame["raw_reconciliation"][0] == pytest.approx(150_000)
        assert payment.frame["payment"][0] == pytest.approx(100_000)
        after = payment.what_if({"cost": "+50000"})
        assert after.frame["payment"][0] == pytest.approx(100_000)
        further = payment.what_if({"cost": "+60000"})
        assert further.frame["payment"][0] == pytest.approx(90_000)

    @pytest.mark.parametrize(
        ("score", "category", "payment"),
        [(4, "below", 0), (5, "acceptable", 70_000), (6.9, "good", 80_000), (15, "good", 80_000),
         (15.1, "excellent", 85_000)],
    )  # fmt: skip
    def test_the_quality_category_sets_the_discount(
        self, settle: Settle, score: float, category: str, payment: float
    ) -> None:
        result = settle("cjr", 2019, [(1_000_000, 900_000)], score)
        assert result.frame["quality_category"].to_list() == [category]
        assert result.frame["payment"].to_list() == pytest.approx([payment])
        assert result.unverified == ()

    @pytest.mark.parametrize(
        ("cells", "score"),
        [
            # Hospital 010023 of CMS's quality file of January 2024: 5.0 for HCAHPS, 9.25 for complications.
            (("86%", "47%", "N", "", ""), 14.25),
            (("95", "92", "Y", "", ""), 20),
            (("95", "92", "Y", "10", "10"), 20),  # held at the maximum
            (("35", "29", "N", "", ""), 5.5),
            (("35", "45", "N", "5", "45"), 5.5 + 5.0 + 1.0),  # three deciles more
            (("", "50", "N", "", ""), 7.0 + 5.6),  # too few cases: the middle
        ],
        ids=["published-row", "best", "capped", "below-the-30th", "improved", "few-cases"],
    )
    def test_quality_points(self, tmp_path: Path, cells: tuple[str, ...], score: float) -> None:
        path, quality = tmp_path / "episodes.csv", tmp_path / "quality.csv"
        path.write_text("participant_id,target_price,cost\nP,100,90\n", encoding="utf-8")
        header = "participant_id,complications_percentile,hcahps_percentile,pro_submitted,"
        header += "complications_percentile_before,hcahps_percentile_before"
        quality.write_text(header + "\nP," + ",".join(cells), encoding="utf-8")
        payment = pay("cjr", path, year=2019, quality=quality)
        assert payment.frame["composite_quality_score"].to_list() == pytest.approx([score])
        assert payment.unverified == ()

    def test_hospital_and_regional_prices_are_blended(self, tmp_path: Path) -> None:
        path, quality = tmp_path / "episodes.csv", tmp_path / "quality.csv"
        path.write_text("participant_id,hospital_price,regional_price,cost\nP,90,120,1\n", encoding="utf-8")
        quality.write_text("participant_id,composite_quality_score\nP,16\n", encoding="utf-8")
        for year, price in ((2017, 100), (2018, 110), (2019, 120)):
            payment = pay("cjr", path, year=year, quality=quality)
            assert payment.detail["target"].to_list() == pytest.approx([price])
            assert "regional_share" in payment.settlement.used
            assert payment.unverified == ()

    @pytest.mark.parametrize(
        ("year", "score", "cost", "rural", "payment"),
        [
            # 42 CFR 510.300(c), 510.305(e)(1)(v) and 510.315(f); a price of 1,000,000 before the discount.
            (2016, 5.9, 960_000, 0, 10_000),  # acceptable until 6.0 in performance year 1
            (2017, 6.9, 990_000, 0, 0),  # between 980,000 paid and 990,000 owed
            (2017, 4.9, 1_100_000, 0, -0.05 * 980_000),
            (2017, 15.1, 1_100_000, 1, -0.03 * 995_000),
            (2018, 15.1, 1_100_000, 1, -0.05 * 995_000),
            (2018, 5.0, 500_000, 0, 0.10 * 970_000),
            (2021, 15.1, 500_000, 0, 0.20 * 985_000),
            (2021, 5.0, 2_000_000, 1, -0.05 * 970_000),
        ],
        ids=str,
    )
    def test_discounts_and_limits_by_performance_year(
        self, settle: Settle, year: int, score: float, cost: float, rural: int, payment: float
    ) -> None:
        result = settle("cjr", year, [(1_000_000, cost)], score, rural=rural)
        assert result.frame["payment"][0] == pytest.approx(payment)
        # Two versions of the first year's categories are in the Federal Register.
        assert result.unverified == (("categories",) if year == 2016 else ())

    @pytest.mark.parametrize(
        ("score", "cost", "rural", "payment"),
        [
            # 42 CFR 510.315(f)(2) and 510.305(m)(1)(vii): 1.5 and 3 points off, limits of 20 and 5 percent.
            (5.0, 960_000, 0, 10_000),
            (6.9, 960_000, 0, 25_000),
            (15.1, 960_000, 0, 40_000),
            (15.1, 100_000, 0, 200_000),
            (6.9, 2_000_000, 0, -0.20 * 985_000),
            (6.9, 2_000_000, 1, -0.05 * 985_000),
        ],
        ids=str,
    )
    def test_the_years_of_the_extension(
        self, settle: Settle, score: float, cost: float, rural: int, payment: float
    ) -> None:
        result = settle("cjr", 2023, [(1_000_000, cost)], score, rural=rural)
        assert result.frame["payment"][0] == pytest.approx(payment)
        assert result.unverified == ("repayment_discount",)

    def test_costs_between_the_two_targets_pay_and_owe_nothing(self, settle: Settle) -> None:
        assert settle("cjr", 2018, [(1_000_000, 985_000)], 10).frame["payment"].to_list() == [0]

    def test_rural_hospitals_have_a_lower_loss_limit(self, settle: Settle) -> None:
        result = settle("cjr", 2019, [(1_000_000, 2_000_000)], 10, rural=1)
        assert result.frame["payment"][0] == pytest.approx(-0.05 * 980_000)


def test_break_even_and_refusals(settle: Settle, tmp_path: Path) -> None:
    payment = settle("bpci-advanced", 2020, [(100, 130), (100, 110)], 50)
    turn = payment.break_even("P").row(0, named=True)
    assert (turn["cost_change"], turn["change_per_episode"]) == (-40, -20)
    assert payment.what_if({"cost": "-20"}).frame["payment"].to_list() == [0]
    with pytest.raises(DataError, match="above 100"):
        settle("bpci-advanced", 2020, [(1, 1)], 101)
    with pytest.raises(DataError, match="below 0"):
        settle("bpci-advanced", 2020, [(1, -1)], 50)
    with pytest.raises(SpecError, match="the option quality"):
        pay("team", tmp_path / "episodes.csv", year=2026)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 3), st.floats(0, 1), st.floats(0, 100))
def test_higher_costs_never_pay_more_and_a_fifth_of_the_target_bounds_the_payment(
    cost: float, more: float, score: float
) -> None:
    paid = []
    for spent in (cost, cost + more):
        episodes = pl.DataFrame(
            {"participant_id": ["P"], "episode_category": ["x"], "target_price": [1.0], "cost": [spent],
             "winsor_low": [None], "winsor_high": [None], "natural_disaster": [False], "source_file": ["f"],
             "source_line": [1]},
            schema_overrides={"winsor_low": pl.Float64, "winsor_high": pl.Float64},
        )  # fmt: skip
        participants = pl.DataFrame({"participant_id": ["P"], "composite_quality_score": [score]})
        inputs = Inputs({"episodes": episodes, "participants": participants})
        paid.append(PROGRAM.settle(inputs, load_rules("bpci-advanced", 2020)).frame["payment"][0])
    assert paid[1] <= paid[0] + 1e-12
    assert all(abs(value) <= 0.2 + 1e-12 for value in paid)


@pytest.mark.parametrize(
    ("program", "year", "track", "least", "most"),
    [(TEAM, 2027, "1", 0.0, 0.10), (TEAM, 2027, "2", 0.05, 0.05), (TEAM, 2027, "3", 0.20, 0.20),
     (JOINTS, 2016, None, 0.0, 0.05), (JOINTS, 2019, None, 0.20, 0.20)],
    ids=["team-1", "team-2", "team-3", "cjr-2016", "cjr-2019"],
)  # fmt: skip
@settings(max_examples=25, deadline=None)
@given(spent=st.floats(0, 3), more=st.floats(0, 1), score=st.floats(0, 1), better=st.floats(0, 1))
def test_costs_never_raise_and_quality_never_lowers_what_a_bundle_pays(
    program: Bundle, year: int, track: str | None, least: float, most: float, spent: float, more: float,
    score: float, better: float,
) -> None:  # fmt: skip
    rules = load_rules(program.name, year)

    def paid(cost: float, quality: float) -> float:
        episodes = pl.DataFrame(
            {"participant_id": ["P"], "episode_category": ["x"], "target_price": [1.0], "cost": [cost],
             "winsor_low": [None], "winsor_high": [None], "natural_disaster": [False], "source_file": ["f"],
             "source_line": [1]},
            schema_overrides={"winsor_low": pl.Float64, "winsor_high": pl.Float64},
        )  # fmt: skip
        participants = pl.DataFrame(
            {"participant_id": ["P"], "composite_quality_score": [quality * program.maximum_score],
             "rural": [False], "track": [track]},
            schema_overrides={"track": pl.String},
        )  # fmt: skip
        inputs = Inputs({"episodes": episodes, "participants": participants})
        return float(program.settle(inputs, rules).frame["payment"][0])

    payment = paid(spent, score)
    assert paid(spent + more, score) <= payment + 1e-12
    # At the loss limit of CJR, a share of a price that rises with quality, better quality owes a little more.
    if payment > -0.97 * least or program is TEAM:
        assert paid(spent, min(1.0, score + better)) >= payment - 1e-12
    assert -least - 1e-12 <= payment <= most + 1e-12
