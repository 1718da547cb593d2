"""The tables of a history: their columns, types and words.

Adapters deliver these tables with the publisher's own identifiers and codes as text (`TABLES`). The store
keeps them with small integers in place of identifiers and codes (`STORED`), so that a shard is quick to read
and to search; `riskmodels.history.History.table` gives the text back.
"""

from dataclasses import dataclass

import polars as pl

__all__ = [
    "ADMISSION_TYPES",
    "CODE_SYSTEMS",
    "DISCHARGE_DISPOSITIONS",
    "ENCOUNTER_KINDS",
    "EVENT_KINDS",
    "SCHEMA_VERSION",
    "SEXES",
    "STORED",
    "TABLES",
    "Column",
]

SCHEMA_VERSION = 1

ENCOUNTER_KINDS = (
    "inpatient",
    "emergency",
    "observation",
    "outpatient",
    "office",
    "snf",
    "rehab",
    "home_health",
    "hospice",
)
ADMISSION_TYPES = ("emergency", "urgent", "elective", "newborn", "trauma", "other")
DISCHARGE_DISPOSITIONS = (
    "home",
    "home_health",
    "snf",
    "rehab",
    "transfer",
    "hospice",
    "ama",
    "died",
    "psychiatric",
    "long_term_care",
    "other",
)
EVENT_KINDS = ("diagnosis", "procedure", "drug", "lab", "vital", "observation")
SEXES = ("female", "male", "unknown")
CODE_SYSTEMS = (
    "ICD9CM",
    "ICD10CM",
    "ICD9PCS",
    "ICD10PCS",
    "HCPCS",
    "NDC",
    "ATC",
    "RxNorm",
    "LOINC",
    "SNOMED",
    "REVENUE",
    "LOCAL",
)


@dataclass(frozen=True)
class Column:
    """One column of a table as adapters deliver it: a row without a `required` value is left out and counted.

    `options` are the only words that a value may be; none means any.
    """

    dtype: pl.DataType | type[pl.DataType]
    required: bool = False
    options: tuple[str, ...] = ()


_TIME = pl.Datetime("us")

TABLES: dict[str, dict[str, Column]] = {
    "person": {
        "person_id": Column(pl.String, required=True),
        "birth_date": Column(pl.Date, required=True),
        "sex": Column(pl.String, required=True, options=SEXES),
        "race_ethnicity": Column(pl.String),
        "death_date": Column(pl.Date),
    },
    "coverage": {  # both dates are covered days
        "person_id": Column(pl.String, required=True),
        "start_date": Column(pl.Date, required=True),
        "end_date": Column(pl.Date, required=True),
        "payer": Column(pl.String),
        "dual": Column(pl.Boolean),
        "orig_disability": Column(pl.Boolean),
        "esrd": Column(pl.Boolean),
        "hospice": Column(pl.Boolean),
    },
    "encounter": {
        "encounter_id": Column(pl.String, required=True),
        "person_id": Column(pl.String, required=True),
        "kind": Column(pl.String, required=True, options=ENCOUNTER_KINDS),
        "start": Column(_TIME, required=True),
        "end": Column(_TIME, required=True),
        "facility_id": Column(pl.String),
        "provider_id": Column(pl.String),
        "admission_type": Column(pl.String, options=ADMISSION_TYPES),
        "admission_source": Column(pl.String),  # emergency, physician, transfer, snf, other; not checked
        "discharge_disposition": Column(pl.String, options=DISCHARGE_DISPOSITIONS),
        "drg": Column(pl.String),
        "paid": Column(pl.Float64),
        "allowed": Column(pl.Float64),
        "recorded_at": Column(_TIME),
    },
    "event": {
        "person_id": Column(pl.String, required=True),
        "time": Column(_TIME, required=True),
        "kind": Column(pl.String, required=True, options=EVENT_KINDS),
        "code_system": Column(pl.String, required=True, options=CODE_SYSTEMS),
        "code": Column(pl.String, required=True),
        "value": Column(pl.Float64),
        "unit": Column(pl.String),
        "quantity": Column(pl.Float64),
        "days_supply": Column(pl.Float64),
        "paid": Column(pl.Float64),
        "position": Column(pl.Int32),  # place on the claim; diagnosis 1 is the principal one
        "encounter_id": Column(pl.String),
        "recorded_at": Column(_TIME),
    },
}

# What a shard holds. `person` is a whole number that stands for person_id everywhere, `encounter` for
# encounter_id, and `code` for a row of the vocabulary (code_system, code).
STORED: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "person": {"person": pl.Int32, **{name: c.dtype for name, c in TABLES["person"].items()}},
    "coverage": {
        "person": pl.Int32,
        **{name: c.dtype for name, c in TABLES["coverage"].items() if name != "person_id"},
    },
    "encounter": {
        "person": pl.Int32,
        "encounter": pl.Int32,
        "encounter_id": pl.String,
        **{
            name: c.dtype
            for name, c in TABLES["encounter"].items()
            if name not in ("person_id", "encounter_id")
        },
        "kind": pl.Enum(ENCOUNTER_KINDS),
    },
    "event": {
        "person": pl.Int32,
        "time": _TIME,
        "kind": pl.Enum(EVENT_KINDS),
        "code": pl.Int32,
        "value": pl.Float64,
        "unit": pl.String,
        "quantity": pl.Float64,
        "days_supply": pl.Float64,
        "paid": pl.Float64,
        "position": pl.Int32,
        "encounter": pl.Int32,
        "recorded_at": _TIME,
    },
}
