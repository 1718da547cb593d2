"""The figure of how well expected costs agree with what was spent."""

from matplotlib.figure import Figure

from riskmodels.evaluation import CostEvaluation
from riskmodels.reports.style import COLOURS, QUIET, figure, note, styled

__all__ = ["plot_cost_tenths"]


@styled
def plot_cost_tenths(evaluation: CostEvaluation) -> Figure:
    """Draw what was expected over what was spent, by tenth of the expectation, with its interval.

    Tenths of fewer than 11 persons are left out.
    """
    drawn, ax = figure(3.2)
    rows = evaluation.tenths.drop_nulls(["ratio", "lower", "upper"]).to_dicts()
    if not rows:
        note(ax, "withheld: too few persons a tenth")
        return drawn
    places = [int(row["level"]) for row in rows]
    ratios = [row["ratio"] for row in rows]
    below = [max(row["ratio"] - row["lower"], 0.0) for row in rows]
    above = [max(row["upper"] - row["ratio"], 0.0) for row in rows]
    ax.axhline(1, color=QUIET, linewidth=1)
    ax.errorbar(places, ratios, yerr=[below, above], fmt="o", color=COLOURS["blue"], capsize=3)
    ax.set_xticks(range(1, 11))
    ax.set_xlabel("Tenth of persons by expected cost, lowest first")
    ax.set_ylabel("Expected over spent")
    return drawn
