"""The standard features for claims and records."""

from riskmodels.cohorts import Task, load_task
from riskmodels.errors import SpecError
from riskmodels.features.code_groups import (
    chronic_conditions,
    drug_classes,
    laboratory_tests,
    reimbursements,
)
from riskmodels.features.feature_set import FeatureSet
from riskmodels.features.sources import Encounters, Events
from riskmodels.features.spec import Any, Count, DaysSince, Distinct, Last, Mean, Score, Spec, Static, Sum

__all__ = ["standard_features"]

_WINDOWS = ("30d", "90d", "180d", "365d")
_YEAR = "365d"
_CHARLSON = "Charlson comorbidity index from the last 365 days"  # where no stay has ended
_VISITS = {
    "inpatient_admissions": ("inpatient", "Inpatient admissions"),
    "ed_visits": ("emergency", "ED visits"),
    "observation_stays": ("observation", "Observation stays"),
    "outpatient_visits": ("outpatient", "Hospital outpatient visits"),
    "office_visits": ("office", "Office visits"),
    "snf_stays": ("snf", "Skilled-nursing-facility stays"),
}
_LATE_CARE = {
    "rehab_stays": ("rehab", "Inpatient rehabilitation stays"),
    "home_health_episodes": ("home_health", "Home-health episodes"),
    "hospice_episodes": ("hospice", "Hospice episodes"),
}


def standard_features(task: str | Task = "readmission-30d", role: str | None = None) -> FeatureSet:
    """Return the standard features of a task.

    Look-back windows end at the admission of the index stay, so that neither the stay nor the ED visit it
    began with counts as earlier use; for a task over a population they end at the index date. Facts of the
    stay are features only where the prediction is made at its end.

    Parameters
    ----------
    task : str or Task
        A task of the package, by name, or one of your own.
    role : {'predict', 'adjust'}, optional
        Only the features of this role.

    Raises
    ------
    SpecError
        Where there is no such task.
    """
    try:
        task = load_task(task)
    except SpecError as error:
        raise SpecError(
            f"There are no standard features for task {task!r}. {error}\n"
            "Fix: give the task itself, or the path of its .yaml file."
        ) from error
    of_a_stay = task.index.event == "discharge"
    in_hospital = of_a_stay and "inpatient" in task.index.kinds
    anchor = "admission" if of_a_stay else "index"
    specs = [
        *_person(),
        *(_stay() if of_a_stay else _arrival() if task.index.event == "admission" else []),
        *_use(anchor),
        *_diagnoses(anchor),
        *(_stay_diagnoses() if of_a_stay else []),
        *_drugs(anchor),
        *_laboratory(),
        *_cost(anchor),
        *_summaries(anchor),
        Score("charlson", role="adjust", label=None if of_a_stay else _CHARLSON),
        *([Score("lace"), Score("hospital")] if in_hospital else []),
    ]
    groupers = [drug_classes(), laboratory_tests(), chronic_conditions(), reimbursements()]
    full = FeatureSet(f"standard:{task.name}", specs, groupers)
    return full.select(role)


def _person() -> list[Spec]:
    """Return facts of the person.

    Age, sex, entitlement by disability and end-stage renal disease adjust, as in the CMS-HCC model (42 CFR
    422.308(c)). Dual eligibility only predicts: CMS's readmission measures leave social risk out of the
    model, and HRRP compares hospitals with peers of like dual share instead (42 CFR 412.152, 412.154).
    """
    return [
        Static("age", role="adjust"),
        Static("sex", role="adjust"),
        Static("orig_disability", role="adjust"),
        Static("esrd", role="adjust"),
        Static("dual"),
    ]


def _stay() -> list[Spec]:
    """Return facts of the index stay; what brought the patient adjusts, what was done there predicts.

    CMS's hospital-wide readmission measure adjusts for the principal diagnosis category, not for length of
    stay, procedures or disposition, which are the hospital's own doing.
    """
    stay = "stay"
    return [
        Static("principal_diagnosis_group", role="adjust", grouper="clinical"),
        Static("principal_diagnosis"),
        Static("drg"),
        Static("length_of_stay"),
        Static("stay_segments"),
        Static("admission_type"),
        Static("admission_source"),
        Static("discharge_disposition"),
        Distinct(Events("diagnosis"), stay, name="stay_diagnoses", label="Different diagnosis codes"),
        Distinct(Events("procedure"), stay, name="stay_procedures", label="Different procedure codes"),
    ]


def _arrival() -> list[Spec]:
    """Return what is known of a stay when it begins."""
    return [Static("admission_type"), Static("admission_source")]


