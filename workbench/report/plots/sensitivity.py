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
from workbench.report.text import decibels, minus, number, percent, unique_short
from workbench.results import TargetResult
from workbench.statistics import Difference
from workbench.sweep import Group, Sensitivity

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
    """Return the plot: groups from top to bottom, one marker per format, paired intervals; without labels the output SQNR."""
    if not target.sensitivities or target.baseline is None or target.baseline_plan is None:
        return None
    labelled = all(s.change is not None for s in target.sensitivities)
    formats = [f for f in target.formats if any(s.format == f for s in target.sensitivities)]
    handles = [(symbol(looks[f]), f) for f in formats]
    baseline, samples = target.baseline_plan.default, target.baseline.samples
    if labelled:
        title = f"Which layers suffer: top-1 change against {baseline} everywhere ({percent(target.baseline.metrics['top1'])})"
        subtitle = (
            f"{short_target(target.profile.name)}, one layer changed at a time, all others at {baseline}; {samples:,} samples; "
            "bars are paired 95 % intervals."
        )
        hollow = Line2D([], [], color=MUTED, marker="o", markersize=5.5, markerfacecolor=PANEL, linestyle="-", linewidth=1.0)
        handles.append((hollow, "hollow: not distinguishable from no change"))
    else:
        title = f"Which layers suffer: output SQNR, one layer changed at a time from {baseline}"
        subtitle = (
            f"{short_target(target.profile.name)}, {samples:,} samples without labels; SQNR: power of the reference output "
            f"over power of the error; line: {baseline} everywhere, {decibels(target.baseline.metrics['sqnr_db'])}."
        )
    step = max(0.24, (0.105 if len(target.groups) <= 24 else 0.08) * len(formats) + 0.08)
    sheet = Sheet(title, subtitle, handles, step * len(target.groups) + 0.2, 0.62)
    names = group_labels(target.groups)
    axes = sheet.axes(label_width(names), WIDTH - 0.2, 0.14)
    row_axes(axes, names)
    row = {g.name: i for i, g in enumerate(target.groups)}
    if labelled:
        _change_axis(axes, target)
    else:
        _sqnr_axis(axes, target, target.sensitivities)
    for s in target.sensitivities:
        y = row[s.group.name] + _dodge(formats.index(s.format), len(formats))
        if labelled and s.change is not None:
            _draw_change(axes, s.change, y, looks[s.format])
        else:
            low, high = axes.get_xlim()
            inside = min(max(s.sqnr_db, low), high)  # no error at all is +inf dB: drawn on the right edge
            axes.plot(
                inside, y, marker=looks[s.format].marker, color=looks[s.format].color, markersize=5, zorder=4, clip_on=False
            )
    return sheet.figure


def _dodge(index: int, count: int) -> float:
    return 0.0 if count == 1 else (index / (count - 1) - 0.5) * 0.62


def _draw_change(axes: Axes, change: Difference, y: float, look: Look) -> None:
    sure = distinguishable(change)
    axes.plot(
        [100 * change.low, 100 * change.high],
        [y, y],
        color=look.color,
        linewidth=1.3,
        alpha=1.0 if sure else 0.5,
        zorder=3,
        solid_capstyle="butt",
    )
    axes.plot(
        100 * change.estimate,
        y,
        marker=look.marker,
        color=look.color,
        markersize=5,
        markerfacecolor=look.color if sure else PANEL,
        markeredgewidth=1.1,
        zorder=4,
    )


def _change_axis(axes: Axes, target: TargetResult) -> None:
    changes = [s.change for s in target.sensitivities if s.change is not None]
    low, high = 100 * min(c.low for c in changes), 100 * max(c.high for c in changes)
    limit = None if target.limits.top1_drop is None else -100 * target.limits.top1_drop
    if limit is not None:
        low = min(low, 1.15 * limit)
    low, high = min(low, -0.2), max(high, 0.2)
    note = ""
    if max(-low, high) > WIDE_POINTS:
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
    axes.set_xlabel(f"← worse  top-1 change [percentage points]  better →{note}")


def _sqnr_axis(axes: Axes, target: TargetResult, shown: Sequence[Sensitivity]) -> None:
    assert target.baseline is not None
    base = target.baseline.metrics["sqnr_db"]
    values = [v for v in (base, *(s.sqnr_db for s in shown), target.limits.sqnr_db) if v is not None and math.isfinite(v)]
    if values:
        pad = max(0.05 * (max(values) - min(values)), 0.5)
        axes.set_xlim(min(values) - pad, max(values) + pad)
    if math.isfinite(base):
        axes.axvline(base, color=INK, linewidth=1.0, zorder=2)
    if target.limits.sqnr_db is not None:
        axes.axvline(target.limits.sqnr_db, color=LIMIT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
        _mark(axes, target.limits.sqnr_db, f"limit {number(target.limits.sqnr_db)} dB", LIMIT)
    axes.set_xlabel("← worse  SQNR at the network's output [dB]  better →")


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
