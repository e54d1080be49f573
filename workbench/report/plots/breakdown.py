"""What the time of every layer is spent on: arithmetic, moving bytes, unpacking, fixed costs, the host; and what bounds the layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from workbench.cost import CostEstimate, LayerCost
from workbench.cost.interval import Part
from workbench.report.plots.style import (
    FAINT,
    INK,
    MUTED,
    NAME_LIMIT,
    SERIES,
    WIDTH,
    Look,
    Sheet,
    label_width,
    row_axes,
    short_target,
    symbol,
)
from workbench.report.text import interval, number, quantity, unique_short, unit_of

BOUNDS = {"compute": Look(SERIES[0], "o"), "memory": Look(SERIES[1], "s"), "overhead": Look(MUTED, "^")}
"""What bounds a layer -> its look, here and in the roofline."""
BOUND_WORDS = {"compute": "compute-bound", "memory": "memory-bound", "overhead": "overhead-bound"}
COLORS: dict[Part, str] = {"compute": SERIES[0], "memory": SERIES[1], "unpack": SERIES[3], "overhead": FAINT, "host": SERIES[4]}
"""Part of the time -> colour, in the order of the stack."""
PART_WORDS: dict[Part, str] = {
    "compute": "arithmetic", "memory": "moving bytes", "unpack": "unpacking weights", "overhead": "fixed overhead",
    "host": "on the host processor",
}  # fmt: skip
MANY = 40
"""More rows than this are drawn closer together."""
SHARE_ROOM = 0.62
"""Inches to the right of the bars for the share of each layer."""


def breakdown_figure(cost: CostEstimate, name: str, plan: str) -> Figure | None:
    """Return the plot: layers in network order, stacked bars with their 80 % interval. None when no time can be estimated.

    Args:
        name: of the target. plan: what the layers' formats are, in words.
    """
    rows = timed_layers(cost)
    parts = [p for p in COLORS if any(r.parts[p] > 0 for r in rows)]
    if not parts or not math.isfinite(cost.latency_s):
        return None
    bounds = [b for b in BOUNDS if any(r.bound == b for r in rows)]
    handles = [(Patch(color=COLORS[p]), PART_WORDS[p]) for p in parts]
    marks = [(symbol(BOUNDS[b]), BOUND_WORDS[b]) for b in bounds]
    sheet = Sheet(
        "What the time of each layer is spent on",
        _subtitle(cost, name, plan, len(cost.layers) - len(rows)),
        [*handles, *marks],
        (0.25 if len(rows) <= MANY else 0.19) * len(rows) + 0.1,
    )
    names = unique_short([r.layer for r in rows], NAME_LIMIT)
    axes = sheet.axes(label_width(names), WIDTH - 0.2 - SHARE_ROOM)
    row_axes(axes, names)
    factor, unit = unit_of("latency", [r.latency_s for r in rows])
    _draw(axes, rows, factor, cost.latency_s)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_xlabel(f"latency of the layer [{unit}]; the mark says what bounds it, the whisker is its 80 % interval")
    return sheet.figure


def timed_layers(cost: CostEstimate) -> list[LayerCost]:
    """Return the layers that take time, in network order."""
    return [r for r in cost.layers if math.isfinite(r.latency_s) and r.latency_s > 0]


def bound_shares(cost: CostEstimate) -> dict[str, float]:
    """Return the share of the layers' time by what bounds them."""
    rows = timed_layers(cost)
    total = sum(r.latency_s for r in rows)
    return {b: sum(r.latency_s for r in rows if r.bound == b) / total for b in BOUNDS} if total > 0 else {}


def _subtitle(cost: CostEstimate, name: str, plan: str, dropped: int) -> str:
    shares = [f"{share_text(share)} {BOUND_WORDS[b]}" for b, share in bound_shares(cost).items() if share]
    apart = cost.latency_s - sum(r.latency_s for r in timed_layers(cost))
    parts = [
        f"{short_target(name)}, {plan}: {quantity('latency', cost.latency_s)} "
        f"({interval('latency', cost.latency_s, cost.latency_low_s, cost.latency_high_s)}), an estimate",
        f"of the layers' time {', '.join(shares)}",
        *([f"{quantity('latency', apart)} per inference belong to no layer"] if apart > 1e-4 * cost.latency_s else []),
        *([f"layers without time left out: {dropped}"] if dropped else []),
    ]
    return "; ".join(parts) + "."


def share_text(share: float) -> str:
    """Return a share in percent with two digits: '18 %', '1.9 %', '<0.1 %'."""
    return "<0.1 %" if share < 0.001 else f"{number(100 * share, 2)} %"


def _draw(axes: Axes, rows: Sequence[LayerCost], factor: float, total: float) -> None:
    end = max(r.latency_high_s for r in rows) / factor
    axes.set_xlim(-0.03 * end, 1.02 * end)
    room = SHARE_ROOM * 72 - 8
    for i, row in enumerate(rows):
        start = 0.0
        for part, color in COLORS.items():
            value = row.parts[part] / factor
            if value > 0:
                axes.barh(i, value, 0.62, left=start, color=color, linewidth=0, zorder=2)
                start += value
        _whisker(axes, i, row.latency_low_s / factor, row.latency_high_s / factor)
        look = BOUNDS.get(row.bound)
        if look is not None:
            axes.plot(-0.014 * end, i, marker=look.marker, color=look.color, markersize=4.2, linestyle="none", zorder=4)
        place: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "textcoords": "offset points",
            "ha": "right",
            "va": "center",
        }
        axes.annotate(share_text(row.latency_s / total), (1, i), (room, 0), fontsize=8, color=MUTED, **place)


def _whisker(axes: Axes, y: float, low: float, high: float) -> None:
    axes.plot([low, high], [y, y], color=INK, linewidth=0.9, zorder=3, solid_capstyle="butt")
    for edge in (low, high):
        axes.plot([edge, edge], [y - 0.16, y + 0.16], color=INK, linewidth=0.9, zorder=3)


__all__ = ["BOUNDS", "BOUND_WORDS", "bound_shares", "breakdown_figure", "share_text", "timed_layers"]
