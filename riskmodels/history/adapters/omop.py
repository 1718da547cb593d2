"""OMOP's common data model, version 5.4 or 5.3: a table a file, CSV or Parquet, in a folder or an archive."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters import omop_tables as tables
from riskmodels.history.adapters.base import Adapter, SourceFile, run
from riskmodels.history.adapters.tabular import read_table, tables_in, whole_table
from riskmodels.history.reading import Field, no_rows
from riskmodels.history.staging import Part

__all__ = ["adapter"]

TEXT, DAY = Field(), Field("day")
MAYBE, MAYBE_NUMBER = Field(optional=True), Field("number", optional=True)
MAYBE_DAY, MAYBE_INSTANT = Field("day", optional=True), Field("instant", optional=True)


def _event(name: str, date: str, **more: str) -> tuple[dict[str, Field], dict[str, str]]:
    """Return the columns of a clinical table, and what each is called here."""
    names = {
        "person_id": "person_id",
        f"{name}_concept_id": "concept_id",
        f"{name}_source_concept_id": "source_concept_id",
        f"{name}_source_value": "source_value",
        "visit_occurrence_id": "visit_occurrence_id",
        f"{date}_date": "date",
        f"{date}_datetime": "time",
        **more,
    }
    kinds = {"date": DAY, "time": MAYBE_INSTANT, "person_id": TEXT, "concept_id": TEXT}
    numbers = ("value", "quantity", "days_supply")
    fields = {
        actual: MAYBE_NUMBER if known in numbers else kinds.get(known, MAYBE)
        for actual, known in names.items()
    }
    return fields, names


EVENTS: dict[str, tuple[str, dict[str, Field], dict[str, str]]] = {
    "procedure_occurrence": ("procedure", *_event("procedure", "procedure", quantity="quantity")),
    "drug_exposure": (
        "drug",
        *_event("drug", "drug_exposure_start", quantity="quantity", days_supply="days_supply"),
    ),
    "measurement": (
        "lab",
        *_event("measurement", "measurement", value_as_number="value", unit_source_value="unit"),
    ),
    "observation": (
        "observation",
        *_event("observation", "observation", value_as_number="value", unit_source_value="unit"),
    ),
}
CONDITIONS, CONDITION_NAMES = _event(
    "condition", "condition_start", condition_status_concept_id="condition_status_concept_id"
)
FIELDS: dict[str, dict[str, Field]] = {
    "person": {
        "person_id": TEXT,
        "gender_concept_id": TEXT,
        "year_of_birth": TEXT,
        "month_of_birth": MAYBE,
        "day_of_birth": MAYBE,
        "birth_datetime": MAYBE_DAY,
        "race_concept_id": MAYBE,
        "ethnicity_concept_id": MAYBE,
    },
    "death": {"person_id": TEXT, "death_date": DAY},
    "observation_period": {
        "person_id": TEXT,
        "observation_period_start_date": DAY,
        "observation_period_end_date": DAY,
    },
    "visit_occurrence": {
        "visit_occurrence_id": TEXT,
        "person_id": TEXT,
        "visit_concept_id": TEXT,
        "visit_start_date": DAY,
        "visit_start_datetime": MAYBE_INSTANT,
        "visit_end_date": DAY,
        "visit_end_datetime": MAYBE_INSTANT,
        "provider_id": MAYBE,
        "care_site_id": MAYBE,
        "discharged_to_concept_id": MAYBE,
        "discharge_to_concept_id": MAYBE,  # its name in version 5.3
    },
    "visit_detail": {"visit_occurrence_id": TEXT, "visit_detail_concept_id": TEXT},
    "concept": {"concept_id": TEXT, "concept_name": TEXT, "vocabulary_id": TEXT, "concept_code": TEXT},
    "condition_occurrence": CONDITIONS,
    **{table: fields for table, (_, fields, _) in EVENTS.items()},
}
REQUIRED = ("person", "visit_occurrence", "observation_period", "condition_occurrence", "concept")
# Words in the names of concepts, the first that is met counts.
KIND_WORDS = {
    "observation": "observation",
    "rehabilitation": "rehab",
    "skilled nursing": "snf",
    "nursing facility": "snf",
    "hospice": "hospice",
    "inpatient": "inpatient",
    "emergency": "emergency",
    "home": "home_health",
    "office": "office",
    "telehealth": "office",
}
PLACE_WORDS = {
    "against medical advice": "ama",
    "died": "died",
    "expired": "died",
    "deceased": "died",
    "hospice": "hospice",
    "rehabilitation": "rehab",
    "psychiatric": "psychiatric",
    "long term": "long_term_care",
    "skilled nursing": "snf",
    "nursing facility": "snf",
    "home health": "home_health",
    "home": "home",
    "hospital": "transfer",
}
STATUS_WORDS = {"primary admission": "0", "admission": "0", "primary": "1"}


class Omop:
    """OMOP common data model 5.4 or 5.3 of the OHDSI community, with its vocabulary table concept."""

    name = "omop"
    version = 1
    description = "OMOP CDM 5.4 or 5.3 tables as CSV or Parquet, a folder or a zip archive"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the tables of a folder or archive by their names."""
        found = tables_in(source, FIELDS, "OMOP's tables, such as person.csv and visit_occurrence.csv")
        return found.complete(source, REQUIRED, "OMOP")

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read persons, visits and concepts whole, then the clinical tables in batches."""
        by_table = {file.table: file for file in files}

        def whole(table: str) -> pl.DataFrame:
            if table not in by_table:
                return no_rows(FIELDS[table])
            return whole_table(by_table[table], FIELDS[table], rows_required=table in REQUIRED)

        people = whole("person")
        _check_births(people, by_table["person"])
        yield Part("person", run(tables.persons, people, whole("death")), by_table["person"].name)
        concepts = whole("concept")
        visits = whole("visit_occurrence").with_columns(
            pl.coalesce("discharged_to_concept_id", "discharge_to_concept_id").alias(
                "discharged_to_concept_id"
            )
        )
        details = whole("visit_detail").rename({"visit_detail_concept_id": "visit_concept_id"})
        yield Part("coverage", run(tables.coverage, whole("observation_period")), "observation_period")
        stays = run(
            tables.encounters,
            visits,
            details,
            kinds_by_name(concepts, details, visits),
            places_by_name(concepts, visits),
        )
        yield Part("encounter", stays, by_table["visit_occurrence"].name)
        codes = run(tables.vocabulary, concepts).collect()
        file = by_table["condition_occurrence"]
        for batch in read_table(file, CONDITIONS, rows_required=True):
            rows = batch.rename(CONDITION_NAMES)
            statuses = _by_name(concepts, rows["condition_status_concept_id"], STATUS_WORDS, "position")
            positions = statuses.with_columns(pl.col("position").cast(pl.Int32))
            yield Part("event", run(tables.conditions, rows, codes, visits, positions), file.name)
        for table, (kind, fields, names) in EVENTS.items():
            if table in by_table:
                for batch in read_table(by_table[table], fields):
                    rows = _with_all(batch.rename(names))
                    yield Part("event", run(tables.events, rows, codes, kind=kind), by_table[table].name)

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return all files as one piece: concepts and visits say what the other tables mean."""
        return [list(files)]


