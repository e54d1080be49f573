"""Roofline: what rate each layer reaches, against what the arithmetic and the memories allow at its MACs per byte.

S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model", CACM 52 (2009).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from workbench.cost import CostEstimate, LayerCost
from workbench.cost.accelerator import Roofs, roofline
from workbench.hardware.profile import HardwareProfile
from workbench.report.plots.breakdown import BOUND_WORDS, BOUNDS, share_text, timed_layers
from workbench.report.plots.style import INK, MUTED, PANEL, WIDTH, Sheet, short_target, symbol
from workbench.report.text import number, shorten

NAMES = {"ram": "RAM"}
STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
HEIGHT = 4.24
"""Inches of the panels."""
NAMED = 6
"""At most so many layers are named: those that take longest, where their names have room."""
SMALLEST, LARGEST = 3.5, 15.0
"""Marker sizes in points of a layer that takes no time and of one that takes all of it (the area is the share)."""


def roofline_figure(cost: CostEstimate, profile: HardwareProfile, plan: str) -> Figure | None:
    """Return the plot: one point per layer with multiply-accumulates that runs on the target, a panel per memory whose rate is known.

    None when there is no such layer. plan: what the layers' formats are, in words.
    """
    rows = [r for r in timed_layers(cost) if r.macs > 0 and r.bytes_moved > 0 and r.emulation != "host"]
    roofs = _roofs(profile, rows)
    if not rows or not roofs:
        return None
    used = [b for b in BOUNDS if any(r.bound == b for r in rows)]
    handles = [(symbol(BOUNDS[b]), BOUND_WORDS[b]) for b in used]
    lines = [(Line2D([], [], color=INK, linewidth=1.3, linestyle=STYLES[i]), f"roof {fmt}") for i, fmt in enumerate(roofs)]
    title = "Roofline: rate of each layer against what arithmetic and memories allow"
    early = " Above a slope: bytes that came while the layer before was running." if _any_early(rows, roofs) else ""
    sheet = Sheet(
        title, _subtitle(cost, rows, profile.name, plan) + early, [*handles, *(lines if len(lines) > 1 else [])], HEIGHT
    )
    memories = list(dict.fromkeys(m for found in roofs.values() for m in found.bytes_per_s)) or [""]
    width = (WIDTH - 0.95 - 0.25 - 0.2 * (len(memories) - 1)) / len(memories)
    for i, memory in enumerate(memories):
        left = 0.95 + i * (width + 0.2)
        axes = sheet.axes(left, left + width)
        points = [Point(row, r) for row in rows if (r := bytes_of(row, memory)) > 0]
        _draw_panel(axes, points, roofs, memory, [p.rate for p in points] or [1.0], cost.latency_s, width)
        if i:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("multiply-accumulates per second")
    return sheet.figure


@dataclass(frozen=True)
class Point:
    """A layer and the bytes that it moves through one memory."""

    row: LayerCost
    bytes_moved: int

    @property
    def intensity(self) -> float:
        """MACs per byte."""
        return self.row.macs / self.bytes_moved

    @property
    def rate(self) -> float:
        """MACs per second."""
        return self.row.macs / self.row.latency_s


def bytes_of(row: LayerCost, memory: str) -> int:
    """Return the bytes that a layer moves through a memory: weights and parameters (`flash`), activations (`ram`), else both."""
    return {"flash": row.flash_bytes, "ram": row.bytes_moved - row.flash_bytes}.get(memory.lower(), row.bytes_moved)


def _roofs(profile: HardwareProfile, rows: Sequence[LayerCost]) -> dict[str, Roofs]:
    """Return the roofs by formats, those of the formats that most MACs are in first; formats with the same roofs share them."""
    macs: dict[str, int] = {}
    for row in rows:
        macs[row.format] = macs.get(row.format, 0) + row.macs
    found: dict[str, Roofs] = {}
    for fmt in sorted(macs, key=lambda f: -macs[f]):
        roofs = roofline(profile, fmt)
        if roofs is None:
            continue
        same = next((names for names, other in found.items() if other == roofs), None)
        if same is None:
            found[fmt] = roofs
        else:
            found = {f"{names}, {fmt}" if names == same else names: other for names, other in found.items()}
    return dict(list(found.items())[: len(STYLES)])


def _any_early(rows: Sequence[LayerCost], roofs: Mapping[str, Roofs]) -> bool:
    """Return whether a layer is quicker than its memories: a scheduler had its weights fetched ahead."""
    return any(
        bytes_of(row, memory) / row.latency_s > 1.01 * rate
        for row in rows
        for found in roofs.values()
        for memory, rate in found.bytes_per_s.items()
    )


def _subtitle(cost: CostEstimate, rows: Sequence[LayerCost], name: str, plan: str) -> str:
    share = sum(r.latency_s for r in rows) / cost.latency_s
    rest = len(timed_layers(cost)) - len(rows)
    others = f"; not drawn: {rest} without multiply-accumulates or on the host" if rest else ""
    return (
        f"{short_target(name)}, {plan}; estimates. Area of a point: its share of the latency ({share_text(share)} drawn{others}). "
        "The gap below the roof: fixed overhead, padding, what the kernel does beside multiplying."
    )


def _draw_panel(
    axes: Axes,
    points: Sequence[Point],
    roofs: Mapping[str, Roofs],
    memory: str,
    rates: Sequence[float],
    total: float,
    width: float,
) -> None:
    _scale(axes, points, roofs, memory, rates)
    for i, found in enumerate(roofs.values()):
        _draw_roof(axes, found, memory, i, width)
    _draw_points(axes, points, total, width)
    what = {"": "weights, inputs and outputs", "flash": "weights and parameters", "ram": "inputs and outputs"}
    axes.set_xlabel(f"MACs per byte of {what.get(memory.lower(), what[''])}")


def _scale(axes: Axes, points: Sequence[Point], roofs: Mapping[str, Roofs], memory: str, rates: Sequence[float]) -> None:
    xs = [p.intensity for p in points] or [1.0]
    peaks = [roof.macs_per_s for roof in roofs.values()]
    ridges = [roof.macs_per_s / roof.bytes_per_s[memory] for roof in roofs.values() if memory in roof.bytes_per_s]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(xs) / 2.5, 3 * max(10 * min(xs), *xs, *(min(r, 30 * max(xs)) for r in ridges)))
    axes.set_ylim(min(rates) / 3, max(*peaks, *rates) * 2.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=9))
        axis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: prefixed(v).strip()))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: prefixed(v).strip()))
    axes.grid(which="major")
    axes.tick_params(axis="y", labelcolor=MUTED)


def prefixed(value: float) -> str:
    """Return a number with an SI prefix, or a space, behind it: '230 k', '1.5 G', '40 '."""
    for factor, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor * 0.9995:
            return f"{number(value / factor)} {name}"
    return f"{number(value)} "


def _draw_roof(axes: Axes, roofs: Roofs, memory: str, index: int, width: float) -> None:
    left, right = axes.get_xlim()
    peak, rate = roofs.macs_per_s, roofs.bytes_per_s.get(memory, inf)
    ridge = peak / rate
    style: dict[str, Any] = {"color": INK, "linewidth": 1.3, "linestyle": STYLES[index], "zorder": 2}
    if ridge < right:
        axes.plot([max(ridge, left), right], [peak, peak], **style)
        axes.annotate(
            f"{prefixed(peak)}MAC/s", (right, peak), (-3, 3), textcoords="offset points", ha="right", va="bottom", fontsize=8.5
        )
    if ridge > left and rate < inf:
        end = min(ridge, right)
        axes.plot([left, end], [left * rate, end * rate], **style)
        if index == 0:
            _name_slope(axes, f"{NAMES.get(memory, memory)} {prefixed(rate)}B/s", rate, end, width)


def _name_slope(axes: Axes, text: str, rate: float, end: float, width: float) -> None:
    """Write along a slanted roof, near the lower end of what is seen of it."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x = max(left, bottom / rate) ** 0.7 * end**0.3
    angle = math.degrees(math.atan2(HEIGHT / math.log(top / bottom), width / math.log(right / left)))
    axes.annotate(
        text, (x, x * rate), (-3, 4), textcoords="offset points", rotation=angle, rotation_mode="anchor", ha="center",
        va="bottom", fontsize=8.5, color=MUTED,
    )  # fmt: skip


