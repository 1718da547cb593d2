"""All figures of a report: functions from results to a matplotlib figure, for pages (SVG) and logs (PNG)."""

from riskmodels.reports.benchmark_plots import plot_changes, plot_social
from riskmodels.reports.evaluation_plots import (
    plot_calibration,
    plot_decision_curve,
    plot_drivers,
    plot_groups,
    plot_precision_recall,
    plot_roc,
)
from riskmodels.reports.hospital_plots import plot_caterpillar, plot_funnel, plot_payment
from riskmodels.reports.intervention_plot import plot_net_benefit
from riskmodels.reports.style import to_png, to_svg, write_figure

__all__ = [
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
    "to_png",
    "to_svg",
    "write_figure",
]