def adapter() -> Adapter:
    """Return the adapter."""
    return Omop()


def _check_births(people: pl.DataFrame, file: SourceFile) -> None:
    """Refuse parts of a birth date that are no date: the transformation would stop without saying where."""
    parts = [pl.col(f"{name}_of_birth") for name in ("year", "month", "day")]
    number = [part.cast(pl.Int32, strict=False) for part in parts]
    year, month, day = number[0], *(pl.coalesce(part, pl.lit(1)) for part in number[1:])
    written = pl.concat_str(year, pl.lit("-"), month, pl.lit("-"), day).str.to_date("%Y-%m-%d", strict=False)
    readable = people.select(
        pl.any_horizontal(
            parts[0].is_not_null() & written.is_null(),
            *(p.is_not_null() & n.is_null() for p, n in zip(parts, number, strict=True)),
        )
    ).to_series()
    if readable.any():
        raise DataError(
            "the year, month and day of birth are no date",
            file=file.keys.get("archive", file.path),
            column="year_of_birth",
            line=None if file.path.suffix.lower() == ".parquet" else readable.arg_true()[0] + 2,
            fix="correct the person's row; a month or day that is not known is blank",
        )


def kinds_by_name(concepts: pl.DataFrame, *used: pl.DataFrame) -> pl.DataFrame:
    """Return the kind of encounter of each visit concept that is used: standard by id, others by name."""
    ids = pl.concat([frame["visit_concept_id"] for frame in used])
    named = _by_name(concepts, ids, KIND_WORDS, "kind")
    standard = pl.DataFrame({"concept_id": list(tables.VISITS), "kind": list(tables.VISITS.values())})
    return pl.concat([standard, named.join(standard, on="concept_id", how="anti")])


def places_by_name(concepts: pl.DataFrame, visits: pl.DataFrame) -> pl.DataFrame:
    """Return the discharge disposition of each concept that patients were discharged to."""
    return _by_name(concepts, visits["discharged_to_concept_id"], PLACE_WORDS, "discharge_disposition")


def _by_name(concepts: pl.DataFrame, ids: pl.Series, words: Mapping[str, str], column: str) -> pl.DataFrame:
    used = concepts.filter(pl.col("concept_id").is_in(ids.unique().drop_nulls().implode()))
    name = pl.col("concept_name").str.to_lowercase()
    word = pl.lit(None, dtype=pl.String)
    for part, meaning in reversed(list(words.items())):
        word = pl.when(name.str.contains(part, literal=True)).then(pl.lit(meaning)).otherwise(word)
    return used.select("concept_id", word.alias(column)).filter(pl.col(column).is_not_null())


def _with_all(rows: pl.DataFrame) -> pl.DataFrame:
    numbers = {name: pl.Float64() for name in ("value", "quantity", "days_supply")}
    missing = {
        name: dtype for name, dtype in {**numbers, "unit": pl.String()}.items() if name not in rows.columns
    }
    return rows.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())
