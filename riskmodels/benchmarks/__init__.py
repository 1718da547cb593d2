"""Risk-adjusted benchmarks: what was observed against what was to be expected of such patients."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from riskmodels.benchmarks.benchmarking import benchmark
from riskmodels.benchmarks.intervals import funnel_limits, ratio_interval
from riskmodels.benchmarks.observed_expected import benchmark_stays
from riskmodels.benchmarks.result import Benchmark, read_benchmark
from riskmodels.benchmarks.standardise import bootstrap_ratios, patient_dispersion, standardise
from riskmodels.benchmarks.suppression import suppress_small_cells

if TYPE_CHECKING:
    from riskmodels.benchmarks.hierarchical import HierarchicalFit, fit_hierarchical
    from riskmodels.benchmarks.periods import period_tables
    from riskmodels.benchmarks.risk_standardised import risk_standardise_stays
    from riskmodels.benchmarks.rsrr import standardise_given
    from riskmodels.benchmarks.social import social_tables

__all__ = [
    "Benchmark",
    "HierarchicalFit",
    "benchmark",
    "benchmark_stays",
    "bootstrap_ratios",
    "fit_hierarchical",
    "funnel_limits",
    "patient_dispersion",
    "period_tables",
    "ratio_interval",
    "read_benchmark",
    "risk_standardise_stays",
    "social_tables",
    "standardise",
    "standardise_given",
    "suppress_small_cells",
]

# Numba takes half a second: what needs it is imported when it is used.
_HOME = {
    "HierarchicalFit": "hierarchical",
    "fit_hierarchical": "hierarchical",
    "period_tables": "periods",
    "risk_standardise_stays": "risk_standardised",
    "social_tables": "social",
    "standardise_given": "rsrr",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'riskmodels.benchmarks' has no attribute {name!r}")
    return getattr(import_module(f"riskmodels.benchmarks.{_HOME[name]}"), name)
