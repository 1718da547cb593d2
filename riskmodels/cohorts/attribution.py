"""Who answers for a patient: the provider of the plurality of primary care, in two steps.

42 CFR 425.402(b): (1) a physician of the provider has given a primary care service; (3) of patients with a
service of a primary care physician, nurse practitioner, clinical nurse specialist or physician assistant,
the provider whose such clinicians have the largest allowed charges for primary care services; (4) of the
others, the provider whose physicians of the specialties in 425.402(c) have. The facility of discharge needs
no computing: it is `facility_id` of the index cases.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import polars as pl

from riskmodels.cohorts.primary_care import (
    NON_PHYSICIANS,
    PRIMARY_CARE,
    PRIMARY_CARE_SERVICES,
    SPECIALISTS,
)
from riskmodels.engines import Engine, LocalEngine, Tables
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.history import History

__all__ = [
    "ATTRIBUTED",
    "ATTRIBUTION",
    "assignment_window",
    "attribute",
    "attribute_cases",
    "plurality",
    "primary_care_services",
]

logger = logging.getLogger(__name__)

ATTRIBUTED = "attributed_provider"
ATTRIBUTION: dict[str, pl.DataType | type[pl.DataType]] = {
    ATTRIBUTED: pl.String,
    "step": pl.Int8,
    "charges": pl.Float64,
    "services": pl.Int32,
    "last_service": pl.Date,
}
PROVIDERS = ("provider_id", "facility_id")
SERVICE_KINDS = ("office", "outpatient", "home_health", "snf")

Services = Literal["hcpcs", "office"]
Window = Literal["prospective", "retrospective"]


def assignment_window(year: int, window: Window = "retrospective") -> tuple[date, date]:
    """Return the first and last day of the services that attribute patients for a performance year.

    Retrospective assignment looks at the performance year itself, prospective assignment at the 12 months
    that ended on 30 September before it (42 CFR 425.400(a)). The 24 months of a third step, which began with
    2025, are not looked at.

    >>> assignment_window(2024, "prospective")
    (datetime.date(2022, 10, 1), datetime.date(2023, 9, 30))
    """
    if window == "retrospective":
        return date(year, 1, 1), date(year, 12, 31)
    if window == "prospective":
        return date(year - 2, 10, 1), date(year - 1, 9, 30)
    raise SpecError(f"window is {window!r}. {did_you_mean(str(window), ('prospective', 'retrospective'))}")


def attribute(
    history: History,
    first: date,
    last: date,
    *,
    provider: str = "provider_id",
    services: Services = "hcpcs",
    specialties: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    engine: Engine | None = None,
) -> pl.DataFrame:
    """Attribute patients to providers by the plurality of primary care in a window.

    Parameters
    ----------
    history : History
    first, last : date
        The window, both days included: see `assignment_window`.
    provider : {'provider_id', 'facility_id'}
        Whose services are added up.
    services : {'hcpcs', 'office'}
        What a primary care service is: an encounter with one of `PRIMARY_CARE_SERVICES`, or any office visit.
    specialties : mapping, optional
        Medicare specialty code by provider. Without it everyone counts as a primary care physician, and
        there is no second step; a provider it does not name counts in neither step.
    groups : mapping, optional
        The ACO, practice or TIN of each provider. A provider it does not name stands for itself.
    engine : Engine, optional
        Where the shards are read: see `riskmodels.engines`. Default: here.

    Returns
    -------
    DataFrame of person_id, and the columns of `ATTRIBUTION`
        One row a patient who was attributed, sorted by person_id. `charges` are the allowed amounts of the
        encounters (paid ones where the history has no allowed amount, the number of services where it has
        none at all).

    Raises
    ------
    SpecError
        The history has no primary care service of a known provider.
    """
    found = primary_care_services(
        history, provider=provider, services=services, specialties=specialties, groups=groups, engine=engine
    )
    inside = found.filter(pl.col("day").is_between(first, last))
    return plurality(inside, "person_id").sort("person_id")


def attribute_cases(
    cases: pl.DataFrame,
    history: History,
    *,
    days: int = 365,
    services: Services | None = None,
    engine: Engine | None = None,
    **options: Any,
) -> pl.DataFrame:
    """Add the columns of `ATTRIBUTION` to index cases, from services on the days before each index time.

    This is prospective: nothing of the follow-up decides who answers for the patient.

    Parameters
    ----------
    cases : DataFrame
        Index cases; rows keep their order, and are null where nobody can be made to answer.
    days : int
        How far to look back.
    services : {'hcpcs', 'office'}, optional
        See `attribute`. Default: by codes where the history has any of `PRIMARY_CARE_SERVICES`.
    options
        As of `attribute`.
    """
    if services is None:
        coded = _primary_care_codes(history.vocabulary).len()
        services = "hcpcs" if coded else "office"
        logger.info("attributing by %s", "primary care codes" if coded else "office visits")
    found = primary_care_services(history, services=services, engine=engine, **options)
    numbered = cases.with_row_index("case")
    window = numbered.select("case", "person_id", index_day=pl.col("index_time").dt.date()).join(
        found, on="person_id"
    )
    first = pl.col("index_day") - pl.duration(days=days)
    before = window.filter((pl.col("day") >= first) & (pl.col("day") < pl.col("index_day")))
    attributed = plurality(before, "case")
    return numbered.join(attributed, on="case", how="left", maintain_order="left").drop("case")


def primary_care_services(
    history: History,
    *,
    provider: str = "provider_id",
    services: Services = "hcpcs",
    specialties: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    engine: Engine | None = None,
) -> pl.DataFrame:
    """Return each primary care service: person_id, day, entity, clinician, charge.

    `clinician` is ``primary``, ``non_physician`` or ``specialist``; services of others do not count. See
    `attribute`.
    """
    if provider not in PROVIDERS:
        raise SpecError(f"provider is {provider!r}. {did_you_mean(provider, PROVIDERS)}")
    if services not in ("hcpcs", "office"):
        raise SpecError(f"services is {services!r}. {did_you_mean(services, ('hcpcs', 'office'))}")
    runs = (engine or LocalEngine()).run(
        _ShardServices(history, provider, services),
        dict.fromkeys(range(history.n_shards)),
        "Finding primary care",
    )
    found = pl.concat([tables["services"] for _, tables in runs])
    if found.is_empty():
        other = (
            "use services 'office' for all office visits"
            if services == "hcpcs"
            else "ingest professional claims"
        )
        raise SpecError(
            f"{history.path} has no primary care service with a {provider} (services: {services}).\nFix: "
            f"{other}, or another provider column ({' or '.join(PROVIDERS)})."
        )
    found = found.with_columns(charge=_charge(found))
    clinician = pl.lit("primary")
    if specialties is not None:
        code = pl.col("provider").replace_strict(dict(specialties), default=None, return_dtype=pl.String)
        clinician = (
            pl.when(code.is_in(list(PRIMARY_CARE)))
            .then(pl.lit("primary"))
            .when(code.is_in(list(NON_PHYSICIANS)))
            .then(pl.lit("non_physician"))
            .when(code.is_in(list(SPECIALISTS)))
            .then(pl.lit("specialist"))
        )
    entity = pl.col("provider") if groups is None else pl.col("provider").replace(dict(groups))
    return (
        found.with_columns(clinician=clinician, entity=entity)
        .filter(pl.col("clinician").is_not_null())
        .select("person_id", "day", "entity", "clinician", "charge")
    )


def plurality(services: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return for each value of `key` the entity with the plurality of primary care, by the two steps.

    Of equal charges the more recent service of a primary care clinician counts, then the more recent one of a
    specialist, as CMS breaks ties; then the name.
    """
    primary = pl.col("clinician").is_in(["primary", "non_physician"])
    sums = services.group_by(key, "entity").agg(
        physician=(pl.col("clinician") != "non_physician").any(),
        primary_care=primary.any(),
        primary_charges=pl.col("charge").filter(primary).sum(),
        other_charges=pl.col("charge").filter(~primary).sum(),
        last_primary=pl.col("day").filter(primary).max(),
        last_other=pl.col("day").filter(~primary).max(),
        primary_services=primary.sum(),
        other_services=(~primary).sum(),
    )
    first_step = pl.col("primary_care").any().over(key)
    sums = sums.with_columns(
        step=pl.when(first_step).then(1).otherwise(2).cast(pl.Int8),
        charges=pl.when(first_step).then("primary_charges").otherwise("other_charges"),
        services=pl.when(first_step).then("primary_services").otherwise("other_services"),
        last_service=pl.when(first_step).then("last_primary").otherwise("last_other"),
    ).filter(pl.col("services") > 0)
    best = sums.sort(
        key,
        "charges",
        "last_primary",
        "last_other",
        "entity",
        descending=[False, True, True, True, False],
        nulls_last=True,
    ).unique(key, keep="first", maintain_order=True)
    # A provider none of whose physicians has seen the patient cannot answer for them: nor can the next one.
    chosen = best.filter("physician").rename({"entity": ATTRIBUTED})
    return chosen.select(key, *(pl.col(name).cast(dtype) for name, dtype in ATTRIBUTION.items()))


