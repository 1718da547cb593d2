"""CMS-HCC risk scores of many members at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from riskmodels.benchmarks.hcc.as_hccinfhir import demographics_as_hccinfhir
from riskmodels.benchmarks.hcc.demographics import Demographics, demographics
from riskmodels.benchmarks.hcc.diagnoses import map_diagnoses
from riskmodels.benchmarks.hcc.diseases import Diseases, diseases
from riskmodels.benchmarks.hcc.factors import Factor, blend_shares, factor, half_up
from riskmodels.benchmarks.hcc.kernels import add_factors
from riskmodels.benchmarks.hcc.members import Members, read_members
from riskmodels.benchmarks.hcc.tables import ModelTables, load_tables, model_name
from riskmodels.errors import SpecError, did_you_mean

__all__ = ["HccScores", "blended_hcc_scores", "hcc_scores"]

CONVENTIONS = ("cms", "hccinfhir")
PARTS_OF_D = ("MA-PD", "PDP", "PACE")
RXHCC = {2026: {"MA-PD": "rxhcc_v08_2026", "PDP": "rxhcc_v08_2026", "PACE": "rxhcc_v08_2026_pace"},
         2027: {"MA-PD": "rxhcc_v08_2027_ma_pd", "PDP": "rxhcc_v08_2027_pdp",
                "PACE": "rxhcc_v08_2027_pace"}}  # fmt: skip
DIALYSIS = ("DI", "DNE", "transplant")


@dataclass(frozen=True)
class HccScores:
    """Risk scores of members under one model.

    Parameters
    ----------
    frame : pl.DataFrame
        One row a member, in the order given: person_id, segment, age, demographic, disease, raw (their sum),
        normalised and payment.
    hccs : pl.DataFrame
        What each disease score is made of: person_id, variable (an HCC after hierarchies, an interaction or
        the count of payment HCCs), label, coefficient.
    unknown_codes : pl.DataFrame
        Diagnosis codes without an HCC in the model: code, rows, reason.
    unmatched_diagnoses : int
        Diagnoses of persons who are not among the members.
    unverified : tuple of str
        Sources of the factors used that no second source confirmed.
    """

    frame: pl.DataFrame = field(repr=False)
    hccs: pl.DataFrame = field(repr=False)
    unknown_codes: pl.DataFrame = field(repr=False)
    unmatched_diagnoses: int
    model: str
    payment_year: int
    unverified: tuple[str, ...]


def hcc_scores(
    members: Any,
    diagnoses: Any,
    model: str = "CMS-HCC V28",
    payment_year: int = 2026,
    *,
    part_d: Literal["MA-PD", "PDP", "PACE"] = "MA-PD",
    code_editor: bool = True,
    conventions: Literal["cms", "hccinfhir"] = "cms",
    factors: Mapping[str, Factor] | None = None,
) -> HccScores:
    """Score members under a CMS risk adjustment model.

    Parameters
    ----------
    members : frame
        person_id, sex, and birth_date or age (on 1 February of the payment year); as far as they apply: orec
        (0 to 3) or orig_disability, crec, dual_status (00 to 10, or none, partial, full), institutional,
        new_enrollee, snp (a chronic condition special needs plan), low_income, graft_months (since a kidney
        transplant), esrd.
    diagnoses : frame
        person_id and code: the ICD-10-CM diagnoses of the year before the payment year that CMS accepts for
        risk adjustment (which claims those are is for the caller to say).
    model : str
        ``"CMS-HCC V24"``, ``"CMS-HCC V28"``, ``"CMS-HCC ESRD V24"`` or ``"RxHCC V08"``.
    payment_year : int
        The year of the normalisation and the coding adjustment, and in RxHCC of the relative factors.
    part_d : {"MA-PD", "PDP", "PACE"}
        The kind of drug plan, for RxHCC. PACE has a calibration of its own; in 2026 it is 90% of what PACE
        organisations are paid by, the other plans' the rest.
    code_editor : bool
        Whether the Medicare Code Editor's age limits of a diagnosis hold too (V28), as CMS has it.
    conventions : {"cms", "hccinfhir"}
        ``"hccinfhir"`` gives the raw scores of hccinfhir 0.4.0, for comparison: see
        `riskmodels.benchmarks.hcc.as_hccinfhir`.

    factors : mapping of str to Factor, optional
        Normalisation and coding adjustment in place of the year's: of ``""``, or in ESRD of ``"dialysis"``
        and ``"graft"``. For a year whose factors are not known here, such as ESRD's of 2025.

    Returns
    -------
    HccScores

    Raises
    ------
    SpecError
        For an unknown model, a year without factors or unknown conventions.
    DataError
        Where a column is missing or a value is not allowed.

    Notes
    -----
    raw = demographic + disease, each a sum of relative factors of the member's segment; normalised = raw /
    normalisation, rounded to three places; payment = normalised x (1 - coding adjustment), rounded again
    (42 CFR 422.308; CMS Rate Announcements). The diagnosis mapping is that of payment year 2026 in every
    year.
    """
    model = model_name(model)
    if conventions not in CONVENTIONS:
        raise SpecError(f"unknown conventions {conventions!r}. {did_you_mean(conventions, CONVENTIONS)}")
    tables = load_tables(model, _coefficients(model, payment_year, part_d, conventions))
    known = _factors(model, payment_year, part_d) if factors is None else _given(factors, model)
    who = read_members(members, payment_year)
    found = (demographics_as_hccinfhir if conventions == "hccinfhir" else demographics)(who, tables)
    mapped = map_diagnoses(diagnoses, who, tables, editor=code_editor)
    # hccinfhir looks for the hierarchies of RxHCC under another name than they have, and finds none.
    flat = conventions == "hccinfhir" and model == "RxHCC V08"
    parts = diseases(mapped.bits, found.segment, who, tables, hierarchies=not flat)
    frame = _frame(who, found, tables, parts, known)
    used = sorted({part.source for part in known.values() if not part.verified})
    return HccScores(
        frame,
        _hccs(who, tables, parts),
        mapped.unknown,
        mapped.strangers,
        model,
        payment_year,
        tuple(used),
    )


def blended_hcc_scores(members: Any, diagnoses: Any, payment_year: int = 2026) -> pl.DataFrame:
    """Return the Part C payment score of a year: its CMS-HCC models, each finished, then blended and rounded.

    Returns
    -------
    pl.DataFrame
        person_id, one payment score a model (``"CMS-HCC V24"``, ``"CMS-HCC V28"``) and ``payment``: the sum
        of share x payment score, rounded to three places. The shares are 67/33 in 2024 and 33/67 in 2025.
    """
    shares = blend_shares(payment_year)
    scores = {model: hcc_scores(members, diagnoses, model, payment_year).frame for model in shares}
    blended = sum(share * scores[model]["payment"].to_numpy() for model, share in shares.items())
    ids = next(iter(scores.values()))["person_id"]
    columns = [frame["payment"].alias(model) for model, frame in scores.items()]
    return pl.DataFrame([ids, *columns, pl.Series("payment", half_up(np.asarray(blended)))])


def _coefficients(model: str, year: int, part_d: str, conventions: str) -> str:
    if model != "RxHCC V08":
        return model.lower().replace("-", "_").replace(" ", "_")
    if part_d not in PARTS_OF_D:
        raise SpecError(f"unknown kind of drug plan {part_d!r}. {did_you_mean(part_d, PARTS_OF_D)}")
    if conventions == "hccinfhir":
        return "rxhcc_v08_hccinfhir"
    if year not in RXHCC:
        known = ", ".join(map(str, RXHCC))
        raise SpecError(f"RxHCC V08 has no relative factors for payment year {year}. Years known: {known}.")
    return RXHCC[year][part_d]


def _factors(model: str, year: int, part_d: str) -> dict[str, Factor]:
    if model == "CMS-HCC ESRD V24":
        return {part: factor(model, year, part) for part in ("dialysis", "graft")}
    return {"": factor(model, year, part_d if model == "RxHCC V08" else None)}


def _given(factors: Mapping[str, Factor], model: str) -> dict[str, Factor]:
    parts = ("dialysis", "graft") if model == "CMS-HCC ESRD V24" else ("",)
    if set(factors) != set(parts):
        named = " and ".join(map(repr, parts))
        raise SpecError(f"factors of {model} are of {named}, not of {sorted(factors)}")
    return {part: factors[part] for part in parts}


def _frame(
    members: Members,
    found: Demographics,
    tables: ModelTables,
    parts: Diseases,
    factors: dict[str, Factor],
) -> pl.DataFrame:
    """Add up the relative factors; published ones have three places, so a sum does too."""
    demographic = found.flat.copy()
    for variables in found.variables:
        add_factors(found.segment, variables, tables.values, demographic)
    disease = half_up(parts.total)
    demographic = half_up(demographic / found.divisor)
    raw = half_up(demographic + disease)
    if len(factors) == 1:
        normalised, payment = next(iter(factors.values())).apply(raw)
    else:
        dialysis = found.names.is_in(DIALYSIS).to_numpy()
        scores = [np.where(dialysis, *pair) for pair in
                  zip(factors["dialysis"].apply(raw), factors["graft"].apply(raw), strict=True)]  # fmt: skip
        normalised, payment = scores
    return pl.DataFrame(
        {
            "person_id": members.person_id,
            "segment": found.names,
            "age": members.age,
            "demographic": demographic,
            "disease": disease,
            "raw": raw,
            "normalised": normalised,
            "payment": payment,
        }
    )


def _hccs(members: Members, tables: ModelTables, parts: Diseases) -> pl.DataFrame:
    """Return what the disease scores are made of, in words."""
    names = pl.Series(tables.variables, dtype=pl.String)
    labels = {f"{tables.prefix}{hcc}": label for hcc, label in tables.labels.items()}
    words = pl.Series([labels.get(name, "") for name in tables.variables], dtype=pl.String)
    return pl.DataFrame(
        {
            "person_id": members.person_id.gather(parts.row),
            "variable": names.cast(pl.Enum(names)).gather(parts.variable),
            "label": words.cast(pl.Categorical).gather(parts.variable),
            "coefficient": parts.factor,
        }
    )
