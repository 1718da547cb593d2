"""Compare a history with what is plausible: rates beside published ones, codes, claim lag, run-out."""

import tomllib
from datetime import date
from importlib.resources import files

import polars as pl

from riskmodels.history.checks import SHAPES
from riskmodels.history.opening import History, Shard
from riskmodels.history.plausibility import RUN_OUT_MONTHS, Plausibility
from riskmodels.history.quality import FEWEST_SHOWN
from riskmodels.history.rates import AGE_BANDS, RATES, months_before, rates, recording, volume
from riskmodels.progress import track
from riskmodels.terminology import load_grouper

__all__ = ["OLD", "by_year", "compare_with_usual"]

FEWEST = FEWEST_SHOWN
OUTSIDE = 0.25  # of the published range, before a rate is pointed out
EXAMPLES = 5
USUAL_MONTHS = 12
FEWEST_A_MONTH = 30
COUNTS = ("members", "admissions", "ed_visits", "returns", "deaths")
OLD = [f"{AGE_BANDS[0]}-{AGE_BANDS[1] - 1}", f"{AGE_BANDS[1]}-{AGE_BANDS[2] - 1}", f"{AGE_BANDS[2]} and over"]
# Diagnoses are known if they belong to a chapter; codes of other systems if they have their system's shape.
CLASSIFIED = {"ICD9CM": "chapters", "ICD10CM": "chapters"}


def compare_with_usual(history: History) -> Plausibility:
    """Compare a history with what is plausible, one shard at a time.

    Parameters
    ----------
    history : History
        Opened with ``as_of``, only what was known then is looked at.
    """
    vocabulary = history.vocabulary.with_columns(odd=_odd(history.vocabulary))
    counted, lags, volumes, coded, covered = [], [], [], [], []
    for shard in track(history.shards(), "Comparing with what is usual", total=history.n_shards):
        counted.append(rates(shard))
        lags.append(recording(shard.encounter))
        volumes.append(volume(shard.encounter))
        coded.append(_codes(shard, vocabulary))
        covered += shard.coverage.select(pl.col("end_date").max()).to_series().to_list()
    table = by_year(pl.concat(counted))
    codes = pl.concat(coded).group_by("kind", "code").agg(pl.col("rows", "persons").sum())
    codes = codes.join(vocabulary, on="code")
    encounters = pl.concat(volumes).group_by("kind", "month").agg(pl.col("encounters").sum())
    return Plausibility(
        rates=table,
        compared=_compared(table),
        codes=_shares(codes),
        examples=_examples(codes),
        lag=_lag(pl.concat(lags), encounters),
        run_out=_run_out(encounters, _last_month(covered)),
    )


def _last_month(covered: list[date | None]) -> date | None:
    """Return the first day of the last month of coverage, which stray later encounters do not move."""
    known = [day for day in covered if day is not None]
    return max(known).replace(day=1) if known else None


def by_year(counted: pl.DataFrame) -> pl.DataFrame:
    """Add up bands and shards, and return rates with small cells taken out."""
    old = counted.filter(pl.col("band").is_in(OLD)).with_columns(band=pl.lit("65 and over"))
    every = counted.with_columns(band=pl.lit("all"))
    sums = (
        pl.concat([counted, old, every])
        .group_by("year", "band")
        .agg(pl.col(name).sum() for name in RATES)
        .sort("year", "band")
    )
    years, enough = pl.col("member_years"), pl.col("members") >= FEWEST
    sums = sums.with_columns(_withheld(name).alias(f"no {name}") for name in COUNTS)

    def shown(name: str, of: pl.Expr, times: float) -> pl.Expr:
        visible = enough & (of > 0) & ~pl.col(f"no {name}")
        return pl.when(visible).then(pl.col(name) / of * times).alias(name)

    return sums.filter(enough & ~pl.col("no members")).select(
        "year",
        "band",
        years.round(1).alias("member_years"),
        "members",
        shown("admissions", years, 1000),
        shown("ed_visits", years, 1000),
        pl.when(pl.col("discharges") >= FEWEST)
        .then(shown("returns", pl.col("discharges"), 100))
        .alias("returns"),
        shown("deaths", years, 1000),
        pl.when(enough & (years > 0)).then(pl.col("spent") / years / 12).alias("spent"),
    )


def _withheld(name: str) -> pl.Expr:
    """Say of each band of a year whether its count is 1 to 10, or would give such a count by subtraction.

    Where a band of the old is small, all of them are withheld and their sum is shown; where those under 65
    are few, the sum over all ages is withheld, which they could be worked out from.
    """
    count, band = pl.col(name), pl.col("band")
    small = (count > 0) & (count < FEWEST)

    def any_small(*bands: str) -> pl.Expr:
        return (small & band.is_in(bands)).any().over("year")

    return (
        small | (band.is_in(OLD) & any_small(*OLD)) | ((band == "all") & any_small("under 65", "65 and over"))
    )


def _compared(table: pl.DataFrame) -> pl.DataFrame:
    known = tomllib.loads((files("riskmodels.history") / "references.toml").read_text(encoding="utf-8"))
    columns = {
        "admissions_65": ("65 and over", "admissions"),
        "admissions_65_74": ("65-74", "admissions"),
        "ed_visits_65": ("65 and over", "ed_visits"),
        "returns": ("65 and over", "returns"),
        "deaths_65": ("65 and over", "deaths"),
    }
    rows = [
        (known[name]["label"], year, value, known[name]["low"], known[name]["high"], known[name]["source"])
        for name, (band, column) in columns.items()
        for year, value in table.filter(pl.col("band") == band).select("year", column).drop_nulls().rows()
    ]
    frame = pl.DataFrame(
        rows,
        schema={
            "measure": pl.String,
            "year": pl.Int32,
            "value": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
            "source": pl.String,
        },
        orient="row",
    )
    verdict = (
        pl.when(pl.col("value") < pl.col("low") * (1 - OUTSIDE))
        .then(pl.lit("below"))
        .when(pl.col("value") > pl.col("high") * (1 + OUTSIDE))
        .then(pl.lit("above"))
        .otherwise(pl.lit("as published"))
    )
    return frame.with_columns(verdict=verdict)


