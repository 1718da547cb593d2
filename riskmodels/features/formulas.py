"""Published scores: LACE, HOSPITAL and the Charlson index, each with the features it is computed from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from riskmodels.features.sources import Encounters, Events
from riskmodels.features.spec import Any, Count, Last, Spec, Static
from riskmodels.terminology import load_grouper

__all__ = ["FORMULAS", "Formula", "charlson_index", "hospital", "lace"]

LOW_HEMOGLOBIN = 12.0  # g/dL
LOW_SODIUM = 135.0  # mmol/L
HEMOGLOBIN = ("718-7", "20509-6", "30350-3", "30313-1")  # LOINC
SODIUM = ("2951-2", "2947-0", "77139-4")
ACUTE = ("emergency", "urgent", "trauma")

# A worse state takes the place of a milder one (Charlson 1987; Quan 2005).
SUPERSEDES = {
    "diabetes_complicated": "diabetes",
    "severe_liver": "mild_liver",
    "metastatic_cancer": "cancer",
}


@dataclass(frozen=True)
class Formula:
    """A score: what it needs and how it is computed.

    Parameters
    ----------
    source : str
        Where it was published.
    inputs : tuple of specifications
        The features it needs; their names begin with an underscore and stay out of the frame.
    outputs : dict of name to label
        Its columns.
    compute : callable
        Returns the expressions of the outputs, in order.
    """

    source: str
    inputs: tuple[Spec, ...]
    outputs: Mapping[str, str]
    compute: Callable[[], list[pl.Expr]]


def charlson_index(present: Mapping[str, pl.Expr], weights: Mapping[str, float]) -> pl.Expr:
    """Add up the weights of the comorbidities that are present, the worse state in place of the milder one.

    Parameters
    ----------
    present : mapping of group to expression
        1 where the comorbidity is present, else 0.
    weights : mapping of group to points
        Charlson's own, or those of LACE.
    """
    points = {group: flag * float(weights.get(group, 0.0)) for group, flag in present.items()}
    for worse, milder in SUPERSEDES.items():
        if worse in present and milder in present:
            points[milder] = points[milder] * (1 - present[worse])
    return pl.sum_horizontal(*points.values())


def lace(
    length_of_stay: pl.Expr, acute: pl.Expr, comorbidity: pl.Expr, ed_visits: pl.Expr
) -> dict[str, pl.Expr]:
    """Return the points of the LACE index and of its components; missing where one of them is.

    Parameters
    ----------
    length_of_stay : expression
        Days.
    acute : expression
        Whether the admission was an emergency, true or false.
    comorbidity : expression
        Sum of the Charlson comorbidities with the weights of LACE; above 3 it counts 5.
    ed_visits : expression
        Visits in the six months before the admission, without the one that led to it; at most 4 count.

    Returns
    -------
    dict of l, a, c, e, score
        The score is 0 to 19. Expected risk is high from 10 (van Walraven et al., CMAJ 2010;182:551-557).
    """
    days = (
        pl.when(length_of_stay < 1)
        .then(0)
        .when(length_of_stay < 4)
        .then(length_of_stay.floor())
        .when(length_of_stay < 7)
        .then(4)
        .when(length_of_stay < 14)
        .then(5)
        .when(length_of_stay >= 14)
        .then(7)
        .cast(pl.Float64)
    )
    points = {
        "l": days,
        "a": acute.cast(pl.Float64) * 3,
        "c": pl.when(comorbidity > 3).then(5.0).otherwise(comorbidity).cast(pl.Float64),
        "e": pl.min_horizontal(ed_visits, pl.lit(4.0)).cast(pl.Float64),
    }
    return {**points, "score": points["l"] + points["a"] + points["c"] + points["e"]}


def hospital(
    hemoglobin: pl.Expr,
    sodium: pl.Expr,
    oncology: pl.Expr,
    procedure: pl.Expr,
    non_elective: pl.Expr,
    admissions: pl.Expr,
    length_of_stay: pl.Expr,
    *,
    variant: str = "2016",
) -> pl.Expr:
    """Return the HOSPITAL score; missing where a component is.

    Parameters
    ----------
    hemoglobin, sodium : expression
        The last of the stay, in g/dL and mmol/L.
    oncology, procedure, non_elective : expression
        True or false.
    admissions : expression
        Hospital admissions in the year before.
    length_of_stay : expression
        Days.
    variant : {'2013', '2016', 'simplified'}
        Points for earlier admissions: 0, 1-5, more than 5 (Donzé et al., JAMA Intern Med 2013;173:632-638),
        or 0-1, 2-5, more than 5 (Donzé et al., JAMA Intern Med 2016;176:496-502). The simplified score is
        that of 2016 without the procedure, a cancer diagnosis in place of the oncology service (Aubert et
        al., 2017). Up to 13 points, 12 in the simplified one.
    """
    some = 1 if variant == "2013" else 2
    before = (
        pl.when(admissions > 5).then(5).when(admissions >= some).then(2).when(admissions >= 0).then(0)
    ).cast(pl.Float64)
    points = [
        (hemoglobin < LOW_HEMOGLOBIN).cast(pl.Float64),
        oncology.cast(pl.Float64) * 2,
        (sodium < LOW_SODIUM).cast(pl.Float64),
        non_elective.cast(pl.Float64),
        before,
        (length_of_stay >= 5).cast(pl.Float64) * 2,
    ]
    if variant != "simplified":
        points.append(procedure.cast(pl.Float64))
    total = points[0]
    for component in points[1:]:
        total = total + component
    return total


def _present(prefix: str) -> dict[str, pl.Expr]:
    return {group: pl.col(f"{prefix}_{group}") for group in load_grouper("charlson").groups}


def _charlson() -> list[pl.Expr]:
    weights = load_grouper("charlson").weights["charlson"]
    return [charlson_index(_present("_charlson"), weights).alias("charlson_index")]


def _acute() -> pl.Expr:
    return pl.col("_admission_type").cast(pl.String).is_in(ACUTE)


def _lace() -> list[pl.Expr]:
    comorbidity = charlson_index(_present("_lace"), load_grouper("charlson").weights["lace"])
    points = lace(pl.col("_length_of_stay"), _acute(), comorbidity, pl.col("_ed_visits_180d"))
    known = pl.sum_horizontal(*(points[part].fill_null(0.0) for part in "lace"))
    named = {
        "lace_length_of_stay_points": points["l"],
        "lace_acuity_points": points["a"],
        "lace_comorbidity_points": points["c"],
        "lace_ed_visit_points": points["e"],
        "lace_score": points["score"],
        "lace_known_points": known,
    }
    return [expression.alias(name) for name, expression in named.items()]


def _hospital() -> list[pl.Expr]:
    hemoglobin = pl.col("_hemoglobin")
    parts = {
        # Above 30 the unit can only be g/L.
        "hemoglobin": pl.when(hemoglobin > 30).then(hemoglobin / 10).otherwise(hemoglobin),
        "sodium": pl.col("_sodium"),
        "oncology": pl.max_horizontal(
            *(pl.col(f"_lace_{group}") for group in ("cancer", "metastatic_cancer"))
        ),
        "procedure": pl.col("_stay_procedure"),
        "non_elective": _acute(),
        "admissions": pl.col("_admissions_365d"),
        "length_of_stay": pl.col("_length_of_stay"),
    }
    return [
        hospital(**parts, variant=variant).alias(f"hospital_{variant}_score")
        for variant in ("2013", "2016", "simplified")
    ]


_CHARLSON = Events("diagnosis", grouper="charlson")
_STAY: tuple[Spec, ...] = (
    Any(_CHARLSON, "365d+stay", anchor="admission", name="_lace"),
    Static("length_of_stay", name="_length_of_stay"),
    Static("admission_type", name="_admission_type"),
)

FORMULAS: dict[str, Formula] = {
    "charlson": Formula(
        source="Charlson 1987, codes of Quan 2005",
        inputs=(Any(_CHARLSON, "365d", anchor="admission", name="_charlson"),),
        outputs={"charlson_index": "Charlson comorbidity index from the year before admission"},
        compute=_charlson,
    ),
    "lace": Formula(
        source="van Walraven 2010",
        inputs=(
            *_STAY,
            Count(Encounters("emergency"), "180d", anchor="admission", name="_ed_visits_180d"),
        ),
        outputs={
            "lace_length_of_stay_points": "LACE points for length of stay",
            "lace_acuity_points": "LACE points for an emergency admission",
            "lace_comorbidity_points": "LACE points for comorbidities",
            "lace_ed_visit_points": "LACE points for ED visits in the 180 days before admission",
            "lace_score": "LACE score",
            "lace_known_points": "LACE points of the components that are known",
        },
        compute=_lace,
    ),
    "hospital": Formula(
        source="Donzé 2013, 2016; Aubert 2017",
        inputs=(
            *_STAY,
            Count(Encounters("inpatient"), "365d", anchor="admission", name="_admissions_365d"),
            Any(Events("procedure"), "stay", name="_stay_procedure"),
            Last(Events("lab", codes=HEMOGLOBIN, code_system="LOINC"), "stay", name="_hemoglobin"),
            Last(Events("lab", codes=SODIUM, code_system="LOINC"), "stay", name="_sodium"),
        ),
        outputs={
            "hospital_2013_score": "HOSPITAL score of 2013 (cancer diagnosis for oncology service)",
            "hospital_2016_score": "HOSPITAL score of 2016 (cancer diagnosis for oncology service)",
            "hospital_simplified_score": "Simplified HOSPITAL score",
        },
        compute=_hospital,
    ),
}
