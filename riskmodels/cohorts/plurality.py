"""Who gave most of the primary care: the three steps of 42 CFR 425.402(b).

A provider here is whoever can answer for a patient: a clinician, a practice, an ACO.

Before them, (b)(1): a physician of the provider, of primary care or of a specialty in 425.402(c), has given a
primary care service in the assignment window. Then, with allowed charges for primary care services,

1. of patients with a service of a primary care physician, nurse practitioner, clinical nurse specialist or
   physician assistant, the provider whose such clinicians have the largest charges, (b)(3);
2. of the others, the provider whose physicians of the specialties in 425.402(c) have, (b)(4);
3. since 2025, (b)(5), of patients whom the first two give to nobody, the provider (i) one of whose nurse
   practitioners, clinical nurse specialists or physician assistants has given a service in the assignment
   window, though none of its physicians has, (ii) one of whose physicians has in the expanded window, the
   12 months before included, and (iv) whose clinicians of all these kinds have the largest charges in the
   expanded window.

That a patient was "not identified by the criterion in (b)(1)" is read provider by provider, as (b)(1)
speaks of "the ACO": a patient whom a physician of another provider has seen can be assigned in the third
step. The regulation does not say what happens to a patient whom the third step would give to one and an
earlier step has given to another; here the earlier step decides (unverified).
"""

from collections.abc import Collection

import polars as pl

__all__ = ["ATTRIBUTED", "ATTRIBUTION", "plurality"]

ATTRIBUTED = "attributed_provider"
ATTRIBUTION: dict[str, pl.DataType | type[pl.DataType]] = {
    ATTRIBUTED: pl.String,
    "step": pl.Int8,
    "charges": pl.Float64,
    "services": pl.Int32,
    "last_service": pl.Date,
}


def plurality(
    services: pl.DataFrame,
    key: str,
    *,
    earlier: pl.DataFrame | None = None,
    accountable: Collection[str] | None = None,
) -> pl.DataFrame:
    """Return for each value of `key` the provider with the plurality of primary care.

    Of equal charges the more recent service of a primary care clinician counts, then the more recent one of
    a specialist, then the name. The regulation asks for charges that are greater than all others' and has
    no rule for ties; this one follows what CMS's specifications are said to do (unverified).

    Parameters
    ----------
    services : DataFrame of `key`, day, entity, clinician, charge
        Those in the assignment window: see `riskmodels.cohorts.care.primary_care_services`.
    earlier : DataFrame, optional
        Those of the 12 months before it. With them there is a third step.
    accountable : collection of str, optional
        The only ones that patients can be given to (the ACOs); a patient whose plurality is with another is
        given to nobody by that step.

    Returns
    -------
    DataFrame of `key` and the columns of `ATTRIBUTION`
    """
    chosen = _first_two_steps(services, key, accountable)
    if earlier is not None:
        left = pl.concat(
            [
                services.with_columns(inside=pl.lit(True)),
                earlier.select(services.columns).with_columns(inside=pl.lit(False)),
            ]
        ).join(chosen, on=key, how="anti")
        chosen = pl.concat([chosen, _third_step(left, key, accountable)])
    return chosen


def _first_two_steps(services: pl.DataFrame, key: str, accountable: Collection[str] | None) -> pl.DataFrame:
    primary = pl.col("clinician").is_in(["primary", "non_physician"])
    # Columns first, and plain sums and maxima by group: many times faster than filters within each group.
    sums = (
        services.select(
            key,
            "entity",
            meets=pl.col("clinician") != "non_physician",
            primary_charges=pl.when(primary).then("charge").otherwise(0.0),
            other_charges=pl.when(primary).then(0.0).otherwise("charge"),
            last_primary=pl.when(primary).then("day"),
            last_other=pl.when(~primary).then("day"),
            primary_services=primary.cast(pl.Int32),
            other_services=(~primary).cast(pl.Int32),
        )
        .group_by(key, "entity")
        .agg(
            pl.col("meets", "last_primary", "last_other").max(),
            pl.col("primary_charges", "other_charges").sum().round(2),  # equal to the cent is equal
            pl.col("primary_services", "other_services").sum(),
        )
        .with_columns(primary_care=pl.col("primary_services") > 0)
    )
    first_step = pl.col("primary_care").any().over(key)
    sums = sums.with_columns(
        step=pl.when(first_step).then(1).otherwise(2),
        charges=pl.when(first_step).then("primary_charges").otherwise("other_charges"),
        services=pl.when(first_step).then("primary_services").otherwise("other_services"),
        last_service=pl.when(first_step).then("last_primary").otherwise("last_other"),
    ).filter(pl.col("services") > 0)
    return _largest(sums, key, accountable)


def _third_step(services: pl.DataFrame, key: str, accountable: Collection[str] | None) -> pl.DataFrame:
    physician, inside = pl.col("clinician") != "non_physician", pl.col("inside")
    specialist = pl.col("clinician") == "specialist"
    sums = (
        services.select(
            key,
            "entity",
            "charge",
            "day",
            physician=physician,
            seen=physician & inside,
            nurse=~physician & inside,
            last_primary=pl.when(~specialist).then("day"),
            last_other=pl.when(specialist).then("day"),
        )
        .group_by(key, "entity")
        .agg(
            pl.col("physician", "seen", "nurse", "last_primary", "last_other").max(),
            charges=pl.col("charge").sum().round(2),
            services=pl.len(),
            last_service=pl.col("day").max(),
        )
        .with_columns(meets=pl.col("nurse") & pl.col("physician") & ~pl.col("seen"))
    )
    return _largest(sums.with_columns(step=3), key, accountable)


def _largest(sums: pl.DataFrame, key: str, accountable: Collection[str] | None) -> pl.DataFrame:
    """Return the row with the largest charges of each `key`, where its provider meets the conditions."""
    best = sums.sort(
        key,
        "charges",
        "last_primary",
        "last_other",
        "entity",
        descending=[False, True, True, True, False],
        nulls_last=True,
    ).unique(key, keep="first", maintain_order=True)
    # A provider that does not meet them cannot answer for the patient, and the next one has less.
    chosen = best.filter("meets")
    if accountable is not None:
        chosen = chosen.filter(pl.col("entity").is_in(list(accountable)))
    chosen = chosen.rename({"entity": ATTRIBUTED})
    return chosen.select(key, *(pl.col(name).cast(dtype) for name, dtype in ATTRIBUTION.items()))
