"""How good predictions are: discrimination, calibration and usefulness, with patient-clustered intervals."""

from riskmodels.evaluation.compare import compare
from riskmodels.evaluation.cost_result import CostComparison, CostEvaluation, read_evaluation
from riskmodels.evaluation.costs import compare_costs
from riskmodels.evaluation.drift import reference_distribution, stability
from riskmodels.evaluation.drivers import summarise_drivers
from riskmodels.evaluation.evaluate import evaluate
from riskmodels.evaluation.inputs import band
from riskmodels.evaluation.metrics import (
    auroc,
    average_precision,
    brier,
    calibration_intercept,
    calibration_slope,
    expected_calibration_error,
    format_interval,
    format_metric,
    metric_label,
    net_benefit,
)
from riskmodels.evaluation.result import Evaluation, Interval
from riskmodels.evaluation.suppression import SMALLEST_CELL, small_cells, suppress_small

__all__ = [
    "SMALLEST_CELL",
    "CostComparison",
    "CostEvaluation",
    "Evaluation",
    "Interval",
    "auroc",
    "average_precision",
    "band",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "compare",
    "compare_costs",
    "evaluate",
    "expected_calibration_error",
    "format_interval",
    "format_metric",
    "metric_label",
    "net_benefit",
    "read_evaluation",
    "reference_distribution",
    "small_cells",
    "stability",
    "summarise_drivers",
    "suppress_small",
]
