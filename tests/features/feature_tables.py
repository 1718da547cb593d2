"""Little hand-built shards and cases, and a reference that looks at every row."""

from datetime import datetime, timedelta

import polars as pl

from riskmodels.features.sources import Encounters, Window
from riskmodels.history import Shard
from riskmodels.history.schema import STORED
from riskmodels.terminology import Grouper

DAY0 = datetime(2020, 1, 1)
GROUPER = Grouper(
    name="colours",
    version="1",
    source="made for the tests",
    licence="none needed",
    groups=("red", "green", "blue"),
    labels={"red": "Red codes", "green": "Green codes", "blue": "Blue codes"},
    prefixes=(("ICD10CM", "A", 0), ("ICD10CM", "A1", 1), ("LOINC", "L", 1)),
)
CODES = [("ATC", "N02AA05"), ("ICD10CM", "A0"), ("ICD10CM", "A1"), ("ICD10CM", "B9"), ("LOINC", "L1")]
VOCABULARY = pl.DataFrame(
    [(n, system, text) for n, (system, text) in enumerate(CODES)],
    schema={"code": pl.Int32, "code_system": pl.String, "code_text": pl.String},
    orient="row",
)
ORDER = {
    "encounter": ["person", "start", "end", "encounter"],
    "event": ["person", "time", "kind", "code", "position", "encounter", "value"],
}


def day(number: float) -> datetime:
    """Return the instant so many days after 2020 began."""
    return DAY0 + timedelta(days=number)


def table(name: str, rows: list[dict]) -> pl.DataFrame:
    """Return rows as a stored table: missing columns are null, the order is the store's."""
    schema = STORED[name]
    frame = pl.DataFrame([{c: row.get(c) for c in schema} for row in rows], schema=schema)
    return frame.sort(ORDER[name], nulls_last=True) if name in ORDER else frame


def shard(encounters: list[dict] = (), events: list[dict] = ()) -> Shard:
    """Return a shard with these rows."""
    return Shard(
        number=0,
        person=table("person", []),
        coverage=table("coverage", []),
        encounter=table("encounter", [{"encounter_id": f"e{e['encounter']}", **e} for e in encounters]),
        event=table("event", list(events)),
    )


def cases(*rows: dict) -> pl.DataFrame:
    """Return index cases; what is not given is null."""
    schema = {
        "index_id": pl.String,
        "person": pl.Int32,
        "person_id": pl.String,
        "index_time": pl.Datetime("us"),
        "admission_time": pl.Datetime("us"),
        "stay_encounters": pl.List(pl.Int32),
        "facility_id": pl.String,
        "drg": pl.String,
        "admission_type": pl.String,
        "admission_source": pl.String,
        "discharge_disposition": pl.String,
        "length_of_stay": pl.Int32,
        "birth_date": pl.Date,
        "sex": pl.String,
        "dual": pl.Boolean,
        "orig_disability": pl.Boolean,
        "esrd": pl.Boolean,
    }
    filled = []
    for n, row in enumerate(rows):
        base = {
            "index_id": f"case{n}",
            "person": 0,
            "stay_encounters": [],
            "admission_time": row["index_time"],
            **row,
        }
        filled.append({c: base.get(c) for c in schema})
    return pl.DataFrame(filled, schema=schema)


def reference(data: Shard, case: dict, spec, window: Window, group: str | None, known_only=False):
    """Compute one feature of one case by looking at every row: the definition, without any speed."""
    chosen = reference_rows(data, case, spec, window, group, known_only)
    return _aggregate(spec, chosen, "end" if spec.source.table == "encounter" else "time")


def reference_rows(
    data: Shard, case: dict, spec, window: Window, group: str | None, known_only: bool = False
):
    """Return the age in days and the content of each row that counts for one feature of one case."""
    source, t, admission = spec.source, case["index_time"], case["admission_time"]
    a = t if spec.anchor == "index" else admission
    clock = "end" if source.table == "encounter" else "time"
    stays = {(row["person"], row["encounter"]): row for row in data.encounter.iter_rows(named=True)}
    kinds = {
        whose: row["kind"]
        for whose, row in stays.items()
        if not known_only or max(row["recorded_at"] or row["end"], row["end"]) < t
    }
    chosen = []
    for row in getattr(data, source.table).iter_rows(named=True):
        # What names an encounter that was not known belongs to none.
        named = None if known_only and (row["person"], row["encounter"]) not in kinds else row["encounter"]
        at, linked = row[clock], named in case["stay_encounters"]
        loose = named is None and admission <= at < t
        own = window.stay and at <= t and (linked or loose)
        age = (a - at) / timedelta(microseconds=1)
        if row["person"] != case["person"] or not (own or window.near < age <= window.far):
            continue
        if at >= t and not own:
            continue
        if known_only and max(row["recorded_at"] or at, at) >= t:
            continue
        full = {**row, "encounter": named, "encounter_kind": kinds.get((row["person"], row["encounter"]))}
        if (source.kinds and row["kind"] not in source.kinds) or any(
            full[c] not in ok for c, ok in source.where
        ):
            continue
        if not isinstance(source, Encounters) and not _code_fits(source, row["code"], group):
            continue
        full["length_of_stay"] = (row["end"].date() - row["start"].date()).days if clock == "end" else None
        full["day"] = at.date()
        chosen.append((age / 86_400e6, full))
    return chosen


def _code_fits(source, code: int, group: str | None) -> bool:
    system, text = CODES[code]
    if source.grouper:
        wanted = [group] if group else (source.groups or GROUPER.groups)
        return any(
            s == system and text.startswith(prefix) and GROUPER.groups[n] in wanted
            for s, prefix, n in GROUPER.prefixes
        )
    fits = any(text == c or (c.endswith("*") and text.startswith(c[:-1])) for c in source.codes)
    return (fits or not source.codes) and source.code_system in (None, system)


def _aggregate(spec, chosen, clock):
    what = spec.aggregation
    if what == "count":
        return len(chosen)
    if what == "any":
        return float(bool(chosen))
    if what == "days_since":
        return min((age for age, _ in chosen), default=None)
    known = [
        (age, row)
        for age, row in chosen
        if row[spec.value] is not None and row[spec.value] == row[spec.value]
    ]  # NaN, which is no value either, does not equal itself
    values = [row[spec.value] for _, row in known]
    if what == "distinct":
        return len(set(values))
    if what == "sum":
        return sum(values)
    if what == "mean":
        return sum(values) / len(values) if values else None
    if what == "last":
        # The table's order breaks ties; an encounter's place is by end, then start, then number.
        latest = {"end": lambda r: (r["end"], r["start"], r["encounter"]), "time": lambda r: r["time"]}[clock]
        best = None
        for _, row in known:
            best = row if best is None or latest(row) >= latest(best) else best
        return best and best[spec.value]
    x = [-age for age, _ in known]
    if len(set(x)) < 2:
        return None
    mx, my = sum(x) / len(x), sum(values) / len(x)
    return sum((u - mx) * (v - my) for u, v in zip(x, values, strict=True)) / sum((u - mx) ** 2 for u in x)