@dataclass(frozen=True)
class _ShardServices:
    """The primary care services of the shards of a history."""

    history: History
    provider: str
    services: Services

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        shard = self.history.shard(number)
        chosen = shard.encounter.filter(pl.col(self.provider).is_not_null())
        if self.services == "office":
            chosen = chosen.filter(pl.col("kind") == "office")
        else:
            codes = _primary_care_codes(self.history.vocabulary)
            told = shard.event.filter((pl.col("kind") == "procedure") & pl.col("code").is_in(codes.implode()))
            chosen = chosen.filter(
                pl.col("kind").is_in(SERVICE_KINDS)
                & pl.col("encounter").is_in(told["encounter"].drop_nulls().unique().implode())
            )
        people = shard.person.select("person", "person_id")
        found = chosen.join(people, on="person", maintain_order="left")
        return {
            "services": found.select(
                "person_id", "allowed", "paid", day=pl.col("start").dt.date(), provider=self.provider
            )
        }


def _primary_care_codes(vocabulary: pl.DataFrame) -> pl.Series:
    hcpcs = pl.col("code_system") == "HCPCS"
    return vocabulary.filter(hcpcs & pl.col("code_text").is_in(list(PRIMARY_CARE_SERVICES)))["code"]


def _charge(found: pl.DataFrame) -> pl.Series:
    for amount in ("allowed", "paid"):
        if found[amount].null_count() < found.height:
            return found[amount].fill_null(0.0)
    return pl.ones(found.height, pl.Float64, eager=True)
