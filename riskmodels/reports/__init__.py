"""What people look at: one self-contained HTML file a run, and the figures in it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from riskmodels.evaluation.suppression import suppress_small
from riskmodels.reports.summary import PaymentSummary, TrainingSummary

if TYPE_CHECKING:
    from riskmodels.reports.benchmark_page import write_benchmark_plots
    from riskmodels.reports.check_page import write_check_page
    from riskmodels.reports.plots import (
        plot_calibration,
        plot_caterpillar,
        plot_changes,
        plot_decision_curve,
        plot_drivers,
        plot_funnel,
        plot_groups,
        plot_net_benefit,
        plot_payment,
        plot_precision_recall,
        plot_roc,
        plot_social,
        to_png,
        to_svg,
        write_figure,
    )
    from riskmodels.reports.report import write_report

__all__ = [
    "PaymentSummary",
    "TrainingSummary",
    "plot_calibration",
    "plot_caterpillar",
    "plot_changes",
    "plot_decision_curve",
    "plot_drivers",
    "plot_funnel",
    "plot_groups",
    "plot_net_benefit",
    "plot_payment",
    "plot_precision_recall",
    "plot_roc",
    "plot_social",
    "suppress_small",
    "to_png",
    "to_svg",
    "write_benchmark_plots",
    "write_check_page",
    "write_figure",
    "write_report",
]


_HOME = {
    "write_benchmark_plots": "benchmark_page",
    "write_check_page": "check_page",
    "write_report": "report",
}


# matplotlib takes a second to import: only who draws waits for it.
def __getattr__(name: str) -> Any:
    if name in __all__:
        module = _HOME.get(name, "plots")
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
