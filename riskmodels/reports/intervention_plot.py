"""The figure of an intervention: net benefit in dollars by the risk from which patients are reached."""

from matplotlib.figure import Figure

from riskmodels.benchmarks.intervention import InterventionResult
from riskmodels.reports.style import BAND, COLOURS, INK, MUTED, figure, note, percent_axis, styled

__all__ = ["plot_net_benefit"]


@styled
def plot_net_benefit(result: InterventionResult) -> Figure:
    """Draw net benefit in dollars, with its interval, over the threshold of the risk.

    Parameters
    ----------
    result : InterventionResult
        From `riskmodels.benchmarks.intervention.intervene`; thresholds that are withheld are left out.
    """
    rows = result.frame.drop_nulls("net_benefit").sort("threshold")
    drawn, ax = figure(4.2)
    ax.set_title("What reaching the patients at highest risk would move", loc="left", fontsize=12, color=INK)
    if rows.is_empty():
        note(ax, "fewer than 11 patients are reached at any threshold")
        return drawn
    threshold, benefit = rows["threshold"].to_numpy(), rows["net_benefit"].to_numpy()
    limits = (rows[f"net_benefit_{end}"].to_numpy() for end in ("lower", "upper"))
    ax.fill_between(threshold, *limits, color=BAND, lw=0, label="95% interval")
    ax.plot(threshold, benefit, marker="o", ms=4, color=COLOURS["blue"], label="net benefit")
    ax.axhline(0, color=MUTED, lw=1)
    if result.break_even is not None:
        edge = f"a patient breaks even ({result.break_even:.1%})"
        ax.axvline(result.break_even, ls=(0, (1, 2)), color=INK, lw=1.4, label=edge)
    ax.set_xlabel("Risk from which a patient is reached")
    percent_axis(ax.xaxis)
    ax.set_ylabel("Net benefit (dollars)")
    ax.yaxis.set_major_formatter(lambda value, _: f"{'−' if value < 0 else ''}${abs(value):,.0f}")
    ax.legend()
    return drawn
