"""Risk-adjusted benchmarks: what was observed against what was to be expected of such patients."""

from riskmodels.benchmarks.intervals import funnel_limits, ratio_interval
from riskmodels.benchmarks.observed_expected import benchmark, benchmark_stays
from riskmodels.benchmarks.result import Benchmark, read_benchmark
from riskmodels.benchmarks.standardise import bootstrap_ratios, patient_dispersion, standardise
from riskmodels.benchmarks.suppression import suppress_small_cells

__all__ = [
    "Benchmark",
    "benchmark",
    "benchmark_stays",
    "bootstrap_ratios",
    "funnel_limits",
    "patient_dispersion",
    "ratio_interval",
    "read_benchmark",
    "standardise",
    "suppress_small_cells",
]
