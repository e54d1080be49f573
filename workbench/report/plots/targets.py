"""Several targets in one plot: every target's frontier relative to its own baseline, and one plan for all."""

from __future__ import annotations

import math

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from workbench.report.plots.frontier_scene import ZOOM_POINTS
from workbench.report.plots.style import INK, LIMIT, MARKERS, PANEL, SERIES, WIDTH, Sheet
from workbench.report.text import AXIS_TITLES, minus, unique_short
from workbench.results import StudyResult, TargetResult
from workbench.search import Candidate, axis_value

DEPTH = 3.0
"""Changes below so many times the largest limit (at least 3 points) are cut off where a share spans more than the plot can show."""


def targets_figure(result: StudyResult) -> Figure | None:
    """Return the plot: change of the metric against the objective as a share of the baseline's; None for fewer than two targets."""
    shown = [t for t in result.targets if t.status != "nothing_fits" and len(t.frontier) > 1 and _base(t) > 0]
    if len(shown) < 2 or len({(t.objective, t.metric.name) for t in shown}) > 1:
        return None
    first = shown[0]
    names = unique_short([t.profile.name for t in shown], 34)
    common = {} if result.joint is None else {row.target: row.common for row in result.joint.rows if row.common is not None}
    handles = [
        (Line2D([], [], color=SERIES[i % len(SERIES)], marker=MARKERS[i % len(MARKERS)], markersize=4.5), n)
        for i, n in enumerate(names)
    ]
    handles.append((Line2D([], [], color=INK, marker="o", markersize=10, markerfacecolor="none", linestyle="none"), "chosen"))
    if common:
        handles.append((Line2D([], [], color=INK, marker="*", markersize=11, linestyle="none"), "one plan for all"))
    sheet = Sheet(
        f"The targets beside each other: {first.metric.short} change against {AXIS_TITLES[first.objective]}",
        "Every target against its own baseline on the samples that choose. 100 %: what the baseline takes on that target. "
        "Earlier targets are drawn wider, so that curves that coincide all show.",
        handles, 3.9, 0.6,
    )  # fmt: skip
    axes = sheet.axes(0.9, WIDTH - 0.25, 0.1)
    factor = 100.0 if first.metric.is_share else 1.0
    lowest = math.inf
    for i, t in enumerate(shown):
        color, marker, more = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)], min(len(shown) - 1 - i, 4)
        points = sorted((_x(t, c), factor * c.change.estimate) for c in t.frontier)
        axes.plot(
            *zip(*points, strict=True), color=color, marker=marker, markersize=4.5 + 3.0 * more, linewidth=1.2 + 2.0 * more,
            zorder=3 - 0.1 * more,
        )  # fmt: skip
        if t.chosen is not None:
            axes.plot(
                _x(t, t.chosen), factor * t.chosen.change.estimate, "o", color=color, markersize=11, markerfacecolor="none",
                markeredgewidth=1.8, zorder=4,
            )  # fmt: skip
        one = common.get(t.profile.name)
        if one is not None:
            axes.plot(
                _x(t, one), factor * one.change.estimate, "*", color=color, markersize=13, markeredgecolor=PANEL, zorder=5
            )
        if t.limits.drop is not None:
            limit = factor * t.limits.drop * (-1.0 if t.metric.higher_is_better else 1.0)
            lowest = min(lowest, limit)
            axes.axhline(limit, color=LIMIT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.axhline(0, color=INK, linewidth=0.8, zorder=0.8)
    low, high = axes.get_ylim()
    if first.metric.is_share and first.metric.higher_is_better and high - low > ZOOM_POINTS:
        floor = min(DEPTH * lowest, -3.0) if math.isfinite(lowest) else -ZOOM_POINTS
        drawn = [(_x(t, c), factor * c.change.estimate) for t in shown for c in t.frontier]
        axes.set_ylim(floor, max(max(y for _, y in drawn), 0.0) - 0.06 * floor)
        seen = [x for x, y in drawn if y >= floor]
        axes.set_xlim(min(seen) - 3.0, max(*seen, 100.0) + 3.0)
    axes.grid(visible=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v:+g}") if v else "0"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} %"))
    unit = "points" if first.metric.is_share else first.metric.unit
    axes.set_xlabel(f"{AXIS_TITLES[first.objective]}, of the baseline's")
    axes.set_ylabel(f"{first.metric.title} change{f' [{unit}]' if unit else ''}")
    return sheet.figure


def _base(target: TargetResult) -> float:
    return 0.0 if target.baseline_cost is None else axis_value(target.baseline_cost, target.objective)


def _x(target: TargetResult, candidate: Candidate) -> float:
    """Return the objective of a plan in percent of the baseline's."""
    return 100.0 * axis_value(candidate.cost, target.objective) / _base(target)