def _use(anchor: str) -> list[Spec]:
    specs: list[Spec] = []
    for name, (kind, label) in _VISITS.items():
        specs.append(Count(Encounters(kind), _WINDOWS, anchor=anchor, name=name, label=label))
    for name, (kind, label) in _LATE_CARE.items():
        specs.append(Count(Encounters(kind), _YEAR, anchor=anchor, name=f"{name}_365d", label=label))
    for name, kind, label in (
        ("days_since_inpatient_discharge", "inpatient", "Days since the last inpatient discharge"),
        ("days_since_ed_visit", "emergency", "Days since the last ED visit"),
        ("days_since_office_visit", "office", "Days since the last office visit"),
    ):
        specs.append(DaysSince(Encounters(kind), _YEAR, anchor=anchor, name=name, label=label))
    inpatient = Encounters("inpatient")
    return [
        *specs,
        Sum(
            inpatient,
            ("90d", _YEAR),
            value="length_of_stay",
            anchor=anchor,
            name="inpatient_days",
            label="Inpatient days",
        ),
        Count(
            Encounters("inpatient", {"admission_type": ("emergency", "urgent", "trauma")}),
            _YEAR,
            anchor=anchor,
            name="emergency_admissions_365d",
            label="Emergency or urgent inpatient admissions",
        ),
        Distinct(
            inpatient,
            _YEAR,
            value="facility_id",
            anchor=anchor,
            name="inpatient_facilities_365d",
            label="Different hospitals of inpatient admissions",
        ),
    ]


def _diagnoses(anchor: str) -> list[Spec]:
    """Return comorbidities of the year before, which adjust, and how much was coded, which only predicts.

    The index stay's own secondary diagnoses do not adjust: without present-on-admission flags a complication
    of the stay could not be told from what the patient came with.
    """
    return [
        Any(
            Events("diagnosis", grouper="charlson"),
            _YEAR,
            anchor=anchor,
            role="adjust",
            name="charlson_{group}",
            label="{group} (Charlson)",
        ),
        Any(
            Events("diagnosis", grouper="elixhauser"),
            _YEAR,
            anchor=anchor,
            role="adjust",
            name="elixhauser_{group}",
            label="{group} (Elixhauser)",
        ),
        Any(
            Events("diagnosis", grouper="clinical"),
            _YEAR,
            anchor=anchor,
            role="adjust",
            name="diagnosis_{group}",
            label="{group}",
        ),
        Distinct(
            Events("diagnosis"),
            ("90d", _YEAR),
            anchor=anchor,
            name="distinct_diagnoses",
            label="Different diagnosis codes",
        ),
        Distinct(
            Events("procedure"),
            _YEAR,
            anchor=anchor,
            name="distinct_procedures_365d",
            label="Different procedure codes",
        ),
    ]


def _stay_diagnoses() -> list[Spec]:
    return [
        Any(
            Events("diagnosis", grouper="elixhauser"), "stay", name="stay_elixhauser_{group}", label="{group}"
        )
    ]


def _drugs(anchor: str) -> list[Spec]:
    drugs = Events("drug")
    return [
        Count(drugs, ("90d", _YEAR), anchor=anchor, name="drug_fills", label="Drug fills"),
        Distinct(drugs, ("90d", _YEAR), anchor=anchor, name="distinct_drugs", label="Different drugs"),
        Sum(
            drugs,
            ("90d", _YEAR),
            value="days_supply",
            anchor=anchor,
            name="drug_days",
            label="Days of drugs supplied",
        ),
        DaysSince(
            drugs, _YEAR, anchor=anchor, name="days_since_drug_fill", label="Days since the last drug fill"
        ),
        Count(
            Events("drug", grouper="drug_classes"),
            _YEAR,
            anchor=anchor,
            name="drug_{group}",
            label="Fills of {group}",
        ),
    ]


def _laboratory() -> list[Spec]:
    """Return laboratory results up to the index time, so that those of the stay count."""
    tests = Events("lab", grouper="laboratory_tests")
    return [
        Last(tests, _YEAR, name="last_{group}", label="Last {group}"),
        Mean(tests, _YEAR, name="mean_{group}", label="Mean {group}"),
        DaysSince(tests, _YEAR, name="days_since_{group}", label="Days since the last {group}"),
        Count(Events("lab"), ("30d", _YEAR), name="lab_results", label="Laboratory results"),
    ]


def _cost(anchor: str) -> list[Spec]:
    windows = ("90d", _YEAR)
    return [
        Sum(
            Encounters(),
            windows,
            value="paid",
            anchor=anchor,
            name="paid_care",
            label="Paid for care, in dollars",
        ),
        Sum(
            Events("drug"),
            windows,
            value="paid",
            anchor=anchor,
            name="paid_drugs",
            label="Paid for drugs, in dollars",
        ),
        Sum(
            Encounters("inpatient"),
            _YEAR,
            value="paid",
            anchor=anchor,
            name="paid_inpatient_365d",
            label="Paid for inpatient care, in dollars",
        ),
    ]


def _summaries(anchor: str) -> list[Spec]:
    """Return what a publisher summed up for the last calendar year that was over.

    Chronic conditions are the patient's, so they adjust; what was spent depends on the care and predicts.
    """
    return [
        Any(
            Events("observation", grouper="chronic_conditions"),
            _YEAR,
            anchor=anchor,
            role="adjust",
            name="chronic_{group}",
            label="{group}, flagged in the calendar year before,",
        ),
        Last(
            Events("observation", grouper="reimbursements"),
            _YEAR,
            anchor=anchor,
            name="reimbursed_{group}",
            label="Medicare payments for {group} in the calendar year before",
        ),
    ]
