"""FHIR R4 in bulk: NDJSON of clinical resources (US Core, Synthea) and of claims (CARIN, Medicare's BCDA)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.history.adapters import fhir_claims as claims
from riskmodels.history.adapters import fhir_coverage as cover
from riskmodels.history.adapters import fhir_resources as clinical
from riskmodels.history.adapters import fhir_tables as tables
from riskmodels.history.adapters import institutional, professional
from riskmodels.history.adapters.base import Adapter, SourceFile, nothing_found, run
from riskmodels.history.adapters.fhir_reading import LOOKED_FOR, Rows, count_lines, exported, flattened
from riskmodels.history.staging import Part

__all__ = ["adapter"]

READ = (
    *("Patient", "Encounter", "Condition", "Procedure", "MedicationRequest", "Medication", "Observation"),
    *("ExplanationOfBenefit", "Coverage"),
)
DEPTH = 10  # of encounters that are parts of parts


class Fhir:
    """FHIR R4 bulk export: Patient and Encounter or ExplanationOfBenefit, with what else there is."""

    name = "fhir"
    version = 1
    description = "FHIR R4 bulk NDJSON (.ndjson, .gz): US Core, CARIN Blue Button, Synthea, Medicare's BCDA"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the files of a folder or archive by the type of their first resource."""
        files, names = exported(source)
        found = {file.table for file in files}
        missing = [name for name in ("Patient",) if name not in found]
        if not found & {"Encounter", "ExplanationOfBenefit"}:
            missing.append("Encounter or ExplanationOfBenefit")
        if missing:
            raise nothing_found(
                source, f"no {' and no '.join(missing)} here", [LOOKED_FOR], names, packed=True
            )
        return sorted(files, key=lambda file: file.name)

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Stream patients, claims and encounters, then what happened in them, file by file."""
        return Export(files).parts()

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return all files as one piece: encounters say when the diagnoses of other files are known."""
        return [list(files)]


def adapter() -> Adapter:
    """Return the adapter."""
    return Fhir()


