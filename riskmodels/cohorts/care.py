"""The primary care services in a history: whose they are, and what was allowed for them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from riskmodels.cohorts.primary_care import (
    ADD_ON,
    ADVANCE_CARE_PLANNING,
    ELECTING_TEACHING,
    NON_PHYSICIANS,
    NURSING_FACILITY,
    PRIMARY_CARE,
    SPECIALISTS,
    excluded_in_hospital,
    excluded_in_snf,
    primary_care_codes,
)
from riskmodels.engines import Engine, LocalEngine, Tables
from riskmodels.errors import SpecError, did_you_mean
from riskmodels.history import History

__all__ = ["Services", "coded_services", "primary_care_services"]

PROVIDERS = ("provider_id", "facility_id")
SERVICE_KINDS = ("office", "outpatient", "home_health", "snf")

Services = Literal["hcpcs", "office"]


def primary_care_services(
    history: History,
    *,
    provider: str = "provider_id",
    services: Services = "hcpcs",
    specialties: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    codes: frozenset[str] | None = None,
    performance_year: int | None = None,
    teaching_hospitals: Collection[str] = (),
    engine: Engine | None = None,
) -> pl.DataFrame:
    """Return each primary care service: person_id, day, entity, clinician, charge.

    `clinician` is ``primary``, ``non_physician`` or ``specialist``; services of others do not count.

    Parameters
    ----------
    codes : frozenset of str, optional
        HCPCS codes of primary care. Default: `primary_care_codes` of the performance year.
    performance_year : int, optional
        What does not count in a skilled nursing facility or a hospital. Default: as in force now.
    teaching_hospitals : collection of str
        Facilities with an election under 42 CFR 415.160, whose clinic visits (G0463) count.
    history, provider, services, specialties, groups, engine
        As of `riskmodels.cohorts.attribute`.
    """
    if provider not in PROVIDERS:
        raise SpecError(f"provider is {provider!r}. {did_you_mean(provider, PROVIDERS)}")
    if services not in ("hcpcs", "office"):
        raise SpecError(f"services is {services!r}. {did_you_mean(services, ('hcpcs', 'office'))}")
    task = _ShardServices(
        history,
        provider,
        services,
        primary_care_codes(performance_year) if codes is None else codes,
        excluded_in_snf(performance_year),
        excluded_in_hospital(performance_year),
        tuple(teaching_hospitals),
    )
    runs = (engine or LocalEngine()).run(task, dict.fromkeys(range(history.n_shards)), "Finding primary care")
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
    entity = pl.col("provider") if groups is None else pl.col("provider").replace(dict(groups))
    return (
        found.with_columns(charge=_charge(found), clinician=_clinician(specialties), entity=entity)
        .filter(pl.col("clinician").is_not_null())
        .select("person_id", "day", "entity", "clinician", "charge")
    )


def coded_services(vocabulary: pl.DataFrame, codes: frozenset[str] | None = None) -> pl.DataFrame:
    """Return the entries of a vocabulary that are primary care services, as code and code_text."""
    wanted = list(primary_care_codes() if codes is None else codes)
    hcpcs = vocabulary.filter((pl.col("code_system") == "HCPCS") & pl.col("code_text").is_in(wanted))
    return hcpcs.select("code", "code_text")


def _clinician(specialties: Mapping[str, str] | None) -> pl.Expr:
    if specialties is None:
        return pl.lit("primary")
    code = pl.col("provider").replace_strict(dict(specialties), default=None, return_dtype=pl.String)
    return (
        pl.when(code.is_in(list(PRIMARY_CARE)))
        .then(pl.lit("primary"))
        .when(code.is_in(list(NON_PHYSICIANS)))
        .then(pl.lit("non_physician"))
        .when(code.is_in(list(SPECIALISTS)))
        .then(pl.lit("specialist"))
    )


@dataclass(frozen=True)
class _ShardServices:
    """The primary care services of the shards of a history."""

    history: History
    provider: str
    services: Services
    codes: frozenset[str]
    not_in_snf: bool
    not_in_hospital: bool
    teaching_hospitals: tuple[str, ...]

    def __call__(self, number: int, rows: pl.DataFrame | None) -> Tables:
        shard = self.history.shard(number, ("person", "encounter", "event"))
        chosen = shard.encounter.filter(pl.col(self.provider).is_not_null())
        if self.services == "office":
            chosen = chosen.filter(pl.col("kind") == "office")
        else:
            chosen = self._coded(chosen, shard.encounter, shard.event)
        people = shard.person.select("person", "person_id")
        found = chosen.join(people, on="person", maintain_order="left")
        return {
            "services": found.select(
                "person_id", "allowed", "paid", day=pl.col("start").dt.date(), provider=self.provider
            )
        }

    def _coded(self, chosen: pl.DataFrame, stays: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
        """Return the encounters with a code that counts where the service was given."""
        codes = coded_services(self.history.vocabulary, self.codes)
        code = pl.col("code_text")
        special = [*NURSING_FACILITY, *ADVANCE_CARE_PLANNING, *ADD_ON, *ELECTING_TEACHING]
        told = (
            events.filter((pl.col("kind") == "procedure") & pl.col("encounter").is_not_null())
            .join(codes, on="code")
            .group_by("encounter")
            .agg(
                anywhere=(~code.is_in(special)).any(),
                nursing=code.is_in(list(NURSING_FACILITY)).any(),
                planning=code.is_in(list(ADVANCE_CARE_PLANNING)).any(),
                elected=code.is_in(list(ELECTING_TEACHING)).any(),
            )
        )
        visits = chosen.filter(pl.col("kind").is_in(SERVICE_KINDS)).join(
            told, on="encounter", maintain_order="left"
        )
        nursing, planning = pl.col("nursing"), pl.col("planning")
        if self.not_in_snf:
            nursing &= ~pl.col("encounter").is_in(_during(visits, stays, "snf").implode())
        if self.not_in_hospital:
            planning &= ~pl.col("encounter").is_in(_during(visits, stays, "inpatient").implode())
        elected = pl.col("elected") & pl.col("facility_id").is_in(self.teaching_hospitals)
        return visits.filter(pl.col("anywhere") | nursing | planning | elected.fill_null(False))


def _during(visits: pl.DataFrame, stays: pl.DataFrame, kind: str) -> pl.Series:
    """Return the visits on a day, the first and the last included, of such a stay, or that are one."""
    begin, end = pl.col("start").dt.date(), pl.col("end").dt.date()
    spans = stays.filter(pl.col("kind") == kind).select("person", begin=begin, finish=end)
    asked = visits.filter(pl.col("nursing") | pl.col("planning")).select("person", "encounter", day=begin)
    inside = asked.join(spans, on="person").filter(pl.col("day").is_between("begin", "finish"))
    return inside["encounter"].unique()


def _charge(found: pl.DataFrame) -> pl.Series:
    for amount in ("allowed", "paid"):
        if found[amount].null_count() < found.height:
            return found[amount].fill_null(0.0)
    return pl.ones(found.height, pl.Float64, eager=True)
