"""Parts that plots of changes share: rows named after groups, an axis of a metric's change, a marker with its paired interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from workbench.metrics import Metric
from workbench.report.plots.style import INK, LIMIT, NAME_LIMIT, PANEL, Look
from workbench.report.text import minus, unique_short
from workbench.statistics import Difference
from workbench.sweep import Group

LINEAR_POINTS = 1.0
"""Changes up to one point are drawn linearly, larger ones logarithmically (when there are large ones)."""
WIDE_POINTS = 8.0
TICKS = (-100, -50, -20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 50)


def distinguishable(change: Difference) -> bool:
    """True when the paired 95 % interval does not contain 0."""
    return change.low > 0.0 or change.high < 0.0


def group_labels(groups: Sequence[Group]) -> list[str]:
    """Return row labels in network order: the first layer, and how many are tied to it."""
    names = unique_short([g.name for g in groups], NAME_LIMIT - 4)
    return [f"{n} (+{len(g.layers) - 1})" if len(g.layers) > 1 else n for n, g in zip(names, groups, strict=True)]


def dodge(index: int, count: int) -> float:
    """Return how far below the middle of its row the marker number `index` of `count` stands."""
    return 0.0 if count == 1 else (index / (count - 1) - 0.5) * min(0.62, 0.3 * (count - 1))


def draw_change(axes: Axes, change: Difference, factor: float, y: float, look: Look) -> None:
    """Draw a change and its interval; filled where it is distinguishable from no change."""
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


def change_axis(
    axes: Axes, metric: Metric, changes: Iterable[Difference], drop: float | None = None, narrow: bool = False
) -> None:
    """Make the x axis of a metric's change wide enough for all intervals. drop: the limit, drawn as a line. narrow: a short label."""
    factor, worse = (100.0 if metric.is_share else 1.0), (-1.0 if metric.higher_is_better else 1.0)
    ends = [factor * v for c in changes for v in (c.low, c.high)]
    limit = None if drop is None else worse * factor * drop
    ends += [] if limit is None else [1.15 * limit]
    finite = [v for v in ends if math.isfinite(v)] or [0.0]
    least = 0.2 if metric.is_share else 0.05 * max(map(abs, finite)) or 1.0
    low, high = min(*finite, -least), max(*finite, least)
    note = ""
    if metric.is_share and max(-low, high) > WIDE_POINTS:
        axes.set_xscale("symlog", linthresh=LINEAR_POINTS, linscale=0.9)
        few = (-50, -10, -2, 0, 2, 10) if narrow else TICKS
        axes.set_xticks([t for t in few if 1.1 * low <= t <= 1.1 * high])
        axes.xaxis.set_minor_locator(NullLocator())
        note = "" if narrow else " (even steps up to ±1, then compressed)"
        axes.set_xlim(low * 1.15, max(high * 1.25, 0.6))
    else:
        pad = 0.05 * (high - low)
        axes.set_xlim(low - pad, high + pad)
        if narrow:
            axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v:+g}") if v else "0"))
    axes.axvline(0, color=INK, linewidth=1.0, zorder=2)
    if limit is not None:
        axes.axvline(limit, color=LIMIT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
        _mark(axes, limit, f"limit {minus(f'{limit:g}')}", LIMIT)
    unit = "percentage points" if metric.is_share else metric.unit
    if narrow:
        short = "points" if metric.is_share else metric.unit
        axes.set_xlabel(f"{metric.short} change{f' [{short}]' if short else ''}")
        return
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
