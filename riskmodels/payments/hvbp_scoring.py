"""Points, domain scores and total of the Hospital Value-Based Purchasing Program (42 CFR 412.165)."""

import polars as pl

from riskmodels.payments.hvbp_inputs import DOMAINS
from riskmodels.payments.rounding import round_half_up
from riskmodels.payments.rules import Rules

__all__ = [
    "combined_strata",
    "domain_scores",
    "measure_points",
    "strata_weight",
    "survey_scores",
    "total_scores",
]

PERSON = "person_and_community_engagement"
STRATA = ("HAI-3", "HAI-4")
COMBINED, BASE, CONSISTENCY = "Combined SSI", "HCAHPS Base Score", "HCAHPS Consistency Score"


def measure_points(measures: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return the measures with `achievement_points`, `improvement_points` and `measure_score`.

    Achievement: ``9 × (rate − threshold) / (benchmark − threshold) + 0.5``, 1 to 9; 10 from the benchmark on,
    0 short of the threshold. Improvement: ``10 × (rate − baseline) / (benchmark − baseline) − 0.5``, 0 to 9.
    Both to the nearest whole point. Lower is better where the benchmark is below the threshold.
    """
    achieve, improve = rules["achievement_points"], rules["improvement_points"]
    rate, t, b = pl.col("performance_rate"), pl.col("achievement_threshold"), pl.col("benchmark")
    base = pl.col("baseline_rate")
    sign = (b - t).sign()
    raw = round_half_up(achieve["scale"] * (rate - t) / (b - t) + achieve["offset"], 0)
    achievement = (
        pl.when(rate.is_null()).then(None)
        .when(sign * (rate - b) >= 0).then(float(achieve["benchmark"]))
        .when(sign * (rate - t) < 0).then(0.0)
        .otherwise(raw.clip(achieve["lowest"], achieve["highest"]))
    )  # fmt: skip
    risen = round_half_up(improve["scale"] * (rate - base) / (b - base) + improve["offset"], 0)
    improvement = (
        pl.when(rate.is_null() | base.is_null()).then(None)
        .when(sign * (rate - base) <= 0).then(0.0)
        .when(sign * (rate - b) >= 0).then(float(improve["highest"]))
        .otherwise(risen.clip(improve["lowest"], improve["highest"]))
    )  # fmt: skip
    return measures.with_columns(
        achievement.alias("achievement_points"), improvement.alias("improvement_points")
    ).with_columns(pl.max_horizontal("achievement_points", "improvement_points").alias("measure_score"))


def strata_weight(hospitals: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """Return the weight of HAI-3 in the combined score, as far as the published combined score tells it.

    CMS weights the two surgical-site strata by predicted infections, which it does not publish. The weight
    is the one that gives the published score; a what-if holds it.
    """
    first, second = (
        points.filter(pl.col("measure") == stratum).select(
            "facility_id", pl.col("measure_score").alias(stratum)
        )
        for stratum in STRATA
    )
    both = hospitals.join(first, on="facility_id", how="left", maintain_order="left")
    both = both.join(second, on="facility_id", how="left", maintain_order="left")
    a, b = (pl.col(stratum) for stratum in STRATA)
    alike = (a == b) | pl.col("combined").is_null()
    weight = pl.when(alike).then(0.5).otherwise((pl.col("combined") - b) / (a - b))
    return both.with_columns(weight.alias("strata_weight")).drop(*STRATA, "combined")


def combined_strata(points: pl.DataFrame, hospitals: pl.DataFrame) -> pl.DataFrame:
    """Return the score of surgical-site infections: of both strata by weight, or of the one there is."""
    strata = points.filter(pl.col("measure").is_in(STRATA)).join(
        hospitals.select("facility_id", "strata_weight"), on="facility_id", maintain_order="left"
    )
    weight = (
        pl.when(pl.col("measure") == STRATA[0]).then("strata_weight").otherwise(1 - pl.col("strata_weight"))
    )
    score, known = pl.col("measure_score"), pl.col("measure_score").is_not_null()
    one = score.max()
    two = round_half_up((score * pl.col("weight")).sum(), 0)
    return (
        strata.with_columns(weight.alias("weight"))
        .group_by("facility_id", maintain_order=True)
        .agg(
            pl.when(known.sum() == 2).then(two).otherwise(one).alias("measure_score"),
            pl.col("domain", "source_file", "source_line").first(),
        )
        .with_columns(pl.lit(COMBINED).alias("measure"))
    )


def domain_scores(scored: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return points earned over points possible, times 100, for hospitals with the minimum of measures."""
    enough = pl.col("domain").replace_strict(rules["minimum_measures"], return_dtype=pl.Int64)
    return (
        scored.group_by("facility_id", "domain", maintain_order=True)
        .agg(pl.col("measure_score").mean() * 10, pl.col("measure_score").count().alias("count"))
        .select(
            "facility_id", "domain", pl.when(pl.col("count") >= enough).then("measure_score").alias("score")
        )
    )


def survey_scores(points: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the engagement domain score, base plus consistency points, and the two as rows of detail."""
    rule = rules["consistency_points"]
    reach = (pl.col("performance_rate") - pl.col("floor")) / (
        pl.col("achievement_threshold") - pl.col("floor")
    )
    rated = pl.col("measure_score").null_count() == 0
    consistency = round_half_up(rule["scale"] * pl.col("reach").min() + rule["offset"], 0).clip(
        0, rule["highest"]
    )
    wide = (
        points.filter(pl.col("domain") == PERSON)
        .with_columns(reach.alias("reach"))
        .group_by("facility_id", maintain_order=True)
        .agg(
            pl.when(rated).then(pl.col("measure_score").sum()).alias(BASE),
            pl.when(rated).then(consistency).alias(CONSISTENCY),
            pl.col("domain", "source_file", "source_line").first(),
        )
    )
    score = wide.select("facility_id", "domain", (pl.col(BASE) + pl.col(CONSISTENCY)).alias("score"))
    rows = wide.unpivot([BASE, CONSISTENCY], index=["facility_id", "domain", "source_file", "source_line"],
                        variable_name="measure", value_name="measure_score")  # fmt: skip
    return score, rows


def total_scores(
    hospitals: pl.DataFrame, domains: pl.DataFrame, rules: Rules, *, complete: bool = True
) -> pl.DataFrame:
    """Return domain scores, their weighted parts and the total; missing domains share out their weight.

    Parameters
    ----------
    complete : bool
        Whether the files of all domains were given. If not, a domain without a score may have one in a file
        that is not there, and no hospital has a total.
    """
    wide = domains.pivot(on="domain", on_columns=list(DOMAINS), index="facility_id", values="score")
    frame = hospitals.select("facility_id", "base_operating_payments").join(
        wide, on="facility_id", how="left", maintain_order="left"
    )
    weights = rules["domain_weights"]
    present = [pl.when(pl.col(name).is_not_null()).then(weights[name]).otherwise(0.0) for name in DOMAINS]
    scores = pl.sum_horizontal(pl.col(name).is_not_null() for name in DOMAINS)
    enough = (scores >= rules["minimum_domains"]) & complete
    weighted = [
        pl.when(enough)
        .then(pl.col(name) * weights[name] / pl.sum_horizontal(present))
        .alias(f"{name}_weighted")
        for name in DOMAINS
    ]
    frame = frame.with_columns(weighted)
    total = pl.sum_horizontal(f"{name}_weighted" for name in DOMAINS)
    scored = pl.any_horizontal(pl.col(f"{name}_weighted").is_not_null() for name in DOMAINS)
    return frame.with_columns(pl.when(scored).then(total).alias("total_performance_score"))
