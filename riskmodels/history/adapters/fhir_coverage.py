"""Coverage of FHIR R4 as spans, and the parts of Medicare as days on which Part A and Part B both cover.

Medicare's interfaces tell a Coverage for each part, with status by month of one reference year in extensions
(``dual_01`` to ``dual_12``, ``ptc_cntrct_id_01`` ...), medicare status (``ms_cd``) and original reason for
entitlement (``orec``).
"""

from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import polars as pl

from riskmodels.history.adapters.fhir_elements import Resource, codings, day, reference
from riskmodels.history.adapters.tuva_tables import DUAL, ENTITLED, STATUS_ESRD

__all__ = ["SCHEMA", "SPANS", "coverage", "medicare_spans"]

Rows = list[tuple[Any, ...]] | str

SCHEMA: dict[str, Any] = {
    "person_id": pl.String,
    "start_date": pl.Date,
    "end_date": pl.Date,
    "part": pl.String,
    "payer": pl.String,
    "year": pl.Int32,
    "dual": pl.List(pl.String),
    "contract": pl.List(pl.String),
    "status": pl.String,
    "reason": pl.String,
}
SPANS: dict[str, Any] = {
    "person_id": pl.String,
    "start_date": pl.Date,
    "end_date": pl.Date,
    "payer": pl.String,
    "dual": pl.Boolean,
    "orig_disability": pl.Boolean,
    "esrd": pl.Boolean,
}
PARTS = {"Part A": "A", "Part B": "B", "Part C": "C", "Part D": "D"}
NO_CONTRACT = ("N", "0", "*", "**", "")
VOID = ("entered-in-error", "draft")


def coverage(resource: Resource) -> Rows:
    """Return the row of a Coverage; a cancelled one covered until its end."""
    if (status := resource.get("status")) in VOID:
        return f"Coverage: {status}"
    period = resource.get("period") or {}
    classes = [str(one.get("value")) for one in resource.get("class") or []]
    part = next((PARTS[name] for name in classes if name in PARTS), "")
    told = {
        str(one.get("url")).rsplit("/", 1)[-1]: one
        for one in resource.get("extension") or []
        if "bluebutton.cms.gov" in str(one.get("url"))
    }

    def code(name: str) -> str | None:
        found = told.get(name) or {}
        value = (found.get("valueCoding") or {}).get("code") or (found.get("valueIdentifier") or {}).get(
            "value"
        )
        return str(value) if value is not None else None

    months = [f"{month:02d}" for month in range(1, 13)]
    year = (told.get("rfrnc_yr") or {}).get("valueDate")
    return [
        (
            reference(resource.get("beneficiary")),
            day(period.get("start"), "period.start"),
            day(period.get("end"), "period.end"),
            part,
            None if part else _payer(resource),
            int(str(year)[:4]) if year else None,
            [code(f"dual_{month}") for month in months],
            [code(f"ptc_cntrct_id_{month}") for month in months],
            code("ms_cd"),
            code("orec"),
        )
    ]


def _payer(resource: Resource) -> str | None:
    """Return the name of the payer, else what the type of the coverage says."""
    payor = (resource.get("payor") or [{}])[0]
    kind = resource.get("type") or {}
    name = payor.get("display") or kind.get("text") or (payor.get("identifier") or {}).get("value")
    name = name or next((code for _, code in codings(kind)), None) or reference(payor)
    return str(name).lower() if name else None


def medicare_spans(rows: pl.DataFrame, last: date | None) -> pl.DataFrame:
    """Return the spans in which Part A and Part B both cover, divided where a status changes.

    Dual status and enrolment in Medicare Advantage (Part C) are those of the months of the reference year,
    not known in others; end-stage renal disease is what the Medicare status says, once that year is over.

    Parameters
    ----------
    rows : DataFrame
        Rows of `coverage` that have a part.
    last : date, optional
        The last day that the files tell about: a span without an end goes on to it.
    """
    people: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.filter(pl.col("person_id").is_not_null()).iter_rows(named=True):
        people[row["person_id"]].append(row)
    spans: list[tuple[Any, ...]] = []
    for person, told in people.items():
        for start, end in _both(told, last):
            spans.extend((person, *span) for span in _divided(told, start, end))
    return pl.DataFrame(spans, schema=SPANS, orient="row")


def _both(told: list[dict[str, Any]], last: date | None) -> list[tuple[date, date]]:
    periods: dict[str, set[tuple[date, date]]] = defaultdict(set)
    for row in told:
        end = row["end_date"] or last
        if row["start_date"] and end:
            periods[row["part"]].add((row["start_date"], end))
    pairs = [(a, b) for a in periods["A"] for b in periods["B"]]
    both = [(max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs]
    return sorted(span for span in set(both) if span[0] <= span[1])


def _divided(told: list[dict[str, Any]], start: date, end: date) -> list[tuple[Any, ...]]:
    reasons = [ENTITLED[row["reason"]] for row in told if row["reason"] in ENTITLED]
    disabled = bool(reasons[0]) if reasons else None
    dual, advantage, renal = _by_month(told)
    known = {*dual, *advantage} | ({(min(renal), 1)} if renal else set())
    first_days = {date(year, month, 1) for year, month in known}
    first_days |= {_next_month(first) for first in first_days}
    cuts = [start, *sorted(first for first in first_days if start < first <= end), end + timedelta(days=1)]
    spans: list[tuple[Any, ...]] = []
    for begins, after in pairwise(cuts):
        month = (begins.year, begins.month)
        payer = "medicare_advantage" if advantage.get(month) else "medicare"
        years = [year for year in renal if year <= begins.year]
        status = (payer, dual.get(month), disabled, renal[max(years)] if years else None)
        final = after - timedelta(days=1)
        if spans and spans[-1][2:] == status:
            spans[-1] = (spans[-1][0], final, *status)
        else:
            spans.append((begins, final, *status))
    return spans


def _by_month(
    told: list[dict[str, Any]],
) -> tuple[dict[tuple[int, int], bool], dict[tuple[int, int], bool], dict[int, bool]]:
    """Return by month who is dual, who is in Medicare Advantage, and by year who has renal disease."""
    dual: dict[tuple[int, int], bool] = {}
    advantage: dict[tuple[int, int], bool] = {}
    renal: dict[int, bool] = {}
    for row in told:
        if (year := row["year"]) is None:
            continue
        for month in range(1, 13):
            if (code := row["dual"][month - 1]) in DUAL:
                dual[year, month] = bool(DUAL[code])
            if (code := row["contract"][month - 1]) is not None:
                advantage[year, month] = code not in NO_CONTRACT
        if row["status"] in STATUS_ESRD:
            renal[year + 1] = bool(STATUS_ESRD[row["status"]])  # known when the year is over
    return dual, advantage, renal


def _next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
