"""Cohorts: index cases, who is eligible, what counts as the outcome, and how to split patients."""

from riskmodels.cohorts.attribution import assignment_window, attribute, attribute_cases
from riskmodels.cohorts.cases import CASES, shard_cases
from riskmodels.cohorts.cohort import Cohort, build_cohort
from riskmodels.cohorts.costs import COSTS, ENROLMENT
from riskmodels.cohorts.splits import folds_by_patient, split_by_patient, split_by_time
from riskmodels.cohorts.task import FollowUp, IndexRule, LookBack, OutcomeRule, Task, load_task, task_names

__all__ = [
    "CASES",
    "COSTS",
    "ENROLMENT",
    "Cohort",
    "FollowUp",
    "IndexRule",
    "LookBack",
    "OutcomeRule",
    "Task",
    "assignment_window",
    "attribute",
    "attribute_cases",
    "build_cohort",
    "folds_by_patient",
    "load_task",
    "shard_cases",
    "split_by_patient",
    "split_by_time",
    "task_names",
]