class Export:
    """The files of an export: in memory are a batch of resources, and encounters and claims in brief."""

    def __init__(self, files: Sequence[SourceFile]) -> None:
        self.files: dict[str, list[SourceFile]] = defaultdict(list)
        for file in files:
            self.files[file.table].append(file)

    def parts(self) -> Iterator[Part]:
        """Yield the parts of a history."""
        unread: Counter[str] = Counter()
        for kind, files in self.files.items():
            if kind not in READ:
                unread[f"FHIR resources that are not read: {kind}"] += sum(map(count_lines, files))
        patients, left_out = self.whole("Patient", clinical.FLATTENERS["Patient"])
        yield Part("person", patients, self.label("Patient"), {**unread, **left_out})
        visits, not_held = self.whole("Encounter", clinical.FLATTENERS["Encounter"])
        visits = visits.filter(pl.col("encounter_id").is_not_null()).unique("encounter_id", keep="last")
        whole, places = _parts_joined(visits)
        billed, not_standing = self.claims()
        linked = billed.join(visits, left_on="of_encounter", right_on="encounter_id", how="semi")
        money = (
            linked.join(places, left_on="of_encounter", right_on="encounter_id")
            .group_by("whole_id")
            .agg(*(_known_sum(name) for name in ("paid", "allowed")))
        )
        money = money.rename({"whole_id": "of_encounter"})
        held = run(tables.encounters, whole, money).collect()
        yield Part("encounter", held, self.label("Encounter"), not_held)
        alone = billed.join(linked, on="claim_id", how="anti")
        stays, links = self.billed_encounters(alone)
        yield Part("encounter", stays, self.label("ExplanationOfBenefit"), not_standing)
        contacts = pl.concat(
            frame.select("person_id", pl.col("start", "end").cast(pl.Datetime("us")))
            for frame in (held, stays)
        )
        yield self.coverage(patients, contacts)
        yield from self.clinical_events(visits, places)
        for batch in self.stream("ExplanationOfBenefit", claims.codes, claims.CODE):
            yield Part("event", run(tables.claim_codes, batch, links), self.label("ExplanationOfBenefit"))

    def label(self, kind: str) -> str:
        """Return the name of the first file of a type, or the type where there is none."""
        return self.files[kind][0].name if self.files[kind] else kind

    def stream(
        self,
        kind: str,
        flatten: Callable[[dict[str, Any]], Rows],
        schema: dict[str, Any],
        left_out: dict[str, int] | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows of all files of a type in batches."""
        for file in self.files[kind]:
            yield from flattened(file, flatten, schema, left_out)

    def whole(
        self, kind: str, flatten: Callable[[dict[str, Any]], Rows]
    ) -> tuple[pl.DataFrame, dict[str, int]]:
        """Return the rows of all files of a type, and how many resources have none."""
        schema, left_out = clinical.SCHEMAS[kind], dict[str, int]()
        rows = [pl.DataFrame(schema=schema), *self.stream(kind, flatten, schema, left_out)]
        return pl.concat(rows), left_out

    def claims(self) -> tuple[pl.DataFrame, dict[str, int]]:
        """Return the claims that stand: the last of each id, without those that another replaces."""
        left_out: dict[str, int] = {}
        kind = "ExplanationOfBenefit"
        rows = pl.concat(
            [pl.DataFrame(schema=claims.CLAIM), *self.stream(kind, claims.claim, claims.CLAIM, left_out)]
        )
        name = {"claim_id": pl.String}
        gone = pl.concat([pl.DataFrame(schema=name), *self.stream(kind, claims.replaced, name)])
        rows = rows.filter(pl.col("claim_id").is_not_null()).sort(
            "updated", nulls_last=False, maintain_order=True
        )
        rows = rows.unique("claim_id", keep="last", maintain_order=True)
        standing = rows.join(gone, on="claim_id", how="anti")
        if rows.height > standing.height:
            left_out["ExplanationOfBenefit: replaced by another"] = rows.height - standing.height
        return standing, left_out

    def billed_encounters(self, billed: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the encounters of claims that belong to none, and the encounter of each claim."""
        lines = pl.concat(
            [
                pl.DataFrame(schema=claims.LINE),
                *(
                    batch.join(billed, on="claim_id", how="semi").unique()
                    for batch in self.stream("ExplanationOfBenefit", claims.lines, claims.LINE)
                ),
            ]
        )
        hospital = billed.filter(pl.col("type") == "institutional")
        rows = run(institutional.claims, run(tables.institutional_lines, hospital, lines)).collect()
        bills = run(institutional.encounters, rows, repeated=True).collect()
        stays = bills.drop("claim_id", "place_on").unique(maintain_order=True)
        others = billed.filter(~pl.col("type").is_in(["institutional", "pharmacy"]))
        days = run(professional.visits_of_institutions, stays)
        visits = run(
            professional.professional, run(tables.professional_claims, others, lines), days
        ).collect()
        fills = billed.filter(pl.col("type") == "pharmacy")
        moment = pl.col("end").cast(pl.Datetime("us")).alias("encounter_end")
        known = billed.select("claim_id", pl.col("recorded_at"))
        none = pl.lit(None, dtype=pl.String).alias("encounter_id")
        links = pl.concat(
            [
                bills.select("claim_id", "person_id", "encounter_id", moment, "place_on"),
                visits.select(
                    pl.col("encounter_id").alias("claim_id"), "person_id", "encounter_id", moment
                ).with_columns(pl.lit(0, dtype=pl.Int32).alias("place_on")),
                fills.select(
                    "claim_id", "person_id", none, moment, pl.lit(0, dtype=pl.Int32).alias("place_on")
                ),
            ]
        )
        return pl.concat([stays, visits], how="diagonal_relaxed"), links.join(
            known, on="claim_id", how="left"
        )

    def coverage(self, patients: pl.DataFrame, contacts: pl.DataFrame) -> Part:
        """Return the spans of Coverage; where there is none, the time between first and last encounter."""
        if not self.files["Coverage"]:
            return Part("coverage", run(tables.contacts, contacts), self.label("Encounter"))
        left_out: dict[str, int] = {}
        told = pl.concat(self.stream("Coverage", cover.coverage, cover.SCHEMA, left_out))
        last: Any = contacts.select(pl.col("end").max().cast(pl.Date)).item()
        medicare = cover.medicare_spans(told.filter(pl.col("part") != ""), last)
        other = told.filter(pl.col("part") == "").select("person_id", "start_date", "end_date", "payer")
        spans = pl.concat([medicare, other], how="diagonal").with_columns(
            pl.lit(last, pl.Date).alias("last_day")
        )
        return Part("coverage", run(tables.coverage, spans, patients), self.label("Coverage"), left_out)

    def clinical_events(self, visits: pl.DataFrame, places: pl.DataFrame) -> Iterator[Part]:
        """Yield conditions, procedures, orders and observations, a batch at a time."""
        schema = clinical.SCHEMAS["rank"]
        ranks = pl.concat(
            [pl.DataFrame(schema=schema), *self.stream("Encounter", clinical.ranks, schema)]
        ).unique(["condition_id", "ranked_in"], keep="first", maintain_order=True)
        drugs, _ = self.whole("Medication", clinical.FLATTENERS["Medication"])
        drugs = drugs.unique("medication_id", keep="last")
        for kind in ("Condition", "Procedure", "MedicationRequest", "Observation"):
            left_out: dict[str, int] = {}
            flatten, schema = clinical.FLATTENERS[kind], clinical.SCHEMAS[kind]
            for batch in self.stream(kind, flatten, schema, left_out):
                if kind == "Condition":
                    rows = run(tables.conditions, batch, places, ranks)
                elif kind == "MedicationRequest":
                    rows = run(tables.orders, batch, places, drugs)
                else:
                    rows = run(tables.events, batch, places, kind=kind.lower())
                yield Part("event", rows, self.label(kind), dict(left_out))
                left_out.clear()


def _known_sum(name: str) -> pl.Expr:
    """Return a sum, null where there is nothing to add."""
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum().round(4)).alias(name)


def _parts_joined(visits: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the encounters that are part of no other; for each id, the one that counts and its end."""
    parent = dict(
        visits.filter(pl.col("part_of").is_not_null()).select("encounter_id", "part_of").iter_rows()
    )
    there = set(visits["encounter_id"]) if parent else set()
    wholes = []
    for name in parent:
        whole, steps = name, 0
        while parent.get(whole) in there and steps < DEPTH:
            whole, steps = parent[whole], steps + 1
        wholes.append((name, whole))
    names = pl.DataFrame(wholes, schema={"encounter_id": pl.String, "whole_id": pl.String}, orient="row")
    own = visits.join(names, on="encounter_id", how="left").with_columns(
        pl.col("whole_id").fill_null(pl.col("encounter_id"))
    )
    whole = own.filter(pl.col("whole_id") == pl.col("encounter_id")).drop("whole_id", "part_of")
    over = whole.select(pl.col("encounter_id").alias("whole_id"), pl.col("end").alias("over"))
    return whole, own.select("encounter_id", "whole_id").join(over, on="whole_id", how="left")
