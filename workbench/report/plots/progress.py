"""How a search went: the frontier it had after so many evaluations."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from workbench.report.plots.style import INK, SERIES, WIDTH, Sheet, short_target
from workbench.report.text import number
from workbench.results import TargetResult

LINE = SERIES[0]


def progress_figure(target: TargetResult) -> Figure | None:
    """Return the plot: quality of the frontier against evaluations spent; None for a search without a trace."""
    trace = target.search
    if trace is None or len(trace.evaluations) < 2:
        return None
    handles = [(Line2D([], [], color=LINE, linewidth=1.6), f"frontier found so far: {trace.measure}")]
    if trace.best is not None:
        handles.append((Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (4, 3))), "the exact frontier"))
    sense = "More" if trace.larger_is_better else "Less"
    sheet = Sheet(
        "How the search went: its frontier after so many evaluations",
        f"{short_target(target.profile.name)}. {sense} is better. A plan evaluated on a part of the samples counts as that share of an "
        "evaluation; a flat end says that further evaluations found little.",
        handles, 2.6, 0.55,
    )  # fmt: skip
    axes = sheet.axes(0.95, WIDTH - 0.25, 0.1)
    axes.step(trace.evaluations, trace.quality, where="post", color=LINE, linewidth=1.6, zorder=3)
    axes.plot(trace.evaluations[-1], trace.quality[-1], "o", color=LINE, markersize=5, zorder=4, clip_on=False)
    values = np.array([*trace.quality, *([] if trace.best is None else [trace.best])], np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = 0.06 * (high - low) or 0.05 * (abs(high) or 1.0)
    axes.set_ylim(low - pad, high + pad)
    axes.set_xlim(0, 1.02 * trace.evaluations[-1])
    if trace.best is not None:
        axes.axhline(trace.best, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.grid(visible=True)
    axes.set_xlabel(f"evaluations (plans on all samples); {number(trace.evaluations[-1], 4)} in all")
    axes.set_ylabel(trace.measure)
    return sheet.figure