def _odd(vocabulary: pl.DataFrame) -> pl.Series:
    """Say of each code whether no table, or not even the shape of its system, knows it."""
    plain = pl.col("code_text").str.replace_all(".", "", literal=True)
    odd = pl.lit(False)
    for system, shape in SHAPES.items():
        odd = pl.when(pl.col("code_system") == system).then(~plain.str.contains(shape)).otherwise(odd)
    found = vocabulary.select(odd.alias("odd"))["odd"]
    for system, table in CLASSIFIED.items():
        rows = load_grouper(table).assign(vocabulary["code_system"], vocabulary["code_text"])["row"].unique()
        known = pl.int_range(vocabulary.height, dtype=pl.UInt32, eager=True).is_in(rows.implode())
        found |= (vocabulary["code_system"] == system) & ~known
    return found


def _codes(shard: Shard, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return rows of events by kind and code, and the persons of the odd ones."""
    events = shard.event.select("person", "kind", "code").with_columns(pl.col("kind").cast(pl.String))
    rows = events.group_by("kind", "code").agg(rows=pl.len().cast(pl.Int64))
    strange = vocabulary.filter("odd")["code"]
    persons = (
        events.filter(pl.col("code").is_in(strange.implode()))
        .group_by("kind", "code")
        .agg(persons=pl.col("person").n_unique().cast(pl.Int64))
    )
    return rows.join(persons, on=["kind", "code"], how="left").with_columns(pl.col("persons").fill_null(0))


def _shares(codes: pl.DataFrame) -> pl.DataFrame:
    unmapped = pl.col("rows").filter("odd").sum()
    return (
        codes.group_by("kind", "code_system")
        .agg(pl.col("rows").sum(), unmapped=unmapped)
        .with_columns(share=pl.col("unmapped") / pl.col("rows"))
        .with_columns(
            unmapped=pl.when((pl.col("unmapped") == 0) | (pl.col("unmapped") >= FEWEST)).then("unmapped")
        )
        .with_columns(share=pl.when(pl.col("unmapped").is_not_null()).then("share"))
        .sort("kind", "code_system")
    )


def _examples(codes: pl.DataFrame) -> pl.DataFrame:
    return (
        codes.filter(pl.col("odd") & (pl.col("persons") >= FEWEST))
        .sort("rows", "code_text", descending=[True, False])
        .group_by("kind", "code_system", maintain_order=True)
        .head(EXAMPLES)
        .select("kind", "code_system", code="code_text", rows="rows")
        .sort("kind", "code_system", "rows", descending=[False, False, True])
    )


def _lag(lags: pl.DataFrame, encounters: pl.DataFrame) -> pl.DataFrame:
    total = encounters.group_by("kind").agg(pl.col("encounters").sum())
    days = lags.group_by("kind", "days").agg(known=pl.col("encounters").sum()).sort("kind", "days")
    so_far = pl.col("known").cum_sum().over("kind") / pl.col("known").sum().over("kind")
    days = days.with_columns(so_far=so_far)
    within = pl.col("known").filter(pl.col("days") <= 90).sum()
    summed = days.group_by("kind").agg(
        pl.col("known").sum(),
        median=pl.col("days").filter(pl.col("so_far") >= 0.5).min(),
        p90=pl.col("days").filter(pl.col("so_far") >= 0.9).min(),
        within_90_days=within / pl.col("known").sum(),
    )
    return (
        total.join(summed, on="kind", how="left")
        .with_columns(pl.col("known").fill_null(0))
        .filter((pl.col("encounters") >= FEWEST) & ((pl.col("known") == 0) | (pl.col("known") >= FEWEST)))
        .sort("kind")
        .select("kind", "encounters", "known", "median", "p90", "within_90_days")
    )


def _run_out(encounters: pl.DataFrame, covered_to: date | None) -> pl.DataFrame:
    last = encounters["month"].max()
    schema = {
        "kind": pl.String,
        "month": pl.Date,
        "encounters": pl.Int64,
        "usual": pl.Float64,
        "share": pl.Float64,
    }
    if not isinstance(last, date):
        return pl.DataFrame(schema=schema)
    last = last if covered_to is None else min(last, covered_to)
    recent = months_before(last, RUN_OUT_MONTHS - 1)
    usual_from = months_before(last, RUN_OUT_MONTHS + USUAL_MONTHS - 1)
    before = encounters.filter((pl.col("month") >= usual_from) & (pl.col("month") < recent))
    usual = before.group_by("kind").agg(usual=pl.col("encounters").sum() / USUAL_MONTHS)
    months = [months_before(last, back) for back in range(RUN_OUT_MONTHS - 1, -1, -1)]
    grid = usual.filter(pl.col("usual") >= FEWEST_A_MONTH).join(pl.DataFrame({"month": months}), how="cross")
    seen = grid.join(encounters, on=["kind", "month"], how="left").with_columns(
        pl.col("encounters").fill_null(0)
    )
    small = (pl.col("encounters") > 0) & (pl.col("encounters") < FEWEST)
    return (
        seen.with_columns(share=pl.col("encounters") / pl.col("usual"))
        .with_columns(pl.when(~small).then(pl.col("encounters", "share")))
        .sort("kind", "month")
        .select(*schema)
    )