def _draw_points(axes: Axes, points: Sequence[Point], total: float, width: float) -> None:
    ordered = sorted(points, key=lambda p: -p.row.latency_s)
    for p in ordered:
        look = BOUNDS.get(p.row.bound, BOUNDS["compute"])
        size = SMALLEST + (LARGEST - SMALLEST) * math.sqrt(p.row.latency_s / total)
        axes.plot(
            p.intensity, p.rate, marker=look.marker, markersize=size, color=look.color, markeredgecolor=PANEL,
            markeredgewidth=0.7, alpha=0.85, linestyle="none", zorder=3,
        )  # fmt: skip
    _name_points(axes, ordered, width)


def _name_points(axes: Axes, ordered: Sequence[Point], width: float) -> None:
    """Write names to the right or left of points, where they hide neither points nor names."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    places = [
        (
            width * math.log(p.intensity / left) / math.log(right / left),
            HEIGHT * math.log(p.rate / bottom) / math.log(top / bottom),
        )
        for p in ordered
    ]
    taken = [(x - 0.05, x + 0.05, y) for x, y in places]
    named = 0
    for p, (x, y) in zip(ordered, places, strict=True):
        name = shorten(p.row.layer, 20)
        long = 0.068 * len(name)
        for side, start in (("left", x + 0.12), ("right", x - 0.12 - long)):
            end = start + long
            if (
                named < NAMED
                and start > 0
                and end < width
                and not any(abs(y - c) < 0.14 and start < b and end > a for a, b, c in taken)
            ):
                taken.append((start, end, y))
                named += 1
                shift = 72 * (0.12 if side == "left" else -0.12)
                axes.annotate(
                    name,
                    (p.intensity, p.rate),
                    (shift, 0),
                    textcoords="offset points",
                    fontsize=8,
                    ha=side,
                    va="center",
                    zorder=5,
                )
                break
