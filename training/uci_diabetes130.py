"""The UCI Diabetes-130 stays as features: what is specific to this table (Strack et al. 2014, CC BY 4.0)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from riskmodels.errors import DataError
from riskmodels.learning.tables import combine, look_back
from riskmodels.terminology import Grouper, clinical_groups, diagnosis_chapters

__all__ = ["Stays", "plain_columns", "read_stays"]

PATIENT, ORDER, LABEL = "patient_nbr", "encounter_id", "readmitted"
DISPOSITION = "discharge_disposition_id"
# Died (11, 19, 20, 21) or went to hospice (13, 14), as IDs_mapping.csv of the data set says.
NOT_AT_RISK = ("11", "13", "14", "19", "20", "21")
LABELS = ("<30", ">30", "NO")
NUMBERS = (
    "time_in_hospital",
    "num_lab_procedures",
    "num_procedures",
    "num_medications",
    "number_outpatient",
    "number_emergency",
    "number_inpatient",
    "number_diagnoses",
)
CATEGORIES = (
    "race",
    "gender",
    "weight",
    "admission_type_id",
    DISPOSITION,
    "admission_source_id",
    "payer_code",
    "medical_specialty",
    "max_glu_serum",
    "A1Cresult",
    "change",
    "diabetesMed",
)
# Drugs that fewer than one patient in a thousand takes carry nothing to learn from.
DRUGS = (
    "metformin",
    "repaglinide",
    "nateglinide",
    "chlorpropamide",
    "glimepiride",
    "glipizide",
    "glyburide",
    "pioglitazone",
    "rosiglitazone",
    "acarbose",
    "insulin",
)
DIAGNOSES = ("diag_1", "diag_2", "diag_3")
COLUMNS = (PATIENT, ORDER, LABEL, "age", *NUMBERS, *CATEGORIES, *DRUGS, *DIAGNOSES)
COMBINATIONS = {
    "disposition_and_source": (DISPOSITION, "admission_source_id"),
    "type_and_source": ("admission_type_id", "admission_source_id"),
    "disposition_and_payer": (DISPOSITION, "payer_code"),
    "payer_and_specialty": ("payer_code", "medical_specialty"),
    "diagnosis_and_disposition": ("diag_1_category", DISPOSITION),
    "diagnosis_and_specialty": ("diag_1_category", "medical_specialty"),
    "two_diagnoses": ("diag_1_category", "diag_2_category"),
    "three_chapters": ("diag_1_chapter", "diag_2_chapter", "diag_3_chapter"),
    "chapter_and_age": ("diag_1_chapter", "age"),
}


@dataclass(frozen=True)
class Stays:
    """Stays at risk of a readmission: features, outcome within 30 days (n,), patient (n,)."""

    X: pl.DataFrame
    y: np.ndarray
    patients: np.ndarray
    n_not_at_risk: int


def read_stays(path: str | Path) -> Stays:
    """Return the stays in a file as features and outcomes.

    A stay's features come from its own row and the earlier rows of the same patient in the file, in the order
    of `encounter_id`, and never from an outcome. The id itself is no feature: it tells the calendar time,
    hence how much follow-up the data had left. Stays that ended in death or hospice give history and are
    dropped.

    Raises
    ------
    DataError
        If the file cannot be read, has no rows or other columns, or holds an impossible value.
    """
    path = Path(path)
    raw = _read(path)
    stays = _features(raw)
    at_risk = ~stays[DISPOSITION].is_in(NOT_AT_RISK).fill_null(False)
    kept = stays.filter(at_risk)
    if kept.is_empty():
        raise DataError("no stay is at risk of a readmission", file=path, fix="see that the file is complete")
    y = (kept[LABEL] == "<30").cast(pl.Int8).to_numpy()
    return Stays(kept.drop(PATIENT, ORDER, LABEL), y, kept[PATIENT].to_numpy(), raw.height - kept.height)


def plain_columns(X: pl.DataFrame) -> list[str]:
    """Return the columns without combinations and full codes, which a linear model would only overfit."""
    return [name for name in X.columns if name not in COMBINATIONS and name not in DIAGNOSES]


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataError(
            "there is no such file", file=path, fix="give the path of diabetic_data.csv or a part of it"
        )
    try:
        raw = pl.read_csv(path, infer_schema=False, null_values=["?"])
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise DataError(
            f"not a readable CSV file: {error}", file=path, fix="see that it is complete"
        ) from error
    missing = [name for name in COLUMNS if name not in raw.columns]
    if missing:
        raise DataError(
            f"{len(missing)} columns are missing: {', '.join(missing[:6])}{' …' if len(missing) > 6 else ''}",
            file=path,
            fix="give the UCI Diabetes-130 table with its published header",
        )
    if raw.is_empty():
        raise DataError("the file has a header and no stays", file=path, fix="see that it is complete")
    for name, kind in [(PATIENT, pl.Int64), (ORDER, pl.Int64), *((n, pl.Float64) for n in NUMBERS)]:
        value = raw[name].cast(kind, strict=False)
        bad = value.is_null() & (raw[name].is_not_null() | pl.Series([name in (PATIENT, ORDER)]))
        if bad.any():
            line = int(bad.arg_true()[0])
            cell = raw[name][line]
            # The id of a patient stays out of messages.
            shown = "an empty cell" if cell is None else "the cell" if name == PATIENT else repr(cell)
            raise DataError(
                f"{shown} is not a number", file=path, column=name, line=line + 2, fix="correct it"
            )
        raw = raw.with_columns(value)
    bad = ~raw[LABEL].is_in(LABELS).fill_null(False)
    if bad.any():
        line = int(bad.arg_true()[0])
        raise DataError(
            f"{raw[LABEL][line]!r} is none of {', '.join(LABELS)}", file=path, column=LABEL, line=line + 2
        )
    return raw.select(COLUMNS)


def _features(raw: pl.DataFrame) -> pl.DataFrame:
    """Return one row a stay, in the order of the file: features, and beside them patient, order and label."""
    stays = raw.with_columns(age=pl.col("age").str.extract(r"(\d+)").cast(pl.Float64) + 5)
    for name in DIAGNOSES:
        stays = stays.with_columns(_full_code(name)).with_columns(
            pl.col(name).str.split(".").list.first().alias(f"{name}_category")
        )
        for suffix, grouper in (("chapter", diagnosis_chapters()), ("group", clinical_groups())):
            stays = stays.with_columns(_group(stays[name], grouper).alias(f"{name}_{suffix}"))
    changed = [pl.col(name).is_in(["Up", "Down"]).cast(pl.Float64) for name in DRUGS]
    stays = stays.with_columns(
        drugs=pl.sum_horizontal((pl.col(name) != "No").cast(pl.Float64) for name in DRUGS),
        drugs_changed=pl.sum_horizontal(changed),
        visits=pl.sum_horizontal("number_inpatient", "number_emergency", "number_outpatient"),
        medications_per_day=pl.col("num_medications") / pl.col("time_in_hospital").clip(1),
        labs_per_day=pl.col("num_lab_procedures") / pl.col("time_in_hospital").clip(1),
    )
    return look_back(
        stays,
        patient=PATIENT,
        order=ORDER,
        previous=(DISPOSITION, "time_in_hospital", "diag_1_category", "number_inpatient", "number_emergency",
                  "num_medications", "num_lab_procedures"),
        change=("number_inpatient",),
        total=("time_in_hospital",),
        largest=("number_inpatient",),
        same=("diag_1_category",),
    ).with_columns(combine(columns, name) for name, columns in COMBINATIONS.items())  # fmt: skip


def _group(code: pl.Series, grouper: Grouper) -> pl.Series:
    """Return the first group of each code, null where it has none."""
    found = grouper.assign(pl.repeat("ICD9CM", len(code), eager=True), code)
    first = found.unique("row", keep="first", maintain_order=True)
    label = np.full(len(code), None, dtype=object)
    label[first["row"].to_numpy()] = np.array(grouper.groups, dtype=object)[first["group"].to_numpy()]
    return pl.Series(label.tolist(), dtype=pl.String)


def _full_code(name: str) -> pl.Expr:
    """Return an ICD-9-CM code with the leading zeros that the published table lost: '38' is 038."""
    whole, rest = pl.col(name).str.extract(r"^(\d+)"), pl.col(name).str.extract(r"^\d+(\..*)$")
    padded = pl.concat_str(whole.str.zfill(3), rest.fill_null(""))
    return pl.when(whole.is_not_null()).then(padded).otherwise(pl.col(name)).alias(name)
