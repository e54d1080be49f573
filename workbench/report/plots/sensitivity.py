"""What each layer loses when it alone changes its format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from workbench.report.plots.style import (
    INK,
    LIMIT,
    MUTED,
    NAME_LIMIT,
    PANEL,
    WIDTH,
    Look,
    Sheet,
    label_width,
    row_axes,
    short_target,
    symbol,
)
from workbench.report.text import figure_text, minus, unique_short
from workbench.results import TargetResult
from workbench.statistics import Difference
from workbench.sweep import Group

LINEAR_POINTS = 1.0
"""Changes up to one point are drawn linearly, larger ones logarithmically (when there are large ones)."""
WIDE_POINTS = 8.0


def distinguishable(change: Difference) -> bool:
    """True when the paired 95 % interval does not contain 0."""
    return change.low > 0.0 or change.high < 0.0


def group_labels(groups: Sequence[Group]) -> list[str]:
    """Return row labels in network order: the first layer, and how many are tied to it."""
    names = unique_short([g.name for g in groups], NAME_LIMIT - 4)
    return [f"{n} (+{len(g.layers) - 1})" if len(g.layers) > 1 else n for n, g in zip(names, groups, strict=True)]


def sensitivity_figure(target: TargetResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return the plot: groups from top to bottom, one marker per format, paired intervals of the deciding metric."""
    if not target.sensitivities or target.baseline is None or target.baseline_plan is None:
        return None
    formats = [f for f in target.formats if any(s.format == f for s in target.sensitivities)]
    handles = [(symbol(looks[f]), f) for f in formats]
    baseline, samples = target.baseline_plan.default, target.baseline.samples
    value = figure_text(target.metric, target.baseline.figure)
    title = f"Which layers suffer: {target.metric.short} change against {baseline} everywhere ({value})"
    subtitle = (
        f"{short_target(target.profile.name)}, one layer changed at a time, all others at {baseline}; {samples:,} samples; "
        "bars are paired 95 % intervals."
    )
    hollow = Line2D([], [], color=MUTED, marker="o", markersize=5.5, markerfacecolor=PANEL, linestyle="-", linewidth=1.0)
    handles.append((hollow, "hollow: not distinguishable from no change"))
    step = max(0.24, (0.105 if len(target.groups) <= 24 else 0.08) * len(formats) + 0.08)
    sheet = Sheet(title, subtitle, handles, step * len(target.groups) + 0.2, 0.62)
    names = group_labels(target.groups)
    axes = sheet.axes(label_width(names), WIDTH - 0.2, 0.14)
    row_axes(axes, names)
    row = {g.name: i for i, g in enumerate(target.groups)}
    _change_axis(axes, target)
    factor = 100.0 if target.metric.is_share else 1.0
    for s in target.sensitivities:
        y = row[s.group.name] + _dodge(formats.index(s.format), len(formats))
        _draw_change(axes, s.change, factor, y, looks[s.format])
    return sheet.figure


def _dodge(index: int, count: int) -> float:
    return 0.0 if count == 1 else (index / (count - 1) - 0.5) * 0.62


def _draw_change(axes: Axes, change: Difference, factor: float, y: float, look: Look) -> None:
    sure = distinguishable(change)
    left, right = axes.get_xlim()

    def inside(value: float) -> float:  # from some error to none is infinitely better in dB: drawn on the edge
        return min(max(factor * value, left), right)

    axes.plot(
        [inside(change.low), inside(change.high)],
        [y, y],
        color=look.color,
        linewidth=1.3,
        alpha=1.0 if sure else 0.5,
        zorder=3,
        solid_capstyle="butt",
    )
    axes.plot(
        inside(change.estimate),
        y,
        marker=look.marker,
        color=look.color,
        markersize=5,
        markerfacecolor=look.color if sure else PANEL,
        markeredgewidth=1.1,
        zorder=4,
    )


def _change_axis(axes: Axes, target: TargetResult) -> None:
    metric = target.metric
    factor, worse = (100.0 if metric.is_share else 1.0), (-1.0 if metric.higher_is_better else 1.0)
    ends = [factor * v for s in target.sensitivities for v in (s.change.low, s.change.high)]
    limit = None if target.limits.drop is None else worse * factor * target.limits.drop
    ends += [] if limit is None else [1.15 * limit]
    finite = [v for v in ends if math.isfinite(v)] or [0.0]
    least = 0.2 if metric.is_share else 0.05 * max(map(abs, finite)) or 1.0
    low, high = min(*finite, -least), max(*finite, least)
    note = ""
    if metric.is_share and max(-low, high) > WIDE_POINTS:
        axes.set_xscale("symlog", linthresh=LINEAR_POINTS, linscale=0.9)
        ticks = [
            t for t in (-100, -50, -20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 50) if 1.1 * low <= t <= 1.1 * high
        ]
        axes.set_xticks(ticks)
        axes.xaxis.set_minor_locator(NullLocator())
        note = " (even steps up to ±1, then compressed)"
        axes.set_xlim(low * 1.15, max(high * 1.25, 0.6))
    else:
        pad = 0.05 * (high - low)
        axes.set_xlim(low - pad, high + pad)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v:+g}") if v else "0"))
    axes.axvline(0, color=INK, linewidth=1.0, zorder=2)
    if limit is not None:
        axes.axvline(limit, color=LIMIT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
        _mark(axes, limit, f"limit {minus(f'{limit:g}')}", LIMIT)
    unit = "percentage points" if metric.is_share else metric.unit
    what = f"{metric.title} change{f' [{unit}]' if unit else ''}{note}"
    axes.set_xlabel(f"← worse  {what}  better →" if metric.higher_is_better else f"← better  {what}  worse →")


def _mark(axes: Axes, x: float, text: str, color: str) -> None:
    """Name a vertical line, above the axes where no data can be."""
    axes.annotate(
        text,
        (x, 1),
        (0, 2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=color,
        fontsize=8,
        ha="center",
        va="bottom",
    )
